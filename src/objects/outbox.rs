//! What an object still has to tell the world: dirty keys, never values, so that what is sent is the truth of that
//! moment. A key is leased while it is being sent (one write in flight per key), and kept until it was sent as it
//! stands; a failed one goes out again by alarm.

use super::{
    protocol::grant_shard::{self, GrantShard},
    read, write,
};
use crate::{
    error::Fault,
    host::{self, Host, Seconds, Store, Timestamp},
    model::mark::Mark,
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

const TABLE: &str = "outbox";
/// No delivery takes longer; if its sender died, somebody else takes over then.
const LEASE: Seconds = Seconds(30);
/// Keys sent in one go.
const BATCH: usize = 200;

#[derive(Serialize, Deserialize)]
struct Entry {
    /// The version that made it dirty.
    stamp: u64,
    /// Not before.
    due: Timestamp,
    /// Sent in vain so often.
    tries: u32,
}

/// What a dirty key names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A record to copy into the replica.
    Copy,
    /// A mark to bring to a shard.
    Mark,
}

impl Kind {
    const fn owner(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Mark => "mark",
        }
    }
}

/// A record in the replica is out of date.
pub fn owe_copy<S: Store>(store: &S, key: &str, stamp: u64, now: Timestamp) -> Result<(), Fault> {
    let leased: Option<Entry> = read(store, TABLE, Kind::Copy.owner(), key)?;
    // While a write of this key is in flight it keeps its lease; it will see the new stamp and write again.
    let due = leased.map_or(now, |entry| entry.due.max(now));
    write(store, TABLE, Kind::Copy.owner(), key, &Entry { stamp, due, tries: 0 })
}

/// A shard has not heard of a mark. `id` is the mark's: `client/<id>`, `person/<sub>`, `policy/`.
pub fn owe_mark<S: Store>(store: &S, shard: &str, id: &str, stamp: u64, now: Timestamp) -> Result<(), Fault> {
    write(store, TABLE, Kind::Mark.owner(), &format!("{shard}|{id}"), &Entry { stamp, due: now, tries: 0 })
}

/// How many shards have not acknowledged this mark.
pub fn owed<S: Store>(store: &S, id: &str) -> Result<usize, Fault> {
    let rows = store.scan(TABLE, Some(Kind::Mark.owner()), None, usize::MAX)?;
    Ok(rows.iter().filter(|(_, key, _)| key.split_once('|').is_some_and(|(_, owed)| owed == id)).count())
}

/// When the next key is due.
pub fn due<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
    let rows = store.scan(TABLE, None, None, usize::MAX)?;
    Ok(rows
        .iter()
        .filter_map(|(.., row)| serde_json::from_str::<Entry>(row).ok())
        .map(|entry| entry.due)
        .min())
}

/// The truth at this moment.
pub trait Truth<S: Store> {
    /// The text of a record, by its key in the replica.
    fn copy(&self, store: &S, key: &str) -> Result<Option<String>, Fault>;
    /// A mark, by its id.
    fn mark(&self, store: &S, id: &str) -> Result<Option<Mark>, Fault>;
}

/// Sends every key that is due, marks in parallel. A key that could not be sent stays, and is due again later.
pub async fn flush<H: Host, S: Store>(host: &H, store: &S, truth: &impl Truth<S>) -> Result<(), Fault> {
    // Twice: a copy whose key became dirty again while it was being written is written again at once.
    for _ in 0..2 {
        let marks = lease(host, store, Kind::Mark)?;
        let copies = lease(host, store, Kind::Copy)?;
        if marks.is_empty() && copies.is_empty() {
            break;
        }
        let marks = marks.into_iter().map(|(key, entry)| async move {
            let sent = bring(host, store, truth, &key).await;
            settle(host, store, Kind::Mark, &key, &entry, sent)
        });
        let copies = copies.into_iter().map(|(key, entry)| async move {
            let sent = copy(host, store, truth, &key).await;
            settle(host, store, Kind::Copy, &key, &entry, sent)
        });
        let (marks, copies) = futures_util::future::join(join_all(marks), join_all(copies)).await;
        marks.into_iter().chain(copies).collect::<Result<(), Fault>>()?;
    }
    Ok(())
}

/// Takes what is due, and lets nobody else take it for a while.
fn lease<H: Host, S: Store>(host: &H, store: &S, kind: Kind) -> Result<Vec<(String, Entry)>, Fault> {
    let now = host.now();
    let mut taken = Vec::new();
    for (_, key, row) in store.scan(TABLE, Some(kind.owner()), None, usize::MAX)? {
        let entry: Entry = serde_json::from_str(&row)?;
        if entry.due > now || taken.len() == BATCH {
            continue;
        }
        let leased = Entry { due: now.plus(LEASE), tries: entry.tries.saturating_add(1), ..entry };
        write(store, TABLE, kind.owner(), &key, &leased)?;
        taken.push((key, leased));
    }
    Ok(taken)
}

async fn bring<H: Host, S: Store>(
    host: &H,
    store: &S,
    truth: &impl Truth<S>,
    key: &str,
) -> Result<(), Fault> {
    let Some((shard, id)) = key.split_once('|') else { return Ok(()) };
    let Some(mark) = truth.mark(store, id)? else { return Ok(()) };
    let command = grant_shard::Command::Mark { id: id.to_owned(), mark };
    host::ask::<GrantShard, H>(host, shard, command).await.map(|_| ())
}

async fn copy<H: Host, S: Store>(host: &H, store: &S, truth: &impl Truth<S>, key: &str) -> Result<(), Fault> {
    let Some(text) = truth.copy(store, key)? else { return Ok(()) };
    host.write_copy(key, &text).await
}

/// After a delivery: forgets the key if it stands as it was sent, else keeps it for the next time.
fn settle<H: Host, S: Store>(
    host: &H,
    store: &S,
    kind: Kind,
    key: &str,
    sent: &Entry,
    outcome: Result<(), Fault>,
) -> Result<(), Fault> {
    let now = host.now();
    let entry = match read::<Entry, S>(store, TABLE, kind.owner(), key)? {
        Some(entry) => entry,
        None if kind == Kind::Mark => return Ok(()),
        // It took so long that somebody else wrote a newer copy meanwhile, which this one may have overwritten.
        None => return owe_copy(store, key, sent.stamp, now),
    };
    let mine = entry.due == sent.due;
    match outcome {
        Ok(()) if entry.stamp == sent.stamp && mine => store.delete(TABLE, kind.owner(), key),
        Ok(()) => write(store, TABLE, kind.owner(), key, &Entry { due: now, ..entry }),
        Err(fault) => {
            let line =
                serde_json::json!({ "event": "outbox.failed", "kind": kind.owner(), "cause": fault.0 });
            host.log(&line.to_string());
            let wait = Seconds(1 << entry.tries.min(6)); // 2, 4 … 64 s
            write(store, TABLE, kind.owner(), key, &Entry { due: now.plus(wait), ..entry })
        }
    }
}
