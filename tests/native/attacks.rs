//! Attacks that once worked here, each named after what must hold.

use crate::world::*;
use edgemint::{context::config::Vars, host::Seconds, objects::protocol::grant_shard::GrantShard};
use http::Method;
use serde_json::{Value, json};

const MACHINE: &str = "demo-machine:demo-machine-secret";
const LEGACY: &str = "demo-legacy:demo-legacy-secret";
const OWN: [(&str, &str); 1] = [("grant_type", "client_credentials")];

fn string(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned()
}

fn dead() -> Value {
    json!({ "active": false })
}

fn patch(site: &Site, target: &str, body: &Value) {
    let (status, answer) = site.admin(Method::PATCH, target, body);
    assert_eq!(status, 200, "{answer}");
}

fn legacy_tokens(site: &Site) -> Value {
    let code = site.code("demo-legacy", &[]);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "http://127.0.0.1:9999/legacy"),
        ("code_verifier", VERIFIER),
    ];
    site.token(LEGACY, &fields).1
}

/// A refresh as the edge sends it to the shard.
fn delivery(tokens: &Value, site: &Site, id: &str, terms: &Value) -> (String, Value) {
    use edgemint::model::ticket::{Refresh, Ticket};
    let keys = edgemint::crypto::Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    let ticket = Refresh::open(&keys, &string(tokens, "refresh_token")).unwrap();
    let client: Value = serde_json::from_str(&site.world.copy(&format!("client:{id}")).unwrap()).unwrap();
    let message = json!({ "format": 1, "attempt": "one", "command": { "Grant": {
        "table": ticket.address.table, "owner": ticket.address.owner, "key": ticket.address.key, "policy": 1000,
        "command": { "Refresh": {
            "client": { "id": id, "incarnation": client["incarnation"], "version": client["version"] },
            "generation": ticket.generation, "proof": ticket.proof, "scope": null, "terms": terms } } } } });
    (ticket.address.shard.to_string(), message)
}

fn terms(rotate: bool, grace: u64) -> Value {
    json!({ "allowed": "orders.read orders.write reports", "code_retry": 10, "grace": grace, "idle": null,
            "rotate": rotate, "refreshable": true, "refreshes": 3 })
}

#[test]
fn a_message_that_arrives_again_after_others_ends_no_family() {
    let site = Site::new();
    let (name, first) = delivery(&site.tokens(), &site, "demo-web", &terms(true, 10));
    let deliver = |message: &Value| site.world.deliver_raw::<GrantShard>(&name, &message.to_string());
    let answer: Value = serde_json::from_str(&deliver(&first)).unwrap();
    let successor = &answer["reply"]["Ok"]["Grant"]["Issued"]["refresh"];
    let mut second = first.clone();
    second["attempt"] = json!("two");
    second["command"]["Grant"]["command"]["Refresh"]["generation"] = successor["generation"].clone();
    second["command"]["Grant"]["command"]["Refresh"]["proof"] = successor["proof"].clone();
    assert!(deliver(&second).contains("Issued"));
    let before = site.world.dump();
    assert!(deliver(&first).contains("Err"), "it was believed lost, and arrives now");
    assert_eq!(site.world.dump(), before);
    assert!(deliver(&second).contains("Issued"), "the family lives");
}

#[test]
fn a_message_that_arrives_again_after_others_counts_no_refresh() {
    let site = Site::new();
    let (name, one) = delivery(&legacy_tokens(&site), &site, "demo-legacy", &terms(false, 10));
    let mut two = one.clone();
    two["attempt"] = json!("two");
    for (message, answer) in
        [(&one, "Issued"), (&two, "Issued"), (&one, "Err"), (&two, "Issued"), (&one, "Err")]
    {
        assert!(site.world.deliver_raw::<GrantShard>(&name, &message.to_string()).contains(answer));
    }
    assert!(site.world.dump().contains("\\\"remaining\\\":1"), "three, less two");
}

