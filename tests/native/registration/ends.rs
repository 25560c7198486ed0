//! When clients that registered themselves end, and what a flood of them costs.

use super::*;
use edgemint::host::Store as _;

const DAY: u64 = 86_400;

/// Rows of the registry that are about clients: by table, how many.
fn rows(site: &Site) -> Vec<(String, usize)> {
    let disk = site.world.disk("REGISTRY", "registry");
    let count = |table: &str| disk.scan(table, None, None, usize::MAX).unwrap().len();
    ["clients", "registered", "ends", "gone", "marks", "links"]
        .map(|table| (table.to_owned(), count(table)))
        .into()
}

fn settle(site: &Site) {
    for _ in 0..20 {
        site.world.pass(Seconds(61));
        site.world.ring();
    }
}

/// Until when the registry has a client.
fn expires(site: &Site, client: &Value) -> u64 {
    let (_, seen) = site.admin(Method::GET, &format!("/admin/clients/{}", id(client)), &Value::Null);
    seen["expires_at"].as_u64().unwrap()
}

#[test]
fn a_client_that_nobody_used_ends_after_a_day_to_the_second_and_leaves_nothing_behind() {
    let site = open();
    let before = rows(&site);
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let page = asks(&site, &id(&client));
    site.world.pass(Seconds(DAY - 1));
    assert_eq!(asks(&site, &id(&client)).status, 200);
    site.world.pass(Seconds(1));
    for site in [&site, &site.beside()] {
        assert!(text(&asks(site, &id(&client))).contains("invalid_client"));
        let (status, body) = redeem(site, &id(&client), "x");
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
        let (status, _) = site.post("/revoke", &id(&client), &[("token", "x")]);
        assert_eq!(status, 401);
        assert_eq!(ask(site, Method::GET, &target, &token, &Value::Null).status, 401);
    }
    drop(page);
    settle(&site);
    assert_eq!(rows(&site), before);
    assert_eq!(site.world.copy(&format!("client:{}", id(&client))).unwrap_or_default(), "");
    assert_eq!(site.admin(Method::GET, &format!("/admin/clients/{}", id(&client)), &Value::Null).0, 404);
}

#[test]
fn a_page_that_was_open_when_its_client_ended_gives_nothing() {
    let site = open();
    let client = register(&site, &application());
    site.world.pass(Seconds(DAY - 60));
    let page = site.sign_in(&asks(&site, &id(&client)), "alice", "wonderland");
    site.world.pass(Seconds(61));
    let answer = site.decide(&page, "all", &[]);
    assert_eq!((answer.status.as_u16(), answer.header("location")), (400, None));
    settle(&site);
    assert_eq!(site.decide(&page, "all", &[]).status, 400);
}

#[test]
fn the_first_thing_that_a_client_is_given_puts_its_end_off_before_it_is_given() {
    let site = open();
    let client = register(&site, &application());
    let page = site.sign_in(&asks(&site, &id(&client)), "alice", "wonderland");
    // The registry is away: nothing is given that would not end with its client.
    site.world.fate("REGISTRY", &[Fate::Lost, Fate::Lost]);
    assert_eq!(site.decide(&page, "all", &[]).status, 503);
    assert_eq!(expires(&site, &client), 1_800_000_000 + DAY);
    let answer = site.decide(&page, "all", &[]);
    assert_eq!(answer.status, 303);
    assert_eq!(expires(&site, &client), 1_800_000_000 + 90 * DAY);
    settle(&site);
    site.world.pass(Seconds(2 * DAY));
    settle(&site);
    assert_eq!(asks(&site, &id(&client)).status, 200, "it did not end as an unused one");
}

#[test]
fn use_puts_the_end_off_once_a_day_and_costs_no_other_request_of_storage() {
    let site = open();
    let client = register(&site, &application());
    let mut token = string(&tokens(&site, &id(&client)), "refresh_token");
    let start = expires(&site, &client);
    let mut turn = |wait: u64| {
        site.world.pass(Seconds(wait));
        site.world.operations();
        let (status, body) = refresh(&site, &id(&client), &token);
        assert_eq!(status, 200, "{body}");
        token = string(&body, "refresh_token");
        site.world.operations().into_iter().filter(|operation| operation == "REGISTRY").count()
    };
    for _ in 0..20 {
        assert_eq!(turn(3600), 0, "nothing is told within a day");
    }
    assert_eq!(turn(DAY), 1);
    let slid = expires(&site, &client);
    assert_eq!(slid, start + 20 * 3600 + DAY);
    for _ in 0..20 {
        assert_eq!(turn(60), 0, "and it is told once");
    }
    assert_eq!(expires(&site, &client), slid);
}

#[test]
fn a_request_succeeds_though_the_registry_hears_nothing_of_it_and_the_isolate_does_not_try_at_each() {
    let site = open();
    let client = register(&site, &application());
    let token = string(&tokens(&site, &id(&client)), "refresh_token");
    let before = expires(&site, &client);
    site.world.ring();
    site.world.pass(Seconds(2 * DAY));
    site.world.fate("REGISTRY", &[Fate::Lost; 40]);
    let (status, body) = refresh(&site, &id(&client), &token);
    assert_eq!(status, 200, "{body}");
    site.world.operations();
    for _ in 0..5 {
        let again = refresh(&site, &id(&client), &token);
        assert_eq!(again.0, 200, "{}", again.1);
    }
    assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
    site.world.fate("REGISTRY", &[]);
    assert_eq!(expires(&site, &client), before);
    site.world.pass(Seconds(300));
    assert_eq!(refresh(&site, &id(&client), &string(&body, "refresh_token")).0, 200);
    assert!(expires(&site, &client) > before);
}

