//! A read-only disk over a source that is slow to answer: a file, or a server.

mod ahead;
mod cache;

use std::cell::Cell;

use async_trait::async_trait;

use crate::device::{BlockDevice, BlockError, SECTOR, SharedRuntime, span};
use cache::Cache;

/// Where an image's bytes come from.
#[async_trait(?Send)]
pub trait Source {
    /// Exactly `length` bytes at `offset`, which lie within the image.
    ///
    /// # Errors
    /// [`BlockError`] when they cannot be had, or are another image's.
    async fn fetch(&self, offset: u64, length: usize) -> Result<Vec<u8>, BlockError>;
}

/// A file that is in memory.
#[async_trait(?Send)]
impl Source for Vec<u8> {
    async fn fetch(&self, offset: u64, length: usize) -> Result<Vec<u8>, BlockError> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..start.checked_add(length)?));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| BlockError::OutOfRange {
            id: "memory".into(),
            offset,
            length: length as u64,
            size: self.len() as u64,
        })
    }
}

/// How a source is best read.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// What is fetched at least and kept as one, in bytes: a power of two.
    pub page: u32,
    /// Most bytes of a fetch.
    pub longest: u32,
    /// Most bytes that are fetched ahead of a sequential reader.
    pub ahead: u32,
    /// Of what was fetched ahead, as many bytes may be unread as there are in this.
    pub spare: u64,
    /// And as many as what was read, divided by this.
    pub spare_share: u64,
    /// Most bytes that are kept.
    pub kept: u32,
    /// Most fetches at the same time.
    pub in_flight: usize,
}

/// A read-only disk over a [`Source`]. What is read comes in pages, which are kept; who reads in sequence is read ahead of.
pub struct ImageBlockDevice<S> {
    id: String,
    identity: String,
    size: u64,
    policy: Policy,
    cache: Cache<S>,
    closed: Cell<bool>,
}

impl<S: Source + 'static> ImageBlockDevice<S> {
    /// A disk over `source`, which has `size` bytes and is known by `identity`; its last sector is filled up with zeroes.
    pub fn new(
        id: impl Into<String>,
        identity: impl Into<String>,
        size: u64,
        source: S,
        policy: Policy,
        runtime: SharedRuntime,
    ) -> Self {
        Self {
            id: id.into(),
            identity: identity.into(),
            size,
            policy,
            cache: Cache::new(source, size, policy, runtime),
            closed: Cell::new(false),
        }
    }

    /// Keeps `bytes`, the image's first, as if they had been read.
    pub(crate) fn keep(&self, bytes: &[u8]) {
        self.cache.keep(bytes);
    }

    /// How many bytes were fetched so far, those included that nobody has read.
    pub fn fetched(&self) -> u64 {
        self.cache.fetched()
    }

    /// What tells this image from what may be in its place another time.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Its length in bytes, which may be no multiple of a sector's.
    pub fn length(&self) -> u64 {
        self.size
    }

    fn refuse(&self) -> BlockError {
        BlockError::ReadOnly { id: self.id.clone() }
    }
}

#[async_trait(?Send)]
impl<S: Source + 'static> BlockDevice for ImageBlockDevice<S> {
    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> u64 {
        self.size.div_ceil(SECTOR).saturating_mul(SECTOR)
    }

    fn block_size(&self) -> u32 {
        self.policy.page
    }

    fn readonly(&self) -> bool {
        true
    }

    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        span(self, offset, target.len() as u64)?;
        if self.closed.get() {
            return Err(BlockError::Closed { id: self.id.clone() });
        }
        let inside = self.size.saturating_sub(offset).min(target.len() as u64);
        let (inside, beyond) = target.split_at_mut(inside as usize);
        beyond.fill(0);
        self.cache.read(offset, inside).await
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
        self.cache.clear();
        Ok(())
    }
}
