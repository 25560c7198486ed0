//! Lines of OpenID Connect Core 1.0 that no other test holds: `docs/specifications/openid-connect-core.md` names each.

use super::{
    WEB, allow, ask, body, client, error, id_token, jws_claims, jws_header, tokens, userinfo, verified,
};
use crate::world::*;
use edgemint::{
    host::{Host as _, Seconds},
    wire::Response,
};
use http::Method;
use serde_json::{Value, json};

/// RFC 6750 §3.1.
const INVALID_TOKEN: &str = "Bearer realm=\"edgemint\", error=\"invalid_token\"";

/// A request of `demo-web` for who signs in.
fn asks(site: &Site, more: &[(&str, &str)]) -> Response {
    let mut all = vec![("scope", "openid")];
    all.retain(|(name, _)| more.iter().all(|(own, _)| own != name));
    all.extend_from_slice(more);
    site.authorize("demo-web", &all)
}

/// §3.1.2.1, §3.1.2.2: `redirect_uri` is required. OAuth alone lets it be left out where there is one.
#[test]
fn an_authentication_request_names_where_its_answer_goes_though_there_is_one_address() {
    let site = Site::new();
    let (id, _) = client(&site, json!({}));
    for scope in ["openid", "profile openid"] {
        let refused = ask(&site, &id, &[("scope", scope), ("redirect_uri", "")]);
        assert_eq!((refused.status.as_u16(), refused.header("location")), (400, None), "{scope}");
        assert!(text(&refused).contains("redirect_uri is missing"), "{}", text(&refused));
    }
    let oauth = allow(&site, &ask(&site, &id, &[("scope", "reports"), ("redirect_uri", "")]));
    assert!(oauth.header("location").unwrap().starts_with("https://app.test/cb?code="));
}

/// §2, §3.1.2.1: the nonce is passed through as it is.
#[test]
fn a_nonce_comes_back_byte_for_byte() {
    let site = Site::new();
    for nonce in
        ["n-0S6_WzA2Mj", "N-0s6_wza2mJ", " ", "a b+c%20d&e=f#g", "ä€😀\"\\\u{0}\r\n", &"x".repeat(3000)]
    {
        assert_eq!(id_token(&site, &[("scope", "openid"), ("nonce", nonce)])["nonce"], *nonce);
    }
    assert!(id_token(&site, &[("scope", "openid")]).get("nonce").is_none());
}

/// §2: `sub` is of at most 255 ASCII characters, and the person's at every client and time that may know it.
#[test]
fn a_subject_is_short_ascii_and_the_same_at_every_sign_in() {
    let site = Site::new();
    site.patch("/admin/clients/demo-short", &json!({ "scope": "openid" }));
    let of = |id: &str, secret: &str| {
        let code = site.code(id, &[("scope", "openid"), ("prompt", "login")]);
        let (status, tokens) = site.token(&format!("{id}:{secret}"), &redemption(&code));
        assert_eq!(status, 200, "{tokens}");
        string(&jws_claims(&string(&tokens, "id_token")), "sub")
    };
    let public = of("demo-web", "demo-web-secret");
    assert_eq!(public, of("demo-web", "demo-web-secret"));
    assert_eq!(public, of("demo-short", "demo-short-secret"));
    site.patch("/admin/clients/demo-short", &json!({ "subject_type": "pairwise" }));
    let pairwise = of("demo-short", "demo-short-secret");
    assert_ne!(public, pairwise);
    for sub in [public, pairwise] {
        assert!((1..=255).contains(&sub.len()) && sub.bytes().all(|byte| byte.is_ascii_graphic()), "{sub}");
    }
}

