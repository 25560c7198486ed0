//! Who may administer beside the holder of the administrator's token: people by their roles, clients by their mark, and
//! both only by a token with the scope for it.

use super::{machine, read, send};
use crate::world::*;
use edgemint::{
    crypto::Keys,
    host::Seconds,
    model::ticket::{Access, Ticket as _},
};
use http::Method;
use serde_json::{Value, json};

/// A token of alice's for the administration, given to a client that may have one.
fn token_of_alice(site: &Site, scope: &str) -> String {
    site.patch("/admin/clients/demo-web", &json!({ "scope": "orders.read admin admin.read" }));
    let code = site.code("demo-web", &[("scope", scope)]);
    string(&site.redeem(&code).1, "access_token")
}

/// A client that may administer.
fn clerk(site: &Site, scope: &str, administrative: bool) -> (String, String) {
    let mut body = machine("clerk");
    body["scope"] = json!("reports admin admin.read");
    body["administrative"] = json!(administrative);
    let (status, created) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!(status, 201, "{created}");
    let secret = string(&created, "client_secret");
    (secret.clone(), own(site, &secret, scope))
}

fn own(site: &Site, secret: &str, scope: &str) -> String {
    let fields = [
        ("grant_type", "client_credentials"),
        ("scope", scope),
        ("client_id", "clerk"),
        ("client_secret", secret),
    ];
    let response = site.send(&request(
        Method::POST,
        "/token",
        &[("content-type", "application/x-www-form-urlencoded")],
        &form(&fields),
    ));
    string(&serde_json::from_str(&text(&response)).expect("JSON"), "access_token")
}

/// Status of a read and of a write with a token.
fn may(site: &Site, token: &str) -> (u16, u16) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let reads = send(site, Method::GET, "/admin/clients", &headers, "");
    let writes = send(site, Method::PATCH, "/admin/settings", &headers, "{\"log.successPercent\":100}");
    (reads.status.as_u16(), writes.status.as_u16())
}

fn role(site: &Site, roles: &Value) {
    site.patch("/admin/users/alice", &json!({ "roles": roles }));
}

#[test]
fn a_token_that_is_for_a_resource_as_well_administers_nothing() {
    let site = Site::new();
    role(&site, &json!(["administrator"]));
    let token = token_of_alice(&site, "admin");
    assert_eq!(may(&site, &token), (200, 200));
    let both = token_of_alice(&site, "admin orders.read");
    assert_eq!(may(&site, &both), (200, 200), "orders.read belongs to no resource yet");
    site.patch("/admin/scopes/orders.read", &json!({ "resource": "https://orders.test" }));
    assert_eq!((may(&site, &both), may(&site, &token)), ((403, 403), (200, 200)));
}

#[test]
fn an_administrator_may_change_and_an_auditor_may_read_by_a_token_with_the_scope() {
    let site = Site::new();
    let (full, reading, other) = (
        token_of_alice(&site, "admin"),
        token_of_alice(&site, "admin.read"),
        token_of_alice(&site, "orders.read"),
    );
    for token in [&full, &reading, &other] {
        assert_eq!(may(&site, token), (403, 403), "alice has no role yet");
    }
    role(&site, &json!(["auditor"]));
    assert_eq!(
        (may(&site, &full), may(&site, &reading), may(&site, &other)),
        ((200, 403), (200, 403), (403, 403))
    );
    role(&site, &json!(["administrator"]));
    assert_eq!(
        (may(&site, &full), may(&site, &reading), may(&site, &other)),
        ((200, 200), (200, 403), (403, 403))
    );
    role(&site, &json!(null));
    assert_eq!(may(&site, &full), (403, 403));
}

#[test]
fn who_may_read_is_told_which_scope_a_change_needs_if_that_is_what_lacks() {
    let site = Site::new();
    let challenge = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let answer = send(&site, Method::PATCH, "/admin/settings", &headers, "{}");
        assert_eq!(answer.status, 403);
        answer.header("www-authenticate").map(str::to_owned)
    };
    let (full, reading) = (token_of_alice(&site, "admin"), token_of_alice(&site, "admin.read"));
    role(&site, &json!(["auditor"]));
    assert_eq!((challenge(&full), challenge(&reading)), (None, None), "no other token would do");
    role(&site, &json!(["administrator"]));
    let named = challenge(&reading).expect("a challenge");
    assert!(named.contains("error=\"insufficient_scope\", scope=\"admin\""), "{named}");
}

#[test]
fn a_token_without_the_scope_is_told_which_one_it_lacks() {
    let site = Site::new();
    role(&site, &json!(["administrator"]));
    let token = token_of_alice(&site, "orders.read");
    let bearer = format!("Bearer {token}");
    let refused = send(&site, Method::GET, "/admin/users", &[("authorization", &bearer)], "");
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("insufficient_scope") && challenge.contains("scope=\"admin\""), "{challenge}");
}