#[test]
fn a_message_that_arrives_again_does_not_enable_whom_another_disabled() {
    use edgemint::objects::protocol::{account_shard::AccountShard, registry::Registry};
    let site = Site::new();
    let sub = string(&site.admin(Method::GET, "/admin/users/alice", &Value::Null).1, "sub");
    let shard = edgemint::model::account::shard_of_sub(&sub).unwrap();
    let user = |attempt: &str, enabled: bool| {
        let command = json!({ "Change": { "sub": sub, "patch": { "enabled": enabled }, "password": null, "expected": null } });
        let message = json!({ "format": 1, "attempt": attempt, "command": command });
        site.world.deliver_raw::<AccountShard>(&shard, &message.to_string())
    };
    let client = |attempt: &str, enabled: bool| {
        let command =
            json!({ "Change": { "id": "demo-web", "patch": { "enabled": enabled }, "expected": null } });
        let message = json!({ "format": 1, "attempt": attempt, "command": command });
        site.world.deliver_raw::<Registry>("registry", &message.to_string())
    };
    for (attempt, enabled, answer) in
        [("z", false, "Ok"), ("a", true, "Ok"), ("b", false, "Ok"), ("a", true, "Err")]
    {
        assert!(user(attempt, enabled).contains(answer), "user {attempt}");
        assert!(client(attempt, enabled).contains(answer), "client {attempt}");
    }
    for target in ["/admin/users/alice", "/admin/clients/demo-web"] {
        assert_eq!(site.admin(Method::GET, target, &Value::Null).1["enabled"], false, "{target}");
    }
}

#[test]
fn a_message_that_arrives_again_does_not_take_back_a_setting_or_a_description() {
    let site = Site::new();
    let tell = |attempt: &str, command: Value| {
        let message = json!({ "format": 1, "attempt": attempt, "command": command });
        site.world
            .deliver_raw::<edgemint::objects::protocol::registry::Registry>("registry", &message.to_string())
    };
    let setting = |seconds: u64| json!({ "ChangePolicy": { "patch": { "refresh.graceSeconds": seconds }, "expected": null } });
    let text = |text: &str| json!({ "ChangeScope": { "name": "reports", "patch": { "description": text }, "expected": null } });
    for (attempt, command, answer) in [
        ("a", setting(1), "Ok"),
        ("b", text("First"), "Ok"),
        ("c", setting(2), "Ok"),
        ("d", text("Second"), "Ok"),
        ("a", setting(1), "Err"),
        ("b", text("First"), "Err"),
        ("b", json!({ "DeleteScope": { "name": "orders.read", "expected": null } }), "Err"),
    ] {
        assert!(tell(attempt, command).contains(answer), "{attempt}");
    }
    assert_eq!(site.admin(Method::GET, "/admin/settings", &Value::Null).1["refresh.graceSeconds"], 2);
    assert_eq!(site.admin(Method::GET, "/admin/scopes/reports", &Value::Null).1["description"], "Second");
}

#[test]
fn a_lost_answer_is_made_good_though_a_mark_came_in_between() {
    let site = Site::new();
    let (name, message) = delivery(&site.tokens(), &site, "demo-web", &terms(true, 0));
    let deliver = || site.world.deliver_raw::<GrantShard>(&name, &message.to_string());
    assert!(deliver().contains("Issued"));
    patch(&site, "/admin/clients/demo-web", &json!({ "redirect_uris": [CALLBACK] }));
    assert!(deliver().contains("Issued"), "a newer record does not make it another wish");
    patch(&site, "/admin/clients/demo-web", &json!({ "enabled": false }));
    assert!(deliver().contains("CutOff"), "but a disabled client gets nothing");
}

#[test]
fn a_token_from_the_gap_stays_dead_after_a_later_harmless_change() {
    let site = Site::new();
    let lagging = site.beside();
    assert_eq!(lagging.token(MACHINE, &OWN).0, 200);
    site.world.freeze_replica(true);
    site.world.pass(Seconds(10));
    patch(&site, "/admin/clients/demo-machine", &json!({ "grant_types": [] }));
    site.world.pass(Seconds(15));
    let gap = string(&lagging.token(MACHINE, &OWN).1, "access_token");
    assert_eq!(site.inspect(&gap), dead());
    site.world.pass(Seconds(30));
    patch(&site, "/admin/clients/demo-machine", &json!({ "description": "a change" }));
    assert_eq!(site.inspect(&gap), dead());
    site.world.freeze_replica(false);
    patch(&site, "/admin/clients/demo-machine", &json!({ "grant_types": ["client_credentials"] }));
    assert_eq!(site.inspect(&gap), dead());
    let honest = string(&site.token(MACHINE, &OWN).1, "access_token");
    assert_eq!(site.inspect(&honest)["active"], true);
}

