//! Who uses a disk: a Web Lock, which the browser lets go of when its holder's page or Worker is gone, however it went.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::future::{Either, select};
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortSignal;

use super::reason;

#[wasm_bindgen]
extern "C" {
    /// `navigator.locks.request(name, options, callback)`; web-sys has it behind a flag only.
    #[wasm_bindgen(catch, js_namespace = ["navigator", "locks"], js_name = request)]
    fn request(name: &str, options: &Object, granted: &JsValue) -> Result<Promise, JsValue>;
}

/// A lock that is held until this is dropped.
pub(super) struct Lock {
    release: Function,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The function that resolves a promise does not throw.
        let _ = self.release.call0(&JsValue::NULL);
    }
}

/// How long to wait for a lock, in milliseconds: somebody who has just let go, or died, may hold it that long.
const PATIENCE_MS: u32 = 1_000;

/// Takes the lock `name`; nothing if somebody has it, and goes on having it.
///
/// # Errors
/// What the browser says when it has no locks.
pub(super) async fn take(name: &str) -> Result<Option<Lock>, String> {
    let options = Object::new();
    let signal = AbortSignal::timeout_with_u32(PATIENCE_MS);
    Reflect::set(&options, &"signal".into(), &signal).map_err(|error| reason(&error))?;
    let release: Rc<RefCell<Option<Function>>> = Rc::default();
    let keeps = Rc::clone(&release);
    let mut answer = None;
    let asked = Promise::new(&mut |resolve, _| answer = Some(resolve));
    let granted = Closure::once_into_js(move || {
        if let Some(answer) = answer {
            // As in `drop`.
            let _ = answer.call0(&JsValue::NULL);
        }
        Promise::new(&mut |resolve, _| *keeps.borrow_mut() = Some(resolve))
    });
    let refused = |exception: JsValue| reason(&exception);
    // Resolves when the lock is let go of, and rejects when it is not to be had in time.
    let over = JsFuture::from(request(name, &options, &granted).map_err(refused)?);
    match select(JsFuture::from(asked), over).await {
        Either::Left(_) | Either::Right((Ok(_), _)) => Ok(release.take().map(|release| Lock { release })),
        Either::Right((Err(exception), _)) => {
            let name = Reflect::get(&exception, &"name".into()).unwrap_or_default();
            if name == "TimeoutError" {
                Ok(None)
            } else {
                Err(reason(&exception))
            }
        }
    }
}
