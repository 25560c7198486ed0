//! OpenID Connect Back-Channel Logout 1.0: who hears of the end of a session, what, and how often it is tried.

use super::{AFTER, client, is_in, logout, sign_in};
use crate::{
    openid::{jws_claims, jws_header},
    world::*,
};
use edgemint::{
    context::config::Vars,
    host::{Asked, Fetched, Host as _, Seconds},
    objects::protocol::account_shard::AccountShard,
};
use http::Method;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

const OUT: &str = "https://app.test/out";

fn answer(status: u16, body: Option<&str>) -> Fetched {
    let headers = vec![("location".to_owned(), "https://evil.test/".to_owned())];
    Fetched { status, headers, body: body.map(|body| body.as_bytes().to_vec()) }
}

/// A site where alice signed in to `shop`, which hears of the end, and her ID token.
fn shop() -> (Site, String) {
    let site = Site::new();
    client(
        &site,
        "shop",
        &json!({ "backchannel_logout_uri": OUT, "backchannel_logout_session_required": true }),
    );
    site.world.put_elsewhere(OUT, answer(200, Some("")));
    let token = string(&sign_in(&site, "shop", "openid"), "id_token");
    site.world.asked();
    (site, token)
}

fn sign_out(site: &Site, token: &str) {
    assert_eq!(logout(site, &[("id_token_hint", token), ("post_logout_redirect_uri", AFTER)]).status, 303);
}

/// What clients are told as the alarms ring now.
fn told(site: &Site) -> Vec<Asked> {
    site.world.asked();
    site.world.ring();
    site.world.asked()
}

/// The token of what a client is told.
fn token(asked: &Asked) -> String {
    let body = String::from_utf8(asked.body.clone()).unwrap();
    body.strip_prefix("logout_token=").unwrap().to_owned()
}

/// What one client is told, and nobody else.
fn one(site: &Site) -> Value {
    let told = told(site);
    assert_eq!(told.len(), 1, "{told:?}");
    jws_claims(&token(&told[0]))
}

fn untold(site: &Site) -> Vec<Value> {
    site.world.events().into_iter().filter(|event| event["event"] == "logout.untold").collect()
}

fn admin(site: &Site, method: Method, target: &str, body: &Value) {
    let (status, answer) = site.admin(method, target, body);
    assert!((200..300).contains(&status), "{target}: {status} {answer}");
}

