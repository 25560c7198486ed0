//! A shard of accounts: people, the names that lead to them, their sessions and failed logins.

mod logins;

use super::{
    drop_ended, first_end, outbox,
    protocol::{
        Told,
        account_shard::{AccountShard, Command, Reply, SessionRef, Who},
    },
    read, write,
};
use crate::{
    error::Fault,
    host::{Attempts, Host, Object, Store, Timestamp, Turn},
    model::{
        account::{Account, Session},
        grant::Person,
        mark::Mark,
    },
};
use serde_json::{Map, Value};

const ACCOUNTS: &str = "accounts";
const NAMES: &str = "names";

impl Object for AccountShard {
    fn handle<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        match command {
            Command::Attempt { who, id, limit, stranger } => {
                logins::attempt(turn, &who, &stranger, &id, limit)
            }
            Command::Failed { who, id, limit, looked, stranger } => {
                logins::fail(turn, &who, &stranger, &id, (limit, looked))
            }
            Command::Strike { key, count, limit } => logins::strike(turn, &key, count, limit),
            Command::Admit { sub, version, id, lifetime } => logins::admit(turn, &sub, version, id, lifetime),
            Command::Session(session) => Ok(match signed_in(turn, &session)? {
                Some(account) => Reply::Person(person(&account)),
                None => Reply::NoSession,
            }),
            Command::Note { session, shard } => {
                let Some(mut account) = signed_in(turn, &session)? else {
                    return Ok(Reply::NoSession);
                };
                if account.shards.insert(shard) {
                    write(turn.store, ACCOUNTS, &account.sub, "", &account)?;
                }
                Ok(Reply::Person(person(&account)))
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
        // Between the turn and here somebody else may have taken what this change owes: whoever answers for it sends it.
        outbox::hurry(store, &format!("person/{}", account.sub), host.now())?;
        outbox::flush(host, store, &Self).await?;
        let owed = outbox::owed(store, &format!("person/{}", account.sub), account.version)?;
        let told = Told { acknowledged: told.of.saturating_sub(owed), ..told };
        Ok(Reply::Account(account, told))
    }

    fn wake<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
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

/// The account of a session that stands.
fn signed_in<S: Store>(turn: &Turn<'_, S>, named: &SessionRef) -> Result<Option<Account>, Fault> {
    let session: Option<Session> = read(turn.store, &named.table.name("sessions"), &named.sub, &named.id)?;
    let Some(session) = session.filter(|session| session.proof() == named.proof) else { return Ok(None) };
    Ok(account(turn.store, &named.sub)?.filter(|account| session.stands(account, turn.now)))
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
            None => Reply::Taken,
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
    let told = Told::none(before.shards.len(), false);
    let mark = format!("person/{sub}");
    if before.attempts.is_newest(&turn.attempt) {
        outbox::hurry(turn.store, &mark, turn.now)?;
        return Ok(Reply::Account(Box::new(before), told));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Reply::Outdated);
    }
    let mut after = match before.amend(patch, turn.now) {
        Ok(after) => after,
        Err(invalid) => return Ok(Reply::Invalid(invalid)),
    };
    let same = after == before && password.is_none();
    after.attempts.push(&turn.attempt);
    if same {
        // Perhaps a repetition of a change that some shards have not heard of yet: those are still owed it.
        write(turn.store, ACCOUNTS, sub, "", &after)?;
        outbox::hurry(turn.store, &mark, turn.now)?;
        return Ok(Reply::Account(Box::new(after), told));
    }
    after.version = before.version + 1;
    after.changed = turn.now;
    // Disabling and a new password end every session and every grant, also for the day of enabling again.
    if password.is_some() || (before.enabled && !after.enabled) {
        after.min_version = after.version;
    }
    if let Some(hash) = password {
        after.password = hash;
    }
    for shard in &after.shards {
        outbox::owe_mark(turn.store, shard, &mark, after.version, turn.now)?;
    }
    write(turn.store, ACCOUNTS, sub, "", &after)?;
    Ok(Reply::Account(Box::new(after), told))
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
