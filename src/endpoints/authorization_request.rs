//! An authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3): what is asked, verified in an order that decides where an
//! error may go: to a page until client and redirect URI are verified, to the redirect URI after that.

use super::client_document;
use crate::{
    context::Context,
    error::{Code, Error, Mode, Return},
    grants,
    host::{Host, Seconds, Timestamp},
    issue, jws,
    list::List as _,
    model::{
        client::Client,
        openid::{self, OFFLINE, OPENID},
        pkce::Challenge,
        policy::Policy,
        profile::Profile,
        redirect_uri::RedirectUri,
        response_type::ResponseType,
        scope::Scope,
    },
    wire::{Params, Request},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    /// `response_type`.
    pub wants: ResponseType,
    /// `response_mode`.
    pub mode: Mode,
    /// What is asked of who signs in.
    pub person: Wanted,
}

impl Asked {
    /// Whether whoever has this subject id is who is asked for.
    pub fn is_for(&self, sub: &str) -> bool {
        let subjects = &self.request.person.subjects;
        !self.names_somebody() || subjects.contains(&self.client.subject(&self.policy, sub))
    }

    /// Whether somebody is asked for, and not whoever it is.
    pub fn names_somebody(&self) -> bool {
        !self.request.person.subjects.is_empty()
    }
}

/// What is asked of who signs in (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// `nonce`.
    pub nonce: Option<String>,
    /// `claims`, as it was sent.
    pub claims: Option<String>,
    /// Claims by name, beyond those of the scope.
    pub names: Vec<String>,
    /// It must be one of these subjects, as the client knows them.
    pub subjects: Vec<String>,
    /// `login_hint`.
    pub hint: String,
    /// `max_age`, or the client's own.
    pub max_age: Option<Seconds>,
    /// `prompt`.
    pub prompt: Prompt,
}

/// `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // A list of names, each there or not.
pub struct Prompt {
    /// No page may be shown.
    pub none: bool,
    /// The person is to sign in again.
    pub login: bool,
    /// The person is to decide again.
    pub consent: bool,
    /// The person is to say as whom.
    pub select: bool,
}

impl Prompt {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let has = |name: &str| text.split(' ').any(|own| own == name);
        let (none, login) = (has("none"), has("login"));
        if none && text != "none" {
            return Err("prompt: none stands alone (OpenID Connect Core section 3.1.2.1)");
        }
        Ok(Self { none, login, consent: has("consent"), select: has("select_account") })
    }
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
    // OpenID Connect Core §3.1.2.1: who asks who somebody is says where to, also where there is one address only.
    let openid = params.optional("scope").is_some_and(|scope| scope.split(' ').any(|name| name == OPENID));
    if openid && given.is_none() {
        return Err(Error::new(Code::InvalidRequest, "redirect_uri is missing"));
    }
    let wants = params.optional("response_type").and_then(ResponseType::parse);
    let usual = if wants.is_some_and(ResponseType::at_once) { Mode::Fragment } else { Mode::Query };
    let asked_mode = params.optional("response_mode");
    let mode = match asked_mode {
        Some("fragment") => Mode::Fragment,
        Some("form_post") => Mode::FormPost,
        None | Some("query") => usual,
        // Nobody knows how the client would read an answer (OpenID Connect Core §3.1.2.6).
        Some(_) => {
            return Err(Error::new(
                Code::InvalidRequest,
                "response_mode must be query, fragment or form_post",
            ));
        }
    };
    let back = back_to(&redirect_uri, state, mode);
    let checked = async {
        if asked_mode == Some("query") && usual == Mode::Fragment {
            return Err(Error::new(Code::InvalidRequest, "response_mode query is for codes alone"));
        }
        let (scope, challenge) = verify_rest(&client, &policy, params, wants)?;
        let person = verify_person(cx, &client, params, (&scope, wants)).await?;
        Ok((scope, challenge, person))
    };
    let (scope, code_challenge, person) = checked.await.map_err(|error: Error| error.at(&back))?;
    let sealed = Sealed {
        client_id: client_id.to_owned(),
        redirect_uri: redirect_uri.as_str().to_owned(),
        redirect_uri_sent: given.is_some(),
        state: state.map(str::to_owned),
        scope,
        code_challenge,
        wants: wants.unwrap_or(ResponseType { code: true, token: false, id_token: false }),
        mode,
        person,
    };
    Ok(Asked { client, policy, redirect_uri, back, request: sealed })
}

fn back_to(redirect_uri: &RedirectUri, state: Option<&str>, mode: Mode) -> Return {
    let source = redirect_uri.source();
    Return { redirect_uri: redirect_uri.as_str().to_owned(), source, state: state.map(str::to_owned), mode }
}

/// `response_modes_supported`.
pub const MODES: &[&str] = &["query", "fragment", "form_post"];

/// Verifies again what a form carries: the client may have changed while the page was open.
pub async fn verify_again<H: Host>(
    cx: &Context<'_, H>,
    by: &Request,
    request: Sealed,
) -> Result<Asked, Error> {
    let (client, policy, redirect_uri) =
        verify_client(cx, by, &request.client_id, Some(&request.redirect_uri)).await?;
    let back = back_to(&redirect_uri, request.state.as_deref(), request.mode);
    let challenge = request.code_challenge.is_some();
    check_client(&client, &policy, &request.scope, (challenge, request.wants))
        .map_err(|error| error.at(&back))?;
    Ok(Asked { client, policy, redirect_uri, back, request })
}

