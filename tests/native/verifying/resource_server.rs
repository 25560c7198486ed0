use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Map, Value};

/// The claims of an access token, by the keys of `/jwks`; an error where it is none for this resource.
pub fn verify(token: &str, keys: &JwkSet, issuer: &str, resource: &str) -> Result<Map<String, Value>, Error> {
    let header = decode_header(token)?;
    let is_access_token = header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case("at+jwt"));
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).filter(|_| is_access_token);
    let key = DecodingKey::from_jwk(key.ok_or(ErrorKind::InvalidToken)?)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[resource]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    Ok(decode(token, &key, &validation)?.claims)
}
