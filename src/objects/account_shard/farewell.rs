//! Who hears of the end of a session: the clients that its person signed in to, and that asked to be told (OpenID Connect
//! Back-Channel Logout 1.0 §2.3). No object can sign, so what they are told comes with the command that ends the session, and is
//! owed in the same turn: a session ends with all its letters, or not at all.

use super::{AccountShard, account, own, own::Row, sessions};
use crate::{
    error::Fault,
    host::{Seconds, Store, Turn},
    list::List as _,
    model::{
        account::{Listener, Session, Wanted},
        openid::OPENID,
        place::Table,
    },
    objects::{
        outbox,
        protocol::account_shard::{Act, Command, Letter, Reply, SessionRef},
        read, write,
    },
};
use std::{collections::BTreeMap, mem};

/// How many hear of the end of one session: of more the later ones do not.
const MOST: usize = 50;
/// Under how many ids one client may know a session and those before it: of more the oldest is forgotten.
const IDS: usize = 4;
/// How many sessions of a person stand: when one more begins the oldest ends, and goes on in that one.
const SESSIONS: usize = 200;
/// No message arrives so late. Until then the row of a session that is over stays: the message that made it may arrive again.
const SETTLED: Seconds = Seconds(60);

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
    let (client, incarnation) = (wanted.client.clone(), wanted.incarnation.clone());
    if hear(&mut row, Listener { sid: id.clone(), client, incarnation }) {
        write(turn.store, &table, sub, id, &row)?;
    }
    Ok(())
}

/// One more is to hear of its end, as far as there is room.
fn hear(row: &mut Session, listener: Listener) -> bool {
    if row.hearers.contains(&listener) {
        return false;
    }
    let own = |known: &Listener| known.client == listener.client;
    if row.hearers.iter().filter(|known| own(known)).count() >= IDS
        && let Some(oldest) = row.hearers.iter().position(own)
    {
        row.hearers.remove(oldest);
    }
    let room = row.hearers.len() < MOST;
    if room {
        row.hearers.push(listener);
    }
    room
}

/// Whoever signs in again in a browser goes on: the session before is over, and who was to hear of its end hears of this one's.
pub(super) fn succeed<S: Store>(
    turn: &Turn<'_, S>,
    before: &SessionRef,
    after: &SessionRef,
) -> Result<(), Fault> {
    let row =
        |table: Table, id: &str| read::<Session, S>(turn.store, &table.name("sessions"), &before.sub, id);
    let proved = |old: &Session| before.sub == after.sub && old.proof() == before.proof;
    let Some(mut old) = row(before.table, &before.id)?.filter(proved) else { return Ok(()) };
    let mut place = (before.table, before.id.clone());
    // Perhaps somebody else has signed in by the same cookie meanwhile, as a form does that is sent twice.
    for _ in 0..SESSIONS {
        let Some(next) = old.next.clone() else { break };
        let Some(later) = row(next.0, &next.1)? else { return Ok(()) };
        (old, place) = (later, next);
    }
    let Some(account) = account(turn.store, &before.sub)? else { return Ok(()) };
    if place.1 == after.id || !old.stands(&account, turn.now) {
        return Ok(());
    }
    let Some(mut new) = row(after.table, &after.id)? else { return Ok(()) };
    pass_on(turn, &mut old, &mut new);
    old.next = Some((after.table, after.id.clone()));
    write(turn.store, &sessions(after), &after.sub, &after.id, &new)?;
    write(turn.store, &place.0.name("sessions"), &before.sub, &place.1, &old)
}

/// The one ends, and who was to hear of that hears of the end of the other.
fn pass_on<S: Store>(turn: &Turn<'_, S>, old: &mut Session, new: &mut Session) {
    for listener in mem::take(&mut old.hearers) {
        hear(new, listener);
    }
    old.ends = turn.now;
}

