//! Signed tokens in the compact form (RFC 7515 §3.1), under keys of this server.

use crate::{
    context::Context,
    crypto,
    error::Error,
    host::{Algorithm, Host, Seconds},
    json::{self, json},
};
use serde_json::{Map, Value};

/// The longest that is read, in bytes.
const LONGEST: usize = 16 * 1024;

/// Signs claims. `typ` says what they are (RFC 8725 §3.11): a token of one kind is none of another.
pub async fn sign<H: Host>(
    cx: &Context<'_, H>,
    algorithm: Algorithm,
    typ: &str,
    claims: &Map<String, Value>,
) -> Result<String, Error> {
    let seconds = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
    let lifetime = Seconds(seconds("exp").saturating_sub(seconds("iat")));
    let key = cx.signing_key(algorithm, lifetime).await?;
    let header = json!({ "alg": algorithm.name(), "typ": typ, "kid": key.kid });
    let mut token = crypto::text(json::write(&header).as_bytes());
    token.push('.');
    token.push_str(&crypto::text(json::write(claims).as_bytes()));
    let signature = cx.sign_with(&key, token.as_bytes()).await?;
    token.push('.');
    token.push_str(&crypto::text(&signature));
    Ok(token)
}

/// Header, claims and signature; `None` where it is not of this form.
fn parts(token: &str) -> Option<[&str; 3]> {
    let mut parts = token.split('.');
    let all = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && token.len() <= LONGEST).then_some(all)
}

fn members(part: &str) -> Option<Map<String, Value>> {
    match json::read(&String::from_utf8(crypto::bytes(part)?).ok()?) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// What one says, whoever signed it.
pub fn claims(token: &str) -> Option<Map<String, Value>> {
    let [_, claims, _] = parts(token)?;
    members(claims)
}

/// Whether a header is that of a token of this kind.
fn is_of_kind(header: &Map<String, Value>, typ: &str) -> bool {
    // RFC 7515 §4.1.11: what must be understood, and is not.
    header.get("typ").and_then(Value::as_str) == Some(typ) && !header.contains_key("crit")
}

/// Whether claims say that this issuer makes them.
fn is_ours<H: Host>(cx: &Context<'_, H>, claims: &Map<String, Value>) -> bool {
    claims.get("iss").and_then(Value::as_str) == Some(&cx.config.issuer)
}

/// What a token of this kind says that names this issuer, and a key that is not there. Perhaps it was: of a key that is gone
/// nobody knows what it signed, and anybody can have written this.
pub async fn of_gone_key<H: Host>(
    cx: &Context<'_, H>,
    typ: &str,
    token: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    let header = parts(token).and_then(|[header, ..]| members(header));
    let Some(header) = header.filter(|header| is_of_kind(header, typ)) else { return Ok(None) };
    let Some(claims) = claims(token).filter(|claims| is_ours(cx, claims)) else { return Ok(None) };
    match header.get("kid").and_then(Value::as_str) {
        Some(kid) => Ok(cx.key_of(kid).await?.is_none().then_some(claims)),
        None => Ok(None),
    }
}

/// The claims of a token of this kind that a key of ours signed for this issuer; expired ones as well.
pub async fn open<H: Host>(
    cx: &Context<'_, H>,
    typ: &str,
    token: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    let Some([header, claims, signature]) = parts(token) else { return Ok(None) };
    let (Some(header), Some(signature)) = (members(header), crypto::bytes(signature)) else {
        return Ok(None);
    };
    let says = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    if !is_of_kind(&header, typ) {
        return Ok(None);
    }
    let Some(key) = cx.key_of(says("kid")).await?.filter(|key| key.algorithm.name() == says("alg")) else {
        return Ok(None);
    };
    // RFC 8032 §5.1.7. The runtime takes another length for a fault.
    if key.algorithm == Algorithm::EdDsa && signature.len() != 64 {
        return Ok(None);
    }
    let message = token.rsplit_once('.').map_or("", |(message, _)| message);
    if !cx.host.verify((key.algorithm, &key.public), message.as_bytes(), &signature).await? {
        return Ok(None);
    }
    Ok(members(claims).filter(|claims| is_ours(cx, claims)))
}
