//! The virtual machines as the host tells of them.

use std::cmp::Ordering::Equal;
use std::collections::VecDeque;
use std::rc::Rc;

use qemuweb_wire::VmState;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::topic::{LogLine, MachinesDelta, Subject, Topic};
use qemuweb_wire::vm::{VmId, VmInfo};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sycamore::prelude::*;

use super::words;
use crate::cx::{Connection, Cx};

/// Log lines that are kept, of all VMs together.
const MAX_LOG_LINES: usize = 500;

/// [`MachinesDelta`], read by way of a value: read as the tagged enum that it is, all that a VM consists of would be compiled
/// once more, for serde's buffer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RowsDelta(pub MachinesDelta);

impl<'de> Deserialize<'de> for RowsDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let vm_id = |value: &Value| value["vmId"].as_str().unwrap_or_default().to_owned();
        let delta = match value["type"].as_str() {
            Some("changed") => MachinesDelta::Changed {
                vm: Box::new(serde_json::from_value(value["vm"].take()).map_err(D::Error::custom)?),
                place: value["place"].as_u64().map_or(usize::MAX, |place| place as usize),
            },
            Some("progress") => MachinesDelta::Progress {
                vm_id: vm_id(&value),
                progress: serde_json::from_value(value["progress"].take()).map_err(D::Error::custom)?,
            },
            Some("removed") => MachinesDelta::Removed { vm_id: vm_id(&value) },
            other => {
                return Err(D::Error::custom(format!(
                    "expected a change of VMs, found {other:?}"
                )));
            }
        };
        Ok(Self(delta))
    }
}

/// The topic of all VMs, which a page keeps once: what the subscription knows and what is shown are the same.
pub struct Rows;

impl Subject for Rows {
    type State = Vec<Rc<VmInfo>>;
    type Delta = RowsDelta;

    fn topic(&self) -> Topic {
        Topic::Machines
    }

    fn apply(vms: &mut Vec<Rc<VmInfo>>, RowsDelta(delta): &RowsDelta) {
        match delta {
            MachinesDelta::Changed { vm, place } => {
                let vm = Rc::new((**vm).clone());
                match vms.iter_mut().find(|old| old.vm_id == vm.vm_id) {
                    Some(old) => *old = vm,
                    None => vms.insert((*place).min(vms.len()), vm),
                }
            }
            MachinesDelta::Progress { vm_id, progress } => {
                if let Some(vm) = vms.iter_mut().find(|vm| vm.vm_id == *vm_id) {
                    *vm = Rc::new(VmInfo {
                        progress: Some(*progress),
                        ..(**vm).clone()
                    });
                }
            }
            MachinesDelta::Removed { vm_id } => vms.retain(|vm| vm.vm_id != *vm_id),
        }
    }
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

    /// Takes in all VMs as they are now, and what has changed.
    pub fn heard(self, vms: &[Rc<VmInfo>], delta: Option<&MachinesDelta>) {
        match delta {
            Some(MachinesDelta::Removed { vm_id }) => self.removed(vm_id),
            // A failure of the VM's own is shown with the VM.
            Some(MachinesDelta::Changed { vm, .. }) => {
                if let Some(failure) = &vm.failure {
                    self.cx.notices.withdraw(failure);
                }
            }
            Some(MachinesDelta::Progress { .. }) | None => {}
        }
        self.vms.set(vms.to_vec());
        if !matches!(delta, Some(MachinesDelta::Progress { .. })) {
            self.show_any();
        }
    }

    fn removed(self, vm_id: &str) {
        // Another VM may get the id, which these lines would be told of.
        let is_of = |line: &LogLine| line.vm_id.as_deref() == Some(vm_id);
        if self.log.with_untracked(|log| log.iter().any(is_of)) {
            self.log.update(|log| log.retain(|line| !is_of(line)));
        }
        let selected = self.cx.nav.selected;
        if selected.with_untracked(|selected| selected.as_deref() == Some(vm_id)) {
            selected.set(None);
        }
    }

