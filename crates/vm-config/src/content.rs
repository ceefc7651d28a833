//! Recognizing files by their content, before QEMU is asked to use them.
//!
//! QEMU starts whatever it is given as a kernel and then hangs, and shows the guest the bytes of whatever it is
//! given as a disk: the person would see nothing, or a guest that fails. Formats: Linux's
//! `Documentation/arch/x86/boot.rst` and `arm64/booting.rst`, QEMU's `docs/interop/qcow2.rst`, ECMA-119.

use std::fmt;

use crate::{Arch, DiskFormat, FileKind};

/// Bytes at the start of a file that [`recognize`] needs to see.
pub const CONTENT_HEAD: usize = 36 << 10;

/// Where an x86 boot sector's setup header has `HdrS`.
const X86_HDRS: usize = 0x202;
/// Where an arm64 image's header has its magic.
const ARM64_MAGIC: usize = 0x38;
/// ELF's `e_machine`, and its values for the two architectures.
const ELF_MACHINE: usize = 18;
const EM_X86_64: [u8; 2] = 62_u16.to_le_bytes();
const EM_AARCH64: [u8; 2] = 183_u16.to_le_bytes();
/// The header of qcow2: where the offset of the backing file's name and the encryption method are.
const QCOW2_BACKING: usize = 8;
const QCOW2_CRYPT: usize = 32;
/// The identifier of a CD's first volume descriptor.
const ISO_MAGIC: usize = 0x8001;
/// The magic of ext2 and its successors.
const EXT_MAGIC: usize = 0x438;
/// The signature of a boot sector, be it a disk's or a floppy's.
const BOOT_SIGNATURE: usize = 510;
/// The sizes of floppies in bytes, from 160 KiB to 2.88 MB.
const FLOPPY_SIZES: [u64; 8] = [
    163_840, 184_320, 327_680, 368_640, 737_280, 1_228_800, 1_474_560, 2_949_120,
];

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// No bytes.
    Empty,
    /// A kernel that QEMU's `-kernel` starts on this architecture: bzImage, ELF or arm64 Image.
    Kernel(Arch),
    /// An ELF file for another machine.
    OtherElf,
    /// A compressed stream, by the name of its compression.
    Compressed(&'static str),
    /// A cpio archive, as initial RAM disks are.
    Cpio,
    /// A qcow2 disk image, and what it needs besides itself.
    Qcow2 {
        /// Whether it holds only the differences from another image.
        has_backing_file: bool,
        /// Whether it is encrypted.
        is_encrypted: bool,
    },
    /// An ISO 9660 image, hybrids included.
    Iso9660,
    /// A floppy image: a boot sector in a file of a floppy's size.
    Floppy,
    /// A disk with a partition table.
    PartitionedDisk,
    /// A file system without a partition table.
    FileSystem,
    /// A disk image of another emulator, by its format's name.
    ForeignDisk(&'static str),
    /// An archive of files, by its format's name.
    Archive(&'static str),
    /// A web page.
    WebPage,
    /// Text.
    Text,
    /// Anything else: perhaps a raw disk.
    Unknown,
}

/// Recognizes a file of `size` bytes by its first [`CONTENT_HEAD`] (or all, if there are fewer).
pub fn recognize(head: &[u8], size: u64) -> Content {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let is_nonzero = |from: usize, to: usize| {
        head.get(from..to)
            .is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0))
    };
    let magics: [(usize, &[u8], Content); 20] = [
        (X86_HDRS, b"HdrS", Content::Kernel(Arch::X86_64)),
        (ARM64_MAGIC, b"ARM\x64", Content::Kernel(Arch::Aarch64)),
        (0, &[0x1f, 0x8b], Content::Compressed("gzip")),
        (0, b"\xfd7zXZ\0", Content::Compressed("xz")),
        (0, &[0x28, 0xb5, 0x2f, 0xfd], Content::Compressed("zstd")),
        (0, b"BZh", Content::Compressed("bzip2")),
        (0, &[0x02, 0x21, 0x4c, 0x18], Content::Compressed("lz4")),
        (0, &[0x5d, 0, 0], Content::Compressed("lzma")),
        (0, b"\x89LZO", Content::Compressed("lzo")),
        (0, b"070701", Content::Cpio),
        (0, b"070702", Content::Cpio),
        (0, b"KDMV", Content::ForeignDisk("VMDK")),
        (0, b"# Disk DescriptorFile", Content::ForeignDisk("VMDK")),
        (0x40, &[0x7f, 0x10, 0xda, 0xbe], Content::ForeignDisk("VDI")),
        (0, b"vhdxfile", Content::ForeignDisk("VHDX")),
        (0, b"conectix", Content::ForeignDisk("VHD")),
        (0, b"PK\x03\x04", Content::Archive("zip")),
        (257, b"ustar", Content::Archive("tar")),
        (ISO_MAGIC, b"CD001", Content::Iso9660),
        (0, b"hsqs", Content::FileSystem),
    ];
    if size == 0 || head.is_empty() {
        return Content::Empty;
    }
    if at(0, b"QFI\xfb") {
        return Content::Qcow2 {
            has_backing_file: is_nonzero(QCOW2_BACKING, QCOW2_BACKING + 8),
            is_encrypted: is_nonzero(QCOW2_CRYPT, QCOW2_CRYPT + 4),
        };
    }
    if at(0, b"\x7fELF") {
        return match head.get(ELF_MACHINE..ELF_MACHINE + 2) {
            Some(machine) if *machine == EM_X86_64 => Content::Kernel(Arch::X86_64),
            Some(machine) if *machine == EM_AARCH64 => Content::Kernel(Arch::Aarch64),
            _ => Content::OtherElf,
        };
    }
    if let Some((_, _, content)) = magics.into_iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return content;
    }
    if at(BOOT_SIGNATURE, &[0x55, 0xaa]) {
        return if FLOPPY_SIZES.contains(&size) {
            Content::Floppy
        } else {
            Content::PartitionedDisk
        };
    }
    if at(EXT_MAGIC, &[0x53, 0xef]) {
        return Content::FileSystem;
    }
    text_content(head)
}

