//! webMethods' addresses of the services that are ours elsewhere: `/invoke/pub.oauth/getToken`, or with a colon. Another
//! door to the same rooms: here is read what such a client sends, and written what it expects; nothing is decided.

use super::{
    admin::{self, body},
    authorize, connections, external,
    introspect::{self, Inspected},
    revoke,
};
use crate::{
    context::Context,
    error::{Code, Error, quotable},
    grants::{self, Door},
    host::Host,
    json::{self, json},
    model::{
        grant::{Active, Returned},
        policy::Policy,
    },
    wire::{self, Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// Where the routes have these services, whatever the setting calls the prefix.
pub const PREFIX: &str = "/invoke/";
/// The folders.
const FOLDERS: &[&str] = &["pub.oauth", "pub.client.oauth"];

/// The address in the table of routes of one under the prefix, its service behind a slash or a colon. `None`: it is none.
pub fn canonical(path: &str, prefix: &str) -> Option<String> {
    let rest = path.strip_prefix('/')?.strip_prefix(prefix)?.strip_prefix('/')?;
    let (folder, service) = FOLDERS.iter().find_map(|folder| {
        let service = rest.strip_prefix(folder)?;
        let service = ["/", ":", "%3A", "%3a"].iter().find_map(|between| service.strip_prefix(between))?;
        Some((folder, service))
    })?;
    (!service.contains('/')).then(|| format!("{PREFIX}{folder}/{service}"))
}

#[rustfmt::skip]
const GET_TOKEN: Door = Door {
    grant_types: &["authorization_code", "refresh_token", "password", "client_credentials"],
    returned: Returned::Mirrored,
};
#[rustfmt::skip]
const GET_ACCESS_TOKEN: Door = Door {
    grant_types: &["authorization_code", "password", "client_credentials"],
    returned: Returned::WhereSeveral,
};
#[rustfmt::skip]
const REFRESH_ACCESS_TOKEN: Door = Door {
    grant_types: &["refresh_token"],
    returned: Returned::Mirrored,
};

/// `authorize`: the page where a person decides. A browser comes by `GET` whatever the settings say.
pub async fn ask<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    demand_https(cx, request, &*cx.policy().await?)?;
    let outcome = authorize::answer(cx, request, &params(request)?).await;
    outcome.map_err(|mut error| {
        if error.code == Code::UnsupportedResponseType {
            error.code = Code::InvalidRequest;
        }
        error
    })
}

/// A service by which this server is a client of others.
pub async fn call_out<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    service: &str,
) -> Result<Response, Error> {
    if service == "executeRequest" {
        demand_post(cx, request).await?;
        return connections::execute(cx, request).await;
    }
    let params = called(cx, request).await?;
    match service {
        "getExternalAccessToken" => external::token(cx, request, &params).await,
        _ => Err(Error::new(Code::NotFound, "there is no such service")),
    }
}

/// What a service is called with, if it may be called so.
async fn called<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Params, Error> {
    demand_post(cx, request).await?;
    params(request)
}

async fn demand_post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<(), Error> {
    let policy = cx.policy().await?;
    demand_https(cx, request, &policy)?;
    // What has an effect is not asked for in order to throw its answer away.
    if request.method == Method::HEAD || (request.method != Method::POST && policy.settings.require_post) {
        return Err(Error::new(Code::InvalidRequest, "the method must be POST (setting requirePost)"));
    }
    Ok(())
}

/// Any other service.
pub async fn call<H: Host>(cx: &Context<'_, H>, request: &Request, service: &str) -> Result<Response, Error> {
    let params = called(cx, request).await?;
    match service {
        "getToken" => token(cx, request, params, &GET_TOKEN, true).await,
        "getAccessToken" => token(cx, request, params, &GET_ACCESS_TOKEN, false).await,
        "refreshAccessToken" => token(cx, request, params, &REFRESH_ACCESS_TOKEN, true).await,
        "introspectToken" => {
            let (_, active) = introspect::inspect(cx, request, &params).await?;
            Ok(Response::json(StatusCode::OK, &Value::Object(inspected(active))))
        }
        "revokeToken" => {
            if wire::bearer(request).is_some() {
                // An administrator ends any token.
                admin::admit(cx, request).await?;
                revoke::revoke_any(cx, &params).await?;
            } else {
                // Another client's token is as unknown as one that nobody has.
                revoke::revoke(cx, request, &params).await?;
            }
            Ok(Response::json(StatusCode::OK, &json!({})))
        }
        "removeExpiredAccessTokens" => admin::remove_expired(cx, request, &params).await,
        _ => Err(Error::new(Code::NotFound, "there is no such service")),
    }
}

