//! What an image says of itself.

use super::Qcow2Error;
use crate::compression::Compression;
use crate::device::SECTOR;

pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Bytes of a header of version 2, and the fewest of version 3.
const HEADER_2: usize = 72;
const HEADER_3: usize = 104;
/// Bits of a cluster's size.
pub(super) const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Clusters with subclusters have 16 KiB at least.
const EXTENDED_BITS: u32 = 14;
/// Most bytes of an L1 table that QEMU opens, and of a backing file's name.
const L1_BYTES: u64 = 32 << 20;
const NAME_BYTES: usize = 1023;
/// Header extensions, by number.
const BACKING_FORMAT: u32 = 0xe279_2aca;
const FEATURE_NAMES: u32 = 0x6803_f857;
const DATA_FILE: u32 = 0x4441_5441;
/// Features that a reader has to know.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
pub(super) const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;

/// What a person should know of an image that can be read all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Somebody had it open, and did not close it. Its reference counts may be wrong, which matters to those who write only.
    Dirty,
    /// QEMU has found it damaged.
    Corrupt,
    /// It has internal snapshots, which are not read.
    Snapshots(u32),
}

impl std::fmt::Display for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dirty => write!(formatter, "it was not closed properly (dirty)"),
            Self::Corrupt => write!(
                formatter,
                "QEMU has found it damaged (corrupt): check it with qemu-img check"
            ),
            Self::Snapshots(count) => {
                write!(formatter, "its internal snapshots, {count}, are left out")
            }
        }
    }
}

/// The file that an image lies over, as the image says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackingFile {
    /// Its name: a path, mostly beside the image, or what else QEMU takes for one.
    pub name: String,
    /// Its format as QEMU calls it, if the image tells.
    pub format: Option<String>,
}

/// A header. What it says was checked against the file's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// The disk's size in bytes.
    pub size: u64,
    /// Bits of a cluster's size in bytes, from 9 to 21.
    pub cluster_bits: u32,
    /// Where the L1 table is.
    pub(super) l1_offset: u64,
    /// Whether entries of L2 tables tell of 32 subclusters each.
    pub extended_l2: bool,
    /// How clusters are compressed that are.
    pub compression: Compression,
    /// What the image lies over.
    pub backing: Option<BackingFile>,
    /// What a person should know.
    pub notes: Vec<Note>,
}

impl Header {
    /// Bytes of a cluster.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bits of the number of entries in an L2 table.
    pub(super) fn l2_bits(&self) -> u32 {
        self.cluster_bits - if self.extended_l2 { 4 } else { 3 }
    }

    /// How many bytes of a file have to be read for its header, by its first sector.
    ///
    /// # Errors
    /// [`Qcow2Error`] when it is no qcow2 image.
    pub(super) fn bytes(sector: &[u8]) -> Result<u64, Qcow2Error> {
        Fields(sector).cluster_bits().map(|bits| 1 << bits)
    }

    /// From a file's first cluster, as far as there is one. The file has `file_size` bytes.
    ///
    /// # Errors
    /// [`Qcow2Error`].
    pub fn decode(bytes: &[u8], file_size: u64) -> Result<Self, Qcow2Error> {
        let fields = Fields(bytes);
        let cluster_bits = fields.cluster_bits()?;
        let version = fields.number(4);
        let length = fields.length(version)?;
        let features = if version == 2 { 0 } else { fields.long(72) };
        let extensions = Extensions::read(fields, length)?;
        refuse(features, &extensions)?;
        match fields.number(32) {
            0 => (),
            method => {
                return Err(Qcow2Error::Encrypted {
                    method: match method {
                        1 => "AES".into(),
                        2 => "LUKS".into(),
                        other => format!("method {other}"),
                    },
                });
            }
        }
        let extended_l2 = features & EXTENDED_L2 != 0;
        if extended_l2 && cluster_bits < EXTENDED_BITS {
            return Err(Qcow2Error::malformed(
                20,
                format!("clusters of at least 2^{EXTENDED_BITS} bytes, as they have subclusters"),
                format!("2^{cluster_bits}"),
            ));
        }
        let header = Self {
            version,
            size: fields.long(24),
            cluster_bits,
            l1_offset: fields.long(40),
            extended_l2,
            compression: compression(fields, length, features)?,
            backing: fields.backing()?.map(|name| BackingFile {
                name,
                format: extensions.backing_format,
            }),
            notes: notes(features, fields.number(60)),
        };
        header.check_l1(fields.number(36), file_size)?;
        Ok(header)
    }

