//! Connections as they are used: the browser that comes back from another server, fresh tokens of that server, and
//! requests to resources with them (`pub.client.oauth:executeRequest`).

use super::admin::{self, body};
use crate::{
    context::Context,
    crypto::Secret,
    error::{Code, Error, Fault, quotable},
    host::{Asked, Host, Seconds},
    json::object,
    model::{
        held::{Broken, Failure},
        provider::{Answer, WAIT},
        remote::{Kind, Remote, SECRET},
        ticket::{Outgoing, Ticket as _},
    },
    objects::protocol::{
        connection::{self, Command, Reply, Terms, Wish},
        registry::{self, Registry},
    },
    pages,
    upstream::{self, Target},
    wire::{Params, Request, Response},
};
use base64ct::{Base64, Encoding as _};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// Where other servers send browsers back to.
pub const CALLBACK: &str = "/external/callback";
/// How long somebody may take there.
pub(super) const TIME: Seconds = Seconds(600);
/// The largest answer of a resource that is passed on, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Headers that are this server's to say, or the connection's itself (RFC 9110 §7.6.1).
const OURS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The other server of this name.
pub(super) async fn find<H: Host>(cx: &Context<'_, H>, kind: Kind, name: &str) -> Result<Remote, Error> {
    match cx.ask::<Registry>(registry::NAME, registry::Command::Remote(kind, name.to_owned())).await? {
        registry::Reply::Remote(Some(found)) => Ok(*found),
        registry::Reply::Remote(None) => {
            Err(Error::new(Code::NotFound, format!("there is no such {}", kind.name())))
        }
        _ => Err(strange()),
    }
}

/// How it stands: `new`, `connected` or `broken`; and if so, since when and why.
pub(super) async fn status_of<H: Host>(
    cx: &Context<'_, H>,
    connection: &Remote,
) -> Result<(String, Option<Broken>), Error> {
    match cx.ask::<connection::Connection>(&connection.id, Command::Status(connection.of())).await? {
        Reply::Status(status, broken) => Ok((status, broken)),
        // It has just been deleted.
        Reply::Ended => Ok(("new".to_owned(), None)),
        _ => Err(strange()),
    }
}

/// By what its object is asked. A secret that an older master key sealed is sealed anew.
pub(super) async fn terms<H: Host>(cx: &Context<'_, H>, connection: &Remote) -> Result<Terms, Error> {
    let vault = cx.config.keys.vault(&connection.id);
    let mut version = connection.version;
    let client_secret = match &connection.client_secret {
        None => None,
        Some(sealed) => {
            let secret = vault.open(SECRET, sealed).ok_or_else(|| {
                let detail = "the master key is gone under which client_secret was sealed: say it again";
                Error::new(Code::Conflict, detail)
            })?;
            if vault.has_aged(sealed) {
                let remote =
                    Remote { client_secret: Some(vault.seal(SECRET, &secret)?), ..connection.clone() };
                let command =
                    registry::Command::PutRemote { expected: Some(version), remote: Box::new(remote) };
                // Who changes it meanwhile seals it anew as well.
                if let registry::Reply::Remote(Some(written)) =
                    cx.ask::<Registry>(registry::NAME, command).await?
                {
                    version = written.version;
                }
            }
            Some(Secret(secret.into_bytes()))
        }
    };
    Ok(Terms {
        version,
        of: connection.of(),
        name: connection.name.clone(),
        token_endpoint: connection.text("token_endpoint").to_owned(),
        client_id: connection.text("client_id").to_owned(),
        client_secret,
        in_body: connection.text("token_endpoint_auth_method") == "client_secret_post",
        redirect_uri: cx.url(CALLBACK),
        vault,
    })
}

/// Asks its object, once more where the connection was changed meanwhile.
async fn ask<H: Host>(
    cx: &Context<'_, H>,
    name: &str,
    id: Option<&str>,
    back: Option<(&str, &str)>,
    refused: Option<&str>,
) -> Result<(Remote, Reply), Error> {
    let mut again = false;
    loop {
        let connection = find(cx, Kind::Connection, name).await?;
        if id.is_some_and(|id| id != connection.id) {
            return Ok((connection, Reply::Unexpected));
        }
        let policy = cx.policy().await?;
        Target::read(cx.config, &policy, "token_endpoint", connection.text("token_endpoint"))?;
        let secret = |text: &str| Secret(text.as_bytes().to_vec());
        let wish = Wish {
            terms: terms(cx, &connection).await?,
            back: back.map(|(nonce, code)| (nonce.to_owned(), secret(code))),
            refused: refused.map(secret),
            waited: None,
        };
        match cx.ask::<connection::Connection>(&connection.id, Command::Token(Box::new(wish))).await? {
            Reply::Outdated if !again => again = true,
            Reply::Outdated => {
                let detail = "the connection is being changed: repeat the request";
                return Err(Error::new(Code::TemporarilyUnavailable, detail));
            }
            Reply::Ended => return Err(Error::new(Code::NotFound, "there is no such connection")),
            reply => return Ok((connection, reply)),
        }
    }
}

