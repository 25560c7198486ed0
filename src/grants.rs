//! The token endpoint (RFC 6749 §3.2) and the grant types it knows.
//!
//! To add one: write `grants/<name>.rs`, and name it below. A grant type decides *what was authorized*; `issue` makes
//! the tokens.

mod authorization_code;
mod client_credentials;
mod refresh_token;

use crate::{
    caller::Caller,
    context::Context,
    error::{Code, Error, Fault},
    host::Host,
    issue::{self, Authorization},
    model::grant::{Issued, Refusal, Reply},
    wire::{Params, Request, Response},
};

/// One list, read twice: to answer `grant_types_supported` (RFC 8414 §2) and to dispatch.
macro_rules! grant_types {
    ($($name:literal $module:ident)*) => {
        /// `grant_types_supported`.
        pub const NAMES: &[&str] = &[$($name,)*];

        async fn authorize<H: Host>(ask: &Ask<'_, H>, name: &str) -> Result<Authorization, Error> {
            match name {
                $($name => {
                    ask.cx.note(|event| event.grant_type = Some($name));
                    if !ask.caller.client.may_use($name) {
                        let detail = concat!("this client may not use the grant type ", $name);
                        return Err(Error::new(Code::UnauthorizedClient, detail));
                    }
                    $module::authorize(ask).await
                })*
                _ => Err(Error::new(Code::UnsupportedGrantType, "this server does not serve that grant type")),
            }
        }
    };
}

#[rustfmt::skip]
grant_types! {
    "authorization_code" authorization_code
    "refresh_token"      refresh_token
    "client_credentials" client_credentials
}

/// What every grant type is given.
struct Ask<'a, H> {
    cx: &'a Context<'a, H>,
    caller: &'a Caller,
    params: &'a Params,
}

/// `POST /token`.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &["resource", "audience"])?;
    let caller = Caller::authenticate(cx, request, &params).await?;
    let grant_type = params.required("grant_type")?;
    let ask = Ask { cx, caller: &caller, params: &params };
    let authorization = authorize(&ask, grant_type).await?;
    cx.note(|event| event.event = "token.issued");
    let tokens = issue::tokens(cx, &caller, authorization)?;
    cx.tell_of_use(&caller.client, &caller.policy).await;
    Ok(tokens)
}

/// What a grant's reply means at the token endpoint. `refused`: a sentence that fits every reason a stranger could probe.
fn settle<H: Host>(cx: &Context<'_, H>, reply: Reply, refused: &'static str) -> Result<Box<Issued>, Error> {
    match reply {
        Reply::Issued(issued) => {
            cx.note(|event| (event.again, event.important) = (issued.again, issued.again));
            cx.note(|event| event.sub = Some(issued.person.sub.clone()));
            Ok(issued)
        }
        Reply::Stale => Err(Error::stale()),
        Reply::Refused(refusal) => Err(refuse(refusal, refused)),
        _ => Err(Fault::new("a grant gave an answer that is none to the token endpoint").into()),
    }
}

/// Exact in the log, uniform on the wire: `invalid_grant`. Only who holds the proof and is the client hears more.
fn refuse(refusal: Refusal, uniform: &'static str) -> Error {
    let (code, detail) = match refusal {
        Refusal::Exceeds => {
            (Code::InvalidScope, "the scope exceeds what was granted, or what this client may have")
        }
        Refusal::Withdrawn => (
            Code::WithdrawnScope,
            "a scope that was granted is no longer this client's: ask the person again",
        ),
        Refusal::Exhausted => {
            (Code::InvalidGrant, "the refreshes of this grant are used up: ask the person again")
        }
        _ => (Code::InvalidGrant, uniform),
    };
    Error::new(code, detail).because(format_args!("{refusal:?}"))
}
