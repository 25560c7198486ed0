//! Access tokens of other servers that are good here, too, by their introspection.

use crate::world::*;
use edgemint::{host::Fetched, wire::Response};
use http::Method;
use serde_json::{Value, json};

const ENDPOINT: &str = "https://as.example/introspect";
const OTHER: &str = "https://b.example/introspect";

/// `header.claims.signature`, of which nobody here looks at the third.
fn jwt(issuer: &str) -> String {
    let claims = edgemint::crypto::text(json!({ "iss": issuer }).to_string().as_bytes());
    format!("e30.{claims}.c2ln")
}

fn made(more: &Value) -> Site {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "check.source": "nginx" }));
    site.patch(
        "/admin/scopes/orders.read",
        &json!({ "urls": ["GET /orders/{id}"], "groups": ["orders-staff"] }),
    );
    site.patch("/admin/scopes/reports", &json!({ "urls": ["GET /reports"] }));
    add(&site, "partner", ENDPOINT, more);
    site
}

fn add(site: &Site, name: &str, endpoint: &str, more: &Value) {
    let mut server = json!({ "name": name, "introspection_endpoint": endpoint, "client_id": "we", "client_secret": "hush-hush" });
    for (name, value) in more.as_object().unwrap() {
        server[name] = value.clone();
    }
    let (status, body) = site.admin(Method::POST, "/admin/external-servers", &server);
    assert_eq!(status, 201, "{body}");
}

fn says(site: &Site, endpoint: &str, status: u16, body: &Value) {
    let body = Some(body.to_string().into_bytes());
    site.world.put_elsewhere(endpoint, Fetched { status, body, ..Fetched::default() });
}

fn active() -> Value {
    json!({ "active": true, "scope": "reports admin", "client_id": "shop", "sub": "carol", "exp": 1_800_000_600, "iat": 1_800_000_000 })
}

fn with(name: &str, value: Value) -> Value {
    let mut said = active();
    said[name] = value;
    said
}

fn check(site: &Site, token: &str, path: &str) -> Response {
    let authorization = format!("Bearer {token}");
    let headers =
        [("authorization", authorization.as_str()), ("x-original-method", "GET"), ("x-original-uri", path)];
    site.send(&request(Method::GET, "/check", &headers, ""))
}

fn inspect(site: &Site, token: &str) -> Value {
    site.inspect(token)
}

#[test]
fn a_token_of_another_server_opens_what_its_scope_opens_and_makes_nobody_of_ours() {
    let site = made(&json!({}));
    says(&site, ENDPOINT, 200, &active());
    let passed = check(&site, "opaque", "/reports");
    assert_eq!(passed.status, 200, "{}", text(&passed));
    for (name, value) in [
        ("x-auth-subject", "partner:carol"),
        ("x-auth-username", ""),
        ("x-auth-client", "partner:shop"),
        ("x-auth-scope", "reports"),
        ("x-auth-groups", ""),
    ] {
        assert_eq!(passed.header(name), Some(value), "{name}");
    }
    let asked = site.world.asked();
    assert_eq!((asked.len(), asked[0].address.as_str()), (1, ENDPOINT));
    assert_eq!(
        String::from_utf8(asked[0].body.clone()).unwrap(),
        "token=opaque&token_type_hint=access_token"
    );
    assert!(
        asked[0].headers.iter().any(|(name, value)| name == "authorization" && value.starts_with("Basic "))
    );
    assert_eq!(
        inspect(&site, "opaque"),
        json!({ "active": true, "scope": "reports", "client_id": "partner:shop", "sub": "partner:carol",
                "token_type": "Bearer", "iat": 1_800_000_000, "exp": 1_800_000_600 })
    );
    let authorization = [("authorization", "Bearer opaque")];
    let admins = site.send(&request(Method::GET, "/admin/clients", &authorization, ""));
    assert_eq!(admins.status, 401, "what administers here is given here alone");
    let log = format!("{:?}", site.world.events());
    assert!(
        !log.contains("opaque") && !log.contains("hush-hush") && !site.world.dump().contains("hush-hush")
    );
}

