//! From memory into the database.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::FutureExt;

use super::record::{Entry, PAGE, Piece};
use super::state::State;
use super::store::{Batch, Blocks};
use super::{Inner, Overlay, Pinned};
use crate::device::BlockError;

/// Most blocks in one transaction, for those that are nothing but zeroes.
const MOST_BLOCKS: usize = 4096;

/// How a block's changes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In a record of its own.
    Own,
    /// In the journal.
    Journal,
}

/// A block that a transaction is to take, in memory until it did.
struct Chosen<B> {
    block: u64,
    way: Way,
    _pinned: Option<Pinned<B>>,
}

/// What a transaction took from memory.
#[derive(Default)]
struct Taken {
    batch: Batch,
    /// Blocks with records of their own, and the masks that those have.
    own: Vec<(u64, Option<(u64, u64)>)>,
    journaled: Vec<u64>,
    header: bool,
}

impl<B: Blocks + 'static> Overlay<B> {
    /// Returns once all changes that were made before are kept.
    pub(crate) async fn sync(&self) -> Result<(), BlockError> {
        let overlay = self.clone();
        let wanted = self.0.state.borrow().changes;
        let task = async move { overlay.keep(wanted).await }.boxed_local().shared();
        // A transaction goes on though who waits for it is gone.
        self.0.runtime.spawn(task.clone().map(drop).boxed_local());
        task.await
    }

    /// Begins to keep what has changed, unless that goes on already.
    pub(super) fn write_back(&self) {
        if std::mem::replace(&mut self.0.state.borrow_mut().writing_back, true) {
            return;
        }
        let overlay = self.clone();
        let task = async move {
            // Nobody is told: what could not be kept stays in memory, and who flushes or finds no room tries again.
            let _ = overlay.sync().await;
            overlay.0.state.borrow_mut().writing_back = false;
        };
        self.0.runtime.spawn(task.boxed_local());
    }

    async fn keep(&self, wanted: u64) -> Result<(), BlockError> {
        let one = self.0.committing.lock().await;
        let (changes, mut todo) = {
            let state = self.0.state.borrow();
            if state.kept >= wanted {
                return Ok(());
            }
            if state.closed {
                return Err(BlockError::Closed { id: self.id().into() });
            }
            (
                state.changes,
                state.dirty.iter().copied().collect::<VecDeque<_>>(),
            )
        };
        loop {
            let chosen = self.choose(&mut todo).await?;
            self.transact(chosen, None).await?;
            if todo.is_empty() {
                break;
            }
        }
        drop(one);
        let mut state = self.0.state.borrow_mut();
        state.kept = state.kept.max(changes);
        state.evict(self.0.limits.cached);
        if state.journal_bytes() >= self.0.limits.journal / 2 && !state.folding {
            state.folding = true;
            self.0.runtime.spawn(self.clone().fold().boxed_local());
        }
        Ok(())
    }

    /// Takes blocks from `todo` until they fill a transaction, and sees to it that they are in memory where they must be.
    async fn choose(&self, todo: &mut VecDeque<u64>) -> Result<Vec<Chosen<B>>, BlockError> {
        let limits = &self.0.limits;
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        let mut journal = self.0.state.borrow().journal_bytes();
        while bytes < limits.batch && chosen.len() < MOST_BLOCKS {
            let Some(block) = todo.pop_front() else {
                break;
            };
            let (way, size) = self.0.way(block, limits.journal.saturating_sub(journal));
            bytes += size;
            let pinned = match way {
                Way::Journal => {
                    journal += size;
                    None
                }
                Way::Own => Some(self.hold(block).await?),
            };
            chosen.push(Chosen {
                block,
                way,
                _pinned: pinned,
            });
        }
        Ok(chosen)
    }

    /// Brings all that a block has into memory, to stay there.
    pub(super) async fn hold(&self, block: u64) -> Result<Pinned<B>, BlockError> {
        let pinned = self.pin(block);
        loop {
            // Bound to a name: the state is not borrowed while this waits.
            let complete = self.0.state.borrow().is_complete(block);
            if complete {
                return Ok(pinned);
            }
            self.load(block).await?;
        }
    }

    /// Keeps what was chosen, or puts it back.
    async fn transact(&self, chosen: Vec<Chosen<B>>, trim: Option<u64>) -> Result<(), BlockError> {
        let taken = self
            .0
            .state
            .borrow_mut()
            .take(chosen.iter().map(|chosen| (chosen.block, chosen.way)), trim);
        drop(chosen);
        let Taken {
            batch,
            own,
            journaled,
            header,
        } = taken;
        let entry = batch
            .journal
            .as_ref()
            .map(|(number, bytes)| (*number, bytes.len()));
        let trimmed = batch.trim;
        let result = if batch == Batch::default() {
            Ok(())
        } else {
            self.0.store.commit(batch).await
        };
        let mut state = self.0.state.borrow_mut();
        for &block in own.iter().map(|(block, _)| block).chain(&journaled) {
            state.landed(block, result.is_ok());
        }
        result?;
        state.header_dirty &= !header;
        for (block, masks) in own {
            state.recorded(block, masks);
            state.unjournaled(block);
        }
        state.journaled.extend(journaled);
        if let Some((number, bytes)) = entry {
            state.journal.insert(number, bytes);
        }
        if let Some(last) = trimmed {
            state.journal = state.journal.split_off(&(last + 1));
        }
        Ok(())
    }

    /// Gives all blocks that are in the journal now records of their own, a few at a time, and shortens the journal.
    async fn fold(self) {
        let (blocks, last) = {
            let state = self.0.state.borrow();
            let blocks: Vec<u64> = state.journaled.iter().copied().collect();
            (blocks, state.journal.keys().next_back().copied())
        };
        let folded = self.0.limits.folded.max(1);
        let count = blocks.len().div_ceil(folded);
        for (index, blocks) in blocks.chunks(folded).enumerate() {
            let one = self.0.committing.lock().await;
            if self.0.state.borrow().closed {
                break;
            }
            let trim = last.filter(|_| index + 1 == count);
            let folded = match self.hold_journaled(blocks).await {
                Ok(chosen) => self.transact(chosen, trim).await,
                Err(error) => Err(error),
            };
            // What could not be folded stays in the journal, where it is as safe.
            if folded.is_err() {
                break;
            }
            drop(one);
            let_others_first().await;
        }
        self.0.state.borrow_mut().folding = false;
    }

    async fn hold_journaled(&self, blocks: &[u64]) -> Result<Vec<Chosen<B>>, BlockError> {
        let mut chosen = Vec::new();
        for &block in blocks {
            let journaled = self.0.state.borrow().journaled.contains(&block);
            if journaled {
                let pinned = self.hold(block).await?;
                chosen.push(Chosen {
                    block,
                    way: Way::Own,
                    _pinned: Some(pinned),
                });
            }
        }
        Ok(chosen)
    }
}

