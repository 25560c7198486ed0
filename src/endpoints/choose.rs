//! `POST /choose`: of several people who are signed in in a browser one says that it is they who are asked.

use super::{
    authorization_request::{Asked, verify_again},
    consent::go_on,
    interaction::{Pending, Purpose, ask_login},
};
use crate::{
    context::Context,
    error::Error,
    host::Host,
    list::List as _,
    objects::protocol::account_shard::SessionRef,
    pages, session,
    waiting::all,
    wire::{Params, Request, Response},
};
use http::StatusCode;

/// The page to choose at, where anybody but that one is signed in; else the sign-in page.
pub async fn ask_who<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    asked: &Asked,
    browser: &str,
    but: Option<&SessionRef>,
) -> Result<Response, Error> {
    let prompt = asked.request.person.prompt;
    if prompt.login && !prompt.select {
        return ask_login(cx, asked, browser);
    }
    let sessions = session::all(cx, request).filter(|session| Some(session) != but).list();
    let people = all(sessions.iter().map(|session| session::person(cx, session))).await;
    let mut accounts = Vec::new();
    for (session, person) in sessions.iter().zip(people) {
        accounts.extend(person?.map(|person| (session.id.clone(), person.username)));
    }
    if accounts.is_empty() {
        return ask_login(cx, asked, browser);
    }
    let (purpose, browser) = (Purpose::Choose, browser.to_owned());
    let mut request = asked.request.clone();
    request.person.prompt.select = false;
    let pending = Pending { purpose, browser, session: None, made: cx.now, address: None, request };
    let pending = pending.seal_for(cx).map_err(|error| error.at(&asked.back))?;
    cx.note(|event| event.event = "login.choice");
    let page = pages::Choose { client: asked.client.name(), accounts: &accounts, pending: &pending };
    pages::show(StatusCode::OK, &page, Some(&asked.redirect_uri))
}

/// One of them, or somebody else.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &[])?;
    let pending = Pending::open_for(cx, request, &params, Purpose::Choose)?;
    let asked = verify_again(cx, request, pending.request).await?;
    // Who is to type a password again is nobody that is signed in.
    let chosen = params.optional("account").filter(|_| !asked.request.person.prompt.login);
    if let Some(session) = session::all(cx, request).find(|session| Some(session.id.as_str()) == chosen)
        && let Some(answer) = go_on(cx, request, &asked, &pending.browser, &session).await?
    {
        let lifetime = asked.policy.settings.session_lifetime;
        return session::enter(cx, request, &session, lifetime, Ok(answer)).await;
    }
    ask_login(cx, &asked, &pending.browser)
}