/// §3.1.2.1, §3.1.2.3: with `prompt=none` no page, whatever stands beside it and however it is sent.
#[test]
fn with_prompt_none_the_client_is_answered_and_nobody_sees_a_page() {
    let site = Site::new();
    let hint = string(&tokens(&site, &[("scope", "openid")]), "id_token");
    let somebody = r#"{"id_token":{"sub":{"value":"somebody else"}}}"#;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("scope", "openid email"), ("prompt", "none consent")], "invalid_request"),
        (&[("prompt", "none select_account")], "invalid_request"),
        (&[("scope", "openid email")], "consent_required"),
        (&[("scope", "openid"), ("claims", r#"{"userinfo":{"email":null}}"#)], "consent_required"),
        (&[("claims", somebody)], "login_required"),
        (&[("max_age", "0")], "login_required"),
        (&[("id_token_hint", "nonsense")], "invalid_request"),
        (&[("scope", "openid nonsense")], "invalid_scope"),
        (&[("display", "popup"), ("ui_locales", "de"), ("login_hint", "bob"), ("acr_values", "gold")], ""),
        (&[("id_token_hint", &hint)], ""),
    ];
    let check = |more: &[(&str, &str)], expected: &str| {
        let mut all = vec![("scope", "openid"), ("prompt", "none")];
        all.retain(|(name, _)| more.iter().all(|(own, _)| own != name));
        all.extend_from_slice(more);
        let posted = site.submit("/authorize", &authorization("demo-web", &all));
        for answer in [site.authorize("demo-web", &all), posted] {
            assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (303, ""), "{more:?}");
            assert!(answer.header("location").unwrap().starts_with(CALLBACK));
            assert_eq!(parameter(&answer, "error").unwrap_or_default(), expected, "{more:?}");
            assert_eq!(parameter(&answer, "state").as_deref(), Some("a state"));
        }
    };
    for (more, expected) in cases {
        check(more, expected);
    }
    site.forget_cookie("edgemint-session");
    for more in
        [&[][..], &[("scope", "openid email")], &[("id_token_hint", &hint)], &[("login_hint", "alice")]]
    {
        check(more, "login_required");
    }
}

/// §3.1.2.1, §3.1.2.3: a session that is too old for `max_age` is none, also where a person chooses it; nor is any for
/// `prompt=login`.
#[test]
fn a_session_that_is_too_old_is_not_chosen_either() {
    let site = Site::new();
    site.code("demo-web", &[("scope", "openid")]);
    site.world.pass(Seconds(100));
    let page = asks(&site, &[("prompt", "login")]);
    site.sign_in(&page, "bob", "builder");
    let choose = |more: &[(&str, &str)], name: &str| {
        let page = asks(&site, more);
        let html = text(&page);
        let mut buttons = html.split("name=\"account\" value=\"").skip(1);
        let id = buttons
            .find_map(|rest| rest.split_once('"').filter(|(_, rest)| rest.starts_with(&format!(">{name}<"))));
        let (id, _) = id.unwrap_or_else(|| panic!("{name} is no choice: {html}"));
        site.submit("/choose", &[("pending", &field(&page, "pending")), ("account", id)])
    };
    let select = ("prompt", "select_account");
    assert!(
        text(&choose(&[select, ("max_age", "60")], "alice")).contains("login-submit"),
        "a hundred seconds ago"
    );
    assert!(parameter(&choose(&[select, ("max_age", "200")], "alice"), "code").is_some());
    assert!(!text(&choose(&[select, ("max_age", "60")], "bob")).contains("login-submit"), "just now");
    let again = choose(&[("prompt", "select_account"), ("max_age", "0")], "bob");
    assert!(text(&again).contains("login-submit"), "max_age=0 is prompt=login");
    // The form for signing in is none for deciding or choosing.
    let page = asks(&site, &[("prompt", "login")]);
    assert!(text(&page).contains("login-submit"));
    assert_eq!(site.decide(&page, "all", &[]).status, 400);
    let pending = field(&page, "pending");
    assert_eq!(site.submit("/choose", &[("pending", &pending), ("account", "x")]).status, 400);
}

/// §3.1.2.2, §5.5.1: whoever is asked for by `sub` is the only one who is answered for, and nobody is two.
#[test]
fn nobody_is_answered_for_who_would_have_to_be_two_people() {
    let site = Site::new();
    let alice = string(&id_token(&site, &[("scope", "openid")]), "sub");
    let hint = string(&tokens(&site, &[("scope", "openid")]), "id_token");
    let wants = |id_token: &Value, userinfo: &Value| {
        json!({ "id_token": { "sub": id_token }, "userinfo": { "sub": userinfo } }).to_string()
    };
    let (hers, other) = (json!({ "value": alice }), json!({ "value": "somebody" }));
    for claims in [wants(&hers, &other), wants(&other, &hers)] {
        assert_eq!(error(&asks(&site, &[("claims", &claims)])), "invalid_request", "{claims}");
    }
    let either = json!({ "values": ["somebody", alice] });
    for (claims, good) in
        [(wants(&hers, &either), true), (wants(&either, &hers), true), (wants(&other, &either), false)]
    {
        let answer = asks(&site, &[("claims", &claims), ("prompt", "none")]);
        assert_eq!(parameter(&answer, "code").is_some(), good, "{claims}");
        assert!(good || error(&answer) == "login_required");
    }
    let claims = wants(&other, &Value::Null);
    assert_eq!(error(&asks(&site, &[("claims", &claims), ("id_token_hint", &hint)])), "invalid_request");
    assert_eq!(
        error(&asks(&site, &[("claims", &wants(&json!({ "value": 7 }), &Value::Null))])),
        "invalid_request"
    );
}

/// §5.5, §5.5.1: no claim that cannot be given is an error, essential or not; what is not understood is passed over.
#[test]
fn an_essential_claim_that_nobody_has_is_left_out_and_members_that_nobody_knows_are_passed_over() {
    let site = Site::new();
    site.patch("/admin/users/alice", &json!({ "claims": { "nickname": null } }));
    let claims = json!({
        "userinfo": {
            "nickname": { "essential": true }, "email": { "essential": true, "value": "other@b.test", "x": 1 },
            "https://claims.test/of/others": { "essential": true }, "acr": { "essential": true, "values": ["gold"] },
        },
        "id_token": { "nickname": { "essential": true }, "auth_time": { "essential": true }, "shoe_size": null },
        "verified_claims": [1, 2], "more": null,
    });
    let tokens = tokens(&site, &[("scope", "openid email profile"), ("claims", &claims.to_string())]);
    let id_token = jws_claims(&string(&tokens, "id_token"));
    assert!(id_token["auth_time"].is_u64() && id_token.get("nickname").is_none(), "{id_token}");
    let known = body(&userinfo(&site, &string(&tokens, "access_token")));
    assert_eq!((&known["given_name"], known.get("nickname")), (&json!("Alice"), None), "{known}");
}

/// §3.1.3.3, §3.1.3.4: an ID token, `Bearer`, JSON, and nothing of it may be kept.
#[test]
fn a_token_response_has_an_id_token_and_no_cache_may_keep_it() {
    let site = Site::new();
    let code = site.code("demo-web", &[("scope", "openid offline_access")]);
    let answer = site.send(&post("/token", WEB, &redemption(&code)));
    let tokens = body(&answer);
    let refreshing =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    for answer in [answer, site.send(&post("/token", WEB, &refreshing))] {
        let tokens = body(&answer);
        assert_eq!((answer.status.as_u16(), &tokens["token_type"]), (200, &json!("Bearer")), "{tokens}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        verified(&site, &string(&tokens, "id_token"), "demo-web");
    }
    let refused =
        site.send(&post("/token", WEB, &[("grant_type", "authorization_code"), ("code", "emc_a.x")]));
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (400, Some("application/json")));
    assert_eq!(body(&refused)["error"], "invalid_grant");
}

/// §5.3.2: `sub` always, as the ID token has it; the content type says which form it is.
#[test]
fn userinfo_says_who_it_is_and_in_which_form_though_nothing_else_is_known() {
    let site = Site::new();
    // Neither what somebody wrote under a name of the protocol's own goes out, nor in its place.
    site.patch("/admin/users/alice", &json!({ "claims": null }));
    site.patch(
        "/admin/users/alice",
        &json!({ "claims": { "sub": "somebody", "iss": "x", "aud": "y", "azp": "z" } }),
    );
    let all = "openid profile email address phone";
    let tokens = || tokens(&site, &[("scope", all), ("claims", r#"{"id_token":{"name":null,"sub":null}}"#)]);
    let first = tokens();
    let answer = userinfo(&site, &string(&first, "access_token"));
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    let id_token = verified(&site, &string(&first, "id_token"), "demo-web");
    assert_eq!(body(&answer), json!({ "sub": id_token["sub"] }));
    assert_ne!(id_token["sub"], "somebody");
    let refused = userinfo(&site, "nonsense");
    assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (401, Some(INVALID_TOKEN)));
    site.patch("/admin/clients/demo-web", &json!({ "userinfo_signed_response_alg": "RS256" }));
    let answer = userinfo(&site, &string(&tokens(), "access_token"));
    assert_eq!(answer.header("content-type"), Some("application/jwt"));
    let signed = verified(&site, &text(&answer), "demo-web");
    assert_eq!(signed, json!({ "sub": id_token["sub"], "iss": ISSUER, "aud": "demo-web" }));
}

/// §5.1: what an administrator writes of a person has the form that clients may rely on, or is not written.
#[test]
fn a_claim_that_may_not_go_out_as_it_is_cannot_be_written() {
    let site = Site::new();
    for claims in [
        json!({ "email": "Alice <alice@b.test>" }),
        json!({ "phone_number": "020 7946 0000" }),
        json!({ "email_verified": "yes" }),
        json!({ "address": "Oxford" }),
        json!({ "name": { "given": "Alice" } }),
    ] {
        let (status, problem) = site.admin(Method::PATCH, "/admin/users/alice", &json!({ "claims": claims }));
        assert_eq!((status, &problem["field"]), (400, &json!("claims")), "{claims}");
        let new = json!({ "username": "new", "password": "open the doors", "claims": { "email": 7 } });
        assert_eq!(site.admin(Method::POST, "/admin/users", &new).0, 400);
    }
    let unverified = json!({ "phone_number": "020 7946 0000", "phone_number_verified": false });
    site.patch("/admin/users/alice", &json!({ "claims": unverified }));
    let (status, _) = site.admin(
        Method::PATCH,
        "/admin/users/alice",
        &json!({ "claims": { "phone_number_verified": true } }),
    );
    assert_eq!(status, 400, "a number of before is looked at again");
}

/// §12.2: an ID token of a refresh is of the sign-in that the grant came of, and of now.
#[test]
fn an_id_token_of_a_refresh_is_of_the_first_sign_in_though_the_person_signed_in_since() {
    let site = Site::new();
    let mut tokens = tokens(&site, &[("scope", "openid offline_access"), ("nonce", "x")]);
    let first = verified(&site, &string(&tokens, "id_token"), "demo-web");
    for _ in 0..3 {
        site.world.pass(Seconds(1000));
        let page = asks(&site, &[("prompt", "login")]);
        assert!(parameter(&site.sign_in(&page, "alice", "wonderland"), "code").is_some());
        let (status, next) = site.refresh(&string(&tokens, "refresh_token"));
        assert_eq!(status, 200, "{next}");
        let claims = verified(&site, &string(&next, "id_token"), "demo-web");
        for name in ["iss", "sub", "aud", "azp", "auth_time", "acr", "amr", "sid"] {
            assert_eq!((&claims[name], claims[name].is_null()), (&first[name], false), "{name}");
        }
        let now = site.world.now().seconds();
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + 3600)));
        assert!(claims.get("nonce").is_none());
        let digest = edgemint::crypto::digest(string(&next, "access_token").as_bytes());
        assert_eq!(claims["at_hash"], edgemint::crypto::text(&digest[..16]), "of the access token beside it");
        assert_eq!(jws_header(&string(&next, "id_token"))["alg"], "ES256");
        tokens = next;
    }
}

