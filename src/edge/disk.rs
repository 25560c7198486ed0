//! [`Store`] over the SQLite database of a Durable Object.
//!
//! Every table is `(owner, key) → row`, `WITHOUT ROWID`, without an index beside: one row written is one row billed, and
//! a dropped table is none.

use crate::{
    error::Fault,
    host::{Row, Store},
    list::List as _,
    model::place::Table,
    sorted::Set,
};
use std::cell::{Cell, RefCell};
use worker::{SqlStorage, SqlStorageValue};

pub struct Disk {
    sql: SqlStorage,
    /// The names of the tables there are, read once: a name is small, and only this object makes and drops them.
    tables: RefCell<Option<Set<String>>>,
    /// Drawn when the object began to live.
    life: String,
    /// A table came or went, or a row of one that does not end by itself, since somebody looked.
    touched: Cell<bool>,
}

/// More rows than any scan asks for and JavaScript can count.
const ALL: i64 = 1_000_000_000;

impl Disk {
    pub fn open(sql: SqlStorage, life: String) -> Self {
        Self { sql, tables: RefCell::new(None), life, touched: Cell::new(true) }
    }

    /// Whether anything was written, since [`Disk::settle`], on which the next alarm can depend.
    pub fn is_touched(&self) -> bool {
        self.touched.get()
    }

    /// Somebody has looked.
    pub fn settle(&self) {
        self.touched.set(false);
    }

    fn touch(&self, table: &str) {
        if Table::parse(table).is_none() {
            self.touched.set(true);
        }
    }

    fn rows(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<Vec<Vec<String>>, Fault> {
        let cursor = self.sql.exec(query, values)?;
        let mut rows = Vec::new();
        for row in cursor.raw() {
            let texts = row?.into_iter().map(|value| match value {
                SqlStorageValue::String(text) => Ok(text),
                _ => Err(Fault::new("a column is not text")),
            });
            rows.push(texts.list_or_error()?);
        }
        Ok(rows)
    }

    fn triples(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<Vec<Row>, Fault> {
        let triple = |columns: Vec<String>| {
            let [owner, key, row] =
                <[String; 3]>::try_from(columns).map_err(|_| Fault::new("a row has other columns"))?;
            Ok((owner, key, row))
        };
        self.rows(query, values)?.into_iter().map(triple).list_or_error()
    }

    fn known(&self) -> Result<Set<String>, Fault> {
        if let Some(known) = self.tables.borrow().as_ref() {
            return Ok(known.clone());
        }
        let query =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'";
        let names: Set<String> = self.rows(query, Vec::new())?.into_iter().flatten().collect();
        *self.tables.borrow_mut() = Some(names.clone());
        Ok(names)
    }

    fn has(&self, table: &str) -> Result<bool, Fault> {
        if let Some(known) = self.tables.borrow().as_ref() {
            return Ok(known.contains(table));
        }
        Ok(self.known()?.contains(table))
    }
}

/// Table names are made by `model::place` and constants, of lower-case letters, digits and underscores; anything else is
/// refused, so none can be a piece of SQL.
fn quoted(table: &str) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if table.bytes().all(plain) { Ok(format!("\"{table}\"")) } else { Err(Fault::new("not a table's name")) }
}

impl Store for Disk {
    fn life(&self) -> &str {
        &self.life
    }

    fn get(&self, table: &str, owner: &str, key: &str) -> Result<Option<String>, Fault> {
        if !self.has(table)? {
            return Ok(None);
        }
        let query = format!("SELECT row FROM {} WHERE owner = ? AND key = ?", quoted(table)?);
        Ok(self.rows(&query, vec![owner.into(), key.into()])?.into_iter().flatten().next())
    }

    fn put(&self, table: &str, owner: &str, key: &str, row: &str) -> Result<(), Fault> {
        let name = quoted(table)?;
        if !self.has(table)? {
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {name} (owner TEXT NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, \
                 PRIMARY KEY (owner, key)) WITHOUT ROWID"
            );
            self.rows(&create, Vec::new())?;
            self.touched.set(true);
            if let Some(known) = self.tables.borrow_mut().as_mut() {
                known.insert(table.to_owned());
            }
        }
        self.touch(table);
        let query = format!(
            "INSERT INTO {name} (owner, key, row) VALUES (?, ?, ?) ON CONFLICT (owner, key) DO UPDATE SET row = excluded.row"
        );
        self.rows(&query, vec![owner.into(), key.into(), row.into()]).map(|_| ())
    }

    fn delete(&self, table: &str, owner: &str, key: &str) -> Result<(), Fault> {
        if !self.has(table)? {
            return Ok(());
        }
        self.touch(table);
        let query = format!("DELETE FROM {} WHERE owner = ? AND key = ?", quoted(table)?);
        self.rows(&query, vec![owner.into(), key.into()]).map(|_| ())
    }

    fn scan(
        &self,
        table: &str,
        owner: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        if !self.has(table)? {
            return Ok(Vec::new());
        }
        let mut conditions = Vec::new();
        let mut values: Vec<SqlStorageValue> = Vec::new();
        if let Some(owner) = owner {
            conditions.push("owner = ?");
            values.push(owner.into());
        }
        if let Some((owner, key)) = after {
            conditions.push("(owner, key) > (?, ?)");
            values.extend([owner.into(), key.into()]);
        }
        let filter = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
        values.push(i64::try_from(limit).unwrap_or(ALL).min(ALL).into());
        let query = format!(
            "SELECT owner, key, row FROM {} WHERE {filter} ORDER BY owner, key LIMIT ?",
            quoted(table)?
        );
        self.triples(&query, values)
    }

    fn search(
        &self,
        table: &str,
        text: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        if !self.has(table)? {
            return Ok(Vec::new());
        }
        let (owner, key) = after.unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(ALL).min(ALL);
        let query = format!(
            "SELECT owner, key, row FROM {} WHERE (owner, key) > (?, ?) AND instr(row, ?) > 0 ORDER BY owner, key LIMIT ?",
            quoted(table)?
        );
        self.triples(&query, vec![owner.into(), key.into(), text.into(), limit.into()])
    }

    fn tables(&self) -> Result<Vec<String>, Fault> {
        Ok(self.known()?.into_iter().list())
    }

    fn size(&self) -> Result<u64, Fault> {
        Ok(self.sql.database_size() as u64)
    }

    fn drop_table(&self, table: &str) -> Result<(), Fault> {
        self.touch(table);
        self.touched.set(true);
        self.rows(&format!("DROP TABLE IF EXISTS {}", quoted(table)?), Vec::new())?;
        // Their names are read again: this is rare, and the code that takes one out of a set is large.
        *self.tables.borrow_mut() = None;
        Ok(())
    }
}
