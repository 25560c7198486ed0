//! `/admin/clients`: registration and change of clients, under the names of RFC 7591 §2.

use super::{
    Page, addressable, expected, following, invalid, keeps, lost, members, members_if_any, page,
    precondition_failed, settled, shown, strange, tell, unknown,
};
use crate::{
    context::Context,
    crypto,
    endpoints::sector,
    error::{Code, Error, quotable},
    host::{Host, Seconds, Timestamp},
    json::{self, json},
    list::List as _,
    model::{
        client::{Client, Hashed},
        client_document,
        metadata::{AuthMethod, Metadata},
        patch::Invalid,
        profile::Profile,
    },
    objects::protocol::{
        Told,
        registry::{self, Command, Registry, Reply},
    },
    wire::{self, Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// How often a change is checked again because the client became another one meanwhile.
const ROUNDS: usize = 4;
/// The longest time that two secrets are good: thirty days.
const LONGEST_OVERLAP: u64 = 2_592_000;

/// `GET`: a page of clients. `POST`: a new one.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    match request.method {
        Method::POST => {
            let dry = match Params::of_query(request, &[])?.optional("dry_run") {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => {
                    return Err(Error::new(Code::InvalidRequest, "must be true or false").in_field("dry_run"));
                }
            };
            create(cx, members(request)?, dry).await
        }
        _ => list(cx, Page::of(&Params::of_query(request, &[])?)?).await,
    }
}

/// `GET`: a client, as the registry holds it. `PATCH`: a change to it (RFC 7396). `PUT`: all that it is from now on.
/// `DELETE`: its end, and that of every token of it.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    id: &str,
) -> Result<Response, Error> {
    match request.method {
        Method::PATCH => {
            let expected = expected(request)?;
            return change(cx, id, members(request)?, false, expected).await;
        }
        Method::PUT => {
            let expected = expected(request)?;
            let mut body = members(request)?;
            keeps(&mut body, "client_id", id).map_err(refused)?;
            // What `GET` gave may come back.
            for shown in ["client_id_issued_at", "expires_at"] {
                body.remove(shown);
            }
            return change(cx, id, body, true, expected).await;
        }
        Method::DELETE => return delete(cx, id, expected(request)?).await,
        _ => {}
    }
    match *ask(cx, Command::Client(id.to_owned())).await? {
        Reply::Client(Some(client)) => Ok(shown(StatusCode::OK, client.version, display(&client))),
        Reply::Client(None) => Err(unknown("client")),
        _ => Err(strange()),
    }
}

/// `POST`: a new secret, shown once. The old one is taken for `overlap_seconds` more (0).
pub(super) async fn secret<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    id: &str,
) -> Result<Response, Error> {
    let expected = expected(request)?;
    let mut body = members_if_any(request)?;
    let overlap = match body.remove("overlap_seconds") {
        None => Seconds(0),
        Some(given) => {
            let seconds = given.as_u64().filter(|seconds| *seconds <= LONGEST_OVERLAP);
            let why = format!("must be a whole number of seconds from 0 to {LONGEST_OVERLAP}");
            Seconds(seconds.ok_or_else(|| refused(Invalid::new("overlap_seconds", why)))?)
        }
    };
    if let Some(name) = body.keys().next() {
        return Err(refused(Invalid::new(&quotable(name), "is not a member that this request has")));
    }
    let secret = crypto::text(&cx.host.random::<32>());
    let kept = Hashed::of(&secret, cx.host.random());
    let command = Command::Rekey { id: id.to_owned(), secret: kept, overlap, expected };
    let (client, told) = written(cx, "admin.client.rekeyed", command).await?;
    let response = shown(unless_owed(StatusCode::OK, told), client.version, with_secret(&client, &secret));
    Ok(if told.lags { following(response) } else { response })
}

