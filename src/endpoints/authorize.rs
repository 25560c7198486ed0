//! `/authorize` (RFC 6749 §3.1, RFC 9207): the sign-in page, or the consent page where the browser is signed in.

use super::{
    authorization_request::verify,
    interaction::{ask_consent, ask_login},
};
use crate::{
    context::Context,
    error::{Code, Error},
    host::Host,
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
        let pairs: Vec<_> =
            params.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        return Ok(Response::see_other(with_params(&cx.url("/authorize"), &pairs)));
    }
    let asked = verify(cx, request, params).await?;
    let browser = Browser::of(cx, request);
    let session = session::named(cx, request);
    let person = match &session {
        Some(session) => session::person(cx, session).await?,
        None => None,
    };
    let prompt = asked.request.person.prompt;
    let response = match session.zip(person).filter(|(_, person)| asked.is_met_by(person, cx.now)) {
        Some(_) if prompt.none => {
            let detail = "the person has to allow it, and no page may be shown";
            return Err(Error::new(Code::ConsentRequired, detail).at(&asked.back));
        }
        Some((session, person)) => ask_consent(cx, &asked, &browser.mark, &session.id, &person)?,
        None if prompt.none => {
            let detail = "the person has to sign in, and no page may be shown";
            return Err(Error::new(Code::LoginRequired, detail).at(&asked.back));
        }
        None => ask_login(cx, &asked, &browser.mark)?,
    };
    Ok(match browser.cookie {
        Some(cookie) => response.with("set-cookie", cookie),
        None => response,
    })
}
