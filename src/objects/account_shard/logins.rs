//! Signing in, as the shard sees it: a try that holds a place, its outcome, the session it leads to; and the failures that
//! are counted by address or client.

use super::{
    super::{
        protocol::account_shard::{Reply, SessionRef, Who},
        read, write,
    },
    Found, account, find, person,
};
use crate::{
    crypto::{self, Secret},
    error::Fault,
    host::{Attempt, FORMAT, Seconds, Store, Turn},
    model::{
        account::Session,
        place::Table,
        throttle::{Admission, Failures, Limit, Throttle},
    },
};
use serde::{Deserialize, Serialize};

const THROTTLE: &str = "throttle";

/// Where the tries at one login are counted: table and owner. `None`: not in this shard.
///
/// Those at a name that nobody has are counted in the same way, so that neither answers nor their times tell it apart.
fn place(found: &Found, who: &Who, turn: &Turn<'_, impl Store>, limit: Limit) -> Option<(String, String)> {
    match (found, who) {
        (Found::Here(account), _) => Some((THROTTLE.to_owned(), account.sub.clone())),
        (Found::Nowhere, Who::Name(name)) => {
            let table = Table::daily(turn.now.plus(limit.window)).name("strangers");
            Some((table, crypto::text(&crypto::digest(name.as_bytes()))))
        }
        _ => None,
    }
}

/// A try takes its place before it is known whether the password is right, and gets the hash to find out.
pub fn attempt<S: Store>(turn: &Turn<'_, S>, who: &Who, id: &str, limit: Limit) -> Result<Reply, Fault> {
    let found = find(turn.store, who)?;
    if let Found::Elsewhere(sub) = found {
        return Ok(Reply::Elsewhere(sub));
    }
    let Some((table, owner)) = place(&found, who, turn, limit) else { return Ok(Reply::Unknown) };
    let mut throttle: Throttle = read(turn.store, &table, &owner, "")?.unwrap_or_default();
    match throttle.begin(id, limit, turn.now) {
        Admission::Go => write(turn.store, &table, &owner, "", &throttle)?,
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

/// The password was wrong.
pub fn fail<S: Store>(turn: &Turn<'_, S>, who: &Who, id: &str, limit: Limit) -> Result<Reply, Fault> {
    let found = find(turn.store, who)?;
    if let Some((table, owner)) = place(&found, who, turn, limit) {
        let mut throttle: Throttle = read(turn.store, &table, &owner, "")?.unwrap_or_default();
        if throttle.fail(id, limit, turn.now) {
            write(turn.store, &table, &owner, "", &throttle)?;
        }
    }
    Ok(Reply::Counted)
}

/// The password was right: a session, once, and what failed before is forgiven.
pub fn admit<S: Store>(
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
            forgive(turn.store, sub, &id)?;
            write(turn.store, &name, sub, &id, &session)?;
            session
        }
    };
    let session = SessionRef { sub: sub.to_owned(), table, id, proof: session.proof() };
    Ok(Reply::Admitted(session, person(&account)))
}

fn forgive<S: Store>(store: &S, sub: &str, id: &str) -> Result<(), Fault> {
    let Some(mut throttle) = read::<Throttle, S>(store, THROTTLE, sub, "")? else { return Ok(()) };
    throttle.succeed(id);
    if throttle.is_clear() {
        return store.delete(THROTTLE, sub, "");
    }
    write(store, THROTTLE, sub, "", &throttle)
}

/// Failures of one address or client, and the wish that last added to them: a message that arrives twice counts once.
#[derive(Default, Serialize, Deserialize)]
struct Struck {
    failures: Failures,
    last: Attempt,
}

/// Counts what the isolates tell, so that they count together.
pub fn strike<S: Store>(turn: &Turn<'_, S>, key: &str, count: u32, limit: Limit) -> Result<Reply, Fault> {
    let table = Table::daily(turn.now.plus(limit.window)).name("strikes");
    let mut struck: Struck = read(turn.store, &table, key, "")?.unwrap_or_default();
    if struck.last != turn.attempt {
        struck.failures.add(count, limit, turn.now);
        struck.last = turn.attempt.clone();
        write(turn.store, &table, key, "", &struck)?;
    }
    Ok(Reply::Struck(struck.failures.closed(limit, turn.now)))
}
