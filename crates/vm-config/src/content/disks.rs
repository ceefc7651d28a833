//! Disk images in a format of their own, other than qcow2.
//!
//! Formats, as QEMU reads them: `block/{vmdk,vdi,vhdx,vpc,qed,parallels}.c` and `docs/interop/{qed_spec,parallels}.rst`.

use super::sample::{Sample, Seen, printable};
use super::volumes::Volume;
use super::{Content, Snapshot, unusable};
use crate::inputs::DiskFormat;

/// The formats that our QEMU has drivers for (`qemu-wasm/scripts/build-qemu.sh`). Images in others are named, with what to do.
const DRIVERS: &[DiskFormat] = &[
    DiskFormat::Raw,
    DiskFormat::Qcow2,
    DiskFormat::Qcow,
    DiskFormat::Qed,
    DiskFormat::Vmdk,
    DiskFormat::Vdi,
    DiskFormat::Vhdx,
    DiskFormat::Vpc,
    DiskFormat::Parallels,
    DiskFormat::Bochs,
    DiskFormat::Cloop,
    DiskFormat::Dmg,
];

const CONVERT: &str = "Convert it with qemu-img convert -O qcow2.";
const GET_AGAIN: &str = "Get it again, or check it with qemu-img check.";
const FLATTEN: &str = "Flatten it with qemu-img convert -O qcow2, where the other file is.";

/// A disk image that QEMU can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskImage {
    /// How its bytes are laid out in the file.
    pub format: DiskFormat,
    /// What people call that.
    pub name: &'static str,
    /// The size of the disk, in bytes.
    pub size: u64,
    /// What is on the disk, where the image shows it.
    pub volume: Option<Volume>,
    /// The internal snapshots.
    pub snapshots: Vec<Snapshot>,
}

impl DiskImage {
    /// An image of this size.
    pub(super) fn plain(format: DiskFormat, name: &'static str, size: u64) -> Self {
        Self {
            format,
            name,
            size,
            volume: None,
            snapshots: Vec::new(),
        }
    }

    /// An image in a format whose inside is not looked at, if our QEMU has a driver for it.
    pub(super) fn in_format(format: DiskFormat, name: &'static str, sample: &Sample) -> Seen<Content> {
        Ok(if DRIVERS.contains(&format) {
            Content::Disk(Self::plain(format, name, sample.size()))
        } else {
            unusable(format!("a disk image in the format {name}"), CONVERT)
        })
    }
}

/// An image that is of no use without another one.
pub(super) fn differences(format: &str, other: &str) -> Content {
    let other = if other.is_empty() { "a backing file" } else { other };
    unusable(
        format!("a {format} image with only the differences from a backing file, {other}"),
        FLATTEN,
    )
}

/// An image whose end is missing.
pub(super) fn truncated(format: &str, size: u64, expected: u64) -> Content {
    unusable(
        format!("a {format} image that is cut off: {size} bytes, of at least {expected}"),
        "Get it again: the download or the copy may have broken off.",
    )
}

