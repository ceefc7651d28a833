//! Whether a file can play the part that it was chosen for.

use super::sample::{Sample, Seen};
use super::volumes::{LARGEST_FLOPPY, Layout, is_floppy_size};
use super::{Compression, Content, Unusable, recognize};
use crate::error::excerpt;
use crate::firmware::uefi;
use crate::inputs::{DiskFormat, Firmware, KernelKind};
use crate::types::{Arch, FileKind};

/// The part that a file is to play, and in which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The part.
    pub kind: FileKind,
    /// The machine's architecture.
    pub arch: Arch,
    /// Whether the machine's firmware is to start it, and has nothing else to start.
    pub boots: bool,
    /// For an initial RAM disk, which kernel reads it.
    pub beside: InitrdFor,
}

/// Which kernel reads an initial RAM disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitrdFor {
    /// One that is not seen yet.
    #[default]
    Unseen,
    /// The package's own.
    BuiltIn,
    /// One of this kind.
    Kernel(KernelKind),
}

impl Role {
    /// A part that depends on nothing else.
    pub fn of(kind: FileKind, arch: Arch) -> Self {
        Self {
            kind,
            arch,
            boots: false,
            beside: InitrdFor::Unseen,
        }
    }
}

/// A file that cannot play the part that it was chosen for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no {part}: expected {expected}, found {found}")]
pub struct WrongContent {
    /// The file's name.
    pub name: String,
    /// What it was to be.
    pub part: String,
    /// What would do.
    pub expected: String,
    /// What it is instead.
    pub found: String,
    /// What to do about it, as a sentence.
    pub next_step: &'static str,
}

/// What a check comes to, once enough of the file was seen.
type Checked<T> = Seen<Result<T, WrongContent>>;

const UNPACK: &str = "Unpack it and choose the file inside.";

/// Accepts what can play some part in a machine, and tells which.
///
/// # Errors
/// The part of the file that has to be added to the sample first; inside, [`WrongContent`] for what no machine can use.
pub fn check_any_content(name: &str, sample: &Sample) -> Checked<(Content, FileKind, Option<Arch>)> {
    let content = recognize(sample)?;
    let is_torn = content == Content::Unknown && !sample.size().is_multiple_of(512);
    Ok(match content.part().filter(|_| !is_torn) {
        Some((kind, arch)) => Ok((content, kind, arch)),
        None => Err(WrongContent {
            name: name.to_owned(),
            part: "file to boot from".to_owned(),
            expected: "a kernel, an initial RAM disk or a disk image".to_owned(),
            next_step: next_step(&content, FileKind::Disk),
            found: content.to_string(),
        }),
    })
}

/// Accepts what can play a part, and tells what it is. A kernel that is packed with gzip is accepted as such: whoever
/// has its bytes unpacks it and checks what is inside.
///
/// # Errors
/// The part of the file that has to be added to the sample first; inside, [`WrongContent`] that says what was found
/// instead.
pub fn check_content(role: Role, name: &str, sample: &Sample) -> Checked<Content> {
    let content = recognize(sample)?;
    let verdict = match role.kind {
        FileKind::Kernel => kernel(&content, role.arch),
        FileKind::Initrd => initrd(&content, role.beside),
        FileKind::Disk => disk(&content, sample.size(), role),
        FileKind::Cdrom => cdrom(&content, role),
        FileKind::Floppy => floppy(&content, sample.size()),
        // The package's own.
        FileKind::Firmware => Ok(()),
    };
    Ok(match verdict {
        Ok(()) => Ok(content),
        Err(wrong) => Err(WrongContent {
            name: name.to_owned(),
            part: wrong.part,
            expected: wrong.expected,
            found: wrong.found.unwrap_or_else(|| content.to_string()),
            next_step: wrong.next_step.unwrap_or_else(|| next_step(&content, role.kind)),
        }),
    })
}

