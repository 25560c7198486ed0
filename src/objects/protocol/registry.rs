//! What the registry can be told, and what it answers; the names of what it copies into the replica.

use super::{Health, Told};
use crate::{
    crypto::{self, Secret},
    host::{Protocol, Seconds, Timestamp},
    json::Json,
    model::{
        audit::Change,
        client::{Client, Hashed},
        keyring::{self, Keyring},
        mark::Mark,
        patch::Invalid,
        policy::{Policy, ScopeEntry},
        registration::InitialToken,
        remote::{Kind, Remote},
        ticket::Registration,
    },
    sorted::ByName,
};
use serde_json::{Map, Value};

/// Clients, settings, scopes and the roster of shards: the truth. There is one.
pub struct Registry;

/// The name of the only one.
pub const NAME: &str = "registry";

/// The key of a client in the replica.
pub fn client_key(id: &str) -> String {
    format!("client:{id}")
}

/// The key of settings and scopes in the replica.
pub const POLICY_KEY: &str = "policy";

/// What the registry can be told.
#[derive(Debug, Json)]
pub enum Command {
    /// One client.
    Client(String),
    /// Settings and scopes.
    Policy,
    /// Clients in order of their ids.
    Clients {
        /// Behind this id.
        after: Option<String>,
        /// Whose id or name contains this.
        q: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// A registration. Incarnation and id were drawn by the asker.
    Create(Box<Client>),
    /// Whether there may be such a client.
    TryCreate(Box<Client>),
    /// RFC 7396 over the metadata.
    Change {
        /// Which.
        id: String,
        /// The patch.
        patch: Map<String, Value>,
        /// The patch is all of it: what it leaves out is as in a registration.
        #[json(default)]
        whole: bool,
        /// Only if its version is this one.
        expected: Option<u64>,
    },
    /// A new secret.
    Rekey {
        /// Whose.
        id: String,
        /// What is kept of it.
        secret: Hashed,
        /// How long the old one is taken beside it.
        overlap: Seconds,
        /// Only if its version is this one.
        expected: Option<u64>,
    },
    /// Everything that was issued to this client until now is dead.
    Cut(String),
    /// The end of a client.
    Delete {
        /// Which.
        id: String,
        /// Only if its version is this one.
        expected: Option<u64>,
    },
    /// A client registers itself; with an initial access token, where one is needed.
    Register {
        /// As it is to be. Incarnation and id were drawn by the asker.
        client: Box<Client>,
        /// The ticket that lets it in.
        initial: Option<Registration>,
    },
    /// A client manages itself.
    Manage {
        /// Its registration access token.
        token: Registration,
        /// What it wishes.
        wish: Wish,
    },
    /// Somebody allows a client something, or it has used what it got.
    Use(String),
    /// Somebody allows something to a client that is a document, and that is known otherwise or not at all.
    Adopt(Box<Client>),
    /// Initial access tokens in order of their ids.
    InitialTokens {
        /// Behind this id.
        after: Option<String>,
        /// With this in id or description.
        #[json(default)]
        q: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// One of them.
    InitialToken(String),
    /// A new one. Its id was drawn by the asker.
    CreateInitialToken(Box<InitialToken>),
    /// The end of one.
    DeleteInitialToken(String),
    /// Another server.
    Remote(Kind, String),
    /// Other servers in order of their names.
    Remotes {
        /// Of this kind.
        kind: Kind,
        /// Behind this name.
        after: Option<String>,
        /// Whose name or issuer contains this.
        q: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Another server as it is described from now on; a new one where nothing is expected.
    PutRemote {
        /// The whole of it.
        remote: Box<Remote>,
        /// Only if the version is this one.
        expected: Option<u64>,
    },
    /// Its end, and that of the tokens that are held of it.
    DeleteRemote {
        /// Of this kind.
        kind: Kind,
        /// Which.
        name: String,
        /// Only if the version is this one.
        expected: Option<u64>,
    },
    /// A change in another object, for the log.
    Note(Box<Change>),
    /// What administrators changed, the newest first.
    Audit {
        /// Older than the change of this id.
        after: Option<String>,
        /// Whose action, target or author contains this.
        q: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// RFC 7396 over the settings.
    ChangePolicy {
        /// The patch.
        patch: Map<String, Value>,
        /// Only if the version is this one.
        expected: Option<u64>,
    },
    /// One scope.
    Scope(String),
    /// Scopes in order of their names.
    Scopes {
        /// Behind this name.
        after: Option<String>,
        /// Whose name or description contains this.
        q: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// A scope for the catalogue.
    CreateScope {
        /// Its name.
        name: String,
        /// Its members.
        patch: Map<String, Value>,
    },
    /// RFC 7396 over a scope.
    ChangeScope {
        /// Which.
        name: String,
        /// The patch.
        patch: Map<String, Value>,
        /// The patch is all of it.
        #[json(default)]
        whole: bool,
        /// Only if its version is this one.
        expected: Option<u64>,
    },
    /// A scope that no client has is taken from the catalogue.
    DeleteScope {
        /// Which.
        name: String,
        /// Only if its version is this one.
        expected: Option<u64>,
    },
    /// A grant shard that is about to hold its first row.
    Join {
        /// Its name.
        shard: String,
    },
    /// An account shard that is about to hold its first account.
    JoinAccounts {
        /// Its name.
        shard: String,
    },
    /// The keys that sign.
    Keyring(keyring::Wish),
    /// Every shard.
    Roster,
    /// How the registry is.
    Health,
    /// The development data. Without effect where there is as new a format of it for this issuer already.
    Seed {
        /// Its format.
        development: u8,
        /// The issuer it is for.
        issuer: String,
        /// Clients.
        clients: Vec<Client>,
        /// Scopes.
        scopes: ByName<ScopeEntry>,
    },
}

/// What a client wishes of its own registration (RFC 7592 §2).
#[derive(Debug, Json)]
pub enum Wish {
    /// To see it.
    Read,
    /// Other metadata.
    Replace {
        /// What it says of itself from now on.
        said: Map<String, Value>,
        /// `client_secret`, where it was sent: it must be the one.
        secret: Option<String>,
    },
    /// Its end.
    End,
}

/// A scope of the catalogue.
#[derive(Debug, Json)]
pub struct Catalogued {
    /// Its name.
    pub name: String,
    /// What is kept of it.
    pub entry: ScopeEntry,
    /// The ids of the clients that may have it.
    pub clients: Vec<String>,
}

impl Catalogued {
    /// Which version of it this is, also by who has it: what shows a scope shows its clients.
    pub fn tag(&self) -> u64 {
        tag_of(self.entry.version, self.clients.iter().map(String::as_str))
    }
}

/// The same, of its parts. No id of a client has a line break.
pub fn tag_of<'a>(version: u64, clients: impl Iterator<Item = &'a str>) -> u64 {
    let mut said = version.to_string();
    for client in clients {
        said.push('\n');
        said.push_str(client);
    }
    crypto::digest(said.as_bytes()).iter().take(8).fold(0, |tag, byte| (tag << 8) | u64::from(*byte))
}

/// What the registry answers.
#[derive(Debug, Json)]
pub enum Reply {
    /// A client, or that there is none.
    Client(Option<Box<Client>>),
    /// Settings and scopes.
    Policy(Box<Policy>),
    /// Clients, and whether there are more.
    Clients(Vec<Client>, bool),
    /// Changed, and told to so many.
    Changed(Box<Client>, Told),
    /// A client that registered itself, told to so many, and the newest generation of its registration access token.
    Registered(Box<Client>, Told, u32, Secret),
    /// As many lie unused as may, until one of them ends.
    Full(Timestamp),
    /// Initial access tokens, and whether there are more.
    InitialTokens(Vec<InitialToken>, bool),
    /// Ended, and told to so many.
    Deleted {
        /// Which.
        id: String,
        /// The version of its end.
        version: u64,
        /// How far it has got.
        told: Told,
    },
    /// The change is in the log.
    Noted,
    /// Changes, and where to go on.
    Audit(Vec<Change>, Option<String>),
    /// Changed, and told to so many.
    PolicyChanged(Box<Policy>, Told),
    /// A scope, or that there is none.
    Scope(Option<Box<Catalogued>>),
    /// Scopes, and whether there are more.
    Scopes(Vec<Catalogued>, bool),
    /// A scope as it is after a change, told to so many.
    ScopeChanged(Box<Catalogued>, Told),
    /// Another server, or that there is none.
    Remote(Option<Box<Remote>>),
    /// Other servers, and whether there are more.
    Remotes(Vec<Remote>, bool),
    /// The keys that sign.
    Keyring(Keyring),
    /// These clients have the scope.
    InUse(Vec<String>),
    /// Another client has that name and version.
    Named,
    /// That id or name is taken.
    Taken,
    /// There is no such client or scope.
    Unknown,
    /// It has another version.
    Outdated,
    /// No.
    Invalid(Invalid),
    /// Marks for a new shard.
    Marks(Vec<(String, Mark)>),
    /// Grant shards and account shards.
    Roster(Vec<String>, Vec<String>),
    /// How the registry is.
    Health(Health),
    /// Done.
    Done,
}

impl Protocol for Registry {
    const BINDING: &'static str = "REGISTRY";
    type Command = Command;
    type Reply = Reply;
}
