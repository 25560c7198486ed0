//! `/admin/audit`: who changed what, the newest first.

use super::{Page, lost, object, page, strange};
use crate::{
    context::Context,
    crypto,
    error::Error,
    host::Host,
    json::{self, json},
    list::List as _,
    model::audit::Change,
    objects::protocol::registry::{self, Command, Registry, Reply},
    wire::{self, Params, Request, Response},
};
use http::StatusCode;
use serde_json::{Map, Value};

/// `GET`: a page of changes; as lines of JSON where `Accept` names `application/jsonl` and nothing before it.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let Page { limit, after, q, .. } = Page::of(&Params::of_query(request, &[])?)?;
    if after.as_deref().is_some_and(|after| !is_id(after)) {
        return Err(lost());
    }
    let filter = q.as_deref().map(|q| format!("&q={}", wire::encode(q))).unwrap_or_default();
    let command = Command::Audit { after, q, limit };
    let Reply::Audit(changes, next) = *cx.ask::<Registry>(registry::NAME, command).await? else {
        return Err(strange());
    };
    let items: Vec<_> = changes.iter().map(|change| Value::Object(display(change))).list();
    if request.header("accept").is_some_and(|accept| accept.starts_with("application/jsonl")) {
        let lines: String = items.iter().flat_map(|item| [json::write(item), "\n".to_owned()]).collect();
        let response = Response::new(StatusCode::OK, "application/jsonl", lines);
        return Ok(match next {
            // RFC 8288.
            Some(next) => response.with(
                "link",
                format!("<{}?limit={limit}&after={next}{filter}>; rel=\"next\"", cx.url("/admin/audit")),
            ),
            None => response,
        });
    }
    Ok(page(&items, next.as_deref()))
}

/// Month, the rest of time, and the wish: all that a reader needs to find the place.
fn is_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').list();
    let [month, rest, wish] = parts.as_slice() else { return false };
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(month, 5) && digits(rest, 15) && crypto::bytes(wish).is_some()
}

/// A change as administrators see it. `time` is in seconds since 1970.
fn display(change: &Change) -> Map<String, Value> {
    let members = [
        ("id", json!(change.id)),
        ("time", json!(change.time.seconds())),
        ("by", json!({ "kind": change.by.kind, "name": change.by.name })),
        ("address", json!(change.by.address)),
        ("trace_id", json!(change.by.trace)),
        ("action", json!(change.action)),
        ("target", json!(change.target)),
        ("before", json!(change.before)),
        ("after", json!(change.after)),
    ];
    object(members)
}
