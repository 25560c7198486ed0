//! A shard of grants: rows in tables of their end, marks beside them, one alarm that drops tables.

mod exceptions;

use self::exceptions::{is_revoked, is_withdrawn, keep, mark_revoked, mark_withdrawn, marks};
use super::{
    audit, drop_ended, first_end, outbox,
    protocol::{
        grant_shard::{Command, Filter, GrantShard, Listed, Reply, Wish},
        registry,
    },
    read,
    tally::{self, Security},
    write,
};
use crate::{
    error::Fault,
    host::{self, Host, Object, Seconds, Store, Timestamp, Turn},
    json,
    model::{
        grant::{self, Grant, Instant, Refusal, Reply as GrantReply, State},
        mark::{ClientRef, Mark, Marks, Rules, Standing},
        place::{Address, Shard, Table},
        ticket::{Claims, Subject},
    },
};
use serde_json::{Map, Value};

/// Rows looked at in one turn of a listing or of the sweep of what never ends.
const PAGE: usize = 5000;
/// How often rows without an end are swept.
const SWEEP: Seconds = Seconds(86_400);
/// And where there is more to look at.
const SOON: Seconds = Seconds(60);
/// No access token lives longer, also one that was given again in the longest grace.
const LONGEST: Seconds = Seconds(31_536_000 + 60);

impl Object for GrantShard {
    /// An empty shard joins the roster and receives the live marks before anything else is asked of it.
    async fn prepare<H: Host, S: Store>(
        host: &H,
        store: &S,
        name: &str,
        command: &Command,
    ) -> Result<(), Fault> {
        if matches!(command, Command::Mark { .. } | Command::Health)
            || store.get("meta", "", "joined")?.is_some()
        {
            return Ok(());
        }
        let join = registry::Command::Join { shard: name.to_owned() };
        let registry::Reply::Marks(marks) =
            *host::ask::<registry::Registry, H>(host, registry::NAME, join, None).await?
        else {
            return Err(Fault::new("the registry did not let this shard join"));
        };
        for (id, mark) in marks {
            keep(store, &id, &mark)?;
        }
        write(store, "meta", "", "joined", &true)?;
        write(store, "meta", "", "name", &name.to_owned())
    }

    fn handle<S: Store>(turn: &Turn<'_, S>, command: Command) -> Result<Reply, Fault> {
        match command {
            Command::Grant { table, owner, key, policy, command } => {
                one(turn, &table.name("grants"), &owner, &key, policy, command).map(Reply::Grant)
            }
            Command::Token { claims, policy, caller, wish } => token(turn, &claims, policy, &caller, wish),
            Command::Check { client, policy } => {
                let marks = marks(turn.store, Some(&client.id), None, None)?;
                let stale = marks.are_newer_than(&client, policy);
                Ok(if stale { Reply::Grant(GrantReply::Stale) } else { Reply::Good })
            }
            Command::Health => {
                Ok(Reply::Health(super::health(turn.store, Self::wake(turn.store)?, turn.now)?))
            }
            Command::Mark { id, mark } => keep(turn.store, &id, &mark).map(|()| Reply::Acknowledged),
            Command::Remove { limit } => remove(turn, limit),
            Command::End { filter, after, before } => {
                if let Some(often) = before {
                    mark_withdrawn(turn, &filter, often)?;
                }
                end(turn, &filter, after.as_deref())
            }
            Command::List { filter, after, limit } => {
                let (found, next) = find(turn.store, &filter, after.as_deref(), limit)?;
                let mut listed = Vec::new();
                for (address, grant) in found {
                    // What a mark has ended is not written into each row.
                    let marks = marks(turn.store, None, Some(&grant.client.id), Some(&grant.person.sub))?;
                    if grant.is_spared(&marks.lenient()) {
                        listed.push(grant.listed(address.to_string()));
                    }
                }
                Ok(Reply::Listed(listed, next))
            }
        }
    }