/// §12.1, §12.3: a refresh token is for its client, which authenticates; refused, it is as good as before.
#[test]
fn a_refresh_token_of_openid_is_for_its_own_client_which_authenticates() {
    let site = Site::new();
    let token = string(&tokens(&site, &[("scope", "openid offline_access")]), "refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    for (client, expected) in [
        ("demo-web", (401, "invalid_client")),
        ("demo-web:wrong", (401, "invalid_client")),
        ("", (401, "invalid_client")),
        ("demo-spa", (400, "invalid_grant")),
        ("demo-short:demo-short-secret", (400, "invalid_grant")),
        ("demo-spa:demo-web-secret", (401, "invalid_client")),
    ] {
        let (status, refused) = site.token(client, &fields);
        assert_eq!((status, refused["error"].as_str().unwrap()), expected, "{client}");
        assert!(refused.get("id_token").is_none());
    }
    assert!(site.refresh(&token).1["id_token"].is_string());
}

/// §2, §3.1.2.1: `auth_time` is in seconds, and never before the second of the request that demanded it.
#[test]
fn a_sign_in_that_was_asked_for_is_said_to_be_no_older_than_the_second_of_the_request() {
    let site = Site::new();
    let first = id_token(&site, &[("scope", "openid")])["auth_time"].as_u64().unwrap();
    for (milliseconds, more) in
        [(400, ("prompt", "login")), (500, ("max_age", "0")), (150, ("prompt", "login"))]
    {
        site.world.pass_milliseconds(milliseconds);
        let asked = site.world.now();
        let page = asks(&site, &[more]);
        assert!(text(&page).contains("login-submit"), "{more:?}: a moment ago is before, too");
        let code = parameter(&site.sign_in(&page, "alice", "wonderland"), "code").unwrap();
        let (_, tokens) = site.redeem(&code);
        let said = jws_claims(&string(&tokens, "id_token"))["auth_time"].clone();
        assert_eq!(said, asked.seconds(), "{more:?}");
    }
    assert_eq!(site.world.now().seconds(), first + 1, "two of them were in the same second");
}

