//! `POST /register` (RFC 7591), and `/register/{client_id}` (RFC 7592): clients that register and manage themselves.
//!
//! What is refused here is refused before the registry is asked: that nobody may register, a token that was not sealed
//! here, metadata that may not be, and whoever asks too often.

use super::{admin::body, sector};
use crate::{
    context::{Context, Limited},
    crypto,
    error::{Code, Error, Fault},
    host::{self, Author, Host, Timestamp},
    json::json,
    model::{
        client::{Client, Hashed},
        metadata::{AuthMethod, Metadata},
        patch::Invalid,
        policy::Policy,
        registration,
        ticket::{Initial, Registration, Ticket as _},
    },
    objects::protocol::{
        Told,
        registry::{self, Command, Registry, Reply, Wish},
    },
    wire::{self, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// Whoever is told to wait for a place is told to ask again in an hour at the latest.
const LONGEST_WAIT: u64 = 3600;

/// Members by which a client asks that its tokens be bound, or its requests pushed (RFC 9449 §5.2, RFC 8705 §3.4, RFC 9126 §6).
const UNKEPT: &[&str] = &[
    "dpop_bound_access_tokens",
    "tls_client_certificate_bound_access_tokens",
    "require_pushed_authorization_requests",
];

/// A registration.
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let policy = cx.policy().await?;
    let open = policy.settings.registration_open;
    if open == 0 {
        return Err(Error::new(Code::ClosedRegistration, "clients are registered by an administrator here"));
    }
    let initial = match wire::bearer(request) {
        Some(token) => Some(Initial::open(&cx.config.keys, token).ok_or_else(not_initial)?.0),
        None if open == 1 => {
            return Err(Error::new(Code::MissingToken, "an initial access token is needed to register"));
        }
        None => None,
    };
    let body = members(request)?;
    // Who asks to be held to more than this server holds anybody to must not believe that it is.
    if let Some(name) = UNKEPT.iter().find(|name| body.get(**name) == Some(&Value::Bool(true))) {
        return Err(refused(Invalid::new(name, "true is not served by this server")));
    }
    let said = registration::said(body);
    let metadata = said.and_then(|said| Metadata::of_itself(said, &policy, cx.now)).map_err(refused)?;
    limit(cx, request, Limited::Registration, &policy).await?;
    sector::check(cx, &policy, &metadata).await.map_err(refused)?;
    let confidential = metadata.token_endpoint_auth_method != AuthMethod::None;
    let secret = confidential.then(|| crypto::text(&cx.host.random::<32>()));
    let hashed = secret.as_deref().map(|secret| Hashed::of(secret, cx.host.random()));
    let id = policy.draw_client_id(cx.host.random());
    let client = Box::new(Client::new(id.clone(), cx.host.random(), metadata, hashed));
    let (kind, name) = match &initial {
        Some(initial) => ("initial_token", initial.id.clone()),
        None => ("client", id),
    };
    let (client, token) =
        match *tell(cx, request, (kind, name), Command::Register { client, initial }).await? {
            Reply::Registered(client, told, generation, proof) => {
                note(cx, "registration.created", &client.id);
                settled(told)?;
                (client.clone(), Registration { id: client.id, generation, proof })
            }
            Reply::Unknown => return Err(not_initial()),
            Reply::Full(until) => {
                let detail = "too many clients lie registered and unused: register later";
                let wait = until.wait(cx.now).min(LONGEST_WAIT);
                return Err(Error::new(Code::TemporarilyUnavailable, detail)
                    .because("too many unused")
                    .after(wait));
            }
            Reply::Invalid(why) => return Err(refused(why)),
            _ => return Err(Fault::new("the registry gave no registration").into()),
        };
    let mut body = information(cx, &client, &token)?;
    if let Some(secret) = secret {
        body.insert("client_secret".to_owned(), json!(secret));
        body.insert("client_secret_expires_at".to_owned(), json!(0)); // RFC 7591 §3.2.1: never.
    }
    Ok(answer(StatusCode::CREATED, body))
}

/// `GET`: the registration. `PUT`: all that it is from now on. `DELETE`: its end.
pub async fn item<H: Host>(cx: &Context<'_, H>, request: &Request, id: &str) -> Result<Response, Error> {
    let refused_token = || {
        let detail = "that is not the registration access token of this client, or no longer";
        Error::new(Code::InvalidToken, detail)
    };
    let missing = || Error::new(Code::MissingToken, "the registration access token is missing");
    let token = wire::bearer(request).ok_or_else(missing)?;
    let token = Registration::open(&cx.config.keys, token).filter(|token| token.id == id);
    let token = token.ok_or_else(refused_token)?;
    let policy = cx.policy().await?;
    // What is said anew is written like what was said first, and counts as much.
    let (event, limited, wish) = match request.method {
        Method::PUT => {
            let (wish, metadata) = replacement(members(request)?, id, &policy, cx.now).map_err(refused)?;
            limit(cx, request, Limited::Registration, &policy).await?;
            sector::check(cx, &policy, &metadata).await.map_err(refused)?;
            ("registration.replaced", None, wish)
        }
        Method::DELETE => ("registration.ended", Some(Limited::Management), Wish::End),
        _ => ("registration.shown", Some(Limited::Management), Wish::Read),
    };
    let changes = !matches!(wish, Wish::Read);
    if let Some(limited) = limited {
        limit(cx, request, limited, &policy).await?;
    }
    match *tell(cx, request, ("client", id.to_owned()), Command::Manage { token, wish }).await? {
        Reply::Registered(client, told, generation, proof) => {
            note(cx, event, id);
            cx.note(|event| event.important = changes);
            settled(told)?;
            let client = cx.memory().remember(*client, cx.now);
            let token = Registration { id: client.id.clone(), generation, proof };
            Ok(answer(StatusCode::OK, information(cx, &client, &token)?))
        }
        Reply::Deleted { told, .. } => {
            note(cx, event, id);
            cx.memory().forget();
            settled(told)?;
            Ok(Response::no_content().with("cache-control", "no-store"))
        }
        Reply::Unknown => Err(refused_token()),
        Reply::Invalid(why) => Err(refused(why)),
        _ => Err(Fault::new("the registry gave no registration").into()),
    }
}

/// What a `PUT` says (RFC 7592 §2.2): who it is about, perhaps its secret, and all of its metadata. What could not be
/// registered is refused here; whether the rest fits the client, the registry knows.
fn replacement(
    mut body: Map<String, Value>,
    id: &str,
    policy: &Policy,
    now: Timestamp,
) -> Result<(Wish, Metadata), Invalid> {
    if body.remove("client_id") != Some(json!(id)) {
        return Err(Invalid::new("client_id", "must be there, and that of this address"));
    }
    let secret = match body.remove("client_secret") {
        None => None,
        Some(Value::String(secret)) => Some(secret),
        Some(_) => return Err(Invalid::new("client_secret", "is not that of this client")),
    };
    let said = registration::said(body)?;
    let metadata = Metadata::of_itself(said.clone(), policy, now)?;
    Ok((Wish::Replace { said, secret }, metadata))
}

fn members(request: &Request) -> Result<Map<String, Value>, Error> {
    if !request.is_of_type("application/json") {
        return Err(Error::new(Code::UnsupportedMediaType, "the body must be application/json"));
    }
    body::members(request)
}

/// Asks the registry, in somebody's name.
async fn tell<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    (kind, name): (&str, String),
    command: Command,
) -> Result<Box<Reply>, Error> {
    let address = request.header("cf-connecting-ip").map(str::to_owned);
    let by = Author { kind: kind.to_owned(), name, address, trace: cx.trace.clone() };
    Ok(host::ask::<Registry, H>(cx.host, registry::NAME, command, Some(by)).await?)
}

