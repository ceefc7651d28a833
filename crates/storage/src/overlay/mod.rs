//! What was changed of a disk, by pages: in memory first, then in a database.
//!
//! Changes gather in memory until the guest flushes or they become many. A transaction then takes them: blocks that changed
//! for a large part get a record of their own; a few pages here and there go to the journal, all in one record, as a guest
//! that flushes after every page must not pay for whole blocks. A journal that has grown is folded into the blocks, between
//! flushes. Every transaction waits for the disk (`strict`), also those that nobody waits for: files that a relaxed one left
//! unsynced would not be made good by a strict one that follows.
//!
//! After a crash the database holds the state after some transaction. A flush returns after the transaction that took all that
//! was there when it came, so nothing that was flushed is lost or older than it.

mod cached;
mod commit;
pub mod record;
mod state;
pub mod store;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use async_lock::Mutex;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, join_all};

use crate::device::{BlockError, SharedRuntime};
use record::{Entry, Header, Malformed, PAGE, Piece};
use state::State;
pub(crate) use state::{Looked, block_of};
use store::Blocks;

/// How much an overlay may hold, and when it does what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most pages in memory that are not yet kept. Who writes then waits.
    pub unkept: usize,
    /// Most pages in memory, besides those that have to be there.
    pub cached: usize,
    /// Most bytes of the journal. It is folded from half of this on.
    pub journal: usize,
    /// About as many bytes go into one transaction.
    pub batch: usize,
    /// A block gets a record of its own if at least so many of its pages have changed.
    pub own_record: u32,
    /// Blocks that are folded between two looks at whether somebody wants to flush.
    pub folded: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unkept: (32 << 20) / PAGE,
            cached: (64 << 20) / PAGE,
            journal: 8 << 20,
            batch: 8 << 20,
            own_record: 16,
            folded: 4,
        }
    }
}

/// A block's record, and the number of that record.
pub(crate) type Record = (Option<u64>, Rc<Piece>);
type Load = Shared<LocalBoxFuture<'static, Result<Record, BlockError>>>;

struct Inner<B> {
    store: B,
    limits: Limits,
    runtime: SharedRuntime,
    /// One transaction at a time.
    committing: Mutex<()>,
    state: RefCell<State>,
    is_new: bool,
}

/// What was changed of a disk.
pub(crate) struct Overlay<B>(Rc<Inner<B>>);

impl<B> Clone for Overlay<B> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

/// A block that stays in memory.
pub(crate) struct Pinned<B> {
    overlay: Overlay<B>,
    block: u64,
}

impl<B> Drop for Pinned<B> {
    fn drop(&mut self) {
        self.overlay.0.state.borrow_mut().unpin(self.block);
    }
}

