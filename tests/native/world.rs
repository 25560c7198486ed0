//! The world in memory: a clock set by hand, dice that count, a replica that lags when told to, objects on maps, and
//! every single operation open to be counted, failed or dropped.

mod signing;
mod site;

pub use self::site::*;

use edgemint::{
    error::Fault,
    host::{Algorithm, Asked, Away, Fetched, Host, Jwk, Object, Place, Row, Seconds, Store, Timestamp},
    objects::{
        self,
        protocol::{
            account_shard::AccountShard, connection::Connection, grant_shard::GrantShard, registry::Registry,
        },
    },
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
};

/// Run a future that never waits.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the world in memory never waits"),
    }
}

/// Rows by owner and key.
type Rows = BTreeMap<(String, String), String>;

/// The disk of one object.
#[derive(Clone, Default)]
pub struct Disk(RefCell<BTreeMap<String, Rows>>);

impl Disk {
    /// The rows of one table.
    pub fn rows_of(&self, table: &str) -> Vec<String> {
        self.0.borrow().get(table).map(|rows| rows.values().cloned().collect()).unwrap_or_default()
    }
}

impl Store for Disk {
    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault> {
        let tables = self.0.borrow();
        Ok(tables.get(table).and_then(|rows| rows.get(&(owner.to_owned(), key.to_owned()))).cloned())
    }

    fn put(&self, table: &str, owner: &str, key: &str, row: &str) -> Result<(), Fault> {
        let mut tables = self.0.borrow_mut();
        tables
            .entry(table.to_owned())
            .or_default()
            .insert((owner.to_owned(), key.to_owned()), row.to_owned());
        Ok(())
    }

    fn delete(&self, table: &str, owner: &str, key: &str) -> Result<(), Fault> {
        if let Some(rows) = self.0.borrow_mut().get_mut(table) {
            rows.remove(&(owner.to_owned(), key.to_owned()));
        }
        Ok(())
    }

    fn scan(
        &self,
        table: &str,
        owner: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let tables = self.0.borrow();
        let Some(rows) = tables.get(table) else { return Ok(Vec::new()) };
        let rows = rows.iter().filter(|((o, k), _)| {
            owner.is_none_or(|owner| o == owner) && after.is_none_or(|after| (o.as_str(), k.as_str()) > after)
        });
        Ok(rows.take(limit).map(|((o, k), row)| (o.clone(), k.clone(), row.clone())).collect())
    }

    fn tables(&self) -> Result<Vec<String>, Fault> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    fn drop_table(&self, table: &str) -> Result<(), Fault> {
        self.0.borrow_mut().remove(table);
        Ok(())
    }

    fn life(&self) -> &'static str {
        "the first"
    }

    fn size(&self) -> Result<u64, Fault> {
        let rows = self.0.borrow();
        let bytes = rows.values().flatten().map(|((owner, key), row)| owner.len() + key.len() + row.len());
        Ok(bytes.sum::<usize>() as u64)
    }
}

/// What happens to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and its answer comes back.
    Answered,
    /// It never arrives.
    Lost,
    /// It arrives, and its answer is lost.
    Unanswered,
}

/// Everything outside the protocol. Clones are the same world.
#[derive(Clone, Default)]
pub struct World(Rc<Inner>);

#[derive(Default)]
struct Inner {
    clock: Cell<u64>,
    skew: Cell<i64>,
    dice: Cell<u64>,
    replica: RefCell<BTreeMap<String, String>>,
    frozen: Cell<bool>,
    failing_puts: Cell<u32>,
    puts: RefCell<Vec<String>>,
    disks: RefCell<BTreeMap<(&'static str, String), Rc<Disk>>>,
    fates: RefCell<BTreeMap<&'static str, Vec<Fate>>>,
    operations: RefCell<Vec<String>>,
    log: RefCell<Vec<String>>,
    elsewhere: RefCell<BTreeMap<String, Fetched>>,
    asked: RefCell<Vec<Asked>>,
    late: Cell<bool>,
    meanwhile: RefCell<Vec<Box<dyn FnOnce()>>>,
    keys: RefCell<BTreeMap<String, Jwk>>,
}

impl World {
    /// A world at some instant, with nothing in it.
    pub fn new() -> Self {
        let world = Self::default();
        world.0.clock.set(1_800_000_000_000);
        world
    }

