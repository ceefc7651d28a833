//! Whether a disk holds what it must.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};

use crate::plan::{Extent, Plan, Record, SECTOR};

/// Most batches that a writer may have flushed since the last flush that we know of: what it said may have got lost on the way.
pub const AHEAD: u32 = 4096;
/// Most faults that a report names.
pub const SHOWN: usize = 20;

/// The number of no batch: a sector whose fault is known.
const FAULTY: u32 = u32::MAX;
/// Sectors that are read at once.
const AT_ONCE: usize = 256;

/// What a disk was found to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The last batch that was flushed: the one that we know of, or a later one. A writer begins a batch only when the former's
    /// flush has returned, so a record of batch n says that n - 1 was flushed, whether that was told or not.
    pub flushed: u32,
    /// How many sectors hold a record that they should.
    pub good: u64,
    /// How many do not hold what they must.
    pub faulty: u64,
    /// The first [`SHOWN`] of them.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether nothing is lost, torn or foreign.
    pub fn is_clean(&self) -> bool {
        self.faulty == 0
    }

    /// The batch with which a writer goes on: the one that it had begun, or was about to. What is there of it is written anew.
    pub fn next(&self) -> u32 {
        self.flushed.saturating_add(1)
    }
}

/// A sector that does not hold what it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number.
    pub sector: u64,
    /// The last batch that wrote it and was flushed; 0 if there is none, and the sector has to be zero.
    pub expected: u32,
    /// What is there.
    pub found: Found,
}

/// What a faulty sector holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The record of an earlier batch, or of none if it is 0: what was flushed is lost.
    Older(u32),
    /// The record of a batch that has not written this sector, or has not begun.
    NeverWritten(u32),
    /// A part of a record, of this batch, and something else.
    Torn(u32),
    /// What is no record of this sector and plan.
    Foreign,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sector {}: expected ", self.sector)?;
        match self.expected {
            0 => formatter.write_str("zeroes")?,
            batch => write!(formatter, "the record of batch {batch}")?,
        }
        match self.found {
            Found::Older(0) => formatter.write_str(", found zeroes: it is lost"),
            Found::Older(batch) => write!(formatter, ", found that of batch {batch}: the newer one is lost"),
            Found::NeverWritten(batch) => write!(
                formatter,
                ", found that of batch {batch}, which was never written there"
            ),
            Found::Torn(batch) => write!(formatter, ", found a part of that of batch {batch}: it is torn"),
            Found::Foreign => formatter.write_str(", found what is no record of this sector"),
        }
    }
}

/// Reads a disk, from its first sector to the plan's last, on which a writer has worked by the plan and said last that it had
/// flushed batch `acknowledged` (0: none).
///
/// Every sector has to hold the record of the last flushed batch that wrote it, or zeroes if none did. Where the batch after
/// that was to write, its record may be there, too.
///
/// # Errors
/// Those of reading; `UnexpectedEof` when there are fewer sectors than the plan has.
pub fn check(plan: &Plan, mut content: impl Read, acknowledged: u32) -> io::Result<Report> {
    let mut report = Report::default();
    let mut later = Later::new(plan, acknowledged);
    // Of each sector the batch whose record it holds, 0 for zeroes. The plan limits their number.
    let mut held = vec![0_u32; plan.sectors() as usize];
    // The first of those that hold nothing that could be right.
    let mut unfit = Vec::new();
    let mut buffer = vec![0; AT_ONCE * SECTOR];
    let mut sector = 0;
    for held in held.chunks_mut(AT_ONCE) {
        let bytes = &mut buffer[..held.len() * SECTOR];
        content.read_exact(bytes)?;
        for (held, bytes) in held.iter_mut().zip(bytes.as_chunks::<SECTOR>().0) {
            let found = match plan.read(sector, bytes) {
                Record::Zero => Ok(0),
                Record::Whole(batch) if later.may_have_written(batch, sector) => Ok(batch),
                Record::Whole(batch) => Err(Found::NeverWritten(batch)),
                Record::Torn(batch) => Err(Found::Torn(batch)),
                Record::Foreign => Err(Found::Foreign),
            };
            *held = found.unwrap_or(FAULTY);
            if let Err(found) = found
                && unfit.len() < SHOWN
            {
                unfit.push((sector, found));
            }
            sector += 1;
        }
    }
    report.flushed = acknowledged.max(later.newest.saturating_sub(1));

    let mut due = vec![0_u32; held.len()];
    for batch in 1..=report.flushed {
        for Extent { first, count } in plan.batch(batch) {
            due[first as usize..(first + count) as usize].fill(batch);
        }
    }
    let mut unfit = unfit.into_iter();
    for (sector, (&held, &expected)) in (0_u64..).zip(held.iter().zip(&due)) {
        // Nothing where there is no room left to show it.
        let found = match held {
            FAULTY => unfit.next().map(|(_, found)| found),
            held if held < expected => Some(Found::Older(held)),
            held if held > expected && held <= report.flushed => Some(Found::NeverWritten(held)),
            held => {
                report.good += u64::from(held > 0);
                continue;
            }
        };
        report.faulty += 1;
        report
            .faults
            .extend(found.filter(|_| report.faults.len() < SHOWN).map(|found| Fault {
                sector,
                expected,
                found,
            }));
    }
    Ok(report)
}

/// What was written after the last flush that we know of.
struct Later<'a> {
    plan: &'a Plan,
    acknowledged: u32,
    /// The newest batch of which there is a record.
    newest: u32,
    batches: HashMap<u32, Vec<Extent>>,
}

impl<'a> Later<'a> {
    fn new(plan: &'a Plan, acknowledged: u32) -> Self {
        Self {
            plan,
            acknowledged,
            newest: 0,
            batches: HashMap::new(),
        }
    }

    /// Whether a batch, if it comes after the flush that we know of, writes that sector.
    fn may_have_written(&mut self, batch: u32, sector: u64) -> bool {
        if batch <= self.acknowledged {
            return true;
        }
        if batch > self.acknowledged.saturating_add(AHEAD) {
            return false;
        }
        let extents = self
            .batches
            .entry(batch)
            .or_insert_with(|| self.plan.batch(batch));
        let has_written = extents.iter().any(|extent| extent.has(sector));
        if has_written {
            self.newest = self.newest.max(batch);
        }
        has_written
    }
}
