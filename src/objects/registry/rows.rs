//! The tables of the registry, and what every change needs of them: the next version, the roster, marks owed.

use crate::{
    error::Fault,
    host::{Store, Turn},
    list::List as _,
    model::mark::Mark,
    objects::{outbox, read, write},
};

pub(super) const CLIENTS: &str = "clients";
/// Clients that were deleted: the version of their end, and the wish that made it.
pub(super) const GONE: &str = "gone";
pub(super) const ROSTER: &str = "roster";
/// Marks of the registry itself, as every shard on the roster has them or is owed them.
pub(super) const MARKS: &str = "marks";

/// The next number of the one counter.
pub(super) fn next<S: Store>(store: &S) -> Result<u64, Fault> {
    let last: u64 = read(store, "meta", "", "counter")?.unwrap_or_default();
    write(store, "meta", "", "counter", &(last + 1))?;
    Ok(last + 1)
}

pub(super) fn roster<S: Store>(store: &S, kind: &str) -> Result<Vec<String>, Fault> {
    Ok(store.scan(ROSTER, Some(kind), None, usize::MAX)?.into_iter().map(|(_, name, _)| name).list())
}

/// Keeps a mark and owes it to every shard on the roster.
pub(super) fn owe_marks<S: Store>(
    turn: &Turn<'_, S>,
    kind: &str,
    id: &str,
    mark: &Mark,
) -> Result<usize, Fault> {
    let shards = roster(turn.store, "grants")?;
    write(turn.store, MARKS, kind, id, mark)?;
    for shard in &shards {
        outbox::owe_mark(turn.store, shard, &format!("{kind}/{id}"), mark.version, turn.now)?;
    }
    Ok(shards.len())
}