    /// Another world that is as this one is now: what happens in either does not happen in the other.
    pub fn fork(&self) -> Self {
        let disks = self.0.disks.borrow();
        let disks = disks.iter().map(|(name, disk)| (name.clone(), Rc::new((**disk).clone()))).collect();
        let inner = Inner {
            clock: self.0.clock.clone(),
            skew: self.0.skew.clone(),
            dice: self.0.dice.clone(),
            replica: self.0.replica.clone(),
            disks: RefCell::new(disks),
            ..Inner::default()
        };
        Self(Rc::new(inner))
    }

    /// A signature of a key of the server's own, over whatever the test says.
    pub fn sign_with(&self, kid: &str, message: &str) -> String {
        let jwk = self.0.keys.borrow()[kid].clone();
        edgemint::crypto::text(&signing::sign(Algorithm::Es256, &jwk, message.as_bytes()))
    }

    /// The isolate ends, and with it the private keys that it had opened.
    pub fn forget_keys(&self) {
        self.0.keys.borrow_mut().clear();
    }

    /// What a server elsewhere answers at an address. Where nothing was put, nobody answers.
    pub fn put_elsewhere(&self, address: &str, answer: Fetched) {
        self.0.elsewhere.borrow_mut().insert(address.to_owned(), answer);
    }

    /// Addresses elsewhere that were asked since the last call.
    pub fn fetched(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.address).collect()
    }

