//! `/admin/connections`: other servers at which this one is a client, and how that stands.

use super::{
    Page, expected, invalid, keeps, lost, members, object, page, precondition_failed, shown, strange, tell,
    unknown,
};
use crate::{
    context::Context,
    crypto::{self, Secret},
    endpoints::connections::{self, CALLBACK, TIME, status_of, terms},
    error::{Code, Error},
    host::{FORMAT, Host, Timestamp, all},
    model::{
        connection::{Connection, SECRET, Said, is_name},
        patch::Invalid,
        pkce::Challenge,
        ticket::{Outgoing, Ticket as _},
    },
    objects::protocol::{
        connection::{self, Reply as Answer},
        registry::{self, Command, Registry, Reply},
    },
    upstream::Target,
    wire::{Params, Request, Response, with_params},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// `GET`: a page of them. `POST`: a new one.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    if request.method == Method::POST {
        return create(cx, members(request)?).await;
    }
    let Page { limit, after, q, .. } = Page::of(&Params::of_query(request, &[])?)?;
    if after.as_deref().is_some_and(|after| !is_name(after)) {
        return Err(lost());
    }
    let command = Command::Connections { after, q, limit };
    let Reply::Connections(found, more) = cx.ask::<Registry>(registry::NAME, command).await? else {
        return Err(strange());
    };
    let next = found.last().filter(|_| more).map(|last| last.name.as_str());
    let items = all(found.iter().map(|connection| display(cx, connection))).await;
    let items: Vec<Value> =
        items.into_iter().map(|item| item.map(Value::Object)).collect::<Result<_, _>>()?;
    Ok(page(&items, next))
}

/// `GET`: one. `PATCH`: a change to it (RFC 7396). `PUT`: all that it is from now on, but for its secret. `DELETE`: its end,
/// and that of the tokens it holds.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    name: &str,
) -> Result<Response, Error> {
    let expected = expected(request)?;
    if request.method == Method::DELETE {
        let command = Command::DeleteConnection { name: name.to_owned(), expected };
        return match tell(cx, command).await? {
            Reply::Done => {
                note(cx, "admin.connection.deleted");
                Ok(Response::no_content())
            }
            other => Err(refusal(other)),
        };
    }
    let known = connections::find(cx, name).await?;
    if !matches!(request.method, Method::PATCH | Method::PUT) {
        return Ok(shown(StatusCode::OK, known.version, display(cx, &known).await?));
    }
    let mut patch = members(request)?;
    keeps(&mut patch, "name", name).map_err(refused)?;
    if expected.is_some_and(|expected| expected != known.version) {
        return Err(precondition_failed());
    }
    let before = if request.method == Method::PUT { bare(&known) } else { known };
    let connection = amended(cx, &before, patch)?;
    let written = put(cx, connection, Some(before.version), "admin.connection.changed").await?;
    Ok(shown(StatusCode::OK, written.version, display(cx, &written).await?))
}

/// What stays of one that is said anew: what is drawn, and what nobody can read.
fn bare(known: &Connection) -> Connection {
    let Connection { version, client_secret, issuer, token_endpoint, client_id, .. } = known.clone();
    let blank = Connection::blank(FORMAT, known.id.clone(), &known.name);
    Connection { version, client_secret, issuer, token_endpoint, client_id, ..blank }
}

async fn create<H: Host>(cx: &Context<'_, H>, mut body: Map<String, Value>) -> Result<Response, Error> {
    let name = body.remove("name");
    let Some(name) = name.as_ref().and_then(Value::as_str).filter(|name| is_name(name)) else {
        let why = "must be 1 to 64 letters, digits, hyphens, dots and underscores";
        return Err(refused(Invalid::new("name", why)));
    };
    let blank = Connection::blank(FORMAT, crypto::name(&cx.host.random::<12>()), name);
    let written = put(cx, amended(cx, &blank, body)?, None, "admin.connection.created").await?;
    let location = cx.url(&format!("/admin/connections/{name}"));
    Ok(shown(StatusCode::CREATED, written.version, display(cx, &written).await?).with("location", location))
}

