//! Compressed streams, archives of files, initial RAM disks and text.
//!
//! Formats: Linux's `Documentation/driver-api/early-userspace/buffer-format.rst` and `lib/decompress.c`.

use std::fmt;

use super::sample::{Sample, Seen};
use super::{Content, unusable};

/// A compression that Linux knows for initial RAM disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// The xz container.
    Xz,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// LZ4 in its legacy frame, which is the one that Linux reads.
    Lz4,
    /// The old LZMA container.
    Lzma,
    /// LZO in lzop's container.
    Lzo,
}

impl Compression {
    const MAGICS: &[(&[u8], Self)] = &[
        (&[0x1f, 0x8b], Self::Gzip),
        (&[0x1f, 0x9e], Self::Gzip),
        (b"\xfd7zXZ\0", Self::Xz),
        (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
        (b"BZh", Self::Bzip2),
        (&[0x02, 0x21, 0x4c, 0x18], Self::Lz4),
        (&[0x5d, 0, 0], Self::Lzma),
        (b"\x89LZO", Self::Lzo),
    ];

    /// The compression of the stream at `offset`.
    fn at(sample: &Sample, offset: u64) -> Seen<Option<Self>> {
        for (magic, compression) in Self::MAGICS {
            if sample.has(offset, magic)? {
                return Ok(Some(*compression));
            }
        }
        Ok(None)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
            Self::Lzo => "lzo",
        })
    }
}

/// What a compressed file or an archive is.
pub(super) fn recognize(sample: &Sample) -> Seen<Option<Content>> {
    if is_cpio(sample, 0)? {
        return Ok(Some(Content::Cpio {
            then: after_cpio(sample)?,
        }));
    }
    if let Some(compression) = Compression::at(sample, 0)? {
        return Ok(Some(Content::Compressed(compression)));
    }
    const UNPACK: &str = "Unpack it and choose the file inside.";
    let named: [(u64, &[u8], &str, &str); 12] = [
        (
            0,
            &[0x04, 0x22, 0x4d, 0x18],
            "a file in lz4's new frame, which Linux does not unpack",
            "Compress it again with lz4 -l.",
        ),
        (
            0,
            b"070707",
            "a cpio archive in the old format",
            "Make it again with cpio --format=newc.",
        ),
        (
            0,
            &[0xc7, 0x71],
            "a cpio archive in the old format",
            "Make it again with cpio --format=newc.",
        ),
        (0, b"PK\x03\x04", "a zip archive", UNPACK),
        (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
        (0, b"Rar!\x1a\x07", "a RAR archive", UNPACK),
        (257, b"ustar", "a tar archive", UNPACK),
        (
            0,
            b"MSWIM\0\0\0",
            "a Windows image (WIM)",
            "Install it into a disk image, and choose that.",
        ),
        (
            0,
            b"!<arch>\n",
            "a Debian package or an archive of object files",
            UNPACK,
        ),
        (0, &[0xed, 0xab, 0xee, 0xdb], "an RPM package", UNPACK),
        (0, b"xar!", "a xar archive", UNPACK),
        (0, b"MSCF", "a cabinet archive", UNPACK),
    ];
    for (offset, magic, what, next_step) in named {
        if sample.has(offset, magic)? {
            return Ok(Some(unusable(what, next_step)));
        }
    }
    Ok(None)
}

fn is_cpio(sample: &Sample, offset: u64) -> Seen<bool> {
    Ok(sample.has(offset, b"070701")? || sample.has(offset, b"070702")?)
}

/// The compression of what follows the uncompressed archives that an initial RAM disk may begin with (updates for the
/// processor, tables of ACPI), if that is told within a bounded look.
fn after_cpio(sample: &Sample) -> Seen<Option<Compression>> {
    /// Fields of eight hexadecimal digits after the magic: the seventh is the file's size, the twelfth its name's.
    const HEADER: u64 = 110;
    /// Most files that are stepped over: early archives have a few.
    const MAX_FILES: usize = 64;
    let mut at = 0;
    for _ in 0..MAX_FILES {
        if !is_cpio(sample, at)? {
            return Compression::at(sample, at);
        }
        let field = |number: u64| -> Seen<u64> {
            let digits = sample.text(at + 6 + 8 * number, 8)?;
            Ok(u64::from_str_radix(&digits, 16).unwrap_or(u64::MAX >> 32))
        };
        let (size, name) = (field(6)?, field(11)?);
        let is_last = sample.has(at + HEADER, b"TRAILER!!!\0")?;
        at = (at + HEADER + name).next_multiple_of(4);
        at = (at + size).next_multiple_of(4);
        if is_last {
            at = after_zeros(sample, at)?;
        }
    }
    Ok(None)
}

/// Where the zeros that stand between archives end, at most a sector's worth.
fn after_zeros(sample: &Sample, from: u64) -> Seen<u64> {
    let padding = sample.bytes(from, 4096)?;
    let zeros = padding.iter().take_while(|byte| **byte == 0).count();
    Ok(from + zeros as u64)
}

/// What text is: a web page, a script for iPXE, or just text.
pub(super) fn text(sample: &Sample) -> Content {
    let head = sample.head();
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
    } else if start.starts_with("#!ipxe") || start.starts_with("#!gpxe") {
        Content::Script
    } else {
        Content::Text
    }
}
