//! What clients say of themselves for OpenID Connect, and under which subjects they know people.

use super::{allow, ask, body, client, jws_claims, jws_header, userinfo};
use crate::world::*;
use edgemint::{context::config::Vars, host::Fetched};
use http::Method;
use serde_json::{Value, json};

#[test]
fn a_pairwise_subject_is_the_same_in_a_sector_and_another_in_another() {
    let site = Site::new();
    let sub = |host: &str| {
        let uri = format!("https://{host}/cb");
        let (id, credentials) = client(&site, json!({ "redirect_uris": [uri], "subject_type": "pairwise" }));
        let answer = allow(&site, &ask(&site, &id, &[("redirect_uri", &uri)]));
        let code = parameter(&answer, "code").unwrap();
        let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", &uri)];
        let (_, tokens) = site.token(&credentials, &fields);
        let sub = jws_claims(&string(&tokens, "id_token"))["sub"].clone();
        assert_eq!(body(&userinfo(&site, &string(&tokens, "access_token")))["sub"], sub, "as userinfo says");
        sub
    };
    let (_, alice) = site.admin(Method::GET, "/admin/users/alice", &Value::Null);
    let one = sub("a.test");
    assert_eq!(one, sub("a.test"));
    assert!(one != sub("b.test") && one != alice["sub"]);
}

#[test]
fn a_scheme_that_is_called_like_a_host_and_a_machine_that_is_everybodys_are_no_sector_of_others() {
    let site = Site::new();
    let sub = |uri: &str| {
        let more =
            json!({ "redirect_uris": [uri], "subject_type": "pairwise", "application_type": "native" });
        let (id, credentials) = client(&site, more);
        let answer = allow(&site, &ask(&site, &id, &[("redirect_uri", uri)]));
        let code = parameter(&answer, "code").unwrap();
        let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", uri)];
        let claims = jws_claims(&string(&site.token(&credentials, &fields).1, "id_token"));
        [string(&claims, "sub"), string(&claims, "sid")]
    };
    let mut known: Vec<String> = Vec::new();
    for uri in
        ["https://app.test/cb", "app.test:/cb", "app.test:/cb", "http://127.0.0.1/cb", "http://127.0.0.1/cb"]
    {
        for id in sub(uri) {
            assert!(!known.contains(&id), "{uri}");
            known.push(id);
        }
    }
}

#[test]
fn a_sector_is_one_that_names_all_redirect_uris() {
    let site = Site::new();
    let sector = "https://app.test/uris.json";
    let more = json!({
        "redirect_uris": ["https://a.test/cb", "https://b.test/cb"], "sector_identifier_uri": sector,
        "subject_type": "pairwise", "profile": "openid",
    });
    let register = || site.admin(Method::POST, "/admin/clients", &more);
    assert_eq!(register().1["field"], "sector_identifier_uri", "nobody answers there");
    for (status, body) in [
        (200, "[\"https://a.test/cb\"]"),
        (200, "{}"),
        (302, "[\"https://a.test/cb\", \"https://b.test/cb\"]"),
    ] {
        let body = Some(body.as_bytes().to_vec());
        site.world.put_elsewhere(sector, Fetched { status, body, ..Fetched::default() });
        assert_eq!(register().1["field"], "sector_identifier_uri");
    }
    let body = Some(b"[\"https://a.test/cb\", \"https://b.test/cb\"]".to_vec());
    site.world.put_elsewhere(sector, Fetched { status: 200, body, ..Fetched::default() });
    let (status, client) = register();
    assert_eq!(status, 201, "{client}");
    let target = format!("/admin/clients/{}", string(&client, "client_id"));
    let (_, problem) = site.admin(Method::PATCH, &target, &json!({ "redirect_uris": ["https://c.test/cb"] }));
    assert_eq!(problem["field"], "sector_identifier_uri");
}

