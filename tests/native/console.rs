//! The console: who may use it, what its forms prove, and what it does where something is away.

use crate::world::*;
use edgemint::{
    host::{Seconds, Store},
    wire::Response,
};
use http::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// A site with an administrator (`ada`) and an auditor (`otto`).
fn staffed() -> Site {
    let site = Site::new();
    for (name, role) in [("ada", "administrator"), ("otto", "auditor")] {
        let user = json!({ "username": name, "password": PASSWORD, "roles": [role] });
        assert_eq!(site.admin(Method::POST, "/admin/users", &user).0, 201);
    }
    site
}

/// A browser that is signed in to the console.
fn enter(site: &Site, name: &str) {
    let page = site.get("/console");
    let seal = field(&page, "seal");
    let answer =
        site.submit("/console/sign-in", &[("seal", &seal), ("username", name), ("password", PASSWORD)]);
    assert_eq!(answer.status, 303, "{}", text(&answer));
}

/// Sends the form of a page, with these fields.
fn send(site: &Site, path: &str, fields: &[(&str, &str)]) -> Response {
    let seal = field(&site.get("/console"), "seal");
    let mut all = vec![("seal", seal.as_str())];
    all.extend(fields);
    site.submit(path, &all)
}

fn is_sign_in(page: &Response) -> bool {
    text(page).contains("action=\"/console/sign-in\"")
}

fn exists(site: &Site, target: &str) -> bool {
    site.admin(Method::GET, target, &Value::Null).0 == 200
}

#[test]
fn every_page_asks_who_is_not_signed_in_to_sign_in_and_leads_back() {
    let site = staffed();
    for path in ["/console", "/console/clients?q=demo", "/console/users/alice", "/console/new/scopes"] {
        let page = site.get(path);
        assert!(page.status == 200 && is_sign_in(&page) && !text(&page).contains("demo-web"), "{path}");
    }
    let seal = field(&site.get("/console/clients?q=spa"), "seal");
    let fields = [("seal", seal.as_str()), ("username", "ada"), ("password", PASSWORD)];
    let answer = site.submit("/console/sign-in", &fields);
    assert!(answer.header("location").unwrap().ends_with("/console/clients?q=spa"));
    let page = site.get("/console/clients?q=spa");
    assert!(text(&page).contains("demo-spa") && !text(&page).contains("demo-web"));
}

#[test]
fn a_role_that_is_taken_and_a_session_that_is_ended_are_noticed_at_the_next_request() {
    let site = staffed();
    enter(&site, "ada");
    assert_eq!(site.get("/console/clients").status, 200);
    site.patch("/admin/users/ada", &json!({ "roles": [] }));
    assert_eq!(site.get("/console/clients").status, 403);
    site.patch("/admin/users/ada", &json!({ "roles": ["administrator"] }));
    assert!(!is_sign_in(&site.get("/console/clients")));
    assert_eq!(site.admin(Method::DELETE, "/admin/grants?username=ada&sessions=true", &Value::Null).0, 204);
    assert!(is_sign_in(&site.get("/console/clients")));
}

#[test]
fn who_signed_in_long_ago_signs_in_again_before_administering() {
    let site = staffed();
    site.patch("/admin/settings", &json!({ "session.lifetimeSeconds": 2_592_000 }));
    enter(&site, "ada");
    site.world.pass(Seconds(12 * 3600 - 1));
    assert!(!is_sign_in(&site.get("/console")));
    site.world.pass(Seconds(1));
    assert!(is_sign_in(&site.get("/console")));
}

