//! `/admin/…`: what an administrator does over HTTP. JSON in, JSON out; refusals are problem details (RFC 9457).
//!
//! Every answer to a change is the truth's: the object that holds the record answers, and where others must hold the
//! change too, 200 is said only once all of them do.

mod access;
mod audit;
pub(super) mod body;
mod clients;
pub mod description;
mod grants;
mod health;
mod keys;
pub mod members;
mod registration_tokens;
mod remotes;
mod scopes;
mod settings;
mod users;

use self::body::{keeps, members, members_if_any};
use crate::{
    context::Context,
    error::{Code, Error, Fault},
    host::Host,
    json::{json, object},
    model::{patch::Invalid, remote::Kind},
    objects::protocol::{
        Told,
        registry::{self, Registry},
    },
    wire::{Params, Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// The items of a page where the caller names no number, and the most it may name.
const ITEMS: usize = 50;
const MOST: usize = 200;

/// What is administered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `/admin/clients`
    Clients,
    /// `/admin/clients/{client_id}`
    Client,
    /// `/admin/clients/{client_id}/secret`
    Secret,
    /// `/admin/registration-tokens`
    RegistrationTokens,
    /// `/admin/registration-tokens/{id}`
    RegistrationToken,
    /// `/admin/scopes`
    Scopes,
    /// `/admin/scopes/{name}`
    Scope,
    /// `/admin/users`
    Users,
    /// `/admin/users/{username}`
    User,
    /// `/admin/settings`
    Settings,
    /// `/admin/connections`
    Connections,
    /// `/admin/connections/{name}`
    Connection,
    /// `/admin/connections/{name}/authorize`
    ConnectionAuthorize,
    /// `/admin/external-servers`
    ExternalServers,
    /// `/admin/external-servers/{name}`
    ExternalServer,
    /// `/admin/keys`
    Keys,
    /// `/admin/keys/{kid}`
    Key,
    /// `/admin/grants`
    Grants,
    /// `/admin/grants/{id}`
    Grant,
    /// `/admin/audit`
    Audit,
    /// `/admin/health`
    Health,
}

pub(super) use grants::remove_expired;

/// Whether an administrator asks who may change things, and in whose name it is done.
pub(super) async fn admit<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<(), Error> {
    access::admit(cx, request, true).await
}

pub(super) use access::admit_external;
pub(super) use users::find as find_user;

/// Answers an administrator, and nobody else.
pub async fn respond<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    resource: Resource,
    segment: &str,
) -> Result<Response, Error> {
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    access::admit(cx, request, !reads).await?;
    perform(cx, request, resource, segment).await
}

/// Does what an administrator wishes. Who calls this knows that they are one, and has signed.
pub(super) async fn perform<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    resource: Resource,
    segment: &str,
) -> Result<Response, Error> {
    match resource {
        Resource::Clients => clients::collection(cx, request).await,
        Resource::Client => clients::item(cx, request, segment).await,
        Resource::Secret => clients::secret(cx, request, segment).await,
        Resource::RegistrationTokens => registration_tokens::collection(cx, request).await,
        Resource::RegistrationToken => registration_tokens::item(cx, request, segment).await,
        Resource::Scopes => scopes::collection(cx, request).await,
        Resource::Scope => scopes::item(cx, request, segment).await,
        Resource::Users => users::collection(cx, request).await,
        Resource::User => users::item(cx, request, segment).await,
        Resource::Settings => settings::item(cx, request).await,
        Resource::Connections => remotes::collection(cx, request, Kind::Connection).await,
        Resource::Connection => remotes::item(cx, request, Kind::Connection, segment).await,
        Resource::ConnectionAuthorize => remotes::authorize(cx, segment).await,
        Resource::ExternalServers => remotes::collection(cx, request, Kind::Server).await,
        Resource::ExternalServer => remotes::item(cx, request, Kind::Server, segment).await,
        Resource::Keys => keys::collection(cx, request).await,
        Resource::Key => keys::item(cx, request, segment).await,
        Resource::Grants => grants::collection(cx, request).await,
        Resource::Grant => grants::item(cx, request, segment).await,
        Resource::Audit => audit::collection(cx, request).await,
        Resource::Health => health::collection(cx, request).await,
    }
}

/// Which part of a collection is asked for.
struct Page {
    /// At most so many items.
    limit: usize,
    /// Behind this, which an earlier answer gave as `next`.
    after: Option<String>,
    /// Only what contains this.
    q: Option<String>,
    /// With what is kept of secrets and passwords, so that another server can take it over.
    hashes: bool,
}

impl Page {
    fn of(params: &Params) -> Result<Self, Error> {
        let limit = match params.optional("limit") {
            None => ITEMS,
            Some(text) => {
                // As it would be written, so neither `+5` nor `005`.
                let number = text.parse().ok().filter(|number: &usize| number.to_string() == text);
                number.filter(|number| (1..=MOST).contains(number)).ok_or_else(|| {
                    let detail = format!("must be a whole number from 1 to {MOST}");
                    Error::new(Code::InvalidRequest, detail).in_field("limit")
                })?
            }
        };
        let owned = |name: &str| params.optional(name).map(str::to_owned);
        Ok(Self {
            limit,
            after: owned("after"),
            q: owned("q"),
            hashes: params.optional("hashes") == Some("true"),
        })
    }
}

/// A cursor that no answer of ours gave.
fn lost() -> Error {
    Error::new(Code::InvalidRequest, "is not a cursor that this collection gave").in_field("after")
}

