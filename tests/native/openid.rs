//! OpenID Connect Core: authentication requests, ID tokens, claims, and what refuses them.

mod clients;
mod lines;

use crate::world::*;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use edgemint::{
    host::{Host as _, Seconds},
    wire::Response,
};
use http::Method;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

const WEB: &str = "demo-web:demo-web-secret";

/// A part of a token, unverified.
fn part(token: &str, at: usize) -> Value {
    let bytes = Base64UrlUnpadded::decode_vec(token.split('.').nth(at).expect("three parts")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// What stands in the header of a token.
pub fn jws_header(token: &str) -> Value {
    part(token, 0)
}

/// What a token says.
pub fn jws_claims(token: &str) -> Value {
    part(token, 1)
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or(Value::Null)
}

/// The claims of an ID token, by a library of somebody else and the keys that are published.
fn verified(site: &Site, token: &str, client: &str) -> Value {
    let jwks: JwkSet = serde_json::from_value(body(&site.get("/jwks"))).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let jwk = jwks.find(header.kid.as_deref().unwrap()).expect("a key that is published");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[client]);
    validation.set_issuer(&["http://localhost:8787"]);
    // The world has a clock of its own.
    validation.validate_exp = false;
    validation.set_required_spec_claims::<&str>(&[]);
    let token = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation);
    token.expect("a good ID token").claims
}

