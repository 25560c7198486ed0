//! Signing in under attack: at midnight, in a burst, by who hangs up, with messages that arrive again.

use crate::world::*;
use edgemint::{
    crypto::Keys,
    error::Fault,
    host::{Host, Place, Seconds, Store, Timestamp},
    model::account::shard_of_name,
    objects::protocol::account_shard::AccountShard,
    wire::{Request, Response},
};
use http::Method;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

const HERE: &str = "192.0.2.1";

fn status(response: &Response) -> u16 {
    response.status.as_u16()
}

/// A try at the login page, from an address.
fn login(site: &Site, page: &Response, address: &str, name: &str, password: &str) -> Request {
    let cookie = format!("edgemint-browser={}", site.cookie("edgemint-browser").unwrap());
    let pending = field(page, "pending");
    let fields = form(&[("pending", pending.as_str()), ("username", name), ("password", password)]);
    let headers = [("content-type", FORM), ("cf-connecting-ip", address), ("cookie", cookie.as_str())];
    request(Method::POST, "/login", &headers, &fields)
}

fn guess(site: &Site, page: &Response, address: &str, name: &str) -> Response {
    site.send(&login(site, page, address, name, "wrong"))
}

/// A world in which asking an account takes a moment, or for ever.
struct Slow {
    world: World,
    for_ever: bool,
    asked: Cell<usize>,
}

impl Slow {
    fn of(site: &Site, for_ever: bool) -> Self {
        Self { world: site.world.clone(), for_ever, asked: Cell::new(0) }
    }
}

impl Host for Slow {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.world.fill(bytes);
    }

    fn log(&self, line: &str) {
        self.world.log(line);
    }

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        let answer = self.world.deliver(to, message).await;
        if to.binding == "ACCOUNTS" {
            self.asked.set(self.asked.get() + 1);
            let mut moment = true;
            let wait = |_: &mut Context<'_>| {
                if self.for_ever || std::mem::take(&mut moment) { Poll::Pending } else { Poll::Ready(()) }
            };
            std::future::poll_fn(wait).await;
        }
        answer
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        self.world.read_copy(key).await
    }

    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault> {
        self.world.write_copy(key, value).await
    }
}

#[test]
fn at_midnight_a_name_that_somebody_has_is_not_told_from_one_that_nobody_has() {
    let site = Site::new();
    // From eight in the morning to 23:54:30: ten seconds later it is the table of the next day that is written.
    site.world.pass(Seconds(57_270));
    let page = site.authorize("demo-web", &[]);
    let seen = |address: &str| ["alice", "nobody"].map(|name| status(&guess(&site, &page, address, name)));
    for number in 0..10 {
        assert_eq!(seen(&format!("192.0.2.{number}")), [400, 400]);
    }
    assert_eq!(seen("198.51.100.1"), [429, 429]);
    site.world.pass(Seconds(15));
    assert_eq!(seen("198.51.100.1"), [429, 429], "in the table of the day before");
    site.world.pass(Seconds(285));
    assert_eq!(seen("198.51.100.1"), [400, 400]);
}

#[test]
fn who_invents_clients_is_not_forgotten_at_the_login_page() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let mut looked = 0;
    for round in 0..6 {
        for number in 0..6 {
            let answer = guess(&site, &page, HERE, &format!("name {round} {number}"));
            looked += usize::from(status(&answer) == 400);
        }
        site.world.pass(Seconds(1));
        for number in 0..1000 {
            let mut wrong = post("/token", &format!("AAAAAAAAAAAAAA{round:04}{number:04}:x"), &OWN);
            wrong.headers.push(("cf-connecting-ip".into(), HERE.into()));
            site.send(&wrong);
        }
    }
    assert_eq!(looked, 30);
}

