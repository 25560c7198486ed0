//! Attacks that once worked here, each named after what must hold.

use crate::world::*;
use edgemint::{context::config::Vars, host::Seconds};
use http::Method;
use serde_json::{Value, json};

#[test]
fn names_are_not_told_apart_in_another_isolate_either() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    for _ in 0..10 {
        site.sign_in(&page, "alice", "wrong");
        site.sign_in(&page, "nobody", "wrong");
    }
    let other = site.beside();
    let page = other.authorize("demo-web", &[]);
    let answers = ["alice", "nobody"].map(|name| other.sign_in(&page, name, "wrong").status.as_u16());
    assert_eq!(answers, [429, 429]);
}

#[test]
fn thirty_failed_logins_close_an_address_before_anything_is_hashed() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let pending = field(&page, "pending");
    let login = |address: &str, name: &str, password: &str| {
        let fields = form(&[("pending", pending.as_str()), ("username", name), ("password", password)]);
        let headers = [("content-type", FORM), ("cf-connecting-ip", address)];
        site.browse(request(Method::POST, "/login", &headers, &fields)).status.as_u16()
    };
    // Successes are never limited.
    for _ in 0..35 {
        assert_eq!(login("192.0.2.1", "alice", "wonderland"), 200);
    }
    for number in 0..30 {
        assert_eq!(login("192.0.2.1", &format!("name-{number}"), "wrong"), 400);
    }
    site.world.operations();
    assert_eq!(login("192.0.2.1", "alice", "wonderland"), 429);
    assert!(!site.world.operations().contains(&"ACCOUNTS".to_owned()));
    assert_eq!(login("192.0.2.2", "alice", "wonderland"), 200);
    site.world.pass(Seconds(300));
    assert_eq!(login("192.0.2.1", "alice", "wonderland"), 200);
}

#[test]
fn an_attempt_to_sign_in_whose_answer_was_lost_is_charged_once() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    for _ in 0..10 {
        site.world.fate("ACCOUNTS", &[Fate::Unanswered]);
        assert_eq!(site.sign_in(&page, "alice", "wrong").status, 400);
    }
    assert_eq!(site.sign_in(&page, "alice", "wrong").status, 429);
}

#[test]
fn revoking_a_token_that_is_dead_already_ends_nothing_and_writes_nothing() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "revoke.accessTokenEndsGrant": 1 }));
    let tokens = site.tokens();
    let own = string(&site.token(MACHINE, &OWN).1, "access_token");
    site.inspect(&own);
    site.world.pass(Seconds(7200));
    let before = site.world.dump();
    let web = "demo-web:demo-web-secret";
    assert_eq!(site.post("/revoke", web, &[("token", &string(&tokens, "access_token"))]).0, 200);
    assert_eq!(site.post("/revoke", MACHINE, &[("token", &own)]).0, 200);
    assert_eq!(site.world.dump(), before);
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn a_refresh_token_is_judged_by_its_own_clients_policy_whoever_asks() {
    let site = Site::new();
    let body = json!({ "profile": "legacy", "resource_server": true, "grant_types": [] });
    let (_, server) = site.admin(Method::POST, "/admin/clients", &body);
    let server = format!("{}:{}", string(&server, "client_id"), string(&server, "client_secret"));
    let idle = string(&site.tokens(), "refresh_token");
    let legacy = string(&site.legacy_tokens(), "refresh_token");
    site.world.pass(Seconds(31 * 86_400));
    for asker in ["demo-api:demo-api-secret", &server] {
        assert_eq!(site.post("/introspect", asker, &[("token", &idle)]).1, dead(), "{asker}");
        assert_eq!(site.post("/introspect", asker, &[("token", &legacy)]).1["active"], true, "{asker}");
    }
    for _ in 0..3 {
        assert_eq!(site.token(LEGACY, &[("grant_type", "refresh_token"), ("refresh_token", &legacy)]).0, 200);
    }
    assert_eq!(site.inspect(&legacy), dead(), "its refreshes are used up");
}

