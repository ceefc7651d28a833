//! Disk images in formats of their own.

use super::*;
use crate::inputs::{Firmware, System};

fn said(sample: &Sample) -> (String, &'static str) {
    let error = check(FileKind::Disk, sample, Arch::X86_64).expect_err("an image of no use");
    (error.to_string(), error.next_step)
}

/// A qcow2 image under construction, with clusters of 64 KiB: header, refcount table, refcount block, L1 table, then what is
/// added.
struct Qcow2(Vec<u8>);

impl Qcow2 {
    const CLUSTER: usize = 1 << 16;

    fn new(version: u32) -> Self {
        let mut image = Self(vec![0; 4 * Self::CLUSTER]);
        image.put(0, b"QFI\xfb");
        image.put(4, &version.to_be_bytes());
        image.put(20, &16_u32.to_be_bytes());
        image.put(24, &(1_u64 << 30).to_be_bytes());
        image.put(36, &2_u32.to_be_bytes());
        image.put(40, &(3 * Self::CLUSTER as u64).to_be_bytes());
        image.put(48, &(Self::CLUSTER as u64).to_be_bytes());
        image.put(56, &1_u32.to_be_bytes());
        if version > 2 {
            image.put(96, &4_u32.to_be_bytes());
            image.put(100, &112_u32.to_be_bytes());
        }
        image.put(Self::CLUSTER, &(2 * Self::CLUSTER as u64).to_be_bytes());
        for cluster in 0..4 {
            image.count(cluster);
        }
        image
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Counts a reference to a cluster.
    fn count(&mut self, cluster: usize) {
        self.put(2 * Self::CLUSTER + 2 * cluster, &[0, 1]);
    }

    /// Adds a cluster with these bytes at its start, and returns its offset.
    fn add(&mut self, bytes: &[u8]) -> u64 {
        let at = self.0.len();
        self.count(at / Self::CLUSTER);
        self.0.resize(at + Self::CLUSTER, 0);
        self.put(at, bytes);
        at as u64
    }

    /// Maps the first cluster of the disk.
    fn map(&mut self, bytes: &[u8], flags: u64) {
        let data = self.add(bytes);
        let table = self.add(&(data | flags).to_be_bytes());
        self.put(3 * Self::CLUSTER, &(table | 1 << 63).to_be_bytes());
    }

    fn sample(&self) -> Sample {
        Sample::whole(self.0.clone())
    }
}

#[test]
fn qcow2_of_both_versions_with_every_feature() {
    for version in [2, 3] {
        let image = found(&Qcow2::new(version).sample());
        assert_eq!(
            (image.disk_format(), image.to_string().as_str()),
            (DiskFormat::Qcow2, "a qcow2 disk image")
        );
    }
    for (features, compression) in [(0, 0), (1, 0), (2, 0), (8, 0), (8, 1), (16, 0), (27, 1)] {
        let mut image = Qcow2::new(3);
        image.put(72, &u64::to_be_bytes(features));
        image.put(104, &[compression]);
        assert!(
            check(FileKind::Disk, &image.sample(), Arch::X86_64).is_ok(),
            "{features} {compression}"
        );
    }
}

#[test]
fn qcow2_that_needs_more_than_itself_is_named() {
    let mut backed = Qcow2::new(3);
    backed.put(8, &0x200_u64.to_be_bytes());
    backed.put(16, &9_u32.to_be_bytes());
    backed.put(0x200, b"base.qcow");
    let (text, next_step) = said(&backed.sample());
    assert!(
        text.ends_with("found a qcow2 image with only the differences from a backing file, base.qcow"),
        "{text}"
    );
    assert!(next_step.contains("qemu-img convert"));

    let mut external = Qcow2::new(3);
    external.put(72, &4_u64.to_be_bytes());
    // Past another extension.
    external.put(112, &[0x68, 0x03, 0xf8, 0x57, 0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]);
    external.put(128, &[0x44, 0x41, 0x54, 0x41, 0, 0, 0, 8]);
    external.put(136, b"data.raw");
    let (text, next_step) = said(&external.sample());
    assert!(
        text.contains("external file, data.raw") && next_step.contains("qemu-img convert"),
        "{text}"
    );

    let mut encrypted = Qcow2::new(2);
    encrypted.put(32, &2_u32.to_be_bytes());
    assert!(said(&encrypted.sample()).0.contains("an encrypted qcow2 image"));

    for (at, bytes, word) in [
        (72, &0x100_u64.to_be_bytes()[..], "number 8"),
        (20, &40_u32.to_be_bytes(), "damaged"),
        (4, &4_u32.to_be_bytes(), "version 4"),
    ] {
        let mut odd = Qcow2::new(3);
        odd.put(at, bytes);
        assert!(said(&odd.sample()).0.contains(word), "{word}");
    }
    let mut compression = Qcow2::new(3);
    compression.put(72, &8_u64.to_be_bytes());
    compression.put(104, &[7]);
    assert!(
        said(&compression.sample())
            .0
            .contains("compression that QEMU does not know (number 7)")
    );
}

#[test]
fn qcow2_that_is_cut_off_is_told() {
    let mut image = Qcow2::new(3);
    image.map(b"data", 1 << 63);
    let whole = image.0.clone();
    assert!(check(FileKind::Disk, &image.sample(), Arch::X86_64).is_ok());
    // The last cluster may end early: its first byte is there.
    for length in [700, 100_000, 3 * 65_536, 4 * 65_536, 5 * 65_536] {
        let (text, next_step) = said(&Sample::whole(whole[..length].to_vec()));
        assert!(text.contains(&format!("cut off: {length} bytes")), "{text}");
        assert!(next_step.contains("again"));
    }
    assert!(
        check(
            FileKind::Disk,
            &Sample::whole(whole[..5 * 65_536 + 512].to_vec()),
            Arch::X86_64
        )
        .is_ok()
    );
}

#[test]
fn what_is_on_a_qcow2_disk_is_seen() {
    let mut sector = [0; 512];
    sector[..2].copy_from_slice(&[0xeb, 0xfe]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut image = Qcow2::new(3);
    image.map(&sector, 1 << 63);
    let content = found(&image.sample());
    assert_eq!(
        (content.system(), content.firmware()),
        (Some(System::Other), Some(Firmware::Bios))
    );
    assert!(check_boot(&image.sample()).is_ok());
    // Nothing is mapped: an empty disk.
    let (empty, role) = (
        Qcow2::new(3),
        Role {
            boots: true,
            ..Role::of(FileKind::Disk, Arch::X86_64)
        },
    );
    assert!(
        check_in(role, &empty.sample())
            .unwrap_err()
            .found
            .contains("without a boot loader")
    );
    // A compressed cluster is not looked into.
    let mut packed = Qcow2::new(3);
    packed.map(&sector, 1 << 62);
    assert_eq!(found(&packed.sample()).system(), None);
    assert!(check_boot(&packed.sample()).is_ok());
}

#[test]
fn snapshots_are_listed_and_found() {
    let mut image = Qcow2::new(3);
    let mut table = Vec::new();
    for (id, name) in [("1", "before"), ("2", "nach dem Update")] {
        table.extend([0; 12]);
        table.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
        table.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        table.extend([0; 20]);
        table.extend(16_u32.to_be_bytes());
        table.extend([0; 16]);
        table.extend(id.bytes().chain(name.bytes()));
        table.resize(table.len().next_multiple_of(8), 0);
    }
    let at = image.add(&table);
    image.put(60, &2_u32.to_be_bytes());
    image.put(64, &at.to_be_bytes());
    let content = found(&image.sample());
    let names: Vec<_> = content
        .snapshots()
        .iter()
        .map(|known| (known.id.as_str(), known.name.as_str()))
        .collect();
    assert_eq!(names, [("1", "before"), ("2", "nach dem Update")]);
    assert!(content.find_snapshot("d", "2").is_ok() && content.find_snapshot("d", "before").is_ok());
    assert_eq!(
        content.find_snapshot("d.qcow2", "after").unwrap_err().to_string(),
        "d.qcow2 is no image with that snapshot: expected a snapshot called \"after\", found before, nach dem Update"
    );
    // Its latest state is blank, which says nothing of a snapshot.
    assert!(content.is_data());
    let started = content.at_snapshot();
    assert!(!started.is_data() && started.system().is_none() && started.snapshots().len() == 2);
}

#[test]
fn images_of_other_emulators() {
    let qcow = head(&[(0, b"QFI\xfb\0\0\0\x01")]);
    let qed = head(&[(0, b"QED\0"), (40, &[0, 0x10])]);
    let parallels = head(&[(0, b"WithouFreSpacExt"), (32, &[1])]);
    let vdi = head(&[(0x40, &[0x7f, 0x10, 0xda, 0xbe]), (0x4c, &[1])]);
    let vhdx = file(1 << 20, &[(0, b"vhdxfile"), (192 << 10, b"regi")]);
    let vmdk = head(&[
        (0, b"KDMV\x01"),
        (28, &[1]),
        (36, &[1]),
        (512, b"# Disk\nparentCID=ffffffff\nRW 9 SPARSE \"a.vmdk\"\n"),
    ]);
    let cowd = head(&[(0, b"COWD\x01")]);
    let dynamic: [(usize, &[u8]); 4] = [
        (60, &[0, 0, 0, 3]),
        (16, &[0, 0, 0, 0, 0, 0, 2, 0]),
        (0x200, b"cxsparse"),
        (0x210, &[0, 0, 0, 0, 0, 0, 6, 0]),
    ];
    let vhd = file(
        4096,
        &[&[(0, &b"conectix"[..]), (4096 - 512, b"conectix")][..], &dynamic].concat(),
    );
    let dmg = file(4096, &[(4096 - 512, b"koly")]);
    for (sample, format) in [
        (&qcow, DiskFormat::Qcow),
        (&qed, DiskFormat::Qed),
        (&parallels, DiskFormat::Parallels),
        (&vdi, DiskFormat::Vdi),
        (&vhdx, DiskFormat::Vhdx),
        (&vmdk, DiskFormat::Vmdk),
        (&cowd, DiskFormat::Vmdk),
        (&vhd, DiskFormat::Vpc),
        (&head(&[(0, b"Bochs Virtual HD Image\0")]), DiskFormat::Bochs),
        (&head(&[(0, b"#!/bin/sh\n#V2.0 Format\n")]), DiskFormat::Cloop),
        (&dmg, DiskFormat::Dmg),
    ] {
        let content =
            check(FileKind::Disk, sample, Arch::X86_64).unwrap_or_else(|error| panic!("{format:?}: {error}"));
        assert_eq!(
            (content.disk_format(), content.system()),
            (format, Some(System::Other))
        );
    }
    // The disk's own bytes, and a footer.
    let fixed = file(
        1 << 20,
        &[
            (0, &[0xeb, 0xfe]),
            (510, &[0x55, 0xaa]),
            ((1 << 20) - 512, b"conectix"),
            ((1 << 20) - 512 + 60, &[0, 0, 0, 2]),
        ],
    );
    assert_eq!(found(&fixed).disk_format(), DiskFormat::Raw);
    assert!(check_boot(&fixed).is_ok());
}

#[test]
fn images_that_lack_something_are_named() {
    let descriptor = |text: &str| Sample::whole(format!("# Disk DescriptorFile\n{text}").into_bytes());
    let parent: Vec<u8> = "base.vhd".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (sample, word) in [
        (
            descriptor(
                "parentCID=ffffffff\nRW 4192256 SPARSE \"disk-s001.vmdk\"\nRW 1 SPARSE \"disk-s002.vmdk\"\n",
            ),
            "disk-s001.vmdk to disk-s002.vmdk",
        ),
        (
            descriptor("parentCID=ffffffff\nRW 2048 FLAT \"disk-flat.vmdk\" 0\n"),
            "data is in disk-flat.vmdk",
        ),
        (
            descriptor("parentCID=12345678\nparentFileNameHint=\"base.vmdk\"\n"),
            "a backing file, base.vmdk",
        ),
        (
            head(&[(0, b"QED\0"), (16, &[1]), (56, &[64]), (60, &[4]), (64, b"base")]),
            "a backing file, base",
        ),
        (
            head(&[(0, b"QFI\xfb\0\0\0\x01"), (15, &[64]), (19, &[4]), (64, b"base")]),
            "qcow (version 1)",
        ),
        (
            head(&[(0, b"QFI\xfb\0\0\0\x01"), (39, &[1])]),
            "an encrypted qcow (version 1)",
        ),
        (
            head(&[(0x40, &[0x7f, 0x10, 0xda, 0xbe]), (0x4c, &[4])]),
            "another VDI image",
        ),
        (
            head(&[
                (0x40, &[0x7f, 0x10, 0xda, 0xbe]),
                (0x178, &[0, 0, 0x10]),
                (0x184, &[9]),
            ]),
            "a VDI image that is cut off",
        ),
        (file(4096, &[(0, b"vhdxfile")]), "a VHDX image that is cut off"),
        (
            file(1 << 20, &[(0, b"vhdxfile"), ((64 << 10) + 48, &[1])]),
            "its log",
        ),
        (
            file(
                4096,
                &[
                    (0, b"conectix"),
                    (16, &[0, 0, 0, 0, 0, 0, 2, 0]),
                    (60, &[0, 0, 0, 4]),
                    (0x240, &parent),
                ],
            ),
            "a backing file, base.vhd",
        ),
        (
            file(4096, &[(0, b"conectix"), (60, &[0, 0, 0, 3])]),
            "a VHD image that is cut off",
        ),
        (head(&[(0, b"LUKS\xba\xbe")]), "LUKS"),
        (head(&[(3, b"-FVE-FS-")]), "BitLocker"),
        (head(&[(0, &[0x3a, 0xff, 0x26, 0xed])]), "Android sparse image"),
    ] {
        let (text, next_step) = said(&sample);
        assert!(text.contains(word), "{word}: {text}");
        assert!(next_step.len() > 20, "{word}");
    }
}
