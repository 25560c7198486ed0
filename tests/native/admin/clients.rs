//! Client records that another version of this server wrote.

use super::read;
use crate::world::*;
use edgemint::{
    host::{Host, Store},
    objects::{outbox, protocol::registry},
};
use http::Method;
use serde_json::{Value, json};

/// A client whose record is made what another version would have written, in the registry and in the replica. Gives an
/// isolate that has not read it yet, and the client's `id:secret`.
fn written_otherwise(from: &str, to: &str) -> (Site, String) {
    let site = Site::new();
    let body = json!({
        "client_id": "old", "redirect_uris": ["https://my-app.test/cb", "https://app.test/cb"],
        "scope": "reports", "grant_types": ["authorization_code", "client_credentials"],
    });
    let (status, made) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!(status, 201, "{made}");
    let disk = site.world.disk("REGISTRY", "registry");
    let row = disk.get("clients", "old", "").unwrap().unwrap();
    assert!(row.contains(from), "{row}");
    disk.put("clients", "old", "", &row.replace(from, to)).unwrap();
    let key = registry::client_key("old");
    outbox::owe_copy(&*disk, &key, u64::MAX, site.world.now()).unwrap();
    site.world.ring();
    assert!(site.world.copy(&key).unwrap().contains(to));
    (site.beside(), format!("old:{}", string(&made, "client_secret")))
}

/// Its record is found: in the list, by its id, and by the client itself.
fn assert_found(site: &Site, client: &str) {
    let listed = read(site, "/admin/clients");
    assert!(listed["items"].as_array().unwrap().iter().any(|item| item["client_id"] == "old"), "{listed}");
    assert_eq!(read(site, "/admin/clients/old")["client_id"], "old");
    assert_eq!(site.token(client, &OWN).0, 200);
    assert_eq!(site.token("old:wrong", &OWN).0, 401);
}

#[test]
fn a_client_with_members_of_another_version_is_listed_works_and_can_be_changed() {
    let (site, client) = written_otherwise("\"strict\":", "\"logo_uri\":{\"en\":null},\"strict\":");
    assert_found(&site, &client);
    assert_eq!(site.authorize("old", &[("redirect_uri", "https://my-app.test/cb")]).status, 200);
    site.patch("/admin/clients/old", &json!({ "client_name": "Old" }));
    assert_eq!(read(&site, "/admin/clients/old")["client_name"], "Old");
    assert!(!site.world.dump().contains("logo_uri"), "what is not known is not kept by a change");
}

#[test]
fn a_redirect_uri_that_todays_rules_refuse_is_refused_where_it_is_used_and_can_be_repaired() {
    let (good, bad) = ("https://my-app.test/cb", "https://my_app.test/cb");
    let (site, client) = written_otherwise(good, bad);
    assert_found(&site, &client);
    let refused = site.authorize("old", &[("redirect_uri", bad)]);
    assert_eq!((refused.status.as_u16(), refused.header("location")), (400, None));
    assert!(text(&refused).contains("Authorization error"), "{}", text(&refused));
    // Its other one works on.
    assert_eq!(site.authorize("old", &[("redirect_uri", "https://app.test/cb")]).status, 200);
    let (status, problem) = site.admin(Method::PATCH, "/admin/clients/old", &json!({ "client_name": "Old" }));
    assert_eq!((status, &problem["field"]), (400, &json!("redirect_uris")), "{problem}");
    site.patch("/admin/clients/old", &json!({ "redirect_uris": [good], "client_name": "Old" }));
    assert_eq!(site.authorize("old", &[("redirect_uri", good)]).status, 200);
    assert_eq!(site.admin(Method::GET, "/admin/clients/old", &Value::Null).1["redirect_uris"], json!([good]));
}

#[test]
fn name_and_version_are_one_clients_and_free_again_once_it_is_gone() {
    let site = Site::new();
    let make = |id: &str, name: &str, version: Option<&str>| {
        let body = json!({
            "client_id": id, "client_name": name, "client_version": version,
            "grant_types": ["client_credentials"], "scope": "reports",
        });
        let (status, answer) = site.admin(Method::POST, "/admin/clients", &body);
        (status, answer["field"].clone())
    };
    let taken = (409, json!("client_name"));
    let created = (201, Value::Null);
    assert_eq!(make("one", "Shop", None), created);
    // Whether it could be made can be asked, and makes nothing.
    let before = site.world.dump();
    for (id, name, status) in
        [("two", "Shop", 409), ("one", "Other", 409), ("two", "Other", 204), ("a b", "Other", 400)]
    {
        let body = json!({ "client_id": id, "client_name": name, "grant_types": ["client_credentials"] });
        let (answered, _) = site.admin(Method::POST, "/admin/clients?dry_run=true", &body);
        assert_eq!(answered, status, "{id} {name}");
    }
    assert_eq!(site.world.dump(), before);
    assert_eq!(make("two", "Shop", None), taken);
    assert_eq!(make("two", "Shop", Some("2")), created);
    assert_eq!(make("three", "Shop", Some("2")), taken);
    let rename = |id: &str, patch: Value| {
        let (status, answer) = site.admin(Method::PATCH, &format!("/admin/clients/{id}"), &patch);
        (status, answer["field"].clone())
    };
    let before = site.world.dump();
    assert_eq!(rename("two", json!({ "client_version": null })), taken);
    assert_eq!(site.world.dump(), before);
    assert_eq!(rename("one", json!({ "client_version": "1" })).0, 200);
    assert_eq!(rename("two", json!({ "client_version": null })).0, 200);
    assert_eq!(make("three", "Shop", Some("2")), created);
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/one", &Value::Null).0, 204);
    assert_eq!(make("four", "Shop", Some("1")), created);
    // Whoever installs an application somewhere has no say in what it is called elsewhere.
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    for _ in 0..2 {
        let body = json!({ "client_name": "Shop", "redirect_uris": ["https://app.test/cb"] });
        let headers = [("content-type", "application/json")];
        let answer = site.send(&request(Method::POST, "/register", &headers, &body.to_string()));
        assert_eq!(answer.status, 201, "{}", text(&answer));
    }
}
