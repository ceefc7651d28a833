//! What a client can be told of as it changes: a snapshot, then deltas.
//!
//! A topic's revision grows by one with each delta, whoever is subscribed. A client that finds a delta of another revision than
//! the next has missed one and subscribes anew.

use qemuweb_capture::annotation::Annotation;
use qemuweb_vm_config::VmProfile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::capabilities::RuntimeCapabilities;
use crate::disk::DiskUse;
use crate::failure::Failure;
use crate::monitor::{Metrics, MonitorEvent};
use crate::stored::{StorageUse, StoredInfo};
use crate::vm::{Progress, VmId, VmInfo};

/// A topic by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Topic {
    /// What the host's browser offers, what failed in it, what it logs. See [`Host`].
    Host,
    /// All VMs, in the order in which they were defined. See [`Machines`].
    Machines,
    /// The profiles that people have made. See [`Profiles`].
    Profiles,
    /// The files that are stored. See [`Library`].
    Library,
    /// What QEMU tells of one VM, and how busy that is. See [`Machine`].
    Machine {
        /// Which VM.
        vm_id: VmId,
    },
    /// What guests say about the exchanges of one capture. See [`Capture`].
    Capture {
        /// The capture's id.
        capture: String,
    },
}

/// A topic with the types of what is told of it.
pub trait Subject {
    /// All of it.
    type State: Clone + Serialize + DeserializeOwned + 'static;
    /// What can change.
    type Delta: Clone + Serialize + DeserializeOwned + 'static;
    /// Its name.
    fn topic(&self) -> Topic;
    /// Makes a change.
    fn apply(state: &mut Self::State, delta: &Self::Delta);
}

/// The host itself: what its browser offers, what failed in it, what it logs.
#[derive(Clone, Copy, Debug)]
pub struct Host;

/// What is known of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HostState {
    /// What the host's browser offers.
    pub capabilities: RuntimeCapabilities,
    /// What failed that belongs to no VM and no call, since the host started.
    pub failures: Vec<Failure>,
}

/// News of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HostDelta {
    /// Something failed that belongs to no VM and no call.
    Failed {
        /// What.
        failure: Failure,
    },
    /// A line for the log.
    Logged {
        /// The line.
        line: LogLine,
    },
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Which VM, if it belongs to one.
    #[serde(default)]
    pub vm_id: Option<VmId>,
    /// How grave it is.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum LogLevel {
    /// For those who look for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

impl Subject for Host {
    type State = HostState;
    type Delta = HostDelta;

    fn topic(&self) -> Topic {
        Topic::Host
    }

    fn apply(state: &mut HostState, delta: &HostDelta) {
        match delta {
            HostDelta::Failed { failure } => state.failures.push(failure.clone()),
            HostDelta::Logged { .. } => {}
        }
    }
}

/// All VMs, in the order in which they were defined.
#[derive(Clone, Copy, Debug)]
pub struct Machines;

/// News of the VMs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MachinesDelta {
    /// A VM is new, at this place, or differs from what was said before.
    Changed {
        /// Its view now.
        vm: Box<VmInfo>,
        /// Its place among all VMs.
        place: usize,
    },
    /// A start goes on.
    Progress {
        /// Which VM.
        vm_id: VmId,
        /// How far it is.
        progress: Progress,
    },
    /// A VM was forgotten.
    Removed {
        /// Which VM.
        vm_id: VmId,
    },
}

impl Subject for Machines {
    type State = Vec<VmInfo>;
    type Delta = MachinesDelta;

    fn topic(&self) -> Topic {
        Topic::Machines
    }

    fn apply(vms: &mut Vec<VmInfo>, delta: &MachinesDelta) {
        match delta {
            MachinesDelta::Changed { vm, place } => match vms.iter_mut().find(|old| old.vm_id == vm.vm_id) {
                Some(old) => old.clone_from(vm),
                None => vms.insert((*place).min(vms.len()), (**vm).clone()),
            },
            MachinesDelta::Progress { vm_id, progress } => {
                if let Some(vm) = vms.iter_mut().find(|vm| vm.vm_id == *vm_id) {
                    vm.progress = Some(*progress);
                }
            }
            MachinesDelta::Removed { vm_id } => vms.retain(|vm| vm.vm_id != *vm_id),
        }
    }
}

/// The profiles that people have made, in the order of their names.
#[derive(Clone, Copy, Debug)]
pub struct Profiles;

impl Subject for Profiles {
    type State = Vec<VmProfile>;
    /// All of them anew.
    type Delta = Vec<VmProfile>;

    fn topic(&self) -> Topic {
        Topic::Profiles
    }

    fn apply(state: &mut Vec<VmProfile>, delta: &Vec<VmProfile>) {
        state.clone_from(delta);
    }
}

/// The files that are stored.
#[derive(Clone, Copy, Debug)]
pub struct Library;

/// The stored files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LibraryState {
    /// All of them, in the order of their names.
    pub files: Vec<StoredInfo>,
    /// How full the storage is, where the browser tells.
    #[serde(default)]
    pub storage: Option<StorageUse>,
}

impl Subject for Library {
    type State = LibraryState;
    /// All of it anew.
    type Delta = LibraryState;

    fn topic(&self) -> Topic {
        Topic::Library
    }

    fn apply(state: &mut LibraryState, delta: &LibraryState) {
        state.clone_from(delta);
    }
}

/// What QEMU tells of one VM, and how busy that is. It is measured while somebody is subscribed.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Which VM.
    pub vm_id: VmId,
}

/// Most of each that a client and the host keep of a [`MachineState`].
pub const MAX_KEPT: usize = 300;

/// What is kept of a VM's latest run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MachineState {
    /// What QEMU told, the latest last.
    pub events: Vec<MonitorEvent>,
    /// How busy it was, every four seconds, the latest last.
    pub metrics: Vec<Metrics>,
    /// Its disks, as they were last told of.
    #[serde(default)]
    pub disks: Vec<DiskUse>,
}

/// News of a VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MachineDelta {
    /// A new run has begun: nothing is known of it yet.
    Started,
    /// QEMU told something.
    Event {
        /// What.
        event: MonitorEvent,
    },
    /// Its disks are used so.
    Disks {
        /// All of them.
        disks: Vec<DiskUse>,
    },
    /// It was measured.
    Measured {
        /// What was found.
        metrics: Metrics,
    },
}

impl Subject for Machine {
    type State = MachineState;
    type Delta = MachineDelta;

    fn topic(&self) -> Topic {
        Topic::Machine {
            vm_id: self.vm_id.clone(),
        }
    }

    fn apply(state: &mut MachineState, delta: &MachineDelta) {
        fn keep<T>(kept: &mut Vec<T>, new: T) {
            if kept.len() >= MAX_KEPT {
                kept.remove(0);
            }
            kept.push(new);
        }
        match delta {
            MachineDelta::Started => *state = MachineState::default(),
            MachineDelta::Event { event } => keep(&mut state.events, event.clone()),
            MachineDelta::Measured { metrics } => keep(&mut state.metrics, *metrics),
            MachineDelta::Disks { disks } => state.disks.clone_from(disks),
        }
    }
}

/// What guests say about the exchanges of one capture. Nothing of it is kept: what was said before a client subscribed, it does
/// not hear.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The capture's id.
    pub capture: String,
}

impl Subject for Capture {
    type State = ();
    type Delta = Vec<Annotation>;

    fn topic(&self) -> Topic {
        Topic::Capture {
            capture: self.capture.clone(),
        }
    }

    fn apply(_: &mut (), _: &Vec<Annotation>) {}
}

#[cfg(test)]
mod tests;
