//! What tests of images share: tokio as the devices' runtime, and an image.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use qemuweb_storage::device::Runtime;

/// Tokio, for a thread. Pauses are noted, and a hundredth as long.
#[derive(Default)]
pub(crate) struct Tokio {
    pub(crate) pauses: RefCell<Vec<u32>>,
}

impl Runtime for Tokio {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        tokio::task::spawn_local(task);
    }

    fn sleep(&self, milliseconds: u32) -> LocalBoxFuture<'static, ()> {
        self.pauses.borrow_mut().push(milliseconds);
        tokio::time::sleep(Duration::from_micros(u64::from(milliseconds) * 10)).boxed_local()
    }
}

/// Runs a test, on one thread.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Rc<Tokio>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, test(Rc::default()));
}

/// An image whose bytes tell where they are.
pub(crate) fn image(length: usize) -> Vec<u8> {
    (0..length as u64)
        .step_by(8)
        .flat_map(|offset| (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes())
        .take(length)
        .collect()
}
