//! Marks: the exception, pushed to every shard that must know it (a client disabled, a person's groups changed …).
//!
//! Ordinary grants have none, so they cost no row and no second request. A command reads its grant and its marks in one
//! synchronous turn. Versions only grow, and a receiver ignores a version not above its own, so marks may arrive twice
//! or out of order.

use super::{
    scope::Scope,
    settings::Settings,
    ticket::{Claims, Subject},
};
use crate::{
    host::{SKEW, Seconds, Timestamp},
    json::Json,
};

/// Whether a client or person may act at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Json)]
pub enum Standing {
    /// Yes.
    #[default]
    Enabled,
    /// Not until somebody enables it again.
    Disabled,
}

/// What changed about one client, person or the settings, and from which version on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Mark {
    /// Of the record that it tells of.
    pub version: u64,
    /// Whether it may act.
    pub standing: Standing,
    /// What was issued under an older version than this is dead.
    pub min_version: u64,
    /// What was issued until then is dead (a cut-off that an administrator gave as a time).
    pub not_before: Timestamp,
    /// The changes that took something away, oldest first.
    #[json(default)]
    pub restrictions: Restrictions,
    /// Of a client: which life of that id.
    #[json(omit)]
    pub incarnation: Option<String>,
    /// Of a client: the scopes it may still have.
    #[json(omit)]
    pub scope: Option<Scope>,
    /// Of a person: the groups now.
    #[json(omit)]
    pub groups: Option<Vec<String>>,
    /// Of the settings: those that shards decide by.
    #[json(omit)]
    pub rules: Option<Rules>,
}

/// Settings that shards decide by. They hear of them by a mark, so that a change holds everywhere once it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
pub struct Rules {
    /// Whether tokens of a disabled client are inactive.
    pub disabling_ends: bool,
    /// How often rows without an end are looked through.
    pub removal_interval: Seconds,
    /// How many of them at a time.
    pub removal_batch: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Settings::default().rules()
    }
}

impl Settings {
    /// What shards are told of the settings.
    pub fn rules(&self) -> Rules {
        Rules {
            disabling_ends: self.disabling_ends,
            removal_interval: Seconds(self.removal_interval),
            removal_batch: self.removal_batch,
        }
    }
}

impl Mark {
    /// True where something issued at `issued` under `version` is still good.
    pub fn spares(&self, version: u64, issued: Timestamp) -> bool {
        self.standing == Standing::Enabled
            && version >= self.min_version
            // A time that was given from outside cuts as much later as clocks may differ.
            && (self.not_before == Timestamp::default() || issued > self.not_before.plus(SKEW))
    }

    /// True where a token of the client's own is still good, whose mark this is.
    pub fn spares_own(&self, claims: &Claims) -> bool {
        let Subject::Client { incarnation, version, .. } = &claims.subject else { return false };
        self.is_of(incarnation)
            && self.spares(*version, claims.issued)
            && !self.restrictions.outrun(*version, claims.issued)
    }

    /// True where this is a mark of that life of the client.
    pub fn is_of(&self, incarnation: &str) -> bool {
        self.incarnation.as_ref().is_none_or(|life| life == incarnation)
    }
}

/// When something was taken away from a client, and by which version of its record.
///
/// A token of the client's own asks no shard when it is issued. One that was issued after a restriction, by someone who
/// knew only an older record, must never have been: it is dead, also after later changes that restrict nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Json)]
pub struct Restrictions(Vec<(u64, Timestamp)>);

impl Restrictions {
    /// How many are told apart. Of more the two oldest are merged, which forgets nothing, and spares nobody: a token that
    /// was issued between these two is dead, too.
    const KEPT: usize = 16;

    /// One more.
    pub fn push(&mut self, version: u64, at: Timestamp) {
        self.0.push((version, at));
        if self.0.len() > Self::KEPT {
            let (_, since) = self.0.remove(0);
            if let Some(oldest) = self.0.first_mut() {
                oldest.1 = since;
            }
        }
    }

    /// True where a token that was issued then, under that version, had not heard of one of them.
    pub fn outrun(&self, version: u64, issued: Timestamp) -> bool {
        self.0.iter().any(|(restricted, since)| version < *restricted && issued.plus(SKEW) >= *since)
    }
}

/// The client a command speaks for, as the edge knew it when it authenticated it.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct ClientRef {
    /// `client_id`.
    pub id: String,
    /// Which life of that id.
    pub incarnation: String,
    /// Of the record it was authenticated against.
    pub version: u64,
}

impl ClientRef {
    /// This server itself, which is no client: no mark concerns it.
    pub fn ours() -> Self {
        Self { id: String::new(), incarnation: String::new(), version: u64::MAX }
    }

    /// Who asks for a resource, whose client nobody knows before the answer. No client has that id, so no mark concerns it.
    pub fn of_resource() -> Self {
        Self { id: " ".to_owned(), ..Self::ours() }
    }

    /// True for this server itself.
    pub fn is_ours(&self) -> bool {
        self.id.is_empty()
    }
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
    /// The settings that shards decide by.
    pub rules: Rules,
    /// The access token in question was revoked by itself.
    pub token_revoked: bool,
}

impl Marks {
    /// As they are for a question about a token, where disabling a client is to leave its tokens alone.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        if !self.rules.disabling_ends
            && let Some(mark) = &mut self.client
        {
            mark.standing = Standing::Enabled;
        }
        self
    }

    /// True where the shard knows a newer record than the edge decided by: the edge is to reload and ask again.
    pub fn are_newer_than(&self, caller: &ClientRef, policy: u64) -> bool {
        self.caller.as_ref().is_some_and(|mark| mark.version > caller.version) || self.policy > policy
    }
}
