//! A shard of accounts: people, the names that lead to them, their sessions and failed logins.

use super::{drop_ended, first_end, outbox, read, registry::Told, write};
use crate::{
    crypto::{self, Secret},
    error::Fault,
    host::{Attempts, FORMAT, Host, Object, Seconds, Store, Timestamp, Turn},
    model::{
        account::{Account, Session, Throttle, WINDOW},
        grant::Person,
        mark::Mark,
        patch::{self, Invalid},
        place::Table,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The object.
pub struct AccountShard;

/// A session, as its cookie names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRef {
    /// Whose.
    pub sub: String,
    /// In which table.
    pub table: Table,
    /// Which.
    pub id: String,
    /// That the account made it.
    pub proof: Secret,
}

/// What a shard can be told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    /// Somebody types a name and a password.
    Attempt(Who),
    /// The password was right.
    Admit {
        /// Whose.
        sub: String,
        /// The account's version when the hash was given out.
        version: u64,
        /// The session's id, drawn by the asker.
        id: String,
        /// How long the session lives.
        lifetime: Seconds,
    },
    /// Whose browser is this?
    Session(SessionRef),
    /// The person allows something: a grant of theirs is about to be made in this shard.
    Note {
        /// By whom.
        session: SessionRef,
        /// Where.
        shard: String,
    },
    /// A new account.
    Create(Box<Account>),
    /// One account.
    Read(Who),
    /// RFC 7396 over what an administrator may change. The hash of a new password stands apart.
    Change {
        /// Whose.
        sub: String,
        /// The patch.
        patch: Map<String, Value>,
        /// A new password's hash.
        password: Option<String>,
        /// Only if the version is this one.
        expected: Option<u64>,
    },
    /// Accounts in order of their names.
    List {
        /// Behind this name.
        after: Option<String>,
        /// Whose name contains this.
        q: Option<String>,
        /// At most so many.
        limit: usize,
    },
}

/// How an account is named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Who {
    /// By what the person types.
    Name(String),
    /// By `sub`.
    Sub(String),
}

/// What a shard answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The hash to check the password against.
    Hash {
        /// Whose.
        sub: String,
        /// Argon2id.
        hash: String,
        /// The account's version.
        version: u64,
    },
    /// That name leads to an account in another shard.
    Elsewhere(String),
    /// There is no such account.
    Unknown,
    /// Too many failures.
    Throttled,
    /// The account may not sign in, or changed in between.
    Denied,
    /// Signed in.
    Admitted(SessionRef, Person),
    /// The person of the session, and when they proved themself.
    Person(Person, Timestamp),
    /// The session is over.
    NoSession,
    /// One account, and how far its change got.
    Account(Box<Account>, Told),
    /// That name is taken, by this account.
    Taken(String),
    /// It has another version.
    Outdated,
    /// No.
    Invalid(Invalid),
    /// Accounts, and whether there are more.
    Accounts(Vec<Account>, bool),
}

const ACCOUNTS: &str = "accounts";
const NAMES: &str = "names";
const THROTTLE: &str = "throttle";

impl Object for AccountShard {
    const BINDING: &'static str = "ACCOUNTS";
    type Command = Command;
    type Reply = Reply;

    fn handle<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        match command {
            Command::Attempt(who) => attempt(turn, &who),
            Command::Admit { sub, version, id, lifetime } => admit(turn, &sub, version, id, lifetime),
            Command::Session(session) => Ok(match signed_in(turn, &session)? {
                Some((account, since)) => Reply::Person(person(&account), since),
                None => Reply::NoSession,
            }),
            Command::Note { session, shard } => {
                let Some((mut account, since)) = signed_in(turn, &session)? else {
                    return Ok(Reply::NoSession);
                };
                if account.shards.insert(shard) {
                    write(turn.store, ACCOUNTS, &account.sub, "", &account)?;
                }
                Ok(Reply::Person(person(&account), since))
            }
            Command::Create(account) => create(turn, *account),
            Command::Read(who) => Ok(match find(turn.store, &who)? {
                Found::Here(account) => Reply::Account(account, Told::default()),
                Found::Elsewhere(sub) => Reply::Elsewhere(sub),
                Found::Nowhere => Reply::Unknown,
            }),
            Command::Change { sub, patch, password, expected } => {
                change(turn, &sub, patch, password, expected)
            }
            Command::List { after, q, limit } => list(turn.store, after.as_deref(), q.as_deref(), limit),
        }
    }

    async fn follow<H: Host, S: Store>(host: &H, store: &S, reply: Reply) -> Result<Reply, Fault> {
        let Reply::Account(account, told) = reply else { return Ok(reply) };
        if told.of == 0 {
            return Ok(Reply::Account(account, told));
        }
        outbox::flush(host, store, &Self).await?;
        let owed = outbox::owed(store, &format!("person/{}", account.sub))?;
        let told = Told { acknowledged: told.of.saturating_sub(owed), of: told.of };
        Ok(Reply::Account(account, told))
    }

    fn wake<S: Store>(store: &S, _: Timestamp) -> Result<Option<Timestamp>, Fault> {
        Ok(first_end(store)?.into_iter().chain(outbox::due(store)?).min())
    }

    async fn sweep<H: Host, S: Store>(host: &H, store: &S, now: Timestamp) -> Result<(), Fault> {
        drop_ended(store, now)?;
        outbox::flush(host, store, &Self).await
    }
}

