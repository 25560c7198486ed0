//! The token endpoint, grant type by grant type.

use crate::world::*;
use edgemint::host::Seconds;
use http::Method;
use serde_json::{Value, json};

fn code_of(error: &(u16, Value)) -> (u16, &str) {
    (error.0, error.1["error"].as_str().unwrap_or("none"))
}

#[test]
fn a_code_gives_tokens_whose_kinds_lifetime_and_scope_are_said() {
    let site = Site::new();
    let tokens = site.tokens();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(tokens["scope"], "orders.read orders.write reports");
    assert!(string(&tokens, "access_token").starts_with("ema_a."));
    assert!(string(&tokens, "refresh_token").starts_with("emr_a."));
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
}

#[test]
fn a_code_is_redeemed_once_and_a_later_replay_ends_everything_that_came_of_it() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let (status, tokens) = site.redeem(&code);
    assert_eq!(status, 200);
    site.world.pass(Seconds(11));
    site.world.events();
    assert_eq!(code_of(&site.redeem(&code)), (400, "invalid_grant"));
    assert_eq!(site.world.events()[0]["reason"], "invalid_grant: Replayed");
    assert_eq!(site.inspect(&string(&tokens, "access_token")), json!({ "active": false }));
    assert_eq!(code_of(&site.refresh(&string(&tokens, "refresh_token"))), (400, "invalid_grant"));
}

#[test]
fn a_copy_of_a_redeemed_code_within_the_retry_window_is_refused_and_ends_nothing() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let (_, tokens) = site.redeem(&code);
    site.world.pass(Seconds(9));
    assert_eq!(code_of(&site.redeem(&code)), (400, "invalid_grant"));
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn the_retry_window_is_only_for_codes_bound_to_a_challenge() {
    let site = Site::new();
    let code = site.code("demo-legacy", &[("code_challenge", ""), ("code_challenge_method", "")]);
    let redeem = || {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", "http://127.0.0.1:9999/legacy"),
        ];
        site.token("demo-legacy:demo-legacy-secret", &fields)
    };
    let (status, tokens) = redeem();
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(code_of(&redeem()), (400, "invalid_grant"));
    assert_eq!(site.inspect(&string(&tokens, "access_token")), json!({ "active": false }));
}

#[test]
fn a_public_client_that_replays_with_the_right_verifier_ends_the_family_and_with_another_ends_nothing() {
    let site = Site::new();
    let code = site.code("demo-spa", &[]);
    let redeem = |verifier: &str| {
        let mut fields = redemption(&code);
        (fields[2].1, fields[3].1) = ("http://127.0.0.1:9999/spa", verifier);
        site.token("demo-spa", &fields)
    };
    let access = string(&redeem(VERIFIER).1, "access_token");
    site.world.pass(Seconds(11));
    assert_eq!(code_of(&redeem(CHALLENGE)), (400, "invalid_grant"));
    assert_eq!(site.inspect(&access)["active"], true);
    assert_eq!(code_of(&redeem(VERIFIER)), (400, "invalid_grant"));
    assert_eq!(site.inspect(&access), json!({ "active": false }));
}

