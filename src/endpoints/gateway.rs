//! The gateway: a request to a host and path of the setting `gateway.routes` is decided about as at `/check`, and passed on to
//! the server of the route, which is told who is calling.
//!
//! What that server gets is made here, the body apart: nothing that opens anything here, nothing of one connection only,
//! and no word on the caller but ours.

use super::{
    check::{self, Original},
    development,
};
use crate::{
    context::{Config, Context},
    error::{Code, Error},
    host::Host,
    model::{gateway, resource::Target},
    session, upstream,
    wire::{self, Request},
};
use std::borrow::Cow;

/// Headers that are not passed on. Those of one connection (RFC 9110 §7.6.1), credentials for this server, what proxies
/// say, and what some servers take for another method or address than the one that was decided about.
const DROPPED: &[&str] = &[
    "authorization",
    "connection",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// A request that may pass.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The address that is asked: of the origin, with path and query as they came.
    pub address: String,
    /// Headers that say who is calling, and where.
    set: Vec<(String, String)>,
}

impl Passage {
    /// The headers it is asked with, made of those that came, whose names are in lower case.
    pub fn headers(&self, came: Vec<(String, String)>) -> Vec<(String, String)> {
        let connection = came.iter().find(|(name, _)| name == "connection");
        let connection = connection.map_or(String::new(), |(_, names)| names.to_ascii_lowercase());
        let mut headers = Vec::new();
        for (name, mut value) in came {
            if name == "cookie" {
                value = foreign_cookies(&value);
            }
            let is_empty = name == "cookie" && value.is_empty();
            if !is_empty && !is_dropped(&name) && !connection.split(',').any(|named| named.trim() == name) {
                headers.push((name, value));
            }
        }
        headers.extend_from_slice(&self.set);
        headers
    }
}

fn foreign_cookies(pairs: &str) -> String {
    let mut foreign = String::new();
    for pair in pairs.split(';').filter(|pair| !session::is_own_cookie(pair)) {
        foreign.push_str(if foreign.is_empty() { "" } else { "; " });
        foreign.push_str(pair.trim());
    }
    foreign
}

/// To some servers an underscore, or a dot, is a hyphen.
fn is_dropped(name: &str) -> bool {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    name.starts_with("x-auth-") || DROPPED.contains(&name.as_str())
}

/// What the setting may not say in this deployment, beside what it may say in none.
pub fn check_routes(config: &Config, routes: &str) -> Result<(), String> {
    for route in gateway::read(routes) {
        if upstream::is_issuer(config, route.host) {
            return Err(format!("{} is the issuer's host", route.host));
        }
        upstream::check(config, route.origin)
            .map_err(|why| format!("{} may not be asked: {why}", route.origin))?;
    }
    Ok(())
}

/// How a request is passed on; `None` where no route says so, and it is one to this server. It came to another host than
/// the issuer's.
pub async fn admit<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Option<Passage>, Error> {
    let policy = cx.policy().await?;
    let routes = &policy.settings.gateway_routes;
    let origin = match Target::parse(request.method.as_str(), &request.path) {
        Ok(target) => gateway::find(routes, &request.host, target.segments()),
        // Which route it is of nobody can tell: it is refused below.
        Err(_) => gateway::of_host(routes, &request.host).next().map(|route| route.origin),
    };
    let Some(origin) = origin.filter(|origin| upstream::check(cx.config, origin).is_ok()) else {
        return Ok(None);
    };
    development::refuse_in_production(cx.config, &policy)?;
    if request.header("upgrade").is_some_and(|to| to.to_ascii_lowercase().contains("websocket")) {
        return Err(Error::new(Code::NotImplemented, "WebSockets are not passed on"));
    }
    let method = request.method.as_str();
    if request.body.is_none() && matches!(method, "GET" | "HEAD") {
        return Err(Error::new(Code::InvalidRequest, "a GET that has a body is not passed on"));
    }
    let address = format!("{}?{}", request.path, request.query);
    let identity = check::identify(cx, &policy, request, Some(Original { method, address })).await?;
    let mut set = Vec::new();
    let proto = if request.secure { "https" } else { "http" };
    let forwarded = [("x-forwarded-host", request.host.clone()), ("x-forwarded-proto", proto.to_owned())];
    for (name, value) in identity.headers().into_iter().chain(forwarded) {
        set.push((name.to_owned(), value));
    }
    let query = without_token(&request.query, policy.settings.query_tokens);
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(Some(Passage { address: format!("{origin}{}{mark}{query}", request.path), set }))
}

/// A query without the parameter that may hold an access token, where one may be there.
fn without_token(query: &str, counts: bool) -> Cow<'_, str> {
    if !counts {
        return Cow::Borrowed(query);
    }
    let mut kept = String::new();
    for pair in query.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        if wire::decode(name.as_bytes()).is_none_or(|name| name != "access_token") {
            kept.push_str(if kept.is_empty() { "" } else { "&" });
            kept.push_str(pair);
        }
    }
    Cow::Owned(kept)
}
