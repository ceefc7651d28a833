//! How far to read ahead, and for whom.
//!
//! Each of a few sequential readers gets a window that grows with what it has read. How much of what was fetched ahead may lie
//! unread, of all readers together, grows with what was read as well: a guest that jumps about causes next to no needless
//! fetches, one that copies a disk gets the whole window.

use std::ops::Range;

use super::Policy;

/// Readers that are told apart.
const STREAMS: usize = 8;
/// How far a read may lie from where its stream is, in bytes, and still belong to it: requests in flight overtake each other.
const SLACK: u64 = 256 << 10;

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    /// Where the next read begins if it is sequential.
    next: u64,
    /// Bytes that were read in sequence.
    run: u64,
    /// Up to where was fetched ahead.
    ahead: u64,
}

/// Decides what to fetch ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The one that was used last comes last.
    streams: Vec<Stream>,
    /// Bytes that somebody read.
    read: u64,
    /// Bytes that were fetched ahead, and that nobody has read.
    unread: u64,
}

impl Ahead {
    /// Counts bytes that were fetched because they were asked for.
    pub(super) fn fetched(&mut self, bytes: u64) {
        self.read += bytes;
    }

    /// Counts bytes as fetched ahead.
    pub(super) fn fetched_ahead(&mut self, bytes: u64) {
        self.unread += bytes;
    }

    /// Counts bytes that were fetched ahead, and now are read.
    pub(super) fn used(&mut self, bytes: u64) {
        self.unread = self.unread.saturating_sub(bytes);
        self.read += bytes;
    }

    /// All bytes that were fetched.
    pub(super) fn total(&self) -> u64 {
        self.read + self.unread
    }

    /// Notes a read of `length` bytes at `offset` of an image of `size`, and returns what to fetch ahead for it: a range of
    /// bytes, possibly empty.
    pub(super) fn note(&mut self, offset: u64, length: u64, size: u64, policy: &Policy) -> Range<u64> {
        let end = offset + length;
        let found = self
            .streams
            .iter()
            .rposition(|stream| offset.abs_diff(stream.next) <= SLACK && end > stream.next);
        let Some(found) = found else {
            if self.streams.len() == STREAMS {
                self.streams.remove(0);
            }
            self.streams.push(Stream {
                next: end,
                run: length,
                ahead: end,
            });
            return 0..0;
        };
        let mut stream = self.streams.remove(found);
        stream.run += end - stream.next;
        stream.next = end;
        stream.ahead = stream.ahead.max(end);
        let page = u64::from(policy.page);
        let budget = policy.spare + self.read / policy.spare_share.max(1);
        let allowed = budget.saturating_sub(self.unread);
        // No wider than what may ever lie unread, or half of it would never be free.
        let window = stream.run.min(u64::from(policy.ahead)).min(budget);
        let wanted = (end + window).min(size);
        let ahead = stream.ahead;
        let mut range = ahead..wanted.min(ahead.saturating_add(allowed)) / page * page;
        if wanted == size && range.end + page > size && ahead.saturating_add(allowed) >= size {
            range.end = size;
        }
        // In large pieces, but for the end of the image.
        let worth = range.end.saturating_sub(range.start) >= window / 2 || range.end == size;
        if !worth || range.is_empty() {
            range = 0..0;
        } else {
            stream.ahead = range.end;
        }
        self.streams.push(stream);
        range
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy {
        page: 4096,
        longest: 1 << 20,
        ahead: 2 << 20,
        spare: 256 << 10,
        spare_share: 8,
        kept: 32 << 20,
        in_flight: 6,
    };
    const SIZE: u64 = 1 << 30;

    #[test]
    fn a_sequential_reader_gets_a_growing_window() {
        let (mut ahead, mut fetched, mut widest) = (Ahead::default(), 0, 0);
        for read in 0..1024 {
            let (offset, length) = (read * (64 << 10), 64 << 10);
            if offset + length > fetched {
                ahead.fetched(offset + length - fetched.max(offset));
                fetched = offset + length;
            }
            ahead.used((fetched - offset).min(length));
            let range = ahead.note(offset, length, SIZE, &POLICY);
            ahead.fetched_ahead(range.end - range.start);
            widest = widest.max(range.end - range.start);
            fetched = fetched.max(range.end);
        }
        assert!(widest >= 1 << 20, "{widest}");
    }

    #[test]
    fn who_jumps_about_gets_nothing() {
        let mut ahead = Ahead::default();
        for read in 0..100_u64 {
            let range = ahead.note((read * 7919 % 1000) << 20, 4096, SIZE, &POLICY);
            assert!(range.is_empty());
        }
    }

    #[test]
    fn two_readers_do_not_disturb_each_other() {
        let mut ahead = Ahead::default();
        let mut served = [0; 2];
        for read in 0..64 {
            for (reader, served) in served.iter_mut().enumerate() {
                let range = ahead.note(((reader as u64 * 500) << 20) + read * 65536, 65536, SIZE, &POLICY);
                ahead.fetched(65536);
                *served += range.end - range.start;
            }
        }
        assert!(served.iter().all(|&served| served > 1 << 20), "{served:?}");
    }

    proptest! {
        /// Whatever is read, what lies unread stays within what is allowed, and ranges lie within the image.
        #[test]
        fn waste_is_bounded(reads in proptest::collection::vec((0_u64..1000, 1_u64..64), 1..200), size in 1_u64..(4 << 20)) {
            let mut ahead = Ahead::default();
            for (page, pages) in reads {
                let offset = (page * 4096).min(size - 1);
                let length = (pages * 4096).min(size - offset);
                ahead.fetched(length);
                let range = ahead.note(offset, length, size, &POLICY);
                prop_assert!(range.end <= size && range.start <= range.end);
                ahead.fetched_ahead(range.end - range.start);
                prop_assert!(ahead.unread <= POLICY.spare + ahead.read / POLICY.spare_share);
            }
        }
    }
}