#[test]
fn a_harmless_change_of_a_client_that_was_once_restricted_kills_no_token() {
    let site = Site::new();
    patch(&site, "/admin/clients/demo-machine", &json!({ "access_token_lifetime": 3000 }));
    site.world.pass(Seconds(600));
    let lagging = site.beside();
    let before = string(&lagging.token(MACHINE, &OWN).1, "access_token");
    site.world.freeze_replica(true);
    site.world.pass(Seconds(3));
    patch(&site, "/admin/clients/demo-machine", &json!({ "description": "a change" }));
    assert_eq!(site.inspect(&before)["active"], true);
    site.world.pass(Seconds(20));
    let after = string(&lagging.token(MACHINE, &OWN).1, "access_token");
    assert_eq!(site.inspect(&after)["active"], true);
}

#[test]
fn a_scope_given_back_is_given_back_to_living_tokens_too() {
    let site = Site::new();
    let access = string(&site.tokens(), "access_token");
    patch(&site, "/admin/clients/demo-web", &json!({ "scope": "reports" }));
    assert_eq!(site.inspect(&access)["scope"], "reports");
    patch(&site, "/admin/clients/demo-web", &json!({ "scope": "reports orders.read" }));
    assert_eq!(site.inspect(&access)["scope"], "orders.read reports");
}

#[test]
fn names_are_not_told_apart_in_another_isolate_either() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    for _ in 0..10 {
        site.sign_in(&page, "alice", "wrong");
        site.sign_in(&page, "nobody", "wrong");
    }
    let other = site.beside();
    let page = other.authorize("demo-web", &[]);
    let answers = ["alice", "nobody"].map(|name| other.sign_in(&page, name, "wrong").status.as_u16());
    assert_eq!(answers, [429, 429]);
}

#[test]
fn thirty_failed_logins_close_an_address_before_anything_is_hashed() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let pending = field(&page, "pending");
    let login = |address: &str, name: &str, password: &str| {
        let fields = form(&[("pending", pending.as_str()), ("username", name), ("password", password)]);
        let headers = [("content-type", FORM), ("cf-connecting-ip", address)];
        site.browse(request(Method::POST, "/login", &headers, &fields)).status.as_u16()
    };
    // Successes are never limited.
    for _ in 0..35 {
        assert_eq!(login("192.0.2.1", "alice", "wonderland"), 200);
    }
    for number in 0..30 {
        assert_eq!(login("192.0.2.1", &format!("name-{number}"), "wrong"), 400);
    }
    site.world.operations();
    assert_eq!(login("192.0.2.1", "alice", "wonderland"), 429);
    assert!(!site.world.operations().contains(&"ACCOUNTS".to_owned()));
    assert_eq!(login("192.0.2.2", "alice", "wonderland"), 200);
    site.world.pass(Seconds(300));
    assert_eq!(login("192.0.2.1", "alice", "wonderland"), 200);
}

#[test]
fn an_attempt_to_sign_in_whose_answer_was_lost_is_charged_once() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    for _ in 0..10 {
        site.world.fate("ACCOUNTS", &[Fate::Unanswered]);
        assert_eq!(site.sign_in(&page, "alice", "wrong").status, 400);
    }
    assert_eq!(site.sign_in(&page, "alice", "wrong").status, 429);
}

