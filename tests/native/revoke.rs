//! Revocation and introspection.

use crate::world::*;
use edgemint::host::Seconds;
use http::Method;
use serde_json::{Value, json};

fn own_token(site: &Site) -> String {
    string(&site.token(MACHINE, &[("grant_type", "client_credentials")]).1, "access_token")
}

#[test]
fn revoking_a_refresh_token_of_any_generation_ends_its_access_tokens_at_once() {
    let site = Site::new();
    for generation in [0, 1] {
        let first = site.tokens();
        let second = site.refresh(&string(&first, "refresh_token")).1;
        let token = string([&first, &second][generation], "refresh_token");
        assert_eq!(site.post("/revoke", WEB, &[("token", &token)]), (200, Value::Null));
        for tokens in [&first, &second] {
            assert_eq!(site.inspect(&string(tokens, "access_token")), dead());
        }
        assert_eq!(site.refresh(&string(&second, "refresh_token")).0, 400);
    }
}

#[test]
fn revoking_an_access_token_ends_it_alone_unless_a_setting_ends_its_grant() {
    let site = Site::new();
    let first = site.tokens();
    let second = site.refresh(&string(&first, "refresh_token")).1;
    assert_eq!(site.post("/revoke", WEB, &[("token", &string(&first, "access_token"))]).0, 200);
    assert_eq!(site.inspect(&string(&first, "access_token")), dead());
    assert_eq!(site.inspect(&string(&second, "access_token"))["active"], true);
    assert_eq!(
        site.admin(Method::PATCH, "/admin/settings", &json!({ "revoke.accessTokenEndsGrant": true })).0,
        200
    );
    assert_eq!(site.post("/revoke", WEB, &[("token", &string(&second, "access_token"))]).0, 200);
    assert_eq!(site.refresh(&string(&second, "refresh_token")).0, 400);
}

#[test]
fn revoking_what_is_no_token_is_no_error_and_has_no_effect() {
    let site = Site::new();
    let tokens = site.tokens();
    let before = site.world.dump();
    for token in [
        "nonsense",
        "ema_a.AAAA",
        "emr_a.",
        "emc_z.AAAA",
        &string(&tokens, "refresh_token").replace("emr_a", "emr_b"),
    ] {
        assert_eq!(site.post("/revoke", WEB, &[("token", token)]).0, 200, "{token}");
    }
    assert_eq!(site.post("/revoke", WEB, &[]).1["error"], "invalid_request");
    assert_eq!(site.world.dump(), before);
}

#[test]
fn another_clients_token_is_not_mine_to_revoke() {
    let site = Site::new();
    let tokens = site.tokens();
    let own = own_token(&site);
    for (client, token) in [
        ("demo-spa", string(&tokens, "refresh_token")),
        ("demo-short:demo-short-secret", string(&tokens, "access_token")),
        (WEB, own.clone()),
    ] {
        let (status, body) = site.post("/revoke", client, &[("token", &token)]);
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")), "{client}");
    }
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
    assert_eq!(site.inspect(&own)["active"], true);
}

#[test]
fn storage_that_is_away_is_503_and_never_a_200_that_did_nothing() {
    let site = Site::new();
    let tokens = site.tokens();
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let response = site.send(&post("/revoke", WEB, &[("token", &string(&tokens, "refresh_token"))]));
    assert_eq!((response.status.as_u16(), response.header("retry-after")), (503, Some("1")));
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
    // Away once: the edge asks again by itself.
    site.world.fate("GRANTS", &[Fate::Lost]);
    assert_eq!(site.post("/revoke", WEB, &[("token", &string(&tokens, "refresh_token"))]).0, 200);
    assert_eq!(site.inspect(&string(&tokens, "access_token")), dead());
}

