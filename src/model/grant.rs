//! One authorization that a person gave, from the code that is offered to the family of tokens that ends.
//!
//! ```text
//!            Offer            Redeem                 Revoke, a replay
//!   (no row) ─────► Offered ─────────► Live ─────────────────────────► Ended
//!                                       ↺ Refresh (generation + 1)
//! ```
//!
//! This file is what a grant is, is told and answers; [`handle`] is what it does. A code is a state, a refresh token is a generation number; the row keeps no token and no digest of
//! one. Reuse is `generation < current`, for the whole life of the family, in constant space.

mod binding;
mod turn;

pub use turn::handle;

use super::{mark::ClientRef, openid::Openid, pkce::Challenge, scope::Scope, ticket::Claims};
use crate::{
    crypto::Secret,
    host::{Attempt, Attempts, Seconds, Timestamp},
    json::Json,
};

/// The person who gave the grant, as the account knew them then.
#[derive(Clone, Debug, PartialEq, Eq, Json)]
pub struct Person {
    /// `sub`.
    pub sub: String,
    /// `username` (RFC 7662 §2.2).
    pub username: String,
    /// The version of the account.
    pub version: u64,
    /// The groups, copied so that a decision asks one shard.
    pub groups: Vec<String>,
    /// When they proved themself (`None`: not known).
    #[json(omit)]
    pub auth_time: Option<Timestamp>,
    /// How often they had withdrawn from a client what they allowed it.
    #[json(omit)]
    pub withdrawals: u64,
}

/// What a code must be redeemed with.
#[derive(Clone, Debug, Json)]
pub struct Binding {
    /// `code_challenge` (RFC 7636 §4.3).
    pub challenge: Option<Challenge>,
    /// `redirect_uri` of the authorization request, exactly (RFC 6749 §4.1.3).
    pub redirect_uri: String,
    /// Whether the token request may leave `redirect_uri` out (OAuth 2.1 §4.1.3: only where PKCE binds the code).
    pub redirect_uri_required: bool,
    /// Whether the authorization request named it.
    #[json(default)]
    pub redirect_uri_sent: bool,
}

/// What the token endpoint that was called demands of `redirect_uri`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Json)]
pub enum Returned {
    /// What the specification does (RFC 6749 §4.1.3, OAuth 2.1 §4.1.3).
    #[default]
    Usual,
    /// The same as in the authorization request, also where there was none.
    Mirrored,
    /// The same, where it is said; it may be left out by a client that has only one.
    WhereSeveral,
}

/// What a person allows.
#[derive(Clone, Debug, Json)]
pub struct Offer {
    /// To whom.
    pub client: ClientRef,
    /// Who.
    pub person: Person,
    /// What.
    pub scope: Scope,
    /// How the code is bound.
    pub binding: Binding,
    /// How long the code lives.
    pub code_lifetime: Seconds,
    /// How long the family lives (`None`: no end of its own).
    pub absolute: Option<Seconds>,
    /// No token of this grant outlives this instant: the end of its table (`None`: never).
    pub until: Option<Timestamp>,
    /// What it was asked beside, where the person signs in to the client.
    #[json(omit)]
    pub openid: Option<Box<Openid>>,
}

/// Where a grant stands.
#[derive(Clone, Debug, Json)]
pub enum State {
    /// A code is out.
    Offered {
        /// What it must be redeemed with.
        binding: Binding,
        /// Until when.
        redeem_by: Timestamp,
    },
    /// Tokens are out.
    Live {
        /// Of the code that was redeemed, to tell a replay from a stranger.
        binding: Binding,
        /// When it was.
        redeemed: Timestamp,
        /// The current refresh token; 0 where none was issued.
        generation: u32,
        /// When the previous generation was used, which made the current one.
        rotated: Timestamp,
        /// The current one was used without a successor, so the previous one is over: its client did not rotate then.
        #[json(default)]
        spent: bool,
        /// Refreshes left of the original grant (`None`: unlimited).
        remaining: Option<u32>,
        /// How long the current refresh token may lie unused, by the policy when it was made.
        #[json(default)]
        idle: Option<Seconds>,
        /// An access token was given that has no end.
        #[json(default)]
        endless: bool,
        /// When the last access token ends that was given (zero: not known). In a grace one that is given again may live
        /// so much longer.
        #[json(default)]
        last: Timestamp,
    },
    /// Nothing of it is, or becomes, active.
    Ended {
        /// What ended it.
        why: Refusal,
    },
}

