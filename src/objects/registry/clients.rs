//! Clients: registration, change, and the lists of them.

use super::{
    policy,
    rows::{CLIENTS, GONE, MARKS, next, owe_marks, roster},
    scopes,
};
use crate::{
    error::Fault,
    host::{Attempts, FORMAT, SKEW, Seconds, Store, Timestamp, Turn},
    json::{self, Json},
    model::{
        client::{Client, Hashed},
        mark::{Mark, Standing},
        metadata::Metadata,
        patch::Invalid,
        policy::Policy,
        scope::Scope,
    },
    objects::{
        audit, decode, outbox,
        protocol::{
            Told,
            registry::{Reply, client_key},
        },
        read,
        tally::{self, Security},
        write,
    },
};
use serde_json::Map;

/// One.
pub(super) fn find<S: Store>(store: &S, id: &str) -> Result<Option<Client>, Fault> {
    read(store, CLIENTS, id, "")
}

/// Whether there is one whose id was drawn here.
pub(super) fn any_drawn<S: Store>(store: &S, policy: &Policy) -> Result<bool, Fault> {
    let mut cursor: Option<String> = None;
    loop {
        let rows = store.scan(CLIENTS, None, cursor.as_deref().map(|after| (after, "")), 500)?;
        if rows.iter().any(|(id, ..)| policy.has_generated(id)) {
            return Ok(true);
        }
        match rows.last() {
            Some((last, ..)) => cursor = Some(last.clone()),
            None => return Ok(false),
        }
    }
}

/// In order of their ids.
pub(super) fn list<S: Store>(
    store: &S,
    after: Option<&str>,
    q: Option<&str>,
    limit: usize,
) -> Result<Reply, Fault> {
    // As it stands in a row, so that only rows are read in which it can be.
    let written = q.map(|q| json::write(&q.to_owned()));
    let written = written.as_deref().and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    let mut found = Vec::new();
    let mut cursor = after.map(str::to_owned);
    loop {
        let behind = cursor.as_deref().map(|after| (after, ""));
        let rows = match written {
            Some(text) => store.search(CLIENTS, text, behind, limit.saturating_add(1).max(100))?,
            None => store.scan(CLIENTS, None, behind, limit.saturating_add(1))?,
        };
        let last = rows.last().map(|(id, ..)| id.clone());
        for (_, _, row) in rows {
            let client: Client = decode(&row)?;
            let name = client.metadata.client_name.as_deref().unwrap_or_default();
            if q.is_none_or(|q| client.id.contains(q) || name.contains(q)) {
                if found.len() == limit {
                    return Ok(Reply::Clients(found, true));
                }
                found.push(client);
            }
        }
        match last {
            Some(last) => cursor = Some(last),
            None => return Ok(Reply::Clients(found, false)),
        }
    }
}

/// Clients by their name and version: the pair is one client's. Those that registered themselves are not among them:
/// many people install the same application.
const NAMED: &str = "named";

/// Name and version, where that is a name.
fn called(client: &Client) -> Option<(&str, &str)> {
    let Metadata { client_name, client_version, .. } = &client.metadata;
    let name = client_name.as_deref().filter(|name| !name.is_empty() && !client.registered_itself())?;
    Some((name, client_version.as_deref().unwrap_or_default()))
}

/// Whether no other client is called so.
fn may_be_named<S: Store>(store: &S, client: &Client) -> Result<bool, Fault> {
    let Some((name, version)) = called(client) else { return Ok(true) };
    Ok(read::<String, S>(store, NAMED, name, version)?.is_none_or(|id| id == client.id))
}

/// From now on it is called so, or not any more.
fn name<S: Store>(store: &S, before: Option<&Client>, after: Option<&Client>) -> Result<(), Fault> {
    let (was, is) = (before.and_then(called), after.and_then(called));
    if was == is {
        return Ok(());
    }
    if let (Some((name, version)), Some(client)) = (was, before)
        && read::<String, S>(store, NAMED, name, version)?.as_ref() == Some(&client.id)
    {
        store.delete(NAMED, name, version)?;
    }
    if let (Some((name, version)), Some(client)) = (is, after) {
        write(store, NAMED, name, version, &client.id)?;
    }
    Ok(())
}

/// Whether there may be such a one; nothing is made.
pub(super) fn try_create<S: Store>(turn: &Turn<'_, S>, client: &Client) -> Result<Reply, Fault> {
    if find(turn.store, &client.id)?.is_some() {
        return Ok(Reply::Taken);
    }
    Ok(examine(turn, client)?.unwrap_or(Reply::Done))
}

