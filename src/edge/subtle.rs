//! Signatures, by `WebCrypto`: natively, and in constant time. A key is imported once in an isolate.

use super::in_time;
use crate::{
    error::Fault,
    host::{Algorithm, Jwk},
    json,
    sorted::ByName,
};
use js_sys::{Array, Function, JSON, Promise, Reflect, Uint8Array, global};
use serde_json::Value;
use std::cell::RefCell;
use wasm_bindgen::{JsCast as _, JsValue, prelude::wasm_bindgen};
use worker::wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// `crypto.subtle`.
    type Subtle;

    #[wasm_bindgen(thread_local_v2, js_namespace = crypto, js_name = subtle)]
    static SUBTLE: Subtle;

    #[wasm_bindgen(method, catch)]
    fn sign(this: &Subtle, params: &JsValue, key: &JsValue, message: &Uint8Array)
    -> Result<Promise, JsValue>;
}

/// Keys that are kept at a time; more empty it.
const MOST: usize = 100;

thread_local! {
    /// The private keys of this isolate, by `kid`: handles, of which no bytes can be had. And how each signs.
    static KEYS: RefCell<ByName<(JsValue, JsValue)>> = const { RefCell::new(ByName::new()) };
}

/// What `WebCrypto` calls it, with all that each of its methods wants to be told.
fn params(algorithm: Algorithm) -> Result<JsValue, Fault> {
    let text = match algorithm {
        Algorithm::Es256 => r#"{"name":"ECDSA","namedCurve":"P-256","hash":"SHA-256"}"#,
        Algorithm::Rs256 => r#"{"name":"RSASSA-PKCS1-v1_5","hash":"SHA-256","modulusLength":2048}"#,
        // RFC 7518 §3.5: the salt is as long as the hash.
        Algorithm::Ps256 => r#"{"name":"RSA-PSS","hash":"SHA-256","modulusLength":2048,"saltLength":32}"#,
        Algorithm::EdDsa => r#"{"name":"Ed25519"}"#,
    };
    let params = JSON::parse(text).map_err(worker::Error::from)?;
    let exponent = Uint8Array::from(&[1_u8, 0, 1][..]);
    Reflect::set(&params, &"publicExponent".into(), &exponent).map_err(worker::Error::from)?;
    Ok(params)
}

/// Calls a method of `crypto.subtle`.
async fn call(method: &str, args: &[&JsValue]) -> Result<JsValue, Fault> {
    let begin = || {
        let subtle = Reflect::get(&Reflect::get(&global(), &"crypto".into())?, &"subtle".into())?;
        let function: Function = Reflect::get(&subtle, &method.into())?.dyn_into()?;
        let args: Array = args.iter().copied().collect();
        function.apply(&subtle, &args)?.dyn_into::<Promise>()
    };
    let promise = begin().map_err(worker::Error::from)?;
    in_time(JsFuture::from(promise)).await?.map_err(|error| worker::Error::from(error).into())
}

/// What a key may be used for.
fn usages(names: &[&str]) -> JsValue {
    names.iter().map(|name| JsValue::from_str(name)).collect::<Array>().into()
}

async fn import(algorithm: Algorithm, jwk: &Jwk, usage: &str) -> Result<JsValue, Fault> {
    let jwk = JSON::parse(&json::write(jwk)).map_err(worker::Error::from)?;
    let params = params(algorithm)?;
    call("importKey", &[&"jwk".into(), &jwk, &params, &JsValue::FALSE, &usages(&[usage])]).await
}

pub async fn generate(algorithm: Algorithm) -> Result<Jwk, Fault> {
    let pair =
        call("generateKey", &[&params(algorithm)?, &JsValue::TRUE, &usages(&["sign", "verify"])]).await?;
    let private = Reflect::get(&pair, &"privateKey".into()).map_err(worker::Error::from)?;
    let jwk = call("exportKey", &[&"jwk".into(), &private]).await?;
    let text = JSON::stringify(&jwk).map_err(worker::Error::from)?.as_string().unwrap_or_default();
    match json::read(&text)? {
        Value::Object(jwk) => Ok(jwk),
        _ => Err(Fault::new("WebCrypto gave no key")),
    }
}

pub async fn sign(
    (algorithm, kid): (Algorithm, &str),
    open: impl FnOnce() -> Option<Jwk>,
    message: &[u8],
) -> Result<Vec<u8>, Fault> {
    let known = KEYS.with_borrow(|keys| keys.get(kid).cloned());
    let (key, params) = match known {
        Some(known) => known,
        None => {
            let jwk =
                open().ok_or_else(|| Fault::new("the master key is gone under which a key is sealed"))?;
            let known = (import(algorithm, &jwk, "sign").await?, params(algorithm)?);
            KEYS.with_borrow_mut(|keys| {
                if keys.len() >= MOST {
                    *keys = ByName::new();
                }
                keys.insert(kid.to_owned(), known.clone());
            });
            known
        }
    };
    // By its name, and with no clock beside it: this is what a JWT costs, and it is done when the call comes back.
    let promise = SUBTLE.with(|subtle| subtle.sign(&params, &key, &Uint8Array::from(message)));
    let signature =
        JsFuture::from(promise.map_err(worker::Error::from)?).await.map_err(worker::Error::from)?;
    Ok(Uint8Array::new(&signature).to_vec())
}

pub async fn verify(
    (algorithm, public): (Algorithm, &Jwk),
    message: &[u8],
    signature: &[u8],
) -> Result<bool, Fault> {
    let key = import(algorithm, public, "verify").await?;
    let (signature, message) = (Uint8Array::from(signature).into(), Uint8Array::from(message).into());
    Ok(call("verify", &[&params(algorithm)?, &key, &signature, &message]).await?.is_truthy())
}
