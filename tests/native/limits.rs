//! How much is borne: failed logins, failed requests of clients, long requests. Success is never limited.

use crate::world::*;
use edgemint::{host::Seconds, wire::Response};
use http::Method;
use serde_json::{Value, json};

/// A request as it comes from an address.
fn from(site: &Site, address: &str, client: &str, path: &str, fields: &[(&str, &str)]) -> Response {
    let mut request = post(path, client, fields);
    request.headers.push(("cf-connecting-ip".to_owned(), address.to_owned()));
    site.send(&request)
}

fn status(response: &Response) -> u16 {
    response.status.as_u16()
}

const HERE: &str = "192.0.2.1";
const WRONG: &str = "demo-machine:wrong";

#[test]
fn after_sixty_failures_a_client_at_one_address_is_told_to_wait_and_the_right_secret_still_works() {
    let site = Site::new();
    let ask = |address: &str, client: &str| from(&site, address, client, "/token", &OWN);
    for _ in 0..60 {
        assert_eq!(status(&ask(HERE, WRONG)), 401);
        assert_eq!(status(&ask(HERE, MACHINE)), 200, "a success counts for nothing");
    }
    site.world.pass(Seconds(20));
    let refused = ask(HERE, WRONG);
    assert_eq!((status(&refused), refused.header("retry-after")), (429, Some("40")));
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
    assert_eq!(status(&ask(HERE, MACHINE)), 200, "a success is not limited");
    assert_eq!(status(&ask("192.0.2.2", WRONG)), 401, "nor is another address");
    assert_eq!(status(&ask(HERE, "demo-web:wrong")), 401, "nor is another client");
    site.world.pass(Seconds(40));
    assert_eq!(status(&ask(HERE, WRONG)), 401);
}

#[test]
fn an_unknown_client_and_a_wrong_secret_meet_the_same_limit() {
    let site = Site::new();
    let answers = |client: &str| -> Vec<u16> {
        (0..70).map(|_| status(&from(&site, HERE, client, "/token", &OWN))).collect()
    };
    assert_eq!(answers(WRONG), answers("demo-nobody:wrong"));
}

#[test]
fn what_is_no_token_of_ours_counts_and_a_token_that_was_ours_once_gets_its_exact_answer() {
    let site = Site::new();
    let code = site.code("demo-web", &[]);
    assert_eq!(site.redeem(&code).0, 200);
    for _ in 0..100 {
        let (status, body) = site.redeem(&code);
        assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
    }
    let garbage = |address: &str| status(&from(&site, address, WEB, "/token", &redemption("emc_a.garbage")));
    for _ in 0..60 {
        assert_eq!(garbage(HERE), 400);
    }
    assert_eq!(garbage(HERE), 429);
    assert_eq!(site.tokens()["token_type"], "Bearer");
}

#[test]
fn every_endpoint_of_clients_and_the_administrators_count() {
    let site = Site::new();
    for (path, fields) in [("/introspect", [("token", "x")]), ("/revoke", [("token", "x")])] {
        let answers: Vec<u16> =
            (0..61).map(|_| status(&from(&site, path, "demo-web:wrong", path, &fields))).collect();
        assert_eq!((answers[59], answers[60]), (401, 429), "{path}");
    }
    let guess = |token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("cf-connecting-ip", HERE)];
        status(&site.send(&request(Method::GET, "/admin/clients", &headers, "")))
    };
    let answers: Vec<u16> = (0..61).map(|number| guess(&format!("guess {number}"))).collect();
    assert_eq!((answers[59], answers[60], guess(ADMIN_TOKEN)), (401, 429, 200));
}

#[test]
fn a_person_who_follows_a_bad_link_a_hundred_times_is_told_each_time_what_is_wrong_with_it() {
    let site = Site::new();
    for _ in 0..100 {
        assert_eq!(site.authorize("no-such-client", &[]).status, 400);
    }
}

#[test]
fn isolates_count_together() {
    let site = Site::new();
    for _ in 0..61 {
        from(&site, HERE, WRONG, "/token", &OWN);
    }
    // Another isolate learns of it with the first quarter that it tells.
    let other = site.beside();
    let answers: Vec<u16> = (0..20).map(|_| status(&from(&other, HERE, WRONG, "/token", &OWN))).collect();
    assert_eq!((answers[14], answers[15]), (401, 429));
    // And it costs one request of storage, not one a failure; a flood after that costs none.
    let third = site.beside();
    from(&third, HERE, MACHINE, "/token", &OWN);
    site.world.operations();
    for _ in 0..100 {
        from(&third, HERE, WRONG, "/token", &OWN);
    }
    let strikes = site.world.operations().into_iter().filter(|operation| operation == "ACCOUNTS").count();
    assert_eq!(strikes, 1);
}

