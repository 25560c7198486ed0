//! Documents of clients, as this isolate has fetched them: what they say, and until when that is good. Bounded, in memory
//! alone, and never an error: what could not be had is asked for again, as often as the limits let somebody ask.

use super::Context;
use crate::host::{Host, Timestamp};
use serde_json::{Map, Value};
use std::{cell::RefCell, rc::Rc};

/// Documents that are kept at a time: each of a few kilobytes.
const MOST: usize = 200;

/// What a document says, of what may be said.
pub type Words = Rc<Map<String, Value>>;

/// Each with its address, and until when it is good; the oldest first.
#[derive(Default)]
pub struct Documents(RefCell<Vec<(String, Words, Timestamp)>>);

impl<H: Host> Context<'_, H> {
    /// What the document at an address says, where that is known and good.
    pub fn document(&self, address: &str) -> Option<Words> {
        let kept = self.memory.documents.0.borrow();
        let (_, words, until) = kept.iter().find(|(known, ..)| known == address)?;
        (self.now < *until).then(|| Rc::clone(words))
    }

    /// Keeps what a document says.
    pub fn keep_document(&self, address: &str, words: &Words, until: Timestamp) {
        let mut kept = self.memory.documents.0.borrow_mut();
        kept.retain(|(known, ..)| known != address);
        if kept.len() >= MOST {
            kept.remove(0);
        }
        kept.push((address.to_owned(), Rc::clone(words), until));
    }
}