/// The tokens of `demo-web`.
fn tokens(site: &Site, more: &[(&str, &str)]) -> Value {
    let (status, tokens) = site.redeem(&site.code("demo-web", more));
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn id_token(site: &Site, more: &[(&str, &str)]) -> Value {
    jws_claims(&string(&tokens(site, more), "id_token"))
}

fn userinfo(site: &Site, token: &str) -> Response {
    site.send(&request(Method::GET, "/userinfo", &[("authorization", &format!("Bearer {token}"))], ""))
}

fn error(answer: &Response) -> String {
    parameter(answer, "error").unwrap_or_else(|| panic!("no error: {} {}", answer.status, text(answer)))
}

/// A client of the profile `openid`, with other members.
#[allow(clippy::needless_pass_by_value)] // Written in place.
fn client(site: &Site, more: Value) -> (String, String) {
    let mut body = json!({
        "redirect_uris": ["https://app.test/cb"], "profile": "openid", "scope": "openid profile email offline_access reports",
        "grant_types": ["authorization_code", "refresh_token", "implicit"],
        "response_types": ["code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"],
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let (status, client) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!(status, 201, "{client}");
    let id = string(&client, "client_id");
    (id.clone(), format!("{id}:{}", string(&client, "client_secret")))
}

/// An authentication request of such a client, without PKCE.
fn ask(site: &Site, id: &str, more: &[(&str, &str)]) -> Response {
    let mut all = vec![
        ("redirect_uri", "https://app.test/cb"),
        ("code_challenge", ""),
        ("code_challenge_method", ""),
        ("scope", "openid"),
    ];
    all.retain(|(name, _)| more.iter().all(|(own, _)| own != name));
    all.extend_from_slice(more);
    site.authorize(id, &all)
}

fn allow(site: &Site, page: &Response) -> Response {
    let signed_in = !text(page).contains("id=\"login-submit\"");
    let page = if signed_in { page.clone() } else { site.sign_in(page, "alice", "wonderland") };
    site.decide(&page, "all", &[])
}

#[test]
fn who_signs_in_to_a_client_is_in_an_id_token_that_others_verify() {
    let site = Site::new();
    let tokens = tokens(&site, &[("scope", "openid email"), ("nonce", "n-0S6")]);
    let token = string(&tokens, "id_token");
    let claims = verified(&site, &token, "demo-web");
    let (_, alice) = site.admin(Method::GET, "/admin/users/alice", &Value::Null);
    let now = site.world.now().seconds();
    for (name, value) in [
        ("iss", json!("http://localhost:8787")),
        ("sub", alice["sub"].clone()),
        ("aud", json!("demo-web")),
        ("azp", json!("demo-web")),
        ("nonce", json!("n-0S6")),
        ("iat", json!(now)),
        ("exp", json!(now + 3600)),
        ("auth_time", json!(now)),
        ("acr", json!("urn:edgemint:password")),
        ("amr", json!(["pwd"])),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_eq!(jws_header(&token)["alg"], "ES256");
    assert!(claims["sid"].is_string() && claims.get("email").is_none(), "{claims}");
    let digest = edgemint::crypto::digest(string(&tokens, "access_token").as_bytes());
    assert_eq!(claims["at_hash"], edgemint::crypto::text(&digest[..16]));
}

#[test]
fn without_the_scope_openid_there_is_no_id_token() {
    let site = Site::new();
    assert!(tokens(&site, &[("scope", "orders.read"), ("nonce", "x")]).get("id_token").is_none());
    assert!(tokens(&site, &[]).get("id_token").is_none(), "an omitted scope is that of an API");
    let page = site.authorize("demo-web", &[("scope", "openid orders.read")]);
    let answer = site.decide(&page, "allow", &["orders.read"]);
    let (_, left) = site.redeem(&parameter(&answer, "code").unwrap());
    assert!(left.get("id_token").is_none(), "what a person takes out is not given");
}

#[test]
fn a_refresh_gives_the_same_person_and_time_without_the_nonce() {
    let site = Site::new();
    let first = tokens(&site, &[("scope", "openid offline_access"), ("nonce", "x")]);
    site.world.pass(Seconds(100));
    let (_, second) = site.refresh(&string(&first, "refresh_token"));
    let (before, after) = (jws_claims(&string(&first, "id_token")), jws_claims(&string(&second, "id_token")));
    for name in ["iss", "sub", "aud", "azp", "auth_time", "sid"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert!(after.get("nonce").is_none() && after["iat"].as_u64() > before["iat"].as_u64());
}

#[test]
fn userinfo_gives_what_the_scope_gives_to_who_has_a_good_token_of_openid() {
    let site = Site::new();
    let token = string(&tokens(&site, &[("scope", "openid email phone")]), "access_token");
    let claims = body(&userinfo(&site, &token));
    let (_, alice) = site.admin(Method::GET, "/admin/users/alice", &Value::Null);
    assert_eq!(
        claims,
        json!({
            "sub": alice["sub"], "email": "alice@looking-glass.example", "email_verified": true,
            "phone_number": "+44 20 7946 0000", "phone_number_verified": true,
        })
    );
    let form = "application/x-www-form-urlencoded";
    let posted =
        request(Method::POST, "/userinfo", &[("content-type", form)], &format!("access_token={token}"));
    assert_eq!(body(&site.send(&posted)), claims);
    let bearer = format!("Bearer {token}");
    let posted = request(Method::POST, "/userinfo", &[("authorization", &bearer)], "");
    assert_eq!(body(&site.send(&posted)), claims);

    let other = string(&tokens(&site, &[("scope", "reports")]), "access_token");
    let answer = userinfo(&site, &other);
    assert_eq!(answer.status, 403);
    assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
    let own = string(
        &site.token("demo-machine:demo-machine-secret", &[("grant_type", "client_credentials")]).1,
        "access_token",
    );
    assert_eq!(userinfo(&site, &own).status, 403);
    assert_eq!(userinfo(&site, "nonsense").status, 401);
    assert_eq!(site.get("/userinfo").status, 401);
    site.post("/revoke", WEB, &[("token", &token)]);
    assert_eq!(userinfo(&site, &token).status, 401);
}

#[test]
fn userinfo_asks_two_objects() {
    let site = Site::new();
    let token = string(&tokens(&site, &[("scope", "openid email")]), "access_token");
    site.world.operations();
    assert_eq!(userinfo(&site, &token).status, 200);
    assert_eq!(site.world.operations(), ["GRANTS", "ACCOUNTS"]);
}

#[test]
fn claims_that_are_asked_for_by_name_are_shown_and_given_where_they_were_asked_for() {
    let site = Site::new();
    let claims =
        r#"{"userinfo":{"nickname":{"essential":true},"locale":{"value":"fr"}},"id_token":{"email":null}}"#;
    let more = [("scope", "openid"), ("claims", claims)];
    let page = site.authorize("demo-web", &more);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(text(&page).contains("email, nickname") || text(&page).contains("locale"), "{}", text(&page));
    let tokens = tokens(&site, &more);
    let id_token = jws_claims(&string(&tokens, "id_token"));
    assert_eq!(id_token["email"], "alice@looking-glass.example");
    assert!(id_token.get("nickname").is_none());
    let known = body(&userinfo(&site, &string(&tokens, "access_token")));
    assert_eq!(known["nickname"], "Al");
    assert!(known.get("locale").is_none() && known.get("email").is_none(), "{known}");
    for bad in ["x", "[]", r#"{"id_token":{"email":7}}"#] {
        let answer = site.authorize("demo-web", &[("scope", "openid"), ("claims", bad)]);
        assert_eq!(error(&answer), "invalid_request", "{bad}");
    }
}

#[test]
fn a_level_that_is_essential_and_not_had_here_is_refused() {
    let site = Site::new();
    let asks = |level: &str| {
        let claims = format!(r#"{{"id_token":{{"acr":{{"essential":true,"values":["{level}"]}}}}}}"#);
        site.authorize("demo-web", &[("scope", "openid"), ("claims", &claims)])
    };
    assert_eq!(error(&asks("gold")), "unmet_authentication_requirements");
    assert_eq!(asks("urn:edgemint:password").status, 200);
    assert_eq!(site.authorize("demo-web", &[("scope", "openid"), ("acr_values", "gold")]).status, 200);
}

#[test]
fn no_page_is_shown_where_none_may_be() {
    let site = Site::new();
    let asks = |more: &[(&str, &str)]| {
        let mut all = vec![("scope", "openid"), ("prompt", "none")];
        all.extend_from_slice(more);
        site.authorize("demo-spa", &all)
    };
    assert_eq!(error(&asks(&[])), "login_required");
    site.code("demo-spa", &[("scope", "openid")]);
    assert_eq!(error(&asks(&[])), "consent_required", "a public client on loopback is asked each time");
    assert_eq!(error(&asks(&[("prompt", "none login")])), "invalid_request");
    assert_eq!(error(&asks(&[("max_age", "0")])), "login_required");
}

#[test]
fn who_is_to_sign_in_again_does_and_the_time_of_it_is_later() {
    let site = Site::new();
    let before = id_token(&site, &[("scope", "openid")]);
    site.world.pass(Seconds(5));
    for more in [("prompt", "login"), ("max_age", "4"), ("prompt", "select_account login")] {
        let page = site.authorize("demo-web", &[("scope", "openid"), more]);
        assert!(text(&page).contains("login-submit"), "{more:?}");
    }
    let after = id_token(&site, &[("scope", "openid"), ("prompt", "login")]);
    assert_eq!(after["auth_time"], before["auth_time"].as_u64().unwrap() + 5);
    let page = site.authorize("demo-web", &[("scope", "openid"), ("max_age", "3600"), ("prompt", "consent")]);
    assert!(text(&page).contains("consent-all"));
    for bad in ["x", "-1", "1.5"] {
        assert_eq!(
            error(&site.authorize("demo-web", &[("scope", "openid"), ("max_age", bad)])),
            "invalid_request"
        );
    }
}

#[test]
fn a_hint_is_of_this_server_and_only_who_it_names_goes_on() {
    let site = Site::new();
    let hint = string(&tokens(&site, &[("scope", "openid")]), "id_token");
    let asks = |hint: &str, more: &[(&str, &str)]| {
        let mut all = vec![("scope", "openid"), ("id_token_hint", hint)];
        all.extend_from_slice(more);
        site.authorize("demo-web", &all)
    };
    // Also long after it has expired.
    site.world.pass(Seconds(7200));
    assert!(text(&asks(&hint, &[("prompt", "consent")])).contains("consent-all"));
    for bad in [
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.".to_owned(),
        hint.replacen('.', "x.", 1),
        format!("{}.{}", hint.rsplit_once('.').unwrap().0, "AAAA"),
        string(&tokens(&site, &[("scope", "openid")]), "access_token"),
    ] {
        assert_eq!(error(&asks(&bad, &[])), "invalid_request", "{bad}");
    }
    site.forget_cookie("edgemint-session");
    assert_eq!(error(&asks(&hint, &[("prompt", "none")])), "login_required");
    let answer = site.sign_in(&asks(&hint, &[]), "bob", "builder");
    assert_eq!(error(&answer), "login_required", "it is not bob who is asked for");
    let answer = site.sign_in(&asks(&hint, &[]), "alice", "wonderland");
    assert!(parameter(&answer, "code").is_some(), "{}", text(&answer));
    let named = r#"{"id_token":{"sub":{"value":"somebody else"}}}"#;
    let answer = site.authorize("demo-web", &[("scope", "openid"), ("prompt", "none"), ("claims", named)]);
    assert_eq!(error(&answer), "login_required");
}

#[test]
fn a_hint_of_a_name_stands_in_the_form_as_text() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[("scope", "openid"), ("login_hint", "al\"><b>ice")]);
    assert!(text(&page).contains("al&#34;&#62;&#60;b&#62;ice"), "{}", text(&page));
}

#[test]
fn the_profile_openid_needs_no_pkce_and_signs_with_rs256() {
    let site = Site::new();
    let (id, credentials) = client(&site, json!({}));
    let answer = allow(&site, &ask(&site, &id, &[("scope", "openid profile")]));
    let code = parameter(&answer, "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.test/cb"),
    ];
    let (status, tokens) = site.token(&credentials, &fields);
    assert_eq!(status, 200, "{tokens}");
    let token = string(&tokens, "id_token");
    assert_eq!(jws_header(&token)["alg"], "RS256");
    assert!(verified(&site, &token, &id).get("nonce").is_none());
    assert!(tokens.get("refresh_token").is_none(), "nobody asked for offline_access");
    let answer = allow(&site, &ask(&site, &id, &[("scope", "openid offline_access")]));
    let code = parameter(&answer, "code").unwrap();
    let fields = [fields[0], ("code", code.as_str()), fields[2]];
    assert!(site.token(&credentials, &fields).1["refresh_token"].is_string());
}

#[test]
fn what_goes_out_at_once_is_bound_to_what_goes_out_beside_it() {
    let site = Site::new();
    let (id, _) = client(&site, json!({}));
    let half = |text: &str| edgemint::crypto::text(&edgemint::crypto::digest(text.as_bytes())[..16]);
    for (kind, names) in [
        ("id_token", &["id_token"][..]),
        ("id_token token", &["id_token", "access_token"]),
        ("code id_token", &["code", "id_token"]),
        ("code token", &["code", "access_token"]),
        ("code id_token token", &["code", "id_token", "access_token"]),
    ] {
        let asked = ("prompt", "consent");
        let more = [("response_type", kind), ("nonce", "n"), ("scope", "openid email"), asked];
        let answer = allow(&site, &ask(&site, &id, &more));
        let location = answer.header("location").unwrap().to_owned();
        assert!(location.starts_with("https://app.test/cb#") && !location.contains('?'), "{location}");
        for name in ["code", "id_token", "access_token"] {
            assert_eq!(parameter(&answer, name).is_some(), names.contains(&name), "{kind} {name}");
        }
        assert_eq!(parameter(&answer, "state").as_deref(), Some("a state"));
        assert_eq!(parameter(&answer, "iss").as_deref(), Some("http://localhost:8787"));
        let Some(token) = parameter(&answer, "id_token") else { continue };
        let claims = verified(&site, &token, &id);
        assert_eq!(claims["nonce"], "n");
        let hash = |name: &str| parameter(&answer, name).map(|text| half(&text));
        assert_eq!(claims["at_hash"].as_str().map(str::to_owned), hash("access_token"), "{kind}");
        assert_eq!(claims["c_hash"].as_str().map(str::to_owned), hash("code"), "{kind}");
        // Where there is nothing to get them with, they are inside (§5.4).
        assert_eq!(claims.get("email").is_some(), kind == "id_token", "{kind}");
        if let Some(token) = parameter(&answer, "access_token") {
            assert_eq!(userinfo(&site, &token).status, 200);
        }
    }
    assert_eq!(error(&ask(&site, &id, &[("response_type", "id_token")])), "invalid_request", "no nonce");
    let query = [("response_type", "id_token"), ("nonce", "n"), ("response_mode", "query")];
    assert_eq!(error(&ask(&site, &id, &query)), "invalid_request");
    let other = [("response_type", "id_token"), ("nonce", "n"), ("scope", "reports")];
    assert_eq!(error(&ask(&site, &id, &other)), "invalid_scope");
}

#[test]
fn an_answer_can_be_a_form_that_the_browser_posts() {
    let site = Site::new();
    let (id, _) = client(&site, json!({}));
    let answer = allow(&site, &ask(&site, &id, &[("response_mode", "form_post"), ("state", "\"<x>")]));
    assert_eq!((answer.status.as_u16(), answer.header("location")), (200, None));
    let html = text(&answer);
    assert!(html.contains("action=\"https://app.test/cb\"") && !html.contains("<x>"), "{html}");
    assert!(!field(&answer, "code").is_empty());
    assert_eq!(field(&answer, "iss"), "http://localhost:8787");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("content-security-policy").unwrap().contains("form-action https://app.test;"));
    let refused = ask(&site, &id, &[("response_mode", "form_post"), ("prompt", "none"), ("max_age", "0")]);
    assert_eq!(field(&refused, "error"), "login_required");
}

#[test]
fn userinfo_is_signed_for_who_wants_it_so() {
    let site = Site::new();
    let more = json!({ "userinfo_signed_response_alg": "ES256" });
    site.patch("/admin/clients/demo-web", &more);
    let token = string(&tokens(&site, &[("scope", "openid email")]), "access_token");
    let answer = userinfo(&site, &token);
    assert_eq!(answer.header("content-type"), Some("application/jwt"));
    let signed = text(&answer);
    let claims = verified(&site, &signed, "demo-web");
    assert_eq!(
        (&claims["email"], &claims["aud"]),
        (&json!("alice@looking-glass.example"), &json!("demo-web"))
    );
    // It is no ID token, and is not taken for one.
    let hinted = site.authorize("demo-web", &[("scope", "openid"), ("id_token_hint", &signed)]);
    assert_eq!(error(&hinted), "invalid_request");
}

#[test]
fn what_openid_gives_is_given_on_a_page_alone() {
    let site = Site::new();
    let password =
        [("grant_type", "password"), ("username", "alice"), ("password", "wonderland"), ("scope", "openid")];
    site.patch("/admin/clients/demo-legacy", &json!({ "scope": "openid reports" }));
    site.patch("/admin/clients/demo-machine", &json!({ "scope": "openid reports" }));
    assert_eq!(site.token("demo-legacy:demo-legacy-secret", &password).1["error"], "invalid_scope");
    let own = [("grant_type", "client_credentials"), ("scope", "openid")];
    assert_eq!(site.token("demo-machine:demo-machine-secret", &own).1["error"], "invalid_scope");
}

#[test]
fn what_is_not_built_is_refused_in_its_own_words_and_not_advertised() {
    let site = Site::new();
    for (name, value, code) in [
        ("request", "x.y.z", "request_not_supported"),
        ("request_uri", "https://app.test/r", "request_uri_not_supported"),
        ("registration", "{}", "registration_not_supported"),
    ] {
        assert_eq!(error(&site.authorize("demo-web", &[("scope", "openid"), (name, value)])), code);
    }
    let metadata = body(&site.get("/.well-known/openid-configuration"));
    for name in ["request_parameter_supported", "request_uri_parameter_supported"] {
        assert_eq!(metadata[name], false);
    }
    for (name, value) in [("ui_locales", "de fr"), ("display", "touch"), ("claims_locales", "de"), ("x", "y")]
    {
        assert_eq!(site.authorize("demo-web", &[("scope", "openid"), (name, value)]).status, 200, "{name}");
    }
}

#[test]
fn an_id_token_opens_nothing() {
    let site = Site::new();
    let tokens = tokens(&site, &[("scope", "openid offline_access")]);
    let token = string(&tokens, "id_token");
    assert_eq!(userinfo(&site, &token).status, 401);
    assert_eq!(site.inspect(&token), dead());
    assert_eq!(site.refresh(&token).1["error"], "invalid_grant");
    assert_eq!(site.redeem(&token).1["error"], "invalid_grant");
    let bearer = format!("Bearer {token}");
    for path in ["/check", "/admin/clients"] {
        assert_eq!(site.send(&request(Method::GET, path, &[("authorization", &bearer)], "")).status, 401);
    }
}

#[test]
fn an_authentication_request_may_be_posted() {
    let site = Site::new();
    let fields = authorization("demo-web", &[("scope", "openid"), ("nonce", "x")]);
    let page = site.submit("/authorize", &fields);
    assert!(text(&page).contains("login-submit"), "{}", text(&page));
    let answer = allow(&site, &page);
    let (_, tokens) = site.redeem(&parameter(&answer, "code").unwrap());
    assert_eq!(jws_claims(&string(&tokens, "id_token"))["nonce"], "x");
}

#[test]
fn a_code_that_is_asked_for_again_after_its_answer_was_lost_has_the_same_claims() {
    let site = Site::new();
    let code = site.code("demo-web", &[("scope", "openid"), ("nonce", "x")]);
    site.world.fate("GRANTS", &[Fate::Unanswered]);
    let (status, tokens) = site.redeem(&code);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(jws_claims(&string(&tokens, "id_token"))["nonce"], "x");
}

#[test]
fn a_code_and_what_goes_out_beside_it_are_given_once_however_often_the_form_is_sent() {
    let site = Site::new();
    let (id, credentials) = client(&site, json!({}));
    let more = [("response_type", "code token"), ("scope", "openid")];
    let page = ask(&site, &id, &more);
    let page = site.sign_in(&page, "alice", "wonderland");
    let (first, second) = (site.decide(&page, "all", &[]), site.decide(&page, "all", &[]));
    let code = parameter(&first, "code").unwrap();
    assert_eq!(parameter(&second, "code").as_deref(), Some(code.as_str()));
    // Denied afterwards: neither is good.
    let token = parameter(&first, "access_token").unwrap();
    site.decide(&page, "deny", &[]);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.test/cb"),
    ];
    assert_eq!(site.token(&credentials, &fields).1["error"], "invalid_grant");
    assert_eq!(userinfo(&site, &token).status, 401);
}
