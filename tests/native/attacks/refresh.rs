//! Refresh tokens and revocation: used again, raced, stolen, confused, unanswered.

use super::*;
use edgemint::host::Seconds;
use serde_json::json;

/// Tokens of so many generations of one family, oldest first.
fn generations(site: &Site, count: usize) -> Vec<Value> {
    let mut all = vec![site.tokens()];
    while all.len() < count {
        let last = string(all.last().unwrap(), "refresh_token");
        let (status, next) = site.refresh(&last);
        assert_eq!(status, 200, "{next}");
        all.push(next);
    }
    all
}

fn revoke(site: &Site, client: &str, token: &str) -> (u16, Value) {
    site.post("/revoke", client, &[("token", token)])
}

fn own_token(site: &Site) -> String {
    string(&site.token(MACHINE, &OWN).1, "access_token")
}

#[test]
fn a_token_that_expired_within_its_grace_is_expired_and_is_no_replay() {
    // The family's end, or that of its successor's idle time, comes five seconds after the first use.
    for (setting, seconds, used_after) in
        [("refresh.absoluteSeconds", 100, 95), ("refresh.idleSeconds", 5, 1)]
    {
        let site = Site::new();
        site.patch("/admin/settings", &json!({ setting: seconds }));
        let first = string(&site.tokens(), "refresh_token");
        site.world.pass(Seconds(used_after));
        let second = string(&site.refresh(&first).1, "refresh_token");
        site.world.pass(Seconds(4));
        assert_eq!(string(&site.refresh(&first).1, "refresh_token"), second, "{setting}");
        site.world.pass(Seconds(1));
        for token in [&first, &second] {
            site.world.events();
            let answer = unchanged(&site, setting, || site.refresh(token));
            assert_eq!(refusal(&answer), INVALID_GRANT, "{setting}");
            assert_eq!(site.world.events()[0]["reason"], "invalid_grant: Expired", "{setting}");
        }
    }
}

#[test]
fn a_refresh_and_a_revocation_leave_nothing_active_in_either_order() {
    for generation in [0, 1] {
        for revoked_first in [true, false] {
            let site = Site::new();
            let mut all = generations(&site, 2);
            let current = string(&all[1], "refresh_token");
            let by = string(&all[generation], "refresh_token");
            if !revoked_first {
                let (status, next) = site.refresh(&current);
                assert_eq!(status, 200, "{next}");
                all.push(next);
            }
            assert_eq!(revoke(&site, WEB, &by).0, 200);
            for tokens in &all {
                let what = format!("by {generation}, revoked first: {revoked_first}");
                let refresh = string(tokens, "refresh_token");
                assert_eq!(
                    refusal(&unchanged(&site, &what, || site.refresh(&refresh))),
                    INVALID_GRANT,
                    "{what}"
                );
                assert_eq!(site.inspect(&string(tokens, "access_token")), dead(), "{what}");
                assert_eq!(site.inspect(&refresh), dead(), "{what}");
            }
        }
    }
}

#[test]
fn another_client_changes_nothing_whatever_generation_it_stole() {
    let site = Site::new();
    let all = generations(&site, 3);
    for (number, tokens) in all.iter().enumerate() {
        for client in [SHORT, LEGACY, "demo-spa"] {
            let what = format!("{client} with generation {number}");
            let (refresh, access) = (string(tokens, "refresh_token"), string(tokens, "access_token"));
            let answer = unchanged(&site, &what, || refresh_as(&site, client, &refresh));
            assert_eq!(refusal(&answer), INVALID_GRANT, "{what}");
            for token in [&refresh, &access] {
                let answer = unchanged(&site, &what, || revoke(&site, client, token));
                assert_eq!(refusal(&answer), INVALID_GRANT, "{what}");
            }
        }
        let seen = unchanged(&site, "a look", || {
            site.post("/introspect", SHORT, &[("token", &string(tokens, "access_token"))])
        });
        assert_eq!(seen, (200, dead()));
    }
    let own = own_token(&site);
    site.inspect(&own); // Its shard is there.
    for client in [WEB, LEGACY, "demo-spa"] {
        let answer = unchanged(&site, client, || revoke(&site, client, &own));
        assert_eq!(refusal(&answer), INVALID_GRANT, "{client} with a machine's own");
    }
    assert_eq!(site.refresh(&string(&all[2], "refresh_token")).0, 200);
}

