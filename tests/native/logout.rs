//! OpenID Connect RP-Initiated Logout 1.0: who is signed out by whose word, and where they may be sent then.

mod back_channel;

use crate::{
    openid::{jws_claims, jws_header},
    world::*,
};
use edgemint::{host::Seconds, wire::Response};
use http::Method;
use serde_json::{Value, json};

pub const AFTER: &str = "https://app.test/bye";

/// A client that signs people in, with more members.
pub fn client(site: &Site, id: &str, more: &Value) {
    let mut body = json!({
        "client_id": id, "client_name": format!("The {id}"), "profile": "openid", "scope": "openid profile offline_access",
        "redirect_uris": ["https://app.test/cb"], "grant_types": ["authorization_code", "refresh_token"],
        "post_logout_redirect_uris": [AFTER],
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let (status, made) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!(status, 201, "{made}");
    SECRETS.with_borrow_mut(|secrets| secrets.push((id.to_owned(), string(&made, "client_secret"))));
}

thread_local! {
    static SECRETS: std::cell::RefCell<Vec<(String, String)>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// What a client gets once alice, or who is signed in, has allowed it the scope.
pub fn sign_in(site: &Site, id: &str, scope: &str) -> Value {
    let uri = ("redirect_uri", "https://app.test/cb");
    let code = site.code(id, &[uri, ("scope", scope)]);
    redeem(site, id, &code)
}

fn redeem(site: &Site, id: &str, code: &str) -> Value {
    redeem_at(site, id, code, "https://app.test/cb")
}

/// The same, of a code that went to another address.
pub fn redeem_at(site: &Site, id: &str, code: &str, uri: &str) -> Value {
    let secret = SECRETS.with_borrow(|all| all.iter().rfind(|(of, _)| of == id).unwrap().1.clone());
    let mut fields = redemption(code);
    fields[2].1 = uri;
    let (status, tokens) = site.token(&format!("{id}:{secret}"), &fields);
    assert_eq!(status, 200, "{tokens}");
    tokens
}

/// A site where alice signed in to `shop`, and her ID token.
fn shop() -> (Site, String) {
    let site = Site::new();
    client(&site, "shop", &json!({}));
    let token = string(&sign_in(&site, "shop", "openid"), "id_token");
    (site, token)
}

pub fn logout(site: &Site, params: &[(&str, &str)]) -> Response {
    site.get(&format!("/logout?{}", form(params)))
}

/// Whether somebody is signed in in this browser.
pub fn is_in(site: &Site) -> bool {
    text(&site.get("/account")).contains("sign-out")
}

fn location(answer: &Response) -> &str {
    answer.header("location").unwrap_or_default()
}

fn asks(answer: &Response) -> bool {
    answer.status == 200 && text(answer).contains("id=\"logout-confirm\"")
}

/// A page, and nobody is sent anywhere or signed out.
fn refused(site: &Site, params: &[(&str, &str)], what: &str) {
    let answer = logout(site, params);
    assert!(answer.status.is_client_error(), "{what}: {} {}", answer.status, text(&answer));
    assert_eq!((location(&answer), is_in(site)), ("", true), "{what}");
}

#[test]
fn a_hint_of_this_session_signs_out_at_once_and_the_client_gets_its_state_back() {
    for method in [Method::GET, Method::POST] {
        let (site, token) = shop();
        assert!(is_in(&site));
        let params = [
            ("id_token_hint", token.as_str()),
            ("client_id", "shop"),
            ("post_logout_redirect_uri", AFTER),
            ("state", "a b&c"),
            ("ui_locales", "de"),
            ("logout_hint", "alice"),
        ];
        let cookie = site.cookie("edgemint-session").unwrap();
        let answer =
            if method == Method::GET { logout(&site, &params) } else { site.submit("/logout", &params) };
        assert_eq!(
            (answer.status.as_u16(), location(&answer)),
            (303, "https://app.test/bye?state=a%20b%26c")
        );
        assert!(!is_in(&site) && site.cookie("edgemint-session").as_deref() == Some(""), "{method}");
        // The session is over, and not only the cookie.
        let cookie = format!("edgemint-session={cookie}");
        let again = site.send(&request(Method::GET, "/account", &[("cookie", &cookie)], ""));
        assert!(!text(&again).contains("sign-out"));
    }
}

#[test]
fn an_expired_hint_is_as_good_and_without_an_address_a_page_says_what_is() {
    let (site, token) = shop();
    site.world.pass(Seconds(3 * 3600));
    assert!(is_in(&site));
    let answer = logout(&site, &[("id_token_hint", &token)]);
    assert_eq!(location(&answer), "http://localhost:8787/logout");
    assert!(!is_in(&site));
    assert!(text(&site.get("/logout")).contains("id=\"logout-done\""));
}

#[test]
fn without_a_hint_nobody_is_signed_out_until_they_say_so() {
    let (site, _) = shop();
    for params in [
        &[][..],
        &[("client_id", "shop")],
        &[("client_id", "shop"), ("post_logout_redirect_uri", AFTER), ("state", "s")],
    ] {
        let page = logout(&site, params);
        assert!(asks(&page) && text(&page).contains(">alice<"), "{}", text(&page));
        assert_eq!(text(&page).contains("The shop"), !params.is_empty());
        assert!(is_in(&site));
    }
    let page = logout(&site, &[("client_id", "shop"), ("post_logout_redirect_uri", AFTER), ("state", "s")]);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' https://app.test;"), "{policy}");
    let seal = field(&page, "seal");
    let answer = site.submit("/logout", &[("seal", &seal)]);
    assert_eq!(location(&answer), "https://app.test/bye?state=s");
    assert!(!is_in(&site));
    // The same form once more ends nothing, and leads to the same place.
    site.sign_in(&site.authorize("demo-web", &[]), "bob", "builder");
    site.forget_cookie("edgemint-session");
    assert_eq!(location(&site.submit("/logout", &[("seal", &seal)])), "https://app.test/bye?state=s");
}

#[test]
fn a_hint_of_another_session_or_person_asks_too() {
    let (site, token) = shop();
    let with = |site: &Site| logout(site, &[("id_token_hint", &token), ("post_logout_redirect_uri", AFTER)]);
    let other = site.beside();
    other.sign_in(&other.authorize("demo-web", &[]), "bob", "builder");
    assert!(asks(&with(&other)) && is_in(&other), "another person's");
    let same = site.beside();
    same.sign_in(&same.authorize("demo-web", &[]), "alice", "wonderland");
    assert!(asks(&with(&same)) && is_in(&same), "another session of theirs");
    let nobody = site.beside();
    let page = with(&nobody);
    assert!(page.status == 200 && text(&page).contains("id=\"logout-back\" href=\"https://app.test/bye\""));
    assert!(is_in(&site), "it was not theirs to end");
}

#[test]
fn nobody_is_sent_where_the_client_has_not_registered_to_the_letter() {
    let (site, token) = shop();
    client(
        &site,
        "other",
        &json!({ "post_logout_redirect_uris": ["https://other.test/bye", "http://127.0.0.1:9/bye"] }),
    );
    for uri in [
        "https://app.test/bye/",
        "https://app.test/BYE",
        "https://app.test/bye?x=1",
        "https://app.test/bye#x",
        "https://app.test:443/bye",
        "https://app.test/cb",
        "https://app.test",
        "https://app.test.evil.test/bye",
        "https://app.test@evil.test/bye",
        "https://evil.test/https://app.test/bye",
        "//evil.test",
        "\\\\evil.test",
        "javascript:alert(1)",
        "https://other.test/bye",
        "http://localhost:8787/account",
    ] {
        for with in [("id_token_hint", token.as_str()), ("client_id", "shop")] {
            refused(&site, &[with, ("post_logout_redirect_uri", uri)], uri);
        }
    }
    refused(&site, &[("post_logout_redirect_uri", AFTER)], "of whom it is nobody says");
    let moved = ("post_logout_redirect_uri", "http://127.0.0.1:10/bye");
    refused(&site, &[("client_id", "other"), moved], "not even another port of a laptop");
    site.patch("/admin/clients/shop", &json!({ "enabled": false }));
    refused(&site, &[("client_id", "shop"), ("post_logout_redirect_uri", AFTER)], "a disabled client");
    assert!(asks(&logout(&site, &[("client_id", "shop")])), "who asks may still sign out");
    assert_eq!(site.admin(Method::DELETE, "/admin/clients/shop", &Value::Null).0, 204);
    refused(&site, &[("id_token_hint", &token)], "a client that is gone");
}

#[test]
fn a_hint_is_an_id_token_of_this_server_for_the_client_that_asks() {
    let (site, token) = shop();
    client(
        &site,
        "other",
        &json!({ "post_logout_redirect_uris": ["https://other.test/bye"], "userinfo_signed_response_alg": "RS256" }),
    );
    let tokens = sign_in(&site, "other", "openid");
    let [header, claims, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    let text = |value: &Value| edgemint::crypto::text(value.to_string().as_bytes());
    let with = |name: &str, to: Value| {
        let mut claims = jws_claims(&token);
        claims[name] = to;
        text(&claims)
    };
    let none = text(&json!({ "alg": "none", "typ": "JWT", "kid": jws_header(&token)["kid"] }));
    let access = string(&tokens, "access_token");
    let bearer = format!("Bearer {access}");
    let userinfo = site.send(&request(Method::GET, "/userinfo", &[("authorization", &bearer)], ""));
    let userinfo = crate::world::text(&userinfo);
    assert_eq!(userinfo.split('.').count(), 3, "{userinfo}");
    // Of a key that nobody here knows.
    let unknown = |typ: &str, claims: &str| {
        let header = text(&json!({ "alg": "RS256", "typ": typ, "kid": "unknown" }));
        format!("{header}.{claims}.{signature}")
    };
    let evil = with("iss", json!("https://evil.test"));
    for (what, hint) in [
        ("garbage", "x"),
        ("another issuer's own", &unknown("JWT", &evil)),
        ("nobody's", &unknown("JWT", &with("iss", Value::Null))),
        ("no ID token", &unknown("logout+jwt", claims)),
        ("alg none", &format!("{none}.{claims}.")),
        ("alg none with a signature", &format!("{none}.{claims}.{signature}")),
        ("another issuer", &format!("{header}.{evil}.{signature}")),
        ("another session", &format!("{header}.{}.{signature}", with("sid", json!("x")))),
        ("no signature", &format!("{header}.{claims}.")),
        ("an access token", &access),
        ("what userinfo says", &userinfo),
    ] {
        refused(&site, &[("id_token_hint", hint)], what);
        refused(
            &site,
            &[("id_token_hint", hint), ("post_logout_redirect_uri", AFTER), ("client_id", "shop")],
            what,
        );
    }
    refused(&site, &[("id_token_hint", &token), ("client_id", "other")], "of another client");
    let theirs = ("post_logout_redirect_uri", "https://other.test/bye");
    refused(&site, &[("id_token_hint", &token), theirs], "to another client's address");
    refused(&site, &[("client_id", "nobody")], "a client that is none");
    let twice = format!("/logout?id_token_hint={token}&id_token_hint={token}");
    assert_eq!(site.get(&twice).status, 400);
}

#[test]
fn a_hint_whose_key_is_gone_is_none_and_the_person_is_asked() {
    let (site, token) = shop();
    let key = string(&jws_header(&token), "kid");
    assert_eq!(site.admin(Method::DELETE, &format!("/admin/keys/{key}"), &Value::Null).0, 204);
    site.world.pass(Seconds(6));
    let (hint, back) = (("id_token_hint", token.as_str()), ("post_logout_redirect_uri", AFTER));
    for (params, goes_on) in
        [(&[hint][..], false), (&[hint, back], false), (&[hint, back, ("client_id", "shop")], true)]
    {
        let page = logout(&site, params);
        assert!(asks(&page) && is_in(&site), "{params:?}");
        assert_eq!(text(&page).contains("id=\"logout-host\""), goes_on, "{params:?}");
    }
}

#[test]
fn the_page_says_where_the_person_goes_on_and_who_says_so() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "registration.open": 2, "registration.profile": "openid" }));
    let body = json!({
        "client_name": "Your bank", "redirect_uris": ["https://app.test/cb"], "post_logout_redirect_uris": [AFTER],
    });
    let headers = [("content-type", "application/json")];
    let answer = site.send(&request(Method::POST, "/register", &headers, &body.to_string()));
    let made: Value = serde_json::from_slice(&answer.body).unwrap();
    client(&site, "shop", &json!({}));
    site.sign_in(&site.authorize("demo-web", &[]), "alice", "wonderland");
    let page = |id: &str| text(&logout(&site, &[("client_id", id), ("post_logout_redirect_uri", AFTER)]));
    let known = page("shop");
    assert!(known.contains("<strong id=\"logout-host\">app.test</strong>"), "{known}");
    assert!(!known.contains("Nobody here knows"));
    let unknown = page(&string(&made, "client_id"));
    assert!(unknown.contains("app.test</strong>") && unknown.contains("Nobody here knows this application"));
}

