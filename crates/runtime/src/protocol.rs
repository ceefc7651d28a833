//! The messages between clients (panels, popups, pages) and the VM host.
//!
//! A message is JSON plus attachments that JSON cannot carry: bytes (`Uint8Array`) and `Blob`s, referred to by
//! index. Clients send [`Request`]s; the host sends [`HostMessage`]s. Both sides start every message with
//! [`VERSION`] and refuse another one (see [`check_version`]).

use qemuweb_capture::annotation::Annotation;
use qemuweb_vm_config::{VmInputs, VmOverrides, VmProfile};
use serde::{Deserialize, Serialize};

use crate::capabilities::RuntimeCapabilities;
use crate::failure::Failure;
use crate::monitor::{Metrics, MonitorCommand, MonitorEvent};
use crate::state::VmState;

pub use qemuweb_wire::stored::{StorageUse, StoredInfo};
pub use qemuweb_wire::vm::{
    CapturePort, CaptureStatus, MAX_VM_ID, Phase, Progress, VmDefinition, VmId, VmInfo,
};

/// Version of this protocol. Raised whenever a message changes its meaning or shape.
pub const VERSION: u32 = 2;

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
    /// A VM of this profile may be started soon: have at hand what it takes of the package. Answered at once.
    PrepareVm {
        /// The machine.
        profile: ProfileRef,
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
    /// Store a file for VMs to boot from. Attachment 0: a Blob or a FileSystemFileHandle. The reply's value is its
    /// [`StoredInfo`]; what is stored already is not stored again.
    StoreFile {
        /// What people call it.
        name: String,
    },
    /// Forget a stored file. VMs that name it start no more until it is back.
    RemoveStored {
        /// The file's hash.
        hash: String,
    },
    /// Bring back a stored file that was forgotten since the host started.
    RestoreStored {
        /// The file's hash.
        hash: String,
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
    /// The files that are stored, in the order of their names.
    StoredFiles {
        /// All of them.
        files: Vec<StoredInfo>,
        /// How full the storage is, where the browser tells.
        storage: Option<StorageUse>,
    },
    /// A file is being stored: it is read and its hash is made.
    Storing {
        /// What people call it.
        name: String,
        /// Bytes read.
        done: u64,
        /// Its size in bytes.
        total: u64,
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
        /// The run that it is of, as in [`VmInfo::run`].
        run: u64,
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

#[cfg(test)]
mod tests;
