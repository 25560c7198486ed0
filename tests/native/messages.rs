//! Messages that arrive late, again, or when nobody waits for them any more: what objects make of them.

use crate::world::*;
use edgemint::{
    error::Fault,
    host::{Host, Place, Seconds, Timestamp},
    json::tree,
    objects::{
        self,
        protocol::{account_shard::AccountShard, grant_shard::GrantShard, registry::Registry},
    },
};
use http::Method;
use serde_json::{Value, json};
use std::task::{Context, Poll, Waker};

/// A message as an edge of another version sends it: it does not say when.
fn message(attempt: &str, command: &Value) -> Value {
    json!({ "format": 1, "attempt": attempt, "command": command })
}

/// What the registry answers to it.
fn tell(site: &Site, attempt: &str, command: &Value) -> String {
    site.world.deliver_raw::<Registry>("registry", &message(attempt, command).to_string())
}

fn change_client(id: &str, patch: &Value) -> Value {
    json!({ "Change": { "id": id, "patch": patch, "expected": null } })
}

fn change_settings(patch: &Value) -> Value {
    json!({ "ChangePolicy": { "patch": patch, "expected": null } })
}

fn change_scope(name: &str, description: &str) -> Value {
    json!({ "ChangeScope": { "name": name, "patch": { "description": description }, "expected": null } })
}

/// What alice's shard answers to a change of her account.
fn change_alice(site: &Site, attempt: &str, patch: &Value) -> String {
    let sub = string(&read(site, "/admin/users/alice"), "sub");
    let shard = edgemint::model::account::shard_of_sub(&sub).unwrap();
    let command = json!({ "Change": { "sub": sub, "patch": patch, "password": null, "expected": null } });
    site.world.deliver_raw::<AccountShard>(&shard, &message(attempt, &command).to_string())
}

fn read(site: &Site, target: &str) -> Value {
    site.admin(Method::GET, target, &Value::Null).1
}

/// A refresh as the edge sends it to the shard.
fn delivery(tokens: &Value, site: &Site, id: &str, terms: &Value) -> (String, Value) {
    use edgemint::model::ticket::{Refresh, Ticket};
    let keys = edgemint::crypto::Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    let ticket = Refresh::open(&keys, &string(tokens, "refresh_token")).unwrap();
    let client: Value = serde_json::from_str(&site.world.copy(&format!("client:{id}")).unwrap()).unwrap();
    let message = json!({ "format": 1, "attempt": "one", "command": { "Grant": {
        "table": tree(&ticket.address.table), "owner": ticket.address.owner, "key": ticket.address.key, "policy": 1000,
        "command": { "Refresh": {
            "client": { "id": id, "incarnation": client["incarnation"], "version": client["version"] },
            "generation": ticket.generation, "proof": tree(&ticket.proof), "scope": null, "terms": terms } } } } });
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
    let (name, one) = delivery(&site.legacy_tokens(), &site, "demo-legacy", &terms(false, 10));
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
    let site = Site::new();
    for (attempt, enabled, answer) in
        [("z", false, "Ok"), ("a", true, "Ok"), ("b", false, "Ok"), ("a", true, "Err")]
    {
        let patch = json!({ "enabled": enabled });
        assert!(change_alice(&site, attempt, &patch).contains(answer), "user {attempt}");
        assert!(
            tell(&site, attempt, &change_client("demo-web", &patch)).contains(answer),
            "client {attempt}"
        );
    }
    for target in ["/admin/users/alice", "/admin/clients/demo-web"] {
        assert_eq!(read(&site, target)["enabled"], false, "{target}");
    }
}

#[test]
fn a_message_that_changed_nothing_and_arrives_again_undoes_nothing() {
    let site = Site::new();
    for (attempt, description, answer) in
        [("p", "Read reports", "Ok"), ("q", "Other", "Ok"), ("p", "Read reports", "Err")]
    {
        assert!(tell(&site, attempt, &change_scope("reports", description)).contains(answer), "{attempt}");
    }
    assert_eq!(read(&site, "/admin/scopes/reports")["description"], "Other");
    for (attempt, enabled, grace, answer) in
        [("a", true, 10, "Ok"), ("b", false, 0, "Ok"), ("a", true, 10, "Err"), ("b", false, 0, "Ok")]
    {
        let patch = json!({ "enabled": enabled });
        let settings = change_settings(&json!({ "refresh.graceSeconds": grace }));
        assert!(change_alice(&site, attempt, &patch).contains(answer), "user {attempt}");
        assert!(
            tell(&site, attempt, &change_client("demo-web", &patch)).contains(answer),
            "client {attempt}"
        );
        assert!(tell(&site, attempt, &settings).contains(answer), "settings {attempt}");
    }
    for target in ["/admin/users/alice", "/admin/clients/demo-web"] {
        assert_eq!(read(&site, target)["enabled"], false, "{target}");
    }
    assert_eq!(read(&site, "/admin/settings")["refresh.graceSeconds"], 0);
}

