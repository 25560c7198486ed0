//! What is kept where, and what happens when storage fails, lags or answers twice.

mod remembered;

use crate::world::*;
use edgemint::{
    context::config::Vars,
    host::{Host, Protocol, Seconds, Store},
    json::tree,
    model::place::Table,
    objects::protocol::{grant_shard::GrantShard, registry},
};
use http::Method;
use serde_json::{Value, json};

fn register(site: &Site) -> (String, String) {
    let body = json!({ "grant_types": ["client_credentials"], "scope": "reports" });
    let (status, client) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!(status, 201, "{client}");
    (string(&client, "client_id"), string(&client, "client_secret"))
}

#[test]
fn client_credentials_costs_no_storage_operation_once_the_client_is_known() {
    let site = Site::new();
    assert_eq!(site.token(MACHINE, &OWN).0, 200);
    site.world.operations();
    for _ in 0..3 {
        assert_eq!(site.token(MACHINE, &OWN).0, 200);
    }
    assert_eq!(site.world.operations(), Vec::<String>::new());
    // An isolate that knows nothing reads two copies, and asks no object.
    let other = site.beside();
    assert_eq!(other.token(MACHINE, &OWN).0, 200);
    assert_eq!(site.world.operations(), ["replica", "replica"]);
}

#[test]
fn a_code_exchange_a_refresh_and_an_introspection_cost_one_object_request_each() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    site.redeem("emc_a.nonsense"); // The client is known now.
    site.inspect("nonsense");
    site.world.operations();
    let (_, tokens) = site.redeem(&code);
    assert_eq!(site.world.operations(), ["GRANTS"]);
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200);
    assert_eq!(site.world.operations(), ["GRANTS"]);
    assert_eq!(site.inspect(&string(&tokens, "access_token"))["active"], true);
    assert_eq!(site.world.operations(), ["GRANTS"]);
}

#[test]
fn a_whole_login_costs_three_account_requests_and_one_grant_and_a_session_saves_one() {
    let site = Site::new();
    site.code("demo-web", &[]);
    site.forget_cookie("edgemint-session");
    site.world.operations();
    let asked = [("prompt", "consent")];
    site.code("demo-web", &asked);
    assert_eq!(site.world.operations(), ["ACCOUNTS", "ACCOUNTS", "ACCOUNTS", "GRANTS"]);
    site.code("demo-web", &asked);
    assert_eq!(site.world.operations(), ["ACCOUNTS", "ACCOUNTS", "GRANTS"]);
}

#[test]
fn what_was_allowed_before_costs_one_account_request_and_one_grant_and_a_sign_in_one_more() {
    let site = Site::new();
    site.code("demo-web", &[]);
    site.world.operations();
    site.code("demo-web", &[]);
    assert_eq!(site.world.operations(), ["ACCOUNTS", "GRANTS"]);
    site.forget_cookie("edgemint-session");
    site.code("demo-web", &[]);
    assert_eq!(site.world.operations(), ["ACCOUNTS", "ACCOUNTS", "GRANTS"]);
}

#[test]
fn a_client_registered_a_second_ago_works_though_the_replica_lags() {
    let site = Site::new();
    site.world.freeze_replica(true);
    let (id, secret) = register(&site);
    assert_eq!(site.world.copy(&registry::client_key(&id)), None);
    let other = site.beside();
    assert_eq!(other.token(&format!("{id}:{secret}"), &OWN).0, 200);
}

#[test]
fn a_replica_write_that_fails_three_times_is_tried_until_it_succeeds() {
    let site = Site::new();
    site.world.fail_puts(3);
    let (id, _) = register(&site);
    let key = registry::client_key(&id);
    let tries = || site.world.puts().iter().filter(|put| **put == key).count();
    assert_eq!((tries(), site.world.copy(&key)), (1, None));
    for expected in 2..=4 {
        assert_eq!(site.world.ring(), 0, "not before its time");
        site.world.pass(Seconds(20));
        assert_eq!(site.world.ring(), 1);
        assert_eq!(tries(), expected);
    }
    assert!(site.world.copy(&key).is_some());
    // One of the failed ones may land yet, on top of the last. So it is written once more, and then no more.
    site.world.pass(Seconds(60));
    site.world.ring();
    site.world.pass(Seconds(3600));
    site.world.ring();
    assert_eq!(tries(), 5);
}

