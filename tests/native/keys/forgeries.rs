//! Tokens that no key of ours signed as what they say they are.

use super::{ALL, Isolate, TYP, kid, part};
use crate::world::*;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use edgemint::{host::Algorithm, jws};
use serde_json::{Value, json};

/// The same token with another header.
pub fn with_header(token: &str, header: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", Base64UrlUnpadded::encode_string(header.as_bytes()))
}

#[test]
fn what_no_key_of_ours_signed_as_what_it_says_it_is_opens_nothing() {
    let site = Site::new();
    let isolate = Isolate::of(&site);
    let claims = |issuer: &str| {
        let claims = json!({ "iss": issuer, "iat": 1_800_000_000, "exp": 1_800_003_600 });
        claims.as_object().unwrap().clone()
    };
    for algorithm in ALL {
        let token = isolate.sign_for(algorithm, 3600).unwrap();
        assert!(isolate.is_good(&token));
        let (name, kid) = (algorithm.name(), kid(&token));
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts")
        };
        let says = |header: &Value| {
            let header = Base64UrlUnpadded::encode_string(header.to_string().as_bytes());
            format!("{header}.{payload}.{signature}")
        };
        let mut forged = vec![
            format!(
                "{}.{payload}.",
                Base64UrlUnpadded::encode_string(
                    json!({ "alg": "none", "typ": TYP, "kid": kid }).to_string().as_bytes()
                )
            ),
            says(&json!({ "alg": "none", "typ": TYP, "kid": kid })),
            says(&json!({ "alg": "HS256", "typ": TYP, "kid": kid })),
            says(&json!({ "alg": name, "typ": TYP, "kid": kid, "crit": ["exp"] })),
            says(&json!({ "alg": name, "typ": TYP, "kid": "other" })),
            says(&json!({ "alg": name, "typ": TYP })),
            says(&json!({ "alg": name, "typ": "at+jwt", "kid": kid })),
            says(&json!({ "alg": name, "kid": kid })),
            format!("{header}.{payload}"),
            format!("{header}.{payload}.{signature}."),
            format!("{header}.{payload}."),
            format!("{header}..{signature}"),
            format!("..{signature}"),
            format!("{token}{}", "A".repeat(16 * 1024)),
            String::new(),
        ];
        // Every bit of the signature, and a good many of the rest.
        let bytes = Base64UrlUnpadded::decode_vec(signature).unwrap();
        for bit in (0..bytes.len() * 8).step_by(7) {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            forged.push(format!("{header}.{payload}.{}", Base64UrlUnpadded::encode_string(&bytes)));
        }
        for length in [0, 1, 63, 65, 255, 257] {
            let bytes: Vec<u8> = bytes.iter().copied().cycle().take(length).collect();
            forged.push(format!("{header}.{payload}.{}", Base64UrlUnpadded::encode_string(&bytes)));
        }
        let other = jwt_payload(&json!({ "iss": ISSUER, "exp": u32::MAX }));
        forged.push(format!("{header}.{other}.{signature}"));
        for other in ALL.into_iter().filter(|other| *other != algorithm) {
            forged.push(says(&json!({ "alg": other.name(), "typ": TYP, "kid": kid })));
        }
        for token in forged.iter().filter(|forged| **forged != token) {
            assert!(!isolate.is_good(token), "{name}: {token}");
        }
        let elsewhere =
            isolate.at(async |cx| jws::sign(cx, algorithm, TYP, &claims("https://other.example")).await);
        assert!(!isolate.is_good(&elsewhere.unwrap_or_else(|_| panic!("a token"))), "another issuer");
    }
}

fn jwt_payload(claims: &Value) -> String {
    Base64UrlUnpadded::encode_string(claims.to_string().as_bytes())
}

#[test]
fn a_mac_with_the_public_key_and_a_key_that_a_token_brings_along_open_nothing() {
    use jsonwebtoken::{Algorithm as Alg, EncodingKey, Header, encode};
    let site = Site::new();
    let isolate = Isolate::of(&site);
    let token = isolate.sign_for(Algorithm::Rs256, 3600).unwrap();
    let jwks: Value = serde_json::from_slice(&site.get("/jwks").body).unwrap();
    let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == json!(kid(&token))).unwrap();
    let claims = part(&token, 1);
    let header = |alg| Header { typ: Some(TYP.to_owned()), kid: Some(kid(&token)), ..Header::new(alg) };
    for secret in [jwk.to_string(), string(jwk, "n"), String::new()] {
        let mac = encode(&header(Alg::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        assert!(!isolate.is_good(&mac));
    }
    // Signed by a key of somebody else's that stands in the header.
    let stranger = Site::new();
    let foreign = Isolate::of(&stranger).sign();
    let theirs: Value = serde_json::from_slice(&stranger.get("/jwks").body).unwrap();
    let (kid, jwk) = (kid(&foreign), &theirs["keys"][0]);
    assert!(!isolate.is_good(&foreign));
    let brought =
        json!({ "alg": "ES256", "typ": TYP, "kid": kid, "jwk": jwk, "jku": "https://evil.example/jwks" });
    assert!(!isolate.is_good(&with_header(&foreign, &brought.to_string())));
}
