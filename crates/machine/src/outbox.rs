//! What waits for room in a channel's ring to the guest.

use std::collections::VecDeque;
use std::rc::Rc;

/// One channel's way to the guest. How much waits, whoever sends decides, by [`Outbox::queued`].
#[derive(Debug)]
pub(crate) struct Outbox {
    /// The pieces that wait, of the first only what is behind `start`.
    queue: VecDeque<Rc<[u8]>>,
    start: usize,
    queued: usize,
    capacity: u32,
    /// Bytes that are in the ring, as far as is known.
    used: u32,
    /// Bytes that were ever put into the ring.
    written: u64,
    /// Bytes that QEMU has dropped from it.
    dropped: u64,
}

impl Outbox {
    /// The way through an empty ring of this capacity, in bytes.
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            queue: VecDeque::new(),
            start: 0,
            queued: 0,
            capacity,
            used: 0,
            written: 0,
            dropped: 0,
        }
    }

    /// Bytes that wait for room in the ring.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes that the guest's side has taken out of the ring since QEMU's start.
    pub(crate) fn taken(&self) -> u64 {
        self.written
            .saturating_sub(u64::from(self.used))
            .saturating_sub(self.dropped)
    }

    pub(crate) fn push(&mut self, bytes: Rc<[u8]>) {
        if !bytes.is_empty() {
            self.queued += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.start = 0;
        self.queued = 0;
    }

    /// Takes what has room in the ring now.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let room = (self.capacity - self.used.min(self.capacity)) as usize;
        let mut bytes = Vec::with_capacity(room.min(self.queued));
        while bytes.len() < room {
            let Some(first) = self.queue.front() else { break };
            let rest = &first[self.start..];
            let part = rest.len().min(room - bytes.len());
            bytes.extend_from_slice(&rest[..part]);
            self.start += part;
            if self.start == first.len() {
                self.queue.pop_front();
                self.start = 0;
            }
        }
        self.queued -= bytes.len();
        self.used += bytes.len() as u32;
        self.written += bytes.len() as u64;
        bytes
    }

    /// Takes how the ring is now. Says whether QEMU has dropped anything, because another program has the channel now; then
    /// what waits is forgotten as well: the former program's half was in the ring.
    pub(crate) fn moved(&mut self, used: u32, dropped: u64) -> bool {
        self.used = used.min(self.capacity);
        let more = dropped > self.dropped;
        self.dropped = self.dropped.max(dropped);
        if more {
            self.clear();
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_keep_their_order_and_never_exceed_the_ring(
            steps in prop::collection::vec((0..3_u8, 0..40_u32), 0..100), capacity in 1..30_u32,
        ) {
            let mut outbox = Outbox::new(capacity);
            let (mut pushed, mut ring, mut taken) = (0_u8, VecDeque::new(), Vec::new());
            let mut sent = Vec::new();
            for (step, count) in steps {
                match step {
                    0 => {
                        let bytes: Vec<u8> = (0..count).map(|_| { pushed = pushed.wrapping_add(1); pushed }).collect();
                        sent.extend_from_slice(&bytes);
                        outbox.push(bytes.into());
                    }
                    1 => ring.extend(outbox.take()),
                    _ => {
                        taken.extend(ring.drain(..ring.len().min(count as usize)));
                        prop_assert!(!outbox.moved(ring.len() as u32, 0));
                        prop_assert_eq!(outbox.taken(), taken.len() as u64);
                    }
                }
                prop_assert!(ring.len() <= capacity as usize);
                prop_assert_eq!(outbox.queued() + ring.len() + taken.len(), sent.len());
            }
            taken.extend(ring);
            prop_assert_eq!(&taken[..], &sent[..taken.len()]);
        }
    }

    #[test]
    fn what_was_for_another_program_is_forgotten() {
        let mut outbox = Outbox::new(4);
        outbox.push(Rc::from(&b"abcdef"[..]));
        assert_eq!(outbox.take(), b"abcd");
        assert!(outbox.moved(0, 3));
        assert_eq!((outbox.queued(), outbox.taken()), (0, 1));
        assert!(!outbox.moved(0, 3));
    }
}
