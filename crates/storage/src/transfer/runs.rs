//! A disk read in order, in runs of data and of zeroes.

use async_trait::async_trait;
use futures_util::future::join;

use super::{TransferError, WINDOW, Watch, report};
use crate::device::{BlockDevice, BlockError};

/// A part of a disk. It begins at a multiple of the grain, and ends at one or with the disk.
#[derive(Debug)]
pub(crate) enum Run {
    /// Is known to be zero.
    Zeroes { offset: u64, length: u64 },
    /// Was read, and may be zero as well.
    Data { offset: u64, bytes: Vec<u8> },
}

impl Run {
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::Zeroes { offset, length } => offset + length,
            Self::Data { offset, bytes } => offset + bytes.len() as u64,
        }
    }
}

/// What takes a disk's runs, in order.
#[async_trait(?Send)]
pub(crate) trait Target {
    async fn take(&mut self, run: &Run) -> Result<(), TransferError>;
}

/// Gives all of `device` to `target`, reading one run while the one before is taken. `grain` is a power of two.
pub(crate) async fn copy(
    device: &dyn BlockDevice,
    grain: u64,
    target: &mut dyn Target,
    watch: &mut dyn Watch,
) -> Result<(), TransferError> {
    let mut runs = Runs {
        device,
        grain,
        at: 0,
        data: 0,
    };
    report(watch, 0, device.size()).await?;
    let mut run = runs.next().await?;
    while let Some(taken) = run {
        let (result, next) = join(target.take(&taken), runs.next()).await;
        result?;
        report(watch, taken.end(), device.size()).await?;
        run = next?;
    }
    Ok(())
}

struct Runs<'a> {
    device: &'a dyn BlockDevice,
    grain: u64,
    at: u64,
    /// Up to where there is known to be data.
    data: u64,
}

impl Runs<'_> {
    async fn next(&mut self) -> Result<Option<Run>, BlockError> {
        let (offset, size) = (self.at, self.device.size());
        if offset >= size {
            return Ok(None);
        }
        if offset >= self.data {
            let extent = self.device.block_status(offset, size - offset).await?;
            let end = offset + extent.length;
            let whole = if end >= size {
                size
            } else {
                end / self.grain * self.grain
            };
            if extent.zero && whole > offset {
                self.at = whole;
                let length = whole - offset;
                return Ok(Some(Run::Zeroes { offset, length }));
            }
            self.data = match extent.zero {
                true => offset + self.grain,
                false => end.max(offset + 1).next_multiple_of(self.grain),
            };
        }
        let end = (offset + WINDOW.max(self.grain)).min(self.data).min(size);
        let mut bytes = vec![0; (end - offset) as usize];
        self.device.read(offset, &mut bytes).await?;
        self.at = end;
        Ok(Some(Run::Data { offset, bytes }))
    }
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(512)
        .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}
