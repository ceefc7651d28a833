//! A VM as clients see it: what it is made of, where it is in its life, how its start goes.

use std::collections::BTreeMap;

use qemuweb_vm_config::{Arch, VmInputs, VmOverrides, VmProfile, guest_memory_mib};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::state::VmState;

/// Names a VM; chosen by the client that starts it, unique in the host.
pub type VmId = String;

/// Longest VM id, in bytes.
pub const MAX_VM_ID: usize = 64;

/// What a VM is made of; enough to start it any number of times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VmDefinition {
    /// The machine.
    pub profile: VmProfile,
    /// Disks and kernels. Attachments are files that the host keeps, by index.
    #[serde(default)]
    pub inputs: VmInputs,
    /// Differences from the profile.
    #[serde(default)]
    pub overrides: VmOverrides,
}

impl VmDefinition {
    /// Guest RAM in MiB.
    pub fn memory_mib(&self) -> u32 {
        guest_memory_mib(&self.profile, Some(&self.overrides))
    }

    /// Number of vCPUs.
    pub fn smp(&self) -> u32 {
        self.overrides.smp.unwrap_or(self.profile.smp)
    }
}

impl From<VmProfile> for VmDefinition {
    fn from(profile: VmProfile) -> Self {
        Self {
            profile,
            inputs: VmInputs::default(),
            overrides: VmOverrides::default(),
        }
    }
}

/// Names one of the files that the host keeps for definitions. The host chooses it; no other file ever has it.
pub type FileId = u64;

/// A file of a new definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum FileRef {
    /// One that the host keeps already, for whatever VM.
    Kept(FileId),
    /// The attachment of this index.
    Attached(usize),
}

/// The phases of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Images and firmware are fetched and decompressed.
    Fetch,
    /// QEMU's WebAssembly is fetched and compiled.
    Load,
    /// QEMU builds the machine; ends when its monitor answers.
    Machine,
    /// Firmware and kernel run; ends with the first byte on the console.
    Firmware,
    /// The kernel boots; ends when the guest's userspace says that it is ready.
    Kernel,
}

/// How far a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What goes on.
    pub phase: Phase,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, where that is known.
    #[serde(default)]
    pub total: Option<u64>,
}

/// How a capture's way into a guest goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CaptureStatus {
    /// The port with JSON lines.
    pub lines: CapturePort,
    /// The port with packets.
    pub packets: CapturePort,
    /// Bytes that are kept for both.
    pub bytes: u64,
}

/// How a capture's way through one port goes, in exchanges since the VM was defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CapturePort {
    /// Whether a program in the guest has the port open.
    pub open: bool,
    /// How many were sent.
    pub sent: u64,
    /// How many wait.
    pub waiting: u64,
    /// How many were lost because too many waited.
    pub dropped: u64,
}

/// A VM as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VmInfo {
    /// Its id.
    pub vm_id: VmId,
    /// What people call it.
    pub name: String,
    /// The id of its profile.
    pub profile_id: String,
    /// Its architecture.
    pub arch: Arch,
    /// Its RAM in MiB.
    #[serde(rename = "memoryMiB")]
    pub memory_mib: u32,
    /// Its number of vCPUs.
    pub smp: u32,
    /// Where it is in its life.
    #[serde(flatten)]
    pub state: VmState,
    /// Since when its guest is asked to shut down and has not, in milliseconds since the epoch.
    #[serde(default)]
    pub shutdown_asked_at: Option<f64>,
    /// Names its latest run in this host: unlike that of any other run, and 0 before the first. A guest that reboots stays in
    /// its run, and its console goes on.
    #[serde(default)]
    pub run: u64,
    /// When it was last started or reset, in milliseconds since the epoch.
    pub started_at: f64,
    /// When each phase of the last start ended, in milliseconds since that start.
    #[serde(default)]
    pub phases: BTreeMap<Phase, f64>,
    /// How far the start is, while it starts.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// What the person should know about this configuration.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// QEMU's arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// What failed, when it could not be started or crashed.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// Why a disk failed, until it works again.
    #[serde(default)]
    pub disk_alarm: Option<Failure>,
    /// How captures get into the guest.
    #[serde(default)]
    pub capture: CaptureStatus,
    /// Whether an agent in its guest answers: see [`Agent`](crate::agent::Agent).
    #[serde(default)]
    pub has_agent: bool,
    /// Whether it is among the favourites.
    #[serde(default)]
    pub favourite: bool,
    /// Whether some of its files are read through handles, for which the browser may want the person to be asked.
    #[serde(default)]
    pub has_handles: bool,
    /// What it is made of.
    pub definition: Box<VmDefinition>,
    /// The definition's revision: another one with each [`DefineVm`](crate::call::DefineVm).
    #[serde(default)]
    pub revision: u64,
    /// The files that `definition` names by index.
    #[serde(default)]
    pub files: Vec<FileId>,
}

impl VmInfo {
    /// The view of a VM that was not started yet.
    pub fn new(vm_id: VmId, name: String, definition: VmDefinition) -> Self {
        Self {
            vm_id,
            name,
            profile_id: definition.profile.id.clone(),
            arch: definition.profile.arch,
            memory_mib: definition.memory_mib(),
            smp: definition.smp(),
            state: VmState::NOT_STARTED,
            shutdown_asked_at: None,
            run: 0,
            started_at: 0.0,
            phases: BTreeMap::new(),
            progress: None,
            warnings: Vec::new(),
            args: Vec::new(),
            failure: None,
            disk_alarm: None,
            capture: CaptureStatus::default(),
            has_agent: false,
            favourite: false,
            has_handles: false,
            definition: Box::new(definition),
            revision: 0,
            files: Vec::new(),
        }
    }
}
