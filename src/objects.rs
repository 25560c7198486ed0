//! The Durable Objects: what surrounds the pure functions of `model` so that they happen exactly once.
//!
//! | object | how many | holds |
//! |---|---|---|
//! | [`protocol::registry::Registry`] | one | clients, settings, scopes, the roster of shards, the log of changes |
//! | [`protocol::account_shard::AccountShard`] | 256 | people, sessions, failed logins |
//! | [`protocol::grant_shard::GrantShard`] | a few a region | grants, marks, revoked access tokens |
//! | [`protocol::connection::Connection`] | one a connection | tokens of another server, sealed |
//!
//! A turn reads rows, decides, and writes rows with no `await` in between, so no other request comes between. What must
//! go out afterwards (the replica, marks for other objects) is written into the [`outbox`] in the same turn and sent
//! when the turn is over; what could not be sent goes out by alarm.

pub mod protocol;

pub mod audit;
pub mod outbox;
pub mod remembered;
pub mod tally;

pub mod account_shard;
pub mod connection;
pub mod grant_shard;
pub mod registry;

use crate::{
    error::Fault,
    host::{Answer, Attempt, Author, Envelope, FORMAT, Host, Object, Seconds, Store, Timestamp, Turn},
    json::{self, Json},
};
use protocol::Health;
use serde_json::Value;

/// Answers one message. Whatever happens inside becomes an answer: an object never panics, and its caller never hangs.
pub async fn serve<O: Object, H: Host, S: Store>(host: &H, store: &S, name: &str, message: &str) -> String {
    let reply = turn::<O, H, S>(host, store, name, message).await;
    finish::<O, H, S>(host, store, reply).await
}

/// The second half of [`serve`]: what goes out after the turn, and the answer as text. Whoever keeps alarms sets one
/// between the halves: should the object die here, the alarm finishes.
pub async fn finish<O: Object, H: Host, S: Store>(
    host: &H,
    store: &S,
    reply: Result<O::Reply, Fault>,
) -> String {
    let reply = match reply {
        Ok(reply) => O::follow(host, store, reply).await,
        Err(fault) => Err(fault),
    };
    let reply = reply.map_err(Fault::into_cause);
    json::write(&Answer { format: FORMAT, reply })
}

/// The first half of [`serve`]: one message, one turn.
pub async fn turn<O: Object, H: Host, S: Store>(
    host: &H,
    store: &S,
    name: &str,
    message: &str,
) -> Result<O::Reply, Fault> {
    let (attempt, by, command) = open(message, host.now(), O::PATIENCE)?;
    let command: O::Command = json::take(command)?;
    O::prepare(host, store, name, &command).await?;
    let turn = Turn { store, now: host.now(), dice: host.random(), attempt, by };
    O::handle(&turn, command)
}

/// What a message is: the wish that it is a delivery of, who is behind it, and the command of whatever protocol.
fn open(message: &str, now: Timestamp, patience: Seconds) -> Result<(Attempt, Option<Author>, Value), Fault> {
    let envelope: Envelope<Value> = json::read(message)?;
    if envelope.format != FORMAT {
        return Err(Fault::new("a command of an unknown format"));
    }
    envelope.refuse_late(now, patience)?;
    Ok((envelope.attempt, envelope.by, envelope.command))
}

/// The alarm of an object. Gives the instant of the next one, also where this one failed.
pub async fn alarm<O: Object, H: Host, S: Store>(host: &H, store: &S) -> Option<Timestamp> {
    let now = host.now();
    if let Err(fault) = O::sweep(host, store, now).await {
        let line = json::json!({ "event": "sweep.failed", "object": O::BINDING, "cause": fault.cause() });
        host.log(&json::write(&line));
    }
    O::wake(store).unwrap_or(Some(now.plus(crate::host::Seconds(60))))
}

/// A row, read.
fn read<T: Json, S: Store>(store: &S, table: &str, owner: &str, key: &str) -> Result<Option<T>, Fault> {
    store.get(table, owner, key)?.map(|text| decode(&text)).transpose()
}

/// A row, written.
fn write<S: Store>(store: &S, table: &str, owner: &str, key: &str, row: &dyn Json) -> Result<(), Fault> {
    store.put(table, owner, key, &json::write(row))
}

/// A row's value. A row that carries a format, always as its first member, is refused in an unknown one.
fn decode<T: Json>(text: &str) -> Result<T, Fault> {
    let format = text.strip_prefix("{\"format\":");
    if format.is_some_and(|rest| !rest.starts_with("1,")) {
        return Err(Fault::new("a row of an unknown format"));
    }
    json::read(text)
}

/// Drops the tables whose end has come, and gives the end of the next.
fn drop_ended<S: Store>(store: &S, now: Timestamp) -> Result<(), Fault> {
    for name in store.tables()? {
        let end = crate::model::place::Table::parse(&name).and_then(|(_, table)| table.end());
        if end.is_some_and(|end| end <= now) {
            store.drop_table(&name)?;
        }
    }
    Ok(())
}

/// When the first of the tables ends.
fn first_end<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
    let ends = store.tables()?;
    Ok(ends.iter().filter_map(|name| crate::model::place::Table::parse(name)?.1.end()).min())
}

/// How an object is that wakes then.
fn health<S: Store>(store: &S, wake: Option<Timestamp>, now: Timestamp) -> Result<Health, Fault> {
    let (owed, owed_since) = outbox::backlog(store)?;
    Ok(Health { size: store.size()?, owed, owed_since, wake, events: tally::sum(store, now)? })
}
