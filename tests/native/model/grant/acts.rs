//! What may happen to a grant, at random: mostly what clients do, sometimes what thieves, networks and administrators do.

use super::{asks::With, oracle::Change};
use proptest::{prelude::*, sample::select};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client whose grant it is.
    Client,
    Other,
    /// A resource server.
    Api,
}

/// A token, by how many were given after it.
#[derive(Clone, Copy, Debug)]
pub enum Pick {
    Refresh(usize),
    Access(usize),
}

/// What the edge decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    Fresh,
    OldClient,
    OldSettings,
}

#[derive(Clone, Debug)]
pub enum Act {
    Wait(u64),
    Redeem {
        who: Who,
        with: With,
        forged: bool,
        copy: Copy,
    },
    Refresh {
        back: usize,
        who: Who,
        forged: bool,
        scope: Option<&'static str>,
        copy: Copy,
    },
    Inspect {
        token: Pick,
        who: Who,
        forged: bool,
        copy: Copy,
    },
    /// A message that was sent arrives once more, unchanged.
    Again(usize),
    Revoke {
        token: Pick,
        who: Who,
        forged: bool,
        whole: bool,
        copy: Copy,
    },
    /// `at_once`: the tokens go out with it.
    Offer {
        scope: &'static str,
        old_person: bool,
        at_once: bool,
        copy: Copy,
    },
    Withdraw,
    End,
    /// How far the object's clock is from the edge's, in milliseconds.
    Clock(i64),
    Change(Change),
    /// A mark that was sent arrives once more.
    MarkAgain(usize),
    /// The settings' windows, from now on: those of the profile, or none.
    Strict(bool),
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![8 => Just(Who::Client), 1 => Just(Who::Other)]
}

fn copy() -> impl Strategy<Value = Copy> {
    prop_oneof![8 => Just(Copy::Fresh), 1 => Just(Copy::OldClient), 1 => Just(Copy::OldSettings)]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![(0..4_usize).prop_map(Pick::Refresh), (0..4_usize).prop_map(Pick::Access)]
}

/// Around every border there is.
fn wait() -> impl Strategy<Value = Act> {
    let around = |seconds: u64| (seconds * 1000 - 3)..(seconds * 1000 + 3);
    prop_oneof![
        9 => 0..3_000_u64,
        3 => around(10),
        2 => around(60),
        1 => around(15),
        1 => around(5),
        1 => around(1200),
        2 => around(600),
        3 => around(300),
    ]
    .prop_map(Act::Wait)
}

pub fn change() -> impl Strategy<Value = Change> {
    let ago = || prop_oneof![Just(0), 1..20_u64, Just(4000)];
    prop_oneof![
        4 => Just(Change::Settings),
        8 => select(vec!["read write admin", "read", "read write", "admin"]).prop_map(Change::AllowScope),
        10 => any::<bool>().prop_map(Change::Rotate),
        1 => Just(Change::DisableClient),
        2 => Just(Change::EnableClient),
        1 => Just(Change::EndClient),
        1 => Just(Change::RemakeClient),
        1 => ago().prop_map(Change::CutClient),
        1 => Just(Change::DisablePerson),
        1 => Just(Change::EnablePerson),
        1 => ago().prop_map(Change::CutPerson),
    ]
}

pub fn act() -> impl Strategy<Value = Act> {
    let forged = || prop::bool::weighted(0.05);
    let with = prop_oneof![
        8 => Just(With::All),
        1 => select(vec![With::NoVerifier, With::AVerifier, With::WrongVerifier, With::NoUri, With::OtherUri]),
    ];
    let scope = prop_oneof![6 => Just(None), 2 => Just(Some("read")), 1 => select(vec![Some("read write"), Some("read admin"), Some("")])];
    let caller = prop_oneof![2 => Just(Who::Client), 2 => Just(Who::Api), 1 => Just(Who::Other)];
    prop_oneof![
        60 => wait(),
        20 => (who(), with, forged(), copy()).prop_map(|(who, with, forged, copy)| Act::Redeem { who, with, forged, copy }),
        // Mostly the newest and the one before: an older one ends it all.
        99 => (prop_oneof![12 => Just(0_usize), 6 => Just(1), 1 => 2..4_usize], who(), forged(), scope, copy()).prop_map(|(back, who, forged, scope, copy)| Act::Refresh { back, who, forged, scope, copy }),
        40 => (pick(), caller, forged(), copy()).prop_map(|(token, who, forged, copy)| Act::Inspect { token, who, forged, copy }),
        40 => prop_oneof![3 => Just(0_usize), 1 => 1..5_usize].prop_map(Act::Again),
        8 => (pick(), who(), forged(), prop::bool::weighted(0.3), copy()).prop_map(|(token, who, forged, whole, copy)| Act::Revoke { token, who, forged, whole, copy }),
        6 => (select(vec!["read write", "read write", "read"]), any::<bool>(), any::<bool>(), copy()).prop_map(|(scope, old_person, at_once, copy)| Act::Offer { scope, old_person, at_once, copy }),
        1 => Just(Act::Withdraw),
        1 => Just(Act::End),
        10 => (-5_000..=5_000_i64).prop_map(Act::Clock),
        10 => change().prop_map(Act::Change),
        4 => (0..4_usize).prop_map(Act::MarkAgain),
        3 => any::<bool>().prop_map(Act::Strict),
    ]
}
