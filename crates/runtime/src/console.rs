//! A VM's console output: what is kept of it for clients that come later, and when the guest is ready.
//!
//! Offsets count the bytes of output since the VM's start.

use std::collections::VecDeque;

/// Bytes of output that are kept. At 80 columns that is more than 3,000 full lines.
pub const HISTORY: usize = 256 << 10;
/// What the built-in guests print when their shell is about to start.
pub const READY: &[u8] = b"Welcome to QemuWeb";

/// What [`Console::push`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Offset of the first byte pushed.
    pub offset: u64,
    /// Whether these bytes completed [`READY`].
    pub ready: bool,
}

/// The console output of one run.
#[derive(Debug, Default)]
pub struct Console {
    history: VecDeque<u8>,
    /// Bytes of output since the start.
    written: u64,
    /// How much of [`READY`] the output's last bytes match.
    matched: usize,
}

impl Console {
    /// Takes output.
    pub fn push(&mut self, bytes: &[u8]) -> Pushed {
        let offset = self.written;
        self.written += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(HISTORY)..];
        let excess = (self.history.len() + kept.len()).saturating_sub(HISTORY);
        self.history.drain(..excess);
        self.history.extend(kept);
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
        Pushed { offset, ready }
    }

    /// What is kept of the output, with the offset of its first byte.
    pub fn history(&self) -> (u64, Vec<u8>) {
        (
            self.written - self.history.len() as u64,
            self.history.iter().copied().collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_the_latest_output() {
        let mut console = Console::default();
        assert_eq!(console.push(&vec![b'a'; HISTORY]).offset, 0);
        assert_eq!(console.push(b"bc").offset, HISTORY as u64);
        let (offset, history) = console.history();
        assert_eq!((offset, history.len()), (2, HISTORY));
        assert!(history.ends_with(b"abc"));
        console.push(&vec![b'd'; 3 * HISTORY]);
        assert_eq!(console.history().0, 3 * HISTORY as u64 + 2);
    }

    #[test]
    fn finds_the_greeting_in_pieces() {
        let mut console = Console::default();
        assert!(!console.push(b"Welcome, WWelcome to Qemu").ready);
        assert!(console.push(b"Web (Linux)").ready);
        assert!(!console.push(b"# ").ready);
    }

    proptest! {
        #[test]
        fn history_is_the_tail_of_what_was_pushed(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut console = Console::default();
            let mut all = Vec::new();
            for piece in pieces {
                let pushed = console.push(&piece);
                prop_assert_eq!(pushed.offset, all.len() as u64);
                all.extend(piece);
            }
            let (offset, history) = console.history();
            prop_assert_eq!(&all[offset as usize..], history);
        }
    }
}
