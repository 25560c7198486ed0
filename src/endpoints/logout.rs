//! `/logout` (OpenID Connect RP-Initiated Logout 1.0): a person signs out, and goes back to the client that asked for it.
//!
//! Anybody can send a browser here. So nobody is signed out without a question but by a hint that names the very session of
//! this browser, and nobody is sent anywhere that the client did not register.

use super::{client_document, console::Seal, interaction::OPEN_FOR};
use crate::{
    context::Context,
    error::{Code, Error},
    host::Host,
    issue, jws,
    list::List as _,
    model::{redirect_uri::RedirectUri, ticket::Ticket as _},
    objects::protocol::account_shard::SessionRef,
    pages,
    session::{self, Browser},
    waiting::all,
    wire::{Params, Request, Response, with_params},
};
use http::{Method, StatusCode};
use serde_json::Value;

/// What is asked, verified.
#[derive(Default)]
struct Asked {
    /// The client's name.
    client: String,
    /// By which nobody but itself calls it.
    itself: bool,
    /// Where the person goes on, and the same with `state`.
    back: Option<(RedirectUri, String)>,
    /// The session of this browser that the hint names.
    named: Option<SessionRef>,
}

/// What a client asks, and what a person answers.
pub async fn respond<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let posted = request.method == Method::POST;
    let params = if posted { Params::of_form(request, &[])? } else { Params::of_query(request, &[])? };
    if posted && params.optional("seal").is_some() {
        return confirm(cx, request, &params).await;
    }
    // Another site's POST comes without our cookies (SameSite); its GET comes with them.
    if posted && (request.host != cx.config.host() || request.is_cross_site(cx.config.origin())) {
        let pairs: Vec<_> = params.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).list();
        return Ok(Response::see_other(with_params(&cx.url("/logout"), &pairs)));
    }
    let sessions: Vec<_> = session::all(cx, request).list();
    let asked = verify(cx, request, &params, &sessions).await?;
    let people = all(sessions.iter().map(|session| session::person(cx, session))).await;
    let mut names = Vec::new();
    for (session, person) in sessions.iter().zip(people) {
        let Some(person) = person? else { continue };
        if asked.named.as_ref() == Some(session) {
            let back = asked.back.as_ref().map_or("", |(_, back)| back);
            return done(cx, request, std::slice::from_ref(session), back).await;
        }
        names.push(person.username);
    }
    let browser = Browser::of(cx, request);
    let (uri, back) = asked.back.unzip();
    let back = back.unwrap_or_default();
    let seal = Seal { of: of(&browser.mark), made: cx.now, back: back.clone() }.seal(&cx.config.keys)?;
    let names = names.join(", ");
    cx.note(|event| event.event = "logout.shown");
    let page = pages::Logout {
        names: &names,
        client: &asked.client,
        itself: asked.itself,
        to: &uri.as_ref().map(RedirectUri::host).unwrap_or_default(),
        back: &back,
        host: cx.config.host(),
        seal: &seal,
    };
    let page = pages::show(StatusCode::OK, &page, uri.as_ref())?;
    Ok(match browser.cookie {
        Some(cookie) => page.with("set-cookie", cookie),
        None => page,
    })
}

/// Whose seal it is. One of the console is none here.
fn of(browser: &str) -> String {
    format!("logout/{browser}")
}

/// The person said yes.
async fn confirm<H: Host>(cx: &Context<'_, H>, request: &Request, form: &Params) -> Result<Response, Error> {
    let browser = Browser::known(cx, request).map(|mark| of(&mark));
    let seal = Seal::check(cx, request, form, browser.as_deref())?;
    if cx.now >= seal.made.plus(OPEN_FOR) {
        let detail = "this page was open for more than half an hour: start again at the application";
        return Err(Error::new(Code::InvalidRequest, detail));
    }
    let sessions = session::all(cx, request).list();
    done(cx, request, &sessions, &seal.back).await
}

/// They are over, and the person goes on.
async fn done<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    sessions: &[SessionRef],
    back: &str,
) -> Result<Response, Error> {
    let answer = if back.is_empty() {
        Response::see_other(cx.url("/logout"))
    } else {
        Response::see_other(back.to_owned())
    };
    session::leave(cx, request, sessions, answer).await
}

/// Verifies what is asked. Whatever does not hold is a page: nobody is sent anywhere (§4).
async fn verify<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    params: &Params,
    sessions: &[SessionRef],
) -> Result<Asked, Error> {
    let bad = |detail: &'static str| Error::new(Code::InvalidRequest, detail);
    let (mut id, mut hinted) = (params.optional("client_id").map(str::to_owned), None);
    let hint = params.optional("id_token_hint");
    let gone = match hint {
        Some(hint) => jws::of_gone_key(cx, issue::ID_TOKEN, hint).await?.is_some(),
        None => false,
    };
    if let Some(hint) = hint.filter(|_| !gone) {
        let claims = jws::open(cx, issue::ID_TOKEN, hint).await?.filter(|claims| claims.contains_key("exp"));
        let claims = claims.ok_or_else(|| bad("id_token_hint is not an ID token of this server"))?;
        let said = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        // §2: the client is the one that the token was issued to.
        if id.get_or_insert_with(|| said("aud")) != &said("aud") {
            return Err(bad("id_token_hint was issued to another client than client_id names"));
        }
        hinted = Some((said("sub"), said("sid")));
    }
    let Some(id) = id else {
        return match params.optional("post_logout_redirect_uri").filter(|_| !gone) {
            // An old hint whose key is gone is none: the person is asked, and goes nowhere that nobody vouches for.
            None => Ok(Asked::default()),
            Some(_) => Err(bad("post_logout_redirect_uri needs id_token_hint or client_id")),
        };
    };
    let client = client_document::find(cx, request, &id).await?;
    let client = client.ok_or_else(|| {
        Error::new(Code::InvalidClient, "the application is not registered here, or not any more")
    })?;
    cx.note(|event| event.client = Some(client.id.clone()));
    let back = match params.optional("post_logout_redirect_uri") {
        None => None,
        Some(uri) => {
            let registered = client.is_live(cx.now)
                && client.metadata.post_logout_redirect_uris.iter().any(|own| own == uri);
            let parsed = RedirectUri::parse(uri).ok().filter(|_| registered);
            let refused = "post_logout_redirect_uri is not registered for this application";
            let parsed = parsed.ok_or_else(|| Error::new(Code::UnregisteredRedirect, refused))?;
            let state = params.optional("state").map(|state| ("state", state));
            Some((parsed, with_params(uri, state.as_slice())))
        }
    };
    let policy = cx.policy().await?;
    let named = hinted.and_then(|(sub, sid)| {
        let is_meant = |own: &&SessionRef| {
            client.sid(&policy, &own.id) == sid && client.subject(&policy, &own.sub) == sub
        };
        sessions.iter().find(is_meant).cloned()
    });
    let (itself, client) = (client.registered_itself(), client.name().to_owned());
    Ok(Asked { client, itself, back, named })
}
