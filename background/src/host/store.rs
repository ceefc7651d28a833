//! What outlives the browser, in IndexedDB: VM definitions and their files, UEFI variables, people's profiles, stored files.
//!
//! Database `qemuweb`, version 4. Each record has its key and `json`, which holds what Rust knows; `files` are the Blobs,
//! handles and bytes that belong to it.
//!
//! | object store | key path | since version | `files` |
//! |---|---|--:|---|
//! | `vms` | `vmId` | 1 | before version 4, the definition's files |
//! | `profiles` | `id` | 1 | |
//! | `files` | `hash` | 2 | a stored file's one Blob |
//! | `variables` | `vmId` | 3 | the bytes of a VM's UEFI variables |
//! | `attachments` | `id` | 4 | one file that definitions name; null for one that was too large |
//!
//! Only the host opens the database. It is opened anew when the browser has closed it, as it does when a person clears the
//! extension's data.

use std::cell::RefCell;
use std::rc::Rc;

use idb::builder::{DatabaseBuilder, ObjectStoreBuilder};
use idb::{Database, KeyPath, TransactionMode};
use js_sys::{Array, Object, Reflect, Uint8Array};
use qemuweb_machine::KeptVm;
use qemuweb_machine::io::{Content, Kept, Stored, Variables, Write};
use qemuweb_vm_config::MAX_UEFI_VARIABLES;
use qemuweb_wire::Failure;
use qemuweb_wire::web::failure_from_exception;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, FileSystemFileHandle};

const DATABASE: &str = "qemuweb";
const VERSION: u32 = 4;
const VMS: &str = "vms";
const PROFILES: &str = "profiles";
const FILES: &str = "files";
const VARIABLES: &str = "variables";
const ATTACHMENTS: &str = "attachments";

/// The largest Blob of a definition that is kept, in bytes: keeping copies it. Larger files are kept by their handles, or have
/// to be chosen again.
const LARGEST_KEPT: f64 = 67_108_864.0;

/// The database. It is open while it is used.
#[derive(Default)]
pub(super) struct Store {
    open: Rc<RefCell<Option<Rc<Database>>>>,
}

