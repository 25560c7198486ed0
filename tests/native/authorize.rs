//! `/authorize`, `/login`, `/consent`: what is asked, who decides, where the answer goes.

use crate::world::*;
use edgemint::{context::config::Vars, host::Seconds, wire::Response};
use http::Method;
use serde_json::{Value, json};

/// The error page: what it says, and that it went nowhere.
fn page_error(response: &Response) -> String {
    assert_eq!(response.status, 400, "{}", text(response));
    assert!(response.header("location").is_none());
    let html = text(response);
    assert!(html.contains("Authorization error") && html.contains("trace-id"), "{html}");
    html.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

/// The error that went to the redirect URI, with state and issuer.
fn redirected(response: &Response) -> String {
    assert_eq!(response.status, 303, "{}", text(response));
    assert!(response.header("location").unwrap().starts_with(CALLBACK));
    assert_eq!(parameter(response, "state").as_deref(), Some("a state"));
    assert_eq!(parameter(response, "iss").as_deref(), Some(ISSUER)); // RFC 9207: also on errors.
    assert!(parameter(response, "error_description").is_some());
    parameter(response, "error").unwrap()
}

#[test]
fn a_person_signs_in_allows_and_the_client_gets_a_code() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    assert_eq!(page.status, 200, "{}", text(&page));
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(text(&page).contains("consent-allow"), "{}", text(&page));
    let answer = site.decide(&page, "all", &[]);
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").unwrap().starts_with(&format!("{CALLBACK}?code=emc_a.")));
    assert_eq!(parameter(&answer, "state").as_deref(), Some("a state"));
    assert_eq!(parameter(&answer, "iss").as_deref(), Some(ISSUER));
}

#[test]
fn errors_before_client_and_redirect_uri_are_verified_are_pages() {
    let site = Site::new();
    for (more, error) in [
        (vec![("client_id", "")], "invalid_request"),
        (vec![("client_id", "nobody")], "invalid_client"),
        (vec![("client_id", "demo-api")], "invalid_request"),
        (vec![("redirect_uri", "")], "invalid_request"),
        (vec![("redirect_uri", "https://evil.test/cb")], "invalid_request"),
        (vec![("redirect_uri", "javascript:alert(1)")], "invalid_request"),
        (vec![("redirect_uri", "http://127.0.0.1:9999/callback/..")], "invalid_request"),
        (vec![("redirect_uri", "http://127.0.0.1:9999/CALLBACK")], "invalid_request"),
        (vec![("redirect_uri", "http://127.0.0.1:9999/callback?x=1")], "invalid_request"),
        (vec![("redirect_uri", "http://127.0.0.1.evil.test:9999/callback")], "invalid_request"),
        (vec![("redirect_uri", "http://localhost:1/callback")], "invalid_request"),
        (vec![("response_mode", "web_message")], "invalid_request"),
    ] {
        assert_eq!(page_error(&site.authorize("demo-web", &more)), error, "{more:?}");
    }
}

#[test]
fn errors_after_that_go_to_the_redirect_uri_with_state_and_issuer() {
    let site = Site::new();
    for (more, error) in [
        (vec![("response_type", "")], "invalid_request"),
        (vec![("response_type", "token")], "unauthorized_client"),
        (vec![("response_type", "code id_token")], "unauthorized_client"),
        (vec![("response_type", "code code")], "unsupported_response_type"),
        (vec![("request", "x.y.z")], "request_not_supported"),
        (vec![("request_uri", "https://app.test/request")], "request_uri_not_supported"),
        (vec![("code_challenge", "")], "invalid_request"),
        (vec![("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("code_challenge", "too-short")], "invalid_request"),
        (vec![("scope", "nonsense")], "invalid_scope"),
        (vec![("scope", "orders.read \"")], "invalid_scope"),
        (vec![("scope", "admin")], "invalid_scope"),
    ] {
        assert_eq!(redirected(&site.authorize("demo-web", &more)), error, "{more:?}");
    }
}

#[test]
fn a_repeated_parameter_is_a_page_whatever_it_is() {
    let site = Site::new();
    for name in ["client_id", "redirect_uri", "state", "response_type", "code_challenge"] {
        let query = form(&authorization("demo-web", &[]));
        let response = site.get(&format!("/authorize?{query}&{name}=again"));
        assert_eq!(page_error(&response), "invalid_request", "{name}");
    }
}

#[test]
fn a_loopback_address_may_come_with_another_port_and_the_code_is_bound_to_it() {
    let site = Site::new();
    let port = "http://127.0.0.1:51234/callback";
    let code = site.code("demo-web", &[("redirect_uri", port)]);
    assert_eq!(site.redeem(&code).1["error"], "invalid_grant");
    let mut fields = redemption(&code).to_vec();
    fields.retain(|(name, _)| *name != "redirect_uri");
    fields.push(("redirect_uri", port));
    assert_eq!(site.token("demo-web:demo-web-secret", &fields).0, 200);
}

#[test]
fn what_was_ticked_is_what_is_given_and_never_more_than_was_shown() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[("scope", "orders.read reports")]);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(text(&page).contains("value=\"orders.read\" checked") && text(&page).contains("See orders"));
    let answer = site.decide(&page, "allow", &["reports", "orders.write", "admin"]);
    let (_, tokens) = site.redeem(&parameter(&answer, "code").unwrap());
    assert_eq!(tokens["scope"], "reports");
}

#[test]
fn nothing_ticked_and_deny_are_access_denied_and_leave_no_grant() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert_eq!(redirected(&site.decide(&page, "deny", &["reports"])), "access_denied");
    assert_eq!(redirected(&site.decide(&page, "allow", &[])), "access_denied");
    assert!(!site.world.dump().contains("grants_long_"), "a grant was made");
    let answer = site.decide(&page, "magic", &["reports"]);
    assert_eq!(answer.status, 400);
}

