//! `POST /consent`: a person allows or denies. Two requests, one to the account and one to the grant: the account checks
//! the session and notes the shard *before* the grant is made, so that disabling the person misses no grant. For a client that
//! is a document of which there is no record as it is now, two more come before: who it is, and the record.
//!
//! What was allowed is remembered, and where it covers all that is asked the next time the same two requests answer at once.

use super::{
    authorization_request::{self, Asked, still_holds, verify_again},
    choose::ask_who,
    interaction::{Pending, Purpose, ask_consent, ask_login, draw},
};
use crate::{
    context::Context,
    error::{Code, Error, Fault},
    host::{Host, Timestamp},
    issue::{self, Authentication, Authorization},
    list::List as _,
    model::{
        account::Wanted,
        client::Client,
        client_document::is_address,
        grant::{self, Binding, Offer, Person, Refusal, Reply, Terms},
        openid::{OPENID, Openid},
        pkce::Challenge,
        place::Address,
        policy::Policy,
        redirect_uri::ApplicationType,
        response_type::ResponseType,
        scope::Scope,
        ticket::{self, Ticket as _},
    },
    objects::protocol::account_shard::{Recall, SessionRef},
    session,
    wire::{Params, Request, Response, answer_to},
};
use std::rc::Rc;

/// Allow, allow all, deny, or sign in as someone else.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &["scope"])?;
    let pending = Pending::open_for(cx, request, &params, Purpose::Consent)?;
    let mut asked = verify_again(cx, request, pending.request.clone()).await?;
    let ticked = Scope::parse(&params.all("scope").list().join(" "));
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
    // Without openid there is no ID token, and it is that which was asked for.
    if scope.is_empty() || (asked.request.wants.id_token && !scope.contains(OPENID)) {
        withdraw(cx, request, &pending, &asked).await?;
        cx.note(|event| event.event = "consent.denied");
        return Err(Error::new(Code::AccessDenied, "the person did not allow it").at(&asked.back));
    }
    let session = session::named(cx, request).filter(|named| Some(&named.id) == pending.session.as_ref());
    let (Some(session), Some(address)) = (session, pending.address.clone()) else {
        return ask_login(cx, &asked, &pending.browser);
    };
    // What the account notes is of the client's record: of a document that has none, or another one, it is made before.
    if asked.client.version == 0 {
        let Some(person) = session::person(cx, &session).await? else {
            return ask_login(cx, &asked, &pending.browser);
        };
        let client = Rc::clone(&asked.client);
        let client = cx.begin_use(request, &asked.policy, client, &person.username).await?;
        still_holds(&client, &asked, cx.now)?;
        asked.client = client;
    }
    let (page, shown) = (address.key.clone(), pending.made);
    let wanted = Wanted { scope: scope.clone(), page, shown, ..wanted(&asked, cx.now) };
    let Some(person) = session::giver(cx, &session, address.shard.to_string(), wanted).await? else {
        // Signed out, disabled, or over: the session's own words, not an error of the client's.
        return ask_login(cx, &asked, &pending.browser);
    };
    conclude(cx, request, &asked, (address, person, session.id, scope), "consent.allowed").await
}

/// What is asked of a person, where the answer may be one of before. Nobody is spared what administers, a token that goes out
/// at once, or a client that anybody could pretend to be (RFC 8252 §8.6): one without a secret whose answers go to the
/// person's own machine, and one that registered itself, whose addresses may be others by now.
pub(super) fn recall(asked: &Asked, address: &Address, at: Timestamp) -> Option<Recall> {
    let Asked { client, redirect_uri, request, .. } = asked;
    let assured = client.is_confidential() || ApplicationType::Web.may_have(redirect_uri);
    let registered = !client.registered_itself() || is_address(&client.id);
    let spared = assured && registered && client.version > 0 && !request.wants.at_once();
    // What is asked for by name is not remembered.
    let spared = spared && !request.person.prompt.consent && request.person.names.is_empty();
    (spared && Policy::plain(&request.scope) == request.scope)
        .then(|| Recall { wanted: wanted(asked, at), shard: address.shard.to_string() })
}

