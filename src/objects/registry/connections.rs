//! Connections to other servers. What they hold lies in an object each, which hears of its end as shards hear of marks.

use super::rows::next;
use crate::{
    error::Fault,
    host::{Store, Turn},
    model::{connection::Connection, patch::Invalid},
    objects::{audit, decode, outbox, protocol::registry::Reply, read, write},
};
use serde_json::Map;

const TABLE: &str = "connections";
/// Ids of connections that are gone, by name and id: a message that made one may arrive once more.
const GONE: &str = "gone_connections";
/// How many there may be.
const MOST: usize = 1000;

/// One.
pub(super) fn find<S: Store>(store: &S, name: &str) -> Result<Option<Connection>, Fault> {
    read(store, TABLE, name, "")
}

/// In order of their names.
pub(super) fn list<S: Store>(
    store: &S,
    after: Option<&str>,
    q: Option<&str>,
    limit: usize,
) -> Result<Reply, Fault> {
    let mut found = Vec::new();
    for (_, _, row) in store.scan(TABLE, None, after.map(|after| (after, "")), MOST)? {
        let one: Connection = decode(&row)?;
        if q.is_none_or(|q| one.name.contains(q) || one.issuer.contains(q)) {
            if found.len() == limit {
                return Ok(Reply::Connections(found, true));
            }
            found.push(one);
        }
    }
    Ok(Reply::Connections(found, false))
}

/// A new one, or a change to one.
pub(super) fn put<S: Store>(
    turn: &Turn<'_, S>,
    mut connection: Connection,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let (store, name) = (turn.store, connection.name.clone());
    let known = find(store, &name)?;
    if let Some(known) = known.as_ref().filter(|known| known.attempt == turn.attempt) {
        return Ok(Reply::Connection(Some(Box::new(known.clone()))));
    }
    match (&known, expected) {
        (Some(known), Some(expected)) if known.version != expected || known.id != connection.id => {
            return Ok(Reply::Outdated);
        }
        (Some(_), None) => return Ok(Reply::Taken),
        (None, Some(_)) => return Ok(Reply::Unknown),
        (None, None) if store.get(GONE, &name, &connection.id)?.is_some() => {
            return Err(Fault::new("a message arrived again after others"));
        }
        (None, None) if store.scan(TABLE, None, None, MOST)?.len() == MOST => {
            let why = format!("there are {MOST} connections already");
            return Ok(Reply::Invalid(Invalid::new("name", why)));
        }
        _ => {}
    }
    connection.version = next(store)?;
    connection.attempt = turn.attempt.clone();
    write(store, TABLE, &name, "", &connection)?;
    let action = if known.is_some() { "connection.changed" } else { "connection.created" };
    let was = known.map(|known| known.members()).unwrap_or_default();
    audit::note(turn, action, format!("connection/{name}"), was, connection.members())?;
    Ok(Reply::Connection(Some(Box::new(connection))))
}

/// Its end. Its object is owed it.
pub(super) fn delete<S: Store>(
    turn: &Turn<'_, S>,
    name: &str,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let Some(known) = find(turn.store, name)? else {
        let by: Option<String> = read(turn.store, GONE, name, "")?;
        return Ok(if by.as_ref() == Some(&turn.attempt.0) { Reply::Done } else { Reply::Unknown });
    };
    if expected.is_some_and(|expected| expected != known.version) {
        return Ok(Reply::Outdated);
    }
    turn.store.delete(TABLE, name, "")?;
    write(turn.store, GONE, name, "", &turn.attempt.0)?;
    write(turn.store, GONE, name, &known.id, &turn.now)?;
    outbox::owe_end(turn.store, &known.id, turn.now)?;
    audit::note(turn, "connection.deleted", format!("connection/{name}"), known.members(), Map::new())?;
    Ok(Reply::Done)
}
