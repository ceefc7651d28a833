//! The theme: that of DevTools, or of the browser where there are none.

use qemuweb_chrome::panels;
use sycamore::web::{document, window};
use wasm_bindgen::prelude::*;

use crate::cx::Cx;

/// Shows a theme of DevTools: `default` or `dark`.
fn show(theme: &str) {
    let name = if theme == "dark" { "dark" } else { "light" };
    if let Some(root) = document().document_element() {
        // Names of attributes are valid.
        let _ = root.set_attribute("data-theme", name);
    }
}

/// Has the page follow the theme, now and later. Calls `changed` when it is another one.
pub fn follow(cx: Cx, changed: impl Fn() + 'static) {
    if let Some(theme) = panels::theme() {
        show(&theme);
        panels::on_theme_changed(move |theme| {
            show(&theme);
            cx.run(&changed);
        });
        return;
    }
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