#[test]
fn what_demands_groups_is_for_who_is_mapped_to_a_user_that_may_be_used() {
    let mut said = active();
    said["scope"] = json!("orders.read");
    let site = made(&json!({}));
    says(&site, ENDPOINT, 200, &said);
    let refused = check(&site, "opaque", "/orders/7");
    assert_eq!(refused.status, 403);
    let mut own = said.clone();
    own.as_object_mut().unwrap().remove("sub");
    says(&site, ENDPOINT, 200, &own);
    assert_eq!(
        check(&site, "opaque", "/orders/7").status,
        403,
        "a client of theirs that acts for itself is nobody here, too"
    );
    says(&site, ENDPOINT, 200, &said);
    assert_eq!(
        site.admin(Method::PATCH, "/admin/external-servers/partner", &json!({ "username": "alice" })).0,
        200
    );
    let passed = check(&site, "opaque", "/orders/7");
    assert_eq!(
        (passed.status.as_u16(), passed.header("x-auth-username"), passed.header("x-auth-groups")),
        (200, Some("alice"), Some("orders-staff"))
    );
    assert_eq!(inspect(&site, "opaque")["username"], "alice");
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert_eq!(check(&site, "opaque", "/orders/7").status, 401);
    assert_eq!(inspect(&site, "opaque"), dead());
    assert_eq!(
        site.admin(Method::PATCH, "/admin/external-servers/partner", &json!({ "username": "nobody" })).0,
        200
    );
    assert_eq!(check(&site, "opaque", "/orders/7").status, 401);
}

#[test]
fn an_answer_that_does_not_hold_here_and_now_is_none() {
    let site = made(&json!({ "issuer": "https://as.example", "audience": "https://api.example" }));
    let token = jwt("https://as.example");
    let good = with("aud", json!(["x", "https://api.example"]));
    says(&site, ENDPOINT, 200, &good);
    assert_eq!(check(&site, &token, "/reports").status, 200);
    let bent = |name: &str, value: Value| {
        let mut said = good.clone();
        said[name] = value;
        said
    };
    for said in [
        json!({ "active": false }),
        bent("active", json!(false)),
        bent("exp", json!(1_800_000_000)),
        bent("nbf", json!(1_800_000_100)),
        bent("iss", json!("https://evil.example")),
        bent("aud", json!("x")),
        bent("aud", Value::Null),
        bent("token_type", json!("DPoP")),
        bent("cnf", json!({ "jkt": "x" })),
        bent("exp", json!("1800000600")),
        bent("exp", json!(1_800_000_600.5)),
        bent("nbf", json!("x")),
        bent("token_type", json!(["DPoP"])),
        bent("iss", json!(["x"])),
        bent("scope", json!(["reports"])),
        bent("sub", json!("carol ")),
        bent("sub", json!("a\nb")),
        bent("client_id", json!("sh op")),
        bent("sub", json!(7)),
        bent("scope", json!("a  \n b")),
    ] {
        says(&site, ENDPOINT, 200, &said);
        assert_eq!(
            (check(&site, &token, "/reports").status.as_u16(), inspect(&site, &token)),
            (401, dead()),
            "{said}"
        );
    }
    for (name, value) in
        [("iss", json!("https://as.example")), ("token_type", json!("bearer")), ("nbf", json!(1_800_000_000))]
    {
        says(&site, ENDPOINT, 200, &bent(name, value));
        assert_eq!(check(&site, &token, "/reports").status, 200, "{name}");
    }
}

#[test]
fn a_server_that_says_no_scope_has_the_default_of_the_administrator() {
    let site = made(&json!({ "default_scope": "reports" }));
    let mut said = active();
    said.as_object_mut().unwrap().remove("scope");
    says(&site, ENDPOINT, 200, &said);
    assert_eq!(check(&site, "opaque", "/reports").header("x-auth-scope"), Some("reports"));
    says(&site, ENDPOINT, 200, &with("scope", json!("")));
    assert_eq!(check(&site, "opaque", "/reports").status, 403, "what says that it is good for nothing is");
}

