//! Parsing and exhaustion: too long, too deep, too many, of no origin; and what answers give away.

use super::*;
use edgemint::{context::config::Vars, crypto, host::Seconds};
use serde_json::json;

#[test]
fn a_scope_list_of_any_length_is_refused_and_never_an_error_of_the_server() {
    let site = Site::new();
    let refresh = string(&site.tokens(), "refresh_token");
    let many = (0..101).map(|number| format!("s{number}")).collect::<Vec<_>>().join(" ");
    let (long, one) = ("s ".repeat(30_000) + "x", "x".repeat(60_000));
    for scope in [&many, &long, &one, &"x".repeat(201)] {
        let own = unchanged(&site, "own", || {
            site.token(MACHINE, &[("grant_type", "client_credentials"), ("scope", scope)])
        });
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", scope.as_str())];
        let refreshed = unchanged(&site, "refresh", || site.token(WEB, &fields));
        for answer in [own, refreshed] {
            assert_eq!(refusal(&answer), (400, "invalid_scope"), "{} bytes", scope.len());
        }
        let asked = unchanged(&site, "authorize", || site.authorize("demo-web", &[("scope", scope)]));
        if scope.len() > 8000 {
            assert!([413, 414].contains(&asked.status.as_u16()) && asked.header("location").is_none());
        } else {
            assert_eq!(parameter(&asked, "error").as_deref(), Some("invalid_scope"));
        }
        let ticked = site.authorize("demo-web", &[("prompt", "consent")]);
        let ticked = site.decide(&ticked, "allow", &[scope]);
        assert!(!ticked.header("location").is_some_and(|location| location.contains("code=")));
        let body = json!({ "scope": scope });
        let patched =
            unchanged(&site, "admin", || site.admin(Method::PATCH, "/admin/clients/demo-web", &body));
        assert_eq!((patched.0, &patched.1["field"]), (400, &json!("scope")));
    }
    assert_eq!(site.refresh(&refresh).0, 200);
}

#[test]
fn json_that_is_deep_repeated_or_named_like_a_prototype_changes_nothing() {
    let site = Site::new();
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    let deep =
        |open: &str, close: &str| format!("{{\"claims\":{}1{}}}", open.repeat(5000), close.repeat(5000));
    let wide = format!("{{{}\"enabled\":false}}", "\"x\":1,".repeat(5000));
    for body in [
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "[".repeat(60_000),
        wide,
        r#"{"enabled":false,"enabled":true}"#.into(),
        r#"{"enabled":false,"\u0065nabled":true}"#.into(),
        r#"{"__proto__":{"enabled":false}}"#.into(),
        r#"{"constructor":{"prototype":{"enabled":false}}}"#.into(),
        r#"{"enabled":false}{"enabled":true}"#.into(),
        r#"{"enabled":false},"#.into(),
        r#"[{"enabled":false}]"#.into(),
        r#"{"enabled":"false"}"#.into(),
        r#"{"enabled":0}"#.into(),
        "{\"enabled\":false}\0".into(),
        "\u{feff}{\"enabled\":false}".into(),
        r#"{"enabled":false,"x":1e999}"#.into(),
        "null".into(),
        String::new(),
    ] {
        for target in ["/admin/clients/demo-web", "/admin/users/alice", "/admin/settings"] {
            let request = request(Method::PATCH, target, &headers, &body);
            let shown = &body[..body.len().min(60)];
            let answer = unchanged(&site, shown, || site.send(&request));
            assert_eq!(answer.status, 400, "{target} {shown}");
        }
    }
    // A claim may have any name. It is a member like others, and no other's.
    site.patch("/admin/users/alice", &json!({ "claims": { "__proto__": { "enabled": false } } }));
    assert_eq!(site.admin(Method::GET, "/admin/users/alice", &Value::Null).1["enabled"], true);
}

#[test]
fn garbage_by_the_hundred_reaches_no_object_and_leaves_nothing() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    site.inspect("x");
    site.post("/revoke", WEB, &[("token", "x")]);
    site.world.operations();
    unchanged(&site, "garbage", || {
        for number in 0..200 {
            for prefix in ["ema_a.", "emr_a.", "emc_a.", "ems_a.", "emf_a.", "zzz_a.", ""] {
                let token = format!("{prefix}{number:064}");
                assert_eq!(site.inspect(&token), dead());
                assert_eq!(site.post("/revoke", WEB, &[("token", &token)]).0, 200);
            }
            let fields = [("pending", format!("emf_a.{number:064}")), ("session", String::new())];
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_page(&site.submit("/login", &fields), "login");
            let cookie = format!("edgemint-session=ems_a.{number:064}; edgemint-browser={number:022}");
            let target = format!("/authorize?{}", form(&authorization("demo-web", &[])));
            assert_eq!(site.send(&request(Method::GET, &target, &[("cookie", &cookie)], "")).status, 200);
        }
    });
    assert_eq!(site.world.operations(), Vec::<String>::new());
    assert!(text(&site.sign_in(&page, "alice", "wonderland")).contains("consent-allow"));
}