#[test]
fn a_message_that_arrives_again_does_not_take_back_a_setting_or_a_description() {
    let site = Site::new();
    let grace = |seconds: u64| change_settings(&json!({ "refresh.graceSeconds": seconds }));
    for (attempt, command, answer) in [
        ("a", grace(1), "Ok"),
        ("b", change_scope("reports", "First"), "Ok"),
        ("c", grace(2), "Ok"),
        ("d", change_scope("reports", "Second"), "Ok"),
        ("a", grace(1), "Err"),
        ("b", change_scope("reports", "First"), "Err"),
        ("b", json!({ "DeleteScope": { "name": "orders.read", "expected": null } }), "Err"),
    ] {
        assert!(tell(&site, attempt, &command).contains(answer), "{attempt}");
    }
    assert_eq!(read(&site, "/admin/settings")["refresh.graceSeconds"], 2);
    assert_eq!(read(&site, "/admin/scopes/reports")["description"], "Second");
}

#[test]
fn a_scope_whose_making_arrives_again_after_others_is_answered_as_the_first_time() {
    let site = Site::new();
    let make = |name: &str| json!({ "CreateScope": { "name": name, "patch": { "description": "New" } } });
    let first = tell(&site, "a", &make("one"));
    assert!(first.contains("Ok"), "{first}");
    for (attempt, command) in [("b", make("two")), ("c", change_scope("reports", "Other"))] {
        assert!(tell(&site, attempt, &command).contains("Ok"), "{attempt}");
        assert_eq!(tell(&site, "a", &make("one")), first);
    }
    assert!(tell(&site, "d", &make("one")).contains("Taken"), "another wish");
    // Once it is deleted its making is over.
    assert_eq!(site.admin(Method::DELETE, "/admin/scopes/one", &Value::Null).0, 204);
    assert!(tell(&site, "a", &make("one")).contains("Err"));
    assert_eq!(site.admin(Method::GET, "/admin/scopes/one", &Value::Null).0, 404);
}

#[test]
fn a_lost_answer_is_made_good_though_a_mark_came_in_between() {
    let site = Site::new();
    let (name, message) = delivery(&site.tokens(), &site, "demo-web", &terms(true, 0));
    let deliver = || site.world.deliver_raw::<GrantShard>(&name, &message.to_string());
    assert!(deliver().contains("Issued"));
    site.patch("/admin/clients/demo-web", &json!({ "redirect_uris": [CALLBACK] }));
    assert!(deliver().contains("Issued"), "a newer record does not make it another wish");
    site.patch("/admin/clients/demo-web", &json!({ "enabled": false }));
    assert!(deliver().contains("CutOff"), "but a disabled client gets nothing");
}

#[test]
fn a_message_is_done_for_as_long_as_its_sender_waits_and_after_that_it_changes_nothing() {
    for (milliseconds, done) in
        [(0, true), (10_000, true), (15_000, true), (15_001, false), (3_600_000, false)]
    {
        let site = Site::new();
        let (shard, mut refresh) = delivery(&site.tokens(), &site, "demo-web", &terms(true, 10));
        let mut change = message("two", &change_client("demo-machine", &json!({ "enabled": false })));
        for message in [&mut refresh, &mut change] {
            message["sent"] = json!(site.world.now().0 - milliseconds);
        }
        let before = site.world.dump();
        let answers = [
            site.world.deliver_raw::<GrantShard>(&shard, &refresh.to_string()),
            site.world.deliver_raw::<Registry>("registry", &change.to_string()),
        ];
        for answer in answers {
            assert_eq!(answer.contains("\"Ok\""), done, "after {milliseconds} ms: {answer}");
        }
        assert_eq!(site.world.dump() != before, done, "after {milliseconds} ms");
        assert_eq!(read(&site, "/admin/clients/demo-machine")["enabled"], !done);
    }
}