async fn delete<H: Host>(cx: &Context<'_, H>, id: &str, expected: Option<u64>) -> Result<Response, Error> {
    match *tell(cx, Command::Delete { id: id.to_owned(), expected }).await? {
        Reply::Deleted { id, told, .. } => {
            cx.note(|e| {
                e.event = "admin.client.deleted";
                e.important = true;
                e.client = Some(id);
            });
            settled(told)?;
            Ok(following(Response::no_content()))
        }
        Reply::Unknown => Err(unknown("client")),
        Reply::Outdated => Err(precondition_failed()),
        _ => Err(strange()),
    }
}

/// Ends everything that was issued to a client until now.
pub(super) async fn cut<H: Host>(cx: &Context<'_, H>, id: &str) -> Result<Response, Error> {
    changed(cx, "admin.client.cut", Command::Cut(id.to_owned())).await?;
    Ok(following(Response::no_content()))
}

async fn list<H: Host>(cx: &Context<'_, H>, asked: Page) -> Result<Response, Error> {
    let Page { limit, after, q, hashes } = asked;
    if after.as_deref().is_some_and(|after| !is_id(after)) {
        return Err(lost());
    }
    let Reply::Clients(clients, more) = *ask(cx, Command::Clients { after, q, limit }).await? else {
        return Err(strange());
    };
    let next = clients.last().filter(|_| more).map(|client| client.id.as_str());
    let shown = |client| if hashes { with_hashes(client) } else { display(client) };
    let items: Vec<_> = clients.iter().map(|client| Value::Object(shown(client))).list();
    Ok(page(&items, next))
}

async fn create<H: Host>(
    cx: &Context<'_, H>,
    mut body: Map<String, Value>,
    dry: bool,
) -> Result<Response, Error> {
    let chosen = body.remove("client_id");
    let kept = Kept::take(&mut body, cx.now).map_err(refused)?;
    refuse_secret(&body).map_err(refused)?;
    let metadata = Metadata::register(body).map_err(refused)?;
    sector::check(cx, &*cx.policy().await?, &metadata).await.map_err(refused)?;
    let id = match chosen {
        Some(chosen) => choose(&chosen).map_err(refused)?,
        None => cx.policy().await?.draw_client_id(cx.host.random()),
    };
    let confidential = metadata.token_endpoint_auth_method != AuthMethod::None;
    if kept.secret.is_some() && !confidential {
        return Err(refused(Invalid::new(SECRETS, "a public client has none")));
    }
    let secret = (confidential && kept.secret.is_none()).then(|| crypto::text(&cx.host.random::<32>()));
    let hashed = kept.secret.or_else(|| secret.as_deref().map(|secret| Hashed::of(secret, cx.host.random())));
    let client = Client {
        issued: kept.issued,
        previous_secrets: kept.previous,
        ..Client::new(id, cx.host.random(), metadata, hashed)
    };
    if dry {
        return match *ask(cx, Command::TryCreate(Box::new(client))).await? {
            Reply::Done => Ok(Response::no_content()),
            other => Err(refusal(&other)),
        };
    }
    let (client, told) = written(cx, "admin.client.created", Command::Create(Box::new(client))).await?;
    // Without a secret to show there is nothing to lose: the request can be repeated.
    let status = if secret.is_some() { unless_owed(StatusCode::CREATED, told) } else { StatusCode::CREATED };
    if secret.is_none() {
        settled(told)?;
    }
    let body = match &secret {
        Some(secret) => with_secret(&client, secret),
        None => display(&client),
    };
    let location = cx.url(&format!("/admin/clients/{}", wire::encode(&client.id)));
    Ok(shown(status, client.version, body).with("location", location))
}