#[test]
fn a_revoked_family_is_not_resurrected_by_a_refresh() {
    let site = Site::new();
    let tokens = site.tokens();
    let token = string(&tokens, "refresh_token");
    let refreshed = site.refresh(&token).1;
    assert_eq!(site.post("/revoke", WEB, &[("token", &token)]).0, 200);
    assert_eq!(site.refresh(&token).0, 400); // Within the grace, too.
    assert_eq!(site.inspect(&string(&refreshed, "access_token")), dead());
}

#[test]
fn a_clients_own_token_is_revoked_by_it_alone() {
    let site = Site::new();
    let (one, other) = (own_token(&site), own_token(&site));
    assert_eq!(site.post("/revoke", MACHINE, &[("token", &one)]).0, 200);
    assert_eq!(site.inspect(&one), dead());
    assert_eq!(site.inspect(&other)["active"], true);
}

#[test]
fn a_token_expires_to_the_second_and_is_then_exactly_inactive() {
    let site = Site::new();
    let (grants, own) = (string(&site.tokens(), "access_token"), own_token(&site));
    site.world.pass(Seconds(3599));
    assert_eq!(site.inspect(&grants)["active"], true);
    assert_eq!(site.inspect(&own)["active"], true);
    site.world.pass(Seconds(1));
    assert_eq!(site.inspect(&grants), dead());
    assert_eq!(site.inspect(&own), dead());
}

#[test]
fn introspection_tells_a_resource_server_what_it_needs_and_others_nothing() {
    let site = Site::new();
    let tokens = site.tokens();
    let access = string(&tokens, "access_token");
    let seen = site.inspect(&access);
    assert_eq!(seen["username"], "alice");
    assert_eq!(seen["client_id"], "demo-web");
    assert_eq!(seen["iss"], ISSUER);
    assert_eq!(seen["token_type"], "Bearer");
    assert!(seen["sub"].as_str().is_some_and(|sub| sub.len() == 22));
    let ask = |client: &str, token: &str| site.post("/introspect", client, &[("token", token)]);
    assert_eq!(ask(WEB, &access).1["active"], true);
    assert_eq!(ask(MACHINE, &access), (200, dead()));
    assert_eq!(ask("demo-spa", &access).0, 401);
    assert_eq!(ask("demo-api:wrong", &access).0, 401);
    assert_eq!(ask("", &access).0, 401);
    assert_eq!(ask("demo-api:demo-api-secret", &string(&tokens, "refresh_token")).1["active"], true);
    assert_eq!(ask("demo-api:demo-api-secret", "").1["error"], "invalid_request");
}

#[test]
fn a_forged_access_token_with_a_real_grants_address_is_inactive_even_under_the_right_master_key() {
    use edgemint::{
        crypto::{Keys, Secret},
        model::ticket::{Access, Ticket},
    };
    let site = Site::new();
    let tokens = site.tokens();
    let keys = Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    let mut access = Access::open(&keys, &string(&tokens, "access_token")).unwrap();
    assert_eq!(site.inspect(&access.seal(&keys).unwrap())["active"], true);
    access.claims.id = "another".into();
    assert_eq!(site.inspect(&access.seal(&keys).unwrap()), dead());
    access.proof = Secret(vec![0; 16]);
    assert_eq!(site.inspect(&access.seal(&keys).unwrap()), dead());
    assert_eq!(site.post("/revoke", WEB, &[("token", &access.seal(&keys).unwrap())]).0, 200);
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
}