/// The row.
#[derive(Clone, Debug, Json)]
pub struct Grant {
    /// The format of the row.
    pub format: u8,
    /// To whom.
    pub client: ClientRef,
    /// Who.
    pub person: Person,
    /// What.
    pub scope: Scope,
    /// Never leaves the row except as proofs.
    secret: Secret,
    /// When it was given.
    pub created: Timestamp,
    /// When it last changed. The clock of a row never goes back.
    pub changed: Timestamp,
    /// When the family ends, however often it is refreshed.
    pub ends: Option<Timestamp>,
    /// No token of it outlives this.
    pub until: Option<Timestamp>,
    /// What it was asked beside, where the person signs in to the client.
    #[json(omit)]
    pub openid: Option<Box<Openid>>,
    /// Where it stands.
    pub state: State,
    /// The wishes that last changed it.
    pub attempts: Attempts,
}

/// What the client's policy says at this moment.
#[derive(Clone, Debug, Default, Json)]
#[allow(clippy::struct_excessive_bools)] // What a policy says, each for itself.
pub struct Terms {
    /// The scopes the client may have now.
    pub allowed: Scope,
    /// A lost answer to a redemption may be asked for again this long without ending the family.
    pub code_retry: Seconds,
    /// A lost answer to a refresh may be asked for again this long.
    pub grace: Seconds,
    /// How long a refresh token may lie unused (`None`: as long as the family lives).
    pub idle: Option<Seconds>,
    /// When the client ends, unless it is used: what it has got is over then (`None`: it has no end).
    #[json(omit)]
    pub ends: Option<Timestamp>,
    /// Whether each refresh makes a new generation.
    pub rotate: bool,
    /// Whether a refresh token is issued at all.
    pub refreshable: bool,
    /// Only where `offline_access` was granted.
    #[json(default)]
    pub offline: bool,
    /// How many refreshes the grant gives (`None`: unlimited).
    pub refreshes: Option<u32>,
    /// Whether access tokens have no end.
    #[json(default)]
    pub endless: bool,
    /// How long access tokens live (zero: not said).
    #[json(default)]
    pub access: Seconds,
    /// The scopes of the resources that are asked for (RFC 8707 §2.2): the access token is good for no others.
    #[json(omit)]
    pub within: Option<Scope>,
    /// At a redemption: where the client's answers may go now. Empty where it was not said.
    #[json(omit)]
    pub redirect_uris: Vec<String>,
    /// At a redemption: whether the client must use PKCE now.
    #[json(default)]
    pub require_pkce: bool,
}

impl Terms {
    /// How long a refresh token may lie unused that was given now: not beyond the end of its client.
    fn idle_from(&self, now: Timestamp) -> Option<Seconds> {
        self.idle.into_iter().chain(self.ends.map(|ends| ends.since(now))).min()
    }

    /// When an access token ends that is given now.
    fn last_from(&self, now: Timestamp) -> Timestamp {
        if self.access == Seconds(0) { Timestamp::default() } else { now.plus(self.access) }
    }
}

/// A token that somebody asks about or ends.
#[derive(Clone, Debug, Json)]
pub enum Token {
    /// A refresh token.
    Refresh {
        /// Its generation.
        generation: u32,
        /// Its proof.
        proof: Secret,
    },
    /// An access token.
    Access {
        /// What it says.
        claims: Claims,
        /// Its proof.
        proof: Secret,
    },
}

impl Token {
    /// What an access token says.
    pub fn claims(&self) -> Option<&Claims> {
        match self {
            Self::Access { claims, .. } => Some(claims),
            Self::Refresh { .. } => None,
        }
    }
}

