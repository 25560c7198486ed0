//! `/admin/grants`: what people have allowed, seen and ended.

use super::{read, walk};
use crate::world::*;
use edgemint::{host::Seconds, wire::encode};
use http::Method;
use serde_json::{Value, json};

#[test]
fn grants_are_listed_by_client_person_and_scope_while_they_stand() {
    let site = Site::new();
    let tokens: Vec<Value> = (0..5).map(|_| site.tokens()).collect();
    let all = walk(&site, "/admin/grants", "id", 200);
    assert_eq!(all.len(), 5);
    for limit in [1, 2, 5] {
        assert_eq!(walk(&site, "/admin/grants", "id", limit), all);
        assert_eq!(walk(&site, "/admin/grants?username=alice", "id", limit), all);
    }
    for (filter, count) in [
        ("client_id=demo-web&scope=reports", 5),
        ("client_id=demo-spa", 0),
        ("scope=report", 0),
        ("username=bob", 0),
        ("username=nobody", 0),
        ("q=ali", 5),
        ("q=o-we", 5),
        ("q=eports", 5),
        ("q=bob", 0),
        ("q=ali&client_id=demo-spa", 0),
    ] {
        assert_eq!(walk(&site, &format!("/admin/grants?{filter}"), "id", 2).len(), count, "{filter}");
    }
    let id = all.first().unwrap();
    let path = format!("/admin/grants/{}", encode(id));
    let grant = read(&site, &path);
    assert_eq!((&grant["client_id"], &grant["username"]), (&json!("demo-web"), &json!("alice")));
    assert_eq!((&grant["sub"], &grant["id"]), (&read(&site, "/admin/users/alice")["sub"], &json!(id)));
    assert_eq!(
        (&grant["scope"], &grant["state"]),
        (&json!("orders.read orders.write reports"), &json!("live"))
    );
    assert_eq!((&grant["created_at"], &grant["refresh_remaining"]), (&json!(1_800_000_000), &Value::Null));
    assert_eq!(grant["expires_at"], 1_800_000_000 + 7_776_000);

    assert_eq!(site.admin(Method::DELETE, &path, &Value::Null).0, 204);
    assert_eq!(site.admin(Method::GET, &path, &Value::Null).0, 404);
    assert_eq!(walk(&site, "/admin/grants", "id", 1).len(), 4);
    let active = |tokens: &&Value| site.inspect(tokens["access_token"].as_str().unwrap())["active"] == true;
    assert_eq!(tokens.iter().filter(active).count(), 4);
    let refreshed = tokens.iter().filter(|one| site.refresh(one["refresh_token"].as_str().unwrap()).0 == 200);
    assert_eq!(refreshed.count(), 4);

    site.world.pass(Seconds(7_776_001));
    assert_eq!(walk(&site, "/admin/grants", "id", 1).len(), 0);
}

#[test]
fn a_grant_without_a_refresh_token_has_no_refreshes_left() {
    let site = Site::new();
    site.patch("/admin/clients/demo-web", &json!({ "grant_types": ["authorization_code"] }));
    site.tokens();
    assert_eq!(read(&site, "/admin/grants")["items"][0]["refresh_remaining"], 0);
}

#[test]
fn a_grant_that_a_mark_has_ended_is_listed_no_longer() {
    let ends = [
        (Method::DELETE, "/admin/grants?client_id=demo-web", Value::Null),
        (Method::DELETE, "/admin/grants?username=alice", Value::Null),
        (Method::DELETE, "/admin/clients/demo-web", Value::Null),
        (Method::PATCH, "/admin/clients/demo-web", json!({ "enabled": false })),
        (Method::PATCH, "/admin/users/alice", json!({ "enabled": false })),
    ];
    for (method, target, body) in ends {
        let site = Site::new();
        site.tokens();
        let id = walk(&site, "/admin/grants", "id", 1).pop_first().unwrap();
        assert!(site.admin(method, target, &body).0 < 300, "{target}");
        assert_eq!(read(&site, "/admin/grants"), json!({ "items": [], "next": null }), "{target}");
        assert_eq!(site.admin(Method::GET, &format!("/admin/grants/{id}"), &Value::Null).0, 404, "{target}");
    }
}

#[test]
fn a_grant_whose_code_nobody_redeems_is_listed_no_longer_than_the_code_lives() {
    let site = Site::new();
    site.code("demo-web", &[]);
    assert_eq!(read(&site, "/admin/grants")["items"][0]["state"], "offered");
    site.world.pass(Seconds(61));
    assert_eq!(read(&site, "/admin/grants"), json!({"items": [], "next": null}));
}

#[test]
fn an_invented_address_makes_no_object() {
    let site = Site::new();
    site.tokens();
    let known = walk(&site, "/admin/grants", "id", 1).pop_first().unwrap();
    let disks = site.world.disks("GRANTS").len();
    let (_, rest) = known.split_once('.').unwrap();
    let swapped = format!("{known}x");
    for id in ["weur-999.grants_never.k.o", &format!("oc-1.{rest}"), &swapped, "weur-0", "a.b.c.d"] {
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(
                site.admin(method, &format!("/admin/grants/{}", encode(id)), &Value::Null).0,
                404,
                "{id}"
            );
        }
    }
    site.admin(Method::GET, "/admin/grants?after=weur-999.grants_never.k.o", &Value::Null);
    site.admin(Method::GET, "/admin/users?after=999.x", &Value::Null);
    assert_eq!(site.world.disks("GRANTS").len(), disks);
    assert_eq!(walk(&site, "/admin/grants", "id", 1).len(), 1);
}
