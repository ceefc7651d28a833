//! What outlives the browser: VM definitions, UEFI variables, people's profiles and stored files, in IndexedDB.
//!
//! Database `qemuweb`, version 3: the object stores `vms` (key path `vmId`: `{vmId, json, files}`), `profiles` (key
//! path `id`: `{id, json}`), since version 2 `files` (key path `hash`: `{hash, json, files}`) and since version 3 `variables`
//! (key path `vmId`: `{vmId, json, files}`). JSON holds what Rust knows; `files` are the Blobs and FileSystemFileHandles that
//! it refers to by index, of a stored file its one Blob, and of UEFI variables their bytes.
//! Only the host opens the database.

use std::collections::HashMap;

use js_sys::{Array, Object, Reflect};
use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::{StoredInfo, VmDefinition, VmId};
use qemuweb_runtime::state::VmState;
use qemuweb_vm_config::VmProfile;
use rexie::{ObjectStore, Rexie, TransactionMode};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use super::library::Stored;
use super::variables::Variables;

const DATABASE: &str = "qemuweb";
const VMS: &str = "vms";
const PROFILES: &str = "profiles";
const FILES: &str = "files";
const VARIABLES: &str = "variables";

/// A VM as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptVm {
    pub(super) vm_id: VmId,
    pub(super) name: String,
    #[serde(default)]
    pub(super) favourite: bool,
    /// When it was last started, in milliseconds since the epoch.
    #[serde(default)]
    pub(super) started_at: f64,
    /// The state that it was in when this was written.
    #[serde(flatten)]
    pub(super) state: VmState,
    pub(super) definition: VmDefinition,
    /// Its place among all VMs.
    #[serde(default)]
    pub(super) order: u32,
    /// The files that the definition names by index.
    #[serde(skip)]
    pub(super) files: Vec<JsValue>,
}

/// The open database.
pub(super) struct Store {
    database: Rexie,
}

impl Store {
    /// Opens the database, making it if it is new.
    ///
    /// # Errors
    /// A [`Failure`] when the browser refuses.
    pub(super) async fn open() -> Result<Self, Failure> {
        let database = Rexie::builder(DATABASE)
            .version(3)
            .add_object_store(ObjectStore::new(VMS).key_path("vmId"))
            .add_object_store(ObjectStore::new(PROFILES).key_path("id"))
            .add_object_store(ObjectStore::new(FILES).key_path("hash"))
            .add_object_store(ObjectStore::new(VARIABLES).key_path("vmId"))
            .build()
            .await
            .map_err(|error| failed("could not open the database of VMs", &error))?;
        Ok(Self { database })
    }

    /// All VMs in their order, and why some could not be read.
    pub(super) async fn vms(&self) -> Result<(Vec<KeptVm>, Vec<Failure>), Failure> {
        let (mut vms, mut failures) = (Vec::new(), Vec::new());
        for record in self.all(VMS).await? {
            match read_vm(&record) {
                Ok(vm) => vms.push(vm),
                Err(failure) => failures.push(failure),
            }
        }
        vms.sort_by_key(|vm| vm.order);
        Ok((vms, failures))
    }

    /// All profiles, and why some could not be read.
    pub(super) async fn profiles(&self) -> Result<(Vec<VmProfile>, Vec<Failure>), Failure> {
        let (mut profiles, mut failures) = (Vec::new(), Vec::new());
        for record in self.all(PROFILES).await? {
            match parse(&record) {
                Ok(profile) => profiles.push(profile),
                Err(failure) => failures.push(failure),
            }
        }
        Ok((profiles, failures))
    }

    /// All stored files, and why some could not be read.
    pub(super) async fn files(&self) -> Result<(Vec<Stored>, Vec<Failure>), Failure> {
        let (mut files, mut failures) = (Vec::new(), Vec::new());
        for record in self.all(FILES).await? {
            match read_file(&record) {
                Ok(file) => files.push(file),
                Err(failure) => failures.push(failure),
            }
        }
        Ok((files, failures))
    }

    /// Keeps a file's bytes, and returns those that are kept.
    pub(super) async fn put_file(&self, info: &StoredInfo, blob: &Blob) -> Result<Blob, Failure> {
        let (name, hash) = (&info.file.name, &info.file.hash);
        self.put(FILES, "hash", hash, info, Some(&Array::of1(blob)))
            .await
            .map_err(|failure| Failure {
                message: format!("could not store {name}"),
                ..failure
            })?;
        let read = async {
            let transaction = self.database.transaction(&[FILES], TransactionMode::ReadOnly)?;
            transaction.store(FILES)?.get(hash.as_str().into()).await
        };
        let record = read
            .await
            .map_err(|error| failed(format!("could not read {name} back"), &error))?;
        read_file(&record.unwrap_or_default()).map(|stored| stored.blob)
    }