#[test]
fn a_failed_redemption_never_burns_the_code() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let with = |name: &'static str, value: &'static str| {
        let mut fields = redemption(&code).to_vec();
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        site.token(WEB, &fields)
    };
    let long: &'static str = "a".repeat(129).leak();
    for (name, value) in [
        ("code_verifier", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("code_verifier", ""),
        ("code_verifier", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("code_verifier", long),
        ("code_verifier", "ääääääääääääääääääääääääääääääääääääääääääääääääää"),
        ("redirect_uri", "http://localhost:9999/callback"),
        ("redirect_uri", "http://127.0.0.1:9999/callback?x=1"),
        ("redirect_uri", "http://127.0.0.1:9999/Callback"),
    ] {
        assert_eq!(code_of(&with(name, value)), (400, "invalid_grant"), "{name}={value}");
    }
    // Another client with its own good credentials, and a wrong secret.
    assert_eq!(
        code_of(&site.token("demo-short:demo-short-secret", &redemption(&code))),
        (400, "invalid_grant")
    );
    assert_eq!(code_of(&site.token("demo-spa", &redemption(&code))), (400, "invalid_grant"));
    assert_eq!(code_of(&site.token("demo-web:wrong", &redemption(&code))), (401, "invalid_client"));
    assert_eq!(site.redeem(&code).0, 200);
}

#[test]
fn a_stranger_who_replays_a_redeemed_code_ends_nothing() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let (_, tokens) = site.redeem(&code);
    site.world.pass(Seconds(60));
    site.token("demo-short:demo-short-secret", &redemption(&code));
    let mut wrong = redemption(&code).to_vec();
    wrong.retain(|(name, _)| *name != "code_verifier");
    assert_eq!(code_of(&site.token(WEB, &wrong)), (400, "invalid_grant"));
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn redirect_uri_may_be_left_out_only_where_pkce_binds_the_code() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let bare = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    assert_eq!(site.token(WEB, &bare).0, 200);
    let legacy = site.code("demo-legacy", &[]);
    let bare = [("grant_type", "authorization_code"), ("code", &legacy), ("code_verifier", VERIFIER)];
    assert_eq!(code_of(&site.token("demo-legacy:demo-legacy-secret", &bare)), (400, "invalid_grant"));
}

#[test]
fn a_verifier_for_a_code_without_challenge_is_refused() {
    let site = Site::new();
    let code = site.code("demo-legacy", &[("code_challenge", ""), ("code_challenge_method", "")]);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:9999/legacy"),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(code_of(&site.token("demo-legacy:demo-legacy-secret", &fields)), (400, "invalid_grant"));
    assert_eq!(site.token("demo-legacy:demo-legacy-secret", &fields[..3]).0, 200);
}

#[test]
fn a_code_is_good_for_its_lifetime_and_no_millisecond_longer() {
    let site = Site::new();
    let (early, late) = (site.code("demo-web", &[]), site.code("demo-web", &[]));
    site.world.pass(Seconds(59));
    assert_eq!(site.redeem(&early).0, 200);
    site.world.pass(Seconds(1));
    assert_eq!(code_of(&site.redeem(&late)), (400, "invalid_grant"));
}