#[test]
fn an_isolate_remembers_only_so_many_clients() {
    let site = Site::new();
    // As large as they come: so many are more than 16 MB.
    let long = |at: usize| format!("{CALLBACK}/{at:01900}");
    let addresses: Vec<String> = (0..30).map(long).collect();
    let public = json!({ "token_endpoint_auth_method": "none", "redirect_uris": addresses });
    let ids: Vec<String> = (0..300).map(|_| register(&site, &public)).collect();
    // All are read by another isolate at the same moment.
    let other = site.beside();
    assert_eq!(other.token(MACHINE, &OWN).0, 200);
    for id in &ids {
        assert_eq!(other.post("/revoke", id, &[("token", "x")]).0, 200);
    }
    site.world.operations();
    assert_eq!(other.token(MACHINE, &OWN).0, 200);
    assert_eq!(site.world.operations(), ["replica"], "it was forgotten: what is remembered has a bound");
}

#[test]
fn a_null_origin_is_nobodys_and_no_answer_to_a_script_comes_with_cookies() {
    let site = Site::new();
    for (method, path) in edgemint::server::routes() {
        let path = path.replace("{}", "x");
        for origin in ["null", "https://evil.test", "http://localhost:8787.evil.test", ISSUER] {
            for method in [method.clone(), Method::OPTIONS] {
                let headers =
                    [("origin", origin), ("access-control-request-method", "POST"), ("content-type", FORM)];
                let answer = site.send(&request(method.clone(), &path, &headers, ""));
                let what = format!("{method} {path} {origin}");
                let allowed = answer.header("access-control-allow-origin");
                assert!(matches!(allowed, None | Some("*")), "{what}");
                assert_eq!(answer.header("access-control-allow-credentials"), None, "{what}");
                assert!(allowed.is_none() || answer.header("set-cookie").is_none(), "{what}");
            }
        }
    }
    // A form in a frame without an origin, as a browser sends it.
    let page = site.authorize("demo-web", &[]);
    let consent = site.sign_in(&page, "alice", "wonderland");
    let fields = form(&[("pending", &field(&consent, "pending")), ("decision", "all")]);
    for headers in [
        [("origin", "null"), ("sec-fetch-site", "cross-site")],
        [("origin", "null"), ("sec-fetch-site", "same-site")],
        [("origin", ISSUER), ("sec-fetch-site", "cross-site")],
        [("origin", "http://localhost:8787.evil.test"), ("x", "")],
        [("origin", "http://LOCALHOST:8787"), ("x", "")],
        [("origin", ""), ("x", "")],
    ] {
        let all = [&[("content-type", FORM)][..], &headers].concat();
        let answer =
            unchanged(&site, "consent", || site.browse(request(Method::POST, "/consent", &all, &fields)));
        assert_page(&answer, &format!("{headers:?}"));
    }
    assert_eq!(site.decide(&consent, "all", &[]).status, 303);
}