#[test]
fn a_refresh_that_arrives_after_its_repetition_was_answered_ends_no_family() {
    let site = Site::new();
    let tokens = site.tokens();
    let (shard, mut hanging) = delivery(&tokens, &site, "demo-web", &terms(true, 10));
    hanging["sent"] = tree(&site.world.now());
    // Its sender answered 503, and the client repeated its request.
    let (status, next) = site.refresh(&string(&tokens, "refresh_token"));
    assert_eq!(status, 200, "{next}");
    site.world.pass(Seconds(16));
    assert!(site.world.deliver_raw::<GrantShard>(&shard, &hanging.to_string()).contains("Err"));
    assert_eq!(site.refresh(&string(&next, "refresh_token")).0, 200);
}

/// A world whose objects take a moment to answer each other.
struct Slow(World);

impl Host for Slow {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn log(&self, line: &str) {
        self.0.log(line);
    }

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        let mut asked = false;
        let moment = |_: &mut Context<'_>| {
            if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }
        };
        std::future::poll_fn(moment).await;
        self.0.deliver(to, message).await
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.0.copy(key))
    }

    async fn write_copy(&self, _: &str, _: &str) -> Result<(), Fault> {
        Ok(())
    }
}

#[test]
fn whoever_repeats_a_change_whose_marks_are_under_way_hears_that_it_holds() {
    for (attempt, what) in [("one", "the same message"), ("two", "another wish for the same")] {
        let site = Site::new();
        site.tokens();
        let (host, disk) = (Slow(site.world.clone()), site.world.disk("REGISTRY", "registry"));
        let change = change_client("demo-web", &json!({ "enabled": false }));
        let (first, again) = (message("one", &change).to_string(), message(attempt, &change).to_string());
        let serve = |message| objects::serve::<Registry, _, _>(&host, &*disk, "registry", message);
        let (mut first, mut again) = (Box::pin(serve(&first)), Box::pin(serve(&again)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let answer = loop {
            if let Poll::Ready(answer) = again.as_mut().poll(&mut cx) {
                break answer;
            }
        };
        assert!(answer.contains("\"acknowledged\":1,\"of\":1"), "{what}: {answer}");
    }
}

#[test]
fn a_widening_between_two_restrictions_waits_for_the_first_and_not_for_the_second() {
    let site = Site::new();
    site.tokens();
    let (host, disk) = (Slow(site.world.clone()), site.world.disk("REGISTRY", "registry"));
    let change = |attempt: &str, seconds: u64| {
        message(attempt, &change_client("demo-web", &json!({ "access_token_lifetime": seconds }))).to_string()
    };
    let (narrower, wider, narrow) = (change("a", 600), change("b", 700), change("c", 500));
    let serve = |message| objects::serve::<Registry, _, _>(&host, &*disk, "registry", message);
    let mut first = Box::pin(serve(&narrower));
    let (mut second, mut third) = (Box::pin(serve(&wider)), Box::pin(serve(&narrow)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert!(second.as_mut().poll(&mut cx).is_pending(), "the first one's mark is part of what it shows");
    assert!(third.as_mut().poll(&mut cx).is_pending());
    // The third one's mark stays under way.
    let Poll::Ready(answer) = second.as_mut().poll(&mut cx) else { panic!("it waits for the third") };
    assert!(answer.contains("\"acknowledged\":1,\"of\":1"), "{answer}");
}

#[test]
fn a_right_password_that_is_told_again_forgives_nothing_that_failed_since() {
    let site = Site::new();
    let sub = string(&read(&site, "/admin/users/alice"), "sub");
    let shard = edgemint::model::account::shard_of_sub(&sub).unwrap();
    let tell = |attempt: &str, command: Value| {
        site.world.deliver_raw::<AccountShard>(&shard, &message(attempt, &command).to_string())
    };
    let limit = json!({ "most": 3, "window": 300 });
    let begin = |id: &str| {
        let command =
            json!({ "Attempt": { "who": { "Sub": sub }, "id": id, "limit": limit, "stranger": "" } });
        tell(&format!("begin {id}"), command)
    };
    let fail = |id: &str| {
        begin(id);
        let command = json!({ "Failed": { "who": { "Sub": sub }, "id": id, "limit": limit, "looked": true, "stranger": "" } });
        tell(&format!("fail {id}"), command)
    };
    let version =
        serde_json::from_str::<Value>(&begin("one")).unwrap()["reply"]["Ok"]["Hash"]["version"].clone();
    let admit = json!({ "Admit": { "sub": sub, "version": version, "id": "one", "lifetime": 60, "shard": "weur-1" } });
    assert!(tell("admit", admit.clone()).contains("\"Person\""));
    for id in ["two", "three", "four"] {
        fail(id);
    }
    assert!(begin("five").contains("Throttled"));
    assert!(tell("admit", admit).contains("\"Person\""));
    assert!(begin("six").contains("Throttled"), "the same message forgave what failed since");
}