#[test]
fn a_flood_of_strangers_does_not_refuse_a_client_that_is_known() {
    let site = Site::new();
    let tokens = site.tokens();
    let other = site.beside();
    assert_eq!(other.refresh("emr_a.nonsense").0, 400);
    site.patch("/admin/clients/demo-web", &json!({ "require_pkce": true }));
    site.world.pass(Seconds(6));
    for number in 0..200 {
        other.token(&format!("stranger-{number}:x"), &OWN);
    }
    // The shard knows of the change, so this isolate must ask for the client again.
    assert_eq!(other.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn a_cut_off_that_was_given_as_a_time_is_not_taken_back() {
    let site = Site::new();
    let (tokens, own) = (site.tokens(), string(&site.token(MACHINE, &OWN).1, "access_token"));
    site.world.pass(Seconds(60));
    let now = 1_800_000_060_u64;
    for (target, token) in
        [("/admin/users/alice", string(&tokens, "access_token")), ("/admin/clients/demo-machine", own)]
    {
        assert_eq!(site.inspect(&token)["active"], true);
        site.patch(target, &json!({ "not_before": now }));
        assert_eq!(site.inspect(&token), dead(), "{target}");
        for back in [json!(null), json!(now - 60), json!(now + 60)] {
            let (status, problem) = site.admin(Method::PATCH, target, &json!({ "not_before": back }));
            assert_eq!((status, &problem["field"]), (400, &json!("not_before")), "{target} {back}");
        }
    }
}

#[test]
fn a_development_that_began_is_never_served_as_production() {
    for reached in 0..8 {
        let world = World::new();
        let site = Site::with(&world, &development());
        let mut fates = vec![Fate::Answered; reached];
        fates.extend([Fate::Lost; 8]);
        world.fate("REGISTRY", &fates);
        site.get("/healthz");
        world.fate("REGISTRY", &[]);
        world.pass(Seconds(60));
        world.ring();
        let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
        let production = Site::with(&world, &vars);
        let healthy = production.get("/healthz").status == 200;
        let people = !world.disks("ACCOUNTS").is_empty();
        assert!(!(healthy && people), "after {reached} answers");
    }
}

#[test]
fn a_second_seeding_keeps_clients_alive_and_marks_true() {
    let site = Site::new();
    site.patch("/admin/clients/demo-landing", &json!({ "access_token_lifetime": 600 }));
    let moved = Vars { issuer: Some("http://localhost:9000".into()), ..development() };
    let mut healthz = request(Method::GET, "/healthz", &[], "");
    healthz.host = "localhost:9000".into();
    assert_eq!(Site::with(&site.world, &moved).send(&healthz).status, 200);
    let back = Site::with(&site.world, &development());
    let redirect_uri = format!("{ISSUER}/dev/callback");
    for _ in 0..4 {
        let code = back.code("demo-landing", &[("redirect_uri", &redirect_uri)]);
        let mut fields = redemption(&code).to_vec();
        fields.retain(|(name, _)| *name != "redirect_uri");
        fields.push(("redirect_uri", &redirect_uri));
        assert_eq!(back.token("demo-landing", &fields).0, 200);
    }
}

#[test]
fn a_seeding_for_another_port_does_not_bring_back_a_description() {
    let site = Site::new();
    site.patch("/admin/scopes/reports", &json!({ "description": "Everything we sell" }));
    let moved = Vars { issuer: Some("http://localhost:9000".into()), ..development() };
    let mut healthz = request(Method::GET, "/healthz", &[], "");
    healthz.host = "localhost:9000".into();
    assert_eq!(Site::with(&site.world, &moved).send(&healthz).status, 200);
    let back = Site::with(&site.world, &development());
    let (_, scope) = back.admin(Method::GET, "/admin/scopes/reports", &Value::Null);
    assert_eq!(scope["description"], "Everything we sell");
    let page = back.sign_in(&back.authorize("demo-web", &[]), "alice", "wonderland");
    assert!(text(&page).contains("Everything we sell"), "{}", text(&page));
}

#[test]
fn the_consent_page_names_the_program_that_gets_the_answer_whatever_host_its_address_pretends() {
    let site = Site::new();
    let loopback = "a program on this computer";
    for (number, pretended) in ["accounts.bank.test", "localhost", "127.0.0.1"].into_iter().enumerate() {
        let (id, uri) = (format!("evil-{number}"), format!("com.evil.app://{pretended}/cb"));
        let body = json!({ "client_id": id, "client_name": "Your bank", "redirect_uris": [uri],
                           "scope": "reports", "token_endpoint_auth_method": "none" });
        let (status, made) = site.admin(Method::POST, "/admin/clients", &body);
        assert_eq!(status, 201, "{made}");
        let other = site.beside();
        let page =
            text(&other.sign_in(&other.authorize(&id, &[("redirect_uri", &uri)]), "alice", "wonderland"));
        assert!(page.contains(r#"<strong id="consent-host">com.evil.app</strong>"#), "{page}");
        assert!(!page.contains(pretended) && !page.contains(loopback), "{page}");
    }
    let page = site.sign_in(&site.authorize("demo-web", &[]), "alice", "wonderland");
    assert!(text(&page).contains(loopback), "an honest one is warned of: {}", text(&page));
}

#[test]
fn what_is_typed_in_the_wrong_field_is_not_logged() {
    let site = Site::new();
    site.token("demo-web-secret:demo-web", &OWN);
    site.get("/authorize?client_id=a-long-secret-pasted-in-the-wrong-field");
    site.get("/some-token-in-a-path");
    site.admin(Method::GET, "/admin/users/some-password", &Value::Null);
    let log: String = site.world.events().iter().map(Value::to_string).collect();
    for secret in ["demo-web-secret", "a-long-secret", "some-token", "some-password"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn every_refusal_is_an_event_that_its_trace_finds() {
    let site = Site::new();
    for (method, path) in
        [(Method::GET, "/token"), (Method::GET, "/no/such"), (Method::GET, "/admin/nothing")]
    {
        let answer = site.send(&request(method, path, &[], ""));
        let trace = serde_json::from_slice::<Value>(&answer.body).unwrap()["trace_id"].clone();
        let events = site.world.events();
        assert_eq!(
            (events.len(), &events[0]["trace"], &events[0]["event"]),
            (1, &trace, &json!("refused")),
            "{path}"
        );
    }
    let redirected = site.authorize("demo-web", &[("scope", "nonsense")]);
    let trace = site.world.events()[0]["trace"].as_str().unwrap().to_owned();
    assert!(parameter(&redirected, "error_description").unwrap().contains(&trace));
    let broken = Site::with(&site.world, &Vars { master_key: None, ..development() });
    let answer: Value = serde_json::from_slice(&broken.get("/healthz").body).unwrap();
    assert_eq!(site.world.events()[0]["trace"], answer["trace_id"]);
}

#[test]
fn a_use_within_the_grace_is_always_logged() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "log.successPercent": 0 }));
    let first = string(&site.tokens(), "refresh_token");
    site.refresh(&first);
    site.world.events();
    site.refresh(&first);
    assert_eq!(site.world.events()[0]["again"], true);
}
