//! The function that answers, by the table of routes.

mod gateway;
mod routes;

pub use routes::{administration, routes};

use crate::{
    context::{Config, Context, Event, Limited, Memory, config::Vars, draw_trace},
    endpoints::{
        account, admin, authorize, check, choose, compat, connections, consent, console, development,
        external, healthz, introspect, jwks, login, logout, metadata, register, revoke, userinfo,
    },
    error::{Code, Error},
    grants,
    host::Host,
    json::{self, json},
    list::List as _,
    pages,
    wire::{self, BODY_LIMIT, HEADER_LIMIT, Request, Response, Surface},
};
use http::{Method, StatusCode};
use routes::{Cors, Endpoint, Here, ours, routes_of, surface_of};

/// What a deployment is made of, and lives as long as its isolate.
pub struct Server {
    config: Result<Config, &'static str>,
    memory: Memory,
}

impl Server {
    /// A server under these variables. One that must not serve answers every request 503.
    pub fn new(vars: &Vars) -> Self {
        Self { config: Config::read(vars), memory: Memory::default() }
    }

    /// Answers one request. Whatever comes in, something well formed goes out.
    pub async fn respond<H: Host>(&self, host: &H, request: &Request) -> Response {
        match &self.config {
            Ok(config) => answer(&Context::new(host, config, &self.memory), request).await,
            Err(why) => {
                // Touches no storage.
                let (trace, time) = (draw_trace(host), host.now().seconds());
                let event = json!({ "time": time, "trace": trace, "event": "misconfigured", "reason": why });
                host.log(&event.to_string());
                let error =
                    Error::new(Code::ServerError, "this server is not configured to serve; its log says why");
                guard(wire::refuse(&error, surface_of(&request.path), "", &request.path, &trace), false)
            }
        }
    }
}

impl Server {
    /// Refuses a request that could not be read to its end.
    pub fn refuse_unread<H: Host>(&self, host: &H, why: &'static str) -> Response {
        let trace = draw_trace(host);
        let error = Error::new(Code::InvalidRequest, why);
        let event = json!({
            "time": host.now().seconds(), "trace": trace, "event": "refused", "endpoint": "-",
            "status": error.code.status().as_u16(), "reason": format!("{}: {why}", error.code.name()),
        });
        host.log(&event.to_string());
        let lasting = self.config.as_ref().is_ok_and(|config| !config.development);
        guard(wire::refuse(&error, Surface::Json, "", "", &trace), lasting)
    }
}

async fn answer<H: Host>(cx: &Context<'_, H>, request: &Request) -> Response {
    let path = ours(&request.path);
    let mut here = routes_of(&path);
    if here.iter().all(|(route, _)| route.path.starts_with(compat::PREFIX)) {
        // What cannot be read now is as in a new server.
        let prefix = cx.policy().await.unwrap_or_default().settings.compat_prefix.clone();
        here = compat::canonical(&path, &prefix).map(|path| routes_of(&path)).unwrap_or_default();
    }
    let (mut response, error) = decide(cx, request, &here).await;
    // The pattern, not the path: people paste anything into an address.
    let path = here.first().map_or("-", |(route, _)| route.path);
    log(cx, &format!("{} {path}", request.method), response.status, error.as_ref()).await;
    if here.iter().any(|(route, _)| route.cors == Cors::Any) {
        response = response
            .with("access-control-allow-origin", "*")
            .with("access-control-expose-headers", "www-authenticate, retry-after, x-oauth-error");
    }
    if request.method == Method::HEAD {
        response.body.clear();
    }
    // What a proxy passes on comes from the resource's own host: what browsers are told of ours is not for that.
    if here.iter().any(|(route, _)| route.surface == Surface::Check) {
        return response.with("x-content-type-options", "nosniff");
    }
    guard(response, !cx.config.development)
}

/// One decision: by copies first, by the truth where a copy may have been the reason for a refusal.
async fn by_the_truth<T, H: Host>(
    cx: &Context<'_, H>,
    decide: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    let outcome = decide().await;
    if let Err(error) = &outcome
        && error.code.may_come_from_a_copy()
        // Somebody has signed in: not once more.
        && error.cookies.is_empty()
        && (if error.code == Code::Stale { cx.reload() } else { cx.insist() })
    {
        // Nothing has changed: everything that can refuse comes before the effect.
        return decide().await;
    }
    outcome
}