#[test]
fn the_grants_clock_is_the_objects_own_whatever_the_edges_says() {
    let site = Site::new();
    site.world.skew(5_000);
    let (_, tokens) = site.redeem(&site.code("demo-web", &[]));
    assert_eq!(tokens["expires_in"], 3600);
    let seen = site.inspect(&string(&tokens, "access_token"));
    assert_eq!(seen["exp"].as_u64().unwrap() - seen["iat"].as_u64().unwrap(), 3600);
    // A clock that goes back does not make anything younger than its last change.
    site.world.skew(-5_000);
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn a_refresh_token_rotates_and_an_old_one_ends_the_family() {
    let site = Site::new();
    let first = string(&site.tokens(), "refresh_token");
    let second = string(&site.refresh(&first).1, "refresh_token");
    assert_ne!(first, second);
    site.world.pass(Seconds(10));
    assert_eq!(code_of(&site.refresh(&first)), (400, "invalid_grant"));
    assert_eq!(code_of(&site.refresh(&second)), (400, "invalid_grant"));
}

#[test]
fn within_the_grace_the_same_successor_is_given_again_and_nothing_is_written() {
    let site = Site::new();
    let first = string(&site.tokens(), "refresh_token");
    let second = string(&site.refresh(&first).1, "refresh_token");
    let before = site.world.dump();
    site.world.events();
    site.world.pass(Seconds(9));
    let (status, again) = site.refresh(&first);
    assert_eq!((status, string(&again, "refresh_token")), (200, second.clone()));
    assert_eq!(site.world.dump(), before);
    assert_eq!(site.world.events()[0]["again"], true);
    assert_eq!(again["expires_in"], 3600);
    // The window began at first use; reuse does not restart it.
    site.world.pass(Seconds(1));
    assert_eq!(code_of(&site.refresh(&first)), (400, "invalid_grant"));
    assert_eq!(code_of(&site.refresh(&second)), (400, "invalid_grant"));
}

#[test]
fn once_the_successor_was_used_its_predecessor_ends_the_family_even_within_the_grace() {
    let site = Site::new();
    let first = string(&site.tokens(), "refresh_token");
    let second = string(&site.refresh(&first).1, "refresh_token");
    let third = string(&site.refresh(&second).1, "refresh_token");
    assert_eq!(code_of(&site.refresh(&first)), (400, "invalid_grant"));
    assert_eq!(code_of(&site.refresh(&third)), (400, "invalid_grant"));
}

#[test]
fn a_public_client_rotates_whatever_it_is_registered_for() {
    let site = Site::new();
    site.patch("/admin/clients/demo-spa", &json!({ "refresh_rotation": "never" }));
    let code = site.code("demo-spa", &[]);
    let mut fields = redemption(&code);
    fields[2].1 = "http://127.0.0.1:9999/spa";
    let first = string(&site.token("demo-spa", &fields).1, "refresh_token");
    let next = site.token("demo-spa", &[("grant_type", "refresh_token"), ("refresh_token", &first)]).1;
    assert_ne!(string(&next, "refresh_token"), first);
}

#[test]
fn four_generations_die_of_one_reuse() {
    let site = Site::new();
    let mut tokens = vec![site.tokens()];
    for _ in 0..3 {
        let last = string(tokens.last().unwrap(), "refresh_token");
        tokens.push(site.refresh(&last).1);
    }
    site.refresh(&string(&tokens[1], "refresh_token"));
    for generation in &tokens {
        assert_eq!(site.inspect(&string(generation, "access_token")), json!({ "active": false }));
        assert_eq!(code_of(&site.refresh(&string(generation, "refresh_token"))), (400, "invalid_grant"));
    }
}

#[test]
fn a_reuse_is_noticed_and_logged_as_long_as_the_family_lives() {
    let site = Site::new();
    let first = string(&site.tokens(), "refresh_token");
    let mut newest = first.clone();
    for _ in 0..89 {
        site.world.pass(Seconds(86_400));
        newest = string(&site.refresh(&newest).1, "refresh_token");
    }
    site.world.events();
    assert_eq!(code_of(&site.refresh(&first)), (400, "invalid_grant"));
    assert_eq!(site.world.events()[0]["reason"], "invalid_grant: Replayed");
    assert_eq!(code_of(&site.refresh(&newest)), (400, "invalid_grant"));
}

#[test]
fn a_strict_grace_of_zero_forgives_nothing() {
    let site = Site::new();
    assert_eq!(site.admin(Method::PATCH, "/admin/settings", &json!({ "refresh.graceSeconds": 0 })).0, 200);
    let first = string(&site.tokens(), "refresh_token");
    let second = string(&site.refresh(&first).1, "refresh_token");
    assert_eq!(code_of(&site.refresh(&first)), (400, "invalid_grant"));
    assert_eq!(code_of(&site.refresh(&second)), (400, "invalid_grant"));
}

#[test]
fn another_client_with_my_refresh_token_changes_nothing() {
    let site = Site::new();
    let token = string(&site.tokens(), "refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    for client in ["demo-short:demo-short-secret", "demo-spa"] {
        assert_eq!(code_of(&site.token(client, &fields)), (400, "invalid_grant"), "{client}");
    }
    assert_eq!(site.refresh(&token).0, 200);
}

#[test]
fn rotation_never_extends_the_familys_life_and_idleness_shortens_it() {
    let site = Site::new();
    let day = Seconds(86_400);
    let mut token = string(&site.tokens(), "refresh_token");
    for _ in 0..89 {
        site.world.pass(day);
        token = string(&site.refresh(&token).1, "refresh_token");
    }
    site.world.pass(day);
    assert_eq!(code_of(&site.refresh(&token)), (400, "invalid_grant"));
    let idle = string(&site.tokens(), "refresh_token");
    site.world.pass(Seconds(30 * 86_400));
    assert_eq!(code_of(&site.refresh(&idle)), (400, "invalid_grant"));
}

#[test]
fn scope_on_refresh_narrows_one_access_token_and_never_the_grant() {
    let site = Site::new();
    let token = string(&site.tokens(), "refresh_token");
    let narrow = |token: &str, scope: &str| {
        site.token(WEB, &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)])
    };
    assert_eq!(code_of(&narrow(&token, "orders.read admin")), (400, "invalid_scope"));
    assert_eq!(code_of(&narrow(&token, "sc\"ope")), (400, "invalid_scope"));
    let (status, tokens) = narrow(&token, "orders.read");
    assert_eq!((status, &tokens["scope"]), (200, &json!("orders.read")));
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["scope"], "orders.read");
    let (_, tokens) = site.refresh(&string(&tokens, "refresh_token"));
    assert_eq!(tokens["scope"], "orders.read orders.write reports");
}

