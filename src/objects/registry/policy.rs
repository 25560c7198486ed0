//! The policy: settings and scopes in one record.

use super::{
    clients,
    rows::{next, owe_marks, roster},
};
use crate::{
    crypto::{self, Secret},
    error::{Fault, quotable},
    host::{FORMAT, Seconds, Store, Timestamp, Turn},
    model::{
        mark::Mark,
        patch::Invalid,
        policy::{FILTER, Policy},
    },
    objects::{
        audit, outbox,
        protocol::{
            Told,
            registry::{POLICY_KEY, Reply},
        },
        read, write,
    },
};
use serde_json::{Map, Value};

/// Settings and scopes; made at the first question.
pub(super) fn current<S: Store>(turn: &Turn<'_, S>) -> Result<Policy, Fault> {
    if let Some(policy) = read(turn.store, "policy", "", "")? {
        return Ok(policy);
    }
    let version = next(turn.store)?;
    let filter = Secret(turn.dice.to_vec());
    let policy = Policy { format: FORMAT, version, changed: turn.now, filter, ..Policy::default() };
    put(turn, &policy)?;
    Ok(policy)
}

/// How long changes stay in the log.
pub(super) fn retention<S: Store>(store: &S) -> Result<Seconds, Fault> {
    let policy: Option<Policy> = read(store, "policy", "", "")?;
    Ok(Seconds(policy.unwrap_or_default().settings.audit_retention.saturating_mul(86_400)))
}

/// When a client ends that registered itself and is used now.
pub(super) fn end_of_use<S: Store>(store: &S, now: Timestamp) -> Result<Timestamp, Fault> {
    let policy: Option<Policy> = read(store, "policy", "", "")?;
    Ok(now.plus(Seconds(policy.unwrap_or_default().settings.registration_used)))
}

/// RFC 7396 over the settings.
pub(super) fn change<S: Store>(
    turn: &Turn<'_, S>,
    patch: &Map<String, Value>,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let before = current(turn)?;
    let of = roster(turn.store, "grants")?.len();
    if before.attempts.is_newest(&turn.attempt) {
        outbox::hurry(turn.store, "policy/", turn.now)?;
        return Ok(Reply::PolicyChanged(Box::new(before), Told::none(of, true)));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != before.settings_version) {
        return Ok(Reply::Outdated);
    }
    let mut settings = before.settings.clone();
    let mut filter = before.filter.clone();
    for (key, value) in patch {
        if key == FILTER {
            let read = value.as_str().and_then(crypto::bytes).filter(|bytes| bytes.len() == 32);
            let Some(read) = read else {
                return Ok(Reply::Invalid(Invalid::new(FILTER, "is not what an export has")));
            };
            filter = Secret(read);
            continue;
        }
        if let Err(why) = settings.set(key, value) {
            return Ok(Reply::Invalid(Invalid::new(&quotable(key), why)));
        }
    }
    if filter != before.filter && clients::any_drawn(turn.store, &before)? {
        let why = "cannot change once client ids have been drawn here";
        return Ok(Reply::Invalid(Invalid::new(FILTER, why)));
    }
    if settings == before.settings && filter == before.filter {
        remember(turn, before.clone())?;
        outbox::hurry(turn.store, "policy/", turn.now)?;
        return Ok(Reply::PolicyChanged(Box::new(before), Told::none(of, true)));
    }
    let version = next(turn.store)?;
    let was = before.settings.to_json();
    let mut policy =
        Policy { version, settings_version: version, settings, filter, changed: turn.now, ..before };
    policy.attempts.push(&turn.attempt);
    let mark = Mark { version, rules: Some(policy.settings.rules()), ..Mark::default() };
    let of = owe_marks(turn, "policy", "", &mark)?;
    put(turn, &policy)?;
    audit::note(turn, "settings.changed", "settings".to_owned(), was, policy.settings.to_json())?;
    Ok(Reply::PolicyChanged(Box::new(policy), Told::none(of, true)))
}

/// That a wish changed nothing: it must not change something when it arrives again.
pub(super) fn remember<S: Store>(turn: &Turn<'_, S>, mut policy: Policy) -> Result<(), Fault> {
    policy.attempts.push(&turn.attempt);
    write(turn.store, "policy", "", "", &policy)
}

/// Writes it, and owes its copy.
pub(super) fn put<S: Store>(turn: &Turn<'_, S>, policy: &Policy) -> Result<(), Fault> {
    outbox::owe_copy(turn.store, POLICY_KEY, policy.version, turn.now)?;
    write(turn.store, "policy", "", "", policy)
}