#[test]
fn the_replica_holds_the_truth_of_the_moment_it_was_written() {
    let site = Site::new();
    site.world.fail_puts(1);
    let (id, _) = register(&site);
    let target = format!("/admin/clients/{id}");
    assert_eq!(site.admin(Method::PATCH, &target, &json!({ "client_name": "Renamed" })).0, 200);
    // A change does not wait for what failed before it.
    let copy = || site.world.copy(&registry::client_key(&id)).unwrap();
    assert!(copy().contains("Renamed"));
    assert_eq!(site.admin(Method::PATCH, &target, &json!({ "client_name": "Again" })).0, 200);
    assert!(copy().contains("Again"));
    site.world.pass(Seconds(60));
    site.world.ring();
    assert!(copy().contains("Again"));
}

#[test]
fn a_refusal_rests_on_the_truth_and_the_truth_is_asked_at_most_every_five_seconds() {
    let site = Site::new();
    assert_eq!(site.token(MACHINE, &OWN).0, 200);
    site.world.pass(Seconds(10));
    site.world.operations();
    assert_eq!(site.token("demo-machine:wrong", &OWN).0, 401);
    let asked = site.world.operations();
    assert_eq!(asked, ["REGISTRY", "REGISTRY"], "settings and client");
    for _ in 0..10 {
        assert_eq!(site.token("demo-machine:wrong", &OWN).0, 401);
    }
    assert_eq!(site.world.operations(), Vec::<String>::new());
}

#[test]
fn random_client_ids_by_the_thousand_do_not_reach_the_registry() {
    let site = Site::new();
    site.token("demo-machine:wrong", &OWN); // The settings are confirmed now.
    site.world.operations();
    for number in 0..1000 {
        // Of the generated form: they die without a read.
        site.token(&format!("{number:022}:x"), &OWN);
    }
    assert_eq!(site.world.operations(), Vec::<String>::new());
    let answers: Vec<u16> = (0..1000).map(|number| site.token(&format!("app-{number}:x"), &OWN).0).collect();
    assert!(answers.iter().all(|status| [401, 429].contains(status)));
    let reached = site.world.operations().iter().filter(|operation| *operation == "REGISTRY").count();
    assert!(reached <= 102, "{reached}");
    // And a client that is known is not kept waiting by them.
    assert_eq!(site.token(MACHINE, &OWN).0, 200);
}

#[test]
fn a_flipped_or_cut_ticket_reaches_no_storage() {
    let site = Site::new();
    let tokens = site.tokens();
    let (refresh, access) = (string(&tokens, "refresh_token"), string(&tokens, "access_token"));
    let bent = |text: &str| {
        let last = if text.ends_with('A') { "B" } else { "A" };
        [
            format!("{}{last}", &text[..text.len() - 1]),
            text[..text.len() - 4].to_owned(),
            text.replace('.', ".."),
        ]
    };
    site.inspect(&access);
    site.world.operations();
    for token in bent(&refresh) {
        assert_eq!(site.refresh(&token).1["error"], "invalid_grant");
    }
    for token in bent(&access) {
        assert_eq!(site.inspect(&token), dead());
        assert_eq!(site.post("/revoke", WEB, &[("token", &token)]).0, 200);
    }
    assert_eq!(site.world.operations(), Vec::<String>::new());
}

#[test]
fn one_attempt_delivered_twice_has_one_effect_and_one_answer() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    // The answer to the redemption is lost; the edge delivers the same attempt again.
    site.world.fate("GRANTS", &[Fate::Unanswered, Fate::Answered]);
    let (status, tokens) = site.redeem(&code);
    assert_eq!(status, 200, "{tokens}");
    let first = string(&tokens, "refresh_token");
    site.world.fate("GRANTS", &[Fate::Unanswered, Fate::Answered]);
    let (status, tokens) = site.refresh(&first);
    assert_eq!(status, 200, "{tokens}");
    let second = string(&tokens, "refresh_token");
    // One rotation happened, not two: the second generation is the current one.
    assert_eq!(site.refresh(&second).0, 200);
}