#[test]
fn a_form_is_of_its_browser_of_this_site_and_good_for_half_an_hour() {
    let (site, _) = shop();
    let seal = field(&logout(&site, &[]), "seal");
    let other = site.beside();
    other.sign_in(&other.authorize("demo-web", &[]), "bob", "builder");
    assert_eq!(other.submit("/logout", &[("seal", &seal)]).status, 400);
    assert!(is_in(&other));
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")] {
        let headers = [("content-type", FORM), (name, value)];
        let answer = site.browse(request(Method::POST, "/logout", &headers, &form(&[("seal", &seal)])));
        assert_eq!(answer.status, 400, "{name}");
    }
    // A form of the console, of the account's page or of a decision is none of these; nor are these any of theirs.
    let console = field(&site.beside().get("/console"), "seal");
    let account = field(&site.get("/account"), "seal");
    let pending = field(&site.authorize("demo-web", &[]), "pending");
    for seal in [console.as_str(), &account, &pending, "", "x"] {
        assert_ne!(site.submit("/logout", &[("seal", seal)]).status, 303, "{seal}");
    }
    assert_eq!(site.submit("/account", &[("seal", &seal), ("act", "sign-out")]).status, 400);
    site.world.pass(Seconds(1799));
    assert!(is_in(&site));
    let early = site.fork();
    assert_eq!(early.submit("/logout", &[("seal", &seal)]).status, 303);
    site.world.pass(Seconds(1));
    assert_eq!(site.submit("/logout", &[("seal", &seal)]).status, 400);
    assert!(is_in(&site) && !is_in(&early));
}

