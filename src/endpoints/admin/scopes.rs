//! `/admin/scopes`: the catalogue. What is not in it can be given to no client, and what a client has stays in it.

use super::{
    Page, addressable, clients, expected, following, invalid, keeps, lost, members, object, page,
    precondition_failed, settled, shown, strange, tell, unknown,
};
use crate::{
    context::Context,
    error::{Code, Error, quotable},
    host::Host,
    json::json,
    list::List as _,
    model::{client::Client, patch::Invalid, scope::Scope},
    objects::protocol::registry::{self, Catalogued, Command, Registry, Reply},
    wire::{self, Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// Names that specifications or this server give a meaning of their own: not for anybody's API.
const RESERVED: &[&str] =
    &["openid", "profile", "email", "address", "phone", "offline_access", "admin", "admin.read", "external"];
/// Clients that a refusal names.
const NAMED: usize = 5;
/// Clients that are given a scope, or lose it, in one request.
const LINKED: usize = 100;
/// How often a client is tried that somebody else is changing.
const TRIES: usize = 3;

/// `GET`: a page of scopes. `POST`: a new one.
pub(super) async fn collection<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    match request.method {
        Method::POST => create(cx, members(request)?).await,
        _ => list(cx, Page::of(&Params::of_query(request, &[])?)?).await,
    }
}

/// `GET`: a scope. `PATCH`: a change to it (RFC 7396). `PUT`: all that it is from now on. `DELETE`: its end, if no client has it.
pub(super) async fn item<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    name: &str,
) -> Result<Response, Error> {
    let name = name.to_owned();
    match request.method {
        Method::PATCH | Method::PUT => {
            let (expected, whole) = (expected(request)?, request.method == Method::PUT);
            let mut patch = members(request)?;
            if whole {
                keeps(&mut patch, "name", &name).map_err(refused)?;
            }
            let links = Links::of(cx, &name, take_clients(&mut patch).map_err(refused)?).await?;
            let command = Command::ChangeScope { name, patch, whole, expected };
            let (scope, lags) = links.tie(cx, changed(cx, "admin.scope.changed", command).await?).await?;
            let response = shown(StatusCode::OK, scope.tag(), display(&scope));
            Ok(if lags { following(response) } else { response })
        }
        Method::DELETE => delete(cx, Command::DeleteScope { name, expected: expected(request)? }).await,
        _ => match *ask(cx, Command::Scope(name)).await? {
            Reply::Scope(Some(scope)) => Ok(shown(StatusCode::OK, scope.tag(), display(&scope))),
            Reply::Scope(None) => Err(unknown("scope")),
            _ => Err(strange()),
        },
    }
}

async fn list<H: Host>(cx: &Context<'_, H>, asked: Page) -> Result<Response, Error> {
    let Page { limit, after, q, .. } = asked;
    if after.as_deref().is_some_and(|after| !is_name(after)) {
        return Err(lost());
    }
    let Reply::Scopes(scopes, more) = *ask(cx, Command::Scopes { after, q, limit }).await? else {
        return Err(strange());
    };
    let next = scopes.last().filter(|_| more).map(|scope| scope.name.as_str());
    let items: Vec<_> = scopes.iter().map(|scope| Value::Object(display(scope))).list();
    Ok(page(&items, next))
}

async fn create<H: Host>(cx: &Context<'_, H>, mut body: Map<String, Value>) -> Result<Response, Error> {
    let name = read_name(body.remove("name").as_ref()).map_err(refused)?;
    let links = Links::of(cx, &name, take_clients(&mut body).map_err(refused)?).await?;
    let command = Command::CreateScope { name, patch: body };
    let (scope, _) = links.tie(cx, changed(cx, "admin.scope.created", command).await?).await?;
    let location = cx.url(&format!("/admin/scopes/{}", wire::encode(&scope.name)));
    Ok(shown(StatusCode::CREATED, scope.tag(), display(&scope)).with("location", location))
}

/// The clients that are to have a scope from now on, where a request says so.
fn take_clients(body: &mut Map<String, Value>) -> Result<Option<Vec<String>>, Invalid> {
    let Some(said) = body.remove("clients") else { return Ok(None) };
    let ids = crate::json::take(if said.is_null() { json!([]) } else { said });
    ids.map(Some).map_err(|_| Invalid::new("clients", "must be an array of strings"))
}

/// What must happen to clients so that these have a scope, and no others: each of them is changed as by itself.
struct Links(Vec<(String, bool)>);

impl Links {
    /// Looks before anything is changed.
    async fn of<H: Host>(
        cx: &Context<'_, H>,
        name: &str,
        wanted: Option<Vec<String>>,
    ) -> Result<Self, Error> {
        let Some(wanted) = wanted else { return Ok(Self(Vec::new())) };
        let has = match *ask(cx, Command::Scope(name.to_owned())).await? {
            Reply::Scope(found) => found.map(|scope| scope.clients).unwrap_or_default(),
            _ => return Err(strange()),
        };
        let given = wanted.iter().filter(|id| !has.contains(id)).map(|id| (id.clone(), true));
        let taken = has.iter().filter(|id| !wanted.contains(id)).map(|id| (id.clone(), false));
        let links: Vec<_> = given.chain(taken).list();
        if links.len() > LINKED {
            let why = format!("more than {LINKED} clients would change: do it in several requests");
            return Err(refused(Invalid::new("clients", why)));
        }
        for (id, _) in &links {
            if read_client(cx, id).await?.registered_itself() {
                let why = format!("{} registered itself: its scope is its own to say", quotable(id));
                return Err(refused(Invalid::new("clients", why)));
            }
        }
        Ok(Self(links))
    }

