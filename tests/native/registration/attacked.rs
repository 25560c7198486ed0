//! What somebody tries who may register: at the registry, at administrators, at the eyes of people.

use super::{application, ask, asks, id, managed, open, read, register, tokens, with};
use crate::world::*;
use edgemint::host::Store;
use http::Method;
use serde_json::{Value, json};

#[test]
fn what_nobody_has_used_changes_what_it_says_and_no_shard_ever_hears_of_it() {
    let site = open();
    site.tokens();
    let client = register(&site, &application());
    let (target, mut token) = managed(&client);
    for uri in ["https://app.test/1", "https://app.test/2", "https://app.test/3", "https://app.test/cb"] {
        let body = with(application(), json!({ "client_id": id(&client), "redirect_uris": [uri] }));
        let (status, answer) = read(&ask(&site, Method::PUT, &target, &token, &body));
        assert_eq!(status, 200, "{answer}");
        token = string(&answer, "registration_access_token");
    }
    let marks = |binding| -> usize {
        let disks = site.world.disks(binding);
        disks.iter().map(|(_, disk)| disk.scan("marks", Some("client"), None, 99).unwrap().len()).sum()
    };
    assert_eq!((marks("REGISTRY"), marks("GRANTS")), (0, 0));
    // Used, it is like any other.
    let given = tokens(&site, &id(&client));
    assert_eq!(site.inspect(given["access_token"].as_str().unwrap())["active"], true);
}

#[test]
fn a_registration_token_of_before_manages_no_client_that_an_administrator_made() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let admin = format!("/admin/clients/{}", id(&client));
    assert_eq!(site.admin(Method::DELETE, &admin, &Value::Null).0, 204);
    let made =
        json!({ "client_id": id(&client), "client_name": "Ours", "redirect_uris": ["https://ours.test/cb"] });
    assert_eq!(site.admin(Method::POST, "/admin/clients", &made).0, 201);
    let body = with(application(), json!({ "client_id": id(&client) }));
    for (method, body) in [(Method::GET, Value::Null), (Method::PUT, body), (Method::DELETE, Value::Null)] {
        assert_eq!(ask(&site, method, &target, &token, &body).status, 401);
    }
    assert_eq!(site.admin(Method::GET, &admin, &Value::Null).1["client_name"], "Ours");
}

#[test]
fn what_a_client_says_of_itself_is_changed_by_nobody_else_who_would_believe_that_it_lasts() {
    let site = open();
    let client = register(&site, &application());
    let admin = format!("/admin/clients/{}", id(&client));
    for (field, value) in [
        ("scope", json!("reports")),
        ("redirect_uris", json!(["https://other.test/cb"])),
        ("client_name", json!("Another")),
    ] {
        let (status, problem) = site.admin(Method::PATCH, &admin, &json!({ field: value }));
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
    for patch in [json!({ "description": "watch it" }), json!({ "enabled": false })] {
        assert_eq!(site.admin(Method::PATCH, &admin, &patch).0, 200, "{patch}");
    }
}

#[test]
fn closing_holds_where_an_isolate_has_not_heard_of_it() {
    let site = open();
    let stale = site.beside();
    register(&stale, &application());
    site.world.freeze_replica(true);
    site.patch("/admin/settings", &json!({ "registration.open": 0 }));
    assert_eq!(ask(&stale, Method::POST, "/register", "", &application()).status, 401);
    site.patch("/admin/settings", &json!({ "registration.open": 1 }));
    assert_eq!(ask(&stale, Method::POST, "/register", "", &application()).status, 401);
}

#[test]
fn a_scope_that_is_gone_keeps_nobody_out_who_did_not_ask_for_it() {
    let site = open();
    site.admin(Method::POST, "/admin/scopes", &json!({ "name": "passing" }));
    let client = register(&site, &application());
    assert!(string(&client, "scope").contains("passing"));
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/passing", &Value::Null).0, 204);
    let page = asks(&site, &id(&client));
    assert_eq!(page.status, 200, "{}", text(&page));
}

#[test]
fn a_name_that_is_not_seen_or_changes_what_stands_beside_it_is_refused() {
    let site = open();
    for name in
        ["\u{3164}", " ", "A\u{61c}B", "A\u{ad}B", "\u{2800}", "A\u{e0041}", "\u{feff}A", "A\u{202e}B"]
    {
        let body = with(application(), json!({ "client_name": name }));
        let (status, answer) = read(&ask(&site, Method::POST, "/register", "", &body));
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_client_metadata")), "{name:?}");
    }
    register(&site, &with(application(), json!({ "client_name": "Café 東京 עברית" })));
}

#[test]
fn who_asks_to_be_bound_is_told_that_nobody_is() {
    let site = open();
    for name in [
        "dpop_bound_access_tokens",
        "tls_client_certificate_bound_access_tokens",
        "require_pushed_authorization_requests",
    ] {
        let (status, answer) =
            read(&ask(&site, Method::POST, "/register", "", &with(application(), json!({ name: true }))));
        assert_eq!(status, 400);
        assert!(string(&answer, "error_description").contains(name), "{answer}");
        register(&site, &with(application(), json!({ name: false })));
    }
}

#[test]
fn ids_of_clients_that_ended_reach_the_registry_only_so_often_and_keep_no_new_client_away() {
    let site = open();
    site.patch("/admin/settings", &json!({ "registration.perHour": 100_000 }));
    let ended: Vec<String> = (0..120)
        .map(|_| {
            let id = id(&register(&site, &application()));
            assert_eq!(site.admin(Method::DELETE, &format!("/admin/clients/{id}"), &Value::Null).0, 204);
            id
        })
        .collect();
    let elsewhere = site.beside();
    assert_eq!(elsewhere.get("/healthz").status, 200);
    site.world.operations();
    let statuses: Vec<u16> = ended.iter().map(|id| asks(&elsewhere, id).status.as_u16()).collect();
    let asked = site.world.operations().iter().filter(|to| *to == "REGISTRY").count();
    assert!(asked <= 101, "the registry was asked {asked} times");
    assert_eq!((statuses[0], statuses[119]), (400, 429));
    let client = register(&site, &application());
    assert_eq!(asks(&elsewhere, &id(&client)).status, 200, "its copy is there");
}

#[test]
fn a_catalogue_of_more_scopes_than_a_client_can_have_closes_registration_to_nobody() {
    let site = open();
    for number in 0..100 {
        let scope = json!({ "name": format!("more.{number}") });
        assert_eq!(site.admin(Method::POST, "/admin/scopes", &scope).0, 201);
    }
    let client = register(&site, &application());
    assert_eq!(client["scope"].as_str().unwrap().split(' ').count(), 100);
    let last = register(&site, &with(application(), json!({ "scope": "reports" })));
    assert_eq!(last["scope"], "reports");
}
