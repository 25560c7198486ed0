//! The table of routes.

use crate::{
    endpoints::{
        admin::Resource,
        console::{self, Page},
    },
    list::List as _,
    wire::{self, Surface},
};
use http::Method;
use std::borrow::Cow;

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Landing,
    Style,
    Healthz,
    Metadata,
    Jwks,
    Userinfo,
    ResourceMetadata,
    Authorize,
    Login,
    Choose,
    Consent,
    Account,
    Logout,
    Token,
    Revoke,
    Introspect,
    Check,
    Register,
    Registration,
    DevCallback,
    CompatAuthorize,
    Compat,
    CompatClient,
    External,
    ExternalRequest,
    ExternalCallback,
    ConnectionToken,
    OpenApi,
    Admin(Resource),
    Console(console::Page),
}

/// Who may call an endpoint with a script of their own (Fetch, CORS protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cors {
    /// Any origin: nothing here depends on a cookie.
    Any,
    /// No other origin.
    Own,
}

pub(super) struct Route {
    /// `None` for whatever comes.
    pub(super) method: Option<Method>,
    /// `{}` stands for one segment, `{*}` at the end for all that follows.
    pub(super) path: &'static str,
    pub(super) surface: Surface,
    pub(super) cors: Cors,
    pub(super) endpoint: Endpoint,
}