    /// Takes in a line for the log.
    pub fn logged(self, line: &LogLine) {
        self.log.update(|log| {
            log.push_back(line.clone());
            if log.len() > MAX_LOG_LINES {
                log.pop_front();
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

    /// Why no file can go to or from a VM's guest, if none can. Tracked.
    pub fn why_no_files(self, vm_id: &str) -> Option<&'static str> {
        let is_connected = self
            .cx
            .connection
            .with(|connection| *connection == Connection::Connected);
        if !is_connected {
            return Some("There is no connection to the VM host.");
        }
        self.vms.with(|vms| {
            let vm = vms.iter().find(|vm| vm.vm_id == vm_id);
            vm.map_or(Some("It is no more."), |vm| words::why_no_files(vm))
        })
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
    use qemuweb_wire::state::VmState;
    use qemuweb_wire::vm::{Phase, Progress};

    use super::*;
    use crate::features::machines::words::tests::{rows, vm};
    use qemuweb_wire::topic::LogLevel;

    fn in_root(test: impl FnOnce(Machines)) {
        let root = create_root(|| test(Machines::new(Cx::new(0.0))));
        root.dispose();
    }

    /// Hears of a change as a subscription does.
    fn change(machines: Machines, delta: MachinesDelta) {
        let mut vms = machines.vms.get_clone();
        Rows::apply(&mut vms, &RowsDelta(delta.clone()));
        machines.heard(&vms, Some(&delta));
    }

    fn changed(vm: VmInfo) -> MachinesDelta {
        MachinesDelta::Changed {
            vm: Box::new(vm),
            place: usize::MAX,
        }
    }

    #[test]
    fn changes_are_read_as_the_wire_has_them() {
        let progress = Progress {
            phase: Phase::Load,
            done: 1,
            total: None,
        };
        for delta in [
            changed(vm("a", VmState::Running)),
            MachinesDelta::Progress {
                vm_id: "a".into(),
                progress,
            },
            MachinesDelta::Removed { vm_id: "a".into() },
        ] {
            let json = serde_json::to_value(&delta).unwrap();
            assert_eq!(
                serde_json::from_value::<RowsDelta>(json).unwrap(),
                RowsDelta(delta)
            );
        }
        for wrong in [
            "{}",
            r#"{"type":"changed"}"#,
            "3",
            r#"{"type":"progress","progress":7}"#,
        ] {
            assert!(serde_json::from_str::<RowsDelta>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn changes_change_the_list() {
        in_root(|machines| {
            machines.heard(&rows([vm("a", VmState::Running)]), None);
            change(machines, changed(vm("b", VmState::Starting)));
            change(machines, changed(vm("a", VmState::Stopping)));
            assert_eq!(machines.listed(), ["a", "b"]);
            assert_eq!(machines.vm("a").unwrap().state, VmState::Stopping);

            let progress = Progress {
                phase: Phase::Load,
                done: 1,
                total: None,
            };
            let delta = MachinesDelta::Progress {
                vm_id: "b".into(),
                progress,
            };
            change(machines, delta);
            assert_eq!(machines.vm("b").unwrap().progress, Some(progress));
        });
    }

    #[test]
    fn a_removed_vm_is_no_longer_shown() {
        in_root(|machines| {
            machines.heard(&rows([vm("a", VmState::NOT_STARTED)]), None);
            assert!(machines.shown_now().is_some());
            change(machines, MachinesDelta::Removed { vm_id: "a".into() });
            assert!(machines.shown_now().is_none());
            assert!(machines.cx.nav.selected.with(Option::is_none));
        });
    }

    #[test]
    fn a_failure_of_a_vm_is_shown_with_the_vm_only() {
        in_root(|machines| {
            let failure = Failure::new("trap");
            machines.report(Some("a"), failure.clone());
            assert_eq!(machines.cx.notices.len(), 1);
            let reason = "trap".to_owned();
            let crashed = VmInfo {
                failure: Some(failure.clone()),
                ..vm("a", VmState::Crashed { reason })
            };
            change(machines, changed(crashed));
            assert_eq!(machines.cx.notices.len(), 0);
            machines.report(Some("a"), failure);
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
                machines.logged(&LogLine {
                    vm_id: vm_id.map(str::to_owned),
                    level: LogLevel::Info,
                    message: "x".into(),
                });
            }
            change(machines, MachinesDelta::Removed { vm_id: "a".into() });
            let ids = machines
                .log
                .with(|log| log.iter().map(|line| line.vm_id.clone()).collect::<Vec<_>>());
            assert_eq!(ids, [Some("b".to_owned()), None]);
        });
    }
}
