//! `/admin/scopes`: the catalogue, from which everything else follows.

use super::{machine, read, send, walk};
use crate::world::*;
use edgemint::{context::config::Vars, host::Seconds, wire::encode};
use http::Method;
use serde_json::{Value, json};

fn scope(name: &str) -> Value {
    json!({ "name": name, "description": format!("Use {name}") })
}

#[test]
fn a_production_server_goes_from_nothing_to_tokens_by_its_api_alone() {
    let production = Vars { mode: None, issuer: Some("https://localhost:8787".into()), ..development() };
    let site = Site::with(&World::new(), &production);
    let make = |target: &str, body: &Value| {
        let (status, made) = site.admin(Method::POST, target, body);
        assert_eq!(status, 201, "{target} {made}");
        made
    };
    assert_eq!(site.admin(Method::POST, "/admin/clients", &machine("early")).1["field"], "scope");
    make("/admin/scopes", &json!({ "name": "invoices", "description": "See your invoices" }));
    let client = make(
        "/admin/clients",
        &json!({
            "client_id": "shop", "redirect_uris": [CALLBACK], "scope": "invoices",
            "grant_types": ["authorization_code", "refresh_token"],
        }),
    );
    make("/admin/users", &json!({ "username": "carol", "password": "correct horse" }));
    let page = site.sign_in(&site.authorize("shop", &[]), "carol", "correct horse");
    assert!(text(&page).contains("See your invoices"), "{}", text(&page));
    let code = parameter(&site.decide(&page, "all", &[]), "code").unwrap();
    let shop = format!("shop:{}", client["client_secret"].as_str().unwrap());
    let (status, tokens) = site.token(&shop, &redemption(&code));
    assert_eq!((status, &tokens["scope"]), (200, &json!("invoices")), "{tokens}");
    let access = tokens["access_token"].as_str().unwrap();
    let (_, seen) = site.post("/introspect", &shop, &[("token", access)]);
    assert_eq!((&seen["active"], &seen["username"]), (&json!(true), &json!("carol")));
    let refresh =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(site.token(&shop, &refresh).0, 200);
}

#[test]
fn a_scope_is_made_changed_and_deleted() {
    let site = Site::new();
    let name = "https://api.test/orders:read";
    let response = send(&site, Method::POST, "/admin/scopes", &[], &scope(name).to_string());
    assert_eq!(response.status, 201, "{}", text(&response));
    let location = format!("http://localhost:8787/admin/scopes/{}", encode(name));
    assert_eq!(response.header("location"), Some(location.as_str()));
    let path = location.strip_prefix(ISSUER).unwrap();
    let first = response.header("etag").unwrap().to_owned();
    assert_eq!(
        read(&site, path),
        json!({
            "name": name, "description": format!("Use {name}"), "folders": [], "services": [], "urls": [],
            "groups": [], "client_groups": [], "resource": "", "clients": [],
        })
    );

    let change = json!({ "description": "Read orders" }).to_string();
    let changed = send(&site, Method::PATCH, path, &[("if-match", &first)], &change);
    assert_eq!(changed.status, 200, "{}", text(&changed));
    assert_ne!(changed.header("etag"), Some(first.as_str()));
    assert_eq!(send(&site, Method::PATCH, path, &[("if-match", &first)], &change).status, 412);
    assert_eq!(send(&site, Method::DELETE, path, &[("if-match", &first)], "").status, 412);
    // Other scopes and the settings change their versions without touching this one's.
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &scope("other")).0, 201);
    let second = changed.header("etag").unwrap().to_owned();
    assert_eq!(send(&site, Method::DELETE, path, &[("if-match", &second)], "").status, 204);
    assert_eq!(site.admin(Method::GET, path, &Value::Null).0, 404);
    assert_eq!(site.admin(Method::DELETE, path, &Value::Null).0, 404);
    assert_eq!(site.admin(Method::PATCH, path, &json!({})).0, 404);
    let names: Vec<String> =
        ["created", "changed", "created", "deleted"].map(|what| format!("admin.scope.{what}")).into();
    let events = site.world.events();
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .filter(|event| event.starts_with("admin.scope."))
        .collect();
    assert_eq!(told, names);
    assert!(events.iter().any(|event| event["event"] == "admin.scope.deleted" && event["scope"] == name));
}

