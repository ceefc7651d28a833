//! qcow2, in both versions, as far as it has to be read to know what an image needs and holds. Format: QEMU's
//! `docs/interop/qcow2.rst`.

use super::disks::{DiskImage, differences, truncated};
use super::sample::{Sample, Seen};
use super::volumes::{Medium, Volume};
use super::{Content, unusable};
use crate::inputs::DiskFormat;

const MAGIC: &[u8] = b"QFI\xfb";
/// Where a header has what is looked at.
const BACKING_OFFSET: u64 = 8;
const BACKING_LENGTH: u64 = 16;
const CLUSTER_BITS: u64 = 20;
const SIZE: u64 = 24;
const CRYPT_METHOD: u64 = 32;
const L1_SIZE: u64 = 36;
const L1_OFFSET: u64 = 40;
const REFCOUNT_OFFSET: u64 = 48;
const REFCOUNT_CLUSTERS: u64 = 56;
const SNAPSHOT_COUNT: u64 = 60;
const SNAPSHOTS_OFFSET: u64 = 64;
const INCOMPATIBLE: u64 = 72;
const REFCOUNT_ORDER: u64 = 96;
const HEADER_LENGTH: u64 = 100;
const COMPRESSION: u64 = 104;
/// The length of a header of version 2.
const HEADER_2: u64 = 72;
/// Features that a reader has to know: dirty and corrupt images can be read; then an external data file, another
/// compression, and subclusters.
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN_FEATURES: u64 = 0b1_1111;
/// The compressions that our QEMU has, by number.
const COMPRESSIONS: &[(u8, &str)] = &[(0, "zlib"), (1, "zstd")];

/// Header extensions: the external file's name, and the features' names.
const DATA_FILE: u32 = 0x4441_5441;
/// Most header extensions and snapshots that are looked at.
const MAX_EXTENSIONS: usize = 32;
const MAX_SNAPSHOTS: u32 = 64;

/// The flag of a compressed cluster, and the bits of an entry that are an offset.
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number, as text.
    pub id: String,
    /// The name that a person gave it.
    pub name: String,
}

/// What a qcow2 image, or one of its predecessor, is.
pub(super) fn recognize(sample: &Sample) -> Seen<Option<Content>> {
    if !sample.has(0, MAGIC)? {
        return Ok(None);
    }
    match sample.be32(4)? {
        1 => first_version(sample).map(Some),
        version @ (2 | 3) => Header::read(sample, version)?.content(sample).map(Some),
        version => Ok(Some(unusable(
            format!("a qcow2 image of version {version}, of which QEMU knows 2 and 3"),
            "Convert it with a newer qemu-img convert -O qcow2.",
        ))),
    }
}

/// The format that qcow2 replaced, whose header has other places for the same.
fn first_version(sample: &Sample) -> Seen<Content> {
    if sample.be64(BACKING_OFFSET)? != 0 {
        let name = sample.text(
            sample.be64(BACKING_OFFSET)?,
            u64::from(sample.be32(BACKING_LENGTH)?),
        )?;
        return Ok(differences("qcow (version 1)", &name));
    }
    if sample.be32(36)? != 0 {
        return Ok(encrypted("qcow (version 1)"));
    }
    DiskImage::in_format(DiskFormat::Qcow, "qcow (version 1)", sample)
}

fn encrypted(format: &str) -> Content {
    unusable(
        format!("an encrypted {format} image"),
        "Decrypt it with qemu-img convert.",
    )
}

/// What is needed of a header.
struct Header {
    cluster_bits: u32,
    size: u64,
    crypt_method: u32,
    l1_size: u32,
    l1_offset: u64,
    features: u64,
    length: u64,
    version: u32,
}