/// An access token of another server, and what was said of it.
struct Token {
    access: String,
    token_type: String,
    scope: String,
    expires_in: Option<u64>,
}

/// A token, or what is answered in place of one.
async fn token<H: Host>(
    cx: &Context<'_, H>,
    name: &str,
    refused: Option<&str>,
) -> Result<Result<(Remote, Token), Response>, Error> {
    let (connection, reply) = ask(cx, name, None, None, refused).await?;
    Ok(match reply {
        Reply::Token { access, token_type, scope, expires } => {
            let access = String::from_utf8(access.0).map_err(|_| strange())?;
            // By the clock of now: the provider may have been asked in between.
            let expires_in = expires.map(|expires| expires.since(cx.host.now()).0);
            Ok((connection, Token { access, token_type, scope, expires_in }))
        }
        Reply::New => {
            let detail =
                "nobody has let this server in there yet: see POST /admin/connections/{name}/authorize";
            return Err(Error::new(Code::Conflict, detail));
        }
        Reply::Broken(broken) => Err(is_broken(cx, &broken)),
        Reply::Failed(failure) => Err(has_failed(cx, failure)),
        _ => return Err(strange()),
    })
}

fn is_broken<H: Host>(cx: &Context<'_, H>, broken: &Broken) -> Response {
    cx.note(|event| {
        event.event = "external.refused";
        event.important = true;
        event.reason = Some(format!("the connection is broken: {}", broken.why));
    });
    let body = json!({
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "error": "conflict",
        "detail": "the connection is broken: somebody must let this server in again (POST /admin/connections/{name}/authorize)",
        "broken_since": broken.since.seconds(),
        "broken_reason": broken.why,
        "trace_id": cx.trace,
    });
    Response::new(StatusCode::CONFLICT, "application/problem+json", body.to_string())
}

fn has_failed<H: Host>(cx: &Context<'_, H>, failure: Failure) -> Response {
    let Failure { status, late, error, description, .. } = failure;
    let answer = match status {
        _ if late => Answer::Late,
        None => Answer::Unreachable(error),
        Some(status) => {
            let said = [("error", error), ("error_description", description)];
            let said = said.into_iter().filter(|(_, text)| !text.is_empty());
            let said = object(said.map(|(name, text)| (name, json!(text))));
            Answer::Refused(status, (!said.is_empty()).then_some(Value::Object(said)))
        }
    };
    upstream::pass_on(cx, answer)
}

/// `GET /admin/connections/{name}/token`: a fresh access token.
pub async fn fresh<H: Host>(cx: &Context<'_, H>, request: &Request, name: &str) -> Result<Response, Error> {
    admin::admit_external(cx, request).await?;
    let (_, token) = match token(cx, name, None).await? {
        Ok(token) => token,
        Err(response) => return Ok(response),
    };
    cx.note(|event| event.event = "external.token");
    let mut body = object([("access_token", json!(token.access)), ("token_type", json!(token.token_type))]);
    if let Some(left) = token.expires_in {
        body.insert("expires_in".to_owned(), json!(left));
    }
    if !token.scope.is_empty() {
        body.insert("scope".to_owned(), json!(token.scope));
    }
    Ok(Response::json(StatusCode::OK, &Value::Object(body)))
}

/// `GET /external/callback`: a browser comes back from another server (RFC 6749 §4.1.2).
pub async fn callback<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let refused = |detail: &'static str| Error::new(Code::InvalidRequest, detail);
    let params = Params::of_query(request, &[])?;
    let late = "nobody is expected with this answer: it was given before, came too late, or another was asked for since";
    let state = params.optional("state").and_then(|state| Outgoing::open(&cx.config.keys, state));
    let Outgoing { name, id, nonce } =
        state.ok_or_else(|| refused("state is missing, or none that this server gave"))?;
    let connection = find(cx, Kind::Connection, &name).await?;
    if connection.id != id {
        return Err(refused(late));
    }
    // RFC 9207 §2.4: what another server answers is not for this connection.
    if params.optional("iss").is_some_and(|iss| iss != connection.text("issuer")) {
        return Err(refused("iss is not the issuer of the connection"));
    }
    let Some(code) = params.optional("code") else {
        let error = params.optional("error").map_or_else(String::new, quotable);
        let detail = format!("the other server did not let this one in: {error}");
        return Err(Error::new(Code::AccessDenied, detail));
    };
    let (_, reply) = ask(cx, &name, Some(&id), Some((&nonce, code)), None).await?;
    match reply {
        Reply::Token { .. } => {
            cx.note(|event| {
                event.event = "external.connected";
                event.important = true;
            });
            pages::show(
                StatusCode::OK,
                &pages::Connected { name: &name, issuer: connection.text("issuer") },
                None,
            )
        }
        Reply::Failed(failure) => {
            let what = match failure.status {
                Some(status) => format!("status {status} {}", failure.error),
                None => "no answer".to_owned(),
            };
            let detail = "the other server gave no tokens for its code: begin again";
            Err(Error::new(Code::ExternalError, detail).because(what))
        }
        Reply::Unexpected | Reply::New | Reply::Broken(_) => Err(refused(late)),
        _ => Err(strange()),
    }
}

