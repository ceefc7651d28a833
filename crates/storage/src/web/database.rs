//! The database `qemuweb-storage`, version 1:
//!
//! | object store | key | value | indexes |
//! |---|---|---|---|
//! | `blocks` | `vmId:diskId:blockIndex` | a block's record | `by-vmId`, `by-vmDisk` |
//! | `journal` | `vmId:diskId:number` | a journal's record | the same |
//! | `disks` | `vmId:diskId` | a disk's header | the same |
//!
//! Values are objects `{key, vmId, vmDisk, data}`, whose `data` are the bytes that [`crate::overlay::record`] tells of.
//! Numbers in keys have 14 digits, so that keys are in the order of their numbers. The schema, and what people do with whole
//! disks, is rexie's; a transaction that waits for the disk is beyond it, so overlays have a connection of their own.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use rexie::{Index, ObjectStore, Rexie, TransactionMode};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbFactory, IdbKeyRange, IdbObjectStore, IdbRequest, IdbTransaction};

use super::{lock, reason};
use crate::device::BlockError;
use crate::overlay::record::Header;

/// The database's name.
pub const DATABASE: &str = "qemuweb-storage";
const VERSION: u32 = 1;
pub(super) const BLOCKS: &str = "blocks";
pub(super) const JOURNAL: &str = "journal";
pub(super) const DISKS: &str = "disks";
const STORES: [&str; 3] = [BLOCKS, JOURNAL, DISKS];
/// Records that are copied in one transaction: 8 MiB of blocks.
const COPIED_AT_ONCE: u32 = 32;

#[wasm_bindgen]
extern "C" {
    /// `indexedDB`, of a page or a Worker.
    #[wasm_bindgen(js_name = indexedDB, thread_local_v2)]
    static INDEXED_DB: Option<IdbFactory>;

    /// An open database; web-sys has its transactions' options behind a flag only.
    type Durable;
    #[wasm_bindgen(method, catch, structural)]
    fn transaction(
        this: &Durable,
        stores: &Array,
        mode: &str,
        options: &Object,
    ) -> Result<IdbTransaction, JsValue>;
}

/// A connection to the database. Clones are the same one.
#[derive(Clone)]
pub struct Database(Rc<Connection>);

struct Connection {
    database: IdbDatabase,
    /// The browser, or another version of QemuWeb, has closed it.
    gone: Rc<Cell<bool>>,
    _handler: Closure<dyn FnMut(web_sys::Event)>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.database.set_onversionchange(None);
        self.database.set_onclose(None);
        self.database.close();
    }
}

/// A disk in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDisk {
    /// The VM that it belongs to.
    pub vm_id: String,
    /// Its name there.
    pub disk_id: String,
    /// Its size in bytes, and what it lies over, unless another version of QemuWeb made it.
    pub header: Option<Header>,
    /// How many blocks of it have changed.
    pub blocks: u32,
}

impl Database {
    /// Opens the database, making it if it is new.
    ///
    /// # Errors
    /// [`BlockError::Foreign`] when a later version of QemuWeb made it, [`BlockError::Store`].
    pub async fn open() -> Result<Self, BlockError> {
        let failed = |exception: JsValue| store_error(DATABASE, &exception);
        let factory = INDEXED_DB
            .with(Clone::clone)
            .ok_or_else(|| store_failed(DATABASE, "there is no IndexedDB here"))?;
        rexie().await?.close();
        let request = factory.open(DATABASE).map_err(failed)?;
        let database: IdbDatabase = result(&request).await.map_err(failed)?.unchecked_into();
        let gone = Rc::new(Cell::new(false));
        let (closes, closed) = (database.clone(), Rc::clone(&gone));
        // Who deletes or upgrades the database must not wait for us.
        let handler = Closure::<dyn FnMut(web_sys::Event)>::new(move |_| {
            closed.set(true);
            closes.close();
        });
        let function: &Function = handler.as_ref().unchecked_ref();
        database.set_onversionchange(Some(function));
        database.set_onclose(Some(function));
        Ok(Self(Rc::new(Connection {
            database,
            gone,
            _handler: handler,
        })))
    }

    /// Whether nobody has closed or deleted it.
    pub fn is_open(&self) -> bool {
        !self.0.gone.get()
    }

    /// Begins a transaction over `stores`. One that writes is over only when the disk has what it wrote.
    pub(super) fn transaction(
        &self,
        id: &str,
        stores: &[&str],
        writes: bool,
    ) -> Result<IdbTransaction, BlockError> {
        if self.0.gone.get() {
            return Err(store_failed(id, "the database was closed or deleted"));
        }
        let names: Array = stores.iter().map(|&name| JsValue::from(name)).collect();
        let options = Object::new();
        let begin = || {
            Reflect::set(&options, &"durability".into(), &"strict".into())?;
            let mode = if writes { "readwrite" } else { "readonly" };
            let database: &Durable = self.0.database.unchecked_ref();
            database.transaction(&names, mode, &options)
        };
        begin().map_err(|exception| store_error(id, &exception))
    }