#[test]
fn a_form_counts_only_with_a_seal_of_this_session_and_from_no_other_site() {
    let site = staffed();
    let scope = [("name", "made"), ("description", "By a form")];
    let other = site.beside();
    enter(&other, "otto");
    let theirs = field(&other.get("/console"), "seal");
    let unsigned = field(&site.get("/console"), "seal");
    enter(&site, "ada");
    for seal in ["", "x", &theirs, &unsigned, &site.cookie("edgemint-session").unwrap()] {
        let mut fields = vec![("seal", seal)];
        fields.extend(scope);
        assert_eq!(site.submit("/console/scopes", &fields).status, 400, "{seal}");
        assert!(!exists(&site, "/admin/scopes/made"));
    }
    let seal = field(&site.get("/console"), "seal");
    let mut fields = vec![("seal", seal.as_str())];
    fields.extend(scope);
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.test")]
    {
        let headers = [("content-type", FORM), (name, value)];
        let foreign = request(Method::POST, "/console/scopes", &headers, &form(&fields));
        assert_eq!(site.browse(foreign).status, 400, "{name}: {value}");
        assert!(!exists(&site, "/admin/scopes/made"));
    }
    assert_eq!(send(&site, "/console/scopes", &scope).status, 303);
    assert!(exists(&site, "/admin/scopes/made"));
}

#[test]
fn an_auditor_reads_everything_and_writes_nothing() {
    let site = staffed();
    enter(&site, "otto");
    for path in ["/console", "/console/clients/demo-web", "/console/users/alice", "/console/settings"] {
        let page = site.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(!text(&page).contains("id=\"save\"") && !text(&page).contains("id=\"act-"), "{path}");
    }
    for (path, fields) in [
        ("/console/scopes", vec![("name", "made")]),
        ("/console/clients/demo-web", vec![("act", "delete"), ("confirm", "yes")]),
        ("/console/users/otto", vec![("act", "password"), ("password", PASSWORD), ("confirm", "yes")]),
        ("/console/settings", vec![("version", "\"1\""), ("log.successPercent", "1")]),
    ] {
        let answer = send(&site, path, &fields);
        assert_eq!(answer.status, 400, "{path}");
        assert!(text(&answer).contains("change nothing"), "{path}");
    }
    assert!(exists(&site, "/admin/clients/demo-web") && !exists(&site, "/admin/scopes/made"));
}

#[test]
fn a_wrong_administrators_token_makes_nobody_and_is_not_guessed_for_long() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "client.failuresPerMinute": 3 }));
    let attempt = |token: &str| {
        let seal = field(&site.get("/console/administrator"), "seal");
        let fields =
            [("seal", seal.as_str()), ("admin_token", token), ("username", "eve"), ("password", PASSWORD)];
        site.submit("/console/administrator", &fields).status.as_u16()
    };
    assert_eq!([attempt(""), attempt("x"), attempt("x")], [400, 400, 400]);
    assert_eq!(attempt("x"), 429);
    assert!(!exists(&site, "/admin/users/eve"));
    // A success is never limited.
    assert_eq!(attempt(ADMIN_TOKEN), 303);
    assert!(exists(&site, "/admin/users/eve"));
}

#[test]
fn the_same_form_sent_twice_makes_one_client() {
    let site = staffed();
    enter(&site, "ada");
    let id = field(&site.get("/console/new/clients"), "client_id");
    let fields = [
        ("client_id", id.as_str()),
        ("grant_types", "client_credentials"),
        ("scope", "reports"),
        ("enabled", "true"),
        ("token_endpoint_auth_method", "client_secret_basic"),
    ];
    let made = send(&site, "/console/clients", &fields);
    assert_eq!(made.status, 201, "{}", text(&made));
    assert!(text(&made).contains("id=\"secret\""));
    let again = send(&site, "/console/clients", &fields);
    assert!(again.status == 409 && text(&again).contains("there is a client of that id"));
}

