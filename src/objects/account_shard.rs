//! A shard of accounts: people, the names that lead to them, their sessions and failed logins.

mod changes;
mod farewell;
mod logins;
mod own;

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
    host::{Attempt, Host, Object, Store, Timestamp, Turn},
    json::{self, Json},
    list::List as _,
    model::{
        account::{Account, Session},
        grant::Person,
        mark::Mark,
    },
};

const ACCOUNTS: &str = "accounts";
const NAMES: &str = "names";
/// Accounts that were deleted.
const GONE: &str = "gone";

impl AccountShard {
    /// One command, whoever is to hear of it.
    fn perform<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        match command {
            Command::End { .. } => Err(Fault::new("an end of an end")),
            Command::Attempt { who, id, limit, stranger } => {
                logins::attempt(turn, &who, &stranger, &id, limit)
            }
            Command::Failed { who, id, limit, looked, stranger } => {
                logins::fail(turn, &who, &stranger, &id, (limit, looked))
            }
            Command::Strike { key, count, limit } => logins::strike(turn, &key, count, limit),
            Command::Admit { sub, version, id, lifetime, shard, recall, agent, before } => {
                let admitted = logins::admit(turn, &sub, version, id, (lifetime, shard, agent))?;
                if let Reply::Admitted(session, _) = &admitted {
                    if let Some(before) = &before {
                        farewell::succeed(turn, before, session)?;
                    }
                    farewell::bound(turn, session)?;
                }
                Ok(match (admitted, recall) {
                    (Reply::Admitted(session, person), Some(recall)) if own::recall(turn, &sub, &recall)? => {
                        farewell::listen(turn, &session, &recall.wanted)?;
                        Reply::Remembered(Some(session), person)
                    }
                    (admitted, _) => admitted,
                })
            }
            Command::Recall { session, recall, max_age } => Ok(match signed_in(turn, &session)? {
                Some((account, since))
                    if max_age.is_none_or(|age| turn.now < since.plus(age))
                        && own::recall(turn, &account.sub, &recall)? =>
                {
                    farewell::listen(turn, &session, &recall.wanted)?;
                    Reply::Remembered(None, person(&account, since))
                }
                Some((account, since)) => Reply::Person(person(&account, since)),
                None => Reply::NoSession,
            }),
            Command::Own { session, act } => own::act(turn, &session, act),
            Command::Session(session) => Ok(match signed_in(turn, &session)? {
                Some((account, since)) => Reply::Person(person(&account, since)),
                None => Reply::NoSession,
            }),
            Command::Holder(session) => Ok(match signed_in(turn, &session)? {
                Some((account, since)) => Reply::Holder(Box::new(account), since),
                None => Reply::NoSession,
            }),
            Command::SignOut(session) => {
                // Its row stays until its table goes: the message that made it may arrive once more.
                let (table, SessionRef { sub, id, .. }) = (sessions(&session), &session);
                let row: Option<Session> = read(turn.store, &table, sub, id)?;
                if let Some(row) = row.filter(|row| row.proof() == session.proof && turn.now < row.ends) {
                    write(turn.store, &table, sub, id, &Session { ends: turn.now, ..row })?;
                }
                Ok(Reply::NoSession)
            }
            Command::Lock { sub, limit, open } => logins::lock(turn, &sub, limit, open),
            Command::Health => {
                Ok(Reply::Health(super::health(turn.store, Self::wake(turn.store)?, turn.now)?))
            }
            Command::Note { session, shard, wanted } => {
                let Some((mut account, since)) = signed_in(turn, &session)? else {
                    return Ok(Reply::NoSession);
                };
                if let Some(wanted) = wanted {
                    // Wished before the last withdrawal, by a message that was late: whether it is of what was withdrawn since,
                    // only what stands can tell.
                    if wanted.at <= account.withdrawn && !own::has(turn, &account.sub, &wanted.client)? {
                        return Ok(Reply::NoSession);
                    }
                    farewell::listen(turn, &session, &wanted)?;
                    own::remember(turn, &account, wanted)?;
                }
                if account.shards.insert(shard) {
                    write(turn.store, ACCOUNTS, &account.sub, "", &account)?;
                }
                Ok(Reply::Person(person(&account, since)))
            }
            Command::Create(account) => changes::create(turn, *account),
            Command::Read(who) => Ok(match find(turn.store, &who)? {
                Found::Here(account) => Reply::Account(account, Told::default()),
                Found::Elsewhere(sub) => Reply::Elsewhere(sub),
                Found::Nowhere => Reply::Unknown,
            }),
            Command::Change { sub, patch, whole, password, expected } => {
                changes::change(turn, &sub, (patch, whole), password, expected)
            }
            Command::Cut { sub, sessions } => changes::cut(turn, &sub, sessions),
            Command::Delete { sub, expected } => changes::delete(turn, &sub, expected),
            Command::List { after, q, limit } => list(turn.store, after.as_deref(), q.as_deref(), limit),
        }
    }
}

