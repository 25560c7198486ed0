//! A [`Store`] that remembers rows: only the object itself writes them, so what it read or wrote is what is there. Asking the
//! database costs a turn several times what deciding does.

use crate::{
    error::Fault,
    host::{Row, Store},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    mem,
};

/// The most that one generation of rows takes, in bytes: an object has two of these, and an isolate several objects.
const MOST: usize = 1 << 20;
/// What an entry takes beside its texts.
const ENTRY: usize = 64;

/// Rows, and that there are none, by where they are.
type Rows = HashMap<String, Option<String>>;

/// It lives as long as its object, and forgets what was not asked for lately.
pub struct Remembered<S> {
    store: S,
    young: RefCell<Rows>,
    old: RefCell<Rows>,
    bytes: Cell<usize>,
}

impl<S: Store> Remembered<S> {
    /// Nothing is known yet.
    pub fn new(store: S) -> Self {
        Self { store, young: RefCell::default(), old: RefCell::default(), bytes: Cell::new(0) }
    }

    /// Where the rows are.
    pub const fn store(&self) -> &S {
        &self.store
    }

    fn remember(&self, place: String, row: Option<String>) {
        let bytes = self.bytes.get() + ENTRY + place.len() + row.as_ref().map_or(0, String::len);
        if bytes > MOST {
            self.old.replace(mem::take(&mut *self.young.borrow_mut()));
            self.bytes.set(0);
        } else {
            self.bytes.set(bytes);
        }
        self.young.borrow_mut().insert(place, row);
    }

    /// What may have happened to the row is read again.
    fn forget(&self, place: &str) {
        self.young.borrow_mut().remove(place);
        self.old.borrow_mut().remove(place);
    }
}

/// The name of a table has no space in it.
fn place(table: &str, owner: &str, key: &str) -> String {
    format!("{table} {} {owner}{key}", owner.len())
}

impl<S: Store> Store for Remembered<S> {
    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault> {
        let place = place(table, owner, key);
        if let Some(row) = self.young.borrow().get(&place) {
            return Ok(row.clone());
        }
        let known = self.old.borrow_mut().remove(&place);
        let row = match known {
            Some(row) => row,
            None => self.store.get(table, owner, key)?,
        };
        self.remember(place, row.clone());
        Ok(row)
    }

    fn put(&self, table: &str, owner: &str, key: &str, row: &str) -> Result<(), Fault> {
        let place = place(table, owner, key);
        self.forget(&place);
        self.store.put(table, owner, key, row)?;
        self.remember(place, Some(row.to_owned()));
        Ok(())
    }

    fn delete(&self, table: &str, owner: &str, key: &str) -> Result<(), Fault> {
        let place = place(table, owner, key);
        self.forget(&place);
        self.store.delete(table, owner, key)
    }

    fn scan(
        &self,
        table: &str,
        owner: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        self.store.scan(table, owner, after, limit)
    }

    fn search(
        &self,
        table: &str,
        text: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        self.store.search(table, text, after, limit)
    }

    fn tables(&self) -> Result<Vec<String>, Fault> {
        self.store.tables()
    }

    fn drop_table(&self, table: &str) -> Result<(), Fault> {
        // Rare, and of a table of which hardly anything was asked lately.
        for rows in [&self.young, &self.old] {
            rows.borrow_mut().clear();
        }
        self.bytes.set(0);
        self.store.drop_table(table)
    }

    fn life(&self) -> &str {
        self.store.life()
    }

    fn size(&self) -> Result<u64, Fault> {
        self.store.size()
    }
}
