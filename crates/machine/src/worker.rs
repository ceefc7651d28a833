//! What the host and a VM's Worker say to each other.
//!
//! The Worker fetches files, loads QEMU and reports; once QEMU runs, console and control bytes go over rings that both see, and
//! not through these messages.

use qemuweb_vm_config::{Arch, FileMountInfo};
use qemuweb_wire::Failure;
use qemuweb_wire::vm::{Progress, VmId};
use serde::{Deserialize, Serialize};

use crate::io::Attached;
use crate::storage::DiskOrder;

/// Host to Worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VmWorkerCommand {
    /// Fetch and compile what a machine is likely to need, ahead of a `Boot` that may never come.
    Prepare {
        /// Which QEMU.
        arch: Arch,
        /// Files of built-in guests, by their paths in the package's guest folder.
        guest_files: Vec<String>,
    },
    /// Build the machine and run it. Sent at most once; attachments are the Blobs that `files` name by index.
    Boot(Boot),
    /// End QEMU's threads: the Worker is going to be terminated, and they must be gone by then.
    /// A Worker whose machine has UEFI variables answers with [`VmWorkerEvent::UefiVariables`].
    End,
}

/// A machine to build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Boot {
    /// Which QEMU.
    pub arch: Arch,
    /// QEMU's arguments, without the program's name.
    pub args: Vec<String>,
    /// What to put into QEMU's file system first.
    pub files: Vec<FileMountInfo>,
    /// Size of QEMU's WebAssembly memory, in MiB.
    pub heap_mib: u32,
    /// Which attachment are the bytes of the UEFI variables that the machine had in its former run, as it is to find them
    /// in place of the package's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uefi_variables: Option<u32>,
}

/// A machine to build, with the attachments.
#[derive(Clone, Debug, PartialEq)]
pub struct BootOrder<A> {
    /// What.
    pub boot: Boot,
    /// The disks that a storage Worker is to serve it with; without any, there is none.
    pub disks: Vec<DiskOrder>,
    /// The VM whose changes of disks they are.
    pub vm_id: VmId,
    /// The files and bytes that both name by index.
    pub attachments: Vec<Attached<A>>,
}

/// Worker to host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VmWorkerEvent {
    /// The Worker's code runs and takes commands.
    Ready,
    /// Files are being fetched or QEMU is being loaded.
    Progress {
        /// How far it is.
        progress: Progress,
    },
    /// QEMU is loaded and `main` is about to run. Attachment: its memory, a SharedArrayBuffer.
    Loaded {
        /// Address of the channel directory in that memory.
        directory: u32,
    },
    /// QEMU wrote a line to its standard output or error.
    Output {
        /// The line.
        line: String,
    },
    /// The UEFI variables: whenever they have changed while QEMU runs, before it has exited, and in answer to
    /// [`VmWorkerCommand::End`]. Attachment: the bytes of their file, unless the host has them.
    UefiVariables {
        /// The package's file that they began as.
        file: String,
    },
    /// QEMU's `main` returned or `exit` was called.
    Exited {
        /// The exit status.
        code: i32,
    },
    /// The VM could not be started, or QEMU aborted or trapped.
    Failed {
        /// Why.
        failure: Failure,
    },
}
