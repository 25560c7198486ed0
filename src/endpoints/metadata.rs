//! `GET /.well-known/oauth-authorization-server` (RFC 8414), read off the tables that drive the server; and
//! `/.well-known/oauth-protected-resource` (RFC 9728), read off the catalogue of scopes.

use super::authorization_request::MODES;
use crate::{
    caller,
    context::Context,
    error::{Code, Error},
    grants,
    host::{Algorithm, Host},
    json::{self, json},
    list::List as _,
    model::{openid, policy::Policy, response_type::ResponseType},
    wire::{self, Request, Response},
};
use http::StatusCode;
use serde_json::Value;

/// Where a resource says of itself.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The claims of an ID token that are not of the account.
const OWN_CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "sid",
    "at_hash",
    "c_hash",
];

/// The metadata: of RFC 8414 and of `/.well-known/openid-configuration`.
pub async fn get<H: Host>(cx: &Context<'_, H>) -> Result<Response, Error> {
    let policy = cx.policy().await?;
    let body = cx.memory().metadata(&policy, || json::write(&of_server(cx, &policy)).into_bytes());
    // Public, and the same for everybody: five minutes spare a client library one request per start.
    let answer = Response::new(StatusCode::OK, "application/json", body);
    Ok(answer.instead("cache-control", "public, max-age=300"))
}

fn of_server<H: Host>(cx: &Context<'_, H>, policy: &Policy) -> Value {
    let openid = openid::SCOPES.iter().map(|(name, ..)| *name);
    let scopes: Vec<&str> = policy.scopes.keys().map(String::as_str).chain(openid).list();
    let response_types: Vec<&str> = ResponseType::ALL.iter().map(|(name, _)| *name).list();
    let claims: Vec<&str> = OWN_CLAIMS.iter().copied().chain(openid::claims()).list();
    // What has no token endpoint is in no list of it.
    let grant_types: Vec<&str> = grants::NAMES.iter().copied().chain(["implicit"]).list();
    let mut body = json!({
        "issuer": cx.config.issuer,
        "authorization_endpoint": cx.url("/authorize"),
        "token_endpoint": cx.url("/token"),
        "revocation_endpoint": cx.url("/revoke"),
        "introspection_endpoint": cx.url("/introspect"),
        "jwks_uri": cx.url("/jwks"),
        "scopes_supported": scopes,
        "response_types_supported": response_types,
        "response_modes_supported": MODES,
        "grant_types_supported": grant_types,
        "token_endpoint_auth_methods_supported": caller::METHODS,
        "revocation_endpoint_auth_methods_supported": caller::METHODS,
        "introspection_endpoint_auth_methods_supported": caller::PROVING_METHODS,
        "introspection_signing_alg_values_supported": Algorithm::NAMES, // RFC 9701 §7
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true, // RFC 9207 §3
        // OpenID Connect Discovery §3.
        "userinfo_endpoint": cx.url("/userinfo"),
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": Algorithm::NAMES,
        "userinfo_signing_alg_values_supported": Algorithm::NAMES,
        "acr_values_supported": [openid::ACR],
        "claims_supported": claims,
        "claims_parameter_supported": true,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "end_session_endpoint": cx.url("/logout"), // OpenID Connect RP-Initiated Logout §2.1
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    if policy.settings.registration_open > 0 {
        body["registration_endpoint"] = json!(cx.url("/register"));
    }
    let resources = policy.resources(&policy.names());
    if !resources.is_empty() {
        body["protected_resources"] = json!(resources); // RFC 9728 §4
    }
    if policy.settings.documents {
        body["client_id_metadata_document_supported"] = json!(true);
    }
    body
}

/// The resource of an address, if one is registered: scheme and host, and the path behind the well-known one (RFC 9728 §3.1).
fn at<'a>(policy: &'a Policy, request: &Request, rest: &str) -> Option<&'a str> {
    let here = format!("{}{rest}", origin(request));
    // At the root of a host, with or without its slash.
    let is_meant =
        |known: &&str| *known == here || (rest.is_empty() && known.strip_suffix('/') == Some(&here));
    policy.resources(&policy.names()).into_iter().find(is_meant)
}

fn origin(request: &Request) -> String {
    format!("{}://{}", if request.secure { "https" } else { "http" }, request.host)
}

/// Whether a request asks what a resource says of itself.
pub fn is_of_resource(policy: &Policy, request: &Request) -> bool {
    let rest = request.path.strip_prefix(WELL_KNOWN).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    rest.is_some_and(|rest| at(policy, request, rest).is_some())
}

/// Where that is said of the resource that a request is for (RFC 9728 §5.1).
pub fn of_resource(policy: &Policy, request: &Request) -> Option<String> {
    let (origin, here) = (origin(request), format!("{}{}", origin(request), request.path));
    let covers = |known: &&str| {
        let stem = known.strip_suffix('/').unwrap_or(known);
        here.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let known =
        policy.resources(&policy.names()).into_iter().filter(covers).max_by_key(|known| known.len())?;
    // Of the root of a host the slash goes, and no other (RFC 9728 §3.1).
    let path = known.strip_prefix(&origin).map(|path| if path == "/" { "" } else { path })?;
    Some(format!("{origin}{WELL_KNOWN}{path}"))
}

/// The metadata of a resource: of the one at the host that was asked and the path behind the well-known one (RFC 9728 §3.1), or
/// of the one that the path names as a whole, percent-encoded.
pub async fn resource<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    rest: &str,
) -> Result<Response, Error> {
    let policy = cx.policy().await?;
    let named = rest.strip_prefix('/').and_then(|rest| wire::decode(rest.replace('+', "%2B").as_bytes()));
    let resource = at(&policy, request, rest).or_else(|| {
        policy.resources(&policy.names()).into_iter().find(|known| named.as_deref() == Some(*known))
    });
    let Some(resource) = resource else {
        return Err(Error::new(Code::UnservedAddress, "no resource of that address is registered here"));
    };
    let own = policy.scopes.iter().filter(|(_, entry)| entry.resource == resource);
    let scopes: Vec<&String> = own.map(|(name, _)| name).list();
    let methods: &[&str] = if policy.settings.query_tokens { &["header", "query"] } else { &["header"] };
    let body = json!({
        "resource": resource,
        "authorization_servers": [cx.config.issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": methods,
    });
    Ok(Response::json(StatusCode::OK, &body).instead("cache-control", "public, max-age=300"))
}
