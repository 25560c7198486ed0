//! From an authorization to the tokens that carry it (RFC 6749 §5.1): the only place that makes tokens. Writes nothing.

use crate::{
    context::Context,
    crypto,
    error::Error,
    host::{Algorithm, Host, Seconds, Timestamp},
    json::{ToTree, json, object, put},
    jws,
    model::{
        account,
        client::Client,
        grant::{Issued, Person, Successor},
        openid::{ACR, AMR, Openid},
        place::{Address, Region, Shard, Table},
        policy::Policy,
        scope::Scope,
        settings::NEVER,
        ticket::{Access, Claims, Jti, Refresh, Subject, Ticket},
    },
    objects::protocol::{
        account_shard::{AccountShard, Command, Reply, Who},
        grant_shard::{self, GrantShard},
    },
    wire::Response,
};
use http::StatusCode;
use serde_json::{Map, Value};

/// What a grant type has found to be authorized.
pub enum Authorization {
    /// By a person, in a grant.
    Grant(Address, Box<Issued>),
    /// By the client's own credentials.
    Client(Scope),
}

/// Tokens, as they are given (RFC 6749 §5.1).
pub struct Tokens {
    /// `access_token`.
    pub access_token: String,
    /// `expires_in` (`None`: never).
    pub expires_in: Option<u64>,
    /// `scope`.
    pub scope: String,
    /// `refresh_token`, where there is one.
    pub refresh_token: Option<String>,
    /// `id_token`, where the person signed in to the client.
    pub id_token: Option<String>,
}

impl Tokens {
    /// The members of the token response.
    pub fn members(&self) -> Map<String, Value> {
        let mut body = object([("token_type", json!("Bearer")), ("access_token", json!(self.access_token))]);
        let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
        // RFC 6749 §5.1 lets it out where it is known otherwise; there is no number that means never.
        if let Some(seconds) = self.expires_in {
            say("expires_in", json!(seconds));
        }
        // Required where it differs from what was asked; always said, where there is any.
        if !self.scope.is_empty() {
            say("scope", json!(self.scope));
        }
        if let Some(token) = &self.refresh_token {
            say("refresh_token", json!(token));
        }
        if let Some(token) = &self.id_token {
            say("id_token", json!(token));
        }
        body
    }

    /// A token response of these members: no-store, and Pragma for caches of HTTP/1.0 (RFC 6749 §5.1).
    pub fn response(members: Map<String, Value>) -> Response {
        Response::json(StatusCode::OK, &Value::Object(members)).with("pragma", "no-cache")
    }
}

/// The tokens.
pub async fn tokens<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    policy: &Policy,
    authorization: Authorization,
) -> Result<Tokens, Error> {
    let (person, openid) = match &authorization {
        Authorization::Grant(_, issued) => (Some(issued.person.clone()), issued.openid.clone()),
        Authorization::Client(_) => (None, None),
    };
    let (subject, scope, issued, until, access_key, refresh) = match authorization {
        Authorization::Grant(address, issued) => {
            let refresh = issued.refresh.map(|successor| (address.clone(), successor));
            (Subject::Grant(address), issued.scope, issued.at, issued.until, Some(issued.access_key), refresh)
        }
        Authorization::Client(scope) => (own(cx, client, policy), scope, cx.now, None, None, None),
    };
    let signed = client.gets_jwt(policy, &scope);
    let lifetime = client.access_lifetime(policy).min(if signed { LONGEST } else { Seconds(NEVER) });
    // Nothing outlives the client that it was given to.
    let ends = until.into_iter().chain(client.expires).min().unwrap_or(Timestamp::NEVER);
    let expires = ends.min(issued.plus(lifetime));
    let id = crypto::text(&cx.host.random::<12>());
    let claims = Claims { subject, scope, issued, expires, id };
    let proof = match access_key {
        Some(key) => key.proof(&[&claims.bytes()?]),
        None => client.prove(&claims)?,
    };
    let granted = claims.scope.clone();
    let expires_in = claims.ends().map(|ends| ends.since(issued).0);
    let refresh_token = match refresh {
        Some((address, Successor { generation, proof })) => {
            Some(Refresh { address, generation, proof }.seal(&cx.config.keys)?)
        }
        None => None,
    };
    let access = Access { claims, proof };
    let access_token = if signed {
        jwt(cx, client, policy, access, person.as_ref()).await?
    } else {
        access.seal(&cx.config.keys)?
    };
    let id_token = match (openid, &person) {
        (Some(openid), Some(person)) => {
            let of = Authentication { openid: &openid, person, issued, beside: [&access_token, ""] };
            Some(id_token(cx, client, policy, of, (&granted, false)).await?)
        }
        _ => None,
    };
    Ok(Tokens { access_token, expires_in, scope: granted.to_string(), refresh_token, id_token })
}