impl<S: Store> outbox::Truth<S> for AccountShard {
    fn copy(&self, _: &S, _: &str) -> Result<Option<String>, Fault> {
        Ok(None) // No account is ever copied into the replica.
    }

    fn mark(&self, store: &S, id: &str) -> Result<Option<Mark>, Fault> {
        let Some(sub) = id.strip_prefix("person/") else { return Ok(None) };
        Ok(account(store, sub)?.map(|account| account.mark()))
    }
}

/// Where an account is.
enum Found {
    Here(Box<Account>),
    Elsewhere(String),
    Nowhere,
}

fn account<S: Store>(store: &S, sub: &str) -> Result<Option<Account>, Fault> {
    read(store, ACCOUNTS, sub, "")
}

fn find<S: Store>(store: &S, who: &Who) -> Result<Found, Fault> {
    let sub = match who {
        Who::Sub(sub) => Some(sub.clone()),
        Who::Name(name) => read(store, NAMES, name, "")?,
    };
    let Some(sub) = sub else { return Ok(Found::Nowhere) };
    Ok(match (account(store, &sub)?, who) {
        (Some(account), _) => Found::Here(Box::new(account)),
        (None, Who::Name(_)) => Found::Elsewhere(sub),
        (None, Who::Sub(_)) => Found::Nowhere,
    })
}

/// Charges the throttle before it is known whether the password is right, and gives the hash to find out.
///
/// A name that nobody has is charged in the same way, so that neither answers nor their times tell it apart.
fn attempt<S: Store>(turn: &Turn<'_, S>, who: &Who) -> Result<Reply, Fault> {
    let (table, owner, reply) = match (find(turn.store, who)?, who) {
        (Found::Here(account), _) => {
            let Account { sub, password, version, .. } = *account;
            (THROTTLE.to_owned(), sub.clone(), Reply::Hash { sub, hash: password, version })
        }
        (Found::Elsewhere(sub), _) => return Ok(Reply::Elsewhere(sub)),
        (Found::Nowhere, Who::Name(name)) => {
            let table = Table::daily(turn.now.plus(WINDOW)).name("strangers");
            (table, crypto::text(&crypto::digest(name.as_bytes())), Reply::Unknown)
        }
        (Found::Nowhere, Who::Sub(_)) => return Ok(Reply::Unknown),
    };
    let mut throttle: Throttle = read(turn.store, &table, &owner, "")?.unwrap_or_default();
    if !throttle.charge(&turn.attempt, turn.now) {
        return Ok(Reply::Throttled);
    }
    write(turn.store, &table, &owner, "", &throttle)?;
    Ok(reply)
}

fn admit<S: Store>(
    turn: &Turn<'_, S>,
    sub: &str,
    version: u64,
    id: String,
    lifetime: Seconds,
) -> Result<Reply, Fault> {
    let Some(account) = account(turn.store, sub)? else { return Ok(Reply::Denied) };
    // A password that was changed meanwhile has not been checked.
    if account.version != version || !account.enabled {
        return Ok(Reply::Denied);
    }
    let ends = turn.now.plus(lifetime);
    let table = Table::daily(ends);
    let name = table.name("sessions");
    let session = match read::<Session, S>(turn.store, &name, sub, &id)? {
        Some(session) if session.attempt == turn.attempt => session,
        Some(_) => return Ok(Reply::Denied),
        None => {
            let attempt = turn.attempt.clone();
            let secret = Secret(turn.dice.to_vec());
            let session = Session { format: FORMAT, secret, auth_time: turn.now, ends, version, attempt };
            turn.store.delete(THROTTLE, sub, "")?;
            write(turn.store, &name, sub, &id, &session)?;
            session
        }
    };
    let session = SessionRef { sub: sub.to_owned(), table, id, proof: session.proof() };
    Ok(Reply::Admitted(session, person(&account)))
}

/// The account of a session that stands, and when the person proved themself.
fn signed_in<S: Store>(
    turn: &Turn<'_, S>,
    named: &SessionRef,
) -> Result<Option<(Account, Timestamp)>, Fault> {
    let session: Option<Session> = read(turn.store, &named.table.name("sessions"), &named.sub, &named.id)?;
    let Some(session) = session.filter(|session| session.proof() == named.proof) else { return Ok(None) };
    let account = account(turn.store, &named.sub)?;
    Ok(account
        .filter(|account| session.stands(account, turn.now))
        .map(|account| (account, session.auth_time)))
}

