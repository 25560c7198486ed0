//! `/admin/…`: who may, what is shown and never shown, what a change does and when it counts.

mod access;
mod audit;
mod clients;
mod description;
mod endings;
mod grants;
mod members;
mod openapi;
mod scopes;

use crate::world::*;
use edgemint::{
    host::Seconds,
    wire::{Response, encode},
};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A request of the administrator, with more headers.
fn send(site: &Site, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let mut all = vec![("content-type", "application/json"), ("authorization", authorization.as_str())];
    all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
    all.extend(headers);
    site.send(&request(method, target, &all, body))
}

fn read(site: &Site, target: &str) -> Value {
    let (status, body) = site.admin(Method::GET, target, &Value::Null);
    assert_eq!(status, 200, "{target} {body}");
    body
}

fn machine(id: &str) -> Value {
    json!({ "client_id": id, "grant_types": ["client_credentials"], "scope": "reports" })
}

fn user(name: &str) -> Value {
    json!({ "username": name, "password": "a password", "groups": ["orders-staff"] })
}

/// One member of every item of a collection, a page of `limit` at a time; none is there twice.
fn walk(site: &Site, target: &str, member: &str, limit: usize) -> BTreeSet<String> {
    let separator = if target.contains('?') { '&' } else { '?' };
    let mut found = BTreeSet::new();
    let mut after = String::new();
    for _ in 0..1000 {
        let page = read(site, &format!("{target}{separator}limit={limit}{after}"));
        let items = page["items"].as_array().expect("a page has items");
        assert!(items.len() <= limit);
        for item in items {
            assert!(found.insert(item[member].as_str().expect("a text").to_owned()), "{item} is there twice");
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", encode(next)),
            None => return found,
        }
    }
    panic!("{target} does not end");
}

#[test]
fn without_the_administrators_token_nothing_is_answered_or_read() {
    let site = Site::new();
    let everything = [
        (Method::GET, "/admin/clients?limit=x"),
        (Method::POST, "/admin/clients"),
        (Method::GET, "/admin/clients/demo-web"),
        (Method::PATCH, "/admin/clients/demo-web"),
        (Method::GET, "/admin/scopes"),
        (Method::POST, "/admin/scopes"),
        (Method::GET, "/admin/scopes/reports"),
        (Method::PATCH, "/admin/scopes/reports"),
        (Method::DELETE, "/admin/scopes/reports"),
        (Method::GET, "/admin/users"),
        (Method::POST, "/admin/users"),
        (Method::GET, "/admin/users/alice"),
        (Method::PATCH, "/admin/users/alice"),
        (Method::GET, "/admin/settings"),
        (Method::PATCH, "/admin/settings"),
        (Method::GET, "/admin/grants"),
        (Method::GET, "/admin/grants/x"),
        (Method::DELETE, "/admin/grants/x"),
    ];
    for (method, target) in everything {
        let basic = "Basic YTpi";
        for authorization in [None, Some("Bearer"), Some("Bearer "), Some("Bearer wrong"), Some(basic)] {
            let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
            let response = site.send(&request(method.clone(), target, &headers, "not json"));
            assert_eq!(response.status, 401, "{method} {target} {authorization:?}");
            // RFC 6750 §3: an error is for a token that was sent.
            let error = if authorization.is_some_and(|sent| sent.starts_with("Bearer ")) {
                ", error=\"invalid_token\""
            } else {
                ""
            };
            let challenge = format!("Bearer realm=\"edgemint\"{error}");
            assert_eq!(response.header("www-authenticate"), Some(challenge.as_str()), "{authorization:?}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"));
        }
    }
}

