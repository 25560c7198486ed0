//! What an object remembers of its rows is what is there, whatever happens to them and however little is kept.

use crate::world::Disk;
use edgemint::{
    error::Fault,
    host::{Row, Store},
    objects::remembered::Remembered,
};
use proptest::{prelude::*, sample::select};
use std::{cell::Cell, rc::Rc};

/// A disk whose writes fail when told to: before they happen, or after.
#[derive(Clone, Default)]
struct Shaky {
    disk: Rc<Disk>,
    fate: Rc<Cell<Option<bool>>>,
    reads: Rc<Cell<usize>>,
}

impl Shaky {
    fn write(&self, write: impl FnOnce(&Disk) -> Result<(), Fault>) -> Result<(), Fault> {
        match self.fate.take() {
            None => write(&self.disk),
            Some(happens) => {
                if happens {
                    write(&self.disk)?;
                }
                Err(Fault::new("the disk is full"))
            }
        }
    }
}

impl Store for Shaky {
    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault> {
        self.reads.set(self.reads.get() + 1);
        self.disk.get(table, owner, key)
    }

    fn put(&self, table: &str, owner: &str, key: &str, row: &str) -> Result<(), Fault> {
        self.write(|disk| disk.put(table, owner, key, row))
    }

    fn delete(&self, table: &str, owner: &str, key: &str) -> Result<(), Fault> {
        self.write(|disk| disk.delete(table, owner, key))
    }

    fn scan(
        &self,
        table: &str,
        owner: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        self.disk.scan(table, owner, after, limit)
    }

    fn tables(&self) -> Result<Vec<String>, Fault> {
        self.disk.tables()
    }

    fn drop_table(&self, table: &str) -> Result<(), Fault> {
        self.write(|disk| disk.drop_table(table))
    }

    fn life(&self) -> &'static str {
        "the first"
    }

    fn size(&self) -> Result<u64, Fault> {
        self.disk.size()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Get,
    /// A row of so many bytes.
    Put(usize),
    Delete,
    Drop,
    /// The next write fails: before it happened, or after.
    Fail(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Get),
        // Few of the large ones fill a generation.
        3 => select(vec![0, 1, 1000, 300_000, 2_000_000]).prop_map(Step::Put),
        1 => Just(Step::Delete),
        1 => Just(Step::Drop),
        1 => any::<bool>().prop_map(Step::Fail),
    ]
}

/// Places that lie on each other where owner and key are written one behind the other.
const PLACES: &[(&str, &str, &str)] = &[
    ("a", "", ""),
    ("a", "x", "y"),
    ("a", "xy", ""),
    ("a", "", "xy"),
    ("a", "1 x", "y"),
    ("a_1", "x", "y"),
    ("a_1", "2", " xy"),
];

proptest! {
    #[test]
    fn what_an_object_remembers_of_a_row_is_what_is_there(
        steps in prop::collection::vec((select(PLACES), step()), 0..60),
    ) {
        let shaky = Shaky::default();
        let rows = Remembered::new(shaky.clone());
        for (at, ((table, owner, key), step)) in steps.into_iter().enumerate() {
            match step {
                Step::Get => {}
                Step::Put(bytes) => {
                    let row = char::from(b'a' + u8::try_from(at % 26).unwrap_or_default());
                    let _ = rows.put(table, owner, key, &String::from(row).repeat(bytes));
                }
                Step::Delete => {
                    let _ = rows.delete(table, owner, key);
                }
                Step::Drop => {
                    let _ = rows.drop_table(table);
                }
                Step::Fail(happens) => shaky.fate.set(Some(happens)),
            }
            for (table, owner, key) in PLACES {
                let (known, there) = (rows.get(table, owner, key).ok(), shaky.disk.get(table, owner, key).ok());
                prop_assert!(known == there, "{table} {owner} {key}");
            }
        }
    }
}

#[test]
fn a_row_is_read_once_and_again_when_much_was_asked_for_in_between() {
    let shaky = Shaky::default();
    let rows = Remembered::new(shaky.clone());
    let reads = |key: &str| {
        let before = shaky.reads.get();
        rows.get("a", "", key).unwrap();
        shaky.reads.get() - before
    };
    shaky.disk.put("a", "", "row", &"x".repeat(1000)).unwrap();
    assert_eq!([reads("row"), reads("row"), reads("none"), reads("none")], [1, 0, 1, 0]);
    for other in 0..5000 {
        rows.put("a", "", &other.to_string(), &"x".repeat(1000)).unwrap();
    }
    assert_eq!([reads("row"), reads("row"), reads("4999")], [1, 0, 0]);
}
