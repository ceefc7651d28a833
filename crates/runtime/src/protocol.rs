//! The messages between clients (panels, popups, pages) and the VM host.
//!
//! A message is JSON plus attachments that JSON cannot carry: bytes (`Uint8Array`) and `Blob`s, referred to by
//! index. Clients send [`Request`]s; the host sends [`HostMessage`]s. Both sides start every message with
//! [`VERSION`] and refuse another one (see [`check_version`]).

use std::collections::BTreeMap;

use qemuweb_capture::annotation::Annotation;
use qemuweb_vm_config::{Arch, VmInputs, VmOverrides, VmProfile, guest_memory_mib};
use serde::{Deserialize, Serialize};

use crate::capabilities::RuntimeCapabilities;
use crate::failure::Failure;
use crate::monitor::{Metrics, MonitorCommand, MonitorEvent};
use crate::state::VmState;

/// Version of this protocol. Raised whenever a message changes its meaning or shape.
pub const VERSION: u32 = 1;

/// Names a VM; chosen by the client that starts it, unique in the host.
pub type VmId = String;

/// Longest VM id, in bytes.
pub const MAX_VM_ID: usize = 64;

/// The other side speaks another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected protocol version {VERSION}, found {found}")]
pub struct VersionMismatch {
    /// What the message said.
    pub found: u32,
}

/// Accepts this protocol's version only.
///
/// # Errors
/// [`VersionMismatch`] for any other.
pub fn check_version(found: u32) -> Result<(), VersionMismatch> {
    if found == VERSION {
        Ok(())
    } else {
        Err(VersionMismatch { found })
    }
}

/// A profile by the id of a built-in one, or whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ProfileRef {
    /// The id of a default profile.
    Id(String),
    /// A profile of the client's own.
    Inline(Box<VmProfile>),
}

/// What a VM is made of; enough to start it any number of times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// A command with the number that its answer will carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Chosen by the client, unique on its port.
    pub id: u32,
    /// What to do.
    pub command: Command,
}

/// What a client can ask of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// First on every port. Answered after [`Event::Capabilities`] and [`Event::VmList`].
    Init,
    /// Define a VM and start it, or start again a stopped one of this id. Attachments: the Blobs that `inputs`
    /// names by index. Answered when the start was accepted; events tell how it goes on.
    StartVm {
        /// The VM's id.
        vm_id: VmId,
        /// What people call it; its profile's name if not given.
        #[serde(default)]
        name: Option<String>,
        /// The machine.
        profile: ProfileRef,
        /// Disks and kernels.
        #[serde(default)]
        inputs: Box<VmInputs>,
        /// Differences from the profile.
        #[serde(default)]
        overrides: Option<Box<VmOverrides>>,
    },
    /// Define a VM without starting it, or anew one that is not active. Attachments: the files that `inputs` names
    /// by index, Blobs or FileSystemFileHandles, behind those that are taken over.
    DefineVm {
        /// The VM's id.
        vm_id: VmId,
        /// What people call it.
        name: String,
        /// What it is made of.
        definition: Box<VmDefinition>,
        /// The VM whose files come before the attachments.
        #[serde(default)]
        files_of: Option<VmId>,
    },
    /// Call a VM something else.
    RenameVm {
        /// Which VM.
        vm_id: VmId,
        /// What people will call it.
        name: String,
    },
    /// Define another VM like this one, files included.
    CloneVm {
        /// Which VM.
        vm_id: VmId,
        /// The new VM's id.
        new_id: VmId,
        /// What people will call the new one.
        name: String,
    },
    /// Have a VM among the favourites, or no longer.
    SetFavourite {
        /// Which VM.
        vm_id: VmId,
        /// Whether it is one.
        favourite: bool,
    },
    /// Bring back a VM that was removed since the host started.
    RestoreVm {
        /// Which VM.
        vm_id: VmId,
    },
    /// Send the handles of a VM's local files to this client as [`Event::VmHandles`], so that it can ask the person
    /// for the permission to read them.
    SendHandles {
        /// Which VM.
        vm_id: VmId,
    },
    /// Keep a profile, in place of the one that has its id.
    SaveProfile {
        /// The profile.
        profile: Box<VmProfile>,
    },
    /// Forget a profile. VMs that were made of it stay as they are.
    RemoveProfile {
        /// The profile's id.
        profile_id: String,
    },
    /// Ask a VM's monitor. The reply's value is QEMU's answer.
    RunMonitor {
        /// Which VM.
        vm_id: VmId,
        /// What to ask.
        command: MonitorCommand,
    },
    /// Start a stopped VM again with what it was defined with.
    RestartVm {
        /// Which VM.
        vm_id: VmId,
    },
    /// Ask the guest to shut down (ACPI power button), or with `force` cut its power.
    StopVm {
        /// Which VM.
        vm_id: VmId,
        /// Whether to end QEMU at once.
        force: bool,
    },
    /// Push the reset button.
    ResetVm {
        /// Which VM.
        vm_id: VmId,
    },
    /// Forget a VM that is not active.
    RemoveVm {
        /// Which VM.
        vm_id: VmId,
    },
    /// Bytes for the console. Attachment 0: the bytes.
    SerialIn {
        /// Which VM.
        vm_id: VmId,
    },
    /// The terminal that shows the console has this size now.
    ResizeConsole {
        /// Which VM.
        vm_id: VmId,
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// Queue exchanges of a capture for the guest. Attachment 0: lines of `qemuweb_capture::jsonl`, each ended. Answered
    /// when there is room for more; who does not wait for it has the oldest lines go, which [`VmInfo::capture`] counts.
    /// A VM that does not run gets them with its next start.
    PushCapture {
        /// Which VM.
        vm_id: VmId,
    },
    /// Send this VM's console output to this client: what is kept of the past first, then as it comes.
    WatchVm {
        /// Which VM.
        vm_id: VmId,
    },
    /// Send it no longer.
    UnwatchVm {
        /// Which VM.
        vm_id: VmId,
    },
}