#[test]
fn a_client_works_at_once_although_the_replica_lags() {
    let site = Site::new();
    site.world.freeze_replica(true);
    let response = send(&site, Method::POST, "/admin/clients", &[], &machine("a~b").to_string());
    assert_eq!(response.status, 201, "{}", text(&response));
    assert_eq!(response.header("location"), Some("http://localhost:8787/admin/clients/a~b"));
    assert!(response.header("etag").unwrap().starts_with('"'));
    let client: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((&client["client_secret_expires_at"], &client["scope"]), (&json!(0), &json!("reports")));
    assert_eq!(client["client_id_issued_at"], 1_800_000_000);
    let secret = client["client_secret"].as_str().unwrap();
    assert_eq!(secret.len(), 43);
    for site in [&site, &site.beside()] {
        let (status, tokens) = site.token(&format!("a~b:{secret}"), &[("grant_type", "client_credentials")]);
        assert_eq!(status, 200, "{tokens}");
    }
    let created = site.world.events().into_iter().find(|event| event["event"] == "admin.client.created");
    assert_eq!(created.unwrap()["client"], "a~b");
}

#[test]
fn ids_are_drawn_where_none_is_chosen_and_public_clients_get_no_secret() {
    let site = Site::new();
    let body = json!({ "token_endpoint_auth_method": "none", "redirect_uris": ["https://app.test/cb"] });
    let (status, client) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!((status, client["client_id"].as_str().unwrap().len()), (201, 22), "{client}");
    assert!(client.get("client_secret").is_none() && client.get("client_secret_expires_at").is_none());
    let again = site.admin(Method::POST, "/admin/clients", &body).1;
    assert_ne!(again["client_id"], client["client_id"]);
    let chosen = client["client_id"].as_str().unwrap();
    let (status, problem) = site.admin(Method::POST, "/admin/clients", &machine(chosen));
    assert_eq!((status, &problem["field"]), (409, &json!("client_id")));
    // Of that form, but not drawn here: it would be dropped unread.
    let (status, problem) = site.admin(Method::POST, "/admin/clients", &machine("abcdefghijklmnopqrst-_"));
    assert_eq!((status, &problem["field"]), (400, &json!("client_id")));
}

#[test]
fn a_taken_id_or_name_is_a_conflict() {
    let site = Site::new();
    for (target, body) in [("/admin/clients", machine("demo-web")), ("/admin/users", user("alice"))] {
        let (status, problem) = site.admin(Method::POST, target, &body);
        assert_eq!((status, &problem["error"]), (409, &json!("conflict")), "{target}");
    }
    assert!(site.sign_in(&site.authorize("demo-web", &[]), "alice", "wonderland").status == 200);
}