    /// Forgets a stored file.
    pub(super) async fn remove_file(&self, hash: &str) -> Result<(), Failure> {
        self.remove(FILES, hash).await
    }

    /// Keeps a VM as it is now.
    pub(super) async fn put_vm(&self, vm: &KeptVm) -> Result<(), Failure> {
        let files: Array = vm.files.iter().collect();
        self.put(VMS, "vmId", &vm.vm_id, vm, Some(&files)).await
    }

    /// The UEFI variables of VMs, and why some could not be read.
    pub(super) async fn variables(&self) -> Result<(HashMap<VmId, Variables>, Vec<Failure>), Failure> {
        let (mut variables, mut failures) = (HashMap::new(), Vec::new());
        for record in self.all(VARIABLES).await? {
            match read_variables(&record) {
                Ok((vm_id, read)) => drop(variables.insert(vm_id, read)),
                Err(failure) => failures.push(failure),
            }
        }
        Ok((variables, failures))
    }

    /// Keeps a VM's UEFI variables.
    pub(super) async fn put_variables(&self, vm_id: &str, variables: &Variables) -> Result<(), Failure> {
        let bytes = Array::of1(&variables.bytes);
        self.put(VARIABLES, "vmId", vm_id, &variables.file, Some(&bytes))
            .await
    }

    /// Forgets a VM's UEFI variables.
    pub(super) async fn remove_variables(&self, vm_id: &str) -> Result<(), Failure> {
        self.remove(VARIABLES, vm_id).await
    }

    /// Keeps a profile.
    pub(super) async fn put_profile(&self, profile: &VmProfile) -> Result<(), Failure> {
        self.put(PROFILES, "id", &profile.id, profile, None).await
    }

    /// Forgets a VM.
    pub(super) async fn remove_vm(&self, vm_id: &str) -> Result<(), Failure> {
        self.remove(VMS, vm_id).await
    }

    /// Forgets a profile.
    pub(super) async fn remove_profile(&self, id: &str) -> Result<(), Failure> {
        self.remove(PROFILES, id).await
    }

    async fn all(&self, store: &str) -> Result<Vec<JsValue>, Failure> {
        let read = async {
            let transaction = self.database.transaction(&[store], TransactionMode::ReadOnly)?;
            transaction.store(store)?.get_all(None, None).await
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
        let write = async {
            let transaction = self.database.transaction(&[store], TransactionMode::ReadWrite)?;
            transaction.store(store)?.put(&record, None).await?;
            transaction.done().await
        };
        write
            .await
            .map(drop)
            .map_err(|error| failed(format!("could not keep {key}"), &error))
    }

    async fn remove(&self, store: &str, key: &str) -> Result<(), Failure> {
        let write = async {
            let transaction = self.database.transaction(&[store], TransactionMode::ReadWrite)?;
            transaction.store(store)?.delete(key.into()).await?;
            transaction.done().await
        };
        write
            .await
            .map(drop)
            .map_err(|error| failed(format!("could not forget {key}"), &error))
    }
}

/// Sets a field of a plain object, which cannot fail.
fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn read_vm(record: &JsValue) -> Result<KeptVm, Failure> {
    let vm: KeptVm = parse(record)?;
    let files = get(record, "files");
    let files = files.dyn_ref::<Array>().map(|files| files.iter().collect());
    Ok(KeptVm {
        files: files.unwrap_or_default(),
        ..vm
    })
}

fn read_file(record: &JsValue) -> Result<Stored, Failure> {
    let info: StoredInfo = parse(record)?;
    let blob = get(record, "files").dyn_ref::<Array>().map(|files| files.get(0));
    match blob.and_then(|blob| blob.dyn_into::<Blob>().ok()) {
        Some(blob) => Ok(Stored { info, blob }),
        None => Err(
            Failure::new(format!("the bytes of {} are not in the database", info.file.name))
                .with_next_step("It is left out. Store it again."),
        ),
    }
}

fn read_variables(record: &JsValue) -> Result<(VmId, Variables), Failure> {
    let vm_id = get(record, "vmId").as_string().unwrap_or_default();
    let file = parse(record)?;
    let bytes = get(record, "files").dyn_ref::<Array>().map(|files| files.get(0));
    match bytes.and_then(|bytes| Variables::new(file, &bytes)) {
        Some(variables) => Ok((vm_id, variables)),
        None => Err(
            Failure::new(format!("the UEFI variables of {vm_id} are not in the database"))
                .with_next_step("It starts with new ones."),
        ),
    }
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

/// rexie's own messages say nothing: what they came from does.
fn failed(message: impl Into<String>, error: &rexie::Error) -> Failure {
    Failure {
        causes: Failure::from_error(error).causes,
        ..Failure::new(message)
    }
}