#[test]
fn a_client_says_only_what_can_be_kept() {
    let site = Site::new();
    for (more, field) in [
        (json!({ "id_token_signed_response_alg": "none" }), "id_token_signed_response_alg"),
        (json!({ "id_token_signed_response_alg": "HS256" }), "id_token_signed_response_alg"),
        (json!({ "id_token_signed_response_alg": "EdDSA" }), "id_token_signed_response_alg"),
        (json!({ "userinfo_signed_response_alg": "none" }), "userinfo_signed_response_alg"),
        (
            json!({ "subject_type": "pairwise", "redirect_uris": ["https://a.test/", "https://b.test/"] }),
            "subject_type",
        ),
        (
            json!({ "subject_type": "pairwise", "redirect_uris": ["https://app.test/cb", "app.test:/cb"] }),
            "subject_type",
        ),
        (json!({ "sector_identifier_uri": "http://app.test/x" }), "sector_identifier_uri"),
        (json!({ "response_types": ["id_token"], "grant_types": ["authorization_code"] }), "response_types"),
        (json!({ "response_types": ["code", "none"] }), "response_types"),
        (json!({ "profile": "oauth21" }), "grant_types"),
    ] {
        let mut body = json!({
            "redirect_uris": ["https://app.test/cb"], "profile": "openid",
            "grant_types": ["authorization_code", "implicit"],
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, problem) = site.admin(Method::POST, "/admin/clients", &body);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{more} {problem}");
    }
}

#[test]
fn who_registers_itself_signs_people_in() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "registration.open": 2, "registration.profile": "openid" }));
    let body = json!({
        "client_name": "An application", "redirect_uris": ["https://app.test/cb"],
        "token_endpoint_auth_method": "client_secret_post", "id_token_signed_response_alg": "PS256",
        "subject_type": "pairwise", "default_max_age": 600,
    });
    let answer = site.send(&request(
        Method::POST,
        "/register",
        &[("content-type", "application/json")],
        &body.to_string(),
    ));
    let registered = super::body(&answer);
    assert_eq!(answer.status, 201, "{registered}");
    assert_eq!(registered["subject_type"], "pairwise");
    let (id, secret) = (string(&registered, "client_id"), string(&registered, "client_secret"));
    let answer = allow(&site, &ask(&site, &id, &[]));
    let code = parameter(&answer, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.test/cb"),
        ("client_id", &id),
        ("client_secret", &secret),
    ];
    let (status, tokens) = site.post("/token", "", &fields);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(jws_header(&string(&tokens, "id_token"))["alg"], "PS256");
}

#[test]
fn what_our_own_key_signed_for_another_issuer_or_must_be_understood_otherwise_is_no_hint() {
    let site = Site::new();
    let hint = string(&super::tokens(&site, &[("scope", "openid")]), "id_token");
    let asks = |site: &Site, hint: &str| {
        site.authorize("demo-web", &[("scope", "openid"), ("id_token_hint", hint), ("prompt", "consent")])
    };
    assert_eq!(asks(&site, &hint).status, 200);
    let mut header = jws_header(&hint);
    let kid = string(&header, "kid");
    header["crit"] = json!(["b64"]);
    header["b64"] = json!(true);
    let encoded = edgemint::crypto::text(header.to_string().as_bytes());
    let message = format!("{encoded}.{}", hint.split('.').nth(1).unwrap());
    let critical = format!("{message}.{}", site.world.sign_with(&kid, &message));
    assert_eq!(super::error(&asks(&site, &critical)), "invalid_request");
    // The same storage under another name: the keys are the same.
    let vars = Vars { issuer: Some("http://127.0.0.1:8787".into()), ..development() };
    let other = Site::with(&site.world, &vars);
    let fields = authorization("demo-web", &[("scope", "openid"), ("id_token_hint", &hint)]);
    let mut asked = request(Method::GET, &format!("/authorize?{}", form(&fields)), &[], "");
    asked.host = "127.0.0.1:8787".to_owned();
    assert_eq!(super::error(&other.send(&asked)), "invalid_request");
}