fn text_content(head: &[u8]) -> Content {
    // A character may be cut off at the end of what was read.
    let text = match str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Content::Unknown,
    };
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return Content::Unknown;
    }
    let start: String = text
        .trim_start()
        .chars()
        .take(14)
        .collect::<String>()
        .to_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        Content::WebPage
    } else {
        Content::Text
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty file"),
            Self::Kernel(arch) => write!(f, "a kernel for {arch}"),
            Self::OtherElf => f.write_str("an ELF file for another machine"),
            Self::Compressed(compression) => write!(f, "a {compression}-compressed file"),
            Self::Cpio => f.write_str("a cpio archive, as initial RAM disks are"),
            Self::Qcow2 {
                is_encrypted: true, ..
            } => f.write_str("an encrypted qcow2 image"),
            Self::Qcow2 {
                has_backing_file: true,
                ..
            } => f.write_str("a qcow2 image with only the differences from a backing file"),
            Self::Qcow2 { .. } => f.write_str("a qcow2 disk image"),
            Self::Iso9660 => f.write_str("an ISO 9660 image"),
            Self::Floppy => f.write_str("a floppy image"),
            Self::PartitionedDisk => f.write_str("a disk image with a partition table"),
            Self::FileSystem => f.write_str("the image of a file system"),
            Self::ForeignDisk(format) => write!(f, "a disk image in the format {format}"),
            Self::Archive(format) => write!(f, "a {format} archive"),
            Self::WebPage => f.write_str("a web page"),
            Self::Text => f.write_str("text"),
            Self::Unknown => f.write_str("something unknown"),
        }
    }
}

