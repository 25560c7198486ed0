//! The registry: the truth about clients, settings and scopes, and the roster of shards. One object.
//!
//! Every change gets the next number of one counter, so versions only grow, also across lives of one client id. A
//! restricting change is owed to every shard on the roster before the administrator hears that it holds.

mod clients;
mod policy;
mod scopes;
mod seed;

use super::{outbox, read, write};
use crate::{
    error::Fault,
    host::{Host, Object, Store, Timestamp, Turn},
    model::{
        client::Client,
        mark::Mark,
        patch::Invalid,
        policy::{Policy, ScopeEntry},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The object.
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
#[derive(Debug, Serialize, Deserialize)]
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
    /// RFC 7396 over the metadata.
    Change {
        /// Which.
        id: String,
        /// The patch.
        patch: Map<String, Value>,
        /// Only if its version is this one.
        expected: Option<u64>,
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
    /// Every shard.
    Roster,
    /// The development data. Without effect where there is as new a format of it for this issuer already.
    Seed {
        /// Its format.
        development: u8,
        /// The issuer it is for.
        issuer: String,
        /// Clients.
        clients: Vec<Client>,
        /// Scopes.
        scopes: BTreeMap<String, ScopeEntry>,
    },
}

/// How far a change has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Shards that hold it.
    pub acknowledged: usize,
    /// Shards that must.
    pub of: usize,
}

/// A scope of the catalogue.
#[derive(Debug, Serialize, Deserialize)]
pub struct Catalogued {
    /// Its name.
    pub name: String,
    /// What is kept of it.
    pub entry: ScopeEntry,
    /// The ids of the clients that may have it.
    pub clients: Vec<String>,
}

/// What the registry answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// A client, or that there is none.
    Client(Option<Box<Client>>),
    /// Settings and scopes.
    Policy(Box<Policy>),
    /// Clients, and whether there are more.
    Clients(Vec<Client>, bool),
    /// Changed, and told to so many.
    Changed(Box<Client>, Told),
    /// Changed, and told to so many.
    PolicyChanged(Box<Policy>, Told),
    /// A scope, or that there is none.
    Scope(Option<Box<Catalogued>>),
    /// Scopes, and whether there are more.
    Scopes(Vec<Catalogued>, bool),
    /// A scope as it is after a change.
    ScopeChanged(Box<Catalogued>),
    /// These clients have the scope.
    InUse(Vec<String>),
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
    /// Done.
    Done,
}

const CLIENTS: &str = "clients";
const ROSTER: &str = "roster";
/// Marks of the registry itself, as every shard on the roster has them or is owed them.
const MARKS: &str = "marks";

impl Object for Registry {
    const BINDING: &'static str = "REGISTRY";
    type Command = Command;
    type Reply = Reply;

    fn handle<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        let store = turn.store;
        match command {
            Command::Client(id) => Ok(Reply::Client(clients::find(store, &id)?.map(Box::new))),
            Command::Policy => Ok(Reply::Policy(Box::new(policy::current(turn)?))),
            Command::Clients { after, q, limit } => {
                clients::list(store, after.as_deref(), q.as_deref(), limit)
            }
            Command::Create(client) => clients::create(turn, *client),
            Command::Change { id, patch, expected } => clients::change(turn, &id, patch, expected),
            Command::ChangePolicy { patch, expected } => policy::change(turn, &patch, expected),
            Command::Scope(name) => {
                Ok(Reply::Scope(scopes::find(store, &policy::current(turn)?, &name)?.map(Box::new)))
            }
            Command::Scopes { after, q, limit } => {
                scopes::list(store, &policy::current(turn)?, after.as_deref(), q.as_deref(), limit)
            }
            Command::CreateScope { name, patch } => scopes::create(turn, &name, patch),
            Command::ChangeScope { name, patch, expected } => scopes::change(turn, &name, patch, expected),
            Command::DeleteScope { name, expected } => scopes::delete(turn, &name, expected),
            Command::Join { shard } => {
                let marks = store.scan(MARKS, None, None, usize::MAX)?;
                let marks = marks
                    .into_iter()
                    .map(|(kind, id, row)| Ok((format!("{kind}/{id}"), super::decode(&row)?)))
                    .collect::<Result<_, Fault>>()?;
                write(store, ROSTER, "grants", &shard, &turn.now)?;
                Ok(Reply::Marks(marks))
            }
            Command::JoinAccounts { shard } => {
                if store.get(ROSTER, "accounts", &shard)?.is_none() {
                    write(store, ROSTER, "accounts", &shard, &turn.now)?;
                }
                Ok(Reply::Done)
            }
            Command::Roster => Ok(Reply::Roster(roster(store, "grants")?, roster(store, "accounts")?)),
            Command::Seed { development, issuer, clients, scopes } => {
                seed::seed(turn, development, issuer, clients, scopes)
            }
        }
    }

    async fn follow<H: Host, S: Store>(host: &H, store: &S, reply: Reply) -> Result<Reply, Fault> {
        let changed = matches!(
            reply,
            Reply::Changed(..) | Reply::PolicyChanged(..) | Reply::ScopeChanged(..) | Reply::Done
        );
        if changed {
            outbox::flush(host, store, &Self).await?;
        }
        let told = |id: &str, told: Told| {
            let owed = outbox::owed(store, id)?;
            Ok::<_, Fault>(Told { acknowledged: told.of.saturating_sub(owed), of: told.of })
        };
        Ok(match reply {
            Reply::Changed(client, so_far) => {
                let told = told(&format!("client/{}", client.id), so_far)?;
                Reply::Changed(client, told)
            }
            Reply::PolicyChanged(policy, so_far) => Reply::PolicyChanged(policy, told("policy/", so_far)?),
            other => other,
        })
    }

    fn wake<S: Store>(store: &S, _: Timestamp) -> Result<Option<Timestamp>, Fault> {
        outbox::due(store)
    }

    async fn sweep<H: Host, S: Store>(host: &H, store: &S, _: Timestamp) -> Result<(), Fault> {
        outbox::flush(host, store, &Self).await
    }
}

impl<S: Store> outbox::Truth<S> for Registry {
    fn copy(&self, store: &S, key: &str) -> Result<Option<String>, Fault> {
        match key.strip_prefix("client:") {
            Some(id) => store.get(CLIENTS, id, ""),
            None => store.get("policy", "", ""),
        }
    }

    fn mark(&self, store: &S, id: &str) -> Result<Option<Mark>, Fault> {
        let Some((kind, id)) = id.split_once('/') else { return Ok(None) };
        read(store, MARKS, kind, id)
    }
}

/// The next number of the one counter.
fn next<S: Store>(store: &S) -> Result<u64, Fault> {
    let last: u64 = read(store, "meta", "", "counter")?.unwrap_or_default();
    write(store, "meta", "", "counter", &(last + 1))?;
    Ok(last + 1)
}

fn roster<S: Store>(store: &S, kind: &str) -> Result<Vec<String>, Fault> {
    Ok(store.scan(ROSTER, Some(kind), None, usize::MAX)?.into_iter().map(|(_, name, _)| name).collect())
}

/// Keeps a mark and owes it to every shard on the roster.
fn owe_marks<S: Store>(turn: &Turn<'_, S>, kind: &str, id: &str, mark: &Mark) -> Result<usize, Fault> {
    let shards = roster(turn.store, "grants")?;
    write(turn.store, MARKS, kind, id, mark)?;
    for shard in &shards {
        outbox::owe_mark(turn.store, shard, &format!("{kind}/{id}"), mark.version, turn.now)?;
    }
    Ok(shards.len())
}