/// Why there may be no such one.
fn examine<S: Store>(turn: &Turn<'_, S>, client: &Client) -> Result<Option<Reply>, Fault> {
    let policy = policy::current(turn)?;
    if Policy::draws(&client.id) && !policy.has_generated(&client.id) {
        // Of these, ones that we did not draw are dropped unread.
        let why = "has the form of those that this server draws: make it longer or shorter";
        return Ok(Some(Reply::Invalid(Invalid::new("client_id", why))));
    }
    if let Err(invalid) = client.metadata.check(&policy.names(), turn.now) {
        return Ok(Some(Reply::Invalid(invalid)));
    }
    Ok((!may_be_named(turn.store, client)?).then_some(Reply::Named))
}

/// A new one. `action`: as the log has it.
pub(super) fn create<S: Store>(turn: &Turn<'_, S>, mut client: Client, action: &str) -> Result<Reply, Fault> {
    if let Some(known) = find(turn.store, &client.id)? {
        let same = known.attempts.is_newest(&turn.attempt);
        return Ok(if same { Reply::Changed(Box::new(known), Told::default()) } else { Reply::Taken });
    }
    // What was wished of an earlier client of this id is not done to this one.
    let gone: Option<Gone> = read(turn.store, GONE, &client.id, "")?;
    let attempts = gone.map(|gone| gone.attempts).unwrap_or_default();
    if attempts.contain(&turn.attempt) {
        return Err(Fault::new("a message arrived again after others"));
    }
    if let Some(refused) = examine(turn, &client)? {
        return Ok(refused);
    }
    client.format = FORMAT;
    client.version = next(turn.store)?;
    // A registration that was taken over from another server is as old as it was there.
    if client.issued == Timestamp::default() {
        client.issued = turn.now;
    }
    client.changed = turn.now;
    client.attempts = attempts;
    client.attempts.push(&turn.attempt);
    // Shards that hold the end of an earlier client of this id must hear that there is one again.
    let told = match read::<Mark, S>(turn.store, MARKS, "client", &client.id)? {
        Some(_) => Told::none(owe_marks(turn, "client", &client.id, &client.mark())?, false),
        None => Told::default(),
    };
    put(turn, None, &client)?;
    // What nobody has allowed anything says nothing yet that is worth a year of the log.
    let said = if client.unused { Map::new() } else { client.metadata.members() };
    audit::note(turn, action, target(&client.id), Map::new(), said)?;
    Ok(Reply::Changed(Box::new(client), told))
}

pub(super) fn target(id: &str) -> String {
    format!("client/{id}")
}

/// How long a copy may be behind: the replica's, and that of an isolate.
const LAG: Seconds = Seconds(90);

/// The client that a wish is to change, or the answer where that needs no change.
fn open<S: Store>(
    turn: &Turn<'_, S>,
    id: &str,
    expected: Option<u64>,
) -> Result<Result<Client, Reply>, Fault> {
    let Some(before) = find(turn.store, id)? else { return Ok(Err(Reply::Unknown)) };
    if before.attempts.is_newest(&turn.attempt) {
        outbox::hurry(turn.store, &target(id), turn.now)?;
        let of = roster(turn.store, "grants")?.len();
        // What it was before is not known any more.
        return Ok(Err(Reply::Changed(Box::new(before), Told::none(of, true))));
    }
    before.attempts.refuse_late(&turn.attempt)?;
    let outdated = expected.is_some_and(|expected| expected != before.version);
    Ok(if outdated { Err(Reply::Outdated) } else { Ok(before) })
}

/// Whether others, until they know better, go on by the record as it was.
fn lags(before: &Client, now: Timestamp) -> bool {
    let strict = before.metadata.strict && now >= before.changed.plus(LAG);
    before.may_use("client_credentials") && !strict
}

/// What the metadata of one is to be, by what it is.
pub(super) type Amend<'a> = &'a dyn Fn(&Metadata) -> Result<Metadata, Invalid>;

