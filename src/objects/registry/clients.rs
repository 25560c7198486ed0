//! Clients: registration, change, and the lists of them.

use super::{
    policy,
    rows::{CLIENTS, MARKS, next, owe_marks, roster},
    scopes,
};
use crate::{
    error::Fault,
    host::{Attempts, Seconds, Store, Turn},
    model::{client::Client, mark::Mark, patch::Invalid},
    objects::{
        decode, outbox,
        protocol::{
            Told,
            registry::{Reply, client_key},
        },
        read, write,
    },
};
use serde_json::{Map, Value};

/// One.
pub(super) fn find<S: Store>(store: &S, id: &str) -> Result<Option<Client>, Fault> {
    read(store, CLIENTS, id, "")
}

/// In order of their ids.
pub(super) fn list<S: Store>(
    store: &S,
    after: Option<&str>,
    q: Option<&str>,
    limit: usize,
) -> Result<Reply, Fault> {
    let mut found = Vec::new();
    let mut cursor = after.map(str::to_owned);
    loop {
        let behind = cursor.as_deref().map(|after| (after, ""));
        let rows = store.scan(CLIENTS, None, behind, 500)?;
        let last = rows.last().map(|(id, ..)| id.clone());
        for (_, _, row) in rows {
            let client: Client = decode(&row)?;
            let name = client.metadata.client_name.as_deref().unwrap_or_default();
            if q.is_none_or(|q| client.id.contains(q) || name.contains(q)) {
                if found.len() == limit {
                    return Ok(Reply::Clients(found, true));
                }
                found.push(client);
            }
        }
        match last {
            Some(last) => cursor = Some(last),
            None => return Ok(Reply::Clients(found, false)),
        }
    }
}

/// A new one.
pub(super) fn create<S: Store>(turn: &Turn<'_, S>, mut client: Client) -> Result<Reply, Fault> {
    if let Some(known) = find(turn.store, &client.id)? {
        let same = known.attempts.is_newest(&turn.attempt);
        return Ok(if same { Reply::Changed(Box::new(known), Told::default()) } else { Reply::Taken });
    }
    if let Err(invalid) = client.metadata.check(&policy::current(turn)?.names(), turn.now) {
        return Ok(Reply::Invalid(invalid));
    }
    client.version = next(turn.store)?;
    client.issued = turn.now;
    client.changed = turn.now;
    client.attempts = Attempts::of(&turn.attempt);
    put(turn, None, &client)?;
    Ok(Reply::Changed(Box::new(client), Told::default()))
}

/// How long a copy may be behind: the replica's, and that of an isolate.
const LAG: Seconds = Seconds(90);

/// RFC 7396 over the metadata of one.
pub(super) fn change<S: Store>(
    turn: &Turn<'_, S>,
    id: &str,
    patch: Map<String, Value>,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let Some(before) = find(turn.store, id)? else { return Ok(Reply::Unknown) };
    let of = roster(turn.store, "grants")?.len();
    let mark = format!("client/{id}");
    if before.attempts.is_newest(&turn.attempt) {
        outbox::hurry(turn.store, &mark, turn.now)?;
        // What it was before is not known any more.
        return Ok(Reply::Changed(Box::new(before), Told::none(of, true)));
    }
    // Until they know better, others go on by the record as it was.
    let strict = before.metadata.strict && turn.now >= before.changed.plus(LAG);
    let lags = before.may_use("client_credentials") && !strict;
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Reply::Outdated);
    }
    let metadata = match before.metadata.amend(patch) {
        Ok(metadata) => metadata,
        Err(invalid) => return Ok(Reply::Invalid(invalid)),
    };
    if metadata.token_endpoint_auth_method != before.metadata.token_endpoint_auth_method {
        return Ok(Reply::Invalid(Invalid::new("token_endpoint_auth_method", "is fixed at registration")));
    }
    if let Err(invalid) = metadata.check(&policy::current(turn)?.names(), turn.now) {
        return Ok(Reply::Invalid(invalid));
    }
    // Taking a cut-off back would bring to life what was cut off.
    if metadata.not_before < before.metadata.not_before {
        return Ok(Reply::Invalid(Invalid::new("not_before", "can only move forward")));
    }
    if metadata == before.metadata {
        let mut same = before.clone();
        same.attempts.push(&turn.attempt);
        write(turn.store, CLIENTS, id, "", &same)?;
        outbox::hurry(turn.store, &mark, turn.now)?;
        // Perhaps a repetition of a change that some shards have not heard of yet: those are still owed it.
        return Ok(Reply::Changed(Box::new(before), Told::none(of, lags)));
    }
    let restricted = before.metadata.is_restricted_by(&metadata);
    let version = next(turn.store)?;
    // Disabling ends what was issued, also for the day it is enabled again.
    let disabled = before.metadata.enabled && !metadata.enabled;
    let min_version = if disabled { version } else { before.min_version };
    let mut client = Client { version, min_version, changed: turn.now, metadata, ..before.clone() };
    client.attempts.push(&turn.attempt);
    if restricted {
        client.restrictions.push(version, turn.now);
    }
    // Where shards hold a mark already, it must say what is true now: a scope may have been given back.
    let marked: Option<Mark> = read(turn.store, MARKS, "client", id)?;
    let outdated = marked.is_some_and(|mark| Mark { version, ..mark } != client.mark());
    if restricted || outdated {
        owe_marks(turn, "client", id, &client.mark())?;
    } else {
        // What an earlier change owes is part of what this answer shows.
        outbox::hurry(turn.store, &mark, turn.now)?;
    }
    put(turn, Some(&before), &client)?;
    Ok(Reply::Changed(Box::new(client), Told::none(of, lags)))
}

/// Writes one, with all that follows from it: its copy, and the links from its scopes.
pub(super) fn put<S: Store>(
    turn: &Turn<'_, S>,
    before: Option<&Client>,
    client: &Client,
) -> Result<(), Fault> {
    scopes::link(
        turn.store,
        &client.id,
        before.map(|before| &before.metadata.scope),
        &client.metadata.scope,
    )?;
    outbox::owe_copy(turn.store, &client_key(&client.id), client.version, turn.now)?;
    write(turn.store, CLIENTS, &client.id, "", client)
}