    async fn follow<H: Host, S: Store>(host: &H, store: &S, reply: Reply) -> Result<Reply, Fault> {
        if matches!(reply, Reply::Grant(GrantReply::Revoked(_)) | Reply::Ended(_)) {
            outbox::flush(host, store, &Self).await?;
        }
        Ok(reply)
    }

    fn wake<S: Store>(store: &S) -> Result<Option<Timestamp>, Fault> {
        let lasting = store.tables()?.iter().any(|name| name == &Table::Never.name("grants"));
        let sweep: Timestamp = read(store, "meta", "", "sweep")?.unwrap_or_default();
        let owed = outbox::due(store)?;
        Ok(first_end(store)?.into_iter().chain(lasting.then_some(sweep)).chain(owed).min())
    }

    async fn sweep<H: Host, S: Store>(host: &H, store: &S, now: Timestamp) -> Result<(), Fault> {
        drop_ended(store, now)?;
        sweep_lasting(store, now)?;
        outbox::flush(host, store, &Self).await
    }
}

/// It is nobody's truth: all that it owes are notes.
impl<S: Store> outbox::Truth<S> for GrantShard {
    fn copy(&self, _: &S, _: &str) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    fn mark(&self, _: &S, _: &str) -> Result<Option<Mark>, Fault> {
        Ok(None)
    }
}

/// One command to one row: read, decide, write if it changed. Nothing that can fail follows the write.
fn one<S: Store>(
    turn: &Turn<'_, S>,
    table: &str,
    owner: &str,
    key: &str,
    policy: u64,
    command: grant::Command,
) -> Result<GrantReply, Fault> {
    let before = turn.store.get(table, owner, key)?;
    let mut row: Option<Grant> = before.as_deref().map(super::decode).transpose()?;
    if let Some(grant) = &row {
        grant.attempts.refuse_late(&turn.attempt)?;
    }
    let (caller, claims) = match &command {
        grant::Command::Offer(offer) | grant::Command::Give { offer, .. } => (Some(&offer.client.id), None),
        grant::Command::Redeem { client, .. } | grant::Command::Refresh { client, .. } => {
            (Some(&client.id), None)
        }
        grant::Command::Inspect { caller, token, .. } => (Some(&caller.id), token.claims()),
        grant::Command::Withdraw => (None, None),
        grant::Command::Revoke { by } => {
            (by.as_ref().map(|(client, ..)| &client.id), by.as_ref().and_then(|(_, token, _)| token.claims()))
        }
    };
    if let grant::Command::Offer(offer) | grant::Command::Give { offer, .. } = &command
        && is_withdrawn(turn, offer)?
    {
        return Ok(GrantReply::Refused(Refusal::CutOff));
    }
    let client = row.as_ref().map(|grant| grant.client.id.as_str());
    let person = match (&row, &command) {
        (Some(grant), _) => Some(grant.person.sub.as_str()),
        (None, grant::Command::Offer(offer) | grant::Command::Give { offer, .. }) => {
            Some(offer.person.sub.as_str())
        }
        _ => None,
    };
    let mut marks = marks(turn.store, caller.map(String::as_str), client, person)?;
    let claims = claims.cloned();
    // What this server itself is asked for is decided by what an administrator said, whatever others may go on with.
    if matches!(&command, grant::Command::Inspect { caller, .. } if !caller.is_ours()) {
        marks = marks.lenient();
    }
    marks.token_revoked = claims.as_ref().map_or(Ok(false), |claims| is_revoked(turn.store, claims))?;
    let at = Instant { now: turn.now, attempt: turn.attempt.clone(), dice: turn.dice, policy };
    let noted = matches!(command, grant::Command::Revoke { by: None }) && row.is_some();
    let reply = grant::handle(&mut row, &marks, command, &at);
    if let (GrantReply::Revoked(true), Some(claims)) = (&reply, &claims) {
        mark_revoked(turn.store, claims)?;
    }
    let after = row.as_ref().map(|row| json::write(row));
    if let Some(text) = after.filter(|text| before.as_ref() != Some(text)) {
        if matches!(reply, GrantReply::Refused(Refusal::Replayed)) {
            tally::count(turn.store, Security::ReuseDetected, turn.now)?;
        }
        turn.store.put(table, owner, key, &text)?;
        if noted {
            let shard: String = read(turn.store, "meta", "", "name")?.unwrap_or_default();
            // As an address is written.
            let target = format!("grant/{shard}.{table}.{key}.{owner}");
            audit::owe(turn, "grant.ended", target, Map::new(), Map::new())?;
        }
    }
    Ok(reply)
}