/// §3.1.2.1: `max_age` is judged by the millisecond at which the person signed in, not by what `auth_time` says of it.
#[test]
fn the_age_of_a_sign_in_is_measured_in_milliseconds() {
    let site = Site::new();
    site.world.pass_milliseconds(900);
    id_token(&site, &[("scope", "openid")]);
    let is_asked = || text(&asks(&site, &[("max_age", "1")])).contains("login-submit");
    // The next second, and the one after it by `auth_time`.
    for (milliseconds, expected) in [(150, false), (849, false), (1, true)] {
        site.world.pass_milliseconds(milliseconds);
        assert_eq!(is_asked(), expected, "{milliseconds}");
    }
}

/// §3.1.2.1 `prompt=none`: who is asked for by `id_token_hint` or `claims` is signed in, though somebody else was later.
#[test]
fn with_prompt_none_who_is_meant_answers_of_all_who_are_signed_in() {
    let site = Site::new();
    let alice = string(&tokens(&site, &[("scope", "openid")]), "id_token");
    let page = site.decide(&asks(&site, &[("prompt", "consent")]), "switch", &[]);
    site.world.pass(Seconds(100));
    let answer = site.decide(&site.sign_in(&page, "bob", "builder"), "all", &[]);
    let sub = |token: &str| string(&jws_claims(token), "sub");
    let who = |answer: &Response| {
        let code = parameter(answer, "code").unwrap_or_else(|| panic!("{:?}", answer.header("location")));
        sub(&string(&site.redeem(&code).1, "id_token"))
    };
    let bob = who(&answer);
    let alices = sub(&alice);
    let claims = |names: &[&str]| json!({ "id_token": { "sub": { "values": names } } }).to_string();
    let none = |more: &[(&str, &str)]| asks(&site, &[&[("prompt", "none")], more].concat());
    assert_eq!(who(&none(&[("id_token_hint", &alice)])), alices);
    assert_eq!(who(&none(&[("claims", &claims(&[&alices]))])), alices);
    assert_eq!(who(&none(&[("claims", &claims(&[&bob]))])), bob);
    assert_eq!(who(&none(&[("claims", &claims(&[&alices, &bob]))])), bob, "who is signed in last goes first");
    let answer = none(&[("claims", &claims(&["nobody", &alices]))]);
    assert!(answer.header("set-cookie").is_none(), "it is still bob who is signed in");
    assert_eq!((who(&answer), who(&none(&[]))), (alices, bob));
    // What each of them may not be answered for says nothing of who is there.
    for more in [&[("scope", "openid email")][..], &[("max_age", "50")]] {
        let more = [more, &[("id_token_hint", &alice)]].concat();
        assert_eq!(error(&none(&more)), "login_required", "{more:?}");
    }
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert_eq!(error(&none(&[("id_token_hint", &alice)])), "login_required");
}

