//! What each family of files is taken for, and what is said of those that do not do.

use proptest::prelude::*;

use super::*;
use crate::inputs::{Firmware, KernelKind, System};

const X86_HDRS: usize = 0x202;
const ARM64_MAGIC: usize = 0x38;
const BOOT_SIGNATURE: usize = 510;
const ALL_KINDS: [FileKind; 5] = [
    FileKind::Kernel,
    FileKind::Initrd,
    FileKind::Disk,
    FileKind::Cdrom,
    FileKind::Floppy,
];

/// A file of `size` bytes, zeros but for some.
fn file(size: usize, parts: &[(usize, &[u8])]) -> Sample {
    let mut bytes = vec![0; size];
    for (offset, part) in parts {
        bytes[*offset..offset + part.len()].copy_from_slice(part);
    }
    Sample::whole(bytes)
}

fn head(parts: &[(usize, &[u8])]) -> Sample {
    file(CONTENT_HEAD, parts)
}

fn found(sample: &Sample) -> Content {
    recognize(sample).expect("a whole file")
}

fn check(kind: FileKind, sample: &Sample, arch: Arch) -> Result<Content, WrongContent> {
    check_in(Role::of(kind, arch), sample)
}

fn check_in(role: Role, sample: &Sample) -> Result<Content, WrongContent> {
    check_content(role, "k", sample).expect("a whole file")
}

fn check_boot(sample: &Sample) -> Result<Content, WrongContent> {
    let role = Role {
        boots: true,
        ..Role::of(FileKind::Disk, Arch::X86_64)
    };
    check_in(role, sample)
}

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

