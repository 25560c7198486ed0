//! What a person sees: compiled templates, one style sheet, no script. Everything works without JavaScript.

pub mod console;

use crate::{
    context::Context,
    error::Error,
    host::{Host, Timestamp},
    model::redirect_uri::RedirectUri,
    objects::protocol::account_shard::Overview,
    wire::{Request, Response},
};
use askama::Template;
use http::StatusCode;
use std::time::{Duration, UNIX_EPOCH};

/// The page where a person signs in.
#[derive(Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    /// Who asks.
    pub client: &'a str,
    /// What went wrong with the last try.
    pub problem: Option<&'a str>,
    /// What was typed before.
    pub username: &'a str,
    /// The sealed request.
    pub pending: &'a str,
}

/// The page where one of the people who are signed in says that it is they.
#[derive(Template)]
#[template(path = "choose.html")]
pub struct Choose<'a> {
    /// Who asks.
    pub client: &'a str,
    /// Their sessions and names.
    pub accounts: &'a [(String, String)],
    /// The sealed request.
    pub pending: &'a str,
}

/// The page of a person's own account.
#[derive(Template)]
#[template(path = "account.html")]
pub struct Account<'a> {
    /// What there is of it.
    pub own: &'a Overview,
    /// What proves that its forms are ours.
    pub seal: &'a str,
    /// What went wrong; empty: nothing.
    pub problem: &'a str,
    /// What was done; empty: nothing.
    pub notice: &'a str,
}

/// A scope on the consent page.
pub struct AskedScope {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
}

/// The page where a person decides (RFC 6749 §4.1.1).
#[derive(Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    /// Its title, by the settings.
    pub title: &'a str,
    /// Its heading, by the settings.
    pub header: &'a str,
    /// The address of a picture, by the settings; empty: none.
    pub logo: &'a str,
    /// What stands below, by the settings; empty: nothing.
    pub footer: &'a str,
    /// Who asks.
    pub client: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// Nobody but the client itself says who it is.
    pub itself: bool,
    /// Who decides.
    pub username: &'a str,
    /// Where the answer goes.
    pub host: &'a str,
    /// Whether any program on the person's machine may receive it.
    pub loopback: bool,
    /// What for.
    pub scopes: &'a [AskedScope],
    /// What it is to be told of the person, beside what the scopes say.
    pub names: &'a str,
    /// The sealed request.
    pub pending: &'a str,
}

/// The page where a person signs out, or has.
#[derive(Template)]
#[template(path = "logout.html")]
pub struct Logout<'a> {
    /// Who is signed in; empty: nobody.
    pub names: &'a str,
    /// Who asks; empty: nobody.
    pub client: &'a str,
    /// Nobody but the client itself says who it is.
    pub itself: bool,
    /// The host where the person goes on.
    pub to: &'a str,
    /// Where the person goes on; empty: nowhere.
    pub back: &'a str,
    /// This server.
    pub host: &'a str,
    /// What the form carries.
    pub seal: &'a str,
}

/// The page at the root.
#[derive(Template)]
#[template(path = "landing.html")]
pub struct Landing<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// Where the walk through a flow starts, in development.
    pub walk: Option<&'a str>,
    /// Endpoints and what they are for.
    pub endpoints: &'a [(&'a str, &'a str)],
}

/// The end of the walk through a flow, in development.
#[derive(Template)]
#[template(path = "walked.html")]
pub struct Walked<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The code.
    pub code: &'a str,
    /// The verifier that belongs to it.
    pub verifier: &'a str,
    /// The redirect URI it is bound to.
    pub redirect_uri: &'a str,
    /// The error, where there is no code.
    pub error: Option<&'a str>,
}

/// A browser is back from another server that let this one in.
#[derive(Template)]
#[template(path = "connected.html")]
pub struct Connected<'a> {
    /// The connection.
    pub name: &'a str,
    /// The other server.
    pub issuer: &'a str,
}

/// A page, with the policy that lets its form's answer go to `back`.
pub fn show(status: StatusCode, page: &impl Template, back: Option<&RedirectUri>) -> Result<Response, Error> {
    illustrated(status, page, back, "")
}

/// The same, with a picture from elsewhere.
pub fn illustrated(
    status: StatusCode,
    page: &impl Template,
    back: Option<&RedirectUri>,
    picture: &str,
) -> Result<Response, Error> {
    let html = page.render().map_err(|_| crate::error::Fault::new("a page could not be written"))?;
    let response = Response::new(status, "text/html; charset=utf-8", html);
    let picture = RedirectUri::parse(picture).ok();
    Ok(response.with("content-security-policy", policy(back, picture.as_ref())))
}

/// The content security policy: nothing but our own style, pictures of ours and from where `picture` lies, and forms that
/// answer to us. Browsers apply `form-action` to the redirect that answers the form too, so the verified redirect URI's
/// origin stands beside us.
pub fn policy(back: Option<&RedirectUri>, picture: Option<&RedirectUri>) -> String {
    let source = |uri: Option<&RedirectUri>| uri.map(|uri| format!(" {}", uri.source())).unwrap_or_default();
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'{}; form-action 'self'{}; frame-ancestors 'none'; \
         base-uri 'none'",
        source(picture),
        source(back)
    )
}

/// The style sheet.
pub fn style() -> Response {
    Response::new(StatusCode::OK, "text/css; charset=utf-8", include_str!("pages/style.css"))
        .instead("cache-control", "public, max-age=3600")
}

/// An instant, as RFC 3339 writes it.
pub fn instant(at: Timestamp) -> String {
    const YEAR_9999: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(at.seconds().min(YEAR_9999));
    humantime::format_rfc3339_seconds(time).to_string()
}

impl Timestamp {
    /// The day, for people.
    fn day(self) -> String {
        instant(self).chars().take(10).collect()
    }

    /// The minute, for people.
    fn minute(self) -> String {
        instant(self).chars().take(16).collect::<String>().replace('T', " ")
    }
}

/// The same page at the issuer's own host: cookies and what is sealed belong there.
pub fn at_issuer<H: Host>(cx: &Context<'_, H>, request: &Request) -> Response {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    Response::see_other(cx.url(&format!("{}{query}", request.path)))
}
