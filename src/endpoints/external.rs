//! Tokens of somebody else's server, for who may have them: `pub.client.oauth:getExternalAccessToken` at its own address, and
//! `POST /admin/external/token`.

use super::{admin, compat};
use crate::{
    context::Context,
    error::{Code, Error},
    host::Host,
    json::{self, json},
    model::provider::{self, Answer, Wish},
    upstream::{self, Target},
    wire::{Params, Request, Response},
};
use http::StatusCode;
use serde_json::{Map, Value};

/// What is passed on of an answer, where it is there.
const OUTPUTS: &[&str] = &["token_type", "access_token", "expires_in", "refresh_token", "scope"];

/// At our own address: a JSON object, or a form.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    // What a query has, logs have.
    if !request.query.is_empty() {
        return Err(Error::new(Code::InvalidRequest, "the parameters belong into the body"));
    }
    token(cx, request, &compat::params(request)?).await
}

/// Asks the token endpoint that is named, and passes on what it says.
pub async fn token<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    params: &Params,
) -> Result<Response, Error> {
    admin::admit_external(cx, request).await?;
    let needed = |name: &'static str| params.required(name).map(|value| (name, value));
    let grant_type = needed("grant_type")?;
    // Each of them needs its own, and ignores the other's.
    let mut sent = match grant_type.1 {
        "authorization_code" => vec![grant_type, needed("code")?],
        "refresh_token" => vec![grant_type, needed("refresh_token")?],
        _ => {
            let detail = "grant_type must be authorization_code or refresh_token";
            return Err(Error::new(Code::UnsupportedGrantType, detail));
        }
    };
    let further: &[&'static str] = if grant_type.1 == "authorization_code" {
        &["redirect_uri", "code_verifier", "scope"]
    } else {
        &["scope"]
    };
    sent.extend(further.iter().filter_map(|name| params.optional(name).map(|value| (*name, value))));
    let in_body = match params.optional("token_endpoint_auth_method") {
        None | Some("client_secret_basic") => false,
        Some("client_secret_post") => true,
        Some(_) => {
            let detail = "token_endpoint_auth_method must be client_secret_basic or client_secret_post";
            return Err(Error::new(Code::InvalidRequest, detail));
        }
    };
    let (client_id, client_secret) = (params.required("client_id")?, params.optional("client_secret"));
    let policy = cx.policy().await?;
    let target = Target::read(cx.config, &policy, "token_endpoint", params.required("token_endpoint")?)?;
    match upstream::ask(cx, target, Wish { client_id, client_secret, in_body, params: sent }).await {
        Answer::Tokens(members) => {
            cx.note(|event| {
                event.event = "external.token";
                event.important = true;
            });
            Ok(Response::json(StatusCode::OK, &Value::Object(outputs(members))))
        }
        other => Ok(upstream::pass_on(cx, other)),
    }
}

fn outputs(members: Map<String, Value>) -> Map<String, Value> {
    let mut passed: Map<String, Value> = members;
    json::keep(&mut passed, &|name, value| OUTPUTS.contains(&name) && !value.is_null());
    if let Some(seconds) = provider::expires_in(&passed) {
        passed.insert("expires_in".to_owned(), json!(seconds));
    }
    passed
}
