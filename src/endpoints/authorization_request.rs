//! An authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3): what is asked, verified in an order that decides where an
//! error may go: to a page until client and redirect URI are verified, to the redirect URI after that.

use super::client_document;
use crate::{
    context::Context,
    error::{Code, Error, Return},
    grants,
    host::{Host, Timestamp},
    model::{
        client::Client, pkce::Challenge, policy::Policy, profile::Profile, redirect_uri::RedirectUri,
        scope::Scope,
    },
    wire::{Params, Request},
};
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// An authorization request that was verified.
pub struct Asked {
    /// Who asks.
    pub client: Rc<Client>,
    /// The policy it is treated by.
    pub policy: Rc<Policy>,
    /// The verified redirect URI.
    pub redirect_uri: RedirectUri,
    /// Where the answer goes.
    pub back: Return,
    /// As it stands in a form.
    pub request: Sealed,
}

/// The request as the form carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// `client_id`.
    pub client_id: String,
    /// `redirect_uri`.
    pub redirect_uri: String,
    /// Whether the request named it: then the token request must too.
    pub redirect_uri_sent: bool,
    /// `state`.
    pub state: Option<String>,
    /// `scope`, or all of the client's.
    pub scope: Scope,
    /// `code_challenge`.
    pub code_challenge: Option<String>,
    /// The response type is `token` (RFC 6749 §4.2.1).
    #[serde(default)]
    pub token: bool,
    /// The person is to be asked, whatever they allowed before (`prompt`, OpenID Connect Core §3.1.2.1).
    #[serde(default)]
    pub ask: bool,
}

/// Verifies what is asked. Until client and redirect URI are verified, errors are pages; then they go there.
pub async fn verify<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    params: &Params,
) -> Result<Asked, Error> {
    let client_id = params.required("client_id")?;
    let given = params.optional("redirect_uri");
    let state = params.optional("state");
    let (client, policy, redirect_uri) = verify_client(cx, request, client_id, given).await?;
    let token = params.optional("response_type") == Some("token");
    let back = Return {
        redirect_uri: redirect_uri.as_str().to_owned(),
        state: state.map(str::to_owned),
        fragment: token,
    };
    let checked = verify_rest(&client, &policy, params).map_err(|error| error.at(&back))?;
    let (scope, code_challenge) = checked;
    let sealed = Sealed {
        client_id: client_id.to_owned(),
        redirect_uri: redirect_uri.as_str().to_owned(),
        redirect_uri_sent: given.is_some(),
        state: state.map(str::to_owned),
        scope,
        code_challenge,
        token,
        ask: prompts(params, "consent"),
    };
    Ok(Asked { client, policy, redirect_uri, back, request: sealed })
}

/// Whether `prompt` names something that is to be done.
pub fn prompts(params: &Params, what: &str) -> bool {
    params.optional("prompt").is_some_and(|given| given.split(' ').any(|word| word == what))
}

/// Verifies again what a form carries: the client may have changed while the page was open.
pub async fn verify_again<H: Host>(
    cx: &Context<'_, H>,
    by: &Request,
    request: Sealed,
) -> Result<Asked, Error> {
    let (client, policy, redirect_uri) =
        verify_client(cx, by, &request.client_id, Some(&request.redirect_uri)).await?;
    let back = Return {
        redirect_uri: request.redirect_uri.clone(),
        state: request.state.clone(),
        fragment: request.token,
    };
    let (challenge, token) = (request.code_challenge.is_some(), request.token);
    check_client(&client, &policy, &request.scope, (challenge, token)).map_err(|error| error.at(&back))?;
    Ok(Asked { client, policy, redirect_uri, back, request })
}

/// Whether a client, as the registry has just answered it, may still be answered what was asked.
pub fn still_holds(client: &Client, asked: &Asked, now: Timestamp) -> Result<(), Error> {
    if !client.is_live(now) || !client.admits(&asked.redirect_uri) {
        let detail = "the application changed while you decided: go back to it, and start again";
        return Err(Error::new(Code::InvalidRequest, detail));
    }
    let Sealed { scope, code_challenge, token, .. } = &asked.request;
    check_client(client, &asked.policy, scope, (code_challenge.is_some(), *token))
        .map_err(|error| error.at(&asked.back))
}