/// With a patch merged in, its secret sealed.
fn amended<H: Host>(
    cx: &Context<'_, H>,
    before: &Connection,
    mut patch: Map<String, Value>,
) -> Result<Connection, Error> {
    // What `GET` gave may come back.
    for name in ["status", "broken_since", "broken_reason"] {
        patch.remove(name);
    }
    let (mut after, said) = before.amend(patch, cx.config.development).map_err(refused)?;
    if let Said::New(secret) = said {
        after.client_secret = Some(cx.config.keys.vault(&after.id).seal(SECRET, &secret)?);
    }
    Ok(after)
}

async fn put<H: Host>(
    cx: &Context<'_, H>,
    connection: Connection,
    expected: Option<u64>,
    event: &'static str,
) -> Result<Connection, Error> {
    let command = Command::PutConnection { connection: Box::new(connection), expected };
    match tell(cx, command).await? {
        Reply::Connection(Some(written)) => {
            note(cx, event);
            Ok(*written)
        }
        other => Err(refusal(other)),
    }
}

/// `POST …/authorize`: where a person's browser is to go, so that they let this server in there.
pub(super) async fn authorize<H: Host>(cx: &Context<'_, H>, name: &str) -> Result<Response, Error> {
    let connection = connections::find(cx, name).await?;
    let policy = cx.policy().await?;
    Target::read(cx.config, &policy, "token_endpoint", &connection.token_endpoint)?;
    let (nonce, verifier) = (crypto::text(&cx.host.random::<16>()), crypto::text(&cx.host.random::<32>()));
    let state = Outgoing { name: name.to_owned(), id: connection.id.clone(), nonce: nonce.clone() };
    let state = state.seal(&cx.config.keys)?;
    let challenge = Challenge::of(&verifier).to_string();
    let command = connection::Command::Expect {
        terms: terms(cx, &connection).await?,
        nonce,
        verifier: Secret(verifier.into_bytes()),
        lifetime: TIME,
    };
    match cx.ask::<connection::Connection>(&connection.id, command).await? {
        Answer::Done => {}
        Answer::Outdated => return Err(precondition_failed()),
        Answer::Ended => return Err(unknown("connection")),
        _ => return Err(strange()),
    }
    let redirect_uri = cx.url(CALLBACK);
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", &connection.client_id),
        ("redirect_uri", &redirect_uri),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if !connection.scope.is_empty() {
        params.push(("scope", &connection.scope));
    }
    note(cx, "admin.connection.authorizing");
    let url = with_params(&connection.authorization_endpoint, &params);
    Ok(Response::json(StatusCode::OK, &json!({ "authorization_url": url })))
}

async fn display<H: Host>(cx: &Context<'_, H>, connection: &Connection) -> Result<Map<String, Value>, Error> {
    let (status, broken) = status_of(cx, connection).await?;
    let since = broken.as_ref().map(|broken| Timestamp::seconds(broken.since));
    let mut members = connection.members();
    members.extend(object([
        ("status", json!(status)),
        ("broken_since", json!(since)),
        ("broken_reason", json!(broken.map(|broken| broken.why))),
    ]));
    Ok(members)
}

fn note<H: Host>(cx: &Context<'_, H>, name: &'static str) {
    cx.note(|event| (event.event, event.important) = (name, true));
}

fn refusal(reply: Reply) -> Error {
    match reply {
        Reply::Taken => Error::new(Code::Conflict, "there is a connection of that name").in_field("name"),
        Reply::Unknown => unknown("connection"),
        Reply::Outdated => precondition_failed(),
        Reply::Invalid(why) => refused(why),
        _ => strange(),
    }
}

fn refused(why: Invalid) -> Error {
    invalid(Code::InvalidRequest, why)
}
