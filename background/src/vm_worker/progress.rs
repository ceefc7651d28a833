//! How far a phase of a start is, told to the host.

use std::cell::Cell;

use qemuweb_machine::worker::VmWorkerEvent;
use qemuweb_wire::vm::{Phase, Progress};

use super::report;

/// Bytes of one phase, told to the host at most every [`ProgressMeter::INTERVAL_MS`].
pub(super) struct ProgressMeter {
    phase: Phase,
    done: Cell<u64>,
    /// Bytes that are known to come.
    expected: Cell<u64>,
    /// How many files come of which nobody has told the size.
    unknown: Cell<usize>,
    told_at: Cell<f64>,
}

impl ProgressMeter {
    const INTERVAL_MS: f64 = 50.0;

    pub(super) fn new(phase: Phase) -> Self {
        Self {
            phase,
            done: Cell::default(),
            expected: Cell::default(),
            unknown: Cell::default(),
            told_at: Cell::default(),
        }
    }

    /// Another file comes, whose size is not known yet.
    pub(super) fn expect_file(&self) {
        self.unknown.set(self.unknown.get() + 1);
    }

    /// The size in bytes of one of the files that are expected, now that it is known.
    pub(super) fn learn_size(&self, bytes: u64) {
        if let Some(rest) = self.unknown.get().checked_sub(1) {
            self.unknown.set(rest);
            self.expected.set(self.expected.get().saturating_add(bytes));
        }
    }

    /// So many bytes more are done.
    pub(super) fn add(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        if js_sys::Date::now() - self.told_at.get() >= Self::INTERVAL_MS {
            self.tell();
        }
    }

    /// Tells the host how far the phase is.
    pub(super) fn tell(&self) {
        self.told_at.set(js_sys::Date::now());
        let (done, expected) = (self.done.get(), self.expected.get());
        let is_known = self.unknown.get() == 0 && (done..).contains(&expected) && expected > 0;
        let progress = Progress {
            phase: self.phase,
            done,
            total: is_known.then_some(expected),
        };
        report(&VmWorkerEvent::Progress { progress }, &[]);
    }
}
