//! Noticing that another context is gone.
//!
//! A MessagePort does not tell when its other end dies: Chromium 156 sends no `close` event, whether the port is
//! closed, its page is, or the offscreen document is. Web Locks do tell: a context holds a lock of a known name,
//! and whoever asks for that lock gets it when the holder is gone, however it went.

use std::cell::RefCell;
use std::rc::Rc;

use futures_channel::oneshot;
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::failure_from_exception;
use crate::failure::Failure;

/// The lock that the VM host holds.
pub const HOST: &str = "qemuweb-host";

#[wasm_bindgen]
extern "C" {
    /// `navigator.locks.request(name, callback)`; web-sys has it behind a flag only.
    #[wasm_bindgen(catch, js_namespace = ["navigator", "locks"], js_name = request)]
    fn request(name: &str, granted: &JsValue) -> Result<Promise, JsValue>;
}

/// A lock that is held. Dropping it lets go, as does the end of this context.
pub struct Presence {
    release: Rc<RefCell<Option<Function>>>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            // The function that resolves a promise does not throw.
            let _ = release.call0(&JsValue::NULL);
        }
    }
}

/// Takes the lock `name` and holds it.
///
/// # Errors
/// A [`Failure`] when the browser has no Web Locks or refuses.
pub async fn announce(name: &str) -> Result<Presence, Failure> {
    let release = Rc::new(RefCell::new(None));
    let (held, is_held) = oneshot::channel();
    let granted = Closure::once_into_js({
        let release = Rc::clone(&release);
        move || {
            // Nobody may wait any more.
            let _ = held.send(());
            Promise::new(&mut |resolve, _| *release.borrow_mut() = Some(resolve))
        }
    });
    let refused =
        |exception: JsValue| failure_from_exception(format!("could not take the lock {name}"), &exception);
    // Resolves when the lock is let go, which nobody waits for.
    drop(request(name, &granted).map_err(refused)?);
    is_held
        .await
        .map_err(|_| Failure::new(format!("the lock {name} was never granted")))?;
    Ok(Presence { release })
}

/// Waits until nobody holds the lock `name`.
///
/// # Errors
/// A [`Failure`] when the browser has no Web Locks or refuses.
pub async fn gone(name: &str) -> Result<(), Failure> {
    let failed = |exception: JsValue| {
        failure_from_exception(format!("could not wait for the lock {name}"), &exception)
    };
    let granted = Closure::once_into_js(|| JsValue::UNDEFINED);
    JsFuture::from(request(name, &granted).map_err(failed)?)
        .await
        .map_err(failed)?;
    Ok(())
}
