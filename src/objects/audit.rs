//! The audit log: rows of the registry. What happens in other objects is owed to it, and arrives once.
//!
//! Rows lie in tables of the month in which they were written, the newest first in each. A table is dropped once all of
//! it is older than the settings say.

use super::{outbox, write};
use crate::{
    error::Fault,
    host::{FORMAT, Seconds, Store, Timestamp, Turn},
    model::audit::{Change, differences},
};
use serde_json::{Map, Value};

/// Months of 30 days.
const MONTH: Seconds = Seconds(30 * 86_400);
/// Rows looked at in one turn.
const PAGE: usize = 5000;

/// What changed, if an administrator did it.
fn change<S: Store>(
    turn: &Turn<'_, S>,
    action: &str,
    target: String,
    before: Map<String, Value>,
    after: Map<String, Value>,
) -> Option<Change> {
    let by = turn.by.clone()?;
    let [before, after] = differences(before, after);
    let id = format!("{:05}.{:015}.{}", month(turn.now), LAST - turn.now.0.min(LAST), turn.attempt.0);
    Some(Change { format: FORMAT, id, time: turn.now, by, action: action.to_owned(), target, before, after })
}

/// The last instant that fits into an id.
const LAST: u64 = 999_999_999_999_999;

fn month(time: Timestamp) -> u64 {
    time.seconds() / MONTH.0
}

fn table(month: u64) -> String {
    format!("audit_{month:05}")
}

/// Notes a change in the registry itself.
pub fn note<S: Store>(
    turn: &Turn<'_, S>,
    action: &str,
    target: String,
    before: Map<String, Value>,
    after: Map<String, Value>,
) -> Result<(), Fault> {
    match change(turn, action, target, before, after) {
        Some(change) => keep(turn.store, &change),
        None => Ok(()),
    }
}

/// Owes the registry the note of a change in another object.
pub fn owe<S: Store>(
    turn: &Turn<'_, S>,
    action: &str,
    target: String,
    before: Map<String, Value>,
    after: Map<String, Value>,
) -> Result<(), Fault> {
    match change(turn, action, target, before, after) {
        Some(change) => outbox::owe_note(turn.store, &change, turn.now),
        None => Ok(()),
    }
}

/// Keeps a change; one that arrives again is the same row.
pub fn keep<S: Store>(store: &S, change: &Change) -> Result<(), Fault> {
    write(store, &table(month(change.time)), "", &change.id, change)
}

/// What is asked of the log.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    /// Older than the change of this id.
    pub after: Option<&'a str>,
    /// Whose action, target or author contains this.
    pub q: Option<&'a str>,
    /// At most so many.
    pub limit: usize,
}

/// The newest changes first, and where to go on.
pub fn list<S: Store>(store: &S, query: &Query<'_>) -> Result<(Vec<Change>, Option<String>), Fault> {
    let tables = store.tables()?.into_iter().rev().filter(|name| name.starts_with("audit_"));
    let newest = query.after.and_then(|after| after.split('.').next()).map(|month| format!("audit_{month}"));
    let (mut found, mut looked) = (Vec::new(), 0);
    for name in tables {
        if newest.as_ref().is_some_and(|newest| name > *newest) {
            continue;
        }
        let behind = query.after.filter(|_| newest.as_ref() == Some(&name)).map(|after| ("", after));
        let batch = if query.q.is_some() { PAGE } else { query.limit.saturating_add(1) };
        for (_, id, row) in store.scan(&name, None, behind, batch)? {
            let change: Change = super::decode(&row)?;
            let texts = [&change.action, &change.target, &change.by.name];
            if query.q.is_none_or(|q| texts.iter().any(|text| text.contains(q))) {
                found.push(change);
            }
            looked += 1;
            if found.len() > query.limit {
                found.truncate(query.limit);
                let last = found.last().map(|last| last.id.clone());
                return Ok((found, last));
            }
            if looked >= PAGE {
                return Ok((found, Some(id)));
            }
        }
    }
    Ok((found, None))
}

/// Drops the tables of which everything is older than `retention`, and gives the instant at which the next one is.
pub fn sweep<S: Store>(store: &S, retention: Seconds, now: Timestamp) -> Result<(), Fault> {
    for name in store.tables()? {
        if end(&name, retention).is_some_and(|end| end <= now) {
            store.drop_table(&name)?;
        }
    }
    Ok(())
}

/// When the oldest table may be dropped.
pub fn due<S: Store>(store: &S, retention: Seconds) -> Result<Option<Timestamp>, Fault> {
    Ok(store.tables()?.iter().filter_map(|name| end(name, retention)).min())
}

fn end(name: &str, retention: Seconds) -> Option<Timestamp> {
    let month: u64 = name.strip_prefix("audit_")?.parse().ok()?;
    Some(Timestamp((month + 1).saturating_mul(MONTH.0).saturating_mul(1000)).plus(retention))
}