#[test]
fn what_a_person_takes_out_is_not_given_by_name_either_and_nothing_beyond_the_clients_scope_is() {
    let site = Site::new();
    let (id, credentials) = client(&site, json!({ "scope": "openid email" }));
    let claims = r#"{"userinfo":{"email":null,"phone_number":null},"id_token":{"email":null}}"#;
    let page = ask(&site, &id, &[("scope", "openid email"), ("claims", claims)]);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(!text(&page).contains("phone_number"), "an administrator did not let it have that");
    let answer = site.decide(&page, "allow", &["openid"]);
    let code = parameter(&answer, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.test/cb"),
    ];
    let (_, tokens) = site.token(&credentials, &fields);
    assert!(jws_claims(&string(&tokens, "id_token")).get("email").is_none());
    let known = body(&userinfo(&site, &string(&tokens, "access_token")));
    assert_eq!(known.as_object().unwrap().keys().collect::<Vec<_>>(), ["sub"]);
}

#[test]
fn a_client_that_knows_people_by_subjects_of_its_own_is_told_no_other_about_its_tokens() {
    let site = Site::new();
    let (id, credentials) = client(&site, json!({ "subject_type": "pairwise" }));
    let answer = allow(&site, &ask(&site, &id, &[]));
    let code = parameter(&answer, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.test/cb"),
    ];
    let (_, tokens) = site.token(&credentials, &fields);
    let token = string(&tokens, "access_token");
    for guards in [false, true] {
        site.patch(&format!("/admin/clients/{id}"), &json!({ "resource_server": guards }));
        let (_, told) = site.post("/introspect", &credentials, &[("token", &token)]);
        assert_eq!(told["sub"], jws_claims(&string(&tokens, "id_token"))["sub"]);
        assert!(told.get("username").is_none(), "{told}");
    }
    assert_eq!(site.inspect(&token)["username"], "alice", "who guards resources knows people as they are");
}

#[test]
fn a_resource_is_told_no_more_of_a_person_by_whoever_holds_the_token() {
    let site = Site::new();
    let more = json!({ "subject_type": "pairwise", "scope": "openid orders.read" });
    let (id, credentials) = client(&site, more);
    let answer = allow(&site, &ask(&site, &id, &[("scope", "openid orders.read")]));
    let code = parameter(&answer, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.test/cb"),
    ];
    let (_, tokens) = site.token(&credentials, &fields);
    let bearer = format!("Bearer {}", string(&tokens, "access_token"));
    let headers =
        [("authorization", bearer.as_str()), ("x-original-method", "GET"), ("x-original-uri", "/orders/1")];
    let answer = site.send(&request(Method::GET, "/check", &headers, ""));
    assert_eq!(answer.status, 200, "{}", text(&answer));
    let sub = jws_claims(&string(&tokens, "id_token"))["sub"].clone();
    assert_eq!(answer.header("x-auth-subject"), sub.as_str());
    assert_eq!(answer.header("x-auth-username"), Some(""));
}

#[test]
fn an_answer_that_is_a_form_may_go_where_it_is_for_and_nowhere_else() {
    let site = Site::new();
    for (uri, source) in [
        ("https://app.test:8443/cb", "form-action https://app.test:8443;"),
        ("http://[::1]:7777/cb", "form-action http:;"),
        ("com.example.app:/cb", "form-action com.example.app:;"),
    ] {
        let (id, _) = client(&site, json!({ "redirect_uris": [uri], "application_type": "native" }));
        let more =
            [("redirect_uri", uri), ("response_mode", "form_post"), ("prompt", "none"), ("max_age", "0")];
        let answer = ask(&site, &id, &more);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains(source), "{uri}: {policy}");
    }
}

