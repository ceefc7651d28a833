//! Bindings for the `chrome.*` extension APIs that QemuWeb uses.
//!
//! What [`chrome_sys`] has is re-exported as [`sys`]; the rest is declared here, one module an API, as thin as
//! wasm-bindgen allows. Signatures follow the reference at <https://developer.chrome.com/docs/extensions/reference/api>.
//! Promises that Chrome rejects come back as the error that they were rejected with.

pub mod devtools;
pub mod panels;

pub use chrome_sys as sys;

use js_sys::Promise;
use wasm_bindgen::prelude::*;

/// `chrome.runtime`: what [`sys`] lacks of it. Sending is [`sys::bindings::send_message`].
pub mod runtime {
    use super::wasm_bindgen;

    #[wasm_bindgen]
    extern "C" {
        /// `chrome.runtime.getURL`: the absolute URL of a file of the package.
        #[wasm_bindgen(js_namespace = ["chrome", "runtime"], js_name = getURL)]
        pub fn get_url(path: &str) -> String;
    }
}

/// `chrome.offscreen`: the hidden document. Reachable from the service worker only.
pub mod offscreen {
    use super::{JsValue, Promise, wasm_bindgen};

    #[wasm_bindgen]
    extern "C" {
        /// `chrome.offscreen.createDocument({url, reasons, justification})`; resolves when it has loaded.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "offscreen"], js_name = createDocument)]
        pub fn create_document(parameters: &JsValue) -> Result<Promise, JsValue>;

        /// `chrome.offscreen.closeDocument()`; resolves when it is gone.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "offscreen"], js_name = closeDocument)]
        pub fn close_document() -> Result<Promise, JsValue>;

        /// `chrome.offscreen.hasDocument()`; resolves to a boolean.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "offscreen"], js_name = hasDocument)]
        pub fn has_document() -> Result<Promise, JsValue>;
    }
}

/// `chrome.action`: the toolbar button and its badge.
pub mod action {
    use super::{JsValue, Promise, wasm_bindgen};

    #[wasm_bindgen]
    extern "C" {
        /// `chrome.action.setBadgeText({text})`; an empty text removes the badge.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "action"], js_name = setBadgeText)]
        pub fn set_badge_text(details: &JsValue) -> Result<Promise, JsValue>;

        /// `chrome.action.setBadgeBackgroundColor({color})`.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "action"], js_name = setBadgeBackgroundColor)]
        pub fn set_badge_background_color(details: &JsValue) -> Result<Promise, JsValue>;

        /// `chrome.action.setTitle({title})`: the button's tooltip.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "action"], js_name = setTitle)]
        pub fn set_title(details: &JsValue) -> Result<Promise, JsValue>;
    }
}

/// `chrome.tabs`, as far as it needs no permission.
pub mod tabs {
    use super::{JsValue, Promise, wasm_bindgen};

    #[wasm_bindgen]
    extern "C" {
        /// `chrome.tabs.create({url})`.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "tabs"], js_name = create)]
        pub fn create(properties: &JsValue) -> Result<Promise, JsValue>;
    }
}

/// `chrome.permissions`: what the person grants while the extension runs.
pub mod permissions {
    use super::{JsValue, Promise, wasm_bindgen};

    #[wasm_bindgen]
    extern "C" {
        /// `chrome.permissions.request({origins})`, while a click is fresh; resolves to whether it was granted.
        #[wasm_bindgen(catch, js_namespace = ["chrome", "permissions"], js_name = request)]
        pub fn request(permissions: &JsValue) -> Result<Promise, JsValue>;
    }
}
