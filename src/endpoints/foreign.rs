//! Access tokens of other servers that are good here, too: their own server is asked about them (RFC 7662).
//!
//! Nothing that another server says makes anybody of ours: its clients and people are told apart by its name in front, and
//! groups has only the user of ours to whom an administrator maps its tokens.

use super::admin;
use crate::{
    context::{Context, Weighed},
    crypto::Kind,
    error::{Code, Error},
    host::{Host, PATIENCE, SKEW, Timestamp},
    json, jws,
    list::List as _,
    model::{
        grant::{Active, Person},
        policy::Policy,
        provider::Wish,
        remote::{Remote, SECRET},
        scope::Scope,
    },
    upstream::Target,
};
use serde_json::{Map, Value};

/// The longest token that anybody is asked about, in bytes.
const LONGEST: usize = 8192;

/// What a token is good for, by the server that made it; and that server. `None`: it is nobody's, or good for nothing.
pub async fn weigh<H: Host>(
    cx: &Context<'_, H>,
    policy: &Policy,
    token: &str,
) -> Result<Option<(Weighed, Remote)>, Error> {
    // What has the form of ours is told to nobody.
    if policy.servers.is_empty() || token.len() > LONGEST || Kind::claimed_by(token).is_some() {
        return Ok(None);
    }
    let issuer = issuer_of(token).unwrap_or_default();
    if issuer == cx.config.issuer {
        return Ok(None);
    }
    let issuer = if policy.servers.iter().any(|own| own.text("issuer") == issuer) { &*issuer } else { "" };
    let mut silent = None;
    // Of who names no issuer all other tokens may be.
    for server in policy.servers.iter().filter(|server| server.text("issuer") == issuer) {
        match ask(cx, policy, server, token).await {
            Ok(said) => {
                if let Some(weighed) = believe(cx, policy, server, &said).await? {
                    return Ok(Some((weighed, server.clone())));
                }
            }
            // Perhaps it is the next one's.
            Err(error) => silent = Some(error),
        }
    }
    silent.map_or(Ok(None), Err)
}

/// `iss` of a JWT (RFC 7519 §4.1.1), to know whom to ask. Nobody has checked it.
fn issuer_of(token: &str) -> Option<String> {
    let claims = jws::claims(token)?;
    claims.get("iss")?.as_str().filter(|issuer| !issuer.is_empty()).map(str::to_owned)
}

async fn ask<H: Host>(
    cx: &Context<'_, H>,
    policy: &Policy,
    server: &Remote,
    token: &str,
) -> Result<Map<String, Value>, Error> {
    let silent = |why: String| {
        let detail = "the server that made this token can't be asked about it: repeat the request";
        Error::new(Code::TemporarilyUnavailable, detail).because(format!("{}: {why}", server.name))
    };
    let endpoint = server.text("introspection_endpoint");
    let Target(address) = Target::read(cx.config, policy, "introspection_endpoint", endpoint)
        .map_err(|error| silent(error.detail.to_string()))?;
    let secret = match &server.client_secret {
        None => None,
        Some(sealed) => {
            let secret = cx.config.keys.vault(&server.id).open(SECRET, sealed);
            Some(secret.ok_or_else(|| {
                silent("the master key is gone under which its secret was sealed".to_owned())
            })?)
        }
    };
    let wish = Wish {
        client_id: server.text("client_id"),
        client_secret: secret.as_deref(),
        in_body: server.text("token_endpoint_auth_method") == "client_secret_post",
        params: vec![("token", token), ("token_type_hint", "access_token")],
    };
    let asked = crate::host::Asked { patience: PATIENCE, ..wish.asked(&address) };
    let fetched =
        cx.host.fetch(&asked).await.map_err(|away| silent(crate::error::Fault::from(away).into_cause()))?;
    let said = fetched.body.as_deref().and_then(|body| json::read(str::from_utf8(body).ok()?).ok());
    match (fetched.status, said) {
        (200, Some(Value::Object(said))) if said.get("active").is_some_and(Value::is_boolean) => Ok(said),
        (status, _) => Err(silent(format!("status {status}, or no answer of RFC 7662"))),
    }
}