impl<B: Blocks + 'static> Overlay<B> {
    /// What is kept in `store` for a disk of at least `size` bytes over a base that is known as `base`, of whose pages the
    /// first `under` are not all zero.
    pub(crate) async fn open(
        store: B,
        size: u64,
        base: &str,
        under: u64,
        limits: Limits,
        runtime: SharedRuntime,
    ) -> Result<Self, BlockError> {
        let kept = store.open().await?;
        let foreign = |malformed| foreign(store.id(), malformed);
        let header = match &kept.header {
            Some(bytes) => Header::decode(bytes).map_err(foreign)?,
            None if kept.blocks.is_empty() && kept.journal.is_empty() => Header {
                size,
                base: base.into(),
            },
            None => {
                return Err(foreign(Malformed {
                    expected: "a header beside the blocks".into(),
                    found: "none".into(),
                }));
            }
        };
        if header.base != base {
            return Err(BlockError::Changed {
                id: store.id().into(),
                expected: name_of(&header.base),
                found: name_of(base),
            });
        }
        let mut state = State::new(header, kept.header.is_some(), under, kept.blocks);
        for (number, bytes) in kept.journal {
            let entry = Entry::decode(&bytes).map_err(foreign)?;
            state.replay(number, bytes.len(), &entry);
        }
        if state.size() < size {
            state.set_size(size);
        }
        Ok(Self(Rc::new(Inner {
            is_new: kept.header.is_none(),
            store,
            limits,
            runtime,
            committing: Mutex::new(()),
            state: RefCell::new(state),
        })))
    }

    /// What the disk is known by.
    pub(crate) fn id(&self) -> &str {
        self.0.store.id()
    }

    /// Whether nothing was kept before it was opened.
    pub(crate) fn is_new(&self) -> bool {
        self.0.is_new
    }

    /// About how many bytes are kept, and how many wait in memory to be.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let state = self.0.state.borrow();
        (state.kept_bytes(), state.unkept() as u64 * PAGE as u64)
    }

    /// The disk's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.0.state.borrow().size()
    }

    /// The disk's size, and what it lies over.
    pub(crate) fn header(&self) -> Header {
        self.0.state.borrow().header.clone()
    }

    /// Grows with every change.
    pub(crate) fn changes(&self) -> u64 {
        self.0.state.borrow().changes
    }

    /// Whether a block may hold anything else than the base does.
    pub(crate) fn is_touched(&self, block: u64) -> bool {
        self.0.state.borrow().is_touched(block)
    }

    /// The blocks that may hold anything else than the base does, in order.
    pub(crate) fn touched(&self) -> Vec<u64> {
        self.0.state.borrow().touched()
    }

    /// All pages of a block that are not the base's.
    pub(crate) async fn piece(&self, block: u64) -> Result<Piece, BlockError> {
        let _pinned = self.hold(block).await?;
        Ok(self.0.state.borrow().whole(block))
    }

    /// Makes the disk larger, and keeps that.
    pub(crate) async fn grow(&self, size: u64) -> Result<(), BlockError> {
        self.0.state.borrow_mut().set_size(size);
        self.sync().await
    }

    /// What a page holds, as far as that can be told without waiting.
    pub(crate) fn look(&self, page: u64) -> Looked {
        self.0.state.borrow_mut().look(page)
    }

    /// Whether a record that was loaded is still what the database holds of the block.
    pub(crate) fn is_newest(&self, block: u64, record: &Record) -> bool {
        self.0.state.borrow().record_number(block) == record.0
    }

    /// Brings the record of a block into memory, and returns it. Unless the block is pinned, it may be gone from there when
    /// it is looked at.
    pub(crate) async fn load(&self, block: u64) -> Result<Record, BlockError> {
        let load = {
            let mut state = self.0.state.borrow_mut();
            match state.loads.get(&block) {
                Some(load) => load.clone(),
                None => {
                    let load = Rc::clone(&self.0).read_record(block).boxed_local().shared();
                    state.loads.insert(block, load.clone());
                    load
                }
            }
        };
        load.await
    }

    /// Brings the records of the first blocks into memory.
    pub(crate) async fn preload(&self, most: usize) {
        let blocks: Vec<u64> = {
            let state = self.0.state.borrow();
            state.stored.keys().copied().take(most).collect()
        };
        join_all(blocks.into_iter().map(|block| self.load(block))).await;
    }

    /// Keeps what is in memory of a block there, for as long as the result lives.
    pub(crate) fn pin(&self, block: u64) -> Pinned<B> {
        *self.0.state.borrow_mut().held.entry(block).or_default() += 1;
        Pinned {
            overlay: self.clone(),
            block,
        }
    }

    /// Waits until there is room in memory for more changes.
    pub(crate) async fn room(&self) -> Result<(), BlockError> {
        let unkept = self.0.state.borrow().unkept();
        if unkept >= self.0.limits.unkept {
            return self.sync().await;
        }
        if unkept >= self.0.limits.unkept / 2 {
            self.write_back();
        }
        Ok(())
    }

    /// Sets a page.
    pub(crate) fn set(&self, page: u64, bytes: &[u8]) {
        self.0.state.borrow_mut().set(page, bytes.into());
    }

    /// Changes a part of a page. `false` if it is not in memory.
    pub(crate) fn patch(&self, page: u64, at: usize, bytes: &[u8]) -> bool {
        self.0.state.borrow_mut().patch(page, at, bytes)
    }

    /// Makes the pages from `first` to before `end` zero.
    pub(crate) fn clear(&self, first: u64, end: u64) {
        self.0.state.borrow_mut().clear(first, end);
    }

    /// Drops what need not be in memory beyond what is allowed.
    pub(crate) fn trim(&self) {
        self.0.state.borrow_mut().evict(self.0.limits.cached);
    }

    /// Lets go of the database, once no transaction is on its way. None follows.
    pub(crate) async fn close(&self) {
        let _one = self.0.committing.lock().await;
        let mut state = self.0.state.borrow_mut();
        state.closed = true;
        state.evict(0);
        self.0.store.close();
    }
}

impl<B: Blocks> Inner<B> {
    async fn read_record(self: Rc<Self>, block: u64) -> Result<Record, BlockError> {
        let result = self.read_newest(block).await;
        let mut state = self.state.borrow_mut();
        state.loads.remove(&block);
        state.evict(self.limits.cached);
        result
    }

    async fn read_newest(&self, block: u64) -> Result<Record, BlockError> {
        loop {
            let Some(number) = self.state.borrow().record_number(block) else {
                return Ok((None, Rc::default()));
            };
            let record = self.store.get(block).await?;
            let mut state = self.state.borrow_mut();
            // A record that was written meanwhile has to be read anew.
            if state.record_number(block) != Some(number) {
                continue;
            }
            let piece = match record {
                Some(bytes) => Piece::decode(&bytes),
                None => Err(Malformed {
                    expected: format!("a record of block {block}"),
                    found: "none".into(),
                }),
            };
            let piece = piece.map_err(|error| foreign(self.store.id(), error))?;
            state.loaded(block, &piece);
            return Ok((Some(number), Rc::new(piece)));
        }
    }
}

fn foreign(id: &str, malformed: Malformed) -> BlockError {
    BlockError::Foreign {
        id: id.into(),
        expected: malformed.expected,
        found: malformed.found,
    }
}

fn name_of(base: &str) -> String {
    if base.is_empty() {
        "no base".into()
    } else {
        format!("the base {base}")
    }
}
