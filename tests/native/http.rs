//! Hostile and merely wrong HTTP: a clear 4xx, nothing changed, never a 500.

use crate::world::*;
use edgemint::{context::config::Vars, server, wire::Request};
use http::Method;
use serde_json::{Value, json};

fn body(response: &edgemint::wire::Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or(Value::Null)
}

fn raw(path: &str, content_type: &str, bytes: &[u8]) -> Request {
    Request {
        body: Some(bytes.to_vec()),
        ..request(Method::POST, path, &[("content-type", content_type)], "")
    }
}

#[test]
fn a_wrong_method_is_405_and_says_which_are_right() {
    let site = Site::new();
    for (method, path, allow) in [
        (Method::GET, "/token", "POST"),
        (Method::GET, "/revoke", "POST"),
        (Method::GET, "/introspect", "POST"),
        (Method::GET, "/register", "POST"),
        (Method::PATCH, "/register/x", "GET, PUT, DELETE, HEAD"),
        (Method::DELETE, "/authorize", "GET, POST, HEAD"),
        (Method::GET, "/login", "POST"),
        (Method::PUT, "/admin/clients", "GET, POST, HEAD"),
        (Method::from_bytes(b"PROPFIND").unwrap(), "/healthz", "GET, HEAD"),
        (Method::POST, "/.well-known/oauth-authorization-server", "GET, HEAD"),
        (Method::OPTIONS, "/authorize", "GET, POST, HEAD"),
    ] {
        let answer = site.send(&request(method.clone(), path, &[], ""));
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(allow)), "{method} {path}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let site = Site::new();
    let answer = site.send(&request(Method::HEAD, "/healthz", &[], ""));
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}

#[test]
fn another_content_type_is_415_and_too_much_is_413() {
    let site = Site::new();
    for path in ["/token", "/revoke", "/introspect", "/login", "/consent", "/authorize"] {
        for content_type in ["application/json", "text/plain", "", "multipart/form-data; boundary=x"] {
            let answer = site.send(&raw(path, content_type, b"{}"));
            assert_eq!(answer.status, 415, "{path} {content_type}");
        }
        let large = Request { body: None, ..raw(path, FORM, b"") };
        assert_eq!(site.send(&large).status, 413, "{path}");
    }
    let parameterized =
        raw("/token", "Application/X-WWW-Form-Urlencoded; charset=UTF-8", b"grant_type=x&client_id=demo-spa");
    assert_eq!(body(&site.send(&parameterized))["error"], "unsupported_grant_type");
}

#[test]
fn malformed_forms_are_invalid_request() {
    let site = Site::new();
    for bytes in [
        &b"grant_type=%zz"[..],
        b"grant_type=%",
        b"grant_type=\xff",
        b"grant_type=%c3%28",
        b"grant_type=a&grant_type=b",
        b"client_id=a&client_id=a",
    ] {
        let answer = site.send(&raw("/token", FORM, bytes));
        assert_eq!(
            (answer.status.as_u16(), body(&answer)["error"].as_str()),
            (400, Some("invalid_request")),
            "{bytes:?}"
        );
    }
    let missing = site.token("demo-web:demo-web-secret", &[]);
    assert_eq!((missing.0, missing.1["error_description"].as_str()), (400, Some("grant_type is missing")));
}

#[test]
fn an_unknown_parameter_is_ignored_and_resource_may_repeat() {
    let site = Site::new();
    let text = "grant_type=client_credentials&resource=https%3A%2F%2Fa.test&resource=https%3A%2F%2Fb.test&magic=1\
                &client_id=demo-machine&client_secret=demo-machine-secret";
    assert_eq!(site.send(&raw("/token", FORM, text.as_bytes())).status, 200);
}

#[test]
fn an_audience_may_repeat_like_a_resource_wherever_it_may_stand() {
    let site = Site::new();
    let twice = "audience=a&audience=b&resource=https%3A%2F%2Fa.test&resource=https%3A%2F%2Fb.test";
    let own = format!(
        "grant_type=client_credentials&client_id=demo-machine&client_secret=demo-machine-secret&{twice}"
    );
    assert_eq!(site.send(&raw("/token", FORM, own.as_bytes())).status, 200);
    let asked = format!("{}&{twice}", form(&authorization("demo-web", &[])));
    assert_eq!(site.get(&format!("/authorize?{asked}")).status, 200);
    assert_eq!(site.send(&raw("/authorize", FORM, asked.as_bytes())).status, 200);
}

