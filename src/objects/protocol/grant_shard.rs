//! What a shard of grants can be told, and what it answers.

use super::Health;
use crate::{
    host::{Protocol, Timestamp},
    json::Json,
    model::{
        grant,
        mark::{ClientRef, Mark},
        place::{Shard, Table},
        scope::Scope,
        ticket::Claims,
    },
};

/// Grants, marks and revoked access tokens. A few a region.
pub struct GrantShard;

/// What a shard can be told.
#[derive(Debug, Json)]
pub enum Command {
    /// One command to one grant.
    Grant {
        /// Its table.
        table: Table,
        /// Its owner.
        owner: String,
        /// Its key.
        key: String,
        /// The version of the settings that the edge decided by.
        policy: u64,
        /// The command.
        command: grant::Command,
    },
    /// About an access token of a client that acts for itself.
    Token {
        /// What the token says.
        claims: Claims,
        /// The version of the settings that the edge decided by.
        policy: u64,
        /// Who asks.
        caller: ClientRef,
        /// What.
        wish: Wish,
    },
    /// Whether this client may have a token of its own now (a client that is `strict`).
    Check {
        /// The client.
        client: ClientRef,
        /// The version of the settings that the edge decided by.
        policy: u64,
    },
    /// A mark, from whoever holds its truth.
    Mark {
        /// `client/<id>`, `person/<sub>` or `policy/`.
        id: String,
        /// The mark.
        mark: Mark,
    },
    /// The end of every grant that fits, as many as one turn looks at.
    End {
        /// Which.
        filter: Filter,
        /// Behind this one, by its address.
        after: Option<String>,
        /// And what the person allowed before they had withdrawn something so often, where that is still on its way.
        #[json(default)]
        before: Option<u64>,
    },
    /// Away with what is over.
    Remove {
        /// At most so many.
        limit: u64,
    },
    /// How the shard is.
    Health,
    /// Grants for an administrator to see.
    List {
        /// Which.
        filter: Filter,
        /// Behind this address.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
}

/// What is wished about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Json)]
pub enum Wish {
    /// To know whether it is active; `true`: also of tokens of others.
    Inspect(bool),
    /// To end it.
    Revoke,
}

/// Which grants.
#[derive(Clone, Debug, Default, Json)]
pub struct Filter {
    /// Of this client.
    pub client_id: Option<String>,
    /// Of this person.
    pub sub: Option<String>,
    /// With this scope.
    pub scope: Option<String>,
    /// This one.
    pub address: Option<String>,
    /// With this in the name of client, person or scope.
    #[json(default)]
    pub q: Option<String>,
}

/// A grant as an administrator sees it.
#[derive(Clone, Debug, Json)]
pub struct Listed {
    /// Its address.
    pub id: String,
    /// `client_id`.
    pub client_id: String,
    /// `username`.
    pub username: String,
    /// `scope`.
    pub scope: Scope,
    /// When it was given.
    pub created: Timestamp,
    /// When it ends (`None`: never).
    pub expires: Option<Timestamp>,
    /// Refreshes left (`None`: unlimited).
    pub remaining: Option<u32>,
    /// `offered`, `live` or `ended`.
    pub state: String,
}

/// What a shard answers.
#[derive(Debug, Json)]
pub enum Reply {
    /// Of the grant, or of the token.
    Grant(grant::Reply),
    /// The mark is kept, or was older than what is kept.
    Acknowledged,
    /// The client may.
    Good,
    /// How the shard is.
    Health(Health),
    /// So many are gone.
    Removed(u64),
    /// Ended as many as one turn looks at, and where to go on.
    Ended(Option<String>),
    /// Grants, and the address to go on behind.
    Listed(Vec<Listed>, Option<String>),
}

impl Protocol for GrantShard {
    const BINDING: &'static str = "GRANTS";
    type Command = Command;
    type Reply = Reply;

    fn near(name: &str) -> Option<&'static str> {
        Shard::parse(name).map(|shard| shard.region.hint())
    }
}
