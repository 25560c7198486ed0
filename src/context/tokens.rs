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

/// What one was good for, and until when that is gone on by.
type Known = (Rc<Active>, Timestamp);

/// Each by its digest.
#[derive(Default)]
pub struct Tokens(RefCell<HashMap<[u8; 32], Known>>);

impl<H: Host> Context<'_, H> {
    /// What a token was good for, where that may be gone on by.
    pub fn known_token(&self, token: &str) -> Option<Rc<Active>> {
        let kept = self.memory.tokens.0.borrow();
        let (active, until) = kept.get(&crypto::digest(token.as_bytes()))?;
        (self.now < *until).then(|| Rc::clone(active))
    }

    /// Keeps what a token is good for: so long, and not beyond its end.
    pub fn keep_token(&self, token: &str, active: &Rc<Active>, length: Seconds) {
        if length == Seconds(0) {
            return;
        }
        let until = self.now.plus(length).min(active.expires.unwrap_or(Timestamp::NEVER));
        let mut kept = self.memory.tokens.0.borrow_mut();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(crypto::digest(token.as_bytes()), (Rc::clone(active), until));
    }
}
