//! Puts a VM's console output in order: each byte is shown once, whatever is sent again.
//!
//! The host numbers console bytes from 0 in each run. It sends what it has kept of the past when a panel
//! begins to watch, so the same bytes may come twice, and the oldest may be missing.

/// How much of one VM's console output has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialOrder {
    run: u64,
    next: u64,
}

/// What to show of a piece of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Bytes at the beginning of the piece that have been shown before.
    pub skip: usize,
    /// Bytes before the piece that never came.
    pub lost: u64,
}

impl SerialOrder {
    /// Nothing taken yet of a run (`VmInfo::run`).
    pub fn new(run: u64) -> Self {
        Self { run, next: 0 }
    }

    /// The run that it is in.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// Notes that the VM is in `run`. Returns whether that is another run than before, whose output stands alone. A VM that
    /// a new host knows and has not started (0) shows what it showed.
    pub fn restart(&mut self, run: u64) -> bool {
        let is_new = run != 0 && run != self.run;
        if is_new {
            *self = Self::new(run);
        }
        is_new
    }

    /// Takes a piece of `len` bytes that begins at `offset`, or nothing if all of it is known.
    pub fn accept(&mut self, offset: u64, len: usize) -> Option<Accepted> {
        let end = offset.saturating_add(len as u64);
        if end <= self.next {
            return None;
        }
        // Fits: it is at most `len`.
        let skip = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(len);
        let lost = offset.saturating_sub(self.next);
        self.next = end;
        Some(Accepted { skip, lost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_order_are_taken_whole() {
        let mut order = SerialOrder::new(1);
        assert_eq!(order.accept(0, 10), Some(Accepted { skip: 0, lost: 0 }));
        assert_eq!(order.accept(10, 5), Some(Accepted { skip: 0, lost: 0 }));
    }

    #[test]
    fn what_is_known_is_skipped() {
        let mut order = SerialOrder::new(1);
        order.accept(0, 10);
        assert_eq!(order.accept(0, 10), None);
        assert_eq!(order.accept(5, 10), Some(Accepted { skip: 5, lost: 0 }));
        assert_eq!(order.accept(15, 0), None);
    }

    #[test]
    fn a_past_that_was_not_kept_is_counted() {
        let mut order = SerialOrder::new(1);
        assert_eq!(order.accept(4096, 16), Some(Accepted { skip: 0, lost: 4096 }));
        assert_eq!(order.accept(4112, 1), Some(Accepted { skip: 0, lost: 0 }));
    }

    #[test]
    fn a_new_run_counts_from_zero() {
        let mut order = SerialOrder::new(1);
        order.accept(0, 10);
        assert!(!order.restart(1));
        assert!(!order.restart(0));
        assert_eq!(order.accept(0, 10), None);
        assert!(order.restart(2));
        assert_eq!(order.accept(0, 10), Some(Accepted { skip: 0, lost: 0 }));
    }

    #[test]
    fn hostile_offsets_do_not_overflow() {
        let mut order = SerialOrder::new(1);
        assert!(order.accept(u64::MAX, 10).is_some());
        assert_eq!(order.accept(0, 10), None);
    }
}
