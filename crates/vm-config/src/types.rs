//! The shapes that describe a virtual machine: its profile, what it boots from, and what a person changed.
//!
//! As JSON they have the names of the seed's TypeScript types (`memoryMiB`, `kernelCmdline`, …), so that a
//! profile written for one is read by the other.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, ConfigWarning};
use crate::inputs::{DiskFormat, Firmware, InputSource, Media, VmInputs};

/// The guest's processor architecture, which is also the QEMU binary that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub enum Arch {
    /// 64-bit x86, run by `qemu-system-x86_64`.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm, run by `qemu-system-aarch64`.
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Arch {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The name used in JSON, in file names and by `uname -m`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The guest's name for the serial port that carries the console, as in `console=ttyS0`.
    pub fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 => "ttyAMA0",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A template for a virtual machine: its hardware and what it boots by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VmProfile {
    /// Stable name by which the profile is chosen, such as `minimal-x86_64`.
    pub id: String,
    /// Name shown to people.
    pub name: String,
    /// One or two sentences on what the machine is for.
    #[serde(default)]
    pub description: String,
    /// The guest's architecture.
    pub arch: Arch,
    /// QEMU's machine type, with options if any: `q35`, `virt`, `microvm,rtc=on`.
    pub machine: String,
    /// QEMU's CPU model, with features if any; the machine's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Guest memory in MiB.
    #[serde(rename = "memoryMiB")]
    pub memory_mib: u32,
    /// Number of virtual processors.
    pub smp: u32,
    /// Whether the machine has a graphics adapter.
    pub supports_graphics: bool,
    /// More QEMU arguments, one element each, held to the same rules as a person's extra arguments.
    #[serde(default)]
    pub default_args: Vec<String>,
    /// Whether the machine cannot start without a kernel, be it the user's or that of [`Self::default_inputs`].
    pub requires_kernel: bool,
    /// What to tell a person who starts the machine without the kernel or disk that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_help_text: Option<String>,
    /// The machine's devices.
    pub devices: VmDeviceConfig,
    /// Size in bytes of the blocks in which the storage layer should keep what is written to the machine's disks, a
    /// power of two from 512 to 1048576. A wish that other hosts may grant: ours keeps pages of 4096 bytes, by blocks of
    /// which the measurements in `crates/storage` tell. The guest does not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size_bytes: Option<u32>,
    /// The most guest memory in MiB that an override may ask for.
    #[serde(rename = "maxMemoryMiB", default, skip_serializing_if = "Option::is_none")]
    pub max_memory_mib: Option<u32>,
    /// What the machine boots as far as the user names nothing else, such as the built-in guest.
    #[serde(default, skip_serializing_if = "VmInputs::is_empty")]
    pub default_inputs: VmInputs,
}

/// The devices of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VmDeviceConfig {
    /// How disks are attached, unless a disk says otherwise.
    pub disk_interface: DiskInterface,
    /// The network.
    pub net: NetMode,
    /// Whether the guest gets a virtio random number generator.
    #[serde(default)]
    pub rng: bool,
    /// Where the console's serial port leads.
    pub serial: SerialMode,
    /// Whether the machine has a USB controller.
    #[serde(default)]
    pub usb: bool,
    /// Whether the machine has a keyboard (the console's serial line needs none).
    #[serde(default)]
    pub keyboard: bool,
}

/// How a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DiskInterface {
    /// Paravirtual block device; the fastest.
    VirtioBlk,
    /// IDE on old PCs, SATA (AHCI) elsewhere: for guests without virtio drivers.
    Ide,
    /// A SCSI disk on a virtio SCSI controller.
    Scsi,
}

/// The kind of network a machine is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NetMode {
    /// QEMU's user-mode NAT.
    User,
    /// No network device.
    None,
}

/// The seed's names for the console's serial port. A browser has neither a standard input nor
/// pseudo-terminals: all three are the same ring in shared memory, channel `serial0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub enum SerialMode {
    /// As `TtyS0`.
    #[serde(rename = "stdio")]
    Stdio,
    /// The first serial port, shown in the console.
    #[serde(rename = "ttyS0")]
    TtyS0,
    /// As `TtyS0`.
    #[serde(rename = "pty")]
    Pty,
}

/// What a person changes in a profile for one machine. An absent field leaves the profile's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VmOverrides {
    /// Guest memory in MiB.
    #[serde(rename = "memoryMiB", skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Number of virtual processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smp: Option<u32>,
    /// CPU model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Words added to the end of the kernel's command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// More QEMU arguments in one line, quoted as in a POSIX shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_args: Option<String>,
    /// Whether to start a kernel or the disk's boot loader; see [`BootFrom`] for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_from: Option<BootFrom>,
    /// What starts a disk; what the disk needs when absent, or else a PC's BIOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// The order in which a PC's firmware tries devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot_order: Vec<BootDevice>,
    /// The network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<NetMode>,
    /// How disks are attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_interface: Option<DiskInterface>,
    /// The disk that a built-in guest has its home directory on; [`HomeDisk::Lasting`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<HomeDisk>,
    /// Size in MiB of QEMU's buffer of translated guest code; see [`crate::default_tb_size_mib`].
    #[serde(rename = "tbSizeMiB", skip_serializing_if = "Option::is_none")]
    pub tb_size_mib: Option<u32>,
}

