//! From a file into an overlay. Nothing in the file is believed before it is checked, and no memory is taken for what is not
//! there.

use std::ops::ControlFlow;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::{BLOCK_BYTES, BLOCK_RECORD, END, END_BYTES, HEADER, HEADER_BYTES, MOST_NAME, VERSION};
use crate::compression::{Compression, unpack};
use crate::device::SECTOR;
use crate::image::Source;
use crate::overlay::record::{Header, PAGE, PAGES, Piece};
use crate::overlay::store::Blocks;
use crate::transfer::{Arrival, Progress, TransferError, WINDOW, Watch, report};

/// What a file was found to hold, all of which was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The disk's size in bytes, and what it lies over.
    pub header: Header,
    /// Blocks with changes.
    pub blocks: u64,
    /// Pages of 4 KiB that have changed.
    pub pages: u64,
    /// Pages that have become zero.
    pub zeroes: u64,
    /// SHA-256 of the file, without its end.
    pub digest: [u8; 32],
}

/// Reads all of a file of `size` bytes and checks it.
///
/// # Errors
/// [`TransferError::Malformed`] with the place where something else was found than expected, and others.
pub async fn verify(
    source: &dyn Source,
    size: u64,
    watch: &mut dyn Watch,
) -> Result<Contents, TransferError> {
    let mut records = Records::open(source, size).await?;
    while records.next().await?.is_some() {
        report(watch, records.at, size).await?;
    }
    Ok(records.contents)
}

/// Makes a new disk in `store` of a file of `size` bytes, for a base that is known as `base`; nothing, if the disk lies over
/// nothing. All of the file is checked before anything is written, and nobody sees the disk until all of it is there.
///
/// # Errors
/// As for [`verify`]; [`TransferError::WrongBase`]; [`TransferError::Occupied`] unless the store is empty, or what an import
/// that was cut short has left.
pub async fn import(
    source: &dyn Source,
    size: u64,
    base: &str,
    store: &dyn Blocks,
    watch: &mut dyn Watch,
) -> Result<Contents, TransferError> {
    let total = size.saturating_mul(2);
    let header = Records::open(source, size).await?.contents.header;
    if header.base != base {
        return Err(TransferError::WrongBase {
            expected: name_of(&header.base),
            found: name_of(base),
        });
    }
    let mut half = Half { watch, total };
    let contents = verify(source, size, &mut half).await?;
    let watch = half.watch;
    let mut arrival = Arrival::begin(store).await?;
    let mut records = Records::open(source, size).await?;
    while let Some((block, piece)) = records.next().await? {
        arrival.put(block, &piece).await?;
        report(watch, size.saturating_add(records.at), total).await?;
    }
    if records.contents != contents {
        return Err(TransferError::malformed(
            size,
            "the file that was checked",
            "another one",
        ));
    }
    arrival.finish(&contents.header).await?;
    report(watch, total, total).await?;
    Ok(contents)
}

/// The check of a file, as a part of an import.
struct Half<'a> {
    watch: &'a mut dyn Watch,
    total: u64,
}

#[async_trait(?Send)]
impl Watch for Half<'_> {
    async fn report(&mut self, progress: Progress) -> ControlFlow<()> {
        let Progress { done, .. } = progress;
        let total = self.total;
        self.watch.report(Progress { done, total }).await
    }
}

fn name_of(base: &str) -> String {
    if base.is_empty() {
        "no base".into()
    } else {
        format!("the base {base}")
    }
}

/// The blocks of a file, in order. After the last one the end was checked.
struct Records<'a> {
    source: &'a dyn Source,
    size: u64,
    /// Where the next byte is that was not yet looked at.
    at: u64,
    /// What was read from there on.
    bytes: Vec<u8>,
    used: usize,
    hash: Sha256,
    contents: Contents,
    next_block: u64,
}

