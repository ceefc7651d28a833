//! Recognizing files by their content, before QEMU is asked to use them.
//!
//! QEMU starts whatever it is given as a kernel and then hangs, and shows the guest the bytes of whatever it is
//! given as a disk: the person would see nothing, or a guest that fails. Each family of formats has a file of its own.

mod archives;
mod check;
mod disks;
mod elf;
mod kernels;
mod qcow2;
mod sample;
mod volumes;

#[cfg(test)]
mod tests;

use std::fmt;

pub use archives::Compression;
pub use check::{InitrdFor, Role, WrongContent, check_any_content, check_content};
pub use disks::DiskImage;
pub use qcow2::Snapshot;
pub use sample::{CONTENT_HEAD, Sample, Seen};
pub use volumes::{Layout, Volume};

use crate::inputs::{DiskFormat, Firmware, KernelKind, System};
use crate::types::{Arch, FileKind};

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// No bytes.
    Empty,
    /// A kernel that QEMU's `-kernel` starts on this architecture.
    Kernel(Arch, KernelKind),
    /// A compressed stream.
    Compressed(Compression),
    /// A cpio archive, as initial RAM disks are.
    Cpio {
        /// The compression of what follows it, if anything does that is compressed.
        then: Option<Compression>,
    },
    /// A disk, a CD or a floppy.
    Disk(DiskImage),
    /// A script for iPXE.
    Script,
    /// A web page.
    WebPage,
    /// Text.
    Text,
    /// Something that is known and that no machine can use as it is.
    Unusable(Unusable),
    /// Anything else: perhaps a raw disk.
    Unknown,
}

/// What a file is that no machine can use as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// What it is, as an object in a sentence.
    what: String,
    /// What to do about it, as a sentence.
    next_step: &'static str,
}

fn unusable(what: impl Into<String>, next_step: &'static str) -> Content {
    Content::Unusable(Unusable {
        what: what.into(),
        next_step,
    })
}

/// Recognizes a file.
///
/// # Errors
/// The part of the file that has to be added to the sample first.
pub fn recognize(sample: &Sample) -> Seen<Content> {
    if sample.size() == 0 || sample.head().is_empty() {
        return Ok(Content::Empty);
    }
    let raw = |sample: &Sample| disks::raw(sample);
    // CDs may begin with whatever else their makers want to be started from them.
    if sample.has(0x8001, b"CD001")? {
        return raw(sample).map(Content::Disk);
    }
    for reader in [
        qcow2::recognize,
        disks::recognize,
        elf::recognize,
        kernels::recognize,
        archives::recognize,
    ] {
        if let Some(content) = reader(sample)? {
            return Ok(content);
        }
    }
    let image = raw(sample)?;
    if image
        .volume
        .is_some_and(|volume| volume.layout != Layout::Unknown)
    {
        return Ok(Content::Disk(image));
    }
    // Boot loaders on disks may have a header for Multiboot, too.
    Ok(elf::multiboot_without_elf(sample)?.unwrap_or_else(|| archives::text(sample)))
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty file"),
            Self::Kernel(arch, KernelKind::Linux) => write!(f, "a kernel for {arch}"),
            Self::Kernel(arch, kind) => write!(f, "a kernel for {arch} ({kind})"),
            Self::Compressed(compression) => write!(f, "a {compression}-compressed file"),
            Self::Cpio { then: None } => f.write_str("a cpio archive, as initial RAM disks are"),
            Self::Cpio { then: Some(then) } => {
                write!(f, "a cpio archive, and another one compressed with {then}")
            }
            Self::Disk(image) => image.fmt(f),
            Self::Script => f.write_str("a script for iPXE"),
            Self::WebPage => f.write_str("a web page"),
            Self::Text => f.write_str("text"),
            Self::Unusable(Unusable { what, .. }) => f.write_str(what),
            Self::Unknown => f.write_str("something unknown"),
        }
    }
}

