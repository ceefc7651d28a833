//! What a machine boots: kernels, initial RAM disks and disk images, and where their bytes come from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::{DiskInterface, FileKind};

/// Where the bytes of a kernel, initrd or disk come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum InputSource {
    /// A file of the extension's own package.
    Builtin(BuiltinFile),
    /// A file or blob that is sent along with the message that carries this description.
    Attachment(Attachment),
    /// An `http` or `https` address, fetched without the person's cookies.
    Url(String),
    /// An address that is fetched with the person's cookies for its host, because they asked for that.
    UrlWithCredentials(String),
    /// A file that the person has stored in the extension.
    Stored(StoredFile),
    /// A new disk, which is all zeroes until the guest writes to it.
    Blank(BlankDisk),
}

impl InputSource {
    /// A file of the package by its path below `guest/`.
    pub fn builtin(path: impl Into<String>) -> Self {
        Self::Builtin(BuiltinFile { path: path.into() })
    }

    /// The address that it is fetched from.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url(url) | Self::UrlWithCredentials(url) => Some(url),
            Self::Builtin(_) | Self::Attachment(_) | Self::Stored(_) | Self::Blank(_) => None,
        }
    }

    /// The same source, fetched with the person's cookies or without where it is an address.
    #[must_use]
    pub fn with_credentials(self, with: bool) -> Self {
        match self {
            Self::Url(url) | Self::UrlWithCredentials(url) if with => Self::UrlWithCredentials(url),
            Self::Url(url) | Self::UrlWithCredentials(url) => Self::Url(url),
            other => other,
        }
    }

    /// The name of the file that it is, without folders, for display and to guess a format from.
    pub fn file_name(&self) -> &str {
        let path = match self {
            Self::Builtin(file) => file.path.as_str(),
            Self::Attachment(attachment) => attachment.name.as_str(),
            Self::Url(url) | Self::UrlWithCredentials(url) => {
                url.split(['?', '#']).next().unwrap_or_default()
            }
            Self::Stored(file) => file.name.as_str(),
            Self::Blank(_) => "new disk",
        };
        path.rsplit('/').next().unwrap_or_default()
    }
}

/// A file of the extension's package.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuiltinFile {
    /// Path below `guest/`, such as `x86_64/vmlinux.gz`. The host decompresses a `.gz`.
    pub path: String,
}

/// A blob sent along with a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attachment {
    /// Its place in the message's list of attachments.
    pub index: u32,
    /// The file's name as the user knows it. Never used as a path.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A file stored in the extension, known by its content: whatever store holds the bytes, the hash finds them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredFile {
    /// `sha256:` and the 64 lower-case hexadecimal digits of the content's SHA-256.
    pub hash: String,
    /// The file's name as the user knows it. Never used as a path.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A disk that begins as zeroes and takes room for what is written to it only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlankDisk {
    /// What it is known by among the new disks of its VM: 1 to 64 letters, digits, dashes or underscores.
    pub id: String,
    /// Its size in bytes, from [`MIN_BLANK`] to [`MAX_BLANK`]. A larger one than before makes the disk grow.
    pub size: u64,
}

/// The smallest new disk, in bytes.
pub const MIN_BLANK: u64 = 1 << 20;
/// The largest new disk, in bytes.
pub const MAX_BLANK: u64 = 2 << 40;

/// A disk image and how to attach it.
///
/// As JSON the source's key stands beside the others: `{"url": "https://…/a.qcow2", "readonly": true}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiskInput {
    /// Where the image's bytes come from.
    #[serde(flatten)]
    pub source: InputSource,
    /// Whether the guest may only read it.
    #[serde(default)]
    pub readonly: bool,
    /// Whether what the guest writes is discarded when the machine's power is off; else it lasts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard_at_power_off: bool,
    /// The image's format; guessed from the file's name when absent. The host, which sees the content, sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<DiskFormat>,
    /// How it is attached; the profile's interface when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<DiskInterface>,
    /// The drive that it is put into; a hard disk's when absent. The host, which sees the content, sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// The internal snapshot of a qcow2 image that is the disk, by its name or id; the image's latest state when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The names of the internal snapshots that the image has. The host, which sees the content, sets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// The system that it holds, which decides what kind of PC starts it. The host, which sees the content, sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// Whether it holds data and nothing that could be started, so that the profile's own kernel starts beside it. The host,
    /// which sees the content, sets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_data: bool,
    /// The firmware that can start it, if only one can. The host, which sees the content, sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
}