/// An access token without a grant: the seal has proved it, only its exceptions are kept here.
fn token<S: Store>(
    turn: &Turn<'_, S>,
    claims: &Claims,
    policy: u64,
    caller: &ClientRef,
    wish: Wish,
) -> Result<Reply, Fault> {
    let Subject::Client { client, incarnation, .. } = &claims.subject else {
        return Err(Fault::new("a grant's token was asked about as a client's"));
    };
    let marks = marks(turn.store, Some(&caller.id), Some(client), None)?;
    if marks.are_newer_than(caller, policy) {
        return Ok(Reply::Grant(GrantReply::Stale));
    }
    let marks = if caller.is_ours() { marks } else { marks.lenient() };
    let own = caller.id == *client && caller.incarnation == *incarnation;
    if wish == Wish::Revoke {
        if !own && !caller.is_ours() {
            return Ok(Reply::Grant(GrantReply::Foreign));
        }
        if turn.now >= claims.expires {
            return Ok(Reply::Grant(GrantReply::Inactive));
        }
        mark_revoked(turn.store, claims)?;
        return Ok(Reply::Grant(GrantReply::Revoked(true)));
    }
    let spared = marks.client.as_ref().is_none_or(|mark| mark.spares_own(claims));
    let scope = match marks.client.as_ref().and_then(|mark| mark.scope.as_ref()) {
        Some(allowed) => claims.scope.common(allowed),
        None => claims.scope.clone(),
    };
    let asked = own || wish == Wish::Inspect(true);
    let emptied = scope.is_empty() && !claims.scope.is_empty();
    if !asked || !spared || emptied || turn.now >= claims.expires || is_revoked(turn.store, claims)? {
        return Ok(Reply::Grant(GrantReply::Inactive));
    }
    Ok(Reply::Grant(GrantReply::Active(Box::new(grant::Active {
        openid: None,
        scope,
        client_id: client.clone(),
        person: None,
        issued: claims.issued,
        expires: claims.ends(),
    }))))
}

/// Where a row is, and what is in it.
type Found = (Address, Grant);

/// Grants that fit, in order of their addresses, and where to go on.
fn find<S: Store>(
    store: &S,
    filter: &Filter,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Found>, Option<String>), Fault> {
    let name: String = read(store, "meta", "", "name")?.unwrap_or_default();
    let Some(shard) = Shard::parse(&name) else { return Ok((Vec::new(), None)) };
    let only = match filter.address.as_deref().map(Address::parse) {
        Some(None) => return Ok((Vec::new(), None)),
        only => only.flatten(),
    };
    let after = after.and_then(Address::parse);
    let mut tables: Vec<(String, Table)> = Vec::new();
    for name in store.tables()? {
        if let Some((sort, table)) = Table::parse(&name)
            && sort == "grants"
            && only.as_ref().is_none_or(|only| only.table == table)
            && after.as_ref().is_none_or(|after| name >= after.table.name("grants"))
        {
            tables.push((name, table));
        }
    }
    let owner = filter.sub.as_deref().or(only.as_ref().map(|only| only.owner.as_str()));
    let mut found = Vec::new();
    let mut looked = 0;
    for (name, table) in tables {
        let behind = after.as_ref().filter(|after| after.table == table);
        let behind = behind.map(|after| (after.owner.as_str(), after.key.as_str()));
        for (owner, key, text) in store.scan(&name, owner, behind, PAGE)? {
            looked += 1;
            let grant: Grant = super::decode(&text)?;
            let address = Address { shard, table, owner, key };
            let id = address.to_string();
            let wanted = filter.client_id.as_ref().is_none_or(|client| *client == grant.client.id)
                && filter.scope.as_ref().is_none_or(|scope| grant.scope.contains(scope))
                && filter.address.as_ref().is_none_or(|address| *address == id)
                && filter.q.as_ref().is_none_or(|q| grant.says(q));
            if wanted {
                found.push((address, grant));
            }
            if found.len() >= limit || looked >= PAGE {
                return Ok((found, Some(id)));
            }
        }
    }
    Ok((found, None))
}