    /// Checks that the L1 table is large enough for the disk, and lies in the file.
    fn check_l1(&self, entries: u32, file_size: u64) -> Result<(), Qcow2Error> {
        let covered = self.cluster_bits + self.l2_bits();
        let needed = self.size.div_ceil(1 << covered);
        let bytes = needed.saturating_mul(8);
        if self.size > i64::MAX as u64 - SECTOR || bytes > L1_BYTES {
            return Err(Qcow2Error::malformed(
                24,
                format!("a disk that {L1_BYTES} bytes of L1 table are enough for"),
                format!("{} bytes", self.size),
            ));
        }
        if needed > u64::from(entries) {
            return Err(Qcow2Error::malformed(
                36,
                format!("{needed} entries of the L1 table"),
                entries.to_string(),
            ));
        }
        if !self.l1_offset.is_multiple_of(self.cluster()) || self.l1_offset.saturating_add(bytes) > file_size
        {
            return Err(Qcow2Error::malformed(
                40,
                format!("an L1 table of {bytes} bytes within the file's {file_size}"),
                format!("one at {}", self.l1_offset),
            ));
        }
        Ok(())
    }
}

/// Refuses what cannot be read.
fn refuse(features: u64, extensions: &Extensions) -> Result<(), Qcow2Error> {
    if features & EXTERNAL_DATA != 0 {
        let name = extensions.data_file.clone();
        return Err(Qcow2Error::ExternalData {
            name: name.unwrap_or_else(|| "which it does not name".into()),
        });
    }
    let unknown = (0..64).filter(|bit| features & !KNOWN & (1 << bit) != 0);
    let names: Vec<String> = unknown.map(|bit| extensions.feature(bit)).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Qcow2Error::Features {
        names: names.join(", "),
    })
}

fn compression(fields: Fields<'_>, length: usize, features: u64) -> Result<Compression, Qcow2Error> {
    // Headers without the field have the first kind.
    let number = if length > HEADER_3 {
        fields.byte(HEADER_3)
    } else {
        0
    };
    let told = features & COMPRESSION_TYPE != 0;
    match number {
        0 | 1 if told != (number == 1) => Err(Qcow2Error::malformed(
            HEADER_3 as u64,
            "another compression if, and only if, a feature says so",
            format!("compression {number}"),
        )),
        0 => Ok(Compression::Deflate),
        1 => Ok(Compression::Zstd),
        number => Err(Qcow2Error::Compression { number }),
    }
}

fn notes(features: u64, snapshots: u32) -> Vec<Note> {
    let dirty = (features & DIRTY != 0).then_some(Note::Dirty);
    let corrupt = (features & CORRUPT != 0).then_some(Note::Corrupt);
    let snapshots = (snapshots > 0).then_some(Note::Snapshots(snapshots));
    dirty.into_iter().chain(corrupt).chain(snapshots).collect()
}

