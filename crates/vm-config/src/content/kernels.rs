//! Kernels that are no ELF files: Linux's boot protocol on x86 and what speaks it, arm64 images, and the formats of others.
//!
//! Formats: Linux's `Documentation/arch/x86/boot.rst`, `arch/arm64/booting.rst`, `arch/riscv/boot-image-header.rst` and
//! `drivers/firmware/efi/libstub/zboot-header.S`; U-Boot's `include/image.h`; Android's `bootimg.h`.

use super::sample::{Sample, Seen, printable};
use super::{Content, unusable};
use crate::inputs::KernelKind;
use crate::types::Arch;

/// Where an x86 setup header has `HdrS`, the offset of the version's text, and the number of its sectors.
const HDRS: u64 = 0x202;
const VERSION: u64 = 0x20e;
const SETUP_SECTORS: u64 = 0x1f1;
/// Where the size of the protected-mode part stands, in paragraphs of 16 bytes.
const SYSTEM_SIZE: u64 = 0x1f4;
/// The signature of a boot sector.
const BOOT_SIGNATURE: u64 = 510;

/// Where arm64 and RISC-V images have their magic.
const IMAGE_MAGIC: u64 = 0x38;
/// Where a 32-bit Arm zImage has its own.
const ZIMAGE_MAGIC: u64 = 0x24;

/// Where an EFI zboot image has the name of its compression.
const ZBOOT_COMPRESSION: u64 = 24;
/// The one that QEMU unpacks (`unpack_efi_zboot_image` in `hw/core/loader.c`).
const ZBOOT_UNPACKED: &str = "gzip";

/// U-Boot's numbers for architectures and compressions, as far as QEMU's loader takes them.
const UBOOT_ARM64: u8 = 22;
const UBOOT_UNPACKED: [u8; 2] = [0, 1];

/// What starts with Linux's setup header and is no Linux, by how its version begins.
const BY_VERSION: &[(&str, KernelKind)] = &[
    ("MEMDISK", KernelKind::Memdisk),
    ("Memtest86+", KernelKind::Memtest),
    ("iPXE", KernelKind::Ipxe),
    ("gPXE", KernelKind::Ipxe),
];

/// What a kernel is, if it is one.
pub(super) fn recognize(sample: &Sample) -> Seen<Option<Content>> {
    if sample.has(HDRS, b"HdrS")? {
        return Ok(Some(Content::Kernel(Arch::X86_64, setup_kind(sample)?)));
    }
    if sample.has(0, b"MZ")? && sample.has(4, b"zimg")? {
        return zboot(sample).map(Some);
    }
    if sample.has(IMAGE_MAGIC, b"ARM\x64")? {
        return Ok(Some(Content::Kernel(Arch::Aarch64, KernelKind::Linux)));
    }
    if sample.has(0, &[0x27, 0x05, 0x19, 0x56])? {
        return uimage(sample).map(Some);
    }
    if is_old_linux(sample)? {
        return Ok(Some(Content::Kernel(Arch::X86_64, KernelKind::Linux)));
    }
    foreign(sample)
}

/// Which program with Linux's setup header it is. The text of Linux's version names who built it, as `user@host`; iPXE, whose
/// code is compressed, has just a number.
fn setup_kind(sample: &Sample) -> Seen<KernelKind> {
    let version = sample.le16(VERSION)?;
    let version = sample.text(u64::from(version) + 0x200, 128)?;
    if let Some((_, kind)) = BY_VERSION.iter().find(|(name, _)| version.starts_with(name)) {
        return Ok(*kind);
    }
    let is_number = version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains('@');
    Ok(if is_number {
        KernelKind::Ipxe
    } else {
        KernelKind::Linux
    })
}

fn zboot(sample: &Sample) -> Seen<Content> {
    let compression = sample.text(ZBOOT_COMPRESSION, 32)?;
    if compression == ZBOOT_UNPACKED {
        return Ok(Content::Kernel(Arch::Aarch64, KernelKind::Linux));
    }
    Ok(unusable(
        format!(
            "an EFI zboot kernel compressed with {compression}, of which QEMU unpacks {ZBOOT_UNPACKED} only"
        ),
        "Choose the kernel's uncompressed Image, or one that is built with CONFIG_KERNEL_GZIP.",
    ))
}

