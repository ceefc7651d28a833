//! An image of which only the pages that are not zero are kept, in memory: a disk that the package brings.
//!
//! A new file system on a disk of gigabytes is a few dozen pages. The form of the file, all numbers little-endian:
//!
//! | offset | field |
//! |--:|---|
//! | 0 | `QWSI` |
//! | 4 | version, 1 |
//! | 8 | CRC-32 of what follows |
//! | 12 | bytes in a page, 4096 |
//! | 16 | size of the disk in bytes, a multiple of those of a page, 8 bytes |
//! | 24 | how many pages are there |
//! | 28 | their numbers, each larger than the one before, 8 bytes each |
//! | | the pages, in this order |
//!
//! `qemu-wasm/guest/write-sparse.py` writes it, and `examples/unpack.rs` makes a raw image of it. In the package it is compressed
//! as a whole.

use std::cell::Cell;

use async_trait::async_trait;

use crate::device::{BlockDevice, BlockError, span};
use crate::overlay::record::{Malformed, PAGE, check, malformed};

const MAGIC: [u8; 4] = *b"QWSI";
const PAGE_BYTES: u64 = PAGE as u64;

/// A file that is no image of this form, or a damaged one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} is damaged: expected {expected}, found {found}")]
pub struct NotSparse {
    /// The image.
    pub id: String,
    /// What should be there.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl NotSparse {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        "Install the extension again."
    }
}

/// A read-only disk in memory that is mostly zeroes.
#[derive(Debug)]
pub struct SparseBlockDevice {
    id: String,
    size: u64,
    /// The numbers of the pages that are there, ascending.
    pages: Vec<u64>,
    /// Their bytes.
    data: Vec<u8>,
    closed: Cell<bool>,
}

impl SparseBlockDevice {
    /// The image that a file has, which people know as `id`.
    ///
    /// # Errors
    /// [`NotSparse`].
    pub fn open(id: impl Into<String>, file: &[u8]) -> Result<Self, NotSparse> {
        let id = id.into();
        match parse(file) {
            Ok((size, pages, data)) => Ok(Self {
                id,
                size,
                pages,
                data: data.into(),
                closed: Cell::new(false),
            }),
            Err(Malformed { expected, found }) => Err(NotSparse { id, expected, found }),
        }
    }

    fn refuse(&self) -> BlockError {
        BlockError::ReadOnly { id: self.id.clone() }
    }
}

/// Size, numbers of pages, and the pages. The count is believed only once the bytes are seen to be there.
fn parse(file: &[u8]) -> Result<(u64, Vec<u64>, &[u8]), Malformed> {
    let mut rest = check(MAGIC, file)?;
    let short = || malformed("a header of 28 bytes", format!("{} bytes", file.len()));
    let page = rest.number().ok_or_else(short)?;
    let size = rest.long().ok_or_else(short)?;
    let count = rest.number().ok_or_else(short)? as usize;
    if page != PAGE as u32 || !size.is_multiple_of(PAGE_BYTES) {
        return Err(malformed(
            format!("pages of {PAGE} bytes"),
            format!("pages of {page} bytes on a disk of {size}"),
        ));
    }
    if count.checked_mul(8 + PAGE) != Some(rest.0.len()) {
        return Err(malformed(
            format!("{count} pages"),
            format!("{} bytes for them", rest.0.len()),
        ));
    }
    let pages: Vec<u64> = std::iter::repeat_with(|| rest.long())
        .take(count)
        .flatten()
        .collect();
    let is_beyond = pages.last().is_some_and(|&last| last >= size / PAGE_BYTES);
    if !pages.is_sorted_by(|a, b| a < b) || is_beyond {
        return Err(malformed(
            "pages in their order on the disk",
            format!("others on a disk of {size} bytes"),
        ));
    }
    Ok((size, pages, rest.0))
}

#[async_trait(?Send)]
impl BlockDevice for SparseBlockDevice {
    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn block_size(&self) -> u32 {
        PAGE as u32
    }

