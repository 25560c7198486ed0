//! JWT access tokens: forged, confused with tokens of other kinds, dead.

use super::*;
use crate::jwt::{check, site};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use edgemint::{context::config::Vars, crypto, host::Seconds};
use jsonwebtoken::{Algorithm, EncodingKey};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::json;

const ORDER: &str = "/orders/7";

fn own_token(site: &Site) -> String {
    string(&site.token(MACHINE, &OWN).1, "access_token")
}

fn part(token: &str, index: usize) -> Value {
    let bytes = crypto::bytes(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// `header.claims.` and what `sign` makes of it.
fn forge(header: &Value, claims: &Value, sign: impl Fn(&str) -> String) -> String {
    let text = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let message = format!("{}.{}", text(header), text(claims));
    format!("{message}.{}", sign(&message))
}

fn with(value: &Value, name: &str, member: Value) -> Value {
    let mut changed = value.clone();
    changed[name] = member;
    changed
}

/// It is no token anywhere, and presenting it changes nothing.
fn opens_nothing(site: &Site, token: &str, what: &str) {
    unchanged(site, what, || {
        assert_eq!(site.inspect(token), dead(), "{what}");
        assert_eq!(check(site, token, ORDER).status, 401, "{what}");
        for client in [WEB, MACHINE] {
            assert_eq!(site.post("/revoke", client, &[("token", token)]).0, 200, "{what}");
        }
        let bearer = format!("Bearer {token}");
        for target in ["/userinfo", "/admin/clients"] {
            let headers = [("authorization", bearer.as_str())];
            let response = site.send(&request(Method::GET, target, &headers, ""));
            assert_eq!(response.status, 401, "{what} at {target}");
        }
        let refreshed = site.refresh(token);
        assert_eq!(refusal(&refreshed), INVALID_GRANT, "{what}");
    });
}

#[test]
fn what_no_key_of_this_server_signed_opens_nothing() {
    let site = site();
    let token = own_token(&site);
    let (header, claims) = (part(&token, 0), part(&token, 1));
    let signature = token.rsplit_once('.').unwrap().1.to_owned();
    let thief = SigningKey::from_slice(&[7; 32]).unwrap();
    let stolen = |message: &str| {
        let made: Signature = thief.sign(message.as_bytes());
        Base64UrlUnpadded::encode_string(&made.to_bytes())
    };
    let published = text(&site.get("/jwks"));
    let jwks: Value = serde_json::from_str(&published).unwrap();
    let x = crypto::bytes(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let by_mac = |secret: &[u8], message: &str| {
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap()
    };
    let point = thief.verifying_key().to_encoded_point(false);
    let jwk = json!({ "kty": "EC", "crv": "P-256",
        "x": crypto::text(point.x().unwrap()), "y": crypto::text(point.y().unwrap()) });
    let none = with(&header, "alg", json!("none"));
    let mac = with(&header, "alg", json!("HS256"));
    let more = with(&claims, "scope", json!("admin"));
    let other = own_token(&site);
    for (what, forged) in [
        ("alg none without a signature", forge(&none, &claims, |_| String::new())),
        ("alg none with one", forge(&none, &claims, |_| signature.clone())),
        ("alg NONE", forge(&with(&header, "alg", json!("NONE")), &claims, |_| String::new())),
        (
            "HS256 under the published key",
            forge(&mac, &claims, |message| by_mac(published.as_bytes(), message)),
        ),
        ("HS256 under its x", forge(&mac, &claims, |message| by_mac(&x, message))),
        ("the same, named ES256", forge(&header, &claims, |message| by_mac(&x, message))),
        ("a key of the thief's under our kid", forge(&header, &claims, stolen)),
        ("its key embedded", forge(&with(&header, "jwk", jwk), &claims, stolen)),
        ("its key at an address", forge(&with(&header, "jku", json!("https://thief.test")), &claims, stolen)),
        ("a kid of nobody", forge(&with(&header, "kid", json!("nobody")), &claims, stolen)),
        (
            "our signature, another kid",
            forge(&with(&header, "kid", json!("")), &claims, |_| signature.clone()),
        ),
        (
            "the algorithm of another key",
            forge(&with(&header, "alg", json!("RS256")), &claims, |_| signature.clone()),
        ),
        (
            "an unknown extension",
            forge(&with(&header, "crit", json!(["exp"])), &claims, |_| signature.clone()),
        ),
        ("another type", forge(&with(&header, "typ", json!("JWT")), &claims, |_| signature.clone())),
        ("more scope", forge(&header, &more, |_| signature.clone())),
        ("another issuer", forge(&header, &with(&claims, "iss", json!("https://thief.test")), stolen)),
        ("the jti of another", forge(&header, &with(&claims, "jti", part(&other, 1)["jti"].clone()), stolen)),
        ("no jti", forge(&header, &with(&claims, "jti", Value::Null), stolen)),
        ("a part more", format!("{token}.")),
        ("two tokens", format!("{token}.{other}")),
        ("no signature", token.rsplit_once('.').unwrap().0.to_owned()),
        ("an empty one", format!("{}.", token.rsplit_once('.').unwrap().0)),
    ] {
        opens_nothing(&site, &forged, what);
    }
    assert_eq!(site.inspect(&token)["active"], true);
}

#[test]
fn no_token_with_one_letter_changed_is_one() {
    let site = site();
    let token = own_token(&site);
    for at in 0..token.len() {
        let mut bent = token.clone().into_bytes();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(site.inspect(&String::from_utf8(bent).unwrap()), dead(), "at {at}");
    }
    assert_eq!(site.inspect(&token)["active"], true);
}

#[test]
fn the_handle_in_a_jwt_opens_nothing_by_itself() {
    let site = site();
    let tokens = site.tokens();
    for token in [string(&tokens, "access_token"), own_token(&site)] {
        let jti = string(&part(&token, 1), "jti");
        assert!(jti.starts_with("emj_a."), "{jti}");
        opens_nothing(&site, &jti, "the handle");
        for prefix in ["ema", "emr", "emc"] {
            opens_nothing(&site, &jti.replacen("emj", prefix, 1), prefix);
        }
        assert_eq!(site.inspect(&token)["active"], true);
    }
}

#[test]
fn a_token_of_another_kind_that_the_same_key_signed_is_no_access_token() {
    let site = site();
    let (_, tokens) = site.redeem(&site.code("demo-web", &[("scope", "openid orders.read")]));
    opens_nothing(&site, &string(&tokens, "id_token"), "an ID token");
    let mut asked = post("/introspect", API, &[("token", &string(&tokens, "access_token"))]);
    asked.headers.push(("accept".to_owned(), "application/token-introspection+jwt".to_owned()));
    opens_nothing(&site, &text(&site.send(&asked)), "an answer about a token");
    // And the other way round: it is no hint of who signed in.
    let hint = string(&tokens, "access_token");
    let answer =
        site.authorize("demo-web", &[("scope", "openid"), ("prompt", "none"), ("id_token_hint", &hint)]);
    assert!(parameter(&answer, "code").is_none(), "{}", answer.status);
}

#[test]
fn a_jwt_of_another_issuer_under_the_same_master_key_opens_nothing() {
    let site = site();
    let other =
        Site::with(&site.world, &Vars { issuer: Some("http://localhost:9999".into()), ..development() });
    let token = own_token(&other);
    // Its key lies beside ours: what it signed reads as signed.
    let kid = string(&part(&token, 0), "kid");
    assert!(text(&site.get("/jwks")).contains(&kid));
    opens_nothing(&site, &token, "another issuer's");
}

#[test]
fn what_only_looks_like_one_costs_no_look_at_storage_and_a_kid_of_nobody_one_now_and_then() {
    let site = site();
    let token = own_token(&site);
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!(check(&site, &token, ORDER).status, 200);
    site.world.operations();
    for jti in [json!("emj_a.AAAA"), json!("ema_a.AAAA"), json!(7), Value::Null] {
        let forged = forge(&header, &with(&claims, "jti", jti), |_| "AAAA".to_owned());
        assert_eq!(check(&site, &forged, ORDER).status, 401);
    }
    assert_eq!(site.world.operations(), Vec::<String>::new());
    for kid in 0..50 {
        let forged = forge(&with(&header, "kid", json!(kid.to_string())), &claims, |_| "AAAA".to_owned());
        assert_eq!(check(&site, &forged, ORDER).status, 401);
    }
    assert!(site.world.operations().len() <= 1);
    site.world.pass(Seconds(6));
    for kid in 0..50 {
        let forged = forge(&with(&header, "kid", json!(kid.to_string())), &claims, |_| "AAAA".to_owned());
        assert_eq!(check(&site, &forged, ORDER).status, 401);
    }
    assert!(site.world.operations().iter().filter(|operation| *operation == "REGISTRY").count() <= 1);
}

/// What ends a token, and whether it ends the one of a person and the one of a client that acts for itself.
type End = (&'static str, fn(&Site, &Value), [bool; 2]);

const ENDS: &[End] = &[
    ("its client is disabled", |site, _| disable(site, true), [true, true]),
    ("its client is deleted", |site, _| delete(site), [true, true]),
    (
        "its person is disabled",
        |site, _| site.patch("/admin/users/alice", &json!({ "enabled": false })),
        [true, false],
    ),
    (
        "its grant is ended",
        |site, _| assert_eq!(site.admin(Method::DELETE, "/admin/grants?username=alice", &Value::Null).0, 204),
        [true, false],
    ),
    (
        "its family is revoked",
        |site, tokens| {
            let token = string(tokens, "refresh_token");
            assert_eq!(site.post("/revoke", WEB, &[("token", &token)]).0, 200);
        },
        [true, false],
    ),
    ("everything until now is cut off", |site, _| cut_off(site), [true, true]),
    ("its scope is taken away", |site, _| take_scope(site), [true, true]),
    ("it expires", |site, _| site.world.pass(Seconds(3601)), [true, true]),
];

fn each(site: &Site, body: &Value) {
    for id in ["demo-web", "demo-machine"] {
        site.patch(&format!("/admin/clients/{id}"), body);
    }
}

fn disable(site: &Site, disabled: bool) {
    each(site, &json!({ "enabled": !disabled }));
}

fn delete(site: &Site) {
    for id in ["demo-web", "demo-machine"] {
        assert_eq!(site.admin(Method::DELETE, &format!("/admin/clients/{id}"), &Value::Null).0, 204);
    }
}

fn cut_off(site: &Site) {
    site.world.pass(Seconds(10));
    each(site, &json!({ "not_before": 1_800_000_010 }));
}

fn take_scope(site: &Site) {
    each(site, &json!({ "scope": "" }));
}

#[test]
fn a_jwt_is_dead_here_as_soon_as_an_opaque_token_would_be() {
    for (what, end, dies) in ENDS {
        let site = site();
        let tokens = site.tokens();
        let pair = [string(&tokens, "access_token"), own_token(&site)];
        for token in &pair {
            assert_eq!(check(&site, token, ORDER).status, 200, "{what}");
        }
        end(&site, &tokens);
        for (token, dies) in pair.iter().zip(dies) {
            assert_eq!(site.inspect(token) == dead(), *dies, "{what}");
            assert_eq!(check(&site, token, ORDER).status != 200, *dies, "{what}");
            assert_eq!(site.beside().inspect(token) == dead(), *dies, "{what}, elsewhere");
        }
    }
    let site = site();
    let token = own_token(&site);
    site.world.pass(Seconds(10));
    disable(&site, true);
    disable(&site, false);
    assert_eq!(
        site.inspect(&token)["active"],
        true,
        "what is disabled comes back as it does for opaque ones"
    );
}

#[test]
fn a_jwt_whose_key_was_taken_away_opens_nothing() {
    let site = site();
    let token = own_token(&site);
    let kid = string(&part(&token, 0), "kid");
    site.world.pass(Seconds(61));
    let message =
        json!({ "format": 1, "attempt": "an attempt", "command": { "Keyring": { "Remove": kid } } });
    site.world
        .deliver_raw::<edgemint::objects::protocol::registry::Registry>("registry", &message.to_string());
    opens_nothing(&site.beside(), &token, "of a key that is gone");
    let next = own_token(&site);
    assert_ne!(string(&part(&next, 0), "kid"), kid);
    assert_eq!(site.inspect(&next)["active"], true);
}
