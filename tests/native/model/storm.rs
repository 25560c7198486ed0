//! The registry's outbox in a storm: changes, repetitions, lost, late and unanswered marks, writes of the replica that
//! land late, objects that die in the middle, several futures of one object at once. Dice with a seed decide; there is
//! no oracle but what a 200 promises, and that it all comes to an end.

use super::{Effort, count, registry::registration, seed};
use crate::world::World;
use edgemint::{
    error::Fault,
    host::{Host, Place, Seconds, Store, Timestamp},
    model::{client::Client, mark::Mark},
    objects::{
        self, outbox,
        protocol::{
            grant_shard::GrantShard,
            registry::{Registry, Reply},
        },
    },
};
use edgemint::{host::Answer, model::mark::Standing};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

const EFFORT: Effort = Effort { short: 100, long: 1_200 };
const SHARDS: [&str; 3] = ["weur-0", "weur-1", "weur-2"];
/// What is changed, and whose copy and marks are watched.
const CLIENT: &str = "app";

/// Something under way: when it lands, where, what.
type UnderWay = RefCell<Vec<(u64, String, String)>>;

/// The world as an object sees it whose every step outside may be slow, lost, or late.
struct Storm {
    world: World,
    dice: Cell<u64>,
    replica: RefCell<BTreeMap<String, String>>,
    /// Messages to shards that were believed lost.
    late: UnderWay,
    /// Writes of the replica that nobody waits for any more.
    landing: UnderWay,
}

impl Storm {
    fn new(world: &World, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            world: world.clone(),
            dice: Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            replica: RefCell::default(),
            late: RefCell::default(),
            landing: RefCell::default(),
        })
    }

    /// Xorshift: a number below `of`.
    fn roll(&self, of: u64) -> u64 {
        let mut dice = self.dice.get();
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        self.dice.set(dice);
        (dice >> 11) % of
    }

    fn one_in(&self, of: u64) -> bool {
        self.roll(of) == 0
    }

    /// Others have their turn.
    async fn moment(&self) {
        let mut left = self.roll(4);
        std::future::poll_fn(|_| match left {
            0 => Poll::Ready(()),
            _ => {
                left -= 1;
                Poll::Pending
            }
        })
        .await;
    }

    /// What was under way and is due arrives.
    fn land(&self) {
        let now = self.world.now().0;
        let due = |under_way: &UnderWay| {
            let (due, rest) = under_way.take().into_iter().partition::<Vec<_>, _>(|(at, ..)| *at <= now);
            under_way.replace(rest);
            due
        };
        for (_, shard, message) in due(&self.late) {
            self.world.deliver_raw::<GrantShard>(&shard, &message);
        }
        for (_, key, value) in due(&self.landing) {
            self.replica.borrow_mut().insert(key, value);
        }
    }
}

