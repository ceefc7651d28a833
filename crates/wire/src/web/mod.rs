//! The browser's side of this crate's traits: one small file each.

mod capabilities;
mod connect;
mod panics;
mod port;
pub mod presence;

pub use capabilities::detect_capabilities;
pub use connect::connect;
pub use panics::note_panics;
pub use port::{PortTransport, packet_from_js, packet_to_js};

use wasm_bindgen::{JsCast, JsValue};

use crate::failure::Failure;

/// What a JavaScript exception says: an Error's message, or the value as text.
pub fn exception_text(exception: &JsValue) -> String {
    match exception.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => exception.as_string().unwrap_or_else(|| format!("{exception:?}")),
    }
}

/// A failure of `message` whose cause is a JavaScript exception.
pub fn failure_from_exception(message: impl Into<String>, exception: &JsValue) -> Failure {
    Failure {
        causes: vec![exception_text(exception)],
        ..Failure::new(message)
    }
}
