//! `/register`: clients that register themselves (RFC 7591), manage themselves (RFC 7592), and end when nobody uses them.

mod attacked;
mod documents;
mod ends;
mod initial;
mod managing;

use crate::world::*;
use edgemint::{host::Seconds, wire::Response};
use http::Method;
use serde_json::{Value, json};

const CLIENT: &str = "https://app.test/cb";

/// A deployment where anybody may register.
pub fn open() -> Site {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    site.world.operations();
    site.world.events();
    site
}

/// A request with a bearer token, or without one.
pub fn ask(site: &Site, method: Method, target: &str, token: &str, body: &Value) -> Response {
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("content-type", "application/json"), ("authorization", authorization.as_str())];
    headers.retain(|(name, _)| *name != "authorization" || !token.is_empty());
    let body = if body.is_null() { String::new() } else { body.to_string() };
    site.send(&request(method, target, &headers, &body))
}

pub fn read(response: &Response) -> (u16, Value) {
    (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or(Value::Null))
}

/// A public client of an application.
pub fn application() -> Value {
    json!({
        "client_name": "An application",
        "redirect_uris": [CLIENT],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    })
}

/// With other members.
#[allow(clippy::needless_pass_by_value)] // Written in place.
pub fn with(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// A registration that succeeds.
pub fn register(site: &Site, body: &Value) -> Value {
    let (status, client) = read(&ask(site, Method::POST, "/register", "", body));
    assert_eq!(status, 201, "{client}");
    client
}

pub fn id(client: &Value) -> String {
    string(client, "client_id")
}

/// Where a client manages itself, and by which token.
pub fn managed(client: &Value) -> (String, String) {
    let uri = string(client, "registration_client_uri");
    let target = uri.strip_prefix(ISSUER).expect("an address of ours").to_owned();
    (target, string(client, "registration_access_token"))
}

/// The authorization request of a client at its redirect URI.
pub fn asks(site: &Site, id: &str) -> Response {
    site.authorize(id, &[("redirect_uri", CLIENT)])
}

/// What alice gives it: the token response.
pub fn tokens(site: &Site, client: &str) -> Value {
    let id = if client.starts_with("https:") { client } else { client.split(':').next().unwrap_or_default() };
    let code = site.code(id, &[("redirect_uri", CLIENT)]);
    let (status, body) = redeem(site, client, &code);
    assert_eq!(status, 200, "{body}");
    body
}

pub fn redeem(site: &Site, client: &str, code: &str) -> (u16, Value) {
    let mut fields = redemption(code);
    fields[2].1 = CLIENT;
    speak(site, "/token", client, &fields)
}

/// As [`Site::post`], also for a client whose id has a colon.
pub fn speak(site: &Site, path: &str, client: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    if !client.starts_with("https:") {
        return site.post(path, client, fields);
    }
    let mut fields = fields.to_vec();
    fields.push(("client_id", client));
    site.post(path, "", &fields)
}

pub fn refresh(site: &Site, client: &str, token: &str) -> (u16, Value) {
    speak(site, "/token", client, &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

#[test]
fn registration_is_closed_until_an_administrator_opens_it_and_only_then_advertised() {
    let site = Site::new();
    let metadata = |site: &Site| -> Value {
        serde_json::from_str(&text(&site.get("/.well-known/oauth-authorization-server"))).unwrap()
    };
    assert!(metadata(&site).get("registration_endpoint").is_none());
    let before = site.world.dump();
    let (status, body) = read(&ask(&site, Method::POST, "/register", "", &application()));
    assert_eq!((status, &body["error"]), (403, &json!("access_denied")), "{body}");
    assert_eq!(site.world.dump(), before);
    site.patch("/admin/settings", &json!({ "registration.open": 1 }));
    assert_eq!(metadata(&site)["registration_endpoint"], format!("{ISSUER}/register"));
    let refused = ask(&site, Method::POST, "/register", "", &application());
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"edgemint\""));
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    let client = register(&site, &application());
    site.patch("/admin/settings", &json!({ "registration.open": 0 }));
    assert_eq!(ask(&site, Method::POST, "/register", "", &application()).status, 403);
    let (target, token) = managed(&client);
    assert_eq!(ask(&site, Method::GET, &target, &token, &Value::Null).status, 200, "who is registered stays");
}

#[test]
fn an_isolate_that_has_not_heard_of_the_opening_asks_before_it_refuses() {
    let site = Site::new();
    let other = site.beside();
    assert_eq!(other.get("/healthz").status, 200);
    site.world.freeze_replica(true);
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    site.world.pass(Seconds(6));
    assert_eq!(ask(&other, Method::POST, "/register", "", &application()).status, 201);
}

#[test]
fn a_public_client_registers_is_allowed_something_and_refreshes_it() {
    let site = open();
    let client = register(&site, &with(application(), json!({ "software_id": "x", "logo_uri": "http://x" })));
    assert_eq!(client["client_name"], "An application");
    let scope = "address email offline_access openid orders.read orders.write phone profile reports";
    assert_eq!(client["scope"], scope, "what a person may be asked for");
    assert_eq!(client["response_types"], json!(["code"]));
    assert_eq!(client["client_id_issued_at"], 1_800_000_000);
    for name in ["client_secret", "client_secret_expires_at", "software_id", "logo_uri", "enabled", "profile"]
    {
        assert!(client.get(name).is_none(), "{name} in {client}");
    }
    assert!(string(&client, "registration_access_token").starts_with("emk_"));
    let page = site.sign_in(&asks(&site, &id(&client)), "alice", "wonderland");
    let shown = text(&page);
    assert!(shown.contains("<strong id=\"consent-host\">app.test</strong>"), "{shown}");
    assert!(shown.contains("Nobody here knows this application"), "{shown}");
    let tokens = tokens(&site, &id(&client));
    let about = site.inspect(&string(&tokens, "access_token"));
    assert_eq!((&about["active"], &about["client_id"]), (&json!(true), &client["client_id"]));
    let (status, again) = refresh(&site, &id(&client), &string(&tokens, "refresh_token"));
    assert_eq!(status, 200, "{again}");
}

#[test]
fn a_confidential_client_gets_its_secret_once_and_needs_it() {
    let site = open();
    let body = json!({ "redirect_uris": [CLIENT], "grant_types": ["authorization_code", "refresh_token"] });
    let client = register(&site, &body);
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(client["client_secret_expires_at"], 0);
    let confidential = format!("{}:{}", id(&client), string(&client, "client_secret"));
    let tokens = tokens(&site, &confidential);
    assert_eq!(refresh(&site, &id(&client), &string(&tokens, "refresh_token")).0, 401);
    assert_eq!(refresh(&site, &confidential, &string(&tokens, "refresh_token")).0, 200);
    let (target, token) = managed(&client);
    let (_, shown) = read(&ask(&site, Method::GET, &target, &token, &Value::Null));
    assert!(shown.get("client_secret").is_none(), "what is kept is a MAC");
    for secret in [string(&client, "client_secret"), token] {
        assert!(!site.world.dump().contains(&secret));
    }
}

#[test]
fn every_member_is_held_to_its_rule_at_registration_and_at_replacement() {
    let site = open();
    let client = register(&site, &application());
    let (target, mut token) = managed(&client);
    let (metadata, redirect) = ("invalid_client_metadata", "invalid_redirect_uri");
    for (more, error) in [
        (json!({ "redirect_uris": [] }), redirect),
        (json!({ "redirect_uris": null }), redirect),
        (json!({ "redirect_uris": CLIENT }), redirect),
        (json!({ "redirect_uris": [7] }), redirect),
        (json!({ "redirect_uris": ["/cb"] }), redirect),
        (json!({ "redirect_uris": ["http://app.test/cb"] }), redirect),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), redirect),
        (json!({ "redirect_uris": ["https://app.test/cb#f"] }), redirect),
        (json!({ "redirect_uris": ["https://me@app.test/cb"] }), redirect),
        (json!({ "redirect_uris": ["https://app.test/cb?code=1"] }), redirect),
        (json!({ "redirect_uris": vec![CLIENT; 51] }), redirect),
        (json!({ "application_type": "web", "redirect_uris": ["http://127.0.0.1/cb"] }), redirect),
        (json!({ "application_type": "web", "redirect_uris": ["https://localhost/cb"] }), redirect),
        (json!({ "application_type": "web", "redirect_uris": ["com.example.app:/cb"] }), redirect),
        (json!({ "application_type": "service" }), metadata),
        (json!({ "grant_types": ["client_credentials"] }), metadata),
        (json!({ "grant_types": ["authorization_code", "password"] }), metadata),
        (json!({ "grant_types": ["authorization_code", "implicit"] }), metadata),
        (json!({ "grant_types": ["refresh_token"] }), metadata),
        (json!({ "grant_types": "authorization_code" }), metadata),
        (json!({ "response_types": ["token"] }), metadata),
        (json!({ "response_types": ["code", "code token"] }), metadata),
        (json!({ "token_endpoint_auth_method": "private_key_jwt" }), metadata),
        (json!({ "token_endpoint_auth_method": 1 }), metadata),
        (json!({ "scope": "reports admin" }), metadata),
        (json!({ "scope": "admin.read" }), metadata),
        (json!({ "scope": "open_id" }), metadata),
        (json!({ "scope": ["reports"] }), metadata),
        (json!({ "client_name": "x".repeat(201) }), metadata),
        (json!({ "client_name": "knab\u{202e}" }), metadata),
        (json!({ "client_name": {} }), metadata),
        (json!({ "contacts": "me" }), metadata),
        (json!({ "contacts": vec!["a@b.test"; 21] }), metadata),
        (json!({ "contacts": ["x".repeat(201)] }), metadata),
        (
            json!({ "redirect_uris": [CLIENT, format!("{CLIENT}/{}", "x".repeat(1900)), format!("{CLIENT}/{}", "y".repeat(1900))] }),
            metadata,
        ),
        (json!({ "profile": "legacy" }), metadata),
        (json!({ "profile": "oauth21" }), metadata),
        (json!({ "enabled": true }), metadata),
        (json!({ "strict": true }), metadata),
        (json!({ "administrative": true }), metadata),
        (json!({ "resource_server": true }), metadata),
        (json!({ "resources": ["https://api.test/"] }), metadata),
        (json!({ "require_pkce": false }), metadata),
        (json!({ "access_token_lifetime": 31_536_000 }), metadata),
        (json!({ "access_token_format": "opaque" }), metadata),
        (json!({ "code_lifetime": 600 }), metadata),
        (json!({ "refresh_count": null }), metadata),
        (json!({ "refresh_rotation": "never" }), metadata),
        (json!({ "not_before": 1 }), metadata),
        (json!({ "description": "x" }), metadata),
        (json!({ "client_version": "x" }), metadata),
        (json!({ "client_id_issued_at": 1 }), metadata),
        (json!({ "client_secret_expires_at": 0 }), metadata),
        (json!({ "registration_access_token": token }), metadata),
        (json!({ "registration_client_uri": target }), metadata),
    ] {
        let before = (
            site.world.dump_of_all_but_counts(),
            site.admin(Method::GET, &format!("/admin/clients/{}", id(&client)), &Value::Null),
        );
        let (status, body) =
            read(&ask(&site, Method::POST, "/register", "", &with(application(), more.clone())));
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{more} {body}");
        let body = with(with(application(), json!({ "client_id": id(&client) })), more.clone());
        let (status, body) = read(&ask(&site, Method::PUT, &target, &token, &body));
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{more} {body}");
        assert_eq!(site.world.dump_of_all_but_counts(), before.0, "{more}");
        site.world.pass(Seconds(2)); // Sixty a minute.
    }
    for (name, value) in [("client_id", json!("mine")), ("client_secret", json!("hush"))] {
        let body = with(application(), json!({ name: value }));
        let (status, body) = read(&ask(&site, Method::POST, "/register", "", &body));
        assert_eq!((status, &body["error"]), (400, &json!(metadata)), "{name} is drawn");
    }
    // And what is right is taken at both.
    for more in [
        json!({ "application_type": "native", "redirect_uris": ["http://127.0.0.1/cb", "com.example.app:/cb", CLIENT] }),
        json!({ "application_type": "web", "scope": "reports", "contacts": ["a@b.test"] }),
    ] {
        let made = register(&site, &with(application(), more.clone()));
        assert_eq!(made["application_type"], more["application_type"]);
        let body = with(with(application(), json!({ "client_id": id(&client) })), more.clone());
        let (status, changed) = read(&ask(&site, Method::PUT, &target, &token, &body));
        assert_eq!((status, &changed["application_type"]), (200, &more["application_type"]), "{changed}");
        token = string(&changed, "registration_access_token");
    }
}

