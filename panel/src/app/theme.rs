//! The theme: that of DevTools, or of the browser where there are none.

use sycamore::web::window;
use wasm_bindgen::prelude::*;

use crate::cx::Cx;

/// Calls `changed` when the theme is another one.
pub fn follow(cx: Cx, changed: impl Fn() + 'static) {
    let Ok(Some(dark)) = window().match_media("(prefers-color-scheme: dark)") else {
        return;
    };
    let changed = Closure::<dyn FnMut()>::new(move || cx.run(&changed));
    // It fails for no list of media queries.
    let _ = dark.add_event_listener_with_callback("change", changed.as_ref().unchecked_ref());
    // As long as the page, like what it is called by.
    changed.forget();
    std::mem::forget(dark);
}