#[test]
fn revoking_a_token_that_is_dead_already_ends_nothing_and_writes_nothing() {
    let site = Site::new();
    patch(&site, "/admin/settings", &json!({ "revoke.accessTokenEndsGrant": 1 }));
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
    let legacy = string(&legacy_tokens(&site), "refresh_token");
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
fn a_flood_of_strangers_does_not_refuse_a_client_that_is_known() {
    let site = Site::new();
    let tokens = site.tokens();
    let other = site.beside();
    assert_eq!(other.refresh("emr_a.nonsense").0, 400);
    patch(&site, "/admin/clients/demo-web", &json!({ "require_pkce": true }));
    site.world.pass(Seconds(6));
    for number in 0..200 {
        other.token(&format!("stranger-{number}:x"), &OWN);
    }
    // The shard knows of the change, so this isolate must ask for the client again.
    assert_eq!(other.refresh(&string(&tokens, "refresh_token")).0, 200);
}

#[test]
fn a_cut_off_that_was_given_as_a_time_is_not_taken_back() {
    let site = Site::new();
    let (tokens, own) = (site.tokens(), string(&site.token(MACHINE, &OWN).1, "access_token"));
    site.world.pass(Seconds(60));
    let now = 1_800_000_060_u64;
    for (target, token) in
        [("/admin/users/alice", string(&tokens, "access_token")), ("/admin/clients/demo-machine", own)]
    {
        assert_eq!(site.inspect(&token)["active"], true);
        patch(&site, target, &json!({ "not_before": now }));
        assert_eq!(site.inspect(&token), dead(), "{target}");
        for back in [json!(null), json!(now - 60), json!(now + 60)] {
            let (status, problem) = site.admin(Method::PATCH, target, &json!({ "not_before": back }));
            assert_eq!((status, &problem["field"]), (400, &json!("not_before")), "{target} {back}");
        }
    }
}

#[test]
fn a_development_that_began_is_never_served_as_production() {
    for reached in 0..8 {
        let world = World::new();
        let site = Site::with(&world, &development());
        let mut fates = vec![Fate::Answered; reached];
        fates.extend([Fate::Lost; 8]);
        world.fate("REGISTRY", &fates);
        site.get("/healthz");
        world.fate("REGISTRY", &[]);
        world.pass(Seconds(60));
        world.ring();
        let vars = Vars { mode: None, issuer: Some("https://as.test".into()), ..development() };
        let production = Site::with(&world, &vars);
        let healthy = production.get("/healthz").status == 200;
        let people = !world.disks("ACCOUNTS").is_empty();
        assert!(!(healthy && people), "after {reached} answers");
    }
}

#[test]
fn a_second_seeding_keeps_clients_alive_and_marks_true() {
    let site = Site::new();
    patch(&site, "/admin/clients/demo-landing", &json!({ "access_token_lifetime": 600 }));
    let moved = Vars { issuer: Some("http://localhost:9000".into()), ..development() };
    let mut healthz = request(Method::GET, "/healthz", &[], "");
    healthz.host = "localhost:9000".into();
    assert_eq!(Site::with(&site.world, &moved).send(&healthz).status, 200);
    let back = Site::with(&site.world, &development());
    let redirect_uri = format!("{ISSUER}/dev/callback");
    for _ in 0..4 {
        let code = back.code("demo-landing", &[("redirect_uri", &redirect_uri)]);
        let mut fields = redemption(&code).to_vec();
        fields.retain(|(name, _)| *name != "redirect_uri");
        fields.push(("redirect_uri", &redirect_uri));
        assert_eq!(back.token("demo-landing", &fields).0, 200);
    }
}

#[test]
fn a_scope_added_a_second_ago_is_not_refused_by_a_copy() {
    let site = Site::new();
    let other = site.beside();
    patch(&site, "/admin/clients/demo-web", &json!({ "scope": "reports" }));
    site.world.pass(Seconds(40));
    other.refresh("emr_a.nonsense");
    site.world.pass(Seconds(10));
    site.world.freeze_replica(true);
    patch(&site, "/admin/clients/demo-web", &json!({ "scope": "reports orders.read" }));
    let code = site.code("demo-web", &[("scope", "orders.read")]);
    assert_eq!(other.redeem(&code).0, 200);
}

#[test]
fn what_is_typed_in_the_wrong_field_is_not_logged() {
    let site = Site::new();
    site.token("demo-web-secret:demo-web", &OWN);
    site.get("/authorize?client_id=a-long-secret-pasted-in-the-wrong-field");
    site.get("/some-token-in-a-path");
    site.admin(Method::GET, "/admin/users/some-password", &Value::Null);
    let log: String = site.world.events().iter().map(Value::to_string).collect();
    for secret in ["demo-web-secret", "a-long-secret", "some-token", "some-password"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn every_refusal_is_an_event_that_its_trace_finds() {
    let site = Site::new();
    for (method, path) in
        [(Method::GET, "/token"), (Method::GET, "/no/such"), (Method::GET, "/admin/nothing")]
    {
        let answer = site.send(&request(method, path, &[], ""));
        let trace = serde_json::from_slice::<Value>(&answer.body).unwrap()["trace_id"].clone();
        let events = site.world.events();
        assert_eq!(
            (events.len(), &events[0]["trace"], &events[0]["event"]),
            (1, &trace, &json!("refused")),
            "{path}"
        );
    }
    let redirected = site.authorize("demo-web", &[("scope", "nonsense")]);
    let trace = site.world.events()[0]["trace"].as_str().unwrap().to_owned();
    assert!(parameter(&redirected, "error_description").unwrap().contains(&trace));
    let broken = Site::with(&site.world, &Vars { master_key: None, ..development() });
    let answer: Value = serde_json::from_slice(&broken.get("/healthz").body).unwrap();
    assert_eq!(site.world.events()[0]["trace"], answer["trace_id"]);
}

#[test]
fn a_use_within_the_grace_is_always_logged() {
    let site = Site::new();
    patch(&site, "/admin/settings", &json!({ "log.successPercent": 0 }));
    let first = string(&site.tokens(), "refresh_token");
    site.refresh(&first);
    site.world.events();
    site.refresh(&first);
    assert_eq!(site.world.events()[0]["again"], true);
}

#[test]
fn a_replica_write_that_lands_after_its_successor_is_written_over_again() {
    use edgemint::{
        host::{Host, Store, Timestamp},
        objects::{outbox, protocol::registry::Registry},
    };
    use std::task::{Context, Waker};
    let host = slow::Replica::default();
    let disk = Disk::default();
    disk.put("policy", "", "", "first").unwrap();
    outbox::owe_copy(&disk, "policy", 1, host.now()).unwrap();
    host.hold.set(true);
    let mut hanging = Box::pin(outbox::flush(&host, &disk, &Registry));
    assert!(hanging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // It changes, and that write hangs for longer than its lease.
    disk.put("policy", "", "", "second").unwrap();
    outbox::owe_copy(&disk, "policy", 2, host.now()).unwrap();
    host.clock.set(host.clock.get() + 31_000);
    now(outbox::flush(&host, &disk, &Registry)).unwrap();
    assert_eq!(host.value.borrow().as_str(), "second");
    now(hanging).unwrap();
    now(outbox::flush(&host, &disk, &Registry)).unwrap();
    assert_eq!(host.value.borrow().as_str(), "second", "the older write landed last");
    assert_eq!(outbox::due(&disk).unwrap(), None::<Timestamp>);
}

/// A replica whose next write hangs until it is asked again.
mod slow {
    use edgemint::{
        error::Fault,
        host::{Host, Place, Timestamp},
    };
    use std::{
        cell::{Cell, RefCell},
        task::Poll,
    };

    #[derive(Default)]
    pub struct Replica {
        pub clock: Cell<u64>,
        pub hold: Cell<bool>,
        pub value: RefCell<String>,
    }

    impl Host for Replica {
        fn now(&self) -> Timestamp {
            Timestamp(self.clock.get())
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }

        fn log(&self, _: &str) {}

        async fn deliver(&self, _: &Place, _: String) -> Result<String, Fault> {
            Err(Fault::new("nobody is there"))
        }

        async fn read_copy(&self, _: &str) -> Result<Option<String>, Fault> {
            Ok(None)
        }

        async fn write_copy(&self, _: &str, value: &str) -> Result<(), Fault> {
            if self.hold.replace(false) {
                let mut asked = false;
                std::future::poll_fn(|_| {
                    if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            value.clone_into(&mut self.value.borrow_mut());
            Ok(())
        }
    }
}
