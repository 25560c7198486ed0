//! Who hears of the end of a session: the clients that its person signed in to, and that asked to be told (OpenID Connect
//! Back-Channel Logout 1.0 §2.3). No object can sign, so what they are told comes with the command that ends the session, and is
//! owed in the same turn: a session ends with all its letters, or not at all.

use super::{AccountShard, account, own, own::Row, sessions};
use crate::{
    error::Fault,
    host::{Store, Turn},
    model::{
        account::{Session, Wanted},
        openid::OPENID,
    },
    objects::{
        outbox,
        protocol::account_shard::{Act, Command, Letter, Reply, SessionRef},
        read, write,
    },
};
use std::collections::BTreeSet;

/// Clients that hear of the end of one session: of more the later ones do not.
const MOST: usize = 50;

/// The client is to hear of the end of this session, which stands, where it is signed in to and asked for that.
pub(super) fn listen<S: Store>(
    turn: &Turn<'_, S>,
    session: &SessionRef,
    wanted: &Wanted,
) -> Result<(), Fault> {
    if !wanted.listens || !wanted.scope.contains(OPENID) {
        return Ok(());
    }
    let (table, SessionRef { sub, id, .. }) = (sessions(session), session);
    let Some(mut row) = read::<Session, S>(turn.store, &table, sub, id)? else { return Ok(()) };
    if row.listeners.len() < MOST && row.listeners.insert(wanted.client.clone()) {
        write(turn.store, &table, sub, id, &row)?;
    }
    Ok(())
}

/// Whose sessions a command may end: all of them, or one.
fn ends(command: &Command) -> Option<(String, Option<String>)> {
    let (sub, which) = match command {
        Command::SignOut(session) => (&session.sub, Some(session.id.clone())),
        Command::Change { sub, patch, whole, password, .. } => {
            let may = *whole || ["enabled", "not_before"].iter().any(|name| patch.contains_key(*name));
            (Some(sub).filter(|_| may || password.is_some())?, None)
        }
        Command::Own { session, act: Act::End(_) } => (&session.sub, None),
        Command::Cut { sub, sessions: true } | Command::Delete { sub, .. } => (sub, None),
        _ => return None,
    };
    Some((sub.clone(), which))
}

/// Does it. Where sessions end of which somebody is to hear, and there is no letter: does nothing, and says who.
pub(super) fn end<S: Store>(
    turn: &Turn<'_, S>,
    command: Command,
    letters: &[Letter],
) -> Result<Reply, Fault> {
    let Some((sub, which)) = ends(&command) else { return AccountShard::perform(turn, command) };
    let heard = heard(turn, &sub, which.as_deref())?;
    let pairs = heard.iter().flat_map(|(_, id, row)| row.listeners.iter().map(move |client| (id, client)));
    let listeners: Vec<(String, String)> = pairs.map(|(id, client)| (id.clone(), client.clone())).collect();
    let is_written = |(id, client): &(String, String)| {
        letters.iter().any(|letter| letter.sid == *id && letter.client == *client)
    };
    if !listeners.iter().all(is_written) {
        return Ok(Reply::Unheard { command: Box::new(command), sub, listeners });
    }
    let reply = AccountShard::perform(turn, command)?;
    let account = account(turn.store, &sub)?;
    let mut ended = BTreeSet::new();
    for (table, id, _) in heard {
        let Some(row) = read::<Session, S>(turn.store, &table, &sub, &id)? else { continue };
        if account.as_ref().is_none_or(|account| !row.stands(account, turn.now)) {
            // Nobody hears of it twice.
            write(turn.store, &table, &sub, &id, &Session { listeners: BTreeSet::new(), ..row })?;
            ended.insert(id);
        }
    }
    for letter in letters.iter().filter(|letter| ended.contains(&letter.sid) && !letter.tokens.is_empty()) {
        outbox::owe_letter(turn.store, letter, turn.now)?;
    }
    Ok(reply)
}

/// The sessions that stand and of whose end somebody is to hear: table, id and row.
fn heard<S: Store>(turn: &Turn<'_, S>, sub: &str, which: Option<&str>) -> Result<Vec<Row>, Fault> {
    let Some(account) = account(turn.store, sub)? else { return Ok(Vec::new()) };
    let mut found = own::sessions(turn, &account, usize::MAX)?;
    found.retain(|(_, id, row)| !row.listeners.is_empty() && which.is_none_or(|which| id == which));
    Ok(found)
}
