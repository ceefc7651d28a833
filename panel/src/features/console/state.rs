//! The consoles: one terminal per VM that was looked at, kept while its VM exists.
//!
//! A terminal outlives its place in the page, so that switching VMs loses neither text nor position, and the
//! last output of a VM that crashed stays readable.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_runtime::protocol::{Command, Event, VmId};
use sycamore::prelude::*;
use wasm_bindgen::{JsCast, JsValue};

use super::terminal::Console;
use crate::cx::{Connection, Cx};
use crate::features::machines::state::Machines;

/// All terminals. Copies are the same.
#[derive(Clone, Copy)]
pub struct Consoles {
    /// What every feature gets.
    pub cx: Cx,
    /// The VMs that they are of.
    pub machines: Machines,
    /// Whether the search bar is open.
    pub searching: Signal<bool>,
    /// Whether all keys go to the guest.
    pub captured: Signal<bool>,
    by_vm: ReadSignal<Rc<RefCell<HashMap<VmId, Rc<Console>>>>>,
    is_enabled: ReadSignal<Rc<Cell<bool>>>,
}

impl Consoles {
    /// None yet. Call it in the root scope.
    pub fn new(machines: Machines) -> Self {
        let cx = machines.cx;
        let consoles = Self {
            cx,
            machines,
            searching: create_signal(false),
            captured: create_signal(false),
            by_vm: *create_signal(Rc::default()),
            is_enabled: *create_signal(Rc::default()),
        };
        create_effect(move || {
            let vm_id = cx.nav.selected.get_clone();
            consoles.searching.set(false);
            consoles.captured.set(false);
            if let Some(vm_id) = vm_id {
                untrack(|| consoles.watch(&vm_id));
            }
        });
        create_effect(move || match cx.connection.get_clone() {
            // The host is new to us.
            Connection::Connected => untrack(|| consoles.watch_all()),
            Connection::Connecting | Connection::Lost(_) => consoles.captured.set(false),
        });
        consoles
    }

    /// Those of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Allows terminals: the page has loaded xterm.js.
    pub fn enable(self) {
        self.is_enabled.get_clone_untracked().set(true);
        if let Some(vm_id) = self.cx.nav.selected.get_clone_untracked() {
            self.watch(&vm_id);
        }
    }

    fn all(self) -> Rc<RefCell<HashMap<VmId, Rc<Console>>>> {
        self.by_vm.get_clone_untracked()
    }

    /// The terminal of a VM, if it is watched.
    pub fn get(self, vm_id: &str) -> Option<Rc<Console>> {
        self.all().borrow().get(vm_id).cloned()
    }

    /// The terminal that is shown, if there is one. Not tracked.
    pub fn shown(self) -> Option<Rc<Console>> {
        self.get(&self.cx.nav.selected.get_clone_untracked()?)
    }

    /// Makes a terminal for a VM that has none, and asks the host for its output.
    pub fn watch(self, vm_id: &str) {
        if !self.is_enabled.get_clone_untracked().get() || self.get(vm_id).is_some() {
            return;
        }
        let mut made = None;
        self.cx.run(|| made = Console::new(vm_id, self));
        if let Some(console) = made {
            self.all().borrow_mut().insert(vm_id.to_owned(), Rc::new(console));
            self.ask(vm_id);
        }
    }

    fn watch_all(self) {
        let watched: Vec<VmId> = self.all().borrow().keys().cloned().collect();
        for vm_id in watched {
            self.ask(&vm_id);
        }
    }

    fn ask(self, vm_id: &str) {
        let command = Command::WatchVm {
            vm_id: vm_id.to_owned(),
        };
        // A VM that is gone by now has nothing to show.
        self.cx.later(self.cx.request(command, Vec::new()), drop);
    }

    /// Takes in an event.
    pub fn apply(self, event: &Event, attachments: &[JsValue]) {
        match event {
            Event::SerialOut { vm_id, run, offset } => {
                let bytes = attachments
                    .first()
                    .and_then(|bytes| bytes.dyn_ref::<Uint8Array>());
                // Where none of it is awaited, it is dropped.
                if let Some((console, bytes)) = self.get(vm_id).zip(bytes) {
                    console.take(*run, *offset, bytes);
                }
            }
            Event::VmList { vms } => {
                for (console, vm) in vms.iter().filter_map(|vm| Some((self.get(&vm.vm_id)?, vm))) {
                    console.changed(vm);
                }
            }
            Event::VmChanged { vm } => {
                if let Some(console) = self.get(&vm.vm_id) {
                    console.changed(vm);
                }
            }
            Event::VmRemoved { vm_id } => {
                if let Some(console) = self.all().borrow_mut().remove(vm_id) {
                    console.end();
                }
            }
            _ => {}
        }
    }

    /// Tells guests the size of their terminals that have come into view.
    pub fn page_is_shown(self) {
        for console in self.all().borrow().values().filter(|console| console.is_shown()) {
            console.tell_size();
        }
    }

    /// Draws all terminals in the page's present theme.
    pub fn restyle(self) {
        for console in self.all().borrow().values() {
            console.restyle();
        }
    }
}
