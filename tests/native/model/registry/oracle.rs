//! What must be true of clients, scopes, settings and the roster, from the promises alone.

use edgemint::{host::Timestamp, model::mark::ClientRef};
use std::collections::{BTreeMap, BTreeSet};

pub const CLIENTS: [&str; 2] = ["app", "tool"];
pub const SCOPES: [&str; 3] = ["orders", "reports", "users"];
pub const SHARDS: [&str; 3] = ["weur-0", "enam-1", "apac-2"];

/// A client, as the oracle has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Which life of that id, from 0.
    pub life: usize,
    pub version: u64,
    pub enabled: bool,
    pub scopes: BTreeSet<&'static str>,
    pub description: Option<String>,
    /// The last version that shards must have heard of; 0: none.
    pub restricted: u64,
    /// The change that made it so took something away, also from what was issued by who had not heard of it.
    pub taken: bool,
    /// The change that made it so ended everything that was issued before.
    pub ends: bool,
}

impl Known {
    pub fn incarnation(&self, id: &str) -> String {
        format!("life {} of {id}", self.life)
    }
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
    pub scopes: BTreeMap<&'static str, (u64, Option<u8>)>,
    pub grace: u64,
    pub settings: u64,
    /// Scopes that were deleted, and are not there again.
    pub ended: BTreeSet<&'static str>,
    /// The version of settings and scopes that every shard must have heard of: the last that decides otherwise.
    pub marked: u64,
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

    /// As it is, or as it was when it ended.
    pub fn newest_of(&self, id: &str) -> Option<&Known> {
        self.history.get(id).and_then(|history| history.last()).map(|(known, _)| known)
    }

    /// The client as somebody knew it who knew it last at that version.
    pub fn reference(&self, id: &str, version: u64) -> ClientRef {
        let incarnation = self.newest_of(id).map(|known| known.incarnation(id)).unwrap_or_default();
        ClientRef { id: id.into(), incarnation, version }
    }

    /// The clients that have it.
    pub fn holders(&self, scope: &str) -> Vec<&'static str> {
        self.clients.iter().filter(|(_, client)| client.scopes.contains(scope)).map(|(id, _)| *id).collect()
    }
}