/// Tells the registry of a change.
async fn tell<H: Host>(
    cx: &Context<'_, H>,
    command: registry::Command,
) -> Result<Box<registry::Reply>, Error> {
    let reply = cx.ask::<Registry>(registry::NAME, command).await;
    // Also where no answer came: whether it happened is unknown then, so a copy may be older than the truth.
    cx.memory().forget();
    Ok(reply?)
}

/// Refuses a name that cannot be the last segment of a URL.
fn addressable(field: &str, name: &str) -> Result<(), Invalid> {
    if matches!(name, "." | "..") {
        let why = "has no address: URLs drop such a segment (RFC 3986 section 5.2.4)";
        return Err(Invalid::new(field, why));
    }
    Ok(())
}

/// A page of a collection.
fn page(items: &[Value], next: Option<&str>) -> Response {
    Response::json(StatusCode::OK, &json!({ "items": items, "next": next }))
}

/// An item, with the version by which it may be changed (RFC 9110 §8.8.3). Whoever compressed it on the way would make
/// the tag a weak one, and `If-Match` takes none of these.
fn shown(status: StatusCode, version: u64, item: Map<String, Value>) -> Response {
    Response::json(status, &Value::Object(item))
        .instead("cache-control", "no-store, no-transform")
        .with("etag", format!("\"{version}\""))
}

/// The version that `If-Match` demands (RFC 9110 §13.1.1). A tag that none of our answers carried matches nothing.
fn expected(request: &Request) -> Result<Option<u64>, Error> {
    let tag = match request.header("if-match").map(str::trim) {
        None | Some("*") => return Ok(None),
        Some(tag) => tag,
    };
    let digits = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let version =
        digits.and_then(|digits| digits.parse().ok().filter(|version: &u64| version.to_string() == digits));
    version.map(Some).ok_or_else(precondition_failed)
}

fn precondition_failed() -> Error {
    Error::new(Code::PreconditionFailed, "the item has another version than If-Match names: read it again")
}

fn unknown(what: &'static str) -> Error {
    Error::new(Code::NotFound, format!("there is no such {what}"))
}

/// What a record's own rules say about a change.
fn invalid(code: Code, why: Invalid) -> Error {
    Error::new(code, why.why).in_field(why.field)
}

/// Whether every shard that must hold a change does.
fn settled(told: Told) -> Result<(), Error> {
    let Told { acknowledged, of, .. } = told;
    if acknowledged >= of {
        return Ok(());
    }
    let detail = format!(
        "the change is written, and {acknowledged} of {of} shards hold it; it is being repeated until all do"
    );
    Err(Error::new(Code::TemporarilyUnavailable, detail))
}

/// Says that `client_credentials` follows only once the copies do: in usually a minute, which is the replica's, and
/// what an isolate keeps. What is issued in between by a record that has been restricted since is inactive everywhere.
fn following(response: Response) -> Response {
    response.with("edgemint-follows", "client_credentials; within=90")
}

/// Grant shards and account shards. Only these are ever asked: a name that a caller invents must not become an object.
async fn roster<H: Host>(cx: &Context<'_, H>) -> Result<(Vec<String>, Vec<String>), Error> {
    match *cx.ask::<Registry>(registry::NAME, registry::Command::Roster).await? {
        registry::Reply::Roster(grants, accounts) => Ok((grants, accounts)),
        _ => Err(strange()),
    }
}

/// An object gave a reply that does not belong to the command.
fn strange() -> Error {
    Fault::new("an object answered something else than it was asked").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], body: &[u8]) -> Request {
        Request {
            method: http::Method::PATCH,
            secure: false,
            host: String::new(),
            path: String::new(),
            query: String::new(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: Some(body.to_vec()),
        }
    }

    #[test]
    fn a_page_has_from_1_to_200_items() {
        let limit =
            |query: &str| Page::of(&Params::parse(query.as_bytes(), &[]).unwrap()).map(|page| page.limit);
        assert_eq!(limit("").unwrap(), 50);
        assert_eq!((limit("limit=1").unwrap(), limit("limit=200").unwrap()), (1, 200));
        for text in ["0", "-1", "201", "x", "%2B5", "05", "1.0", "99999999999999999999999"] {
            let error = limit(&format!("limit={text}")).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::InvalidRequest, Some("limit")), "{text}");
        }
    }

    #[test]
    fn if_match_is_one_strong_tag_or_an_asterisk() {
        let read = |tag: &str| expected(&request(&[("if-match", tag)], b"")).map_err(|error| error.code);
        assert_eq!(expected(&request(&[], b"")).unwrap(), None);
        assert_eq!((read("*"), read("\"7\"")), (Ok(None), Ok(Some(7))));
        for tag in ["", "7", "\"", "\"\"", "W/\"7\"", "\"07\"", "\"+7\"", "\"7\", \"8\"", "\"x\""] {
            assert_eq!(read(tag), Err(Code::PreconditionFailed), "{tag}");
        }
    }

    #[test]
    fn a_change_counts_once_every_shard_holds_it() {
        assert!(
            settled(Told::none(0, true)).is_ok()
                && settled(Told { acknowledged: 2, ..Told::none(2, true) }).is_ok()
        );
        let error = settled(Told { acknowledged: 1, ..Told::none(2, true) }).unwrap_err();
        assert_eq!(error.code, Code::TemporarilyUnavailable);
        assert!(error.detail.contains("1 of 2 shards"));
    }
}