#[test]
fn a_server_that_cannot_be_asked_lets_nobody_pass_and_refuses_nobody_for_good() {
    let site = made(&json!({}));
    for (status, body) in [
        (500, json!({})),
        (200, json!([])),
        (200, json!({ "active": "true" })),
        (302, active()),
        (401, json!({ "error": "invalid_client" })),
    ] {
        says(&site, ENDPOINT, status, &body);
        let response = check(&site, "opaque", "/reports");
        assert_eq!(response.status, 503, "{status} {body}");
        assert!(response.header("x-auth-subject").is_none());
    }
    site.world.late(true);
    assert_eq!(check(&site, "opaque", "/reports").status, 503);
}

#[test]
fn each_token_is_told_only_to_whom_it_may_belong() {
    let site = made(&json!({ "issuer": "https://as.example" }));
    add(&site, "other", OTHER, &json!({}));
    says(&site, ENDPOINT, 200, &active());
    says(&site, OTHER, 200, &with("client_id", json!("elsewhere")));
    let asked = |token: &str| {
        check(&site, token, "/reports");
        site.world.fetched()
    };
    assert_eq!(asked(&jwt("https://as.example")), [ENDPOINT]);
    assert_eq!(asked(&jwt("https://nobody.example")), [OTHER]);
    assert_eq!(asked("opaque"), [OTHER]);
    let ours = string(&site.token(MACHINE, &OWN).1, "access_token");
    let bent = ours.replace('.', ".A");
    for token in [ours.as_str(), bent.as_str(), "emr_a.b", &"x".repeat(9000)] {
        assert_eq!(asked(token), Vec::<String>::new(), "{token}");
    }
}

#[test]
fn only_resource_servers_learn_of_tokens_of_others() {
    let site = made(&json!({}));
    says(&site, ENDPOINT, 200, &active());
    let (_, said) = site.post("/introspect", WEB, &[("token", "opaque")]);
    assert_eq!((said, site.world.fetched()), (dead(), Vec::new()));
    assert_eq!(site.post("/introspect", "demo-api:wrong", &[("token", "opaque")]).0, 401);
    assert_eq!(site.world.fetched(), Vec::<String>::new());
    let elsewhere = site.beside();
    for isolate in [&site, &elsewhere] {
        assert_eq!(inspect(isolate, "opaque")["active"], true);
    }
    // What is asked elsewhere asks no shard of its own: of this change none but a shard has heard.
    site.world.freeze_replica(true);
    site.patch("/admin/clients/demo-api", &json!({ "resources": ["https://api.test/"] }));
    for isolate in [&site, &elsewhere] {
        assert_eq!(inspect(isolate, "opaque"), dead(), "its scope is good at none of these");
    }
}

#[test]
fn they_are_administered_like_everything_at_our_address_and_the_vendors() {
    let site = made(&json!({}));
    let (status, shown) = site.admin(Method::GET, "/admin/oauth/externalserver/partner", &Value::Null);
    assert_eq!(
        (status, &shown["introspection_endpoint"], shown.get("client_secret")),
        (200, &json!(ENDPOINT), None)
    );
    let moved = json!({ "introspection_endpoint": OTHER });
    let (status, problem) = site.admin(Method::PATCH, "/admin/external-servers/partner", &moved);
    assert_eq!((status, &problem["field"]), (400, &json!("client_secret")));
    let private = json!({ "name": "x", "client_id": "we", "introspection_endpoint": "https://10.0.0.1/" });
    assert_eq!(site.admin(Method::POST, "/admin/external-servers", &private).0, 400);
    let (_, page) = site.admin(Method::GET, "/admin/external-servers", &Value::Null);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    for number in 1..10 {
        add(&site, &format!("n{number}"), OTHER, &json!({}));
    }
    let one_more = json!({ "name": "n10", "client_id": "we", "introspection_endpoint": OTHER });
    assert_eq!(site.admin(Method::POST, "/admin/external-servers", &one_more).0, 400);
    says(&site, ENDPOINT, 200, &active());
    says(&site, OTHER, 200, &json!({ "active": false }));
    assert_eq!(check(&site, "opaque", "/reports").status, 200);
    assert_eq!(site.admin(Method::DELETE, "/admin/external-servers/partner", &Value::Null).0, 204);
    assert_eq!(check(&site, "opaque", "/reports").status, 401);
    let (_, audit) = site.admin(Method::GET, "/admin/audit?q=external-server", &Value::Null);
    assert_eq!(audit["items"].as_array().unwrap().len(), 11);
    assert!(!audit.to_string().contains("hush-hush"));
}