impl Header {
    fn read(sample: &Sample, version: u32) -> Seen<Self> {
        let of_3 = version >= 3;
        Ok(Self {
            cluster_bits: sample.be32(CLUSTER_BITS)?,
            size: sample.be64(SIZE)?,
            crypt_method: sample.be32(CRYPT_METHOD)?,
            l1_size: sample.be32(L1_SIZE)?,
            l1_offset: sample.be64(L1_OFFSET)?,
            features: if of_3 { sample.be64(INCOMPATIBLE)? } else { 0 },
            length: if of_3 {
                u64::from(sample.be32(HEADER_LENGTH)?)
            } else {
                HEADER_2
            },
            version,
        })
    }

    fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    fn content(&self, sample: &Sample) -> Seen<Content> {
        if !(9..=21).contains(&self.cluster_bits) || self.size > i64::MAX as u64 {
            return Ok(unusable(
                format!(
                    "a damaged qcow2 image (clusters of 2^{} bytes, {} bytes in all)",
                    self.cluster_bits, self.size
                ),
                "Get the image again, or check it with qemu-img check.",
            ));
        }
        if self.features & EXTERNAL_DATA != 0 {
            let name = self
                .extension(sample, DATA_FILE)?
                .unwrap_or_else(|| "another file".to_owned());
            return Ok(unusable(
                format!("a qcow2 image whose data is in an external file, {name}"),
                "Put both into one file with qemu-img convert -O qcow2.",
            ));
        }
        if let Some(backing) = self.backing(sample)? {
            return Ok(differences("qcow2", &backing));
        }
        if self.crypt_method != 0 {
            return Ok(encrypted("qcow2"));
        }
        let unknown = self.features & !KNOWN_FEATURES;
        if unknown != 0 {
            return Ok(unusable(
                format!(
                    "a qcow2 image with a feature that QEMU does not know (number {})",
                    unknown.trailing_zeros()
                ),
                "Convert it with a newer qemu-img convert -O qcow2.",
            ));
        }
        if self.features & COMPRESSION_TYPE != 0 {
            let number = sample.byte(COMPRESSION)?;
            if !COMPRESSIONS.iter().any(|(known, _)| *known == number) {
                return Ok(unusable(
                    format!("a qcow2 image with a compression that QEMU does not know (number {number})"),
                    "Convert it with qemu-img convert -O qcow2 -o compression_type=zlib.",
                ));
            }
        }
        if let Some(end) = self.end(sample)?
            && end > sample.size()
        {
            return Ok(truncated("qcow2", sample.size(), end));
        }
        let medium = Clusters { header: self, sample };
        let mut image = DiskImage::plain(DiskFormat::Qcow2, "qcow2", self.size);
        image.volume = Volume::on(&medium)?;
        image.snapshots = snapshots(sample)?;
        Ok(Content::Disk(image))
    }

    fn backing(&self, sample: &Sample) -> Seen<Option<String>> {
        let offset = sample.be64(BACKING_OFFSET)?;
        if offset == 0 {
            return Ok(None);
        }
        let length = sample.be32(BACKING_LENGTH)?;
        sample.text(offset, u64::from(length)).map(Some)
    }

    /// The text of a header extension.
    fn extension(&self, sample: &Sample, kind: u32) -> Seen<Option<String>> {
        let mut at = self.length;
        for _ in 0..MAX_EXTENSIONS {
            let (found, length) = (sample.be32(at)?, u64::from(sample.be32(at + 4)?));
            if found == kind {
                return sample.text(at + 8, length).map(Some);
            }
            if found == 0 {
                break;
            }
            at = at.saturating_add(8 + length.next_multiple_of(8));
        }
        Ok(None)
    }

