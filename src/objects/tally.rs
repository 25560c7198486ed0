//! Security events, counted where they happen: a number a day and event, forgotten with its day.
//!
//! The log has each of them with all that is known. These numbers are what is left when nobody kept the log.

use super::{read, write};
use crate::{
    error::Fault,
    host::{Seconds, Store, Timestamp},
    model::place::Table,
};
use serde_json::{Map, Value};

/// How long they are kept.
const KEPT: Seconds = Seconds(30 * 86_400);
const SORT: &str = "tally";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// A password was wrong.
    LoginFailed,
    /// So many failed at one login that it was closed for a while.
    LoginClosed,
    /// An address, or a client from an address, failed so often that it was closed for a while.
    CallerClosed,
    /// A code or a refresh token was used twice, and its grant ended.
    ReuseDetected,
    /// A client was disabled, deleted, or lost all that had been issued to it.
    ClientCut,
}

impl Security {
    /// Its name in the administration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginFailed => "login_failed",
            Self::LoginClosed => "login_closed",
            Self::CallerClosed => "caller_closed",
            Self::ReuseDetected => "reuse_detected",
            Self::ClientCut => "client_cut",
        }
    }
}

/// Counts one. The caller has made sure that it is not the same one again.
pub fn count<S: Store>(store: &S, event: Security, now: Timestamp) -> Result<(), Fault> {
    let table = Table::daily(now.plus(KEPT)).name(SORT);
    let before: u64 = read(store, &table, event.name(), "")?.unwrap_or_default();
    write(store, &table, event.name(), "", &before.saturating_add(1))
}

/// All that is kept, by event.
pub fn sum<S: Store>(store: &S, now: Timestamp) -> Result<Map<String, Value>, Fault> {
    let mut sums = Map::new();
    let counts = |(sort, table): (&str, Table)| sort == SORT && table.end().is_some_and(|end| now < end);
    for table in store.tables()? {
        if Table::parse(&table).is_some_and(counts) {
            for (event, _, row) in store.scan(&table, None, None, usize::MAX)? {
                let before = sums.get(&event).and_then(Value::as_u64).unwrap_or_default();
                let day: u64 = super::decode(&row)?;
                sums.insert(event, before.saturating_add(day).into());
            }
        }
    }
    Ok(sums)
}