fn wanted(asked: &Asked, at: Timestamp) -> Wanted {
    let Asked { client, request, .. } = asked;
    let (incarnation, name) = (client.incarnation.clone(), client.name().to_owned());
    let listens = client.metadata.backchannel_logout_uri.is_some();
    let (scope, asked) = (request.scope.clone(), request.scope.clone());
    Wanted {
        client: client.id.clone(),
        incarnation,
        name,
        scope,
        asked,
        page: String::new(),
        shown: at,
        at,
        listens,
    }
}

/// Answers whoever is signed in: with the consent page, or at once. `None`: the session is over, or not who or as late as is asked for.
pub(super) async fn go_on<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    asked: &Asked,
    browser: &str,
    session: &SessionRef,
) -> Result<Option<Response>, Error> {
    if !asked.is_for(&session.sub) {
        return Ok(None);
    }
    let address = draw(cx, asked, &session.sub);
    let authorization_request::Wanted { max_age, prompt, .. } = &asked.request.person;
    let found = match recall(asked, &address, cx.now) {
        Some(recall) => session::recall(cx, session, recall, *max_age).await?,
        None => session::person(cx, session).await?.map(|person| (person, false)),
    };
    let late = |since: Timestamp| max_age.is_none_or(|age| cx.now < since.plus(age));
    let found = found.filter(|(person, _)| person.auth_time.is_some_and(late));
    Ok(match found {
        None => None,
        Some((person, true)) => Some(again(cx, request, asked, address, (person, session.id.clone())).await?),
        // Whom it asks for is signed in: that is not for a client to know that was never allowed anything.
        Some(_) if prompt.none && asked.names_somebody() => None,
        Some(_) if prompt.none => {
            let detail = "the person has to allow it, and no page may be shown";
            return Err(Error::new(Code::ConsentRequired, detail).at(&asked.back));
        }
        Some((person, false)) => Some(ask_consent(cx, asked, browser, &session.id, &person, address)?),
    })
}

/// What was allowed before is allowed again.
pub(super) async fn again<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    asked: &Asked,
    address: Address,
    (person, sid): (Person, String),
) -> Result<Response, Error> {
    cx.note(|event| event.important = true);
    let scope = asked.request.scope.clone();
    conclude(cx, request, asked, (address, person, sid, scope), "consent.remembered").await
}

/// The account has said yes: the grant, and the answer that carries it.
async fn conclude<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    asked: &Asked,
    (address, person, sid, scope): (Address, Person, String, Scope),
    name: &'static str,
) -> Result<Response, Error> {
    cx.note(|event| event.sub = Some(person.sub.clone()));
    cx.note(|event| event.grant = Some(address.to_string()));
    let client = cx.begin_use(request, &asked.policy, Rc::clone(&asked.client), &person.username).await?;
    still_holds(&client, asked, cx.now)?;
    let given = give(cx, &client, asked, address, (person, sid), scope).await?;
    cx.note(|event| event.event = name);
    let mut answer: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).list();
    answer.extend(asked.back.state.as_deref().map(|state| ("state", state)));
    answer.push(("iss", cx.config.issuer.as_str())); // RFC 9207 §2
    Ok(answer_to(&asked.back, &answer))
}