#[test]
fn a_limit_holds_where_the_shard_that_counts_does_not_answer() {
    let site = Site::new();
    site.world.fate("ACCOUNTS", &[Fate::Lost; 20]);
    let answers: Vec<u16> = (0..61).map(|_| status(&from(&site, HERE, WRONG, "/token", &OWN))).collect();
    assert_eq!((answers[59], answers[60]), (401, 429));
}

#[test]
fn the_limits_are_settings() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "client.failuresPerMinute": 2, "login.failuresPerUser": 2 }));
    let answers = [0; 3].map(|_| status(&from(&site, HERE, WRONG, "/token", &OWN)));
    assert_eq!(answers, [401, 401, 429]);
    let page = site.authorize("demo-web", &[]);
    let answers = [0; 3].map(|_| status(&site.sign_in(&page, "alice", "wrong")));
    assert_eq!(answers, [400, 400, 429]);
}

#[test]
fn failed_logins_of_an_address_count_together_in_all_isolates() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let cookie = format!("edgemint-browser={}", site.cookie("edgemint-browser").unwrap());
    let pending = field(&page, "pending");
    let login = |isolate: &Site, name: &str| {
        let fields = form(&[("pending", pending.as_str()), ("username", name), ("password", "wrong")]);
        let headers = [("content-type", FORM), ("cf-connecting-ip", HERE), ("cookie", cookie.as_str())];
        status(&isolate.send(&request(Method::POST, "/login", &headers, &fields)))
    };
    for number in 0..30 {
        assert_eq!(login(&site, &format!("name {number}")), 400);
    }
    let other = site.beside();
    let answers: Vec<u16> = (0..8).map(|number| login(&other, &format!("other {number}"))).collect();
    assert_eq!((answers[6], answers[7]), (400, 429));
}

#[test]
fn an_address_is_stored_by_nobody() {
    let site = Site::new();
    for _ in 0..61 {
        from(&site, HERE, "a-typed-secret:x", "/token", &OWN);
    }
    let kept = format!("{} {:?}", site.world.dump(), site.world.events());
    assert!(kept.contains("strikes"), "it was counted");
    assert!(!kept.contains(HERE) && !kept.contains("a-typed-secret"));
}

#[test]
fn callers_without_cf_connecting_ip_share_one_address_whatever_other_headers_say() {
    let site = Site::new();
    let ask = |number: u8| {
        let mut request = post("/token", WRONG, &OWN);
        for name in ["x-forwarded-for", "x-real-ip", "true-client-ip", "forwarded"] {
            request.headers.push((name.to_owned(), format!("192.0.2.{number}")));
        }
        status(&site.send(&request))
    };
    let answers: Vec<u16> = (0..61).map(ask).collect();
    assert_eq!((answers[59], answers[60]), (401, 429));
    assert_eq!(status(&from(&site, HERE, WRONG, "/token", &OWN)), 401, "it has an address of its own");
}

#[test]
fn a_refusal_for_the_limit_says_in_the_log_what_it_stands_for() {
    let site = Site::new();
    for _ in 0..61 {
        from(&site, HERE, WRONG, "/token", &OWN);
    }
    let events = site.world.events();
    let last = events.last().unwrap();
    assert_eq!(last["reason"], "temporarily_unavailable: invalid_client: wrong secret");
    assert_eq!((last["status"].as_u64(), last["client"].as_str()), (Some(429), Some("demo-machine")));
}

#[test]
fn a_header_or_query_that_nobody_needs_is_refused_before_it_is_read() {
    let site = Site::new();
    let long = "x".repeat(16 * 1024 + 1);
    for name in ["authorization", "cookie", "content-type", "if-match", "origin"] {
        let (refused, read) = (&long, &long[1..]);
        let answer = |value: &str| status(&site.send(&request(Method::POST, "/token", &[(name, value)], "")));
        assert_eq!(answer(refused), 431, "{name}");
        assert_ne!(answer(read), 431, "{name}");
    }
    let target = format!("/authorize?state={}", "x".repeat(64 * 1024));
    assert_eq!(site.get(&target).status, 414);
}