    /// The least size that a whole file has, as far as its tables tell: the last cluster that its last block of reference
    /// counts names begins before its end.
    fn end(&self, sample: &Sample) -> Seen<Option<u64>> {
        let l1_end = self.l1_offset.saturating_add(8 * u64::from(self.l1_size));
        let table = sample.be64(REFCOUNT_OFFSET)?;
        let table_size = u64::from(sample.be32(REFCOUNT_CLUSTERS)?).saturating_mul(self.cluster());
        let tables_end = l1_end.max(table.saturating_add(8));
        if tables_end > sample.size() {
            return Ok(Some(tables_end));
        }
        let blocks = sample.bytes(table, table_size.min(64 << 10))?;
        let (blocks, _) = blocks.as_chunks::<8>();
        let last = blocks.iter().enumerate().rfind(|(_, block)| **block != [0; 8]);
        let Some((number, block)) = last else {
            return Ok(None);
        };
        let (number, block) = (number as u64, u64::from_be_bytes(*block) & OFFSET);
        if block >= sample.size() {
            return Ok(Some(block.saturating_add(self.cluster())));
        }
        let order = if self.version >= 3 {
            sample.be32(REFCOUNT_ORDER)?
        } else {
            4
        };
        let counts = sample.bytes(block, self.cluster().min(64 << 10))?;
        // Bits per count: a cluster whose last bit is in this byte is in use.
        let Some(last_byte) = counts.iter().rposition(|byte| *byte != 0) else {
            return Ok(None);
        };
        let per_block = (self.cluster() * 8) >> order.min(6);
        let cluster = number
            .saturating_mul(per_block)
            .saturating_add((last_byte as u64 * 8) >> order.min(6));
        Ok(Some(cluster.saturating_mul(self.cluster()).saturating_add(1)))
    }
}

/// The internal snapshots, as far as they are looked at.
fn snapshots(sample: &Sample) -> Seen<Vec<Snapshot>> {
    let mut at = sample.be64(SNAPSHOTS_OFFSET)?;
    let mut snapshots = Vec::new();
    for _ in 0..sample.be32(SNAPSHOT_COUNT)?.min(MAX_SNAPSHOTS) {
        let (id_length, name_length) = (u64::from(sample.be16(at + 12)?), u64::from(sample.be16(at + 14)?));
        let extra = u64::from(sample.be32(at + 36)?);
        let id = at.saturating_add(40).saturating_add(extra);
        snapshots.push(Snapshot {
            id: sample.text(id, id_length)?,
            name: sample.text(id + id_length, name_length)?,
        });
        at = (id + id_length + name_length).next_multiple_of(8);
        if at >= sample.size() {
            break;
        }
    }
    Ok(snapshots)
}

/// The disk that an image holds, as far as its clusters are not compressed.
struct Clusters<'a> {
    header: &'a Header,
    sample: &'a Sample,
}

impl Medium for Clusters<'_> {
    fn read(&self, offset: u64, length: u64) -> Seen<Option<Vec<u8>>> {
        let bits = self.header.cluster_bits;
        // Entries with subclusters have a bitmap beside.
        let entry_bits = if self.header.features & EXTENDED_L2 != 0 {
            4
        } else {
            3
        };
        let per_table = bits - entry_bits;
        let (cluster, within) = (offset >> bits, offset & (self.header.cluster() - 1));
        let length = length.min(self.header.cluster() - within);
        let table = cluster >> per_table;
        if table >= u64::from(self.header.l1_size) {
            return Ok(Some(Vec::new()));
        }
        let zeros = || Some(vec![0; usize::try_from(length).unwrap_or_default()]);
        let l2 = self
            .sample
            .be64(self.header.l1_offset.saturating_add(8 * table))?
            & OFFSET;
        if l2 == 0 {
            return Ok(zeros());
        }
        let number = cluster & ((1 << per_table) - 1);
        let entry = self.sample.be64(l2.saturating_add(number << entry_bits))?;
        if entry & COMPRESSED != 0 {
            return Ok(None);
        }
        let place = entry & OFFSET;
        if place == 0 || (entry_bits == 3 && entry & ZERO != 0) {
            return Ok(zeros());
        }
        self.sample
            .bytes(place.saturating_add(within), length)
            .map(|bytes| Some(bytes.to_vec()))
    }
}
