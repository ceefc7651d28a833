//! What outlives the browser: VM definitions and people's profiles, in IndexedDB.
//!
//! Database `qemuweb`, version 1: the object stores `vms` (key path `vmId`: `{vmId, order, json, files}`) and
//! `profiles` (key path `id`: `{id, json}`). JSON holds what Rust knows; `files` are the Blobs and
//! FileSystemFileHandles that it refers to by index. Only the host opens the database.

use js_sys::{Array, Object, Reflect};
use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::{VmDefinition, VmId};
use qemuweb_runtime::state::VmState;
use qemuweb_vm_config::VmProfile;
use rexie::{ObjectStore, Rexie, TransactionMode};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};

const DATABASE: &str = "qemuweb";
const VMS: &str = "vms";
const PROFILES: &str = "profiles";

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
            .version(1)
            .add_object_store(ObjectStore::new(VMS).key_path("vmId"))
            .add_object_store(ObjectStore::new(PROFILES).key_path("id"))
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

    /// Keeps a VM as it is now.
    pub(super) async fn put_vm(&self, vm: &KeptVm) -> Result<(), Failure> {
        let files: Array = vm.files.iter().collect();
        self.put(VMS, "vmId", &vm.vm_id, vm, Some(&files)).await
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

fn parse<T: for<'a> Deserialize<'a>>(record: &JsValue) -> Result<T, Failure> {
    let json = get(record, "json").as_string().unwrap_or_default();
    serde_json::from_str(&json).map_err(|error| {
        Failure {
            causes: vec![error.to_string()],
            ..Failure::new("expected a VM or profile that this version knows in the database")
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