    /// What was asked elsewhere since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.asked.borrow_mut())
    }

    /// Whether nobody elsewhere answers in time.
    pub fn late(&self, late: bool) {
        self.0.late.set(late);
    }

    /// What happens while servers elsewhere are asked: each once, in the order of the calls.
    pub fn meanwhile(&self, happens: impl FnOnce() + 'static) {
        self.0.meanwhile.borrow_mut().insert(0, Box::new(happens));
    }

    /// A record lands in the replica, whoever wrote it.
    pub fn land(&self, key: &str, value: &str) {
        self.0.replica.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    /// Lets time pass.
    pub fn pass(&self, length: Seconds) {
        self.0.clock.set(self.0.clock.get() + length.0 * 1000);
    }

    /// Lets less than a second pass, or some of them and a part.
    pub fn pass_milliseconds(&self, length: u64) {
        self.0.clock.set(self.0.clock.get() + length);
    }

    /// The objects' clocks go this many milliseconds before (or behind) the edge's.
    pub fn skew(&self, milliseconds: i64) {
        self.0.skew.set(milliseconds);
    }

    /// Whether the replica stays as it is, whatever is written.
    pub fn freeze_replica(&self, frozen: bool) {
        self.0.frozen.set(frozen);
    }

    /// The next so many writes to the replica fail.
    pub fn fail_puts(&self, count: u32) {
        self.0.failing_puts.set(count);
    }

    /// Keys of the writes to the replica that were tried, in order.
    pub fn puts(&self) -> Vec<String> {
        self.0.puts.borrow().clone()
    }

    /// A record of the replica.
    pub fn copy(&self, key: &str) -> Option<String> {
        self.0.replica.borrow().get(key).cloned()
    }

    /// What happens to the next deliveries to objects of one binding; afterwards all are answered.
    pub fn fate(&self, binding: &'static str, fates: &[Fate]) {
        let fates = fates.iter().rev().copied().collect();
        self.0.fates.borrow_mut().insert(binding, fates);
    }

    /// Operations that the edge asked of storage since the last call: `GRANTS`, `ACCOUNTS`, `REGISTRY`, `replica`.
    /// What objects ask of each other is not among them.
    pub fn operations(&self) -> Vec<String> {
        std::mem::take(&mut self.0.operations.borrow_mut())
    }

    /// Events of the log since the last call.
    pub fn events(&self) -> Vec<Value> {
        let lines = std::mem::take(&mut *self.0.log.borrow_mut());
        lines.iter().map(|line| serde_json::from_str(line).expect("the log is JSON")).collect()
    }

    /// The disks of one binding.
    pub fn disks(&self, binding: &'static str) -> Vec<(String, Rc<Disk>)> {
        let disks = self.0.disks.borrow();
        disks
            .iter()
            .filter(|((of, _), _)| *of == binding)
            .map(|((_, name), disk)| (name.clone(), disk.clone()))
            .collect()
    }

    /// Everything that is kept anywhere, as one text.
    pub fn dump(&self) -> String {
        let disks = self.0.disks.borrow();
        let disks =
            disks.iter().map(|((binding, name), disk)| format!("{binding} {name} {:?}", disk.0.borrow()));
        format!("{:?}\n{}", self.0.replica.borrow(), disks.collect::<Vec<_>>().join("\n"))
    }

    /// As [`World::dump`], but for what counts failures by address: that a refusal is counted is no change.
    pub fn dump_of_all_but_counts(&self) -> String {
        let disks = self.0.disks.borrow();
        let rows = disks.iter().flat_map(|((binding, name), disk)| {
            let tables = disk.0.borrow();
            let tables = tables
                .iter()
                .filter(|(table, _)| !table.starts_with("strikes") && !table.starts_with("tally"));
            tables.map(|(table, rows)| format!("{binding} {name} {table} {rows:?}")).collect::<Vec<_>>()
        });
        format!("{:?}\n{}", self.0.replica.borrow(), rows.collect::<Vec<_>>().join("\n"))
    }

    /// Rings every alarm that is due, once each. Gives how many rang.
    pub fn ring(&self) -> usize {
        let disks: Vec<_> = self.0.disks.borrow().keys().cloned().collect();
        disks
            .into_iter()
            .filter(|(binding, name)| match *binding {
                "GRANTS" => self.ring_one::<GrantShard>(name),
                "ACCOUNTS" => self.ring_one::<AccountShard>(name),
                "CONNECTIONS" => self.ring_one::<Connection>(name),
                _ => self.ring_one::<Registry>(name),
            })
            .count()
    }

    fn ring_one<O: Object>(&self, name: &str) -> bool {
        let disk = self.disk(O::BINDING, name);
        let inside = Inside(self.clone());
        let due = O::wake(&*disk).expect("a disk in memory does not fail");
        if due.is_none_or(|due| due > inside.now()) {
            return false;
        }
        now(objects::alarm::<O, _, _>(&inside, &*disk));
        true
    }

    /// Delivers one message to an object as it stands, and gives its answer: for the same message twice.
    pub fn deliver_raw<O: Object>(&self, name: &str, message: &str) -> String {
        let disk = self.disk(O::BINDING, name);
        now(objects::serve::<O, _, _>(&Inside(self.clone()), &*disk, name, message))
    }

    /// The disk of an object.
    pub fn disk(&self, binding: &'static str, name: &str) -> Rc<Disk> {
        self.0.disks.borrow_mut().entry((binding, name.to_owned())).or_default().clone()
    }
}

