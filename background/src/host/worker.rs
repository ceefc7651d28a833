//! The Worker of one run, as the host holds it.

use qemuweb_runtime::Failure;
use qemuweb_runtime::web::failure_from_exception;
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// What comes from a Worker.
pub(super) enum FromWorker {
    /// Something it posted.
    Message(JsValue),
    /// An exception that nobody caught in it or in QEMU's threads, such as a WebAssembly trap.
    Error(String),
}

/// A running Worker with QEMU in it. Dropping it ends both.
pub(super) struct VmWorker {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl VmWorker {
    /// Starts a Worker, which will say that it is ready.
    ///
    /// # Errors
    /// A [`Failure`] when the browser starts none.
    pub(super) fn spawn(take: impl Fn(FromWorker) + Clone + 'static) -> Result<Self, Failure> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options("vm-worker.js", &options)
            .map_err(|exception| failure_from_exception("could not start a Worker for the VM", &exception))?;
        let on_message = Closure::new({
            let take = take.clone();
            move |event: MessageEvent| take(FromWorker::Message(event.data()))
        });
        let on_error = Closure::new(move |event: ErrorEvent| {
            // A script that fails to load gives an event without a message.
            let message = js_sys::Reflect::get(&event, &"message".into())
                .ok()
                .and_then(|message| message.as_string());
            take(FromWorker::Error(
                message.unwrap_or_else(|| "its code could not be loaded".to_owned()),
            ));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self {
            worker,
            _on_message: on_message,
            _on_error: on_error,
        })
    }

    /// Posts a message.
    pub(super) fn post(&self, message: &JsValue) {
        if let Err(exception) = self.worker.post_message(message) {
            web_sys::console::error_2(&"QemuWeb: could not reach a VM's Worker".into(), &exception);
        }
    }

    /// Ends the Worker at once.
    pub(super) fn terminate(&self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

impl Drop for VmWorker {
    fn drop(&mut self) {
        self.terminate();
    }
}
