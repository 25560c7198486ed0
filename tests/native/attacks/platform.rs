//! What has gone wrong on this platform elsewhere: answers for somebody else, replays that end too little, doors left open.

use super::*;
use crate::openid::{jws_claims, jws_header};
use edgemint::{
    context::config::Vars,
    host::{Fetched, Seconds, Store},
};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn what_was_found_for_one_client_is_not_used_for_another() {
    let site = Site::new();
    for _ in 0..2 {
        assert_eq!(site.token(MACHINE, &OWN).0, 200);
        // Known by now: neither another secret nor another spelling of the name is taken for it.
        for client in [
            "demo-machine:wrong",
            "demo-machine:demo-web-secret",
            "demo-web:demo-machine-secret",
            "Demo-machine:demo-machine-secret",
            "demo-machine%20:demo-machine-secret",
            "demo-machine/:demo-machine-secret",
            "client%3Ademo-machine:demo-machine-secret",
            "..%2Fdemo-machine:demo-machine-secret",
        ] {
            assert_eq!(
                refusal(&unchanged(&site, client, || site.token(client, &OWN))),
                INVALID_CLIENT,
                "{client}"
            );
        }
    }
    // Nor does a refusal stick to who is right.
    let other = site.beside();
    assert_eq!(refusal(&other.token("demo-machine:wrong", &OWN)), INVALID_CLIENT);
    assert_eq!(other.token(MACHINE, &OWN).0, 200);
}

#[test]
fn the_thiefs_newest_token_dies_when_the_owner_uses_the_one_that_was_stolen() {
    let site = Site::new();
    let stolen = string(&site.tokens(), "refresh_token");
    let mut thief = site.refresh(&stolen).1;
    for _ in 0..3 {
        site.world.pass(Seconds(60));
        thief = site.refresh(&string(&thief, "refresh_token")).1;
    }
    assert_eq!(site.inspect(&string(&thief, "access_token"))["active"], true);
    // One after the other, not at the same moment: it is a reuse all the same.
    assert_eq!(refusal(&site.refresh(&stolen)), INVALID_GRANT);
    assert_eq!(site.inspect(&string(&thief, "access_token")), dead());
    assert_eq!(refusal(&site.refresh(&string(&thief, "refresh_token"))), INVALID_GRANT);
}

#[test]
fn a_second_devices_sign_in_leaves_the_first_ones_family_alone_and_so_does_its_end() {
    let site = Site::new();
    let first = site.tokens();
    let device = site.beside();
    let second = device.tokens();
    let next = site.refresh(&string(&first, "refresh_token")).1;
    assert_eq!(site.inspect(&string(&first, "access_token"))["active"], true);
    // The second device is lost: its old token turns up, and its session signs somebody else in.
    let third = device.refresh(&string(&second, "refresh_token")).1;
    device.refresh(&string(&third, "refresh_token"));
    assert_eq!(device.refresh(&string(&second, "refresh_token")).0, 400);
    assert_eq!(site.inspect(&string(&third, "access_token")), dead());
    let page = device.authorize("demo-web", &[("prompt", "consent")]);
    device.sign_in(&device.decide(&page, "switch", &[]), "bob", "builder");
    assert_eq!(site.inspect(&string(&next, "access_token"))["active"], true);
    assert_eq!(site.refresh(&string(&next, "refresh_token")).0, 200);
}

#[test]
fn a_client_is_authenticated_before_its_code_or_token_is_looked_at() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let token = string(&site.tokens(), "refresh_token");
    site.world.operations();
    for client in ["demo-web:wrong", "demo-web", "demo-web:", "nobody:x", "", "demo-spa:x"] {
        for (what, answer) in [
            ("code", unchanged(&site, client, || site.token(client, &redemption(&code)))),
            ("refresh", unchanged(&site, client, || refresh_as(&site, client, &token))),
            ("revoke", unchanged(&site, client, || site.post("/revoke", client, &[("token", &token)]))),
            (
                "introspect",
                unchanged(&site, client, || site.post("/introspect", client, &[("token", &token)])),
            ),
        ] {
            assert_eq!(refusal(&answer), INVALID_CLIENT, "{client} {what}");
        }
    }
    assert!(!site.world.operations().contains(&"GRANTS".to_owned()), "no shard was asked");
    assert_eq!(site.redeem(&code).0, 200);
    assert_eq!(site.refresh(&token).0, 200);
}