fn demand_https<H: Host>(cx: &Context<'_, H>, request: &Request, policy: &Policy) -> Result<(), Error> {
    let laptop = cx.config.development && request.is_to_loopback();
    if request.secure || laptop || !policy.settings.require_https {
        return Ok(());
    }
    Err(Error::new(Code::InvalidRequest, "the request must come over https (setting requireHTTPS)"))
}

async fn token<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    mut params: Params,
    door: &Door,
    says_scope: bool,
) -> Result<Response, Error> {
    // Who authenticates by the header is who the header says.
    if params.optional("grant_type") == Some("client_credentials")
        && request.header("authorization").is_some()
    {
        params.forget("client_id");
    }
    let tokens = grants::answer(cx, request, &params, door).await?;
    let mut body = tokens.members();
    body.insert("expires_in".to_owned(), tokens.expires_in.map_or_else(|| json!(-1), |left| json!(left)));
    if !says_scope {
        body.remove("scope");
    }
    Ok(Response::json(StatusCode::OK, &Value::Object(body)).with("pragma", "no-cache"))
}

/// What introspection says: texts, all of it.
fn inspected(inspected: Option<Inspected>) -> Map<String, Value> {
    let Some(Inspected { active, refresh, .. }) = inspected else {
        return crate::json::object([("active", json!("false"))]);
    };
    let Active { scope, client_id, person, issued, expires, .. } = active;
    let owner = person.map(|person| if person.username.is_empty() { person.sub } else { person.username });
    let mut body = crate::json::object([
        ("active", json!("true")),
        ("scope", json!(scope.to_string())),
        ("client_id", json!(client_id)),
        ("owner_id", json!(owner.unwrap_or(client_id))),
        ("token_type", json!(if refresh { "refresh_token" } else { "Bearer" })),
        ("iat", json!(issued.seconds().to_string())),
    ]);
    if let Some(expires) = expires {
        body.insert("exp".to_owned(), json!(expires.seconds().to_string()));
    }
    body
}

/// What a call says: in its query, and in its body, which is a form or an object of texts.
pub(super) fn params(request: &Request) -> Result<Params, Error> {
    const MAY_REPEAT: &[&str] = &["resource", "audience"];
    let query = Params::of_query(request, MAY_REPEAT)?;
    if request.method != Method::POST || request.body.as_ref().is_some_and(Vec::is_empty) {
        return Ok(query);
    }
    if !request.is_of_type("application/json") {
        return query.and(Params::of_form(request, MAY_REPEAT)?, MAY_REPEAT);
    }
    let Some(bytes) = &request.body else {
        return Err(Error::new(Code::ContentTooLarge, "the body is larger than 64 KiB"));
    };
    let mut said = Vec::new();
    for (name, value) in body::parse(bytes)? {
        said.push(match value {
            Value::Null => (name, String::new()),
            Value::String(text) => (name, text),
            Value::Number(_) | Value::Bool(_) => (name, json::write(&value)),
            Value::Array(_) | Value::Object(_) => {
                return Err(Error::new(Code::InvalidRequest, format!("{} must be a text", quotable(&name))));
            }
        });
    }
    query.and(Params::of_pairs(said), MAY_REPEAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_stands_behind_a_slash_or_a_colon_under_the_prefix_of_the_setting() {
        let found = Some("/invoke/pub.oauth/getToken".to_owned());
        for (path, prefix) in [
            ("/invoke/pub.oauth/getToken", "invoke"),
            ("/invoke/pub.oauth:getToken", "invoke"),
            ("/invoke/pub.oauth%3AgetToken", "invoke"),
            ("/rest/v1/pub.oauth:getToken", "rest/v1"),
        ] {
            assert_eq!(canonical(path, prefix), found, "{path}");
        }
        for (path, prefix) in [
            ("/invoke/pub.oauth/getToken", "rest"),
            ("/invoke/pub.oauthgetToken", "invoke"),
            ("/invoke/pub.oauth/a/b", "invoke"),
            ("/invoke/wm.server/ping", "invoke"),
            ("/", "invoke"),
        ] {
            assert_eq!(canonical(path, prefix), None, "{path}");
        }
    }
}
