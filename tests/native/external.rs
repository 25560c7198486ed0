//! `getExternalAccessToken`: this server as a client of others, for who may have it ask them.

use crate::world::*;
use base64ct::{Base64, Encoding as _};
use edgemint::{context::config::Vars, host::Fetched, wire::Response};
use http::Method;
use serde_json::{Value, json};

const ENDPOINT: &str = "https://as.example/token";
const COMPAT: [&str; 2] =
    ["/invoke/pub.client.oauth/getExternalAccessToken", "/invoke/pub.client.oauth:getExternalAccessToken"];
const OURS: &str = "/admin/external/token";

fn answer(status: u16, body: &Value) -> Fetched {
    let body = Some(body.to_string().into_bytes());
    Fetched { status, body, ..Fetched::default() }
}

fn tokens() -> Value {
    json!({
        "access_token": "theirs", "token_type": "Bearer", "expires_in": 600, "refresh_token": "next",
        "scope": "a b", "id_token": "x.y.z",
    })
}

fn code() -> Vec<(&'static str, &'static str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("token_endpoint", ENDPOINT),
        ("code", "their code"),
        ("client_id", "we:they"),
        ("client_secret", "hush/+"),
        ("redirect_uri", "https://app.test/cb"),
        ("scope", "a"),
    ]
}

fn refresh() -> Vec<(&'static str, &'static str)> {
    vec![
        ("grant_type", "refresh_token"),
        ("token_endpoint", ENDPOINT),
        ("refresh_token", "their refresh token"),
        ("client_id", "we"),
        ("client_secret", "hush"),
    ]
}

fn ask_as(site: &Site, bearer: &str, path: &str, how: &str, fields: &[(&str, &str)]) -> Response {
    let authorization = format!("Bearer {bearer}");
    let (content_type, body) = match how {
        "json" => (
            "application/json",
            Value::Object(fields.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect()).to_string(),
        ),
        _ => (FORM, form(fields)),
    };
    let headers = [("content-type", content_type), ("authorization", authorization.as_str())];
    let headers = if bearer.is_empty() { &headers[..1] } else { &headers[..] };
    site.send(&request(Method::POST, path, headers, &body))
}

fn ask(site: &Site, fields: &[(&str, &str)]) -> (u16, Value) {
    let response = ask_as(site, ADMIN_TOKEN, OURS, "json", fields);
    (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap())
}

fn with(
    mut fields: Vec<(&'static str, &'static str)>,
    name: &'static str,
    value: &'static str,
) -> Vec<(&'static str, &'static str)> {
    fields.retain(|(known, _)| *known != name);
    if !value.is_empty() {
        fields.push((name, value));
    }
    fields
}

#[test]
fn both_grants_work_at_every_address_in_both_forms_and_bring_what_the_vendor_says() {
    let site = Site::new();
    site.world.put_elsewhere(ENDPOINT, answer(200, &tokens()));
    for path in [COMPAT[0], COMPAT[1], OURS] {
        for how in ["json", "form"] {
            for fields in [code(), refresh()] {
                let response = ask_as(&site, ADMIN_TOKEN, path, how, &fields);
                assert_eq!(response.status, 200, "{path} {how}: {}", text(&response));
                assert_eq!(response.header("cache-control"), Some("no-store"));
                let said: Value = serde_json::from_slice(&response.body).unwrap();
                let expected = json!({
                    "access_token": "theirs", "token_type": "Bearer", "expires_in": 600,
                    "refresh_token": "next", "scope": "a b",
                });
                assert_eq!(said, expected);
            }
        }
    }
}

#[test]
fn what_is_sent_is_what_the_specification_says_and_no_more() {
    let site = Site::new();
    site.world.put_elsewhere(ENDPOINT, answer(200, &tokens()));
    let sent = |fields: &[(&str, &str)]| {
        assert_eq!(ask(&site, fields).0, 200);
        let [asked] = <[_; 1]>::try_from(site.world.asked()).unwrap();
        assert_eq!((asked.method, asked.address.as_str()), (Method::POST, ENDPOINT));
        let header =
            |name: &str| asked.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        assert_eq!(header("content-type").as_deref(), Some(FORM));
        (header("authorization"), String::from_utf8(asked.body).unwrap())
    };
    let basic = |pair: &str| Some(format!("Basic {}", Base64::encode_string(pair.as_bytes())));
    assert_eq!(
        sent(&with(code(), "refresh_token", "ignored")),
        (
            basic("we%3Athey:hush%2F%2B"),
            "grant_type=authorization_code&code=their%20code&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&scope=a".to_owned()
        )
    );
    assert_eq!(
        sent(&with(refresh(), "code", "ignored")),
        (basic("we:hush"), "grant_type=refresh_token&refresh_token=their%20refresh%20token".to_owned())
    );
    let public = with(with(code(), "client_secret", ""), "code_verifier", VERIFIER);
    let (authorization, body) = sent(&public);
    assert_eq!(authorization, None, "a public client says who it is in the body");
    assert!(body.ends_with("&client_id=we%3Athey") && body.contains("&code_verifier="), "{body}");
    let (authorization, body) = sent(&with(refresh(), "token_endpoint_auth_method", "client_secret_post"));
    assert_eq!(authorization, None);
    assert!(body.ends_with("&client_id=we&client_secret=hush"), "{body}");
}

