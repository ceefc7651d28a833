//! Disks as clients see them: how those of a running VM are used, and what is kept of all.

use qemuweb_vm_config::{DiskFormat, FileKind, Keep};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::vm::VmId;

/// A disk of a running VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiskUse {
    /// Its channel, which is its name in QEMU: `disk0`, `floppy1`, `home`.
    pub channel: String,
    /// As what its changes are kept among those of its VM.
    pub disk_id: String,
    /// What people call its image.
    pub image: String,
    /// The image's format.
    pub format: DiskFormat,
    /// What drive it is in.
    pub kind: FileKind,
    /// What becomes of what the guest writes.
    pub keep: Keep,
    /// The image's size with what the guest has made of it, in bytes. Of a format with a structure of its own that is not the
    /// disk's.
    pub size: u64,
    /// Bytes of changes that are kept.
    pub kept: u64,
    /// Bytes of changes that are not kept yet, as the guest has not flushed.
    pub dirty: u64,
    /// What was read since the run began.
    pub read: Transfers,
    /// What was written since the run began.
    pub written: Transfers,
    /// How often the guest has flushed.
    pub flushes: u64,
    /// How long the latest flushes took, in milliseconds, in the middle; nothing before the first.
    #[serde(default)]
    pub flush_ms: Option<f64>,
    /// Why a request failed, until one of its kind succeeds.
    #[serde(default)]
    pub alarm: Option<Failure>,
}

/// A disk that a VM is defined with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VmDisk {
    /// Its channel, which is its name in QEMU.
    pub channel: String,
    /// As what its changes are kept.
    pub disk_id: String,
    /// What people call its image.
    pub image: String,
    /// The image's format.
    pub format: DiskFormat,
    /// What drive it is in.
    pub kind: FileKind,
    /// What becomes of what the guest writes.
    pub keep: Keep,
}

/// How much was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Transfers {
    /// Requests.
    pub requests: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a disk is exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ExportAs {
    /// Its changes alone, which can be imported over the same image only: see `crates/storage/src/overlay_file`.
    Overlay,
    /// All of it, byte by byte. A disk in a format that has no reader here is exported in that format.
    Raw,
    /// All of it, as qcow2 with clusters that are not compressed.
    Qcow2,
    /// As qcow2 with clusters that are compressed with zlib, which any QEMU reads.
    Qcow2Zlib,
    /// As qcow2 with clusters that are compressed with Zstandard, which QEMU reads from 5.1 on.
    Qcow2Zstd,
}

/// The answer to [`ExportDisk`](crate::call::ExportDisk).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// What the file may be called.
    pub name: String,
}

/// What is kept of a disk, whether its VM runs or not, or is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KeptDisk {
    /// Its VM.
    pub vm_id: VmId,
    /// What people call that; nothing if it is gone.
    #[serde(default)]
    pub vm_name: Option<String>,
    /// As what it is kept among the disks of its VM.
    pub disk_id: String,
    /// The disk's size in bytes, unless another version of QemuWeb made it.
    pub size: Option<u64>,
    /// About how many bytes of changes there are.
    pub kept: u64,
    /// What it lies over; empty for a disk that lies over nothing.
    pub base: String,
}