#[test]
fn a_sector_is_not_asked_for_at_this_server_nor_again_and_again() {
    let site = Site::new();
    let register = |sector: &str| {
        let body = json!({
            "redirect_uris": ["https://a.test/cb"], "sector_identifier_uri": sector, "profile": "openid",
        });
        site.admin(Method::POST, "/admin/clients", &body)
    };
    let (status, problem) = register("https://localhost:8787/uris.json");
    assert_eq!((status, &problem["field"]), (400, &json!("sector_identifier_uri")));
    assert!(string(&problem, "detail").contains("this server itself"), "{problem}");
    assert!(site.world.asked().is_empty());
    let body = || Some(b"[\"https://a.test/cb\"]".to_vec());
    for number in 0..70 {
        let address = format!("https://app.test/{number}");
        site.world.put_elsewhere(&address, Fetched { status: 200, body: body(), ..Fetched::default() });
        let (status, problem) = register(&address);
        if number < 60 {
            assert_eq!(status, 201, "{number} {problem}");
        } else {
            assert!(string(&problem, "detail").contains("too many"), "{problem}");
        }
    }
    assert_eq!(site.world.asked().len(), 60);
    let elsewhere = "https://b.test/uris";
    site.world.put_elsewhere(elsewhere, Fetched { status: 200, body: body(), ..Fetched::default() });
    assert_eq!(register(elsewhere).0, 201, "another host is asked");
}

#[test]
fn who_registers_itself_is_told_how_its_id_tokens_are_signed() {
    let site = Site::new();
    for (profile, algorithm) in [("oauth21", "ES256"), ("openid", "RS256")] {
        site.patch("/admin/settings", &json!({ "registration.open": 2, "registration.profile": profile }));
        let body = json!({ "redirect_uris": ["https://app.test/cb"] }).to_string();
        let headers = [("content-type", "application/json")];
        let registered = super::body(&site.send(&request(Method::POST, "/register", &headers, &body)));
        assert_eq!(registered["id_token_signed_response_alg"], algorithm);
    }
}

/// OpenID Connect Core §12.2: whoever a client was told of by one subject it is never told of by another.
#[test]
fn what_a_client_got_under_subjects_that_it_knows_no_more_is_dead() {
    let site = Site::new();
    let (id, credentials) = client(&site, json!({}));
    let target = format!("/admin/clients/{id}");
    let sign_in = |uri: &str| {
        let answer = allow(
            &site,
            &ask(
                &site,
                &id,
                &[("scope", "openid offline_access"), ("prompt", "consent"), ("redirect_uri", uri)],
            ),
        );
        let code = parameter(&answer, "code").unwrap();
        let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", uri)];
        site.token(&credentials, &fields)
    };
    let refresh = |tokens: &Value| {
        let token = string(tokens, "refresh_token");
        site.token(&credentials, &[("grant_type", "refresh_token"), ("refresh_token", &token)]).0
    };
    let sub = |tokens: &Value| jws_claims(&string(tokens, "id_token"))["sub"].clone();
    let (here, there) = ("https://app.test/cb", "https://other.test/cb");
    let mut subjects = Vec::new();
    for (change, from, to) in [
        (json!({}), here, here),
        (json!({ "subject_type": "pairwise" }), here, here),
        (json!({ "redirect_uris": [there] }), here, there),
        (json!({ "subject_type": "public" }), there, there),
    ] {
        let (_, before) = sign_in(from);
        site.patch(&target, &change);
        let kept = subjects.is_empty();
        assert_eq!(refresh(&before) == 200, kept, "{change}");
        let token = string(&before, "access_token");
        assert_eq!(userinfo(&site, &token).status == 200, kept, "{change}");
        let (status, after) = sign_in(to);
        assert_eq!((status, refresh(&after)), (200, 200), "{change}: {after}");
        subjects.push(sub(&after));
    }
    assert_eq!(subjects[0], subjects[3]);
    assert!(subjects[0] != subjects[1] && subjects[1] != subjects[2] && subjects[2] != subjects[3]);
    // Where they stay what they are, so does what was issued.
    let (_, before) = sign_in(there);
    site.patch(
        &target,
        &json!({ "client_name": "Another name", "redirect_uris": [there, "https://third.test/cb"] }),
    );
    assert_eq!(refresh(&before), 200);
}

#[test]
fn a_scheme_that_is_called_like_a_host_is_not_shown_as_one() {
    let site = Site::new();
    let uri = "shop.example.com:/cb";
    let (id, _) = client(&site, json!({ "redirect_uris": [uri], "application_type": "native" }));
    let page = site.sign_in(&ask(&site, &id, &[("redirect_uri", uri)]), "alice", "wonderland");
    assert!(
        text(&page).contains("<strong id=\"consent-host\">shop.example.com:</strong>"),
        "{}",
        text(&page)
    );
}

