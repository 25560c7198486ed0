//! What must be true of clients, scopes, settings and the roster, from the promises alone.

use edgemint::host::Timestamp;
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
    /// Every record that a client had, and since when.
    pub history: BTreeMap<&'static str, Vec<(Known, Timestamp)>>,
    /// Descriptions, by their names, with their versions.
    pub scopes: BTreeMap<&'static str, (u64, String)>,
    pub grace: u64,
    pub settings: u64,
    /// Shards that are told, and those of them that know that they are.
    pub roster: BTreeSet<usize>,
    pub joined: BTreeSet<usize>,
}

impl Oracle {
    /// A client is so from now on.
    pub fn keep(&mut self, id: &'static str, known: Known, now: Timestamp) {
        self.history.entry(id).or_default().push((known.clone(), now));
        self.clients.insert(id, known);
    }

    /// The clients that have it.
    pub fn holders(&self, scope: &str) -> Vec<&'static str> {
        self.clients.iter().filter(|(_, client)| client.scopes.contains(scope)).map(|(id, _)| *id).collect()
    }
}
