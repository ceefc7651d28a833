//! What is done later: when an answer has come, or once what was drawn stands in the document.
//!
//! A view may be gone by then, and its signals with it. To touch one of them panics, which leaves the page dead for good:
//! WebAssembly does not unwind, so that Sycamore's nodes stay borrowed. Whoever starts something for a view takes its
//! [`Owner`] with it, which knows. Modules that draw nothing and hold the page's own signals only may do without;
//! `cargo xtask tidy` has the list.

use std::pin::Pin;

use sycamore::prelude::*;
use sycamore::web::queue_microtask;
use wasm_bindgen_futures::spawn_local;

/// The scope that owns a view's signals.
#[derive(Clone, Copy)]
pub struct Owner {
    scope: NodeHandle,
    /// Goes when the scope does.
    alive: Signal<()>,
}

impl Owner {
    /// The present scope. Call it where the signals are made that will be touched.
    pub fn here() -> Self {
        Self {
            scope: use_current_scope(),
            alive: create_signal(()),
        }
    }

    /// Does something in the scope, if it is still there.
    pub fn run<T>(self, act: impl FnOnce() -> T) -> Option<T> {
        self.alive.is_alive().then(|| self.scope.run_in(act))
    }

    /// Does `work` to its end. Its result goes to `take` if the scope is still there, and is dropped otherwise.
    pub fn then<T: 'static>(self, work: impl Future<Output = T> + 'static, take: impl FnOnce(T) + 'static) {
        self.then_or(work, take, drop);
    }

    /// Does `work` to its end. Its result goes to `take` if the scope is still there, or else to `otherwise`, which may touch
    /// the page's own signals only.
    pub fn then_or<T: 'static>(
        self,
        work: impl Future<Output = T> + 'static,
        take: impl FnOnce(T) + 'static,
        otherwise: impl FnOnce(T) + 'static,
    ) {
        let work: Pin<Box<dyn Future<Output = T>>> = Box::pin(work);
        spawn_local(async move {
            let result = work.await;
            if self.alive.is_alive() {
                self.scope.run_in(|| take(result));
            } else {
                otherwise(result);
            }
        });
    }

    /// Does something after the present task, when the document has what is being drawn, if the scope is still there.
    pub fn soon(self, act: impl FnOnce() + 'static) {
        queue_microtask(move || {
            self.run(act);
        });
    }
}

/// [`Owner::soon`] for what touches the document only, and no signal.
pub fn soon(act: impl FnOnce() + 'static) {
    queue_microtask(act);
}