/// Another metadata for one.
pub(super) fn change<S: Store>(
    turn: &Turn<'_, S>,
    id: &str,
    expected: Option<u64>,
    amend: Amend<'_>,
) -> Result<Reply, Fault> {
    let before = match open(turn, id, expected)? {
        Ok(before) => before,
        Err(reply) => return Ok(reply),
    };
    let of = roster(turn.store, "grants")?.len();
    let mark = target(id);
    let lags = lags(&before, turn.now);
    let names = policy::current(turn)?.names();
    let mut known = before.metadata.clone();
    if before.registered_itself() {
        // Such a client holds no scope in the catalogue: what has gone from there has gone from it.
        known.scope = known.scope.common(&names);
    }
    let metadata = match amend(&known) {
        Ok(metadata) => metadata,
        Err(invalid) => return Ok(Reply::Invalid(invalid)),
    };
    if metadata.token_endpoint_auth_method != before.metadata.token_endpoint_auth_method {
        return Ok(Reply::Invalid(Invalid::new("token_endpoint_auth_method", "is fixed at registration")));
    }
    if let Err(invalid) = metadata.check(&names, turn.now) {
        return Ok(Reply::Invalid(invalid));
    }
    if before.registered_itself()
        && let Err(invalid) = metadata.check_of_itself()
    {
        return Ok(Reply::Invalid(invalid));
    }
    // Taking a cut-off back would bring to life what was cut off.
    if metadata.not_before < before.metadata.not_before {
        return Ok(Reply::Invalid(Invalid::new("not_before", "can only move forward")));
    }
    if metadata == before.metadata {
        let mut same = before.clone();
        same.attempts.push(&turn.attempt);
        write(turn.store, CLIENTS, id, "", &same)?;
        outbox::hurry(turn.store, &mark, turn.now)?;
        // Perhaps a repetition of a change that some shards have not heard of yet: those are still owed it.
        return Ok(Reply::Changed(Box::new(before), Told::none(of, lags)));
    }
    let renamed = Client { metadata: metadata.clone(), ..before.clone() };
    if called(&renamed) != called(&before) && !may_be_named(turn.store, &renamed)? {
        return Ok(Reply::Named);
    }
    // Of one that nobody allowed anything nothing was issued that a shard would have to know better about.
    let restricted = before.metadata.is_restricted_by(&metadata) && !before.unused;
    let version = next(turn.store)?;
    let disabled = before.metadata.enabled && !metadata.enabled;
    // What was issued before is inactive until the client is enabled again; what is issued by who has not heard of it must
    // never have been. Clocks are taken by their word there: who is enabled again has all that it had.
    let only_disabled = disabled && Metadata { enabled: false, ..before.metadata.clone() } == metadata;
    let mut client = Client { version, changed: turn.now, metadata, ..before.clone() };
    client.attempts.push(&turn.attempt);
    if !before.metadata.keeps_subjects(&client.metadata) {
        // What comes of what was issued would be of somebody else (OpenID Connect Core §12.2).
        client.min_version = version;
    }
    if restricted {
        let since = if only_disabled { turn.now.plus(SKEW) } else { turn.now };
        client.restrictions.push(version, since);
    }
    if disabled {
        tally::count(turn.store, Security::ClientCut, turn.now)?;
    }
    // Where shards hold a mark already, it must say what is true now: a scope may have been given back.
    let marked: Option<Mark> = read(turn.store, MARKS, "client", id)?;
    let outdated = marked.is_some_and(|mark| Mark { version, ..mark } != client.mark());
    if restricted || outdated {
        owe_marks(turn, "client", id, &client.mark())?;
    } else {
        // What an earlier change owes is part of what this answer shows.
        outbox::hurry(turn.store, &mark, turn.now)?;
    }
    put(turn, Some(&before), &client)?;
    let (was, is) = (before.metadata.members(), client.metadata.members());
    audit::note(turn, "client.changed", mark, was, is)?;
    Ok(Reply::Changed(Box::new(client), Told::none(of, lags)))
}

/// A new secret. The old one is taken for `overlap` more, and one of before until its own end: nobody may have seen the
/// secret between, where its answer was lost. Without an overlap no other is taken.
pub(super) fn rekey<S: Store>(
    turn: &Turn<'_, S>,
    id: &str,
    secret: Hashed,
    overlap: Seconds,
    expected: Option<u64>,
) -> Result<Reply, Fault> {
    let before = match open(turn, id, expected)? {
        Ok(before) => before,
        Err(reply) => return Ok(reply),
    };
    if !before.is_confidential() {
        return Ok(Reply::Invalid(Invalid::new("client_secret", "a public client has none")));
    }
    let mut previous_secrets = before.previous_secrets.clone();
    previous_secrets.extend(before.secret.clone().map(|old| (old, turn.now.plus(overlap))));
    previous_secrets.retain(|(_, until)| overlap > Seconds(0) && turn.now < *until);
    if previous_secrets.len() > Client::OVERLAPPING {
        let why = "must be 0: too many secrets are taken beside the current one";
        return Ok(Reply::Invalid(Invalid::new("overlap_seconds", why)));
    }
    let mut client = Client {
        version: next(turn.store)?,
        changed: turn.now,
        secret: Some(secret),
        previous_secrets,
        ..before.clone()
    };
    client.attempts.push(&turn.attempt);
    // What somebody gets by the old secret from now on, from who has not heard of this, is dead.
    if overlap == Seconds(0) {
        client.restrictions.push(client.version, turn.now);
    }
    let of = owe_marks(turn, "client", id, &client.mark())?;
    put(turn, Some(&before), &client)?;
    audit::note(turn, "client.rekeyed", target(id), Map::new(), overlapping(overlap))?;
    Ok(Reply::Changed(Box::new(client), Told::none(of, lags(&before, turn.now))))
}

