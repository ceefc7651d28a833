//! A database in memory, gone with its page: for tests, and for what need not last.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::records::{Batch, Page, Quota, Records, Table};

type Rows = BTreeMap<String, Vec<u8>>;

/// A database in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryRecords {
    tables: RefCell<BTreeMap<Table, Rows>>,
    used: Cell<u64>,
    most: Cell<Option<u64>>,
}

impl MemoryRecords {
    /// One that has room for so many bytes of records, keys not counted.
    pub fn with_quota(most: u64) -> Self {
        let records = Self::default();
        records.set_quota(Some(most));
        records
    }

    /// Changes how many bytes there is room for.
    pub fn set_quota(&self, most: Option<u64>) {
        self.most.set(most);
    }

    /// Lets `change` change a record's bytes behind Atlas's back, as a broken disk does. Whether there is such a record.
    pub fn damage(&self, table: Table, key: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut tables = self.tables.borrow_mut();
        let bytes = tables.get_mut(&table).and_then(|rows| rows.get_mut(key));
        bytes.map(change).is_some()
    }

    /// Takes a record out behind Atlas's back. Whether there was one.
    pub fn lose(&self, table: Table, key: &str) -> bool {
        let mut tables = self.tables.borrow_mut();
        tables
            .get_mut(&table)
            .is_some_and(|rows| rows.remove(key).is_some())
    }

    fn page<T>(&self, table: Table, page: &Page, take: impl Fn(&String, &Vec<u8>) -> T) -> Vec<T> {
        let tables = self.tables.borrow();
        let Some(rows) = tables.get(&table) else {
            return Vec::new();
        };
        let start = match &page.after {
            Some(after) if *after >= page.prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(page.prefix.as_str()),
        };
        rows.range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&page.prefix))
            .take(page.most)
            .map(|(key, bytes)| take(key, bytes))
            .collect()
    }
}

#[async_trait(?Send)]
impl Records for MemoryRecords {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let tables = self.tables.borrow();
        Ok(tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    async fn contains(&self, table: Table, key: &str) -> Result<bool, StoreError> {
        let tables = self.tables.borrow();
        Ok(tables.get(&table).is_some_and(|rows| rows.contains_key(key)))
    }

    async fn keys(&self, table: Table, page: &Page) -> Result<Vec<String>, StoreError> {
        Ok(self.page(table, page, |key, _| key.clone()))
    }

    async fn records(&self, table: Table, page: &Page) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        Ok(self.page(table, page, |key, bytes| (key.clone(), bytes.clone())))
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut tables = self.tables.borrow_mut();
        let size = |table: &Table, key: &String| {
            let bytes = tables.get(table).and_then(|rows| rows.get(key));
            bytes.map_or(0, |bytes| bytes.len() as u64)
        };
        let replaced = batch.puts.iter().map(|(table, key, _)| (table, key));
        let gone = batch.deletes.iter().map(|(table, key)| (table, key));
        let freed: u64 = gone.chain(replaced).map(|(table, key)| size(table, key)).sum();
        let taken: u64 = batch.puts.iter().map(|(_, _, bytes)| bytes.len() as u64).sum();
        let used = (self.used.get() + taken).saturating_sub(freed);
        if let Some(most) = self.most.get().filter(|most| taken > freed && used > *most) {
            let reason = format!("{used} bytes would be used of {most}");
            return Err(StoreError::NoSpace { reason });
        }
        for (table, key) in batch.deletes {
            tables.entry(table).or_default().remove(&key);
        }
        for (table, key, bytes) in batch.puts {
            tables.entry(table).or_default().insert(key, bytes);
        }
        self.used.set(used);
        Ok(())
    }

    async fn quota(&self) -> Result<Quota, StoreError> {
        Ok(Quota {
            used: self.used.get(),
            total: self.most.get().unwrap_or(u64::MAX),
        })
    }
}
