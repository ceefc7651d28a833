//! The virtual machines as the host tells of them.

use std::cmp::Ordering::Equal;
use std::collections::VecDeque;
use std::rc::Rc;

use qemuweb_runtime::VmState;
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::{Event, LogLevel, VmId, VmInfo};
use sycamore::prelude::*;

use crate::cx::Cx;

/// Log lines that are kept, of all VMs together.
const MAX_LOG_LINES: usize = 500;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Which VM, if it belongs to one.
    pub vm_id: Option<VmId>,
    /// How grave it is.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

/// The virtual machines. Copies are the same.
#[derive(Clone, Copy)]
pub struct Machines {
    /// What every feature gets.
    pub cx: Cx,
    /// All VMs, in the order in which they were defined.
    pub vms: Signal<Vec<Rc<VmInfo>>>,
    /// The view of the VM that is shown; nothing while the launcher is.
    pub shown: ReadSignal<Option<Rc<VmInfo>>>,
    /// What VMs' names must contain to be listed.
    pub filter: Signal<String>,
    /// What the host logged, the latest last.
    pub log: Signal<VecDeque<LogLine>>,
}

impl Machines {
    /// None yet. Call it in the root scope.
    pub fn new(cx: Cx) -> Self {
        let vms = create_signal(Vec::<Rc<VmInfo>>::new());
        let nav = cx.nav;
        let shown = create_memo(move || {
            if nav.launching.get() {
                return None;
            }
            nav.selected
                .with(|id| vms.with(|vms| vms.iter().find(|vm| Some(&vm.vm_id) == id.as_ref()).cloned()))
        });
        Self {
            cx,
            vms,
            shown,
            filter: create_signal(String::new()),
            log: create_signal(VecDeque::new()),
        }
    }

    /// Those of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Takes in an event.
    pub fn apply(self, event: &Event) {
        match event {
            Event::VmList { vms } => self.vms.set(vms.iter().cloned().map(Rc::new).collect()),
            Event::VmChanged { vm } => self.take((**vm).clone()),
            Event::VmRemoved { vm_id } => {
                self.vms.update(|vms| vms.retain(|vm| vm.vm_id != *vm_id));
                // Another VM may get the id, which these lines would be told of.
                if self
                    .log
                    .with_untracked(|log| log.iter().any(|line| line.vm_id.as_ref() == Some(vm_id)))
                {
                    self.log
                        .update(|log| log.retain(|line| line.vm_id.as_ref() != Some(vm_id)));
                }
                let selected = self.cx.nav.selected;
                if selected.with_untracked(|selected| selected.as_ref() == Some(vm_id)) {
                    selected.set(None);
                }
            }
            Event::Progress { vm_id, progress } => {
                if let Some(vm) = self.vm(vm_id) {
                    self.take(VmInfo {
                        progress: Some(*progress),
                        ..(*vm).clone()
                    });
                }
            }
            Event::Log {
                vm_id,
                level,
                message,
            } => self.log.update(|log| {
                log.push_back(LogLine {
                    vm_id: vm_id.clone(),
                    level: *level,
                    message: message.clone(),
                });
                if log.len() > MAX_LOG_LINES {
                    log.pop_front();
                }
            }),
            Event::Error { vm_id, failure } => self.report(vm_id.as_deref(), failure.clone()),
            _ => {}
        }
    }

    fn take(self, vm: VmInfo) {
        // A failure of the VM's own is shown with the VM.
        if let Some(failure) = &vm.failure {
            self.cx.notices.withdraw(failure);
        }
        self.vms.update(|vms| {
            let vm = Rc::new(vm);
            match vms.iter_mut().find(|old| old.vm_id == vm.vm_id) {
                Some(old) => *old = vm,
                None => vms.push(vm),
            }
        });
    }

    /// Shows a failure above everything, unless it is that of the VM, with which it is shown.
    pub fn report(self, vm_id: Option<&str>, failure: Failure) {
        let vm = vm_id.and_then(|vm_id| self.vm(vm_id));
        if vm.is_none_or(|vm| vm.failure.as_ref() != Some(&failure)) {
            self.cx.notices.report(failure);
        }
    }