#[test]
fn a_double_submit_gets_the_same_code_and_a_late_one_a_page() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    let first = parameter(&site.decide(&page, "all", &[]), "code").unwrap();
    let before = site.world.dump();
    assert_eq!(parameter(&site.decide(&page, "all", &[]), "code").as_ref(), Some(&first));
    // Another tab, another choice: it is not silently the first one.
    let other = site.decide(&page, "allow", &["reports"]);
    assert_eq!((other.status.as_u16(), other.header("location")), (400, None));
    assert_eq!(site.world.dump(), before);
    let (_, tokens) = site.redeem(&first);
    assert_eq!(tokens["scope"], "orders.read orders.write reports");
    let late = site.decide(&page, "all", &[]);
    assert_eq!(late.status, 400);
    assert!(late.header("location").is_none());
    assert_eq!(site.refresh(tokens["refresh_token"].as_str().unwrap()).0, 200);
}

#[test]
fn a_form_of_another_browser_purpose_or_time_is_refused() {
    let site = Site::new();
    let login = site.authorize("demo-web", &[]);
    let consent = site.sign_in(&login, "alice", "wonderland");
    let refused = |response: &Response| {
        assert_eq!(response.status, 400, "{}", text(response));
        assert!(response.header("location").is_none());
    };
    // A handle of one purpose used for another.
    refused(&site.decide(&login, "all", &[]));
    refused(&site.sign_in(&consent, "alice", "wonderland"));
    // A login prepared by the attacker and finished by the victim.
    let victim = Site::with(&site.world, &development());
    victim.authorize("demo-web", &[]);
    refused(&victim.sign_in(&login, "alice", "wonderland"));
    refused(&victim.decide(&consent, "all", &[]));
    // Nothing at all, nonsense, and somebody else's seal.
    refused(&site.submit("/consent", &[("decision", "all")]));
    refused(&site.submit("/consent", &[("decision", "all"), ("pending", "emf_a.AAAA")]));
    // Another site's form, though the cookies came along.
    let fields = form(&[("pending", &field(&consent, "pending")), ("decision", "all")]);
    let cross = [("content-type", FORM), ("sec-fetch-site", "cross-site")];
    refused(&site.browse(request(Method::POST, "/consent", &cross, &fields)));
    let foreign = [("content-type", FORM), ("origin", "https://evil.test")];
    refused(&site.browse(request(Method::POST, "/consent", &foreign, &fields)));
    // Half an hour later.
    site.world.pass(Seconds(1800));
    refused(&site.decide(&consent, "all", &[]));
    assert!(site.world.disks("GRANTS").is_empty());
}

#[test]
fn consent_after_the_session_is_gone_asks_to_sign_in_and_gives_nothing() {
    let site = Site::new();
    let login = site.authorize("demo-web", &[]);
    let consent = site.sign_in(&login, "alice", "wonderland");
    let alice = site.cookie("edgemint-session").unwrap();
    site.forget_cookie("edgemint-session");
    assert!(text(&site.decide(&consent, "all", &[])).contains("login-submit"));
    // Somebody else signed in meanwhile: alice's form is not theirs to send.
    let page = site.authorize("demo-web", &[]);
    site.sign_in(&page, "bob", "builder");
    assert_ne!(site.cookie("edgemint-session"), Some(alice));
    assert!(text(&site.decide(&consent, "all", &[])).contains("login-submit"));
    assert!(site.world.disks("GRANTS").is_empty());
}

