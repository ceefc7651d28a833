//! The handle that all components hold: the store, the host, the consoles, and what a person can do.

use std::pin::Pin;
use std::rc::Rc;

use qemuweb_runtime::VmState;
use qemuweb_runtime::client::{QemuClient, Transport};
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::{Command, MAX_VM_ID, ProfileRef, VmId};
use qemuweb_vm_config::{VmInputs, VmOverrides, VmProfile};
use sycamore::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::console::Consoles;
use crate::dialog::Confirm;
use crate::state::{Connection, Store, Tab, new_vm_id};

/// The answer to a request, once it comes.
pub type Answer = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// The VM host, whatever the channel to it is.
pub trait Host {
    /// Sends a command with its attachments.
    fn request(&self, command: Command, attachments: Vec<JsValue>) -> Answer;
    /// Types bytes into a VM's console.
    fn type_bytes(&self, vm_id: &str, bytes: &[u8]);
    /// Tells a guest the size of its terminal.
    fn resize_console(&self, vm_id: &str, rows: u16, cols: u16);
    /// Leaves the host.
    fn leave(&self);
}

impl<T: Transport<Attachment = JsValue> + 'static> Host for QemuClient<T> {
    fn request(&self, command: Command, attachments: Vec<JsValue>) -> Answer {
        let client = self.clone();
        Box::pin(async move { client.request(command, attachments).await })
    }

    fn type_bytes(&self, vm_id: &str, bytes: &[u8]) {
        self.send_serial_in(vm_id, bytes);
    }

    fn resize_console(&self, vm_id: &str, rows: u16, cols: u16) {
        self.resize_console(vm_id, rows, cols);
    }

    fn leave(&self) {
        self.terminate();
    }
}

/// What components hold. Copies are the same workbench.
#[derive(Clone, Copy)]
pub struct Workbench {
    /// What is shown.
    pub store: Store,
    consoles: ReadSignal<Rc<Consoles>>,
    host: Signal<Option<Rc<dyn Host>>>,
    scope: NodeHandle,
}

/// A VM to be: what the launcher asks for.
pub struct Launch {
    /// The machine.
    pub profile: VmProfile,
    /// What people will call it; the profile's name if not given.
    pub name: Option<String>,
    /// What it boots.
    pub inputs: VmInputs,
    /// Differences from the profile.
    pub overrides: Option<VmOverrides>,
    /// The files that `inputs` names by index.
    pub files: Vec<JsValue>,
}

impl Launch {
    /// The built-in guest of a profile.
    pub fn built_in(profile: VmProfile) -> Self {
        Self {
            profile,
            name: None,
            inputs: VmInputs::default(),
            overrides: None,
            files: Vec::new(),
        }
    }
}

impl Workbench {
    /// A workbench without a host. Call it in the root scope.
    pub fn new(now: f64) -> Self {
        let store = Store::new(now);
        let host = create_signal(None);
        let scope = use_current_scope();
        Self {
            store,
            host,
            scope,
            consoles: *create_signal(Rc::new(Consoles::new(store, host, scope))),
        }
    }

