//! What waits for a VM: a bounded log of lines that several readers go through, each at its own pace.
//!
//! When there is no room, the oldest lines go; a reader that had not come to them learns how many it missed. A reader
//! whose VM ended goes back to the first line that the VM did not take, and goes on from there with the next run.

use std::collections::VecDeque;

/// Lines, or what becomes lines, in order, each with a number; the oldest give way to new ones.
#[derive(Debug)]
pub struct Queue<T> {
    /// Each with the bytes that were ever pushed up to its end.
    lines: VecDeque<(u64, T)>,
    /// The number of the first line in `lines`.
    first: u64,
    /// Bytes that were pushed before the first line in `lines`.
    start: u64,
    /// Bytes that were ever pushed.
    end: u64,
    max_bytes: usize,
    max_lines: usize,
}

/// What a reader finds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// So many lines were lost before the reader came to them.
    Gap(u64),
    /// The next line.
    Line(T),
}

/// How far one reader is.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    next: u64,
    /// Where to go back to when what was given last does not arrive.
    last: u64,
    /// What was sent and is not confirmed: how many bytes were sent with it, and where to go back to for it.
    unconfirmed: VecDeque<(u64, u64)>,
    handed_out: u64,
    dropped: u64,
}

impl<T: Clone> Queue<T> {
    /// A queue for at most so many bytes and lines.
    pub fn new(max_bytes: usize, max_lines: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            first: 0,
            start: 0,
            end: 0,
            max_bytes,
            max_lines,
        }
    }

    /// Adds a line of so many bytes. One that is larger than the whole queue is lost at once, as readers will learn.
    pub fn push(&mut self, line: T, bytes: usize) {
        self.end += bytes as u64;
        self.lines.push_back((self.end, line));
        while self.bytes() > self.max_bytes || self.lines.len() > self.max_lines {
            self.pop();
        }
    }

    /// Forgets the lines that `reader` has taken, for queues whose only reader never goes back.
    pub fn forget_before(&mut self, reader: &Reader) {
        while self.first < reader.next && !self.lines.is_empty() {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((end, _)) = self.lines.pop_front() {
            self.start = end;
            self.first += 1;
        }
    }

    /// The bytes that are kept.
    pub fn bytes(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// How many bytes `reader` has before it.
    pub fn waiting_bytes(&self, reader: &Reader) -> usize {
        let taken = reader.next.saturating_sub(self.first) as usize;
        let from = match taken.checked_sub(1) {
            None => self.start,
            Some(last) => self.lines.get(last).map_or(self.end, |(end, _)| *end),
        };
        (self.end - from) as usize
    }

    /// How many lines `reader` has before it.
    pub fn waiting(&self, reader: &Reader) -> u64 {
        self.end().saturating_sub(reader.next.max(self.first))
    }

    /// How many lines `reader` has missed for good.
    pub fn dropped(&self, reader: &Reader) -> u64 {
        reader.dropped + self.first.saturating_sub(reader.next)
    }

    /// Takes what is next for `reader`.
    pub fn next(&self, reader: &mut Reader) -> Option<Next<T>> {
        if reader.next < self.first {
            let missed = self.first - reader.next;
            reader.dropped += missed;
            reader.next = self.first;
            reader.last = reader.next;
            return Some(Next::Gap(missed));
        }
        reader.last = reader.next;
        let index = usize::try_from(reader.next - self.first).ok()?;
        let (_, line) = self.lines.get(index)?;
        reader.next += 1;
        Some(Next::Line(line.clone()))
    }

    /// The number of the line after the last.
    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }
}

impl Reader {
    /// Notes that `bytes` were sent for what [`Queue::next`] gave last.
    pub fn sent(&mut self, bytes: usize) {
        self.handed_out += bytes as u64;
        self.unconfirmed.push_back((self.handed_out, self.last));
    }

    /// Notes that `bytes` were sent beside the lines.
    pub fn sent_beside(&mut self, bytes: usize) {
        self.last = self.next;
        self.sent(bytes);
    }