impl Content {
    /// The part that a disk image of this content plays if the person names none.
    pub fn disk_kind(self) -> FileKind {
        match self {
            Self::Iso9660 => FileKind::Cdrom,
            Self::Floppy => FileKind::Floppy,
            _ => FileKind::Disk,
        }
    }

    /// The part that a file of this content plays in a machine if nobody names one, and the architecture that it is
    /// for, where that shows. Nothing for what no machine can use.
    pub fn part(self) -> Option<(FileKind, Option<Arch>)> {
        match self {
            Self::Kernel(arch) => Some((FileKind::Kernel, Some(arch))),
            Self::Compressed(_) | Self::Cpio => Some((FileKind::Initrd, None)),
            Self::Qcow2 {
                has_backing_file: false,
                is_encrypted: false,
            }
            | Self::Iso9660
            | Self::Floppy
            | Self::PartitionedDisk
            | Self::FileSystem
            | Self::Unknown => Some((self.disk_kind(), None)),
            Self::Empty
            | Self::OtherElf
            | Self::Qcow2 { .. }
            | Self::ForeignDisk(_)
            | Self::Archive(_)
            | Self::WebPage
            | Self::Text => None,
        }
    }

    /// How QEMU has to read a disk image of this content.
    pub fn disk_format(self) -> DiskFormat {
        match self {
            Self::Qcow2 { .. } => DiskFormat::Qcow2,
            _ => DiskFormat::Raw,
        }
    }

