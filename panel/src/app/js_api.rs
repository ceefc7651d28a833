//! The client API for pages and tests: `window.qemuweb`, with the names that the seed gives it.
//!
//! It shares the panel's connection, so that it goes on working after "Reconnect". A promise that is rejected
//! carries an `Error` whose message is the failure with its causes and the next step.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function, JSON, Object, Promise, Uint8Array};
use qemuweb_vm_config::{VmInputs, VmOverrides};
use qemuweb_wire::agent::Agent;
use qemuweb_wire::call::{
    DiscardDisk, ExportDisk, GrowDisk, ImportDisk, ListDisks, Method, PauseVm, PrepareVm, ProfileRef,
    RemoveVm, ResetVm, RestartVm, ResumeVm, StartVm, StopVm, SyncOverlay, VmDisks,
};
use qemuweb_wire::failure::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::agent_api::AgentStream;
use super::events::{self, Event};
use super::page::Page;
use super::session;
use crate::cx::{Answer, not_connected};
use crate::kit::browser::set;

/// What a page holds to use VMs.
#[wasm_bindgen]
pub struct QemuClient {
    page: Page,
}

fn error(failure: &Failure) -> JsValue {
    JsError::new(&failure.to_string()).into()
}

/// An answer as a promise of nothing.
fn promise(answer: Answer<()>) -> Promise {
    future_to_promise(async move {
        match answer.await {
            Ok(()) => Ok(JsValue::UNDEFINED),
            Err(failure) => Err(error(&failure)),
        }
    })
}

/// A value of JavaScript's by its JSON; `what` names it in the error.
fn from_js<T: DeserializeOwned>(value: &JsValue, what: &str) -> Result<T, JsValue> {
    let json = JSON::stringify(value)?.as_string().unwrap_or_default();
    // By way of a value, as what the host says: types are then compiled for that alone.
    serde_json::from_str(&json)
        .and_then(serde_json::from_value::<T>)
        .map_err(|cause| JsError::new(&format!("{what}: {cause}")).into())
}

/// As [`from_js`], where `undefined` and `null` mean that nothing is given.
fn option_from_js<T: DeserializeOwned>(value: &JsValue, what: &str) -> Result<Option<T>, JsValue> {
    if value.is_undefined() || value.is_null() {
        Ok(None)
    } else {
        from_js(value, what).map(Some)
    }
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    let json = serde_json::to_string(value).map_err(|cause| JsError::new(&cause.to_string()))?;
    JSON::parse(&json)
}

impl QemuClient {
    /// The face of a page.
    pub(crate) fn new(page: Page) -> Self {
        Self { page }
    }

    fn call(&self, call: impl Method<Reply = ()>) -> Promise {
        promise(self.page.cx.call(call))
    }
}

#[wasm_bindgen]
impl QemuClient {
    /// Resolves with what the host's browser offers; connects anew if the connection was lost.
    pub fn init(&self) -> Promise {
        let page = self.page;
        future_to_promise(async move {
            if page.cx.client().is_none() {
                session::connect(page.cx)
                    .await
                    .map_err(|failure| error(&failure))?;
            }
            Self { page }.capabilities()
        })
    }

