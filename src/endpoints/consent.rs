//! `POST /consent`: a person allows or denies. Two requests, one to the account and one to the grant: the account checks
//! the session and notes the shard *before* the grant is made, so that disabling the person misses no grant.
//!
//! What was allowed is remembered, and where it covers all that is asked the next time the same two requests answer at once.

use super::{
    authorization_request::{Asked, still_holds, verify_again},
    choose::ask_who,
    interaction::{Pending, Purpose, ask_consent, ask_login, draw},
};
use crate::{
    context::Context,
    error::{Code, Error, Fault},
    host::{Host, Timestamp},
    issue::{self, Authorization},
    model::{
        account::Wanted,
        client::Client,
        client_document::is_address,
        grant::{self, Binding, Offer, Person, Refusal, Reply, Terms},
        pkce::Challenge,
        place::Address,
        policy::Policy,
        redirect_uri::ApplicationType,
        scope::Scope,
        ticket::{self, Ticket as _},
    },
    objects::protocol::account_shard::{Recall, SessionRef},
    session,
    wire::{Params, Request, Response, answer_at},
};
use std::rc::Rc;

/// Allow, allow all, deny, or sign in as someone else.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &["scope"])?;
    let pending = Pending::open_for(cx, request, &params, Purpose::Consent)?;
    let asked = verify_again(cx, request, pending.request.clone()).await?;
    let ticked = Scope::parse(&params.all("scope").collect::<Vec<_>>().join(" "));
    let ticked = ticked.map_err(|why| Error::new(Code::InvalidRequest, why))?;
    let scope = match params.optional("decision") {
        Some("switch") => {
            let but = session::named(cx, request);
            return ask_who(cx, request, &asked, &pending.browser, but.as_ref()).await;
        }
        Some("all") => asked.request.scope.clone(),
        // What was shown bounds what is given, whatever the form says.
        Some("allow") => ticked.common(&asked.request.scope),
        Some("deny") => Scope::default(),
        _ => return Err(Error::new(Code::InvalidRequest, "the form does not say what was decided")),
    };
    cx.note(|event| event.important = true);
    if scope.is_empty() {
        withdraw(cx, &pending, asked.request.token).await?;
        cx.note(|event| event.event = "consent.denied");
        return Err(Error::new(Code::AccessDenied, "the person did not allow it").at(&asked.back));
    }
    let session = session::named(cx, request).filter(|named| Some(&named.id) == pending.session.as_ref());
    let (Some(session), Some(address)) = (session, pending.address.clone()) else {
        return ask_login(cx, &asked, &pending.browser);
    };
    let wanted = Wanted { scope: scope.clone(), ..wanted(&asked, cx.now) };
    let Some(person) = session::giver(cx, &session, address.shard.to_string(), wanted).await? else {
        // Signed out, disabled, or over: the session's own words, not an error of the client's.
        return ask_login(cx, &asked, &pending.browser);
    };
    conclude(cx, request, &asked, (address, person, scope), "consent.allowed").await
}

/// What is asked of a person, where the answer may be one of before. Nobody is spared what administers, a token that goes out
/// at once, or a client that anybody could pretend to be (RFC 8252 §8.6): one without a secret whose answers go to the
/// person's own machine, and one that registered itself, whose addresses may be others by now.
pub(super) fn recall(asked: &Asked, address: &Address, at: Timestamp) -> Option<Recall> {
    let Asked { client, redirect_uri, request, .. } = asked;
    let assured = client.is_confidential() || ApplicationType::Web.may_have(redirect_uri);
    let registered = !client.registered_itself() || is_address(&client.id);
    let spared = assured && registered && client.version > 0 && !request.ask && !request.token;
    (spared && Policy::usual(&request.scope) == request.scope)
        .then(|| Recall { wanted: wanted(asked, at), shard: address.shard.to_string() })
}

fn wanted(asked: &Asked, at: Timestamp) -> Wanted {
    let Asked { client, request, .. } = asked;
    let (incarnation, name) = (client.incarnation.clone(), client.name().to_owned());
    Wanted { client: client.id.clone(), incarnation, name, scope: request.scope.clone(), at }
}

/// Answers whoever is signed in: with the consent page, or at once. `None`: the session is over.
pub(super) async fn go_on<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    asked: &Asked,
    browser: &str,
    session: &SessionRef,
) -> Result<Option<Response>, Error> {
    let address = draw(cx, asked, &session.sub);
    let found = match recall(asked, &address, cx.now) {
        Some(recall) => session::recall(cx, session, recall).await?,
        None => session::person(cx, session).await?.map(|person| (person, false)),
    };
    Ok(match found {
        None => None,
        Some((person, false)) => Some(ask_consent(cx, asked, browser, &session.id, &person, address)?),
        Some((person, true)) => Some(again(cx, request, asked, address, person).await?),
    })
}