#[test]
fn a_location_may_go_on_by_what_another_server_said_for_as_long_as_the_setting_says() {
    let site = made(&json!({}));
    site.patch("/admin/settings", &json!({ "check.cacheSeconds": 10 }));
    says(&site, ENDPOINT, 200, &active());
    assert_eq!(check(&site, "opaque", "/reports").status, 200);
    site.world.asked();
    says(&site, ENDPOINT, 200, &json!({ "active": false }));
    assert_eq!((check(&site, "opaque", "/reports").status.as_u16(), site.world.asked().len()), (200, 0));
    site.world.pass(edgemint::host::Seconds(10));
    assert_eq!(check(&site, "opaque", "/reports").status, 401);
}

#[test]
fn a_server_gives_no_more_than_it_may_and_nothing_that_is_not_in_the_catalogue() {
    let site = made(&json!({ "audience": "https://api.example" }));
    let mut said = with("scope", json!("reports orders.read superuser external"));
    said["aud"] = json!("https://api.example");
    site.patch("/admin/scopes/reports", &json!({ "resource": "https://reports.test" }));
    says(&site, ENDPOINT, 200, &said);
    assert_eq!(check(&site, "opaque", "/reports").header("x-auth-scope"), Some("orders.read reports"));
    assert_eq!(
        inspect(&site, "opaque")["aud"],
        "https://api.example",
        "what it says itself, not what we would"
    );
    assert_eq!(
        site.admin(Method::PATCH, "/admin/external-servers/partner", &json!({ "scope": "reports" })).0,
        200
    );
    assert_eq!(check(&site, "opaque", "/reports").header("x-auth-scope"), Some("reports"));
    assert_eq!(
        site.admin(Method::PATCH, "/admin/external-servers/partner", &json!({ "scope": "nothing" })).0,
        200
    );
    assert_eq!(check(&site, "opaque", "/reports").status, 403);
}

#[test]
fn a_silent_server_does_not_stand_before_the_next() {
    let site = made(&json!({}));
    add(&site, "a", OTHER, &json!({}));
    says(&site, OTHER, 500, &json!({}));
    says(&site, ENDPOINT, 200, &active());
    assert_eq!(check(&site, "opaque", "/reports").status, 200);
    says(&site, ENDPOINT, 200, &json!({ "active": false }));
    assert_eq!(check(&site, "opaque", "/reports").status, 503, "it may be the silent one's");
}

#[test]
fn who_has_no_name_at_the_other_server_is_nobody_here() {
    let site = made(&json!({}));
    let nameless = json!({ "active": true, "scope": "reports" });
    says(&site, ENDPOINT, 200, &nameless);
    assert_eq!(check(&site, "opaque", "/reports").status, 401);
    assert_eq!(
        site.admin(Method::PATCH, "/admin/external-servers/partner", &json!({ "username": "alice" })).0,
        200
    );
    assert_eq!(check(&site, "opaque", "/reports").status, 200);
}

#[test]
fn a_jwt_that_names_this_issuer_is_told_to_nobody() {
    let site = made(&json!({}));
    says(&site, ENDPOINT, 200, &active());
    assert_eq!(check(&site, &jwt(ISSUER), "/reports").status, 401);
    assert_eq!(site.world.fetched(), Vec::<String>::new());
    assert_eq!(check(&site, &jwt("https://elsewhere.test"), "/reports").status, 200);
}
