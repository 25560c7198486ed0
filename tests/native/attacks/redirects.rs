//! Redirects, pages and sessions: addresses that look alike, forms and tickets in the wrong hands, markup, tabs.

use super::*;
use serde_json::json;

#[test]
fn an_address_that_only_looks_like_a_registered_one_is_a_page() {
    let site = Site::new();
    let own = ["https://app.test/cb", "http://127.0.0.1:9999/callback", "http://localhost:9999/callback"];
    register(&site, &json!({ "client_id": "app", "scope": "reports", "redirect_uris": own }));
    // The same again for a browser that is signed in.
    for signed_in in [false, true] {
        if signed_in {
            site.code("demo-web", &[]);
        }
        for uri in [
            "https://app.test/CB",
            "https://App.test/cb",
            "HTTPS://app.test/cb",
            "https://app.test/cb/",
            "https://app.test/cb?x=1",
            "https://app.test/cb?",
            "https://app.test/cb#",
            "https://app.test/cb;x",
            "https://app.test/c%62",
            "https://app.test/./cb",
            "https://app.test/x/../cb",
            "https://app.test//cb",
            "https://app.test:443/cb",
            "https://app.test:8443/cb",
            "https://app.test./cb",
            "https://app.test.evil.test/cb",
            "https://app.test@evil.test/cb",
            "https://evil.test\\@app.test/cb",
            "https://evil.test/https://app.test/cb",
            "http://app.test/cb",
            "//app.test/cb",
            " https://app.test/cb",
            "https://app.test/cb ",
            "https://app.test/cb\n",
            "https://app.test/cb\0",
            // Loopback: any port, and nothing else.
            "http://127.0.0.1:9999/Callback",
            "http://127.0.0.1:9999/callback?x=1",
            "http://127.0.0.1:9999/callback/../x",
            "https://127.0.0.1:9999/callback",
            "http://127.0.0.1.evil.test/callback",
            "http://127.0.0.1:9999.evil.test/callback",
            "http://127.0.0.1:9999@evil.test/callback",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:-1/callback",
            "http://127.0.0.2:9999/callback",
            "http://127.1:9999/callback",
            "http://2130706433:9999/callback",
            "http://0x7f000001:9999/callback",
            "http://0177.0.0.1:9999/callback",
            "http://0.0.0.0:9999/callback",
            "http://[::1]:9999/callback",
            "http://[0:0:0:0:0:0:0:1]:9999/callback",
            "http://[::ffff:127.0.0.1]:9999/callback",
            "http://[::ffff:7f00:1]:9999/callback",
            "http://[::1%25lo]:9999/callback",
            "http://localhost:9998/callback",
            "http://LOCALHOST:9999/callback",
            "http://localhost.:9999/callback",
            "http://localhost.evil.test:9999/callback",
            "http://app.localhost:9999/callback",
        ] {
            let answer = unchanged(&site, uri, || site.authorize("app", &[("redirect_uri", uri)]));
            assert_page(&answer, uri);
        }
        for uri in own.iter().chain(&["http://127.0.0.1:1/callback"]) {
            assert_eq!(site.authorize("app", &[("redirect_uri", uri)]).status, 200, "{uri}");
        }
    }
}

#[test]
fn an_unsafe_scheme_is_refused_at_registration_at_a_change_and_at_use() {
    let site = Site::new();
    register(
        &site,
        &json!({ "client_id": "app", "scope": "reports", "redirect_uris": ["https://app.test/cb"] }),
    );
    for uri in [
        "JavaScript:alert(1)",
        "javascript:alert(1)",
        "javascript://app.test/%0aalert(1)",
        "data:text/html,x",
        "DATA:text/html;base64,PHg+",
        "blob:https://app.test/1",
        "vbscript:x",
        "file:///etc/passwd",
        "about:blank",
        "view-source:https://app.test/cb",
        " javascript:alert(1)",
        "\tjavascript:alert(1)",
        "\u{1}javascript:alert(1)",
        "java\nscript:alert(1)",
        "java\u{0}script:alert(1)",
        "javascript\u{a0}:alert(1)",
        "java%73cript:alert(1)",
        "app:/cb",
        "Com.Example.App:/cb",
        "ftp://app.test/cb",
        "ws://app.test/cb",
        "https:/cb",
        "https:app.test/cb",
        "",
    ] {
        let body = json!({ "scope": "reports", "redirect_uris": ["https://app.test/cb", uri] });
        let (made, changed) = unchanged(&site, uri, || {
            let made = site.admin(Method::POST, "/admin/clients", &body);
            (made, site.admin(Method::PATCH, "/admin/clients/app", &body))
        });
        assert_eq!(refusal(&made), (400, "invalid_redirect_uri"), "{uri:?}");
        assert_eq!(refusal(&changed), (400, "invalid_redirect_uri"), "{uri:?}");
        if !uri.is_empty() {
            assert_page(&unchanged(&site, uri, || site.authorize("app", &[("redirect_uri", uri)])), uri);
        }
    }
}

