//! All features of a page, and how the host's events reach them.

use qemuweb_runtime::protocol::Event;
use sycamore::prelude::*;
use sycamore::web::window;
use wasm_bindgen::JsValue;

use super::shortcuts::are_single_kept;
use crate::cx::Cx;
use crate::features::capture::state::Capture;
use crate::features::capture::toolbar::BESIDE;
use crate::features::console::state::Consoles;
use crate::features::launcher::state::Launcher;
use crate::features::library::state::Library;
use crate::features::machines::progress::note_boot;
use crate::features::machines::state::Machines;
use crate::features::monitor::state::Monitors;
use crate::kit::browser::preference;
use crate::kit::files;

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
        let page = Self {
            cx,
            machines,
            library,
            consoles: Consoles::new(machines),
            monitors: Monitors::new(machines),
            launcher: Launcher::new(library),
            capture: Capture::new(machines),
            help: create_signal(false),
            single_keys: create_signal(are_single_kept()),
        };
        cx.nav.beside.set(beside_kept());
        provide_context(cx);
        provide_context(page.machines);
        provide_context(page.library);
        provide_context(page.consoles);
        provide_context(page.monitors);
        provide_context(page.launcher);
        provide_context(page.capture);
        provide_context(page);
        page
    }

    /// That of a component.
    pub fn here() -> Self {
        use_context()
    }

    /// Takes in an event with its attachments.
    pub fn apply(self, event: &Event, attachments: &[JsValue]) {
        self.consoles.apply(event, attachments);
        match event {
            Event::Capabilities { capabilities } => self.cx.capabilities.set(Some(capabilities.clone())),
            Event::VmChanged { vm } => note_boot(vm),
            Event::VmHandles { vm_id } => {
                let (vm_id, handles) = (vm_id.clone(), attachments.to_vec());
                let machines = self.machines;
                let asked = async move {
                    let names = files::not_allowed(&handles).await;
                    (handles, names)
                };
                self.cx.later(asked, move |(handles, names)| {
                    machines.start_with_handles(vm_id, handles, &names);
                });
            }
            _ => {}
        }
        self.machines.apply(event);
        self.library.apply(event);
        self.monitors.apply(event);
        self.capture.apply(event);
        if matches!(event, Event::VmChanged { .. } | Event::VmRemoved { .. }) {
            self.machines.show_any();
        }
    }
}
