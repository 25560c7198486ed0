//! Initial access tokens: who has one registers where not everybody may.

use super::*;

fn guarded() -> Site {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "registration.open": 1 }));
    site
}

fn make(site: &Site, body: &Value) -> Value {
    site.world.pass(Seconds(1));
    let (status, token) = site.admin(Method::POST, "/admin/registration-tokens", body);
    assert_eq!(status, 201, "{token}");
    token
}

fn status(site: &Site, token: &str) -> u16 {
    ask(site, Method::POST, "/register", token, &application()).status.as_u16()
}

#[test]
fn an_initial_token_registers_as_many_clients_as_it_has_uses_and_is_kept_as_no_text() {
    let site = guarded();
    let made = make(&site, &json!({ "description": "for the team", "uses": 2 }));
    let token = string(&made, "token");
    assert!(token.starts_with("emi_"));
    assert_eq!(made["expires_at"].as_u64().unwrap() - made["created_at"].as_u64().unwrap(), 604_800);
    site.world.pass(Seconds(1));
    assert_eq!([status(&site, &token), status(&site, &token), status(&site, &token)], [201, 201, 401]);
    let refused = ask(&site, Method::POST, "/register", &token, &application());
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer realm=\"edgemint\", error=\"invalid_token\"")
    );
    let target = format!("/admin/registration-tokens/{}", string(&made, "id"));
    let (_, seen) = site.admin(Method::GET, &target, &Value::Null);
    assert_eq!((&seen["uses"], &seen["description"]), (&json!(0), &json!("for the team")));
    assert!(seen.get("token").is_none() && !site.world.dump().contains(&token));
    let (_, audit) = site.admin(Method::GET, "/admin/audit?limit=3", &Value::Null);
    let actions: Vec<_> = (0..3).map(|at| string(&audit["items"][at], "action")).collect();
    assert_eq!(actions, ["client.registered", "client.registered", "registration_token.created"]);
    assert_eq!(audit["items"][0]["by"], json!({ "kind": "initial_token", "name": made["id"] }));
}

#[test]
fn a_use_is_counted_once_whatever_becomes_of_its_answer_and_not_for_a_refusal() {
    let site = guarded();
    let token = string(&make(&site, &json!({ "uses": 2 })), "token");
    assert_eq!(ask(&site, Method::POST, "/register", &token, &json!({ "redirect_uris": [] })).status, 400);
    site.world.fate("REGISTRY", &[Fate::Unanswered]);
    assert_eq!([status(&site, &token), status(&site, &token), status(&site, &token)], [201, 201, 401]);
}

#[test]
fn an_initial_token_that_ended_or_was_ended_lets_nobody_in() {
    let site = guarded();
    let short = string(&make(&site, &json!({ "expires_in": 60, "uses": 10 })), "token");
    assert_eq!(status(&site, &short), 201);
    site.world.pass(Seconds(60));
    assert_eq!(status(&site, &short), 401);
    let made = make(&site, &json!({ "uses": 10 }));
    let target = format!("/admin/registration-tokens/{}", string(&made, "id"));
    assert_eq!(site.admin(Method::DELETE, &target, &Value::Null).0, 204);
    assert_eq!(status(&site, &string(&made, "token")), 401);
    assert_eq!(site.admin(Method::DELETE, &target, &Value::Null).0, 404);
    assert_eq!(site.admin(Method::GET, &target, &Value::Null).0, 404);
    site.world.pass(Seconds(700_000));
    site.world.ring();
    let disk = site.world.disk("REGISTRY", "registry");
    let left = edgemint::host::Store::scan(&*disk, "initial", None, None, 10).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_no_initial_token_is_401_also_where_none_is_needed_and_reaches_no_storage() {
    for site in [guarded(), open()] {
        let client = string(&site.tokens(), "access_token");
        site.get("/healthz");
        site.world.operations();
        for wrong in ["x", "emi_a.AAAA", ADMIN_TOKEN, &client] {
            assert_eq!(status(&site, wrong), 401, "{wrong}");
        }
        assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
    }
    let site = open();
    let token = string(&make(&site, &json!({})), "token");
    assert_eq!([status(&site, &token), status(&site, &token)], [201, 401], "a use counts here, too");
}

#[test]
fn a_crowd_of_unused_clients_keeps_nobody_out_whom_an_administrator_let_in() {
    let site = open();
    site.patch("/admin/settings", &json!({ "registration.unusedMost": 1 }));
    let token = string(&make(&site, &json!({ "uses": 3 })), "token");
    register(&site, &application());
    assert_eq!((status(&site, ""), status(&site, &token), status(&site, "")), (503, 201, 503));
}

#[test]
fn initial_tokens_are_listed_a_page_at_a_time_and_made_of_what_makes_sense() {
    let site = Site::new();
    for _ in 0..5 {
        make(&site, &json!({}));
    }
    let (mut seen, mut after) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let target = format!("/admin/registration-tokens?limit=2{after}");
        let (status, page) = site.admin(Method::GET, &target, &Value::Null);
        assert_eq!(status, 200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2 && items.iter().all(|item| seen.insert(string(item, "id"))));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    for (field, body) in [
        ("uses", json!({ "uses": 0 })),
        ("uses", json!({ "uses": 10_001 })),
        ("expires_in", json!({ "expires_in": 31_536_001 })),
        ("expires_in", json!({ "expires_in": "1" })),
        ("description", json!({ "description": "x".repeat(501) })),
        ("description", json!({ "description": 1 })),
        ("token", json!({ "token": "mine" })),
    ] {
        let (status, problem) = site.admin(Method::POST, "/admin/registration-tokens", &body);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
}
