//! All features of a page, and how the host's events reach them.

use std::cell::Cell;
use std::rc::Rc;

use qemuweb_wire::client::Subscription;
use qemuweb_wire::topic::{self, HostDelta, HostState, MachinesDelta};
use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;
use sycamore::web::window;
use wasm_bindgen::JsValue;

use super::events::{self, Event};
use super::shortcuts::are_single_kept;
use crate::cx::{Client, Cx};
use crate::features::capture::state::Capture;
use crate::features::capture::toolbar::BESIDE;
use crate::features::console::state::Consoles;
use crate::features::disks::state::Disks;
use crate::features::launcher::state::Launcher;
use crate::features::library::state::Library;
use crate::features::machines::progress::note_boot;
use crate::features::machines::state::{Machines, Rows};
use crate::features::monitor::state::Monitors;
use crate::features::transfer::state::Transfers;
use crate::kit::browser::preference;

/// All features of the panel. Copies are the same.
#[derive(Clone, Copy)]
pub struct Page {
    /// What every feature gets.
    pub cx: Cx,
    /// The virtual machines.
    pub machines: Machines,
    /// Stored files and profiles.
    pub library: Library,
    /// Their consoles.
    pub consoles: Consoles,
    /// Their monitors.
    pub monitors: Monitors,
    /// The launcher.
    pub launcher: Launcher,
    /// The page's traffic.
    pub capture: Capture,
    /// Files to and from guests.
    pub transfers: Transfers,
    /// Whether the list of shortcuts is open.
    pub help: Signal<bool>,
    /// Whether a key by itself is a shortcut.
    pub single_keys: Signal<bool>,
}

/// Whether the traffic stands beside the machine: as it was last, or where there is room.
fn beside_kept() -> bool {
    if !cfg!(target_arch = "wasm32") {
        return false;
    }
    let size = |size: Result<JsValue, JsValue>| size.ok().and_then(|size| size.as_f64()).unwrap_or(0.0);
    preference(BESIDE).map_or_else(
        || size(window().inner_width()) >= 1000.0 || size(window().inner_height()) >= 800.0,
        |kept| kept == "true",
    )
}

impl Page {
    /// Makes all features and puts them where components find them. Call it in the root scope.
    pub fn new(now: f64) -> Self {
        let cx = Cx::new(now);
        let machines = Machines::new(cx);
        let library = Library::new(machines);
        let consoles = Consoles::new(machines);
        let monitors = Monitors::new(machines);
        let page = Self {
            cx,
            machines,
            library,
            consoles,
            monitors,
            launcher: Launcher::new(library),
            capture: Capture::new(consoles),
            transfers: Transfers::new(machines),
            help: create_signal(false),
            single_keys: create_signal(are_single_kept()),
        };
        cx.nav.beside.set(beside_kept());
        provide_context(cx);
        provide_context(page.machines);
        provide_context(page.library);
        provide_context(page.consoles);
        provide_context(page.monitors);
        provide_context(Disks::new(monitors, library));
        provide_context(page.launcher);
        provide_context(page.capture);
        provide_context(page.transfers);
        provide_context(page);
        page
    }

    /// That of a component.
    pub fn here() -> Self {
        use_context()
    }

    /// Keeps up with the host: what comes goes to the features, and to those who listen as an [`Event`]. `ready` is called once
    /// VMs and capabilities are known.
    pub fn subscribe(self, client: &Client, ready: impl Fn() + 'static) -> Vec<Subscription> {
        let cx = self.cx;
        let (capabilities, ready) = (Rc::new(Cell::new(false)), Rc::new(ready));
        let (known, first) = (Rc::clone(&capabilities), Rc::clone(&ready));
        let vms_known = Rc::new(Cell::new(false));
        let both = Rc::clone(&vms_known);
        vec![
            client.subscribe(&topic::Host, move |news| {
                cx.run(|| self.host_news(news.state, news.delta));
                if !known.replace(true) && both.get() {
                    first();
                }
            }),
            client.subscribe(&Rows, move |news| {
                cx.run(|| self.machines_news(news.state, news.delta.map(|delta| &delta.0)));
                if !vms_known.replace(true) {
                    cx.run(|| untrack(|| self.machines.prepare_likely()));
                    if capabilities.get() {
                        ready();
                    }
                }
            }),
            client.subscribe(&topic::Profiles, move |news| {
                cx.run(|| self.library.profiles.set(news.state.clone()));
                events::tell(|| Event::ProfileList {
                    profiles: news.state.clone(),
                });
            }),
            client.subscribe(&topic::Library, move |news| {
                cx.run(|| self.library.heard(news.state));
                events::tell(|| Event::StoredFiles(news.state.clone()));
            }),
        ]
    }

    fn host_news(self, state: &HostState, delta: Option<&HostDelta>) {
        match delta {
            None => {
                let capabilities = state.capabilities.clone();
                self.cx.capabilities.set(Some(capabilities.clone()));
                events::tell(|| Event::Capabilities { capabilities });
                // What failed before this page came.
                for failure in &state.failures {
                    self.cx.notices.report(failure.clone());
                }
            }
            Some(HostDelta::Failed { failure }) => {
                self.cx.notices.report(failure.clone());
                events::tell(|| Event::Error {
                    vm_id: None,
                    failure: failure.clone(),
                });
            }
            Some(HostDelta::Logged { line }) => {
                self.machines.logged(line);
                events::tell(|| Event::Log(line.clone()));
            }
        }
    }

    fn machines_news(self, vms: &[Rc<VmInfo>], delta: Option<&MachinesDelta>) {
        // Before the list, from which the VM as it was can still be had.
        events::tell_of_machines(self.machines, vms, delta);
        match delta {
            Some(MachinesDelta::Changed { vm, .. }) => {
                note_boot(vm);
                self.consoles.changed(vm);
            }
            Some(MachinesDelta::Removed { vm_id }) => self.removed(vm_id),
            Some(MachinesDelta::Progress { .. }) => {}
            None => {
                // Another host may know other VMs.
                let before = self.machines.vms.get_clone_untracked();
                let is_gone = |vm: &&Rc<VmInfo>| vms.iter().all(|known| known.vm_id != vm.vm_id);
                before
                    .iter()
                    .filter(is_gone)
                    .for_each(|vm| self.removed(&vm.vm_id));
                vms.iter().for_each(|vm| self.consoles.changed(vm));
            }
        }
        self.machines.heard(vms, delta);
    }

    fn removed(self, vm_id: &str) {
        self.consoles.removed(vm_id);
        self.capture.removed(vm_id);
        self.transfers.removed(vm_id);
    }
}