    /// All disks.
    ///
    /// # Errors
    /// [`BlockError::Store`].
    pub async fn disks(&self) -> Result<Vec<StoredDisk>, BlockError> {
        let rexie = rexie().await?;
        let read = async {
            let transaction = rexie.transaction(&[DISKS, BLOCKS], TransactionMode::ReadOnly)?;
            let (disks, blocks) = (transaction.store(DISKS)?, transaction.store(BLOCKS)?);
            let blocks = blocks.index("by-vmDisk")?;
            let mut found = Vec::new();
            for disk in disks.get_all(None, None).await? {
                let key = field(&disk, "key");
                let range = rexie::KeyRange::only(&key)?;
                let count = blocks.count(Some(range)).await?;
                found.push((key, data(&disk), count));
            }
            Ok(found)
        };
        let disks = read.await.map_err(|error| rexie_error(&error))?;
        rexie.close();
        let stored = |(key, data, blocks): (JsValue, Option<Vec<u8>>, u32)| {
            let key = key.as_string()?;
            let (vm_id, disk_id) = key.split_once(':')?;
            Some(StoredDisk {
                vm_id: vm_id.into(),
                disk_id: disk_id.into(),
                header: Header::decode(&data.unwrap_or_default()).ok(),
                blocks,
            })
        };
        Ok(disks.into_iter().filter_map(stored).collect())
    }

    /// Forgets a disk and all that was changed on it.
    ///
    /// # Errors
    /// [`BlockError::Busy`] while it is in use, [`BlockError::Store`].
    pub async fn remove(&self, vm_id: &str, disk_id: &str) -> Result<(), BlockError> {
        let id = disk_key(vm_id, disk_id)?;
        let _lock = hold(&id).await?;
        let all = all_of(&id).map_err(|exception| store_error(&id, &exception))?;
        let rexie = rexie().await?;
        let delete = async {
            let transaction = rexie.transaction(&STORES, TransactionMode::ReadWrite)?;
            for store in [BLOCKS, JOURNAL] {
                transaction.store(store)?.delete(all.clone()).await?;
            }
            transaction.store(DISKS)?.delete(id.as_str().into()).await?;
            transaction.done().await.map(drop)
        };
        let deleted = delete.await.map_err(|error| rexie_error(&error));
        rexie.close();
        deleted
    }

