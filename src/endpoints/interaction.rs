//! A page in progress: signing in, then deciding. The request is sealed into the page's form, bound to the browser, the
//! purpose and the session, dead after half an hour; nothing is stored until somebody allows something.

use super::authorization_request::{Asked, Sealed};
use crate::{
    context::Context,
    crypto::Kind,
    error::{Code, Error},
    host::{Host, Seconds, Timestamp},
    issue,
    list::List as _,
    model::{grant::Person, place::Address, ticket::Ticket},
    pages::{self, AskedScope},
    session::Browser,
    wire::{Params, Request, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// What a page in progress is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Signing in.
    Login,
    /// Deciding.
    Consent,
    /// Saying who of those that are signed in it is.
    Choose,
}

/// A page in progress, sealed into its form: bound to browser, purpose and session, dead after half an hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// What for.
    pub purpose: Purpose,
    /// Which browser.
    pub browser: String,
    /// Which session.
    pub session: Option<String>,
    /// Since when.
    pub made: Timestamp,
    /// Where the grant will be, if it comes to one: the row is the single-use marker.
    pub address: Option<Address>,
    /// What was asked.
    pub request: Sealed,
}

impl Ticket for Pending {
    const KIND: Kind = Kind::Pending;
}

/// How long a person may take.
pub const OPEN_FOR: Seconds = Seconds(1800);
/// The largest seal that a form carries, in bytes.
const SEAL_LIMIT: usize = 8192;

impl Pending {
    /// Seals it; a request too large for its seal is refused.
    pub fn seal_for<H: Host>(&self, cx: &Context<'_, H>) -> Result<String, Error> {
        let sealed = self.seal(&cx.config.keys)?;
        if sealed.len() > SEAL_LIMIT {
            return Err(Error::new(Code::InvalidRequest, "the authorization request is larger than 8 KiB"));
        }
        Ok(sealed)
    }

    /// Opens what a form sent back: only in the browser it was made for, for its purpose, in time.
    pub fn open_for<H: Host>(
        cx: &Context<'_, H>,
        request: &Request,
        params: &Params,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        let refused = |detail: &'static str| Error::new(Code::InvalidRequest, detail);
        if request.is_cross_site(cx.config.origin()) {
            return Err(refused("the form was sent by another site").because("cross-site form"));
        }
        let pending = Self::open(&cx.config.keys, params.required("pending")?);
        let pending = pending.filter(|pending| pending.purpose == purpose);
        let pending =
            pending.ok_or_else(|| refused("the form is not one that this server made for this step"))?;
        if Browser::known(cx, request).as_ref() != Some(&pending.browser) {
            let detail = "the form was begun in another browser, or this one keeps no cookies";
            return Err(refused(detail).because("another browser"));
        }
        if cx.now >= pending.made.plus(OPEN_FOR) {
            return Err(refused(
                "this page was open for more than half an hour: start again at the application",
            ));
        }
        Ok(pending)
    }
}

/// The sign-in page for this request.
pub fn ask_login<H: Host>(cx: &Context<'_, H>, asked: &Asked, browser: &str) -> Result<Response, Error> {
    let pending = Pending {
        purpose: Purpose::Login,
        browser: browser.to_owned(),
        session: None,
        made: cx.now,
        address: None,
        request: asked.request.clone(),
    };
    cx.note(|event| event.event = "login.shown");
    let sealed = pending.seal_for(cx).map_err(|error| error.at(&asked.back))?;
    show_login(StatusCode::OK, asked, &sealed, None, &asked.request.person.hint)
}

/// Where the grant will be that a person may give.
pub fn draw<H: Host>(cx: &Context<'_, H>, asked: &Asked, sub: &str) -> Address {
    issue::draw_address(cx, &asked.client, &asked.policy, (sub, OPEN_FOR), lifetime(asked))
}

/// The consent page for this request.
pub fn ask_consent<H: Host>(
    cx: &Context<'_, H>,
    asked: &Asked,
    browser: &str,
    session: &str,
    person: &Person,
    address: Address,
) -> Result<Response, Error> {
    let pending = Pending {
        purpose: Purpose::Consent,
        browser: browser.to_owned(),
        session: Some(session.to_owned()),
        made: cx.now,
        address: Some(address),
        request: asked.request.clone(),
    };
    cx.note(|event| event.event = "consent.shown");
    cx.note(|event| event.sub = Some(person.sub.clone()));
    show_consent(asked, person, &pending.seal_for(cx).map_err(|error| error.at(&asked.back))?)
}

/// The sign-in page.
pub fn show_login(
    status: StatusCode,
    asked: &Asked,
    pending: &str,
    problem: Option<&str>,
    username: &str,
) -> Result<Response, Error> {
    let client = asked.client.name();
    pages::show(status, &pages::Login { client, problem, username, pending }, Some(&asked.redirect_uri))
}

/// The consent page: every scope ticked beforehand, with what it is for.
fn show_consent(asked: &Asked, person: &Person, pending: &str) -> Result<Response, Error> {
    let scopes: Vec<AskedScope> = asked
        .request
        .scope
        .names()
        .map(|name| {
            let known = asked.policy.description(name).filter(|text| !text.is_empty());
            AskedScope { name: name.to_owned(), description: known.unwrap_or("use").to_owned() }
        })
        .list();
    let settings = &asked.policy.settings;
    let page = pages::Consent {
        title: &settings.approval_title,
        header: &settings.approval_header,
        logo: &settings.approval_logo,
        footer: &settings.approval_footer,
        client: asked.client.name(),
        client_id: &asked.client.id,
        itself: asked.client.registered_itself(),
        username: &person.username,
        host: &asked.redirect_uri.host(),
        loopback: asked.redirect_uri.is_loopback(),
        scopes: &scopes,
        names: &asked.request.person.names.join(", "),
        pending,
    };
    pages::illustrated(StatusCode::OK, &page, Some(&asked.redirect_uri), &settings.approval_logo)
}

/// How long what a person allows lives (`None`: no end). An access token that is given at once has no refresh token beside it.
fn lifetime(asked: &Asked) -> Option<Seconds> {
    issue::lifetime(&asked.client, &asked.policy, asked.request.wants.code)
}
