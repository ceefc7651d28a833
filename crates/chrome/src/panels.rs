//! `chrome.devtools.panels`: the look of DevTools. There only in a panel or page of DevTools.

use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;

fn panels() -> Option<JsValue> {
    let chrome = Reflect::get(&js_sys::global(), &"chrome".into()).ok()?;
    let devtools = Reflect::get(&chrome, &"devtools".into()).ok()?;
    let panels = Reflect::get(&devtools, &"panels".into()).ok()?;
    panels.is_object().then_some(panels)
}

/// `themeName`: `default` or `dark`; nothing outside of DevTools.
pub fn theme() -> Option<String> {
    Reflect::get(&panels()?, &"themeName".into()).ok()?.as_string()
}

/// `setThemeChangeHandler`: calls `changed` with the theme's name whenever it is another one, as long as the page.
pub fn on_theme_changed(changed: impl FnMut(String) + 'static) {
    let set = panels().and_then(|panels| {
        let set = Reflect::get(&panels, &"setThemeChangeHandler".into()).ok()?;
        Some((set.dyn_into::<Function>().ok()?, panels))
    });
    if let Some((set, panels)) = set {
        let changed = Closure::<dyn FnMut(String)>::new(changed).into_js_value();
        // It takes any function.
        let _ = set.call1(&panels, &changed);
    }
}
