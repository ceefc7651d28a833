//! Floppies, disks and CDs: what they are, and who can start them.

use super::kernels::multiboot_header;
use super::*;
use crate::inputs::{Firmware, System};

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
    for (sample, is_data) in [
        (gpt(&[LINUX], b""), false),
        (mbr(0x80, b""), false),
        (file(1 << 20, &[]), true),
        (file(1 << 20, &[(0x438, &[0x53, 0xef])]), true),
        (file(1 << 20, &[(0, b"XFSB")]), true),
    ] {
        assert_eq!(found(&sample).is_data(), is_data);
    }
    // A disk whose boot loader has a header for Multiboot is no kernel.
    let grub = with(&mbr(0x80, b"\xeb\x63 GRUB"), 1024, &multiboot_header(1 << 16));
    assert_eq!(found(&grub).part(), Some((FileKind::Disk, None)));
}

/// A CD with a boot catalogue of these entries: platform, and whether it is bootable.
pub(super) fn cd(entries: &[(u8, bool)]) -> Sample {
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
