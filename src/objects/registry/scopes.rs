//! The catalogue of scopes, and which clients may have which.
//!
//! The links are rows of their own, written with the client, so that to ask who has a scope reads no clients.

use super::{policy, rows::next};
use crate::{
    error::Fault,
    host::{Store, Turn},
    model::{
        patch::Invalid,
        policy::{Policy, ScopeEntry},
        scope::Scope,
    },
    objects::{
        audit,
        protocol::registry::{Catalogued, Reply},
    },
};
use serde_json::{Map, Value, json};
use std::ops::Bound;

/// Owner: the scope; key: the client.
const LINKS: &str = "links";
/// Scopes that fit into the one record, which every location reads.
const MOST: usize = 1000;

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
    let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
    let fits =
        |name: &str, entry: &ScopeEntry| q.is_none_or(|q| name.contains(q) || entry.description.contains(q));
    let mut rest = policy.scopes.range::<str, _>(behind).filter(|(name, entry)| fits(name, entry));
    let page: Result<_, Fault> =
        rest.by_ref().take(limit).map(|(name, entry)| with_clients(store, name, entry)).collect();
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
            return Ok(Reply::ScopeChanged(Box::new(known)));
        }
        Some(_) => return Ok(Reply::Taken),
        None => before.attempts.refuse_late(&turn.attempt)?,
    }
    if before.scopes.len() >= MOST {
        return Ok(Reply::Invalid(Invalid::new("name", format!("there are {MOST} scopes already"))));
    }
    match ScopeEntry::default().amend(patch) {
        Ok(entry) => write(turn, before, name, Some(entry)),
        Err(invalid) => Ok(Reply::Invalid(invalid)),
    }
}

/// RFC 7396 over one; `whole`: all that it is from now on.
pub(super) fn change<S: Store>(
    turn: &Turn<'_, S>,
    name: &str,
    mut patch: Map<String, Value>,
    whole: bool,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let before = policy::current(turn)?;
    let Some(known) = find(turn.store, &before, name)? else { return Ok(Reply::Unknown) };
    if before.attempts.is_newest(&turn.attempt) {
        return Ok(Reply::ScopeChanged(Box::new(known)));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != known.entry.version) {
        return Ok(Reply::Outdated);
    }
    if whole {
        // What `GET` gave may come back. Who may have a scope is said by the clients.
        if patch.remove("clients").is_some_and(|clients| clients != json!(known.clients)) {
            return Ok(Reply::Invalid(Invalid::new("clients", "is changed at the clients, by their scope")));
        }
        patch.entry("description").or_insert(Value::Null);
    }
    match known.entry.amend(patch) {
        Ok(entry) if entry == known.entry => {
            policy::remember(turn, before)?;
            Ok(Reply::ScopeChanged(Box::new(known)))
        }
        Ok(entry) => write(turn, before, name, Some(entry)),
        Err(invalid) => Ok(Reply::Invalid(invalid)),
    }
}

/// Takes one from the catalogue that no client has: so nobody can lose anything by it, and no shard need hear of it.
pub(super) fn delete<S: Store>(
    turn: &Turn<'_, S>,
    name: &str,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let before = policy::current(turn)?;
    if before.attempts.is_newest(&turn.attempt) {
        return Ok(Reply::Done);
    }
    before.attempts.refuse_late(&turn.attempt)?;
    let Some(known) = find(turn.store, &before, name)? else { return Ok(Reply::Unknown) };
    if expected.is_some_and(|expected| expected != known.entry.version) {
        return Ok(Reply::Outdated);
    }
    if !known.clients.is_empty() {
        return Ok(Reply::InUse(known.clients));
    }
    write(turn, before, name, None)
}

/// Writes the catalogue with one scope as it is from now on, or without it.
fn write<S: Store>(
    turn: &Turn<'_, S>,
    mut policy: Policy,
    name: &str,
    entry: Option<ScopeEntry>,
) -> Result<Reply, Fault> {
    let was = policy.scopes.get(name).map(ScopeEntry::members).unwrap_or_default();
    let is = entry.as_ref().map(ScopeEntry::members).unwrap_or_default();
    let action = match (was.is_empty(), is.is_empty()) {
        (true, _) => "scope.created",
        (_, true) => "scope.deleted",
        _ => "scope.changed",
    };
    audit::note(turn, action, format!("scope/{name}"), was, is)?;
    policy.version = next(turn.store)?;
    policy.changed = turn.now;
    policy.attempts.push(&turn.attempt);
    let reply = match entry {
        Some(entry) => {
            let entry = ScopeEntry { version: policy.version, ..entry };
            policy.scopes.insert(name.to_owned(), entry.clone());
            Reply::ScopeChanged(Box::new(with_clients(turn.store, name, &entry)?))
        }
        None => {
            policy.scopes.remove(name);
            Reply::Done
        }
    };
    policy::put(turn, &policy)?;
    Ok(reply)
}

fn with_clients<S: Store>(store: &S, name: &str, entry: &ScopeEntry) -> Result<Catalogued, Fault> {
    let links = store.scan(LINKS, Some(name), None, usize::MAX)?;
    let clients = links.into_iter().map(|(_, client, _)| client).collect();
    Ok(Catalogued { name: name.to_owned(), entry: entry.clone(), clients })
}