fn multiboot_header(flags: u32) -> Vec<u8> {
    let magic = 0x1bad_b002_u32;
    let words = [magic, flags, 0_u32.wrapping_sub(magic).wrapping_sub(flags)];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn with(sample: &Sample, offset: usize, part: &[u8]) -> Sample {
    let mut bytes = sample.head().to_vec();
    bytes[offset..offset + part.len()].copy_from_slice(part);
    Sample::whole(bytes)
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

fn initrd(beside: InitrdFor, sample: &Sample) -> Result<Content, WrongContent> {
    let role = Role {
        beside,
        ..Role::of(FileKind::Initrd, Arch::X86_64)
    };
    check_in(role, sample)
}

/// A cpio archive of the files of these sizes, and what follows it.
fn cpio(sizes: &[usize], then: &[u8]) -> Sample {
    let mut bytes = Vec::new();
    let entry = |bytes: &mut Vec<u8>, name: &str, size: usize| {
        let mut fields = [0; 13];
        (fields[6], fields[11]) = (size, name.len() + 1);
        bytes.extend(b"070701");
        fields
            .iter()
            .for_each(|field| bytes.extend(format!("{field:08x}").bytes()));
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.resize((bytes.len() + size).next_multiple_of(4), b'x');
    };
    for size in sizes {
        entry(&mut bytes, "kernel/x86/microcode/GenuineIntel.bin", *size);
    }
    entry(&mut bytes, "TRAILER!!!", 0);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(then);
    Sample::whole(bytes)
}

#[test]
fn initial_ram_disks_suit_the_kernel() {
    let script = Sample::whole(b"#!ipxe\nshell\n".to_vec());
    let floppy = file(1_474_560, &[(0, &[0xeb, 0xfe]), (BOOT_SIGNATURE, &[0x55, 0xaa])]);
    let text = Sample::whole(b"hello\n".to_vec());
    let (lzo, zstd) = (head(&[(0, b"\x89LZO")]), head(&[(0, &[0x28, 0xb5, 0x2f, 0xfd])]));
    let kernel = InitrdFor::Kernel;
    for (beside, sample, fits) in [
        (kernel(KernelKind::Ipxe), &script, true),
        (kernel(KernelKind::Ipxe), &text, false),
        (kernel(KernelKind::Memdisk), &floppy, true),
        (kernel(KernelKind::Memdisk), &script, false),
        (kernel(KernelKind::Multiboot), &text, true),
        (kernel(KernelKind::Xen), &script, true),
        (kernel(KernelKind::Linux), &text, false),
        (kernel(KernelKind::Linux), &lzo, true),
        (InitrdFor::BuiltIn, &zstd, true),
        (InitrdFor::BuiltIn, &floppy, false),
        (InitrdFor::BuiltIn, &script, false),
        (InitrdFor::Unseen, &script, true),
        (InitrdFor::Unseen, &floppy, true),
    ] {
        assert_eq!(initrd(beside, sample).is_ok(), fits, "{beside:?} {sample:.0?}");
    }
    assert_eq!(
        initrd(InitrdFor::BuiltIn, &head(&[(0, &[4, 0x22, 0x4d, 0x18])]))
            .unwrap_err()
            .next_step,
        "Compress it again with lz4 -l."
    );
}

#[test]
fn archives_that_follow_each_other_are_seen() {
    let xz = cpio(&[3, 10_000, 0], b"\xfd7zXZ\0 and so on");
    assert_eq!(
        found(&xz),
        Content::Cpio {
            then: Some(Compression::Xz)
        }
    );
    assert!(initrd(InitrdFor::BuiltIn, &xz).is_ok());
    assert_eq!(found(&cpio(&[7], b"")), Content::Cpio { then: None });
    let lzo = cpio(&[1 << 20], b"\x89LZO");
    // Its middle is not read.
    let bytes = lzo.head().to_vec();
    let mut part = Sample::new(bytes[..CONTENT_HEAD].to_vec(), bytes.len() as u64);
    let content = loop {
        match recognize(&part) {
            Ok(content) => break content,
            Err(wanted) => {
                let range = usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap();
                part.add(&wanted, bytes[range].to_vec());
            }
        }
    };
    assert_eq!(
        content,
        Content::Cpio {
            then: Some(Compression::Lzo)
        }
    );
}

#[test]
fn floppies_of_every_size() {
    let sector: [(usize, &[u8]); 2] = [(0, &[0xeb, 0xfe]), (BOOT_SIGNATURE, &[0x55, 0xaa])];
    // Kilobytes of 1024 bytes, as `hw/block/fdc.c` has them.
    let sizes = [
        160, 180, 320, 360, 410, 420, 720, 800, 820, 830, 880, 1040, 1120, 1200, 1440, 1476, 1494, 1600,
        1680, 1722, 1743, 1760, 1840, 1920, 2880, 3120, 3200, 3520, 3840,
    ];
    for kib in sizes {
        let image = file(kib << 10, &sector);
        let content = found(&image);
        assert_eq!(content.drive(true), FileKind::Floppy, "{kib}");
        assert_eq!(content.drive(false), FileKind::Disk, "{kib}");
        assert!(check(FileKind::Floppy, &image, Arch::X86_64).is_ok(), "{kib}");
        assert!(check_boot(&image).is_ok(), "{kib}");
    }
    // A bare boot sector, and a few sectors: disks unless somebody says floppy.
    for size in [512, 600, 64 << 10] {
        let image = file(size, &sector);
        assert_eq!(found(&image).drive(true), FileKind::Disk, "{size}");
        assert!(check(FileKind::Floppy, &image, Arch::X86_64).is_ok(), "{size}");
        assert!(check_boot(&image).is_ok(), "{size}");
        assert_eq!(found(&image).system(), Some(System::Other));
    }
    assert!(check(FileKind::Floppy, &file(4 << 20, &sector), Arch::X86_64).is_err());
    assert!(check(FileKind::Floppy, &file(1440 << 10, &[]), Arch::X86_64).is_ok());
}

/// A disk with a GPT of these partition types, and boot code or none.
fn gpt(types: &[[u8; 16]], code: &[u8]) -> Sample {
    let mut entries = Vec::new();
    for kind in types {
        let mut entry = [0; 128];
        entry[..16].copy_from_slice(kind);
        entries.extend(entry);
    }
    file(
        1 << 20,
        &[
            (0, code),
            (
                446,
                &[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 7, 0, 0],
            ),
            (BOOT_SIGNATURE, &[0x55, 0xaa]),
            (512, b"EFI PART"),
            (512 + 72, &[2]),
            (512 + 80, &[128]),
            (512 + 84, &[128]),
            (1024, &entries),
        ],
    )
}

const ESP: [u8; 16] = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
const LINUX: [u8; 16] = *b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4";

#[test]
fn who_can_start_a_disk_is_seen() {
    let uefi = gpt(&[ESP, LINUX], b"");
    assert_eq!(
        (found(&uefi).firmware(), found(&uefi).system()),
        (Some(Firmware::Uefi), Some(System::Linux))
    );
    let both = gpt(&[ESP, LINUX], &[0xeb, 0x63, 0x90]);
    assert_eq!(found(&both).firmware(), None);
    assert!(check_boot(&both).is_ok());
    let none = check_boot(&gpt(&[LINUX], b"")).unwrap_err();
    assert_eq!(
        none.found,
        "a disk image with a partition table without a boot loader"
    );
    // Windows' code looks for an active partition.
    let windows = gpt(&[ESP], b"\x33\xc0 Missing operating system");
    assert_eq!(found(&windows).firmware(), Some(Firmware::Uefi));
    let mbr = |flag: u8, code: &[u8]| {
        let partition = [flag, 0, 2, 0, 6, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 7, 0, 0];
        file(
            1 << 20,
            &[(0, code), (446, &partition), (BOOT_SIGNATURE, &[0x55, 0xaa])],
        )
    };
    assert!(check_boot(&mbr(0x80, b"\x33\xc0 Missing operating system")).is_ok());
    assert!(check_boot(&mbr(0, b"\x33\xc0 Missing operating system")).is_err());
    assert!(check_boot(&mbr(0, b"\xeb\x63 GRUB")).is_ok());
    assert!(check_boot(&mbr(0x80, b"")).is_err());
    let ext4 = check_boot(&file(1 << 20, &[(0x438, &[0x53, 0xef])])).unwrap_err();
    assert!(
        ext4.found.contains("ext4") && ext4.next_step.contains("kernel"),
        "{ext4}"
    );
    assert!(
        check_boot(&file(1 << 20, &[]))
            .unwrap_err()
            .found
            .contains("no signature")
    );
    // As a further disk, or beside a kernel, each is fine.
    for sample in [
        gpt(&[LINUX], b""),
        file(1 << 20, &[]),
        file(1 << 20, &[(0x438, &[0x53, 0xef])]),
    ] {
        assert!(check(FileKind::Disk, &sample, Arch::X86_64).is_ok());
    }
    // A disk whose boot loader has a header for Multiboot is no kernel.
    let grub = with(&mbr(0x80, b"\xeb\x63 GRUB"), 1024, &multiboot_header(1 << 16));
    assert_eq!(found(&grub).part(), Some((FileKind::Disk, None)));
}

/// A CD with a boot catalogue of these entries: platform, and whether it is bootable.
fn cd(entries: &[(u8, bool)]) -> Sample {
    let mut catalogue = vec![0; 2048];
    for (number, (platform, bootable)) in entries.iter().enumerate() {
        let header = 64 * number;
        catalogue[header] = if number == 0 { 1 } else { 0x91 };
        catalogue[header + 1] = *platform;
        catalogue[header + 32] = if *bootable { 0x88 } else { 0 };
    }
    let record: &[u8] = b"\0CD001\x01EL TORITO SPECIFICATION";
    let mut parts = vec![(0x8000, &b"\x01CD001"[..]), (0x9000, &b"\xffCD001"[..])];
    if !entries.is_empty() {
        parts.extend([
            (0x8800, record),
            (0x8800 + 71, &[20][..]),
            (20 * 2048, &catalogue),
        ]);
    }
    file(1 << 20, &parts)
}

#[test]
fn who_can_start_a_cd_is_seen() {
    let role = Role {
        boots: true,
        ..Role::of(FileKind::Cdrom, Arch::X86_64)
    };
    for (entries, firmware, starts) in [
        (&[(0, true)][..], Some(Firmware::Bios), true),
        (&[(0, true), (0xef, true)], None, true),
        (&[(0xef, true)], Some(Firmware::Uefi), true),
        (&[], None, false),
    ] {
        let cd = cd(entries);
        assert_eq!(found(&cd).firmware(), firmware, "{entries:?}");
        assert_eq!(check_in(role, &cd).is_ok(), starts, "{entries:?}");
        assert_eq!(found(&cd).drive(true), FileKind::Cdrom);
        assert!(check(FileKind::Cdrom, &cd, Arch::Aarch64).is_ok());
    }
    let iso = check(FileKind::Cdrom, &Sample::whole(vec![0; 512]), Arch::X86_64).unwrap_err();
    assert_eq!(
        iso.to_string(),
        "k is no CD image: expected an ISO 9660 image, found something unknown"
    );
}

#[test]
fn says_what_it_found() {
    let text = Sample::whole(b"hello".to_vec());
    let error = check_content(Role::of(FileKind::Kernel, Arch::X86_64), "notes.txt", &text).unwrap();
    assert_eq!(
        error.unwrap_err().to_string(),
        "notes.txt is no kernel for x86_64: expected a bzImage, a kernel for Multiboot, or an ELF file with a PVH entry \
         (vmlinux), found text"
    );
    let disk = |bytes: Vec<u8>| check(FileKind::Disk, &Sample::whole(bytes), Arch::X86_64);
    assert!(
        disk(vec![0; 1000])
            .unwrap_err()
            .found
            .contains("no 512-byte sectors")
    );
    assert!(disk(vec![0; 1024]).is_ok());
    assert_eq!(
        found(&Sample::whole(b"<!DOCTYPE html>\n".to_vec())),
        Content::WebPage
    );
    assert_eq!(
        found(&Sample::whole("größer\n".as_bytes()[..3].to_vec())),
        Content::Text
    );
    for (magic, word) in [
        (&b"PK\x03\x04"[..], "zip"),
        (b"MSWIM\0\0\0", "WIM"),
        (b"LUKS\xba\xbe", "LUKS"),
    ] {
        assert!(disk(magic.to_vec()).unwrap_err().found.contains(word), "{word}");
    }
}

#[test]
fn what_is_stored_has_a_part_to_play() {
    let part = |sample: &Sample| {
        let checked = check_any_content("f", sample).expect("a whole file");
        checked.map(|(_, kind, arch)| (kind, arch))
    };
    let image = head(&[(ARM64_MAGIC, b"ARM\x64")]);
    assert_eq!(part(&image), Ok((FileKind::Kernel, Some(Arch::Aarch64))));
    assert_eq!(
        part(&Sample::whole(vec![0x1f, 0x8b])),
        Ok((FileKind::Initrd, None))
    );
    assert_eq!(part(&cd(&[(0, true)])), Ok((FileKind::Cdrom, None)));
    assert_eq!(part(&Sample::whole(vec![0; 1024])), Ok((FileKind::Disk, None)));
    assert_eq!(
        part(&Sample::whole(b"hello".to_vec())).unwrap_err().to_string(),
        "f is no file to boot from: expected a kernel, an initial RAM disk or a disk image, found text"
    );
    assert!(part(&Sample::whole(vec![0; 1000])).is_err());
}

/// Beginnings that lead deep into a reader.
fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    let magics: Vec<&[u8]> = vec![
        b"",
        b"QFI\xfb\0\0\0\x03",
        b"QFI\xfb\0\0\0\x02",
        b"QFI\xfb\0\0\0\x01",
        b"KDMV",
        b"# Disk DescriptorFile\nparentCID=",
        b"vhdxfile",
        b"conectix",
        b"\x7fELF\x02\x01",
        b"\x7fELF\x01\x01",
        b"MZ\0\0zimg",
        b"070701",
        b"QED\0",
        b"WithoutFreeSpace",
        b"\x27\x05\x19\x56",
    ];
    let magic = prop::sample::select(magics);
    (magic, prop::collection::vec(any::<u8>(), 0..1200)).prop_map(|(magic, rest)| [magic, &rest].concat())
}

proptest! {
    #[test]
    fn never_panics_and_never_asks_for_ever(bytes in beginnings(), size in prop_oneof![0..4096_u64, any::<u64>()]) {
        let mut sample = Sample::new(bytes.clone(), size.max(bytes.len() as u64));
        let mut asked = 0;
        while let Err(wanted) = check_any_content("k", &sample) {
            prop_assert!(wanted.start < wanted.end && wanted.end - wanted.start < 2 << 20, "{:?}", wanted);
            let length = usize::try_from(wanted.end - wanted.start).unwrap();
            sample.add(&wanted, bytes.iter().copied().cycle().take(length).collect());
            asked += 1;
            prop_assert!(asked < 1000);
        }
        for kind in ALL_KINDS {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                for beside in [InitrdFor::Unseen, InitrdFor::BuiltIn, InitrdFor::Kernel(KernelKind::Memdisk)] {
                    let role = Role { kind, arch, boots: true, beside };
                    if let Ok(Err(error)) = check_content(role, "k", &sample) {
                        prop_assert!(!error.to_string().contains('\n') && !error.next_step.is_empty());
                    }
                }
            }
        }
    }
}