impl fmt::Display for DiskImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.format != DiskFormat::Raw {
            return write!(f, "a {} disk image", self.name);
        }
        match self.volume.map(|volume| volume.layout) {
            Some(Layout::Iso9660) => f.write_str("an ISO 9660 image"),
            Some(Layout::Gpt | Layout::Mbr) => f.write_str("a disk image with a partition table"),
            Some(Layout::BootSector) if self.is_floppy() => f.write_str("a floppy image"),
            Some(Layout::BootSector) => f.write_str("a disk image with a boot sector"),
            Some(Layout::FileSystem(name)) => write!(f, "the image of a file system ({name})"),
            Some(Layout::Unknown) | None => f.write_str("a raw disk image"),
        }
    }
}

impl DiskImage {
    /// Whether it has a floppy's size and a boot sector.
    fn is_floppy(&self) -> bool {
        let layout = self.volume.map(|volume| volume.layout);
        self.format == DiskFormat::Raw
            && layout == Some(Layout::BootSector)
            && volumes::is_floppy_size(self.size)
    }

    fn is_cd(&self) -> bool {
        self.volume.is_some_and(|volume| volume.layout == Layout::Iso9660)
    }
}

impl Content {
    fn disk(&self) -> Option<&DiskImage> {
        match self {
            Self::Disk(image) => Some(image),
            _ => None,
        }
    }

    /// The drive for an image of this content if the person names none. What looks like a floppy is one where a PC's
    /// firmware starts it, and a disk with a floppy's files elsewhere.
    pub fn drive(&self, by_firmware_of_pc: bool) -> FileKind {
        match self.disk() {
            Some(image) if image.is_cd() => FileKind::Cdrom,
            Some(image) if by_firmware_of_pc && image.is_floppy() => FileKind::Floppy,
            _ => FileKind::Disk,
        }
    }

    /// The part that a file of this content plays in a machine if nobody names one, and the architecture that it is
    /// for, where that shows. Nothing for what no machine can use.
    pub fn part(&self) -> Option<(FileKind, Option<Arch>)> {
        match self {
            Self::Kernel(arch, _) => Some((FileKind::Kernel, Some(*arch))),
            Self::Compressed(_) | Self::Cpio { .. } | Self::Script => Some((FileKind::Initrd, None)),
            Self::Disk(_) | Self::Unknown => Some((self.drive(true), None)),
            Self::Empty | Self::WebPage | Self::Text | Self::Unusable(_) => None,
        }
    }

    /// How QEMU has to read a disk image of this content.
    pub fn disk_format(&self) -> DiskFormat {
        self.disk().map_or(DiskFormat::Raw, |image| image.format)
    }

    /// The kind of a kernel.
    pub fn kernel_kind(&self) -> Option<KernelKind> {
        match self {
            Self::Kernel(_, kind) => Some(*kind),
            _ => None,
        }
    }

    /// The system that a disk holds, where its image shows it or its format lets expect it.
    pub fn system(&self) -> Option<System> {
        let image = self.disk()?;
        // Other emulators' disks were installed on other hardware than virtio.
        if !matches!(image.format, DiskFormat::Raw | DiskFormat::Qcow2) {
            return Some(System::Other);
        }
        let volume = image.volume?;
        match volume.layout {
            Layout::Unknown => None,
            Layout::FileSystem(_) => Some(System::Linux),
            _ if volume.holds_linux => Some(System::Linux),
            _ => Some(System::Other),
        }
    }

    /// Whether it is a disk with data and nothing that could be started: neither partitions nor a boot sector.
    pub fn is_data(&self) -> bool {
        let volume = self.disk().map(|image| image.volume);
        match volume {
            Some(Some(volume)) => matches!(volume.layout, Layout::FileSystem(_) | Layout::Unknown),
            Some(None) => false,
            None => *self == Self::Unknown,
        }
    }

    /// The firmware that a disk needs, where only one can start it.
    pub fn firmware(&self) -> Option<Firmware> {
        let volume = self.disk()?.volume?;
        match (volume.starts_by_bios, volume.starts_by_uefi) {
            (true, false) => Some(Firmware::Bios),
            (false, true) => Some(Firmware::Uefi),
            _ => None,
        }
    }

    /// The same disk image with an internal snapshot as its content, into which nobody has looked.
    pub fn at_snapshot(mut self) -> Self {
        if let Self::Disk(image) = &mut self {
            image.volume = None;
        }
        self
    }

    /// The internal snapshots of a disk image.
    pub fn snapshots(&self) -> &[Snapshot] {
        self.disk().map_or(&[], |image| image.snapshots.as_slice())
    }
}
