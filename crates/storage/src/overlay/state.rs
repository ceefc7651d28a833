//! All that an overlay has in memory. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use lru::LruCache;

use super::Load;
use super::cached::{Cached, Content};
use super::record::{Entry, Header, PAGE, PAGES, Piece};

/// The block that a page belongs to, and its number there.
pub(crate) fn block_of(page: u64) -> (u64, usize) {
    (page / PAGES as u64, (page % PAGES as u64) as usize)
}

/// What a page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// These bytes.
    Data(Rc<[u8]>),
    /// Zeroes.
    Zero,
    /// What the base holds.
    Base,
    /// Its block has to be loaded first.
    Unread,
}

/// A record in the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// Which pages it has and which of them are zero, once it was read or written.
    pub(super) masks: Option<(u64, u64)>,
    /// Grows whenever a record is written.
    number: u64,
}

pub(super) struct State {
    pub(super) header: Header,
    pub(super) header_dirty: bool,
    /// Pages of the base that may hold anything.
    under: u64,
    /// The records of blocks in the database.
    pub(super) stored: BTreeMap<u64, Stored>,
    pub(super) loads: HashMap<u64, Load>,
    pub(super) cached: LruCache<u64, Cached>,
    /// Blocks that have to stay in memory, and for how many.
    pub(super) held: HashMap<u64, u32>,
    /// Blocks with changes.
    pub(super) dirty: BTreeSet<u64>,
    /// Blocks with pages in the journal that hold.
    pub(super) journaled: BTreeSet<u64>,
    /// Bytes of the journal's records, by number.
    pub(super) journal: BTreeMap<u64, usize>,
    pub(super) next_entry: u64,
    next_record: u64,
    /// How often something was changed, and the last change that is kept.
    pub(super) changes: u64,
    pub(super) kept: u64,
    pages: usize,
    unkept: usize,
    pub(super) writing_back: bool,
    pub(super) folding: bool,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn new(header: Header, kept: bool, under: u64, blocks: Vec<u64>) -> Self {
        let stored = blocks.into_iter().map(|block| {
            (
                block,
                Stored {
                    masks: None,
                    number: 0,
                },
            )
        });
        Self {
            header,
            header_dirty: !kept,
            under,
            stored: stored.collect(),
            loads: HashMap::new(),
            cached: LruCache::unbounded(),
            held: HashMap::new(),
            dirty: BTreeSet::new(),
            journaled: BTreeSet::new(),
            journal: BTreeMap::new(),
            next_entry: 0,
            next_record: 1,
            changes: 0,
            kept: 0,
            pages: 0,
            unkept: 0,
            writing_back: false,
            folding: false,
            closed: false,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.header.size
    }

    pub(super) fn set_size(&mut self, size: u64) {
        self.header.size = size;
        self.header_dirty = true;
        self.changes += 1;
    }

    /// Pages in memory that are not yet kept.
    pub(super) fn unkept(&self) -> usize {
        self.unkept
    }

    /// Changes a block's pages, and keeps count.
    pub(super) fn with<T>(&mut self, block: u64, change: impl FnOnce(&mut Cached) -> T) -> T {
        let cached = self.cached.get_or_insert_mut(block, Cached::default);
        let before = (cached.count(), cached.count_unkept());
        let result = change(cached);
        self.pages = self.pages + cached.count() - before.0;
        self.unkept = self.unkept + cached.count_unkept() - before.1;
        result
    }

    pub(super) fn replay(&mut self, number: u64, bytes: usize, entry: &Entry) {
        for &block in &entry.voids {
            self.with(block, |cached| {
                cached.journaled = 0;
                cached.forget(u64::MAX);
            });
            self.journaled.remove(&block);
        }
        for (block, piece) in &entry.pieces {
            let mask = piece.present | piece.zero;
            self.with(*block, |cached| {
                cached.take_over(piece, mask);
                cached.journaled |= mask;
            });
            self.journaled.insert(*block);
        }
        self.journal.insert(number, bytes);
        self.next_entry = number + 1;
    }

    pub(super) fn look(&mut self, page: u64) -> Looked {
        let (block, page) = block_of(page);
        match self.cached.get(&block).map(|cached| cached.content(page)) {
            Some(Content::Data(bytes)) => return Looked::Data(bytes),
            Some(Content::Zero) => return Looked::Zero,
            _ => (),
        }
        let bit = 1 << page;
        match self.stored.get(&block).map(|stored| stored.masks) {
            None => Looked::Base,
            Some(Some((present, zero))) if present & bit == 0 => {
                if zero & bit == 0 {
                    Looked::Base
                } else {
                    Looked::Zero
                }
            }
            Some(_) => Looked::Unread,
        }
    }

    fn changed(&mut self, block: u64) {
        self.dirty.insert(block);
        self.changes += 1;
    }

    pub(super) fn set(&mut self, page: u64, bytes: Rc<[u8]>) {
        let (block, page) = block_of(page);
        self.with(block, |cached| {
            cached.set(page, bytes);
            cached.dirty |= 1 << page;
        });
        self.changed(block);
    }

    pub(super) fn patch(&mut self, page: u64, at: usize, bytes: &[u8]) -> bool {
        // A zero that is known of from the record is brought into memory.
        if self.look(page) == Looked::Zero {
            let (block, page) = block_of(page);
            self.with(block, |cached| cached.clear(1 << page));
        }
        let (block, page) = block_of(page);
        let patched = self.with(block, |cached| match cached.change(page) {
            Some(target) => {
                target[at..at + bytes.len()].copy_from_slice(bytes);
                cached.dirty |= 1 << page;
                true
            }
            None => false,
        });
        if patched {
            self.changed(block);
        }
        patched
    }

    pub(super) fn clear(&mut self, first: u64, end: u64) {
        let mut page = first;
        while page < end {
            let (block, at) = block_of(page);
            let count = (PAGES - at).min((end - page) as usize);
            page += count as u64;
            let mask = (u64::MAX >> (PAGES - count)) << at;
            // Where there is nothing, nothing has to be hidden.
            let nothing = self
                .cached
                .peek(&block)
                .is_none_or(|cached| cached.known() & mask == 0)
                && !self.stored.contains_key(&block)
                && self.beneath(block) & mask == 0;
            if nothing {
                continue;
            }
            self.with(block, |cached| {
                cached.clear(mask);
                cached.dirty |= mask;
            });
            self.changed(block);
        }
    }

    /// The pages of a block that a base lies beneath.
    pub(super) fn beneath(&self, block: u64) -> u64 {
        let pages = self.under.saturating_sub(block * PAGES as u64);
        match pages {
            0 => 0,
            pages if pages >= PAGES as u64 => u64::MAX,
            pages => u64::MAX >> (PAGES as u64 - pages),
        }
    }

    pub(super) fn is_touched(&self, block: u64) -> bool {
        let known = self.cached.peek(&block).map_or(0, Cached::known);
        known != 0 || self.stored.contains_key(&block)
    }

    /// The blocks that [`Self::is_touched`] holds for, in order.
    pub(super) fn touched(&self) -> Vec<u64> {
        let cached = self.cached.iter().filter(|(_, cached)| cached.known() != 0);
        let blocks: BTreeSet<u64> = cached
            .map(|(&block, _)| block)
            .chain(self.stored.keys().copied())
            .collect();
        blocks.into_iter().collect()
    }

    pub(super) fn record_number(&self, block: u64) -> Option<u64> {
        self.stored.get(&block).map(|stored| stored.number)
    }

    /// Takes over a record that was read.
    pub(super) fn loaded(&mut self, block: u64, piece: &Piece) {
        if let Some(stored) = self.stored.get_mut(&block) {
            stored.masks = Some((piece.present, piece.zero));
        }
        self.with(block, |cached| {
            let unknown = !cached.known();
            cached.take_over(piece, unknown);
        });
    }

    /// Notes that a block has a record now, or none.
    pub(super) fn recorded(&mut self, block: u64, masks: Option<(u64, u64)>) {
        if masks.is_none() {
            self.stored.remove(&block);
            return;
        }
        let number = self.next_record;
        self.next_record += 1;
        self.stored.insert(block, Stored { masks, number });
    }

    /// Whether all that a block's record has is in memory, too.
    pub(super) fn is_complete(&self, block: u64) -> bool {
        let known = self.cached.peek(&block).map_or(0, Cached::known);
        match self.stored.get(&block) {
            None => true,
            Some(Stored { masks: None, .. }) => known == u64::MAX,
            Some(Stored {
                masks: Some((present, _)),
                ..
            }) => present & !known == 0,
        }
    }

    /// A block as its own record would have it: a block that is complete.
    pub(super) fn whole(&self, block: u64) -> Piece {
        let stored_zero = self
            .stored
            .get(&block)
            .and_then(|stored| stored.masks)
            .map_or(0, |(_, zero)| zero);
        let mut piece = self
            .cached
            .peek(&block)
            .map_or_else(Piece::default, |cached| cached.piece(u64::MAX));
        piece.zero = (piece.zero | stored_zero & !piece.present) & self.beneath(block);
        piece
    }

    /// How many pages a block's own record would have, and how many of all its pages have changed.
    pub(super) fn weight(&self, block: u64) -> (u32, u32) {
        let stored = self
            .stored
            .get(&block)
            .and_then(|stored| stored.masks)
            .map_or(0, |(present, _)| present);
        self.cached.peek(&block).map_or((0, 0), |cached| {
            let pages = (stored | cached.known()) & !cached.zeroes();
            (pages.count_ones(), cached.dirty.count_ones())
        })
    }

    /// Forgets what was used longest ago, until at most `most` pages are in memory or none can go.
    pub(super) fn evict(&mut self, most: usize) {
        for _ in 0..self.cached.len() {
            if self.pages <= most {
                return;
            }
            let Some((block, mut cached)) = self.cached.pop_lru() else {
                return;
            };
            let before = cached.count();
            if !self.held.contains_key(&block) {
                cached.forget(u64::MAX);
            }
            self.pages -= before - cached.count();
            if cached.pinned() != 0 || self.held.contains_key(&block) {
                self.cached.put(block, cached);
            }
        }
    }

    /// About how many bytes the database has: a block whose record was not looked at yet counts as a whole one.
    pub(super) fn kept_bytes(&self) -> u64 {
        let records = self.stored.values().map(|stored| {
            let pages = stored
                .masks
                .map_or(PAGES as u32, |(present, _)| present.count_ones());
            u64::from(pages) * PAGE as u64
        });
        records.sum::<u64>() + self.journal_bytes() as u64
    }

    /// Bytes of the journal.
    pub(super) fn journal_bytes(&self) -> usize {
        self.journal.values().sum()
    }

    pub(super) fn unpin(&mut self, block: u64) {
        if let Some(count) = self.held.get_mut(&block) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(&block);
            }
        }
    }
}