#[test]
fn a_post_of_another_site_comes_again_with_the_browsers_cookies() {
    let (site, token) = shop();
    let fields = [("id_token_hint", token.as_str()), ("post_logout_redirect_uri", AFTER)];
    let headers = [("content-type", FORM), ("sec-fetch-site", "cross-site"), ("origin", "https://app.test")];
    let answer = site.send(&request(Method::POST, "/logout", &headers, &form(&fields)));
    let to = location(&answer).strip_prefix("http://localhost:8787").unwrap().to_owned();
    assert!(is_in(&site));
    assert_eq!(location(&site.get(&to)), AFTER);
    assert!(!is_in(&site));
}

#[test]
fn a_client_of_a_sector_of_its_own_names_people_as_it_knows_them() {
    let site = Site::new();
    client(&site, "sector", &json!({ "subject_type": "pairwise" }));
    let token = string(&sign_in(&site, "sector", "openid"), "id_token");
    let (_, alice) = site.admin(Method::GET, "/admin/users/alice", &Value::Null);
    assert_ne!(jws_claims(&token)["sub"], alice["sub"]);
    assert_eq!(
        location(&logout(&site, &[("id_token_hint", &token), ("post_logout_redirect_uri", AFTER)])),
        AFTER
    );
    assert!(!is_in(&site));
}

