//! `POST /revoke` (RFC 7009). Unknown, expired and malformed tokens: 200 and no effect. Storage away: 503, never a 200
//! that did nothing.

use super::introspect::{self, Presented, ask};
use crate::{
    caller::Caller,
    context::Context,
    error::{Code, Error, Fault},
    host::Host,
    model::grant::Reply,
    objects::protocol::grant_shard::Wish,
    wire::{Params, Request, Response},
};
use http::StatusCode;

/// Ends a token, or the family of a refresh token.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    if !revoke(cx, request, &Params::of_form(request, &[])?).await? {
        // RFC 7009 §2.1: issued to another client. Nothing happened.
        return Err(Error::new(Code::InvalidGrant, "the token was issued to another client"));
    }
    Ok(Response::empty(StatusCode::OK).with("cache-control", "no-store"))
}

/// Ends it, where there is something to end. `false`: it is another client's.
pub async fn revoke<H: Host>(cx: &Context<'_, H>, request: &Request, params: &Params) -> Result<bool, Error> {
    let caller = Caller::authenticate(cx, request, params).await?;
    let presented = Presented::read(cx, params.required("token")?).await?;
    let Some(presented) = presented else {
        // RFC 7009 §2.2: an invalid token is no error.
        cx.note(|event| event.event = "token.unknown");
        return Ok(true);
    };
    match ask(cx, &caller, presented, Wish::Revoke).await? {
        Reply::Revoked(_) => {
            cx.note(|event| event.event = "token.revoked");
            cx.note(|event| event.important = true);
            Ok(true)
        }
        Reply::Inactive => {
            cx.note(|event| event.event = "token.unknown");
            Ok(true)
        }
        Reply::Foreign => Ok(false),
        Reply::Stale => Err(Error::stale()),
        _ => Err(Fault::new("a shard gave an answer that is none to a revocation").into()),
    }
}

/// Ends whatever token it is, for an administrator.
pub async fn revoke_any<H: Host>(cx: &Context<'_, H>, params: &Params) -> Result<(), Error> {
    let presented = Presented::read(cx, params.required("token")?).await?;
    let Some(presented) = presented else { return Ok(()) };
    cx.note(|event| (event.event, event.important) = ("token.revoked", true));
    introspect::end(cx, presented).await
}