/// What a request is answered with, and why where that is a refusal.
async fn decide<H: Host>(cx: &Context<'_, H>, request: &Request, here: &Here) -> (Response, Option<Error>) {
    let outcome = by_the_truth(cx, async || dispatch(cx, request, here).await).await;
    match outcome {
        Ok(response) => (response, None),
        Err(error) => {
            let surface = here.first().map_or_else(|| surface_of(&request.path), |(route, _)| route.surface);
            // A person who follows a bad link guesses nothing.
            // Nor does a proxy, whose callers share its address.
            let spared = matches!(surface, Surface::Page | Surface::Check);
            let error = if spared { error } else { limit(cx, request, error).await };
            let mut response = wire::refuse(&error, surface, &cx.config.issuer, &request.path, &cx.trace);
            let repeats = cx.policy().await.is_ok_and(|policy| policy.settings.response_header);
            if repeats && matches!(surface, Surface::Json | Surface::Compat) {
                response = response.with("x-oauth-error", error.code.name());
            }
            let wrong_method = error.code == Code::MethodNotAllowed;
            (if wrong_method { response.with("allow", allowed(here)) } else { response }, Some(error))
        }
    }
}

/// A guess counts, and after too many of them a further one is told no more than that. What would succeed still does.
async fn limit<H: Host>(cx: &Context<'_, H>, request: &Request, error: Error) -> Error {
    if !error.code.is_a_guess() {
        return error;
    }
    // Settings that can't be read now are those that a new server has.
    let policy = cx.policy().await.unwrap_or_default();
    match cx.strike(Limited::Client, &policy, request, &cx.claimed()).await {
        None => error,
        Some(until) => {
            let detail = "too many requests failed from this address for this client: wait";
            let cause = error.cause.as_deref().unwrap_or(&error.detail);
            Error::new(Code::TooManyRequests, detail)
                .because(format_args!("{}: {cause}", error.code.name()))
                .after(until.wait(cx.host.now()))
        }
    }
}

async fn dispatch<H: Host>(cx: &Context<'_, H>, request: &Request, here: &Here) -> Result<Response, Error> {
    development::check(cx).await?;
    let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
    let Some((route, segment)) =
        here.iter().find(|(route, _)| route.method.as_ref().is_none_or(|own| own == method))
    else {
        return elsewhere(request, here).map_err(|error| match (error.code, here.first()) {
            // As it was before HTTP had a status for it.
            (Code::MethodNotAllowed, Some((route, _))) if route.path.starts_with(compat::PREFIX) => {
                Error::new(Code::InvalidRequest, error.detail.clone())
            }
            _ => error,
        });
    };
    within_limits(request)?;
    let shown = route.surface == Surface::Page && method == Method::GET;
    // RFC 6749 §3.1, §3.2; RFC 6750 §5.3: tokens and passwords go over https alone.
    let open = !request.secure && !cx.config.development && route.endpoint != Endpoint::Healthz;
    let refused = open && cx.policy().await?.settings.require_https;
    if shown && (refused || request.host != cx.config.host()) {
        return Ok(pages::at_issuer(cx, request));
    }
    if refused {
        return Err(Error::new(
            Code::InvalidRequest,
            "the request must come over https (setting requireHTTPS)",
        ));
    }
    let segment = segment.as_deref().unwrap_or_default();
    match route.endpoint {
        Endpoint::Landing => development::landing(cx, request),
        Endpoint::Style => Ok(pages::style()),
        Endpoint::Healthz => Ok(healthz::get()),
        Endpoint::Metadata => metadata::get(cx).await,
        Endpoint::Jwks => jwks::get(cx).await,
        Endpoint::Userinfo => userinfo::get_or_post(cx, request).await,
        Endpoint::ResourceMetadata => metadata::resource(cx, request, segment).await,
        Endpoint::Authorize => authorize::get_or_post(cx, request).await,
        Endpoint::Login => login::post(cx, request).await,
        Endpoint::Choose => choose::post(cx, request).await,
        Endpoint::Consent => consent::post(cx, request).await,
        Endpoint::Account => account::respond(cx, request).await,
        Endpoint::Logout => logout::respond(cx, request).await,
        Endpoint::Token => grants::post(cx, request).await,
        Endpoint::Revoke => revoke::post(cx, request).await,
        Endpoint::Introspect => introspect::post(cx, request).await,
        Endpoint::Check => check::respond(cx, request, segment).await,
        Endpoint::Register => register::post(cx, request).await,
        Endpoint::Registration => register::item(cx, request, segment).await,
        Endpoint::DevCallback => development::callback(cx, request),
        Endpoint::CompatAuthorize => compat::ask(cx, request).await,
        Endpoint::Compat => compat::call(cx, request, segment).await,
        Endpoint::CompatClient => compat::call_out(cx, request, segment).await,
        Endpoint::External => external::post(cx, request).await,
        Endpoint::ExternalRequest => connections::execute(cx, request).await,
        Endpoint::ExternalCallback => connections::callback(cx, request).await,
        Endpoint::ConnectionToken => connections::fresh(cx, request, segment).await,
        Endpoint::OpenApi => Ok(admin::description::get()),
        Endpoint::Admin(resource) => admin::respond(cx, request, resource, segment).await,
        Endpoint::Console(page) => console::respond(cx, request, page, segment).await,
    }
}

