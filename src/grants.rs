//! The token endpoint (RFC 6749 §3.2) and the grant types it knows.
//!
//! To add one: write `grants/<name>.rs`, and name it below. A grant type decides *what was authorized*; `issue` makes
//! the tokens.

mod authorization_code;
mod client_credentials;
mod password;
mod refresh_token;

use crate::{
    caller::Caller,
    context::Context,
    error::{Code, Error, Fault},
    host::Host,
    issue::{self, Authorization, Tokens},
    model::{
        grant::{Issued, Refusal, Reply, Returned},
        policy::Policy,
        scope::Scope,
    },
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
    "password"           password
}

/// What every grant type is given.
struct Ask<'a, H> {
    cx: &'a Context<'a, H>,
    request: &'a Request,
    caller: &'a Caller,
    params: &'a Params,
    door: &'a Door,
}

impl<H> Ask<'_, H> {
    /// The scopes of the resources that are named (RFC 8707 §2.2).
    fn within(&self) -> Result<Option<Scope>, Error> {
        let within = self.caller.policy.within(self.params.all("resource"));
        within.map_err(|why| Error::new(Code::UnknownResource, why))
    }

    /// What is asked for without a grant that says so already: all that the client usually has where nothing is.
    fn scope(&self) -> Result<Scope, Error> {
        let client = &self.caller.client;
        let scope = match self.params.optional("scope") {
            Some(text) => {
                let scope = Scope::parse(text).map_err(|why| Error::new(Code::InvalidScope, why))?;
                if scope.is_empty() {
                    let detail = "the scope names nothing (RFC 6749 section 3.3)";
                    return Err(Error::new(Code::InvalidScope, detail));
                }
                scope
            }
            None => Policy::usual(&client.metadata.scope),
        };
        let scope = match self.within()? {
            Some(within) => within_resource(&scope, &within)?,
            None => scope,
        };
        client.demand(&scope)?;
        if Policy::usual(&scope) != Policy::plain(&scope) {
            let detail = "the scopes of OpenID Connect are given on a page of this server";
            return Err(Error::new(Code::InvalidScope, detail));
        }
        Ok(scope)
    }
}

/// What is left of a scope for the resources that are asked for.
pub fn within_resource(scope: &Scope, within: &Scope) -> Result<Scope, Error> {
    let left = scope.common(within);
    if left.is_empty() && !scope.is_empty() {
        let detail = "nothing of the scope belongs to the resource";
        return Err(Error::new(Code::UnknownResource, detail));
    }
    Ok(left)
}

/// Through which address a request came, as far as that makes a difference.
pub struct Door {
    /// The grant types that it serves.
    pub grant_types: &'static [&'static str],
    /// What it demands of `redirect_uri`.
    pub returned: Returned,
}

/// `/token`.
const TOKEN: Door = Door { grant_types: NAMES, returned: Returned::Usual };

/// `POST /token`.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &["resource", "audience"])?;
    Ok(Tokens::response(answer(cx, request, &params, &TOKEN).await?.members()))
}

/// The tokens that a request gets.
pub async fn answer<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    params: &Params,
    door: &Door,
) -> Result<Tokens, Error> {
    let caller = Caller::authenticate(cx, request, params).await?;
    let grant_type = params.required("grant_type")?;
    if !door.grant_types.contains(&grant_type) {
        return Err(Error::new(Code::UnsupportedGrantType, "this address does not serve that grant type"));
    }
    let ask = Ask { cx, request, caller: &caller, params, door };
    let authorization = authorize(&ask, grant_type).await?;
    cx.note(|event| event.event = "token.issued");
    let tokens = issue::tokens(cx, &caller.client, &caller.policy, authorization).await?;
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
        Refusal::Elsewhere => {
            (Code::UnknownResource, "nothing that was granted belongs to the resource that is asked for")
        }
        Refusal::Exhausted => {
            (Code::InvalidGrant, "the refreshes of this grant are used up: ask the person again")
        }
        _ => (Code::InvalidGrant, uniform),
    };
    Error::new(code, detail).because(format_args!("{refusal:?}"))
}