#[test]
fn a_refresh_never_gives_what_the_person_did_not_though_the_client_may_have_it() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    let code = parameter(&site.decide(&page, "allow", &["orders.read"]), "code").unwrap();
    let token = string(&site.redeem(&code).1, "refresh_token");
    let wider =
        [("grant_type", "refresh_token"), ("refresh_token", &token), ("scope", "orders.read reports")];
    assert_eq!(code_of(&site.token(WEB, &wider)), (400, "invalid_scope"));
    assert_eq!(site.refresh(&token).1["scope"], "orders.read");
}

#[test]
fn a_scope_taken_from_the_client_is_taken_from_its_grants_and_its_tokens() {
    let site = Site::new();
    let tokens = site.tokens();
    let (token, access) = (string(&tokens, "refresh_token"), string(&tokens, "access_token"));
    assert_eq!(site.admin(Method::PATCH, "/admin/clients/demo-web", &json!({ "scope": "reports" })).0, 200);
    assert_eq!(site.inspect(&access)["scope"], "reports");
    assert_eq!(code_of(&site.refresh(&token)), (400, "invalid_grant"));
    let narrow = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "reports")];
    assert_eq!(site.token(WEB, &narrow).0, 200);
}

#[test]
fn a_grant_type_taken_from_the_client_holds_at_once_in_an_isolate_that_has_not_heard_of_it() {
    let site = Site::new();
    let token = string(&site.tokens(), "refresh_token");
    let other = site.beside();
    assert_eq!(other.refresh("emr_a.nonsense").1["error"], "invalid_grant"); // It has a copy now.
    site.world.freeze_replica(true);
    let patch = json!({ "grant_types": ["authorization_code"] });
    assert_eq!(site.admin(Method::PATCH, "/admin/clients/demo-web", &patch).0, 200);
    assert_eq!(code_of(&other.refresh(&token)), (400, "unauthorized_client"));
}

#[test]
fn a_legacy_refresh_token_repeats_and_is_counted_per_original_grant() {
    let site = Site::new();
    let legacy = "demo-legacy:demo-legacy-secret";
    let code = site.code("demo-legacy", &[]);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "http://127.0.0.1:9999/legacy"),
        ("code_verifier", VERIFIER),
    ];
    site.world.pass(Seconds(599));
    let (status, tokens) = site.token(legacy, &fields);
    assert_eq!(status, 200, "a legacy code lives 600 s: {tokens}");
    let token = string(&tokens, "refresh_token");
    let refresh = || site.token(legacy, &[("grant_type", "refresh_token"), ("refresh_token", &token)]);
    for _ in 0..3 {
        site.world.pass(Seconds(100 * 86_400));
        let (status, again) = refresh();
        assert_eq!((status, string(&again, "refresh_token")), (200, token.clone()));
        assert_eq!(site.inspect(&string(&again, "access_token"))["active"], true);
    }
    assert_eq!(code_of(&refresh()), (400, "invalid_grant"));
}

#[test]
fn client_credentials_gives_what_is_asked_within_what_the_client_has() {
    let site = Site::new();
    let ask = |fields: &[(&str, &str)]| {
        let mut all = vec![("grant_type", "client_credentials")];
        all.extend(fields);
        site.token("demo-machine:demo-machine-secret", &all)
    };
    let (status, tokens) = ask(&[]);
    assert_eq!((status, &tokens["scope"]), (200, &json!("orders.read orders.write reports")));
    assert!(tokens.get("refresh_token").is_none()); // RFC 6749 §4.4.3
    let seen = site.inspect(&string(&tokens, "access_token"));
    assert_eq!(
        (&seen["active"], &seen["client_id"], &seen["sub"]),
        (&json!(true), &json!("demo-machine"), &json!("demo-machine"))
    );
    assert!(seen.get("username").is_none());
    assert_eq!(ask(&[("scope", "reports")]).1["scope"], "reports");
    for scope in ["openid", "offline_access", "reports admin", "nonsense", "a\"b"] {
        assert_eq!(code_of(&ask(&[("scope", scope)])), (400, "invalid_scope"), "{scope}");
    }
    assert_eq!(
        code_of(&site.token("demo-spa", &[("grant_type", "client_credentials")])),
        (400, "unauthorized_client")
    );
    assert_eq!(
        code_of(&site.token(WEB, &[("grant_type", "client_credentials")])),
        (400, "unauthorized_client")
    );
}

