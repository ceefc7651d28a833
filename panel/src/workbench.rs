//! The handle that all components hold: the store, the host, the consoles, and what a person can do.

use std::pin::Pin;
use std::rc::Rc;

use qemuweb_runtime::VmState;
use qemuweb_runtime::client::{QemuClient, Transport};
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::{Command, MAX_VM_ID, ProfileRef, VmId};
use qemuweb_vm_config::{DEFAULT_PROFILE_ID, VmProfile, find_profile};
use serde_json::Value;
use sycamore::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::capture::bounds::Bounds;
use crate::capture::names;
use crate::capture::state::Capture;
use crate::console::Consoles;
use crate::dialog::Confirm;
use crate::local_files;
use crate::state::{Connection, Removed, Store, Tab, new_vm_id};

/// The answer to a request, once it comes.
pub type Answer = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// The value that answers a request, once it comes.
pub type Asked = Pin<Box<dyn Future<Output = Result<Value, Failure>>>>;

/// The VM host, whatever the channel to it is.
pub trait Host {
    /// Sends a command that is answered with a value.
    fn ask(&self, command: Command) -> Asked;
    /// Sends a command with its attachments.
    fn request(&self, command: Command, attachments: Vec<JsValue>) -> Answer;
    /// Types bytes into a VM's console, behind those that were typed before.
    fn type_bytes(&self, vm_id: &str, bytes: &[u8]) -> Answer;
    /// Tells a guest the size of its terminal.
    fn resize_console(&self, vm_id: &str, rows: u16, cols: u16);
    /// Leaves the host.
    fn leave(&self);
}

impl<T: Transport<Attachment = JsValue> + 'static> Host for QemuClient<T> {
    fn ask(&self, command: Command) -> Asked {
        let client = self.clone();
        Box::pin(async move { client.ask(command, Vec::new()).await })
    }

    fn request(&self, command: Command, attachments: Vec<JsValue>) -> Answer {
        let client = self.clone();
        Box::pin(async move { client.request(command, attachments).await })
    }

    fn type_bytes(&self, vm_id: &str, bytes: &[u8]) -> Answer {
        Box::pin(self.type_bytes(vm_id, bytes))
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
    /// The page's traffic.
    pub capture: Capture,
    consoles: ReadSignal<Rc<Consoles>>,
    host: Signal<Option<Rc<dyn Host>>>,
    scope: NodeHandle,
}

impl Workbench {
    /// A workbench without a host. Call it in the root scope.
    pub fn new(now: f64) -> Self {
        let store = Store::new(now);
        let host = create_signal(None);
        let scope = use_current_scope();
        Self {
            store,
            capture: Capture::new(format!("c{:x}", now as u64), Bounds::kept(), names::kept()),
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
            None => Box::pin(std::future::ready(Err(not_connected()))),
        }
    }

    /// Sends a command and shows its failure, if it fails.
    pub fn command(self, command: Command) {
        let answer = self.request(command, Vec::new());
        spawn_local(async move { self.report_of(answer.await) });
    }