/// `typ` of an access token that is a JWT (RFC 9068 §2.1).
pub const ACCESS_TOKEN: &str = "at+jwt";
/// The longest that one lives: who verifies it alone hears of no end but this.
const LONGEST: Seconds = Seconds(31_536_000);

/// An access token that others can verify (RFC 9068 §2.2). What this server must know of it is sealed in `jti`.
async fn jwt<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    policy: &Policy,
    access: Access,
    person: Option<&Person>,
) -> Result<String, Error> {
    let Claims { scope, issued, expires, .. } = &access.claims;
    let audience = policy.audience(scope, &cx.config.issuer);
    let sub = person.map_or_else(|| client.id.clone(), |person| client.subject(policy, &person.sub));
    let mut claims = object([
        ("iss", json!(cx.config.issuer)),
        ("aud", self::audience(&audience)),
        ("sub", json!(sub)),
        ("client_id", json!(client.id)),
        ("iat", json!(issued.seconds())),
        ("exp", json!(expires.seconds())),
    ]);
    let mut say = |name: &str, value: Value| put(&mut claims, name, value);
    if !scope.is_empty() {
        say("scope", json!(scope.to_string()));
    }
    if let Some(Person { groups, auth_time, .. }) = person {
        if let Some(since) = auth_time {
            say("auth_time", json!(since.seconds()));
            say("acr", json!(ACR));
        }
        if !groups.is_empty() {
            say("groups", json!(groups));
        }
    }
    say("jti", json!(Jti(access).seal(&cx.config.keys)?));
    jws::sign(cx, policy.algorithm(None), ACCESS_TOKEN, &claims).await
}

/// `aud` (RFC 7519 §4.1.3): a text where it is one.
pub fn audience<T: ToTree>(audience: &[T]) -> Value {
    match audience {
        [one] => json!(one),
        all => json!(all),
    }
}

/// `typ` of an ID token.
pub const ID_TOKEN: &str = "JWT";

/// That a person signed in to a client (OpenID Connect Core §2).
pub struct Authentication<'a> {
    /// What was asked.
    pub openid: &'a Openid,
    /// Who.
    pub person: &'a Person,
    /// `iat`.
    pub issued: Timestamp,
    /// The access token and the code that go out with it; empty where there is none.
    pub beside: [&'a str; 2],
}