/// Lets those go on that were woken before: who lets go of a lock and asks for it anew would have it again before any of them.
async fn let_others_first() {
    let mut is_second = false;
    poll_fn(|context| match std::mem::replace(&mut is_second, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl<B> Inner<B> {
    /// How to keep a block's changes while the journal has `room`, and how many bytes that takes.
    fn way(&self, block: u64, room: usize) -> (Way, usize) {
        let state = self.state.borrow();
        let (pages, dirty) = state.weight(block);
        let own = pages as usize * PAGE;
        let few = Entry::len(0, 1, dirty as usize);
        let worth = pages == 0 || (dirty >= self.limits.own_record && pages <= 2 * dirty);
        if (worth && state.is_complete(block)) || few > room {
            (Way::Own, own)
        } else {
            (Way::Journal, few)
        }
    }
}

impl State {
    /// Takes the changes of `chosen`: they are on their way now.
    fn take(&mut self, chosen: impl Iterator<Item = (u64, Way)>, trim: Option<u64>) -> Taken {
        let mut taken = Taken::default();
        let mut entry = Entry::default();
        let mut holding = self.journaled.len();
        for (block, way) in chosen {
            if way == Way::Own {
                let piece = self.whole(block);
                self.lift(block);
                if self.journaled.contains(&block) {
                    entry.voids.push(block);
                    holding -= 1;
                }
                taken
                    .own
                    .push((block, own_record(&mut taken.batch, block, &piece, self)));
            } else {
                let piece = self.lift(block);
                if piece.present | piece.zero != 0 {
                    entry.pieces.push((block, piece));
                    taken.journaled.push(block);
                }
            }
        }
        let last = self.journal.keys().next_back().copied();
        taken.batch.trim = trim;
        if holding == 0 && entry.pieces.is_empty() && last.is_some() {
            // Nothing in the journal holds any longer.
            taken.batch.trim = last;
        } else if !entry.pieces.is_empty() || !entry.voids.is_empty() {
            taken.batch.journal = Some((self.next_entry, entry.encode()));
            self.next_entry += 1;
        }
        if self.header_dirty {
            taken.header = true;
            taken.batch.header = Some(self.header.encode());
        }
        taken
    }

    /// Moves a block's changes from waiting to being on their way, and returns them.
    fn lift(&mut self, block: u64) -> Piece {
        self.dirty.remove(&block);
        self.with(block, |cached| {
            let dirty = std::mem::take(&mut cached.dirty);
            cached.flying |= dirty;
            cached.piece(dirty)
        })
    }

    /// What was on its way is kept, or waits again.
    fn landed(&mut self, block: u64, kept: bool) {
        let again = self.with(block, |cached| {
            let flying = std::mem::take(&mut cached.flying);
            if kept {
                cached.journaled |= flying;
            } else {
                cached.dirty |= flying;
            }
            !kept && flying != 0
        });
        if again {
            self.dirty.insert(block);
        }
    }

    /// The block's record has all that the journal had of it.
    fn unjournaled(&mut self, block: u64) {
        self.journaled.remove(&block);
        let empty = self.with(block, |cached| {
            cached.journaled = 0;
            cached.pinned() == 0 && cached.count() == 0
        });
        if empty {
            self.cached.pop(&block);
        }
    }
}

/// Adds a block's own record to `batch`, or its removal if there is nothing to keep; returns the masks that it will have.
fn own_record(batch: &mut Batch, block: u64, piece: &Piece, state: &State) -> Option<(u64, u64)> {
    if piece.present | piece.zero != 0 {
        batch.puts.push((block, piece.encode()));
        return Some((piece.present, piece.zero));
    }
    if state.stored.contains_key(&block) {
        batch.deletes.push(block);
    }
    None
}
