//! A disk that can be written over a base that cannot: what was changed comes from the overlay, all else from the base.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use async_trait::async_trait;
use futures_util::future::try_join_all;

use crate::device::{
    BlockDevice, BlockError, Extent, SECTOR, SharedRuntime, check, read_beneath, status_beneath,
};
use crate::overlay::record::{BLOCK, PAGE};
use crate::overlay::store::Blocks;
use crate::overlay::{Limits, Looked, Overlay, Record, block_of};

/// Requests are served in pieces of at most so many bytes, so that what they need fits into memory.
const WINDOW: u64 = 1 << 20;
const PAGE_BYTES: u64 = PAGE as u64;
/// Most bytes whose status is looked at in one go.
const STATUS: u64 = 1 << 30;

/// What a disk lies over.
pub struct Base {
    /// The image.
    pub device: Rc<dyn BlockDevice>,
    /// What it is known by, wherever it comes from: an overlay belongs to one base only.
    pub identity: String,
}

/// A disk that can be written, over a base that cannot, or over nothing.
pub struct CowBlockDevice<B> {
    base: Option<Rc<dyn BlockDevice>>,
    overlay: Overlay<B>,
    closed: Cell<bool>,
}

impl<B: Blocks + 'static> CowBlockDevice<B> {
    /// The disk whose changes are kept in `store`, of the size that it had last, and of `size` bytes and as many as the base has
    /// at least.
    ///
    /// # Errors
    /// [`BlockError::Changed`] when the changes belong to another base, [`BlockError::Foreign`], [`BlockError::Store`].
    pub async fn open(
        base: Option<Base>,
        store: B,
        size: u64,
        limits: Limits,
        runtime: SharedRuntime,
    ) -> Result<Self, BlockError> {
        let under = base.as_ref().map_or(0, |base| base.device.size());
        let identity = base.as_ref().map_or("", |base| base.identity.as_str());
        let size = size.max(under).next_multiple_of(SECTOR);
        let pages = under.div_ceil(PAGE_BYTES);
        let overlay = Overlay::open(store, size, identity, pages, limits, runtime).await?;
        Ok(Self {
            base: base.map(|base| base.device),
            overlay,
            closed: Cell::new(false),
        })
    }

    /// Whether nothing was kept of it before it was opened.
    pub fn is_new(&self) -> bool {
        self.overlay.is_new()
    }

    /// Brings up to `most` blocks of what is kept into memory, the first ones of the disk, so that who reads there soon does not
    /// wait for the database. What fails, fails again when it is read.
    pub async fn preload(&self, most: usize) {
        self.overlay.preload(most).await;
    }

    /// About how many bytes of changes are kept, and how many wait to be.
    pub fn usage(&self) -> (u64, u64) {
        self.overlay.usage()
    }

    /// What was changed of the disk.
    pub(crate) fn overlay(&self) -> &Overlay<B> {
        &self.overlay
    }

    fn place(&self, offset: u64, length: u64) -> Result<Range<u64>, BlockError> {
        if self.closed.get() {
            return Err(BlockError::Closed { id: self.id().into() });
        }
        check(self, offset, length)?;
        Ok(offset..offset + length)
    }

    /// Reads `range`, which is no longer than a window.
    async fn read_window(&self, range: Range<u64>, target: &mut [u8]) -> Result<(), BlockError> {
        let mut records = HashMap::new();
        let beneath = loop {
            let unread = match self.copy(&range, target, &records) {
                Ok(beneath) => break beneath,
                Err(unread) => unread,
            };
            let loads = unread.iter().map(|&block| self.overlay.load(block));
            let loaded = try_join_all(loads).await?;
            records.extend(unread.into_iter().zip(loaded));
        };
        let Some(base) = &self.base else {
            beneath.iter().for_each(|run| target[run.clone()].fill(0));
            return Ok(());
        };
        let (mut reads, mut rest, mut at) = (Vec::new(), target, 0);
        for run in beneath {
            let (_, from) = rest.split_at_mut(run.start - at);
            let (place, after) = from.split_at_mut(run.len());
            reads.push(read_beneath(base.as_ref(), range.start + run.start as u64, place));
            (rest, at) = (after, run.end);
        }
        try_join_all(reads).await.map(drop)
    }

    /// Copies what the overlay has of `range` into `target`, and returns which parts of it are the base's. `records` are those
    /// that were read for this, and may be gone from memory again.
    ///
    /// # Errors
    /// The blocks whose records have to be read first.
    fn copy(
        &self,
        range: &Range<u64>,
        target: &mut [u8],
        records: &HashMap<u64, Record>,
    ) -> Result<Vec<Range<usize>>, Vec<u64>> {
        let mut beneath: Vec<Range<usize>> = Vec::new();
        let mut unread = Vec::new();
        for page in pages(range) {
            let (at, part) = part(range, page);
            let place = at..at + part.len();
            let (block, number) = block_of(page);
            let mut looked = self.overlay.look(page);
            if looked == Looked::Unread {
                // What was changed since a record was written is in memory; once the next one is written, it need not be.
                let record = records
                    .get(&block)
                    .filter(|record| self.overlay.is_newest(block, record));
                let Some((_, record)) = record else {
                    unread.push(block);
                    continue;
                };
                looked = match record.page(number) {
                    Some(bytes) => Looked::Data(bytes.into()),
                    None if record.zero & (1 << number) != 0 => Looked::Zero,
                    None => Looked::Base,
                };
            }
            match looked {
                Looked::Data(bytes) => target[place].copy_from_slice(&bytes[part]),
                Looked::Zero => target[place].fill(0),
                _ => match beneath.last_mut() {
                    Some(last) if last.end == place.start => last.end = place.end,
                    _ => beneath.push(place),
                },
            }
        }
        unread.dedup();
        if unread.is_empty() {
            Ok(beneath)
        } else {
            Err(unread)
        }
    }

    /// Changes a part of a page. Between the last look at it and the change nothing is waited for, so that no other change of
    /// the page is lost.
    async fn patch(&self, page: u64, part: Range<usize>, bytes: &[u8]) -> Result<(), BlockError> {
        let _pinned = self.overlay.pin(block_of(page).0);
        let mut beneath: Option<Vec<u8>> = None;
        loop {
            if self.overlay.patch(page, part.start, bytes) {
                return Ok(());
            }
            match (self.overlay.look(page), beneath.take()) {
                (Looked::Base, Some(mut whole)) => {
                    <[u8]>::copy_from_slice(&mut whole[part], bytes);
                    self.overlay.set(page, &whole);
                    return Ok(());
                }
                (Looked::Base, None) => {
                    let mut whole = vec![0; PAGE];
                    if let Some(base) = &self.base {
                        read_beneath(base.as_ref(), page * PAGE_BYTES, &mut whole).await?;
                    }
                    beneath = Some(whole);
                }
                (_, _) => drop(self.overlay.load(block_of(page).0).await?),
            }
        }
    }

    async fn clear(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        let range = self.place(offset, length)?;
        let (first, end) = (range.start.next_multiple_of(PAGE_BYTES), self.whole_end(&range));
        if first >= end {
            return self.write(offset, &vec![0; length as usize]).await;
        }
        self.overlay.room().await?;
        for edge in [range.start..first, end..range.end] {
            for page in pages(&edge) {
                let (_, part) = part(&edge, page);
                self.patch(page, part.clone(), &[0; PAGE][part]).await?;
            }
        }
        self.overlay.clear(first / PAGE_BYTES, end / PAGE_BYTES);
        Ok(())
    }

    /// Where the last whole page of `range` ends. The disk's last page may be a part of one, and counts as whole.
    fn whole_end(&self, range: &Range<u64>) -> u64 {
        if range.end == self.size() {
            range.end.next_multiple_of(PAGE_BYTES)
        } else {
            range.end / PAGE_BYTES * PAGE_BYTES
        }
    }
}