#[test]
fn a_client_without_any_scope_gets_a_token_of_which_no_scope_is_said() {
    let site = Site::new();
    let body = json!({ "grant_types": ["client_credentials"] });
    let (_, client) = site.admin(Method::POST, "/admin/clients", &body);
    let client = format!("{}:{}", string(&client, "client_id"), string(&client, "client_secret"));
    let (status, tokens) = site.token(&client, &OWN);
    assert_eq!((status, tokens.get("scope")), (200, None), "{tokens}");
    let seen = site.inspect(&string(&tokens, "access_token"));
    assert_eq!((&seen["active"], seen.get("scope")), (&json!(true), None), "{seen}");
}

#[test]
fn every_way_to_authenticate_works_and_no_other() {
    let site = Site::new();
    let own = ("grant_type", "client_credentials");
    let id = ("client_id", "demo-machine");
    let secret = ("client_secret", "demo-machine-secret");
    assert_eq!(site.token("", &[own, id, secret]).0, 200);
    assert_eq!(site.token("demo-machine:demo-machine-secret", &[own, id]).0, 200);
    for (client, fields, expected) in [
        ("demo-machine:demo-machine-secret", vec![own, secret], (400, "invalid_request")),
        ("demo-machine:demo-machine-secret", vec![own, id, secret], (400, "invalid_request")),
        ("demo-machine:demo-machine-secret", vec![own, ("client_id", "demo-web")], (400, "invalid_request")),
        ("", vec![own], (401, "invalid_client")),
        ("", vec![own, id], (401, "invalid_client")),
        ("", vec![own, id, ("client_secret", "demo-web-secret")], (401, "invalid_client")),
        (
            "",
            vec![own, id, ("client_assertion", "x"), ("client_assertion_type", "y")],
            (401, "invalid_client"),
        ),
        ("demo-spa:anything", vec![own], (401, "invalid_client")),
        ("nobody:demo-machine-secret", vec![own], (401, "invalid_client")),
    ] {
        let answer = site.token(client, &fields);
        assert_eq!(code_of(&answer), expected, "{client} {fields:?}");
        assert!(answer.1["trace_id"].as_str().is_some_and(|trace| trace.len() == 16));
    }
    let (unknown, wrong) = (site.token("nobody:x", &[own]).1, site.token("demo-machine:x", &[own]).1);
    assert_eq!(unknown["error_description"], wrong["error_description"]);
}

#[test]
fn every_401_says_how_to_authenticate() {
    let site = Site::new();
    let response = site.send(&post("/token", "nobody:x", &[("grant_type", "client_credentials")]));
    assert_eq!(response.status, 401);
    assert!(response.header("www-authenticate").unwrap().starts_with("Basic "));
}

#[test]
fn tokens_of_one_kind_are_not_tokens_of_another() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let tokens = site.tokens();
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    for wrong in [&access, &code, &refresh.replacen("emr_", "emc_", 1)] {
        assert_eq!(code_of(&site.refresh(wrong)), (400, "invalid_grant"));
    }
    for wrong in [&access, &refresh, &refresh.replacen("emr_", "emc_", 1)] {
        assert_eq!(code_of(&site.redeem(wrong)), (400, "invalid_grant"));
    }
    for wrong in [&code, &refresh.replacen("emr_", "ema_", 1), &access.replacen("ema_", "emr_", 1)] {
        assert_eq!(site.inspect(wrong), json!({ "active": false }));
    }
    assert_eq!(site.redeem(&code).0, 200);
}
