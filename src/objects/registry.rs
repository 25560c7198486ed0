//! The registry: the truth about clients, settings and scopes, and the roster of shards. One object.
//!
//! Every change gets the next number of one counter, so versions only grow, also across lives of one client id. A
//! restricting change is owed to every shard on the roster before the administrator hears that it holds.

use super::{outbox, read, write};
use crate::{
    crypto::Secret,
    error::Fault,
    host::{Attempts, FORMAT, Host, Object, Store, Timestamp, Turn},
    model::{
        client::{Client, Invalid, Metadata},
        mark::Mark,
        patch,
        policy::{Policy, ScopeEntry},
        scope::Scope,
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
    /// That id is taken.
    Taken,
    /// There is no such client.
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
            Command::Client(id) => Ok(Reply::Client(client(store, &id)?.map(Box::new))),
            Command::Policy => Ok(Reply::Policy(Box::new(policy(turn)?))),
            Command::Clients { after, q, limit } => clients(store, after.as_deref(), q.as_deref(), limit),
            Command::Create(client) => create(turn, *client),
            Command::Change { id, patch, expected } => change(turn, &id, patch, expected),
            Command::ChangePolicy { patch, expected } => change_policy(turn, &patch, expected),
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
                seed(turn, development, issuer, clients, scopes)
            }
        }
    }

    async fn follow<H: Host, S: Store>(host: &H, store: &S, reply: Reply) -> Result<Reply, Fault> {
        let changed = matches!(reply, Reply::Changed(..) | Reply::PolicyChanged(..) | Reply::Done);
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

fn client<S: Store>(store: &S, id: &str) -> Result<Option<Client>, Fault> {
    read(store, CLIENTS, id, "")
}

/// Settings and scopes; made at the first question.
fn policy<S: Store>(turn: &Turn<'_, S>) -> Result<Policy, Fault> {
    if let Some(policy) = read(turn.store, "policy", "", "")? {
        return Ok(policy);
    }
    let version = next(turn.store)?;
    let filter = Secret(turn.dice.to_vec());
    let policy = Policy { format: FORMAT, version, changed: turn.now, filter, ..Policy::default() };
    outbox::owe_copy(turn.store, POLICY_KEY, version, turn.now)?;
    write(turn.store, "policy", "", "", &policy)?;
    Ok(policy)
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

fn clients<S: Store>(store: &S, after: Option<&str>, q: Option<&str>, limit: usize) -> Result<Reply, Fault> {
    let mut found = Vec::new();
    let mut cursor = after.map(str::to_owned);
    loop {
        let behind = cursor.as_deref().map(|after| (after, ""));
        let rows = store.scan(CLIENTS, None, behind, 500)?;
        let last = rows.last().map(|(id, ..)| id.clone());
        for (_, _, row) in rows {
            let client: Client = super::decode(&row)?;
            let name = client.metadata.client_name.as_deref().unwrap_or_default();
            if q.is_none_or(|q| client.id.contains(q) || name.contains(q)) {
                if found.len() == limit {
                    return Ok(Reply::Clients(found, true));
                }
                found.push(client);
            }
        }
        match last {
            Some(last) => cursor = Some(last),
            None => return Ok(Reply::Clients(found, false)),
        }
    }
}

fn create<S: Store>(turn: &Turn<'_, S>, mut client: Client) -> Result<Reply, Fault> {
    if let Some(known) = self::client(turn.store, &client.id)? {
        let same = known.attempts.is_newest(&turn.attempt);
        return Ok(if same { Reply::Changed(Box::new(known), Told::default()) } else { Reply::Taken });
    }
    let policy = policy(turn)?;
    if let Err(invalid) = client.metadata.check(&names(&policy), turn.now) {
        return Ok(Reply::Invalid(invalid));
    }
    // RFC 7591 §2: what is not said is `code`.
    if client.may_use("authorization_code") && client.metadata.response_types.is_empty() {
        client.metadata.response_types.push("code".to_owned());
    }
    client.version = next(turn.store)?;
    client.issued = turn.now;
    client.changed = turn.now;
    client.attempts = Attempts::of(&turn.attempt);
    outbox::owe_copy(turn.store, &client_key(&client.id), client.version, turn.now)?;
    write(turn.store, CLIENTS, &client.id, "", &client)?;
    Ok(Reply::Changed(Box::new(client), Told::default()))
}

fn change<S: Store>(
    turn: &Turn<'_, S>,
    id: &str,
    patch: Map<String, Value>,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let Some(before) = client(turn.store, id)? else { return Ok(Reply::Unknown) };
    let of = roster(turn.store, "grants")?.len();
    if before.attempts.is_newest(&turn.attempt) {
        return Ok(Reply::Changed(Box::new(before), Told { acknowledged: 0, of }));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Reply::Outdated);
    }
    let metadata = match amend(&before.metadata, patch) {
        Ok(metadata) => metadata,
        Err(invalid) => return Ok(Reply::Invalid(invalid)),
    };
    if metadata.token_endpoint_auth_method != before.metadata.token_endpoint_auth_method {
        return Ok(Reply::Invalid(Invalid::new("token_endpoint_auth_method", "is fixed at registration")));
    }
    if let Err(invalid) = metadata.check(&names(&policy(turn)?), turn.now) {
        return Ok(Reply::Invalid(invalid));
    }
    // Taking a cut-off back would bring to life what was cut off.
    if metadata.not_before < before.metadata.not_before {
        return Ok(Reply::Invalid(Invalid::new("not_before", "can only move forward")));
    }
    if metadata == before.metadata {
        // Perhaps a repetition of a change that some shards have not heard of yet: those are still owed it.
        return Ok(Reply::Changed(Box::new(before), Told { acknowledged: 0, of }));
    }
    let restricted = before.metadata.is_restricted_by(&metadata);
    let version = next(turn.store)?;
    // Disabling ends what was issued, also for the day it is enabled again.
    let disabled = before.metadata.enabled && !metadata.enabled;
    let min_version = if disabled { version } else { before.min_version };
    let mut client = Client { version, min_version, changed: turn.now, metadata, ..before };
    client.attempts.push(&turn.attempt);
    if restricted {
        client.restrictions.push(version, turn.now);
    }
    // Where shards hold a mark already, it must say what is true now: a scope may have been given back.
    let marked: Option<Mark> = read(turn.store, MARKS, "client", id)?;
    let outdated = marked.is_some_and(|mark| Mark { version, ..mark } != client.mark());
    let of = if restricted || outdated { owe_marks(turn, "client", id, &client.mark())? } else { 0 };
    outbox::owe_copy(turn.store, &client_key(id), version, turn.now)?;
    write(turn.store, CLIENTS, id, "", &client)?;
    Ok(Reply::Changed(Box::new(client), Told { acknowledged: 0, of }))
}

/// The metadata with a patch merged in; names the first member that does not fit.
pub fn amend(metadata: &Metadata, patch: Map<String, Value>) -> Result<Metadata, Invalid> {
    let object = |metadata: &Metadata| match serde_json::to_value(metadata) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let template = object(&Metadata::template(metadata.profile));
    for (name, value) in &patch {
        let mut alone = template.clone();
        patch::merge(&mut alone, Map::from_iter([(name.clone(), value.clone())]));
        if let Err(error) = serde_json::from_value::<Metadata>(Value::Object(alone)) {
            let known = template.contains_key(name);
            let why =
                if known { error.to_string() } else { "is not a member that this server keeps".to_owned() };
            return Err(Invalid::new(&crate::error::quotable(name), crate::error::quotable_long(&why)));
        }
    }
    let mut merged = object(metadata);
    patch::merge(&mut merged, patch);
    for (name, value) in template {
        merged.entry(name).or_insert(value);
    }
    serde_json::from_value(Value::Object(merged))
        .map_err(|_| Invalid::new("", "the members do not fit together"))
}

fn change_policy<S: Store>(
    turn: &Turn<'_, S>,
    patch: &Map<String, Value>,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let before = policy(turn)?;
    let of = roster(turn.store, "grants")?.len();
    if before.attempt == turn.attempt {
        return Ok(Reply::PolicyChanged(Box::new(before), Told { acknowledged: 0, of }));
    }
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Reply::Outdated);
    }
    let mut settings = before.settings.clone();
    for (key, value) in patch {
        if let Err(why) = settings.set(key, value) {
            return Ok(Reply::Invalid(Invalid::new(&crate::error::quotable(key), why)));
        }
    }
    if settings == before.settings {
        return Ok(Reply::PolicyChanged(Box::new(before), Told { acknowledged: 0, of }));
    }
    let version = next(turn.store)?;
    let policy = Policy { version, settings, changed: turn.now, attempt: turn.attempt.clone(), ..before };
    let mark = Mark { version, ..Mark::default() };
    let of = owe_marks(turn, "policy", "", &mark)?;
    outbox::owe_copy(turn.store, POLICY_KEY, version, turn.now)?;
    write(turn.store, "policy", "", "", &policy)?;
    Ok(Reply::PolicyChanged(Box::new(policy), Told { acknowledged: 0, of }))
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