/// What a disk image is that announces its format.
pub(super) fn recognize(sample: &Sample) -> Seen<Option<Content>> {
    for reader in [qed, parallels, vmdk, vdi, vhdx, vhd, others] {
        if let Some(content) = reader(sample)? {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

/// What a file is whose bytes are a disk's, if they show it.
pub(super) fn raw(sample: &Sample) -> Seen<DiskImage> {
    let mut image = DiskImage::plain(DiskFormat::Raw, "raw", sample.size());
    image.volume = Volume::on(sample)?;
    Ok(image)
}

fn qed(sample: &Sample) -> Seen<Option<Content>> {
    if !sample.has(0, b"QED\0")? {
        return Ok(None);
    }
    if sample.le64(16)? & 1 != 0 {
        let name = sample.text(u64::from(sample.le32(56)?), u64::from(sample.le32(60)?))?;
        return Ok(Some(differences("QED", &name)));
    }
    let table = sample.le64(40)?;
    if table >= sample.size() {
        return Ok(Some(truncated("QED", sample.size(), table.saturating_add(1))));
    }
    DiskImage::in_format(DiskFormat::Qed, "QED", sample).map(Some)
}

fn parallels(sample: &Sample) -> Seen<Option<Content>> {
    if !sample.has(0, b"WithoutFreeSpace")? && !sample.has(0, b"WithouFreSpacExt")? {
        return Ok(None);
    }
    let table_end = 64 + 4 * u64::from(sample.le32(32)?);
    if table_end > sample.size() {
        return Ok(Some(truncated("Parallels", sample.size(), table_end)));
    }
    DiskImage::in_format(DiskFormat::Parallels, "Parallels", sample).map(Some)
}

fn vmdk(sample: &Sample) -> Seen<Option<Content>> {
    const SECTOR: u64 = 512;
    if sample.has(0, b"KDMV")? {
        // A descriptor inside the file says whether it builds on another one.
        let (offset, length) = (sample.le64(28)?, sample.le64(36)?);
        let descriptor = sample.bytes(
            offset.saturating_mul(SECTOR),
            length.saturating_mul(SECTOR).min(16 << 10),
        )?;
        let descriptor = String::from_utf8_lossy(descriptor);
        if let Some(parent) = parent(&descriptor) {
            return Ok(Some(differences("VMDK", &parent)));
        }
        let others: Vec<_> = extents(&descriptor).collect();
        if others.len() > 1 {
            return Ok(Some(in_parts(&others)));
        }
        return DiskImage::in_format(DiskFormat::Vmdk, "VMDK", sample).map(Some);
    }
    if sample.has(0, b"COWD")? {
        return DiskImage::in_format(DiskFormat::Vmdk, "VMDK (ESX)", sample).map(Some);
    }
    if sample.has(0, &0xcafe_babe_u64.to_le_bytes())? {
        let what = "an extent of a VMDK in ESX's sparse format (SEsparse)";
        return Ok(Some(unusable(what, CONVERT)));
    }
    if sample.has(0, b"# Disk DescriptorFile")? {
        let text = String::from_utf8_lossy(sample.bytes(0, 16 << 10)?);
        return Ok(Some(match parent(&text) {
            Some(parent) => differences("VMDK", &parent),
            None => in_parts(&extents(&text).collect::<Vec<_>>()),
        }));
    }
    Ok(None)
}

/// A VMDK descriptor, whose disk is in other files.
fn in_parts(names: &[String]) -> Content {
    let names = match names {
        [] => "other files".to_owned(),
        [one] => one.clone(),
        [first, .., last] => format!("{first} to {last}"),
    };
    unusable(
        format!("the description of a VMDK disk whose data is in {names}"),
        "Convert it with qemu-img convert -O qcow2, where all its files are.",
    )
}

/// The parent that a VMDK descriptor names, if it has one.
fn parent(descriptor: &str) -> Option<String> {
    let value = |key: &str| {
        let line = descriptor.lines().find_map(|line| line.trim().strip_prefix(key));
        line.and_then(|rest| rest.trim_start().strip_prefix('='))
            .map(|value| printable(value.trim().trim_matches('"')))
    };
    let id = value("parentCID")?;
    (!id.eq_ignore_ascii_case("ffffffff")).then(|| value("parentFileNameHint").unwrap_or_default())
}

/// The files of a VMDK descriptor's extents.
fn extents(descriptor: &str) -> impl Iterator<Item = String> {
    let lines = descriptor.lines().filter(|line| {
        ["RW ", "RDONLY ", "NOACCESS "]
            .iter()
            .any(|access| line.starts_with(access))
    });
    lines.filter_map(|line| line.split('"').nth(1).map(printable))
}

fn vdi(sample: &Sample) -> Seen<Option<Content>> {
    const DIFFERENCING: u32 = 4;
    if !sample.has(0x40, &[0x7f, 0x10, 0xda, 0xbe])? {
        return Ok(None);
    }
    if sample.le32(0x4c)? == DIFFERENCING || sample.array::<16>(0x1b8)? != [0; 16] {
        return Ok(Some(differences("VDI", "another VDI image")));
    }
    let (data, block, used) = (sample.le32(0x158)?, sample.le32(0x178)?, sample.le32(0x184)?);
    let end = u64::from(data).saturating_add(u64::from(block) * u64::from(used));
    if end > sample.size() {
        return Ok(Some(truncated("VDI", sample.size(), end)));
    }
    DiskImage::in_format(DiskFormat::Vdi, "VDI", sample).map(Some)
}

/// VHDX: a region table leads to the metadata, which say whether the image has a parent; a log that is not empty has to be
/// replayed, for which QEMU would have to write.
fn vhdx(sample: &Sample) -> Seen<Option<Content>> {
    const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
    const REGIONS: u64 = 192 << 10;
    const METADATA: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
    const PARAMETERS: [u8; 16] = *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
    if !sample.has(0, b"vhdxfile")? {
        return Ok(None);
    }
    if sample.size() < 1 << 20 {
        return Ok(Some(truncated("VHDX", sample.size(), 1 << 20)));
    }
    let numbers = [sample.le64(HEADERS[0] + 8)?, sample.le64(HEADERS[1] + 8)?];
    let current = HEADERS[usize::from(numbers[1] > numbers[0])];
    if sample.array::<16>(current + 48)? != [0; 16] {
        return Ok(Some(unusable(
            "a VHDX image that was not closed: its log has changes that are not in it yet",
            "Let qemu-img check -r all write them into it, or convert it with qemu-img convert -O qcow2.",
        )));
    }
    for number in 0..u64::from(sample.le32(REGIONS + 8)?).min(16) {
        let region = REGIONS + 16 + 32 * number;
        if !sample.has(region, &METADATA)? {
            continue;
        }
        let table = sample.le64(region + 16)?;
        for number in 0..u64::from(sample.le16(table.saturating_add(10))?).min(16) {
            let item = table.saturating_add(32 + 32 * number);
            if sample.has(item, &PARAMETERS)? {
                let parameters = table.saturating_add(u64::from(sample.le32(item + 16)?));
                if sample.le32(parameters.saturating_add(4))? & 2 != 0 {
                    return Ok(Some(differences("VHDX", "another VHDX image")));
                }
            }
        }
    }
    DiskImage::in_format(DiskFormat::Vhdx, "VHDX", sample).map(Some)
}

/// VHD: a footer at the end, with a copy at the start unless the disk's bytes are there.
fn vhd(sample: &Sample) -> Seen<Option<Content>> {
    const COOKIE: &[u8] = b"conectix";
    const FOOTER: u64 = 512;
    const FIXED: u32 = 2;
    const DYNAMIC: u32 = 3;
    const DIFFERENCING: u32 = 4;
    let at_end = sample.size().saturating_sub(FOOTER);
    let footer = if sample.has(0, COOKIE)? {
        0
    } else if at_end > 0 && sample.has(at_end, COOKIE)? {
        at_end
    } else {
        return Ok(None);
    };
    match sample.be32(footer + 60)? {
        // The disk's bytes as they are; the footer is one sector more.
        FIXED if footer > 0 => {
            let image = raw(sample)?;
            Ok(Some(Content::Disk(DiskImage {
                name: "VHD (fixed)",
                ..image
            })))
        }
        DYNAMIC if footer > 0 => Ok(None),
        DYNAMIC => {
            let table = sample.be64(sample.be64(16)?.saturating_add(16))?;
            if table >= sample.size() || !sample.has(at_end, COOKIE)? {
                return Ok(Some(truncated(
                    "VHD",
                    sample.size(),
                    sample.size().max(table) + FOOTER,
                )));
            }
            DiskImage::in_format(DiskFormat::Vpc, "VHD", sample).map(Some)
        }
        DIFFERENCING => {
            let name = sample.bytes(sample.be64(footer + 16)?.saturating_add(64), 512)?;
            let (units, _) = name.as_chunks::<2>();
            let units = units
                .iter()
                .map(|unit| u16::from_be_bytes(*unit))
                .take_while(|unit| *unit != 0);
            let name = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            Ok(Some(differences("VHD", &printable(&name.collect::<String>()))))
        }
        kind => Ok(Some(unusable(
            format!("a damaged VHD image (of type {kind})"),
            GET_AGAIN,
        ))),
    }
}

/// Formats with a driver that reads only, and what no driver reads.
fn others(sample: &Sample) -> Seen<Option<Content>> {
    const DECRYPT: &str = "Decrypt it with qemu-img convert or cryptsetup, and choose the result.";
    if sample.has(0, b"Bochs Virtual HD Image")? {
        return DiskImage::in_format(DiskFormat::Bochs, "Bochs", sample).map(Some);
    }
    if sample.has(0, b"#!/bin/sh\n#V2.0 Format")? {
        return DiskImage::in_format(DiskFormat::Cloop, "cloop", sample).map(Some);
    }
    let named: [(u64, &[u8], &str, &str); 6] = [
        (
            0,
            b"OOOM",
            "a disk image in User Mode Linux's format (COW)",
            CONVERT,
        ),
        (0, b"LUKS\xba\xbe", "a disk encrypted with LUKS", DECRYPT),
        (3, b"-FVE-FS-", "a volume encrypted with BitLocker", DECRYPT),
        (
            0,
            b"\x3a\xff\x26\xed",
            "an Android sparse image",
            "Unpack it with simg2img, and choose the result.",
        ),
        (
            0,
            b"EVF\x09\x0d\x0a\xff\0",
            "a forensic disk image (EWF)",
            "Convert it with ewfexport -f raw.",
        ),
        (
            0,
            b"encrcdsa",
            "an encrypted disk image of macOS (DMG)",
            "Convert it with hdiutil convert -format UDTO.",
        ),
    ];
    for (offset, magic, what, next_step) in named {
        if sample.has(offset, magic)? {
            return Ok(Some(unusable(what, next_step)));
        }
    }
    if sample.size() > 512 && sample.has(sample.size() - 512, b"koly")? {
        return DiskImage::in_format(DiskFormat::Dmg, "DMG", sample).map(Some);
    }
    Ok(None)
}
