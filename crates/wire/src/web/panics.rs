//! What is left of a panic for those who come after it.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

/// The global variable with the text of the first panic, for the context's loader (`extension/crash.js`).
const TEXT: &str = "qemuwebPanic";

/// Has panics told on the console, and the text of the first, which explains the others, left for the context's loader.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let (global, name) = (js_sys::global(), JsValue::from_str(TEXT));
        if Reflect::get(&global, &name).is_ok_and(|text| text.is_undefined()) {
            // Cannot fail for a variable that nobody has defined.
            let _ = Reflect::set(&global, &name, &panic.to_string().into());
        }
    }));
}