    /// A VM's view as it is now, without tracking.
    pub fn vm(self, vm_id: &str) -> Option<Rc<VmInfo>> {
        self.vms
            .with_untracked(|vms| vms.iter().find(|vm| vm.vm_id == vm_id).cloned())
    }

    /// The VM that is shown, without tracking.
    pub fn shown_now(self) -> Option<Rc<VmInfo>> {
        self.shown.get_clone_untracked()
    }

    /// Something about the VM that is shown. Tracked.
    pub fn of_shown<T: Default>(self, get: impl FnOnce(&VmInfo) -> T) -> T {
        self.shown.with(|vm| vm.as_deref().map(get).unwrap_or_default())
    }

    /// The ids of the VMs that the filter lets through. Tracked.
    pub fn listed(self) -> Vec<VmId> {
        let filter = self.filter.get_clone();
        self.vms.with(|vms| {
            let mut listed: Vec<_> = vms.iter().filter(|vm| passes(vm, &filter)).collect();
            // Favourites first, each in the order in which they were defined.
            listed.sort_by_key(|vm| !vm.favourite);
            listed.into_iter().map(|vm| vm.vm_id.clone()).collect()
        })
    }

    /// The VMs that a person is most likely to want: favourites, then those that were started last. Tracked.
    pub fn recent(self, most: usize) -> Vec<Rc<VmInfo>> {
        let mut vms = self.vms.get_clone();
        vms.retain(|vm| vm.favourite || vm.started_at > 0.0);
        vms.sort_by(|a, b| {
            (b.favourite, b.started_at)
                .partial_cmp(&(a.favourite, a.started_at))
                .unwrap_or(Equal)
        });
        vms.truncate(most);
        vms
    }

    /// Whether something is being timed. Tracked.
    pub fn is_timing(self) -> bool {
        self.vms.with(|vms| vms.iter().any(|vm| vm.state.is_active()))
    }

    /// Shows some VM when none is shown: one that runs, or else the first.
    pub fn show_any(self) {
        let nav = self.cx.nav;
        if nav.launching.get_untracked() || self.shown_now().is_some() {
            return;
        }
        let any = self.vms.with_untracked(|vms| {
            vms.iter()
                .find(|vm| vm.state.is_active())
                .or(vms.first())
                .map(|vm| vm.vm_id.clone())
        });
        if any.is_some() {
            nav.selected.set(any);
        }
    }
}

/// Whether the filter lets a VM through: each of its words is in the name, id, architecture or state.
pub fn passes(vm: &VmInfo, filter: &str) -> bool {
    let text = format!("{} {} {} {}", vm.name, vm.vm_id, vm.arch, vm.state.name()).to_lowercase();
    filter
        .to_lowercase()
        .split_whitespace()
        .all(|word| text.contains(word))
}

/// An id for a new VM: `stem`, or with the first number from 2 that makes it a new one.
pub fn new_vm_id(stem: &str, taken: &[Rc<VmInfo>]) -> VmId {
    let is_free = |id: &VmId| taken.iter().all(|vm| vm.vm_id != *id);
    std::iter::once(stem.to_owned())
        .chain((2_u32..).map(|number| format!("{stem}-{number}")))
        .find(is_free)
        .unwrap_or_else(|| stem.to_owned())
}