#[test]
fn what_ends_a_token_ends_its_administration() {
    for end in ["revoked", "expired", "disabled", "refresh token"] {
        let site = Site::new();
        role(&site, &json!(["administrator"]));
        let token = token_of_alice(&site, "admin");
        assert_eq!(may(&site, &token), (200, 200));
        match end {
            "revoked" => {
                assert_eq!(site.post("/revoke", "demo-web:demo-web-secret", &[("token", &token)]).0, 200);
            }
            "expired" => site.world.pass(Seconds(3601)),
            "disabled" => site.patch("/admin/users/alice", &json!({ "enabled": false })),
            _ => {
                let code = site.code("demo-web", &[("scope", "admin")]);
                let refresh = string(&site.redeem(&code).1, "refresh_token");
                assert_eq!(may(&site, &refresh), (401, 401), "a refresh token is no access token");
                continue;
            }
        }
        assert_eq!(may(&site, &token), (401, 401), "{end}");
    }
}

#[test]
fn who_was_disabled_or_cut_off_administers_no_more_also_where_no_shard_has_heard_of_it() {
    let ends = [
        (Method::PATCH, "/admin/users/alice", json!({ "enabled": false })),
        (Method::PATCH, "/admin/users/alice", json!({ "password": "another password" })),
        (Method::DELETE, "/admin/grants?username=alice", Value::Null),
        (Method::PATCH, "/admin/clients/clerk", json!({ "enabled": false })),
        (Method::PATCH, "/admin/clients/clerk", json!({ "scope": "reports admin.read" })),
        (Method::DELETE, "/admin/grants?client_id=clerk", Value::Null),
    ];
    for (method, target, body) in ends {
        let site = Site::new();
        role(&site, &json!(["administrator"]));
        let (_, clerk) = clerk(&site, "admin", true);
        let token = if target.contains("clerk") { clerk } else { token_of_alice(&site, "admin") };
        site.world.pass(Seconds(10));
        assert_eq!(may(&site, &token), (200, 200));
        site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
        assert_eq!(site.admin(method, target, &body).0, 503, "{target} {body}");
        assert_eq!(may(&site, &token), (401, 401), "{target} {body}");
    }
}

#[test]
fn a_client_administers_only_while_it_is_marked_and_only_by_a_token_that_knows_its_secret() {
    let site = Site::new();
    let (_, unmarked) = clerk(&site, "admin", false);
    // What was issued in the moment of a restriction is dead, whoever is right about the clock.
    site.world.pass(Seconds(10));
    assert_eq!(may(&site, &unmarked), (403, 403));
    site.patch("/admin/clients/clerk", &json!({ "administrative": true }));
    assert_eq!(may(&site, &unmarked), (200, 200));
    site.patch("/admin/clients/clerk", &json!({ "administrative": false }));
    assert_eq!(may(&site, &unmarked), (403, 403));
    site.patch("/admin/clients/clerk", &json!({ "administrative": true }));
    let (status, rekeyed) = site.admin(Method::POST, "/admin/clients/clerk/secret", &json!({}));
    assert_eq!(status, 200);
    assert_eq!(may(&site, &unmarked), (401, 401), "made before the secret was new");
    let secret = string(&rekeyed, "client_secret");
    assert_eq!(may(&site, &own(&site, &secret, "admin")), (200, 200));
    assert_eq!(may(&site, &own(&site, &secret, "admin.read")), (200, 403));
    assert_eq!(may(&site, &own(&site, &secret, "reports")), (403, 403));
}

#[test]
fn a_leaked_master_key_alone_makes_no_administrator() {
    let site = Site::new();
    let (_, token) = clerk(&site, "admin", true);
    let keys = Keys::parse(&development().master_key.expect("a key"), "http://localhost:8787").expect("keys");
    let Access { claims, proof } = Access::open(&keys, &token).expect("a token of ours");
    assert!(!proof.0.is_empty());
    for forged in [vec![], vec![0; proof.0.len()]] {
        let forged = Access { claims: claims.clone(), proof: edgemint::crypto::Secret(forged) };
        assert_eq!(may(&site, &forged.seal(&keys).expect("sealed")), (401, 401));
    }
    assert_eq!(may(&site, &token), (200, 200));
}

#[test]
fn the_servers_own_scopes_are_given_only_to_who_asks_for_them_by_name() {
    let site = Site::new();
    site.patch("/admin/clients/demo-web", &json!({ "scope": "orders.read admin" }));
    let tokens = site.redeem(&site.code("demo-web", &[("scope", "")])).1;
    assert_eq!(tokens["scope"], "orders.read");
    let (status, listed) = site.admin(Method::GET, "/admin/scopes/admin", &Value::Null);
    assert_eq!(status, 404, "{listed}");
    let metadata: Value =
        serde_json::from_str(&text(&site.get("/.well-known/oauth-authorization-server"))).expect("JSON");
    assert!(!metadata["scopes_supported"].to_string().contains("admin"));
}

#[test]
fn who_changed_something_is_told_by_name() {
    let site = Site::new();
    role(&site, &json!(["administrator"]));
    let token = token_of_alice(&site, "admin");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("cf-connecting-ip", "192.0.2.7")];
    // Of changes in one millisecond none is the newest.
    site.world.pass(Seconds(1));
    send(&site, Method::PATCH, "/admin/settings", &headers, "{\"log.successPercent\":7}");
    let newest = read(&site, "/admin/audit?limit=1")["items"][0].clone();
    assert_eq!(newest["by"], json!({ "kind": "user", "name": "alice" }));
    assert_eq!((&newest["address"], &newest["action"]), (&json!("192.0.2.7"), &json!("settings.changed")));
    assert_eq!(newest["before"], json!({ "log.successPercent": 100 }));
    assert_eq!(newest["after"], json!({ "log.successPercent": 7 }));
}