impl Object for AccountShard {
    fn handle<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        match command {
            Command::End { command, letters, force } => farewell::end(turn, *command, (&letters, force)),
            command => farewell::end(turn, command, (&[], false)),
        }
    }

    async fn follow<H: Host, S: Store>(host: &H, store: &S, reply: Reply) -> Result<Reply, Fault> {
        let (sub, version, told) = match &reply {
            Reply::Account(account, told) => (account.sub.clone(), account.version, *told),
            Reply::Deleted { sub, version, told } => (sub.clone(), *version, *told),
            _ => return Ok(reply),
        };
        if told.of > 0 {
            // Between the turn and here somebody else may have taken what this change owes: whoever answers for it sends it.
            outbox::hurry(store, &format!("person/{sub}"), host.now())?;
        }
        outbox::flush(host, store, &Self).await?;
        let owed = outbox::owed(store, &format!("person/{sub}"), version)?;
        let told = Told { acknowledged: told.of.saturating_sub(owed), ..told };
        Ok(match reply {
            Reply::Account(account, _) => Reply::Account(account, told),
            _ => Reply::Deleted { sub, version, told },
        })
    }

    fn wake<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
        Ok(first_end(store)?.into_iter().chain(outbox::due(store)?).min())
    }

    async fn sweep<H: Host, S: Store>(host: &H, store: &S, now: Timestamp) -> Result<(), Fault> {
        drop_ended(store, now)?;
        outbox::flush(host, store, &Self).await?;
        outbox::post(host, store, &Self).await
    }
}

impl<S: Store> outbox::Truth<S> for AccountShard {
    fn copy(&self, _: &S, _: &str) -> Result<Option<String>, Fault> {
        Ok(None) // No account is ever copied into the replica.
    }

    fn mark(&self, store: &S, id: &str) -> Result<Option<Mark>, Fault> {
        let Some(sub) = id.strip_prefix("person/") else { return Ok(None) };
        match account(store, sub)? {
            Some(account) => Ok(Some(account.mark())),
            None => Ok(read::<Gone, S>(store, GONE, sub, "")?.map(|gone| gone.mark)),
        }
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

/// The account of a session that stands, and since when it does.
fn signed_in<S: Store>(
    turn: &Turn<'_, S>,
    named: &SessionRef,
) -> Result<Option<(Account, Timestamp)>, Fault> {
    let session: Option<Session> = read(turn.store, &sessions(named), &named.sub, &named.id)?;
    let Some(session) = session.filter(|session| session.proof() == named.proof) else { return Ok(None) };
    let account = account(turn.store, &named.sub)?.filter(|account| session.stands(account, turn.now));
    Ok(account.map(|account| (account, session.auth_time)))
}

fn sessions(named: &SessionRef) -> String {
    named.table.name("sessions")
}

fn person(account: &Account, since: Timestamp) -> Person {
    Person {
        sub: account.sub.clone(),
        username: account.username.clone(),
        version: account.version,
        groups: account.groups.iter().cloned().list(),
        auth_time: Some(since),
        withdrawals: account.withdrawals,
    }
}

/// What is left of an account that was deleted: nothing of the person.
#[derive(Json)]
struct Gone {
    /// What the shards must hold.
    mark: Mark,
    /// The wish that ended it.
    attempt: Attempt,
}

fn list<S: Store>(store: &S, after: Option<&str>, q: Option<&str>, limit: usize) -> Result<Reply, Fault> {
    let mut found = Vec::new();
    for (name, _, row) in store.scan(NAMES, None, after.map(|after| (after, "")), usize::MAX)? {
        let sub: String = json::read(&row)?;
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