async fn limit<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    what: Limited,
    policy: &Policy,
) -> Result<(), Error> {
    match cx.strike(what, policy, request, "").await {
        None => Ok(()),
        Some(until) => {
            let detail = "too many requests about registrations came from this address: wait";
            Err(Error::new(Code::TooManyRequests, detail).because("registrations").after(until.wait(cx.now)))
        }
    }
}

/// RFC 7591 §3.2.1, RFC 7592 §3.
fn information<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    token: &Registration,
) -> Result<Map<String, Value>, Error> {
    let mut body = client.metadata.own_words();
    let uri = cx.url(&format!("/register/{}", wire::encode(&client.id)));
    for (name, value) in [
        // What is meant where nothing was said is RS256 elsewhere (OpenID Connect Dynamic Client Registration §2).
        ("id_token_signed_response_alg", json!(client.id_token_algorithm().name())),
        ("client_id", json!(client.id)),
        ("client_id_issued_at", json!(client.issued.seconds())),
        ("registration_access_token", json!(token.seal(&cx.config.keys)?)),
        ("registration_client_uri", json!(uri)),
    ] {
        body.insert(name.to_owned(), value);
    }
    Ok(body)
}

fn answer(status: StatusCode, body: Map<String, Value>) -> Response {
    Response::json(status, &Value::Object(body)).with("pragma", "no-cache")
}

fn note<H: Host>(cx: &Context<'_, H>, name: &'static str, id: &str) {
    cx.note(|event| {
        (event.event, event.important) = (name, true);
        event.client = Some(id.to_owned());
    });
}

/// A change that some shards do not hold yet is being repeated until they do.
fn settled(told: Told) -> Result<(), Error> {
    if told.acknowledged >= told.of {
        return Ok(());
    }
    let detail = "the change is written, and not every shard holds it yet; it is being repeated until all do";
    Err(Error::new(Code::TemporarilyUnavailable, detail))
}

fn not_initial() -> Error {
    Error::new(Code::InvalidToken, "that is not an initial access token, or it is used up, or over")
}

/// RFC 7591 §3.2.2.
fn refused(why: Invalid) -> Error {
    let redirect = why.field == "redirect_uris";
    let code = if redirect { Code::InvalidRedirectUri } else { Code::InvalidClientMetadata };
    Error::new(code, why.why).in_field(why.field)
}
