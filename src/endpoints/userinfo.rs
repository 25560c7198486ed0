//! `/userinfo` (OpenID Connect Core §5.3): what a person let a client know of them. Two requests to objects: the grant's
//! shard says what the access token is good for, the account what is known.

use super::introspect;
use crate::{
    context::Context,
    error::{Code, Error},
    host::{Algorithm, Host},
    issue,
    json::{json, put},
    jws,
    model::openid::OPENID,
    wire::{self, Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::Value;

/// `typ` of a signed answer: it is no ID token.
const TYPE: &str = "userinfo+jwt";

/// `GET` and `POST`, with the access token in the header, or in a form (RFC 6750 §2).
pub async fn get_or_post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let form = request.method == Method::POST && request.is_of_type("application/x-www-form-urlencoded");
    let params = if form { Params::of_form(request, &[])? } else { Params::default() };
    let token = match (wire::bearer(request), params.optional("access_token")) {
        (Some(_), Some(_)) => {
            return Err(Error::new(Code::InvalidRequest, "two access tokens at once (RFC 6750 section 2)"));
        }
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) => return Err(Error::new(Code::MissingToken, "an access token is missing")),
    };
    let refused = || Error::new(Code::InvalidToken, "the access token is none, has expired, or was revoked");
    let policy = cx.policy().await?;
    let access = introspect::access(cx, token).await?.ok_or_else(refused)?;
    let weighed = introspect::weigh(cx, policy.version, access).await?.ok_or_else(refused)?;
    let active = weighed.active;
    let (Some(person), true) = (active.person, active.scope.contains(OPENID)) else {
        let detail = "the access token's scope does not have openid";
        return Err(Error::new(Code::InsufficientScope, detail).needing(Some(OPENID.to_owned())));
    };
    let client = cx.client_of_token(&active.client_id).await?.ok_or_else(refused)?;
    cx.note(|event| {
        (event.event, event.client) = ("userinfo.given", Some(client.id.clone()));
        event.sub = Some(person.sub.clone());
    });
    let known = issue::account_claims(cx, &person.sub).await?;
    let within = (&active.scope, true, &client.metadata.scope);
    let mut claims = active.openid.unwrap_or_default().give(&known, within, "userinfo");
    put(&mut claims, "sub", json!(client.subject(&policy, &person.sub)));
    let Some(algorithm) = client.metadata.userinfo_signed_response_alg.as_deref().and_then(Algorithm::parse)
    else {
        return Ok(Response::json(StatusCode::OK, &Value::Object(claims)));
    };
    put(&mut claims, "iss", json!(cx.config.issuer));
    put(&mut claims, "aud", json!(client.id));
    let signed = jws::sign(cx, algorithm, TYPE, &claims).await?;
    Ok(Response::new(StatusCode::OK, "application/jwt", signed))
}
