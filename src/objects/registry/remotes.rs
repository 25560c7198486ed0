//! Other servers. What a connection holds lies in an object of its own, which hears of its end as shards hear of marks; an
//! external authorization server is a part of the policy, which every location reads.

use super::{policy, rows::next};
use crate::{
    error::Fault,
    host::{Store, Turn},
    model::{
        patch::Invalid,
        remote::{Kind, Remote},
    },
    objects::{audit, decode, outbox, protocol::registry::Reply, read, write},
};
use serde_json::Map;

const TABLE: &str = "remotes";
/// Ids of those that are gone, by kind and id, and who ended the last of a name: a message may arrive once more.
const GONE: &str = "gone_remotes";
/// How many connections there may be. Of the others every location reads all.
const MOST: usize = 1000;
const SERVERS: usize = 10;

/// One.
pub(super) fn find<S: Store>(store: &S, kind: Kind, name: &str) -> Result<Option<Remote>, Fault> {
    read(store, TABLE, kind.name(), name)
}

/// In order of their names.
pub(super) fn list<S: Store>(
    store: &S,
    kind: Kind,
    (after, q): (Option<&str>, Option<&str>),
    limit: usize,
) -> Result<Reply, Fault> {
    let mut found = Vec::new();
    let behind = after.map(|after| (kind.name(), after));
    for (_, _, row) in store.scan(TABLE, Some(kind.name()), behind, MOST)? {
        let one: Remote = decode(&row)?;
        if q.is_none_or(|q| one.name.contains(q) || one.text("issuer").contains(q)) {
            if found.len() == limit {
                return Ok(Reply::Remotes(found, true));
            }
            found.push(one);
        }
    }
    Ok(Reply::Remotes(found, false))
}

/// A new one, or a change to one.
pub(super) fn put<S: Store>(
    turn: &Turn<'_, S>,
    mut remote: Remote,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let (store, kind, name) = (turn.store, remote.kind, remote.name.clone());
    let known = find(store, kind, &name)?;
    if let Some(known) = known.as_ref().filter(|known| known.attempt == turn.attempt) {
        return Ok(Reply::Remote(Some(Box::new(known.clone()))));
    }
    match (&known, expected) {
        (Some(known), Some(expected)) if known.version != expected || known.id != remote.id => {
            return Ok(Reply::Outdated);
        }
        (Some(_), None) => return Ok(Reply::Taken),
        (None, Some(_)) => return Ok(Reply::Unknown),
        (None, None) if store.get(GONE, kind.name(), &remote.id)?.is_some() => {
            return Err(Fault::new("a message arrived again after others"));
        }
        (None, None) => {
            let most = if kind == Kind::Server { SERVERS } else { MOST };
            if store.scan(TABLE, Some(kind.name()), None, most)?.len() == most {
                let why = format!("there are {most} already");
                return Ok(Reply::Invalid(Invalid::new("name", why)));
            }
        }
        _ => {}
    }
    remote.version = next(store)?;
    remote.attempt = turn.attempt.clone();
    write(store, TABLE, kind.name(), &name, &remote)?;
    mirror(turn, kind, &name, Some(&remote))?;
    let action = if known.is_some() { "changed" } else { "created" };
    let was = known.map(|known| known.members).unwrap_or_default();
    note(turn, kind, action, &name, (was, remote.members.clone()))?;
    Ok(Reply::Remote(Some(Box::new(remote))))
}

/// Its end. The object of a connection is owed it.
pub(super) fn delete<S: Store>(
    turn: &Turn<'_, S>,
    kind: Kind,
    name: &str,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let by_name = format!("name/{name}");
    // Before anything else: there may be another of the name since.
    let by: Option<String> = read(turn.store, GONE, kind.name(), &by_name)?;
    if by.as_ref() == Some(&turn.attempt.0) {
        return Ok(Reply::Done);
    }
    let Some(known) = find(turn.store, kind, name)? else { return Ok(Reply::Unknown) };
    if expected.is_some_and(|expected| expected != known.version) {
        return Ok(Reply::Outdated);
    }
    turn.store.delete(TABLE, kind.name(), name)?;
    write(turn.store, GONE, kind.name(), &by_name, &turn.attempt.0)?;
    write(turn.store, GONE, kind.name(), &known.id, &turn.now)?;
    if kind == Kind::Connection {
        outbox::owe_end(turn.store, &known.id, turn.now)?;
    }
    mirror(turn, kind, name, None)?;
    note(turn, kind, "deleted", name, (known.members, Map::new()))?;
    Ok(Reply::Done)
}

/// Every location reads which servers' tokens are good.
fn mirror<S: Store>(
    turn: &Turn<'_, S>,
    kind: Kind,
    name: &str,
    remote: Option<&Remote>,
) -> Result<(), Fault> {
    if kind == Kind::Connection {
        return Ok(());
    }
    let mut policy = policy::current(turn)?;
    policy.version = next(turn.store)?;
    policy.servers.retain(|known| known.name != name);
    if let Some(remote) = remote {
        let at = policy.servers.partition_point(|known| known.name.as_str() < name);
        policy.servers.insert(at, remote.clone());
    }
    policy::put(turn, &policy)
}

fn note<S: Store>(
    turn: &Turn<'_, S>,
    kind: Kind,
    action: &str,
    name: &str,
    (was, is): (Map<String, serde_json::Value>, Map<String, serde_json::Value>),
) -> Result<(), Fault> {
    let (action, target) = (format!("{}.{action}", kind.name()), format!("{}/{name}", kind.name()));
    audit::note(turn, &action, target, was, is)
}