    /// Defines a VM and starts it. `profile` is the id of a built-in one, or a profile; `files` are the Blobs
    /// that `inputs` names by index. The VM's console is watched, and shown in the panel.
    #[wasm_bindgen(js_name = startVm)]
    pub fn start_vm(
        &self,
        vm_id: String,
        profile: &JsValue,
        inputs: &JsValue,
        overrides: &JsValue,
        files: Option<Array>,
    ) -> Promise {
        let page = self.page;
        let call = (|| {
            let profile: ProfileRef = from_js(profile, "profile")?;
            let inputs: VmInputs = option_from_js(inputs, "inputs")?.unwrap_or_default();
            let overrides: Option<VmOverrides> = option_from_js(overrides, "overrides")?;
            Ok::<_, JsValue>(StartVm {
                vm_id: vm_id.clone(),
                name: None,
                profile,
                inputs: Box::new(inputs),
                overrides: overrides.map(Box::new),
            })
        })();
        let files = files.map(|files| files.iter().collect()).unwrap_or_default();
        future_to_promise(async move {
            page.cx
                .call_with(call?, files)
                .await
                .map_err(|failure| error(&failure))?;
            page.cx.run(|| {
                page.cx.nav.show(&vm_id);
                page.consoles.watch(&vm_id);
            });
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Has the host prepare for a VM of this profile (an id, or a profile), which may be started soon.
    ///
    /// # Errors
    /// An `Error` for anything that is no profile.
    #[wasm_bindgen(js_name = prepareVm)]
    pub fn prepare_vm(&self, profile: &JsValue) -> Result<Promise, JsValue> {
        let profile = from_js(profile, "profile")?;
        Ok(self.call(PrepareVm { profile }))
    }

    /// Asks the guest to shut down, or with `force` cuts its power.
    #[wasm_bindgen(js_name = stopVm)]
    pub fn stop_vm(&self, vm_id: String, force: Option<bool>) -> Promise {
        self.call(StopVm {
            vm_id,
            force: force.unwrap_or(false),
        })
    }

    /// Halts a VM's vCPUs.
    #[wasm_bindgen(js_name = pauseVm)]
    pub fn pause_vm(&self, vm_id: String) -> Promise {
        self.call(PauseVm { vm_id })
    }

    /// Lets a VM's vCPUs run again.
    #[wasm_bindgen(js_name = resumeVm)]
    pub fn resume_vm(&self, vm_id: String) -> Promise {
        self.call(ResumeVm { vm_id })
    }

    /// Pushes the reset button.
    #[wasm_bindgen(js_name = resetVm)]
    pub fn reset_vm(&self, vm_id: String) -> Promise {
        self.call(ResetVm { vm_id })
    }

    /// Starts a stopped VM again with what it was defined with.
    #[wasm_bindgen(js_name = restartVm)]
    pub fn restart_vm(&self, vm_id: String) -> Promise {
        self.call(RestartVm { vm_id })
    }

    /// Forgets a VM that is not active.
    #[wasm_bindgen(js_name = removeVm)]
    pub fn remove_vm(&self, vm_id: String) -> Promise {
        self.call(RemoveVm { vm_id })
    }

    /// Resolves with what is kept of disks (`qemuweb_wire::disk::KeptDisk`), those of VMs that are gone included.
    #[wasm_bindgen(js_name = listDisks)]
    pub fn list_disks(&self) -> Promise {
        let listed = self.page.cx.call(ListDisks {});
        future_to_promise(async move { to_js(&listed.await.map_err(|failure| error(&failure))?) })
    }

    /// Keeps all that a running VM's guest has written so far, as if it had flushed.
    #[wasm_bindgen(js_name = syncOverlay)]
    pub fn sync_overlay(&self, vm_id: String) -> Promise {
        self.call(SyncOverlay { vm_id })
    }

    /// Forgets all that was written to a disk of a VM that is not active. There is no way back.
    #[wasm_bindgen(js_name = discardDisk)]
    pub fn discard_disk(&self, vm_id: String, disk_id: String) -> Promise {
        self.call(DiscardDisk { vm_id, disk_id })
    }

    /// Resolves with the disks of a VM as they would be in its next run (`qemuweb_wire::disk::VmDisk`).
    #[wasm_bindgen(js_name = vmDisks)]
    pub fn vm_disks(&self, vm_id: String) -> Promise {
        let disks = self.page.cx.call(VmDisks { vm_id });
        future_to_promise(async move { to_js(&disks.await.map_err(|failure| error(&failure))?) })
    }

    /// Resolves with a Blob of a disk whose VM is not active. `format` is a `qemuweb_wire::disk::ExportAs`: `overlay`, `raw`,
    /// `qcow2`, `qcow2-zlib` or `qcow2-zstd`.
    ///
    /// # Errors
    /// An `Error` for anything that is no format, and without a connection.
    #[wasm_bindgen(js_name = exportDisk)]
    pub fn export_disk(&self, vm_id: String, disk_id: String, format: &JsValue) -> Result<Promise, JsValue> {
        let call = ExportDisk {
            vm_id,
            disk_id,
            format: from_js(format, "format")?,
        };
        let client = self.page.cx.client().ok_or_else(|| error(&not_connected()))?;
        let exported = client.call_for_attachments(call, None);
        Ok(future_to_promise(async move {
            let (_, attachments) = exported.await.map_err(|failure| error(&failure))?;
            Ok(attachments.into_iter().next().unwrap_or_default())
        }))
    }

    /// Resolves with a Blob of what was written to a disk: the file of [`Self::export_disk`] in the format `overlay`.
    ///
    /// # Errors
    /// An `Error` without a connection.
    #[wasm_bindgen(js_name = exportOverlay)]
    pub fn export_overlay(&self, vm_id: String, disk_id: String) -> Result<Promise, JsValue> {
        self.export_disk(vm_id, disk_id, &"overlay".into())
    }

    /// Takes over what was written to a disk from a Blob that [`Self::export_overlay`] gave, for a disk to which nothing was
    /// written.
    #[wasm_bindgen(js_name = importOverlay)]
    pub fn import_overlay(&self, vm_id: String, disk_id: String, file: JsValue) -> Promise {
        let call = ImportDisk { vm_id, disk_id };
        promise(self.page.cx.call_with(call, vec![file]))
    }

    /// Makes a running VM's disk larger, to `size` bytes.
    #[wasm_bindgen(js_name = growDisk)]
    pub fn grow_disk(&self, vm_id: String, channel: String, size: f64) -> Promise {
        // A float that is negative or no number becomes 0, which is refused.
        let size = size as u64;
        self.call(GrowDisk { vm_id, channel, size })
    }

    /// Watches a VM's console: its output comes as `serialOut` events and into the terminal.
    #[wasm_bindgen(js_name = watchVm)]
    pub fn watch_vm(&self, vm_id: &str) {
        self.page.cx.run(|| self.page.consoles.watch(vm_id));
    }

    /// Types into the console. `data` is a Uint8Array, or a string that is sent as UTF-8.
    ///
    /// # Errors
    /// A TypeError-like `Error` for anything else.
    #[wasm_bindgen(js_name = sendSerialIn)]
    pub fn send_serial_in(&self, vm_id: &str, data: &JsValue) -> Result<(), JsValue> {
        let bytes = match (data.as_string(), data.dyn_ref::<Uint8Array>()) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(bytes)) => bytes.to_vec(),
            (None, None) => return Err(JsError::new("data: expected a string or a Uint8Array").into()),
        };
        self.page.consoles.type_in(vm_id, &bytes);
        Ok(())
    }

    /// Tells the guest the size of the terminal.
    #[wasm_bindgen(js_name = resizeConsole)]
    pub fn resize_console(&self, vm_id: &str, rows: u16, cols: u16) {
        if let Some(console) = self.page.consoles.open(vm_id) {
            console.tell_size_of(rows, cols);
        }
    }

    /// A VM's view (`{vmId, name, state, …}`), or null.
    ///
    /// # Errors
    /// None in practice: a view has a JSON form.
    #[wasm_bindgen(js_name = vmState)]
    pub fn vm_state(&self, vm_id: &str) -> Result<JsValue, JsValue> {
        self.page
            .machines
            .vm(vm_id)
            .map_or(Ok(JsValue::NULL), |vm| to_js(&*vm))
    }

    /// The views of all VMs.
    ///
    /// # Errors
    /// None in practice: a view has a JSON form.
    #[wasm_bindgen(js_name = listVms)]
    pub fn list_vms(&self) -> Result<JsValue, JsValue> {
        let vms = self.page.machines.vms.get_clone_untracked();
        to_js(&vms.iter().map(Rc::as_ref).collect::<Vec<_>>())
    }

    /// What the host's browser offers, or null while that is not known.
    ///
    /// # Errors
    /// None in practice: capabilities have a JSON form.
    pub fn capabilities(&self) -> Result<JsValue, JsValue> {
        to_js(&self.page.cx.capabilities.get_clone_untracked())
    }

    /// Calls `callback` with each event: `{type, …fields}`, and `data` with the bytes of `serialOut`. Returns a
    /// function that ends this.
    #[wasm_bindgen(js_name = onEvent)]
    pub fn on_event(&self, callback: Function) -> Function {
        let key = events::listen(Rc::new(move |event| {
            if let Ok(event) = event_to_js(event) {
                // What a callback throws is its author's to see, in the browser's console.
                if let Err(exception) = callback.call1(&JsValue::UNDEFINED, &event) {
                    wasm_bindgen_futures::spawn_local(async move { wasm_bindgen::throw_val(exception) });
                }
            }
        }));
        Closure::<dyn FnMut()>::new(move || events::forget(key))
            .into_js_value()
            .unchecked_into()
    }

    /// Has the agent in a VM's guest do something: `operation` is a `qemuweb_wire::agent::AgentOperation`, such as
    /// `{type: "run", command: "uname -a"}`; `heard` is called with what happens ([`AgentStream`]).
    ///
    /// # Errors
    /// An `Error` for anything that is no operation, and without a connection.
    #[wasm_bindgen(js_name = openAgent)]
    pub fn open_agent(
        &self,
        vm_id: String,
        operation: &JsValue,
        heard: Function,
    ) -> Result<AgentStream, JsValue> {
        let operation = from_js(operation, "operation")?;
        let client = self.page.cx.client().ok_or_else(|| error(&not_connected()))?;
        AgentStream::open(&client, &Agent { vm_id, operation }, heard).map_err(|failure| error(&failure))
    }

    /// Leaves the host. VMs go on.
    pub fn terminate(&self) {
        if let Some(client) = self.page.cx.client() {
            client.terminate();
            let failure = Failure::new("this page has left the VM host").with_next_step("Reconnect.");
            self.page.cx.run(|| self.page.cx.detach(failure));
        }
    }

    /// The text of a VM's terminal with its scrollback, or null for a VM that is not watched.
    #[wasm_bindgen(js_name = consoleText)]
    pub fn console_text(&self, vm_id: &str) -> Option<String> {
        self.page.consoles.get(vm_id).map(|console| console.all_text())
    }
}

/// Tells what a guest prints as an event.
pub(super) fn tell_output(vm_id: &str, run: u64, offset: u64, bytes: &Uint8Array) {
    OUTPUT.set(Some(bytes.clone()));
    events::tell(|| Event::SerialOut {
        vm_id: vm_id.to_owned(),
        run,
        offset,
    });
    OUTPUT.set(None);
}

thread_local! {
    /// The bytes of the output that is being told.
    static OUTPUT: RefCell<Option<Uint8Array>> = const { RefCell::new(None) };
}

fn event_to_js(event: &Event) -> Result<JsValue, JsValue> {
    let object = to_js(event)?;
    if let (Event::SerialOut { .. }, Some(bytes)) = (event, OUTPUT.with_borrow(Clone::clone)) {
        set(object.unchecked_ref::<Object>(), "data", &bytes);
    }
    Ok(object)
}