#[test]
fn of_a_burst_from_one_address_thirty_are_looked_at_and_no_more_names_are_closed_than_by_thirty() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let host = Slow::of(&site, false);
    let tries: Vec<_> =
        (0..100).map(|number| login(&site, &page, HERE, &format!("name {}", number / 10), "x")).collect();
    let respond = |request| -> Pin<Box<dyn Future<Output = Response> + '_>> {
        Box::pin(site.server.respond(&host, request))
    };
    let mut tasks: Vec<_> = tries.iter().map(respond).collect();
    let mut looked = 0;
    while !tasks.is_empty() {
        tasks.retain_mut(|task| match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => {
                looked += usize::from(status(&answer) == 400);
                false
            }
            Poll::Pending => true,
        });
    }
    assert_eq!(looked, 30);
    let other = |number: usize| guess(&site, &page, "198.51.100.9", &format!("name {number}"));
    let closed = (0..10).filter(|number| status(&other(*number)) == 429).count();
    assert!(closed <= 3, "{closed} names are closed");
}

#[test]
fn who_hangs_up_half_way_is_counted_at_the_address() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let host = Slow::of(&site, true);
    for number in 0..200 {
        let request = login(&site, &page, HERE, &format!("name {}", number / 10), "x");
        let mut going = Box::pin(site.server.respond(&host, &request));
        // The connection breaks: the runtime drops the request where it stands.
        let _ = going.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    assert_eq!(host.asked.get(), 30);
}

#[test]
fn a_right_password_of_somebody_who_is_disabled_looks_like_a_wrong_one() {
    let site = Site::new();
    site.patch("/admin/users/bob", &json!({ "enabled": false }));
    let page = site.authorize("demo-web", &[]);
    let answers = |address: &str, password: &str| -> Vec<_> {
        let answer = |_| {
            let answer = site.send(&login(&site, &page, address, "bob", password));
            (status(&answer), answer.header("retry-after").map(str::to_owned))
        };
        (0..11).map(answer).collect()
    };
    let right = answers("192.0.2.7", "builder");
    site.world.pass(Seconds(400));
    assert_eq!(right, answers("192.0.2.8", "wrong"));
}

#[test]
fn who_waits_as_long_as_told_is_not_told_again() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    // The shard's clock is ahead by a part of a second.
    site.world.skew(900);
    for number in 0..10 {
        guess(&site, &page, &format!("192.0.2.{number}"), "alice");
    }
    site.world.skew(0);
    site.world.pass(Seconds(1));
    let refused = guess(&site, &page, "198.51.100.1", "alice");
    let wait = refused.header("retry-after").unwrap().parse().unwrap();
    site.world.pass(Seconds(wait));
    assert_eq!(status(&guess(&site, &page, "198.51.100.2", "alice")), 400, "after {wait} s");
}

fn message(attempt: &str, command: &Value) -> String {
    json!({ "format": 1, "attempt": attempt, "command": command }).to_string()
}

/// A message to the shard of a name, as the edge sends it.
fn tell(site: &Site, kind: &str, name: &str, number: u32) -> String {
    let keys = Keys::parse(&development().master_key.unwrap(), "http://localhost:8787").unwrap();
    let stranger = edgemint::crypto::text(&keys.blind(&[b"stranger", name.as_bytes()]).0);
    let mut members = json!({ "who": { "Name": name }, "id": format!("try {number}"), "stranger": stranger,
        "limit": { "most": 10, "window": 300 } });
    if kind == "Failed" {
        members["looked"] = json!(true);
    }
    let text = message(&format!("{kind} {name} {number}"), &json!({ kind: members }));
    site.world.deliver_raw::<AccountShard>(&shard_of_name(name).to_string(), &text)
}

#[test]
fn a_try_that_arrives_again_after_its_outcome_takes_no_second_place() {
    let site = Site::new();
    for number in 0..5 {
        tell(&site, "Attempt", "alice", number);
        tell(&site, "Failed", "alice", number);
        tell(&site, "Attempt", "alice", number); // The delivery that was believed lost.
    }
    site.world.pass(Seconds(21));
    assert!(tell(&site, "Attempt", "alice", 99).contains("Hash"), "five wrong passwords do not close a name");
}

