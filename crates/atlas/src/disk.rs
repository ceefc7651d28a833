//! A stored file as a disk, for guests and for those who read images.

use std::cell::Cell;

use async_trait::async_trait;
use qemuweb_storage::device::{BlockDevice, BlockError, Extent, SECTOR, check};

use crate::error::{AtlasError, Damage};
use crate::hash::{ContentHash, from_hex};
use crate::manifest::CHUNK;
use crate::store::FileReader;

/// The SHA-256 of 4 MiB of zeroes.
const ZEROES: &str = "bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8";

/// A read-only disk that is a stored file; its last sector is filled up with zeroes. Whatever becomes of the file, its content
/// is there until the disk is dropped. Each chunk is checked when it is read; chunks of zeroes are known to be zero without.
pub struct AtlasBlockDevice {
    reader: FileReader,
    zeroes: Option<ContentHash>,
    closed: Cell<bool>,
}

impl AtlasBlockDevice {
    /// The disk that is read by `reader`.
    pub fn new(reader: FileReader) -> Self {
        Self {
            reader,
            zeroes: from_hex(ZEROES).map(ContentHash::from_bytes),
            closed: Cell::new(false),
        }
    }

    /// What tells this image from any other: its manifest's hash.
    pub fn identity(&self) -> String {
        self.reader.manifest_hash().to_string()
    }

    fn check(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        if self.closed.get() {
            return Err(BlockError::Closed { id: self.id().into() });
        }
        check(self, offset, length)
    }

    fn refuse(&self) -> BlockError {
        BlockError::ReadOnly { id: self.id().into() }
    }
}

#[async_trait(?Send)]
impl BlockDevice for AtlasBlockDevice {
    fn id(&self) -> &str {
        self.reader.name()
    }

    fn size(&self) -> u64 {
        self.reader.size().next_multiple_of(SECTOR)
    }

    fn block_size(&self) -> u32 {
        CHUNK as u32
    }

    fn readonly(&self) -> bool {
        true
    }

    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        let length = target.len() as u64;
        self.check(offset, length)?;
        let inside = self.reader.size().saturating_sub(offset).min(length);
        let (inside, beyond) = target.split_at_mut(inside as usize);
        beyond.fill(0);
        if inside.is_empty() {
            return Ok(());
        }
        let read = self.reader.read(offset, inside).await;
        read.map_err(|error| failed(self.id(), offset, length, error))
    }

    async fn write(&self, _: u64, _: &[u8]) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn discard(&self, _: u64, _: u64) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn write_zeroes(&self, _: u64, _: u64) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn sync(&self) -> Result<(), BlockError> {
        self.check(0, 0)
    }

    async fn close(&self) -> Result<(), BlockError> {
        self.check(0, 0)?;
        self.closed.set(true);
        Ok(())
    }

    async fn block_status(&self, offset: u64, length: u64) -> Result<Extent, BlockError> {
        self.check(offset, length)?;
        let chunks = &self.reader.manifest().chunks;
        let first = (offset / CHUNK as u64) as usize;
        let is_zero = |index: usize| chunks.get(index).map(|chunk| Some(chunk.hash)) == Some(self.zeroes);
        let zero = is_zero(first);
        let more = (first + 1..chunks.len()).take_while(|index| is_zero(*index) == zero);
        let end = (first + 1 + more.count()) as u64 * CHUNK as u64;
        Ok(Extent {
            length: length.min(end - offset),
            zero,
        })
    }
}

fn failed(id: &str, offset: u64, length: u64, error: AtlasError) -> BlockError {
    match error {
        AtlasError::Damaged(Damage { expected, found, .. }) => BlockError::Changed {
            id: id.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        },
        other => BlockError::Unreadable {
            id: id.into(),
            offset,
            length,
            reason: other.to_string(),
        },
    }
}
