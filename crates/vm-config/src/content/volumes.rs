//! What is on a disk, a CD or a floppy: who can start it, and what system it holds.
//!
//! Formats: ECMA-119 and El Torito for CDs, the UEFI specification (chapter 5) for GPT, and the boot sector of the PC's BIOS.
//! Floppies: QEMU's `fd_formats` in `hw/block/fdc.c`.

use super::sample::{Sample, Seen};

/// Reads the bytes of a disk by their place on it, which in most image formats is another one in the file.
pub(super) trait Medium {
    /// The `length` bytes at `offset`, or as many as lie together; nothing where an image does not show them.
    fn read(&self, offset: u64, length: u64) -> Seen<Option<Vec<u8>>>;
}

/// A raw image is the disk itself.
impl Medium for Sample {
    fn read(&self, offset: u64, length: u64) -> Seen<Option<Vec<u8>>> {
        Ok(Some(self.bytes(offset, length)?.to_vec()))
    }
}

/// What a disk, a CD or a floppy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// How it is laid out.
    pub layout: Layout,
    /// Whether a PC's BIOS can start it, as far as that shows.
    pub starts_by_bios: bool,
    /// Whether UEFI can start it, as far as that shows.
    pub starts_by_uefi: bool,
    /// Whether it holds Linux, which has drivers for virtio.
    pub holds_linux: bool,
}

/// How a disk is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// An ISO 9660 file system, hybrids included.
    Iso9660,
    /// A GUID partition table.
    Gpt,
    /// A master boot record with partitions.
    Mbr,
    /// A boot sector without partitions.
    BootSector,
    /// A file system, by its name, without a boot sector.
    FileSystem(&'static str),
    /// Nothing that is known.
    Unknown,
}

const SECTOR: u64 = 512;
/// The identifier of a CD's first volume descriptor.
const ISO_MAGIC: u64 = 0x8001;
/// A CD's sectors.
const CD_SECTOR: u64 = 2048;
/// Where the boot code of a master boot record ends and the partitions begin.
const BOOT_CODE: usize = 440;
const PARTITIONS: usize = 446;
/// The partition type of a protective record, and of Linux's file systems, swap, RAID and LVM.
const PROTECTIVE: u8 = 0xee;
const EFI_SYSTEM: u8 = 0xef;
const LINUX: [u8; 5] = [0x83, 0x82, 0x8e, 0xfd, 0x85];
/// Most partitions of a GPT that are looked at.
const MAX_PARTITIONS: u64 = 128;

/// GUIDs as they stand on disk.
const ESP_GUID: [u8; 16] = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
const LINUX_GUIDS: [[u8; 16]; 6] = [
    // File system, root of x86-64, root of arm64, swap, LVM, RAID.
    *b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4",
    *b"\xe3\xbc\x68\x4f\xcd\xe8\xb1\x4d\x96\xe7\xfb\xca\xf9\x84\xb7\x09",
    *b"\x45\xb0\x21\xb9\xf0\x1d\xc3\x41\xaf\x44\x4c\x6f\x28\x0d\x3f\xae",
    *b"\x6d\xfd\x57\x06\xab\xa4\xc4\x43\x84\xe5\x09\x33\xc8\x4b\x4f\x4f",
    *b"\x79\xd3\xd6\xe6\x07\xf5\xc2\x44\xa2\x3c\x23\x8f\x2a\x3d\xf9\x28",
    *b"\x0f\x88\x9d\xa1\xfc\x05\x3b\x4d\xa0\x06\x74\x3f\x0f\x84\x91\x1e",
];

/// The floppies that QEMU's controller knows: sectors per track, tracks, sides.
const FLOPPIES: &[(u64, u64, u64)] = &[
    (18, 80, 2),
    (20, 80, 2),
    (21, 80, 2),
    (21, 82, 2),
    (21, 83, 2),
    (22, 80, 2),
    (23, 80, 2),
    (24, 80, 2),
    (36, 80, 2),
    (39, 80, 2),
    (40, 80, 2),
    (44, 80, 2),
    (48, 80, 2),
    (9, 80, 2),
    (10, 80, 2),
    (10, 82, 2),
    (10, 83, 2),
    (13, 80, 2),
    (14, 80, 2),
    (15, 80, 2),
    (18, 82, 2),
    (18, 83, 2),
    (11, 80, 2),
    (9, 40, 2),
    (9, 40, 1),
    (10, 41, 2),
    (10, 42, 2),
    (8, 40, 2),
    (8, 40, 1),
    (9, 80, 1),
];