/// Ends what fits and has not ended.
fn end<S: Store>(turn: &Turn<'_, S>, filter: &Filter, after: Option<&str>) -> Result<Reply, Fault> {
    let (found, next) = find(turn.store, filter, after, usize::MAX)?;
    let at = Instant { now: turn.now, attempt: turn.attempt.clone(), dice: turn.dice, policy: 0 };
    let mut ended = 0_usize;
    for (address, grant) in found {
        if matches!(grant.state, State::Ended { .. }) {
            continue;
        }
        let mut row = Some(grant);
        grant::handle(&mut row, &Marks::default(), grant::Command::Revoke { by: None }, &at);
        if let Some(grant) = row {
            write(turn.store, &address.table.name("grants"), &address.owner, &address.key, &grant)?;
            ended += 1;
        }
    }
    if ended > 0 {
        let client = filter.client_id.as_ref().map(|id| format!("client/{id}"));
        let target =
            filter.scope.as_ref().map(|scope| format!("scope/{scope}")).or(client).unwrap_or_default();
        let count = json::object([("ended", Value::from(ended))]);
        audit::owe(turn, "grants.ended", target, Map::new(), count)?;
    }
    Ok(Reply::Ended(next))
}

/// Rows without an end are deleted once nothing of them can be alive: a page of them an alarm, with a cursor.
fn sweep_lasting<S: Store>(store: &S, now: Timestamp) -> Result<(), Fault> {
    let table = Table::Never.name("grants");
    let due: Timestamp = read(store, "meta", "", "sweep")?.unwrap_or_default();
    if now < due || !store.tables()?.contains(&table) {
        return Ok(());
    }
    let cursor: Option<(String, String)> = read(store, "meta", "", "cursor")?;
    let behind = cursor.as_ref().map(|(owner, key)| (owner.as_str(), key.as_str()));
    let Rules { removal_interval, removal_batch, .. } = marks(store, None, None, None)?.rules;
    let batch = usize::try_from(removal_batch).unwrap_or(PAGE);
    let rows = store.scan(&table, None, behind, batch)?;
    let last =
        rows.last().filter(|_| rows.len() == batch).map(|(owner, key, _)| (owner.clone(), key.clone()));
    for (owner, key, text) in rows {
        let grant: Grant = super::decode(&text)?;
        if grant.is_dead(now) || is_cut(store, &grant, now)? {
            store.delete(&table, &owner, &key)?;
        }
    }
    let next = match last {
        Some(last) => {
            write(store, "meta", "", "cursor", &last)?;
            SOON
        }
        None => {
            store.delete("meta", "", "cursor")?;
            removal_interval
        }
    };
    write(store, "meta", "", "sweep", &now.plus(next))
}

