//! Client records: that another version of this server wrote, that are called alike, that several people change at once.

use super::read;
use crate::world::*;
use edgemint::{
    host::{Fetched, Host, Store},
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

/// A client of one redirect URI, and a list of its sector that names that one.
fn of_a_sector() -> (Site, Value) {
    let (site, sector) = (Site::new(), "https://app.test/uris.json");
    let body = json!({ "client_id": "app", "redirect_uris": ["https://a.test/cb"], "scope": "openid" });
    assert_eq!(site.admin(Method::POST, "/admin/clients", &body).0, 201);
    let body = Some(b"[\"https://a.test/cb\"]".to_vec());
    site.world.put_elsewhere(sector, Fetched { status: 200, body, ..Fetched::default() });
    (site, json!({ "sector_identifier_uri": sector, "subject_type": "pairwise" }))
}

/// Another administrator changes it while the list of the sector is being asked for.
fn meanwhile(site: &Site, patch: Value) {
    let other = site.beside();
    site.world.meanwhile(move || other.patch("/admin/clients/app", &patch));
}

#[test]
fn a_sector_holds_for_the_redirect_uris_that_the_client_has_when_it_is_written() {
    let (site, sector) = of_a_sector();
    meanwhile(&site, json!({ "redirect_uris": ["https://b.test/cb"] }));
    let (status, problem) = site.admin(Method::PATCH, "/admin/clients/app", &sector);
    assert_eq!((status, &problem["field"]), (400, &json!("sector_identifier_uri")), "{problem}");
    let kept = read(&site, "/admin/clients/app");
    assert_eq!(
        (&kept["redirect_uris"], &kept["sector_identifier_uri"]),
        (&json!(["https://b.test/cb"]), &Value::Null)
    );
    // And the other way round: the redirect URI is the list's, until the client has a list.
    let (site, sector) = of_a_sector();
    site.patch("/admin/clients/app", &sector);
    let uris = json!({ "redirect_uris": ["https://b.test/cb"], "sector_identifier_uri": null });
    meanwhile(&site, uris.clone());
    let (status, changed) =
        site.admin(Method::PATCH, "/admin/clients/app", &json!({ "redirect_uris": ["https://a.test/cb"] }));
    assert_eq!((status, &changed["sector_identifier_uri"]), (200, &Value::Null), "{changed}");
}

#[test]
fn a_change_whose_client_became_another_is_checked_again_and_at_last_a_conflict() {
    let (site, sector) = of_a_sector();
    for round in 0..3 {
        meanwhile(&site, json!({ "description": format!("round {round}") }));
    }
    let (status, changed) = site.admin(Method::PATCH, "/admin/clients/app", &sector);
    assert_eq!((status, &changed["description"]), (200, &json!("round 2")), "{changed}");
    let (site, sector) = of_a_sector();
    for round in 0..4 {
        meanwhile(&site, json!({ "description": format!("round {round}") }));
    }
    let (status, problem) = site.admin(Method::PATCH, "/admin/clients/app", &sector);
    assert_eq!((status, &problem["error"]), (409, &json!("conflict")), "{problem}");
    assert_eq!(read(&site, "/admin/clients/app")["sector_identifier_uri"], Value::Null);
    // Whoever named a version hears that it is gone, at once.
    meanwhile(&site, json!({ "description": "another" }));
    let headers = [("authorization", format!("Bearer {ADMIN_TOKEN}")), ("if-match", tag(&site))];
    let mut headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("content-type", "application/json"));
    let patch = request(Method::PATCH, "/admin/clients/app", &headers, &sector.to_string());
    assert_eq!(site.send(&patch).status, 412);
}

/// The version of the client, as it is shown.
fn tag(site: &Site) -> String {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let shown = site.send(&request(Method::GET, "/admin/clients/app", &[("authorization", &bearer)], ""));
    shown.header("etag").expect("a version").to_owned()
}