impl<'a> Records<'a> {
    async fn open(source: &'a dyn Source, size: u64) -> Result<Self, TransferError> {
        let mut records = Records {
            source,
            size,
            at: 0,
            bytes: Vec::new(),
            used: 0,
            hash: Sha256::new(),
            contents: Contents {
                header: Header {
                    size: 0,
                    base: String::new(),
                },
                blocks: 0,
                pages: 0,
                zeroes: 0,
                digest: [0; 32],
            },
            next_block: 0,
        };
        records.header().await?;
        Ok(records)
    }

    async fn header(&mut self) -> Result<(), TransferError> {
        let fixed = self.take(HEADER_BYTES, "the header of an overlay's file").await?;
        if fixed[..4] != HEADER {
            return Err(TransferError::malformed(
                0,
                "an overlay's file, which begins with QWOF",
                format!("{:?}", String::from_utf8_lossy(&fixed[..4])),
            ));
        }
        let version = number(&fixed, 4);
        if version != VERSION {
            return Err(TransferError::malformed(
                4,
                format!("version {VERSION}"),
                format!("version {version}"),
            ));
        }
        let length = number(&fixed, 28) as usize;
        if length > MOST_NAME {
            return Err(TransferError::malformed(
                28,
                format!("a base known by at most {MOST_NAME} bytes"),
                format!("{length} bytes"),
            ));
        }
        let name = self.take(length, "what the base is known by").await?;
        verify_sum(0, number(&fixed, 8), &[&fixed[12..], &name])?;
        let sizes = (number(&fixed, 12), number(&fixed, 16));
        if sizes != (PAGE as u32, PAGES as u32) {
            return Err(TransferError::malformed(
                12,
                format!("blocks of {PAGES} pages of {PAGE} bytes"),
                format!("{} of {}", sizes.1, sizes.0),
            ));
        }
        let size = long(&fixed, 20);
        if size > i64::MAX as u64 || !size.is_multiple_of(SECTOR) {
            return Err(TransferError::malformed(
                20,
                format!("a disk's size, a multiple of {SECTOR} bytes"),
                format!("{size} bytes"),
            ));
        }
        let base = String::from_utf8(name)
            .map_err(|_| TransferError::malformed(32, "the name of a base", "something else than text"))?;
        self.contents.header = Header { size, base };
        Ok(())
    }

    /// The next block.
    async fn next(&mut self) -> Result<Option<(u64, Piece)>, TransferError> {
        let (start, so_far) = (self.at, self.hash.clone());
        let magic = self.take(4, "a block or the end").await?;
        if magic == END {
            self.end(start, so_far.finalize().into()).await?;
            return Ok(None);
        }
        if magic != BLOCK_RECORD {
            return Err(TransferError::malformed(
                start,
                "a block or the end",
                format!("{:?}", String::from_utf8_lossy(&magic)),
            ));
        }
        let fixed = self.take(BLOCK_BYTES - 4, "a block").await?;
        let (packed, block) = (number(&fixed, 4) as usize, long(&fixed, 8));
        let (present, zero) = (long(&fixed, 16), long(&fixed, 24));
        let bytes = present.count_ones() as usize * PAGE;
        if packed > bytes {
            return Err(TransferError::malformed(
                start,
                format!("at most {bytes} bytes of a block"),
                format!("{packed} bytes"),
            ));
        }
        let packed = self.take(packed, "a block's pages").await?;
        verify_sum(start, number(&fixed, 0), &[&fixed[4..], &packed])?;
        self.place(start, block, present, zero)?;
        let data = if packed.len() == bytes {
            packed
        } else {
            let mut data = vec![0; bytes];
            match unpack(Compression::Deflate, &packed, &mut data) {
                Ok(used) if used == packed.len() => data,
                Ok(used) => {
                    return Err(TransferError::malformed(
                        start,
                        format!("{used} bytes of deflated pages"),
                        format!("{} bytes", packed.len()),
                    ));
                }
                Err(reason) => return Err(TransferError::malformed(start, "deflated pages", reason)),
            }
        };
        let piece = Piece { present, zero, data };
        self.contents.blocks += 1;
        self.contents.pages += u64::from(present.count_ones());
        self.contents.zeroes += u64::from(zero.count_ones());
        Ok(Some((block, piece)))
    }