fn person(account: &Account) -> Person {
    Person {
        sub: account.sub.clone(),
        username: account.username.clone(),
        version: account.version,
        groups: account.groups.iter().cloned().collect(),
    }
}

fn create<S: Store>(turn: &Turn<'_, S>, mut new: Account) -> Result<Reply, Fault> {
    if let Some(sub) = read::<String, S>(turn.store, NAMES, &new.username, "")? {
        let known = account(turn.store, &sub)?.filter(|known| known.attempts.is_newest(&turn.attempt));
        return Ok(match known {
            Some(known) => Reply::Account(Box::new(known), Told::default()),
            None => Reply::Taken(sub),
        });
    }
    new.version = 1;
    new.changed = turn.now;
    new.attempts = Attempts::of(&turn.attempt);
    // The account first: a name must not lead nowhere.
    write(turn.store, ACCOUNTS, &new.sub, "", &new)?;
    write(turn.store, NAMES, &new.username, "", &new.sub)?;
    Ok(Reply::Account(Box::new(new), Told::default()))
}

fn change<S: Store>(
    turn: &Turn<'_, S>,
    sub: &str,
    patch: Map<String, Value>,
    password: Option<String>,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let Some(before) = account(turn.store, sub)? else { return Ok(Reply::Unknown) };
    let told = Told { acknowledged: 0, of: before.shards.len() };
    if before.attempts.is_newest(&turn.attempt) {
        return Ok(Reply::Account(Box::new(before), told));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Reply::Outdated);
    }
    let mut after = match amend(&before, patch, turn.now) {
        Ok(after) => after,
        Err(invalid) => return Ok(Reply::Invalid(invalid)),
    };
    after.version = before.version + 1;
    after.changed = turn.now;
    after.attempts.push(&turn.attempt);
    // Disabling and a new password end every session and every grant, also for the day of enabling again.
    if password.is_some() || (before.enabled && !after.enabled) {
        after.min_version = after.version;
    }
    if let Some(hash) = password {
        after.password = hash;
    }
    for shard in &after.shards {
        outbox::owe_mark(turn.store, shard, &format!("person/{sub}"), after.version, turn.now)?;
    }
    write(turn.store, ACCOUNTS, sub, "", &after)?;
    Ok(Reply::Account(Box::new(after), told))
}

/// What an administrator may say of an account, by the member's name on the wire.
pub fn amend(account: &Account, patch: Map<String, Value>, now: Timestamp) -> Result<Account, Invalid> {
    let mut after = account.clone();
    for (name, value) in patch {
        let refused = |why: &str| Invalid::new(&crate::error::quotable(&name), why);
        match name.as_str() {
            "enabled" => {
                after.enabled = match value {
                    Value::Null => true,
                    value => value.as_bool().ok_or_else(|| refused("must be true or false"))?,
                }
            }
            "groups" | "roles" => {
                let names: Vec<String> = match value {
                    Value::Null => Vec::new(),
                    value => {
                        serde_json::from_value(value).map_err(|_| refused("must be an array of strings"))?
                    }
                };
                if names.len() > 100 || names.iter().any(|name| name.is_empty() || name.len() > 200) {
                    return Err(refused("at most 100 names of at most 200 bytes"));
                }
                if name == "roles" && names.iter().any(|role| role != "administrator" && role != "auditor") {
                    return Err(refused("the roles are administrator and auditor"));
                }
                *(if name == "groups" { &mut after.groups } else { &mut after.roles }) =
                    names.into_iter().collect();
            }
            "claims" => match value {
                Value::Null => after.claims = Map::new(),
                Value::Object(claims) => {
                    patch::merge(&mut after.claims, claims);
                    if serde_json::to_string(&after.claims).map_or(0, |text| text.len()) > 16_384 {
                        return Err(refused("larger than 16 KiB"));
                    }
                }
                _ => return Err(refused("must be an object")),
            },
            "not_before" => {
                let seconds = match value {
                    Value::Null => 0,
                    value => value.as_u64().ok_or_else(|| refused("must be a NumericDate"))?,
                };
                if seconds > now.seconds() {
                    return Err(refused("must not lie in the future"));
                }
                if Timestamp(seconds.saturating_mul(1000)) < account.not_before {
                    return Err(refused("can only move forward"));
                }
                after.not_before = Timestamp(seconds.saturating_mul(1000));
            }
            _ => return Err(refused("is not a member that can be changed")),
        }
    }
    Ok(after)
}

fn list<S: Store>(store: &S, after: Option<&str>, q: Option<&str>, limit: usize) -> Result<Reply, Fault> {
    let mut found = Vec::new();
    for (name, _, row) in store.scan(NAMES, None, after.map(|after| (after, "")), usize::MAX)? {
        let sub: String = serde_json::from_str(&row)?;
        if q.is_some_and(|q| !name.contains(q)) {
            continue;
        }
        if found.len() == limit {
            return Ok(Reply::Accounts(found, true));
        }
        found.extend(account(store, &sub)?);
    }
    Ok(Reply::Accounts(found, false))
}