#[test]
fn what_is_no_json_object_is_refused_and_a_repeated_member_is_named() {
    let site = open();
    let send = |content_type: &str, body: &str| {
        read(&site.send(&request(Method::POST, "/register", &[("content-type", content_type)], body)))
    };
    for body in ["", "[]", "{", "\"x\"", "{}{}"] {
        let (status, answer) = send("application/json", body);
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{body}");
    }
    let (_, answer) = send("application/json", r#"{"scope":"a","redirect_uris":[],"scope":"b"}"#);
    assert_eq!(answer["error_description"], "scope is there twice");
    for content_type in ["", FORM, "application/merge-patch+json", "text/plain"] {
        assert_eq!(send(content_type, "{}").0, 415, "{content_type}");
    }
}

#[test]
fn a_registration_is_in_the_log_of_changes_and_in_the_log() {
    let site = open();
    site.world.pass(Seconds(1));
    let client = register(&site, &application());
    let (_, page) = site.admin(Method::GET, "/admin/audit?limit=1", &Value::Null);
    let change = &page["items"][0];
    assert_eq!((&change["action"], &change["by"]["kind"]), (&json!("client.registered"), &json!("client")));
    assert_eq!(
        (&change["by"]["name"], &change["target"]),
        (&client["client_id"], &json!(format!("client/{}", id(&client))))
    );
    assert_eq!(change["after"], json!({}), "a flood would fill the log with what nobody ever used");
    let events = site.world.events();
    let event = events.iter().find(|event| event["event"] == "registration.created").expect("an event");
    assert_eq!((&event["client"], &event["status"]), (&client["client_id"], &json!(201)));
}

#[test]
fn a_registration_whose_answer_is_lost_is_one_client() {
    let site = open();
    site.world.fate("REGISTRY", &[Fate::Unanswered]);
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    assert_eq!(ask(&site, Method::GET, &target, &token, &Value::Null).status, 200);
    let (_, page) = site.admin(Method::GET, "/admin/clients?q=An%20application", &Value::Null);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_client_that_registered_itself_works_though_the_replica_lags() {
    let site = open();
    site.world.freeze_replica(true);
    let client = register(&site, &application());
    let other = site.beside();
    assert_eq!(asks(&other, &id(&client)).status, 200);
    assert!(tokens(&other, &id(&client))["access_token"].is_string());
}

#[test]
fn a_scope_that_such_clients_have_can_be_taken_from_the_catalogue_and_is_theirs_no_more() {
    let site = open();
    let (status, body) = site.admin(Method::POST, "/admin/scopes", &json!({ "name": "extra" }));
    assert_eq!(status, 201, "{body}");
    let client = register(&site, &application());
    assert!(string(&client, "scope").contains("extra"));
    let given = tokens(&site, &id(&client));
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/extra", &Value::Null).0, 204);
    let answer = site.authorize(&id(&client), &[("redirect_uri", CLIENT), ("scope", "extra")]);
    assert_eq!(parameter(&answer, "error").as_deref(), Some("invalid_scope"));
    let (status, body) = refresh(&site, &id(&client), &string(&given, "refresh_token"));
    assert!(status == 400 || !string(&body, "scope").contains("extra"), "{body}");
    // It is disabled like any other.
    site.patch(&format!("/admin/clients/{}", id(&client)), &json!({ "enabled": false }));
    assert_eq!(refresh(&site, &id(&client), &string(&given, "refresh_token")).0, 401);
}