impl DiskInput {
    /// A writable disk of the profile's interface, its format to be guessed from its name.
    pub fn new(source: InputSource) -> Self {
        Self {
            source,
            readonly: false,
            discard_at_power_off: false,
            format: None,
            interface: None,
            media: None,
            snapshot: None,
            snapshots: Vec::new(),
            system: None,
            is_data: false,
            firmware: None,
        }
    }
}

/// The drive that an image is put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Media {
    /// A hard disk.
    Disk,
    /// An optical drive, whose medium the guest can only read.
    Cdrom,
    /// A PC's floppy drive.
    Floppy,
}

impl Media {
    /// The part that a file in this drive plays.
    pub fn kind(self) -> FileKind {
        match self {
            Self::Disk => FileKind::Disk,
            Self::Cdrom => FileKind::Cdrom,
            Self::Floppy => FileKind::Floppy,
        }
    }
}

/// The format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// The disk's bytes as they are.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
    /// Its first version.
    Qcow,
    /// What was to follow it.
    Qed,
    /// VMware's.
    Vmdk,
    /// VirtualBox's.
    Vdi,
    /// Hyper-V's.
    Vhdx,
    /// Virtual PC's (VHD).
    Vpc,
    /// Parallels'.
    Parallels,
    /// Bochs's, with holes.
    Bochs,
    /// Compressed images of Linux live systems.
    Cloop,
    /// macOS's.
    Dmg,
}

impl DiskFormat {
    /// All of them, the most common first.
    pub const ALL: &[Self] = &[
        Self::Raw,
        Self::Qcow2,
        Self::Vmdk,
        Self::Vdi,
        Self::Vhdx,
        Self::Vpc,
        Self::Qcow,
        Self::Qed,
        Self::Parallels,
        Self::Bochs,
        Self::Cloop,
        Self::Dmg,
    ];

    /// QEMU's name of the format, which is also the extension of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qcow => "qcow",
            Self::Qed => "qed",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vhdx => "vhdx",
            Self::Vpc => "vpc",
            Self::Parallels => "parallels",
            Self::Bochs => "bochs",
            Self::Cloop => "cloop",
            Self::Dmg => "dmg",
        }
    }

    /// Whether QEMU writes to images of this format whatever variant they are.
    pub(crate) fn is_written(self) -> bool {
        match self {
            Self::Raw
            | Self::Qcow2
            | Self::Qcow
            | Self::Qed
            | Self::Vdi
            | Self::Vhdx
            | Self::Vpc
            | Self::Parallels => true,
            // Those of VMDK that are packed for streaming are read only.
            Self::Vmdk | Self::Bochs | Self::Cloop | Self::Dmg => false,
        }
    }

    /// The format that a file's name promises.
    pub(crate) fn promised_by(name: &str) -> Self {
        /// Names that differ from the format's own.
        const EXTENSIONS: &[(&str, DiskFormat)] = &[
            ("qcow2", DiskFormat::Qcow2),
            ("qcow", DiskFormat::Qcow),
            ("qed", DiskFormat::Qed),
            ("vmdk", DiskFormat::Vmdk),
            ("vdi", DiskFormat::Vdi),
            ("vhdx", DiskFormat::Vhdx),
            ("hdd", DiskFormat::Parallels),
            ("hds", DiskFormat::Parallels),
            ("dmg", DiskFormat::Dmg),
        ];
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let known = EXTENSIONS.iter().find(|(known, _)| *known == extension);
        known.map_or(Self::Raw, |(_, format)| *format)
    }
}

