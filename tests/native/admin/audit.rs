//! The log of changes: every change is in it once, with who, from where, and how it was and is; and no secret.

use super::{machine, read, send, user, walk};
use crate::world::*;
use edgemint::host::Seconds;
use http::Method;
use serde_json::{Value, json};

/// Actions and targets, the oldest first.
fn log(site: &Site) -> Vec<(String, String)> {
    let page = read(site, "/admin/audit?limit=200");
    let mut seen: Vec<_> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| (string(item, "action"), string(item, "target")))
        .collect();
    seen.reverse();
    seen
}

/// One change after the other, a second apart: the log tells seconds from each other.
fn change(site: &Site, method: Method, target: &str, body: &Value) -> Value {
    site.world.pass(Seconds(1));
    let (status, answer) = site.admin(method, target, body);
    assert!(status < 300, "{target} {answer}");
    answer
}

#[test]
fn every_change_is_noted_once_wherever_it_happened() {
    let site = Site::new();
    let grant = string(
        &read(&site, "/admin/grants")["items"].as_array().map_or(json!({}), |_| {
            site.tokens();
            read(&site, "/admin/grants")["items"][0].clone()
        }),
        "id",
    );
    change(&site, Method::POST, "/admin/clients", &machine("m"));
    change(&site, Method::PATCH, "/admin/clients/m", &json!({ "client_name": "M" }));
    change(&site, Method::POST, "/admin/clients/m/secret", &json!({ "overlap_seconds": 60 }));
    change(&site, Method::DELETE, "/admin/grants?client_id=m", &Value::Null);
    change(&site, Method::DELETE, "/admin/clients/m", &Value::Null);
    change(&site, Method::POST, "/admin/scopes", &json!({ "name": "s" }));
    change(&site, Method::PATCH, "/admin/scopes/s", &json!({ "description": "S" }));
    change(&site, Method::DELETE, "/admin/scopes/s", &Value::Null);
    change(&site, Method::POST, "/admin/users", &user("u"));
    change(&site, Method::PATCH, "/admin/users/u", &json!({ "groups": ["g"], "password": "another one" }));
    change(&site, Method::DELETE, "/admin/grants?username=u", &Value::Null);
    change(&site, Method::DELETE, "/admin/users/u", &Value::Null);
    change(&site, Method::DELETE, &format!("/admin/grants/{grant}"), &Value::Null);
    change(&site, Method::DELETE, "/admin/grants?scope=reports", &Value::Null);
    change(&site, Method::PATCH, "/admin/settings", &json!({ "log.successPercent": 50 }));
    let expected = [
        ("client.created", "client/m"),
        ("client.changed", "client/m"),
        ("client.rekeyed", "client/m"),
        ("client.cut", "client/m"),
        ("client.deleted", "client/m"),
        ("scope.created", "scope/s"),
        ("scope.changed", "scope/s"),
        ("scope.deleted", "scope/s"),
        ("user.created", "user/u"),
        ("user.changed", "user/u"),
        ("user.cut", "user/u"),
        ("user.deleted", "user/u"),
        ("grant.ended", &format!("grant/{grant}")),
        ("settings.changed", "settings"),
    ];
    let expected: Vec<_> = expected.map(|(action, target)| (action.to_owned(), target.to_owned())).into();
    assert_eq!(log(&site), expected);
}

#[test]
fn what_changed_nothing_is_not_noted() {
    let site = Site::new();
    site.patch("/admin/clients/demo-web", &json!({}));
    site.patch("/admin/settings", &json!({ "log.successPercent": 100 }));
    site.patch("/admin/users/alice", &json!({ "enabled": true }));
    site.admin(Method::PATCH, "/admin/clients/demo-web", &json!({ "redirect_uris": ["nonsense"] }));
    site.admin(Method::DELETE, "/admin/grants?scope=nobody-has-it", &Value::Null);
    assert_eq!(log(&site), []);
}

#[test]
fn a_change_is_told_by_the_members_that_changed_and_no_secret_is_among_them() {
    let site = Site::new();
    let created = change(&site, Method::POST, "/admin/clients", &machine("m"));
    let rekeyed = change(&site, Method::POST, "/admin/clients/m/secret", &json!({}));
    change(&site, Method::POST, "/admin/users", &user("u"));
    change(
        &site,
        Method::PATCH,
        "/admin/users/u",
        &json!({ "password": "hush hush hush", "roles": ["auditor"] }),
    );
    let told = read(&site, "/admin/audit");
    assert_eq!(told["items"][0]["before"], json!({ "roles": [] }));
    assert_eq!(told["items"][0]["after"], json!({ "roles": ["auditor"], "password": "changed" }));
    assert_eq!(told["items"][0]["by"], json!({ "kind": "token", "name": "" }));
    let all = told.to_string();
    for secret in [&string(&created, "client_secret"), &string(&rekeyed, "client_secret")] {
        assert!(!all.contains(secret.as_str()));
    }
    assert!(!all.contains("hush") && !all.contains("a password") && !all.contains("argon2"), "{all}");
}

#[test]
fn a_note_that_could_not_be_sent_is_sent_later_and_is_there_once() {
    let site = Site::new();
    site.world.fate("REGISTRY", &[Fate::Lost, Fate::Lost]);
    site.admin(Method::PATCH, "/admin/users/alice", &json!({ "groups": ["g"] }));
    site.world.pass(Seconds(60));
    site.world.ring();
    assert_eq!(log(&site), [("user.changed".to_owned(), "user/alice".to_owned())]);
}

#[test]
fn the_log_is_paged_searched_and_given_as_lines() {
    let site = Site::new();
    for percent in 1..=7 {
        change(&site, Method::PATCH, "/admin/settings", &json!({ "log.successPercent": percent }));
    }
    change(&site, Method::POST, "/admin/scopes", &json!({ "name": "s" }));
    for limit in [1, 3, 8, 200] {
        assert_eq!(walk(&site, "/admin/audit", "id", limit).len(), 8);
        assert_eq!(walk(&site, "/admin/audit?q=settings", "id", limit).len(), 7);
        assert_eq!(walk(&site, "/admin/audit?q=scope%2Fs", "id", limit).len(), 1);
    }
    let accept = [("accept", "application/jsonl")];
    let lines = send(&site, Method::GET, "/admin/audit?limit=5&q=settings%20", &accept, "");
    assert_eq!((text(&lines).as_str(), lines.header("link")), ("", None));
    let lines = send(&site, Method::GET, "/admin/audit?limit=5&q=settings", &accept, "");
    assert_eq!(lines.header("content-type"), Some("application/jsonl"));
    let read: Vec<Value> =
        text(&lines).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(read.len(), 5);
    let link = lines.header("link").expect("there is more");
    assert!(link.contains(&string(&read[4], "id")) && link.ends_with("&q=settings>; rel=\"next\""), "{link}");
    let target = link.trim_start_matches('<').split('>').next().and_then(|url| url.strip_prefix(ISSUER));
    let rest = send(&site, Method::GET, target.expect("an address of ours"), &accept, "");
    assert_eq!((text(&rest).lines().count(), rest.header("link")), (2, None));
}

#[test]
fn the_log_reaches_back_as_far_as_the_setting_says() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "audit.retentionDays": 10 }));
    let days = |days: u64| {
        site.world.pass(Seconds(days * 86_400));
        site.world.ring();
        log(&site).len()
    };
    assert_eq!(days(9), 1);
    // Tables are of thirty days: at the latest then, and ten days more, it is gone.
    assert_eq!(days(31), 0);
}
