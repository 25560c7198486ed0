//! The catalogue of scopes, and which clients may have which.
//!
//! The links are rows of their own, written with the client, so that to ask who has a scope reads no clients.

use super::{
    policy,
    rows::{next, owe_marks, roster},
};
use crate::{
    error::Fault,
    host::{Store, Turn},
    list::List as _,
    model::{
        mark::Mark,
        patch::Invalid,
        policy::{Policy, ScopeEntry},
        scope::Scope,
    },
    objects::{
        audit, outbox,
        protocol::{
            Told,
            registry::{Catalogued, Reply},
        },
        read, write as write_row,
    },
};
use serde_json::{Map, Value};

/// Owner: the scope; key: the client.
const LINKS: &str = "links";
/// Scopes that were taken from the catalogue: the version of their end.
const ENDED: &str = "ended_scopes";
/// Scopes that fit into the one record, which every location reads.
const MOST: usize = 1000;
/// The largest that record may become, in bytes of JSON.
const LARGEST: usize = 500_000;

/// Notes which scopes a client has from now on.
pub(super) fn link<S: Store>(
    store: &S,
    client: &str,
    before: Option<&Scope>,
    after: &Scope,
) -> Result<(), Fault> {
    let had = |name: &str| before.is_some_and(|before| before.contains(name));
    for name in after.names().filter(|name| !had(name)) {
        store.put(LINKS, name, client, "{}")?;
    }
    for name in before.iter().flat_map(|before| before.names()).filter(|name| !after.contains(name)) {
        store.delete(LINKS, name, client)?;
    }
    Ok(())
}

/// One.
pub(super) fn find<S: Store>(store: &S, policy: &Policy, name: &str) -> Result<Option<Catalogued>, Fault> {
    policy.scopes.get(name).map(|entry| with_clients(store, name, entry)).transpose()
}

/// In order of their names.
pub(super) fn list<S: Store>(
    store: &S,
    policy: &Policy,
    after: Option<&str>,
    q: Option<&str>,
    limit: usize,
) -> Result<Reply, Fault> {
    let fits =
        |name: &str, entry: &ScopeEntry| q.is_none_or(|q| name.contains(q) || entry.description.contains(q));
    let mut rest = policy
        .scopes
        .iter()
        .filter(|(name, entry)| after.is_none_or(|after| name.as_str() > after) && fits(name, entry));
    let page: Result<_, Fault> =
        rest.by_ref().take(limit).map(|(name, entry)| with_clients(store, name, entry)).list_or_error();
    Ok(Reply::Scopes(page?, rest.next().is_some()))
}

/// A new one.
pub(super) fn create<S: Store>(
    turn: &Turn<'_, S>,
    name: &str,
    patch: Map<String, Value>,
) -> Result<Reply, Fault> {
    let before = policy::current(turn)?;
    let known = find(turn.store, &before, name)?;
    // One of the catalogue's last wishes: other scopes and settings may have changed since.
    match known {
        Some(known) if before.attempts.contain(&turn.attempt) => {
            return Ok(Reply::ScopeChanged(Box::new(known), Told::default()));
        }
        Some(_) => return Ok(Reply::Taken),
        None => before.attempts.refuse_late(&turn.attempt)?,
    }
    if before.scopes.len() >= MOST {
        return Ok(Reply::Invalid(Invalid::new("name", format!("there are {MOST} scopes already"))));
    }
    match ScopeEntry::default().amend(patch) {
        Ok(entry) => write(turn, before, name, Some(&entry)),
        Err(invalid) => Ok(Reply::Invalid(invalid)),
    }
}

/// RFC 7396 over one; `whole`: all that it is from now on.
pub(super) fn change<S: Store>(
    turn: &Turn<'_, S>,
    name: &str,
    patch: Map<String, Value>,
    whole: bool,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let before = policy::current(turn)?;
    let Some(known) = find(turn.store, &before, name)? else { return Ok(Reply::Unknown) };
    let told = Told::none(roster(turn.store, "grants")?.len(), false);
    if before.attempts.is_newest(&turn.attempt) {
        return Ok(Reply::ScopeChanged(Box::new(known), told));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != known.tag()) {
        return Ok(Reply::Outdated);
    }
    let plain = ScopeEntry { version: known.entry.version, ..ScopeEntry::default() };
    match (if whole { &plain } else { &known.entry }).amend(patch) {
        Ok(entry) if entry == known.entry => {
            policy::remember(turn, before)?;
            // Perhaps a repetition of a change that some shards have not heard of yet: those are still owed it.
            Ok(Reply::ScopeChanged(Box::new(known), told))
        }
        Ok(entry) => write(turn, before, name, Some(&entry)),
        Err(invalid) => Ok(Reply::Invalid(invalid)),
    }
}