/// What its server's answer makes of a token here.
async fn believe<H: Host>(
    cx: &Context<'_, H>,
    policy: &Policy,
    server: &Remote,
    said: &Map<String, Value>,
) -> Result<Option<Weighed>, Error> {
    // What is not of its type says nothing that could be believed.
    let is_text = |name: &&str| said.get(*name).is_none_or(|value| value.is_string() || value.is_null());
    let is_time = |name: &&str| said.get(*name).is_none_or(|value| value.is_u64() || value.is_null());
    let typed = ["iss", "scope", "token_type", "client_id", "sub"].iter().all(is_text)
        && ["exp", "nbf", "iat"].iter().all(is_time);
    let text = |name: &str| said.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let time = |name: &str| {
        let seconds = said.get(name).and_then(Value::as_u64);
        seconds.map(|seconds| Timestamp(seconds.saturating_mul(1000)))
    };
    let is = |name: &str, wanted: &str| text(name).is_none_or(|text| text == wanted);
    let (expires, audience) = (time("exp"), server.text("audience"));
    let meant = audience.is_empty()
        || match said.get("aud") {
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
            one => one.and_then(Value::as_str) == Some(audience),
        };
    let bearer = text("token_type")
        .is_none_or(|kind| ["bearer", "access_token"].contains(&kind.to_ascii_lowercase().as_str()));
    let lives = expires.is_none_or(|expires| cx.now < expires)
        && time("nbf").is_none_or(|begins| begins <= cx.now.plus(SKEW));
    let issuer = server.text("issuer");
    // Who else holds it could not use it where it is bound to a key (RFC 7800), and that is not looked at here.
    let bound = said.contains_key("cnf");
    let active = said.get("active") == Some(&Value::Bool(true));
    if !typed || !active || !meant || !bearer || !lives || bound || !(issuer.is_empty() || is("iss", issuer))
    {
        return Ok(None);
    }
    // One that says it is good for nothing is.
    let scope = said.get("scope").and_then(Value::as_str).unwrap_or(server.text("default_scope"));
    let Ok(scope) = Scope::parse(scope) else { return Ok(None) };
    let (client_id, sub) = (text("client_id").unwrap_or_default(), text("sub").unwrap_or(""));
    // Those stand in headers, and tell people apart.
    let nameless = client_id.is_empty() && sub.is_empty() && server.text("username").is_empty();
    if nameless || ![client_id, sub].iter().all(|id| id.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Ok(None);
    }
    let theirs = |id: &str| format!("{}:{id}", server.name);
    let since = time("iat").unwrap_or(cx.now);
    let person = match server.text("username") {
        "" => Some(sub).filter(|sub| !sub.is_empty() && *sub != client_id).map(|sub| Person {
            sub: theirs(sub),
            username: String::new(),
            version: 0,
            groups: Vec::new(),
            auth_time: None,
            withdrawals: 0,
        }),
        username => {
            let account = admin::find_user(cx, username).await?;
            let spared = account.filter(|account| account.mark().spares(account.version, since));
            let Some(account) = spared else {
                cx.note(|event| {
                    event.reason = Some("the user of the external server may not be used".to_owned());
                });
                return Ok(None);
            };
            let groups = account.groups.iter().cloned().list();
            let (sub, username, version) = (account.sub, account.username, account.version);
            Some(Person { sub, username, version, groups, auth_time: None, withdrawals: 0 })
        }
    };
    let groups = person.as_ref().map(|person| person.groups.clone()).unwrap_or_default();
    let stranger = server.text("username").is_empty();
    // What opens this server itself is given by no other; nor what is not in the catalogue, or more than it may.
    let known = Scope::of(policy.scopes.keys().map(String::as_str));
    let mut scope = scope.common(&known);
    if let Some(most) = Scope::parse(server.text("scope")).ok().filter(|most| !most.is_empty()) {
        scope = scope.common(&most);
    }
    let active = Active { scope, client_id: theirs(client_id), person, issued: since, expires, openid: None };
    Ok(Some(Weighed { active, groups, stranger }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto;

    #[test]
    fn the_issuer_of_a_jwt_is_read_and_of_nothing_else() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", crypto::text(claims.as_bytes()));
        assert_eq!(issuer_of(&jwt(r#"{"iss":"https://as.test"}"#)).as_deref(), Some("https://as.test"));
        for token in
            ["", "a.b.c", "opaque", &jwt("{}"), &jwt(r#"{"iss":7}"#), &jwt("[]"), &format!("{}.x", jwt("{}"))]
        {
            assert_eq!(issuer_of(token), None, "{token}");
        }
    }
}
