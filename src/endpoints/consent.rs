//! `POST /consent`: a person allows or denies. Two requests, one to the account and one to the grant: the account checks
//! the session and notes the shard *before* the grant is made, so that disabling the person misses no grant.

use super::{
    authorization_request::{Asked, verify_again},
    interaction::{Pending, Purpose, ask_login, lifetime},
};
use crate::{
    context::Context,
    crypto,
    error::{Code, Error, Fault},
    host::Host,
    model::{
        grant::{self, Binding, Offer, Person, Refusal, Reply},
        pkce::Challenge,
        place::Address,
        scope::Scope,
        ticket::{self, Ticket as _},
    },
    session,
    wire::{Params, Request, Response, with_params},
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
        Some("switch") => return ask_login(cx, &asked, &pending.browser),
        Some("all") => asked.request.scope.clone(),
        // What was shown bounds what is given, whatever the form says.
        Some("allow") => ticked.common(&asked.request.scope),
        Some("deny") => Scope::default(),
        _ => return Err(Error::new(Code::InvalidRequest, "the form does not say what was decided")),
    };
    cx.note(|event| event.important = true);
    if scope.is_empty() {
        withdraw(cx, &pending).await?;
        cx.note(|event| event.event = "consent.denied");
        return Err(Error::new(Code::AccessDenied, "the person did not allow it").at(&asked.back));
    }
    let session = session::named(cx, request).filter(|named| Some(&named.id) == pending.session.as_ref());
    let (Some(session), Some(address)) = (session, pending.address.clone()) else {
        return ask_login(cx, &asked, &pending.browser);
    };
    let Some(person) = session::giver(cx, &session, address.shard.to_string()).await? else {
        // Signed out, disabled, or over: the session's own words, not an error of the client's.
        return ask_login(cx, &asked, &pending.browser);
    };
    cx.note(|event| event.sub = Some(person.sub.clone()));
    cx.note(|event| event.grant = Some(address.to_string()));
    let client = cx.begin_use(request, &asked.policy, Rc::clone(&asked.client), &person.username).await?;
    let asked = Asked { client, ..asked };
    let proof = offer(cx, &asked, &address, person, scope).await?;
    cx.note(|event| event.event = "consent.allowed");
    let code = ticket::Code { address, proof }.seal(&cx.config.keys)?;
    let mut answer = vec![("code", code.as_str())];
    answer.extend(asked.back.state.as_deref().map(|state| ("state", state)));
    answer.push(("iss", cx.config.issuer.as_str())); // RFC 9207 §2
    Ok(Response::see_other(with_params(&asked.back.redirect_uri, &answer)))
}

/// Whoever allows, goes back and denies has denied: a code that is not redeemed yet never will be.
async fn withdraw<H: Host>(cx: &Context<'_, H>, pending: &Pending) -> Result<(), Error> {
    let Some(address) = &pending.address else { return Ok(()) };
    cx.ask_grant(address, 0, grant::Command::Withdraw).await?;
    Ok(())
}

/// Inserts the grant. A second submit of the same form finds it, and is given the same code.
async fn offer<H: Host>(
    cx: &Context<'_, H>,
    asked: &Asked,
    address: &Address,
    person: Person,
    scope: Scope,
) -> Result<crypto::Secret, Error> {
    let defaults = asked.client.metadata.profile.defaults();
    let challenge = asked.request.code_challenge.as_deref().and_then(Challenge::parse);
    let optional =
        !asked.request.redirect_uri_sent || (defaults.redirect_uri_optional && challenge.is_some());
    let offer = Offer {
        client: asked.client.reference(),
        person,
        scope,
        binding: Binding {
            challenge,
            redirect_uri: asked.request.redirect_uri.clone(),
            redirect_uri_required: !optional,
        },
        code_lifetime: asked.client.code_lifetime(&asked.policy),
        absolute: lifetime(asked),
        until: address.table.end(),
    };
    let command = grant::Command::Offer(Box::new(offer));
    match cx.ask_grant(address, asked.policy.version, command).await? {
        Reply::Offered(proof) => Ok(proof),
        Reply::Stale => {
            Err(Error::new(Code::Stale, "the application changed while you decided: decide again"))
        }
        Reply::Refused(Refusal::Taken) => {
            let detail =
                "this was decided before: go back to the application, and start again there if need be";
            Err(Error::new(Code::InvalidRequest, detail).because("consent form used again"))
        }
        Reply::Refused(refusal) => {
            let detail = "the application or the account was disabled";
            Err(Error::new(Code::AccessDenied, detail).because(format_args!("{refusal:?}")).at(&asked.back))
        }
        _ => Err(Fault::new("a grant gave an answer that is none to an offer").into()),
    }
}