fn uimage(sample: &Sample) -> Seen<Content> {
    let (arch, compression) = (sample.byte(29)?, sample.byte(31)?);
    if arch == UBOOT_ARM64 && UBOOT_UNPACKED.contains(&compression) {
        return Ok(Content::Kernel(Arch::Aarch64, KernelKind::Linux));
    }
    Ok(unusable(
        "a U-Boot image (uImage) for another machine",
        "Take the kernel out of it with dumpimage, from u-boot-tools.",
    ))
}

/// A Linux of before protocol 2.00 or what imitates it: a boot sector that tells how much follows.
fn is_old_linux(sample: &Sample) -> Seen<bool> {
    if !sample.has(BOOT_SIGNATURE, &[0x55, 0xaa])? {
        return Ok(false);
    }
    let setup = match sample.byte(SETUP_SECTORS)? {
        0 => 4,
        sectors => u64::from(sectors),
    };
    let told = 512 * (setup + 1) + 16 * u64::from(sample.le16(SYSTEM_SIZE)?);
    // Padded to whole paragraphs or sectors.
    Ok(sample.le16(SYSTEM_SIZE)? > 0 && sample.size().abs_diff(told) < 512)
}

/// Kernels that neither QEMU starts, named for what they are.
fn foreign(sample: &Sample) -> Seen<Option<Content>> {
    const OTHER_KERNEL: &str = "Choose a kernel for x86_64 or aarch64.";
    let named: [(u64, &[u8], &str, &str); 8] = [
        (IMAGE_MAGIC, b"RSC\x05", "a kernel for RISC-V", OTHER_KERNEL),
        (0x30, b"RISCV\0\0\0", "a kernel for RISC-V", OTHER_KERNEL),
        (
            ZIMAGE_MAGIC,
            &[0x18, 0x28, 0x6f, 0x01],
            "a kernel for 32-bit Arm (zImage)",
            OTHER_KERNEL,
        ),
        (
            0,
            b"ANDROID!",
            "an Android boot image",
            "Take kernel and ramdisk out of it with unpack_bootimg, and choose those.",
        ),
        (
            0,
            b"VNDRBOOT",
            "an Android vendor boot image",
            "Take the ramdisk out of it with unpack_bootimg, and choose the kernel of the boot image beside.",
        ),
        (
            0,
            &[0xd0, 0x0d, 0xfe, 0xed],
            "a device tree, or a kernel in one (FIT)",
            "Take the kernel out of it with dumpimage, from u-boot-tools.",
        ),
        (0, &[0xfe, 0xed, 0xfa, 0xce], "a Mach-O file", OTHER_KERNEL),
        (0, &[0xcf, 0xfa, 0xed, 0xfe], "a Mach-O file", OTHER_KERNEL),
    ];
    for (offset, magic, what, next_step) in named {
        if sample.has(offset, magic)? {
            return Ok(Some(unusable(what, next_step)));
        }
    }
    if sample.has(0, b"MZ")? {
        return program(sample);
    }
    Ok(None)
}

/// A program in the format of EFI and Windows, by the machine that it is for.
fn program(sample: &Sample) -> Seen<Option<Content>> {
    let header = u64::from(sample.le32(0x3c)?);
    if !sample.has(header, b"PE\0\0")? {
        return Ok(None);
    }
    let machine = match sample.le16(header + 4)? {
        0x014c => "32-bit x86",
        0x8664 => "x86_64",
        0xaa64 => "aarch64",
        0x5064 => "RISC-V",
        0x6264 => "LoongArch",
        _ => "another machine",
    };
    let is_efi = (10..=13).contains(&sample.le16(header + 24 + 68)?);
    let (what, next_step) = if is_efi {
        (
            format!("an EFI program for {machine}, which UEFI firmware starts from a disk"),
            "Choose the kernel's bzImage or Image, or a disk or CD image with this program on it.",
        )
    } else {
        (
            printable(&format!("a Windows program for {machine}")),
            "Choose a kernel or a disk image.",
        )
    };
    Ok(Some(unusable(what, next_step)))
}