#[test]
fn basic_credentials_that_do_not_read_are_invalid_client() {
    let site = Site::new();
    for header in ["Basic !!!", "Basic", "Basic ", "Basic aWQ=", "Bearer x", "Digest a=b", "Basic aWQ6JXp6"] {
        let mut request = raw("/token", FORM, b"grant_type=client_credentials");
        request.headers.push(("authorization".into(), header.into()));
        let answer = site.send(&request);
        assert_eq!(
            (answer.status.as_u16(), body(&answer)["error"].as_str()),
            (401, Some("invalid_client")),
            "{header}"
        );
        assert!(answer.header("www-authenticate").is_some());
    }
}

#[test]
fn browsers_may_call_what_needs_no_cookie_and_nothing_else() {
    let site = Site::new();
    for (path, open) in [
        ("/token", true),
        ("/revoke", true),
        ("/register", true),
        ("/register/x", true),
        ("/.well-known/oauth-authorization-server", true),
        ("/authorize", false),
        ("/login", false),
        ("/introspect", false),
        ("/admin/clients", false),
    ] {
        let answer = site.send(&request(Method::OPTIONS, path, &[("origin", "https://app.test")], ""));
        assert_eq!(answer.header("access-control-allow-origin").is_some(), open, "{path}");
        assert_eq!(answer.status.as_u16(), if open { 204 } else { 405 }, "{path}");
        assert!(answer.header("access-control-allow-credentials").is_none());
    }
    let refused = site.send(&raw("/token", FORM, b""));
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "errors are readable, too");
}

#[test]
fn no_answer_that_carries_something_may_be_kept() {
    let site = Site::new();
    for (method, path) in server::routes() {
        let path = path.replace("{}", "x");
        let answer = site.send(&request(method.clone(), &path, &[("content-type", FORM)], ""));
        let public = [
            "/style.css",
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
            "/jwks",
            "/admin/openapi.json",
        ];
        let public = public.contains(&path.as_str());
        let expected = if public { "public" } else { "no-store" };
        assert!(answer.header("cache-control").unwrap_or_default().starts_with(expected), "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.status.as_u16() < 500, "{method} {path}");
    }
}

#[test]
fn the_metadata_says_what_is_served_and_nothing_else() {
    let site = Site::new();
    let metadata = body(&site.get("/.well-known/oauth-authorization-server"));
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(
        metadata["grant_types_supported"],
        json!(["authorization_code", "refresh_token", "client_credentials", "password", "implicit"])
    );
    assert_eq!(metadata["response_types_supported"].as_array().unwrap().len(), 7);
    assert_eq!(metadata["response_modes_supported"], json!(["query", "fragment", "form_post"]));
    assert_eq!(metadata, body(&site.get("/.well-known/openid-configuration")));
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    for (name, value) in metadata.as_object().unwrap() {
        if let Some(path) = value.as_str().filter(|_| name.ends_with("_endpoint")) {
            let path = path.strip_prefix(ISSUER).unwrap();
            assert!(server::routes().any(|(_, known)| known == path), "{name}");
        }
    }
    for grant_type in ["implicit", "urn:ietf:params:oauth:grant-type:device_code"] {
        let (_, error) = site.token("demo-legacy:demo-legacy-secret", &[("grant_type", grant_type)]);
        assert_eq!(error["error"], "unsupported_grant_type");
    }
    assert_eq!(metadata["jwks_uri"], format!("{ISSUER}/jwks"));
}

#[test]
fn a_deployment_that_makes_no_sense_answers_503_and_touches_no_storage() {
    for vars in [
        Vars { issuer: Some("https://as.test".into()), ..development() },
        Vars { issuer: None, ..development() },
        Vars { mode: None, ..development() },
        Vars { mode: None, issuer: Some("https://as.test".into()), master_key: None, ..development() },
        Vars { master_key: Some("a:c2hvcnQ".into()), ..development() },
    ] {
        let world = World::new();
        let site = Site::with(&world, &vars);
        for (method, path) in server::routes() {
            let answer = site.send(&request(method.clone(), &path.replace("{}", "x"), &[], ""));
            assert_eq!(answer.status, 503, "{path}");
            assert!(text(&answer).contains("server_error"), "{path}");
        }
        assert_eq!(world.operations(), Vec::<String>::new());
        assert_eq!(world.events()[0]["event"], "misconfigured");
    }
}

#[test]
fn tokens_and_passwords_go_over_https_alone() {
    let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
    let site = Site::with(&World::new(), &vars);
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let ask = |method: &http::Method, path: &str, secure: bool| {
        let headers = [("content-type", FORM), ("authorization", authorization.as_str())];
        let asked = request(method.clone(), path, &headers, "");
        site.as_it_is(&Request { host: "as.test".to_owned(), secure, ..asked })
    };
    let settings = |body: &str| {
        let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        site.send(&request(Method::PATCH, "/admin/settings", &headers, body)).status
    };
    assert_eq!(settings("{}"), 200);
    for (method, path) in server::routes() {
        let path = path.replace("{}", "x");
        let (before, answer) = (site.world.dump(), ask(&method, &path, false));
        let location = answer.header("location").unwrap_or_default();
        match answer.status.as_u16() {
            200 => assert_eq!(path, "/healthz"),
            303 => assert_eq!((&method, location), (&Method::GET, format!("https://as.test{path}").as_str())),
            status => assert!(status == 400 && text(&answer).contains("https"), "{method} {path}: {status}"),
        }
        assert_eq!(site.world.dump(), before, "{method} {path}");
    }
    assert_eq!(ask(&Method::GET, "/jwks", true).status, 200);
    assert_eq!(settings("{\"requireHTTPS\":false}"), 200);
    assert_eq!(ask(&Method::GET, "/jwks", false).status, 200);
}

#[test]
fn what_could_not_be_read_is_refused_like_everything_else() {
    let site = Site::new();
    let response = site.server.refuse_unread(&site.world, "the body broke off");
    let body = body(&response);
    assert_eq!((response.status.as_u16(), &body["error"]), (400, &json!("invalid_request")));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let events = site.world.events();
    assert!(events.iter().any(|event| event["event"] == "refused" && event["trace"] == body["trace_id"]));
}

#[test]
fn every_decision_is_one_event_that_its_error_can_be_found_by() {
    let site = Site::new();
    let (_, error) = site.token("demo-web:wrong", &[("grant_type", "client_credentials")]);
    let events = site.world.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["trace"], error["trace_id"]);
    assert_eq!(events[0]["event"], "refused");
    assert_eq!(events[0]["client"], "demo-web");
    assert_eq!(events[0]["reason"], "invalid_client: wrong secret");
    assert_eq!(events[0]["status"], 401);
    site.tokens();
    let names: Vec<Value> = site.world.events().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names, ["login.shown", "login.admitted", "consent.allowed", "token.issued"]);
}