#[test]
fn a_lost_answer_at_consent_login_and_registration_is_made_good() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    site.world.fate("ACCOUNTS", &[Fate::Unanswered, Fate::Answered, Fate::Unanswered, Fate::Answered]);
    let page = site.sign_in(&page, "alice", "wonderland");
    site.world.fate("GRANTS", &[Fate::Unanswered, Fate::Answered]);
    let code = parameter(&site.decide(&page, "all", &[]), "code").unwrap();
    assert_eq!(site.redeem(&code).0, 200);
    site.world.fate("REGISTRY", &[Fate::Unanswered, Fate::Answered]);
    let (id, secret) = register(&site);
    assert_eq!(site.token(&format!("{id}:{secret}"), &OWN).0, 200);
}

#[test]
fn a_message_delivered_any_number_of_times_answers_the_same() {
    let site = Site::new();
    let tokens = site.tokens();
    let (name, _) = site.world.disks("GRANTS").into_iter().next().unwrap();
    let address = {
        use edgemint::model::ticket::{Refresh, Ticket};
        let keys = edgemint::crypto::Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
        Refresh::open(&keys, &string(&tokens, "refresh_token")).unwrap()
    };
    assert_eq!(name, address.address.shard.to_string());
    let client: Value = serde_json::from_str(&site.world.copy("client:demo-web").unwrap()).unwrap();
    let message = json!({ "format": 1, "attempt": "one", "command": { "Grant": {
        "table": tree(&address.address.table), "owner": address.address.owner, "key": address.address.key, "policy": 1000,
        "command": { "Refresh": {
            "client": { "id": "demo-web", "incarnation": client["incarnation"], "version": client["version"] },
            "generation": address.generation, "proof": tree(&address.proof), "scope": null,
            "terms": { "allowed": "orders.read orders.write reports", "code_retry": 10, "grace": 0, "idle": null,
                       "rotate": true, "refreshable": true, "refreshes": null } } } } } });
    let first = site.world.deliver_raw::<GrantShard>(&name, &message.to_string());
    assert!(first.contains("Issued"), "{first}");
    site.world.pass(Seconds(1));
    let again = site.world.deliver_raw::<GrantShard>(&name, &message.to_string());
    assert_eq!(again.replace("\"again\":true", "\"again\":false"), first);
    // Another attempt with the same token is a replay: there is no grace.
    let replay = message.to_string().replace("\"one\"", "\"two\"");
    assert!(site.world.deliver_raw::<GrantShard>(&name, &replay).contains("Replayed"));
}

#[test]
fn an_unknown_format_is_a_fault_and_changes_nothing() {
    let site = Site::new();
    site.tokens();
    let before = site.world.dump();
    let (name, _) = site.world.disks("GRANTS").into_iter().next().unwrap();
    for message in [
        json!({ "format": 2, "attempt": "x", "command": { "Check": { "client": { "id": "a", "incarnation": "b", "version": 1 }, "policy": 1 } } }),
        json!({ "format": 1, "attempt": "x", "command": { "Magic": {} } }),
        json!("nonsense"),
    ] {
        let answer = site.world.deliver_raw::<GrantShard>(&name, &message.to_string());
        assert!(answer.contains("Err"), "{answer}");
    }
    assert_eq!(site.world.dump(), before);
}

#[test]
fn tables_go_when_their_end_has_come_and_nothing_of_them_was_alive() {
    let site = Site::new();
    let token = string(&site.tokens(), "refresh_token");
    site.token("demo-short:demo-short-secret", &OWN);
    let tables = || -> Vec<String> {
        let disks = site.world.disks("GRANTS");
        disks
            .iter()
            .flat_map(|(_, disk)| disk.tables().unwrap())
            .filter(|name| name.starts_with("grants_"))
            .collect()
    };
    let kept = tables();
    assert_eq!(kept.len(), 1);
    let (_, table) = Table::parse(&kept[0]).unwrap();
    let end = table.end().unwrap();
    assert!(matches!(table, Table::Long(_)));
    site.world.pass(Seconds(end.since(site.world.now()).0 - 60));
    site.world.ring();
    assert_eq!(tables(), kept, "not before its end");
    assert_eq!(site.refresh(&token).0, 400);
    site.world.pass(Seconds(120));
    assert!(site.world.ring() > 0);
    assert_eq!(tables(), Vec::<String>::new());
    assert_eq!(site.refresh(&token).1["error"], "invalid_grant");
}

