//! What the objects say to each other and are asked by the edge: messages, without what is done about them. So objects
//! may ask each other, and no file of one needs a file of another.

pub mod account_shard;
pub mod connection;
pub mod grant_shard;
pub mod registry;

use crate::{host::Timestamp, json::Json};
use serde_json::{Map, Value};

/// How far a change has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Json)]
pub struct Told {
    /// Shards that hold it.
    pub acknowledged: usize,
    /// Shards that must.
    pub of: usize,
    /// `client_credentials`, which asks no shard, goes by older copies for a while.
    #[json(default)]
    pub lags: bool,
}

impl Told {
    /// Nobody yet, of so many.
    pub const fn none(of: usize, lags: bool) -> Self {
        Self { acknowledged: 0, of, lags }
    }
}

/// How an object is.
#[derive(Debug, Json)]
pub struct Health {
    /// Its database, in bytes.
    pub size: u64,
    /// Copies, marks and notes that have not reached whom they are for.
    pub owed: usize,
    /// Since when, of the oldest of them.
    pub owed_since: Option<Timestamp>,
    /// When its alarm has something to do.
    pub wake: Option<Timestamp>,
    /// Security events of the last thirty days.
    pub events: Map<String, Value>,
}