#[test]
fn nothing_that_an_ended_client_got_is_active_wherever_it_is_asked_about() {
    let site = open();
    // Nothing of it ends by itself before its client does.
    site.patch(
        "/admin/settings",
        &json!({
            "registration.usedSeconds": 2 * DAY, "token.defaultExpirySeconds": 31_536_000,
            "refresh.idleSeconds": 31_536_000, "refresh.absoluteSeconds": 31_536_000,
        }),
    );
    let client = register(&site, &application());
    let given = tokens(&site, &id(&client));
    let (access, refreshing) = (string(&given, "access_token"), string(&given, "refresh_token"));
    assert_eq!(given["expires_in"], 2 * DAY);
    site.world.pass(Seconds(2 * DAY - 1));
    assert_eq!(site.inspect(&access)["active"], true);
    assert_eq!(site.inspect(&refreshing)["active"], true);
    site.world.pass(Seconds(1));
    for token in [&access, &refreshing] {
        assert_eq!(site.inspect(token), dead());
    }
    let (status, body) = refresh(&site, &id(&client), &refreshing);
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
    let marks = |site: &Site| rows(site).into_iter().find(|(table, _)| table == "marks");
    let before = marks(&site);
    settle(&site);
    assert_eq!(marks(&site), before, "its end is no mark in any shard");
    assert_eq!(refresh(&site, &id(&client), &refreshing).0, 401);
    for token in [&access, &refreshing] {
        assert_eq!(site.inspect(token), dead());
    }
}

#[test]
fn a_client_that_an_administrator_disabled_does_not_end() {
    let site = open();
    let client = register(&site, &application());
    site.patch(&format!("/admin/clients/{}", id(&client)), &json!({ "enabled": false }));
    site.world.pass(Seconds(2 * DAY));
    settle(&site);
    let (status, seen) = site.admin(Method::GET, &format!("/admin/clients/{}", id(&client)), &Value::Null);
    assert_eq!((status, &seen["enabled"]), (200, &json!(false)));
}

#[test]
fn twenty_clients_an_hour_register_from_one_address_and_the_next_does_not_reach_the_registry() {
    let site = open();
    for _ in 0..20 {
        register(&site, &application());
    }
    let refused = |site: &Site| {
        let before = site.world.dump_of_all_but_counts();
        site.world.operations();
        let answer = ask(site, Method::POST, "/register", "", &application());
        assert_eq!(site.world.dump_of_all_but_counts(), before);
        assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
        (answer.status.as_u16(), answer.header("retry-after").map(str::to_owned))
    };
    assert_eq!(refused(&site), (429, Some("3600".to_owned())));
    // What may not be registered is told so, and costs nothing.
    assert_eq!(ask(&site, Method::POST, "/register", "", &json!({})).status, 400);
    let mut elsewhere = request(
        Method::POST,
        "/register",
        &[("content-type", "application/json")],
        &application().to_string(),
    );
    elsewhere.headers.push(("cf-connecting-ip".to_owned(), "192.0.2.9".to_owned()));
    assert_eq!(site.send(&elsewhere).status, 201, "another address");
    let other = site.beside();
    let answers: Vec<u16> =
        (0..8).map(|_| ask(&other, Method::POST, "/register", "", &application()).status.as_u16()).collect();
    assert_eq!(answers.last(), Some(&429), "isolates count together: {answers:?}");
    site.world.pass(Seconds(3600));
    register(&site, &application());
}

#[test]
fn as_many_lie_unused_as_the_setting_says_and_leaving_makes_no_room() {
    let site = open();
    site.patch("/admin/settings", &json!({ "registration.unusedMost": 3 }));
    let clients: Vec<Value> = (0..3).map(|_| register(&site, &application())).collect();
    let full = |site: &Site| {
        let before = rows(site);
        let answer = ask(site, Method::POST, "/register", "", &application());
        assert_eq!(rows(site), before);
        (answer.status.as_u16(), answer.header("retry-after").is_some())
    };
    assert_eq!(full(&site), (503, true));
    let (target, token) = managed(&clients[0]);
    assert_eq!(ask(&site, Method::DELETE, &target, &token, &Value::Null).status, 204);
    assert_eq!(full(&site), (503, true), "its place is free when its time is over");
    // One that is used takes no place.
    tokens(&site, &id(&clients[1]));
    register(&site, &application());
    assert_eq!(full(&site), (503, true));
    site.world.pass(Seconds(DAY));
    settle(&site);
    for _ in 0..3 {
        register(&site, &application());
    }
    assert_eq!(full(&site), (503, true));
}

#[test]
fn a_hundred_clients_end_an_alarm_and_the_rest_at_the_next() {
    let site = open();
    site.patch("/admin/settings", &json!({ "registration.perHour": 1000 }));
    let before = rows(&site);
    for _ in 0..150 {
        register(&site, &application());
    }
    let ends = |site: &Site| rows(site).into_iter().find(|(table, _)| table == "ends").unwrap().1;
    site.world.pass(Seconds(DAY + 60));
    site.world.ring();
    assert_eq!(ends(&site), 50);
    settle(&site);
    assert_eq!(rows(&site), before);
}

#[test]
fn a_registry_that_is_away_is_503_with_retry_after() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    for (method, target, token, body) in [
        (Method::POST, "/register", "", application()),
        (Method::GET, target.as_str(), token.as_str(), Value::Null),
    ] {
        site.world.fate("REGISTRY", &[Fate::Lost, Fate::Lost]);
        let answer = ask(&site, method, target, token, &body);
        assert_eq!((answer.status.as_u16(), answer.header("retry-after").is_some()), (503, true));
    }
}
