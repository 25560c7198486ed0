//! `/authorize` (RFC 6749 §3.1, RFC 9207): the sign-in page; where the browser is signed in the consent page, or at once the
//! answer where the person has allowed all this before.

use super::{authorization_request::verify, choose::ask_who, consent::go_on, interaction::ask_login};
use crate::{
    context::Context,
    error::{Code, Error},
    host::Host,
    list::List as _,
    session::{self, Browser},
    wire::{Params, Request, Response, with_params},
};
use http::Method;

/// The longest request that is looked at, in bytes: it must fit into an address again.
const LONGEST: usize = 8192;

/// `GET /authorize`, and `POST` for requests that are too long for an address.
pub async fn get_or_post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = if request.method == Method::POST {
        Params::of_form(request, &["resource", "audience"])?
    } else {
        Params::of_query(request, &["resource", "audience"])?
    };
    answer(cx, request, &params).await
}

/// The page that answers these parameters.
pub async fn answer<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    params: &Params,
) -> Result<Response, Error> {
    let length = request.query.len().max(request.body.as_ref().map_or(0, Vec::len));
    if length > LONGEST {
        return Err(Error::new(Code::ContentTooLarge, "the authorization request is larger than 8 KiB"));
    }
    // Another site's POST comes without our cookies (SameSite); its GET comes with them.
    let here = request.host == cx.config.host() && !request.is_cross_site(cx.config.origin());
    if request.method == Method::POST && !here {
        let pairs: Vec<_> = params.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).list();
        return Ok(Response::see_other(with_params(&cx.url("/authorize"), &pairs)));
    }
    let asked = verify(cx, request, params).await?;
    let browser = Browser::of(cx, request);
    let prompt = asked.request.person.prompt;
    let session = session::named(cx, request).filter(|_| !prompt.login && !prompt.select);
    // OpenID Connect Core §3.1.2.1: who is asked for is signed in, also where somebody else was since.
    let others =
        if prompt.none && asked.names_somebody() { session::others(cx, request) } else { Vec::new() };
    let mut answer = None;
    for session in session.iter().chain(&others) {
        answer = go_on(cx, request, &asked, &browser.mark, session).await?;
        if answer.is_some() {
            break;
        }
    }
    let response = match answer {
        Some(answer) => answer,
        None if prompt.none => {
            let detail = "the person has to sign in, and no page may be shown";
            return Err(Error::new(Code::LoginRequired, detail).at(&asked.back));
        }
        None if prompt.login => ask_login(cx, &asked, &browser.mark)?,
        None => ask_who(cx, request, &asked, &browser.mark, session.as_ref()).await?,
    };
    Ok(match browser.cookie {
        Some(cookie) => response.with("set-cookie", cookie),
        None => response,
    })
}