fn seed<S: Store>(
    turn: &Turn<'_, S>,
    development: u8,
    issuer: String,
    clients: Vec<Client>,
    scopes: BTreeMap<String, ScopeEntry>,
) -> Result<Reply, Fault> {
    let before = policy(turn)?;
    if before.development >= development && before.development_issuer == issuer {
        return Ok(Reply::Done);
    }
    for mut client in clients {
        client.version = next(turn.store)?;
        client.issued = turn.now;
        client.changed = turn.now;
        // One that is there goes on living: its grants are its own, and marks of it stay true.
        if let Some(known) = self::client(turn.store, &client.id)? {
            let Client { incarnation, min_version, restrictions, .. } = known;
            client = Client { incarnation, min_version, restrictions, ..client };
        }
        if turn.store.get(MARKS, "client", &client.id)?.is_some() {
            owe_marks(turn, "client", &client.id, &client.mark())?;
        }
        outbox::owe_copy(turn.store, &client_key(&client.id), client.version, turn.now)?;
        write(turn.store, CLIENTS, &client.id, "", &client)?;
    }
    let version = next(turn.store)?;
    let development_issuer = issuer;
    let development = development.max(before.development);
    let mut policy = Policy { version, development, development_issuer, changed: turn.now, ..before };
    policy.scopes.extend(scopes);
    outbox::owe_copy(turn.store, POLICY_KEY, version, turn.now)?;
    write(turn.store, "policy", "", "", &policy)?;
    Ok(Reply::Done)
}

/// The names of the catalogue as a scope.
pub fn names(policy: &Policy) -> Scope {
    let names: Vec<&str> = policy.scopes.keys().map(String::as_str).collect();
    Scope::of(names)
}
