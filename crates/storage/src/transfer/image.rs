//! A disk as a raw image, and any image as a new disk.

use async_trait::async_trait;

use super::{Arrival, Output, Run, Sink, Target, TransferError, Watch, copy, is_zero};
use crate::device::BlockDevice;
use crate::overlay::record::{BLOCK, Header, PAGE, Piece};
use crate::overlay::store::Blocks;

/// Zeroes are told to a sink from so many bytes on.
const GRAIN: u64 = 64 << 10;

/// Writes all that `device` holds to `sink`, byte by byte, and returns how many bytes that were. Zeroes of 64 KiB and more,
/// wherever they begin at a multiple of that, are given as such.
///
/// Nobody should write to the device meanwhile: what changes may be in the image or not.
///
/// # Errors
/// [`TransferError`]; what was written is then of no use.
pub async fn export_raw(
    device: &dyn BlockDevice,
    sink: &mut dyn Sink,
    watch: &mut dyn Watch,
) -> Result<u64, TransferError> {
    let mut raw = Raw {
        output: Output::new(sink),
        zeroes: 0,
    };
    copy(device, GRAIN, &mut raw, watch).await?;
    raw.put_zeroes().await?;
    raw.output.finish(None).await
}

struct Raw<'a> {
    output: Output<'a>,
    /// Zeroes that are not yet written.
    zeroes: u64,
}

impl Raw<'_> {
    async fn put_zeroes(&mut self) -> Result<(), TransferError> {
        match std::mem::take(&mut self.zeroes) {
            0 => Ok(()),
            zeroes => self.output.write_zeroes(zeroes, 0).await,
        }
    }
}

#[async_trait(?Send)]
impl Target for Raw<'_> {
    async fn take(&mut self, run: &Run) -> Result<(), TransferError> {
        match run {
            Run::Zeroes { length, .. } => self.zeroes += length,
            Run::Data { bytes, .. } => {
                for bytes in bytes.chunks(GRAIN as usize) {
                    if is_zero(bytes) {
                        self.zeroes += bytes.len() as u64;
                    } else {
                        self.put_zeroes().await?;
                        self.output.write(bytes).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Makes a new disk in `store` of all that `image` holds, and returns its size in bytes. All of its tables are looked at before
/// anything is written, and nobody sees the disk until all of it is there.
///
/// # Errors
/// [`TransferError::Occupied`] unless the store is empty, or what an import that was cut short has left.
pub async fn import(
    image: &dyn BlockDevice,
    store: &dyn Blocks,
    watch: &mut dyn Watch,
) -> Result<u64, TransferError> {
    let size = image.size();
    let mut at = 0;
    while at < size {
        at += image.block_status(at, size - at).await?.length.max(1);
    }
    let mut arrival = Arrival::begin(store).await?;
    copy(image, BLOCK, &mut arrival, watch).await?;
    let base = String::new();
    arrival.finish(&Header { size, base }).await?;
    Ok(size)
}

#[async_trait(?Send)]
impl Target for Arrival<'_> {
    async fn take(&mut self, run: &Run) -> Result<(), TransferError> {
        if let Run::Data { offset, bytes } = run {
            for (block, bytes) in (offset / BLOCK..).zip(bytes.chunks(BLOCK as usize)) {
                let piece = piece(bytes);
                if piece.present != 0 {
                    self.put(block, &piece).await?;
                }
            }
        }
        Ok(())
    }
}

/// The pages of a block that are not zero.
fn piece(bytes: &[u8]) -> Piece {
    let mut piece = Piece::default();
    for (page, bytes) in bytes
        .chunks(PAGE)
        .enumerate()
        .filter(|(_, bytes)| !is_zero(bytes))
    {
        piece.present |= 1 << page;
        piece.data.extend_from_slice(bytes);
        // A disk may end within a page.
        piece.data.resize(piece.data.len().next_multiple_of(PAGE), 0);
    }
    piece
}
