//! `POST /introspect` (RFC 7662). An inactive token is exactly `{"active":false}`, whatever the reason.

use super::foreign;
use crate::{
    caller::Caller,
    context::{Context, Weighed},
    error::{Code, Error, Fault},
    host::Host,
    issue,
    json::{json, object},
    jws,
    list::List as _,
    model::{
        grant::{self, Active, Reply, Token},
        mark::ClientRef,
        metadata::{Metadata, SubjectType},
        place::Address,
        ticket::{Access, Claims, Jti, Refresh, Subject, Ticket as _},
    },
    objects::protocol::grant_shard::{self, Command, GrantShard, Wish},
    wire::{Params, Request, Response},
};
use http::StatusCode;
use serde_json::{Map, Value};

/// A token that somebody presents, its seal opened.
pub enum Presented {
    /// Of a grant.
    OfGrant(Address, Token),
    /// Of a client that acts for itself.
    OfClient(Claims),
}

impl Presented {
    /// Opens it. `token_type_hint` is not needed.
    pub async fn read<H: Host>(cx: &Context<'_, H>, token: &str) -> Result<Option<Self>, Error> {
        if let Some(Refresh { address, generation, proof }) = Refresh::open(&cx.config.keys, token) {
            return Ok(Some(Self::OfGrant(address, Token::Refresh { generation, proof })));
        }
        Ok(access(cx, token).await?.map(Self::of))
    }

    /// An access token.
    pub fn of(Access { claims, proof }: Access) -> Self {
        match &claims.subject {
            Subject::Grant(address) => Self::OfGrant(address.clone(), Token::Access { claims, proof }),
            Subject::Client { .. } => Self::OfClient(claims),
        }
    }
}

/// The access token that somebody presents: opaque, or a JWT (RFC 9068 §4). Its keys are looked at only where its `jti` is
/// what this server sealed.
pub async fn access<H: Host>(cx: &Context<'_, H>, token: &str) -> Result<Option<Access>, Error> {
    let keys = &cx.config.keys;
    let named = || Jti::open(keys, jws::claims(token)?.get("jti")?.as_str()?);
    match named() {
        Some(Jti(access)) => Ok(jws::open(cx, issue::ACCESS_TOKEN, token).await?.map(|_| access)),
        None => Ok(Access::open(keys, token)),
    }
}

/// Asks the one shard that knows, for a client.
pub async fn ask<H: Host>(
    cx: &Context<'_, H>,
    caller: &Caller,
    presented: Presented,
    wish: Wish,
) -> Result<Reply, Error> {
    let whole = caller.policy.settings.revoke_ends_grant;
    put(cx, caller.client.reference(), caller.policy.version, presented, wish, whole).await
}

/// Asks it for this server itself: what the token is good for, if it is.
pub async fn look<H: Host>(cx: &Context<'_, H>, presented: Presented) -> Result<Option<Active>, Error> {
    // Nobody's copy of a record decides, so none can be out of date.
    match put(cx, ClientRef::ours(), u64::MAX, presented, Wish::Inspect(true), false).await? {
        Reply::Active(active) => Ok(Some(*active)),
        _ => Ok(None),
    }
}

/// Asks it for a resource that was asked for with an access token. What shards know of newer records comes first: then
/// this is asked again.
pub async fn weigh<H: Host>(
    cx: &Context<'_, H>,
    policy: u64,
    access: Access,
) -> Result<Option<Weighed>, Error> {
    let (asker, groups) = match &access.claims.subject {
        // The record says in which groups it is, so it must be as new as what the shard knows.
        Subject::Client { client, .. } => match cx.client_of_token(client).await? {
            Some(client) => (client.reference(), client.metadata.groups.clone()),
            None => return Ok(None),
        },
        Subject::Grant(_) => (ClientRef::of_resource(), Vec::new()),
    };
    match put(cx, asker, policy, Presented::of(access), Wish::Inspect(true), false).await? {
        Reply::Active(active) => {
            let groups = active.person.as_ref().map_or(groups, |person| person.groups.clone());
            Ok(Some(Weighed { active: *active, groups, stranger: false }))
        }
        Reply::Stale => Err(Error::stale()),
        _ => Ok(None),
    }
}

