//! What runs behind the pages: the service worker's broker, the VM host and the VM workers.
//!
//! One WebAssembly module with four entry points, each called by a loader in `extension/`:
//!
//! | context | loader | entry |
//! |---|---|---|
//! | service worker | `service-worker.js` | [`broker`] |
//! | offscreen document | `offscreen.js` | [`host::Host`] |
//! | one Worker per VM | `vm-worker.js` | [`vm_worker::start_vm_worker`] |
//! | another one per VM with disks | `storage-worker.js` | [`storage_worker::start_storage_worker`] |

#![cfg(target_arch = "wasm32")]

mod blob;
pub mod broker;
pub mod host;
pub mod refusal;
pub mod storage_worker;
pub mod vm_worker;

use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once in each context, before its entry point.
#[wasm_bindgen(start)]
pub fn start() {
    qemuweb_wire::web::note_panics();
}
