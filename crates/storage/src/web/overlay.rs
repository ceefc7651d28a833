//! [`Blocks`] in IndexedDB.

use std::cell::RefCell;

use async_trait::async_trait;
use futures_util::future::try_join3;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{IdbObjectStore, IdbTransaction};

use super::database::{
    BLOCKS, DISKS, Database, JOURNAL, all_of, data, disk_key, done, field, hold, put, range, result,
    store_error, store_failed,
};
use super::lock::Lock;
use crate::device::BlockError;
use crate::overlay::store::{Batch, Blocks, Kept};

/// The changes of a VM's disk, in IndexedDB. While it lives, nobody else can open the same.
pub struct IndexedDbOverlay {
    id: String,
    /// Nothing once it is closed.
    held: RefCell<Option<(Database, Lock)>>,
}

impl IndexedDbOverlay {
    /// The changes of the disk `disk_id` of the VM `vm_id`; neither has a colon in it.
    ///
    /// # Errors
    /// [`BlockError::Busy`] when somebody has it open, [`BlockError::Store`].
    pub async fn open(database: &Database, vm_id: &str, disk_id: &str) -> Result<Self, BlockError> {
        let id = disk_key(vm_id, disk_id)?;
        let lock = hold(&id).await?;
        Ok(Self {
            id,
            held: RefCell::new(Some((database.clone(), lock))),
        })
    }

    fn transaction(&self, stores: &[&str], writes: bool) -> Result<IdbTransaction, BlockError> {
        match &*self.held.borrow() {
            Some((database, _)) => database.transaction(&self.id, stores, writes),
            None => Err(BlockError::Closed { id: self.id.clone() }),
        }
    }

    fn failed(&self, exception: &JsValue) -> BlockError {
        store_error(&self.id, exception)
    }

    fn key(&self, number: u64) -> String {
        format!("{}:{number:014}", self.id)
    }

    fn number(&self, key: &JsValue) -> Result<u64, BlockError> {
        let key = key.as_string().unwrap_or_default();
        let number = key.rsplit(':').next().and_then(|number| number.parse().ok());
        number.ok_or_else(|| self.foreign("a key that ends in a number", &key))
    }

    fn foreign(&self, expected: &str, found: &str) -> BlockError {
        BlockError::Foreign {
            id: self.id.clone(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn bytes(&self, value: &JsValue) -> Result<Vec<u8>, BlockError> {
        data(value).ok_or_else(|| self.foreign("bytes", &format!("{value:?}")))
    }

    async fn read(&self) -> Result<(JsValue, Array, Array), JsValue> {
        let transaction = self
            .transaction(&[BLOCKS, JOURNAL, DISKS], false)
            .map_err(|error| JsValue::from(error.to_string()))?;
        let all = all_of(&self.id)?;
        let header = transaction.object_store(DISKS)?.get(&self.id.as_str().into())?;
        let blocks = transaction.object_store(BLOCKS)?.get_all_keys_with_key(&all)?;
        let journal = transaction.object_store(JOURNAL)?.get_all_with_key(&all)?;
        // At once, so that none is over before somebody listens.
        let (header, blocks, journal) = try_join3(result(&header), result(&blocks), result(&journal)).await?;
        Ok((header, blocks.unchecked_into(), journal.unchecked_into()))
    }

    fn write(&self, transaction: &IdbTransaction, batch: &Batch) -> Result<(), JsValue> {
        let store = |name: &str| -> Result<IdbObjectStore, JsValue> { transaction.object_store(name) };
        if let Some(header) = &batch.header {
            put(&store(DISKS)?, &self.id, &self.id, header)?;
        }
        let blocks = store(BLOCKS)?;
        for (block, bytes) in &batch.puts {
            put(&blocks, &self.id, &self.key(*block), bytes)?;
        }
        for &block in &batch.deletes {
            blocks.delete(&self.key(block).into())?;
        }
        let journal = store(JOURNAL)?;
        if let Some(last) = batch.trim {
            journal.delete(&range(&self.key(0), &self.key(last), false)?)?;
        }
        if let Some((number, bytes)) = &batch.journal {
            put(&journal, &self.id, &self.key(*number), bytes)?;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Blocks for IndexedDbOverlay {
    fn id(&self) -> &str {
        &self.id
    }

    async fn open(&self) -> Result<Kept, BlockError> {
        let (header, blocks, journal) = self.read().await.map_err(|error| self.failed(&error))?;
        let header = if header.is_undefined() {
            None
        } else {
            Some(self.bytes(&header)?)
        };
        let blocks = blocks
            .iter()
            .map(|key| self.number(&key))
            .collect::<Result<_, _>>()?;
        let journal = journal.iter().map(|entry| {
            let number = self.number(&field(&entry, "key"))?;
            Ok((number, self.bytes(&entry)?))
        });
        Ok(Kept {
            header,
            blocks,
            journal: journal.collect::<Result<_, BlockError>>()?,
        })
    }

    async fn get(&self, block: u64) -> Result<Option<Vec<u8>>, BlockError> {
        let transaction = self.transaction(&[BLOCKS], false)?;
        let read = async {
            let request = transaction.object_store(BLOCKS)?.get(&self.key(block).into())?;
            result(&request).await
        };
        let value = read.await.map_err(|error| self.failed(&error))?;
        if value.is_undefined() {
            Ok(None)
        } else {
            self.bytes(&value).map(Some)
        }
    }

    async fn commit(&self, batch: Batch) -> Result<(), BlockError> {
        let transaction = self.transaction(&[BLOCKS, JOURNAL, DISKS], true)?;
        if let Err(exception) = self.write(&transaction, &batch) {
            // Fails if the browser has ended it already.
            let _ = transaction.abort();
            return Err(self.failed(&exception));
        }
        done(&transaction)
            .await
            .map_err(|exception| match exception.is_falsy() {
                true => store_failed(&self.id, "the browser gave the transaction up"),
                false => self.failed(&exception),
            })
    }

    fn close(&self) {
        self.held.borrow_mut().take();
    }
}