/// A header's bytes. What is beyond them is zero.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn number(self, at: usize) -> u32 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    fn long(self, at: usize) -> u64 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    fn text(self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.0.get(at..)?.get(..length)
    }

    /// Bits of a cluster's size, after checking that this is a qcow2 image.
    fn cluster_bits(self) -> Result<u32, Qcow2Error> {
        if !self.0.starts_with(&MAGIC) || self.0.len() < HEADER_2 {
            let found = format!("{:?}", String::from_utf8_lossy(&self.0[..self.0.len().min(4)]));
            return Err(Qcow2Error::NotQcow2 { found });
        }
        let version = self.number(4);
        if !(2..=3).contains(&version) {
            return Err(Qcow2Error::NotQcow2 {
                found: format!("version {version}"),
            });
        }
        let bits = self.number(20);
        if !CLUSTER_BITS.contains(&bits) {
            return Err(Qcow2Error::malformed(
                20,
                "clusters of 2^9 to 2^21 bytes",
                format!("2^{bits}"),
            ));
        }
        Ok(bits)
    }

    /// Bytes of the header.
    fn length(self, version: u32) -> Result<usize, Qcow2Error> {
        if version == 2 {
            return Ok(HEADER_2);
        }
        let length = self.number(100) as usize;
        if length < HEADER_3 || length > self.0.len() {
            return Err(Qcow2Error::malformed(
                100,
                format!("a header of {HEADER_3} to {} bytes", self.0.len()),
                format!("{length} bytes"),
            ));
        }
        match self.number(96) {
            0..=6 => Ok(length),
            order => Err(Qcow2Error::malformed(
                96,
                "reference counts of at most 2^6 bits",
                format!("2^{order}"),
            )),
        }
    }

    /// The name of the file that the image lies over.
    fn backing(self) -> Result<Option<String>, Qcow2Error> {
        let (offset, length) = (self.long(8), self.number(16) as usize);
        if offset == 0 {
            return Ok(None);
        }
        let name = usize::try_from(offset)
            .ok()
            .filter(|_| length <= NAME_BYTES)
            .and_then(|offset| self.text(offset, length));
        let name = name.and_then(|name| String::from_utf8(name.to_vec()).ok());
        name.map(Some).ok_or_else(|| {
            Qcow2Error::malformed(
                8,
                format!("a backing file's name of at most {NAME_BYTES} bytes in the first cluster"),
                format!("{length} bytes at {offset}, or no text"),
            )
        })
    }
}

/// What header extensions tell, of those that matter.
#[derive(Default)]
struct Extensions {
    backing_format: Option<String>,
    data_file: Option<String>,
    /// Features that a reader has to know, by bit.
    names: Vec<(u8, String)>,
}

impl Extensions {
    fn read(fields: Fields<'_>, from: usize) -> Result<Self, Qcow2Error> {
        let mut extensions = Self::default();
        // They end before the backing file's name, if there is one.
        let end = match fields.long(8) {
            0 => fields.0.len(),
            name => name.min(fields.0.len() as u64) as usize,
        };
        let fields = Fields(&fields.0[..end]);
        let mut at = from;
        while at + 8 <= end {
            let (kind, length) = (fields.number(at), fields.number(at + 4) as usize);
            if kind == 0 {
                break;
            }
            let Some(data) = fields.text(at + 8, length) else {
                return Err(Qcow2Error::malformed(
                    at as u64,
                    "a header extension that ends in time",
                    format!("{length} bytes"),
                ));
            };
            let text = || String::from_utf8_lossy(data).into_owned();
            match kind {
                BACKING_FORMAT => extensions.backing_format = Some(text()),
                DATA_FILE => extensions.data_file = Some(text()),
                FEATURE_NAMES => {
                    let incompatible = data.chunks_exact(48).filter(|entry| entry[0] == 0);
                    let named = incompatible.map(|entry| {
                        let name = entry[2..].split(|byte| *byte == 0).next().unwrap_or_default();
                        (entry[1], String::from_utf8_lossy(name).into_owned())
                    });
                    extensions.names.extend(named);
                }
                _ => (),
            }
            at += 8 + length.next_multiple_of(8);
        }
        Ok(extensions)
    }

    /// What a feature is called.
    fn feature(&self, bit: u8) -> String {
        let name = self.names.iter().find(|(known, _)| *known == bit);
        name.map_or_else(|| format!("bit {bit}"), |(_, name)| format!("{name} (bit {bit})"))
    }
}