#[test]
fn what_is_missing_or_wrong_is_refused_before_anybody_is_asked() {
    let site = Site::new();
    for (fields, error) in [
        (with(code(), "grant_type", ""), "invalid_request"),
        (with(code(), "grant_type", "password"), "unsupported_grant_type"),
        (with(code(), "code", ""), "invalid_request"),
        (with(refresh(), "refresh_token", ""), "invalid_request"),
        (with(code(), "client_id", ""), "invalid_request"),
        (with(code(), "token_endpoint", ""), "invalid_request"),
        (with(code(), "token_endpoint_auth_method", "private_key_jwt"), "invalid_request"),
    ] {
        let (status, problem) = ask(&site, &fields);
        assert_eq!((status, &problem["error"]), (400, &json!(error)), "{problem}");
        let vendors = ask_as(&site, ADMIN_TOKEN, COMPAT[0], "form", &fields);
        assert_eq!(vendors.status, 400);
    }
    let in_query = format!("{OURS}?client_secret=hush");
    assert_eq!(ask_as(&site, ADMIN_TOKEN, &in_query, "json", &code()).status, 400);
    assert_eq!(site.world.fetched(), Vec::<String>::new());
    let unknown = "/invoke/pub.client.oauth/magic";
    assert_eq!(ask_as(&site, ADMIN_TOKEN, unknown, "form", &code()).status, 404);
    let another_folder = "/invoke/pub.oauth/getExternalAccessToken";
    assert_eq!(ask_as(&site, ADMIN_TOKEN, another_folder, "form", &code()).status, 404);
}

#[test]
fn who_may_is_the_administrator_and_who_has_the_scope_for_it() {
    let site = Site::new();
    site.world.put_elsewhere(ENDPOINT, answer(200, &tokens()));
    let status = |bearer: &str, path: &str| ask_as(&site, bearer, path, "json", &code());
    for path in [COMPAT[0], OURS] {
        let missing = status("", path);
        assert_eq!(missing.status, 401);
        assert!(missing.header("www-authenticate").unwrap().starts_with("Bearer "));
        assert_eq!(status("ema_x", path).status, 401);
    }
    // Nobody has the scope who was not given it, and nobody gets it who does not ask for it.
    let fields = [("grant_type", "client_credentials"), ("scope", "external")];
    assert_eq!(site.token(MACHINE, &fields).1["error"], "invalid_scope");
    site.patch("/admin/clients/demo-machine", &json!({ "scope": "reports external" }));
    let usual = string(&site.token(MACHINE, &OWN).1, "access_token");
    let refused = status(&usual, OURS);
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").unwrap().ends_with("scope=\"external\""));
    let own = string(&site.token(MACHINE, &fields).1, "access_token");
    assert_eq!(status(&own, OURS).status, 200);
    assert_eq!(status(&own, COMPAT[0]).status, 200);
    let page = site.admin(Method::GET, "/admin/clients", &Value::Null);
    assert_eq!(page.0, 200);
    let administers = site.send(&request(
        Method::GET,
        "/admin/clients",
        &[("authorization", &format!("Bearer {own}"))],
        "",
    ));
    assert_eq!(administers.status, 403, "it opens nothing else");
    site.patch("/admin/clients/demo-machine", &json!({ "scope": "reports" }));
    assert_eq!(status(&own, OURS).status, 401, "what is taken from the client is taken at once");

    // A person's, by a client that may have it.
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports external" }));
    let code = site.code("demo-web", &[("scope", "external")]);
    let tokens = site.redeem(&code).1;
    assert_eq!(status(&string(&tokens, "access_token"), OURS).status, 200);
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert_eq!(status(&string(&tokens, "access_token"), OURS).status, 401);
}