/// Where a built-in guest's home directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HomeDisk {
    /// On a disk of the machine's own, which lasts.
    Lasting,
    /// On a disk that begins anew at each start.
    UntilPowerOff,
    /// In the guest's memory.
    None,
}

/// What starts first.
///
/// Without an override a kernel starts if the user gave one, an initrd or a command line; else the disk, if
/// there is one and the machine has firmware; else the profile's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BootFrom {
    /// A kernel, the user's or the profile's.
    Kernel,
    /// The firmware and the boot loader of the disk.
    Disk,
}

/// A device that a PC's firmware boots from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BootDevice {
    /// The first floppy drive.
    Floppy,
    /// The first hard disk.
    Disk,
    /// The first optical drive.
    Cdrom,
    /// A network card's boot ROM.
    Network,
}

/// How to start QEMU: the builder's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QemuArgsResult {
    /// QEMU's arguments without the program's name. Not fit to be run while `errors` has any.
    pub args: Vec<String>,
    /// Which QEMU binary to run.
    pub arch: Arch,
    /// The files that the arguments name, to be put in place before QEMU starts.
    pub files_to_mount: Vec<FileMountInfo>,
    /// The disks that the arguments name, to be served while QEMU runs.
    pub disks: Vec<DiskMountInfo>,
    /// What a person should know, but which does not stop the start.
    pub warnings: Vec<ConfigWarning>,
    /// Why the machine cannot start.
    pub errors: Vec<ConfigError>,
}

impl QemuArgsResult {
    /// The command line as one would type it in a POSIX shell, for display and copying.
    pub fn command_line(&self) -> String {
        let program = format!("qemu-system-{}", self.arch);
        std::iter::once(program.as_str())
            .chain(self.args.iter().map(String::as_str))
            .map(shell_quoted)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl DiskMountInfo {
    /// What the arguments call it: QEMU's block driver `ring` (`qemu-wasm/src/block/wasm-ring.c`) and its channel.
    pub fn file_name(&self) -> String {
        format!("ring:{}", self.channel)
    }
}

/// The argument as a shell reads it, without quotes where a shell needs none.
fn shell_quoted(arg: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) {
        return arg.into();
    }
    // A NUL, which no shell can pass on, is among the errors of the result.
    shlex::try_quote(arg).unwrap_or_else(|_| arg.replace('\0', "").into())
}

/// A file to be put into QEMU's file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileMountInfo {
    /// Where its bytes come from.
    pub source: InputSource,
    /// Its absolute path in QEMU's file system, such as `/vm/disk0.qcow2`.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Whether the guest may only read it.
    pub readonly: bool,
}

/// A disk that is served to QEMU over a channel of shared memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskMountInfo {
    /// The channel that QEMU asks over, which no other disk of the machine has: `disk0`, `floppy1`, `home`.
    pub channel: String,
    /// Where its image's bytes come from.
    pub source: InputSource,
    /// The format that QEMU takes the image for.
    pub format: DiskFormat,
    /// What drive it is in.
    pub kind: FileKind,
    /// What becomes of what the guest writes.
    pub keep: Keep,
    /// Whether the machine's firmware starts it, and has nothing else to start.
    #[serde(default)]
    pub boots: bool,
    /// The internal snapshot that is to be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// What becomes of what is written to a disk. The image is never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Nothing is written: the guest may only read, or QEMU has a temporary layer of its own.
    Nothing,
    /// Changes last, and belong to this image.
    Changes,
    /// Changes last until the machine's power is off.
    UntilPowerOff,
    /// The disk begins as the image, and is the machine's own from then on, whatever becomes of the image.
    Copy,
}

/// The part that a mounted file plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A kernel image.
    Kernel,
    /// An initial RAM disk.
    Initrd,
    /// A disk image.
    Disk,
    /// An image of an optical disc.
    Cdrom,
    /// An image of a floppy.
    Floppy,
    /// Firmware of the package, by its path below QEMU's build, or its variables.
    Firmware,
}

impl FileKind {
    /// The drive for an image of this kind.
    pub fn media(self) -> Option<Media> {
        match self {
            Self::Kernel | Self::Initrd | Self::Firmware => None,
            Self::Disk => Some(Media::Disk),
            Self::Cdrom => Some(Media::Cdrom),
            Self::Floppy => Some(Media::Floppy),
        }
    }
}
