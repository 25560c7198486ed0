//! The first requests of two isolates in a deployment that has no data: both make it, and it is made once.
//!
//! Making it hashes two passwords, which is slow by design, and what an isolate sends meanwhile does not hang on what it
//! is answered. So each isolate is watched once while it makes the data alone, and its messages are sent in every order.
//! Nobody here reads a copy, so those are written at once.

use super::{
    course::{Plan, Wish},
    scenes::{Law, PLAIN, Scene, WIDE},
    trial::{Trial, Verdict, demand},
};
use crate::world::*;
use edgemint::{
    error::Fault,
    host::{Host, Place, Store as _, Timestamp},
    server::Server,
};
use http::Method;
use std::{cell::RefCell, rc::Rc};

/// A world that keeps what is sent in it.
struct Watched(World, RefCell<Vec<(Place, String)>>);

impl Host for Watched {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn log(&self, _: &str) {}

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        self.1.borrow_mut().push((to.clone(), message.clone()));
        self.0.deliver(to, message).await
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        self.0.read_copy(key).await
    }

    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault> {
        self.0.write_copy(key, value).await
    }
}

/// What an isolate sends in a world without data, from dice that have fallen so often before.
fn messages(fallen: usize) -> Vec<(Place, String)> {
    let world = World::new();
    for _ in 0..fallen {
        world.random::<8>();
    }
    let watched = Watched(world, RefCell::default());
    let request = request(Method::GET, "/healthz", &[], "");
    assert_eq!(now(Server::new(&development()).respond(&watched, &request)).status, 200);
    watched.1.into_inner()
}

/// Two of them, from the moment on when both have asked for the settings, and found no data; and once more from when the
/// registry knows what it is to hold, until both have made the people.
pub fn boots() -> [Scene; 3] {
    let [first, second] = [0, 1_000_000].map(messages);
    let world = World::new();
    let send = |(to, message): &(Place, String)| {
        assert!(now(world.deliver(to, message.clone())).is_ok_and(|answer| answer.contains("\"Ok\"")));
    };
    assert_eq!(
        (first.len(), second.len()),
        (7, 7),
        "settings, beginning, two people with their shards, clients"
    );
    send(&first[0]);
    send(&second[0]);
    let alone = world.fork();
    for (to, message) in &first[1..] {
        assert!(now(alone.deliver(to, message.clone())).is_ok());
    }
    let given = numbers(&alone);
    let whole = boot("first boot, first boot", world.fork(), [&first[1..], &second[1..]], move |trial| {
        one_of_each(trial)?;
        demand(numbers(&trial.site.world) == given, || {
            "as many versions are given as to one alone".to_owned()
        })
    });
    send(&first[1]);
    send(&second[1]);
    let one =
        boot("first boot, first boot (one of the people)", world.fork(), [&first[2..4], &second[2..4]], {
            |trial| one_of_people(trial, &["alice"])
        });
    let people = boot("first boot, first boot (the people)", world, [&first[2..6], &second[2..6]], |trial| {
        one_of_people(trial, &["alice", "bob"])
    });
    // A fault in each of so many messages: more orders than ten minutes are enough for. In those of one, they are few.
    [whole.explored((&[PLAIN], &[])), people.explored((&[PLAIN], &[])), one]
}

fn boot(
    name: &'static str,
    world: World,
    messages: [&[(Place, String)]; 2],
    law: impl Fn(&Trial) -> Verdict + 'static,
) -> Scene {
    let wishes = messages.map(|messages| Rc::new(Wish::Messages(messages.to_vec()))).into();
    let plan = Plan {
        world,
        wishes,
        copies_at_once: true,
        alarms_at_once: true,
        before: Vec::new(),
        one_isolate: false,
    };
    let law: Law = Box::new(move |trial| {
        demand(trial.replies.iter().all(|reply| reply.status == 200), || "both are answered".to_owned())?;
        law(trial)
    });
    let meaning = Box::new(|_: usize, _: &_, _: &Site| Ok(()));
    Scene { name, plan, meaning, law, explored: WIDE }
}

fn one_of_people(trial: &Trial, people: &[&str]) -> Verdict {
    let accounts = trial.site.world.disks("ACCOUNTS");
    let rows = |table: &str| -> Vec<String> {
        let found = accounts.iter().flat_map(|(_, disk)| disk.scan(table, None, None, 99).unwrap());
        found.map(|(owner, ..)| owner).collect()
    };
    let mut names = rows("names");
    names.sort();
    demand(names == people, || format!("{people:?}, not {names:?}"))?;
    demand(rows("accounts").len() == people.len(), || {
        format!("as many people, not {}", rows("accounts").len())
    })?;
    let registry = trial.site.world.disk("REGISTRY", "registry");
    let shards = registry.scan("roster", Some("accounts"), None, 99).unwrap().len();
    demand(shards == accounts.len(), || format!("every shard of accounts is on the roster, not {shards}"))
}

fn one_of_each(trial: &Trial) -> Verdict {
    one_of_people(trial, &["alice", "bob"])?;
    let registry = trial.site.world.disk("REGISTRY", "registry");
    let clients = registry.scan("clients", None, None, 99).unwrap();
    demand(clients.len() == 7, || format!("seven clients, not {}", clients.len()))?;
    let policy = registry.get("policy", "", "").unwrap().unwrap_or_default();
    demand(policy.contains("\"development\":4"), || format!("the data is there: {policy}"))
}

/// How many versions the registry gave.
fn numbers(world: &World) -> Option<String> {
    world.disk("REGISTRY", "registry").get("meta", "", "counter").unwrap()
}
