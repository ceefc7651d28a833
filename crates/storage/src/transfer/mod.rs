//! Disks that leave the browser and come back: what exports and imports share.
//!
//! An export reads a disk in order and appends to a [`Sink`]; an import reads an [`image::Source`](crate::image::Source) or a
//! [`BlockDevice`](crate::device::BlockDevice). At any time there are in memory two windows of 1 MiB, or of a cluster if that
//! is larger, what comes of one of them, and what was not yet written of it, besides
//!
//! - for qcow2, an L2 table, two blocks of reference counts, and the L1 table, twice as it is written: 8 bytes for every
//!   512 MiB of the disk with clusters of 64 KiB, and 16 MiB at most;
//! - for imports, the records of a transaction, 8 MiB;
//! - for exports of overlays, 8 bytes for each block of 256 KiB that has changed.
//!
//! That is less than 48 MiB for the largest clusters and tables, and less than 16 MiB for disks as there are. What the devices
//! keep comes on top, and is theirs to bound.
//!
//! Both tell a [`Watch`] how far they are, which may end them; to drop the future ends them as well. What an export had
//! written by then is no image, and an import has changed nothing that anybody sees.
//!
//! | what | module |
//! |---|---|
//! | the changes of a disk alone | [`crate::overlay_file`] |
//! | a disk and all that it lies over, raw | [`image`] |
//! | the same as qcow2 | [`crate::qcow2`] |
//! | an image into a new disk | [`image`] |

mod arrival;
pub mod image;
mod output;
mod runs;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use async_trait::async_trait;

pub(crate) use arrival::Arrival;
pub(crate) use output::Output;
pub(crate) use runs::{Run, Target, copy, is_zero};

use crate::device::BlockError;

/// Bytes that are read at once.
pub(crate) const WINDOW: u64 = 1 << 20;

/// Where an export goes: a file that is made, or a stream. Bytes come in order.
#[async_trait(?Send)]
pub trait Sink {
    /// Appends `bytes`. Returns once more may come.
    ///
    /// # Errors
    /// What the browser says.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// Appends `length` zeroes. A file need not give them room.
    ///
    /// # Errors
    /// As for [`Self::write`].
    async fn write_zeroes(&mut self, length: u64) -> Result<(), String> {
        let zeroes = [0; 64 << 10];
        let mut rest = length;
        while rest > 0 {
            let count = rest.min(zeroes.len() as u64);
            self.write(&zeroes[..count as usize]).await?;
            rest -= count;
        }
        Ok(())
    }

    /// Writes `head` over the file's first bytes, which were zeroes so far. Only exports as qcow2 do so, as the last thing:
    /// their header says where the tables are that follow the data, and without it no file is taken for an image.
    ///
    /// # Errors
    /// As for [`Self::write`]; for streams, that there is no way back.
    async fn write_head(&mut self, head: &[u8]) -> Result<(), String>;
}

/// A file in memory.
#[async_trait(?Send)]
impl Sink for Vec<u8> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    async fn write_head(&mut self, head: &[u8]) -> Result<(), String> {
        let place = self.get_mut(..head.len()).ok_or("the file is too short")?;
        place.copy_from_slice(head);
        Ok(())
    }
}

/// How far an export or import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done: of the disk for exports and for imports of images, of the file and its check for overlays.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Is told of progress, after each window, and says whether to go on. A closure is one.
///
/// Nothing else may wait for a long time where data is at hand at once: who is to be cancelled by an event, and lives on the
/// same thread, has to give it a turn here.
#[async_trait(?Send)]
pub trait Watch {
    /// Whether to go on.
    async fn report(&mut self, progress: Progress) -> ControlFlow<()>;
}

#[async_trait(?Send)]
impl<F: FnMut(Progress) -> ControlFlow<()>> Watch for F {
    async fn report(&mut self, progress: Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// Tells `watch`.
pub(crate) async fn report(watch: &mut dyn Watch, done: u64, total: u64) -> Result<(), TransferError> {
    match watch.report(Progress { done, total }).await {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TransferError::Cancelled),
    }
}

/// Why an export or import came to nothing. Each says what to do next in [`TransferError::next_step`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// A disk or an image failed.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The file could not be written.
    #[error("the export could not be written: {reason}")]
    Sink {
        /// What the browser says.
        reason: String,
    },
    /// Somebody has cancelled it.
    #[error("the transfer was cancelled")]
    Cancelled,
    /// The disk was written to while it was exported.
    #[error("{id} was written to while it was exported")]
    Changed {
        /// The disk.
        id: String,
    },
    /// The disk is too large for the format.
    #[error("expected at most {most} bytes for clusters of {cluster}, found a disk of {size}")]
    TooLarge {
        /// The disk's size in bytes.
        size: u64,
        /// The size of the clusters that were asked for, in bytes.
        cluster: u64,
        /// What would fit, in bytes.
        most: u64,
    },
    /// A file is not what an export makes, or is damaged or cut.
    #[error("at byte {at}: expected {expected}, found {found}")]
    Malformed {
        /// Where in the file.
        at: u64,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// The changes belong to another base.
    #[error("the file's changes belong to {expected}, and the disk lies over {found}")]
    WrongBase {
        /// What the base of the file is known by.
        expected: String,
        /// What the disk's base is known by.
        found: String,
    },
    /// There is a disk already where the import was to go.
    #[error("{id} exists already")]
    Occupied {
        /// The disk.
        id: String,
    },
}

impl TransferError {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Block(error) => error.next_step(),
            Self::Sink { .. } => "Check that there is room where the file goes, and export again.",
            Self::Cancelled => "Nothing has changed: begin again whenever you like.",
            Self::Changed { .. } => "Pause or stop the VM, and export again.",
            Self::TooLarge { .. } => "Choose larger clusters, or export a raw image.",
            Self::Malformed { .. } => "Get the file again, or export it again; nothing was imported.",
            Self::WrongBase { .. } => "Choose the image that the changes were made on; nothing was imported.",
            Self::Occupied { .. } => "Import into a new disk.",
        }
    }

    pub(crate) fn malformed(at: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Malformed {
            at,
            expected: expected.into(),
            found: found.into(),
        }
    }
}