#[test]
fn every_token_of_four_generations_dies_of_one_reuse_one_revocation_or_a_withdrawal() {
    type End = fn(&Site, &[Value], &str);
    let ends: [(&str, End); 7] = [
        ("reuse of the oldest", |site, all, _| {
            assert_eq!(site.refresh(&string(&all[0], "refresh_token")).0, 400);
        }),
        ("reuse of the one before the last two", |site, all, _| {
            assert_eq!(site.refresh(&string(&all[1], "refresh_token")).0, 400);
        }),
        ("reuse of the previous one, late", |site, all, _| {
            site.world.pass(Seconds(10));
            assert_eq!(site.refresh(&string(&all[2], "refresh_token")).0, 400);
        }),
        ("the code again, late", |site, _, code| {
            site.world.pass(Seconds(10));
            assert_eq!(site.redeem(code).0, 400);
        }),
        ("revocation by the oldest", |site, all, _| {
            assert_eq!(revoke(site, WEB, &string(&all[0], "refresh_token")).0, 200);
        }),
        ("revocation by the newest", |site, all, _| {
            assert_eq!(revoke(site, WEB, &string(&all[3], "refresh_token")).0, 200);
        }),
        ("the grant taken back", |site, _, _| {
            let (_, listed) = site.admin(Method::GET, "/admin/grants", &Value::Null);
            let target = format!("/admin/grants/{}", listed["items"][0]["id"].as_str().unwrap());
            assert_eq!(site.admin(Method::DELETE, &target, &Value::Null).0, 204);
        }),
    ];
    for (what, end) in ends {
        let site = Site::new();
        let code = site.code("demo-web", &[]);
        let mut all = vec![site.redeem(&code).1];
        for _ in 0..3 {
            all.push(site.refresh(&string(all.last().unwrap(), "refresh_token")).1);
        }
        assert!(
            all.iter().all(|tokens| site.inspect(&string(tokens, "access_token"))["active"] == true),
            "{what}"
        );
        end(&site, &all, &code);
        for tokens in &all {
            assert_eq!(site.inspect(&string(tokens, "access_token")), dead(), "{what}");
            assert_eq!(site.inspect(&string(tokens, "refresh_token")), dead(), "{what}");
            assert_eq!(refusal(&site.refresh(&string(tokens, "refresh_token"))), INVALID_GRANT, "{what}");
        }
    }
}

#[test]
fn an_old_refresh_token_ends_the_family_whatever_scope_is_asked_beside_it() {
    for asked in ["", "orders.read admin", "reports"] {
        let site = Site::new();
        let all = generations(&site, 3);
        // The thief gets along with what the client has left; the owner, as ever, asks for all that was granted.
        site.patch("/admin/clients/demo-web", &json!({ "scope": "reports" }));
        let refresh = |number: usize, scope: &str| {
            let token = string(&all[number], "refresh_token");
            let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            fields.extend((!scope.is_empty()).then_some(("scope", scope)));
            site.token(WEB, &fields)
        };
        assert_eq!(refresh(0, asked).0, 400, "{asked}");
        assert_eq!(refusal(&refresh(2, "reports")), INVALID_GRANT, "the newest lives on: {asked}");
        assert_eq!(site.inspect(&string(&all[2], "access_token")), dead(), "{asked}");
    }
}

#[test]
fn a_refresh_token_is_no_bearer_token_and_introspection_does_not_call_it_one() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let tokens = site.tokens();
    let (access, refresh) = (string(&tokens, "access_token"), string(&tokens, "refresh_token"));
    assert_eq!(site.inspect(&access)["token_type"], "Bearer");
    assert_eq!(site.inspect(&refresh).get("token_type"), None);
    assert_eq!(site.inspect(&code), dead());
    for token in [&access, &refresh, &code] {
        let authorization = format!("Bearer {token}");
        for (method, path) in
            [(Method::GET, "/admin/clients"), (Method::POST, "/token"), (Method::POST, "/introspect")]
        {
            let headers = [("authorization", authorization.as_str()), ("content-type", FORM)];
            let request = request(method, path, &headers, "grant_type=client_credentials&token=x");
            // A good token of somebody who may not administer is told so.
            let expected = if token == &access && path == "/admin/clients" { 403 } else { 401 };
            assert_eq!(unchanged(&site, path, || site.send(&request)).status, expected, "{path} {token}");
        }
    }
}

