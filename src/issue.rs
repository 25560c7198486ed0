//! From an authorization to the tokens that carry it (RFC 6749 §5.1): the only place that makes tokens. Writes nothing.

use crate::{
    caller::Caller,
    context::Context,
    crypto,
    error::Error,
    host::{Host, Timestamp},
    model::{
        grant::{Issued, Successor},
        place::{Address, Shard},
        scope::Scope,
        ticket::{Access, Claims, Refresh, Subject, Ticket},
    },
    wire::Response,
};
use http::StatusCode;
use serde_json::json;

/// What a grant type has found to be authorized.
pub enum Authorization {
    /// By a person, in a grant.
    Grant(Address, Box<Issued>),
    /// By the client's own credentials.
    Client(Scope),
}

/// The token response.
pub fn tokens<H: Host>(
    cx: &Context<'_, H>,
    caller: &Caller,
    authorization: Authorization,
) -> Result<Response, Error> {
    let lifetime = caller.client.access_lifetime(&caller.policy);
    let (subject, scope, issued, until, access_key, refresh) = match authorization {
        Authorization::Grant(address, issued) => {
            let refresh = issued.refresh.map(|successor| (address.clone(), successor));
            (Subject::Grant(address), issued.scope, issued.at, issued.until, Some(issued.access_key), refresh)
        }
        Authorization::Client(scope) => (own(cx, caller), scope, cx.now, None, None, None),
    };
    // Nothing outlives the client that it was given to.
    let ends = until.into_iter().chain(caller.client.expires).min().unwrap_or(Timestamp::NEVER);
    let expires = ends.min(issued.plus(lifetime));
    let id = crypto::text(&cx.host.random::<12>());
    let claims = Claims { subject, scope, issued, expires, id };
    let proof = match access_key {
        Some(key) => key.proof(&[&claims.bytes()?]),
        None => caller.client.prove(&claims)?,
    };
    let mut body = json!({
        "token_type": "Bearer",
        "expires_in": expires.since(issued).0,
    });
    let scope = claims.scope.to_string();
    let access = Access { claims, proof }.seal(&cx.config.keys)?;
    let mut say = |name: &str, value: String| body[name] = json!(value);
    say("access_token", access);
    // RFC 6749 §5.1: required where it differs from what was asked; always said, where there is any.
    if !scope.is_empty() {
        say("scope", scope);
    }
    if let Some((address, Successor { generation, proof })) = refresh {
        say("refresh_token", Refresh { address, generation, proof }.seal(&cx.config.keys)?);
    }
    // RFC 6749 §5.1: no-store, and Pragma for caches of HTTP/1.0.
    Ok(Response::json(StatusCode::OK, &body).with("pragma", "no-cache"))
}

/// A client that acts for itself: the shard that its token's end will be known to is drawn here.
fn own<H: Host>(cx: &Context<'_, H>, caller: &Caller) -> Subject {
    Subject::Client {
        shard: draw_shard(cx, caller),
        client: caller.client.id.clone(),
        incarnation: caller.client.incarnation.clone(),
        version: caller.client.version,
    }
}

/// A shard near the caller.
pub fn draw_shard<H: Host>(cx: &Context<'_, H>, caller: &Caller) -> Shard {
    let count = u16::try_from(caller.policy.settings.shards).unwrap_or(1);
    Shard::draw(cx.region, count, cx.host.random())
}
