//! The UEFI variables of VMs, which outlast their runs and the browser: what an operating system has told the firmware, such as
//! what to start.
//!
//! The bytes come from a guest and go back to the same firmware; nothing else reads them. A copy of a VM begins with a copy of
//! them, as it has the same disks.

use gloo_timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use qemuweb_vm_config::{Arch, FileMountInfo, MAX_UEFI_VARIABLES, uefi};
use wasm_bindgen::{JsCast, JsValue};

use super::{Run, SharedState, State};

/// How long a Worker has for its last word on the variables when it ends, in milliseconds, before the VM starts without.
const LAST_WORD_MS: u32 = 1000;
/// How often that is looked for, in milliseconds.
const LOOK_MS: u32 = 20;

/// The UEFI variables that a VM has written.
#[derive(Clone)]
pub(super) struct Variables {
    /// The package's file that they began as, which is of one architecture.
    pub(super) file: String,
    pub(super) bytes: Uint8Array,
}

impl Variables {
    /// Those in `bytes`, if that is something to be kept.
    pub(super) fn new(file: String, bytes: &JsValue) -> Option<Self> {
        let bytes = bytes.dyn_ref::<Uint8Array>()?;
        (bytes.length() <= MAX_UEFI_VARIABLES).then(|| Self {
            file,
            bytes: bytes.clone(),
        })
    }

    /// Whether they are of the firmware for this architecture.
    pub(super) fn are_for(&self, arch: Arch) -> bool {
        uefi(arch).is_some_and(|uefi| uefi.variables == self.file)
    }

    /// Has them sent along with `blobs` to a machine with these `files`, if it has a place for them: then under which index.
    pub(super) fn attach(&self, files: &[FileMountInfo], blobs: &mut Vec<JsValue>) -> Option<u32> {
        let is_mounted = files.iter().any(|file| file.uefi_variables() == Some(&self.file));
        let index = u32::try_from(blobs.len()).ok().filter(|_| is_mounted)?;
        blobs.push(self.bytes.clone().into());
        Some(index)
    }
}

/// Waits until the Worker of a VM's former run has told the variables that it had at its end, but not for long.
pub(super) async fn settled(state: &SharedState, vm_id: &str) {
    for _ in 0..LAST_WORD_MS / LOOK_MS {
        if !state.borrow().vm(vm_id).is_some_and(|vm| vm.variables_to_come) {
            return;
        }
        TimeoutFuture::new(LOOK_MS).await;
    }
}

impl State {
    /// A VM's Worker tells its variables, or that they are as they were.
    pub(super) fn take_variables(&mut self, run: &Run, file: String, attachments: &[JsValue]) {
        let Some(vm) = self.vm_in_run(run) else { return };
        vm.variables_to_come = false;
        // It may have been defined anew meanwhile, with another architecture.
        let arch = vm.definition.vm.profile.arch;
        let told = attachments.first().and_then(|bytes| Variables::new(file, bytes));
        if let Some(variables) = told.filter(|variables| variables.are_for(arch)) {
            vm.variables = Some(variables);
            self.keep_variables(&run.vm_id);
        }
    }

    /// Keeps a VM's variables as they are now, or that it has none.
    pub(super) fn keep_variables(&self, vm_id: &str) {
        let variables = self.vm(vm_id).and_then(|vm| vm.variables.clone());
        let vm_id = vm_id.to_owned();
        self.write(async move |store| match variables {
            Some(variables) => store.put_variables(&vm_id, &variables).await,
            None => store.remove_variables(&vm_id).await,
        });
    }
}