/// `pub.client.oauth:executeRequest`: asks a resource with the token of a connection, once more where the resource does not
/// take it and a newer one can be had.
pub async fn execute<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    admin::admit_external(cx, request).await?;
    let wish = Errand::read(body::members(request)?)?;
    let mut refused: Option<String> = None;
    loop {
        let (connection, token) = match token(cx, &wish.connection, refused.as_deref()).await? {
            Ok(found) => found,
            Err(response) => return Ok(response),
        };
        if !token.token_type.eq_ignore_ascii_case("bearer") {
            let detail = "the other server's access tokens are not bearer tokens (RFC 6750)";
            return Err(Error::new(Code::Conflict, detail));
        }
        let asked = wish.asked(cx, &connection, &token)?;
        let answer = match cx.host.fetch(&asked).await {
            Ok(answer) => answer,
            Err(away) => return Ok(upstream::pass_on(cx, away.into())),
        };
        // The second time it is told as it is.
        if answer.status == 401 && refused.is_none() {
            refused = Some(token.access);
            continue;
        }
        let Some(bytes) = answer.body else {
            let why = format!("an answer larger than {LARGEST} bytes");
            return Ok(upstream::pass_on(cx, Answer::Unreachable(why)));
        };
        cx.note(|event| {
            event.event = "external.requested";
            event.important = true;
        });
        let mut headers = Map::new();
        for (name, value) in answer.headers {
            headers.insert(name, json!(value));
        }
        let mut out = object([("status", json!(answer.status)), ("headers", Value::Object(headers))]);
        match String::from_utf8(bytes) {
            Ok(body) => out.insert("body".to_owned(), json!(body)),
            Err(other) => {
                out.insert("body_base64".to_owned(), json!(Base64::encode_string(other.as_bytes())))
            }
        };
        return Ok(Response::json(StatusCode::OK, &Value::Object(out)));
    }
}

/// What is to be asked of a resource.
struct Errand {
    connection: String,
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Errand {
    fn read(mut said: Map<String, Value>) -> Result<Self, Error> {
        let refused = |field: &str, why: &'static str| {
            Err(Error::new(Code::InvalidRequest, why).in_field(field.to_owned()))
        };
        let mut take = |name: &'static str| match said.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::new(Code::InvalidRequest, "must be a text").in_field(name)),
        };
        let (connection, url, body) = (take("connection")?, take("url")?, take("body")?);
        let method = take("method")?.unwrap_or_else(|| "GET".to_owned());
        let Some(connection) = connection else { return refused("connection", "is missing") };
        let Some(url) = url else { return refused("url", "is missing") };
        let method = match method.as_str() {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
                Method::from_bytes(method.as_bytes()).map_err(|_| strange())?
            }
            _ => return refused("method", "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"),
        };
        let body = body.unwrap_or_default().into_bytes();
        if !body.is_empty() && matches!(method, Method::GET | Method::HEAD) {
            return refused("body", "does not go with GET or HEAD");
        }
        let mut headers = Vec::new();
        match said.remove("headers") {
            None | Some(Value::Null) => {}
            Some(Value::Object(given)) => {
                for (name, value) in given {
                    let Some(value) = value.as_str().filter(|value| is_header(&name, value)) else {
                        let why = "must be an object of names and texts that HTTP allows";
                        return refused("headers", why);
                    };
                    let name = name.to_ascii_lowercase();
                    if OURS.contains(&name.as_str()) {
                        return refused("headers", "has one that is not the caller's to say");
                    }
                    headers.push((name, value.to_owned()));
                }
            }
            Some(_) => return refused("headers", "must be an object"),
        }
        if let Some(name) = said.keys().next() {
            return refused(&quotable(name), "is not a member that this request has");
        }
        Ok(Self { connection, method, url, headers, body })
    }

    /// As it is sent, with the token, if it may be sent there.
    fn asked<H: Host>(
        &self,
        cx: &Context<'_, H>,
        connection: &Remote,
        token: &Token,
    ) -> Result<Asked, Error> {
        let origins = connection.list("allowed_origins");
        let whose = "allowed_origins of the connection";
        let Target(address) = Target::within(cx.config, "url", &self.url, (whose, origins))?;
        let mut headers = self.headers.clone();
        headers.push(("authorization".to_owned(), format!("Bearer {}", token.access)));
        let (method, body) = (self.method.clone(), self.body.clone());
        Ok(Asked { method, address, headers, body, most: LARGEST, patience: WAIT })
    }
}

/// RFC 9110 §5.1 and §5.5, but for what no program sends.
fn is_header(name: &str, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.bytes().all(plain)
        && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

fn strange() -> Error {
    Fault::new("an object answered something else than it was asked").into()
}