#[test]
fn a_parameter_that_is_posted_twice_is_a_page_and_what_stands_beside_a_post_is_not_read() {
    let site = Site::new();
    let body = form(&authorization("demo-web", &[]));
    let submit = |target: &str, body: &str| {
        site.browse(request(Method::POST, target, &[("content-type", FORM)], body))
    };
    for (name, same) in [
        ("client_id", "demo-web"),
        ("redirect_uri", CALLBACK),
        ("state", "a state"),
        ("response_type", "code"),
    ] {
        for value in [same, "other", ""] {
            let again = format!("{name}={}", edgemint::wire::encode(value));
            assert_page(&submit("/authorize", &format!("{body}&{again}")), &again);
            assert_page(&submit("/authorize", &format!("{again}&{body}")), &again);
            assert_page(&site.get(&format!("/authorize?{body}&{again}")), &again);
            // In another spelling it is the same one.
            let spelled = again.replacen(name, &format!("%{:02x}{}", name.as_bytes()[0], &name[1..]), 1);
            assert_page(&site.get(&format!("/authorize?{body}&{spelled}")), &spelled);
        }
    }
    let beside =
        submit("/authorize?client_id=demo-spa&redirect_uri=https%3A%2F%2Fevil.test%2F&state=evil", &body);
    let consent = site.sign_in(&beside, "alice", "wonderland");
    let answer = site.decide(&consent, "all", &[]);
    assert!(answer.header("location").unwrap().starts_with(&format!("{CALLBACK}?")));
    assert_eq!(parameter(&answer, "state").as_deref(), Some("a state"));
}

#[test]
fn an_approval_is_for_the_client_the_scope_and_the_person_that_were_shown_whatever_the_form_says() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[("scope", "reports")]);
    let page = site.sign_in(&page, "alice", "wonderland");
    let answer = site.submit(
        "/consent",
        &[
            ("pending", &field(&page, "pending")),
            ("decision", "allow"),
            ("scope", "reports"),
            ("scope", "orders.write"),
            ("client_id", "demo-spa"),
            ("redirect_uri", "https://evil.test/"),
            ("state", "evil"),
            ("user", "bob"),
            ("username", "bob"),
            ("user_id", "bob"),
            ("sub", "bob"),
            ("session", "bob"),
            ("code_challenge", VERIFIER),
        ],
    );
    assert!(answer.header("location").unwrap().starts_with(&format!("{CALLBACK}?")));
    assert_eq!(parameter(&answer, "state").as_deref(), Some("a state"));
    let code = parameter(&answer, "code").unwrap();
    let other = [("redirect_uri", ""), ("code_verifier", VERIFIER)];
    assert_eq!(refusal(&redeem_with(&site, "demo-spa", &code, &other)), INVALID_GRANT);
    let (_, tokens) = site.redeem(&code);
    let seen = site.inspect(&string(&tokens, "access_token"));
    assert_eq!(
        (&seen["username"], &seen["client_id"], &seen["scope"]),
        (&json!("alice"), &json!("demo-web"), &json!("reports"))
    );
}

