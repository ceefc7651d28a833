//! What is kept of a VM's console output, and when the guest is ready.
//!
//! Offsets count the bytes of output since the VM's start.

use std::collections::VecDeque;

/// Bytes of output that are kept. At 80 columns that is more than 3,000 full lines.
pub(super) const HISTORY: usize = 256 << 10;
/// What the built-in guests print when their shell is about to start.
const READY: &[u8] = b"Welcome to QemuWeb";

/// The console output of one run.
#[derive(Debug, Default)]
pub(super) struct History {
    kept: VecDeque<u8>,
    /// Bytes of output since the start.
    written: u64,
    /// How much of [`READY`] the output's last bytes match.
    matched: usize,
}

impl History {
    /// Takes output. Says whether it completed [`READY`].
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        self.written += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(HISTORY)..];
        let excess = (self.kept.len() + kept.len()).saturating_sub(HISTORY);
        self.kept.drain(..excess);
        self.kept.extend(kept);
        let mut ready = false;
        for &byte in bytes {
            // READY's first byte does not occur again in it, so a mismatch can only restart at that byte.
            self.matched = match self.matched {
                matched if byte == READY[matched] => matched + 1,
                _ => usize::from(byte == READY[0]),
            };
            if self.matched == READY.len() {
                self.matched = 0;
                ready = true;
            }
        }
        ready
    }

    /// At most `length` bytes from `offset` on, or from where what is kept begins, with the offset of the first.
    pub(super) fn from(&self, offset: u64, length: usize) -> (u64, Vec<u8>) {
        let first = self.written - self.kept.len() as u64;
        let offset = offset.clamp(first, self.written);
        let skipped = (offset - first) as usize;
        let end = self.kept.len().min(skipped.saturating_add(length));
        (offset, self.kept.range(skipped..end).copied().collect())
    }

    /// Bytes of output since the start.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_the_latest_output() {
        let mut history = History::default();
        history.push(&vec![b'a'; HISTORY]);
        history.push(b"bc");
        let (offset, kept) = history.from(0, usize::MAX);
        assert_eq!((offset, kept.len(), history.kept()), (2, HISTORY, HISTORY));
        assert!(kept.ends_with(b"abc"));
        history.push(&vec![b'd'; 3 * HISTORY]);
        assert_eq!(history.from(0, 1), (3 * HISTORY as u64 + 2, b"d".to_vec()));
    }

    #[test]
    fn finds_the_greeting_in_pieces() {
        let mut history = History::default();
        assert!(!history.push(b"Welcome, WWelcome to Qemu"));
        assert!(history.push(b"Web (Linux)"));
        assert!(!history.push(b"# "));
    }

    proptest! {
        #[test]
        fn pieces_are_those_of_the_output(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20), at in 0..900_u64, length in 0..100_usize,
        ) {
            let mut history = History::default();
            let all: Vec<u8> = pieces.concat();
            pieces.iter().for_each(|piece| { history.push(piece); });
            let (offset, piece) = history.from(at, length);
            prop_assert_eq!(offset, at.min(all.len() as u64));
            let rest = &all[offset as usize..];
            prop_assert_eq!(&piece, &rest[..length.min(rest.len())]);
        }
    }
}