/// Of all sessions of a person so many stand, the newest, which is this one, among them.
pub(super) fn bound<S: Store>(turn: &Turn<'_, S>, newest: &SessionRef) -> Result<(), Fault> {
    let Some(account) = account(turn.store, &newest.sub)? else { return Ok(()) };
    let (own, sub) = (sessions(newest), &newest.sub);
    let mut standing = Vec::new();
    for (table, id, row) in own::rows(turn, sub)? {
        if row.stands(&account, turn.now) {
            standing.push((table, id, row));
        } else if row.ends.plus(SETTLED) < turn.now {
            turn.store.delete(&table, sub, &id)?;
        }
    }
    let beyond = standing.len().saturating_sub(SESSIONS);
    if beyond == 0 {
        return Ok(());
    }
    let Some(mut new) = read::<Session, S>(turn.store, &own, sub, &newest.id)? else { return Ok(()) };
    standing.retain(|(_, id, _)| *id != newest.id);
    let oldest = standing.into_iter().in_order(|(.., row)| row.auth_time);
    for (table, id, mut row) in oldest.into_iter().take(beyond) {
        pass_on(turn, &mut row, &mut new);
        write(turn.store, &table, sub, &id, &row)?;
    }
    write(turn.store, &own, sub, &newest.id, &new)
}

/// Whose sessions a command may end: all of them, or one.
fn ends(command: &Command) -> Option<(String, Option<String>)> {
    let (sub, which) = match command {
        Command::SignOut(session) => (&session.sub, Some(session.id.clone())),
        Command::Change { sub, patch, whole, password, .. } => {
            let may = *whole || ["enabled", "not_before"].iter().any(|name| patch.contains_key(*name));
            (Some(sub).filter(|_| may || password.is_some())?, None)
        }
        Command::Own { session, act: Act::End(which) } => (&session.sub, which.clone()),
        Command::Cut { sub, sessions: true } | Command::Delete { sub, .. } => (sub, None),
        _ => return None,
    };
    Some((sub.clone(), which))
}

/// Does it. Where sessions end of which somebody is to hear, and there is no letter: does nothing, and says who.
pub(super) fn end<S: Store>(
    turn: &Turn<'_, S>,
    command: Command,
    (letters, force): (&[Letter], bool),
) -> Result<Reply, Fault> {
    let Some((sub, which)) = ends(&command) else { return AccountShard::perform(turn, command) };
    let heard = heard(turn, &sub, which.as_deref())?;
    let listeners: Vec<_> = heard.iter().flat_map(|(.., row)| row.hearers.iter().cloned()).list();
    let is_written =
        |who: &Listener| letters.iter().any(|letter| letter.sid == who.sid && letter.client == who.client);
    if !force && !listeners.iter().all(is_written) {
        return Ok(Reply::Unheard { command: Box::new(command), sub, listeners });
    }
    let reply = AccountShard::perform(turn, command)?;
    let account = account(turn.store, &sub)?;
    let mut untold: BTreeMap<String, u64> = BTreeMap::new();
    for (table, id, _) in heard {
        let Some(mut row) = read::<Session, S>(turn.store, &table, &sub, &id)? else { continue };
        if account.as_ref().is_some_and(|account| row.stands(account, turn.now)) {
            continue;
        }
        // Nobody hears of it twice.
        let hear = mem::take(&mut row.hearers);
        write(turn.store, &table, &sub, &id, &row)?;
        for who in hear {
            let mut own =
                letters.iter().filter(|letter| letter.sid == who.sid && letter.client == who.client);
            match own.next() {
                // Whoever could not write it has said so, and who is not to hear any more needs none.
                Some(letter) if letter.tokens.is_empty() => {}
                Some(letter) => outbox::owe_letter(turn.store, letter, turn.now)?,
                None => *untold.entry(who.client).or_default() += 1,
            }
        }
    }
    for (client, count) in untold {
        outbox::leave_untold(turn.store, &client, count, turn.now)?;
    }
    Ok(reply)
}

/// The sessions that stand and of whose end somebody is to hear: table, id and row.
fn heard<S: Store>(turn: &Turn<'_, S>, sub: &str, which: Option<&str>) -> Result<Vec<Row>, Fault> {
    let Some(account) = account(turn.store, sub)? else { return Ok(Vec::new()) };
    let mut found = own::sessions(turn, &account)?;
    found.retain(|(_, id, row)| !row.hearers.is_empty() && which.is_none_or(|which| id == which));
    Ok(found)
}