#[test]
fn a_forged_refresh_token_with_a_real_grants_address_changes_nothing_even_under_the_right_master_key() {
    use edgemint::{
        crypto::{Keys, Secret},
        model::ticket::{Refresh, Ticket},
    };
    let site = Site::new();
    let first = string(&site.tokens(), "refresh_token");
    let second = string(&site.refresh(&first).1, "refresh_token");
    let keys = Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    let [old, current] = [&first, &second].map(|token| Refresh::open(&keys, token).unwrap());
    let before = site.world.dump();
    for (generation, proof) in
        [(1, Secret(vec![0; 16])), (2, Secret(vec![0; 16])), (2, old.proof), (3, current.proof.clone())]
    {
        let forged = Refresh { generation, proof, ..current.clone() }.seal(&keys).unwrap();
        assert_eq!(site.refresh(&forged).1["error"], "invalid_grant", "{generation}");
        assert_eq!(site.inspect(&forged), dead(), "{generation}");
        assert_eq!(site.post("/revoke", WEB, &[("token", &forged)]).0, 200, "{generation}");
    }
    assert_eq!(site.world.dump(), before);
    assert_eq!(site.refresh(&second).0, 200);
}

#[test]
fn a_resource_server_that_names_its_resources_is_told_of_tokens_for_these_and_of_no_others() {
    const ORDERS: &str = "https://api.test/orders";
    const REPORTS: &str = "https://api.test/reports";
    const API: &str = "demo-api:demo-api-secret";
    let site = Site::new();
    site.patch("/admin/scopes/orders.read", &json!({ "resource": ORDERS }));
    site.patch("/admin/scopes/reports", &json!({ "resource": REPORTS }));
    let of = |scope: &str| {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        string(&site.token(MACHINE, &fields).1, "access_token")
    };
    let [orders, reports, both, none] =
        ["orders.read", "reports", "orders.read reports", "orders.write"].map(of);
    for token in [&orders, &reports, &both, &none] {
        assert_eq!(site.inspect(token)["active"], true, "who names none is told of all");
    }
    let code = site.code("demo-web", &[("scope", "openid orders.read orders.write")]);
    let granted = site.redeem(&code).1;
    site.patch("/admin/clients/demo-api", &json!({ "resources": [REPORTS] }));
    assert_eq!(site.inspect(&orders), dead());
    assert_eq!(site.inspect(&none), dead());
    for token in ["access_token", "refresh_token"] {
        let token = string(&granted, token);
        assert_eq!(site.inspect(&token), dead());
        let (_, said) = site.post("/invoke/pub.oauth/introspectToken", API, &[("token", &token)]);
        assert_eq!(said["active"], "false", "{said}");
        assert_eq!(site.post("/introspect", WEB, &[("token", &token)]).1["active"], true, "its own client");
    }
    assert_eq!(site.inspect(&reports)["aud"], REPORTS);
    let seen = site.inspect(&both);
    assert_eq!([&seen["aud"], &seen["scope"]], [REPORTS, "reports"], "nothing of others' resources");
    site.patch("/admin/clients/demo-api", &json!({ "resources": ["https://else.test/", ORDERS] }));
    assert_eq!(site.inspect(&reports), dead());
    let seen = site.inspect(&string(&granted, "access_token"));
    assert_eq!([&seen["aud"], &seen["scope"]], [ORDERS, "orders.read"], "the rest is this server's");
    site.patch("/admin/clients/demo-api", &json!({ "resources": [ISSUER, ORDERS] }));
    let seen = site.inspect(&string(&granted, "access_token"));
    assert_eq!(seen["scope"], "openid orders.read orders.write");
    assert_eq!(seen["aud"], json!([ORDERS, ISSUER]), "as a JWT says it");
    site.patch("/admin/clients/demo-api", &json!({ "resources": [ISSUER] }));
    assert_eq!(site.inspect(&none)["aud"], ISSUER, "what belongs to no resource is for this server");
    assert_eq!([site.inspect(&orders), site.inspect(&reports)], [dead(), dead()]);
    for (resources, problem) in
        [(json!(["orders"]), 400), (json!(["https://a.test/#b"]), 400), (json!([]), 200)]
    {
        let patch = json!({ "resources": resources });
        assert_eq!(site.admin(Method::PATCH, "/admin/clients/demo-api", &patch).0, problem, "{resources}");
    }
    assert_eq!(site.inspect(&orders)["active"], true);
}