/// What no request needs more of is not read.
fn within_limits(request: &Request) -> Result<(), Error> {
    if request.body.is_none() {
        return Err(Error::new(Code::ContentTooLarge, "the body is larger than 64 KiB"));
    }
    if request.query.len() > BODY_LIMIT {
        return Err(Error::new(Code::UriTooLong, "the query is longer than 64 KiB"));
    }
    match request.headers.iter().find(|(_, value)| value.len() > HEADER_LIMIT) {
        Some((name, _)) => {
            Err(Error::new(Code::HeaderTooLarge, format!("the header {name} is longer than 16 KiB")))
        }
        None => Ok(()),
    }
}

/// A preflight, a wrong method, or no such address.
fn elsewhere(request: &Request, here: &Here) -> Result<Response, Error> {
    if here.is_empty() {
        return Err(Error::new(Code::NotFound, "there is no such address"));
    }
    let allow = allowed(here);
    if request.method == Method::OPTIONS && here.iter().any(|(route, _)| route.cors == Cors::Any) {
        return Ok(Response::no_content()
            .with("access-control-allow-methods", allow)
            .with("access-control-allow-headers", "authorization, content-type")
            .with("access-control-max-age", "86400"));
    }
    Err(Error::new(Code::MethodNotAllowed, format!("this address answers {allow}")))
}

/// The methods of an address, for `Allow`.
fn allowed(here: &Here) -> String {
    let mut methods: Vec<&str> =
        here.iter().filter_map(|(route, _)| route.method.as_ref()).map(Method::as_str).list();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.join(", ")
}

/// Headers that every answer carries. `lasting`: browsers may remember that this host is https only.
fn guard(response: Response, lasting: bool) -> Response {
    let response = match response.header("content-security-policy") {
        Some(_) => response,
        None => response.with("content-security-policy", pages::policy(None, None)),
    };
    let response = response
        .with("x-content-type-options", "nosniff")
        .with("referrer-policy", "no-referrer")
        .with("x-frame-options", "DENY");
    if lasting {
        response.with("strict-transport-security", "max-age=63072000; includeSubDomains")
    } else {
        response
    }
}

/// One event per decision: refusals and changes always, ordinary successes as often as the setting says.
async fn log<H: Host>(cx: &Context<'_, H>, endpoint: &str, status: StatusCode, error: Option<&Error>) {
    let event = cx.event();
    if error.is_none() && !event.important && !is_sampled(cx).await {
        return;
    }
    let name = match (error, event.event) {
        // What changed something keeps its name, also where the answer is an error.
        (Some(_), name) if name.is_empty() || !event.important => "refused",
        (None, "") => "answered",
        (_, name) => name,
    };
    let reason = error.map(|error| {
        let cause = error.cause.as_deref().unwrap_or(&error.detail);
        format!("{}: {cause}", error.code.name())
    });
    let event = Event { event: name, reason: reason.or(event.reason.clone()), ..event };
    let mut line = event.line();
    json::put(&mut line, "time", json!(cx.now.seconds()));
    json::put(&mut line, "trace", json!(cx.trace));
    json::put(&mut line, "endpoint", json!(endpoint));
    json::put(&mut line, "status", json!(status.as_u16()));
    cx.host.log(&json::write(&line));
}

async fn is_sampled<H: Host>(cx: &Context<'_, H>) -> bool {
    let percent = cx.policy().await.map_or(100, |policy| policy.settings.log_success);
    // 256 faces against a hundred: half a percent of bias is nothing here.
    percent >= 100 || u64::from(cx.host.random::<1>()[0]) * 100 < percent * 256
}
