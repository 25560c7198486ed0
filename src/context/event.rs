//! The log: one event per decision (behaviour 27 of `docs/promises.md`), JSON on a line. Never a token, code, secret,
//! password or assertion: there is no member that could hold one.

use crate::json::{object, put};
use serde_json::{Map, Value};

/// What was decided, about whom.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// What happened: `token.issued`, `consent.allowed`, `refused` …
    pub event: &'static str,
    /// `client_id`, where one was named and has the form of one.
    pub client: Option<String>,
    /// The subject.
    pub sub: Option<String>,
    /// The address of the grant.
    pub grant: Option<String>,
    /// The scope of the catalogue that an administrator changed.
    pub scope: Option<String>,
    /// The connection to another server that was used.
    pub connection: Option<String>,
    /// `grant_type`.
    pub grant_type: Option<&'static str>,
    /// Why it was refused, more exactly than the caller learns.
    pub reason: Option<String>,
    /// The answer repeated one that was given before.
    pub again: bool,
    /// True for what changed something beyond an ordinary success: always logged.
    pub important: bool,
}

impl Event {
    /// As the members of a line. What is not there is left out.
    pub fn line(self) -> Map<String, Value> {
        let mut line = object([("event", self.event.into())]);
        let said = [
            ("client", self.client),
            ("sub", self.sub),
            ("grant", self.grant),
            ("scope", self.scope),
            ("connection", self.connection),
            ("grant_type", self.grant_type.map(str::to_owned)),
            ("reason", self.reason),
        ];
        for (name, text) in said {
            if let Some(text) = text {
                put(&mut line, name, text.into());
            }
        }
        if self.again {
            put(&mut line, "again", true.into());
        }
        line
    }
}