/// The table that dispatches, answers 405 and preflights, and fills the metadata.
#[rustfmt::skip]
const ROUTES: &[Route] = &[
    route(Method::GET,    "/",                                       Surface::Page,    Cors::Own, Endpoint::Landing),
    route(Method::GET,    "/style.css",                              Surface::Page,    Cors::Own, Endpoint::Style),
    route(Method::GET,    "/healthz",                                Surface::Json,    Cors::Own, Endpoint::Healthz),
    route(Method::GET,    "/.well-known/oauth-authorization-server", Surface::Json,    Cors::Any, Endpoint::Metadata),
    route(Method::GET,    "/.well-known/openid-configuration",       Surface::Json,    Cors::Any, Endpoint::Metadata),
    route(Method::GET,    "/userinfo",                               Surface::Bearer,  Cors::Any, Endpoint::Userinfo),
    route(Method::POST,   "/userinfo",                               Surface::Bearer,  Cors::Any, Endpoint::Userinfo),
    route(Method::GET,    "/jwks",                                   Surface::Json,    Cors::Any, Endpoint::Jwks),
    route(Method::GET,    "/.well-known/oauth-protected-resource",   Surface::Json,    Cors::Any, Endpoint::ResourceMetadata),
    route(Method::GET,    "/.well-known/oauth-protected-resource/{*}", Surface::Json,  Cors::Any, Endpoint::ResourceMetadata),
    route(Method::GET,    "/authorize",                              Surface::Page,    Cors::Own, Endpoint::Authorize),
    route(Method::POST,   "/authorize",                              Surface::Page,    Cors::Own, Endpoint::Authorize),
    route(Method::POST,   "/login",                                  Surface::Page,    Cors::Own, Endpoint::Login),
    route(Method::POST,   "/consent",                                Surface::Page,    Cors::Own, Endpoint::Consent),
    route(Method::POST,   "/choose",                                 Surface::Page,    Cors::Own, Endpoint::Choose),
    route(Method::GET,    "/account",                                Surface::Page,    Cors::Own, Endpoint::Account),
    route(Method::POST,   "/account",                                Surface::Page,    Cors::Own, Endpoint::Account),
    route(Method::GET,    "/logout",                                 Surface::Page,    Cors::Own, Endpoint::Logout),
    route(Method::POST,   "/logout",                                 Surface::Page,    Cors::Own, Endpoint::Logout),
    route(Method::POST,   "/token",                                  Surface::Json,    Cors::Any, Endpoint::Token),
    route(Method::POST,   "/revoke",                                 Surface::Json,    Cors::Any, Endpoint::Revoke),
    route(Method::POST,   "/introspect",                             Surface::Json,    Cors::Own, Endpoint::Introspect),
    any(                  "/check",                                  Surface::Check,   Cors::Own, Endpoint::Check),
    any(                  "/check/{*}",                              Surface::Check,   Cors::Own, Endpoint::Check),
    route(Method::POST,   "/register",                               Surface::Bearer,  Cors::Any, Endpoint::Register),
    route(Method::GET,    "/register/{}",                            Surface::Bearer,  Cors::Any, Endpoint::Registration),
    route(Method::PUT,    "/register/{}",                            Surface::Bearer,  Cors::Any, Endpoint::Registration),
    route(Method::DELETE, "/register/{}",                            Surface::Bearer,  Cors::Any, Endpoint::Registration),
    route(Method::GET,    "/dev/callback",                           Surface::Page,    Cors::Own, Endpoint::DevCallback),
    route(Method::GET,    "/invoke/pub.oauth/authorize",             Surface::Page,    Cors::Own, Endpoint::CompatAuthorize),
    route(Method::POST,   "/invoke/pub.oauth/authorize",             Surface::Page,    Cors::Own, Endpoint::CompatAuthorize),
    route(Method::GET,    "/invoke/pub.oauth/{}",                    Surface::Compat,  Cors::Any, Endpoint::Compat),
    route(Method::POST,   "/invoke/pub.oauth/{}",                    Surface::Compat,  Cors::Any, Endpoint::Compat),
    route(Method::GET,    "/invoke/pub.client.oauth/{}",             Surface::Compat,  Cors::Own, Endpoint::CompatClient),
    route(Method::POST,   "/invoke/pub.client.oauth/{}",             Surface::Compat,  Cors::Own, Endpoint::CompatClient),
    route(Method::POST,   "/admin/external/token",                   Surface::Problem, Cors::Own, Endpoint::External),
    route(Method::POST,   "/admin/external/request",                 Surface::Problem, Cors::Own, Endpoint::ExternalRequest),
    route(Method::GET,    "/external/callback",                      Surface::Page,    Cors::Own, Endpoint::ExternalCallback),
    route(Method::GET,    "/admin/connections",                      Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Connections)),
    route(Method::POST,   "/admin/connections",                      Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Connections)),
    route(Method::GET,    "/admin/connections/{}",                   Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Connection)),
    route(Method::PATCH,  "/admin/connections/{}",                   Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Connection)),
    route(Method::PUT,    "/admin/connections/{}",                   Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Connection)),
    route(Method::DELETE, "/admin/connections/{}",                   Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Connection)),
    route(Method::POST,   "/admin/connections/{}/authorize",         Surface::Problem, Cors::Own, Endpoint::Admin(Resource::ConnectionAuthorize)),
    route(Method::GET,    "/admin/connections/{}/token",             Surface::Problem, Cors::Own, Endpoint::ConnectionToken),
    route(Method::POST,   "/admin/connections/{}/token",             Surface::Problem, Cors::Own, Endpoint::ConnectionToken),
    route(Method::GET,    "/admin/external-servers",                 Surface::Problem, Cors::Own, Endpoint::Admin(Resource::ExternalServers)),
    route(Method::POST,   "/admin/external-servers",                 Surface::Problem, Cors::Own, Endpoint::Admin(Resource::ExternalServers)),
    route(Method::GET,    "/admin/external-servers/{}",              Surface::Problem, Cors::Own, Endpoint::Admin(Resource::ExternalServer)),
    route(Method::PATCH,  "/admin/external-servers/{}",              Surface::Problem, Cors::Own, Endpoint::Admin(Resource::ExternalServer)),
    route(Method::PUT,    "/admin/external-servers/{}",              Surface::Problem, Cors::Own, Endpoint::Admin(Resource::ExternalServer)),
    route(Method::DELETE, "/admin/external-servers/{}",              Surface::Problem, Cors::Own, Endpoint::Admin(Resource::ExternalServer)),
    route(Method::GET,    "/admin/openapi.json",                     Surface::Problem, Cors::Any, Endpoint::OpenApi),
    route(Method::GET,    "/admin/clients",                          Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Clients)),
    route(Method::POST,   "/admin/clients",                          Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Clients)),
    route(Method::GET,    "/admin/clients/{}",                       Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Client)),
    route(Method::PATCH,  "/admin/clients/{}",                       Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Client)),
    route(Method::PUT,    "/admin/clients/{}",                       Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Client)),
    route(Method::DELETE, "/admin/clients/{}",                       Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Client)),
    route(Method::POST,   "/admin/clients/{}/secret",                Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Secret)),
    route(Method::GET,    "/admin/registration-tokens",              Surface::Problem, Cors::Own, Endpoint::Admin(Resource::RegistrationTokens)),
    route(Method::POST,   "/admin/registration-tokens",              Surface::Problem, Cors::Own, Endpoint::Admin(Resource::RegistrationTokens)),
    route(Method::GET,    "/admin/registration-tokens/{}",           Surface::Problem, Cors::Own, Endpoint::Admin(Resource::RegistrationToken)),
    route(Method::DELETE, "/admin/registration-tokens/{}",           Surface::Problem, Cors::Own, Endpoint::Admin(Resource::RegistrationToken)),
    route(Method::GET,    "/admin/scopes",                           Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Scopes)),
    route(Method::POST,   "/admin/scopes",                           Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Scopes)),
    route(Method::GET,    "/admin/scopes/{}",                        Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Scope)),
    route(Method::PUT,    "/admin/scopes/{}",                        Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Scope)),
    route(Method::PATCH,  "/admin/scopes/{}",                        Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Scope)),
    route(Method::DELETE, "/admin/scopes/{}",                        Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Scope)),
    route(Method::GET,    "/admin/users",                            Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Users)),
    route(Method::POST,   "/admin/users",                            Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Users)),
    route(Method::GET,    "/admin/users/{}",                         Surface::Problem, Cors::Own, Endpoint::Admin(Resource::User)),
    route(Method::PATCH,  "/admin/users/{}",                         Surface::Problem, Cors::Own, Endpoint::Admin(Resource::User)),
    route(Method::PUT,    "/admin/users/{}",                         Surface::Problem, Cors::Own, Endpoint::Admin(Resource::User)),
    route(Method::DELETE, "/admin/users/{}",                         Surface::Problem, Cors::Own, Endpoint::Admin(Resource::User)),
    route(Method::GET,    "/admin/settings",                         Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Settings)),
    route(Method::PATCH,  "/admin/settings",                         Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Settings)),
    route(Method::GET,    "/admin/keys",                             Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Keys)),
    route(Method::POST,   "/admin/keys",                             Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Keys)),
    route(Method::GET,    "/admin/keys/{}",                          Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Key)),
    route(Method::DELETE, "/admin/keys/{}",                          Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Key)),
    route(Method::GET,    "/admin/grants",                           Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Grants)),
    route(Method::DELETE, "/admin/grants",                           Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Grants)),
    route(Method::GET,    "/admin/grants/{}",                        Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Grant)),
    route(Method::DELETE, "/admin/grants/{}",                        Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Grant)),
    route(Method::GET,    "/admin/audit",                            Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Audit)),
    route(Method::GET,    "/admin/health",                           Surface::Problem, Cors::Own, Endpoint::Admin(Resource::Health)),
    route(Method::GET,    "/console",                                  Surface::Page,    Cors::Own, Endpoint::Console(Page::Home)),
    route(Method::GET,    "/console/sign-in",                        Surface::Page,    Cors::Own, Endpoint::Console(Page::SignIn)),
    route(Method::POST,   "/console/sign-in",                          Surface::Page,    Cors::Own, Endpoint::Console(Page::SignIn)),
    route(Method::POST,   "/console/sign-out",                         Surface::Page,    Cors::Own, Endpoint::Console(Page::SignOut)),
    route(Method::GET,    "/console/administrator",                    Surface::Page,    Cors::Own, Endpoint::Console(Page::Administrator)),
    route(Method::POST,   "/console/administrator",                    Surface::Page,    Cors::Own, Endpoint::Console(Page::Administrator)),
    route(Method::GET,    "/console/new/clients",                      Surface::Page,    Cors::Own, Endpoint::Console(Page::New(Resource::Clients))),
    route(Method::GET,    "/console/clients",                          Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Clients))),
    route(Method::POST,   "/console/clients",                          Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Clients))),
    route(Method::GET,    "/console/clients/{}",                       Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Client))),
    route(Method::POST,   "/console/clients/{}",                       Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Client))),
    route(Method::GET,    "/console/new/scopes",                       Surface::Page,    Cors::Own, Endpoint::Console(Page::New(Resource::Scopes))),
    route(Method::GET,    "/console/scopes",                           Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Scopes))),
    route(Method::POST,   "/console/scopes",                           Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Scopes))),
    route(Method::GET,    "/console/scopes/{}",                        Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Scope))),
    route(Method::POST,   "/console/scopes/{}",                        Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Scope))),
    route(Method::GET,    "/console/new/users",                        Surface::Page,    Cors::Own, Endpoint::Console(Page::New(Resource::Users))),
    route(Method::GET,    "/console/users",                            Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Users))),
    route(Method::POST,   "/console/users",                            Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Users))),
    route(Method::GET,    "/console/users/{}",                         Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::User))),
    route(Method::POST,   "/console/users/{}",                         Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::User))),
    route(Method::GET,    "/console/grants",                           Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Grants))),
    route(Method::GET,    "/console/grants/{}",                        Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Grant))),
    route(Method::POST,   "/console/grants/{}",                        Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Grant))),
    route(Method::GET,    "/console/new/registration-tokens",          Surface::Page,    Cors::Own, Endpoint::Console(Page::New(Resource::RegistrationTokens))),
    route(Method::GET,    "/console/registration-tokens",              Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::RegistrationTokens))),
    route(Method::POST,   "/console/registration-tokens",              Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::RegistrationTokens))),
    route(Method::GET,    "/console/registration-tokens/{}",           Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::RegistrationToken))),
    route(Method::POST,   "/console/registration-tokens/{}",           Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::RegistrationToken))),
    route(Method::GET,     "/console/new/connections",                      Surface::Page,    Cors::Own, Endpoint::Console(Page::New(Resource::Connections))),
    route(Method::GET,     "/console/connections",                          Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Connections))),
    route(Method::POST,    "/console/connections",                          Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Connections))),
    route(Method::GET,     "/console/connections/{}",                       Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Connection))),
    route(Method::POST,    "/console/connections/{}",                       Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Connection))),
    route(Method::GET,     "/console/new/external-servers",                 Surface::Page,    Cors::Own, Endpoint::Console(Page::New(Resource::ExternalServers))),
    route(Method::GET,     "/console/external-servers",                     Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::ExternalServers))),
    route(Method::POST,    "/console/external-servers",                     Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::ExternalServers))),
    route(Method::GET,     "/console/external-servers/{}",                  Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::ExternalServer))),
    route(Method::POST,    "/console/external-servers/{}",                  Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::ExternalServer))),
    route(Method::GET,    "/console/new/keys",                         Surface::Page,    Cors::Own, Endpoint::Console(Page::New(Resource::Keys))),
    route(Method::GET,    "/console/keys",                             Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Keys))),
    route(Method::POST,   "/console/keys",                             Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Keys))),
    route(Method::GET,    "/console/keys/{}",                          Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Key))),
    route(Method::POST,   "/console/keys/{}",                          Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Key))),
    route(Method::GET,    "/console/settings",                         Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Settings))),
    route(Method::POST,   "/console/settings",                         Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Settings))),
    route(Method::GET,    "/console/audit",                            Surface::Page,    Cors::Own, Endpoint::Console(Page::Of(Resource::Audit))),
];