    /// Notes that what [`Queue::next`] gave last cannot be sent.
    pub fn lost(&mut self) {
        self.dropped += 1;
    }

    /// Notes that of all bytes that were sent since [`Reader::rewind`], so many have arrived.
    pub fn confirm(&mut self, bytes: u64) {
        while self.unconfirmed.front().is_some_and(|(end, _)| *end <= bytes) {
            self.unconfirmed.pop_front();
        }
    }

    /// The other end is gone: what has not arrived in whole comes again.
    pub fn rewind(&mut self) {
        if let Some((_, back_to)) = self.unconfirmed.front() {
            self.next = *back_to;
        }
        self.unconfirmed.clear();
        self.handed_out = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(next: &Next<u64>) -> Option<u64> {
        match next {
            Next::Line(line) => Some(*line),
            Next::Gap(_) => None,
        }
    }

    #[test]
    fn a_restart_goes_on_where_it_stopped() {
        let mut queue = Queue::new(1000, 100);
        (0..5).for_each(|n| queue.push(n, 10));
        let mut reader = Reader::default();
        for _ in 0..3 {
            queue.next(&mut reader).unwrap();
            reader.sent(1);
        }
        reader.confirm(1);
        reader.rewind();
        assert_eq!((queue.waiting(&reader), queue.waiting_bytes(&reader)), (4, 40));
        let next = queue.next(&mut reader).unwrap();
        assert_eq!(number(&next), Some(1));
    }

    #[test]
    fn what_is_too_large_is_a_gap() {
        let mut queue = Queue::new(10, 100);
        queue.push(0_u64, 11);
        let mut reader = Reader::default();
        assert_eq!((queue.bytes(), queue.dropped(&reader)), (0, 1));
        assert_eq!(queue.next(&mut reader), Some(Next::Gap(1)));
        assert_eq!((queue.next(&mut reader), queue.dropped(&reader)), (None, 1));
    }

    #[test]
    fn what_is_forgotten_is_not_missed() {
        let mut queue = Queue::new(100, 3);
        let mut reader = Reader::default();
        for n in 0..10_u64 {
            queue.push(n, 10);
            assert_eq!(queue.next(&mut reader), Some(Next::Line(n)));
            queue.forget_before(&reader);
        }
        assert_eq!((queue.bytes(), queue.dropped(&reader)), (0, 0));
    }

    proptest! {
        #[test]
        fn order_is_kept_and_nothing_is_lost_in_silence(
            steps in prop::collection::vec((0..4_u8, 0..9_usize), 0..200), max_lines in 1..20_usize,
        ) {
            let mut queue = Queue::new(50, max_lines);
            let mut reader = Reader::default();
            let (mut pushed, mut expected, mut sent) = (0, 0, 0_u64);
            let mut confirmed = 0;
            for (step, count) in steps {
                match step {
                    0 | 1 => for _ in 0..count {
                        queue.push(pushed, 1 + pushed as usize % 7);
                        pushed += 1;
                    },
                    2 => for _ in 0..count {
                        match queue.next(&mut reader) {
                            Some(Next::Gap(missed)) => expected += missed,
                            Some(next) => {
                                prop_assert_eq!(number(&next), Some(expected));
                                expected += 1;
                                reader.sent(1);
                                sent += 1;
                            }
                            None => break,
                        }
                    },
                    _ if count == 0 => {
                        expected = reader.unconfirmed.front().map_or(expected, |(_, back_to)| *back_to);
                        reader.rewind();
                        (sent, confirmed) = (0, 0);
                    }
                    _ => {
                        confirmed = sent.min(confirmed + count as u64);
                        reader.confirm(confirmed);
                    }
                }
                prop_assert!(queue.bytes() <= 50 && queue.lines.len() <= max_lines);
                let behind = (queue.first.max(expected)..pushed).map(|n| 1 + n as usize % 7).sum::<usize>();
                prop_assert_eq!(queue.waiting_bytes(&reader), behind);
                prop_assert_eq!(reader.next, expected);
            }
            prop_assert_eq!(queue.waiting(&reader) + expected.max(queue.first), pushed);
        }
    }
}
