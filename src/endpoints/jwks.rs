//! `GET /jwks` (RFC 7517 §5): the public keys of whatever signs, signed or will sign for this server.

use crate::{
    context::Context,
    error::Error,
    host::{Host, Seconds},
    json::json,
    list::List as _,
    model::keyring::Keyring,
    wire::Response,
};
use http::StatusCode;
use serde_json::Value;

/// The keys.
pub async fn get<H: Host>(cx: &Context<'_, H>) -> Result<Response, Error> {
    let mut ring = cx.keyring().await?;
    if ring.keys.is_empty() {
        // Whoever keeps the answer knows the key that will sign.
        ring = cx.add_key(cx.policy().await?.algorithm(None), None).await?;
    }
    let keys: Vec<Value> = ring
        .keys
        .iter()
        .map(|key| {
            let mut jwk = key.public.clone();
            for (name, value) in [("kid", key.kid.as_str()), ("alg", key.algorithm.name()), ("use", "sig")] {
                crate::json::put(&mut jwk, name, json!(value));
            }
            Value::Object(jwk)
        })
        .list();
    let Seconds(age) = Keyring::cached(cx.policy().await?.seconds(|settings| settings.key_lead));
    Ok(Response::json(StatusCode::OK, &json!({ "keys": keys }))
        .instead("cache-control", format!("public, max-age={age}")))
}