const fn route(
    method: Method,
    path: &'static str,
    surface: Surface,
    cors: Cors,
    endpoint: Endpoint,
) -> Route {
    Route { method: Some(method), path, surface, cors, endpoint }
}

const fn any(path: &'static str, surface: Surface, cors: Cors, endpoint: Endpoint) -> Route {
    Route { method: None, path, surface, cors, endpoint }
}

/// The addresses of the administration.
pub fn administration() -> impl Iterator<Item = (Method, &'static str, Resource)> {
    ROUTES.iter().filter_map(|route| match (route.endpoint, &route.method) {
        (Endpoint::Admin(resource), Some(method)) => Some((method.clone(), route.path, resource)),
        _ => None,
    })
}

/// The vendor's addresses of the administration, and ours, which answer there as well.
const ALIASES: &[(&str, &str)] = &[
    ("/admin/oauth/client", "/admin/clients"),
    ("/admin/oauth/scope", "/admin/scopes"),
    ("/admin/oauth/token", "/admin/grants"),
    ("/admin/oauth/globalsetting", "/admin/settings"),
    ("/admin/oauth/externalserver", "/admin/external-servers"),
];

/// An address of ours for one of the vendor's; any other as it is.
pub(super) fn ours(path: &str) -> Cow<'_, str> {
    let alias = ALIASES.iter().find_map(|(theirs, ours)| {
        let rest = path.strip_prefix(theirs)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{ours}{rest}"))
    });
    alias.map_or(Cow::Borrowed(path), Cow::Owned)
}