/// What the host sends to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HostMessage {
    /// The answer to the request of this id.
    Reply {
        /// The request's id.
        id: u32,
        /// Why it was refused, if it was.
        failure: Option<Failure>,
        /// What was asked for, where a command asks for something.
        #[serde(default)]
        value: serde_json::Value,
    },
    /// Something happened.
    Event {
        /// What.
        event: Event,
    },
}

/// What can happen in the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// What the host's browser offers.
    Capabilities {
        /// What was found.
        capabilities: RuntimeCapabilities,
    },
    /// All VMs, in the order in which they were defined.
    VmList {
        /// Their views.
        vms: Vec<VmInfo>,
    },
    /// The profiles that people have made, in the order of their names.
    ProfileList {
        /// All of them.
        profiles: Vec<VmProfile>,
    },
    /// The handles of a VM's local files. Attachments: FileSystemFileHandles.
    VmHandles {
        /// Which VM.
        vm_id: VmId,
    },
    /// QEMU told something about a VM, to clients that watch.
    Monitor {
        /// Which VM.
        vm_id: VmId,
        /// What.
        event: MonitorEvent,
    },
    /// How busy a VM is, every four seconds, to clients that watch.
    Metrics {
        /// Which VM.
        vm_id: VmId,
        /// What was measured.
        metrics: Metrics,
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
    /// A VM has ended; its state tells why.
    VmStopped {
        /// Which VM.
        vm_id: VmId,
        /// `Stopped` or `Crashed`.
        state: VmState,
    },
    /// A VM was forgotten.
    VmRemoved {
        /// Which VM.
        vm_id: VmId,
    },
    /// Console output, to clients that watch. Attachment 0: the bytes.
    SerialOut {
        /// Which VM.
        vm_id: VmId,
        /// How many bytes of console output came before these since the VM's start.
        offset: u64,
    },
    /// A guest says something about exchanges of a capture.
    CaptureAnnotated {
        /// Which VM.
        vm_id: VmId,
        /// What it says, in order.
        annotations: Vec<Annotation>,
    },
    /// A start goes on.
    Progress {
        /// Which VM.
        vm_id: VmId,
        /// How far it is.
        progress: Progress,
    },
    /// A line for the log.
    Log {
        /// Which VM, if it belongs to one.
        vm_id: Option<VmId>,
        /// How grave it is.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// Something failed that nobody's request waits for.
    Error {
        /// Which VM, if it belongs to one.
        vm_id: Option<VmId>,
        /// What failed.
        failure: Failure,
    },
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The phases of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// When it was last started, in milliseconds since the epoch.
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
    /// How captures get into the guest.
    #[serde(default)]
    pub capture: CaptureStatus,
    /// Whether it is among the favourites.
    #[serde(default)]
    pub favourite: bool,
    /// Whether some of its files are read through handles, for which the browser may want the person to be asked.
    #[serde(default)]
    pub has_handles: bool,
    /// What it is made of.
    pub definition: Box<VmDefinition>,
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
            started_at: 0.0,
            phases: BTreeMap::new(),
            progress: None,
            warnings: Vec::new(),
            args: Vec::new(),
            failure: None,
            capture: CaptureStatus::default(),
            favourite: false,
            has_handles: false,
            definition: Box::new(definition),
        }
    }
}

#[cfg(test)]
mod tests;