#[test]
fn a_scope_that_clients_have_stays() {
    let site = Site::new();
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &scope("extra")).0, 201);
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/extra", &Value::Null).0, 204);
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &scope("extra")).0, 201);
    for number in 0..7 {
        let client = json!({
            "client_id": format!("m{number}"), "grant_types": ["client_credentials"], "scope": "extra reports",
        });
        assert_eq!(site.admin(Method::POST, "/admin/clients", &client).0, 201);
    }
    let (status, problem) = site.admin(Method::DELETE, "/admin/scopes/extra", &Value::Null);
    assert_eq!((status, &problem["error"], &problem["field"]), (409, &json!("conflict"), &json!("clients")));
    assert_eq!(problem["detail"], "clients have this scope: m0, m1, m2, m3, m4 and 2 more");
    assert_eq!(
        read(&site, "/admin/scopes/extra")["clients"],
        json!(["m0", "m1", "m2", "m3", "m4", "m5", "m6"])
    );
    for number in 0..7 {
        let narrower = json!({ "scope": "reports" });
        assert_eq!(site.admin(Method::PATCH, &format!("/admin/clients/m{number}"), &narrower).0, 200);
    }
    assert_eq!(read(&site, "/admin/scopes/extra")["clients"], json!([]));
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/extra", &Value::Null).0, 204);
    let again = json!({ "scope": "extra" });
    assert_eq!(site.admin(Method::PATCH, "/admin/clients/m0", &again).1["field"], "scope");
}

#[test]
fn a_client_with_a_new_scope_works_at_once_although_the_replica_lags() {
    let site = Site::new();
    let elsewhere = site.beside();
    assert_eq!(elsewhere.authorize("demo-web", &[]).status, 200);
    site.world.freeze_replica(true);
    let new = json!({ "name": "fresh", "description": "Something new" });
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &new).0, 201);
    let client = json!({ "client_id": "newcomer", "redirect_uris": [CALLBACK], "scope": "fresh" });
    assert_eq!(site.admin(Method::POST, "/admin/clients", &client).0, 201);
    let page = elsewhere.authorize("newcomer", &[]);
    let page = elsewhere.sign_in(&page, "alice", "wonderland");
    assert!(text(&page).contains("Something new"), "{}", text(&page));
}

#[test]
fn what_is_no_scope_is_refused_by_member() {
    let site = Site::new();
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "a b" }), "name"),
        (json!({ "name": "openid" }), "name"),
        (json!({ "name": "admin.read" }), "name"),
        (json!({ "name": ["x"] }), "name"),
        (json!({ "name": "x", "description": 7 }), "description"),
        (json!({ "name": "x", "description": "a\u{0}b" }), "description"),
        (json!({ "name": "x", "description": "y".repeat(501) }), "description"),
        (json!({ "name": "x", "magic": true }), "magic"),
        (json!({ "name": "x", "clients": ["nobody"] }), "clients"),
        (json!({ "name": "x", "clients": "demo-web" }), "clients"),
    ] {
        let (status, problem) = site.admin(Method::POST, "/admin/scopes", &body);
        assert_eq!(
            (status, &problem["error"], &problem["field"]),
            (400, &json!("invalid_request"), &json!(field)),
            "{body}"
        );
    }
    assert_eq!(site.admin(Method::GET, "/admin/scopes/x", &Value::Null).0, 404);
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &scope("reports")).0, 409);
    let renamed = json!({ "name": "other" });
    assert_eq!(site.admin(Method::PATCH, "/admin/scopes/reports", &renamed).1["field"], "name");
}

#[test]
fn a_lost_answer_makes_changes_and_deletes_a_scope_once() {
    let site = Site::new();
    site.world.fate("REGISTRY", &[Fate::Unanswered]);
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &scope("once")).0, 201);
    site.world.fate("REGISTRY", &[Fate::Unanswered]);
    let change = json!({ "description": "Twice told" });
    assert_eq!(site.admin(Method::PATCH, "/admin/scopes/once", &change).1["description"], "Twice told");
    site.world.fate("REGISTRY", &[Fate::Unanswered]);
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/once", &Value::Null).0, 204);
}

#[test]
fn the_metadata_lists_the_catalogue() {
    let site = Site::new();
    let supported = || {
        let metadata = read_metadata(&site);
        let names = metadata["scopes_supported"].as_array().unwrap();
        // Behind them those of OpenID Connect.
        Value::Array(names[..names.len() - 6].to_vec())
    };
    assert_eq!(supported(), json!(["orders.read", "orders.write", "reports"]));
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &scope("more")).0, 201);
    assert_eq!(supported(), json!(["more", "orders.read", "orders.write", "reports"]));
    for limit in [1, 2, 200] {
        assert_eq!(walk(&site, "/admin/scopes", "name", limit).len(), 4);
    }
    assert_eq!(walk(&site, "/admin/scopes?q=orders", "name", 1).len(), 2);
    site.world.pass(Seconds(60));
    assert_eq!(supported(), json!(["more", "orders.read", "orders.write", "reports"]));
}