/// Client and redirect URI: what must hold before anything may be sent anywhere (RFC 6749 §4.1.2.1).
async fn verify_client<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    id: &str,
    given: Option<&str>,
) -> Result<(Rc<Client>, Rc<Policy>, RedirectUri), Error> {
    let client = client_document::find(cx, request, id).await?.filter(|client| client.is_live(cx.now));
    let client = client.ok_or_else(|| {
        Error::new(
            Code::InvalidClient,
            "the application is not registered here, or not any more, or it is disabled",
        )
    })?;
    cx.note(|event| event.client = Some(client.id.clone()));
    let redirect_uri = match given {
        Some(text) => {
            let refused = |why: &'static str| Error::new(Code::UnregisteredRedirect, why);
            let asked = RedirectUri::parse(text).map_err(refused)?;
            if !client.admits(&asked) {
                return Err(refused("the redirect URI is not registered for this application"));
            }
            asked
        }
        // RFC 6749 §3.1.2.3: may be left out where there is exactly one.
        None => match client.redirect_uris().as_slice() {
            [only] => only.clone(),
            _ => return Err(Error::new(Code::UnmetDemand, "redirect_uri is missing")),
        },
    };
    Ok((client, cx.policy().await?, redirect_uri))
}

/// Everything whose errors the client hears of. Gives scope and challenge.
fn verify_rest(client: &Client, policy: &Policy, params: &Params) -> Result<(Scope, Option<String>), Error> {
    let bad = |detail: &'static str| Error::new(Code::InvalidRequest, detail);
    if params.optional("request").is_some() {
        return Err(Error::new(Code::RequestNotSupported, "request objects are not accepted"));
    }
    if params.optional("request_uri").is_some() {
        return Err(Error::new(Code::RequestUriNotSupported, "request objects are not accepted"));
    }
    let token = match params.required("response_type")? {
        "code" => false,
        "token" => true,
        _ => {
            return Err(Error::new(Code::UnsupportedResponseType, "the response type must be code or token"));
        }
    };
    let mode = if token { "fragment" } else { "query" };
    if params.optional("response_mode").is_some_and(|given| given != mode) {
        return Err(bad("the response mode must be query for a code, and fragment for a token"));
    }
    let challenge = match (params.optional("code_challenge"), params.optional("code_challenge_method")) {
        // RFC 7636 §4.3 would read a missing method as plain; nobody here means that.
        (Some(text), Some("S256")) => match Challenge::parse(text) {
            Some(_) => Some(text.to_owned()),
            None => return Err(bad("code_challenge is not base64url of 32 bytes")),
        },
        (Some(_), _) => return Err(bad("code_challenge_method must be S256")),
        (None, Some(_)) => return Err(bad("code_challenge is missing")),
        (None, None) => None,
    };
    let scope = match params.optional("scope") {
        Some(text) => Scope::parse(text).map_err(|why| Error::new(Code::InvalidScope, why))?,
        None => Policy::usual(&client.scope_in(policy)),
    };
    let within = policy.within(params.all("resource"));
    let scope = match within.map_err(|why| Error::new(Code::UnknownResource, why))? {
        Some(within) => grants::within_resource(&scope, &within)?,
        None => scope,
    };
    check_client(client, policy, &scope, (challenge.is_some(), token))?;
    Ok((scope, challenge))
}

/// What the client may do.
fn check_client(
    client: &Client,
    policy: &Policy,
    scope: &Scope,
    (challenge, token): (bool, bool),
) -> Result<(), Error> {
    let grant_type = if token { "implicit" } else { "authorization_code" };
    if !client.may_use(grant_type) || (token && client.metadata.profile != Profile::Legacy) {
        let detail = format!("this client may not use the grant type {grant_type}");
        return Err(Error::new(Code::UnauthorizedClient, detail));
    }
    // Who must use PKCE gets nothing that PKCE cannot bind.
    if token && client.metadata.require_pkce.unwrap_or(policy.settings.require_pkce) {
        let detail = "this client must use PKCE, which binds codes alone";
        return Err(Error::new(Code::UnauthorizedClient, detail));
    }
    if token && Policy::usual(scope) != *scope {
        let detail = "what administers is given for a code alone";
        return Err(Error::new(Code::InvalidScope, detail));
    }
    if !token && !challenge && client.requires_pkce(policy) {
        return Err(Error::new(Code::UnmetDemand, "code_challenge is missing: this client must use PKCE"));
    }
    if scope.is_empty() {
        return Err(Error::new(
            Code::InvalidScope,
            "scope is missing, and this client has none to fall back on",
        ));
    }
    client.demand(scope)?;
    if !scope.is_within(&policy.names()) {
        if client.registered_itself() {
            return Err(Error::new(Code::InvalidScope, "a scope that was asked for does not exist any more"));
        }
        // What another client has is in the catalogue, so this copy of the catalogue is older than that of the client.
        return Err(Error::new(
            Code::Stale,
            "the application changed while it was asking: repeat the request",
        ));
    }
    Ok(())
}
