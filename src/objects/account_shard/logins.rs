//! Signing in, as the shard sees it: a try that holds a place, its outcome, the session it leads to; and the failures that
//! are counted by address or client.

use super::{
    super::{
        audit,
        protocol::account_shard::{Reply, SessionRef, Who},
        read,
        tally::{self, Security},
        write,
    },
    ACCOUNTS, Found, account, find, person,
};
use crate::{
    crypto::Secret,
    error::Fault,
    host::{Attempts, FORMAT, Seconds, Store, Timestamp, Turn},
    json::{self, Json},
    model::{
        account::Session,
        place::Table,
        throttle::{Admission, Failures, Limit, OPEN, Throttle},
    },
};
use serde_json::Map;

const THROTTLE: &str = "throttle";

/// Where something is counted: table and owner; and the table of the day before, where a count that still matters may be.
struct Place {
    table: String,
    before: Option<String>,
    owner: String,
}

impl Place {
    /// A count that is forgotten after its window, and dropped with its day.
    fn daily(sort: &str, owner: String, limit: Limit, now: Timestamp) -> Self {
        let named = |end| Table::daily(end).name(sort);
        // A try that nobody reports fails only later, and its window begins then.
        Self { table: named(now.plus(OPEN).plus(limit.window)), before: Some(named(now)), owner }
    }

    fn read<T: Json + Default, S: Store>(&self, store: &S) -> Result<T, Fault> {
        let found = read(store, &self.table, &self.owner, "")?;
        let found = match (&self.before, found) {
            (Some(before), None) => read(store, before, &self.owner, "")?,
            (_, found) => found,
        };
        Ok(found.unwrap_or_default())
    }

    fn write<S: Store>(&self, store: &S, count: &dyn Json) -> Result<(), Fault> {
        write(store, &self.table, &self.owner, "", count)
    }
}

/// Where the tries at one login are counted. `None`: not in this shard.
///
/// Those at a name that nobody has are counted in the same way, so that neither answers nor their times tell it apart.
fn place(
    found: &Found,
    who: &Who,
    stranger: &str,
    turn: &Turn<'_, impl Store>,
    limit: Limit,
) -> Option<Place> {
    match (found, who) {
        (Found::Here(account), _) => {
            Some(Place { table: THROTTLE.to_owned(), before: None, owner: account.sub.clone() })
        }
        (Found::Nowhere, Who::Name(_)) => {
            Some(Place::daily("strangers", stranger.to_owned(), limit, turn.now))
        }
        _ => None,
    }
}

/// A try takes its place before it is known whether the password is right, and gets the hash to find out.
pub fn attempt<S: Store>(
    turn: &Turn<'_, S>,
    who: &Who,
    stranger: &str,
    id: &str,
    limit: Limit,
) -> Result<Reply, Fault> {
    let found = find(turn.store, who)?;
    if let Found::Elsewhere(sub) = found {
        return Ok(Reply::Elsewhere(sub));
    }
    let Some(place) = place(&found, who, stranger, turn, limit) else { return Ok(Reply::Unknown) };
    let before: Throttle = place.read(turn.store)?;
    let mut throttle = before.clone();
    match throttle.begin(id, limit, turn.now) {
        Admission::Go if throttle == before => {} // The same message again.
        Admission::Go => place.write(turn.store, &throttle)?,
        Admission::Wait => return Ok(Reply::Busy),
        Admission::Closed(until) => return Ok(Reply::Throttled(until)),
    }
    Ok(match found {
        Found::Here(account) => {
            Reply::Hash { sub: account.sub, hash: account.password, version: account.version }
        }
        _ => Reply::Unknown,
    })
}

/// The password was wrong, or was not looked at.
pub fn fail<S: Store>(
    turn: &Turn<'_, S>,
    who: &Who,
    stranger: &str,
    id: &str,
    (limit, looked): (Limit, bool),
) -> Result<Reply, Fault> {
    let found = find(turn.store, who)?;
    if let Some(place) = place(&found, who, stranger, turn, limit) {
        let mut throttle: Throttle = place.read(turn.store)?;
        let changed = if looked { throttle.fail(id, limit, turn.now) } else { throttle.leave(id) };
        if changed && looked {
            tally::count(turn.store, Security::LoginFailed, turn.now)?;
            if throttle.closed(limit, turn.now).is_some() {
                tally::count(turn.store, Security::LoginClosed, turn.now)?;
            }
        }
        if changed {
            place.write(turn.store, &throttle)?;
        }
    }
    Ok(Reply::Counted)
}

