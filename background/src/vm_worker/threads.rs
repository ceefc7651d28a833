//! The end of QEMU's threads, which the host may ask for at any time.

use std::cell::{Cell, OnceCell};
use std::ops::ControlFlow;

use qemuweb_wire::Failure;
use qemuweb_wire::web::failure_from_exception;

use super::emscripten::PThread;

/// QEMU's threads: none before QEMU is loaded, and none after their end.
#[derive(Default)]
pub(super) struct Threads {
    book: OnceCell<PThread>,
    ended: Cell<bool>,
}

impl Threads {
    /// QEMU is loaded, and has the threads in `book`. Breaks when their end was asked for before.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub(super) fn started(&self, book: PThread) -> Result<ControlFlow<()>, Failure> {
        let book = self.book.get_or_init(|| book);
        if self.ended.get() {
            return terminate(book).map(ControlFlow::Break);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Ends the threads that there are, and those that a QEMU which is loaded later has.
    ///
    /// # Errors
    /// A [`Failure`] when Emscripten's book of threads is not what it was.
    pub(super) fn end(&self) -> Result<(), Failure> {
        self.ended.set(true);
        self.book.get().map_or(Ok(()), terminate)
    }
}

fn terminate(book: &PThread) -> Result<(), Failure> {
    book.terminate_all()
        .map_err(|exception| failure_from_exception("QEMU's threads could not be ended", &exception))
}