#[test]
fn storage_that_fails_during_a_revocation_is_503_whatever_is_revoked() {
    for kind in ["refresh token", "access token", "token of a client", "whole by an access token"] {
        let site = Site::new();
        if kind.starts_with("whole") {
            site.patch("/admin/settings", &json!({ "revoke.accessTokenEndsGrant": true }));
        }
        for (fates, status, ended) in [
            (vec![Fate::Lost, Fate::Lost], 503, false),
            // Nobody knows: it happened, and whoever repeats it hears so.
            (vec![Fate::Unanswered, Fate::Unanswered], 503, true),
            (vec![Fate::Unanswered, Fate::Answered], 200, true),
            (vec![Fate::Lost, Fate::Answered], 200, true),
        ] {
            let tokens = site.tokens();
            let (client, token) = match kind {
                "refresh token" => (WEB, string(&tokens, "refresh_token")),
                "token of a client" => (MACHINE, own_token(&site)),
                _ => (WEB, string(&tokens, "access_token")),
            };
            site.inspect(&token); // Its shard is there.
            let before = site.world.dump();
            site.world.fate("GRANTS", &fates);
            let answer = site.send(&post("/revoke", client, &[("token", &token)]));
            let what = format!("{kind} {fates:?}");
            assert_eq!(answer.status.as_u16(), status, "{what}");
            assert_eq!(answer.header("retry-after").is_some(), status == 503, "{what}");
            assert_eq!(site.world.dump() != before, ended, "{what}");
            assert_eq!(site.inspect(&token)["active"], !ended, "{what}");
            assert_eq!(revoke(&site, client, &token).0, 200, "{what}");
            assert_eq!(site.inspect(&token), dead(), "{what}");
        }
    }
}

#[test]
fn a_token_that_lives_two_seconds_is_revoked_and_expires_like_any_other() {
    let site = Site::new();
    let (own, other) = (site.token(SHORT, &OWN).1, site.token(SHORT, &OWN).1);
    let (_, tokens) = redeem_with(&site, SHORT, &site.code("demo-short", &[]), &[]);
    for tokens in [&own, &other, &tokens] {
        assert_eq!(tokens["expires_in"], 2);
        assert_eq!(site.inspect(&string(tokens, "access_token"))["active"], true);
    }
    assert_eq!(revoke(&site, SHORT, &string(&own, "access_token")).0, 200);
    assert_eq!(site.inspect(&string(&own, "access_token")), dead());
    site.world.pass(Seconds(1));
    assert_eq!(site.inspect(&string(&other, "access_token"))["active"], true);
    site.world.pass(Seconds(1));
    for tokens in [&other, &tokens] {
        assert_eq!(site.inspect(&string(tokens, "access_token")), dead());
    }
    assert_eq!(
        refresh_as(&site, SHORT, &string(&tokens, "refresh_token")).0,
        200,
        "only the access token is over"
    );
}

#[test]
fn revoking_a_token_that_is_dead_already_ends_nothing_and_writes_nothing() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "revoke.accessTokenEndsGrant": true }));
    let tokens = site.tokens();
    let own = string(&site.token(MACHINE, &OWN).1, "access_token");
    site.inspect(&own);
    site.world.pass(Seconds(7200));
    let before = site.world.dump();
    let web = "demo-web:demo-web-secret";
    assert_eq!(site.post("/revoke", web, &[("token", &string(&tokens, "access_token"))]).0, 200);
    assert_eq!(site.post("/revoke", MACHINE, &[("token", &own)]).0, 200);
    assert_eq!(site.world.dump(), before);
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn a_refresh_token_is_judged_by_its_own_clients_policy_whoever_asks() {
    let site = Site::new();
    let body = json!({ "profile": "legacy", "resource_server": true, "grant_types": [] });
    let (_, server) = site.admin(Method::POST, "/admin/clients", &body);
    let server = format!("{}:{}", string(&server, "client_id"), string(&server, "client_secret"));
    let idle = string(&site.tokens(), "refresh_token");
    let legacy = string(&site.legacy_tokens(), "refresh_token");
    site.world.pass(Seconds(31 * 86_400));
    for asker in ["demo-api:demo-api-secret", &server] {
        assert_eq!(site.post("/introspect", asker, &[("token", &idle)]).1, dead(), "{asker}");
        assert_eq!(site.post("/introspect", asker, &[("token", &legacy)]).1["active"], true, "{asker}");
    }
    for _ in 0..3 {
        assert_eq!(site.token(LEGACY, &[("grant_type", "refresh_token"), ("refresh_token", &legacy)]).0, 200);
    }
    assert_eq!(site.inspect(&legacy), dead(), "its refreshes are used up");
}

#[test]
fn a_use_within_the_grace_is_always_logged() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "log.successPercent": 0 }));
    let first = string(&site.tokens(), "refresh_token");
    site.refresh(&first);
    site.world.events();
    site.refresh(&first);
    assert_eq!(site.world.events()[0]["again"], true);
}
