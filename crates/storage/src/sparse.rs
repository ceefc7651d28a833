//! A sparse image: the pages of a disk that are not all zero, for an image that comes in the package and is small there.
//!
//! | offset | field (little-endian) |
//! |--:|---|
//! | 0 | magic `QWSPARSE` |
//! | 8 | version, 1 (4 bytes) |
//! | 12 | number of pages (4 bytes) |
//! | 16 | the disk's size in bytes (8 bytes) |
//! | 24 | for each page its offset on the disk (8 bytes), in rising order |
//! | | the pages, of 4096 bytes each, in the same order |

const MAGIC: &[u8; 8] = b"QWSPARSE";
const VERSION: u32 = 1;
const HEAD: usize = 24;
/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Why a file is no sparse image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} in a sparse image, found {found}")]
pub struct NoSparseImage {
    expected: String,
    found: String,
}

/// A sparse image.
#[derive(Clone, Debug)]
pub struct SparseImage<'a> {
    size: u64,
    offsets: &'a [u8],
    pages: &'a [u8],
}

impl<'a> SparseImage<'a> {
    /// The image in `bytes`.
    ///
    /// # Errors
    /// [`NoSparseImage`] when it is none, or a part of one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoSparseImage> {
        let wrong = |expected: &str, found: String| NoSparseImage {
            expected: expected.into(),
            found,
        };
        let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
            return Err(wrong("a header", format!("{} bytes", bytes.len())));
        };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if !head.starts_with(MAGIC) || word(8) != VERSION {
            return Err(wrong("its magic and version 1", format!("{:?}", &head[..12])));
        }
        let count = word(12) as usize;
        let size = long(&head[16..]);
        let entry = size_of::<u64>() + PAGE;
        if count.checked_mul(entry) != Some(rest.len()) {
            return Err(wrong(&format!("{count} pages"), format!("{} bytes", rest.len())));
        }
        let (offsets, pages) = rest.split_at(count * size_of::<u64>());
        let image = Self { size, offsets, pages };
        let mut end = 0;
        for (offset, _) in image.pages() {
            let is_page = offset.is_multiple_of(PAGE as u64) && offset >= end;
            match offset.checked_add(PAGE as u64) {
                Some(next) if is_page && next <= size => end = next,
                _ => {
                    return Err(wrong(
                        &format!("a page from {end} on within {size} bytes"),
                        format!("one at {offset}"),
                    ));
                }
            }
        }
        Ok(image)
    }

    /// The disk's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The pages with their offsets.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let offsets = self.offsets.chunks_exact(size_of::<u64>()).map(long);
        offsets.zip(self.pages.chunks_exact(PAGE))
    }
}

fn long(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