    /// What to do with a file that cannot be used as it is.
    fn next_step(self, kind: FileKind) -> &'static str {
        match self {
            Self::Compressed(_) | Self::Archive(_) => "Unpack it and choose the file inside.",
            Self::ForeignDisk(_) => "Convert it with qemu-img convert -O qcow2.",
            Self::Qcow2 {
                is_encrypted: true, ..
            } => "Decrypt it with qemu-img convert.",
            Self::Qcow2 {
                has_backing_file: true,
                ..
            } if kind == FileKind::Disk => "Flatten it with qemu-img convert -O qcow2.",
            Self::WebPage => "Give the address of the file itself, not of the page that links to it.",
            _ if kind == FileKind::Kernel => "Choose the kernel image again, or the other architecture.",
            _ => "Choose another file.",
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
    pub expected: &'static str,
    /// What it is instead.
    pub found: String,
    /// What to do about it, as a sentence.
    pub next_step: &'static str,
}

/// Accepts what can play some part in a machine, by the size and the first [`CONTENT_HEAD`] bytes of the file called
/// `name`, and tells which.
///
/// # Errors
/// [`WrongContent`] for what no machine can use.
pub fn check_any_content(
    name: &str,
    head: &[u8],
    size: u64,
) -> Result<(Content, FileKind, Option<Arch>), WrongContent> {
    let content = recognize(head, size);
    let is_torn = content == Content::Unknown && !size.is_multiple_of(512);
    match content.part().filter(|_| !is_torn) {
        Some((kind, arch)) => Ok((content, kind, arch)),
        None => Err(WrongContent {
            name: name.to_owned(),
            part: "file to boot from".to_owned(),
            expected: "a kernel, an initial RAM disk or a disk image",
            found: content.to_string(),
            next_step: content.next_step(FileKind::Disk),
        }),
    }
}

/// Accepts what can play the part `kind` on a machine of `arch`, by the size and the first [`CONTENT_HEAD`]
/// bytes of the file called `name`.
///
/// # Errors
/// [`WrongContent`] that says what was found instead.
pub fn check_content(
    kind: FileKind,
    name: &str,
    head: &[u8],
    size: u64,
    arch: Arch,
) -> Result<Content, WrongContent> {
    let content = recognize(head, size);
    let (fits, part, expected) = match kind {
        FileKind::Kernel => {
            // QEMU unpacks gzip for Arm only.
            let packed = arch == Arch::Aarch64 && content == Content::Compressed("gzip");
            let expected = match arch {
                Arch::X86_64 => "a bzImage or an x86-64 ELF file (vmlinux)",
                Arch::Aarch64 => "an arm64 Image, plain or gzip-compressed",
            };
            let fits = content == Content::Kernel(arch) || packed;
            (fits, format!("kernel for {arch}"), expected)
        }
        FileKind::Initrd => {
            let fits = matches!(
                content,
                Content::Cpio | Content::Compressed(_) | Content::FileSystem
            );
            let expected = "a cpio archive, compressed or not";
            (fits, "initial RAM disk".to_owned(), expected)
        }
        FileKind::Disk => {
            let is_plain = matches!(
                content,
                Content::Qcow2 {
                    has_backing_file: false,
                    is_encrypted: false,
                } | Content::Iso9660
                    | Content::Floppy
                    | Content::PartitionedDisk
                    | Content::FileSystem
            );
            // What nobody knows is a disk if it consists of sectors.
            let may_be_raw = content == Content::Unknown && size.is_multiple_of(512);
            (
                is_plain || may_be_raw,
                "disk image".to_owned(),
                "a raw or qcow2 image",
            )
        }
        FileKind::Cdrom => (
            content == Content::Iso9660,
            "CD image".to_owned(),
            "an ISO 9660 image",
        ),
        FileKind::Floppy => (
            content == Content::Floppy || content == Content::Unknown && FLOPPY_SIZES.contains(&size),
            "floppy image".to_owned(),
            "a raw image of 160 KiB to 2.88 MB",
        ),
    };
    if fits {
        return Ok(content);
    }
    let found = match content {
        Content::Unknown if kind == FileKind::Disk => format!("{size} bytes, which are no 512-byte sectors"),
        other => other.to_string(),
    };
    Err(WrongContent {
        name: name.to_owned(),
        part,
        expected,
        found,
        next_step: content.next_step(kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(magics: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; CONTENT_HEAD];
        for (offset, magic) in magics {
            head[*offset..offset + magic.len()].copy_from_slice(magic);
        }
        head
    }

    fn check(kind: FileKind, head: &[u8], arch: Arch) -> Result<Content, WrongContent> {
        check_content(kind, "k", head, head.len() as u64, arch)
    }

    #[test]
    fn accepts_kernels_of_the_architecture() {
        let bzimage = with(&[(X86_HDRS, b"HdrS"), (BOOT_SIGNATURE, &[0x55, 0xaa])]);
        let vmlinux = with(&[(0, b"\x7fELF"), (ELF_MACHINE, &EM_X86_64)]);
        let image = with(&[(ARM64_MAGIC, b"ARM\x64")]);
        let kernel = |head, arch| check(FileKind::Kernel, head, arch);
        assert!(kernel(&bzimage, Arch::X86_64).is_ok());
        assert!(kernel(&vmlinux, Arch::X86_64).is_ok());
        assert!(kernel(&image, Arch::Aarch64).is_ok());
        assert!(kernel(&[0x1f, 0x8b, 8], Arch::Aarch64).is_ok());
        let found = |head, arch| kernel(head, arch).unwrap_err().found;
        assert_eq!(found(&image, Arch::X86_64), "a kernel for aarch64");
        assert_eq!(found(&vmlinux, Arch::Aarch64), "a kernel for x86_64");
        assert_eq!(found(&[0x1f, 0x8b, 8], Arch::X86_64), "a gzip-compressed file");
        assert_eq!(found(b"", Arch::Aarch64), "an empty file");
    }

    #[test]
    fn tells_images_apart() {
        let sector = (BOOT_SIGNATURE, &[0x55, 0xaa][..]);
        for (head, size, expected) in [
            (with(&[sector]), 1_474_560, Content::Floppy),
            (with(&[sector]), 1 << 20, Content::PartitionedDisk),
            (with(&[(ISO_MAGIC, b"CD001"), sector]), 1 << 20, Content::Iso9660),
            (with(&[(EXT_MAGIC, &[0x53, 0xef])]), 1 << 20, Content::FileSystem),
            (with(&[]), 1 << 20, Content::Unknown),
            (b"<!DOCTYPE html>\n".to_vec(), 16, Content::WebPage),
            ("größer\n".as_bytes()[..3].to_vec(), 3, Content::Text),
        ] {
            assert_eq!(recognize(&head, size), expected);
        }
        let qcow2 = |extra: &[(usize, &[u8])]| {
            let mut magics = vec![(0, &b"QFI\xfb\0\0\0\x03"[..])];
            magics.extend(extra);
            check(FileKind::Disk, &with(&magics), Arch::X86_64)
        };
        assert_eq!(qcow2(&[]).unwrap().disk_format(), DiskFormat::Qcow2);
        let backed = qcow2(&[(QCOW2_BACKING + 6, &[2])]).unwrap_err();
        assert!(backed.found.contains("backing file") && backed.next_step.contains("qemu-img convert"));
        assert!(
            qcow2(&[(QCOW2_CRYPT + 3, &[2])])
                .unwrap_err()
                .found
                .contains("encrypted")
        );
    }

    #[test]
    fn says_what_it_found() {
        let error = check_content(FileKind::Kernel, "notes.txt", b"hello", 5, Arch::X86_64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "notes.txt is no kernel for x86_64: expected a bzImage or an x86-64 ELF file (vmlinux), found text"
        );
        let disk = |head: &[u8], size| check_content(FileKind::Disk, "d", head, size, Arch::X86_64);
        assert!(disk(b"KDMV\x01", 512).unwrap_err().found.contains("VMDK"));
        assert!(
            disk(&[0; 512], 1000)
                .unwrap_err()
                .found
                .contains("no 512-byte sectors")
        );
        assert!(disk(&[0; 512], 1024).is_ok());
        let iso = check_content(FileKind::Cdrom, "d", &[0; 512], 512, Arch::X86_64).unwrap_err();
        assert_eq!(
            iso.to_string(),
            "d is no CD image: expected an ISO 9660 image, found something unknown"
        );
    }

    #[test]
    fn what_is_stored_has_a_part_to_play() {
        let part = |head: &[u8], size| check_any_content("f", head, size).map(|(_, kind, arch)| (kind, arch));
        let image = with(&[(ARM64_MAGIC, b"ARM\x64")]);
        assert_eq!(part(&image, 1 << 20), Ok((FileKind::Kernel, Some(Arch::Aarch64))));
        assert_eq!(part(&[0x1f, 0x8b], 100), Ok((FileKind::Initrd, None)));
        assert_eq!(part(b"QFI\xfb\0\0\0\x03", 100), Ok((FileKind::Disk, None)));
        assert_eq!(
            part(&with(&[(ISO_MAGIC, b"CD001")]), 1 << 20),
            Ok((FileKind::Cdrom, None))
        );
        assert_eq!(part(&[0; 64], 1024), Ok((FileKind::Disk, None)));
        assert_eq!(
            part(b"hello", 5).unwrap_err().to_string(),
            "f is no file to boot from: expected a kernel, an initial RAM disk or a disk image, found text"
        );
        assert!(part(&[0; 64], 1000).is_err() && part(b"PK\x03\x04", 512).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(head in proptest::collection::vec(any::<u8>(), 0..600), size in any::<u64>()) {
            if let Err(error) = check_any_content("k", &head, size) {
                prop_assert!(!error.to_string().is_empty());
            }
            for kind in [FileKind::Kernel, FileKind::Initrd, FileKind::Disk, FileKind::Cdrom, FileKind::Floppy] {
                for arch in [Arch::X86_64, Arch::Aarch64] {
                    if let Err(error) = check_content(kind, "k", &head, size, arch) {
                        prop_assert!(!error.to_string().is_empty());
                    }
                }
            }
        }
    }
}
