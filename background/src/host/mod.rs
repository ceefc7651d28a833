//! The VM host: the offscreen document that owns all VMs and serves all clients.
//!
//! [`Host`] is what JavaScript holds; the state is in [`State`], shared with the tasks that pump rings and
//! listen to Workers. Nothing here blocks: QEMU runs in the VMs' Workers.

mod capture;
mod catalogue;
mod clients;
mod commands;
mod control;
mod definition;
mod files;
mod library;
mod metrics;
mod spare;
mod store;
mod variables;
mod vm;
mod worker;

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use qemuweb_chrome::sys::bindings::send_message;
use qemuweb_runtime::client::{Packet, Transport};
use qemuweb_runtime::protocol::{Event, VmId};
use qemuweb_runtime::state::{StopReason, VmState};
use qemuweb_runtime::web::presence::{self, Presence, announce};
use qemuweb_runtime::web::{PortTransport, detect_capabilities};
use qemuweb_runtime::{Failure, RuntimeCapabilities};
use qemuweb_vm_config::VmProfile;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessagePort;

use clients::{ClientId, Clients};
use library::Library;
use spare::Spares;
use store::Store;
use vm::Vm;

/// The host as its page's loader sees it.
#[wasm_bindgen]
pub struct Host {
    state: SharedState,
    _presence: Presence,
}

type SharedState = Rc<RefCell<State>>;

/// All that the host owns.
struct State {
    /// This state as tasks hold it.
    shared: Weak<RefCell<State>>,
    capabilities: RuntimeCapabilities,
    clients: Clients,
    vms: Vec<Vm>,
    /// VMs that were removed and can be brought back, the latest last.
    removed: Vec<Vm>,
    /// The profiles that people have made, in the order of their names.
    profiles: Vec<VmProfile>,
    /// The files that people have stored.
    library: Library,
    /// The Workers that wait for VMs.
    spares: Spares,
    /// The database, if the browser lets us have one.
    store: Option<Rc<Store>>,
    /// What of the database could not be read, and why the former host failed, for clients that come.
    storage_failures: Vec<Failure>,
    /// What the badge was last told.
    badge: usize,
}

#[wasm_bindgen]
impl Host {
    /// A host without VMs, which clients can tell to be there.
    ///
    /// # Errors
    /// The text of a failure when the browser has no Web Locks.
    pub async fn start() -> Result<Host, JsError> {
        let presence = announce(presence::HOST)
            .await
            .map_err(|failure| JsError::new(&failure.to_string()))?;
        let failed = former_failure();
        let ended = match failed {
            Some(_) => StopReason::HostFailed,
            None => StopReason::HostEnded,
        };
        let mut kept = catalogue::load(ended).await;
        kept.failures.extend(failed);
        let state = |shared: &Weak<RefCell<State>>| State {
            shared: shared.clone(),
            capabilities: detect_capabilities(),
            clients: Clients::default(),
            vms: kept.vms,
            removed: Vec::new(),
            profiles: kept.profiles,
            library: Library::new(kept.files),
            spares: Spares::default(),
            store: kept.store,
            storage_failures: kept.failures,
            // Unlike any count: a badge that a former host left is corrected at once.
            badge: usize::MAX,
        };
        let state = Rc::new_cyclic(|shared| RefCell::new(state(shared)));
        state.borrow_mut().update_badge();
        metrics::keep_measuring(&state);
        Ok(Self {
            state,
            _presence: presence,
        })
    }

    /// Takes a client's port, as the service worker brings it, and the name of the lock that the client holds.
    pub fn accept(&self, port: MessagePort, client_lock: String) {
        let transport = Rc::new(PortTransport::new(port, client_lock));
        let client = self.state.borrow_mut().clients.add(Rc::clone(&transport));
        let state = Rc::downgrade(&self.state);
        transport.on_close(Box::new(move || {
            if let Some(state) = state.upgrade() {
                state.borrow_mut().remove_client(client);
            }
        }));
        let state = Rc::downgrade(&self.state);
        transport.on_packet(Box::new(move |packet| {
            if let Some(state) = state.upgrade() {
                serve(&state, client, packet);
            }
        }));
    }
}

/// Why the former host is gone, if it failed: its page has left that (`extension/offscreen.js`).
fn former_failure() -> Option<Failure> {
    const LEFT: &str = "host.failure";
    let storage = web_sys::window()?.local_storage().ok()??;
    let cause = storage.get_item(LEFT).ok()??;
    storage.remove_item(LEFT).ok()?;
    let failure = Failure {
        causes: vec![cause],
        ..Failure::new("the VM host failed; machines that ran have ended")
    };
    Some(failure.with_next_step("Start them again."))
}

fn serve(state: &SharedState, client: ClientId, packet: Packet<JsValue>) {
    let state = Rc::clone(state);
    spawn_local(async move { commands::serve(&state, client, packet).await });
}

impl State {
    fn remove_client(&mut self, client: ClientId) {
        self.clients.remove(client);
        if self.clients.is_empty() {
            self.spares.clear();
        }
    }

    fn vm(&self, vm_id: &str) -> Option<&Vm> {
        self.vms.iter().find(|vm| vm.info.vm_id == vm_id)
    }

    fn vm_mut(&mut self, vm_id: &str) -> Option<&mut Vm> {
        self.vms.iter_mut().find(|vm| vm.info.vm_id == vm_id)
    }

    /// The VM with this id, if it is still in the life that `run` names. What arrives late from a former
    /// life's Worker or rings finds nothing.
    fn vm_in_run(&mut self, run: &Run) -> Option<&mut Vm> {
        self.vm_mut(&run.vm_id).filter(|vm| vm.run == run.number)
    }

    /// Tells all clients how a VM is now, and the database whether it is active.
    fn publish_vm(&mut self, vm_id: &str) {
        if self
            .vm(vm_id)
            .is_some_and(|vm| vm.kept_active != vm.info.state.is_active())
        {
            self.keep(vm_id);
        }
        if let Some(vm) = self.vm(vm_id) {
            self.clients.broadcast(&Event::VmChanged {
                vm: Box::new(vm.info.clone()),
            });
        }
        self.update_badge();
    }

    /// Tells the service worker how many VMs are active, when that has changed.
    fn update_badge(&mut self) {
        let running = self.vms.iter().filter(|vm| vm.info.state.is_active()).count();
        if running == self.badge {
            return;
        }
        self.badge = running;
        spawn_local(async move {
            let message = js_sys::Object::new();
            #[expect(clippy::cast_precision_loss, reason = "VMs are few")]
            let set = js_sys::Reflect::set(&message, &"running".into(), &(running as f64).into());
            if set.is_ok() {
                // Without a service worker there is no badge to be wrong.
                let _ = send_message(&message).await;
            }
        });
    }
}

/// One life of a VM, from a start to its end.
#[derive(Clone, Debug)]
struct Run {
    vm_id: VmId,
    number: u64,
}

/// Milliseconds since the epoch.
fn now() -> f64 {
    js_sys::Date::now()
}

/// Whether a state's QEMU can be spoken to.
fn has_machine(state: &VmState) -> bool {
    matches!(state, VmState::Running | VmState::Paused | VmState::Stopping)
}
