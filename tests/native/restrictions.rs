//! What takes something away from a client ends what it took away, wherever that was issued; nothing else ends anything.

use crate::world::*;
use edgemint::host::Seconds;
use http::Method;
use serde_json::{Value, json};

#[test]
fn a_token_from_the_gap_stays_dead_after_a_later_harmless_change() {
    let site = Site::new();
    let lagging = site.beside();
    assert_eq!(lagging.token(MACHINE, &OWN).0, 200);
    site.world.freeze_replica(true);
    site.world.pass(Seconds(10));
    site.patch("/admin/clients/demo-machine", &json!({ "grant_types": [] }));
    site.world.pass(Seconds(15));
    let gap = string(&lagging.token(MACHINE, &OWN).1, "access_token");
    assert_eq!(site.inspect(&gap), dead());
    site.world.pass(Seconds(30));
    site.patch("/admin/clients/demo-machine", &json!({ "description": "a change" }));
    assert_eq!(site.inspect(&gap), dead());
    site.world.freeze_replica(false);
    site.patch("/admin/clients/demo-machine", &json!({ "grant_types": ["client_credentials"] }));
    assert_eq!(site.inspect(&gap), dead());
    let honest = string(&site.token(MACHINE, &OWN).1, "access_token");
    assert_eq!(site.inspect(&honest)["active"], true);
}

#[test]
fn a_harmless_change_of_a_client_that_was_once_restricted_kills_no_token() {
    let site = Site::new();
    site.patch("/admin/clients/demo-machine", &json!({ "access_token_lifetime": 3000 }));
    site.world.pass(Seconds(600));
    let lagging = site.beside();
    let before = string(&lagging.token(MACHINE, &OWN).1, "access_token");
    site.world.freeze_replica(true);
    site.world.pass(Seconds(3));
    site.patch("/admin/clients/demo-machine", &json!({ "description": "a change" }));
    assert_eq!(site.inspect(&before)["active"], true);
    site.world.pass(Seconds(20));
    let after = string(&lagging.token(MACHINE, &OWN).1, "access_token");
    assert_eq!(site.inspect(&after)["active"], true);
}

#[test]
fn a_scope_given_back_is_given_back_to_living_tokens_too() {
    let site = Site::new();
    let access = string(&site.tokens(), "access_token");
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports" }));
    assert_eq!(site.inspect(&access)["scope"], "reports");
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports orders.read" }));
    assert_eq!(site.inspect(&access)["scope"], "orders.read reports");
}

#[test]
fn what_widens_a_client_kills_neither_what_was_issued_before_nor_what_a_lagging_isolate_issues_after() {
    let target = "/admin/clients/demo-machine";
    for wider in [
        json!({ "access_token_lifetime": 3600 }),
        json!({ "strict": true }),
        json!({ "client_name": "Another" }),
        json!({ "access_token_lifetime": 3600, "strict": true, "client_name": "Another" }),
    ] {
        let site = Site::new();
        site.patch(target, &json!({ "access_token_lifetime": 600 }));
        site.world.pass(Seconds(60));
        let lagging = site.beside();
        let own = || string(&lagging.token(MACHINE, &OWN).1, "access_token");
        let before = own();
        site.world.freeze_replica(true);
        site.world.pass(Seconds(3));
        site.patch(target, &wider);
        let active = |token: &str| site.inspect(token)["active"] == true;
        assert!(active(&before), "{wider}");
        site.world.pass(Seconds(20));
        let after = own();
        assert!(active(&after), "{wider}");
        for number in 0..16 {
            site.world.pass(Seconds(1));
            site.patch(target, &json!({ "description": format!("change {number}") }));
        }
        assert!(active(&before) && active(&after), "{wider}");
    }
}

#[test]
fn a_200_that_shows_a_restriction_means_that_every_shard_holds_it() {
    for (restriction, more) in [
        (json!({ "enabled": false }), json!({ "enabled": false, "description": "incident 7" })),
        (json!({ "scope": "reports" }), json!({ "client_name": "Renamed" })),
    ] {
        let site = Site::new();
        let access = string(&site.tokens(), "access_token");
        let change = |patch: &Value| site.admin(Method::PATCH, "/admin/clients/demo-web", patch).0;
        site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
        assert_eq!(change(&restriction), 503);
        // A harmless change after it shows the restriction, too.
        site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
        assert_eq!(change(&more), 503, "{more}");
        assert_eq!(change(&more), 200, "{more}");
        let seen = site.inspect(&access);
        assert!(seen["active"] == false || seen["scope"] == "reports", "{seen}");
    }
}

#[test]
fn a_new_password_ends_every_session_and_every_grant() {
    let site = Site::new();
    let tokens = site.tokens();
    assert!(parameter(&site.authorize("demo-web", &[]), "code").is_some());
    site.patch("/admin/users/alice", &json!({ "password": "looking glass" }));
    assert!(text(&site.authorize("demo-web", &[])).contains("login-submit"));
    assert_eq!(site.inspect(&string(&tokens, "access_token")), dead());
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).1["error"], "invalid_grant");
}

#[test]
fn a_cut_off_by_time_ends_all_until_five_seconds_after_it_and_nothing_later() {
    for target in ["/admin/users/alice", "/admin/clients/demo-web"] {
        for (ago, ends) in [(5, true), (6, false)] {
            let site = Site::new();
            let (tokens, code) = (site.tokens(), site.code("demo-web", &[]));
            let page = site.authorize("demo-web", &[("prompt", "consent")]);
            site.patch(target, &json!({ "not_before": 1_800_000_000 - ago }));
            let what = format!("{target} {ago}");
            assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], !ends, "{what}");
            let refreshed = site.refresh(&string(&tokens, "refresh_token")).1;
            for answer in [refreshed, site.redeem(&code).1] {
                assert_eq!(answer["error"] == "invalid_grant", ends, "{what} {answer}");
            }
            assert_eq!(parameter(&site.decide(&page, "all", &[]), "code").is_none(), ends, "{what}");
        }
    }
}

#[test]
fn a_session_lasts_as_long_as_the_setting_says_and_not_a_second_longer() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "session.lifetimeSeconds": 600 }));
    site.code("demo-web", &[]);
    site.world.pass(Seconds(599));
    assert!(parameter(&site.authorize("demo-web", &[]), "code").is_some());
    site.world.pass(Seconds(1));
    assert!(text(&site.authorize("demo-web", &[])).contains("login-submit"));
}

#[test]
fn a_consent_that_is_sent_again_gives_no_code_that_is_dead() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let page = site.sign_in(&page, "alice", "wonderland");
    assert!(parameter(&site.decide(&page, "all", &[]), "code").is_some());
    assert_eq!(site.admin(Method::DELETE, "/admin/grants?client_id=demo-web", &Value::Null).0, 204);
    let again = site.decide(&page, "all", &[]);
    assert_eq!((again.status.as_u16(), parameter(&again, "code")), (400, None));
    assert_eq!(site.tokens()["token_type"], "Bearer", "a new request is as good as ever");
}