fn overlapping(overlap: Seconds) -> Map<String, serde_json::Value> {
    crate::json::object([("overlap_seconds", overlap.0.into())])
}

/// Ends everything that was issued to one until now.
pub(super) fn cut<S: Store>(turn: &Turn<'_, S>, id: &str) -> Result<Reply, Fault> {
    let before = match open(turn, id, None)? {
        Ok(before) => before,
        Err(reply) => return Ok(reply),
    };
    let version = next(turn.store)?;
    let mut client = Client { version, min_version: version, changed: turn.now, ..before.clone() };
    client.attempts.push(&turn.attempt);
    client.restrictions.push(version, turn.now);
    tally::count(turn.store, Security::ClientCut, turn.now)?;
    let of = owe_marks(turn, "client", id, &client.mark())?;
    put(turn, Some(&before), &client)?;
    audit::note(turn, "client.cut", target(id), Map::new(), Map::new())?;
    Ok(Reply::Changed(Box::new(client), Told::none(of, lags(&before, turn.now))))
}

/// What is left of one that was deleted.
#[derive(Json)]
struct Gone {
    /// The version of its mark.
    version: u64,
    /// The wishes that last changed it; the newest ended it.
    attempts: Attempts,
}

/// Its end, and that of everything that was issued to it.
pub(super) fn delete<S: Store>(turn: &Turn<'_, S>, id: &str, expected: Option<u64>) -> Result<Reply, Fault> {
    let of = roster(turn.store, "grants")?.len();
    let deleted = |version| Reply::Deleted { id: id.to_owned(), version, told: Told::none(of, true) };
    let Some(before) = find(turn.store, id)? else {
        let gone: Option<Gone> = read(turn.store, GONE, id, "")?;
        // This wish again; or another, of somebody who was told that not every shard holds it yet.
        let Some(Gone { version, attempts }) = gone else { return Ok(Reply::Unknown) };
        let owed = outbox::owed(turn.store, &target(id), version)? > 0;
        let again = attempts.is_newest(&turn.attempt);
        return Ok(if again || owed { deleted(version) } else { Reply::Unknown });
    };
    before.attempts.refuse_late(&turn.attempt)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Reply::Outdated);
    }
    let version = next(turn.store)?;
    name(turn.store, Some(&before), None)?;
    tally::count(turn.store, Security::ClientCut, turn.now)?;
    let mark = Mark { version, min_version: version, standing: Standing::Disabled, ..before.mark() };
    owe_marks(turn, "client", id, &mark)?;
    scopes::link(turn.store, id, Some(&before.metadata.scope), &Scope::default())?;
    outbox::owe_copy(turn.store, &client_key(id), version, turn.now)?;
    let mut attempts = before.attempts.clone();
    attempts.push(&turn.attempt);
    write(turn.store, GONE, id, "", &Gone { version, attempts })?;
    turn.store.delete(CLIENTS, id, "")?;
    audit::note(turn, "client.deleted", target(id), before.metadata.members(), Map::new())?;
    Ok(deleted(version))
}

/// Writes one, with all that follows from it: its copy, and the links from its scopes. One that registered itself has no
/// links: strangers neither fill the registry with these, nor hold a scope in the catalogue.
pub(super) fn put<S: Store>(
    turn: &Turn<'_, S>,
    before: Option<&Client>,
    client: &Client,
) -> Result<(), Fault> {
    if !client.registered_itself() {
        let had = before.map(|before| &before.metadata.scope);
        scopes::link(turn.store, &client.id, had, &client.metadata.scope)?;
    }
    name(turn.store, before, Some(client))?;
    outbox::owe_copy(turn.store, &client_key(&client.id), client.version, turn.now)?;
    write(turn.store, CLIENTS, &client.id, "", client)
}