#[test]
fn who_asked_for_an_id_token_and_is_not_allowed_one_is_told_so() {
    let site = Site::new();
    for kind in ["id_token", "code id_token"] {
        let (id, _) = client(&site, json!({}));
        let more = [("response_type", kind), ("scope", "openid profile"), ("nonce", "n")];
        let page = ask(&site, &id, &more);
        let page = if text(&page).contains("login-submit") {
            site.sign_in(&page, "alice", "wonderland")
        } else {
            page
        };
        let answer = site.decide(&page, "allow", &["profile"]);
        assert_eq!(parameter(&answer, "error").as_deref(), Some("access_denied"), "{kind}");
        assert!(parameter(&answer, "code").is_none() && !site.world.dump().contains("Offered"));
    }
}

#[test]
fn a_claim_by_name_is_given_no_longer_than_the_client_may_have_it() {
    let site = Site::new();
    let (id, credentials) = client(&site, json!({}));
    let claims = r#"{"userinfo":{"email":null},"id_token":{"email":null}}"#;
    let answer = allow(&site, &ask(&site, &id, &[("scope", "openid offline_access"), ("claims", claims)]));
    let code = parameter(&answer, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.test/cb"),
    ];
    let (_, tokens) = site.token(&credentials, &fields);
    assert!(body(&userinfo(&site, &string(&tokens, "access_token")))["email"].is_string());
    site.patch(&format!("/admin/clients/{id}"), &json!({ "scope": "openid profile offline_access" }));
    assert!(body(&userinfo(&site, &string(&tokens, "access_token"))).get("email").is_none());
    let refresh = string(&tokens, "refresh_token");
    let (status, tokens) =
        site.token(&credentials, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]);
    assert_eq!(status, 200, "{tokens}");
    assert!(jws_claims(&string(&tokens, "id_token")).get("email").is_none());
}

#[test]
fn userinfo_tells_nothing_once_the_client_or_the_person_is_disabled() {
    for (target, enabled_again) in [("/admin/clients/demo-web", 200), ("/admin/users/alice", 401)] {
        let site = Site::new();
        let token = string(&super::tokens(&site, &[("scope", "openid email")]), "access_token");
        let elsewhere = site.beside();
        let told = || [&site, &elsewhere].map(|isolate| userinfo(isolate, &token).status.as_u16());
        assert_eq!(told(), [200, 200]);
        site.patch(target, &json!({ "enabled": false }));
        assert_eq!(told(), [401, 401], "{target}");
        site.patch(target, &json!({ "enabled": true }));
        assert_eq!(userinfo(&elsewhere, &token).status, enabled_again, "{target}");
    }
}

/// §11: it is ignored where the response type brings no code.
#[test]
fn offline_access_is_asked_for_with_a_code_alone() {
    let site = Site::new();
    let (id, _) = client(&site, json!({}));
    let (modest, _) = client(&site, json!({ "scope": "openid" }));
    site.sign_in(&ask(&site, &id, &[]), "alice", "wonderland");
    for (id, wants, kept) in [
        (&id, "id_token token", false),
        (&id, "id_token", false),
        (&modest, "id_token token", false),
        (&id, "code token", true),
        (&id, "code id_token token", true),
    ] {
        let page =
            ask(&site, id, &[("response_type", wants), ("scope", "openid offline_access"), ("nonce", "n")]);
        assert_eq!(page.status, 200, "{wants}");
        assert_eq!(text(&page).contains("offline_access"), kept, "{wants}: {}", text(&page));
        let answer = site.decide(&page, "all", &[]);
        let expected = if kept { "offline_access openid" } else { "openid" };
        let expected = Some(expected).filter(|_| wants.contains(" token"));
        assert_eq!(parameter(&answer, "scope").as_deref(), expected, "{wants}");
    }
}