/// What to show of a VM that ended badly: its failure, or the reason of its crash.
pub fn failure_of(vm: &VmInfo) -> Option<Failure> {
    if vm.state.is_active() {
        return None;
    }
    match (&vm.failure, &vm.state) {
        (Some(failure), _) => Some(failure.clone()),
        (None, VmState::Crashed { reason }) => Some(
            Failure::new(format!("{} crashed: {reason}", vm.name))
                .with_next_step("Read the last output below, then start it again."),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_runtime::protocol::{Phase, Progress};
    use qemuweb_runtime::state::VmState;

    use super::*;
    use crate::features::machines::words::tests::vm;

    fn in_root(test: impl FnOnce(Machines)) {
        let root = create_root(|| test(Machines::new(Cx::new(0.0))));
        root.dispose();
    }

    #[test]
    fn events_change_the_list() {
        in_root(|machines| {
            machines.apply(&Event::VmList {
                vms: vec![vm("a", VmState::Running)],
            });
            machines.apply(&Event::VmChanged {
                vm: Box::new(vm("b", VmState::Starting)),
            });
            machines.apply(&Event::VmChanged {
                vm: Box::new(vm("a", VmState::Stopping)),
            });
            assert_eq!(machines.listed(), ["a", "b"]);
            assert_eq!(machines.vm("a").unwrap().state, VmState::Stopping);

            let progress = Progress {
                phase: Phase::Load,
                done: 1,
                total: None,
            };
            machines.apply(&Event::Progress {
                vm_id: "b".into(),
                progress,
            });
            assert_eq!(machines.vm("b").unwrap().progress, Some(progress));
        });
    }

    #[test]
    fn a_removed_vm_is_no_longer_shown() {
        in_root(|machines| {
            machines.apply(&Event::VmList {
                vms: vec![vm("a", VmState::NOT_STARTED)],
            });
            machines.cx.nav.selected.set(Some("a".into()));
            assert!(machines.shown_now().is_some());
            machines.apply(&Event::VmRemoved { vm_id: "a".into() });
            assert!(machines.shown_now().is_none());
            assert!(machines.cx.nav.selected.with(Option::is_none));
        });
    }

    #[test]
    fn a_failure_of_a_vm_is_shown_with_the_vm_only() {
        in_root(|machines| {
            let failure = Failure::new("trap");
            machines.apply(&Event::Error {
                vm_id: Some("a".into()),
                failure: failure.clone(),
            });
            assert_eq!(machines.cx.notices.len(), 1);
            let crashed = VmInfo {
                failure: Some(failure.clone()),
                ..vm(
                    "a",
                    VmState::Crashed {
                        reason: "trap".into(),
                    },
                )
            };
            machines.apply(&Event::VmChanged {
                vm: Box::new(crashed),
            });
            assert_eq!(machines.cx.notices.len(), 0);
            machines.apply(&Event::Error {
                vm_id: Some("a".into()),
                failure,
            });
            assert_eq!(machines.cx.notices.len(), 0);
        });
    }

    #[test]
    fn the_filter_looks_at_name_architecture_and_state() {
        let vm = vm("router", VmState::Running);
        for filter in ["", "ROUT", "x86 running", "  name "] {
            assert!(passes(&vm, filter), "{filter:?}");
        }
        assert!(!passes(&vm, "router stopped"));
    }

    #[test]
    fn new_ids_are_new() {
        let taken = ["a", "a-2"].map(|id| Rc::new(vm(id, VmState::Running)));
        assert_eq!(new_vm_id("a", &taken), "a-3");
        assert_eq!(new_vm_id("b", &taken), "b");
    }

    #[test]
    fn a_crash_is_a_failure() {
        let mut crashed = vm(
            "a",
            VmState::Crashed {
                reason: "memory access out of bounds".into(),
            },
        );
        assert!(
            failure_of(&crashed)
                .unwrap()
                .message
                .contains("memory access out of bounds")
        );
        crashed.failure = Some(Failure::new("QEMU trapped"));
        assert_eq!(failure_of(&crashed).unwrap().message, "QEMU trapped");
        crashed.state = VmState::Starting;
        assert_eq!(failure_of(&crashed), None);
        assert_eq!(failure_of(&vm("b", VmState::NOT_STARTED)), None);
    }

    #[test]
    fn the_log_of_a_removed_vm_goes_with_it() {
        in_root(|machines| {
            for vm_id in [Some("a"), Some("b"), None] {
                machines.apply(&Event::Log {
                    vm_id: vm_id.map(str::to_owned),
                    level: LogLevel::Info,
                    message: "x".into(),
                });
            }
            machines.apply(&Event::VmRemoved { vm_id: "a".into() });
            let ids = machines
                .log
                .with(|log| log.iter().map(|line| line.vm_id.clone()).collect::<Vec<_>>());
            assert_eq!(ids, [Some("b".to_owned()), None]);
        });
    }
}
