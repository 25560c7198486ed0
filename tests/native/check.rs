//! `/check`: what a proxy is told of a request to a resource.

use crate::world::*;
use edgemint::{host::Seconds, wire::Response};
use http::Method;
use serde_json::{Value, json};

const ALLOWED: u16 = 200;

/// As nginx asks.
fn check(site: &Site, token: &str, request_line: &str) -> Response {
    let bearer = format!("Bearer {token}");
    let (method, address) = request_line.split_once(' ').unwrap();
    let mut headers = vec![("x-original-method", method), ("x-original-uri", address)];
    if !token.is_empty() {
        headers.push(("authorization", bearer.as_str()));
    }
    site.send(&request(Method::GET, "/check", &headers, ""))
}

fn status(site: &Site, token: &str, request_line: &str) -> u16 {
    check(site, token, request_line).status.as_u16()
}

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").unwrap_or_default()
}

/// A token of somebody for some scope, by `demo-web`.
fn token_of(site: &Site, username: &str, password: &str, scope: &str) -> String {
    let browser = site.beside();
    let page = browser.sign_in(
        &browser.authorize("demo-web", &[("scope", scope), ("prompt", "consent")]),
        username,
        password,
    );
    let code = parameter(&browser.decide(&page, "all", &[]), "code").unwrap();
    string(&browser.redeem(&code).1, "access_token")
}

fn alice(site: &Site, scope: &str) -> String {
    token_of(site, "alice", "wonderland", scope)
}

fn own(site: &Site, scope: &str) -> String {
    let fields = [("grant_type", "client_credentials"), ("scope", scope)];
    string(&site.token(MACHINE, &fields).1, "access_token")
}