impl Host for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.clock.get())
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0.dice.set(self.0.dice.get() + 1);
            // Not random, but all different in every byte: Knuth's multiplicative hash of a counter.
            let number = self.0.dice.get().wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    fn log(&self, line: &str) {
        self.0.log.borrow_mut().push(line.to_owned());
    }

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        self.0.operations.borrow_mut().push(to.binding.to_owned());
        Inside(self.clone()).deliver(to, message).await
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        self.0.operations.borrow_mut().push("replica".to_owned());
        Ok(self.copy(key))
    }

    async fn fetch(&self, asked: &Asked) -> Result<Fetched, Away> {
        self.0.asked.borrow_mut().push(asked.clone());
        let happens = self.0.meanwhile.borrow_mut().pop();
        if let Some(happens) = happens {
            happens();
        }
        if self.0.late.get() {
            return Err(Away::Late);
        }
        let answer = self.0.elsewhere.borrow().get(&asked.address).cloned();
        let answer = answer.ok_or_else(|| Away::Lost("nobody answers there".to_owned()))?;
        let body = answer.body.filter(|body| body.len() <= asked.most);
        Ok(Fetched { body, ..answer })
    }

    async fn generate_key(&self, algorithm: Algorithm) -> Result<Jwk, Fault> {
        Ok(signing::generate(algorithm))
    }

    async fn sign(
        &self,
        (algorithm, kid): (Algorithm, &str),
        open: impl FnOnce() -> Option<Jwk>,
        message: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let known = self.0.keys.borrow().get(kid).cloned();
        let jwk = known.or_else(open).ok_or_else(|| Fault::new("the private key is not to be had"))?;
        self.0.keys.borrow_mut().insert(kid.to_owned(), jwk.clone());
        Ok(signing::sign(algorithm, &jwk, message))
    }

    async fn verify(
        &self,
        (algorithm, public): (Algorithm, &Jwk),
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Fault> {
        // As the runtime does.
        if algorithm == Algorithm::EdDsa && signature.len() != 64 {
            return Err(Fault::new(format!("Invalid Ed25519 signature length {}", signature.len())));
        }
        Ok(signing::verify(algorithm, public, message, signature))
    }

    async fn write_copy(&self, _: &str, _: &str) -> Result<(), Fault> {
        panic!("the edge never writes the replica: the registry does")
    }
}

/// The same world, seen by an object.
#[derive(Clone)]
struct Inside(World);

impl Host for Inside {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.0.clock.get().saturating_add_signed(self.0.0.skew.get()))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn log(&self, line: &str) {
        self.0.log(line);
    }

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        let world = &self.0;
        let fate =
            world.0.fates.borrow_mut().get_mut(to.binding).and_then(Vec::pop).unwrap_or(Fate::Answered);
        if fate == Fate::Lost {
            return Err(Fault::new("lost on the way"));
        }
        let disk = world.disk(to.binding, &to.name);
        let (inside, name) = (self.clone(), to.name.clone());
        let serve: Pin<Box<dyn Future<Output = String>>> =
            match to.binding {
                "GRANTS" => Box::pin(async move {
                    objects::serve::<GrantShard, _, _>(&inside, &*disk, &name, &message).await
                }),
                "ACCOUNTS" => Box::pin(async move {
                    objects::serve::<AccountShard, _, _>(&inside, &*disk, &name, &message).await
                }),
                "CONNECTIONS" => Box::pin(async move {
                    objects::serve::<Connection, _, _>(&inside, &*disk, &name, &message).await
                }),
                _ => Box::pin(async move {
                    objects::serve::<Registry, _, _>(&inside, &*disk, &name, &message).await
                }),
            };
        let answer = serve.await;
        if fate == Fate::Unanswered { Err(Fault::new("the answer was lost")) } else { Ok(answer) }
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.0.copy(key))
    }

    async fn fetch(&self, asked: &Asked) -> Result<Fetched, Away> {
        self.0.fetch(asked).await
    }

    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault> {
        let inner = &self.0.0;
        inner.puts.borrow_mut().push(key.to_owned());
        if inner.failing_puts.get() > 0 {
            inner.failing_puts.set(inner.failing_puts.get() - 1);
            return Err(Fault::new("429 from the replica"));
        }
        if !inner.frozen.get() {
            inner.replica.borrow_mut().insert(key.to_owned(), value.to_owned());
        }
        Ok(())
    }
}
