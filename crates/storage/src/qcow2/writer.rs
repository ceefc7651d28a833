//! A disk as a qcow2 image of version 3, written in one go.
//!
//! ```text
//! header | clusters, L2 table of them | clusters, L2 table | ... | L1 table | reference counts | their table
//! ```
//!
//! A block of reference counts that is full comes after the next L2 table. Compressed clusters lie close together, and begin
//! anew at a whole cluster after anything else. The header comes last, over the zeroes that the file began with. Memory holds
//! an L2 table, a block or two of counts, and of the whole disk only the L1 table, which has 8 bytes for every 512 MiB.

use async_trait::async_trait;

use super::header::{CLUSTER_BITS, COMPRESSION_TYPE, MAGIC};
use super::refcounts::Refcounts;
use super::{COMPRESSED, COPIED};
use crate::compression::{Compression, Packer, QEMU_WINDOW};
use crate::device::BlockDevice;
use crate::transfer::{Output, Run, Sink, Target, TransferError, Watch, copy, is_zero};

/// Bytes of the header.
const HEADER: u32 = 112;
/// Most entries of an L1 table: half of what QEMU opens, so that the table of reference counts stays below its limit too.
const MOST_L1: u64 = (16 << 20) / 8;
/// Fewer zeroes than these are written with what is around them.
const FEW: u64 = 64 << 10;

/// How an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bits of a cluster's size in bytes, from 9 to 21; others are taken for the nearest.
    pub cluster_bits: u32,
    /// How clusters are compressed, if they are. Those that do not get smaller are not.
    pub compression: Option<Compression>,
}

impl Default for Options {
    /// As qemu-img does it: clusters of 64 KiB, which are not compressed.
    fn default() -> Self {
        Self {
            cluster_bits: 16,
            compression: None,
        }
    }
}

/// Writes all that `device` holds to `sink`, and returns how many bytes that were. Clusters of zeroes are left out.
///
/// Nobody should write to the device meanwhile: what changes may be in the image or not.
///
/// # Errors
/// [`TransferError`]; what was written is then no image, as it has no header.
pub async fn export(
    device: &dyn BlockDevice,
    sink: &mut dyn Sink,
    options: Options,
    watch: &mut dyn Watch,
) -> Result<u64, TransferError> {
    let cluster_bits = options
        .cluster_bits
        .clamp(*CLUSTER_BITS.start(), *CLUSTER_BITS.end());
    let cluster = 1_u64 << cluster_bits;
    let covered = cluster * (cluster / 8);
    let size = device.size();
    if size.div_ceil(covered) > MOST_L1 {
        return Err(TransferError::TooLarge {
            size,
            cluster,
            most: covered.saturating_mul(MOST_L1),
        });
    }
    let mut writer = Writer {
        output: Output::new(sink),
        cluster_bits,
        packer: options
            .compression
            .map(|compression| Packer::new(compression, QEMU_WINDOW)),
        l1: vec![0; size.div_ceil(covered) as usize],
        l2: Vec::new(),
        l2_number: 0,
        refcounts: Refcounts::new(cluster),
    };
    writer.output.write_zeroes(cluster, 0).await?;
    writer.refcounts.count(0);
    copy(device, cluster, &mut writer, watch).await?;
    writer.finish(size, options.compression).await
}

struct Writer<'a> {
    output: Output<'a>,
    cluster_bits: u32,
    packer: Option<Packer>,
    l1: Vec<u64>,
    /// The table of the clusters that were written last; empty while there are none.
    l2: Vec<u64>,
    l2_number: u64,
    refcounts: Refcounts,
}

#[async_trait(?Send)]
impl Target for Writer<'_> {
    async fn take(&mut self, run: &Run) -> Result<(), TransferError> {
        if let Run::Data { offset, bytes } = run {
            let first = offset >> self.cluster_bits;
            for (number, bytes) in (first..).zip(bytes.chunks(self.cluster() as usize)) {
                if !is_zero(bytes) {
                    self.put(number, bytes).await?;
                }
            }
        }
        Ok(())
    }
}

