//! What must be true of clients, scopes, settings and the roster, from the promises alone.

use std::collections::{BTreeMap, BTreeSet};

pub const CLIENTS: [&str; 2] = ["app", "tool"];
pub const SCOPES: [&str; 3] = ["orders", "reports", "users"];
pub const SHARDS: [&str; 3] = ["weur-0", "enam-1", "apac-2"];

/// A client, as the oracle has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub version: u64,
    pub enabled: bool,
    pub scopes: BTreeSet<&'static str>,
    pub description: Option<String>,
    /// The last version that took something away; 0: none ever did.
    pub restricted: u64,
}

/// What must be true of the registry, from the promises alone.
#[derive(Default)]
pub struct Oracle {
    /// The newest version of anything.
    pub newest: u64,
    pub clients: BTreeMap<&'static str, Known>,
    /// Descriptions, by their names, with their versions.
    pub scopes: BTreeMap<&'static str, (u64, String)>,
    pub grace: u64,
    pub settings: u64,
    /// Shards that are told, and those of them that know that they are.
    pub roster: BTreeSet<usize>,
    pub joined: BTreeSet<usize>,
}

impl Oracle {
    /// The clients that have it.
    pub fn holders(&self, scope: &str) -> Vec<&'static str> {
        self.clients.iter().filter(|(_, client)| client.scopes.contains(scope)).map(|(id, _)| *id).collect()
    }
}
