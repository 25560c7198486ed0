//! Clients that register themselves, their tokens, and when they end.
//!
//! Each has an end, which its use puts off, and a row in one index of ends. What nobody used in time is taken away from
//! there, a few rows an alarm; that it is over is decided before, by the time alone, wherever it is looked at. A client
//! without a grant leaves nothing behind: neither a mark nor a word about its end.

use super::{
    clients::{self, target},
    policy,
    rows::{CLIENTS, next},
};
use crate::{
    crypto::Secret,
    error::Fault,
    host::{FORMAT, Seconds, Store, Timestamp, Turn},
    json::{self, json},
    list::List as _,
    model::{
        client::Client,
        client_document,
        metadata::Metadata,
        patch::Invalid,
        registration::{InitialToken, Registered},
        ticket::Registration,
    },
    objects::{
        audit, outbox,
        protocol::{
            Told,
            registry::{Reply, Wish, client_key},
        },
        read, write,
    },
};
use serde_json::{Map, Value};

/// Registration access tokens, by client.
const REGISTERED: &str = "registered";
/// Initial access tokens.
const INITIAL: &str = "initial";
/// Owner: an instant, in digits that sort; key: what ends then; row: what it is.
const ENDS: &str = "ends";
/// Rows that one alarm takes away.
const PAGE: usize = 100;
/// Ends are not waited for one by one.
const LATE: Seconds = Seconds(60);

/// What ends: the row of the index.
const CLIENT: &str = "client";
/// A client that is unused, and takes one of the places that there are for those, also after it has left early.
const UNUSED: &str = "unused";
const TOKEN: &str = "token";

fn digits(at: Timestamp) -> String {
    format!("{:015}", at.0)
}

fn instant(digits: &str) -> Timestamp {
    Timestamp(digits.parse().unwrap_or_default())
}

/// How many places are taken.
fn unused<S: Store>(store: &S) -> Result<u64, Fault> {
    Ok(read(store, "meta", "", "unused")?.unwrap_or_default())
}

/// A row goes from the index. Its place is free.
fn leave<S: Store>(store: &S, owner: &str, id: &str) -> Result<(), Fault> {
    if store.get(ENDS, owner, id)?.as_deref() == Some(UNUSED) {
        write(store, "meta", "", "unused", &unused(store)?.saturating_sub(1))?;
    }
    store.delete(ENDS, owner, id)
}

/// A client registers itself.
pub(super) fn register<S: Store>(
    turn: &Turn<'_, S>,
    mut client: Client,
    initial: Option<&Registration>,
) -> Result<Reply, Fault> {
    let known = clients::find(turn.store, &client.id)?;
    let row: Option<Registered> = read(turn.store, REGISTERED, &client.id, "")?;
    match (known, row) {
        (Some(known), Some(row)) if known.attempts.is_newest(&turn.attempt) => {
            return Ok(registered(known, Told::default(), &row));
        }
        (None, None) => {}
        // Also where it has ended since: a message that arrives again does not bring it back.
        _ => return Ok(Reply::Taken),
    }
    let settings = policy::current(turn)?.settings;
    let mut token: Option<InitialToken> = None;
    if let Some(Registration { id, proof, .. }) = initial {
        token = read(turn.store, INITIAL, id, "")?;
        if !token.as_ref().is_some_and(|token| token.admits(proof, turn.now)) {
            return Ok(Reply::Unknown);
        }
    }
    // Whoever asked may not have heard yet that it is closed.
    if settings.registration_open == 0 || (token.is_none() && settings.registration_open == 1) {
        return Ok(Reply::Unknown);
    }
    // Whom an administrator let in is not kept out by a crowd of others.
    if token.is_none() && unused(turn.store)? >= settings.registration_most {
        let first = turn.store.scan(ENDS, None, None, 1)?.into_iter().next();
        return Ok(Reply::Full(first.map_or(turn.now, |(owner, ..)| instant(&owner)).plus(LATE)));
    }
    if let Err(invalid) = client.metadata.check_of_itself() {
        return Ok(Reply::Invalid(invalid));
    }
    let ends = turn.now.plus(Seconds(settings.registration_unused));
    (client.expires, client.unused) = (Some(ends), true);
    let reply = clients::create(turn, client, "client.registered")?;
    let Reply::Changed(client, told) = reply else { return Ok(reply) };
    let row = Registered::new(FORMAT, turn.dice);
    write(turn.store, REGISTERED, &client.id, "", &row)?;
    match token {
        Some(token) => {
            let uses = token.uses.saturating_sub(1);
            turn.store.put(ENDS, &digits(ends), &client.id, CLIENT)?;
            write(turn.store, INITIAL, &token.id.clone(), "", &InitialToken { uses, ..token })?;
        }
        None => {
            turn.store.put(ENDS, &digits(ends), &client.id, UNUSED)?;
            write(turn.store, "meta", "", "unused", &(unused(turn.store)? + 1))?;
        }
    }
    Ok(registered(*client, told, &row))
}