/// §3.1.2.2 `id_token_hint`: nobody can tell any more whether this server issued it, so nobody else is answered for.
#[test]
fn a_hint_whose_key_is_gone_keeps_others_out_and_lets_nobody_in() {
    let site = Site::new();
    let hint = string(&tokens(&site, &[("scope", "openid")]), "id_token");
    let kid = string(&jws_header(&hint), "kid");
    let algorithm = json!({ "algorithm": jws_header(&hint)["alg"] });
    assert_eq!(site.admin(Method::POST, "/admin/keys", &algorithm).0, 201);
    for _ in 0..5 {
        site.world.pass(Seconds(86_400));
        tokens(&site, &[("scope", "openid")]);
    }
    assert!(!body(&site.get("/jwks"))["keys"].to_string().contains(&kid), "it is gone");
    let none = |site: &Site, hint: &str| asks(site, &[("prompt", "none"), ("id_token_hint", hint)]);
    assert!(parameter(&none(&site, &hint), "code").is_some(), "her session answers, not the hint");
    // Of another person's browser it lets nothing in, and signing in there makes it no better.
    let other = site.beside();
    assert_eq!(error(&none(&other, &hint)), "login_required");
    let page = asks(&other, &[("id_token_hint", &hint)]);
    assert_eq!(error(&other.sign_in(&page, "bob", "builder")), "login_required");
    other.code("demo-web", &[("scope", "openid")]);
    assert_eq!(error(&none(&other, &hint)), "login_required");
    assert!(parameter(&asks(&other, &[("prompt", "none")]), "code").is_some());
    // Whatever else does not verify is a mistake of the client's.
    let says = |header: &Value, claims: &Value| {
        let text = |value: &Value| edgemint::crypto::text(value.to_string().as_bytes());
        format!("{}.{}.{}", text(header), text(claims), hint.rsplit('.').next().unwrap())
    };
    let (header, claims) = (jws_header(&hint), jws_claims(&hint));
    let with = |tree: &Value, name: &str, value: Value| {
        let mut tree = tree.clone();
        tree[name] = value;
        tree
    };
    assert_eq!(error(&none(&other, &says(&header, &claims))), "login_required");
    let current = string(&tokens(&site, &[("scope", "openid")]), "id_token");
    for (what, bad) in [
        ("another issuer", says(&header, &with(&claims, "iss", json!("https://other.test")))),
        ("no issuer", says(&header, &with(&claims, "iss", Value::Null))),
        ("no subject", says(&header, &with(&claims, "sub", json!(7)))),
        ("another kind", says(&with(&header, "typ", json!("logout+jwt")), &claims)),
        ("must be understood", says(&with(&header, "crit", json!(["b64"])), &claims)),
        ("no key", says(&with(&header, "kid", Value::Null), &claims)),
        ("a key that is there", says(&jws_header(&current), &claims)),
        ("two parts", hint.rsplit_once('.').unwrap().0.to_owned()),
    ] {
        assert_eq!(error(&none(&site, &bad)), "invalid_request", "{what}");
    }
}

/// §5.5: what `claims` asks for is given beside what the scope gives. §5.5.1: of what is asked for with a value, that value alone.
#[test]
fn a_value_that_is_asked_for_is_of_what_is_asked_for_by_name_and_takes_nothing_from_the_scope() {
    let site = Site::new();
    let other = json!({ "value": "somebody@else.test" });
    let claims = json!({
        "userinfo": { "email": other, "nickname": { "value": "Al" }, "locale": { "value": "fr" } },
        "id_token": { "email": other },
    });
    let tokens = tokens(&site, &[("scope", "openid email"), ("claims", &claims.to_string())]);
    assert!(jws_claims(&string(&tokens, "id_token")).get("email").is_none());
    let known = body(&userinfo(&site, &string(&tokens, "access_token")));
    assert_eq!(known["email"], "alice@looking-glass.example");
    assert_eq!((&known["nickname"], known.get("locale")), (&json!("Al"), None));
}