#[test]
fn a_success_whose_first_message_arrives_again_becomes_no_failure() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let answer: Value = serde_json::from_str(&tell(&site, "Attempt", "alice", 0)).unwrap();
    let sub = &answer["reply"]["Ok"]["Hash"]["sub"];
    let admit = json!({ "Admit": { "sub": sub, "version": 1, "id": "try 0", "lifetime": 3600 } });
    let shard = shard_of_name("alice").to_string();
    assert!(site.world.deliver_raw::<AccountShard>(&shard, &message("admit", &admit)).contains("Admitted"));
    tell(&site, "Attempt", "alice", 0); // The delivery that was believed lost.
    site.world.pass(Seconds(21));
    for number in 0..10 {
        let address = format!("192.0.2.{number}");
        assert_eq!(status(&guess(&site, &page, &address, "alice")), 400, "failure {number}");
    }
}

#[test]
fn tries_that_nobody_reported_before_midnight_tell_no_name_apart_after_it() {
    let site = Site::new();
    // From eight in the morning to 23:54:50.
    site.world.pass(Seconds(57_290));
    let page = site.authorize("demo-web", &[]);
    for (name, number) in ["alice", "nobody"].into_iter().flat_map(|name| (0..10).map(move |n| (name, n))) {
        tell(&site, "Attempt", name, number);
    }
    // They failed twenty seconds later, so both names are closed until ten seconds after midnight.
    site.world.pass(Seconds(311));
    site.world.ring();
    let seen = ["alice", "nobody"].map(|name| {
        let answer = guess(&site, &page, "198.51.100.1", name);
        (status(&answer), answer.header("retry-after").map(str::to_owned))
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].0, 429);
}

#[test]
fn of_a_burst_from_one_address_no_more_names_take_a_row_than_the_address_may_fail() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let host = Slow::of(&site, false);
    let tries: Vec<_> =
        (0..500).map(|number| login(&site, &page, HERE, &format!("invented {number}"), "x")).collect();
    let respond = |request| -> Pin<Box<dyn Future<Output = Response> + '_>> {
        Box::pin(site.server.respond(&host, request))
    };
    let mut tasks: Vec<_> = tries.iter().map(respond).collect();
    while !tasks.is_empty() {
        tasks.retain_mut(|task| task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let rows = |disk: &Disk| {
        let tables = disk.tables().unwrap().into_iter().filter(|table| table.starts_with("strangers"));
        tables.map(|table| disk.scan(&table, None, None, usize::MAX).unwrap().len()).sum::<usize>()
    };
    let rows: usize = site.world.disks("ACCOUNTS").iter().map(|(_, disk)| rows(disk)).sum();
    assert_eq!(rows, 30);
}

#[test]
fn a_try_that_waits_asks_a_few_times_and_no_more() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    for number in 0..10 {
        tell(&site, "Attempt", "nobody", number);
    }
    site.world.operations();
    assert_eq!(status(&guess(&site, &page, HERE, "nobody")), 429);
    let asked = site.world.operations().into_iter().filter(|asked| asked == "ACCOUNTS").count();
    assert_eq!(asked, 8);
}

#[test]
fn what_is_typed_as_a_name_that_nobody_has_lies_in_storage_only_under_a_key() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    guess(&site, &page, HERE, "a password in the wrong field");
    let digest = edgemint::crypto::text(&edgemint::crypto::digest(b"a password in the wrong field"));
    let kept = site.world.dump();
    assert!(kept.contains("strangers") && !kept.contains("wrong field") && !kept.contains(&digest));
}

#[test]
fn failures_that_are_told_again_count_once_also_after_others() {
    let site = Site::new();
    let strike = |attempt: &str| {
        let limit = json!({ "most": 60, "window": 60 });
        let text = message(attempt, &json!({ "Strike": { "key": "k", "count": 15, "limit": limit } }));
        site.world.deliver_raw::<AccountShard>("7", &text)
    };
    for attempt in ["a", "b", "a", "b", "a"] {
        assert!(strike(attempt).contains("null"), "thirty were told of, not sixty");
    }
    strike("c");
    assert!(!strike("d").contains("null"));
}