/// The pages that a range of bytes touches.
fn pages(range: &Range<u64>) -> Range<u64> {
    if range.is_empty() {
        return 0..0;
    }
    range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES)
}

/// Where a page's part of a range of bytes lies in the range, and in the page.
fn part(range: &Range<u64>, page: u64) -> (usize, Range<usize>) {
    let start = page * PAGE_BYTES;
    let (from, to) = (start.max(range.start), (start + PAGE_BYTES).min(range.end));
    (
        (from - range.start) as usize,
        (from - start) as usize..(to - start) as usize,
    )
}

#[async_trait(?Send)]
impl<B: Blocks + 'static> BlockDevice for CowBlockDevice<B> {
    fn id(&self) -> &str {
        self.overlay.id()
    }

    fn size(&self) -> u64 {
        self.overlay.size()
    }

    fn block_size(&self) -> u32 {
        BLOCK as u32
    }

    fn readonly(&self) -> bool {
        false
    }

    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        let mut range = self.place(offset, target.len() as u64)?;
        for target in target.chunks_mut(WINDOW as usize) {
            let end = range.start + target.len() as u64;
            self.read_window(range.start..end, target).await?;
            range.start = end;
        }
        Ok(())
    }

    async fn write(&self, offset: u64, source: &[u8]) -> Result<(), BlockError> {
        let mut start = self.place(offset, source.len() as u64)?.start;
        for source in source.chunks(WINDOW as usize) {
            self.overlay.room().await?;
            let range = start..start + source.len() as u64;
            for page in pages(&range) {
                let (at, part) = part(&range, page);
                let bytes = &source[at..at + part.len()];
                match part.len() {
                    PAGE => self.overlay.set(page, bytes),
                    _ => self.patch(page, part, bytes).await?,
                }
            }
            self.overlay.trim();
            start = range.end;
        }
        Ok(())
    }

    async fn discard(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        self.clear(offset, length).await
    }

    async fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        self.clear(offset, length).await
    }

    async fn block_status(&self, offset: u64, length: u64) -> Result<Extent, BlockError> {
        let range = self.place(offset, length)?;
        let beneath = status_beneath(self.base.as_deref(), offset, length.min(STATUS)).await?;
        let (first, end) = (offset / BLOCK, offset + beneath.length);
        let touched = (first..end.div_ceil(BLOCK)).find(|&block| self.overlay.is_touched(block));
        Ok(match touched {
            Some(block) if block == first => Extent {
                length: range.end.min((block + 1) * BLOCK) - offset,
                zero: false,
            },
            touched => Extent {
                length: touched.map_or(end, |block| block * BLOCK) - offset,
                zero: beneath.zero,
            },
        })
    }

    async fn sync(&self) -> Result<(), BlockError> {
        self.place(0, 0)?;
        self.overlay.sync().await
    }

    async fn grow(&self, size: u64) -> Result<(), BlockError> {
        self.place(0, 0)?;
        let wanted = size.next_multiple_of(SECTOR);
        if wanted < self.size() {
            return Err(BlockError::Shrunk {
                id: self.id().into(),
                size: self.size(),
                wanted: size,
            });
        }
        self.overlay.grow(wanted).await
    }

    async fn close(&self) -> Result<(), BlockError> {
        if self.closed.replace(true) {
            return Ok(());
        }
        let synced = self.overlay.sync().await;
        if synced.is_err() {
            // What could not be kept is still there, and closing can be tried again.
            self.closed.set(false);
            return synced;
        }
        self.overlay.close().await;
        if let Some(base) = &self.base {
            base.close().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod model;