/// Takes one from the catalogue that no client has, but for those that registered themselves.
pub(super) fn delete<S: Store>(
    turn: &Turn<'_, S>,
    name: &str,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let before = policy::current(turn)?;
    if before.attempts.is_newest(&turn.attempt) {
        let told = Told::none(roster(turn.store, "grants")?.len(), false);
        return Ok(Reply::PolicyChanged(Box::new(before), told));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    let Some(known) = find(turn.store, &before, name)? else {
        // Perhaps asked by somebody who was told that not every shard holds its end yet.
        let ended: Option<u64> = read(turn.store, ENDED, name, "")?;
        let owed = ended.map_or(Ok(0), |ended| outbox::owed(turn.store, "policy/", ended))?;
        if owed == 0 {
            return Ok(Reply::Unknown);
        }
        let told = Told::none(roster(turn.store, "grants")?.len(), false);
        return Ok(Reply::PolicyChanged(Box::new(before), told));
    };
    if expected.is_some_and(|expected| expected != known.tag()) {
        return Ok(Reply::Outdated);
    }
    if !known.clients.is_empty() {
        return Ok(Reply::InUse(known.clients));
    }
    write(turn, before, name, None)
}

/// Writes the catalogue with one scope as it is from now on, or without it. Where it decides otherwise about resources
/// than before, every shard hears that there is a newer catalogue: who asks one by an older is told so.
fn write<S: Store>(
    turn: &Turn<'_, S>,
    mut policy: Policy,
    name: &str,
    entry: Option<&ScopeEntry>,
) -> Result<Reply, Fault> {
    let known = policy.scopes.get(name).cloned();
    let size = crate::json::write(&policy).len();
    policy.version = next(turn.store)?;
    policy.changed = turn.now;
    policy.attempts.push(&turn.attempt);
    match entry {
        Some(entry) => {
            policy.scopes.insert(name.to_owned(), ScopeEntry { version: policy.version, ..entry.clone() });
        }
        None => drop(policy.scopes.remove(name)),
    }
    // One that is too large already may still be made smaller.
    if entry.is_some() && crate::json::write(&policy).len() > LARGEST.max(size) {
        let why = format!("would make the catalogue larger than {LARGEST} bytes");
        return Ok(Reply::Invalid(Invalid::new("name", why)));
    }
    let was = known.as_ref().map(ScopeEntry::members).unwrap_or_default();
    let is = entry.map(ScopeEntry::members).unwrap_or_default();
    let action = match (&known, &entry) {
        (None, _) => "scope.created",
        (_, None) => "scope.deleted",
        _ => "scope.changed",
    };
    audit::note(turn, action, format!("scope/{name}"), was, is)?;
    if entry.is_none() {
        write_row(turn.store, ENDED, name, "", &policy.version)?;
    } else if known.is_none() {
        turn.store.delete(ENDED, name, "")?;
    }
    let narrows = known.as_ref().is_some_and(|known| {
        let left = entry.cloned().unwrap_or_default();
        !known.decides_as(&left)
    });
    if narrows {
        let rules = Some(policy.settings.rules());
        owe_marks(turn, "policy", "", &Mark { version: policy.version, rules, ..Mark::default() })?;
    }
    policy::put(turn, &policy)?;
    // Also where this takes nothing away: what an earlier change owes is part of what this answer shows.
    let of = if known.is_some() { roster(turn.store, "grants")?.len() } else { 0 };
    let told = Told::none(of, false);
    match policy.scopes.get(name) {
        Some(entry) => Ok(Reply::ScopeChanged(Box::new(with_clients(turn.store, name, entry)?), told)),
        None => Ok(Reply::PolicyChanged(Box::new(policy), told)),
    }
}

fn with_clients<S: Store>(store: &S, name: &str, entry: &ScopeEntry) -> Result<Catalogued, Fault> {
    let links = store.scan(LINKS, Some(name), None, usize::MAX)?;
    let clients = links.into_iter().map(|(_, client, _)| client).list();
    Ok(Catalogued { name: name.to_owned(), entry: entry.clone(), clients })
}