/// The longest row of any grant shard, and how many there are.
fn rows(site: &Site) -> (usize, usize) {
    let mut lengths = Vec::new();
    for (_, disk) in site.world.disks("GRANTS") {
        for table in disk.tables().unwrap() {
            lengths.extend(
                disk.scan(&table, None, None, 10_000).unwrap().into_iter().map(|(.., row)| row.len()),
            );
        }
    }
    (lengths.iter().copied().max().unwrap_or(0), lengths.len())
}

#[test]
fn each_revocation_is_a_row_of_its_own_and_no_value_grows() {
    let site = Site::new();
    let own = || string(&site.token(MACHINE, &OWN).1, "access_token");
    let tokens: Vec<String> = (0..200).map(|_| own()).collect();
    for token in &tokens {
        assert_eq!(site.inspect(token)["active"], true);
    }
    let (longest, before) = rows(&site);
    for token in &tokens {
        assert_eq!(site.post("/revoke", MACHINE, &[("token", token)]).0, 200);
    }
    assert!(tokens.iter().all(|token| site.inspect(token) == dead()));
    assert_eq!(rows(&site), (longest, before + tokens.len()));
}

#[test]
fn a_check_that_cannot_be_made_is_no_yes() {
    let site = Site::new();
    let tokens = site.tokens();
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    let own = string(&site.token(MACHINE, &OWN).1, "access_token");
    site.inspect(&own);
    for (what, token) in [("access", &access), ("refresh", &refresh), ("own", &own)] {
        for fates in [[Fate::Lost, Fate::Lost], [Fate::Unanswered, Fate::Unanswered]] {
            site.world.fate("GRANTS", &fates);
            let answer = unchanged(&site, what, || site.send(&post("/introspect", API, &[("token", token)])));
            assert_eq!(
                (answer.status.as_u16(), answer.header("retry-after")),
                (503, Some("1")),
                "{what} {fates:?}"
            );
            assert!(!text(&answer).contains("active"), "{what}");
        }
    }
    // A shard that must know of a change before its first row, and cannot be told, says nothing either.
    let fresh = Site::new();
    let own = string(&fresh.token(MACHINE, &OWN).1, "access_token");
    fresh.world.fate("REGISTRY", &[Fate::Lost; 4]);
    assert_eq!(fresh.post("/introspect", API, &[("token", &own)]).0, 503);
    // A session that cannot be checked is no session, and a client that cannot be confirmed no client.
    site.world.fate("ACCOUNTS", &[Fate::Lost; 2]);
    assert_eq!(site.authorize("demo-web", &[]).status, 503);
    site.world.pass(Seconds(31));
    site.world.fate("REGISTRY", &[Fate::Lost; 8]);
    assert_eq!(site.token("demo-machine:wrong", &OWN).0, 503);
}

#[test]
fn an_audience_or_resource_that_is_asked_for_is_not_given() {
    let site = Site::new();
    let asked =
        [("audience", "https://bank.test"), ("resource", "https://bank.test"), ("aud", "https://bank.test")];
    let mut fields = OWN.to_vec();
    fields.extend(asked);
    let (status, own) = site.token(MACHINE, &fields);
    assert_eq!(status, 200, "{own}");
    let code = site.code("demo-web", &asked);
    let (_, tokens) = redeem_with(&site, WEB, &code, &asked);
    let mut fields = vec![("grant_type", "refresh_token")];
    let refresh = string(&tokens, "refresh_token");
    fields.push(("refresh_token", &refresh));
    fields.extend(asked);
    let (_, refreshed) = site.token(WEB, &fields);
    for tokens in [&own, &tokens, &refreshed] {
        let seen = site.inspect(&string(tokens, "access_token"));
        assert_eq!(seen["active"], true);
        assert!(
            !seen.to_string().contains("bank.test") && !tokens.to_string().contains("bank.test"),
            "{seen}"
        );
    }
}