    /// Gives another VM copies of disks of this one: those that `rename` has a name for there. Those that it has already are
    /// replaced. `told` hears of the records that were copied so far.
    ///
    /// # Errors
    /// [`BlockError::Busy`] while a disk is in use, [`BlockError::NoSpace`], [`BlockError::Store`]; the other VM then has none.
    pub async fn copy_vm(
        &self,
        from: &str,
        to: &str,
        rename: impl Fn(&str) -> Option<String>,
        told: impl Fn(u64),
    ) -> Result<(), BlockError> {
        let mut copied = 0;
        let disks = self.disks().await?;
        for disk in disks.iter().filter(|disk| disk.vm_id == from) {
            let Some(name) = rename(&disk.disk_id) else {
                continue;
            };
            self.remove(to, &name).await?;
            let (source, target) = (disk_key(from, &disk.disk_id)?, disk_key(to, &name)?);
            let locks = (hold(&source).await?, hold(&target).await?);
            // The header makes the disk: it comes last.
            for store in [BLOCKS, JOURNAL, DISKS] {
                if let Err(error) = self
                    .copy_records(store, &source, &target, &mut copied, &told)
                    .await
                {
                    drop(locks);
                    self.remove_vm(to).await?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn copy_records(
        &self,
        store: &str,
        source: &str,
        target: &str,
        copied: &mut u64,
        told: &impl Fn(u64),
    ) -> Result<(), BlockError> {
        let failed = |exception: JsValue| store_error(target, &exception);
        let (mut after, end) = match store {
            // What comes next is behind the disk itself.
            DISKS => (source.to_owned(), format!("{source}\u{1}")),
            _ => (format!("{source}:"), format!("{source};")),
        };
        loop {
            let transaction = self.transaction(source, &[store], false)?;
            let read = async {
                let range = range(&after, &end, true)?;
                let request = transaction
                    .object_store(store)?
                    .get_all_with_key_and_limit(&range, COPIED_AT_ONCE)?;
                result(&request).await
            };
            let records: Array = read.await.map_err(failed)?.unchecked_into();
            let Some(last) = records.iter().last() else {
                return Ok(());
            };
            let transaction = self.transaction(target, &[store], true)?;
            let write = async {
                let into = transaction.object_store(store)?;
                for record in records.iter() {
                    let key = field(&record, "key").as_string().unwrap_or_default();
                    let rest = key.strip_prefix(source).unwrap_or_default();
                    let bytes = data(&record).unwrap_or_default();
                    put(&into, target, &format!("{target}{rest}"), &bytes)?;
                }
                done(&transaction).await
            };
            write.await.map_err(failed)?;
            *copied += u64::from(records.length());
            told(*copied);
            // The first key behind the last one that was copied.
            after = field(&last, "key").as_string().unwrap_or_default() + "\0";
        }
    }

    /// Forgets all disks of a VM.
    ///
    /// # Errors
    /// As for [`Self::remove`].
    pub async fn remove_vm(&self, vm_id: &str) -> Result<(), BlockError> {
        for disk in self.disks().await? {
            if disk.vm_id == vm_id {
                self.remove(vm_id, &disk.disk_id).await?;
            }
        }
        Ok(())
    }
}

/// The key of a disk. Names have no colons, so that keys are told apart.
pub(super) fn disk_key(vm_id: &str, disk_id: &str) -> Result<String, BlockError> {
    let sound = |name: &str| !name.is_empty() && !name.contains(':');
    if sound(vm_id) && sound(disk_id) {
        return Ok(format!("{vm_id}:{disk_id}"));
    }
    Err(BlockError::Foreign {
        id: format!("{vm_id}:{disk_id}"),
        expected: "names without colons".into(),
        found: format!("{vm_id:?} and {disk_id:?}"),
    })
}

/// Keeps others from using the disk, for as long as the result lives.
pub(super) async fn hold(id: &str) -> Result<lock::Lock, BlockError> {
    match lock::take(&format!("{DATABASE}:{id}")).await {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(BlockError::Busy { id: id.into() }),
        Err(reason) => Err(store_failed(id, &reason)),
    }
}

/// The keys of a disk's records: a semicolon comes after a colon.
///
/// # Errors
/// As for [`range`].
pub(super) fn all_of(id: &str) -> Result<JsValue, JsValue> {
    range(&format!("{id}:"), &format!("{id};"), true)
}

/// The keys from `first` to `last`, without that if it is `open`.
///
/// # Errors
/// The browser's exception when there can be none between them.
pub(super) fn range(first: &str, last: &str, open: bool) -> Result<JsValue, JsValue> {
    IdbKeyRange::bound_with_lower_open_and_upper_open(&first.into(), &last.into(), false, open)
        .map(Into::into)
}

pub(super) fn field(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or_default()
}

/// The bytes of a value, if it is one of ours.
pub(super) fn data(value: &JsValue) -> Option<Vec<u8>> {
    let data = field(value, "data");
    data.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec)
}

/// Puts bytes under a key of a disk.
pub(super) fn put(store: &IdbObjectStore, id: &str, key: &str, bytes: &[u8]) -> Result<(), JsValue> {
    let value = Object::new();
    let vm_id = id.split(':').next().unwrap_or_default();
    for (name, text) in [("key", key), ("vmId", vm_id), ("vmDisk", id)] {
        Reflect::set(&value, &name.into(), &text.into())?;
    }
    Reflect::set(&value, &"data".into(), &Uint8Array::from(bytes))?;
    store.put(&value).map(drop)
}

/// What a request results in.
pub(super) async fn result(request: &IdbRequest) -> Result<JsValue, JsValue> {
    let over = Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
    });
    match JsFuture::from(over).await {
        Ok(_) => request.result(),
        Err(event) => Err(request.error()?.map_or(event, Into::into)),
    }
}

/// Waits for the end of a transaction.
pub(super) async fn done(transaction: &IdbTransaction) -> Result<(), JsValue> {
    let over = Promise::new(&mut |resolve, reject| {
        transaction.set_oncomplete(Some(&resolve));
        transaction.set_onabort(Some(&reject));
    });
    match JsFuture::from(over).await {
        Ok(_) => Ok(()),
        Err(event) => Err(transaction.error().map_or(event, Into::into)),
    }
}

async fn rexie() -> Result<Rexie, BlockError> {
    let store = |name| {
        ObjectStore::new(name)
            .key_path("key")
            .add_index(Index::new("by-vmId", "vmId"))
            .add_index(Index::new("by-vmDisk", "vmDisk"))
    };
    let mut builder = Rexie::builder(DATABASE).version(VERSION);
    for name in STORES {
        builder = builder.add_object_store(store(name));
    }
    builder.build().await.map_err(|error| rexie_error(&error))
}

/// rexie's own messages say nothing: what they came from does.
fn rexie_error(error: &rexie::Error) -> BlockError {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let reason = innermost.to_string();
    if reason.contains("VersionError") {
        return BlockError::Foreign {
            id: DATABASE.into(),
            expected: format!("a database of version {VERSION} or before"),
            found: reason,
        };
    }
    store_failed(DATABASE, &reason)
}

pub(super) fn store_failed(id: &str, reason: &str) -> BlockError {
    BlockError::Store {
        id: id.into(),
        reason: reason.into(),
    }
}

/// What an exception of IndexedDB means for the disk `id`.
pub(super) fn store_error(id: &str, exception: &JsValue) -> BlockError {
    let name = field(exception, "name").as_string().unwrap_or_default();
    let reason = reason(exception);
    if name == "QuotaExceededError" {
        return BlockError::NoSpace {
            id: id.into(),
            reason,
        };
    }
    store_failed(id, &reason)
}