/// Ends it for this server itself: of a grant the whole, as an administrator ends one.
pub async fn end<H: Host>(cx: &Context<'_, H>, presented: Presented) -> Result<(), Error> {
    match presented {
        Presented::OfGrant(address, token) => {
            // A forged one has an address, too.
            let inspect = grant::Command::Inspect { caller: ClientRef::ours(), any: true, token };
            if matches!(cx.ask_grant(&address, u64::MAX, inspect).await?, Reply::Active(_)) {
                cx.ask_grant(&address, u64::MAX, grant::Command::Revoke { by: None }).await?;
            }
            Ok(())
        }
        presented @ Presented::OfClient(_) => {
            put(cx, ClientRef::ours(), u64::MAX, presented, Wish::Revoke, true).await.map(|_| ())
        }
    }
}

async fn put<H: Host>(
    cx: &Context<'_, H>,
    asker: ClientRef,
    policy: u64,
    presented: Presented,
    wish: Wish,
    whole: bool,
) -> Result<Reply, Error> {
    match presented {
        Presented::OfClient(claims) => {
            let shard = claims.shard().to_string();
            let command = Command::Token { claims, policy, caller: asker, wish };
            match *cx.ask::<GrantShard>(&shard, command).await? {
                grant_shard::Reply::Grant(reply) => Ok(reply),
                _ => Err(Fault::new("a shard gave an answer that is none about a token").into()),
            }
        }
        Presented::OfGrant(address, token) => {
            cx.note(|event| event.grant = Some(address.to_string()));
            let command = match wish {
                Wish::Revoke => grant::Command::Revoke { by: Some((asker, token, whole)) },
                Wish::Inspect(any) => grant::Command::Inspect { caller: asker, any, token },
            };
            Ok(cx.ask_grant(&address, policy, command).await?)
        }
    }
}

/// `typ` of a signed answer, and the end of its media type (RFC 9701 §5).
const SIGNED: &str = "token-introspection+jwt";

/// Says whether a token is good, and what for; signed, where that is asked for (RFC 9701 §4).
pub async fn post<H: Host>(cx: &Context<'_, H>, request: &Request) -> Result<Response, Error> {
    let params = Params::of_form(request, &[])?;
    let (Caller { client, policy }, inspected) = inspect(cx, request, &params).await?;
    let body = inspected.map_or_else(|| object([("active", json!(false))]), members);
    let media_type = format!("application/{SIGNED}");
    let is_meant =
        |range: &str| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(&media_type);
    if !request.header("accept").is_some_and(|accept| accept.split(',').any(is_meant)) {
        return Ok(Response::json(StatusCode::OK, &Value::Object(body)));
    }
    let claims = object([
        ("iss", json!(cx.config.issuer)),
        ("aud", json!(client.id)),
        ("iat", json!(cx.now.seconds())),
        ("token_introspection", Value::Object(body)),
    ]);
    let algorithm = policy.algorithm(client.metadata.introspection_signed_response_alg.as_deref());
    let signed = jws::sign(cx, algorithm, SIGNED, &claims).await?;
    Ok(Response::new(StatusCode::OK, &media_type, signed))
}

/// A token that is good for something.
pub struct Inspected {
    /// What for.
    pub active: Active,
    /// It is a refresh token.
    pub refresh: bool,
    /// Who made it; empty where that is not known.
    pub issuer: String,
    /// At which resources it is good (RFC 8707).
    pub audience: Vec<String>,
}

