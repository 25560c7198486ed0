//! The policy: settings and scopes in one record.

use super::rows::{next, owe_marks, roster};
use crate::{
    crypto::Secret,
    error::{Fault, quotable},
    host::{FORMAT, Store, Turn},
    model::{mark::Mark, patch::Invalid, policy::Policy},
    objects::{
        outbox,
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
    for (key, value) in patch {
        if let Err(why) = settings.set(key, value) {
            return Ok(Reply::Invalid(Invalid::new(&quotable(key), why)));
        }
    }
    if settings == before.settings {
        remember(turn, before.clone())?;
        outbox::hurry(turn.store, "policy/", turn.now)?;
        return Ok(Reply::PolicyChanged(Box::new(before), Told::none(of, true)));
    }
    let version = next(turn.store)?;
    let mut policy = Policy { version, settings_version: version, settings, changed: turn.now, ..before };
    policy.attempts.push(&turn.attempt);
    let mark = Mark { version, ..Mark::default() };
    let of = owe_marks(turn, "policy", "", &mark)?;
    put(turn, &policy)?;
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