/// Whether a mark has ended it for good, and nobody repeats anything of it any more.
fn is_cut<S: Store>(store: &S, grant: &Grant, now: Timestamp) -> Result<bool, Fault> {
    if now <= grant.changed.plus(SWEEP) {
        return Ok(false);
    }
    let mut marks = marks(store, None, Some(&grant.client.id), Some(&grant.person.sub))?;
    // What is disabled can be enabled again.
    for mark in [&mut marks.client, &mut marks.person].into_iter().flatten() {
        mark.standing = Standing::Enabled;
    }
    Ok(!grant.is_spared(&marks))
}

/// Deletes rows of which nothing can be alive, in whatever table they are, until so many are gone: as many as one turn
/// looks at. The next goes on where this one ended.
fn remove<S: Store>(turn: &Turn<'_, S>, limit: u64) -> Result<Reply, Fault> {
    let store = turn.store;
    let cursor: Option<(String, String, String)> = read(store, "meta", "", "removal")?;
    let mut cursor = cursor;
    let (mut removed, mut looked) = (0, 0);
    for name in store.tables()? {
        let grants = Table::parse(&name).is_some_and(|(sort, _)| sort == "grants");
        if !grants || cursor.as_ref().is_some_and(|(table, ..)| name < *table) {
            continue;
        }
        let behind = cursor.take().filter(|(table, ..)| *table == name);
        let behind = behind.as_ref().map(|(_, owner, key)| (owner.as_str(), key.as_str()));
        for (owner, key, text) in store.scan(&name, None, behind, PAGE)? {
            looked += 1;
            let grant: Grant = super::decode(&text)?;
            if grant.is_dead(turn.now) || is_cut(store, &grant, turn.now)? {
                store.delete(&name, &owner, &key)?;
                removed += 1;
            }
            if removed == limit || looked >= PAGE {
                write(store, "meta", "", "removal", &(name, owner, key))?;
                return Ok(Reply::Removed(removed));
            }
        }
    }
    store.delete("meta", "", "removal")?;
    Ok(Reply::Removed(removed))
}

impl Grant {
    /// Whether a part of a name is in what an administrator sees of it.
    fn says(&self, q: &str) -> bool {
        let Self { client, person, scope, .. } = self;
        client.id.contains(q) || person.username.contains(q) || scope.names().any(|name| name.contains(q))
    }

    fn listed(self, id: String) -> Listed {
        let remaining = match &self.state {
            // It has no refresh token.
            State::Live { generation: 0, .. } => Some(0),
            State::Live { remaining, .. } => *remaining,
            _ => None,
        };
        let expires = match &self.state {
            // A code that nobody redeems in time is the end of its grant.
            State::Offered { redeem_by, .. } => Some(*redeem_by),
            State::Live { endless: true, .. } => self.until,
            // All that is left is an access token.
            State::Live { last, .. } if remaining == Some(0) && *last > Timestamp::default() => Some(*last),
            _ => self.ends.or(self.until),
        };
        let state = match &self.state {
            State::Offered { .. } => "offered",
            State::Live { .. } => "live",
            State::Ended { .. } => "ended",
        };
        Listed {
            id,
            client_id: self.client.id,
            username: self.person.username,
            scope: self.scope,
            created: self.created,
            expires,
            remaining,
            state: state.to_owned(),
        }
    }

    /// True where no code and no token of it can be alive: ended, or never redeemed, for a day; or not to be refreshed any
    /// more, since the last access token was given.
    fn is_dead(&self, now: Timestamp) -> bool {
        match &self.state {
            State::Offered { redeem_by, .. } => now > redeem_by.plus(SWEEP),
            State::Ended { .. } => now > self.changed.plus(SWEEP),
            State::Live { endless: true, .. } => false,
            State::Live { generation, remaining, last, .. } => {
                let refreshable = *generation > 0
                    && *remaining != Some(0)
                    && self.ends.is_none_or(|ends| now <= ends.plus(LONGEST));
                let given = if *last > Timestamp::default() { *last } else { self.changed.plus(LONGEST) };
                !refreshable && now > given.max(self.changed).plus(SWEEP)
            }
        }
    }
}
