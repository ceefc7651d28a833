//! The VM host: the offscreen document that owns all VMs and serves all clients.
//!
//! [`Host`] is what JavaScript holds. What is decided, the core decides (`qemuweb_machine`); [`driver`] brings it what has
//! happened and carries out what it says. Nothing here blocks: QEMU runs in the VMs' Workers.

mod channel;
mod clients;
mod driver;
mod files;
mod recognize;
mod store;
mod storing;
mod worker;
mod workers;

use std::rc::Rc;

use qemuweb_machine::io::{Begin, Kept};
use qemuweb_wire::Failure;
use qemuweb_wire::web::detect_capabilities;
use qemuweb_wire::web::presence::{self, Presence, announce};
use wasm_bindgen::prelude::*;
use web_sys::MessagePort;

use driver::Driver;
use store::Store;

/// The host as its page's loader sees it.
#[wasm_bindgen]
pub struct Host {
    driver: Rc<Driver>,
    _presence: Presence,
}

#[wasm_bindgen]
impl Host {
    /// A host with the VMs that were kept, which clients can tell to be there.
    ///
    /// # Errors
    /// The text of a failure when the browser has no Web Locks.
    pub async fn start() -> Result<Host, JsError> {
        let presence = announce(presence::HOST)
            .await
            .map_err(|failure| JsError::new(&failure.to_string()))?;
        let store = Store::default();
        let (kept, store) = match store.load().await {
            Ok(kept) => (kept, Some(store)),
            Err(failure) => {
                let failure =
                    failure.with_next_step("VMs that you define now are forgotten when the browser closes.");
                let kept = Kept {
                    failures: vec![failure],
                    ..Kept::default()
                };
                (kept, None)
            }
        };
        let begin = Begin {
            capabilities: detect_capabilities(),
            kept,
            failed: former_failure(),
        };
        Ok(Self {
            driver: Driver::new(begin, store),
            _presence: presence,
        })
    }

    /// Takes a client's port, as the service worker brings it, and the name of the lock that the client holds.
    pub fn accept(&self, port: MessagePort, client_lock: String) {
        self.driver.clients.accept(port, client_lock, &self.driver);
    }
}

/// Why the former host is gone, if it failed: its page has left that (`extension/offscreen.js`).
fn former_failure() -> Option<Failure> {
    const LEFT: &str = "host.failure";
    let storage = web_sys::window()?.local_storage().ok()??;
    let cause = storage.get_item(LEFT).ok()??;
    storage.remove_item(LEFT).ok()?;
    let failure = Failure {
        causes: vec![cause],
        ..Failure::new("the VM host failed; machines that ran have ended")
    };
    Some(failure.with_next_step("Start them again."))
}
