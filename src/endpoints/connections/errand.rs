//! Requests to resources with the token of a connection (`pub.client.oauth:executeRequest`).

use super::{Token, admit, strange, token};
use crate::{
    context::Context,
    endpoints::admin::{self, body},
    error::{Code, Error, quotable},
    host::{Asked, Away, Fetched, Host},
    json::{json, object},
    model::{
        provider::{Answer, WAIT},
        remote::Remote,
    },
    upstream::{self, Target},
    wire::{Request, Response},
};
use base64ct::{Base64, Encoding as _};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

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

/// Asks a resource; once more, where it does not take the token and a newer one can be had.
pub async fn execute<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    // Who may not is told so before a byte of the body is looked at; which connection it is about stands in it.
    admin::admit_external(cx, request).await?;
    let errand = Errand::read(body::members(request)?)?;
    // An address that may not be asked is no reason to ask for a token.
    errand.target(cx, &admit(cx, request, &errand.connection).await?)?;
    let (connection, held) = match token(cx, &errand.connection, None).await? {
        Ok(found) => found,
        Err(response) => return Ok(response),
    };
    let mut answer = errand.run(cx, &connection, &held).await?;
    if answer.as_ref().is_ok_and(|answer| answer.status == 401)
        && let Ok(Ok((connection, newer))) = token(cx, &errand.connection, Some(&held.access)).await
        && newer.access != held.access
    {
        answer = errand.run(cx, &connection, &newer).await?;
    }
    Ok(match answer {
        Ok(answer) => passed_on(cx, answer),
        Err(away) => upstream::pass_on(cx, away.into()),
    })
}

fn passed_on<H: Host>(cx: &Context<'_, H>, answer: Fetched) -> Response {
    let Some(bytes) = answer.body else {
        let why = format!("an answer larger than {LARGEST} bytes");
        return upstream::pass_on(cx, Answer::Unreachable(why));
    };
    cx.note(|event| (event.event, event.important) = ("external.requested", true));
    let mut headers = Map::new();
    for (name, value) in answer.headers {
        headers.insert(name, json!(value));
    }
    let mut out = object([("status", json!(answer.status)), ("headers", Value::Object(headers))]);
    match String::from_utf8(bytes) {
        Ok(body) => out.insert("body".to_owned(), json!(body)),
        Err(other) => out.insert("body_base64".to_owned(), json!(Base64::encode_string(other.as_bytes()))),
    };
    Response::json(StatusCode::OK, &Value::Object(out))
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

    /// Where it goes, if it may go there.
    fn target<H: Host>(&self, cx: &Context<'_, H>, connection: &Remote) -> Result<Target, Error> {
        let origins = connection.list("allowed_origins");
        Target::within(cx.config, "url", &self.url, ("allowed_origins of the connection", origins))
    }

    /// Asks the resource.
    async fn run<H: Host>(
        &self,
        cx: &Context<'_, H>,
        connection: &Remote,
        token: &Token,
    ) -> Result<Result<Fetched, Away>, Error> {
        if !token.kind.eq_ignore_ascii_case("bearer") {
            let detail = "the other server's access tokens are not bearer tokens (RFC 6750)";
            return Err(Error::new(Code::Conflict, detail));
        }
        let Target(address) = self.target(cx, connection)?;
        let mut headers = self.headers.clone();
        headers.push(("authorization".to_owned(), format!("Bearer {}", token.access)));
        let (method, body) = (self.method.clone(), self.body.clone());
        let asked = Asked { method, address, headers, body, most: LARGEST, patience: WAIT };
        Ok(cx.host.fetch(&asked).await)
    }
}

/// RFC 9110 §5.1 and §5.5, but for what no program sends.
fn is_header(name: &str, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty()
        && name.bytes().all(plain)
        && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}
