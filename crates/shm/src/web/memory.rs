//! [`SharedMemory`] on a SharedArrayBuffer, with the waits of the memory model.

use js_sys::{Atomics, Int32Array, Promise, Reflect, SharedArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::SharedMemory;

/// QEMU's memory as another thread sees it. Its size never changes.
#[derive(Clone, Debug)]
pub struct JsSharedMemory {
    words: Int32Array,
    bytes: Uint8Array,
}

/// `Atomics.waitAsync` does not exist or refused.
#[derive(Debug, thiserror::Error)]
#[error("could not wait for QEMU: {0}")]
pub struct WaitError(String);

impl JsSharedMemory {
    /// Views of `buffer`.
    pub fn new(buffer: &SharedArrayBuffer) -> Self {
        Self {
            words: Int32Array::new(buffer),
            bytes: Uint8Array::new(buffer),
        }
    }

    /// Wakes all who wait on the word at `address`.
    pub fn notify(&self, address: u32) {
        // Fails for an index outside the array only, where nobody can wait.
        let _ = Atomics::notify(&self.words, address / 4);
    }

    /// Adds one to the word at `address` and wakes all who wait on it.
    pub fn bump(&self, address: u32) {
        // As in `notify`.
        let _ = Atomics::add(&self.words, address / 4, 1);
        self.notify(address);
    }

    /// Blocks this thread, which has to be a Worker's, until the word at `address` is no longer `seen` or so many milliseconds
    /// have passed; whether it is another one. A thread that waits so goes on sooner than one that is told by its event loop.
    pub fn block(&self, address: u32, seen: u32, milliseconds: f64) -> bool {
        // Fails on a page, and for an index outside the array, and nothing is waited for.
        let _ = Atomics::wait_with_timeout(&self.words, address / 4, seen.cast_signed(), milliseconds);
        self.load(address) != seen
    }

    /// Waits, without blocking this thread, until the word at `address` is no longer `seen` and someone
    /// notified it. May return early. `false` when the word was another one already, and nothing was waited for.
    ///
    /// # Errors
    /// [`WaitError`] when the browser has no `Atomics.waitAsync`.
    pub async fn changed(&self, address: u32, seen: u32) -> Result<bool, WaitError> {
        let failed = |exception: JsValue| WaitError(exception_text(&exception));
        let wait = Atomics::wait_async(&self.words, address / 4, seen.cast_signed()).map_err(failed)?;
        let waits = Reflect::get(&wait, &"async".into()).map_err(failed)?.is_truthy();
        if waits {
            let promise: Promise = Reflect::get(&wait, &"value".into())
                .map_err(failed)?
                .unchecked_into();
            JsFuture::from(promise).await.map_err(failed)?;
        }
        Ok(waits)
    }
}

/// What a JavaScript exception says.
fn exception_text(exception: &JsValue) -> String {
    exception
        .dyn_ref::<js_sys::Error>()
        .map_or_else(|| format!("{exception:?}"), |error| String::from(error.message()))
}

impl SharedMemory for JsSharedMemory {
    fn len(&self) -> u64 {
        u64::from(self.bytes.length())
    }

    fn load(&self, address: u32) -> u32 {
        Atomics::load(&self.words, address / 4).map_or(0, i32::cast_unsigned)
    }

    fn store(&self, address: u32, value: u32) {
        // Fails for an index outside the array only, which stores nothing by contract.
        let _ = Atomics::store(&self.words, address / 4, value.cast_signed());
    }

    fn read(&self, address: u32, target: &mut [u8]) {
        if let Some(view) = self.view(address, target.len()) {
            view.copy_to(target);
        }
    }

    fn write(&self, address: u32, source: &[u8]) {
        if let Some(view) = self.view(address, source.len()) {
            view.copy_from(source);
        }
    }
}

impl JsSharedMemory {
    fn view(&self, address: u32, length: usize) -> Option<Uint8Array> {
        let end = address.checked_add(u32::try_from(length).ok()?)?;
        (u64::from(end) <= self.len()).then(|| self.bytes.subarray(address, end))
    }
}
