//! A VM's console output: what is kept of it for clients that come later, and when the guest is ready.

use std::collections::VecDeque;

/// Bytes of output that are kept. At 80 columns that is more than 3,000 full lines.
const HISTORY: usize = 256 << 10;
/// What the built-in guests print when their shell is about to start.
const READY: &[u8] = b"Welcome to QemuWeb";

/// The console output of one run.
#[derive(Default)]
pub(super) struct Console {
    history: VecDeque<u8>,
    /// Bytes of output since the start.
    written: u64,
    /// How much of [`READY`] the output's last bytes match.
    matched: usize,
}

impl Console {
    /// Takes output, and tells at which offset it stands and whether it completed the guest's greeting.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (u64, bool) {
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
        (offset, ready)
    }

    /// What is kept of the output, with the offset of its first byte.
    pub(super) fn history(&self) -> (u64, Vec<u8>) {
        (
            self.written - self.history.len() as u64,
            self.history.iter().copied().collect(),
        )
    }
}
