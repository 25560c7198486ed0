//! Connections as they are used: the browser that comes back from another server, and fresh tokens of that server.

mod errand;

pub use errand::execute;

use super::admin::{self, body};
use crate::{
    context::Context,
    crypto::Secret,
    error::{Code, Error, Fault, quotable},
    host::{Host, Seconds},
    json::{self, json, object},
    model::{
        held::{Broken, Failure},
        provider::Answer,
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
use http::{Method, StatusCode};
use serde_json::Value;

/// Where other servers send browsers back to.
pub const CALLBACK: &str = "/external/callback";
/// How long somebody may take there.
pub(super) const TIME: Seconds = Seconds(600);
/// The other server of this name.
pub(super) async fn find<H: Host>(cx: &Context<'_, H>, kind: Kind, name: &str) -> Result<Remote, Error> {
    match *cx.ask::<Registry>(registry::NAME, registry::Command::Remote(kind, name.to_owned())).await? {
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
    match *cx.ask::<connection::Connection>(&connection.id, Command::Status(connection.of())).await? {
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
            let secret = vault.open(SECRET, sealed).ok_or_else(self::sealed)?;
            if vault.has_aged(sealed) {
                let remote =
                    Remote { client_secret: Some(vault.seal(SECRET, &secret)?), ..connection.clone() };
                let command =
                    registry::Command::PutRemote { expected: Some(version), remote: Box::new(remote) };
                // Who changes it meanwhile seals it anew as well.
                if let registry::Reply::Remote(Some(written)) =
                    *cx.ask::<Registry>(registry::NAME, command).await?
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
        scope: connection.text("scope").to_owned(),
        redirect_uri: cx.url(CALLBACK),
        vault,
    })
}

/// Its object knows a newer record than the registry gave, twice.
pub(super) fn changing() -> Error {
    Error::new(Code::TemporarilyUnavailable, "the connection is being changed: repeat the request")
}

/// Nothing is lost while there is the key.
fn sealed() -> Error {
    let detail = "the master key is gone under which this was sealed: bring it back, or say client_secret and authorize again";
    Error::new(Code::Conflict, detail)
}

/// Who may use a connection: the administrator by their token, and the clients that it lists, or all where it lists none.
async fn admit<H: Host>(cx: &Context<'_, H>, request: &Request, name: &str) -> Result<Remote, Error> {
    let client = admin::admit_external(cx, request).await?;
    cx.note(|event| event.connection = Some(quotable(name)));
    let connection = find(cx, Kind::Connection, name).await?;
    let mut listed = connection.list("allowed_clients").peekable();
    let may = listed.peek().is_none() || client.is_none_or(|client| listed.any(|own| own == client));
    if !may {
        return Err(Error::new(Code::AccessDenied, "the client is not one that may use this connection"));
    }
    drop(listed);
    Ok(connection)
}

/// Asks its object, once more where the connection was changed meanwhile.
async fn ask<H: Host>(
    cx: &Context<'_, H>,
    name: &str,
    id: Option<&str>,
    back: Option<(&str, &str, bool)>,
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
            back: back.map(|(nonce, code, named)| (nonce.to_owned(), secret(code), named)),
            refused: refused.map(secret),
            waited: None,
        };
        match *cx.ask::<connection::Connection>(&connection.id, Command::Token(Box::new(wish))).await? {
            Reply::Outdated if !again => again = true,
            Reply::Outdated => return Err(changing()),
            Reply::Ended => return Err(Error::new(Code::NotFound, "there is no such connection")),
            reply => return Ok((connection, reply)),
        }
    }
}

/// An access token of another server, and what was said of it.
struct Token {
    access: String,
    kind: String,
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
            Ok((connection, Token { access, kind: token_type, scope, expires_in }))
        }
        Reply::New => {
            let detail =
                "nobody has let this server in there yet: see POST /admin/connections/{name}/authorize";
            return Err(Error::new(Code::Conflict, detail));
        }
        Reply::Sealed => return Err(sealed()),
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
    Response::new(StatusCode::CONFLICT, "application/problem+json", json::write(&body))
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

/// `GET /admin/connections/{name}/token`: a fresh access token. `POST`: another one than that which a resource did not take.
pub async fn fresh<H: Host>(cx: &Context<'_, H>, request: &Request, name: &str) -> Result<Response, Error> {
    admit(cx, request, name).await?;
    let refused =
        if request.method == Method::POST { body::members(request)?.remove("refused") } else { None };
    let refused = match &refused {
        None => None,
        Some(Value::String(token)) => Some(token.as_str()),
        Some(_) => return Err(Error::new(Code::InvalidRequest, "must be a text").in_field("refused")),
    };
    let (_, token) = match token(cx, name, refused).await? {
        Ok(token) => token,
        Err(response) => return Ok(response),
    };
    cx.note(|event| (event.event, event.important) = ("external.token", true));
    let mut body = object([("access_token", json!(token.access)), ("token_type", json!(token.kind))]);
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
    let iss = params.optional("iss");
    if iss.is_some_and(|iss| iss != connection.text("issuer")) {
        return Err(refused("iss is not the issuer of the connection"));
    }
    let Some(code) = params.optional("code") else {
        let error = params.optional("error").map_or_else(String::new, quotable);
        let detail = format!("the other server did not let this one in: {error}");
        return Err(Error::new(Code::AccessDenied, detail));
    };
    let (_, reply) = ask(cx, &name, Some(&id), Some((&nonce, code, iss.is_some())), None).await?;
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
        Reply::Sealed => Err(sealed()),
        Reply::Unexpected | Reply::New | Reply::Broken(_) => Err(refused(late)),
        _ => Err(strange()),
    }
}

fn strange() -> Error {
    Fault::new("an object answered something else than it was asked").into()
}
