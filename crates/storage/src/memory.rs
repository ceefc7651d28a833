//! A disk in memory, gone with its page: for scratch disks, and for tests.

use std::cell::{Cell, RefCell};

use async_trait::async_trait;

use crate::device::{BlockDevice, BlockError, SECTOR, span};

/// A disk in memory.
#[derive(Debug)]
pub struct MemoryBlockDevice {
    id: String,
    readonly: bool,
    bytes: RefCell<Vec<u8>>,
    closed: Cell<bool>,
}

impl MemoryBlockDevice {
    /// An empty disk of `size` bytes, rounded up to whole sectors.
    pub fn new(id: impl Into<String>, size: usize) -> Self {
        Self::with_bytes(id, vec![0; size], false)
    }

    /// A disk with `bytes` in it, filled up with zeroes to whole sectors.
    pub fn with_bytes(id: impl Into<String>, mut bytes: Vec<u8>, readonly: bool) -> Self {
        bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
        Self {
            id: id.into(),
            readonly,
            bytes: RefCell::new(bytes),
            closed: Cell::new(false),
        }
    }

    /// The place of a request in memory.
    fn place(&self, offset: u64, length: u64) -> Result<std::ops::Range<usize>, BlockError> {
        if self.closed.get() {
            return Err(BlockError::Closed { id: self.id.clone() });
        }
        let length = span(self, offset, length)?;
        // The whole disk is in memory, so its offsets fit.
        let offset = offset as usize;
        Ok(offset..offset + length)
    }

    fn change(&self, offset: u64, length: u64, how: impl FnOnce(&mut [u8])) -> Result<(), BlockError> {
        let place = self.place(offset, length)?;
        if self.readonly {
            return Err(BlockError::ReadOnly { id: self.id.clone() });
        }
        how(&mut self.bytes.borrow_mut()[place]);
        Ok(())
    }
}

#[async_trait(?Send)]
impl BlockDevice for MemoryBlockDevice {
    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn block_size(&self) -> u32 {
        4096
    }

    fn readonly(&self) -> bool {
        self.readonly
    }

    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        let place = self.place(offset, target.len() as u64)?;
        target.copy_from_slice(&self.bytes.borrow()[place]);
        Ok(())
    }

    async fn write(&self, offset: u64, source: &[u8]) -> Result<(), BlockError> {
        self.change(offset, source.len() as u64, |bytes| bytes.copy_from_slice(source))
    }

    async fn discard(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        self.write_zeroes(offset, length).await
    }

    async fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        self.change(offset, length, |bytes| bytes.fill(0))
    }

    async fn sync(&self) -> Result<(), BlockError> {
        self.place(0, 0).map(drop)
    }

    async fn grow(&self, size: u64) -> Result<(), BlockError> {
        let place = self.place(0, self.size())?;
        let wanted = usize::try_from(size).unwrap_or(usize::MAX);
        if self.readonly {
            return Err(BlockError::ReadOnly { id: self.id.clone() });
        }
        if wanted < place.end {
            return Err(BlockError::Shrunk {
                id: self.id.clone(),
                size: place.end as u64,
                wanted: size,
            });
        }
        let no_space = |reason: String| BlockError::NoSpace {
            id: self.id.clone(),
            reason,
        };
        let mut bytes = self.bytes.borrow_mut();
        bytes
            .try_reserve_exact((wanted - place.end).saturating_add(SECTOR as usize))
            .map_err(|error| no_space(error.to_string()))?;
        bytes.resize(wanted.next_multiple_of(SECTOR as usize), 0);
        Ok(())
    }

    async fn close(&self) -> Result<(), BlockError> {
        self.closed.set(true);
        *self.bytes.borrow_mut() = Vec::new();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn keeps_what_is_written() {
        let disk = MemoryBlockDevice::new("scratch", 10_000);
        block_on(async {
            assert_eq!((disk.size(), disk.id()), (10_240, "scratch"));
            disk.write_blocks(1, &[7; 512]).await.unwrap();
            let blocks = disk.read_blocks(1, 9).await.unwrap();
            assert_eq!((blocks.len(), blocks[511], blocks[512]), (6144, 7, 0));
            disk.discard(4096, 512).await.unwrap();
            assert_eq!(disk.read_blocks(1, 1).await.unwrap(), [0; 4096]);
            disk.grow(20_000).await.unwrap();
            assert_eq!(disk.size(), 20_480);
            disk.sync().await.unwrap();
        });
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let full = MemoryBlockDevice::with_bytes("image", vec![1; 1024], true);
        let open = MemoryBlockDevice::new("scratch", 1024);
        let mut sector = [0; 512];
        block_on(async {
            for (offset, length) in [(1024, 512), (u64::MAX - 511, 512), (512, 1024)] {
                let error = open.discard(offset, length).await.unwrap_err();
                assert!(matches!(error, BlockError::OutOfRange { .. }), "{error}");
            }
            assert!(matches!(
                open.read(1, &mut sector).await,
                Err(BlockError::Misaligned { .. })
            ));
            assert!(matches!(
                open.read_blocks(u64::MAX, 1).await,
                Err(BlockError::OutOfRange { .. })
            ));
            assert!(matches!(
                full.write(0, &sector).await,
                Err(BlockError::ReadOnly { .. })
            ));
            assert!(matches!(full.grow(4096).await, Err(BlockError::ReadOnly { .. })));
            assert!(matches!(open.grow(512).await, Err(BlockError::Shrunk { .. })));
            assert!(matches!(
                open.grow(u64::MAX).await,
                Err(BlockError::NoSpace { .. })
            ));
            open.close().await.unwrap();
            assert!(matches!(open.sync().await, Err(BlockError::Closed { .. })));
            assert!(matches!(
                open.read(0, &mut sector).await,
                Err(BlockError::Closed { .. })
            ));
        });
    }
}