/// What is asked of who signs in; nothing where nobody does (OpenID Connect Core §3.1.2.1, §5.5).
async fn verify_person<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    params: &Params,
    (scope, wants): (&Scope, Option<ResponseType>),
) -> Result<Wanted, Error> {
    let bad = |detail: &'static str| Error::new(Code::InvalidRequest, detail);
    let own = |name: &'static str| params.optional(name).map(str::to_owned);
    let mut wanted = Wanted {
        prompt: Prompt::parse(params.optional("prompt").unwrap_or_default()).map_err(bad)?,
        hint: own("login_hint").filter(|hint| hint.len() <= 200).unwrap_or_default(),
        ..Wanted::default()
    };
    if !scope.contains(OPENID) {
        return Ok(wanted);
    }
    wanted.nonce = own("nonce");
    if wanted.nonce.is_none() && wants.is_some_and(|wants| wants.id_token) {
        return Err(bad("nonce is missing: an ID token that goes out at once must carry one"));
    }
    wanted.max_age = match params.optional("max_age").map(str::parse) {
        None => client.metadata.default_max_age.map(Seconds),
        Some(Ok(seconds)) => Some(Seconds(seconds)),
        Some(Err(_)) => return Err(bad("max_age is not a whole number of seconds")),
    };
    if let Some(text) = params.optional("claims") {
        let demands = openid::demands(text, scope, &client.metadata.scope).map_err(bad)?;
        if demands.unmet {
            let detail = "the values of the claim acr are essential, and none of them can be met";
            return Err(Error::new(Code::UnmetAuthentication, detail));
        }
        wanted.subjects = demands.subjects;
        wanted.names = demands.names.into_iter().map(str::to_owned).list();
        wanted.claims = Some(text.to_owned());
    }
    if let Some(hint) = params.optional("id_token_hint") {
        let claims = match jws::open(cx, issue::ID_TOKEN, hint).await? {
            // Nobody knows any more who signed it. It says who it is to be, as anybody may in `claims`: it keeps others out.
            None => jws::of_gone_key(cx, issue::ID_TOKEN, hint).await?,
            claims => claims,
        };
        let subject = claims.and_then(|mut claims| claims.remove("sub"));
        let Some(Value::String(subject)) = subject else {
            return Err(bad("id_token_hint is not an ID token of this server"));
        };
        if !wanted.subjects.is_empty() && !wanted.subjects.contains(&subject) {
            return Err(bad("id_token_hint and claims ask for different people"));
        }
        wanted.subjects = vec![subject];
    }
    Ok(wanted)
}

/// Whether a client, as the registry has just answered it, may still be answered what was asked.
pub fn still_holds(client: &Client, asked: &Asked, now: Timestamp) -> Result<(), Error> {
    if !client.is_live(now) || !client.admits(&asked.redirect_uri) {
        let detail = "the application changed while you decided: go back to it, and start again";
        return Err(Error::new(Code::InvalidRequest, detail));
    }
    let Sealed { scope, code_challenge, wants, .. } = &asked.request;
    check_client(client, &asked.policy, scope, (code_challenge.is_some(), *wants))
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
fn verify_rest(
    client: &Client,
    policy: &Policy,
    params: &Params,
    wants: Option<ResponseType>,
) -> Result<(Scope, Option<String>), Error> {
    let bad = |detail: &'static str| Error::new(Code::InvalidRequest, detail);
    if params.optional("request").is_some() {
        return Err(Error::new(Code::RequestNotSupported, "request objects are not accepted"));
    }
    if params.optional("request_uri").is_some() {
        return Err(Error::new(Code::RequestUriNotSupported, "request objects are not accepted"));
    }
    if params.optional("registration").is_some() {
        return Err(Error::new(Code::RegistrationNotSupported, "clients are registered beforehand"));
    }
    params.required("response_type")?;
    let wants = wants.ok_or_else(|| {
        let detail = "the response type must be of code, token and id_token";
        Error::new(Code::UnsupportedResponseType, detail)
    })?;
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
    // OpenID Connect Core §11: ignored where no code is asked for.
    let scope = if wants.code { scope } else { Scope::of(scope.names().filter(|name| *name != OFFLINE)) };
    let within = policy.within(params.all("resource"));
    let scope = match within.map_err(|why| Error::new(Code::UnknownResource, why))? {
        Some(within) => grants::within_resource(&scope, &within)?,
        None => scope,
    };
    check_client(client, policy, &scope, (challenge.is_some(), wants))?;
    Ok((scope, challenge))
}

/// What the client may do.
fn check_client(
    client: &Client,
    policy: &Policy,
    scope: &Scope,
    (challenge, wants): (bool, ResponseType),
) -> Result<(), Error> {
    for grant_type in wants.grant_types() {
        let forbidden = grant_type == "implicit" && client.metadata.profile == Profile::Oauth21;
        if !client.may_use(grant_type) || forbidden {
            let detail = format!("this client may not use the grant type {grant_type}");
            return Err(Error::new(Code::UnauthorizedClient, detail));
        }
    }
    if wants.at_once() {
        // Who must use PKCE gets nothing that PKCE cannot bind.
        if client.metadata.require_pkce.unwrap_or(policy.settings.require_pkce) {
            let detail = "this client must use PKCE, which binds codes alone";
            return Err(Error::new(Code::UnauthorizedClient, detail));
        }
        let registered = &client.metadata.response_types;
        if !registered.iter().any(|name| ResponseType::parse(name) == Some(wants)) {
            let detail = "the response type is not among this client's";
            return Err(Error::new(Code::UnauthorizedClient, detail));
        }
        if Policy::plain(scope) != *scope {
            let detail = "what administers is given for a code alone";
            return Err(Error::new(Code::InvalidScope, detail));
        }
        if wants.id_token && !scope.contains(OPENID) {
            return Err(Error::new(Code::InvalidScope, "an ID token needs the scope openid"));
        }
    }
    if wants.code && !challenge && client.requires_pkce(policy) {
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