/// What a grant can be told.
#[derive(Clone, Debug, Json)]
pub enum Command {
    /// A person allowed it (RFC 6749 §4.1.1).
    Offer(Box<Offer>),
    /// RFC 6749 §4.1.3.
    Redeem {
        /// Who asks.
        client: ClientRef,
        /// That the code is this grant's.
        proof: Secret,
        /// `code_verifier`.
        verifier: Option<String>,
        /// `redirect_uri`.
        redirect_uri: Option<String>,
        /// What is demanded of it.
        #[json(default)]
        returned: Returned,
        /// The client's policy.
        terms: Terms,
    },
    /// A person allowed it, and the tokens go out at once, without a code (RFC 6749 §4.2 and §4.3).
    Give {
        /// What.
        offer: Box<Offer>,
        /// The client's policy.
        terms: Terms,
    },
    /// RFC 6749 §6.
    Refresh {
        /// Who asks.
        client: ClientRef,
        /// Of the token.
        generation: u32,
        /// Of the token.
        proof: Secret,
        /// `scope`.
        scope: Option<Scope>,
        /// The client's policy.
        terms: Terms,
    },
    /// The person took it back before the code was redeemed.
    Withdraw,
    /// RFC 7662 §2.1.
    Inspect {
        /// Who asks.
        caller: ClientRef,
        /// Whether it may ask about tokens of others.
        any: bool,
        /// About what.
        token: Token,
    },
    /// RFC 7009 §2.1. `None`: an administrator ends the whole.
    Revoke {
        /// Who asks, about what; `whole` ends the family also by an access token.
        by: Option<(ClientRef, Token, bool)>,
    },
}

/// Why a grant says no: exact in the log, `invalid_grant` on the wire (but for `Exceeds`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
pub enum Refusal {
    /// No such grant (any more).
    Unknown,
    /// Too late.
    Expired,
    /// Another client, verifier, redirect URI, or a forged proof.
    Mismatch,
    /// A code or refresh token used again: the family has ended.
    Replayed,
    /// A code used again so soon that it may be a lost answer: refused, and nothing ends.
    Repeated,
    /// It had ended before.
    Revoked,
    /// The client or the person was disabled, or what was issued to them cut off.
    CutOff,
    /// The code went where the client's answers may not go any more, or without the PKCE that it must use now.
    Deregistered,
    /// More scope than was granted.
    Exceeds,
    /// The scope that was granted is not the client's any more.
    Withdrawn,
    /// Nothing that was granted belongs to the resource that is asked for.
    Elsewhere,
    /// The refreshes of the grant are used up.
    Exhausted,
    /// The address of a grant that was made already, by another attempt.
    Taken,
}

/// The refresh token to hand out.
#[derive(Clone, Debug, Json)]
pub struct Successor {
    /// Its generation.
    pub generation: u32,
    /// Its proof.
    pub proof: Secret,
}

/// Everything that `issue` needs to make the tokens.
#[derive(Clone, Debug, Json)]
pub struct Issued {
    /// What for.
    pub scope: Scope,
    /// Who gave it.
    pub person: Person,
    /// The refresh token, where there is one.
    pub refresh: Option<Successor>,
    /// Makes the proofs of this grant's access tokens.
    pub access_key: Secret,
    /// `iat`: by the object's clock, as it stood when the effect happened.
    pub at: Timestamp,
    /// No token outlives this.
    pub until: Option<Timestamp>,
    /// This answer was given before.
    pub again: bool,
    /// What it was asked beside, where the person signs in to the client.
    #[json(omit)]
    pub openid: Option<Box<Openid>>,
}

/// What introspection tells of an active token (RFC 7662 §2.2).
#[derive(Clone, Debug, Json)]
pub struct Active {
    /// `scope`.
    pub scope: Scope,
    /// `client_id`.
    pub client_id: String,
    /// `sub` and `username`; nobody where a client acts for itself.
    pub person: Option<Person>,
    /// `iat`.
    pub issued: Timestamp,
    /// `exp`.
    pub expires: Option<Timestamp>,
    /// What it was asked beside, where the person signs in to the client.
    #[json(omit)]
    pub openid: Option<Box<Openid>>,
}

/// What a grant answers.
#[derive(Clone, Debug, Json)]
pub enum Reply {
    /// The code's proof.
    Offered(Secret),
    /// Tokens may be made.
    Issued(Box<Issued>),
    /// The token is good.
    Active(Box<Active>),
    /// It is not, or there was nothing to revoke.
    Inactive,
    /// Ended, now or before. `true`: the access token alone; its mark is to be written.
    Revoked(bool),
    /// Another client's token (RFC 7009 §2.1).
    Foreign,
    /// No.
    Refused(Refusal),
    /// The shard knows a newer record of the client or the settings. Nothing changed.
    Stale,
}

/// What the pure function is given beside row and command.
#[derive(Clone, Debug)]
pub struct Instant {
    /// The object's clock.
    pub now: Timestamp,
    /// The wish.
    pub attempt: Attempt,
    /// For a new row's secret.
    pub dice: [u8; 32],
    /// The version of the settings that the edge decided by.
    pub policy: u64,
}
