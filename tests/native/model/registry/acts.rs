//! What may happen to the registry, at random.

use super::oracle::SCOPES;
use crate::world::Fate;
use edgemint::model::{
    client::{Client, Hashed},
    metadata::Metadata,
    profile::Profile,
    scope::Scope,
};
use proptest::{prelude::*, sample::select};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub enum Act {
    Wait(u64),
    Create {
        client: usize,
        scopes: u8,
    },
    Change {
        client: usize,
        what: What,
        only_if: Option<bool>,
    },
    Grace {
        seconds: u64,
        only_if: Option<bool>,
    },
    Rekey {
        client: usize,
        overlap: bool,
    },
    Cut(usize),
    Delete {
        client: usize,
        only_if: Option<bool>,
    },
    /// A location issues a token by a record that is so many changes old.
    Issue {
        client: usize,
        behind: usize,
    },
    CreateScope(usize),
    ChangeScope {
        scope: usize,
        text: u8,
        only_if: Option<bool>,
    },
    DeleteScope {
        scope: usize,
        only_if: Option<bool>,
    },
    /// A shard is asked something; the first time it joins, if what it asks the registry comes back.
    Ask {
        shard: usize,
        lost: Option<Fate>,
    },
    Again(usize),
    /// What becomes of the next marks.
    Fate(Vec<Fate>),
    /// So many writes of the replica fail.
    Refuse(u32),
    Ring,
}

#[derive(Clone, Copy, Debug)]
pub enum What {
    Enabled(bool),
    Scopes(u8),
    Description(u8),
}

pub fn act() -> impl Strategy<Value = Act> {
    let wait = prop_oneof![4 => 0..4_u64, 4 => 6..17_u64, 1 => 29..65_u64];
    let what = prop_oneof![
        3 => any::<bool>().prop_map(What::Enabled),
        2 => prop_oneof![1 => 0..8_u8, 1 => Just(7)].prop_map(What::Scopes),
        1 => (0..3_u8).prop_map(What::Description)
    ];
    let only_if = || prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let lost = prop_oneof![4 => Just(None), 1 => select(vec![Some(Fate::Lost), Some(Fate::Unanswered)])];
    let fate = prop::collection::vec(select(vec![Fate::Lost, Fate::Unanswered, Fate::Answered]), 1..8);
    prop_oneof![
        8 => wait.prop_map(Act::Wait),
        3 => (0..2_usize, 0..8_u8).prop_map(|(client, scopes)| Act::Create { client, scopes }),
        12 => (0..2_usize, what, only_if()).prop_map(|(client, what, only_if)| Act::Change { client, what, only_if }),
        2 => (0..2_usize, any::<bool>()).prop_map(|(client, overlap)| Act::Rekey { client, overlap }),
        2 => (0..2_usize).prop_map(Act::Cut),
        3 => (0..2_usize, only_if()).prop_map(|(client, only_if)| Act::Delete { client, only_if }),
        4 => (prop_oneof![0..4_u64, Just(61)], only_if()).prop_map(|(seconds, only_if)| Act::Grace { seconds, only_if }),
        6 => (0..2_usize, 0..3_usize).prop_map(|(client, behind)| Act::Issue { client, behind }),
        4 => (0..3_usize).prop_map(Act::CreateScope),
        2 => (0..3_usize, 0..3_u8, only_if()).prop_map(|(scope, text, only_if)| Act::ChangeScope { scope, text, only_if }),
        3 => (0..3_usize, only_if()).prop_map(|(scope, only_if)| Act::DeleteScope { scope, only_if }),
        6 => (0..3_usize, lost).prop_map(|(shard, lost)| Act::Ask { shard, lost }),
        8 => (0..4_usize).prop_map(|back| Act::Again(back.saturating_sub(1))),
        4 => fate.prop_map(Act::Fate),
        2 => (1..4_u32).prop_map(Act::Refuse),
        4 => Just(Act::Ring),
    ]
}

/// The scopes of a bit set.
pub fn scopes(bits: u8) -> BTreeSet<&'static str> {
    SCOPES.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, name)| name).collect()
}

/// A registration, as the administrator's edge makes it.
pub fn registration(id: &str, scope: &str) -> Client {
    let metadata = Metadata {
        scope: Scope::parse(scope).unwrap_or_default(),
        redirect_uris: vec!["https://app.test/cb".into()],
        ..Metadata::template(Profile::Oauth21)
    };
    let secret = Hashed::of("a secret", [1; 16]);
    let client = Client::new(id.into(), [0; 8], metadata, Some(secret));
    Client { incarnation: format!("life of {id}"), ..client }
}