/// Why a file does not do.
struct Wrong {
    part: String,
    expected: String,
    /// What was found, if the content's own name does not say it.
    found: Option<String>,
    next_step: Option<&'static str>,
}

impl Wrong {
    fn new(part: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            expected: expected.into(),
            found: None,
            next_step: None,
        }
    }
}

fn ensure(fits: bool, wrong: impl FnOnce() -> Wrong) -> Result<(), Wrong> {
    if fits { Ok(()) } else { Err(wrong()) }
}

fn kernel(content: &Content, arch: Arch) -> Result<(), Wrong> {
    let fits = match content {
        Content::Kernel(found, _) => *found == arch,
        content => *content == Content::Compressed(Compression::Gzip),
    };
    ensure(fits, || {
        let expected = match arch {
            Arch::X86_64 => "a bzImage, a kernel for Multiboot, or an ELF file with a PVH entry (vmlinux)",
            Arch::Aarch64 => "an arm64 Image, plain, compressed with gzip or as EFI zboot",
        };
        Wrong::new(format!("kernel for {arch}"), expected)
    })
}

fn initrd(content: &Content, beside: InitrdFor) -> Result<(), Wrong> {
    const PART: &str = "initial RAM disk";
    match beside {
        // Modules may be anything.
        InitrdFor::Kernel(KernelKind::Multiboot | KernelKind::Xen) => {
            ensure(*content != Content::Empty, || {
                Wrong::new("module", "a file with content")
            })
        }
        // iPXE runs scripts and starts images.
        InitrdFor::Kernel(KernelKind::Ipxe) => {
            let fits = !matches!(content, Content::Empty | Content::WebPage | Content::Text);
            ensure(fits, || Wrong {
                next_step: Some("Let its first line be #!ipxe."),
                ..Wrong::new("script for iPXE", "text that begins with #!ipxe")
            })
        }
        InitrdFor::Kernel(KernelKind::Memdisk) => {
            let fits = matches!(content, Content::Disk(image) if image.format == DiskFormat::Raw)
                || matches!(content, Content::Unknown | Content::Compressed(Compression::Gzip));
            ensure(fits, || Wrong {
                next_step: Some("Choose the image of a floppy, a disk or a CD."),
                ..Wrong::new("image for memdisk", "a raw image of a floppy, a disk or a CD")
            })
        }
        InitrdFor::BuiltIn => built_in_initrd(content),
        InitrdFor::Kernel(KernelKind::Linux | KernelKind::Memtest) | InitrdFor::Unseen => {
            let may_be_other =
                beside == InitrdFor::Unseen && !matches!(content, Content::Empty | Content::WebPage);
            let fits = matches!(
                content,
                Content::Cpio { .. } | Content::Compressed(_) | Content::Disk(_)
            );
            ensure(fits || may_be_other, || {
                Wrong::new(PART, "a cpio archive, compressed or not")
            })
        }
    }
}

/// What the built-in kernels unpack: every compression that Linux knows (`qemu-wasm/guest/kernel/common.config`,
/// `CONFIG_RD_*`).
fn built_in_initrd(content: &Content) -> Result<(), Wrong> {
    ensure(
        matches!(content, Content::Cpio { .. } | Content::Compressed(_)),
        || Wrong::new("initial RAM disk", "a cpio archive, compressed or not"),
    )
}

fn disk(content: &Content, size: u64, role: Role) -> Result<(), Wrong> {
    // What nobody knows is a disk if it consists of sectors.
    let may_be_raw = *content == Content::Unknown && size.is_multiple_of(512);
    let fits = may_be_raw || matches!(content, Content::Disk(_));
    ensure(fits, || {
        let found = format!("{size} bytes, which are no 512-byte sectors");
        Wrong {
            found: (*content == Content::Unknown).then_some(found),
            ..Wrong::new(
                "disk image",
                "a raw image, or one in qcow2, VMDK, VDI, VHDX, VHD or another format of QEMU's",
            )
        }
    })?;
    starts(content, role)
}