#[test]
fn somebody_else_may_sign_in_from_the_consent_page() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    let page = site.decide(&page, "switch", &[]);
    let page = site.sign_in(&page, "bob", "builder");
    assert!(text(&page).contains("id=\"consent-username\">bob<"), "{}", text(&page));
    let (_, tokens) = site.redeem(&parameter(&site.decide(&page, "all", &[]), "code").unwrap());
    assert_eq!(site.inspect(tokens["access_token"].as_str().unwrap())["username"], "bob");
}

#[test]
fn a_wrong_password_and_a_name_nobody_has_look_the_same() {
    let site = Site::new();
    let answers = ["alice", "nobody"].map(|username| {
        let page = site.authorize("demo-web", &[]);
        let answer = site.sign_in(&page, username, "wrong");
        assert!(site.cookie("edgemint-session").is_none());
        let html = text(&answer).replace(&field(&answer, "pending"), "").replace(username, "");
        (answer.status, html)
    });
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].1.contains("login-problem"));
}

#[test]
fn ten_wrong_passwords_close_a_name_for_five_minutes_and_no_session_ends() {
    let site = Site::new();
    let signed_in = Site::with(&site.world, &development());
    signed_in.code("demo-web", &[]);
    for username in ["alice", "nobody"] {
        let page = site.authorize("demo-web", &[]);
        for _ in 0..10 {
            assert_eq!(site.sign_in(&page, username, "wrong").status, 400);
        }
        let closed = site.sign_in(&page, username, "wonderland");
        assert_eq!((closed.status.as_u16(), closed.header("retry-after")), (429, Some("300")), "{username}");
    }
    signed_in.code("demo-web", &[]); // The victim's session goes on.
    site.world.pass(Seconds(300));
    let page = site.authorize("demo-web", &[]);
    assert!(parameter(&site.sign_in(&page, "alice", "wonderland"), "code").is_some());
}

#[test]
fn a_right_password_forgives_the_wrong_ones_before_it() {
    let site = Site::new();
    for _ in 0..3 {
        let page = site.authorize("demo-web", &[]);
        for _ in 0..9 {
            site.sign_in(&page, "alice", "wrong");
        }
        assert!(text(&site.sign_in(&page, "alice", "wonderland")).contains("consent-allow"));
        site.forget_cookie("edgemint-session");
    }
}

#[test]
fn alice_disabled_between_consent_and_code_gets_no_tokens() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let tokens = site.tokens();
    assert_eq!(site.admin(Method::PATCH, "/admin/users/alice", &json!({ "enabled": false })).0, 200);
    assert_eq!(site.redeem(&code).1["error"], "invalid_grant");
    assert_eq!(site.inspect(tokens["access_token"].as_str().unwrap()), json!({ "active": false }));
    assert_eq!(site.refresh(tokens["refresh_token"].as_str().unwrap()).1["error"], "invalid_grant");
    // The session is over as well, and enabling her again brings nothing back.
    assert!(text(&site.authorize("demo-web", &[])).contains("login-submit"));
    assert_eq!(site.admin(Method::PATCH, "/admin/users/alice", &json!({ "enabled": true })).0, 200);
    assert_eq!(site.refresh(tokens["refresh_token"].as_str().unwrap()).1["error"], "invalid_grant");
    assert!(text(&site.authorize("demo-web", &[])).contains("login-submit"));
    assert_eq!(site.redeem(&site.code("demo-web", &[])).0, 200);
}

#[test]
fn alice_disabled_between_the_page_and_allow_gives_no_code() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert_eq!(site.admin(Method::PATCH, "/admin/users/alice", &json!({ "enabled": false })).0, 200);
    assert!(text(&site.decide(&page, "all", &[])).contains("login-submit"));
    assert!(site.world.disks("GRANTS").is_empty());
}

