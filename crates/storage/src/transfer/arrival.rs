//! A disk that comes into a store whole or not at all.
//!
//! Its blocks come first, in transactions of about 8 MiB, and its header with the last of them. Blocks without a header are no
//! disk: they are not listed, they cannot be opened, and the next import to the same place removes them. To replace a disk, a
//! new one is made, and the VM is told its name once it is there.

use super::TransferError;
use crate::overlay::record::{Header, Piece};
use crate::overlay::store::{Batch, Blocks, Kept};

/// About as many bytes go into one transaction.
const BATCH: usize = 8 << 20;
/// Most blocks in one transaction.
const MOST_BLOCKS: usize = 4096;

/// A disk on its way into a store.
pub(crate) struct Arrival<'a> {
    store: &'a dyn Blocks,
    batch: Batch,
    bytes: usize,
}

impl<'a> Arrival<'a> {
    /// Begins a disk in an empty store, after removing what an import that was cut short has left there.
    pub(crate) async fn begin(store: &'a dyn Blocks) -> Result<Self, TransferError> {
        let Kept {
            header,
            blocks,
            journal,
        } = store.open().await?;
        // Nothing but an import leaves blocks without a header, and none leaves a journal.
        if header.is_some() || !journal.is_empty() {
            return Err(TransferError::Occupied {
                id: store.id().into(),
            });
        }
        for blocks in blocks.chunks(MOST_BLOCKS) {
            let batch = Batch {
                deletes: blocks.to_vec(),
                ..Batch::default()
            };
            store.commit(batch).await?;
        }
        Ok(Self {
            store,
            batch: Batch::default(),
            bytes: 0,
        })
    }

    /// Adds a block that was not added before.
    pub(crate) async fn put(&mut self, block: u64, piece: &Piece) -> Result<(), TransferError> {
        let record = piece.encode();
        self.bytes += record.len();
        self.batch.puts.push((block, record));
        if self.bytes >= BATCH || self.batch.puts.len() >= MOST_BLOCKS {
            self.bytes = 0;
            self.store.commit(std::mem::take(&mut self.batch)).await?;
        }
        Ok(())
    }

    /// Makes all that was added a disk.
    pub(crate) async fn finish(mut self, header: &Header) -> Result<(), TransferError> {
        self.batch.header = Some(header.encode());
        Ok(self.store.commit(self.batch).await?)
    }
}
