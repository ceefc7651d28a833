//! The browser's side: IndexedDB, files, servers and locks, in pages and Workers alike.

mod database;
mod fetch;
mod file;
mod lock;
mod overlay;
mod pump;
mod sink;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use wasm_bindgen::{JsCast, JsValue};

pub use database::{DATABASE, Database, StoredDisk};
pub use fetch::FetchRanges;
pub use file::BlobSlices;
pub use overlay::IndexedDbOverlay;
pub use pump::{Pump, PumpError};
pub use sink::BlobSink;

use crate::device::Runtime;

/// The browser's event loop.
pub struct EventLoop;

impl Runtime for EventLoop {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        wasm_bindgen_futures::spawn_local(task);
    }

    fn sleep(&self, milliseconds: u32) -> LocalBoxFuture<'static, ()> {
        gloo_timers::future::TimeoutFuture::new(milliseconds).boxed_local()
    }
}

/// What an exception says: a DOMException's message may be empty, its name is not.
fn reason(exception: &JsValue) -> String {
    let Some(error) = exception.dyn_ref::<js_sys::Error>() else {
        return format!("{exception:?}");
    };
    let (name, message) = (String::from(error.name()), String::from(error.message()));
    if message.is_empty() {
        name
    } else {
        format!("{name}: {message}")
    }
}