#[test]
fn a_form_that_was_overtaken_is_shown_again_and_nothing_is_saved() {
    let site = staffed();
    enter(&site, "ada");
    let version = field(&site.get("/console/scopes/reports"), "version").replace("&#34;", "\"");
    site.patch("/admin/scopes/reports", &json!({ "description": "By somebody else" }));
    let fields = [("act", "save"), ("version", version.as_str()), ("description", "By ada")];
    let page = send(&site, "/console/scopes/reports", &fields);
    assert_eq!(page.status, 412);
    let html = text(&page);
    assert!(html.contains("By somebody else") && html.contains("value=\"By ada\""));
    let (_, scope) = site.admin(Method::GET, "/admin/scopes/reports", &Value::Null);
    assert_eq!(scope["description"], "By somebody else");
    let version = field(&page, "version").replace("&#34;", "\"");
    let fields = [("act", "save"), ("version", version.as_str()), ("description", "By ada")];
    assert_eq!(send(&site, "/console/scopes/reports", &fields).status, 303);
}

#[test]
fn what_is_typed_is_shown_as_text_whatever_it_looks_like() {
    let site = staffed();
    enter(&site, "ada");
    let nasty = "\"><script>alert(1)</script>&'";
    let page = send(&site, "/console/scopes", &[("name", nasty), ("description", nasty)]);
    assert_eq!(page.status, 400);
    let page = text(&page);
    assert!(!page.contains("<script") && page.contains("&#60;script"));
    let page = text(&site.get(&format!("/console/clients?q={}", edgemint::wire::encode(nasty))));
    assert!(!page.contains("<script") && page.contains("&#60;script"));
}

#[test]
fn storage_that_is_away_changes_nothing_and_is_told_without_a_form() {
    let site = staffed();
    enter(&site, "ada");
    let seal = field(&site.get("/console"), "seal");
    site.world.fate("REGISTRY", &[Fate::Lost; 8]);
    let fields = [("seal", seal.as_str()), ("name", "made"), ("description", "")];
    assert_eq!(site.submit("/console/scopes", &fields).status, 503);
    site.world.fate("REGISTRY", &[]);
    assert!(!exists(&site, "/admin/scopes/made"));
}

#[test]
fn who_must_be_cut_off_can_be_while_a_shard_is_away() {
    let site = staffed();
    site.tokens();
    site.forget_cookie("edgemint-session");
    enter(&site, "ada");
    let seal = field(&site.get("/console"), "seal");
    site.world.fate("GRANTS", &[Fate::Lost; 2]);
    let page = site.submit("/console/clients/demo-web", &[("seal", seal.as_str()), ("act", "cut")]);
    assert_eq!(page.status, 200);
    let page = text(&page);
    assert!(page.contains("could not be counted") && page.contains("id=\"confirm-yes\""));
}

#[test]
fn a_password_that_was_refused_is_not_written_into_the_page() {
    let site = staffed();
    enter(&site, "ada");
    let fields = [("username", "otto"), ("password", "the-password-typed"), ("enabled", "true")];
    let page = send(&site, "/console/users", &fields);
    assert_eq!(page.status, 409);
    assert!(!text(&page).contains("the-password-typed"));
}

#[test]
fn what_was_not_touched_is_not_said_so_another_profile_brings_its_own() {
    let site = staffed();
    enter(&site, "ada");
    let page = site.get("/console/clients/demo-web");
    let version = field(&page, "version").replace("&#34;", "\"");
    let uris = "http://127.0.0.1:9999/callback\r\nhttp://localhost:9999/callback";
    let fields = [
        ("act", "save"),
        ("version", version.as_str()),
        ("client_name", "Demo web application"),
        ("redirect_uris", uris),
        ("grant_types", "authorization_code"),
        ("grant_types", "refresh_token"),
        ("scope", "orders.read orders.write reports"),
        ("profile", "legacy"),
        ("enabled", "true"),
        ("confirm", "yes"),
    ];
    let answer = send(&site, "/console/clients/demo-web", &fields);
    assert_eq!(answer.status, 303, "{}", text(&answer));
    let (_, client) = site.admin(Method::GET, "/admin/clients/demo-web", &Value::Null);
    assert_eq!((&client["profile"], &client["refresh_count"]), (&json!("legacy"), &json!(0)));
}

