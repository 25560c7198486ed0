//! A [`Store`] that remembers rows: only the object itself writes them, so what it read or wrote is what is there. Asking the
//! database costs a turn several times what deciding does.

use crate::{
    error::Fault,
    host::{Row, Store},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

/// The most that one generation of rows takes, in bytes: an object has two of these.
const MOST: usize = 1 << 20;
/// The most that all objects of an isolate take: it has 128 MB, and objects that nobody asks for hold theirs for a while.
const ALL: usize = 24 << 20;
/// What an entry takes beside its texts.
const ENTRY: usize = 64;

thread_local! {
    /// What all objects of this isolate take.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// Rows, and that there are none, by where they are; and what they take.
#[derive(Default)]
struct Rows {
    rows: HashMap<String, Option<String>>,
    bytes: usize,
}

impl Rows {
    fn insert(&mut self, place: String, row: Option<String>, bytes: usize) {
        self.bytes += bytes;
        TAKEN.set(TAKEN.get() + bytes);
        self.rows.insert(place, row);
    }

    fn forget(&mut self, place: &str) {
        if let Some(row) = self.rows.remove(place) {
            let bytes = weigh(place, row.as_deref());
            self.bytes = self.bytes.saturating_sub(bytes);
            TAKEN.set(TAKEN.get().saturating_sub(bytes));
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        TAKEN.set(TAKEN.get().saturating_sub(self.bytes));
    }
}

/// What an entry takes.
fn weigh(place: &str, row: Option<&str>) -> usize {
    ENTRY + place.len() + row.map_or(0, str::len)
}

/// It lives as long as its object, and forgets what was not asked for lately.
pub struct Remembered<S> {
    store: S,
    young: RefCell<Rows>,
    old: RefCell<Rows>,
}

impl<S: Store> Remembered<S> {
    /// Nothing is known yet.
    pub fn new(store: S) -> Self {
        Self { store, young: RefCell::default(), old: RefCell::default() }
    }

    /// Where the rows are.
    pub const fn store(&self) -> &S {
        &self.store
    }

    fn remember(&self, place: String, row: Option<String>) {
        let bytes = weigh(&place, row.as_deref());
        if TAKEN.get() + bytes > ALL {
            self.forget_all();
        }
        if self.young.borrow().bytes + bytes > MOST {
            self.old.replace(self.young.take());
        }
        // What is larger than all that may be kept is not.
        if bytes <= MOST && TAKEN.get() + bytes <= ALL {
            self.young.borrow_mut().insert(place, row, bytes);
        }
    }

    /// What may have happened to the row is read again.
    fn forget(&self, place: &str) {
        self.young.borrow_mut().forget(place);
        self.old.borrow_mut().forget(place);
    }

    fn forget_all(&self) {
        self.young.take();
        self.old.take();
    }
}

/// The name of a table has no space in it.
fn place(table: &str, owner: &str, key: &str) -> String {
    format!("{table} {} {owner}{key}", owner.len())
}

impl<S: Store> Store for Remembered<S> {
    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault> {
        let place = place(table, owner, key);
        if let Some(row) = self.young.borrow().rows.get(&place) {
            return Ok(row.clone());
        }
        let known = self.old.borrow().rows.get(&place).cloned();
        self.old.borrow_mut().forget(&place);
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
        self.forget_all();
        self.store.drop_table(table)
    }

    fn life(&self) -> &str {
        self.store.life()
    }

    fn size(&self) -> Result<u64, Fault> {
        self.store.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose rows are all alike.
    struct Endless;

    impl Store for Endless {
        fn get(&self, _: &str, _: &str, _: &str) -> Result<Option<String>, Fault> {
            Ok(Some("x".repeat(1000)))
        }
        fn put(&self, _: &str, _: &str, _: &str, _: &str) -> Result<(), Fault> {
            Ok(())
        }
        fn delete(&self, _: &str, _: &str, _: &str) -> Result<(), Fault> {
            Ok(())
        }
        fn scan(
            &self,
            _: &str,
            _: Option<&str>,
            _: Option<(&str, &str)>,
            _: usize,
        ) -> Result<Vec<Row>, Fault> {
            Ok(Vec::new())
        }
        fn tables(&self) -> Result<Vec<String>, Fault> {
            Ok(Vec::new())
        }
        fn drop_table(&self, _: &str) -> Result<(), Fault> {
            Ok(())
        }
        fn life(&self) -> &'static str {
            ""
        }
        fn size(&self) -> Result<u64, Fault> {
            Ok(0)
        }
    }

    #[test]
    fn objects_of_an_isolate_remember_no_more_than_it_has_room_for_and_give_it_back() {
        let objects: Vec<_> = (0..40).map(|_| Remembered::new(Endless)).collect();
        for key in 0..3000 {
            for object in &objects {
                assert!(object.get("a", "", &key.to_string()).is_ok());
                assert!(TAKEN.get() <= ALL);
            }
        }
        assert!(TAKEN.get() > ALL / 2, "{}", TAKEN.get());
        assert!(objects.iter().all(|object| object.young.borrow().bytes <= MOST));
        drop(objects);
        assert_eq!(TAKEN.get(), 0);
    }

    #[test]
    fn a_row_that_is_written_again_and_again_takes_the_place_of_one() {
        let object = Remembered::new(Endless);
        let row = "y".repeat(1000);
        assert!(object.put("a", "", "kept", &row).is_ok());
        for _ in 0..3000 {
            assert!(object.put("a", "", "busy", &row).is_ok());
        }
        let kept = object.get("a", "", "kept").ok().flatten();
        assert_eq!(kept, Some(row), "remembered: the store would have said another");
        assert_eq!(object.young.borrow().bytes, 2 * (ENTRY + 1000) + "a 0 kept".len() + "a 0 busy".len());
    }
}