    fn readonly(&self) -> bool {
        true
    }

    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        span(self, offset, target.len() as u64)?;
        if self.closed.get() {
            return Err(BlockError::Closed { id: self.id.clone() });
        }
        target.fill(0);
        let end = offset + target.len() as u64;
        let first = self
            .pages
            .partition_point(|page| (page + 1) * PAGE_BYTES <= offset);
        let there = self.pages.iter().zip(self.data.as_chunks::<PAGE>().0).skip(first);
        for (start, page) in there.map(|(page, bytes)| (page * PAGE_BYTES, bytes)) {
            if start >= end {
                break;
            }
            // What the two have in common, on the disk.
            let common = start.max(offset)..(start + PAGE_BYTES).min(end);
            let within = |of: u64| (common.start - of) as usize..(common.end - of) as usize;
            target[within(offset)].copy_from_slice(&page[within(start)]);
        }
        Ok(())
    }

    async fn write(&self, _offset: u64, _source: &[u8]) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn discard(&self, _offset: u64, _length: u64) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn write_zeroes(&self, _offset: u64, _length: u64) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn sync(&self) -> Result<(), BlockError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), BlockError> {
        self.closed.set(true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_executor::block_on;
    use proptest::prelude::*;

    use super::*;

    /// The file of an image of these pages, whatever they are.
    fn file(size: u64, count: u32, pages: &[(u64, u8)]) -> Vec<u8> {
        let mut rest = (PAGE as u32).to_le_bytes().to_vec();
        rest.extend(size.to_le_bytes());
        rest.extend(count.to_le_bytes());
        rest.extend(pages.iter().flat_map(|(page, _)| page.to_le_bytes()));
        rest.extend(pages.iter().flat_map(|&(_, byte)| [byte; PAGE]));
        let mut file = b"QWSI\x01\0\0\0".to_vec();
        file.extend(crc32fast::hash(&rest).to_le_bytes());
        file.extend(rest);
        file
    }

    fn image(size: u64, pages: &[(u64, u8)]) -> Result<SparseBlockDevice, NotSparse> {
        SparseBlockDevice::open("disk", &file(size, pages.len() as u32, pages))
    }

    proptest! {
        #[test]
        fn reads_are_those_of_the_whole_image(
            pages in proptest::collection::btree_map(0_u64..20, any::<u8>(), 0..10),
            reads in proptest::collection::vec((0_u64..160, 0_u64..40), 1..20),
        ) {
            let size = 20 * PAGE_BYTES;
            let whole: Vec<u8> = (0..20).flat_map(|page| [*pages.get(&page).unwrap_or(&0); PAGE]).collect();
            let pages: Vec<_> = pages.into_iter().collect();
            let image = image(size, &pages).unwrap();
            prop_assert_eq!((image.size(), image.readonly()), (size, true));
            for (sector, count) in reads {
                let (offset, length) = (sector * 512, count * 512);
                let mut bytes = vec![0xee; length as usize];
                let result = block_on(image.read(offset, &mut bytes));
                match whole.get(offset as usize..(offset + length) as usize) {
                    Some(expected) => prop_assert!(result.is_ok() && bytes == expected),
                    None => prop_assert!(result.is_err()),
                }
            }
        }

        #[test]
        fn damage_is_noticed(at: prop::sample::Index, bit in 0..8_u8, cut: prop::sample::Index) {
            let file = file(1 << 20, 2, &[(3, 1), (9, 2)]);
            let mut damaged = file.clone();
            damaged[at.index(file.len())] ^= 1 << bit;
            prop_assert!(SparseBlockDevice::open("disk", &damaged).is_err());
            prop_assert!(SparseBlockDevice::open("disk", &file[..cut.index(file.len())]).is_err());
        }

        /// A checksum that fits makes nothing true.
        #[test]
        fn any_bytes_are_survived(
            size: u64,
            count: u32,
            pages in proptest::collection::vec((prop_oneof![0_u64..9, any::<u64>()], any::<u8>()), 0..4),
            is_counted: bool,
        ) {
            let count = if is_counted { pages.len() as u32 } else { count };
            let opened = SparseBlockDevice::open("disk", &file(size & !4095, count, &pages));
            if let Ok(image) = opened {
                let sorted: BTreeMap<_, _> = pages.iter().copied().collect();
                prop_assert!(pages.iter().copied().eq(sorted));
                prop_assert!(pages.iter().all(|(page, _)| page * PAGE_BYTES < image.size()));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let says = |size, count, pages: &[_]| {
            SparseBlockDevice::open("home", &file(size, count, pages))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            says(8192, u32::MAX, &[]),
            "home is damaged: expected 4294967295 pages, found 0 bytes for them"
        );
        for pages in [
            &[(2, 1)][..],
            &[(1, 1), (0, 1)],
            &[(1, 1), (1, 1)],
            &[(u64::MAX, 1)],
        ] {
            let said = says(8192, pages.len() as u32, pages);
            assert_eq!(
                said,
                "home is damaged: expected pages in their order on the disk, found others on a disk of 8192 bytes"
            );
        }
        assert!(says(100, 0, &[]).ends_with("found pages of 4096 bytes on a disk of 100"));
        let error = SparseBlockDevice::open("home", b"QFI\xfb").unwrap_err();
        assert_eq!(error.expected, "QWSI");
    }

    #[test]
    fn nothing_is_written_and_nothing_read_after_the_end() {
        let image = image(8192, &[(1, 7)]).unwrap();
        let refused = Err(BlockError::ReadOnly { id: "disk".into() });
        assert_eq!(block_on(image.write(0, &[0; 512])), refused);
        assert_eq!(block_on(image.discard(0, 512)), refused);
        assert_eq!(block_on(image.write_zeroes(0, 512)), refused);
        assert_eq!(block_on(image.sync()), Ok(()));
        block_on(image.close()).unwrap();
        let closed = Err(BlockError::Closed { id: "disk".into() });
        assert_eq!(block_on(image.read(0, &mut [0; 512])), closed);
    }
}