fn headers(response: &Response) -> Vec<(&str, &str)> {
    let own = response.headers.iter().filter(|(name, _)| name.starts_with("x-auth-"));
    own.map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn a_request_passes_whose_token_is_active_in_scope_and_permitted() {
    let site = Site::new();
    let token = alice(&site, "orders.read reports");
    let passed = check(&site, &token, "GET /orders/7?x=../..");
    assert_eq!(passed.status, ALLOWED, "{}", text(&passed));
    let sub = site.inspect(&token)["sub"].as_str().unwrap().to_owned();
    assert_eq!(
        headers(&passed),
        [
            ("x-auth-subject", sub.as_str()),
            ("x-auth-username", "alice"),
            ("x-auth-client", "demo-web"),
            ("x-auth-scope", "orders.read reports"),
            ("x-auth-groups", "orders-staff"),
        ]
    );
    assert_eq!(passed.header("cache-control"), Some("no-store"));
    assert_eq!(status(&site, &token, "HEAD /orders"), ALLOWED);
    assert_eq!(status(&site, &token, "POST /reports/2026"), ALLOWED);

    let missing = check(&site, "", "GET /orders");
    assert_eq!((missing.status.as_u16(), challenge(&missing)), (401, "Bearer realm=\"edgemint\""));
    let wrong = check(&site, "ema_nonsense", "GET /orders");
    assert_eq!(
        (wrong.status.as_u16(), challenge(&wrong)),
        (401, "Bearer realm=\"edgemint\", error=\"invalid_token\"")
    );
    let beyond = check(&site, &token, "POST /orders");
    let demanded = "Bearer realm=\"edgemint\", error=\"insufficient_scope\", scope=\"orders.write\"";
    assert_eq!((beyond.status.as_u16(), challenge(&beyond)), (403, demanded));
    let nowhere = check(&site, &token, "GET /elsewhere");
    let plain = "Bearer realm=\"edgemint\", error=\"insufficient_scope\"";
    assert_eq!((nowhere.status.as_u16(), challenge(&nowhere)), (403, plain));
    for refused in [missing, wrong, beyond, nowhere] {
        assert_eq!(headers(&refused), [], "who may not pass is nobody");
        let body: Value = serde_json::from_slice(&refused.body).unwrap();
        assert!(body["error"].is_string() && body["error_description"].is_string(), "{body}");
    }
}

#[test]
fn who_is_in_no_group_does_not_pass_where_one_is_demanded() {
    let site = Site::new();
    let bob = token_of(&site, "bob", "builder", "orders.read reports");
    let refused = check(&site, &bob, "GET /orders");
    let plain = "Bearer realm=\"edgemint\", error=\"insufficient_scope\"";
    assert_eq!((refused.status.as_u16(), challenge(&refused)), (403, plain));
    let passed = check(&site, &bob, "GET /reports");
    assert_eq!(passed.status, ALLOWED);
    assert!(headers(&passed).contains(&("x-auth-groups", "")), "it is there, and empty");
}

#[test]
fn a_client_that_acts_for_itself_needs_groups_of_clients_alone() {
    let site = Site::new();
    let token = own(&site, "orders.read");
    let passed = check(&site, &token, "GET /orders");
    assert_eq!(passed.status, ALLOWED);
    assert_eq!(
        headers(&passed),
        [
            ("x-auth-subject", "demo-machine"),
            ("x-auth-username", ""),
            ("x-auth-client", "demo-machine"),
            ("x-auth-scope", "orders.read"),
            ("x-auth-groups", ""),
        ]
    );
    site.patch("/admin/scopes/orders.read", &json!({ "client_groups": ["robots"] }));
    assert_eq!(status(&site, &token, "GET /orders"), 403);
    site.patch("/admin/clients/demo-machine", &json!({ "groups": ["robots", "a, b"] }));
    let passed = check(&site, &token, "GET /orders");
    assert!(headers(&passed).contains(&("x-auth-groups", "robots,a%2C%20b")), "{:?}", headers(&passed));
}

#[test]
fn one_object_is_asked_and_it_asks_nobody() {
    let site = Site::new();
    let (person, machine) = (alice(&site, "orders.read"), own(&site, "orders.read"));
    for token in [person, machine] {
        assert_eq!(status(&site, &token, "GET /orders"), ALLOWED);
        site.world.operations();
        assert_eq!(status(&site, &token, "GET /orders"), ALLOWED);
        assert_eq!(site.world.operations(), ["GRANTS"]);
    }
    assert_eq!(status(&site, "", "GET /orders"), 401);
    assert_eq!(status(&site, "ema_nonsense", "GET /orders"), 401);
    assert_eq!(site.world.operations(), Vec::<String>::new());
}

#[test]
fn a_refusal_comes_from_the_truth_and_a_flood_of_them_does_not_reach_it() {
    let site = Site::new();
    let (reports, elsewhere) = (alice(&site, "reports"), site.beside());
    assert_eq!(status(&elsewhere, &reports, "GET /invoices"), 403);
    site.world.freeze_replica(true);
    site.world.pass(Seconds(10));
    site.patch("/admin/scopes/reports", &json!({ "urls": ["GET /invoices"] }));
    assert_eq!(status(&elsewhere, &reports, "GET /invoices"), ALLOWED, "what was opened is open everywhere");
    site.world.pass(Seconds(10));
    assert_eq!(status(&elsewhere, &reports, "POST /invoices"), 403);
    site.world.operations();
    for _ in 0..20 {
        assert_eq!(status(&elsewhere, &reports, "POST /invoices"), 403);
    }
    assert_eq!(site.world.operations(), vec!["GRANTS"; 20]);
}

#[test]
fn what_is_taken_away_is_taken_at_the_next_request_although_the_replica_lags() {
    let site = Site::new();
    let elsewhere = site.beside();
    let token = alice(&site, "orders.read");
    let machine = own(&site, "orders.read");
    let passes = |token: &str| status(&elsewhere, token, "GET /orders") == ALLOWED;
    assert!(passes(&token) && passes(&machine));
    site.world.freeze_replica(true);
    // What a client got for itself within the seconds that clocks may differ by is dead once something is taken from it.
    site.world.pass(Seconds(10));

    // Groups of the person.
    site.patch("/admin/users/alice", &json!({ "groups": [] }));
    assert!(!passes(&token), "the mark wins over what was copied into the grant");
    site.patch("/admin/users/alice", &json!({ "groups": ["orders-staff"] }));
    assert!(passes(&token));

    // What the scope opens, and to whom.
    site.patch("/admin/scopes/orders.read", &json!({ "groups": ["orders-board"] }));
    assert!(!passes(&token) && passes(&machine));
    site.patch("/admin/scopes/orders.read", &json!({ "groups": [], "client_groups": ["robots"] }));
    assert!(passes(&token) && !passes(&machine));
    site.patch("/admin/clients/demo-machine", &json!({ "groups": ["robots"] }));
    // What was asked of the truth a moment ago is not asked again.
    site.world.pass(Seconds(5));
    assert!(passes(&machine));
    site.patch("/admin/clients/demo-machine", &json!({ "groups": [] }));
    assert!(!passes(&machine));
    site.patch("/admin/scopes/orders.read", &json!({ "client_groups": [], "urls": ["GET /elsewhere"] }));
    assert!(!passes(&token) && !passes(&machine));
    site.patch("/admin/scopes/orders.read", &json!({ "urls": ["GET /orders"] }));
    assert!(passes(&token) && passes(&machine));

    // The token itself.
    assert_eq!(site.post("/revoke", WEB, &[("token", &token)]).0, 200);
    assert!(!passes(&token));
    assert_eq!(site.post("/revoke", MACHINE, &[("token", &machine)]).0, 200);
    assert!(!passes(&machine));

    // The client, and the person.
    let token = alice(&site, "orders.read");
    site.patch("/admin/clients/demo-web", &json!({ "enabled": false }));
    assert!(!passes(&token));
    site.patch("/admin/clients/demo-web", &json!({ "enabled": true }));
    assert!(passes(&token));
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert_eq!(status(&elsewhere, &token, "GET /orders"), 401);
}

#[test]
fn a_disabled_client_passes_where_the_setting_spares_its_tokens() {
    let site = Site::new();
    let (person, machine) = (alice(&site, "orders.read"), own(&site, "orders.read"));
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": false }));
    site.world.pass(Seconds(60));
    for client in ["demo-web", "demo-machine"] {
        site.patch(&format!("/admin/clients/{client}"), &json!({ "enabled": false }));
    }
    assert_eq!(status(&site, &person, "GET /orders"), ALLOWED);
    assert_eq!(status(&site, &machine, "GET /orders"), ALLOWED);
    site.patch("/admin/settings", &json!({ "disableClient.disableTokens": true }));
    assert_eq!(status(&site, &person, "GET /orders"), 401);
    assert_eq!(status(&site, &machine, "GET /orders"), 401);
}

#[test]
fn tokens_of_another_kind_or_gone_open_nothing() {
    let site = Site::new();
    let tokens = site.tokens();
    let refresh = string(&tokens, "refresh_token");
    let code = site.code("demo-web", &[]);
    for token in [refresh.as_str(), &code, "x", ADMIN_TOKEN, "a b", "ema_", &format!("{refresh}, {code}")] {
        assert_eq!(status(&site, token, "GET /orders"), 401, "{token}");
    }
    let access = string(&tokens, "access_token");
    assert_eq!(status(&site, &access, "GET /orders"), ALLOWED);
    site.world.pass(Seconds(3600));
    assert_eq!(status(&site, &access, "GET /orders"), 401);
    let machine = own(&site, "orders.read");
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/demo-machine", &Value::Null).0, 204);
    assert_eq!(status(&site, &machine, "GET /orders"), 401);
}

#[test]
fn a_path_that_two_servers_could_read_as_two_is_refused() {
    let site = Site::new();
    let token = alice(&site, "orders.read reports");
    for path in [
        "//reports",
        "/reports//7",
        "/reports/../reports",
        "/./reports",
        "/reports/./7",
        "/reports/;x",
        "/reports/x%3By%3F",
        "/reports/%23",
        "/reports/..",
        "/reports/..;x=1/secret",
        "/reports/%2e%2e/secret",
        "/reports/%2E%2E%2Fsecret",
        "/reports/a%2Fb",
        "/reports/a%5cb",
        "/reports/a\\b",
        "/reports/%00",
        "/reports/%252e%252e/secret",
        "/reports/%zz",
        "/reports/%C3",
        "reports",
        "",
        "https://api.test/reports",
    ] {
        let refused = check(&site, &token, &format!("GET {path}"));
        assert_eq!(refused.status, 403, "{path}");
        assert!(!challenge(&refused).contains("scope=\"orders"), "{path}");
    }
    assert_eq!(status(&site, &token, "GET /reports/a%20b/%C3%A9"), ALLOWED);
}

#[test]
fn the_original_request_is_read_from_one_place_and_the_others_say_nothing() {
    let site = Site::new();
    let token = format!("Bearer {}", alice(&site, "orders.read"));
    let nginx = [("x-original-method", "GET"), ("x-original-uri", "/orders")];
    let forwarded = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/orders")];
    let wrong = [("x-original-method", "DELETE"), ("x-original-uri", "/x")];
    let wrong_forwarded = [("x-forwarded-method", "DELETE"), ("x-forwarded-uri", "/x")];
    let ask = |method: Method, target: &str, parts: &[&[(&str, &str)]]| {
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(parts.iter().copied().flatten());
        site.send(&request(method, target, &headers, "")).status.as_u16()
    };
    assert_eq!(ask(Method::GET, "/check", &[&nginx, &wrong_forwarded]), ALLOWED);
    assert_eq!(ask(Method::GET, "/check", &[&forwarded, &wrong]), 403);
    assert_eq!(ask(Method::GET, "/check", &[&forwarded]), 403);
    assert_eq!(ask(Method::GET, "/check/orders", &[&nginx]), 404);
    assert_eq!(ask(Method::GET, "/check", &[&[("x-original-method", "GET, GET"), nginx[1]]]), 403);
    for source in ["traefik", "caddy"] {
        site.patch("/admin/settings", &json!({ "check.source": source }));
        assert_eq!(ask(Method::GET, "/check", &[&forwarded, &wrong]), ALLOWED, "{source}");
        assert_eq!(ask(Method::POST, "/check", &[&nginx, &wrong_forwarded]), 403, "{source}");
    }
    site.patch("/admin/settings", &json!({ "check.source": "envoy" }));
    assert_eq!(ask(Method::GET, "/check/orders?x=1", &[&wrong, &wrong_forwarded]), ALLOWED);
    assert_eq!(ask(Method::HEAD, "/check/orders", &[]), ALLOWED);
    assert_eq!(ask(Method::POST, "/check/orders", &[&nginx]), 403);
    assert_eq!(ask(Method::from_bytes(b"PURGE").unwrap(), "/check/orders", &[]), 403);
    assert_eq!(ask(Method::OPTIONS, "/check/orders", &[]), 403);
    assert_eq!(ask(Method::GET, "/check", &[&nginx]), 403);
    assert_eq!(ask(Method::GET, "/check/x/../orders", &[&nginx]), 403);
    let unknown = site.admin(Method::PATCH, "/admin/settings", &json!({ "check.source": "apache" }));
    assert_eq!((unknown.0, &unknown.1["field"]), (400, &json!("check.source")));
    site.patch("/admin/settings", &json!({ "check.source": null }));
    assert_eq!(ask(Method::GET, "/check", &[&nginx]), ALLOWED);
}

#[test]
fn a_token_in_the_query_counts_only_where_the_setting_lets_it() {
    let site = Site::new();
    let token = alice(&site, "orders.read");
    let line = format!("GET /orders?access_token={token}");
    assert_eq!(status(&site, "", &line), 401);
    site.patch("/admin/settings", &json!({ "bearerToken.queryParameter": true }));
    assert_eq!(status(&site, "", &line), ALLOWED);
    assert_eq!(status(&site, &token, &line), 401, "two are one too many");
    assert_eq!(status(&site, "", &line.replace("GET", "HEAD")), 401, "RFC 6750 section 2.3");
}

#[test]
fn failures_of_a_proxys_callers_are_never_its_own() {
    let site = Site::new();
    let token = alice(&site, "orders.read");
    for _ in 0..200 {
        assert_eq!(status(&site, "ema_guess", "GET /orders"), 401);
    }
    let strikes = |path: &str| {
        let headers = [("authorization", "Bearer ema_guess")];
        site.send(&request(Method::GET, path, &headers, "")).status.as_u16()
    };
    for _ in 0..60 {
        strikes("/admin/clients");
    }
    assert_eq!(strikes("/admin/clients"), 429, "elsewhere there is a limit");
    assert_eq!(status(&site, "ema_guess", "GET /orders"), 401);
    assert_eq!(status(&site, &token, "GET /orders"), ALLOWED);
}

#[test]
fn a_location_goes_on_by_what_it_knows_as_long_as_the_setting_says() {
    let site = Site::new();
    let token = alice(&site, "orders.read");
    site.patch("/admin/settings", &json!({ "check.cacheSeconds": 10 }));
    assert_eq!(status(&site, &token, "GET /orders"), ALLOWED);
    assert_eq!(status(&site, &token, "POST /orders"), 403, "what is decided is decided by the request");
    site.world.operations();
    site.world.pass(Seconds(9));
    assert_eq!(status(&site, &token, "GET /orders"), ALLOWED);
    assert_eq!(site.world.operations(), Vec::<String>::new());
    assert_eq!(site.post("/revoke", WEB, &[("token", &token)]).0, 200);
    assert_eq!(status(&site, &token, "GET /orders"), ALLOWED, "this is what the setting costs");
    site.world.pass(Seconds(1));
    assert_eq!(status(&site, &token, "GET /orders"), 401);

    // What is refused by what was kept is asked about again.
    let bob = token_of(&site, "bob", "builder", "orders.read reports");
    assert_eq!(status(&site, &bob, "GET /reports"), ALLOWED);
    site.patch("/admin/users/bob", &json!({ "groups": ["orders-staff"] }));
    assert_eq!(status(&site, &bob, "GET /orders"), ALLOWED);

    // Never beyond the end of the token.
    let short = string(&site.token("demo-short:demo-short-secret", &OWN).1, "access_token");
    assert_eq!(status(&site, &short, "GET /orders"), ALLOWED);
    site.world.pass(Seconds(2));
    assert_eq!(status(&site, &short, "GET /orders"), 401);
}

#[test]
fn a_flood_of_invented_clients_keeps_no_client_of_a_token_away() {
    let site = Site::new();
    let elsewhere = site.beside();
    assert_eq!(elsewhere.get("/healthz").status, 200);
    site.world.freeze_replica(true);
    let fresh = json!({ "client_id": "fresh", "grant_types": ["client_credentials"], "scope": "reports" });
    let made = site.admin(Method::POST, "/admin/clients", &fresh).1;
    let secret = format!("fresh:{}", string(&made, "client_secret"));
    let token = string(&site.token(&secret, &OWN).1, "access_token");
    let asked = (0..200).map(|number| elsewhere.token(&format!("stranger-{number}:x"), &OWN).0);
    assert!(asked.collect::<Vec<_>>().contains(&429), "strangers are kept away");
    assert_eq!(status(&elsewhere, &token, "GET /reports"), ALLOWED);
}

#[test]
fn a_shard_that_is_down_lets_nobody_pass() {
    let site = Site::new();
    let token = alice(&site, "orders.read");
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let refused = check(&site, &token, "GET /orders");
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")));
    assert_eq!(headers(&refused), []);
}

#[test]
fn a_scope_is_said_to_open_what_can_be_decided_by() {
    let site = Site::new();
    let body = json!({
        "name": "all", "description": "All", "folders": ["a/b"], "services": ["a.b:c"], "urls": ["* /a/{b}"],
        "groups": ["g"], "client_groups": ["h"],
    });
    let (made, shown) = site.admin(Method::POST, "/admin/scopes", &body);
    assert_eq!(made, 201, "{shown}");
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    for (field, value) in [
        ("urls", json!(["/a"])),
        ("urls", json!(["GET /a/../b"])),
        ("urls", json!("GET /a")),
        ("folders", json!([""])),
        ("folders", json!(["a//b"])),
        ("services", json!(["list"])),
        ("groups", json!(["x".repeat(201)])),
        ("client_groups", json!([7])),
        ("urls", Value::from(vec!["GET /a"; 101])),
    ] {
        let (status, problem) = site.admin(Method::PATCH, "/admin/scopes/all", &json!({ field: value }));
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
    // All that it is from now on.
    let (status, shown) = site.admin(Method::PUT, "/admin/scopes/all", &json!({ "urls": ["GET /"] }));
    assert_eq!((status, &shown["folders"], &shown["urls"]), (200, &json!([]), &json!(["GET /"])), "{shown}");
}

#[test]
fn a_scope_that_opens_less_is_told_to_every_shard_before_the_answer() {
    let site = Site::new();
    let token = alice(&site, "orders.read");
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let (status, problem) = site.admin(Method::PATCH, "/admin/scopes/orders.read", &json!({ "urls": [] }));
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("0 of 1 shards"), "{problem}");
    // Saying it again is enough.
    site.patch("/admin/scopes/orders.read", &json!({ "urls": [] }));
    assert_eq!(check(&site.beside(), &token, "GET /orders").status, 403);
    // An answer shows what is owed still, whoever owes it.
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    assert_eq!(site.admin(Method::PATCH, "/admin/scopes/orders.read", &json!({ "urls": ["GET /a"] })).0, 503);
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let told = json!({ "description": "Look" });
    assert_eq!(site.admin(Method::PATCH, "/admin/scopes/orders.read", &told).0, 503);
    site.patch("/admin/scopes/orders.read", &told);
    // What is only described in other words is nobody's matter.
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    site.patch("/admin/scopes/orders.read", &json!({ "description": "Look at orders" }));
}

#[test]
fn a_catalogue_does_not_grow_beyond_what_every_location_reads() {
    let site = Site::new();
    let urls: Vec<String> = (0..100).map(|n| format!("GET /{n}/{}", "x".repeat(180))).collect();
    let mut last = (201, Value::Null);
    for number in 0..40 {
        let body = json!({ "name": format!("s{number}"), "urls": urls });
        last = site.admin(Method::POST, "/admin/scopes", &body);
        if last.0 != 201 {
            break;
        }
    }
    assert_eq!((last.0, &last.1["field"]), (400, &json!("name")), "{}", last.1);
}
