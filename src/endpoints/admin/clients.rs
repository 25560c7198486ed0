//! `/admin/clients`: registration and change of clients, under the names of RFC 7591 §2.

use super::{
    Page, addressable, authorize, expected, following, invalid, lost, members, page, precondition_failed,
    settled, shown, strange, tell, unknown,
};
use crate::{
    context::Context,
    crypto,
    error::{Code, Error, Fault},
    host::{Attempts, FORMAT, Host, Timestamp},
    model::{
        client::{Client, Hashed},
        mark::Restrictions,
        metadata::{AuthMethod, Metadata},
        patch::Invalid,
        profile::Profile,
    },
    objects::protocol::registry::{self, Command, Registry, Reply},
    wire::{self, Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// `GET`: a page of clients. `POST`: a new one.
pub async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    authorize(cx, request)?;
    match request.method {
        Method::POST => create(cx, members(request)?).await,
        _ => list(cx, Page::of(&Params::of_query(request, &[])?)?).await,
    }
}

/// `GET`: a client, as the registry holds it. `PATCH`: a change to it (RFC 7396).
pub async fn item<H: Host>(cx: &Context<'_, H>, request: &Request, id: &str) -> Result<Response, Error> {
    authorize(cx, request)?;
    if request.method == Method::PATCH {
        let expected = expected(request)?;
        return change(cx, id, members(request)?, expected).await;
    }
    match ask(cx, Command::Client(id.to_owned())).await? {
        Reply::Client(Some(client)) => Ok(shown(StatusCode::OK, client.version, display(&client)?)),
        Reply::Client(None) => Err(unknown("client")),
        _ => Err(strange()),
    }
}

async fn list<H: Host>(cx: &Context<'_, H>, asked: Page) -> Result<Response, Error> {
    let Page { limit, after, q } = asked;
    if after.as_deref().is_some_and(|after| !is_id(after)) {
        return Err(lost());
    }
    let Reply::Clients(clients, more) = ask(cx, Command::Clients { after, q, limit }).await? else {
        return Err(strange());
    };
    let next = clients.last().filter(|_| more).map(|client| client.id.as_str());
    let items: Vec<_> =
        clients.iter().map(|one| display(one).map(Value::Object)).collect::<Result<_, _>>()?;
    Ok(page(&items, next))
}

async fn create<H: Host>(cx: &Context<'_, H>, mut body: Map<String, Value>) -> Result<Response, Error> {
    let chosen = body.remove("client_id");
    let metadata = read(body).map_err(refused)?;
    let id = match chosen {
        Some(chosen) => choose(&chosen).map_err(refused)?,
        None => cx.policy().await?.draw_client_id(cx.host.random()),
    };
    let confidential = metadata.token_endpoint_auth_method != AuthMethod::None;
    let secret = confidential.then(|| crypto::text(&cx.host.random::<32>()));
    let client = Client {
        format: FORMAT,
        id,
        incarnation: crypto::text(&cx.host.random::<8>()),
        // The registry's, as are the times and the attempt.
        version: 0,
        min_version: 0,
        issued: Timestamp::default(),
        changed: Timestamp::default(),
        secret: secret.as_deref().map(|secret| Hashed::of(secret, cx.host.random())),
        metadata,
        restrictions: Restrictions::default(),
        attempts: Attempts::default(),
    };
    let (client, _) = changed(cx, "admin.client.created", Command::Create(Box::new(client))).await?;
    let mut body = display(&client)?;
    if let Some(secret) = secret {
        // The only time it is shown: what is kept is a MAC.
        body.insert("client_secret".to_owned(), json!(secret));
        body.insert("client_secret_expires_at".to_owned(), json!(0)); // RFC 7591 §3.2.1: never.
    }
    let location = cx.url(&format!("/admin/clients/{}", wire::encode(&client.id)));
    Ok(shown(StatusCode::CREATED, client.version, body).with("location", location))
}

async fn change<H: Host>(
    cx: &Context<'_, H>,
    id: &str,
    patch: Map<String, Value>,
    expected: Option<u64>,
) -> Result<Response, Error> {
    refuse_secret(&patch).map_err(refused)?;
    let command = Command::Change { id: id.to_owned(), patch, expected };
    let (client, lags) = changed(cx, "admin.client.changed", command).await?;
    let response = shown(StatusCode::OK, client.version, display(&client)?);
    Ok(if lags { following(response) } else { response })
}

async fn ask<H: Host>(cx: &Context<'_, H>, command: Command) -> Result<Reply, Error> {
    Ok(cx.ask::<Registry>(registry::NAME, command).await?)
}

/// The client as it is after a change that every shard holds, and whether `client_credentials` follows later.
async fn changed<H: Host>(
    cx: &Context<'_, H>,
    event: &'static str,
    command: Command,
) -> Result<(Box<Client>, bool), Error> {
    match tell(cx, command).await? {
        Reply::Changed(client, told) => {
            cx.note(|e| {
                e.event = event;
                e.important = true;
                e.client = Some(client.id.clone());
            });
            settled(told)?;
            Ok((client, told.lags))
        }
        Reply::Taken => Err(Error::new(Code::Conflict, "there is a client of that id").in_field("client_id")),
        Reply::Unknown => Err(unknown("client")),
        Reply::Outdated => Err(precondition_failed()),
        Reply::Invalid(why) => Err(refused(why)),
        _ => Err(strange()),
    }
}

/// RFC 7591 §3.2.2.
fn refused(why: Invalid) -> Error {
    let redirect = why.field == "redirect_uris";
    invalid(if redirect { Code::InvalidRedirectUri } else { Code::InvalidClientMetadata }, why)
}

/// What a registration says, in front of what its profile says where it is silent.
fn read(body: Map<String, Value>) -> Result<Metadata, Invalid> {
    refuse_secret(&body)?;
    let profile = match body.get("profile") {
        None | Some(Value::Null) => Profile::default(),
        Some(name) => serde_json::from_value(name.clone())
            .map_err(|_| Invalid::new("profile", "must be oauth21 or legacy"))?,
    };
    Metadata::template(profile).amend(body)
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
    let id = id.ok_or_else(|| refused("must be 1 to 100 letters, digits, or characters of - . _ ~"))?;
    let drawn = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.len() == 22 && id.bytes().all(drawn) {
        // Of these, ones that we did not draw are dropped unread.
        return Err(refused("has the form of those that this server draws: make it longer or shorter"));
    }
    addressable("client_id", id)?;
    Ok(id.to_owned())
}

fn is_id(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(unreserved)
}

/// A client as administrators see it: neither its secret nor what is kept of it.
fn display(client: &Client) -> Result<Map<String, Value>, Error> {
    let Value::Object(mut body) = serde_json::to_value(&client.metadata).map_err(Fault::from)? else {
        return Err(strange());
    };
    body.insert("client_id".to_owned(), json!(client.id));
    body.insert("client_id_issued_at".to_owned(), json!(client.issued.seconds()));
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_id_is_of_plain_characters_and_not_of_the_drawn_form() {
        let longest = "x".repeat(100);
        for id in ["a", "demo-web", "A.b_c~d-9", "abcdefghijklmnopqrstu", "abcdefghijklmnopqrstu.", &longest]
        {
            assert_eq!(choose(&json!(id)), Ok(id.to_owned()));
        }
        let long = "x".repeat(101);
        for id in ["", "a b", "a/b", "ä", "a:b", ".", "..", "abcdefghijklmnopqrst-_", &long] {
            assert_eq!(choose(&json!(id)).unwrap_err().field, "client_id", "{id}");
        }
        assert!(choose(&json!(7)).is_err() && choose(&Value::Null).is_err());
    }

    #[test]
    fn what_a_registration_leaves_out_is_its_profiles() {
        let read = |body: Value| read(body.as_object().unwrap().clone());
        assert_eq!(read(json!({})).unwrap(), Metadata::template(Profile::Oauth21));
        assert_eq!(read(json!({"profile": "legacy"})).unwrap(), Metadata::template(Profile::Legacy));
        assert_eq!(read(json!({"profile": null})).unwrap(), Metadata::template(Profile::Oauth21));
        for (field, body) in [
            ("profile", json!({"profile": "magic"})),
            ("client_secret", json!({"client_secret": "hush"})),
            ("magic", json!({"magic": 1})),
        ] {
            assert_eq!(read(body).unwrap_err().field, field);
        }
    }
}
