//! The gateway: a request to a host and path of the setting `gateway.routes` is decided about as at `/check`, and passed on to
//! the server of the route, which is told who is calling.
//!
//! What that server gets is made here, the body apart: nothing that opens anything here, nothing of one connection only,
//! and no word on the caller but ours.

use super::{
    check::{self, Original},
    development, metadata,
};
use crate::{
    context::{Config, Context},
    error::{Code, Error},
    host::Host,
    model::{gateway, resource::Target},
    session, upstream,
    wire::{self, Request},
};

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
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-rewrite-url",
];
/// And those whose names begin so, but for who asked before whom.
const FAMILIES: &[&str] = &["x-auth-", "x-forwarded-", "x-original-"];
const HOPS: &str = "x-forwarded-for";

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
                without(&value, ';', session::is_own_cookie).trim().clone_into(&mut value);
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

/// What stands between separators, without what is this server's.
fn without(pairs: &str, separator: char, is_ours: fn(&str) -> bool) -> String {
    let mut foreign = String::new();
    for pair in pairs.split(separator) {
        if is_ours(pair) {
            continue;
        }
        if !foreign.is_empty() {
            foreign.push(separator);
        }
        foreign.push_str(pair);
    }
    foreign
}

/// To some servers an underscore, or a dot, is a hyphen.
fn is_dropped(name: &str) -> bool {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let of_family = name != HOPS && FAMILIES.iter().any(|family| name.starts_with(family));
    of_family || DROPPED.contains(&name.as_str())
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
    // What a resource says of itself is said by who decides about it (RFC 9728), to everybody.
    if metadata::is_of_resource(&policy, request) {
        return Ok(None);
    }
    let Some(origin) = origin.filter(|origin| upstream::check(cx.config, origin).is_ok()) else {
        return Ok(None);
    };
    development::refuse_in_production(cx.config, &policy)?;
    if request.header("upgrade").is_some_and(|to| to.to_ascii_lowercase().contains("websocket")) {
        return Err(Error::new(Code::NotImplemented, "WebSockets are not passed on"));
    }
    if !request.secure && !cx.config.development && policy.settings.require_https {
        return Err(Error::new(
            Code::InvalidRequest,
            "the request must come over https (setting requireHTTPS)",
        ));
    }
    let method = request.method.as_str();
    if request.body.is_none() && matches!(method, "GET" | "HEAD") {
        return Err(Error::new(Code::InvalidRequest, "a GET that has a body is not passed on"));
    }
    let address = format!("{}?{}", request.path, request.query);
    let proto = if request.secure { "https" } else { "http" };
    let here = Some(format!("{proto}://{}", request.host));
    let identity =
        check::identify(cx, &policy, request, Some(Original { method, address, origin: here })).await?;
    let mut set = Vec::new();
    let forwarded = [("x-forwarded-host", request.host.clone()), ("x-forwarded-proto", proto.to_owned())];
    for (name, value) in identity.headers().into_iter().chain(forwarded) {
        set.push((name.to_owned(), value));
    }
    let mut query = request.query.clone();
    if policy.settings.query_tokens {
        query = without(&query, '&', is_token);
    }
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(Some(Passage { address: format!("{origin}{}{mark}{query}", request.path), set }))
}

/// Whether a pair of a query is the parameter that may hold an access token (RFC 6750 §2.3).
fn is_token(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    wire::decode(name.as_bytes()).is_some_and(|name| name == "access_token")
}
