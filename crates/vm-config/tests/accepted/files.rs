//! What the machines boot and mount: just enough for QEMU to accept it.

use qemuweb_vm_config::{DiskFormat, DiskMountInfo, FileKind, FileMountInfo};

/// The name of a file for flash, which differs from machine to machine.
pub(crate) const FLASH: &str = "flash";

/// The name and the content of each file that [`name_of`] names.
pub(crate) fn all() -> [(&'static str, Vec<u8>); 6] {
    [
        ("kernel", kernel()),
        ("initrd", vec![0; 4096]),
        ("disk.raw", vec![0; 1 << 20]),
        ("floppy.raw", vec![0; 1_474_560]),
        ("disk.qcow2", empty_qcow2()),
        ("firmware", vec![0; 64 << 10]),
    ]
}

/// Which file plays the part of a mounted one.
pub(crate) fn name_of(mount: &FileMountInfo) -> &'static str {
    match mount.kind {
        FileKind::Kernel => "kernel",
        FileKind::Initrd => "initrd",
        _ => FLASH,
    }
}

/// Which file plays the part of a disk's image.
pub(crate) fn name_of_image(disk: &DiskMountInfo) -> &'static str {
    match (disk.kind, disk.format) {
        (FileKind::Floppy, _) => "floppy.raw",
        (_, DiskFormat::Qcow2) => "disk.qcow2",
        _ => "disk.raw",
    }
}

/// A file with the header of a Linux kernel for x86 (boot protocol 2.06), which for Arm is a raw image.
fn kernel() -> Vec<u8> {
    let mut image = vec![0; 64 << 10];
    image[0x1f1] = 4;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x0206_u16.to_le_bytes());
    image[0x211] = 1;
    image[0x22c..0x230].copy_from_slice(&0x37ff_ffff_u32.to_le_bytes()); // the initrd's highest address
    image
}

/// An empty qcow2 image (version 2) of 1 MiB with a snapshot: header, refcount table, refcount block, L1 table, snapshots, a
/// cluster each.
fn empty_qcow2() -> Vec<u8> {
    const CLUSTER: u64 = 1 << 16;
    let mut image = b"QFI\xfb".to_vec();
    image.extend(2_u32.to_be_bytes());
    image.extend([0; 12]); // no backing file
    image.extend(16_u32.to_be_bytes()); // cluster bits
    image.extend((1_u64 << 20).to_be_bytes());
    image.extend(0_u32.to_be_bytes()); // not encrypted
    image.extend(1_u32.to_be_bytes()); // L1 entries
    image.extend((3 * CLUSTER).to_be_bytes());
    image.extend(CLUSTER.to_be_bytes()); // refcount table
    image.extend(1_u32.to_be_bytes());
    image.extend(1_u32.to_be_bytes()); // snapshots
    image.extend((4 * CLUSTER).to_be_bytes());
    image.resize(4 << 16, 0);
    image.extend((3 * CLUSTER).to_be_bytes()); // its L1 table
    image.extend(1_u32.to_be_bytes());
    image.extend([0, 1, 0, 6]); // the lengths of its id and name
    image.extend([0; 20]);
    image.extend(16_u32.to_be_bytes());
    image.extend([0; 8]);
    image.extend((1_u64 << 20).to_be_bytes());
    image.extend(b"1before");
    image.resize(5 << 16, 0);
    image[1 << 16..(1 << 16) + 8].copy_from_slice(&(2 * CLUSTER).to_be_bytes());
    for cluster in 0..5 {
        image[(2 << 16) + 2 * cluster + 1] = 1;
    }
    image
}
