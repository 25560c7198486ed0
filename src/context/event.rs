//! The log: one event per decision (behaviour 27 of `docs/promises.md`), JSON on a line. Never a token, code, secret,
//! password or assertion: there is no member that could hold one.

use serde::Serialize;

/// What was decided, about whom.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Event {
    /// What happened: `token.issued`, `consent.allowed`, `refused` …
    pub event: &'static str,
    /// `client_id`, where one was named and has the form of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The address of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The scope of the catalogue that an administrator changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The connection to another server that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// `grant_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<&'static str>,
    /// Why it was refused, more exactly than the caller learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The answer repeated one that was given before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// True for what changed something beyond an ordinary success: always logged.
    #[serde(skip)]
    pub important: bool,
}
