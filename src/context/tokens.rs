//! Access tokens that were good a moment ago, where the setting lets a location go on by that. Bounded, in memory alone.

use super::Context;
use crate::{
    crypto,
    host::{Host, Seconds, Timestamp},
    model::grant::Active,
};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// Tokens that are kept at a time; more empty it.
const MOST: usize = 1000;

/// An active access token, and the groups of who asks by it: of the person, or of the client that acts for itself.
pub struct Weighed {
    /// What it is good for.
    pub active: Active,
    /// In any order.
    pub groups: Vec<String>,
    /// It is another server's, and of nobody here.
    pub stranger: bool,
}

/// What one was good for, and until when that is gone on by.
type Known = (Rc<Weighed>, Timestamp);

/// Each by its digest.
#[derive(Default)]
pub struct Tokens(RefCell<HashMap<[u8; 32], Known>>);

impl<H: Host> Context<'_, H> {
    /// What a token was good for, where that may be gone on by.
    pub fn known_token(&self, token: &str) -> Option<Rc<Weighed>> {
        // Who asks the truth asks no copy.
        if self.fresh.get() {
            return None;
        }
        let kept = self.memory.tokens.0.borrow();
        let (weighed, until) = kept.get(&crypto::digest(token.as_bytes()))?;
        // A refusal that rests on it is said only after asking the truth.
        self.by_copy.set(true);
        (self.now < *until).then(|| Rc::clone(weighed))
    }

    /// Keeps what a token is good for: so long, and not beyond its end.
    pub fn keep_token(&self, token: &str, weighed: &Rc<Weighed>, length: Seconds) {
        if length == Seconds(0) {
            return;
        }
        let until = self.now.plus(length).min(weighed.active.expires.unwrap_or(Timestamp::NEVER));
        let mut kept = self.memory.tokens.0.borrow_mut();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(crypto::digest(token.as_bytes()), (Rc::clone(weighed), until));
    }
}
