//! Tickets: everything that is handed out is an address and a proof, sealed (`crypto::Keys`).
//!
//! The *proof* is a MAC of kind and generation under a random secret that never leaves its row. It is checked in the
//! shard: a leaked master key alone makes no code, no refresh token, and no access token of a grant.

use super::{
    place::{Address, Shard},
    scope::Scope,
};
use crate::{
    crypto::{Keys, Kind, Secret},
    error::Fault,
    host::Timestamp,
    json::Json,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What a kind of ticket holds.
pub trait Ticket: Serialize + DeserializeOwned {
    /// Prefix and key.
    const KIND: Kind;

    /// Seals it.
    fn seal(&self, keys: &Keys) -> Result<String, Fault> {
        let payload = postcard::to_allocvec(self).map_err(|_| Fault::new("a ticket could not be written"))?;
        keys.seal(Self::KIND, &payload)
    }

    /// Opens one: `None` for anything that we did not seal as this kind for this issuer.
    fn open(keys: &Keys, text: &str) -> Option<Self> {
        postcard::from_bytes(&keys.open(Self::KIND, text)?).ok()
    }
}

/// An authorization code (RFC 6749 §4.1.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Code {
    /// The grant it redeems.
    pub address: Address,
    /// That the grant made it.
    pub proof: Secret,
}

impl Ticket for Code {
    const KIND: Kind = Kind::Code;
}

/// A refresh token (RFC 6749 §1.5): one generation of its family.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refresh {
    /// The grant it refreshes.
    pub address: Address,
    /// A counter: it survives restarts and equal seconds.
    pub generation: u32,
    /// That the grant made this generation.
    pub proof: Secret,
}

impl Ticket for Refresh {
    const KIND: Kind = Kind::Refresh;
}

/// Whose access token it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Json)]
pub enum Subject {
    /// Of a grant that a person gave.
    Grant(Address),
    /// Of a client that acts for itself (RFC 6749 §4.4). The shard was drawn at issue: its revocation mark goes there.
    Client {
        /// The shard.
        shard: Shard,
        /// `client_id`.
        client: String,
        /// Which life of that id.
        incarnation: String,
        /// The version of the record it was issued under.
        version: u64,
    },
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Json)]
pub struct Claims {
    /// Whose.
    pub subject: Subject,
    /// What for.
    pub scope: Scope,
    /// Since when.
    pub issued: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// Which one: revoking a token names it.
    pub id: String,
}

impl Claims {
    /// `exp` (`None`: never).
    pub fn ends(&self) -> Option<Timestamp> {
        (self.expires != Timestamp::NEVER).then_some(self.expires)
    }

    /// The shard that knows of its end.
    pub fn shard(&self) -> Shard {
        match &self.subject {
            Subject::Grant(address) => address.shard,
            Subject::Client { shard, .. } => *shard,
        }
    }

    /// What the proof is made over.
    pub fn bytes(&self) -> Result<Vec<u8>, Fault> {
        postcard::to_allocvec(self).map_err(|_| Fault::new("claims could not be written"))
    }
}

/// An access token, opaque to the client (RFC 6749 §1.4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    /// What it says.
    pub claims: Claims,
    /// That the grant said so; of a client acting for itself: that the server knew its secret. Else empty.
    pub proof: Secret,
}

impl Ticket for Access {
    const KIND: Kind = Kind::Access;
}

/// `jti` of an access token that is a JWT: what this server must know to decide about it. Of another kind, so that it
/// opens nothing by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Jti(pub Access);

impl Ticket for Jti {
    const KIND: Kind = Kind::Jti;
}

/// A registration access token (RFC 7592 §1.2): one generation of it.
#[derive(Clone, Debug, Serialize, Deserialize, Json)]
pub struct Registration {
    /// `client_id`.
    pub id: String,
    /// A counter.
    pub generation: u32,
    /// That the registry made this generation.
    pub proof: Secret,
}

impl Ticket for Registration {
    const KIND: Kind = Kind::Registration;
}

/// An initial access token (RFC 7591 §1.2): of its id, without generations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Initial(pub Registration);

impl Ticket for Initial {
    const KIND: Kind = Kind::Initial;
}

/// `state` of a browser that is sent to another server, for one of our connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outgoing {
    /// The connection's name.
    pub name: String,
    /// Its id: one that is made anew under the name is another.
    pub id: String,
    /// Which browser.
    pub nonce: String,
}

impl Ticket for Outgoing {
    const KIND: Kind = Kind::Outgoing;
}
