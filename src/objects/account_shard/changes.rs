//! What administrators do to accounts.

use super::{ACCOUNTS, GONE, Gone, NAMES, account, own};
use crate::{
    error::Fault,
    host::{Attempts, FORMAT, Store, Turn},
    model::{account::Account, mark::Mark, patch::Invalid},
    objects::{
        audit, outbox,
        protocol::{Told, account_shard::Reply},
        read, write,
    },
};
use serde_json::{Map, Value};

/// A new one.
pub(super) fn create<S: Store>(turn: &Turn<'_, S>, mut new: Account) -> Result<Reply, Fault> {
    if let Some(sub) = read::<String, S>(turn.store, NAMES, &new.username, "")? {
        let known = account(turn.store, &sub)?.filter(|known| known.attempts.is_newest(&turn.attempt));
        return Ok(match known {
            Some(known) => Reply::Account(Box::new(known), Told::default()),
            None => Reply::Taken,
        });
    }
    // A subject id is never used again, whether an export brings it or a message of before.
    let used = account(turn.store, &new.sub)?.is_some() || turn.store.get(GONE, &new.sub, "")?.is_some();
    if used {
        return Ok(Reply::Invalid(Invalid::new("sub", "is, or was, somebody else's")));
    }
    new.format = FORMAT;
    new.version = 1;
    new.changed = turn.now;
    new.attempts = Attempts::of(&turn.attempt);
    // The account first: a name must not lead nowhere.
    write(turn.store, ACCOUNTS, &new.sub, "", &new)?;
    write(turn.store, NAMES, &new.username, "", &new.sub)?;
    audit::owe(turn, "user.created", target(&new), Map::new(), new.members())?;
    Ok(Reply::Account(Box::new(new), Told::default()))
}

/// RFC 7396 over one; `whole`: all that it is from now on.
pub(super) fn change<S: Store>(
    turn: &Turn<'_, S>,
    sub: &str,
    (patch, whole): (Map<String, Value>, bool),
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
    let amended = if whole { before.replace(patch, turn.now) } else { before.amend(patch, turn.now) };
    let mut after = match amended {
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
    let mut told_of = after.members();
    if let Some(hash) = password {
        after.password = hash;
        // That there is a new one, and nothing of it.
        told_of.insert("password".to_owned(), Value::from("changed"));
    }
    put(turn, &after)?;
    audit::owe(turn, "user.changed", target(&after), before.members(), told_of)?;
    Ok(Reply::Account(Box::new(after), told))
}

/// Writes one, and owes its mark to every shard that can hold a grant of it.
fn put<S: Store>(turn: &Turn<'_, S>, account: &Account) -> Result<(), Fault> {
    for shard in &account.shards {
        outbox::owe_mark(turn.store, shard, &mark(&account.sub), account.version, turn.now)?;
    }
    write(turn.store, ACCOUNTS, &account.sub, "", account)
}

fn target(account: &Account) -> String {
    format!("user/{}", account.username)
}

fn mark(sub: &str) -> String {
    format!("person/{sub}")
}

/// Ends every grant that the person gave, and their sessions only if that is wished.
pub(super) fn cut<S: Store>(turn: &Turn<'_, S>, sub: &str, sessions: bool) -> Result<Reply, Fault> {
    let Some(before) = account(turn.store, sub)? else { return Ok(Reply::Unknown) };
    let told = Told::none(before.shards.len(), false);
    if before.attempts.is_newest(&turn.attempt) {
        outbox::hurry(turn.store, &mark(sub), turn.now)?;
        return Ok(Reply::Account(Box::new(before), told));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    let version = before.version + 1;
    let min_version = if sessions { version } else { before.min_version };
    let mut after = Account { version, min_version, min_grants: version, changed: turn.now, ..before };
    after.attempts.push(&turn.attempt);
    put(turn, &after)?;
    let action = if sessions { "user.signed_out" } else { "user.cut" };
    audit::owe(turn, action, target(&after), Map::new(), Map::new())?;
    Ok(Reply::Account(Box::new(after), told))
}

/// The end of an account, of its sessions and of every grant. Nothing of the person is left but the subject id.
pub(super) fn delete<S: Store>(turn: &Turn<'_, S>, sub: &str, expected: Option<u64>) -> Result<Reply, Fault> {
    let Some(before) = account(turn.store, sub)? else {
        let gone: Option<Gone> = read(turn.store, GONE, sub, "")?;
        let Some(gone) = gone.filter(|gone| gone.attempt == turn.attempt) else { return Ok(Reply::Unknown) };
        let version = gone.mark.version;
        // Of how many is not known any more; to how many it is owed still is.
        let told = Told::none(outbox::owed(turn.store, &mark(sub), version)?, false);
        return Ok(Reply::Deleted { sub: sub.to_owned(), version, told });
    };
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Reply::Outdated);
    }
    let version = before.version + 1;
    let ended = Account { version, min_version: version, enabled: false, ..before.clone() };
    for shard in &ended.shards {
        outbox::owe_mark(turn.store, shard, &mark(sub), version, turn.now)?;
    }
    let gone = Gone { mark: Mark { groups: None, ..ended.mark() }, attempt: turn.attempt.clone() };
    write(turn.store, GONE, sub, "", &gone)?;
    own::forget(turn.store, sub)?;
    turn.store.delete(NAMES, &before.username, "")?;
    turn.store.delete(ACCOUNTS, sub, "")?;
    // The log keeps the name, and not what was known of the person.
    audit::owe(turn, "user.deleted", target(&before), Map::new(), Map::new())?;
    let told = Told::none(before.shards.len(), false);
    Ok(Reply::Deleted { sub: sub.to_owned(), version, told })
}