#[test]
fn emptying_a_setting_that_was_larger_than_its_default_is_asked_about() {
    let site = staffed();
    site.patch("/admin/settings", &json!({ "refresh.idleSeconds": 31_536_000 }));
    enter(&site, "ada");
    let version = field(&site.get("/console/settings"), "version").replace("&#34;", "\"");
    let (_, settings) = site.admin(Method::GET, "/admin/settings", &Value::Null);
    let values: Vec<(&str, String)> = settings
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "refresh.idleSeconds")
        .map(|(name, value)| (name.as_str(), value.to_string()))
        .collect();
    let mut fields = vec![("version", version.as_str())];
    fields.extend(values.iter().map(|(name, value)| (*name, value.as_str())));
    let page = send(&site, "/console/settings", &fields);
    assert_eq!(page.status, 200);
    assert!(text(&page).contains("refresh.idleSeconds") && text(&page).contains("id=\"confirm-yes\""));
    let (_, settings) = site.admin(Method::GET, "/admin/settings", &Value::Null);
    assert_eq!(settings["refresh.idleSeconds"], 31_536_000);
}

#[test]
fn an_account_is_opened_though_a_shard_has_not_heard_of_an_earlier_change() {
    let site = staffed();
    site.tokens();
    site.forget_cookie("edgemint-session");
    site.patch("/admin/settings", &json!({ "login.failuresPerUser": 3 }));
    let page = site.authorize("demo-web", &[]);
    for _ in 0..4 {
        site.sign_in(&page, "alice", "wrong");
    }
    site.world.fate("GRANTS", &[Fate::Lost; 8]);
    let (status, _) = site.admin(Method::PATCH, "/admin/users/alice", &json!({ "groups": ["x"] }));
    assert_eq!(status, 503);
    let (status, _) = site.admin(Method::PATCH, "/admin/users/alice", &json!({ "locked_until": null }));
    assert_eq!(status, 503);
    site.world.fate("GRANTS", &[]);
    assert_eq!(site.sign_in(&page, "alice", "wonderland").status, 303);
}

#[test]
fn a_new_secret_is_shown_though_a_shard_has_not_heard_of_it_and_the_page_says_so() {
    let site = staffed();
    site.tokens();
    site.forget_cookie("edgemint-session");
    enter(&site, "ada");
    let question = send(&site, "/console/clients/demo-web", &[("act", "secret")]);
    assert!(text(&question).contains("Tokens that it got for itself are not counted."));
    site.world.fate("GRANTS", &[Fate::Lost; 8]);
    let page = send(
        &site,
        "/console/clients/demo-web",
        &[("act", "secret"), ("overlap_seconds", "0"), ("confirm", "yes")],
    );
    site.world.fate("GRANTS", &[]);
    let page = text(&page);
    assert!(page.contains("id=\"secret\"") && page.contains("some parts have not heard of it yet"), "{page}");
}

#[test]
fn a_link_of_another_site_says_nothing_in_our_name() {
    let site = staffed();
    enter(&site, "ada");
    let notice = |from: &str| {
        let headers = [("sec-fetch-site", from)];
        let page = site.browse(request(Method::GET, "/console/clients?done=delete", &headers, ""));
        text(&page).contains("id=\"notice\"")
    };
    assert_eq!((notice("same-origin"), notice("none"), notice("cross-site")), (true, true, false));
}

#[test]
fn health_is_told_while_the_registry_is_away() {
    let site = staffed();
    site.world.fate("REGISTRY", &[Fate::Lost; 9]);
    let (status, health) = site.admin(Method::GET, "/admin/health", &Value::Null);
    site.world.fate("REGISTRY", &[]);
    assert_eq!(status, 200);
    assert!(health["items"].as_array().unwrap().iter().all(|item| item["error"].is_string()), "{health}");
}

