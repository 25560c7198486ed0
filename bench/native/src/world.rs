//! A world in memory, in which every operation is counted: objects on maps, a replica, dice of the machine.

use edgemint::{
    error::Fault,
    host::{Algorithm, Host, Jwk, Place, Row, Store, Timestamp},
    objects::{
        self,
        protocol::{
            account_shard::AccountShard, connection::Connection, grant_shard::GrantShard, registry::Registry,
        },
    },
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Runs a future that never waits.
pub fn now<F: Future>(future: F) -> Option<F::Output> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// How often each kind of operation happened.
pub type Counts = BTreeMap<&'static str, u64>;

/// Rows by owner and key.
type Rows = BTreeMap<(String, String), String>;

/// Tables of rows.
#[derive(Default)]
pub struct Disk {
    tables: RefCell<BTreeMap<String, Rows>>,
    counts: Rc<RefCell<Counts>>,
}

impl Disk {
    fn count(&self, what: &'static str, times: usize) {
        *self.counts.borrow_mut().entry(what).or_default() += times as u64;
    }

    /// Takes all rows of tables of one sort, so that the next ones are told apart.
    pub fn take(&self, sort: &str) -> Vec<(String, Row)> {
        let mut taken = Vec::new();
        for (table, rows) in self.tables.borrow_mut().iter_mut().filter(|(name, _)| name.starts_with(sort)) {
            let rows = std::mem::take(rows).into_iter();
            taken.extend(rows.map(|((owner, key), row)| (table.clone(), (owner, key, row))));
        }
        taken
    }
}

impl Store for Disk {
    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault> {
        let tables = self.tables.borrow();
        let found = tables.get(table).and_then(|rows| rows.get(&(owner.to_owned(), key.to_owned()))).cloned();
        self.count("rows read", usize::from(found.is_some()));
        Ok(found)
    }

    fn put(&self, table: &str, owner: &str, key: &str, row: &str) -> Result<(), Fault> {
        self.count("rows written", 1);
        let mut tables = self.tables.borrow_mut();
        let rows = tables.entry(table.to_owned()).or_default();
        rows.insert((owner.to_owned(), key.to_owned()), row.to_owned());
        Ok(())
    }

    fn delete(&self, table: &str, owner: &str, key: &str) -> Result<(), Fault> {
        if let Some(rows) = self.tables.borrow_mut().get_mut(table)
            && rows.remove(&(owner.to_owned(), key.to_owned())).is_some()
        {
            self.count("rows written", 1);
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
        let tables = self.tables.borrow();
        let Some(rows) = tables.get(table) else { return Ok(Vec::new()) };
        let rows = rows.iter().filter(|((own, key), _)| {
            owner.is_none_or(|owner| own == owner)
                && after.is_none_or(|after| (own.as_str(), key.as_str()) > after)
        });
        let found: Vec<Row> =
            rows.take(limit).map(|((owner, key), row)| (owner.clone(), key.clone(), row.clone())).collect();
        self.count("rows read", found.len());
        Ok(found)
    }

    fn tables(&self) -> Result<Vec<String>, Fault> {
        Ok(self.tables.borrow().keys().cloned().collect())
    }

    fn drop_table(&self, table: &str) -> Result<(), Fault> {
        self.tables.borrow_mut().remove(table);
        Ok(())
    }

    fn life(&self) -> &'static str {
        "the first"
    }

    fn size(&self) -> Result<u64, Fault> {
        Ok(0)
    }
}

/// The world. Clones are the same one.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    /// How far its clock is behind.
    ago: Cell<u64>,
    dice: RefCell<(File, Vec<u8>)>,
    replica: RefCell<BTreeMap<String, String>>,
    disks: RefCell<BTreeMap<(&'static str, String), Rc<Disk>>>,
    counts: Rc<RefCell<Counts>>,
}

impl World {
    /// An empty one, whose clock is so many seconds behind.
    pub fn new(ago: u64) -> std::io::Result<Self> {
        Ok(Self(Rc::new(Inner {
            ago: Cell::new(ago),
            dice: RefCell::new((File::open("/dev/urandom")?, Vec::new())),
            replica: RefCell::default(),
            disks: RefCell::default(),
            counts: Rc::default(),
        })))
    }

    /// What happened since the last call.
    pub fn counts(&self) -> Counts {
        std::mem::take(&mut *self.0.counts.borrow_mut())
    }

    /// The disk of an object.
    pub fn disk(&self, binding: &'static str, name: &str) -> Rc<Disk> {
        let mut disks = self.0.disks.borrow_mut();
        let new = || Rc::new(Disk { counts: Rc::clone(&self.0.counts), ..Disk::default() });
        Rc::clone(disks.entry((binding, name.to_owned())).or_insert_with(new))
    }

    fn count(&self, what: &'static str) {
        *self.0.counts.borrow_mut().entry(what).or_default() += 1;
    }
}

impl Host for World {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX) - self.0.ago.get() * 1000)
    }

    fn fill(&self, bytes: &mut [u8]) {
        let (source, drawn) = &mut *self.0.dice.borrow_mut();
        if drawn.len() < bytes.len() {
            drawn.resize(65_536, 0);
            source.read_exact(drawn).expect("the machine has dice");
        }
        bytes.copy_from_slice(&drawn.split_off(drawn.len() - bytes.len()));
    }

    fn log(&self, _: &str) {
        self.count("log lines");
    }

    async fn pause(&self, _: u64) {}

    async fn deliver(&self, to: &Place, message: String) -> Result<String, Fault> {
        self.count(match to.binding {
            "GRANTS" => "requests to GrantShard",
            "ACCOUNTS" => "requests to AccountShard",
            "REGISTRY" => "requests to Registry",
            _ => "requests to other objects",
        });
        let (world, disk, name) = (self.clone(), self.disk(to.binding, &to.name), to.name.clone());
        let serve: Pin<Box<dyn Future<Output = String>>> =
            match to.binding {
                "GRANTS" => Box::pin(async move {
                    objects::serve::<GrantShard, _, _>(&world, &*disk, &name, &message).await
                }),
                "ACCOUNTS" => Box::pin(async move {
                    objects::serve::<AccountShard, _, _>(&world, &*disk, &name, &message).await
                }),
                "CONNECTIONS" => Box::pin(async move {
                    objects::serve::<Connection, _, _>(&world, &*disk, &name, &message).await
                }),
                _ => Box::pin(async move {
                    objects::serve::<Registry, _, _>(&world, &*disk, &name, &message).await
                }),
            };
        Ok(serve.await)
    }

    async fn read_copy(&self, key: &str) -> Result<Option<String>, Fault> {
        self.count("KV reads");
        Ok(self.0.replica.borrow().get(key).cloned())
    }

    async fn write_copy(&self, key: &str, value: &str) -> Result<(), Fault> {
        self.count("KV writes");
        self.0.replica.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    // Nobody verifies what is signed here: it is counted.
    async fn generate_key(&self, _: Algorithm) -> Result<Jwk, Fault> {
        let members = [("kty", "EC"), ("crv", "P-256"), ("x", "AA"), ("y", "AA"), ("d", "AA")];
        Ok(members.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect())
    }

    async fn sign(
        &self,
        _: (Algorithm, &str),
        _: impl FnOnce() -> Option<Jwk>,
        _: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        self.count("signatures");
        Ok(vec![0; 64])
    }
}
