//! What people allowed, and what they see and end of it and of their sessions. Each command proves a session of theirs.

use super::{ACCOUNTS, account, signed_in};
use crate::{
    error::Fault,
    host::{Store, Turn},
    list::List as _,
    model::{
        account::{Account, Consent, Session, Wanted},
        place::Table,
        scope::Scope,
    },
    objects::{
        audit, decode,
        protocol::account_shard::{Act, Overview, Recall, Reply, Seen, SessionRef},
        read, write,
    },
};
use serde_json::Map;
use std::cmp::Reverse;

const CONSENTS: &str = "consents";
/// Clients that a person is shown: those that asked last.
const SHOWN: usize = 200;

/// Remembers what is decided.
pub(super) fn remember<S: Store>(turn: &Turn<'_, S>, account: &Account, wanted: Wanted) -> Result<(), Fault> {
    let (sub, client) = (&account.sub, wanted.client.clone());
    let before: Option<Consent> = read(turn.store, CONSENTS, sub, &client)?;
    // What was withdrawn since is not allowed by the same message once more, and what was decided since stays.
    let late = before.as_ref().is_some_and(|before| before.outlasts(&wanted));
    let shown_before = !wanted.page.is_empty() && wanted.shown < account.withdrawn;
    if late || shown_before || wanted.at <= account.withdrawn {
        return Ok(());
    }
    write(turn.store, CONSENTS, sub, &client, &Consent::with(before, wanted, turn.now))
}

/// Whether a client is allowed anything.
pub(super) fn has<S: Store>(turn: &Turn<'_, S>, sub: &str, client: &str) -> Result<bool, Fault> {
    let known: Option<Consent> = read(turn.store, CONSENTS, sub, client)?;
    Ok(known.is_some_and(|known| !known.scope.is_empty()))
}

/// Whether this was allowed before. Then the account notes the shard, since a grant follows.
pub(super) fn recall<S: Store>(turn: &Turn<'_, S>, sub: &str, recall: &Recall) -> Result<bool, Fault> {
    let Recall { wanted, shard } = recall;
    let known: Option<Consent> = read(turn.store, CONSENTS, sub, &wanted.client)?;
    let (Some(known), Some(mut account)) =
        (known.filter(|known| known.covers(wanted)), account(turn.store, sub)?)
    else {
        return Ok(false);
    };
    if known.is_due(turn.now) {
        write(turn.store, CONSENTS, sub, &wanted.client, &Consent { last: turn.now, ..known })?;
    }
    if account.shards.insert(shard.clone()) {
        write(turn.store, ACCOUNTS, sub, "", &account)?;
    }
    Ok(true)
}

/// Forgets all that somebody allowed whose account ends.
pub(super) fn forget<S: Store>(store: &S, sub: &str) -> Result<(), Fault> {
    for (_, client, _) in store.scan(CONSENTS, Some(sub), None, usize::MAX)? {
        store.delete(CONSENTS, sub, &client)?;
    }
    Ok(())
}

/// Does it, once, and gives what there is then.
pub(super) fn act<S: Store>(turn: &Turn<'_, S>, by: &SessionRef, act: Act) -> Result<Reply, Fault> {
    let Some((mut account, _)) = signed_in(turn, by)? else { return Ok(Reply::NoSession) };
    let mut known = true;
    if !matches!(act, Act::Look) && !account.acts.contain(&turn.attempt) {
        match act {
            Act::Look => {}
            Act::End(which) => end(turn, &account, by, which.as_deref())?,
            Act::Withdraw { client, done, at } => {
                known = withdraw(turn, &account.sub, &client, done)?;
                if known && !done {
                    // What was allowed before, and is on its way to a shard, is told from what is allowed from now on.
                    account.withdrawals += 1;
                    account.withdrawn = at;
                }
            }
        }
        account.acts.push(&turn.attempt);
        write(turn.store, ACCOUNTS, &account.sub, "", &account)?;
    }
    let mut seen = Vec::new();
    for (_, id, session) in sessions(turn, &account)? {
        seen.push(Seen { since: session.auth_time, ends: session.ends, agent: session.agent, id });
    }
    let seen = seen.into_iter().in_order(|seen: &Seen| (seen.id != by.id, Reverse(seen.since)));
    let mut consents: Vec<(String, Consent)> = Vec::new();
    for (_, client, row) in turn.store.scan(CONSENTS, Some(&account.sub), None, usize::MAX)? {
        consents.push((client, decode(&row)?));
    }
    let mut consents = consents.into_iter().in_order(|(_, consent)| Reverse(consent.last));
    let more = consents.len().saturating_sub(SHOWN);
    consents.truncate(SHOWN);
    let Account { username, withdrawals, shards, .. } = account;
    // Who was never allowed anything has nothing anywhere.
    let shards = shards.into_iter().filter(|_| known).list();
    Ok(Reply::Own(Box::new(Overview { username, withdrawals, shards, sessions: seen, consents, more })))
}

/// A session: table, id and row.
pub(super) type Row = (String, String, Session);

/// The sessions that stand.
pub(super) fn sessions<S: Store>(turn: &Turn<'_, S>, account: &Account) -> Result<Vec<Row>, Fault> {
    let mut found = rows(turn, &account.sub)?;
    found.retain(|(.., session)| session.stands(account, turn.now));
    Ok(found)
}

/// All sessions of a person of which there still are rows.
pub(super) fn rows<S: Store>(turn: &Turn<'_, S>, sub: &str) -> Result<Vec<Row>, Fault> {
    let mut found = Vec::new();
    for table in turn.store.tables()? {
        if Table::parse(&table).is_some_and(|(sort, _)| sort == "sessions") {
            for (_, id, row) in turn.store.scan(&table, Some(sub), None, usize::MAX)? {
                found.push((table.clone(), id, decode(&row)?));
            }
        }
    }
    Ok(found)
}

/// Ends one session, or all but the one that asks.
fn end<S: Store>(
    turn: &Turn<'_, S>,
    account: &Account,
    by: &SessionRef,
    which: Option<&str>,
) -> Result<(), Fault> {
    let mut ended = false;
    for (table, id, session) in sessions(turn, account)? {
        if which.map_or(id != by.id, |which| id == which) {
            write(turn.store, &table, &account.sub, &id, &Session { ends: turn.now, ..session })?;
            ended = true;
        }
    }
    if ended {
        let target = format!("user/{}", account.username);
        audit::owe(turn, "user.signed_out", target, Map::new(), Map::new())?;
    }
    Ok(())
}

/// From here on the client is asked for anew. Its row goes once every shard has ended what it had. `false`: it has none.
fn withdraw<S: Store>(turn: &Turn<'_, S>, sub: &str, client: &str, done: bool) -> Result<bool, Fault> {
    let Some(row) = read::<Consent, S>(turn.store, CONSENTS, sub, client)? else { return Ok(false) };
    match (done, row.scope.is_empty()) {
        (true, true) => turn.store.delete(CONSENTS, sub, client)?,
        // It was allowed again meanwhile.
        (true, false) => {}
        (false, _) => {
            let scope = Scope::default();
            write(turn.store, CONSENTS, sub, client, &Consent { scope, ..row })?;
        }
    }
    Ok(true)
}