/// Whether a floppy of this size in bytes exists.
pub(super) fn is_floppy_size(size: u64) -> bool {
    FLOPPIES
        .iter()
        .any(|(sectors, tracks, sides)| sectors * tracks * sides * SECTOR == size)
}

/// The largest floppy, in bytes.
pub(super) const LARGEST_FLOPPY: u64 = 48 * 80 * 2 * SECTOR;

impl Volume {
    fn of(layout: Layout) -> Self {
        Self {
            layout,
            starts_by_bios: false,
            starts_by_uefi: false,
            holds_linux: false,
        }
    }

    /// Looks at a disk. Nothing where its image does not show its beginning.
    pub(super) fn on(medium: &dyn Medium) -> Seen<Option<Self>> {
        let Some(sector) = medium.read(0, SECTOR)? else {
            return Ok(None);
        };
        let has = |offset: u64, magic: &[u8]| -> Seen<bool> {
            let found = medium.read(offset, magic.len() as u64)?;
            Ok(found.is_some_and(|found| found == magic))
        };
        if has(ISO_MAGIC, b"CD001")? {
            return iso9660(medium, &sector).map(Some);
        }
        if sector.len() == 512 && sector.ends_with(&[0x55, 0xaa]) {
            return boot_sector(medium, &sector).map(Some);
        }
        for (offset, magic, name) in FILE_SYSTEMS {
            if has(*offset, magic)? {
                return Ok(Some(Self::of(Layout::FileSystem(name))));
            }
        }
        Ok(Some(Self::of(Layout::Unknown)))
    }
}

/// File systems that need no boot sector.
const FILE_SYSTEMS: &[(u64, &[u8], &str)] = &[
    (0x438, &[0x53, 0xef], "ext2, ext3 or ext4"),
    (0, b"XFSB", "XFS"),
    (0x1_0040, b"_BHRfS_M", "btrfs"),
    (0, b"hsqs", "squashfs"),
    (0x400, &[0x10, 0x20, 0xf5, 0xf2], "F2FS"),
    (0x400, &[0xe2, 0xe1, 0xf5, 0xe0], "EROFS"),
    (0, &[0x45, 0x3d, 0xcd, 0x28], "cramfs"),
    (0, b"-rom1fs-", "romfs"),
    (0x1_0034, b"ReIsErFs", "ReiserFS"),
    (0x1_0034, b"ReIsEr2Fs", "ReiserFS"),
    (0x8000, b"JFS1", "JFS"),
    (0x1003, b"SWAPSPACE2", "swap"),
    (0xff6, b"SWAPSPACE2", "swap"),
    (0x400, b"H+\0\x04", "HFS+"),
    (0x400, b"HX\0\x05", "HFS+"),
    (0x20, b"NXSB", "APFS"),
    (0x1_055c, &[0x19, 0x01, 0x54, 0x19], "UFS"),
    (0x255c, &[0x54, 0x19, 0x01, 0x00], "UFS"),
    (0x410, &[0x8f, 0x13], "Minix"),
    (0x410, &[0x7f, 0x13], "Minix"),
    (0x410, &[0x78, 0x24], "Minix"),
    (0x218, b"LABELONE", "LVM"),
    (0x8001, b"BEA01", "UDF"),
];