#[test]
fn of_several_people_a_hint_ends_one_and_the_page_all() {
    let (site, token) = shop();
    let page = site.authorize("demo-web", &[("prompt", "login")]);
    site.sign_in(&page, "bob", "builder");
    let both = text(&logout(&site, &[]));
    assert!(both.contains("bob, alice"), "{both}");
    logout(&site, &[("id_token_hint", &token)]);
    let left = logout(&site, &[]);
    assert!(text(&left).contains(">bob<") && is_in(&site));
    let page = site.authorize("demo-web", &[("prompt", "login")]);
    site.sign_in(&page, "alice", "wonderland");
    let seal = field(&logout(&site, &[]), "seal");
    site.submit("/logout", &[("seal", &seal)]);
    assert!(!is_in(&site) && !asks(&logout(&site, &[])));
}

#[test]
fn a_consent_form_of_before_gives_nothing_after_signing_out() {
    let (site, token) = shop();
    let page = site.authorize("demo-web", &[]);
    logout(&site, &[("id_token_hint", &token)]);
    let answer = site.decide(&page, "all", &[]);
    assert!(answer.status == 200 && text(&answer).contains("id=\"login-submit\""), "{}", text(&answer));
}

#[test]
fn what_was_allowed_stays_allowed() {
    let site = Site::new();
    client(&site, "shop", &json!({}));
    let tokens = sign_in(&site, "shop", "openid offline_access");
    logout(&site, &[("id_token_hint", &string(&tokens, "id_token"))]);
    assert!(!is_in(&site));
    let secret = SECRETS.with_borrow(|all| all.last().unwrap().1.clone());
    let refresh = string(&tokens, "refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_eq!(site.token(&format!("shop:{secret}"), &fields).0, 200);
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
}

#[test]
fn the_metadata_names_the_endpoint_and_the_members_are_held_to_their_rules() {
    let site = Site::new();
    let metadata: Value =
        serde_json::from_slice(&site.get("/.well-known/openid-configuration").body).unwrap();
    assert_eq!(metadata["end_session_endpoint"], "http://localhost:8787/logout");
    assert_eq!(metadata["backchannel_logout_supported"], true);
    assert_eq!(metadata["backchannel_logout_session_supported"], true);
    for (name, value) in [
        ("post_logout_redirect_uris", json!(["javascript:alert(1)"])),
        ("post_logout_redirect_uris", json!(["https://app.test/#x"])),
        ("post_logout_redirect_uris", json!(["https://app.test/?state=x"])),
        ("post_logout_redirect_uris", json!("https://app.test/")),
        ("post_logout_redirect_uris", json!(vec!["https://app.test/"; 51])),
        ("backchannel_logout_uri", json!("http://app.test/out")),
        ("backchannel_logout_uri", json!("https://10.0.0.1/out")),
        ("backchannel_logout_uri", json!("https://printer.local/out")),
        ("backchannel_logout_uri", json!("https://app.test/out#x")),
        ("backchannel_logout_uri", json!("https://me@app.test/out")),
        ("backchannel_logout_uri", json!(format!("https://app.test/{}", "x".repeat(2000)))),
        ("backchannel_logout_uri", json!(1)),
        ("backchannel_logout_session_required", json!("yes")),
    ] {
        let mut body = json!({ "redirect_uris": ["https://app.test/cb"] });
        body[name] = value.clone();
        let (status, answer) = site.admin(Method::POST, "/admin/clients", &body);
        assert!(status == 400 || status == 422, "{name} {value}: {status} {answer}");
        assert!(answer.to_string().contains(name), "{answer}");
    }
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    let body = json!({
        "redirect_uris": ["https://app.test/cb"], "post_logout_redirect_uris": [AFTER],
        "backchannel_logout_uri": "https://app.test/out", "backchannel_logout_session_required": true,
    });
    let headers = [("content-type", "application/json")];
    let answer = site.send(&request(Method::POST, "/register", &headers, &body.to_string()));
    let made: Value = serde_json::from_slice(&answer.body).unwrap();
    for name in ["post_logout_redirect_uris", "backchannel_logout_uri", "backchannel_logout_session_required"]
    {
        assert_eq!(made[name], body[name], "{made}");
    }
}