impl Writer<'_> {
    fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bits of the number of entries in an L2 table.
    fn l2_bits(&self) -> u32 {
        self.cluster_bits - 3
    }

    /// Writes one of the disk's clusters. The last one may be shorter.
    async fn put(&mut self, number: u64, bytes: &[u8]) -> Result<(), TransferError> {
        let table = number >> self.l2_bits();
        if table != self.l2_number {
            self.put_l2().await?;
            self.l2_number = table;
        }
        let rest = self.cluster() - bytes.len() as u64;
        let whole = if rest == 0 {
            None
        } else {
            Some([bytes, &vec![0; rest as usize]].concat())
        };
        let bytes = whole.as_deref().unwrap_or(bytes);
        let entry = match self.put_packed(bytes).await? {
            Some(entry) => entry,
            None => self.put_whole(bytes).await? | COPIED,
        };
        let entries = 1 << self.l2_bits();
        self.l2.resize(entries, 0);
        self.l2[number as usize % entries] = entry;
        Ok(())
    }

    /// Writes a cluster compressed, if that makes it smaller, and returns its entry.
    async fn put_packed(&mut self, bytes: &[u8]) -> Result<Option<u64>, TransferError> {
        let Some(packed) = self.packer.as_mut().and_then(|packer| packer.pack(bytes)) else {
            return Ok(None);
        };
        let cluster = 1 << self.cluster_bits;
        if self
            .refcounts
            .is_full(self.output.position() >> self.cluster_bits)
        {
            let rest = self.output.position().next_multiple_of(cluster) - self.output.position();
            self.output.write_zeroes(rest, FEW).await?;
        }
        let start = self.output.position();
        let last = start + packed.len() as u64 - 1;
        for touched in start >> self.cluster_bits..=last >> self.cluster_bits {
            self.refcounts.count(touched);
        }
        self.output.write(packed).await?;
        // Sectors besides the first.
        let sectors = last / 512 - start / 512;
        let bits = 62 - (self.cluster_bits - 8);
        Ok(Some(COMPRESSED | sectors << bits | start))
    }

    /// Writes whole clusters, and returns where.
    async fn put_whole(&mut self, bytes: &[u8]) -> Result<u64, TransferError> {
        let cluster = self.cluster();
        let position = self.output.position();
        let start = position.next_multiple_of(cluster);
        self.output.write_zeroes(start - position, FEW).await?;
        let end = (start + bytes.len() as u64).next_multiple_of(cluster);
        (start >> self.cluster_bits..end >> self.cluster_bits)
            .for_each(|number| self.refcounts.count(number));
        self.output.write(bytes).await?;
        let rest = end - start - bytes.len() as u64;
        self.output.write_zeroes(rest, FEW).await?;
        Ok(start)
    }

    /// Writes the L2 table, if there is anything in it, and reference counts that are full.
    async fn put_l2(&mut self) -> Result<(), TransferError> {
        let table = std::mem::take(&mut self.l2);
        if table.is_empty() {
            return Ok(());
        }
        let offset = self.put_whole(&big_endian(&table)).await?;
        self.l1[self.l2_number as usize] = offset | COPIED;
        while let Some(block) = self.refcounts.next_full(self.output.position()) {
            self.put_whole(&block).await?;
        }
        Ok(())
    }

    async fn finish(mut self, size: u64, compression: Option<Compression>) -> Result<u64, TransferError> {
        self.put_l2().await?;
        let l1 = big_endian(&self.l1);
        let l1_offset = self.put_whole(&l1).await?;
        while let Some(block) = self.refcounts.next_full(self.output.position()) {
            self.put_whole(&block).await?;
        }
        let next = self.output.position() >> self.cluster_bits;
        let table_clusters = self.refcounts.close_all(next, self.cluster());
        while let Some(block) = self.refcounts.next_full(self.output.position()) {
            self.output.write(&block).await?;
        }
        let (table_offset, table) = (self.output.position(), self.refcounts.table());
        self.output.write(&table).await?;
        let rest = table_clusters * self.cluster() - table.len() as u64;
        self.output.write_zeroes(rest, FEW).await?;
        let head = Head {
            size,
            cluster_bits: self.cluster_bits,
            l1_entries: self.l1.len() as u32,
            l1_offset,
            table_clusters: table_clusters as u32,
            table_offset,
            zstd: compression == Some(Compression::Zstd),
        };
        self.output.finish(Some(&head.encode())).await
    }
}

/// What a header says of a written image.
struct Head {
    size: u64,
    cluster_bits: u32,
    l1_entries: u32,
    l1_offset: u64,
    table_clusters: u32,
    table_offset: u64,
    zstd: bool,
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend(3_u32.to_be_bytes());
        // No backing file.
        bytes.extend([0; 12]);
        bytes.extend(self.cluster_bits.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        // Not encrypted.
        bytes.extend([0; 4]);
        bytes.extend(self.l1_entries.to_be_bytes());
        bytes.extend(self.l1_offset.to_be_bytes());
        bytes.extend(self.table_offset.to_be_bytes());
        bytes.extend(self.table_clusters.to_be_bytes());
        // No snapshots.
        bytes.extend([0; 12]);
        let features = if self.zstd { COMPRESSION_TYPE } else { 0 };
        bytes.extend(features.to_be_bytes());
        // No features that a reader need not know.
        bytes.extend([0; 16]);
        // Reference counts of 2^4 bits.
        bytes.extend(4_u32.to_be_bytes());
        bytes.extend(HEADER.to_be_bytes());
        bytes.extend([u8::from(self.zstd), 0, 0, 0, 0, 0, 0, 0]);
        // The end of the header's extensions.
        bytes.extend([0; 8]);
        bytes
    }
}

fn big_endian(table: &[u64]) -> Vec<u8> {
    table.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}
