//! `POST /revoke` (RFC 7009). Unknown, expired and malformed tokens: 200 and no effect. Storage away: 503, never a 200
//! that did nothing.

use super::introspect::{Presented, ask};
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
    revoke(cx, request, &Params::of_form(request, &[])?).await?;
    Ok(Response {
        status: StatusCode::OK,
        headers: vec![("cache-control", "no-store".to_owned())],
        body: Vec::new(),
    })
}

/// Ends it, where there is something to end.
pub async fn revoke<H: Host>(cx: &Context<'_, H>, request: &Request, params: &Params) -> Result<(), Error> {
    let caller = Caller::authenticate(cx, request, params).await?;
    let presented = Presented::read(cx, params.required("token")?);
    let Some(presented) = presented else {
        // RFC 7009 §2.2: an invalid token is no error.
        cx.note(|event| event.event = "token.unknown");
        return Ok(());
    };
    match ask(cx, &caller, presented, Wish::Revoke).await? {
        Reply::Revoked(_) => {
            cx.note(|event| event.event = "token.revoked");
            cx.note(|event| event.important = true);
            Ok(())
        }
        Reply::Inactive => {
            cx.note(|event| event.event = "token.unknown");
            Ok(())
        }
        // RFC 7009 §2.1: issued to another client. Nothing happened.
        Reply::Foreign => Err(Error::new(Code::InvalidGrant, "the token was issued to another client")),
        Reply::Stale => Err(Error::stale()),
        _ => Err(Fault::new("a shard gave an answer that is none to a revocation").into()),
    }
}