    /// Runs `work` in the root scope. Whatever is called by the browser or resumed after an `.await` is in no
    /// scope, and needs this before it makes or batches signals.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        self.scope.run_in(work)
    }

    /// The terminals.
    pub fn consoles(&self) -> Rc<Consoles> {
        self.consoles.get_clone_untracked()
    }

    /// The host, if one is connected.
    pub fn host(&self) -> Option<Rc<dyn Host>> {
        self.host.get_clone_untracked()
    }

    /// Notes that there is a host.
    pub fn attach(&self, host: Rc<dyn Host>) {
        self.host.set(Some(host));
        self.store.connection.set(Connection::Connected);
        self.consoles().watch_all();
    }

    /// Notes that the host is gone.
    pub fn detach(&self, failure: Failure) {
        self.host.set(None);
        self.store.captured.set(false);
        self.store.connection.set(Connection::Lost(failure));
    }

    /// Sends a command; without a host that is a failure.
    pub fn request(&self, command: Command, attachments: Vec<JsValue>) -> Answer {
        match self.host() {
            Some(host) => host.request(command, attachments),
            None => Box::pin(std::future::ready(Err(Failure::new(
                "there is no connection to the VM host",
            )
            .with_next_step("Reconnect, then try again.")))),
        }
    }

    /// Sends a command and shows its failure, if it fails.
    fn command(self, command: Command) {
        let answer = self.request(command, Vec::new());
        spawn_local(async move {
            if let Err(failure) = answer.await {
                self.run(|| self.store.report(failure));
            }
        });
    }

    /// Shows a VM and watches its console.
    pub fn select(self, vm_id: &str) {
        self.consoles().watch(vm_id);
        let store = self.store;
        batch(move || {
            if store
                .selected
                .with_untracked(|selected| selected.as_deref() != Some(vm_id))
            {
                store.searching.set(false);
                store.captured.set(false);
                store.selected.set(Some(vm_id.to_owned()));
            }
            store.launching.set(false);
            store.list_open.set(false);
        });
    }

    /// Shows the launcher.
    pub fn open_launcher(self) {
        batch(|| {
            self.store.launching.set(true);
            self.store.list_open.set(false);
        });
    }

    /// Shows some VM when none is shown: one that runs, or else the first.
    pub fn select_any(self) {
        if self.store.launching.get_untracked() || self.store.shown.with_untracked(Option::is_some) {
            return;
        }
        let any = self.store.vms.with_untracked(|vms| {
            vms.iter()
                .find(|vm| vm.state.is_active())
                .or(vms.first())
                .map(|vm| vm.vm_id.clone())
        });
        if let Some(vm_id) = any {
            self.select(&vm_id);
        }
    }

    /// Starts a new VM and shows it.
    pub fn launch(self, launch: Launch) {
        let Launch {
            profile,
            name,
            inputs,
            overrides,
            files,
        } = launch;
        let (vm_id, number) = self.store.vms.with_untracked(|vms| {
            // Room for a number behind the id of a profile.
            let stem: String = profile
                .id
                .chars()
                .filter(char::is_ascii)
                .take(MAX_VM_ID - 8)
                .collect();
            let alike = vms.iter().filter(|vm| vm.profile_id == profile.id).count();
            (new_vm_id(&stem, vms), alike + 1)
        });
        let name = name.unwrap_or_else(|| profile.name.clone());
        let name = if number > 1 {
            format!("{name} {number}")
        } else {
            name
        };
        let profile = ProfileRef::Id(profile.id);
        let command = Command::StartVm {
            vm_id: vm_id.clone(),
            name: Some(name),
            profile,
            inputs: Box::new(inputs),
            overrides: overrides.map(Box::new),
        };
        let answer = self.request(command, files);
        spawn_local(async move {
            let result = answer.await;
            self.run(|| match result {
                Ok(()) => {
                    self.store.tab.set(Tab::Console);
                    self.select(&vm_id);
                    self.consoles().focus(&vm_id);
                }
                Err(failure) => self.store.report(failure),
            });
        });
    }

    /// Starts a stopped VM again.
    pub fn restart(self, vm_id: &str) {
        self.command(Command::RestartVm {
            vm_id: vm_id.to_owned(),
        });
        self.consoles().focus(vm_id);
    }

    /// Asks the guest to shut down.
    pub fn stop(self, vm_id: &str) {
        self.command(Command::StopVm {
            vm_id: vm_id.to_owned(),
            force: false,
        });
    }

    /// Cuts the power without asking.
    pub fn force_stop(self, vm_id: &str) {
        self.command(Command::StopVm {
            vm_id: vm_id.to_owned(),
            force: true,
        });
    }

    /// Cuts the power, after asking unless nothing can be lost yet.
    pub fn ask_force_stop(self, vm_id: &str) {
        let Some(vm) = self.store.vm(vm_id) else { return };
        if vm.state == VmState::Starting {
            self.force_stop(vm_id);
            return;
        }
        let vm_id: VmId = vm_id.to_owned();
        self.store.confirm.set(Some(Confirm::new(
            format!("Force stop {}?", vm.name),
            "Its power is cut at once. What the guest has in memory is lost, and files that it is writing may be damaged.",
            "Force stop",
            move || self.force_stop(&vm_id),
        )));
    }

    /// Pushes the reset button, after asking.
    pub fn ask_reset(self, vm_id: &str) {
        let Some(vm) = self.store.vm(vm_id) else { return };
        let vm_id: VmId = vm_id.to_owned();
        self.store.confirm.set(Some(Confirm::new(
            format!("Reset {}?", vm.name),
            "The machine starts anew without shutting down. What the guest has in memory is lost, and files that it \
             is writing may be damaged.",
            "Reset",
            move || self.command(Command::ResetVm { vm_id: vm_id.clone() }),
        )));
    }

    /// Forgets a VM, after asking.
    pub fn ask_remove(self, vm_id: &str) {
        let Some(vm) = self.store.vm(vm_id).filter(|vm| !vm.state.is_active()) else {
            return;
        };
        let vm_id: VmId = vm_id.to_owned();
        self.store.confirm.set(Some(Confirm::new(
            format!("Remove {}?", vm.name),
            "Its configuration and the output of its console are forgotten. Files of yours that it booted from stay \
             as they are.",
            "Remove",
            move || self.command(Command::RemoveVm { vm_id: vm_id.clone() }),
        )));
    }
}
