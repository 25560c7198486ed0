//! `GET /.well-known/oauth-authorization-server` (RFC 8414), read off the tables that drive the server.

use crate::json::json;
use crate::{caller, context::Context, error::Error, grants, host::Host, wire::Response};
use http::StatusCode;

/// The metadata.
pub async fn get<H: Host>(cx: &Context<'_, H>) -> Result<Response, Error> {
    let policy = cx.policy().await?;
    let scopes: Vec<&String> = policy.scopes.keys().collect();
    // What has no token endpoint is in no list of it.
    let grant_types: Vec<&str> = grants::NAMES.iter().copied().chain(["implicit"]).collect();
    let mut body = json!({
        "issuer": cx.config.issuer,
        "authorization_endpoint": cx.url("/authorize"),
        "token_endpoint": cx.url("/token"),
        "revocation_endpoint": cx.url("/revoke"),
        "introspection_endpoint": cx.url("/introspect"),
        "scopes_supported": scopes,
        "response_types_supported": ["code", "token"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": grant_types,
        "token_endpoint_auth_methods_supported": caller::METHODS,
        "revocation_endpoint_auth_methods_supported": caller::METHODS,
        "introspection_endpoint_auth_methods_supported": caller::PROVING_METHODS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true, // RFC 9207 §3
    });
    if policy.settings.registration_open > 0 {
        body["registration_endpoint"] = json!(cx.url("/register"));
    }
    if policy.settings.documents {
        body["client_id_metadata_document_supported"] = json!(true);
    }
    // Public, and the same for everybody: five minutes spare a client library one request per start.
    Ok(Response::json(StatusCode::OK, &body).instead("cache-control", "public, max-age=300"))
}
