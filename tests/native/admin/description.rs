//! The description of the API, and the vendor's addresses of it: both say what is so.

use super::{machine, read, user};
use crate::world::*;
use edgemint::{endpoints::admin::members::*, server};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn document(site: &Site) -> Value {
    let response = site.get("/admin/openapi.json");
    assert_eq!(response.status, 200);
    serde_json::from_str(&text(&response)).expect("JSON")
}

#[test]
fn the_description_has_every_route_of_the_administration_and_no_other() {
    let site = Site::new();
    let document = document(&site);
    assert_eq!((&document["openapi"], &document["servers"][0]["url"]), (&json!("3.1.0"), &json!("/")));
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let named: Vec<&str> = path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let declared: Vec<&str> = item["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert_eq!(named, declared, "{path}");
        let pattern =
            named.iter().fold(path.clone(), |path, name| path.replace(&format!("{{{name}}}"), "{}"));
        for (method, operation) in item.as_object().expect("operations") {
            if method != "parameters" {
                assert!(
                    operation["summary"].is_string() && operation["responses"].is_object(),
                    "{method} {path}"
                );
                described.insert(format!("{} {pattern}", method.to_uppercase()));
            }
        }
    }
    let routes = server::routes()
        .filter(|(_, path)| path.starts_with("/admin/") && *path != "/admin/openapi.json")
        .map(|(method, path)| format!("{method} {path}"));
    let routes: BTreeSet<String> = routes.collect();
    assert_eq!(described, routes);
}

/// Every value under a name, at any depth.
fn under<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    let below: Vec<(&str, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        Value::Array(items) => items.iter().map(|value| ("", value)).collect(),
        _ => Vec::new(),
    };
    let here = below.iter().filter(|(own, _)| *own == name).map(|(_, value)| *value);
    here.chain(below.iter().flat_map(|(_, value)| under(value, name))).collect()
}

#[test]
fn every_choice_in_the_description_is_a_list_and_where_there_is_none_nothing_is_said() {
    let document = document(&Site::new());
    let choices = under(&document, "enum");
    assert!(choices.len() >= 3 && choices.iter().all(|choice| choice.is_array()), "{choices:?}");
}

/// The names of a table, without those that an answer to `GET` does not have.
fn shown(members: &[Member]) -> BTreeSet<String> {
    let shown = members
        .iter()
        .filter(|member| !matches!(member.written, Written::Drawn | Written::Only | Written::Anew));
    shown.map(|member| member.name.to_owned()).collect()
}

fn names(item: &Value) -> BTreeSet<String> {
    item.as_object().expect("an item").keys().cloned().collect()
}

#[test]
fn the_members_that_are_described_are_those_that_are_shown() {
    let site = Site::new();
    site.tokens();
    site.patch("/admin/settings", &json!({ "log.successPercent": 99 }));
    assert_eq!(shown(CLIENT), names(&read(&site, "/admin/clients/demo-web")));
    assert_eq!(shown(SCOPE), names(&read(&site, "/admin/scopes/reports")));
    assert_eq!(shown(USER), names(&read(&site, "/admin/users/alice")));
    assert_eq!(shown(GRANT), names(&read(&site, "/admin/grants")["items"][0]));
    assert_eq!(shown(CHANGE), names(&read(&site, "/admin/audit")["items"][0]));
    let settings = document(&site)["components"]["schemas"]["Settings"]["properties"].clone();
    assert_eq!(names(&settings), names(&read(&site, "/admin/settings")));
    let (_, created) = site.admin(Method::POST, "/admin/clients", &machine("m"));
    let all: BTreeSet<String> = CLIENT.iter().map(|member| member.name.to_owned()).collect();
    assert_eq!(names(&created), all);
}

#[test]
fn a_member_can_be_written_when_the_description_says_so_and_at_no_other_time() {
    let site = Site::new();
    for (target, members) in
        [("/admin/clients/demo-web", CLIENT), ("/admin/scopes/reports", SCOPE), ("/admin/users/alice", USER)]
    {
        let item = read(&site, target);
        for member in members {
            let value = match member.written {
                Written::Only | Written::Anew => json!("open the doors"),
                Written::Always | Written::Listed => item[member.name].clone(),
                Written::Opens => Value::Null,
                _ => json!("another"),
            };
            let (status, answer) = site.admin(Method::PATCH, target, &json!({ member.name: value }));
            let writable = !matches!(member.written, Written::Never | Written::Once | Written::Drawn);
            assert_eq!(status, if writable { 200 } else { 400 }, "{target} {} {answer}", member.name);
        }
    }
}

#[test]
fn the_vendors_addresses_answer_as_ours_do() {
    let site = Site::new();
    site.tokens();
    let grant = string(&read(&site, "/admin/grants")["items"][0], "id");
    for (theirs, ours) in [
        ("/admin/oauth/client", "/admin/clients".to_owned()),
        ("/admin/oauth/client/demo-web", "/admin/clients/demo-web".to_owned()),
        ("/admin/oauth/scope?limit=1", "/admin/scopes?limit=1".to_owned()),
        ("/admin/oauth/scope/reports", "/admin/scopes/reports".to_owned()),
        ("/admin/oauth/token", "/admin/grants".to_owned()),
        (&format!("/admin/oauth/token/{grant}"), format!("/admin/grants/{grant}")),
        ("/admin/oauth/globalsetting", "/admin/settings".to_owned()),
    ] {
        assert_eq!(read(&site, theirs), read(&site, &ours), "{theirs}");
    }
    assert_eq!(site.admin(Method::POST, "/admin/oauth/client", &machine("m")).0, 201);
    assert_eq!(site.admin(Method::PATCH, "/admin/oauth/client/m", &json!({ "client_name": "M" })).0, 200);
    assert_eq!(site.admin(Method::DELETE, "/admin/oauth/client/m", &Value::Null).0, 204);
    assert_eq!(site.admin(Method::POST, "/admin/users", &user("u")).0, 201);
    for unknown in
        ["/admin/oauth", "/admin/oauth/", "/admin/oauth/clients", "/admin/oauth/clientx", "/admin/oauth/user"]
    {
        assert_eq!(site.admin(Method::GET, unknown, &Value::Null).0, 404, "{unknown}");
    }
    assert_eq!(site.get("/admin/oauth/client").status, 401);
    assert_eq!(site.admin(Method::PUT, "/admin/oauth/globalsetting", &json!({})).0, 405);
}
