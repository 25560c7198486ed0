//! Marks: the exception, pushed to every shard that must know it (a client disabled, a person's groups changed …).
//!
//! Ordinary grants have none, so they cost no row and no second request. A command reads its grant and its marks in one
//! synchronous turn. Versions only grow, and a receiver ignores a version not above its own, so marks may arrive twice
//! or out of order.

use super::scope::Scope;
use crate::host::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether a client or person may act at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Yes.
    #[default]
    Enabled,
    /// Not until somebody enables it again.
    Disabled,
}

/// What changed about one client, person or the settings, and from which version on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Of the record that it tells of.
    pub version: u64,
    /// Whether it may act.
    pub standing: Standing,
    /// What was issued under an older version than this is dead.
    pub min_version: u64,
    /// What was issued until then is dead (a cut-off that an administrator gave as a time).
    pub not_before: Timestamp,
    /// When the change was made.
    pub since: Timestamp,
    /// Of a client: which life of that id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// Of a client: the scopes it may still have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Of a person: the groups now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// Clocks of different machines differ; a time given from outside cuts this much later.
const SKEW: Seconds = Seconds(5);

impl Mark {
    /// True where something issued at `issued` under `version` is still good.
    pub fn spares(&self, version: u64, issued: Timestamp) -> bool {
        self.standing == Standing::Enabled
            && version >= self.min_version
            && (self.not_before == Timestamp::default() || issued > self.not_before.plus(SKEW))
    }

    /// True where a token of the client's own was issued after the change by someone who had not heard of it.
    pub fn outruns(&self, version: u64, issued: Timestamp) -> bool {
        version < self.version && issued.plus(SKEW) >= self.since
    }
}

/// The client a command speaks for, as the edge knew it when it authenticated it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRef {
    /// `client_id`.
    pub id: String,
    /// Which life of that id.
    pub incarnation: String,
    /// Of the record it was authenticated against.
    pub version: u64,
}

/// The marks that concern one command.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Of the client that speaks.
    pub caller: Option<Mark>,
    /// Of the client the grant belongs to.
    pub client: Option<Mark>,
    /// Of the person who gave it.
    pub person: Option<Mark>,
    /// The version of the settings.
    pub policy: u64,
    /// The access token in question was revoked by itself.
    pub token_revoked: bool,
}

impl Marks {
    /// True where the shard knows a newer record than the edge decided by: the edge is to reload and ask again.
    pub fn outdate(&self, caller: &ClientRef, policy: u64) -> bool {
        self.caller.as_ref().is_some_and(|mark| mark.version > caller.version) || self.policy > policy
    }
}