#[test]
fn no_error_repeats_a_secret_that_was_sent() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let tokens = site.tokens();
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    let secret = "a-secret-of-somebody";
    let sent = [
        ("code", code.as_str()),
        ("code_verifier", secret),
        ("refresh_token", &refresh),
        ("token", &access),
        ("client_secret", secret),
        ("client_assertion", secret),
        ("password", secret),
        ("pending", secret),
    ];
    let mut seen = Vec::new();
    for path in ["/token", "/revoke", "/introspect", "/login", "/consent", "/authorize"] {
        for grant_type in ["authorization_code", "refresh_token", "client_credentials", "password"] {
            for left_out in ["", "client_assertion", "client_secret"] {
                let mut fields = vec![("grant_type", grant_type), ("client_id", "demo-short")];
                fields.extend(sent.iter().filter(|(name, _)| {
                    *name != left_out && !(left_out == "client_secret" && *name == "client_assertion")
                }));
                let answer = site.submit(path, &fields);
                assert!((300..500).contains(&answer.status.as_u16()), "{path} {}", answer.status);
                seen.push(format!("{:?} {}", answer.headers, text(&answer)));
            }
        }
    }
    let basic = [("content-type", FORM), ("authorization", "Basic YS1zZWNyZXQtb2Ytc29tZWJvZHk=")];
    seen.push(text(&site.send(&request(Method::POST, "/token", &basic, "grant_type=x"))));
    let bearer = [("authorization", "Bearer a-secret-of-somebody")];
    seen.push(text(&site.send(&request(Method::GET, "/admin/clients", &bearer, ""))));
    seen.extend(site.world.events().iter().map(Value::to_string));
    for text in &seen {
        for secret in [secret, "YS1zZWNyZXQ", &code, &access, &refresh] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[test]
fn what_is_drawn_is_whole_bytes_so_that_no_character_is_likelier_than_another() {
    let site = Site::new();
    let body = json!({ "redirect_uris": [CALLBACK], "scope": "reports" });
    let (_, client) = site.admin(Method::POST, "/admin/clients", &body);
    site.code("demo-web", &[]);
    let (_, carol) =
        site.admin(Method::POST, "/admin/users", &json!({ "username": "carol", "password": "a password" }));
    for (what, drawn, length) in [
        ("a secret", string(&client, "client_secret"), 32),
        // The rest of it is a MAC.
        ("a client_id", string(&client, "client_id")[..16].to_owned(), 12),
        ("a subject", string(&carol, "sub"), 16),
        ("a browser", site.cookie("edgemint-browser").unwrap(), 16),
    ] {
        // Base64url of as many random bytes: 64 characters divide 256 evenly.
        assert_eq!(crypto::bytes(&drawn).map(|bytes| bytes.len()), Some(length), "{what}");
    }
}

#[test]
fn a_flood_of_strangers_does_not_refuse_a_client_that_is_known() {
    let site = Site::new();
    let tokens = site.tokens();
    let other = site.beside();
    assert_eq!(other.refresh("emr_a.nonsense").0, 400);
    site.patch("/admin/clients/demo-web", &json!({ "require_pkce": true }));
    site.world.pass(Seconds(6));
    for number in 0..200 {
        other.token(&format!("stranger-{number}:x"), &OWN);
    }
    // The shard knows of the change, so this isolate must ask for the client again.
    assert_eq!(other.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn names_are_not_told_apart_in_another_isolate_either() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    for _ in 0..10 {
        site.sign_in(&page, "alice", "wrong");
        site.sign_in(&page, "nobody", "wrong");
    }
    let other = site.beside();
    let page = other.authorize("demo-web", &[]);
    let answers = ["alice", "nobody"].map(|name| other.sign_in(&page, name, "wrong").status.as_u16());
    assert_eq!(answers, [429, 429]);
}

#[test]
fn thirty_failed_logins_close_an_address_before_anything_is_hashed() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let pending = field(&page, "pending");
    let login = |address: &str, name: &str, password: &str| {
        let fields = form(&[("pending", pending.as_str()), ("username", name), ("password", password)]);
        let headers = [("content-type", FORM), ("cf-connecting-ip", address)];
        site.browse(request(Method::POST, "/login", &headers, &fields)).status.as_u16()
    };
    // Successes are never limited.
    for _ in 0..35 {
        assert_eq!(login("192.0.2.1", "alice", "wonderland"), 200);
    }
    for number in 0..30 {
        assert_eq!(login("192.0.2.1", &format!("name-{number}"), "wrong"), 400);
    }
    site.world.operations();
    assert_eq!(login("192.0.2.1", "alice", "wonderland"), 429);
    assert!(!site.world.operations().contains(&"ACCOUNTS".to_owned()));
    assert_eq!(login("192.0.2.2", "alice", "wonderland"), 200);
    site.world.pass(Seconds(300));
    assert_eq!(login("192.0.2.1", "alice", "wonderland"), 200);
}

#[test]
fn what_is_typed_in_the_wrong_field_is_not_logged() {
    let site = Site::new();
    site.token("demo-web-secret:demo-web", &OWN);
    site.get("/authorize?client_id=a-long-secret-pasted-in-the-wrong-field");
    site.get("/some-token-in-a-path");
    site.admin(Method::GET, "/admin/users/some-password", &Value::Null);
    let log: String = site.world.events().iter().map(Value::to_string).collect();
    for secret in ["demo-web-secret", "a-long-secret", "some-token", "some-password"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn every_refusal_is_an_event_that_its_trace_finds() {
    let site = Site::new();
    for (method, path) in
        [(Method::GET, "/token"), (Method::GET, "/no/such"), (Method::GET, "/admin/nothing")]
    {
        let answer = site.send(&request(method, path, &[], ""));
        let trace = serde_json::from_slice::<Value>(&answer.body).unwrap()["trace_id"].clone();
        let events = site.world.events();
        assert_eq!(
            (events.len(), &events[0]["trace"], &events[0]["event"]),
            (1, &trace, &json!("refused")),
            "{path}"
        );
    }
    let redirected = site.authorize("demo-web", &[("scope", "nonsense")]);
    let trace = site.world.events()[0]["trace"].as_str().unwrap().to_owned();
    assert!(parameter(&redirected, "error_description").unwrap().contains(&trace));
    let broken = Site::with(&site.world, &Vars { master_key: None, ..development() });
    let answer: Value = serde_json::from_slice(&broken.get("/healthz").body).unwrap();
    assert_eq!(site.world.events()[0]["trace"], answer["trace_id"]);
}

#[test]
fn a_scope_of_spaces_is_refused_and_not_taken_for_none() {
    let site = Site::new();
    let refresh = string(&site.tokens(), "refresh_token");
    let own = [("grant_type", "client_credentials"), ("scope", " ")];
    let again = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", "  ")];
    for (client, fields) in [(MACHINE, &own[..]), (WEB, &again[..])] {
        let answer = unchanged(&site, "spaces", || site.token(client, fields));
        assert_eq!(refusal(&answer), (400, "invalid_scope"));
    }
}
