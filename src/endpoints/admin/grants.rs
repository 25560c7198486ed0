//! `/admin/grants`: what people have allowed, to see and to end. The id of a grant is its address.

use super::{Page, clients, lost, object, page, roster, strange, unknown, users};
use crate::{
    context::Context,
    error::{Code, Error, quotable},
    host::{Host, Timestamp},
    json::json,
    list::List as _,
    model::{
        grant,
        place::{Address, Shard, Table},
    },
    objects::protocol::grant_shard::{Command, Filter, GrantShard, Listed, Reply},
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// Grants asked for at a time: a full page, and one more to know that there is more.
const BATCH: usize = super::MOST + 1;
/// Turns of shards that one request may cost. Each looks at up to 5,000 rows; what is left is behind `next`.
const TURNS: usize = 50;

/// `GET`: a page of grants that stand, of all or of one `client_id`, `username`, `scope`; `q` is a part of one of these. `DELETE`: the end of all of
/// one of these, and of every token of them.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_query(request, &[])?;
    if request.method == Method::DELETE {
        return end_all(cx, &params).await;
    }
    let asked = Page::of(&params)?;
    let owned = |name: &str| params.optional(name).map(str::to_owned);
    let mut filter = Filter {
        client_id: owned("client_id"),
        scope: owned("scope"),
        q: asked.q.clone(),
        ..Filter::default()
    };
    let names: Vec<String> = match params.optional("username") {
        // The account knows every shard that can hold a grant of the person.
        Some(username) => match users::find(cx, username).await? {
            Some(account) => {
                filter.sub = Some(account.sub);
                account.shards.into_iter().list()
            }
            None => return Ok(page(&[], None)),
        },
        None => roster(cx).await?.0,
    };
    let shards: Vec<Shard> = names.iter().filter_map(|name| Shard::parse(name)).list();
    let (items, next) = gather(cx, &filter, &shards, &asked).await?;
    let items: Vec<Value> = items.iter().map(|grant| Value::Object(display(grant))).list();
    Ok(page(&items, next.as_deref()))
}

/// `GET`: one grant that stands. `DELETE`: its end, and that of every token of it.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    id: &str,
) -> Result<Response, Error> {
    let address =
        Address::parse(id).filter(|address| address.to_string() == id).ok_or_else(|| unknown("grant"))?;
    let (shards, _) = roster(cx).await?;
    if !shards.contains(&address.shard.to_string()) {
        return Err(unknown("grant"));
    }
    if request.method == Method::DELETE {
        return end(cx, address).await;
    }
    let filter = Filter { address: Some(id.to_owned()), ..Filter::default() };
    let asked = Page { limit: 1, after: None, q: None, hashes: false };
    let (grants, _) = gather(cx, &filter, &[address.shard], &asked).await?;
    let grant = grants.first().ok_or_else(|| unknown("grant"))?;
    Ok(Response::json(StatusCode::OK, &Value::Object(display(grant))))
}

/// By client and by person one mark ends them, however many there are; by scope each is ended, and the answer has `next`
/// where there is more to look at.
async fn end_all<H: Host>(cx: &Context<'_, H>, params: &Params) -> Result<Response, Error> {
    // A filter that was misspelt would end more than was meant.
    if params.optional("expired") == Some("true") {
        let alone = params.pairs().iter().all(|(name, _)| matches!(name.as_str(), "expired" | "limit"));
        if !alone {
            return Err(Error::new(Code::InvalidRequest, "expired stands alone, or with limit"));
        }
        return remove(cx, params, "limit").await;
    }
    let mut known = vec!["client_id", "username", "scope", "after"];
    // Whoever is signed out is a person.
    known.extend(params.optional("username").map(|_| "sessions"));
    if let Some((name, _)) = params.pairs().iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(
            Error::new(Code::InvalidRequest, "is not a filter that DELETE has").in_field(quotable(name))
        );
    }
    let by = |name: &str| params.optional(name);
    match (by("client_id"), by("username"), by("scope")) {
        (Some(id), None, None) => clients::cut(cx, id).await,
        (None, Some(username), None) => users::cut(cx, username, by("sessions") == Some("true")).await,
        (None, None, Some(scope)) => end_of_scope(cx, scope, by("after")).await,
        _ => Err(Error::new(Code::InvalidRequest, "needs one of client_id, username, scope, and no other")),
    }
}

/// The vendor's service that takes away what is over, and says how much it was.
pub(in crate::endpoints) async fn remove_expired<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    params: &Params,
) -> Result<Response, Error> {
    super::access::admit(cx, request, true).await?;
    remove(cx, params, "maxRows").await
}

/// Rows of which nothing can be alive, shard by shard, until so many are gone. They would go by themselves.
async fn remove<H: Host>(cx: &Context<'_, H>, params: &Params, limit: &str) -> Result<Response, Error> {
    const LARGEST: u64 = 100_000;
    let mut left = match params.optional(limit).map(str::parse::<u64>) {
        None => LARGEST,
        Some(Ok(number)) if (1..=LARGEST).contains(&number) => number,
        Some(_) => {
            let detail = format!("must be a whole number from 1 to {LARGEST}");
            return Err(Error::new(Code::InvalidRequest, detail).in_field(limit));
        }
    };
    let mut removed = 0;
    // What is left goes by itself, or at the next call.
    let shards = roster(cx).await?.0;
    let first = usize::from(cx.host.random::<1>()[0]) % shards.len().max(1);
    for shard in shards.iter().cycle().skip(first).take(shards.len().min(TURNS)) {
        if left == 0 {
            break;
        }
        let Reply::Removed(rows) = *cx.ask::<GrantShard>(shard, Command::Remove { limit: left }).await?
        else {
            return Err(strange());
        };
        removed += rows;
        left = left.saturating_sub(rows);
    }
    cx.note(|event| (event.event, event.important) = ("admin.grants.removed", true));
    Ok(Response::json(StatusCode::OK, &json!({ "removedTokensCount": removed })))
}