#[test]
fn a_client_that_changes_while_the_page_is_open_is_seen_as_it_is() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    site.world.freeze_replica(true);
    let other = site.beside(); // An administrator at another location.
    let patch = |body: Value| assert_eq!(other.admin(Method::PATCH, "/admin/clients/demo-web", &body).0, 200);
    site.decide(&page, "all", &[]);
    patch(json!({ "scope": "reports" }));
    let fresh = site.authorize("demo-web", &[("scope", "reports orders.read"), ("prompt", "consent")]);
    // This isolate still shows the page by its copy; the shard that is asked to keep the grant knows better.
    assert_eq!(redirected(&site.decide(&fresh, "all", &[])), "invalid_scope");
    patch(json!({ "redirect_uris": ["https://app.test/cb"] }));
    site.world.pass(Seconds(6)); // A refusal may rest on what the truth said within five seconds.
    let moved = site.decide(&page, "all", &[]);
    assert_eq!((moved.status.as_u16(), moved.header("location")), (400, None));
    patch(json!({ "enabled": false }));
    assert_eq!(site.authorize("demo-web", &[]).status, 400);
}

#[test]
fn pages_let_forms_answer_only_to_us_and_the_verified_redirect_uri() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "form-action 'self' http://127.0.0.1:9999;",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("script") && !text(&page).contains("<script"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let consent = site.sign_in(&page, "alice", "wonderland");
    assert!(
        consent
            .header("content-security-policy")
            .unwrap()
            .contains("form-action 'self' http://127.0.0.1:9999;")
    );
    assert!(text(&consent).contains("id=\"consent-host\">127.0.0.1<"));
    assert!(text(&consent).contains("program on this computer"));
}

#[test]
fn markup_in_names_and_parameters_is_text() {
    let site = Site::new();
    let name = "<img src=x onerror=alert(1)>\"'";
    assert_eq!(site.admin(Method::PATCH, "/admin/clients/demo-web", &json!({ "client_name": name })).0, 200);
    let page = site.authorize("demo-web", &[("state", "<script>alert(1)</script>")]);
    assert!(!text(&page).contains("<img") && !text(&page).contains("<script"));
    let again = site.sign_in(&page, "<b>bold</b>\"", "wrong");
    assert!(!text(&again).contains("<b>bold"));
    let consent = site.sign_in(&page, "alice", "wonderland");
    assert!(!text(&consent).contains("<img"));
    let error = site.authorize("<script>alert(1)</script>", &[]);
    assert!(!text(&error).contains("<script"));
}

#[test]
fn state_comes_back_byte_for_byte() {
    let site = Site::new();
    for state in ["a b+c%20d&e=f#g?h", "ä€😀", "\"'<>\\", "x\r\nset-cookie: a=b"] {
        let page = site.authorize("demo-web", &[("state", state), ("prompt", "consent")]);
        let page = if text(&page).contains("login-submit") {
            site.sign_in(&page, "alice", "wonderland")
        } else {
            page
        };
        let answer = site.decide(&page, "all", &[]);
        assert_eq!(parameter(&answer, "state").as_deref(), Some(state));
        assert!(answer.header("location").unwrap().is_ascii());
        assert!(!answer.header("location").unwrap().contains(['\r', '\n']));
    }
}

#[test]
fn a_request_larger_than_8_kib_is_a_page_and_goes_nowhere() {
    let site = Site::new();
    let state = "x".repeat(9000);
    let answer = site.authorize("demo-web", &[("state", &state)]);
    assert_eq!((answer.status.as_u16(), answer.header("location")), (413, None));
    let body = form(&authorization("demo-web", &[("state", &state)]));
    let cross = [("content-type", FORM), ("sec-fetch-site", "cross-site")];
    assert_eq!(site.browse(request(Method::POST, "/authorize", &cross, &body)).status, 413);
    let fits = "x".repeat(5000);
    assert!(text(&site.authorize("demo-web", &[("state", &fits)])).contains("login-submit"));
}

#[test]
fn whoever_allows_goes_back_and_denies_has_denied() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    let code = parameter(&site.decide(&page, "all", &[]), "code").unwrap();
    assert_eq!(redirected(&site.decide(&page, "deny", &[])), "access_denied");
    assert_eq!(site.redeem(&code).1["error"], "invalid_grant");
    // And what was redeemed already is the client's until it is revoked.
    site.world.pass(Seconds(1));
    let page = site.authorize("demo-web", &[("prompt", "consent")]);
    let code = parameter(&site.decide(&page, "all", &[]), "code").unwrap();
    let (_, tokens) = site.redeem(&code);
    site.decide(&page, "deny", &[]);
    assert_eq!(site.inspect(tokens["access_token"].as_str().unwrap())["active"], true);
}