fn registered(client: Client, told: Told, row: &Registered) -> Reply {
    let (generation, proof) = row.newest();
    Reply::Registered(Box::new(client), told, generation, proof)
}

/// A client manages itself. An answer with its registration brings the newest token.
pub(super) fn manage<S: Store>(turn: &Turn<'_, S>, token: &Registration, wish: Wish) -> Result<Reply, Fault> {
    let id = token.id.as_str();
    let Some(mut row) = read::<Registered, S>(turn.store, REGISTERED, id, "")? else {
        return Ok(Reply::Unknown);
    };
    let client = clients::find(turn.store, id)?;
    if row.ended.as_ref() == Some(&turn.attempt) {
        let deleted = || Reply::Deleted { id: id.to_owned(), version: 0, told: Told::default() };
        // How far its end has got, where shards hear of that.
        return Ok(match client {
            None => match clients::delete(turn, id, None)? {
                Reply::Unknown => deleted(),
                reply => reply,
            },
            Some(_) => deleted(),
        });
    }
    // One that an administrator made under the same id is not this token's.
    let client = client.filter(|client| client.registered_itself() && client.is_live(turn.now));
    let (Some(client), Some(newer)) = (client, row.admit(token.generation, &token.proof)) else {
        return Ok(Reply::Unknown);
    };
    // What a client says that nobody has allowed anything concerns nobody, and would fill the log.
    let by = turn.by.clone().filter(|_| !client.unused);
    let turn = &Turn { by, attempt: turn.attempt.clone(), ..*turn };
    let (client, told) = match wish {
        Wish::End => return end(turn, &client, row),
        Wish::Read => (client, Told::default()),
        Wish::Replace { said, secret } => {
            if secret.is_some_and(|secret| !client.knows(&secret, turn.now)) {
                return Ok(Reply::Invalid(Invalid::new("client_secret", "is not that of this client")));
            }
            let policy = policy::current(turn)?;
            let amend = |before: &Metadata| before.restated(said.clone(), &policy, turn.now);
            match clients::change(turn, id, None, &amend)? {
                Reply::Changed(client, told) => (*client, told),
                other => return Ok(other),
            }
        }
    };
    if newer {
        write(turn.store, REGISTERED, id, "", &row)?;
    }
    Ok(registered(client, told, &row))
}

/// A client ends itself. Of one that was never used nothing is alive, so nobody need hear of it; its place is free only
/// when its time is over, so that nobody makes room for more by leaving.
fn end<S: Store>(turn: &Turn<'_, S>, client: &Client, mut row: Registered) -> Result<Reply, Fault> {
    let id = client.id.clone();
    let reply = if client.unused {
        take_away(turn.store, &id, turn.now)?;
        audit::note(turn, "client.deleted", target(&id), client.metadata.members(), Map::new())?;
        Reply::Deleted { id: id.clone(), version: 0, told: Told::default() }
    } else {
        clients::delete(turn, &id, None)?
    };
    row.ended = Some(turn.attempt.clone());
    write(turn.store, REGISTERED, &id, "", &row)?;
    Ok(reply)
}

