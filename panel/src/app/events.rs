//! What scripts are told of the host's news, with the names that `window.qemuweb` has always had.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use qemuweb_vm_config::VmProfile;
use qemuweb_wire::VmState;
use qemuweb_wire::capabilities::RuntimeCapabilities;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::topic::{LibraryState, LogLine, MachinesDelta};
use qemuweb_wire::vm::{Progress, VmId, VmInfo};
use serde::Serialize;

use crate::features::machines::state::Machines;

/// What happened.
#[derive(Clone, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// What the host's browser offers.
    Capabilities {
        /// What was found.
        capabilities: RuntimeCapabilities,
    },
    /// All VMs.
    VmList {
        /// Their views.
        vms: Vec<Rc<VmInfo>>,
    },
    /// A VM is new or differs from what was said before.
    VmChanged {
        /// Its view now.
        vm: Box<VmInfo>,
    },
    /// A VM's vCPUs run for the first time since its start.
    VmStarted {
        /// Which VM.
        vm_id: VmId,
    },
    /// A VM has ended.
    VmStopped {
        /// Which VM.
        vm_id: VmId,
        /// `stopped` or `crashed`.
        state: VmState,
    },
    /// A VM was forgotten.
    VmRemoved {
        /// Which VM.
        vm_id: VmId,
    },
    /// A start goes on.
    Progress {
        /// Which VM.
        vm_id: VmId,
        /// How far it is.
        progress: Progress,
    },
    /// The profiles that people have made.
    ProfileList {
        /// All of them.
        profiles: Vec<VmProfile>,
    },
    /// The files that are stored.
    StoredFiles(LibraryState),
    /// A line for the log.
    Log(LogLine),
    /// Something failed.
    Error {
        /// Which VM, if it belongs to one.
        vm_id: Option<VmId>,
        /// What.
        failure: Failure,
    },
    /// Console output; the bytes come beside it, as `data`.
    SerialOut {
        /// Which VM.
        vm_id: VmId,
        /// The run that it is of.
        run: u64,
        /// How many bytes came before these since the VM's start.
        offset: u64,
    },
}

/// Is called with each event.
pub type Listener = Rc<dyn Fn(&Event)>;

thread_local! {
    static LISTENERS: RefCell<Vec<(u32, Listener)>> = const { RefCell::new(Vec::new()) };
    /// The key of the next listener. None is used twice: to forget one twice must not take away another.
    static NEXT_KEY: Cell<u32> = const { Cell::new(0) };
}

/// Has `listener` called with each event from now on. Returns what [`forget`] takes.
pub fn listen(listener: Listener) -> u32 {
    let key = NEXT_KEY.replace(NEXT_KEY.get() + 1);
    LISTENERS.with_borrow_mut(|listeners| listeners.push((key, listener)));
    key
}

/// Calls a listener no more.
pub fn forget(key: u32) {
    LISTENERS.with_borrow_mut(|listeners| listeners.retain(|(other, _)| *other != key));
}

/// Tells an event, which is made only if somebody listens.
pub fn tell(event: impl FnOnce() -> Event) {
    let listeners = LISTENERS.with_borrow(|all| all.iter().map(|(_, it)| Rc::clone(it)).collect::<Vec<_>>());
    if listeners.is_empty() {
        return;
    }
    let event = event();
    listeners.iter().for_each(|listener| listener(&event));
}

/// Tells what has changed about VMs; `machines` has them as they were.
pub fn tell_of_machines(machines: Machines, vms: &[Rc<VmInfo>], delta: Option<&MachinesDelta>) {
    match delta {
        None => tell(|| Event::VmList { vms: vms.to_vec() }),
        Some(MachinesDelta::Removed { vm_id }) => tell(|| Event::VmRemoved { vm_id: vm_id.clone() }),
        Some(MachinesDelta::Progress { vm_id, progress }) => tell(|| Event::Progress {
            vm_id: vm_id.clone(),
            progress: *progress,
        }),
        Some(MachinesDelta::Changed { vm, .. }) => {
            tell(|| Event::VmChanged { vm: vm.clone() });
            let before = machines.vm(&vm.vm_id);
            let was = |is: fn(&VmState) -> bool| before.as_ref().is_some_and(|vm| is(&vm.state));
            let vm_id = || vm.vm_id.clone();
            if was(|state| *state == VmState::Starting) && vm.state == VmState::Running {
                tell(|| Event::VmStarted { vm_id: vm_id() });
            }
            if let Some(failure) = &vm.failure
                && before
                    .as_ref()
                    .is_none_or(|vm| vm.failure.as_ref() != Some(failure))
            {
                tell(|| Event::Error {
                    vm_id: Some(vm_id()),
                    failure: failure.clone(),
                });
            }
            if was(VmState::is_active) && !vm.state.is_active() {
                tell(|| Event::VmStopped {
                    vm_id: vm_id(),
                    state: vm.state.clone(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sycamore::prelude::*;

    use super::*;
    use crate::cx::Cx;
    use crate::features::machines::words::tests::{rows, vm};

    #[test]
    fn listeners_are_forgotten_once() {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let listen = |name: &'static str| {
            let heard = Rc::clone(&heard);
            listen(Rc::new(move |_| heard.borrow_mut().push(name)))
        };
        let tell = || tell(|| Event::VmRemoved { vm_id: "a".into() });
        let first = listen("first");
        forget(first);
        listen("second");
        forget(first);
        tell();
        assert_eq!(*heard.borrow(), ["second"]);
    }

    #[test]
    fn a_life_is_told() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&told);
        let key = super::listen(Rc::new(move |event| {
            let json = serde_json::to_value(event).unwrap();
            heard.borrow_mut().push(json["type"].as_str().unwrap().to_owned());
        }));
        let root = create_root(|| {
            let machines = Machines::new(Cx::new(0.0));
            machines.heard(&rows([vm("a", VmState::Starting)]), None);
            for state in [VmState::Running, VmState::NOT_STARTED] {
                let vm = vm("a", state);
                let delta = MachinesDelta::Changed {
                    vm: Box::new(vm.clone()),
                    place: 0,
                };
                tell_of_machines(machines, &[], Some(&delta));
                machines.heard(&rows([vm]), Some(&delta));
            }
        });
        root.dispose();
        forget(key);
        assert_eq!(
            *told.borrow(),
            ["vmChanged", "vmStarted", "vmChanged", "vmStopped"]
        );
    }
}
