//! `/check`: whether a request to a resource may pass. A proxy asks before it passes the request on (nginx `auth_request`,
//! Traefik `forwardAuth`, Caddy `forward_auth`, Envoy `ext_authz`), and gives the resource what the answer says of its caller.
//!
//! In this order: the access token is active, the request lies inside its scope, its owner is permitted. One object is
//! asked, once.

use super::{foreign, introspect};
use crate::{
    context::{Context, Weighed},
    error::{Code, Error},
    host::{Host, Seconds},
    list::List as _,
    model::{
        metadata::SubjectType,
        policy::Policy,
        resource::{self, Asker, Decision, Target},
    },
    wire::{self, Params, Request, Response},
};
use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::rc::Rc;

/// What a name may not hold in a header that lists names.
const UNLISTED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

/// A method and an address, as the original request had them.
pub struct Original<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub address: String,
    /// Scheme, host and port, where they are known.
    pub origin: Option<String>,
}

impl<'a> Original<'a> {
    /// From the one place where the proxy that asks writes them. Anybody could have written them in the others.
    fn of(request: &'a Request, source: &str, rest: &str) -> Option<Self> {
        let (method, address) = match source {
            "envoy" => {
                let address = match request.query.as_str() {
                    "" => rest.to_owned(),
                    query => format!("{rest}?{query}"),
                };
                return Some(Self { method: request.method.as_str(), address, origin: None });
            }
            "nginx" => ("x-original-method", "x-original-uri"),
            _ => ("x-forwarded-method", "x-forwarded-uri"),
        };
        let method = request.header(method)?;
        // nginx adds to what came in: then there are two.
        let once = !method.contains(',') && rest.is_empty();
        once.then_some(())?;
        // Where it came to, if the proxy says so: what belongs to a resource elsewhere opens nothing there.
        let origin = match (source, request.header("x-forwarded-proto"), request.header("x-forwarded-host")) {
            ("nginx", ..) => request.header("x-original-origin").map(str::to_owned),
            (_, Some(proto), Some(host)) => Some(format!("{proto}://{host}")),
            _ => None,
        };
        Some(Self { method, address: request.header(address)?.to_owned(), origin })
    }

    fn query(&self) -> &str {
        self.address.split_once('?').map_or("", |(_, query)| query)
    }
}

/// Who may pass, as a resource is told.
pub struct Identity {
    /// `sub`: the person, or the client that acts for itself (RFC 9068 §2.2).
    subject: String,
    /// Of the person.
    username: String,
    /// It is a person of this server's.
    personal: bool,
    client: String,
    scope: String,
    groups: Vec<String>,
}

