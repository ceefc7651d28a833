//! Kernels of every kind, and those that QEMU does not start.

use super::*;

/// An ELF file with a PVH entry in a note, or without one.
fn elf(machine: u16, is_64_bit: bool, note: bool) -> Sample {
    let mut bytes = vec![0_u8; 4096];
    bytes[..4].copy_from_slice(b"\x7fELF");
    bytes[4] = if is_64_bit { 2 } else { 1 };
    bytes[5] = 1;
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    let (place, fields): (usize, &[(usize, u64, usize)]) = if is_64_bit {
        (
            64,
            &[
                (32, 64, 8),
                (54, 56, 2),
                (56, 1, 2),
                (64, 4, 4),
                (72, 0x200, 8),
                (96, 0x40, 8),
            ],
        )
    } else {
        (
            52,
            &[
                (28, 52, 4),
                (42, 32, 2),
                (44, 1, 2),
                (52, 4, 4),
                (56, 0x200, 4),
                (68, 0x40, 4),
            ],
        )
    };
    assert!(place < 0x200);
    for (offset, value, length) in fields {
        bytes[*offset..offset + length].copy_from_slice(&value.to_le_bytes()[..*length]);
    }
    if note {
        bytes[0x200..0x210].copy_from_slice(b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0");
    }
    Sample::whole(bytes)
}

pub(super) fn multiboot_header(flags: u32) -> Vec<u8> {
    let magic = 0x1bad_b002_u32;
    let words = [magic, flags, 0_u32.wrapping_sub(magic).wrapping_sub(flags)];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn kernels_of_every_kind() {
    let setup = |version: &[u8]| {
        let mut text = version.to_vec();
        text.push(0);
        head(&[
            (X86_HDRS, b"HdrS\x07\x02"),
            (BOOT_SIGNATURE, &[0x55, 0xaa]),
            (0x20e, &[0x60, 0]),
            (0x260, &text),
        ])
    };
    let x86 = |kind| Content::Kernel(Arch::X86_64, kind);
    let arm = Content::Kernel(Arch::Aarch64, KernelKind::Linux);
    let elf32 = elf(3, false, false);
    // Xen: linked to 2 MiB, with both headers.
    let multiboot2: Vec<u8> = [0xe852_50d6_u32, 0, 24, 0_u32.wrapping_sub(0xe852_50d6 + 24)]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let xen = with(&elf32, 64, &(2_u32 << 20).to_le_bytes());
    let xen = with(&with(&xen, 136, &multiboot_header(3)), 152, &multiboot2);
    let mut old = vec![0; 512 * 5 + 16 * 100];
    old[0x1f4] = 100;
    old[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (what, sample, expected) in [
        (
            "Linux",
            setup(b"6.1.0-18-amd64 (debian-kernel@lists.debian.org) #1"),
            x86(KernelKind::Linux),
        ),
        ("without a version", setup(b""), x86(KernelKind::Linux)),
        ("iPXE", setup(b"1.21.1+ (g988d2)"), x86(KernelKind::Ipxe)),
        (
            "an old iPXE",
            setup(b"1.0.0+git-20190125.36a4c85-5.1"),
            x86(KernelKind::Ipxe),
        ),
        (
            "memdisk",
            setup(b"MEMDISK 6.04 20200816"),
            x86(KernelKind::Memdisk),
        ),
        ("memtest", setup(b"Memtest86+ v6.10"), x86(KernelKind::Memtest)),
        (
            "with an EFI stub",
            with(&setup(b"6.1 (a@b)"), 0, b"MZ"),
            x86(KernelKind::Linux),
        ),
        (
            "of before protocol 2.00",
            Sample::whole(old),
            x86(KernelKind::Linux),
        ),
        ("PVH, 64 bits", elf(62, true, true), x86(KernelKind::Linux)),
        ("PVH, 32 bits", elf(3, false, true), x86(KernelKind::Linux)),
        (
            "Multiboot",
            with(&elf32, 0x400, &multiboot_header(3)),
            x86(KernelKind::Multiboot),
        ),
        ("Xen", xen, x86(KernelKind::Xen)),
        (
            "Multiboot without ELF",
            head(&[(0x100, &multiboot_header(1 << 16))]),
            x86(KernelKind::Multiboot),
        ),
        ("arm64", head(&[(ARM64_MAGIC, b"ARM\x64")]), arm.clone()),
        (
            "arm64 with an EFI stub",
            head(&[(0, b"MZ"), (ARM64_MAGIC, b"ARM\x64")]),
            arm.clone(),
        ),
        ("arm64 ELF", elf(183, true, false), arm.clone()),
        (
            "EFI zboot",
            head(&[(0, b"MZ\0\0zimg"), (24, b"gzip")]),
            arm.clone(),
        ),
        (
            "uImage",
            head(&[(0, &[0x27, 5, 0x19, 0x56]), (28, &[5, 22, 2, 1])]),
            arm,
        ),
    ] {
        assert_eq!(found(&sample), expected, "{what}");
    }
}

#[test]
fn kernels_that_qemu_does_not_start_are_named() {
    let multiboot2: Vec<u8> = [0xe852_50d6_u32, 0, 24, 0_u32.wrapping_sub(0xe852_50d6 + 24)]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let pe = |machine: u16, subsystem: u8| {
        head(&[
            (0, b"MZ"),
            (0x3c, &[0x80]),
            (0x80, b"PE\0\0"),
            (0x84, &machine.to_le_bytes()),
            (0x80 + 24 + 68, &[subsystem]),
        ])
    };
    for (sample, word) in [
        (elf(243, true, false), "RISC-V"),
        (elf(40, false, false), "32-bit Arm"),
        (elf(9999, false, false), "machine number 9999"),
        (elf(62, true, false), "PVH"),
        (elf(3, false, false), "PVH"),
        (with(&elf(3, false, false), 0x800, &multiboot2), "Multiboot 2"),
        (
            with(&elf(62, true, false), 0x800, &multiboot_header(3)),
            "64-bit ELF",
        ),
        (head(&[(0, b"MZ\0\0zimg"), (24, b"zstd22")]), "zstd22"),
        (head(&[(0, b"ANDROID!")]), "Android boot image"),
        (head(&[(0x24, &[0x18, 0x28, 0x6f, 1])]), "zImage"),
        (head(&[(ARM64_MAGIC, b"RSC\x05")]), "RISC-V"),
        (
            head(&[(0, &[0x27, 5, 0x19, 0x56]), (28, &[5, 2, 2, 1])]),
            "uImage",
        ),
        (head(&[(0, &[0xd0, 0x0d, 0xfe, 0xed])]), "FIT"),
        (pe(0x8664, 10), "EFI program for x86_64"),
        (pe(0x014c, 3), "Windows program"),
    ] {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let error = check(FileKind::Kernel, &sample, arch).expect_err(word);
            assert!(error.found.contains(word), "{word}: {error}");
            assert!(error.next_step.len() > 20, "{word}");
        }
    }
}

#[test]
fn kernels_are_for_one_architecture() {
    let image = head(&[(ARM64_MAGIC, b"ARM\x64")]);
    let gz = Sample::whole(vec![0x1f, 0x8b, 8]);
    let told = |sample: &Sample, arch| check(FileKind::Kernel, sample, arch).unwrap_err().found;
    assert_eq!(told(&image, Arch::X86_64), "a kernel for aarch64");
    assert_eq!(told(&elf(62, true, true), Arch::Aarch64), "a kernel for x86_64");
    assert_eq!(told(&Sample::whole(Vec::new()), Arch::Aarch64), "an empty file");
    for arch in [Arch::X86_64, Arch::Aarch64] {
        assert_eq!(
            check(FileKind::Kernel, &gz, arch),
            Ok(Content::Compressed(Compression::Gzip))
        );
    }
    assert_eq!(
        told(&Sample::whole(b"\xfd7zXZ\0".to_vec()), Arch::X86_64),
        "a xz-compressed file"
    );
}
