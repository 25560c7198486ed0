//! The replica is behind, and a write of it may land when nobody believes in it any more.

use crate::world::*;
use edgemint::{
    host::{Host, Seconds, Store},
    objects::{outbox, protocol::registry::Registry},
};
use http::Method;
use serde_json::json;
use std::task::{Context, Waker};

#[test]
fn a_scope_added_a_second_ago_is_not_refused_by_a_copy() {
    let site = Site::new();
    let other = site.beside();
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports" }));
    site.world.pass(Seconds(40));
    other.refresh("emr_a.nonsense");
    site.world.pass(Seconds(10));
    site.world.freeze_replica(true);
    site.patch("/admin/clients/demo-web", &json!({ "scope": "reports orders.read" }));
    let code = site.code("demo-web", &[("scope", "orders.read")]);
    assert_eq!(other.redeem(&code).0, 200);
}

#[test]
fn a_replica_write_that_lands_after_its_successor_is_written_over_again() {
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
    finish(&host, &disk);
    assert_eq!(host.value.borrow().as_str(), "second");
}

/// Rings alarms until nothing is owed.
fn finish(host: &slow::Replica, disk: &Disk) {
    while let Some(due) = outbox::due(disk).unwrap() {
        host.clock.set(due.0.max(host.clock.get()));
        now(outbox::flush(host, disk, &Registry)).unwrap();
    }
}

#[test]
fn a_replica_write_whose_object_died_and_that_lands_after_its_repetition_is_written_over_again() {
    let (host, disk) = (slow::Replica::default(), Disk::default());
    disk.put("policy", "", "", "first").unwrap();
    outbox::owe_copy(&disk, "policy", 1, host.now()).unwrap();
    host.hold.set(true);
    let mut dying = Box::pin(outbox::flush(&host, &disk, &Registry));
    assert!(dying.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(dying);
    host.clock.set(2_000);
    disk.put("policy", "", "", "second").unwrap();
    outbox::owe_copy(&disk, "policy", 2, host.now()).unwrap();
    assert_eq!(outbox::due(&disk).unwrap().unwrap().0, 7_000, "no longer than any write is waited for");
    host.clock.set(7_000);
    now(outbox::flush(&host, &disk, &Registry)).unwrap();
    assert_eq!(host.value.borrow().as_str(), "second");
    host.clock.set(35_000);
    "first".clone_into(&mut host.value.borrow_mut());
    finish(&host, &disk);
    assert_eq!(host.value.borrow().as_str(), "second");
}

#[test]
fn a_replica_write_that_was_given_up_and_lands_after_its_repetition_is_written_over_again() {
    let (host, disk) = (slow::Replica::default(), Disk::default());
    disk.put("policy", "", "", "first").unwrap();
    outbox::owe_copy(&disk, "policy", 1, host.now()).unwrap();
    host.give_up.set(true);
    now(outbox::flush(&host, &disk, &Registry)).unwrap();
    disk.put("policy", "", "", "second").unwrap();
    outbox::owe_copy(&disk, "policy", 2, host.now()).unwrap();
    host.clock.set(10_000);
    now(outbox::flush(&host, &disk, &Registry)).unwrap();
    assert_eq!(host.value.borrow().as_str(), "second");
    host.land();
    assert_eq!(host.value.borrow().as_str(), "first");
    let due = outbox::due(&disk).unwrap().unwrap();
    assert_eq!(due.0, 60_000, "a minute after it was given up");
    host.clock.set(due.0);
    now(outbox::flush(&host, &disk, &Registry)).unwrap();
    assert_eq!((host.value.borrow().as_str(), outbox::due(&disk).unwrap()), ("second", None));
}

#[test]
fn an_isolate_that_knows_a_newer_record_does_not_go_back_to_an_older_copy() {
    let site = Site::new();
    let other = site.beside();
    assert_eq!(other.token(MACHINE, &OWN).1["expires_in"], 3600);
    let tokens = site.tokens();
    assert_eq!(other.refresh(&string(&tokens, "refresh_token")).0, 200);
    site.world.freeze_replica(true);
    site.patch("/admin/clients/demo-machine", &json!({ "enabled": false }));
    site.patch("/admin/settings", &json!({ "token.defaultExpirySeconds": 60 }));
    site.world.pass(Seconds(31));
    // A refusal rests on the truth, and a shard that knows newer settings has it reload them.
    assert_eq!(other.token("demo-machine:wrong", &OWN).0, 401);
    assert_eq!(other.refresh(&string(&site.tokens(), "refresh_token")).1["expires_in"], 60);
    for _ in 0..3 {
        site.world.pass(Seconds(31));
        // First what is given: a refusal would have it ask for the truth again.
        assert_eq!(other.token(LEGACY, &OWN).1["expires_in"], 60);
        assert_eq!(other.token(MACHINE, &OWN).0, 401);
    }
}

#[test]
fn a_new_client_with_a_new_scope_works_where_the_settings_were_confirmed_a_second_ago() {
    let site = Site::new();
    let elsewhere = site.beside();
    // A refusal rests on the truth, so this isolate has just asked for the catalogue.
    let refused = elsewhere.authorize("demo-web", &[("scope", "nonsense")]);
    assert_eq!(parameter(&refused, "error").as_deref(), Some("invalid_scope"));
    site.world.pass(Seconds(1));
    assert_eq!(site.admin(Method::POST, "/admin/scopes", &json!({ "name": "fresh" })).0, 201);
    let client = json!({ "client_id": "newcomer", "redirect_uris": [CALLBACK], "scope": "fresh" });
    assert_eq!(site.admin(Method::POST, "/admin/clients", &client).0, 201);
    let page = elsewhere.authorize("newcomer", &[]);
    assert_eq!(page.status, 200, "{:?}", page.header("location"));
}

/// A replica whose next write hangs until it is asked again, or is given up and lands when it is told to.
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
        pub give_up: Cell<bool>,
        pub value: RefCell<String>,
        under_way: RefCell<String>,
    }

    impl Replica {
        pub fn land(&self) {
            self.value.swap(&self.under_way);
        }
    }

    impl Host for Replica {
        fn now(&self) -> Timestamp {
            Timestamp(self.clock.get())
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }

        fn log(&self, _: &str) {}

        async fn pause(&self, _: u64) {}

        async fn deliver(&self, _: &Place, _: String) -> Result<String, Fault> {
            Err(Fault::new("nobody is there"))
        }

        async fn read_copy(&self, _: &str) -> Result<Option<String>, Fault> {
            Ok(None)
        }

        async fn write_copy(&self, _: &str, value: &str) -> Result<(), Fault> {
            if self.give_up.replace(false) {
                value.clone_into(&mut self.under_way.borrow_mut());
                return Err(Fault::new("storage did not answer in time"));
            }
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