/// Its record goes, here and from the replica.
fn take_away<S: Store>(store: &S, id: &str, now: Timestamp) -> Result<(), Fault> {
    outbox::owe_copy(store, &client_key(id), next(store)?, now)?;
    store.delete(CLIENTS, id, "")
}

/// A client is used: it lives on. The client as it is then; nobody, where it is over or was never there.
pub(super) fn touch<S: Store>(turn: &Turn<'_, S>, id: &str) -> Result<Reply, Fault> {
    let Some(client) = clients::find(turn.store, id)?.filter(|client| client.is_live(turn.now)) else {
        return Ok(Reply::Client(None));
    };
    let policy = policy::current(turn)?;
    let client = match client.slides(&policy, turn.now) {
        Some(until) => live_until(turn.store, Client { unused: false, ..client }, until, turn.now)?,
        None => client,
    };
    Ok(Reply::Client(Some(Box::new(client))))
}

/// A client that is a document, as the registry knows it from now on. One that an administrator registered under its
/// address goes before it.
pub(super) fn adopt<S: Store>(turn: &Turn<'_, S>, client: Client) -> Result<Reply, Fault> {
    let policy = policy::current(turn)?;
    if !policy.settings.documents {
        return Ok(Reply::Client(None));
    }
    let id = client.id.clone();
    match clients::find(turn.store, &id)? {
        Some(known) if !known.registered_itself() => Ok(Reply::Changed(Box::new(known), Told::default())),
        Some(known) if !known.has_expired(turn.now) => {
            let words = client.metadata.own_words();
            let amend = |before: &Metadata| before.restated(words.clone(), &policy, turn.now);
            let reply = clients::change(turn, &id, None, &amend)?;
            let Reply::Changed(client, told) = reply else { return Ok(reply) };
            Ok(match client.slides(&policy, turn.now) {
                Some(until) => {
                    let client = live_until(turn.store, *client, until, turn.now)?;
                    Reply::Changed(Box::new(client), told)
                }
                None => Reply::Changed(client, told),
            })
        }
        known => {
            if let Err(invalid) = client.metadata.check_of_itself() {
                return Ok(Reply::Invalid(invalid));
            }
            if let Some(ended) = known.and_then(|known| known.expires) {
                leave(turn.store, &digits(ended), &id)?;
                turn.store.delete(CLIENTS, &id, "")?;
            }
            let ends = client_document::end(&policy.settings, turn.now);
            let client = Client { expires: Some(ends), unused: false, ..client };
            let reply = clients::create(turn, client, "client.registered")?;
            if matches!(reply, Reply::Changed(..)) {
                turn.store.put(ENDS, &digits(ends), &id, CLIENT)?;
            }
            Ok(reply)
        }
    }
}

fn live_until<S: Store>(
    store: &S,
    before: Client,
    until: Timestamp,
    now: Timestamp,
) -> Result<Client, Fault> {
    let id = before.id.clone();
    if let Some(ends) = before.expires {
        leave(store, &digits(ends), &id)?;
    }
    let client = Client { version: next(store)?, expires: Some(until), ..before };
    store.put(ENDS, &digits(until), &id, CLIENT)?;
    outbox::owe_copy(store, &client_key(&id), client.version, now)?;
    write(store, CLIENTS, &id, "", &client)?;
    Ok(client)
}

/// When something ends.
pub(super) fn due<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
    Ok(store.scan(ENDS, None, None, 1)?.first().map(|(owner, ..)| instant(owner).plus(LATE)))
}