/// Who asks, and what the token is good for; nothing where it is good for nothing.
pub async fn inspect<H: Host>(
    cx: &Context<'_, H>,
    request: &Request,
    params: &Params,
) -> Result<(Caller, Option<Inspected>), Error> {
    let caller = Caller::authenticate(cx, request, params).await?;
    if !caller.client.is_confidential() {
        // RFC 7662 §2.1: the endpoint must know who asks; a public client can't prove it.
        return Err(Error::new(Code::InvalidClient, "introspection is for clients that authenticate"));
    }
    cx.note(|event| event.event = "token.inspected");
    let inspected = weigh_for(cx, &caller, params.required("token")?).await?;
    Ok((caller, inspected))
}

async fn weigh_for<H: Host>(
    cx: &Context<'_, H>,
    caller: &Caller,
    token: &str,
) -> Result<Option<Inspected>, Error> {
    let Caller { client, policy } = caller;
    let Metadata { resource_server: guards, resources, subject_type, .. } = &client.metadata;
    let issuer = &cx.config.issuer;
    let Some(presented) = Presented::read(cx, token).await? else {
        let weighed = if *guards { foreign::weigh(cx, policy, token).await? } else { None };
        let Some((Weighed { mut active, .. }, server)) = weighed else { return Ok(None) };
        // No shard has said yet whether the asker's record is the newest.
        issue::confirm(cx, client, policy).await?;
        // What it says of itself, by who knows it.
        let [theirs, audience] = ["issuer", "audience"].map(|member| server.text(member).to_owned());
        // It was checked for that audience, where one is said; else it is for whoever asks here.
        let owner = if audience.is_empty() { issuer } else { &audience };
        let Some(scope) = policy.told(resources, &active.scope, owner) else { return Ok(None) };
        active.scope = scope;
        let audience = Some(audience).filter(|audience| !audience.is_empty()).into_iter().list();
        return Ok(Some(Inspected { active, refresh: false, issuer: theirs, audience }));
    };
    let refresh = matches!(&presented, Presented::OfGrant(_, Token::Refresh { .. }));
    match ask(cx, caller, presented, Wish::Inspect(*guards)).await? {
        Reply::Active(mut active) => {
            let own = active.client_id == client.id;
            if let Some(person) =
                active.person.as_mut().filter(|_| own && *subject_type == SubjectType::Pairwise)
            {
                // What it is told elsewhere, and no more (OpenID Connect Core §8.1).
                person.sub = client.subject(policy, &person.sub);
                person.username.clear();
            }
            // Whose token it is knows all of it.
            if !own {
                let Some(scope) = policy.told(resources, &active.scope, issuer) else { return Ok(None) };
                active.scope = scope;
            }
            let audience = policy.audience(&active.scope, issuer).into_iter().map(str::to_owned).list();
            Ok(Some(Inspected { active: *active, refresh, issuer: issuer.clone(), audience }))
        }
        Reply::Stale => Err(Error::stale()),
        _ => Ok(None),
    }
}

fn members(Inspected { active, refresh, issuer, audience }: Inspected) -> Map<String, Value> {
    let mut body = Map::new();
    let mut say = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    say("active", json!(true));
    if !issuer.is_empty() {
        say("iss", json!(issuer));
    }
    if !audience.is_empty() {
        say("aud", issue::audience(&audience));
    }
    say("client_id", json!(active.client_id));
    // RFC 6749 §3.3: a scope has at least one name, so none is not said.
    if !active.scope.is_empty() {
        say("scope", json!(active.scope.to_string()));
    }
    say("iat", json!(active.issued.seconds()));
    if let Some(expires) = active.expires {
        say("exp", json!(expires.seconds()));
    }
    if !refresh {
        say("token_type", json!("Bearer"));
    }
    match active.person {
        Some(person) => {
            say("sub", json!(person.sub));
            if !person.username.is_empty() {
                say("username", json!(person.username));
            }
        }
        // RFC 9068 §2.2: where no person is involved, the client is the subject.
        None => say("sub", json!(active.client_id)),
    }
    body
}