impl Identity {
    /// The headers that say so: all of them always, so that none of anybody else's is left.
    pub fn headers(&self) -> [(&'static str, String); 5] {
        let listed = |name: &str| utf8_percent_encode(name, UNLISTED).to_string();
        let groups: Vec<String> = self.groups.iter().map(|group| listed(group)).list();
        [
            ("x-auth-subject", self.subject.clone()),
            ("x-auth-username", listed(&self.username)),
            ("x-auth-client", self.client.clone()),
            ("x-auth-scope", self.scope.clone()),
            ("x-auth-groups", groups.join(",")),
        ]
    }
}

/// Answers a proxy. `rest`: what stands behind `/check` in the address.
pub async fn respond<H: Host>(cx: &Context<'_, H>, request: &Request, rest: &str) -> Result<Response, Error> {
    let policy = cx.policy().await?;
    let source = policy.settings.check_source.as_str();
    if !rest.is_empty() && source != "envoy" {
        return Err(Error::new(Code::UnservedAddress, "there is no such address"));
    }
    let original = Original::of(request, source, rest);
    let mut identity = identify(cx, &policy, request, original).await?;
    // A client could ask this itself, and is told no more of a person than elsewhere (OpenID Connect Core §8.1).
    if identity.personal
        && let Some(client) = cx.client_of_token(&identity.client).await?
        && client.metadata.subject_type == SubjectType::Pairwise
    {
        identity.subject = client.subject(&policy, &identity.subject);
        identity.username.clear();
    }
    let response = Response::empty(StatusCode::OK);
    let response = response.with("cache-control", "no-store");
    Ok(identity.headers().into_iter().fold(response, |response, (name, value)| response.with(name, value)))
}

/// Who asks, if they may have what they ask for. `original`: nothing where nobody says what that is. It is decided by one
/// policy: a shard that knows of a newer one says so.
pub async fn identify<H: Host>(
    cx: &Context<'_, H>,
    policy: &Policy,
    request: &Request,
    original: Option<Original<'_>>,
) -> Result<Identity, Error> {
    let query = original.as_ref().filter(|original| original.method == "GET").map(Original::query);
    let token = present(policy, request, query.unwrap_or_default())?;
    let weighed = weigh(cx, policy, &token).await?;
    let Some(original) = original else {
        let detail = "the proxy does not say which request this is about: see the setting check.source";
        return Err(Error::new(Code::ClosedResource, detail));
    };
    admit(cx, policy, &weighed, &original)
}

/// The access token of a request (RFC 6750 §2.1), or where the setting lets it be there that of its query (§2.3).
fn present(policy: &Policy, request: &Request, query: &str) -> Result<String, Error> {
    let header = wire::bearer(request);
    let counts = policy.settings.query_tokens;
    // A query that does not read has none.
    let params = if counts { Params::parse(query.as_bytes(), &[]).ok() } else { None }.unwrap_or_default();
    match (header, params.optional("access_token")) {
        (Some(_), Some(_)) => {
            Err(Error::new(Code::InvalidToken, "two access tokens at once (RFC 6750 section 2)"))
        }
        (Some(token), None) | (None, Some(token)) => Ok(token.to_owned()),
        (None, None) => Err(Error::new(Code::MissingToken, "an access token is missing")),
    }
}

/// What an access token is good for.
async fn weigh<H: Host>(cx: &Context<'_, H>, policy: &Policy, token: &str) -> Result<Rc<Weighed>, Error> {
    let refused = || Error::new(Code::InvalidToken, "the access token is none, has expired, or was revoked");
    let kept = Seconds(policy.settings.check_cache);
    if kept > Seconds(0)
        && let Some(weighed) = cx.known_token(token)
    {
        return Ok(weighed);
    }
    let weighed = match introspect::access(cx, token).await? {
        Some(access) => introspect::weigh(cx, policy.version, access).await?,
        None => foreign::weigh(cx, policy, token).await?.map(|(weighed, _)| weighed),
    };
    let weighed = Rc::new(weighed.ok_or_else(refused)?);
    cx.keep_token(token, &weighed, kept);
    Ok(weighed)
}

/// Whether the request lies inside the token's scope, and its owner is permitted.
fn admit<H: Host>(
    cx: &Context<'_, H>,
    policy: &Policy,
    weighed: &Weighed,
    original: &Original<'_>,
) -> Result<Identity, Error> {
    let Weighed { active, groups, stranger } = weighed;
    cx.note(|event| {
        event.event = "resource.asked";
        event.client = Some(active.client_id.clone());
        event.sub = active.person.as_ref().map(|person| person.sub.clone());
    });
    let refused = |detail: &'static str| Error::new(Code::ClosedResource, detail);
    let target = Target::parse(original.method, &original.address).map_err(|why| {
        // That depends on nobody's copy.
        Error::new(Code::InsufficientScope, "the address is not one path").because(why)
    })?;
    let target = target.at(original.origin.clone());
    let asker = match active.person {
        _ if *stranger => Asker::Stranger,
        Some(_) => Asker::Person(groups),
        None => Asker::Client(groups),
    };
    match resource::decide(policy, &active.scope, asker, &target) {
        Decision::Allowed => {}
        Decision::Forbidden => return Err(refused("this is for groups that the caller is not in")),
        Decision::Beyond(Some(scope)) => {
            return Err(refused("the access token's scope does not open this").needing(Some(scope)));
        }
        Decision::Beyond(None) => return Err(refused("no scope opens this")),
    }
    let (subject, username) = match &active.person {
        Some(person) => (person.sub.clone(), person.username.clone()),
        None => (active.client_id.clone(), String::new()),
    };
    let (client, scope) = (active.client_id.clone(), active.scope.to_string());
    let personal = active.person.is_some() && !stranger;
    Ok(Identity { subject, username, personal, client, scope, groups: groups.clone() })
}
