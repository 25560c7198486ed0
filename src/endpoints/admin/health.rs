//! `/admin/health`: how the replica is, and every object. What does not answer is in the list, and says so.

use super::{Page, lost, object, page, roster, strange};
use crate::{
    context::Context,
    error::{Error, Fault},
    host::{Host, Timestamp},
    json::json,
    model::policy::Policy,
    objects::protocol::{
        Health,
        account_shard::{self, AccountShard},
        grant_shard::{self, GrantShard},
        registry::{self, Registry},
    },
    waiting,
    wire::{Params, Request, Response},
};
use serde_json::{Map, Value};

/// Objects that one request asks. What is left is behind `next`.
const MOST: usize = 40;

/// `GET`: a page of them: `replica`, `registry`, `grants/…`, `accounts/…`.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let Page { limit, after, q, .. } = Page::of(&Params::of_query(request, &[])?)?;
    // Without the registry nobody knows which shards there are; that it does not answer is in the list.
    let (grants, accounts) = match roster(cx).await {
        Err(error) if after.is_some() => return Err(error),
        roster => roster.unwrap_or_default(),
    };
    let mut names = vec!["replica".to_owned(), "registry".to_owned()];
    names.extend(grants.iter().map(|shard| format!("grants/{shard}")));
    names.extend(accounts.iter().map(|shard| format!("accounts/{shard}")));
    let start = match &after {
        None => 0,
        Some(after) => names.iter().position(|name| name == after).ok_or_else(lost)? + 1,
    };
    names.drain(..start);
    names.retain(|name| q.as_deref().is_none_or(|q| name.contains(q)));
    let more = names.len() > limit.min(MOST);
    names.truncate(limit.min(MOST));
    let items = waiting::all(names.iter().map(|name| item(cx, name))).await;
    Ok(page(&items, names.last().filter(|_| more).map(String::as_str)))
}

async fn item<H: Host>(cx: &Context<'_, H>, name: &str) -> Value {
    let found = match name.split_once('/') {
        Some(("grants", shard)) => {
            match cx.ask::<GrantShard>(shard, grant_shard::Command::Health).await.map(|reply| *reply) {
                Ok(grant_shard::Reply::Health(health)) => Ok(display(&health)),
                other => Err(other.err()),
            }
        }
        Some((_, shard)) => {
            match cx.ask::<AccountShard>(shard, account_shard::Command::Health).await.map(|reply| *reply) {
                Ok(account_shard::Reply::Health(health)) => Ok(display(&health)),
                other => Err(other.err()),
            }
        }
        None if name == "registry" => {
            match cx.ask::<Registry>(registry::NAME, registry::Command::Health).await.map(|reply| *reply) {
                Ok(registry::Reply::Health(health)) => Ok(display(&health)),
                other => Err(other.err()),
            }
        }
        None => replica(cx).await.map_err(Some),
    };
    let mut members = match found {
        Ok(members) => members,
        Err(fault) => {
            let cause = fault.map_or_else(|| strange().detail.to_string(), Fault::into_cause);
            cx.note(|event| event.reason = Some(cause));
            object([("error", json!("did not answer"))])
        }
    };
    members.insert("id".to_owned(), json!(name));
    Value::Object(members)
}

/// How far the replica, as this location reads it, is behind the truth.
async fn replica<H: Host>(cx: &Context<'_, H>) -> Result<Map<String, Value>, Fault> {
    let registry::Reply::Policy(truth) =
        *cx.ask::<Registry>(registry::NAME, registry::Command::Policy).await?
    else {
        return Err(Fault::new("the registry gave no policy"));
    };
    let text = cx.host.read_copy(registry::POLICY_KEY).await?;
    let copy: Option<Policy> = text.and_then(|text| crate::json::read(&text).ok());
    let current = copy.is_some_and(|copy| copy.version == truth.version);
    let behind = Some(cx.now.since(truth.changed).0).filter(|_| !current);
    Ok(object([("behind_seconds", json!(behind.unwrap_or_default())), ("current", json!(current))]))
}

/// Times are in seconds since 1970; `null`: nothing is owed, nothing is to be done.
fn display(health: &Health) -> Map<String, Value> {
    object([
        ("size", json!(health.size)),
        ("owed", json!(health.owed)),
        ("owed_since", json!(health.owed_since.map(Timestamp::seconds))),
        ("wake_at", json!(health.wake.map(Timestamp::seconds))),
        ("events", json!(health.events)),
    ])
}
