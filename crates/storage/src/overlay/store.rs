//! What an overlay needs of a database.

use async_trait::async_trait;

use crate::device::BlockError;

/// What one transaction changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The disk's new header.
    pub header: Option<Vec<u8>>,
    /// New records of blocks.
    pub puts: Vec<(u64, Vec<u8>)>,
    /// Blocks whose records go.
    pub deletes: Vec<u64>,
    /// A record at the journal's end, with its number.
    pub journal: Option<(u64, Vec<u8>)>,
    /// The journal's records up to and with this number go.
    pub trim: Option<u64>,
}

/// All of a disk that is kept, as it is found when the disk is opened.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The disk's header, once there is one.
    pub header: Option<Vec<u8>>,
    /// The blocks that have records, in order.
    pub blocks: Vec<u64>,
    /// The journal's records with their numbers, in order.
    pub journal: Vec<(u64, Vec<u8>)>,
}

/// A disk's place in a database. Only one overlay uses it.
#[async_trait(?Send)]
pub trait Blocks {
    /// What the disk is known by, in errors.
    fn id(&self) -> &str;

    /// All that is kept but for the blocks' records.
    ///
    /// # Errors
    /// [`BlockError`].
    async fn open(&self) -> Result<Kept, BlockError>;

    /// The record of a block.
    ///
    /// # Errors
    /// [`BlockError`].
    async fn get(&self, block: u64) -> Result<Option<Vec<u8>>, BlockError>;

    /// Makes all changes of `batch`, or none. Returns once they would survive a loss of power.
    ///
    /// # Errors
    /// [`BlockError::NoSpace`] and others; then nothing has changed.
    async fn commit(&self, batch: Batch) -> Result<(), BlockError>;

    /// Lets go of the disk.
    fn close(&self);
}