    /// Gives the scope to the ones and takes it from the others. `true`: what these get for themselves follows later.
    async fn tie<H: Host>(
        self,
        cx: &Context<'_, H>,
        scope: Box<Catalogued>,
    ) -> Result<(Box<Catalogued>, bool), Error> {
        let mut lags = false;
        if self.0.is_empty() {
            return Ok((scope, lags));
        }
        for (id, given) in &self.0 {
            let mut tries = 0;
            loop {
                let client = read_client(cx, id).await?;
                let own = client.metadata.scope.names().filter(|name| *name != scope.name);
                let after = Scope::of(own.chain(Some(scope.name.as_str()).filter(|_| *given)));
                let patch = object([("scope", json!(after))]);
                let expected = Some(client.version);
                let command = Command::Change { id: id.clone(), patch, whole: false, expected };
                tries += 1;
                match clients::changed(cx, "admin.client.changed", command).await {
                    Ok((_, behind)) => {
                        lags |= behind;
                        break;
                    }
                    Err(error) if error.code == Code::PreconditionFailed && tries < TRIES => {}
                    Err(error) => return Err(error.in_field("clients")),
                }
            }
        }
        match *ask(cx, Command::Scope(scope.name)).await? {
            Reply::Scope(Some(scope)) => Ok((scope, lags)),
            _ => Err(strange()),
        }
    }
}

async fn read_client<H: Host>(cx: &Context<'_, H>, id: &str) -> Result<Box<Client>, Error> {
    match *ask(cx, Command::Client(id.to_owned())).await? {
        Reply::Client(Some(client)) => Ok(client),
        Reply::Client(None) => {
            let why = format!("there is no client {}", quotable(id));
            Err(refused(Invalid::new("clients", why)))
        }
        _ => Err(strange()),
    }
}

async fn delete<H: Host>(cx: &Context<'_, H>, command: Command) -> Result<Response, Error> {
    match *change(cx, "admin.scope.deleted", command).await? {
        Reply::PolicyChanged(_, told) => settled(told).map(|()| Response::no_content()),
        Reply::InUse(clients) => {
            let named = clients.iter().take(NAMED).map(String::as_str).list().join(", ");
            let rest = match clients.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let detail = format!("clients have this scope: {named}{rest}");
            Err(Error::new(Code::Conflict, detail).in_field("clients"))
        }
        other => Err(refusal(other)),
    }
}

async fn ask<H: Host>(cx: &Context<'_, H>, command: Command) -> Result<Box<Reply>, Error> {
    Ok(cx.ask::<Registry>(registry::NAME, command).await?)
}

/// The scope as it is after a change.
async fn changed<H: Host>(
    cx: &Context<'_, H>,
    event: &'static str,
    command: Command,
) -> Result<Box<Catalogued>, Error> {
    match *change(cx, event, command).await? {
        Reply::ScopeChanged(scope, told) => settled(told).map(|()| scope),
        other => Err(refusal(other)),
    }
}

async fn change<H: Host>(
    cx: &Context<'_, H>,
    event: &'static str,
    command: Command,
) -> Result<Box<Reply>, Error> {
    let scope = match &command {
        Command::CreateScope { name, .. }
        | Command::ChangeScope { name, .. }
        | Command::DeleteScope { name, .. } => Some(name.clone()),
        _ => None,
    };
    let reply = tell(cx, command).await?;
    if matches!(*reply, Reply::ScopeChanged(..) | Reply::PolicyChanged(..)) {
        cx.note(|e| {
            e.event = event;
            e.important = true;
            e.scope = scope;
        });
    }
    Ok(reply)
}

fn refusal(reply: Reply) -> Error {
    match reply {
        Reply::Taken => Error::new(Code::Conflict, "there is a scope of that name").in_field("name"),
        Reply::Unknown => unknown("scope"),
        Reply::Outdated => precondition_failed(),
        Reply::Invalid(why) => refused(why),
        _ => strange(),
    }
}

fn refused(why: Invalid) -> Error {
    invalid(Code::InvalidRequest, why)
}

/// The name of a new scope.
fn read_name(given: Option<&Value>) -> Result<String, Invalid> {
    let refused = |why: &str| Invalid::new("name", why);
    let name = match given {
        None => return Err(refused("is missing")),
        Some(Value::String(name)) => name,
        Some(_) => return Err(refused("must be a string")),
    };
    if !is_name(name) {
        return Err(refused("must be 1 to 200 characters of those that RFC 6749 section 3.3 allows"));
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(refused("is reserved"));
    }
    addressable("name", name)?;
    Ok(name.clone())
}

/// One name, and nothing around it.
fn is_name(text: &str) -> bool {
    Scope::parse(text).is_ok_and(|scope| scope.contains(text))
}

fn display(scope: &Catalogued) -> Map<String, Value> {
    let Catalogued { name, entry, clients } = scope;
    let mut members = entry.members();
    members.extend(object([("name", json!(name)), ("clients", json!(clients))]));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_one_name_of_allowed_characters_that_nobody_else_gave_a_meaning() {
        let longest = "x".repeat(200);
        for name in ["a", "orders.read", "https://api.test/orders", "urn:x:y", "...", &longest] {
            assert_eq!(read_name(Some(&json!(name))), Ok(name.to_owned()));
        }
        let long = "x".repeat(201);
        for name in
            ["", " ", "a b", " a", "a ", "ä", "a\"b", "a\\b", "a\n", ".", "..", "openid", "admin", &long]
        {
            assert_eq!(read_name(Some(&json!(name))).unwrap_err().field, "name", "{name:?}");
        }
        assert!(read_name(None).is_err() && read_name(Some(&json!(7))).is_err());
    }
}
