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
    let mut token = crypto::text(json::write(&header)?.as_bytes());
    token.push('.');
    token.push_str(&crypto::text(json::write(claims)?.as_bytes()));
    let signature = cx.sign_with(&key, token.as_bytes()).await?;
    token.push('.');
    token.push_str(&crypto::text(&signature));
    Ok(token)
}

/// What stands in the header of one, whoever signed it; `None` where it is not of this form.
fn header(token: &str) -> Option<Map<String, Value>> {
    let (header, rest) = token.split_once('.')?;
    let parts = rest.split('.').count();
    let text = crypto::bytes(header).filter(|_| parts == 2 && token.len() <= LONGEST)?;
    match json::read(std::str::from_utf8(&text).ok()?) {
        Ok(Value::Object(header)) => Some(header),
        _ => None,
    }
}

/// Whether a token is of this form and says that it is of this kind. Cheap: nobody has looked at who signed it.
pub fn is_of_type(token: &str, typ: &str) -> bool {
    header(token).is_some_and(|header| header.get("typ").and_then(Value::as_str) == Some(typ))
}

/// The claims of a token of this kind that a key of ours signed for this issuer; expired ones as well.
pub async fn open<H: Host>(
    cx: &Context<'_, H>,
    typ: &str,
    token: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    let Some(header) = header(token) else { return Ok(None) };
    let says = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    // RFC 7515 §4.1.11: what must be understood, and is not.
    if says("typ") != typ || header.contains_key("crit") {
        return Ok(None);
    }
    let Some(key) = cx.key_of(says("kid")).await?.filter(|key| key.algorithm.name() == says("alg")) else {
        return Ok(None);
    };
    let Some((message, signature)) = token.rsplit_once('.') else { return Ok(None) };
    let (Some(signature), Some((_, payload))) = (crypto::bytes(signature), message.split_once('.')) else {
        return Ok(None);
    };
    // RFC 8032 §5.1.7. The runtime takes another length for a fault.
    if key.algorithm == Algorithm::EdDsa && signature.len() != 64 {
        return Ok(None);
    }
    if !cx.host.verify((key.algorithm, &key.public), message.as_bytes(), &signature).await? {
        return Ok(None);
    }
    let text = crypto::bytes(payload).and_then(|bytes| String::from_utf8(bytes).ok());
    let claims = text.and_then(|text| json::read::<Value>(&text).ok());
    let Some(Value::Object(claims)) = claims else { return Ok(None) };
    let issuer = claims.get("iss").and_then(Value::as_str);
    Ok((issuer == Some(&cx.config.issuer)).then_some(claims))
}