#[test]
fn a_refusal_names_the_member() {
    let site = Site::new();
    let post = Method::POST;
    let patch = Method::PATCH;
    let (invalid, request, redirect) = ("invalid_client_metadata", "invalid_request", "invalid_redirect_uri");
    for (method, target, body, field, error) in [
        (&post, "/admin/clients", json!({"client_id": "a b"}), "client_id", invalid),
        (&post, "/admin/clients", json!({"profile": "magic"}), "profile", invalid),
        (&post, "/admin/clients", json!({"client_secret": "hush"}), "client_secret", invalid),
        (&post, "/admin/clients", json!({"redirect_uris": ["x"]}), "redirect_uris", redirect),
        (&post, "/admin/clients", json!({"redirect_uris": []}), "redirect_uris", redirect),
        (&post, "/admin/clients", json!({"grant_types": ["magic"]}), "grant_types", invalid),
        (&post, "/admin/clients", json!({"grant_types": [], "scope": "nope"}), "scope", invalid),
        (&post, "/admin/clients", json!({"magic": 1}), "magic", invalid),
        (&patch, "/admin/clients/demo-web", json!({"client_secret": "hush"}), "client_secret", invalid),
        (&patch, "/admin/clients/demo-web", json!({"client_id": "other"}), "client_id", invalid),
        (&patch, "/admin/clients/demo-web", json!({"redirect_uris": ["x"]}), "redirect_uris", redirect),
        (&patch, "/admin/clients/demo-web", json!({"not_before": 1_900_000_000}), "not_before", invalid),
        (&post, "/admin/users", json!({"password": "a password"}), "username", request),
        (&post, "/admin/users", json!({"username": "carol"}), "password", request),
        (&post, "/admin/users", json!({"username": "carol", "password": "short"}), "password", request),
        (
            &post,
            "/admin/users",
            json!({"username": "c", "password": "a password", "sub": "x"}),
            "sub",
            request,
        ),
        (
            &post,
            "/admin/users",
            json!({"username": "c", "password": "a password", "roles": ["x"]}),
            "roles",
            request,
        ),
        (&patch, "/admin/users/alice", json!({"username": "eve"}), "username", request),
        (&patch, "/admin/users/alice", json!({"sub": "x"}), "sub", request),
        (&patch, "/admin/users/alice", json!({"password": null}), "password", request),
        (&patch, "/admin/users/alice", json!({"groups": "x"}), "groups", request),
        (&patch, "/admin/settings", json!({"refresh.graceSeconds": 61}), "refresh.graceSeconds", request),
        (&patch, "/admin/settings", json!({"magic": 1}), "magic", request),
    ] {
        let (status, problem) = site.admin(method.clone(), target, &body);
        assert_eq!(
            (status, &problem["field"], &problem["error"]),
            (400, &json!(field), &json!(error)),
            "{body}"
        );
        assert!(!problem.to_string().contains("hush"));
    }
    let twice =
        send(&site, Method::PATCH, "/admin/clients/demo-web", &[], r#"{"enabled":true,"enabled":false}"#);
    assert_eq!(twice.status, 400);
    assert!(text(&twice).contains(r#""field":"enabled""#));
    let form = send(&site, Method::PATCH, "/admin/settings", &[("content-type", FORM)], "a=b");
    assert_eq!(form.status, 415);
}

#[test]
fn a_change_holds_only_for_the_version_it_was_made_for() {
    let site = Site::new();
    for (target, one, two) in [
        ("/admin/clients/demo-web", r#"{"client_name":"One"}"#, r#"{"client_name":"Two"}"#),
        ("/admin/users/alice", r#"{"groups":["one"]}"#, r#"{"groups":["two"]}"#),
        ("/admin/settings", r#"{"refresh.graceSeconds":1}"#, r#"{"refresh.graceSeconds":2}"#),
    ] {
        let tag = |response: &Response| response.header("etag").unwrap().to_owned();
        let first = tag(&send(&site, Method::GET, target, &[], ""));
        let changed = send(&site, Method::PATCH, target, &[("if-match", &first)], one);
        assert_eq!(changed.status, 200, "{}", text(&changed));
        let second = tag(&changed);
        assert_ne!(first, second);
        for stale in [&first, "\"0\"", "nonsense", "W/\"1\"", ""] {
            let response = send(&site, Method::PATCH, target, &[("if-match", stale)], two);
            assert_eq!(response.status, 412, "{target} {stale}");
        }
        assert_eq!(tag(&send(&site, Method::GET, target, &[], "")), second);
        assert_eq!(send(&site, Method::PATCH, target, &[("if-match", "*")], two).status, 200);
        assert_eq!(send(&site, Method::PATCH, target, &[], one).status, 200);
    }
}

#[test]
fn null_takes_a_member_back_to_its_default() {
    let site = Site::new();
    let patch = |target: &str, body: Value| {
        let (status, body) = site.admin(Method::PATCH, target, &body);
        assert_eq!(status, 200, "{body}");
        body
    };
    let client = patch("/admin/clients/demo-web", json!({"client_name": "New", "access_token_lifetime": 7}));
    assert_eq!((&client["client_name"], &client["access_token_lifetime"]), (&json!("New"), &json!(7)));
    let client =
        patch("/admin/clients/demo-web", json!({"client_name": null, "access_token_lifetime": null}));
    assert_eq!((&client["client_name"], &client["access_token_lifetime"]), (&Value::Null, &Value::Null));
    let user =
        patch("/admin/users/alice", json!({"claims": {"nickname": null, "locale": "fr"}, "groups": null}));
    assert!(user["claims"].get("nickname").is_none() && user["claims"]["given_name"] == "Alice");
    assert_eq!((&user["claims"]["locale"], &user["groups"]), (&json!("fr"), &json!([])));
    patch("/admin/settings", json!({"refresh.graceSeconds": 0}));
    assert_eq!(patch("/admin/settings", json!({"refresh.graceSeconds": null}))["refresh.graceSeconds"], 10);
}

#[test]
fn a_change_says_what_follows_it_only_later() {
    let site = Site::new();
    let follows = |target: &str, body: Value| {
        let response = send(&site, Method::PATCH, target, &[], &body.to_string());
        assert_eq!(response.status, 200, "{}", text(&response));
        response.header("edgemint-follows").map(str::to_owned)
    };
    let told = Some("client_credentials; within=90".to_owned());
    assert_eq!(follows("/admin/clients/demo-machine", json!({"scope": "reports"})), told);
    assert_eq!(follows("/admin/settings", json!({"token.defaultExpirySeconds": 60})), told);
    // Others go on by the record as it was until they know better.
    assert_eq!(follows("/admin/clients/demo-short", json!({"grant_types": ["authorization_code"]})), told);
    assert_eq!(follows("/admin/clients/demo-machine", json!({"strict": true, "scope": "orders.read"})), told);
    // Some isolate may not have heard that it is strict; after a while all have, and ask a shard.
    assert_eq!(follows("/admin/clients/demo-machine", json!({"scope": "reports"})), told);
    site.world.pass(Seconds(91));
    assert_eq!(follows("/admin/clients/demo-machine", json!({"strict": false})), None);
    assert_eq!(follows("/admin/clients/demo-web", json!({"scope": "reports"})), None);
    assert_eq!(follows("/admin/users/alice", json!({"groups": []})), None);
}

#[test]
fn claims_nested_deeper_than_anyone_means_or_named_twice_are_refused_and_the_account_stays_readable() {
    let site = Site::new();
    let deep = format!("{{\"claims\":{{\"x\":{}{}}}}}", "[".repeat(100), "]".repeat(100));
    for body in [deep.as_str(), r#"{"claims":{"name":"a","name":"b"}}"#] {
        let response = send(&site, Method::PATCH, "/admin/users/alice", &[], body);
        assert_eq!(response.status, 400);
        assert!(text(&response).contains(r#""field":"claims""#), "{}", text(&response));
    }
    assert_eq!(read(&site, "/admin/users/alice")["claims"]["given_name"], "Alice");
}

#[test]
fn a_number_in_a_claim_that_not_every_reader_can_keep_is_refused() {
    let site = Site::new();
    let change = |number: &str| {
        let body = format!("{{\"claims\":{{\"n\":[{number}]}}}}");
        send(&site, Method::PATCH, "/admin/users/alice", &[], &body).status.as_u16()
    };
    for number in ["9007199254740993", "-9007199254740993", "18446744073709551617", "1e300"] {
        assert_eq!(change(number), 400, "{number}");
    }
    for number in ["9007199254740991", "-9007199254740991", "0.5", "\"9007199254740993\""] {
        assert_eq!(change(number), 200, "{number}");
    }
}

#[test]
fn what_a_disabled_client_has_is_inactive_until_it_is_enabled_again() {
    let site = Site::new();
    let tokens = site.tokens();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.inspect(access)["active"], true);
    let set =
        |enabled: bool| site.admin(Method::PATCH, "/admin/clients/demo-web", &json!({"enabled": enabled})).0;
    assert_eq!(set(false), 200);
    assert_eq!(site.inspect(access)["active"], false);
    assert_eq!(site.refresh(tokens["refresh_token"].as_str().unwrap()).0, 401);
    assert_eq!(set(true), 200);
    assert_eq!(site.inspect(access)["active"], true);
    assert_eq!(site.refresh(tokens["refresh_token"].as_str().unwrap()).0, 200);
    // The end of a client is for good.
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/demo-web", &Value::Null).0, 204);
    assert_eq!(site.inspect(access)["active"], false);
}

#[test]
fn a_change_is_answered_200_only_once_every_shard_holds_it() {
    let site = Site::new();
    let tokens = site.tokens();
    let disable = || site.admin(Method::PATCH, "/admin/clients/demo-web", &json!({"enabled": false}));
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let (status, problem) = disable();
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().contains("0 of 1 shards hold it"), "{problem}");
    assert_eq!(read(&site, "/admin/clients/demo-web")["enabled"], false);
    // To repeat it changes nothing, so it is still owed; and it is tried again, not waited for.
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    assert_eq!(disable().0, 503);
    assert_eq!(disable().0, 200);
    assert_eq!(site.inspect(tokens["access_token"].as_str().unwrap())["active"], false);
}

#[test]
fn a_repeated_settings_change_waits_for_every_shard_too() {
    let site = Site::new();
    site.tokens();
    let change = || site.admin(Method::PATCH, "/admin/settings", &json!({"refresh.graceSeconds": 0})).0;
    for _ in 0..2 {
        site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
        assert_eq!(change(), 503);
    }
    site.world.pass(Seconds(5));
    assert!(site.world.ring() > 0, "an alarm goes on by itself");
    assert_eq!(change(), 200);
}

#[test]
fn a_lost_answer_creates_once() {
    let site = Site::new();
    site.world.fate("REGISTRY", &[Fate::Unanswered]);
    let (status, client) = site.admin(Method::POST, "/admin/clients", &machine("once"));
    assert_eq!(status, 201, "{client}");
    let client = format!("once:{}", client["client_secret"].as_str().unwrap());
    assert_eq!(site.token(&client, &[("grant_type", "client_credentials")]).0, 200);
    site.world.fate("ACCOUNTS", &[Fate::Unanswered]);
    assert_eq!(site.admin(Method::POST, "/admin/users", &user("carol")).0, 201);
}

#[test]
fn a_user_signs_in_as_soon_as_the_account_is_there_and_with_the_new_password_after_a_change() {
    let site = Site::new();
    let response = send(&site, Method::POST, "/admin/users", &[], &user("Carol Ö/1").to_string());
    assert_eq!(response.status, 201, "{}", text(&response));
    let location = "http://localhost:8787/admin/users/Carol%20%C3%96%2F1";
    assert_eq!(response.header("location"), Some(location));
    let path = location.strip_prefix(ISSUER).unwrap();
    let carol = read(&site, path);
    assert_eq!((&carol["groups"], &carol["enabled"]), (&json!(["orders-staff"]), &json!(true)));
    assert_eq!((&carol["not_before"], &carol["roles"]), (&Value::Null, &json!([])));
    let signs_in = |password: &str| {
        let site = site.beside();
        text(&site.sign_in(&site.authorize("demo-web", &[]), "Carol Ö/1", password)).contains("consent-allow")
    };
    assert!(signs_in("a password") && !signs_in("another password"));
    assert_eq!(site.admin(Method::PATCH, path, &json!({"password": "another password"})).0, 200);
    assert!(!signs_in("a password") && signs_in("another password"));
    assert_eq!(site.admin(Method::PATCH, path, &json!({"enabled": false})).0, 200);
    assert!(!signs_in("another password"));
}

#[test]
fn what_there_is_not_is_not_found() {
    let site = Site::new();
    for target in ["/admin/clients/nobody", "/admin/scopes/nothing", "/admin/users/nobody", "/admin/grants/x"]
    {
        assert_eq!(site.admin(Method::GET, target, &Value::Null).0, 404, "{target}");
    }
    for target in ["/admin/clients/nobody", "/admin/users/nobody"] {
        assert_eq!(site.admin(Method::PATCH, target, &json!({})).0, 404, "{target}");
    }
}

#[test]
fn a_collection_is_walked_page_by_page_and_searched() {
    let site = Site::new();
    let mut clients: BTreeSet<String> = walk(&site, "/admin/clients", "client_id", 200);
    let mut users: BTreeSet<String> = walk(&site, "/admin/users", "username", 200);
    assert_eq!((clients.len(), users.len()), (7, 2));
    for number in 0..7 {
        let name = format!("extra.{number}");
        assert_eq!(site.admin(Method::POST, "/admin/clients", &machine(&name)).0, 201);
        assert_eq!(site.admin(Method::POST, "/admin/users", &user(&name)).0, 201);
        clients.insert(name.clone());
        users.insert(name);
    }
    for limit in [1, 2, 3, 14, 200] {
        assert_eq!(walk(&site, "/admin/clients", "client_id", limit), clients);
        assert_eq!(walk(&site, "/admin/users", "username", limit), users);
    }
    assert_eq!(walk(&site, "/admin/clients?q=extra.", "client_id", 3).len(), 7);
    assert_eq!(walk(&site, "/admin/users?q=xtra.3", "username", 3).len(), 1);
    assert_eq!(walk(&site, "/admin/users?q=nobody", "username", 3).len(), 0);
}

#[test]
fn a_limit_or_cursor_that_makes_no_sense_is_refused() {
    let site = Site::new();
    site.tokens();
    for target in ["/admin/clients", "/admin/scopes", "/admin/users", "/admin/grants", "/admin/audit"] {
        for limit in ["0", "-1", "201", "x", "1e1", "%2B1"] {
            let (status, problem) = site.admin(Method::GET, &format!("{target}?limit={limit}"), &Value::Null);
            assert_eq!((status, &problem["field"]), (400, &json!("limit")), "{target} {limit}");
        }
        for after in ["%00", "%20", "999.alice", "weur-999.grants_never.k.o", "..%2F"] {
            let (status, problem) = site.admin(Method::GET, &format!("{target}?after={after}"), &Value::Null);
            // The cursor is an id or a name, so anything that could be one is a place in the list.
            let possible = match target {
                "/admin/clients" => !after.contains('%'),
                "/admin/scopes" => !matches!(after, "%00" | "%20"),
                _ => false,
            };
            if possible {
                assert_eq!(status, 200);
            } else {
                assert_eq!((status, &problem["field"]), (400, &json!("after")), "{target} {after}");
            }
        }
    }
}

#[test]
fn no_answer_and_no_log_holds_a_secret_or_what_is_kept_of_one() {
    let site = Site::new();
    let (_, created) = site.admin(Method::POST, "/admin/clients", &machine("shy"));
    let secret = created["client_secret"].as_str().unwrap().to_owned();
    let (_, carol) = site.admin(Method::POST, "/admin/users", &user("carol"));
    let tokens = site.tokens();
    let mut seen = vec![carol.to_string()];
    for (target, patch) in [
        ("/admin/clients/shy", json!({"client_name": "Shy"})),
        ("/admin/users/carol", json!({"password": "a second password"})),
        ("/admin/settings", json!({"refresh.graceSeconds": 3})),
    ] {
        let (status, changed) = site.admin(Method::PATCH, target, &patch);
        assert_eq!(status, 200);
        seen.push(changed.to_string());
    }
    let targets = ["clients", "clients/shy", "users", "users/carol", "users/alice", "settings", "grants"];
    seen.extend(targets.map(|target| read(&site, &format!("/admin/{target}")).to_string()));
    seen.push(site.admin(Method::POST, "/admin/clients", &machine("shy")).1.to_string());
    let log: Vec<String> = site.world.events().iter().map(Value::to_string).collect();
    assert!(log.iter().any(|line| line.contains("admin.user.changed")));
    let refresh = tokens["refresh_token"].as_str().unwrap();
    for text in seen.iter().chain(&log) {
        for shy in [
            &secret,
            "$argon2",
            "password\":",
            "\"salt\"",
            "\"mac\"",
            "\"secret\"",
            "a second password",
            refresh,
        ] {
            assert!(!text.contains(shy), "{shy} in {text}");
        }
        assert!(!text.contains("client_secret\":"), "{text}");
    }
    let kept = site.world.dump();
    assert!(!kept.contains(&secret) && !kept.contains("a second password"));
}
