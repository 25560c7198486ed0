//! `/admin/connections`: other servers at which this one is a client, and how that stands. `/admin/external-servers`: those
//! whose access tokens are good here, too.

use super::{
    Page, expected, invalid, keeps, lost, members, object, page, precondition_failed, shown, strange, tell,
    unknown,
};
use crate::{
    context::Context,
    crypto::{self, Secret},
    endpoints::connections::{self, CALLBACK, TIME, changing, status_of, terms},
    error::{Code, Error},
    host::{FORMAT, Host, Timestamp},
    json::json,
    list::List as _,
    model::{
        patch::Invalid,
        pkce::Challenge,
        remote::{Kind, Remote, SECRET, Said, is_name},
        ticket::{Outgoing, Ticket as _},
    },
    objects::protocol::{
        connection::{self, Reply as Answer},
        registry::{self, Command, Registry, Reply},
    },
    upstream::Target,
    waiting::all,
    wire::{Params, Request, Response, with_params},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// `GET`: a page of them. `POST`: a new one.
pub(super) async fn collection<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    kind: Kind,
) -> Result<Response, Error> {
    if request.method == Method::POST {
        return create(cx, kind, members(request)?).await;
    }
    let Page { limit, after, q, .. } = Page::of(&Params::of_query(request, &[])?)?;
    if after.as_deref().is_some_and(|after| !is_name(after)) {
        return Err(lost());
    }
    let command = Command::Remotes { kind, after, q, limit };
    let Reply::Remotes(found, more) = *cx.ask::<Registry>(registry::NAME, command).await? else {
        return Err(strange());
    };
    let next = found.last().filter(|_| more).map(|last| last.name.as_str());
    let items = all(found.iter().map(|remote| display(cx, remote))).await;
    let items: Vec<Value> = items.into_iter().map(|item| item.map(Value::Object)).list_or_error()?;
    Ok(page(&items, next))
}

/// `GET`: one. `PATCH`: a change to it (RFC 7396). `PUT`: all that it is from now on, but for its secret. `DELETE`: its end,
/// and that of the tokens it holds.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    kind: Kind,
    name: &str,
) -> Result<Response, Error> {
    let expected = expected(request)?;
    if request.method == Method::DELETE {
        let command = Command::DeleteRemote { kind, name: name.to_owned(), expected };
        return match *tell(cx, command).await? {
            Reply::Done => {
                note(cx, event(kind, ["admin.connection.deleted", "admin.server.deleted"]));
                Ok(Response::no_content())
            }
            other => Err(refusal(kind, other)),
        };
    }
    let known = connections::find(cx, kind, name).await?;
    if !matches!(request.method, Method::PATCH | Method::PUT) {
        return Ok(shown(StatusCode::OK, known.version, display(cx, &known).await?));
    }
    let mut patch = members(request)?;
    keeps(&mut patch, "name", name).map_err(refused)?;
    if expected.is_some_and(|expected| expected != known.version) {
        return Err(precondition_failed());
    }
    let remote = amended(cx, &known, patch, request.method == Method::PUT).await?;
    let name = event(kind, ["admin.connection.changed", "admin.server.changed"]);
    let written = put(cx, remote, Some(known.version), name).await?;
    Ok(shown(StatusCode::OK, written.version, display(cx, &written).await?))
}

async fn create<H: Host>(
    cx: &Context<'_, H>,
    kind: Kind,
    mut body: Map<String, Value>,
) -> Result<Response, Error> {
    let name = body.remove("name");
    let Some(name) = name.as_ref().and_then(Value::as_str).filter(|name| is_name(name)) else {
        let why = "must be 1 to 64 letters, digits, hyphens, dots and underscores";
        return Err(refused(Invalid::new("name", why)));
    };
    let blank = Remote::blank(kind, FORMAT, crypto::name(&cx.host.random::<12>()), name);
    let created = event(kind, ["admin.connection.created", "admin.server.created"]);
    let written = put(cx, amended(cx, &blank, body, false).await?, None, created).await?;
    let location = cx.url(&format!("/admin/{}s/{name}", kind.name()));
    Ok(shown(StatusCode::CREATED, written.version, display(cx, &written).await?).with("location", location))
}