/// What a disk holds, as far as it decides which hardware it is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Linux, which has drivers for virtio.
    Linux,
    /// Anything else, which expects a PC as they were.
    Other,
}

/// What starts a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// A PC's BIOS (SeaBIOS).
    Bios,
    /// UEFI (EDK2).
    Uefi,
}

/// What a kernel is, as far as QEMU starts it in another way or it takes other arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KernelKind {
    /// Linux, or what is started and called as it is.
    Linux,
    /// A kernel for Multiboot.
    Multiboot,
    /// The Xen hypervisor.
    Xen,
    /// iPXE, whose initial RAM disk is a script.
    Ipxe,
    /// SYSLINUX's memdisk, whose initial RAM disk is the image of a disk.
    Memdisk,
    /// Memtest86+.
    Memtest,
}

impl KernelKind {
    /// The kind that a file's name promises, for one whose content is not seen yet.
    pub(crate) fn promised_by(name: &str) -> Self {
        const BEGINNINGS: &[(&str, KernelKind)] = &[
            ("ipxe", KernelKind::Ipxe),
            ("memdisk", KernelKind::Memdisk),
            ("memtest", KernelKind::Memtest),
            ("xen-", KernelKind::Xen),
        ];
        let name = name.to_ascii_lowercase();
        let known = BEGINNINGS
            .iter()
            .find(|(beginning, _)| name.starts_with(beginning));
        known.map_or(Self::Linux, |(_, kind)| *kind)
    }

    /// Whether it speaks through a PC's BIOS, or starts what does.
    pub fn needs_bios(self) -> bool {
        self != Self::Linux
    }

    /// The command line that has it speak on the serial console `console`. iPXE takes each word for a command.
    pub fn console_arguments(self, console: &str) -> String {
        match self {
            Self::Linux | Self::Memtest => format!("console={console}"),
            Self::Xen => "console=com1".to_owned(),
            Self::Multiboot | Self::Ipxe | Self::Memdisk => String::new(),
        }
    }
}

impl fmt::Display for KernelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "Linux",
            Self::Multiboot => "Multiboot",
            Self::Xen => "Xen",
            Self::Ipxe => "iPXE",
            Self::Memdisk => "memdisk",
            Self::Memtest => "Memtest86+",
        })
    }
}

/// What a machine boots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VmInputs {
    /// The disk to boot from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskInput>,
    /// A Linux kernel to start directly, without firmware or boot loader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<InputSource>,
    /// The kernel's initial RAM disk. When absent, it is the profile's for the profile's kernel, unless the command
    /// line names a `root=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd: Option<InputSource>,
    /// The kernel's whole command line. When absent, it is the profile's for the profile's kernel, and for another
    /// just the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_cmdline: Option<String>,
    /// What the kernel is; guessed from the file's name when absent. The host, which sees the content, sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_kind: Option<KernelKind>,
    /// Further disks, which do not change what is booted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_disks: Vec<DiskInput>,
}

impl VmInputs {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Where everything comes from: kernel, initrd, then the disks in their order.
    pub fn sources(&self) -> impl Iterator<Item = &InputSource> {
        let disks = self.disk.iter().chain(&self.additional_disks);
        let direct = self.kernel.iter().chain(&self.initrd);
        direct.chain(disks.map(|disk| &disk.source))
    }

    /// The addresses among the sources.
    pub fn urls(&self) -> Vec<&str> {
        self.sources().filter_map(InputSource::url).collect()
    }

    /// As [`Self::sources`], to be changed.
    pub fn sources_mut(&mut self) -> impl Iterator<Item = &mut InputSource> {
        let disks = self.disk.iter_mut().chain(&mut self.additional_disks);
        let direct = self.kernel.iter_mut().chain(&mut self.initrd);
        direct.chain(disks.map(|disk| &mut disk.source))
    }
}