fn read_metadata(site: &Site) -> Value {
    let response = site.get("/.well-known/oauth-authorization-server");
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn a_scope_is_given_to_clients_and_taken_from_them_from_its_own_side() {
    let site = Site::new();
    let scopes_of = |client: &str| read(&site, &format!("/admin/clients/{client}"))["scope"].clone();
    let before = scopes_of("demo-web");
    let made = json!({ "name": "extra", "clients": ["demo-web", "demo-machine"] });
    let (status, shown) = site.admin(Method::POST, "/admin/scopes", &made);
    assert_eq!((status, &shown["clients"]), (201, &json!(["demo-machine", "demo-web"])), "{shown}");
    assert_eq!(
        scopes_of("demo-web"),
        json!("address email extra offline_access openid orders.read orders.write phone profile reports")
    );
    let fields = [("grant_type", "client_credentials"), ("scope", "extra")];
    let token = string(&site.token(MACHINE, &fields).1, "access_token");
    site.world.pass(Seconds(10));

    // What says nothing of clients changes none; what was shown may be put back.
    site.patch("/admin/scopes/extra", &json!({ "description": "More" }));
    let item = read(&site, "/admin/scopes/extra");
    assert_eq!(site.admin(Method::PUT, "/admin/scopes/extra", &item).1["clients"], item["clients"]);
    assert_eq!(site.admin(Method::PUT, "/admin/scopes/extra", &json!({})).1["clients"], item["clients"]);

    let (_, shown) = site.admin(Method::PATCH, "/admin/scopes/extra", &json!({ "clients": ["demo-web"] }));
    assert_eq!(shown["clients"], json!(["demo-web"]));
    assert_eq!(site.token(MACHINE, &fields).1["error"], "invalid_scope");
    assert_eq!(site.inspect(&token), dead(), "what is taken from a client is taken from its tokens");
    let (_, shown) = site.admin(Method::PATCH, "/admin/scopes/extra", &json!({ "clients": null }));
    assert_eq!((&shown["clients"], scopes_of("demo-web")), (&json!([]), before));

    // Who has it is a part of what two administrators may both be changing.
    let seen = send(&site, Method::GET, "/admin/scopes/extra", &[], "");
    let tag = seen.header("etag").unwrap();
    site.patch("/admin/clients/demo-spa", &json!({ "scope": "reports extra" }));
    let mine = json!({ "clients": ["demo-web"] }).to_string();
    let late = send(&site, Method::PATCH, "/admin/scopes/extra", &[("if-match", tag)], &mine);
    assert_eq!((late.status.as_u16(), scopes_of("demo-spa")), (412, json!("extra reports")));
    site.patch("/admin/scopes/extra", &json!({ "clients": [] }));

    let changes = read(&site, "/admin/audit")["items"].clone();
    let of_clients = |change: &&Value| change["action"] == "client.changed";
    assert_eq!(changes.as_array().unwrap().iter().filter(of_clients).count(), 6);
    let many: Vec<String> = (0..101).map(|number| format!("c{number}")).collect();
    let (status, problem) = site.admin(Method::PATCH, "/admin/scopes/extra", &json!({ "clients": many }));
    assert_eq!((status, &problem["field"]), (400, &json!("clients")), "{problem}");
}

#[test]
fn taking_a_scope_from_clients_is_answered_once_every_shard_holds_it() {
    let site = Site::new();
    site.tokens();
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let fewer = json!({ "clients": ["demo-spa"] });
    assert_eq!(site.admin(Method::PATCH, "/admin/scopes/reports", &fewer).0, 503);
    // Saying it again does what is left.
    site.patch("/admin/scopes/reports", &fewer);
    assert_eq!(read(&site, "/admin/scopes/reports")["clients"], json!(["demo-spa"]));
    let left = "address email offline_access openid orders.read orders.write phone profile";
    assert_eq!(read(&site, "/admin/clients/demo-web")["scope"], left);

    // A client that gets tokens for itself follows later, and the answer says so.
    let wider = json!({ "clients": ["demo-machine"] }).to_string();
    site.world.fate("GRANTS", &[]);
    assert_eq!(send(&site, Method::PATCH, "/admin/scopes/reports", &[], &wider).status, 200);
    let none = json!({ "clients": [] }).to_string();
    let answer = send(&site, Method::PATCH, "/admin/scopes/reports", &[], &none);
    assert_eq!(answer.header("edgemint-follows"), Some("client_credentials; within=90"));

    // The end of one that opens something: repeated until every shard has heard.
    site.patch("/admin/scopes/reports", &json!({ "urls": ["GET /r"] }));
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/reports", &Value::Null).0, 503);
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/reports", &Value::Null).0, 204);
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/reports", &Value::Null).0, 404);
}