/// What was allowed before is allowed again.
pub(super) async fn again<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    asked: &Asked,
    address: Address,
    person: Person,
) -> Result<Response, Error> {
    cx.note(|event| event.important = true);
    let scope = asked.request.scope.clone();
    conclude(cx, request, asked, (address, person, scope), "consent.remembered").await
}

/// The account has said yes: the grant, and the answer that carries it.
async fn conclude<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    asked: &Asked,
    (address, person, scope): (Address, Person, Scope),
    name: &'static str,
) -> Result<Response, Error> {
    cx.note(|event| event.sub = Some(person.sub.clone()));
    cx.note(|event| event.grant = Some(address.to_string()));
    let client = cx.begin_use(request, &asked.policy, Rc::clone(&asked.client), &person.username).await?;
    still_holds(&client, asked, cx.now)?;
    let given = give(cx, &client, asked, address, person, scope).await?;
    cx.note(|event| event.event = name);
    let mut answer: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    answer.extend(asked.back.state.as_deref().map(|state| ("state", state)));
    answer.push(("iss", cx.config.issuer.as_str())); // RFC 9207 §2
    Ok(Response::see_other(answer_at(&asked.back, &answer)))
}

/// What the answer carries: a code (RFC 6749 §4.1.2), or an access token (§4.2.2).
async fn give<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    asked: &Asked,
    address: Address,
    person: Person,
    scope: Scope,
) -> Result<Vec<(&'static str, String)>, Error> {
    let offer = offer(client, asked, &address, person, scope);
    if !asked.request.token {
        let command = grant::Command::Offer(offer);
        return match cx.ask_grant(&address, asked.policy.version, command).await? {
            Reply::Offered(proof) => {
                Ok(vec![("code", ticket::Code { address, proof }.seal(&cx.config.keys)?)])
            }
            other => Err(refusal(&other, asked)),
        };
    }
    let terms = Terms { refreshable: false, refreshes: Some(0), ..client.terms(&asked.policy) };
    let command = grant::Command::Give { offer, terms };
    match cx.ask_grant(&address, asked.policy.version, command).await? {
        Reply::Issued(issued) => {
            let authorization = Authorization::Grant(address, issued);
            let tokens = issue::tokens(cx, client, &asked.policy, authorization)?;
            let mut given = vec![("access_token", tokens.access_token), ("token_type", "Bearer".to_owned())];
            given.extend(tokens.expires_in.map(|seconds| ("expires_in", seconds.to_string())));
            given.push(("scope", tokens.scope));
            Ok(given)
        }
        other => Err(refusal(&other, asked)),
    }
}

/// Whoever allows, goes back and denies has denied: a code that is not redeemed yet never will be.
/// Of an access token that went out at once the grant is ended.
async fn withdraw<H: Host>(cx: &Context<'_, H>, pending: &Pending, token: bool) -> Result<(), Error> {
    let Some(address) = &pending.address else { return Ok(()) };
    let command = if token { grant::Command::Revoke { by: None } } else { grant::Command::Withdraw };
    cx.ask_grant(address, 0, command).await?;
    Ok(())
}

/// What the person allows.
fn offer(client: &Client, asked: &Asked, address: &Address, person: Person, scope: Scope) -> Box<Offer> {
    let defaults = client.metadata.profile.defaults();
    let challenge = asked.request.code_challenge.as_deref().and_then(Challenge::parse);
    let sent = asked.request.redirect_uri_sent;
    let optional = !sent || (defaults.redirect_uri_optional && challenge.is_some());
    Box::new(Offer {
        client: client.reference(),
        person,
        scope,
        binding: Binding {
            challenge,
            redirect_uri: asked.request.redirect_uri.clone(),
            redirect_uri_required: !optional,
            redirect_uri_sent: sent,
        },
        code_lifetime: client.code_lifetime(&asked.policy),
        absolute: issue::lifetime(client, &asked.policy, !asked.request.token),
        until: address.table.end(),
    })
}

/// Why a grant was not made. A second submit of the same form finds it, and is given the same.
fn refusal(reply: &Reply, asked: &Asked) -> Error {
    match reply {
        Reply::Stale => Error::new(Code::Stale, "the application changed while you decided: decide again"),
        Reply::Refused(Refusal::Taken) => {
            let detail =
                "this was decided before: go back to the application, and start again there if need be";
            Error::new(Code::InvalidRequest, detail).because("consent form used again")
        }
        Reply::Refused(refusal) => {
            let detail = "the application or the account was disabled";
            Error::new(Code::AccessDenied, detail).because(format_args!("{refusal:?}")).at(&asked.back)
        }
        _ => Fault::new("a grant gave an answer that is none to an offer").into(),
    }
}