#[test]
fn sessions_and_revoked_tokens_go_with_their_tables() {
    let site = Site::new();
    let own = string(&site.token(MACHINE, &OWN).1, "access_token");
    site.tokens();
    assert_eq!(site.post("/revoke", MACHINE, &[("token", &own)]).0, 200);
    assert!(site.world.dump().contains("sessions_long_") && site.world.dump().contains("revoked_long_"));
    site.world.pass(Seconds(3 * 86_400));
    site.world.ring();
    assert!(!site.world.dump().contains("sessions_long_") && !site.world.dump().contains("revoked_long_"));
}

/// How many grants are kept that have no end.
fn lasting(site: &Site) -> usize {
    let disks = site.world.disks("GRANTS");
    disks.iter().map(|(_, disk)| disk.scan("grants_never", None, None, 100).unwrap().len()).sum()
}

#[test]
fn rows_that_never_end_are_swept_once_they_are_dead() {
    let site = Site::new();
    let token = string(&site.legacy_tokens(), "refresh_token");
    site.world.pass(Seconds(3 * 86_400));
    site.world.ring();
    assert_eq!(lasting(&site), 1);
    assert_eq!(site.post("/revoke", LEGACY, &[("token", &token)]).0, 200);
    for _ in 0..2 {
        site.world.pass(Seconds(2 * 86_400));
        site.world.ring();
    }
    assert_eq!(lasting(&site), 0);
}

#[test]
fn a_family_whose_refreshes_are_used_up_goes_a_day_after_its_last_token_and_one_that_has_any_left_stays() {
    let site = Site::new();
    let families: Vec<String> = (0..3).map(|_| string(&site.legacy_tokens(), "refresh_token")).collect();
    let refresh =
        |token: &str| site.token(LEGACY, &[("grant_type", "refresh_token"), ("refresh_token", token)]).0;
    for (token, times) in families.iter().zip([3, 2, 0]) {
        assert_eq!((0..times).map(|_| refresh(token)).collect::<Vec<_>>(), vec![200; times]);
    }
    let pass = |days: u64| {
        for _ in 0..days {
            site.world.pass(Seconds(86_400));
            site.world.ring();
        }
    };
    let listed =
        || site.admin(Method::GET, "/admin/grants", &Value::Null).1["items"].as_array().unwrap().len();
    assert_eq!(listed(), 3);
    site.world.pass(Seconds(3600));
    assert_eq!(listed(), 2, "nothing of it is active");
    pass(1);
    assert_eq!(lasting(&site), 3, "a message of it could arrive again");
    pass(2);
    assert_eq!(lasting(&site), 2);
    pass(365);
    assert_eq!(lasting(&site), 2);
    assert_eq!([refresh(&families[0]), refresh(&families[1]), refresh(&families[2])], [400, 200, 200]);
}

#[test]
fn the_second_master_key_verifies_and_the_first_signs() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    let tokens = site.tokens();
    let rotated = Vars { master_key: Some(format!("{KEY_B},{KEY_A}")), ..development() };
    let after = Site::with(&site.world, &rotated);
    assert_eq!(after.inspect(&string(&tokens, "access_token"))["active"], true);
    let (status, redeemed) = after.redeem(&code);
    assert_eq!(status, 200);
    assert!(string(&redeemed, "access_token").starts_with("ema_b."));
    let (status, moved) = after.refresh(&string(&tokens, "refresh_token"));
    assert_eq!(status, 200);
    assert!(string(&moved, "refresh_token").starts_with("emr_b."));
    // Retiring the first ends what only it made.
    let retired = Site::with(&site.world, &Vars { master_key: Some(KEY_B.into()), ..development() });
    assert_eq!(retired.inspect(&string(&tokens, "access_token")), json!({ "active": false }));
    assert_eq!(retired.refresh(&string(&moved, "refresh_token")).0, 200);
}