#[test]
fn security_events_of_the_registry_are_forgotten_after_thirty_days() {
    let site = staffed();
    site.patch("/admin/clients/demo-machine", &json!({ "enabled": false }));
    let cuts = || {
        let (_, health) = site.admin(Method::GET, "/admin/health?q=registry", &Value::Null);
        health["items"][0]["events"]["client_cut"].as_u64().unwrap_or_default()
    };
    assert_eq!(cuts(), 1);
    site.world.pass(Seconds(32 * 86_400));
    assert_eq!(cuts(), 0);
    site.world.ring();
    let disk = site.world.disk("REGISTRY", "registry");
    assert!(!disk.tables().unwrap().iter().any(|name| name.starts_with("tally")));
}

#[test]
fn security_events_are_counted_once_where_they_happened() {
    let site = staffed();
    let tokens = site.tokens();
    let old = string(&tokens, "refresh_token");
    let (_, next) = site.refresh(&old);
    site.refresh(&string(&next, "refresh_token"));
    // Twice: the family ends once.
    site.refresh(&old);
    site.refresh(&old);
    let page =
        site.authorize("demo-spa", &[("redirect_uri", "http://127.0.0.1:9999/spa"), ("prompt", "login")]);
    if text(&page).contains("id=\"login-submit\"") {
        site.sign_in(&page, "alice", "wrong");
    }
    site.patch("/admin/clients/demo-machine", &json!({ "enabled": false }));
    let (status, health) = site.admin(Method::GET, "/admin/health", &Value::Null);
    assert_eq!(status, 200);
    let items = health["items"].as_array().unwrap();
    let sum = |event: &str| items.iter().filter_map(|item| item["events"][event].as_u64()).sum::<u64>();
    assert_eq!((sum("reuse_detected"), sum("client_cut")), (1, 1), "{health}");
    assert_eq!(items[0]["current"], json!(true));
    assert!(items.iter().skip(1).all(|item| item["size"].as_u64() > Some(0)), "{health}");
}

#[test]
fn failed_logins_are_counted_and_what_closed_an_account_is_shown_and_opened() {
    let site = staffed();
    site.patch("/admin/settings", &json!({ "login.failuresPerUser": 3 }));
    let page = site.authorize("demo-web", &[]);
    for _ in 0..4 {
        site.sign_in(&page, "alice", "wrong");
    }
    let until = site.admin(Method::GET, "/admin/users/alice", &Value::Null).1["locked_until"].clone();
    assert!(until.is_u64(), "{until}");
    assert_eq!(site.sign_in(&page, "alice", "wonderland").status, 429);
    let (status, refused) = site.admin(Method::PATCH, "/admin/users/alice", &json!({ "locked_until": 7 }));
    assert_eq!((status, &refused["field"]), (400, &json!("locked_until")));
    site.patch("/admin/users/alice", &json!({ "locked_until": null }));
    assert_eq!(site.sign_in(&page, "alice", "wonderland").status, 200);
    let disk = site.world.disk("ACCOUNTS", &edgemint::model::account::shard_of_name("alice").to_string());
    let tallies: Vec<String> =
        disk.tables().unwrap().into_iter().filter(|name| name.starts_with("tally")).collect();
    let [table] = tallies.as_slice() else { panic!("{tallies:?}") };
    assert_eq!(disk.get(table, "login_failed", "").unwrap().as_deref(), Some("3"));
    assert_eq!(disk.get(table, "login_closed", "").unwrap().as_deref(), Some("1"));
}

#[test]
fn a_part_that_does_not_answer_is_in_the_list_and_says_so() {
    let site = staffed();
    site.tokens();
    site.world.fate("GRANTS", &[Fate::Lost; 2]);
    let (status, health) = site.admin(Method::GET, "/admin/health", &Value::Null);
    assert_eq!(status, 200);
    let silent: Vec<&Value> =
        health["items"].as_array().unwrap().iter().filter(|item| item["error"].is_string()).collect();
    assert!(
        !silent.is_empty() && silent.iter().all(|item| string(item, "id").starts_with("grants/")),
        "{health}"
    );
    site.forget_cookie("edgemint-session");
    enter(&site, "ada");
    site.world.fate("GRANTS", &[Fate::Lost; 2]);
    assert!(text(&site.get("/console")).contains("did not answer"));
}