    /// Checks that a block comes in order and lies on the disk, with all of its pages.
    fn place(&mut self, at: u64, block: u64, present: u64, zero: u64) -> Result<(), TransferError> {
        let pages = self.contents.header.size.div_ceil(PAGE as u64);
        let first = block.saturating_mul(PAGES as u64);
        let on_disk = match pages.saturating_sub(first) {
            0 => 0,
            rest if rest >= PAGES as u64 => u64::MAX,
            rest => u64::MAX >> (PAGES as u64 - rest),
        };
        let (all, wrong) = (present | zero, "a block of other pages");
        if block < self.next_block {
            return Err(TransferError::malformed(
                at,
                format!("block {} or a later one", self.next_block),
                format!("block {block}"),
            ));
        }
        if all == 0 || present & zero != 0 {
            return Err(TransferError::malformed(
                at,
                "pages that are there or zero",
                wrong,
            ));
        }
        if all & !on_disk != 0 {
            return Err(TransferError::malformed(
                at,
                format!("pages of a disk of {} bytes", self.contents.header.size),
                format!("block {block}, which lies beyond"),
            ));
        }
        self.next_block = block + 1;
        Ok(())
    }

    async fn end(&mut self, start: u64, digest: [u8; 32]) -> Result<(), TransferError> {
        let rest = self.take(END_BYTES - 4, "the end").await?;
        verify_sum(start, number(&rest, 0), &[&rest[4..]])?;
        let contents = &mut self.contents;
        let counts = (contents.blocks, contents.pages, contents.zeroes);
        let told = (long(&rest, 4), long(&rest, 12), long(&rest, 20));
        if counts != told {
            return Err(TransferError::malformed(
                start,
                format!("{} blocks, {} pages, {} of zeroes", told.0, told.1, told.2),
                format!("{}, {}, {}", counts.0, counts.1, counts.2),
            ));
        }
        if rest[28..] != digest {
            return Err(TransferError::malformed(
                start,
                "the checksum of the whole file",
                "another one",
            ));
        }
        if self.at != self.size {
            return Err(TransferError::malformed(
                self.at,
                "the end of the file",
                format!("{} bytes more", self.size - self.at),
            ));
        }
        contents.digest = digest;
        Ok(())
    }

    /// The next `count` bytes, which belong to `what`.
    async fn take(&mut self, count: usize, what: &str) -> Result<Vec<u8>, TransferError> {
        let left = self.size - self.at;
        if count as u64 > left {
            return Err(TransferError::malformed(
                self.at,
                format!("{count} bytes of {what}"),
                format!("the file's end after {left}"),
            ));
        }
        while self.bytes.len() - self.used < count {
            self.bytes.drain(..self.used);
            self.used = 0;
            let from = self.at + self.bytes.len() as u64;
            let length = WINDOW.min(self.size - from) as usize;
            let fetched = self.source.fetch(from, length).await?;
            if fetched.len() != length {
                let found = format!("{} bytes", fetched.len());
                return Err(TransferError::malformed(
                    from,
                    format!("{length} bytes of {what}"),
                    found,
                ));
            }
            self.bytes.extend(fetched);
        }
        let bytes = self.bytes[self.used..self.used + count].to_vec();
        self.used += count;
        self.at += count as u64;
        self.hash.update(&bytes);
        Ok(bytes)
    }
}

fn verify_sum(at: u64, told: u32, parts: &[&[u8]]) -> Result<(), TransferError> {
    let mut sum = crc32fast::Hasher::new();
    parts.iter().for_each(|part| sum.update(part));
    if sum.finalize() == told {
        return Ok(());
    }
    Err(TransferError::malformed(
        at,
        "a checksum that fits",
        "damaged bytes",
    ))
}

/// The number at `at` of bytes that are long enough.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