async fn end_of_scope<H: Host>(
    cx: &Context<'_, H>,
    scope: &str,
    after: Option<&str>,
) -> Result<Response, Error> {
    let filter = Filter { scope: Some(scope.to_owned()), ..Filter::default() };
    let shards: Vec<Shard> = roster(cx).await?.0.iter().filter_map(|name| Shard::parse(name)).list();
    let (mut at, mut after) = start(&shards, after)?;
    cx.note(|e| {
        e.event = "admin.grants.ended";
        e.important = true;
        e.scope = Some(scope.to_owned());
    });
    for _ in 0..TURNS {
        let Some(shard) = shards.get(at) else { return Ok(Response::no_content()) };
        let command = Command::End { filter: filter.clone(), after: after.take(), before: None };
        let Reply::Ended(more) = *cx.ask::<GrantShard>(&shard.to_string(), command).await? else {
            return Err(strange());
        };
        match more {
            Some(_) => after = more,
            None => at += 1,
        }
    }
    match shards.get(at) {
        None => Ok(Response::no_content()),
        Some(shard) => {
            let next = after.unwrap_or_else(|| beginning(*shard));
            Ok(Response::json(StatusCode::OK, &json!({ "next": next })))
        }
    }
}

/// The shard that a cursor names, and the address in it.
fn start(shards: &[Shard], cursor: Option<&str>) -> Result<(usize, Option<String>), Error> {
    let Some(cursor) = cursor else { return Ok((0, None)) };
    let address = Address::parse(cursor).ok_or_else(lost)?;
    let at = shards.iter().position(|shard| *shard == address.shard).ok_or_else(lost)?;
    Ok((at, Some(cursor.to_owned())))
}

async fn end<H: Host>(cx: &Context<'_, H>, address: Address) -> Result<Response, Error> {
    let id = address.to_string();
    // An administrator decides by no copy, so there is no version of the settings to be behind.
    match cx.ask_grant(&address, 0, grant::Command::Revoke { by: None }).await? {
        grant::Reply::Revoked(_) => {
            cx.note(|e| {
                e.event = "admin.grant.ended";
                e.important = true;
                e.grant = Some(id);
            });
            Ok(Response::no_content())
        }
        grant::Reply::Inactive => Err(unknown("grant")),
        _ => Err(strange()),
    }
}

/// Grants that stand, shard by shard, and the address to go on behind while there is more.
async fn gather<H: Host>(
    cx: &Context<'_, H>,
    filter: &Filter,
    shards: &[Shard],
    asked: &Page,
) -> Result<(Vec<Listed>, Option<String>), Error> {
    let (mut at, mut after) = start(shards, asked.after.as_deref())?;
    let mut found: Vec<Listed> = Vec::new();
    for _ in 0..TURNS {
        let Some(shard) = shards.get(at) else { return Ok((found, None)) };
        let command = Command::List { filter: filter.clone(), after: after.take(), limit: BATCH };
        let Reply::Listed(grants, more) = *cx.ask::<GrantShard>(&shard.to_string(), command).await? else {
            return Err(strange());
        };
        for grant in grants.into_iter().filter(|grant| stands(grant, cx.now)) {
            if found.len() == asked.limit {
                let next = found.last().map(|last| last.id.clone());
                return Ok((found, next));
            }
            found.push(grant);
        }
        match more {
            Some(_) => after = more,
            None => at += 1,
        }
    }
    let next = shards.get(at).map(|shard| after.unwrap_or_else(|| beginning(*shard)));
    Ok((found, next))
}

/// A cursor in front of everything in a shard: tables are in order of their names, and none comes before this.
fn beginning(shard: Shard) -> String {
    Address { shard, table: Table::Long(0), owner: String::new(), key: String::new() }.to_string()
}

fn stands(grant: &Listed, now: Timestamp) -> bool {
    grant.state != "ended" && grant.expires.is_none_or(|expires| expires > now)
}

/// A grant as administrators see it. Times are in seconds since 1970; `null` is never, and for refreshes unlimited.
fn display(grant: &Listed) -> Map<String, Value> {
    let members = [
        ("id", json!(grant.id)),
        ("client_id", json!(grant.client_id)),
        ("username", json!(grant.username)),
        ("sub", json!(Address::parse(&grant.id).map(|address| address.owner))),
        ("scope", json!(grant.scope)),
        ("created_at", json!(grant.created.seconds())),
        ("expires_at", json!(grant.expires.map(Timestamp::seconds))),
        ("refresh_remaining", json!(grant.remaining)),
        ("state", json!(grant.state)),
    ];
    object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_shard_comes_before_every_table_of_it() {
        let cursor = beginning(Shard::parse("weur-3").unwrap());
        let address = Address::parse(&cursor).unwrap();
        assert_eq!(address.shard.to_string(), "weur-3");
        for table in [Table::Short(1), Table::Long(1), Table::Long(20_000), Table::Never] {
            assert!(address.table.name("grants") < table.name("grants"));
        }
    }
}