/// Takes away what has ended, as much as one alarm may. What an administrator disabled stays: taken away, a document
/// would be as good as new.
pub(super) fn sweep<S: Store>(store: &S, now: Timestamp) -> Result<(), Fault> {
    for (owner, id, what) in store.scan(ENDS, None, None, PAGE)? {
        let at = instant(&owner);
        if at > now {
            break;
        }
        leave(store, &owner, &id)?;
        if what == TOKEN {
            store.delete(INITIAL, &id, "")?;
            continue;
        }
        match clients::find(store, &id)?.filter(|client| client.expires == Some(at)) {
            Some(client) if !client.metadata.enabled => {
                live_until(store, client, policy::end_of_use(store, now)?, now)?;
                continue;
            }
            Some(_) => take_away(store, &id, now)?,
            None => {}
        }
        store.delete(REGISTERED, &id, "")?;
    }
    Ok(())
}

/// Initial access tokens that were not ended.
pub(super) fn tokens<S: Store>(
    store: &S,
    after: Option<&str>,
    q: Option<&str>,
    limit: usize,
) -> Result<Reply, Fault> {
    let mut found = Vec::new();
    let mut cursor = after.map(str::to_owned);
    loop {
        let behind = cursor.as_deref().map(|after| (after, ""));
        let rows = store.scan(INITIAL, None, behind, PAGE)?;
        let Some((last, ..)) = rows.last() else { return Ok(Reply::InitialTokens(found, false)) };
        cursor = Some(last.clone());
        for (_, _, row) in rows {
            let token: InitialToken = crate::objects::decode(&row)?;
            let asked = q.is_none_or(|q| token.id.contains(q) || token.description.contains(q));
            if token.ended.is_some() || !asked {
                continue;
            }
            if found.len() == limit {
                return Ok(Reply::InitialTokens(found, true));
            }
            found.push(token);
        }
    }
}

/// One, or none.
pub(super) fn token<S: Store>(store: &S, id: &str) -> Result<Reply, Fault> {
    let token: Option<InitialToken> = read(store, INITIAL, id, "")?;
    Ok(Reply::InitialTokens(token.into_iter().filter(|token| token.ended.is_none()).list(), false))
}

/// A new one. By this turn's dice, so a message that arrives again finds it.
pub(super) fn create_token<S: Store>(turn: &Turn<'_, S>, mut token: InitialToken) -> Result<Reply, Fault> {
    if turn.store.get(INITIAL, &token.id, "")?.is_none() {
        // It lives as long as was said, by this object's clock. Who does not say since when is of before.
        if token.issued > Timestamp::default() {
            token.expires = turn.now.plus(token.expires.since(token.issued));
        }
        // A row of a format that nobody knows could not be read again.
        (token.format, token.issued, token.secret) = (FORMAT, turn.now, Secret(turn.dice.to_vec()));
        write(turn.store, INITIAL, &token.id, "", &token)?;
        turn.store.put(ENDS, &digits(token.expires), &token.id, TOKEN)?;
        audit::note(turn, "registration_token.created", target_of(&token.id), Map::new(), told(&token))?;
    }
    self::token(turn.store, &token.id)
}

/// The end of one: nobody registers with it any more. Its row stays until it would have ended.
pub(super) fn delete_token<S: Store>(turn: &Turn<'_, S>, id: &str) -> Result<Reply, Fault> {
    let token: Option<InitialToken> = read(turn.store, INITIAL, id, "")?;
    let Some(token) = token else { return Ok(Reply::Unknown) };
    if let Some(ended) = &token.ended {
        return Ok(if *ended == turn.attempt { Reply::Done } else { Reply::Unknown });
    }
    audit::note(turn, "registration_token.deleted", target_of(id), told(&token), Map::new())?;
    let token = InitialToken { ended: Some(turn.attempt.clone()), ..token };
    write(turn.store, INITIAL, id, "", &token)?;
    Ok(Reply::Done)
}

fn target_of(id: &str) -> String {
    format!("registration-token/{id}")
}

/// What the log has of one.
fn told(token: &InitialToken) -> Map<String, Value> {
    json::object([
        ("description", json!(token.description)),
        ("expires_at", json!(token.expires.seconds())),
        ("uses", json!(token.uses)),
    ])
}