/// The routes of an address, with the segment that stands for `{}`.
pub(super) type Here = Vec<(&'static Route, Option<String>)>;

pub(super) fn routes_of(path: &str) -> Here {
    let found = ROUTES.iter().filter_map(|route| Some((route, matches(route.path, path)?)));
    // Of two that fit the first is meant, and what stands beside it.
    let mut here: Here = found.list();
    let first = here.first().map(|(route, _)| route.path);
    here.retain(|(route, _)| Some(route.path) == first);
    here
}

/// Whether a path is one of a route's, and the segment that stands for `{}`.
#[allow(clippy::option_option)] // The path is another; is the same; is the same and has a segment.
fn matches(pattern: &str, path: &str) -> Option<Option<String>> {
    // Every request looks through all of them, and most begin with another letter: none begins with a segment of any name.
    if pattern.as_bytes().get(1) != path.as_bytes().get(1) {
        return None;
    }
    if let Some(stem) = pattern.strip_suffix("/{*}") {
        // As it was sent: what it says is not an address of ours.
        let rest = path.strip_prefix(stem).filter(|rest| rest.starts_with('/'))?;
        return Some(Some(rest.to_owned()));
    }
    // By the byte: the search for a text is made anew for each.
    let Some(at) = pattern.bytes().position(|byte| byte == b'{') else {
        return (pattern == path).then_some(None);
    };
    let (stem, end) = pattern.split_at(at);
    let end = end.trim_start_matches("{}");
    let segment = path.strip_prefix(stem)?.strip_suffix(end)?;
    if segment.is_empty() || segment.contains('/') {
        return None;
    }
    // In a path, unlike in a form, a plus is a plus.
    wire::decode(segment.replace('+', "%2B").as_bytes()).map(Some)
}

/// How to speak at an address that has no route, or before routes are looked at.
pub(super) fn surface_of(path: &str) -> Surface {
    let known = ROUTES.iter().find(|route| matches(route.path, path).is_some()).map(|route| route.surface);
    known.unwrap_or(if path == "/admin" || path.starts_with("/admin/") {
        Surface::Problem
    } else {
        Surface::Json
    })
}

/// Methods, of any one, and paths, for those who check documents against them.
pub fn routes() -> impl Iterator<Item = (Method, &'static str)> {
    ROUTES.iter().map(|route| (route.method.clone().unwrap_or(Method::GET), route.path))
}