#[test]
fn successes_are_logged_as_often_as_the_setting_says_and_refusals_always() {
    let site = Site::new();
    assert_eq!(site.admin(Method::PATCH, "/admin/settings", &json!({ "log.successPercent": 0 })).0, 200);
    site.world.events();
    let own = [("grant_type", "client_credentials")];
    assert_eq!(site.token("demo-machine:demo-machine-secret", &own).0, 200);
    assert_eq!(site.world.events().len(), 0);
    site.token("demo-machine:wrong", &own);
    assert_eq!(site.world.events().len(), 1);
}

#[test]
fn what_a_person_or_an_administrator_decides_and_what_is_revoked_is_logged_whatever_the_setting_says() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "log.successPercent": 0 }));
    let names = || -> Vec<String> {
        let events = site.world.events();
        assert!(events.iter().all(|event| event["time"] == 1_800_000_000), "{events:?}");
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(), ["admin.settings.changed"]);
    let tokens = site.tokens();
    assert_eq!(names(), ["login.admitted", "consent.allowed"]);
    site.post("/revoke", WEB, &[("token", &string(&tokens, "access_token"))]);
    assert_eq!(names(), ["token.revoked"]);
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert_eq!(names(), ["admin.user.changed"]);
}

#[test]
fn storage_that_is_away_is_503_with_retry_after_at_every_endpoint_that_asks_it() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let answer = site.send(&post("/token", "demo-web:demo-web-secret", &redemption(&code)));
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!(body(&answer)["error"], "temporarily_unavailable");
    assert_eq!(site.redeem(&code).0, 200, "where it was never reached nothing changed");
    site.world.fate("ACCOUNTS", &[Fate::Lost, Fate::Lost]);
    assert_eq!(site.authorize("demo-web", &[]).status, 503);
    let cold = site.beside();
    site.world.fate("REGISTRY", &[Fate::Lost, Fate::Lost]);
    assert_eq!(cold.token("app-unknown:x", &[("grant_type", "client_credentials")]).0, 503);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_anywhere_get_an_answer_under_500(
        route in 0..server::routes().count(),
        query: String,
        bytes: Vec<u8>,
        cookie: String,
        authorization: String,
        typed: bool,
    ) {
        let site = SITE.with(std::rc::Rc::clone);
        let (method, path) = server::routes().nth(route).unwrap();
        let content_type = if typed { FORM } else { "application/json" };
        let headers = [
            ("content-type", content_type),
            ("cookie", cookie.as_str()),
            ("authorization", authorization.as_str()),
        ];
        let mut request = request(method.clone(), &path.replace("{}", &query), &headers, "");
        request.query = query;
        request.body = Some(bytes);
        let answer = site.send(&request);
        proptest::prop_assert!(answer.status.as_u16() < 500, "{} {}", path, answer.status);
    }
}

thread_local! {
    static SITE: std::rc::Rc<Site> = std::rc::Rc::new(Site::new());
}