#[test]
fn an_address_that_could_be_ours_or_of_a_private_network_is_never_asked() {
    let production = Vars { mode: None, issuer: Some("https://as.test:8443".into()), ..development() };
    let laptop = Site::new();
    let server = Site::with(&World::new(), &production);
    for (site, addresses) in [
        (
            &server,
            &[
                "http://as.example/token",
                "http://localhost:9/token",
                "https://localhost/token",
                "https://127.0.0.1/token",
                "https://10.1.2.3/token",
                "https://169.254.169.254/latest",
                "https://2130706433/token",
                "https://[::1]/token",
                "https://intranet/token",
                "https://vault.internal/token",
                "https://as.test:8443/token",
                "https://as.test/token",
                "https://as.test:9/token",
                "https://me:pw@as.example/token",
                "https://as.example/token#x",
                "https://as.example/../token",
                "file:///etc/passwd",
                "as.example",
            ][..],
        ),
        (
            &laptop,
            &[
                "http://localhost:8787/token",
                "http://127.0.0.1:8787/token",
                "http://[::1]:8787/token",
                "http://10.1.2.3/token",
                "http://as.example/token",
                "https://localhost.evil.internal/token",
            ][..],
        ),
    ] {
        for address in addresses {
            let fields: Vec<(&str, &str)> = code()
                .into_iter()
                .map(|(name, value)| (name, if name == "token_endpoint" { *address } else { value }))
                .collect();
            let (status, problem) = ask(site, &fields);
            assert_eq!((status, &problem["error"]), (400, &json!("invalid_target")), "{address}: {problem}");
        }
        assert_eq!(site.world.fetched(), Vec::<String>::new());
    }
    let other = [("token_endpoint", "http://127.0.0.1:8788/token")];
    laptop.world.put_elsewhere(other[0].1, answer(200, &tokens()));
    assert_eq!(ask(&laptop, &with(code(), "token_endpoint", other[0].1)).0, 200);
}

#[test]
fn only_listed_origins_are_asked_where_any_are_listed() {
    let site = Site::new();
    site.world.put_elsewhere(ENDPOINT, answer(200, &tokens()));
    let list = |origins: &str| {
        site.admin(Method::PATCH, "/admin/settings", &json!({ "external.allowedOrigins": origins }))
    };
    assert_eq!(list("https://other.example https://as.example:444").0, 200);
    assert_eq!(ask(&site, &code()).1["error"], "invalid_target");
    assert_eq!(list("https://other.example https://as.example").0, 200);
    assert_eq!(ask(&site, &code()).0, 200);
    for wrong in
        ["as.example", "https://as.example/", "https://as.example/x", "https://a  https://b", " https://a"]
    {
        assert_eq!(list(wrong).1["field"], "external.allowedOrigins", "{wrong}");
    }
    assert_eq!(list("").0, 200);
    assert_eq!(ask(&site, &code()).0, 200);
}

#[test]
fn what_the_provider_says_no_with_is_passed_on_and_told_apart_from_our_own_no() {
    let site = Site::new();
    let error = json!({ "error": "invalid_grant", "error_description": "too late" });
    let large = Fetched { body: Some(vec![b' '; 64 * 1024 + 1]), ..answer(200, &tokens()) };
    for (fetched, external) in [
        (
            answer(400, &error),
            json!({ "error": "external_error", "external_status": 400, "external": error }),
        ),
        (
            answer(401, &json!([])),
            json!({ "error": "external_error", "external_status": 401, "external": [] }),
        ),
        (
            Fetched { status: 302, body: Some(Vec::new()), ..Fetched::default() },
            json!({ "error": "external_error", "external_status": 302, "external": null }),
        ),
        (
            Fetched { body: Some(b"<html>".to_vec()), ..answer(500, &error) },
            json!({ "error": "external_error", "external_status": 500, "external": null }),
        ),
        (
            answer(200, &json!({})),
            json!({ "error": "external_error", "external_status": 200, "external": {} }),
        ),
        (
            answer(200, &json!({ "access_token": 7 })),
            json!({ "error": "external_error", "external_status": 200, "external": { "access_token": 7 } }),
        ),
        (large, json!({ "error": "external_error", "external_status": 200, "external": null })),
    ] {
        site.world.put_elsewhere(ENDPOINT, fetched);
        for path in [OURS, COMPAT[0]] {
            let response = ask_as(&site, ADMIN_TOKEN, path, "json", &code());
            let mut said: Value = serde_json::from_slice(&response.body).unwrap();
            assert!(said.as_object_mut().unwrap().remove("trace_id").is_some());
            assert_eq!((response.status.as_u16(), &said), (502, &external));
        }
    }
    site.world.late(true);
    let (status, said) = ask(&site, &code());
    assert_eq!((status, &said["error"]), (504, &json!("external_timeout")));
    site.world.late(false);
    let (status, said) = ask(&site, &with(code(), "token_endpoint", "https://nobody.example/token"));
    assert_eq!(
        (status, &said["error"], &said["external_status"]),
        (502, &json!("external_error"), &Value::Null)
    );
    let events = site.world.events();
    assert!(events.iter().any(|event| event["event"] == "external.refused" && event["status"] == 502));
    let log = events.iter().map(Value::to_string).collect::<String>();
    assert!(!log.contains("hush") && !log.contains("their code"), "{log}");
}

#[test]
fn an_answer_is_passed_on_as_far_as_it_is_one() {
    let site = Site::new();
    site.world.put_elsewhere(
        ENDPOINT,
        answer(200, &json!({ "access_token": "t", "expires_in": "600", "scope": null })),
    );
    assert_eq!(ask(&site, &refresh()), (200, json!({ "access_token": "t", "expires_in": 600 })));
}