/// With a patch merged in, its secret sealed.
async fn amended<H: Host>(
    cx: &Context<'_, H>,
    before: &Remote,
    mut patch: Map<String, Value>,
    whole: bool,
) -> Result<Remote, Error> {
    // What `GET` gave may come back.
    for name in ["status", "broken_since", "broken_reason", "has_client_secret"] {
        patch.remove(name);
    }
    let (mut after, said) = before.amend(patch, whole, cx.config.development).map_err(refused)?;
    let policy = cx.policy().await?;
    for name in ["token_endpoint", "introspection_endpoint"] {
        let address = after.text(name);
        if !address.is_empty() {
            Target::read(cx.config, &policy, name, address).map_err(|error| error.in_field(name))?;
        }
    }
    let others = [("authorization_endpoint", after.text("authorization_endpoint"))].into_iter();
    let others = others.chain(after.list("allowed_origins").map(|origin| ("allowed_origins", origin)));
    for (name, address) in others.filter(|(_, address)| !address.is_empty()) {
        Target::anywhere(cx.config, name, address).map_err(|error| error.in_field(name))?;
    }
    if let Said::New(secret) = said {
        after.client_secret = Some(cx.config.keys.vault(&after.id).seal(SECRET, &secret)?);
    }
    Ok(after)
}

async fn put<H: Host>(
    cx: &Context<'_, H>,
    remote: Remote,
    expected: Option<u64>,
    event: &'static str,
) -> Result<Remote, Error> {
    let kind = remote.kind;
    let command = Command::PutRemote { remote: Box::new(remote), expected };
    match *tell(cx, command).await? {
        Reply::Remote(Some(written)) => {
            note(cx, event);
            Ok(*written)
        }
        other => Err(refusal(kind, other)),
    }
}

/// `POST …/authorize`: where a person's browser is to go, so that they let this server in there.
pub(super) async fn authorize<H: Host>(cx: &Context<'_, H>, name: &str) -> Result<Response, Error> {
    let (nonce, verifier) = (crypto::text(&cx.host.random::<16>()), crypto::text(&cx.host.random::<32>()));
    let mut again = false;
    let connection = loop {
        let connection = connections::find(cx, Kind::Connection, name).await?;
        let policy = cx.policy().await?;
        Target::read(cx.config, &policy, "token_endpoint", connection.text("token_endpoint"))?;
        let command = connection::Command::Expect {
            terms: Box::new(terms(cx, &connection).await?),
            nonce: nonce.clone(),
            verifier: Secret(verifier.clone().into_bytes()),
            lifetime: TIME,
        };
        match *cx.ask::<connection::Connection>(&connection.id, command).await? {
            Answer::Done => break connection,
            Answer::Outdated if !again => again = true,
            Answer::Outdated => return Err(changing()),
            Answer::Ended => return Err(unknown("connection")),
            _ => return Err(strange()),
        }
    };
    let state = Outgoing { name: name.to_owned(), id: connection.id.clone(), nonce };
    let state = state.seal(&cx.config.keys)?;
    let challenge = Challenge::of(&verifier).to_string();
    let redirect_uri = cx.url(CALLBACK);
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", connection.text("client_id")),
        ("redirect_uri", &redirect_uri),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if !connection.text("scope").is_empty() {
        params.push(("scope", connection.text("scope")));
    }
    note(cx, "admin.connection.authorizing");
    let url = with_params(connection.text("authorization_endpoint"), &params);
    Ok(Response::json(StatusCode::OK, &json!({ "authorization_url": url })))
}

async fn display<H: Host>(cx: &Context<'_, H>, remote: &Remote) -> Result<Map<String, Value>, Error> {
    let mut members = remote.members.clone();
    members.insert("name".to_owned(), json!(remote.name));
    members.insert("has_client_secret".to_owned(), json!(remote.client_secret.is_some()));
    if remote.kind == Kind::Connection {
        // One whose object is silent is shown all the same.
        let (status, broken) = match status_of(cx, remote).await {
            Ok((status, broken)) => (Some(status), broken),
            Err(_) => (None, None),
        };
        let since = broken.as_ref().map(|broken| Timestamp::seconds(broken.since));
        members.extend(object([
            ("status", json!(status)),
            ("broken_since", json!(since)),
            ("broken_reason", json!(broken.map(|broken| broken.why))),
        ]));
    }
    Ok(members)
}

fn event(kind: Kind, [connection, server]: [&'static str; 2]) -> &'static str {
    if kind == Kind::Connection { connection } else { server }
}

fn note<H: Host>(cx: &Context<'_, H>, name: &'static str) {
    cx.note(|event| (event.event, event.important) = (name, true));
}

fn refusal(kind: Kind, reply: Reply) -> Error {
    match reply {
        Reply::Taken => Error::new(Code::Conflict, "there is one of that name").in_field("name"),
        Reply::Unknown => unknown(kind.name()),
        Reply::Outdated => precondition_failed(),
        Reply::Invalid(why) => refused(why),
        _ => strange(),
    }
}

fn refused(why: Invalid) -> Error {
    invalid(Code::InvalidRequest, why)
}