#[test]
fn a_ticket_of_one_purpose_is_nothing_wherever_another_belongs() {
    let site = Site::new();
    let login = site.authorize("demo-web", &[]);
    let consent = site.sign_in(&login, "alice", "wonderland");
    let tokens = site.tokens();
    let code = site.code("demo-web", &[]);
    let tickets = [
        ("login", field(&login, "pending")),
        ("consent", field(&consent, "pending")),
        ("session", site.cookie("edgemint-session").unwrap()),
        ("browser", site.cookie("edgemint-browser").unwrap()),
        ("code", code.clone()),
        ("refresh", string(&tokens, "refresh_token")),
        ("access", string(&tokens, "access_token")),
    ];
    let renamed = |ticket: &str, prefix: &str| match ticket.split_once('_') {
        Some((_, rest)) => format!("{prefix}_{rest}"),
        None => ticket.to_owned(),
    };
    for (kind, ticket) in &tickets {
        for (place, prefix) in [
            ("login", "emf"),
            ("consent", "emf"),
            ("session", "ems"),
            ("code", "emc"),
            ("refresh", "emr"),
            ("token", "ema"),
        ] {
            let own = *kind == place || (place == "token" && matches!(*kind, "refresh" | "access"));
            if own {
                continue;
            }
            for ticket in [ticket.clone(), renamed(ticket, prefix)] {
                let what = format!("{kind} as {place}");
                unchanged(&site, &what, || match place {
                    "login" => {
                        let fields =
                            [("pending", ticket.as_str()), ("username", "alice"), ("password", "wonderland")];
                        assert_page(&site.submit("/login", &fields), &what);
                    }
                    "consent" => {
                        assert_page(
                            &site.submit("/consent", &[("pending", &ticket), ("decision", "all")]),
                            &what,
                        );
                    }
                    "session" => {
                        let cookie = format!("edgemint-session={ticket}; edgemint-browser={}", tickets[3].1);
                        let target = format!("/authorize?{}", form(&authorization("demo-web", &[])));
                        let page = site.send(&request(Method::GET, &target, &[("cookie", &cookie)], ""));
                        assert!(text(&page).contains("login-submit"), "{what}");
                    }
                    "code" => assert_eq!(refusal(&site.redeem(&ticket)), INVALID_GRANT, "{what}"),
                    "refresh" => assert_eq!(refusal(&site.refresh(&ticket)), INVALID_GRANT, "{what}"),
                    _ => assert_eq!(site.inspect(&ticket), dead(), "{what}"),
                });
            }
        }
    }
    assert_eq!(site.redeem(&code).0, 200);
}

#[test]
fn signing_in_draws_a_new_session_and_the_one_before_stays_whose_it_was() {
    let site = Site::new();
    let target = format!("/authorize?{}", form(&authorization("demo-web", &[])));
    let page = site.sign_in(&site.get(&target), "bob", "builder");
    let (planted, browser) =
        (site.cookie("edgemint-session").unwrap(), site.cookie("edgemint-browser").unwrap());
    let page = site.decide(&page, "switch", &[]);
    site.sign_in(&page, "alice", "wonderland");
    assert_ne!(site.cookie("edgemint-session").unwrap(), planted);
    let cookie = format!("edgemint-session={planted}; edgemint-browser={browser}");
    let page = text(&site.send(&request(Method::GET, &target, &[("cookie", &cookie)], "")));
    assert!(page.contains("id=\"consent-username\">bob<") && !page.contains("alice"), "{page}");
}

#[test]
fn a_form_that_was_planted_together_with_its_browsers_cookie_gives_nothing_of_the_victims() {
    let attacker = Site::new();
    let login = attacker.authorize("demo-web", &[]);
    let consent = attacker.sign_in(&login, "bob", "builder");
    let victim = attacker.beside();
    victim.code("demo-web", &[]);
    // The form alone, in a browser with a cookie of its own.
    assert_page(&unchanged(&victim, "login", || victim.sign_in(&login, "alice", "wonderland")), "login");
    assert_page(&unchanged(&victim, "consent", || victim.decide(&consent, "all", &[])), "consent");
    let (planted, session) =
        (attacker.cookie("edgemint-browser").unwrap(), victim.cookie("edgemint-session").unwrap());
    let fields = form(&[("pending", &field(&consent, "pending")), ("decision", "all")]);
    // Cookies of one name can come twice: the victim's own beside the one that was planted.
    let own = victim.cookie("edgemint-browser").unwrap();
    for browsers in [
        planted.clone(),
        format!("{planted}; edgemint-browser={own}"),
        format!("{own}; edgemint-browser={planted}"),
    ] {
        let cookie = format!("edgemint-browser={browsers}; edgemint-session={session}");
        let headers = [("content-type", FORM), ("cookie", cookie.as_str())];
        let request = request(Method::POST, "/consent", &headers, &fields);
        let answer = unchanged(&victim, &cookie, || victim.send(&request));
        assert!(answer.header("location").is_none() && !text(&answer).contains("alice"), "{}", text(&answer));
    }
}

