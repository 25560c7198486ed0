//! The exceptions that a shard knows beside its grants: marks, access tokens that were revoked, and what a person withdrew.

use super::super::{protocol::grant_shard::Filter, read, write};
use crate::{
    error::Fault,
    host::{Seconds, Store, Turn},
    model::{
        grant::Offer,
        mark::{Mark, Marks},
        place::Table,
        ticket::Claims,
    },
};

const MARKS: &str = "marks";

pub(super) fn marks<S: Store>(
    store: &S,
    caller: Option<&str>,
    client: Option<&str>,
    person: Option<&str>,
) -> Result<Marks, Fault> {
    let of = |kind: &str, id: Option<&str>| match id {
        Some(id) => read::<Mark, S>(store, MARKS, kind, id),
        None => Ok(None),
    };
    let caller_mark = of("client", caller)?;
    let client_mark = if client == caller { caller_mark.clone() } else { of("client", client)? };
    let policy = of("policy", Some(""))?;
    Ok(Marks {
        caller: caller_mark,
        client: client_mark,
        person: of("person", person)?,
        policy: policy.as_ref().map_or(0, |mark| mark.version),
        rules: policy.and_then(|mark| mark.rules).unwrap_or_default(),
        token_revoked: false,
    })
}

/// Keeps a mark unless a newer one is kept: they may arrive twice or out of order.
pub(super) fn keep<S: Store>(store: &S, id: &str, mark: &Mark) -> Result<(), Fault> {
    let (kind, id) = id.split_once('/').ok_or_else(|| Fault::new("a mark without a kind"))?;
    let kept: Option<Mark> = read(store, MARKS, kind, id)?;
    if kept.as_ref().is_some_and(|kept| kept.version >= mark.version) {
        return Ok(());
    }
    if mark.rules.is_some() && kept.is_none_or(|kept| kept.rules != mark.rules) {
        // Perhaps sooner than was planned by the old ones.
        store.delete("meta", "", "sweep")?;
    }
    write(store, MARKS, kind, id, mark)
}

pub(super) fn mark_revoked<S: Store>(store: &S, claims: &Claims) -> Result<(), Fault> {
    write(store, &Table::daily(claims.expires).name("revoked"), "", &claims.id, &true)
}

pub(super) fn is_revoked<S: Store>(store: &S, claims: &Claims) -> Result<bool, Fault> {
    Ok(store.get(&Table::daily(claims.expires).name("revoked"), "", &claims.id)?.is_some())
}

const WITHDRAWN: &str = "withdrawn";
/// What was allowed is made a grant much sooner.
const UNDERWAY: Seconds = Seconds(3600);

/// The person has withdrawn what they allowed a client before they had done so this often.
pub(super) fn mark_withdrawn<S: Store>(turn: &Turn<'_, S>, filter: &Filter, often: u64) -> Result<(), Fault> {
    let (Some(sub), Some(client)) = (&filter.sub, &filter.client_id) else { return Ok(()) };
    let table = Table::daily(turn.now.plus(UNDERWAY)).name(WITHDRAWN);
    let known: Option<u64> = read(turn.store, &table, sub, client)?;
    // Messages may overtake each other.
    if known.is_some_and(|known| known >= often) {
        return Ok(());
    }
    write(turn.store, &table, sub, client, &often)
}

pub(super) fn is_withdrawn<S: Store>(turn: &Turn<'_, S>, offer: &Offer) -> Result<bool, Fault> {
    let (now, then) = (Table::daily(turn.now), Table::daily(turn.now.plus(UNDERWAY)));
    for table in [Some(now).filter(|now| *now != then), Some(then)].into_iter().flatten() {
        let often: Option<u64> =
            read(turn.store, &table.name(WITHDRAWN), &offer.person.sub, &offer.client.id)?;
        if often.is_some_and(|often| offer.person.withdrawals < often) {
            return Ok(true);
        }
    }
    Ok(false)
}