fn cdrom(content: &Content, role: Role) -> Result<(), Wrong> {
    let is_cd = match content {
        Content::Disk(image) => {
            let layout = image.volume.map(|volume| volume.layout);
            matches!(
                layout,
                None | Some(Layout::Iso9660 | Layout::FileSystem("UDF" | "HFS+"))
            )
        }
        _ => false,
    };
    ensure(is_cd, || Wrong::new("CD image", "an ISO 9660 image"))?;
    starts(content, role)
}

fn floppy(content: &Content, size: u64) -> Result<(), Wrong> {
    let is_raw = content.disk_format() == DiskFormat::Raw;
    let fits = match content {
        Content::Disk(_) => is_raw && size <= LARGEST_FLOPPY,
        // A floppy without a boot sector holds files.
        Content::Unknown => is_floppy_size(size),
        _ => false,
    };
    ensure(fits, || {
        Wrong::new("floppy image", "a raw image of 160 KiB to 3.75 MiB")
    })
}

/// Whether the firmware can start what is on a disk, if it has to.
fn starts(content: &Content, role: Role) -> Result<(), Wrong> {
    let volume = match content {
        Content::Disk(image) => image.volume,
        _ => None,
    };
    let is_blank = *content == Content::Unknown;
    let by_bios = role.arch == Arch::X86_64 && volume.is_some_and(|volume| volume.starts_by_bios);
    let by_uefi = volume.is_some_and(|volume| volume.starts_by_uefi);
    if !role.boots || by_bios || (volume.is_none() && !is_blank) || (by_uefi && uefi(role.arch).is_some()) {
        return Ok(());
    }
    let part = "disk to start from";
    if by_uefi {
        return Err(Wrong {
            found: Some(format!("{content} that only UEFI firmware can start")),
            next_step: Some(
                "Choose an image for BIOS, or give the kernel that is on it, with its initial RAM disk.",
            ),
            ..Wrong::new(part, "a boot loader for BIOS")
        });
    }
    Err(Wrong {
        found: Some(match volume {
            Some(_) => format!("{content} without a boot loader"),
            None => "no signature of a boot sector in it".to_owned(),
        }),
        next_step: Some(
            "Choose a disk that has a boot loader, or give a kernel beside it that has its root file system there.",
        ),
        ..Wrong::new(part, "a boot loader")
    })
}

/// What to do with a file that cannot be used as it is.
fn next_step(content: &Content, kind: FileKind) -> &'static str {
    match content {
        Content::Unusable(Unusable { next_step, .. }) => next_step,
        Content::Compressed(_) => UNPACK,
        Content::WebPage => "Give the address of the file itself, not of the page that links to it.",
        _ if kind == FileKind::Kernel => "Choose the kernel image again, or the other architecture.",
        _ => "Choose another file.",
    }
}

impl Content {
    /// Finds an internal snapshot of the image called `name` by its own name or id.
    ///
    /// # Errors
    /// [`WrongContent`] that lists those that there are.
    pub fn find_snapshot(&self, name: &str, wanted: &str) -> Result<(), WrongContent> {
        let snapshots = self.snapshots();
        if snapshots
            .iter()
            .any(|known| known.id == wanted || known.name == wanted)
        {
            return Ok(());
        }
        let names: Vec<_> = snapshots.iter().map(|known| known.name.as_str()).collect();
        Err(WrongContent {
            name: name.to_owned(),
            part: "image with that snapshot".to_owned(),
            expected: format!("a snapshot called {}", excerpt(wanted)),
            found: match names.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            },
            next_step: "Choose one of those that are in the image, or none for its latest state.",
        })
    }

    /// The firmware that has to start a disk of this content on a machine of `arch`, where the person chose none.
    pub fn firmware_on(&self, arch: Arch) -> Option<Firmware> {
        self.firmware()
            .filter(|firmware| *firmware == Firmware::Bios || uefi(arch).is_some())
    }
}