#[test]
fn a_client_hears_of_the_end_in_a_token_that_others_verify() {
    let (site, id_token) = shop();
    sign_out(&site, &id_token);
    assert!(site.world.asked().is_empty(), "nobody waits for a client");
    let told = told(&site);
    assert_eq!(told.len(), 1);
    let asked = &told[0];
    assert_eq!((asked.method.as_str(), asked.address.as_str()), ("POST", OUT));
    assert_eq!(asked.headers, [("content-type".to_owned(), FORM.to_owned())]);
    let token = token(asked);
    let header = jws_header(&token);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("logout+jwt"), &jws_header(&id_token)["alg"]));
    let jwks: JwkSet = serde_json::from_slice(&site.get("/jwks").body).unwrap();
    let mut validation = Validation::new(jsonwebtoken::decode_header(&token).unwrap().alg);
    validation.set_audience(&["shop"]);
    validation.set_issuer(&["http://localhost:8787"]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    validation.validate_exp = false; // The world has a clock of its own.
    let key = DecodingKey::from_jwk(jwks.find(header["kid"].as_str().unwrap()).unwrap()).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
    let (now, signed_in) = (site.world.now().seconds(), jws_claims(&id_token));
    for (name, value) in [
        ("iss", json!("http://localhost:8787")),
        ("aud", json!("shop")),
        ("iat", json!(now)),
        ("exp", json!(now + 120)),
        ("sub", signed_in["sub"].clone()),
        ("sid", signed_in["sid"].clone()),
        ("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 16));
    assert!(claims.get("nonce").is_none() && claims.as_object().unwrap().len() == 8, "{claims}");
    site.world.pass(Seconds(90_000));
    assert!(self::told(&site).is_empty(), "once");
}

#[test]
fn a_logout_token_is_neither_an_id_token_nor_an_access_token_nor_the_other_way_round() {
    let (site, id_token) = shop();
    sign_out(&site, &id_token);
    let token = token(&told(&site)[0]);
    sign_in(&site, "shop", "openid");
    for hint in [
        "/logout?id_token_hint=",
        "/authorize?response_type=code&client_id=shop&scope=openid&redirect_uri=https://app.test/cb&id_token_hint=",
    ] {
        let answer = site.get(&format!("{hint}{token}"));
        assert!(answer.status == 400 || parameter(&answer, "error").is_some(), "{hint}");
    }
    assert_eq!(site.inspect(&token), dead());
    let bearer = format!("Bearer {token}");
    let userinfo = site.send(&request(Method::GET, "/userinfo", &[("authorization", &bearer)], ""));
    assert_eq!(userinfo.status, 401);
    assert_ne!(jws_header(&id_token)["typ"], "logout+jwt");
    assert!(is_in(&site));
}

/// How a session ends, and what ends it.
type End<'a> = (&'a str, &'a dyn Fn(&Site));

#[test]
fn whatever_ends_a_session_is_told_and_nothing_else_is() {
    let alice = "/admin/users/alice";
    let submit = |site: &Site, fields: &[(&str, &str)]| {
        let seal = field(&site.get("/account"), "seal");
        let mut fields = fields.to_vec();
        fields.push(("seal", &seal));
        assert_eq!(site.submit("/account", &fields).status, 303);
    };
    let ends: [End; 9] = [
        ("the page", &|site| {
            let seal = field(&logout(site, &[]), "seal");
            site.submit("/logout", &[("seal", &seal)]);
        }),
        ("the account's page", &|site| submit(site, &[("act", "sign-out")])),
        ("from another browser", &|site| {
            let other = site.beside();
            other.sign_in(&other.authorize("demo-web", &[]), "alice", "wonderland");
            submit(&other, &[("act", "end-others")]);
        }),
        ("a new password of theirs", &|site| {
            submit(
                site,
                &[
                    ("act", "password"),
                    ("old", "wonderland"),
                    ("new", "looking-glass"),
                    ("again", "looking-glass"),
                ],
            );
        }),
        ("a new password", &|site| site.patch(alice, &json!({ "password": "looking-glass" }))),
        ("disabled", &|site| site.patch(alice, &json!({ "enabled": false }))),
        ("cut off", &|site| {
            site.world.pass(Seconds(1));
            site.patch(alice, &json!({ "not_before": site.world.now().seconds() }));
        }),
        ("signed out", &|site| {
            admin(site, Method::DELETE, "/admin/grants?username=alice&sessions=true", &Value::Null);
        }),
        ("deleted", &|site| admin(site, Method::DELETE, alice, &Value::Null)),
    ];
    for (what, end) in ends {
        let (site, token) = shop();
        end(&site);
        assert!(!is_in(&site) || what == "a new password of theirs", "{what}");
        let claims = one(&site);
        assert_eq!(claims["sid"], jws_claims(&token)["sid"], "{what}");
        site.world.pass(Seconds(200));
        assert!(told(&site).is_empty(), "{what}: once");
    }
    let (site, _) = shop();
    site.patch(alice, &json!({ "groups": ["x"], "enabled": true }));
    admin(&site, Method::DELETE, "/admin/grants?username=alice", &Value::Null);
    let (_, whole) = site.admin(Method::GET, alice, &Value::Null);
    admin(&site, Method::PUT, alice, &whole);
    assert!(is_in(&site) && told(&site).is_empty(), "its session stands");
    site.world.pass(Seconds(14 * 86_400));
    assert!(!is_in(&site) && told(&site).is_empty(), "it was over by itself");
    site.patch(alice, &json!({ "enabled": false }));
    assert!(told(&site).is_empty(), "what was over before ends no more");
}

#[test]
fn only_who_signed_in_to_a_client_that_asked_for_it_is_told_of() {
    let (site, token) = shop();
    client(&site, "deaf", &json!({}));
    client(
        &site,
        "api",
        &json!({ "backchannel_logout_uri": "https://api.test/out", "scope": "openid reports" }),
    );
    client(
        &site,
        "far",
        &json!({ "backchannel_logout_uri": "https://far.test/out", "subject_type": "pairwise", "id_token_signed_response_alg": "ES256" }),
    );
    client(&site, "gone", &json!({ "backchannel_logout_uri": "https://gone.test/out" }));
    client(&site, "changed", &json!({ "backchannel_logout_uri": "https://changed.test/out" }));
    sign_in(&site, "deaf", "openid");
    sign_in(&site, "api", "reports");
    let far = string(&sign_in(&site, "far", "openid"), "id_token");
    sign_in(&site, "far", "openid profile");
    for id in ["gone", "changed"] {
        sign_in(&site, id, "openid");
    }
    admin(&site, Method::DELETE, "/admin/clients/gone", &Value::Null);
    site.patch("/admin/clients/changed", &json!({ "backchannel_logout_uri": null }));
    sign_out(&site, &token);
    let told = told(&site);
    let mut addresses: Vec<_> = told.iter().map(|asked| asked.address.as_str()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, [OUT, "https://far.test/out"]);
    let to_far = told.iter().find(|asked| asked.address.contains("far")).map(self::token).unwrap();
    assert_eq!(jws_claims(&to_far)["sub"], jws_claims(&far)["sub"], "as the client knows them");
    assert_eq!(jws_header(&to_far)["alg"], "ES256");
    assert_ne!(jws_claims(&to_far)["sub"], jws_claims(&token)["sub"]);
}

#[test]
fn what_was_allowed_before_and_is_given_without_a_page_is_told_of_as_well() {
    let (site, token) = shop();
    sign_out(&site, &token);
    one(&site);
    // Signed in again: the consent is remembered, whether they sign in for it or are signed in.
    let params = [("redirect_uri", "https://app.test/cb"), ("scope", "openid")];
    let answer = site.sign_in(&site.authorize("shop", &params), "alice", "wonderland");
    assert!(parameter(&answer, "code").is_some(), "{} {}", answer.status, text(&answer));
    let seal = field(&logout(&site, &[]), "seal");
    let early = site.fork();
    early.world.put_elsewhere(OUT, answer_ok());
    early.submit("/logout", &[("seal", &seal)]);
    one(&early);
    let other = site.beside();
    other.sign_in(&other.authorize("demo-web", &[]), "alice", "wonderland");
    assert!(parameter(&other.authorize("shop", &params), "code").is_some());
    let seal = field(&logout(&other, &[]), "seal");
    other.submit("/logout", &[("seal", &seal)]);
    one(&other);
}

#[test]
fn who_signs_in_again_in_a_browser_goes_on_with_the_session_and_all_who_were_to_hear_do() {
    let (site, token) = shop();
    let cookie = format!("edgemint-session={}", site.cookie("edgemint-session").unwrap());
    client(&site, "later", &json!({ "backchannel_logout_uri": "https://later.test/out" }));
    let uri = ("redirect_uri", "https://app.test/cb");
    let page = site.authorize("later", &[uri, ("scope", "openid"), ("prompt", "login")]);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(parameter(&site.decide(&page, "all", &[]), "code").is_some());
    let before = site.send(&request(Method::GET, "/account", &[("cookie", &cookie)], ""));
    assert!(!text(&before).contains("sign-out"), "what it was before is over");
    assert!(told(&site).is_empty(), "and is no end");
    let seal = field(&logout(&site, &[]), "seal");
    site.submit("/logout", &[("seal", &seal)]);
    let told = told(&site);
    let sid = |host: &str| {
        let asked = told.iter().find(|asked| asked.address.contains(host)).unwrap();
        jws_claims(&self::token(asked))["sid"].clone()
    };
    assert_eq!((told.len(), sid("app.test")), (2, jws_claims(&token)["sid"].clone()));
    assert_ne!(sid("later.test"), sid("app.test"));
}

fn answer_ok() -> Fetched {
    answer(200, Some(""))
}

#[test]
fn a_client_that_says_no_or_sends_elsewhere_is_not_asked_again() {
    for (status, logged) in [(200, false), (204, false), (400, true), (302, true), (307, true), (404, true)] {
        let (site, token) = shop();
        site.world.put_elsewhere(OUT, answer(status, Some("")));
        sign_out(&site, &token);
        assert_eq!(told(&site).len(), 1);
        let events = untold(&site);
        assert_eq!(events.len(), usize::from(logged), "{status}: {events:?}");
        if logged {
            assert_eq!(
                (&events[0]["client"], &events[0]["reason"]),
                (&json!("shop"), &json!(format!("status {status}")))
            );
        }
        site.world.pass(Seconds(7000));
        assert!(told(&site).is_empty(), "{status}");
    }
    // However much it says.
    let (site, token) = shop();
    site.world.put_elsewhere(OUT, answer(200, Some(&"x".repeat(1_000_000))));
    sign_out(&site, &token);
    let told = told(&site);
    assert!(told.len() == 1 && told[0].most <= 1024 && told[0].patience <= Seconds(5));
    assert!(untold(&site).is_empty());
}

#[test]
fn a_client_that_cannot_be_reached_is_tried_again_ever_later_with_a_token_that_is_still_good() {
    let (site, token) = shop();
    site.world.put_elsewhere(OUT, answer(500, Some("")));
    sign_out(&site, &token);
    let (mut tries, start) = (Vec::new(), site.world.now());
    for _ in 0..4100 {
        for asked in told(&site) {
            let claims = jws_claims(&self::token(&asked));
            let now = site.world.now();
            assert!(claims["exp"].as_u64().unwrap() > now.seconds(), "one that is dead is not sent");
            tries.push(now.since(start).0);
        }
        site.world.pass(Seconds(2));
    }
    assert_eq!(tries, [0, 2, 6, 14, 30, 62, 126, 254, 510, 1022, 2046, 4094]);
    let events = untold(&site);
    assert_eq!((events.len(), &events[0]["reason"]), (1, &json!("nobody took it in time")));
    let (disks, rows) =
        (site.world.disks("ACCOUNTS"), |table: &'static str| move |disk: &Disk| disk.rows_of(table).len());
    assert!(
        disks.iter().all(|(_, disk)| rows("letters")(disk) + rows("outbox")(disk) == 0),
        "nothing is left of it"
    );
    for fail in [
        |site: &Site| site.world.put_elsewhere(OUT, answer(503, None)),
        |site: &Site| site.world.put_elsewhere(OUT, answer(429, Some(""))),
        |site: &Site| site.world.late(true),
    ] {
        let (site, token) = shop();
        fail(&site);
        sign_out(&site, &token);
        assert_eq!(told(&site).len(), 1);
        site.world.late(false);
        site.world.put_elsewhere(OUT, answer_ok());
        assert!(told(&site).is_empty());
        site.world.pass(Seconds(2));
        assert_eq!(told(&site).len(), 1);
        site.world.pass(Seconds(9000));
        assert!(told(&site).is_empty() && untold(&site).is_empty());
    }
}

#[test]
fn what_is_owed_is_sent_by_whoever_is_there_after_a_restart() {
    let (site, token) = shop();
    site.world.put_elsewhere(OUT, answer(503, None));
    sign_out(&site, &token);
    told(&site);
    // Another life of every object, and nobody asks anything: the alarm that is set rings.
    let after = site.world.fork();
    after.put_elsewhere(OUT, answer_ok());
    after.pass(Seconds(2));
    after.ring();
    let asked = after.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(jws_claims(&self::token(&asked[0]))["sid"], jws_claims(&token)["sid"]);
    after.pass(Seconds(7200));
    after.ring();
    assert!(after.asked().is_empty());
}

#[test]
fn a_session_ends_with_its_letters_or_not_at_all_and_a_message_that_arrives_twice_ends_it_once() {
    let (site, token) = shop();
    let claims = jws_claims(&token);
    let sub = claims["sub"].as_str().unwrap();
    let shard = edgemint::model::account::shard_of_sub(sub).unwrap();
    let tell = |attempt: &str, command: &Value| {
        let message = json!({ "format": 1, "attempt": attempt, "command": command }).to_string();
        site.world.deliver_raw::<AccountShard>(&shard, &message)
    };
    let cut = json!({ "Cut": { "sub": sub, "sessions": true } });
    let before = site.world.dump();
    let answer = tell("a", &cut);
    assert!(answer.contains("Unheard") && answer.contains("\"shop\""), "{answer}");
    let letter = |client: &str, tokens: Value| json!({ "sid": claims["sid"], "client": client, "to": OUT, "tokens": tokens });
    let good = json!([[site.world.now().0 + 120_000, "a.b.c"]]);
    let end = |command: &Value, letters: Value| json!({ "End": { "command": command, "letters": letters } });
    assert!(tell("b", &end(&cut, json!([letter("other", good.clone())]))).contains("Unheard"));
    assert!(is_in(&site) && site.world.dump() == before, "nothing was done");
    // What is refused ends nothing, and tells nobody.
    let outdated = json!({ "Delete": { "sub": sub, "expected": 999 } });
    assert!(tell("c", &end(&outdated, json!([letter("shop", good.clone())]))).contains("Outdated"));
    assert!(is_in(&site) && told(&site).is_empty());
    let ended = end(&cut, json!([letter("shop", good.clone()), letter("stranger", good.clone())]));
    assert!(tell("d", &ended).contains("Account"));
    assert!(!is_in(&site));
    assert_eq!(told(&site).len(), 1);
    assert!(tell("d", &ended).contains("Account"));
    assert!(told(&site).is_empty(), "twice");
    assert!(tell("e", &end(&ended, json!([]))).contains("Err"), "no end of an end");
    // A session of before there were listeners is read, and nobody hears of it.
    let row = r#"{"format":1,"secret":"","auth_time":0,"ends":0,"version":1,"attempt":"a"}"#;
    assert!(edgemint::json::read::<edgemint::model::account::Session>(row).unwrap().hearers.is_empty());
}

#[test]
fn an_address_of_ours_or_of_a_private_network_is_never_told() {
    // On a laptop the machine itself is, but for this server.
    let (site, _) = shop();
    for (id, uri) in [("laptop", "http://127.0.0.1:9/out"), ("self", "http://localhost:8787/out")] {
        client(&site, id, &json!({ "backchannel_logout_uri": uri }));
        sign_in(&site, id, "openid");
    }
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    let mut addresses: Vec<_> = told(&site).into_iter().map(|asked| asked.address).collect();
    addresses.sort();
    assert_eq!(addresses, ["http://127.0.0.1:9/out", OUT]);
    let events = site.world.events();
    assert!(
        events.iter().any(|event| event["event"] == "logout.untold" && event["client"] == "self"),
        "{events:?}"
    );
    // Elsewhere it is not, whatever was registered.
    let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
    let site = Site::with(&World::new(), &vars);
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let send = |method: Method, target: &str, body: &str| {
        let kind = if body.starts_with('{') { "application/json" } else { FORM };
        let mut sent = request(method, target, &[("content-type", kind), ("authorization", &bearer)], body);
        (sent.host, sent.secure) = ("as.test".to_owned(), true);
        let answer = site.browse(sent);
        assert!(answer.status.is_success() || answer.status == 303, "{target}: {}", text(&answer));
        answer
    };
    send(Method::POST, "/admin/users", r#"{"username":"alice","password":"wonderland"}"#);
    for (id, out) in [("laptop", "http://127.0.0.1:9/out"), ("self", "https://as.test/out"), ("shop", OUT)] {
        let members = json!({ "client_id": id, "client_name": id, "profile": "openid", "scope": "openid",
            "redirect_uris": ["https://app.test/cb"], "backchannel_logout_uri": out });
        send(Method::POST, "/admin/clients", &members.to_string());
        let params = [("redirect_uri", "https://app.test/cb"), ("scope", "openid")];
        let page = send(Method::GET, &format!("/authorize?{}", form(&authorization(id, &params))), "");
        let page = if text(&page).contains("login-submit") {
            let pending = field(&page, "pending");
            let typed = [("pending", pending.as_str()), ("username", "alice"), ("password", "wonderland")];
            send(Method::POST, "/login", &form(&typed))
        } else {
            page
        };
        let decided = [("pending", &*field(&page, "pending")), ("decision", "all")];
        assert!(parameter(&send(Method::POST, "/consent", &form(&decided)), "code").is_some());
    }
    send(Method::PATCH, "/admin/users/alice", r#"{"enabled":false}"#);
    let addresses: Vec<_> = told(&site).into_iter().map(|asked| asked.address).collect();
    assert_eq!(addresses, [OUT]);
    assert_eq!(untold(&site).len(), 2);
}

#[test]
fn who_signs_out_is_signed_out_whatever_becomes_of_what_clients_are_told() {
    let (site, token) = shop();
    site.world.forget_keys();
    let other = Site::with(&site.world, &Vars { master_key: Some(KEY_B.into()), ..development() });
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    // The registry, which has the keys, is away for whoever does not know them yet.
    site.world.fate("REGISTRY", &[Fate::Lost; 40]);
    let answer = other.send(&request(Method::PATCH, "/admin/users/alice", &headers, r#"{"enabled":false}"#));
    site.world.fate("REGISTRY", &[]);
    assert_eq!(answer.status, 200, "{}", text(&answer));
    assert!(!is_in(&site), "{token}");
    assert!(untold(&site).iter().any(|event| event["client"] == "shop"));
}