impl Store {
    async fn database(&self) -> Result<Rc<Database>, Failure> {
        if let Some(database) = self.open.borrow().clone() {
            return Ok(database);
        }
        let store = |name, key: &str| ObjectStoreBuilder::new(name).key_path(Some(KeyPath::new_single(key)));
        let mut database = DatabaseBuilder::new(DATABASE)
            .version(VERSION)
            .add_object_store(store(VMS, "vmId"))
            .add_object_store(store(PROFILES, "id"))
            .add_object_store(store(FILES, "hash"))
            .add_object_store(store(VARIABLES, "vmId"))
            .add_object_store(store(ATTACHMENTS, "id"))
            .build()
            .await
            .map_err(|error| failed("could not open the database of VMs", &error))?;
        let forget = |open: &Rc<RefCell<Option<Rc<Database>>>>| {
            let open = Rc::downgrade(open);
            move |_| {
                let closed = open.upgrade().and_then(|open| open.take());
                if let Some(database) = closed {
                    // Whoever wants to change or delete it waits for that.
                    database.close();
                }
            }
        };
        database.on_version_change(forget(&self.open));
        database.on_close(forget(&self.open));
        let database = Rc::new(database);
        self.open.replace(Some(Rc::clone(&database)));
        Ok(database)
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// A [`Failure`] when the browser refuses.
    pub(super) async fn load(&self) -> Result<Kept<JsValue>, Failure> {
        let mut kept = Kept::default();
        for record in self.all(VMS).await? {
            match parse::<KeptVm>(&record) {
                Ok(vm) => {
                    if let Some(files) = files_of(&record) {
                        let files = files.iter().map(|file| content(&file)).collect();
                        kept.former_files.insert(vm.vm_id.clone(), files);
                    }
                    kept.vms.push(vm);
                }
                Err(failure) => kept.failures.push(failure),
            }
        }
        for record in self.all(ATTACHMENTS).await? {
            match parse(&record) {
                Ok(id) => kept
                    .files
                    .push((id, first_file(&record).as_ref().and_then(content))),
                Err(failure) => kept.failures.push(failure),
            }
        }
        for record in self.all(PROFILES).await? {
            match parse(&record) {
                Ok(profile) => kept.profiles.push(profile),
                Err(failure) => kept.failures.push(failure),
            }
        }
        for record in self.all(FILES).await? {
            match read_stored(&record) {
                Ok(file) => kept.stored.push(file),
                Err(failure) => kept.failures.push(failure),
            }
        }
        for record in self.all(VARIABLES).await? {
            match read_variables(&record) {
                Ok((vm_id, variables)) => drop(kept.variables.insert(vm_id, variables)),
                Err(failure) => kept.failures.push(failure),
            }
        }
        Ok(kept)
    }

    /// Makes a change. Of a stored file it gives the bytes that are kept now.
    ///
    /// # Errors
    /// A [`Failure`] when the browser refuses.
    pub(super) async fn write(&self, write: &Write<JsValue>) -> Result<Option<JsValue>, Failure> {
        match write {
            Write::PutVm(vm) => self.put(VMS, "vmId", &vm.vm_id, vm, None).await?,
            Write::RemoveVm(vm_id) => self.remove(VMS, vm_id).await?,
            Write::PutFile(id, content) => {
                let file = Array::of1(&kept(&content.file));
                self.put(ATTACHMENTS, "id", &file_key(*id), id, Some(&file))
                    .await?;
            }
            Write::RemoveFile(id) => self.remove(ATTACHMENTS, &file_key(*id)).await?,
            Write::PutProfile(profile) => self.put(PROFILES, "id", &profile.id, profile, None).await?,
            Write::RemoveProfile(id) => self.remove(PROFILES, id).await?,
            Write::PutVariables(vm_id, variables) => {
                let bytes = Array::of1(&Uint8Array::from(&*variables.bytes));
                self.put(VARIABLES, "vmId", vm_id, &variables.file, Some(&bytes))
                    .await?;
            }
            Write::RemoveVariables(vm_id) => self.remove(VARIABLES, vm_id).await?,
            Write::PutStored(stored) => return self.put_stored(stored).await.map(Some),
            Write::RemoveStored(hash) => self.remove(FILES, hash).await?,
        }
        Ok(None)
    }

    async fn put_stored(&self, stored: &Stored<JsValue>) -> Result<JsValue, Failure> {
        let (name, hash) = (&stored.info.file.name, &stored.info.file.hash);
        self.put(FILES, "hash", hash, &stored.info, Some(&Array::of1(&stored.file)))
            .await
            .map_err(|failure| Failure {
                message: format!("could not store {name}"),
                ..failure
            })?;
        let database = self.database().await?;
        let read = async {
            let transaction = database.transaction(&[FILES], TransactionMode::ReadOnly)?;
            transaction.object_store(FILES)?.get(JsValue::from(hash))?.await
        };
        let record = read
            .await
            .map_err(|error| failed(format!("could not read {name} back"), &error))?;
        read_stored(&record.unwrap_or_default()).map(|stored| stored.file)
    }

    async fn all(&self, store: &str) -> Result<Vec<JsValue>, Failure> {
        let database = self.database().await?;
        let read = async {
            let transaction = database.transaction(&[store], TransactionMode::ReadOnly)?;
            transaction.object_store(store)?.get_all(None, None)?.await
        };
        read.await
            .map_err(|error| failed("could not read the database of VMs", &error))
    }

    async fn put(
        &self,
        store: &str,
        key_path: &str,
        key: &str,
        value: &impl Serialize,
        files: Option<&Array>,
    ) -> Result<(), Failure> {
        let json = serde_json::to_string(value).map_err(|error| Failure::from_error(&error))?;
        let record = Object::new();
        set(&record, key_path, &key.into());
        set(&record, "json", &json.into());
        if let Some(files) = files {
            set(&record, "files", files);
        }
        self.change(store, format!("could not keep {key}"), |store| {
            store.put(&record, None).map(drop)
        })
        .await
    }

    async fn remove(&self, store: &str, key: &str) -> Result<(), Failure> {
        self.change(store, format!("could not forget {key}"), |store| {
            store.delete(JsValue::from(key)).map(drop)
        })
        .await
    }

    /// Makes a change in one store. A database that the browser has closed in this moment is opened once more.
    async fn change(
        &self,
        store: &str,
        message: String,
        change: impl Fn(&idb::ObjectStore) -> Result<(), idb::Error>,
    ) -> Result<(), Failure> {
        let mut last = None;
        for _ in 0..2 {
            let database = self.database().await?;
            let write = async {
                let transaction = database.transaction(&[store], TransactionMode::ReadWrite)?;
                change(&transaction.object_store(store)?)?;
                transaction.await
            };
            match write.await {
                Ok(result) if result.is_committed() => return Ok(()),
                Ok(_) => last = Some(Failure::new(message.clone())),
                Err(error) => last = Some(failed(message.clone(), &error)),
            }
            let is_closed = self
                .open
                .borrow()
                .as_ref()
                .is_none_or(|open| !Rc::ptr_eq(open, &database));
            if !is_closed {
                break;
            }
        }
        last.map_or(Ok(()), Err)
    }
}

/// Sets a field of a plain object, which cannot fail.
fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn files_of(record: &JsValue) -> Option<Array> {
    get(record, "files").dyn_into().ok()
}

fn first_file(record: &JsValue) -> Option<JsValue> {
    files_of(record).map(|files| files.get(0))
}

fn file_key(id: u64) -> String {
    id.to_string()
}

/// A file that definitions name, if it is one.
pub(super) fn content(file: &JsValue) -> Option<Content<JsValue>> {
    let is_handle = file.is_instance_of::<FileSystemFileHandle>();
    (is_handle || file.is_instance_of::<Blob>()).then(|| Content {
        file: file.clone(),
        is_handle,
    })
}

/// What is kept of a definition's file: null for what is too large.
fn kept(file: &JsValue) -> JsValue {
    match file.dyn_ref::<Blob>() {
        Some(blob) if blob.size() > LARGEST_KEPT => JsValue::NULL,
        _ => file.clone(),
    }
}

fn read_stored(record: &JsValue) -> Result<Stored<JsValue>, Failure> {
    let info: qemuweb_wire::stored::StoredInfo = parse(record)?;
    match first_file(record).filter(JsCast::is_instance_of::<Blob>) {
        Some(file) => Ok(Stored { info, file }),
        None => Err(
            Failure::new(format!("the bytes of {} are not in the database", info.file.name))
                .with_next_step("It is left out. Store it again."),
        ),
    }
}

fn read_variables(record: &JsValue) -> Result<(String, Variables), Failure> {
    let vm_id = get(record, "vmId").as_string().unwrap_or_default();
    let file = parse(record)?;
    match first_file(record).and_then(|bytes| variables(file, &bytes)) {
        Some(variables) => Ok((vm_id, variables)),
        None => Err(
            Failure::new(format!("the UEFI variables of {vm_id} are not in the database"))
                .with_next_step("It starts with new ones."),
        ),
    }
}

/// The UEFI variables in `bytes`, if that is something to be kept; `file` is the package's file that they began as.
pub(super) fn variables(file: String, bytes: &JsValue) -> Option<Variables> {
    let bytes = bytes.dyn_ref::<Uint8Array>()?;
    (bytes.length() <= MAX_UEFI_VARIABLES).then(|| Variables {
        file,
        bytes: bytes.to_vec().into(),
    })
}

fn parse<T: for<'a> Deserialize<'a>>(record: &JsValue) -> Result<T, Failure> {
    let json = get(record, "json").as_string().unwrap_or_default();
    serde_json::from_str(&json).map_err(|error| {
        Failure {
            causes: vec![error.to_string()],
            ..Failure::new("expected a VM, profile or file that this version knows in the database")
        }
        .with_next_step("It is left out. Define it anew.")
    })
}

fn failed(message: impl Into<String>, error: &idb::Error) -> Failure {
    match error {
        // idb's own messages say nothing: what they came from does.
        idb::Error::IndexedDbNotFound(exception)
        | idb::Error::TransactionOpenFailed(exception)
        | idb::Error::AddFailed(exception) => failure_from_exception(message, exception),
        error => Failure {
            causes: vec![error.to_string()],
            ..Failure::new(message)
        },
    }
}