    /// Shows a failure that belongs to no view, or whose view is gone.
    pub fn report_of(self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.run(|| self.store.report(failure));
        }
    }

    /// Types into a VM's console. What the guest does not take is told as a failure.
    pub fn type_in(self, vm_id: &str, text: &[u8]) {
        self.consoles().type_in(vm_id, text);
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
            self.capture.shown.set(false);
            store.list_open.set(false);
        });
    }

    /// Shows the launcher.
    pub fn open_launcher(self) {
        batch(|| {
            self.store.launching.set(true);
            self.capture.shown.set(false);
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

    /// An id for a new VM of a profile.
    pub fn new_id(self, profile_id: &str) -> VmId {
        // Room for a number behind the id of a profile.
        let stem: String = profile_id
            .chars()
            .filter(char::is_ascii)
            .take(MAX_VM_ID - 8)
            .collect();
        self.store.vms.with_untracked(|vms| new_vm_id(&stem, vms))
    }

    /// `name`, or with the first number from 2 that no VM has.
    pub fn new_name(self, name: &str) -> String {
        self.store.vms.with_untracked(|vms| {
            let is_free = |name: &String| vms.iter().all(|vm| vm.name != *name);
            std::iter::once(name.to_owned())
                .chain((2_u32..).map(|number| format!("{name} {number}")))
                .find(is_free)
                .unwrap_or_else(|| name.to_owned())
        })
    }

    /// Has the host prepare for a VM of a profile, because the person seems to be about to start one.
    pub fn prepare(self, profile: &VmProfile) {
        let profile = ProfileRef::Inline(Box::new(profile.clone()));
        let answer = self.request(Command::PrepareVm { profile }, Vec::new());
        // What is wrong, the start tells.
        spawn_local(async move { drop(answer.await) });
    }

    /// Has the host prepare for what is started most often: what was last, or else the default guest.
    pub fn prepare_likely(self) {
        let last = self.store.recent(1).into_iter().next();
        let last = last.map(|vm| vm.definition.profile);
        if let Some(profile) = last.or_else(|| find_profile(DEFAULT_PROFILE_ID)) {
            self.prepare(&profile);
        }
    }

    /// Starts a new VM of a profile as it is, and shows it. The person is first asked to let QemuWeb fetch what the profile
    /// has on the web.
    pub fn launch(self, profile: &VmProfile) {
        let vm_id = self.new_id(&profile.id);
        let command = Command::StartVm {
            vm_id: vm_id.clone(),
            name: Some(self.new_name(&profile.name)),
            profile: ProfileRef::Id(profile.id.clone()),
            inputs: Box::default(),
            overrides: None,
        };
        let hosts = local_files::ask_for_hosts(&profile.default_inputs.urls());
        spawn_local(async move {
            let result = match hosts.await {
                Ok(()) => self.request(command, Vec::new()).await,
                Err(problem) => Err(Failure::new(problem)),
            };
            self.run(|| match result {
                Ok(()) => self.show_started(&vm_id),
                Err(failure) => self.store.report(failure),
            });
        });
    }

    /// Shows a VM that was just started, with the keyboard on its console.
    pub fn show_started(self, vm_id: &str) {
        self.store.tab.set(Tab::Console);
        self.select(vm_id);
        self.consoles().focus(vm_id);
    }

    /// Asks the host for a value; without a host that is a failure.
    pub fn ask(&self, command: Command) -> Asked {
        match self.host() {
            Some(host) => host.ask(command),
            None => Box::pin(std::future::ready(Err(not_connected()))),
        }
    }

    /// Defines another VM like this one and shows it.
    pub fn clone_vm(self, vm_id: &str) {
        let Some(vm) = self.store.vm(vm_id) else { return };
        let new_id = self.new_id(&vm.profile_id);
        let answer = self.request(
            Command::CloneVm {
                vm_id: vm_id.to_owned(),
                new_id: new_id.clone(),
                name: self.new_name(&format!("{} copy", vm.name)),
            },
            Vec::new(),
        );
        spawn_local(async move {
            let result = answer.await;
            self.run(|| match result {
                Ok(()) => self.select(&new_id),
                Err(failure) => self.store.report(failure),
            });
        });
    }

    /// Has a VM among the favourites, or no longer.
    pub fn toggle_favourite(self, vm_id: &str) {
        if let Some(vm) = self.store.vm(vm_id) {
            self.command(Command::SetFavourite {
                vm_id: vm_id.to_owned(),
                favourite: !vm.favourite,
            });
        }
    }

    /// Forgets a VM that is not active, with the way back on screen.
    pub fn remove(self, vm_id: &str) {
        let Some(vm) = self.store.vm(vm_id).filter(|vm| !vm.state.is_active()) else {
            return;
        };
        let answer = self.request(
            Command::RemoveVm {
                vm_id: vm_id.to_owned(),
            },
            Vec::new(),
        );
        spawn_local(async move {
            let result = answer.await;
            self.run(|| match result {
                Ok(()) => self.store.removed.set(Some(Removed {
                    vm_id: vm.vm_id,
                    name: vm.name,
                })),
                Err(failure) => self.store.report(failure),
            });
        });
    }

    /// Brings back the VM that was removed last.
    pub fn undo_remove(self) {
        let Some(Removed { vm_id, .. }) = self.store.removed.get_clone_untracked() else {
            return;
        };
        self.store.removed.set(None);
        let answer = self.request(Command::RestoreVm { vm_id: vm_id.clone() }, Vec::new());
        spawn_local(async move {
            let result = answer.await;
            self.run(|| match result {
                Ok(()) => self.select(&vm_id),
                Err(failure) => self.store.report(failure),
            });
        });
    }

    /// Starts a stopped VM again. Where the page may ask, the person is first asked to let it read its files again.
    pub fn restart(self, vm_id: &str) {
        let has_handles = self.store.vm(vm_id).is_some_and(|vm| vm.has_handles);
        if has_handles && local_files::has_picker() {
            // Comes back as `restart_with_handles`.
            self.command(Command::SendHandles {
                vm_id: vm_id.to_owned(),
            });
        } else {
            self.restart_with_files(vm_id);
        }
    }

    /// Starts a stopped VM again, after asking for the files of these `names` if there are any: the browser shows its
    /// own question only just after a click.
    pub fn restart_with_handles(self, vm_id: VmId, handles: Vec<JsValue>, names: &[String]) {
        if names.is_empty() {
            return self.restart_with_files(&vm_id);
        }
        let question = Confirm::new(
            format!("Let QemuWeb read {} again?", names.join(", ")),
            "The browser forgets this permission when it closes. It asks you for it next; without it the machine \
             does not start.",
            "Ask the browser",
            move || {
                let (vm_id, handles) = (vm_id.clone(), handles.clone());
                spawn_local(async move {
                    local_files::ask_for_handles(&handles).await;
                    self.run(|| self.restart_with_files(&vm_id));
                });
            },
        );
        self.store.confirm.set(Some(question.harmless()));
    }

    /// Starts a stopped VM again with the permissions that there are.
    pub fn restart_with_files(self, vm_id: &str) {
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
}

fn not_connected() -> Failure {
    Failure::new("there is no connection to the VM host").with_next_step("Reconnect, then try again.")
}