async fn change<H: Host>(
    cx: &Context<'_, H>,
    id: &str,
    patch: Map<String, Value>,
    whole: bool,
    given: Option<u64>,
) -> Result<Response, Error> {
    refuse_secret(&patch).map_err(refused)?;
    for _ in 0..ROUNDS {
        let checked = check_sector(cx, id, &patch, whole).await?;
        let expected = given.or(checked);
        let command = Command::Change { id: id.to_owned(), patch: patch.clone(), whole, expected };
        match changed(cx, "admin.client.changed", command).await {
            Ok((client, lags)) => {
                let response = shown(StatusCode::OK, client.version, display(&client));
                return Ok(if lags { following(response) } else { response });
            }
            // What was checked is not what it is: nobody but us named a version.
            Err(error) if error.code == Code::PreconditionFailed && given.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    let detail = "others change this client at the same moment, again and again: repeat the request";
    Err(Error::new(Code::Conflict, detail))
}

/// Asks whether the sector that the client will have names its redirect URIs. Gives the version of the client for which that
/// holds, where what the patch leaves as it is counts.
async fn check_sector<H: Host>(
    cx: &Context<'_, H>,
    id: &str,
    patch: &Map<String, Value>,
    whole: bool,
) -> Result<Option<u64>, Error> {
    if !whole && !patch.contains_key("sector_identifier_uri") && !patch.contains_key("redirect_uris") {
        return Ok(None);
    }
    let (known, version) = match *ask(cx, Command::Client(id.to_owned())).await? {
        Reply::Client(Some(known)) if !whole => (known.metadata, Some(known.version)),
        _ => (Metadata::template(Profile::default()), None),
    };
    if let Ok(amended) = known.amend(patch.clone()) {
        sector::check(cx, &*cx.policy().await?, &amended).await.map_err(refused)?;
    }
    Ok(version)
}

async fn ask<H: Host>(cx: &Context<'_, H>, command: Command) -> Result<Box<Reply>, Error> {
    Ok(cx.ask::<Registry>(registry::NAME, command).await?)
}

/// A secret is shown once, also where some shards have not heard of it: whoever was told to repeat the request would have
/// lost it, and the one before.
fn unless_owed(status: StatusCode, told: Told) -> StatusCode {
    if settled(told).is_ok() { status } else { StatusCode::ACCEPTED }
}

/// The client as it is after a change that every shard holds, and whether `client_credentials` follows later.
pub(super) async fn changed<H: Host>(
    cx: &Context<'_, H>,
    event: &'static str,
    command: Command,
) -> Result<(Box<Client>, bool), Error> {
    let (client, told) = written(cx, event, command).await?;
    settled(told)?;
    Ok((client, told.lags))
}

/// The client as it is after a change, and how far that has got.
async fn written<H: Host>(
    cx: &Context<'_, H>,
    event: &'static str,
    command: Command,
) -> Result<(Box<Client>, Told), Error> {
    match *tell(cx, command).await? {
        Reply::Changed(client, told) => {
            cx.note(|e| {
                e.event = event;
                e.important = true;
                e.client = Some(client.id.clone());
            });
            Ok((client, told))
        }
        other => Err(refusal(&other)),
    }
}

/// Why the registry did not do it.
fn refusal(reply: &Reply) -> Error {
    match reply {
        Reply::Taken => Error::new(Code::Conflict, "there is a client of that id").in_field("client_id"),
        Reply::Named => {
            let detail = "another client has this name and client_version: give another of these";
            Error::new(Code::Conflict, detail).in_field("client_name")
        }
        Reply::Unknown => unknown("client"),
        Reply::Outdated => precondition_failed(),
        Reply::Invalid(why) => refused(why.clone()),
        _ => strange(),
    }
}

/// RFC 7591 §3.2.2.
fn refused(why: Invalid) -> Error {
    let redirect = why.field == "redirect_uris";
    invalid(if redirect { Code::InvalidRedirectUri } else { Code::InvalidClientMetadata }, why)
}

fn refuse_secret(body: &Map<String, Value>) -> Result<(), Invalid> {
    // A secret that somebody chose may be weak, or used elsewhere; a drawn one needs no slow hash.
    let chosen = body.contains_key("client_secret");
    let refused = || Invalid::new("client_secret", "is drawn by this server, never chosen");
    if chosen { Err(refused()) } else { Ok(()) }
}

/// A client id that an administrator chose.
fn choose(given: &Value) -> Result<String, Invalid> {
    let refused = |why: &str| Invalid::new("client_id", why);
    let id = given.as_str().filter(|id| is_id(id));
    let id = id.ok_or_else(|| {
        refused("must be 1 to 100 letters, digits, or characters of - . _ ~, or the address of a document")
    })?;
    addressable("client_id", id)?;
    Ok(id.to_owned())
}

fn is_id(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let chosen = (1..=100).contains(&text.len()) && text.bytes().all(unreserved);
    chosen || client_document::host_of(text).is_ok()
}

/// A client as administrators see it: neither its secret nor what is kept of it.
fn display(client: &Client) -> Map<String, Value> {
    let mut body = client.metadata.members();
    body.insert("client_id".to_owned(), json!(client.id));
    body.insert("client_id_issued_at".to_owned(), json!(client.issued.seconds()));
    body.insert("expires_at".to_owned(), json!(client.expires.map(Timestamp::seconds)));
    body
}

/// What an export has, and only an export: what is kept of the secrets, older ones with their ends.
const SECRETS: &str = "client_secret_hashes";

fn with_hashes(client: &Client) -> Map<String, Value> {
    let current = client.secret.iter().map(Hashed::to_text);
    let previous = client.previous_secrets.iter();
    let previous = previous.map(|(kept, until)| format!("{}${}", kept.to_text(), until.seconds()));
    let mut body = display(client);
    body.insert(SECRETS.to_owned(), current.chain(previous).collect());
    body
}

/// What a registration takes over from another server.
#[derive(Default)]
struct Kept {
    secret: Option<Hashed>,
    previous: Vec<(Hashed, Timestamp)>,
    issued: Timestamp,
}

impl Kept {
    fn take(body: &mut Map<String, Value>, now: Timestamp) -> Result<Self, Invalid> {
        let mut kept = Self::default();
        if let Some(given) = body.remove("client_id_issued_at") {
            let seconds = given.as_u64().filter(|seconds| *seconds <= now.seconds());
            let why = "must be a NumericDate, and not in the future";
            kept.issued = Timestamp(1000 * seconds.ok_or_else(|| Invalid::new("client_id_issued_at", why))?);
        }
        if body.remove("expires_at").is_some_and(|given| !given.is_null()) {
            let why = "a client that registered itself is not taken over: it registers anew";
            return Err(Invalid::new("expires_at", why));
        }
        if let Some(given) = body.remove(SECRETS) {
            let refused = || Invalid::new(SECRETS, "is not what an export has");
            let texts: Vec<String> = json::take(given).map_err(|_| refused())?;
            let mut texts = texts.iter();
            kept.secret = texts.next().map(|text| Hashed::parse(text).ok_or_else(refused)).transpose()?;
            kept.previous =
                texts.map(|text| Self::read_previous(text).ok_or_else(refused)).list_or_error()?;
            let latest = now.plus(Seconds(LONGEST_OVERLAP));
            if kept.previous.len() > Client::OVERLAPPING || kept.previous.iter().any(|(_, end)| *end > latest)
            {
                return Err(refused());
            }
        }
        Ok(kept)
    }

    fn read_previous(text: &str) -> Option<(Hashed, Timestamp)> {
        let (kept, until) = text.rsplit_once('$')?;
        let until: u64 = until.parse().ok()?;
        Some((Hashed::parse(kept)?, Timestamp(until.checked_mul(1000)?)))
    }
}

/// The only time it is shown: what is kept is a MAC.
fn with_secret(client: &Client, secret: &str) -> Map<String, Value> {
    let mut body = display(client);
    body.insert("client_secret".to_owned(), json!(secret));
    body.insert("client_secret_expires_at".to_owned(), json!(0)); // RFC 7591 §3.2.1: never.
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_id_is_of_plain_characters() {
        let longest = "x".repeat(100);
        for id in ["a", "demo-web", "A.b_c~d-9", "abcdefghijklmnopqrstu", "abcdefghijklmnopqrstu.", &longest]
        {
            assert_eq!(choose(&json!(id)), Ok(id.to_owned()));
        }
        let long = "x".repeat(101);
        for id in ["", "a b", "a/b", "ä", "a:b", ".", "..", &long] {
            assert_eq!(choose(&json!(id)).unwrap_err().field, "client_id", "{id}");
        }
        assert!(choose(&json!(7)).is_err() && choose(&Value::Null).is_err());
    }
}
