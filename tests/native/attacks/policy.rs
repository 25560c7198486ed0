//! Grants and policy: grant types by another path, members that an update may not touch, what is asked for beside.

use super::*;
use edgemint::host::Seconds;
use serde_json::json;

#[test]
fn a_grant_type_is_reached_by_its_own_switch_alone() {
    let site = Site::new();
    let own =
        json!({ "redirect_uris": [CALLBACK], "grant_types": ["client_credentials"], "scope": "reports" });
    let machine = register(&site, &own);
    let answer = unchanged(&site, "authorize", || site.authorize(id_of(&machine), &[]));
    assert_eq!(parameter(&answer, "error").as_deref(), Some("unauthorized_client"));
    for (client, grant_type) in [
        (WEB, "client_credentials"),
        (API, "client_credentials"),
        (API, "authorization_code"),
        (&machine, "authorization_code"),
        (&machine, "refresh_token"),
        (WEB, "password"),
        (&machine, "password"),
    ] {
        let fields = [
            ("grant_type", grant_type),
            ("code", "x"),
            ("refresh_token", "x"),
            ("username", "alice"),
            ("password", "wonderland"),
        ];
        let answer = unchanged(&site, client, || site.token(client, &fields));
        assert_eq!(refusal(&answer), (400, "unauthorized_client"), "{client} {grant_type}");
    }
    // Registered or not: names that are not served, and names that only look like one that is.
    for grant_type in [
        "implicit",
        "Password",
        "Client_Credentials",
        " client_credentials",
        "client_credentials ",
        "client_credentials\0",
        "client-credentials",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ] {
        let fields = [
            ("grant_type", grant_type),
            ("username", "alice"),
            ("password", "wonderland"),
            ("assertion", "x"),
        ];
        let answer = unchanged(&site, grant_type, || site.token(LEGACY, &fields));
        assert_eq!(refusal(&answer), (400, "unsupported_grant_type"), "{grant_type}");
    }
}

#[test]
fn a_grant_type_that_is_taken_away_takes_codes_and_refreshes_with_it() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let page = site.authorize("demo-web", &[("prompt", "consent")]);
    let token = string(&site.tokens(), "refresh_token");
    let patch = |types: Value| site.patch("/admin/clients/demo-web", &json!({ "grant_types": types }));
    patch(json!(["refresh_token"]));
    assert_eq!(refusal(&unchanged(&site, "code", || site.redeem(&code))), (400, "unauthorized_client"));
    let answer = unchanged(&site, "consent", || site.decide(&page, "all", &[]));
    assert_eq!(parameter(&answer, "error").as_deref(), Some("unauthorized_client"));
    patch(json!(["authorization_code"]));
    assert_eq!(refusal(&unchanged(&site, "refresh", || site.refresh(&token))), (400, "unauthorized_client"));
    let (status, tokens) = site.redeem(&site.code("demo-web", &[]));
    assert_eq!((status, tokens.get("refresh_token")), (200, None), "{tokens}");
}

#[test]
fn what_an_update_may_not_touch_it_does_not_touch() {
    let site = Site::new();
    for (target, fields) in [
        (
            "/admin/clients/demo-spa",
            &[
                "client_id",
                "client_secret",
                "client_id_issued_at",
                "incarnation",
                "version",
                "min_version",
                "secret",
                "restrictions",
                "issued",
                "changed",
                "attempts",
                "format",
                "metadata",
                "registration_access_token",
                "__proto__",
                "constructor",
            ][..],
        ),
        (
            "/admin/users/alice",
            &[
                "sub",
                "username",
                "hash",
                "salt",
                "version",
                "min_version",
                "shards",
                "attempts",
                "is_admin",
                "__proto__",
            ],
        ),
        (
            "/admin/settings",
            &["development", "development_issuer", "filter", "scopes", "version", "format", "__proto__"],
        ),
    ] {
        for field in fields {
            // Beside one that may be changed: neither is.
            let good = if target.ends_with("settings") { "refresh.graceSeconds" } else { "enabled" };
            let value = if target.ends_with("settings") { json!(1) } else { json!(false) };
            let answer = unchanged(&site, field, || {
                site.admin(Method::PATCH, target, &json!({ good: value, *field: 1 }))
            });
            assert_eq!((answer.0, &answer.1["field"]), (400, &json!(field)), "{target} {}", answer.1);
        }
    }
    // The rules of registration hold for an update, too.
    for (client, patch, field) in [
        ("demo-spa", json!({ "grant_types": ["client_credentials"] }), "grant_types"),
        ("demo-spa", json!({ "resource_server": true }), "resource_server"),
        ("demo-spa", json!({ "require_pkce": false }), "require_pkce"),
        (
            "demo-spa",
            json!({ "token_endpoint_auth_method": "client_secret_basic" }),
            "token_endpoint_auth_method",
        ),
        ("demo-web", json!({ "token_endpoint_auth_method": "none" }), "token_endpoint_auth_method"),
        ("demo-web", json!({ "redirect_uris": ["http://evil.test/"] }), "redirect_uris"),
        ("demo-web", json!({ "redirect_uris": [] }), "redirect_uris"),
        ("demo-web", json!({ "scope": "administrator" }), "scope"),
        ("demo-web", json!({ "access_token_lifetime": 0 }), "access_token_lifetime"),
        ("demo-web", json!({ "code_lifetime": 1_000_000_000 }), "code_lifetime"),
    ] {
        let target = format!("/admin/clients/{client}");
        let answer = unchanged(&site, field, || site.admin(Method::PATCH, &target, &patch));
        assert_eq!((answer.0, &answer.1["field"]), (400, &json!(field)), "{client} {patch} {}", answer.1);
    }
}

#[test]
fn what_a_client_may_have_bounds_what_is_asked_at_every_step() {
    let site = Site::new();
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports" }));
    let answer =
        unchanged(&site, "authorize", || site.authorize("demo-web", &[("scope", "reports orders.write")]));
    assert_eq!(parameter(&answer, "error").as_deref(), Some("invalid_scope"));
    let (_, tokens) = site.redeem(&site.code("demo-web", &[]));
    assert_eq!(tokens["scope"], "reports");
    let refresh = string(&tokens, "refresh_token");
    for scope in ["orders.write", "reports orders.write", "reports admin", "Reports", "reports*", "*"] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", scope)];
        let answer = unchanged(&site, scope, || site.token(WEB, &fields));
        assert_eq!(refusal(&answer), (400, "invalid_scope"), "{scope}");
    }
    // What the client gets later is not what the person gave.
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports orders.read orders.write" }));
    for scope in ["orders.write", "reports orders.write"] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", scope)];
        let answer = unchanged(&site, scope, || site.token(WEB, &fields));
        assert_eq!(refusal(&answer), (400, "invalid_scope"), "{scope}");
    }
    assert_eq!(site.refresh(&refresh).1["scope"], "reports");
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