#[test]
fn nothing_that_a_request_asks_for_skips_the_page() {
    for (name, value) in [
        ("id_token_hint", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ."),
        ("login_hint", "bob"),
        ("max_age", "0"),
        ("acr_values", "0"),
        ("approval_prompt", "auto"),
        ("decision", "all"),
        ("username", "bob"),
    ] {
        let site = Site::new();
        let page = unchanged(&site, name, || site.authorize("demo-web", &[(name, value)]));
        assert_eq!((page.status.as_u16(), page.header("location")), (200, None), "{name}");
        assert!(text(&page).contains("login-submit"), "{name}");
        let page = site.sign_in(&page, "alice", "wonderland");
        let again = unchanged(&site, name, || site.authorize("demo-web", &[(name, value)]));
        for page in [&page, &again] {
            assert!(
                page.header("location").is_none() && text(page).contains("id=\"consent-username\">alice<"),
                "{name}"
            );
        }
    }
}

#[test]
fn hybrid_response_types_are_for_clients_that_are_registered_for_them_and_what_looks_like_one_is_none() {
    let site = Site::new();
    for client in ["demo-legacy", "demo-web", "demo-spa"] {
        for response_type in [
            "id_token",
            "code token",
            "code id_token",
            "code id_token token",
            "token id_token",
            "none",
            "CODE",
            "TOKEN",
            "code ",
            "token ",
        ] {
            let answer =
                unchanged(&site, client, || site.authorize(client, &[("response_type", response_type)]));
            let location = answer.header("location").unwrap();
            let served = response_type.contains("_token") || response_type == "code token";
            assert_eq!(
                parameter(&answer, "error").as_deref(),
                Some(if served { "unauthorized_client" } else { "unsupported_response_type" }),
                "{client} {response_type}"
            );
            assert!(!location.contains("token=") && !location.contains("code="), "{location}");
        }
    }
}

#[test]
fn the_implicit_grant_is_refused_to_whom_no_administrator_gave_it() {
    let site = Site::new();
    for client in ["demo-web", "demo-spa"] {
        let answer = unchanged(&site, client, || site.authorize(client, &[("response_type", "token")]));
        assert_eq!(parameter(&answer, "error").as_deref(), Some("unauthorized_client"), "{client}");
        assert!(!answer.header("location").unwrap().contains("access_token"));
    }
    for profile in ["oauth21", "legacy"] {
        let body = json!({
            "redirect_uris": ["https://app.test/cb"], "grant_types": ["implicit", "password"], "profile": profile,
        });
        let (status, answer) = site.admin(Method::POST, "/admin/clients", &body);
        let expected = if profile == "legacy" { (201, Value::Null) } else { (400, json!("grant_types")) };
        assert_eq!((status, answer["field"].clone()), expected, "{answer}");
    }
}

#[test]
fn markup_is_text_in_what_administrators_write_and_in_what_is_refused() {
    let site = Site::new();
    let script = "<script>alert(1)</script>";
    site.patch("/admin/scopes/reports", &json!({ "description": script }));
    site.patch("/admin/clients/demo-spa", &json!({ "client_name": null }));
    let body = json!({ "username": "<b>carol</b>", "password": "a password" });
    assert_eq!(site.admin(Method::POST, "/admin/users", &body).0, 201);
    let page = site.authorize("demo-web", &[]);
    let consent = site.sign_in(&page, "<b>carol</b>", "a password");
    assert!(text(&consent).contains("consent-allow"), "{}", text(&consent));
    let mut pages = vec![consent, site.authorize("demo-web", &[("redirect_uri", script)])];
    pages.push(site.get(&format!("/authorize?{}=%zz", edgemint::wire::encode(script))));
    pages.push(
        site.get(&format!("/dev/callback?error={0}&error_description={0}", edgemint::wire::encode(script))),
    );
    pages.push(site.submit("/login", &[("pending", script)]));
    pages.push(site.submit("/consent", &[("pending", script), ("decision", script)]));
    for page in &pages {
        let html = text(page);
        assert!(!html.contains("<script") && !html.contains("<b>carol"), "{html}");
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
    // What is not a page is never taken for one.
    let refused = site.send(&post("/token", WEB, &[("grant_type", script)]));
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    let sent = site.authorize("demo-web", &[("scope", script)]);
    assert!(!sent.header("location").unwrap().contains('<'));
}

#[test]
fn two_tabs_of_one_browser_end_in_two_grants_or_in_a_sign_in_and_never_in_each_others() {
    let site = Site::new();
    let (one, two) =
        (site.authorize("demo-web", &[("state", "1")]), site.authorize("demo-web", &[("state", "2")]));
    let consents = [site.sign_in(&one, "alice", "wonderland"), site.sign_in(&two, "bob", "builder")];
    // The first tab's form was alice's, and bob is signed in now.
    assert!(
        text(&unchanged(&site, "alice's form", || site.decide(&consents[0], "all", &[])))
            .contains("login-submit")
    );
    let bobs = site.decide(&consents[1], "all", &[]);
    assert_eq!(parameter(&bobs, "state").as_deref(), Some("2"));
    // Two consent pages of one session are two grants.
    let pages =
        ["3", "4"].map(|state| site.authorize("demo-web", &[("state", state), ("prompt", "consent")]));
    let codes = pages.each_ref().map(|page| parameter(&site.decide(page, "all", &[]), "code").unwrap());
    let [first, second] = codes.map(|code| site.redeem(&code).1);
    assert_eq!(site.post("/revoke", WEB, &[("token", &string(&first, "refresh_token"))]).0, 200);
    assert_eq!(site.inspect(&string(&first, "access_token")), dead());
    assert_eq!(site.inspect(&string(&second, "access_token"))["username"], "bob");
}

#[test]
fn the_consent_page_names_the_program_that_gets_the_answer_whatever_host_its_address_pretends() {
    let site = Site::new();
    let loopback = "a program on this computer";
    for (number, pretended) in ["accounts.bank.test", "localhost", "127.0.0.1"].into_iter().enumerate() {
        let (id, uri) = (format!("evil-{number}"), format!("com.evil.app://{pretended}/cb"));
        let body = json!({ "client_id": id, "client_name": "Your bank", "client_version": number.to_string(), "redirect_uris": [uri],
                           "scope": "reports", "token_endpoint_auth_method": "none" });
        let (status, made) = site.admin(Method::POST, "/admin/clients", &body);
        assert_eq!(status, 201, "{made}");
        let other = site.beside();
        let page =
            text(&other.sign_in(&other.authorize(&id, &[("redirect_uri", &uri)]), "alice", "wonderland"));
        assert!(page.contains(r#"<strong id="consent-host">com.evil.app:</strong>"#), "{page}");
        assert!(!page.contains(pretended) && !page.contains(loopback), "{page}");
        assert!(page.contains("Your bank") && page.contains("its name is its own"), "{page}");
    }
    let page = site.sign_in(&site.authorize("demo-web", &[]), "alice", "wonderland");
    assert!(text(&page).contains(loopback), "an honest one is warned of: {}", text(&page));
}

#[test]
fn a_redirect_uri_that_speaks_like_an_answer_is_refused_at_registration_and_at_a_change() {
    let site = Site::new();
    for query in
        ["code=x", "a=b&state=1", "iss=https%3A%2F%2Fevil.test", "%63ode=x", "error", "error_description=x"]
    {
        let uris = json!({ "redirect_uris": [format!("https://app.test/cb?{query}")] });
        for (method, target) in [(Method::POST, "/admin/clients"), (Method::PATCH, "/admin/clients/demo-web")]
        {
            let answer = unchanged(&site, query, || site.admin(method, target, &uris));
            assert_eq!(refusal(&answer), (400, "invalid_redirect_uri"), "{query}");
        }
    }
    let fine = json!({ "redirect_uris": ["https://app.test/cb?tenant=1&codes=x"] });
    assert_eq!(site.admin(Method::POST, "/admin/clients", &fine).0, 201);
}
