//! `/admin/keys`: the keys that sign. Of the private ones nothing is ever shown.

use super::{Page, invalid, lost, members_if_any, object, page, strange, unknown};
use crate::{
    context::Context,
    error::{Code, Error, quotable},
    host::{Algorithm, Host, Timestamp},
    json::json,
    list::List as _,
    model::{
        keyring::{Key, Keyring, Wish},
        patch::Invalid,
    },
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// `GET`: a page of them, the oldest first. `POST`: a new one, which signs once it has been published for long enough.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let ring = cx.wish(Wish::Read).await?;
    if request.method == Method::POST {
        return create(cx, &ring, members_if_any(request)?).await;
    }
    let Page { limit, after, q, .. } = Page::of(&Params::of_query(request, &[])?)?;
    let start = match &after {
        None => 0,
        Some(after) => ring.keys.iter().position(|key| key.kid == *after).ok_or_else(lost)? + 1,
    };
    let q = q.unwrap_or_default();
    let found = ring.keys.iter().skip(start);
    let mut found: Vec<&Key> =
        found.filter(|key| key.kid.contains(&q) || key.algorithm.name().contains(&q)).list();
    let more = found.len() > limit;
    found.truncate(limit);
    let items: Vec<Value> = found.iter().map(|key| Value::Object(display(cx.now, &ring, key))).list();
    Ok(page(&items, found.last().filter(|_| more).map(|key| key.kid.as_str())))
}

/// `GET`: one. `DELETE`: somebody else has it, so what it signed is good for nothing any more.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    kid: &str,
) -> Result<Response, Error> {
    let ring = cx.wish(Wish::Read).await?;
    let key = ring.key(kid).ok_or_else(|| unknown("key"))?;
    if request.method == Method::DELETE {
        cx.wish(Wish::Remove(kid.to_owned())).await?;
        cx.note(|event| (event.event, event.important) = ("admin.key.removed", true));
        return Ok(Response::no_content());
    }
    Ok(Response::json(StatusCode::OK, &Value::Object(display(cx.now, &ring, key))))
}

async fn create<H: Host>(
    cx: &Context<'_, H>,
    ring: &Keyring,
    mut body: Map<String, Value>,
) -> Result<Response, Error> {
    let refused = |name: &str, why: &str| invalid(Code::InvalidRequest, Invalid::new(name, why));
    let algorithm = match body.remove("algorithm") {
        None | Some(Value::Null) => Algorithm::Es256,
        Some(given) => {
            let known = given.as_str().and_then(Algorithm::parse);
            known.ok_or_else(|| refused("algorithm", "must be one of ES256, RS256, PS256, EdDSA"))?
        }
    };
    if let Some(name) = body.keys().next() {
        return Err(refused(&quotable(name), "is not a member that this request has"));
    }
    let newest = ring.newest(algorithm).map(|key| key.kid.clone());
    let ring = cx.add_key(algorithm, newest).await?;
    let key = ring.newest(algorithm).ok_or_else(strange)?;
    cx.note(|event| (event.event, event.important) = ("admin.key.created", true));
    let location = cx.url(&format!("/admin/keys/{}", key.kid));
    let shown = Value::Object(display(cx.now, &ring, key));
    Ok(Response::json(StatusCode::CREATED, &shown).with("location", location))
}

fn display(now: Timestamp, ring: &Keyring, key: &Key) -> Map<String, Value> {
    let retired = ring.retired(key);
    let state = match ring.signing(key.algorithm, now) {
        Some(signing) if signing.kid == key.kid => "signing",
        _ if retired.is_some_and(|retired| retired <= now) => "retired",
        _ => "published",
    };
    object([
        ("kid", json!(key.kid)),
        ("algorithm", json!(key.algorithm.name())),
        ("state", json!(state)),
        ("created_at", json!(key.made.seconds())),
        ("signs_at", json!(key.signs.seconds())),
        ("retired_at", json!(retired.map(Timestamp::seconds))),
        ("gone_at", json!(retired.map(|_| ring.gone(key).seconds()))),
    ])
}