/// A CD: the boot catalogue of El Torito says which firmware starts it; an MBR makes a hybrid.
fn iso9660(medium: &dyn Medium, sector: &[u8]) -> Seen<Volume> {
    /// Descriptors follow each other, the boot record among the first.
    const DESCRIPTORS: u64 = 16;
    let mut volume = Volume::of(Layout::Iso9660);
    for number in 0..DESCRIPTORS {
        let descriptor = medium.read((16 + number) * CD_SECTOR, 80)?.unwrap_or_default();
        if descriptor.len() < 80 || descriptor[0] == 255 {
            break;
        }
        if descriptor[0] == 0 && descriptor[7..].starts_with(b"EL TORITO SPECIFICATION") {
            let catalogue =
                u32::from_le_bytes([descriptor[71], descriptor[72], descriptor[73], descriptor[74]]);
            let entries = medium
                .read(u64::from(catalogue) * CD_SECTOR, CD_SECTOR)?
                .unwrap_or_default();
            el_torito(&entries, &mut volume);
        }
    }
    let is_hybrid = sector.len() == 512 && sector.ends_with(&[0x55, 0xaa]);
    volume.starts_by_bios |= is_hybrid && has_code(sector);
    // A CD that tells nothing may be started by what is not known here.
    Ok(volume)
}

/// Reads a boot catalogue: a validation entry that names a platform, an entry that is bootable or not, and further sections,
/// each with a header.
fn el_torito(entries: &[u8], volume: &mut Volume) {
    const EFI: u8 = 0xef;
    const BOOTABLE: u8 = 0x88;
    let mut platform = 0;
    for entry in entries.chunks_exact(32) {
        match entry[0] {
            0x01 | 0x90 | 0x91 => platform = entry[1],
            BOOTABLE if platform == EFI => volume.starts_by_uefi = true,
            BOOTABLE => volume.starts_by_bios = true,
            _ => {}
        }
    }
}

fn boot_sector(medium: &dyn Medium, sector: &[u8]) -> Seen<Volume> {
    let partitions: Vec<&[u8]> = sector[PARTITIONS..510].chunks_exact(16).collect();
    // A file system's boot sector, or one of one's own, has code or nothing at all where the table would be.
    let is_table = partitions.iter().all(|entry| matches!(entry[0], 0 | 0x80))
        && partitions
            .iter()
            .any(|entry| entry[4] != 0 && entry[12..16] != [0; 4]);
    let mut volume = Volume::of(if is_table { Layout::Mbr } else { Layout::BootSector });
    volume.starts_by_bios = has_code(sector);
    if !is_table {
        return Ok(volume);
    }
    let has_type = |types: &[u8]| partitions.iter().any(|entry| types.contains(&entry[4]));
    volume.starts_by_uefi = has_type(&[EFI_SYSTEM]);
    volume.holds_linux = has_type(&LINUX);
    let is_active = partitions.iter().any(|entry| entry[0] == 0x80);
    if has_type(&[PROTECTIVE])
        && let Some(header) = medium.read(SECTOR, 92)?
        && header.starts_with(b"EFI PART")
    {
        volume.layout = Layout::Gpt;
        gpt(medium, &header, &mut volume)?;
    }
    // Code that looks for an active partition, and says so if there is none, starts nothing by itself.
    let looks_for_active = contains(sector, b"Missing operating system");
    volume.starts_by_bios &= is_active || !looks_for_active;
    Ok(volume)
}

fn gpt(medium: &dyn Medium, header: &[u8], volume: &mut Volume) -> Seen<()> {
    let word = |at: usize| -> u64 {
        let bytes = header.get(at..at + 4).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    let (table, count, size) = (word(72) | word(76) << 32, word(80), word(84));
    for number in 0..count.min(MAX_PARTITIONS) {
        let place = table.saturating_mul(SECTOR).saturating_add(number * size);
        let Some(entry) = medium.read(place, 128)?.filter(|entry| entry.len() == 128) else {
            break;
        };
        volume.starts_by_uefi |= entry.starts_with(&ESP_GUID);
        volume.holds_linux |= LINUX_GUIDS.iter().any(|guid| entry.starts_with(guid));
    }
    Ok(())
}

/// Whether a boot sector has any code.
fn has_code(sector: &[u8]) -> bool {
    let code = sector.get(..BOOT_CODE).unwrap_or_default();
    code.iter().any(|byte| *byte != 0)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
