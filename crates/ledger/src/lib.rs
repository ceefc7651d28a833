//! A ledger on a disk: who wrote what, and what has to be there after a crash.
//!
//! A [`Plan`] follows from a seed: batch after batch of extents all over a disk, each sector of which gets a record of its own.
//! `disk-ledger` in the guest (`crates/guest-tools`) writes a batch, flushes the disk, says so, and only then begins the next
//! batch. The guest, the browser or the machine ends at any moment. Then [`check`] reads the disk and says of every sector
//! whether it holds what it must: it shares the seed with the writer, and the last flush that it was told of.
//!
//! The crate is pure and knows no disk: the content comes from whatever can be read.

mod check;
mod plan;
#[cfg(test)]
mod tests;

pub use check::{AHEAD, Fault, Found, Report, SHOWN, check};
pub use plan::{Extent, LAST, MAX_EXTENT, MAX_SECTORS, Plan, Record, SECTOR, UnfitSize};
