//! What a client can ask of the host: one struct a call, with the type of its reply.
//!
//! In JSON a call is `{"method": …, "params": {…}}`. A VM that does not exist, and whatever else the host cannot do, is
//! answered by a [`Failure`](crate::Failure).

use qemuweb_vm_config::{VmInputs, VmOverrides, VmProfile};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::{ExportAs, Exported, KeptDisk, VmDisk};
use crate::monitor::MonitorCommand;
use crate::stored::StoredInfo;
use crate::vm::{FileRef, VmDefinition, VmId};

/// A call and its reply.
pub trait Method: Into<Call> + 'static {
    /// Its name in JSON.
    const NAME: &'static str;
    /// What answers it.
    type Reply: Serialize + DeserializeOwned + 'static;
}

/// What documentation of the protocol is made of.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Its reply's type.
    pub reply: &'static str,
}

macro_rules! calls {
    ($($(#[doc = $doc:literal])+ $method:literal $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* } -> $reply:ty;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            #[serde(rename_all = "camelCase")]
            pub struct $name {
                $($(#[$attribute])* pub $field: $type,)*
            }

            impl Method for $name {
                const NAME: &'static str = $method;
                type Reply = $reply;
            }

            impl From<$name> for Call {
                fn from(call: $name) -> Self {
                    Self::$name(call)
                }
            }
        )+

        /// Any call.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "method", content = "params")]
        pub enum Call {
            $($(#[doc = $doc])+ #[serde(rename = $method)] $name($name),)+
        }

        impl Call {
            /// All calls, in the order of this file.
            pub const METHODS: &'static [MethodInfo] = &[
                $(MethodInfo { name: $method, doc: concat!($($doc, "\n",)+), reply: stringify!($reply) },)+
            ];
        }
    };
}

calls! {
    /// Greets the host: the first call on a port. The service worker may answer it in the host's place, with why there is none.
    "hello" Hello {} -> ();

    /// Define a VM and start it, or start again a stopped one of this id. Attachments: the Blobs that `inputs` names by index.
    /// Answered when the start was accepted; the topic `machines` tells how it goes on.
    "startVm" StartVm {
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
    } -> ();

    /// A VM of this profile may be started soon: have at hand what it takes of the package. Answered at once.
    "prepareVm" PrepareVm {
        /// The machine.
        profile: ProfileRef,
    } -> ();

    /// Define a VM without starting it, or anew one that is not active. Attachments: what `files` names as attached, Blobs or
    /// FileSystemFileHandles.
    "defineVm" DefineVm {
        /// The VM's id.
        vm_id: VmId,
        /// What people call it.
        name: String,
        /// What it is made of. Attachments in its `inputs` are indices into `files`.
        definition: Box<VmDefinition>,
        /// The files that `definition` names by index.
        #[serde(default)]
        files: Vec<FileRef>,
        /// The revision of the definition that this one replaces, as the client has seen it; refused when another client has
        /// replaced that meanwhile. Nothing for a VM that is new.
        #[serde(default)]
        replaces: Option<u64>,
    } -> Defined;

    /// Call a VM something else.
    "renameVm" RenameVm {
        /// Which VM.
        vm_id: VmId,
        /// What people will call it.
        name: String,
    } -> ();

    /// Define another VM like this one, files and what was written to its disks included. One that is active has to be shut down
    /// first, if it has disks. Tells as its progress how many records of disks were copied.
    "cloneVm" CloneVm {
        /// Which VM.
        vm_id: VmId,
        /// The new VM's id.
        new_id: VmId,
        /// What people will call the new one.
        name: String,
    } -> ();

    /// Have a VM among the favourites, or no longer.
    "setFavourite" SetFavourite {
        /// Which VM.
        vm_id: VmId,
        /// Whether it is one.
        favourite: bool,
    } -> ();

    /// Forget a VM that is not active.
    "removeVm" RemoveVm {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// Bring back a VM that was removed since the host started.
    "restoreVm" RestoreVm {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// Give the handles of a VM's local files, so that the client can ask the person for the permission to read them. The
    /// reply's attachments are the FileSystemFileHandles.
    "fileHandles" FileHandles {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// Keep a profile, in place of the one that has its id.
    "saveProfile" SaveProfile {
        /// The profile.
        profile: Box<VmProfile>,
    } -> ();

    /// Forget a profile. VMs that were made of it stay as they are.
    "removeProfile" RemoveProfile {
        /// The profile's id.
        profile_id: String,
    } -> ();

    /// Store a file for VMs to boot from. Attachment 0: a Blob or a FileSystemFileHandle. Tells its progress; what is stored
    /// already is not stored again.
    "storeFile" StoreFile {
        /// What people call it.
        name: String,
    } -> StoredInfo;

    /// Forget a stored file. VMs that name it start no more until it is back.
    "removeStored" RemoveStored {
        /// The file's hash.
        hash: String,
    } -> ();

    /// Bring back a stored file that was forgotten since the host started.
    "restoreStored" RestoreStored {
        /// The file's hash.
        hash: String,
    } -> ();

    /// Start a stopped VM again with what it was defined with.
    "restartVm" RestartVm {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// Ask the guest to shut down (ACPI power button), or with `force` cut its power.
    "stopVm" StopVm {
        /// Which VM.
        vm_id: VmId,
        /// Whether to end QEMU at once.
        force: bool,
    } -> ();

    /// Halt a VM's vCPUs. Answered when they stand.
    "pauseVm" PauseVm {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// Let a VM's vCPUs run again.
    "resumeVm" ResumeVm {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// Push the reset button.
    "resetVm" ResetVm {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// What is kept of disks, those of VMs that are gone included.
    "listDisks" ListDisks {} -> Vec<KeptDisk>;

    /// Keep all that a running VM's guest has written so far, as if it had flushed. Answered when it would survive a loss of power.
    "syncOverlay" SyncOverlay {
        /// Which VM.
        vm_id: VmId,
    } -> ();

    /// Forget all that was written to a disk, whose VM is not active or gone. There is no way back.
    "discardDisk" DiscardDisk {
        /// Its VM.
        vm_id: VmId,
        /// As what it is kept among the disks of its VM.
        disk_id: String,
    } -> ();

    /// Make a file of a disk, whose VM is not active. Tells its progress in bytes. The reply's attachment is a Blob.
    "exportDisk" ExportDisk {
        /// Its VM.
        vm_id: VmId,
        /// As what it is kept among the disks of its VM.
        disk_id: String,
        /// What to export.
        format: ExportAs,
    } -> Exported;

    /// Take over the changes of a disk from a file that [`ExportDisk`] made, for a disk that has none and whose VM is not
    /// active. Attachment 0: the file, a Blob. All of it is checked before anything changes. Tells its progress in bytes.
    "importDisk" ImportDisk {
        /// Its VM.
        vm_id: VmId,
        /// As what it is kept among the disks of its VM.
        disk_id: String,
    } -> ();

    /// The disks of a VM as they would be in its next run, in the order in which QEMU has them.
    "vmDisks" VmDisks {
        /// Which VM.
        vm_id: VmId,
    } -> Vec<VmDisk>;

    /// Make a running VM's disk larger. The guest sees the new size at once; its partitions and file systems stay as they are.
    "growDisk" GrowDisk {
        /// Which VM.
        vm_id: VmId,
        /// The disk's channel: `disk0`, `home`.
        channel: String,
        /// Its new size in bytes, no less than now.
        size: u64,
    } -> ();

    /// Ask a VM's monitor. The reply is QEMU's answer.
    "runMonitor" RunMonitor {
        /// Which VM.
        vm_id: VmId,
        /// What to ask.
        command: MonitorCommand,
    } -> Value;

    /// Queue exchanges of a capture for the guest. Attachment 0: lines of `qemuweb_capture::jsonl`, each ended. Answered when
    /// there is room for more; who does not wait for it has the oldest lines go, which [`VmInfo::capture`] counts. A VM that
    /// does not run gets them with its next start.
    ///
    /// [`VmInfo::capture`]: crate::vm::VmInfo::capture
    "pushCapture" PushCapture {
        /// Which VM.
        vm_id: VmId,
    } -> ();
}

/// The answer to [`DefineVm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Defined {
    /// The definition's revision now.
    pub revision: u64,
}

/// A profile by the id of a built-in one, or whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ProfileRef {
    /// The id of a default profile.
    Id(String),
    /// A profile of the client's own.
    Inline(Box<VmProfile>),
}