/// A client of everything, and whether a switch of it is heeded once it is set.
type Switch = (&'static str, fn() -> Value, fn(&Site, &str) -> bool);

const SWITCHES: &[Switch] = &[
    (
        "client_name",
        || json!("Another"),
        |site, client| text(&site.authorize(id_of(client), &[])).contains("Another"),
    ),
    (
        "redirect_uris",
        || json!(["https://app.test/cb"]),
        |site, client| site.authorize(id_of(client), &[]).status == 400,
    ),
    ("grant_types", || json!(["authorization_code"]), |site, client| site.token(client, &OWN).0 == 400),
    ("scope", || json!("reports"), |site, client| site.token(client, &OWN).1["scope"] == "reports"),
    ("profile", || json!("legacy"), |site, client| redeem_again(site, client)["refresh_token"].is_null()),
    ("enabled", || json!(false), |site, client| site.token(client, &OWN).0 == 401),
    (
        "strict",
        || json!(true),
        |site, client| {
            site.world.operations();
            site.token(client, &OWN).0 == 200 && site.world.operations().contains(&"GRANTS".to_owned())
        },
    ),
    (
        "administrative",
        || json!(true),
        |site, client| {
            // What was issued in the moment of a change is dead, whoever is right about the clock.
            site.world.pass(Seconds(10));
            let own = [("grant_type", "client_credentials"), ("scope", "admin")];
            let bearer = format!("Bearer {}", string(&site.token(client, &own).1, "access_token"));
            let request = request(Method::GET, "/admin/clients", &[("authorization", &bearer)], "");
            site.send(&request).status == 200
        },
    ),
    (
        "resource_server",
        || json!(true),
        |site, client| {
            let token = string(&site.token(MACHINE, &OWN).1, "access_token");
            site.post("/introspect", client, &[("token", &token)]).1["active"] == true
        },
    ),
    (
        "resources",
        || json!(["https://api.test/"]),
        |site, client| {
            site.admin(
                Method::PATCH,
                &format!("/admin/clients/{}", id_of(client)),
                &json!({ "resource_server": true }),
            );
            let token = string(&site.token(MACHINE, &OWN).1, "access_token");
            site.post("/introspect", client, &[("token", &token)]).1 == json!({ "active": false })
        },
    ),
    ("access_token_lifetime", || json!(7), |site, client| site.token(client, &OWN).1["expires_in"] == 7),
    (
        "code_lifetime",
        || json!(5),
        |site, client| {
            let code = site.code(id_of(client), &[]);
            site.world.pass(Seconds(5));
            redeem_with(site, client, &code, &[]).0 == 400
        },
    ),
    ("refresh_count", || json!(0), |site, client| redeem_again(site, client)["refresh_token"].is_null()),
    (
        "refresh_rotation",
        || json!("never"),
        |site, client| {
            let token = redeem_again(site, client)["refresh_token"].clone();
            refresh_as(site, client, token.as_str().unwrap()).1["refresh_token"] == token
        },
    ),
    (
        "require_pkce",
        || json!(false),
        |site, client| {
            site.authorize(id_of(client), &[("code_challenge", ""), ("code_challenge_method", "")]).status
                == 200
        },
    ),
    (
        "groups",
        || json!(["robots"]),
        |site, client| {
            let opened = json!({ "urls": ["GET /robots"], "client_groups": ["robots"] });
            site.patch("/admin/scopes/reports", &opened);
            let token = string(&site.token(client, &OWN).1, "access_token");
            let bearer = format!("Bearer {token}");
            let headers = [
                ("x-original-method", "GET"),
                ("x-original-uri", "/robots"),
                ("authorization", bearer.as_str()),
            ];
            site.send(&request(Method::GET, "/check", &headers, "")).status == 200
        },
    ),
    (
        "id_token_signed_response_alg",
        || json!("EdDSA"),
        |site, client| jws_header(&id_token(site, client))["alg"] == "EdDSA",
    ),
    (
        "userinfo_signed_response_alg",
        || json!("ES256"),
        |site, client| {
            let code = site.code(id_of(client), &[("scope", "openid")]);
            let token = string(&redeem_with(site, client, &code, &[]).1, "access_token");
            let bearer = format!("Bearer {token}");
            let answer = site.send(&request(Method::GET, "/userinfo", &[("authorization", &bearer)], ""));
            answer.header("content-type") == Some("application/jwt")
        },
    ),
    (
        "access_token_format",
        || json!("jwt"),
        |site, client| string(&site.token(client, &OWN).1, "access_token").starts_with("ey"),
    ),
    (
        "introspection_signed_response_alg",
        || json!("EdDSA"),
        |site, client| {
            let mut asked = post("/introspect", client, &[("token", "nonsense")]);
            asked.headers.push(("accept".to_owned(), "application/token-introspection+jwt".to_owned()));
            let header =
                edgemint::crypto::bytes(text(&site.send(&asked)).split('.').next().unwrap()).unwrap();
            String::from_utf8(header).unwrap().contains("EdDSA")
        },
    ),
    (
        "subject_type",
        || json!("pairwise"),
        |site, client| {
            let (_, alice) = site.admin(Method::GET, "/admin/users/alice", &Value::Null);
            jws_claims(&id_token(site, client))["sub"] != alice["sub"]
        },
    ),
    (
        "sector_identifier_uri",
        || json!("https://app.test/sector"),
        |site, client| {
            let several =
                json!({ "redirect_uris": [CALLBACK, "https://b.test/cb"], "subject_type": "pairwise" });
            site.admin(Method::PATCH, &format!("/admin/clients/{}", id_of(client)), &several).0 == 200
        },
    ),
    (
        "default_max_age",
        || json!(0),
        |site, client| {
            id_token(site, client);
            text(&site.authorize(id_of(client), &[("scope", "openid")])).contains("login-submit")
        },
    ),
    (
        "post_logout_redirect_uris",
        || json!(["https://app.test/bye"]),
        |site, client| {
            let uri = "https://app.test/bye";
            site.get(&format!("/logout?client_id={}&post_logout_redirect_uri={uri}", id_of(client))).status
                == 200
        },
    ),
    (
        "backchannel_logout_uri",
        || json!("https://app.test/out"),
        |site, client| {
            id_token(site, client);
            site.admin(Method::DELETE, "/admin/grants?username=alice&sessions=true", &Value::Null);
            site.world.ring();
            site.world.fetched().contains(&"https://app.test/out".to_owned())
        },
    ),
    (
        "not_before",
        || json!(1_800_000_000),
        |site, client| {
            let (_, listed) =
                site.admin(Method::GET, &format!("/admin/clients/{}", id_of(client)), &Value::Null);
            listed["not_before"] == 1_800_000_000
        },
    ),
];

/// What only tells: nobody would believe that something is decided by it. Or what has one value, or is fixed.
const TOLD: [&str; 12] = [
    // Every ID token has it.
    "require_auth_time",
    // Every logout token has it.
    "backchannel_logout_session_required",
    "client_id",
    "client_id_issued_at",
    "client_version",
    "description",
    "contacts",
    "version",
    "response_types",
    "token_endpoint_auth_method",
    // It bounds which redirect URIs may be registered beside it.
    "application_type",
    "expires_at",
];

fn redeem_again(site: &Site, client: &str) -> Value {
    let (status, tokens) = redeem_with(site, client, &site.code(id_of(client), &[]), &[]);
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn id_token(site: &Site, client: &str) -> String {
    let code = site.code(id_of(client), &[("scope", "openid")]);
    string(&redeem_with(site, client, &code, &[]).1, "id_token")
}

#[test]
fn every_switch_of_a_client_that_is_stored_is_read() {
    let all = ["authorization_code", "refresh_token", "client_credentials"];
    let body = json!({ "redirect_uris": [CALLBACK], "grant_types": all, "scope": "reports orders.read admin openid" });
    for (member, value, is_heeded) in SWITCHES {
        let site = Site::new();
        let sector = json!([CALLBACK, "https://b.test/cb"]).to_string().into_bytes();
        let sector = Fetched { status: 200, body: Some(sector), ..Fetched::default() };
        site.world.put_elsewhere("https://app.test/sector", sector);
        let client = register(&site, &body);
        let target = format!("/admin/clients/{}", id_of(&client));
        let before = string(&site.token(&client, &OWN).1, "access_token");
        assert!(!is_heeded(&site, &client), "{member} makes no difference");
        site.patch(&target, &json!({ *member: value() }));
        assert!(is_heeded(&site, &client), "{member} is stored and not read");
        if *member == "not_before" {
            assert_eq!(site.inspect(&before), dead());
        }
    }
    let site = Site::new();
    let (_, shown) = site.admin(Method::GET, "/admin/clients/demo-web", &Value::Null);
    let members: BTreeSet<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = SWITCHES.iter().map(|(member, ..)| *member).chain(TOLD).collect();
    assert!(members.is_subset(&known), "nobody shows what these do: {:?}", members.difference(&known));
}

#[test]
fn production_has_no_door_for_test_hosts() {
    let world = World::new();
    let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
    let site = Site::with(&world, &vars);
    for host in ["as.test", "localhost", "localhost:8787", "127.0.0.1", "[::1]", "test", "as.test.localhost"]
    {
        for (name, value) in [
            ("x-forwarded-host", "localhost"),
            ("x-forwarded-for", "127.0.0.1"),
            ("cf-connecting-ip", "127.0.0.1"),
            ("forwarded", "host=localhost"),
            ("x-original-url", "/dev/callback"),
            ("x-http-method-override", "GET"),
            ("x-test", "1"),
            ("cookie", "test=1; debug=1; edgemint-session=x"),
        ] {
            let ask = |method: Method, target: &str, body: &str| {
                let headers = [
                    (name, value),
                    ("content-type", FORM),
                    ("authorization", "Basic ZGVtby1tYWNoaW5lOmRlbW8tbWFjaGluZS1zZWNyZXQ="),
                ];
                let mut request = request(method, target, &headers, body);
                request.host = host.to_owned();
                site.send(&request)
            };
            let what = format!("{host} {name}");
            assert_eq!(ask(Method::POST, "/token", "grant_type=client_credentials").status, 401, "{what}");
            assert_ne!(ask(Method::GET, "/dev/callback?code=x", "").status, 200, "{what}");
            assert_eq!(ask(Method::GET, "/admin/clients", "").status, 401, "{what}");
            let page = ask(Method::GET, "/authorize?client_id=demo-web", "");
            assert!([303, 400].contains(&page.status.as_u16()), "{what}");
            assert!(page.header("location").is_none_or(|to| to.starts_with("https://as.test/")), "{what}");
            let metadata: Value =
                serde_json::from_slice(&ask(Method::GET, "/.well-known/oauth-authorization-server", "").body)
                    .unwrap();
            assert_eq!(metadata["issuer"], "https://as.test", "{what}");
            assert!(!metadata.to_string().contains("localhost"), "{what}");
        }
    }
    let people = |disk: &Disk| disk.tables().unwrap().contains(&"accounts".to_owned());
    assert!(!world.disks("ACCOUNTS").iter().any(|(_, disk)| people(disk)), "nobody was made");
}