impl Host for Storm {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.world.fill(bytes);
    }

    fn log(&self, _: &str) {}

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        self.moment().await;
        match self.roll(8) {
            0 => return Err(Fault::new("lost")),
            1 => {
                let at = self.now().0 + self.roll(14_000);
                self.late.borrow_mut().push((at, to.name.clone(), message));
                return Err(Fault::new("late"));
            }
            _ => {}
        }
        let answer = self.world.deliver_raw::<GrantShard>(&to.name, &message);
        self.moment().await;
        if self.one_in(8) { Err(Fault::new("unanswered")) } else { Ok(answer) }
    }

    async fn read_copy(&self, _: &str) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault> {
        let under_way = (self.now().0 + self.roll(50_000), key.to_owned(), value.to_owned());
        self.moment().await;
        match self.roll(6) {
            0 => return Err(Fault::new("429")),
            1 => {
                self.landing.borrow_mut().push(under_way);
                return Err(Fault::new("given up"));
            }
            2 => {
                // It lands when it is answered; or, if its object dies before that, some time later.
                self.landing.borrow_mut().push(under_way.clone());
                self.moment().await;
                self.moment().await;
                self.landing.borrow_mut().retain(|other| *other != under_way);
            }
            _ => {}
        }
        self.replica.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

/// A request or an alarm of the registry; what a request was answered.
type Task = Pin<Box<dyn Future<Output = Option<String>>>>;

struct History {
    seed: u64,
    world: World,
    storm: Rc<Storm>,
    tasks: Vec<Task>,
    sent: Vec<String>,
    /// Answers that said that every shard holds it.
    held: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let world = World::new();
        let tell = |attempt: &str, command: Value| {
            let message = json!({ "format": 1, "attempt": attempt, "command": command });
            let answer = world.deliver_raw::<Registry>("registry", &message.to_string());
            assert!(answer.contains("\"Ok\""), "{answer}");
        };
        for scope in ["reports", "orders.read"] {
            tell(scope, json!({ "CreateScope": { "name": scope, "patch": {} } }));
        }
        tell(CLIENT, json!({ "Create": edgemint::json::tree(&registration(CLIENT, "reports orders.read")) }));
        for shard in SHARDS {
            tell(shard, json!({ "Join": { "shard": shard } }));
        }
        let storm = Storm::new(&world, seed);
        Self { seed, world, storm, tasks: Vec::new(), sent: Vec::new(), held: 0 }
    }

    fn is_due(&self) -> bool {
        let due = outbox::due(&*self.world.disk("REGISTRY", "registry")).unwrap();
        due.is_some_and(|due| due <= self.world.now())
    }

    /// An administrator's change arrives, or one that was sent arrives once more.
    fn change(&mut self) {
        let again = self.sent.last().filter(|_| self.storm.one_in(4)).cloned();
        let message = again.unwrap_or_else(|| {
            let number = self.sent.len();
            let patch = match self.storm.roll(6) {
                0 | 1 => json!({ "enabled": false }),
                2 => json!({ "enabled": true }),
                3 => json!({ "description": format!("number {number}") }),
                4 => json!({ "scope": "reports" }),
                _ => json!({ "scope": "reports orders.read" }),
            };
            let command = json!({ "Change": { "id": CLIENT, "patch": patch, "expected": null } });
            let sent = edgemint::json::tree(&self.world.now());
            json!({ "format": 1, "attempt": format!("change {number}"), "sent": sent, "command": command })
                .to_string()
        });
        self.sent.push(message.clone());
        let (host, disk) = (self.storm.clone(), self.world.disk("REGISTRY", "registry"));
        self.tasks.push(Box::pin(async move {
            Some(objects::serve::<Registry, _, _>(&*host, &*disk, "registry", &message).await)
        }));
    }

    fn alarm(&mut self) {
        let (host, disk) = (self.storm.clone(), self.world.disk("REGISTRY", "registry"));
        self.tasks.push(Box::pin(async move {
            objects::alarm::<Registry, _, _>(&*host, &*disk).await;
            None
        }));
    }

    /// One of the tasks goes on until it waits again.
    fn go_on(&mut self) {
        let Some(at) = (!self.tasks.is_empty()).then(|| self.storm.roll(self.tasks.len() as u64)) else {
            return;
        };
        let at = usize::try_from(at).expect("a few tasks");
        let answer = self.tasks[at].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(answer) = answer {
            drop(self.tasks.remove(at));
            if let Some(answer) = answer {
                self.believe(&answer);
            }
        }
    }

    /// Behaviour 14: where the administrator is told that all have acknowledged, every shard holds it, or a later one.
    fn believe(&mut self, answer: &str) {
        let answer: Answer<Reply> = edgemint::json::read(answer).unwrap();
        let Ok(Reply::Changed(client, told)) = answer.reply else { return };
        if told.acknowledged < told.of {
            return;
        }
        self.held += 1;
        let (seed, version, enabled) = (self.seed, client.version, client.metadata.enabled);
        for (shard, mark) in self.marks() {
            let Client { min_version, .. } = *client;
            assert!(
                mark.version > version || enabled || mark.standing == Standing::Disabled,
                "behaviour 14: seed {seed}: a 200 says v{version} is disabled, and {shard} holds {mark:?}"
            );
            assert!(
                mark.version >= min_version,
                "behaviour 14: seed {seed}: a 200 says that all before v{min_version} is dead, and {shard} holds {mark:?}"
            );
            let narrow = mark.scope.as_ref().is_none_or(|scope| scope.is_within(&client.metadata.scope));
            assert!(
                mark.version > version || mark.version == 0 || narrow,
                "behaviour 14: seed {seed}: a 200 says v{version} may have {}, and {shard} holds {mark:?}",
                client.metadata.scope
            );
        }
    }

    fn marks(&self) -> impl Iterator<Item = (&'static str, Mark)> + '_ {
        SHARDS.into_iter().map(|shard| {
            let row = self.world.disk("GRANTS", shard).get("marks", "client", CLIENT).unwrap();
            (shard, row.map(|row| edgemint::json::read(&row).unwrap()).unwrap_or_default())
        })
    }

    /// Everything at once. `deaths`: now and then the object dies with all its futures.
    fn rage(&mut self, deaths: bool) {
        for _ in 0..400 {
            self.world.pass(Seconds(self.storm.roll(3) / 2));
            self.storm.land();
            if self.sent.len() < 12 && self.tasks.len() < 3 && self.storm.one_in(3) {
                self.change();
            }
            if self.is_due() && self.tasks.len() < 5 && self.storm.one_in(3) {
                self.alarm();
            }
            if deaths && self.storm.one_in(60) {
                self.tasks.clear();
            }
            self.go_on();
        }
    }

    /// Nobody changes anything any more. The weather is as before; alarms ring when they are due.
    fn calm(&mut self) {
        let disk = self.world.disk("REGISTRY", "registry");
        let mut quiet = 0;
        for _ in 0..3_000 {
            if self.tasks.is_empty() && outbox::due(&*disk).unwrap().is_none() {
                quiet += 1;
            }
            if quiet > 120 {
                break;
            }
            self.world.pass(Seconds(1));
            self.storm.land();
            if self.tasks.is_empty() && self.is_due() {
                self.alarm();
            }
            for _ in 0..30 * self.tasks.len() {
                self.go_on();
            }
        }
        let seed = self.seed;
        let owed = disk.scan("outbox", None, None, 99).unwrap();
        assert!(owed.is_empty(), "behaviour 14: seed {seed}: owed for ever: {owed:?}");
        if let Some(row) = disk.get("marks", "client", CLIENT).unwrap() {
            let truth: Mark = edgemint::json::read(&row).unwrap();
            for (shard, mark) in self.marks() {
                assert_eq!(mark, truth, "behaviour 14: seed {seed}: {shard} was forgotten");
            }
        }
        if let Some(copy) = self.storm.replica.borrow().get(&format!("client:{CLIENT}")) {
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let truth = parse(&disk.get("clients", CLIENT, "").unwrap().unwrap());
            assert_eq!(
                parse(copy)["version"],
                truth["version"],
                "behaviour 14: seed {seed}: the replica is behind for ever"
            );
        }
    }
}

fn weather(deaths: bool) {
    let mut held = 0;
    let first = seed();
    let seeds = first..first + u64::from(EFFORT.histories());
    for seed in seeds {
        let mut history = History::new(seed);
        history.rage(deaths);
        history.calm();
        held += history.held;
    }
    assert!(held > 0, "no change was ever said to be held everywhere");
    count(EFFORT.histories());
}

#[test]
fn in_a_storm_a_200_means_that_every_shard_holds_it_and_nothing_is_owed_for_ever() {
    weather(false);
}

#[test]
fn in_a_storm_in_which_objects_die_a_200_means_that_every_shard_holds_it() {
    weather(true);
}

#[test]
fn a_copy_that_became_dirty_after_its_dead_senders_lease_is_not_overwritten_by_what_that_one_sent() {
    // Found by the storm: an object dies while it writes a copy, the lease runs out, a change comes before any alarm, and
    // the write lands on top of the change's.
    let mut history = History::new(1_795_269_887);
    history.rage(true);
    history.calm();
}
