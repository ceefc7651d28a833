//! The consoles: one terminal per VM that was looked at, kept while its VM exists.
//!
//! A terminal outlives its place in the page, so that switching VMs loses neither text nor position, and the
//! last output of a VM that crashed stays readable. It is fed while its VM is the one that is shown; the host keeps what comes
//! meanwhile, and says so where that was too much.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_wire::vm::{VmId, VmInfo};
use sycamore::prelude::*;

use super::terminal::Console;
use crate::cx::{Cx, not_connected};
use crate::features::machines::state::Machines;
use crate::kit::reactive::{effect, memo};

/// Is called with what a guest prints: its VM, the run, how many bytes of that came before, and the bytes.
pub type OnOutput = Rc<dyn Fn(&str, u64, u64, &Uint8Array)>;

/// What is kept beside signals.
#[derive(Default)]
struct Kept {
    by_vm: RefCell<HashMap<VmId, Rc<Console>>>,
    /// Whether the page has loaded xterm.js.
    is_enabled: Cell<bool>,
    on_output: RefCell<Option<OnOutput>>,
}

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
    kept: ReadSignal<Rc<Kept>>,
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
            kept: *create_signal(Rc::default()),
        };
        effect(move || {
            cx.nav.selected.track();
            consoles.searching.set(false);
            consoles.captured.set(false);
        });
        let shown = memo(move || machines.shown.with(|vm| vm.as_ref().map(|vm| vm.vm_id.clone())));
        effect(move || {
            let is_there = cx.client_tracked().is_some();
            let shown = shown.get_clone();
            untrack(|| {
                if !is_there {
                    consoles.captured.set(false);
                }
                consoles.feed_only(shown.as_deref());
            });
        });
        consoles
    }

    /// Those of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    fn kept(self) -> Rc<Kept> {
        self.kept.get_clone_untracked()
    }

    fn all(self) -> Vec<Rc<Console>> {
        self.kept().by_vm.borrow().values().cloned().collect()
    }

    /// Allows terminals: the page has loaded xterm.js.
    pub fn enable(self) {
        self.kept().is_enabled.set(true);
    }

    /// Has `heard` called with what guests print whose terminals are fed.
    pub fn on_output(self, heard: OnOutput) {
        *self.kept().on_output.borrow_mut() = Some(heard);
    }

    pub(super) fn output(self, vm_id: &str, run: u64, offset: u64, bytes: &Uint8Array) {
        let heard = self.kept().on_output.borrow().clone();
        if let Some(heard) = heard {
            heard(vm_id, run, offset, bytes);
        }
    }

    /// The terminal of a VM, if it has one.
    pub fn get(self, vm_id: &str) -> Option<Rc<Console>> {
        self.kept().by_vm.borrow().get(vm_id).cloned()
    }

    /// The terminal that is shown, if there is one. Not tracked.
    pub fn shown(self) -> Option<Rc<Console>> {
        self.get(&self.cx.nav.selected.get_clone_untracked()?)
    }

    /// The terminal of a VM, made if it had none, and fed from now on.
    pub fn open(self, vm_id: &str) -> Option<Rc<Console>> {
        let kept = self.kept();
        if !kept.is_enabled.get() {
            return None;
        }
        let console = self.get(vm_id).or_else(|| {
            let mut made = None;
            self.cx.run(|| made = Console::new(vm_id, self));
            let console = made?;
            kept.by_vm
                .borrow_mut()
                .insert(vm_id.to_owned(), Rc::clone(&console));
            Some(console)
        })?;
        if let Some(client) = self.cx.client() {
            console.connect(&client);
        }
        Some(console)
    }

    /// Feeds a VM's terminal from now on, also while it is not shown.
    pub fn watch(self, vm_id: &str) {
        if let Some(console) = self.open(vm_id) {
            console.pin();
        }
    }

    /// Feeds the terminal that is shown, and those that are watched.
    fn feed_only(self, shown: Option<&str>) {
        for console in self.all() {
            let is_wanted = console.is_pinned() || shown == Some(console.vm_id());
            if !is_wanted {
                console.disconnect();
            } else if let Some(client) = self.cx.client() {
                console.connect(&client);
            }
        }
        if let Some(vm_id) = shown {
            self.open(vm_id);
        }
    }

    /// Types into a VM's console, whether it is shown or not. What the guest does not take is told as a failure.
    pub fn type_in(self, vm_id: &str, bytes: &[u8]) {
        let typed = match self.open(vm_id) {
            Some(console) => console.type_in(bytes),
            None => Err(not_connected()),
        };
        self.cx.report_of(typed);
    }

    /// Notes a VM's change.
    pub fn changed(self, vm: &VmInfo) {
        if let Some(console) = self.get(&vm.vm_id) {
            console.changed(vm);
        }
    }

    /// Forgets the terminal of a VM that is no more.
    pub fn removed(self, vm_id: &str) {
        let console = self.kept().by_vm.borrow_mut().remove(vm_id);
        if let Some(console) = console {
            console.end();
        }
    }

    /// Tells guests which of their terminals are in view.
    pub fn page_is_shown_or_hidden(self) {
        for console in self.all() {
            console.tell_size();
        }
    }

    /// Draws all terminals in the page's present theme.
    pub fn restyle(self) {
        for console in self.all() {
            console.restyle();
        }
    }
}