/// Until when failures keep an account closed; `open`: they are forgotten, and it is not.
pub fn lock<S: Store>(turn: &Turn<'_, S>, sub: &str, limit: Limit, open: bool) -> Result<Reply, Fault> {
    let (Some(mut account), Some(mut throttle)) =
        (account(turn.store, sub)?, read::<Throttle, S>(turn.store, THROTTLE, sub, "")?)
    else {
        return Ok(Reply::Locked(None));
    };
    let until = throttle.closed(limit, turn.now);
    if open {
        account.attempts.refuse_late(&turn.attempt)?;
    }
    // What failed since is not forgiven by the same wish once more.
    if open && !account.attempts.is_newest(&turn.attempt) && throttle.forgive(turn.now) {
        account.attempts.push(&turn.attempt);
        write(turn.store, ACCOUNTS, sub, "", &account)?;
        write(turn.store, THROTTLE, sub, "", &throttle)?;
        let before = until.map(|until| ("locked_until", until.seconds().into()));
        let target = format!("user/{}", account.username);
        audit::owe(turn, "user.unlocked", target, json::object(before), Map::new())?;
    }
    Ok(Reply::Locked(until.filter(|_| !open)))
}

/// The password was right: a session, once, or the note of the shard where a grant will be; what failed before is forgiven.
pub fn admit<S: Store>(
    turn: &Turn<'_, S>,
    sub: &str,
    version: u64,
    id: String,
    (lifetime, shard, agent): (Seconds, Option<String>, String),
) -> Result<Reply, Fault> {
    let Some(mut account) = account(turn.store, sub)? else { return Ok(Reply::Denied) };
    // A password that was changed meanwhile has not been checked.
    if account.version != version || !account.enabled {
        return Ok(Reply::Denied);
    }
    if let Some(shard) = shard {
        forgive(turn, sub, &id)?;
        if account.shards.insert(shard) {
            write(turn.store, ACCOUNTS, sub, "", &account)?;
        }
        return Ok(Reply::Person(person(&account, turn.now)));
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
            let (auth_time, hearers) = (turn.now, Vec::new());
            let session = Session {
                format: FORMAT,
                secret,
                auth_time,
                ends,
                version,
                attempt,
                agent,
                hearers,
                next: None,
            };
            forgive(turn, sub, &id)?;
            write(turn.store, &name, sub, &id, &session)?;
            session
        }
    };
    let reference = SessionRef { sub: sub.to_owned(), table, id, proof: session.proof() };
    Ok(Reply::Admitted(reference, person(&account, session.auth_time)))
}

fn forgive<S: Store>(turn: &Turn<'_, S>, sub: &str, id: &str) -> Result<(), Fault> {
    let Some(mut throttle) = read::<Throttle, S>(turn.store, THROTTLE, sub, "")? else { return Ok(()) };
    // The same message again forgives nothing that failed since.
    if throttle.is_over(id) {
        return Ok(());
    }
    throttle.succeed(id, turn.now);
    write(turn.store, THROTTLE, sub, "", &throttle)
}

/// Failures of one address or client, and the wishes that last added to them: a message that arrives twice counts once.
#[derive(Default, Json)]
struct Struck {
    failures: Failures,
    attempts: Attempts,
}

/// Counts what the isolates tell, so that they count together.
pub fn strike<S: Store>(turn: &Turn<'_, S>, key: &str, count: u32, limit: Limit) -> Result<Reply, Fault> {
    let place = Place::daily("strikes", key.to_owned(), limit, turn.now);
    let mut struck: Struck = place.read(turn.store)?;
    if !struck.attempts.contain(&turn.attempt) {
        let closed = struck.failures.closed(limit, turn.now).is_some();
        struck.failures.add(count, limit, turn.now);
        if !closed && struck.failures.closed(limit, turn.now).is_some() {
            tally::count(turn.store, Security::CallerClosed, turn.now)?;
        }
        struck.attempts.push(&turn.attempt);
        place.write(turn.store, &struck)?;
    }
    Ok(Reply::Struck(struck.failures.closed(limit, turn.now)))
}