/// What the answer carries: a code (RFC 6749 §4.1.2), an access token (§4.2.2), an ID token (OpenID Connect Core §3.2.2.5,
/// §3.3.2.5), or several of these.
async fn give<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    asked: &Asked,
    address: Address,
    (person, sid): (Person, String),
    scope: Scope,
) -> Result<Vec<(&'static str, String)>, Error> {
    let (policy, wants) = (&*asked.policy, asked.request.wants);
    let mut given = Vec::new();
    let offer = offer(client, asked, &address, (person.clone(), &sid), scope.clone());
    let mut issued = cx.now;
    let openid = offer.openid.clone();
    if wants.code {
        let command = grant::Command::Offer(offer.clone());
        match cx.ask_grant(&address, policy.version, command).await? {
            Reply::Offered(proof) => {
                let code = ticket::Code { address: address.clone(), proof };
                given.push(("code", code.seal(&cx.config.keys)?));
            }
            other => return Err(refusal(&other, asked)),
        }
    }
    if !wants.code || wants.token {
        let terms = Terms { refreshable: false, refreshes: Some(0), ..client.terms(policy) };
        let address = at_once(address, wants);
        let command = grant::Command::Give { offer, terms };
        match cx.ask_grant(&address, policy.version, command).await? {
            Reply::Issued(mut found) => {
                issued = found.at;
                // What stands beside it is known below.
                found.openid = None;
                if wants.token {
                    let tokens =
                        issue::tokens(cx, client, policy, Authorization::Grant(address, found)).await?;
                    given.push(("access_token", tokens.access_token));
                    given.push(("token_type", "Bearer".to_owned()));
                    given.extend(tokens.expires_in.map(|seconds| ("expires_in", seconds.to_string())));
                    given.push(("scope", tokens.scope));
                }
            }
            other => return Err(refusal(&other, asked)),
        }
    }
    if let Some(openid) = openid.filter(|_| wants.id_token) {
        let value =
            |name: &str| given.iter().find(|(own, _)| *own == name).map_or("", |(_, text)| text.as_str());
        let beside = [value("access_token"), value("code")];
        let of = Authentication { openid: &openid, person: &person, issued, beside };
        let alone = !wants.token && !wants.code;
        let token = issue::id_token(cx, client, policy, of, (&scope, alone)).await?;
        given.push(("id_token", token));
    }
    Ok(given)
}

/// Where the grant is of what goes out at once. Beside a code it is another one: the code's is redeemed later.
fn at_once(address: Address, wants: ResponseType) -> Address {
    if wants.code { Address { key: format!("{}-", address.key), ..address } } else { address }
}

/// Whoever allows, goes back and denies has denied: a code that is not redeemed yet never will be.
/// Of an access token that went out at once the grant is ended. And what they allow this client is not remembered.
async fn withdraw<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    pending: &Pending,
    asked: &Asked,
) -> Result<(), Error> {
    let wants = asked.request.wants;
    let Some(address) = &pending.address else { return Ok(()) };
    let mut replies = Vec::new();
    if wants.code {
        replies.push(cx.ask_grant(address, 0, grant::Command::Withdraw).await?);
    }
    if !wants.code || wants.token {
        let command = grant::Command::Revoke { by: None };
        replies.push(cx.ask_grant(&at_once(address.clone(), wants), 0, command).await?);
    }
    let allowed = replies.iter().any(|reply| matches!(reply, Reply::Revoked(_)));
    match session::named(cx, request).filter(|named| allowed && Some(&named.id) == pending.session.as_ref()) {
        Some(session) => session::forget(cx, session, &asked.client.id).await,
        None => Ok(()),
    }
}

/// What the person allows.
fn offer(
    client: &Client,
    asked: &Asked,
    address: &Address,
    (person, sid): (Person, &str),
    scope: Scope,
) -> Box<Offer> {
    let defaults = client.metadata.profile.defaults();
    let challenge = asked.request.code_challenge.as_deref().and_then(Challenge::parse);
    let sent = asked.request.redirect_uri_sent;
    let optional = !sent || (defaults.redirect_uri_optional && challenge.is_some());
    let wanted = &asked.request.person;
    let (nonce, claims, names) = (wanted.nonce.clone(), wanted.claims.clone(), wanted.names.clone());
    let openid = Openid { nonce, claims, sid: sid.to_owned(), names };
    Box::new(Offer {
        client: client.reference(),
        person,
        openid: scope.contains(OPENID).then(|| Box::new(openid)),
        scope,
        binding: Binding {
            challenge,
            redirect_uri: asked.request.redirect_uri.clone(),
            redirect_uri_required: !optional,
            redirect_uri_sent: sent,
        },
        code_lifetime: client.code_lifetime(&asked.policy),
        absolute: issue::lifetime(client, &asked.policy, asked.request.wants.code),
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
            let detail = "the application or the account was disabled, or what it had was withdrawn";
            Error::new(Code::AccessDenied, detail).because(format_args!("{refusal:?}")).at(&asked.back)
        }
        _ => Fault::new("a grant gave an answer that is none to an offer").into(),
    }
}