/// An ID token. `scope`: what was granted; with `all` it has the claims of that, because there is no access token to get them
/// with (§5.4).
pub async fn id_token<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    policy: &Policy,
    Authentication { openid, person, issued, beside }: Authentication<'_>,
    (scope, all): (&Scope, bool),
) -> Result<String, Error> {
    let algorithm = client.id_token_algorithm();
    let mut claims = if all || openid.asks_by_name("id_token") {
        openid.give(&account_claims(cx, &person.sub).await?, (scope, all, &client.metadata.scope), "id_token")
    } else {
        Map::new()
    };
    let mut say = |name: &str, value: Value| put(&mut claims, name, value);
    let ends = issued.plus(policy.seconds(|settings| settings.id_token_lifetime));
    say("iss", json!(cx.config.issuer));
    say("sub", json!(client.subject(policy, &person.sub)));
    say("aud", json!(client.id));
    say("azp", json!(client.id));
    say("iat", json!(issued.seconds()));
    say("exp", json!(ends.seconds()));
    say("acr", json!(ACR));
    say("amr", json!(AMR));
    say("sid", json!(client.sid(policy, &openid.sid)));
    if let Some(since) = person.auth_time {
        say("auth_time", json!(since.seconds()));
    }
    if let Some(nonce) = &openid.nonce {
        say("nonce", json!(nonce));
    }
    for (name, text) in ["at_hash", "c_hash"].into_iter().zip(beside) {
        // The hash of EdDSA is another one (§3.1.3.6), and of a code's answer it may be left out.
        if !text.is_empty() && algorithm != Algorithm::EdDsa {
            let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = crypto::digest(text.as_bytes());
            let half: [u8; 16] = half;
            say(name, json!(crypto::text(&half)));
        }
    }
    jws::sign(cx, algorithm, ID_TOKEN, &claims).await
}

/// The claims of a person, as their account has them.
pub async fn account_claims<H: Host>(cx: &Context<'_, H>, sub: &str) -> Result<Map<String, Value>, Error> {
    let Some(shard) = account::shard_of_sub(sub) else { return Ok(Map::new()) };
    match *cx.ask::<AccountShard>(&shard, Command::Read(Who::Sub(sub.to_owned()))).await? {
        Reply::Account(account, _) => Ok(account.claims),
        _ => Ok(Map::new()),
    }
}

/// A client that acts for itself: the shard that its token's end will be known to is drawn here.
fn own<H: Host>(cx: &Context<'_, H>, client: &Client, policy: &Policy) -> Subject {
    Subject::Client {
        shard: draw_shard(cx, policy),
        client: client.id.clone(),
        incarnation: client.incarnation.clone(),
        version: client.version,
    }
}

/// Asks a shard whether these records are the newest, where no other will be asked: one that knows of newer ones says so.
pub async fn confirm<H: Host>(cx: &Context<'_, H>, client: &Client, policy: &Policy) -> Result<(), Error> {
    let shard = draw_shard(cx, policy).to_string();
    let command = grant_shard::Command::Check { client: client.reference(), policy: policy.version };
    match *cx.ask::<GrantShard>(&shard, command).await? {
        grant_shard::Reply::Good => Ok(()),
        _ => Err(Error::stale()),
    }
}

/// A shard near the caller.
pub fn draw_shard<H: Host>(cx: &Context<'_, H>, policy: &Policy) -> Shard {
    let count = u16::try_from(policy.settings.shards).unwrap_or(1);
    let (continent, longitude) = cx.host.whereabouts();
    Shard::draw(Region::of(&continent, longitude), count, cx.host.random())
}

/// Where a grant will be that a person gives within `wait`: near the person, in the table of its absolute end.
pub fn draw_address<H: Host>(
    cx: &Context<'_, H>,
    client: &Client,
    policy: &Policy,
    (sub, wait): (&str, Seconds),
    lifetime: Option<Seconds>,
) -> Address {
    let access = client.access_lifetime(policy);
    let ends = lifetime.filter(|_| access != Seconds(NEVER));
    let end = ends.map(|lifetime| cx.now.plus(wait).plus(lifetime).plus(access));
    Address {
        shard: draw_shard(cx, policy),
        table: Table::for_end(end, cx.now),
        owner: sub.to_owned(),
        key: crypto::text(&cx.host.random::<16>()),
    }
}

/// How long a family lives, or where there is none the code and the one access token it gives (`None`: no end).
pub fn lifetime(client: &Client, policy: &Policy, refreshable: bool) -> Option<Seconds> {
    if refreshable && client.is_refreshable() {
        return client.refresh_absolute(policy);
    }
    let (Seconds(code), Seconds(access)) = (client.code_lifetime(policy), client.access_lifetime(policy));
    (access != NEVER).then(|| Seconds(code.saturating_add(access)))
}