#[test]
fn a_cross_site_post_becomes_a_get_and_a_plain_one_is_answered() {
    let site = Site::new();
    let body = form(&authorization("demo-web", &[]));
    let cross = [("content-type", FORM), ("sec-fetch-site", "cross-site")];
    let answer = site.browse(request(Method::POST, "/authorize", &cross, &body));
    assert_eq!(answer.status, 303);
    let location = answer.header("location").unwrap().strip_prefix(ISSUER).unwrap().to_owned();
    assert!(text(&site.get(&location)).contains("login-submit"));
    let plain = site.browse(request(Method::POST, "/authorize", &[("content-type", FORM)], &body));
    assert!(text(&plain).contains("login-submit"));
}

#[test]
fn pages_at_another_host_lead_to_the_issuers() {
    let site = Site::new();
    let mut request = request(Method::GET, "/authorize?client_id=demo-web", &[], "");
    request.host = "127.0.0.1:8787".to_owned();
    let answer = site.browse(request);
    assert_eq!(answer.header("location"), Some("http://localhost:8787/authorize?client_id=demo-web"));
}

#[test]
fn the_walk_from_the_landing_page_ends_with_a_code_that_works() {
    let site = Site::new();
    let landing = text(&site.get("/"));
    let walk = landing.split("id=\"walk\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let walk = walk.replace("&amp;", "&").replace("&#38;", "&");
    let page = site.get(walk.strip_prefix(ISSUER).unwrap());
    let page = site.sign_in(&page, "bob", "builder");
    let answer = site.decide(&page, "all", &[]);
    let walked = site.get(answer.header("location").unwrap().strip_prefix(ISSUER).unwrap());
    assert_eq!(walked.status, 200, "{}", text(&walked));
    let redirect_uri = format!("{ISSUER}/dev/callback");
    let (code, verifier) = (field(&walked, "code"), field(&walked, "code_verifier"));
    let fields = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", redirect_uri.as_str()),
        ("code", code.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    assert_eq!(site.token("demo-landing", &fields).0, 200);
    // Another browser has no walk to end.
    let stranger = Site::with(&site.world, &development());
    assert_eq!(stranger.get(answer.header("location").unwrap().strip_prefix(ISSUER).unwrap()).status, 400);
}

#[test]
fn the_walk_works_at_another_port_on_the_same_data() {
    let site = Site::new();
    let sub = site.inspect(site.tokens()["access_token"].as_str().unwrap())["sub"].clone();
    let moved = Vars { issuer: Some("http://localhost:9000".into()), ..development() };
    let moved = Site::with(&site.world, &moved);
    let ask = |target: &str| {
        let mut request = request(Method::GET, target, &[], "");
        request.host = "localhost:9000".to_owned();
        moved.browse(request)
    };
    let query =
        form(&authorization("demo-landing", &[("redirect_uri", "http://localhost:9000/dev/callback")]));
    assert!(text(&ask(&format!("/authorize?{query}"))).contains("login-submit"));
    // The people and the other clients are the ones they were.
    assert_eq!(site.inspect(site.tokens()["access_token"].as_str().unwrap())["sub"], sub);
}

#[test]
fn in_production_cookies_are_bound_to_host_and_https_and_nothing_of_development_is_there() {
    let world = World::new();
    let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
    let site = Site::with(&world, &vars);
    let ask = |target: &str| {
        let mut request = request(Method::GET, target, &[], "");
        request.host = "as.test".to_owned();
        site.browse(request)
    };
    assert_eq!(ask("/healthz").status, 200);
    assert!(!text(&ask("/")).contains("demo-landing"));
    assert_eq!(ask("/dev/callback?code=x").status, 404);
    assert!(ask("/").header("strict-transport-security").is_some());
    let body = json!({ "redirect_uris": ["https://app.test/cb"] });
    let (status, client) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!(status, 201, "{client}");
    let query = form(&[
        ("client_id", client["client_id"].as_str().unwrap()),
        ("response_type", "code"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let refused = ask(&format!("/authorize?{query}"));
    assert_eq!(parameter(&refused, "error").as_deref(), Some("invalid_scope")); // It has none.
    assert_eq!(ask("/authorize?client_id=demo-web").status, 400);
}

#[test]
fn development_data_in_a_production_registry_is_a_reason_not_to_serve() {
    let site = Site::new();
    let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
    let production = Site::with(&site.world, &vars);
    site.world.events();
    for target in ["/healthz", "/.well-known/oauth-authorization-server"] {
        let answer = production.get(target);
        assert_eq!(answer.status, 503, "{target}");
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap()["error"], "server_error");
    }
    assert!(site.world.events()[0]["reason"].as_str().unwrap().contains("development data"));
}