#[test]
fn no_secret_password_or_token_lies_in_storage_or_in_the_log() {
    let site = Site::new();
    let (id, secret) = register(&site);
    site.token(&format!("{id}:{secret}"), &OWN);
    let code = site.code("demo-web", &[]);
    let (_, tokens) = site.redeem(&code);
    site.refresh(&string(&tokens, "refresh_token"));
    site.redeem(&code);
    site.post("/revoke", "demo-web:demo-web-secret", &[("token", &string(&tokens, "access_token"))]);
    let log: String = site.world.events().iter().map(Value::to_string).collect();
    let session = site.cookie("edgemint-session").unwrap();
    let access = string(&tokens, "access_token");
    for secret in [
        secret.as_str(),
        "wonderland",
        "demo-web-secret",
        ADMIN_TOKEN,
        &KEY_A[2..],
        code.as_str(),
        access.as_str(),
        &string(&tokens, "refresh_token"),
        session.as_str(),
        VERIFIER,
    ] {
        assert!(!site.world.dump().contains(secret), "stored: {secret}");
        assert!(!log.contains(secret), "logged: {secret}");
    }
}

#[test]
fn an_empty_shard_knows_the_live_marks_before_its_first_row() {
    let site = Site::new();
    // Disabled while no shard had ever been touched: nobody could be told.
    let tokens = site.token(MACHINE, &OWN).1;
    assert!(site.world.disks("GRANTS").is_empty());
    assert_eq!(site.admin(Method::PATCH, "/admin/clients/demo-machine", &json!({ "enabled": false })).0, 200);
    assert_eq!(site.inspect(&string(&tokens, "access_token")), json!({ "active": false }));
}

#[test]
fn a_shard_that_can_not_join_the_roster_answers_503() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    assert_eq!(site.redeem(&code).0, 200);
    site.authorize("demo-web", &[("prompt", "consent")]);
    let page = site.authorize("demo-web", &[("prompt", "consent")]);
    let fresh = site.world.disks("GRANTS").len();
    site.world.fate("REGISTRY", &[Fate::Lost; 4]);
    let answer = site.decide(&page, "all", &[]);
    let grown = site.world.disks("GRANTS").len() > fresh;
    assert_eq!(answer.status, if grown { 503 } else { 303 });
    assert!(grown, "the dice drew the same shard twice: choose other dice");
}

#[test]
fn a_broadcast_that_reaches_half_the_shards_is_a_503_and_goes_on_until_all_hold_it() {
    let site = Site::new();
    let all: Vec<Value> = (0..8).map(|_| site.tokens()).collect();
    let shards = site.world.disks("GRANTS").len();
    assert!(shards > 1, "only {shards}");
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let (status, problem) =
        site.admin(Method::PATCH, "/admin/clients/demo-web", &json!({ "enabled": false }));
    assert_eq!(status, 503, "{problem}");
    assert!(string(&problem, "detail").contains(&format!("{} of {shards}", shards - 1)), "{problem}");
    site.world.pass(Seconds(30));
    site.world.ring();
    for tokens in &all {
        assert_eq!(site.inspect(&string(tokens, "access_token")), json!({ "active": false }));
    }
}

#[test]
fn a_mark_that_arrives_late_or_twice_changes_nothing() {
    let site = Site::new();
    let tokens = site.tokens();
    let (name, disk) = site.world.disks("GRANTS").into_iter().next().unwrap();
    assert_eq!(site.admin(Method::PATCH, "/admin/clients/demo-web", &json!({ "enabled": false })).0, 200);
    let kept = disk.get("marks", "client", "demo-web").unwrap().unwrap();
    let old = json!({ "format": 1, "attempt": "late", "command": { "Mark": { "id": "client/demo-web", "mark": {
        "version": 1, "standing": "Enabled", "min_version": 0, "not_before": 0, "since": 0 } } } });
    site.world.deliver_raw::<GrantShard>(&name, &old.to_string());
    assert_eq!(disk.get("marks", "client", "demo-web").unwrap().unwrap(), kept);
    assert_eq!(site.inspect(&string(&tokens, "access_token")), json!({ "active": false }));
}

#[test]
fn many_first_requests_make_one_set_of_development_data() {
    let world = World::new();
    let sites: Vec<Site> = (0..5).map(|_| Site::with(&world, &development())).collect();
    for site in &sites {
        assert_eq!(site.get("/healthz").status, 200);
    }
    let subs: Vec<String> = sites
        .iter()
        .map(|site| string(&site.inspect(&string(&site.tokens(), "access_token")), "sub"))
        .collect();
    assert!(subs.iter().all(|sub| *sub == subs[0]));
    assert_eq!(GrantShard::BINDING, "GRANTS");
}
