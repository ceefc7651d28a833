//! Small dealings with the browser: clipboard, stored preferences, focus, style tokens.

use js_sys::{Object, Reflect};
use sycamore::web::{document, window};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, Event, HtmlElement, HtmlTextAreaElement, Node};

/// Copies text. A DevTools panel may not use the asynchronous clipboard, so that the old way is the second one.
pub fn copy(text: String) {
    spawn_local(async move {
        let clipboard = window().navigator().clipboard();
        // Undefined where the context is not secure.
        if clipboard.is_undefined() || JsFuture::from(clipboard.write_text(&text)).await.is_err() {
            copy_by_selection(&text);
        }
    });
}

/// Copies through a text area, which takes the focus meanwhile.
fn copy_by_selection(text: &str) {
    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = document, js_name = execCommand)]
        fn exec_command(command: &str) -> bool;
    }
    let focused = document().active_element();
    let Ok(area) = document()
        .create_element("textarea")
        .map(JsCast::unchecked_into::<HtmlTextAreaElement>)
    else {
        return;
    };
    area.set_value(text);
    area.set_class_name("visually-hidden");
    if let Some(body) = document().body() {
        // It fails only where a node may not be put.
        let _ = body.append_child(&area);
        area.select();
        exec_command("copy");
        area.remove();
    }
    if let Some(focused) = focused {
        focus(&focused);
    }
}

/// Gives an element the focus.
pub fn focus(element: &Node) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        // It fails for no element that is in the document.
        let _ = element.focus();
    }
}

/// Presses what stands in the document under an id.
pub fn press(id: &str) {
    let element = document()
        .get_element_by_id(id)
        .and_then(|element| element.dyn_into::<HtmlElement>().ok());
    if let Some(element) = element {
        element.click();
    }
}

/// The first element that a CSS selector finds below `parent`.
pub fn find(parent: &Node, selector: &str) -> Option<Element> {
    parent.dyn_ref::<Element>()?.query_selector(selector).ok()?
}

/// All elements that a CSS selector finds below `parent`, in the document's order.
pub fn find_all(parent: &Node, selector: &str) -> Vec<HtmlElement> {
    let Some(list) = parent
        .dyn_ref::<Element>()
        .and_then(|parent| parent.query_selector_all(selector).ok())
    else {
        return Vec::new();
    };
    (0..list.length())
        .filter_map(|index| list.get(index)?.dyn_into().ok())
        .collect()
}

/// A preference of this extension's pages, if one is stored and storage is allowed.
pub fn preference(name: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(name).ok()?
}

/// Stores a preference. Where storage is not allowed, it lasts as long as the page.
pub fn set_preference(name: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        // A full or forbidden storage is no reason to disturb the person.
        let _ = storage.set_item(name, value);
    }
}

/// The value of a style token of the page, such as `--console-background`.
pub fn token(name: &str) -> String {
    let style = document()
        .document_element()
        .and_then(|root| window().get_computed_style(&root).ok().flatten());
    style
        .and_then(|style| style.get_property_value(name).ok())
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The value of a style token that is a colour, as `rgb(…)` whatever the token says: one of two themes, or the system's.
pub fn color(name: &str) -> String {
    let Some(body) = document().body() else {
        return String::new();
    };
    let probe = document()
        .create_element("span")
        .map(JsCast::unchecked_into::<HtmlElement>);
    let Ok(probe) = probe else {
        return String::new();
    };
    // A colour is a valid value, and an element can stand in the body.
    probe
        .style()
        .set_css_text(&format!("forced-color-adjust: none; color: var({name})"));
    let _ = body.append_child(&probe);
    let style = window().get_computed_style(&probe).ok().flatten();
    let color = style.and_then(|style| style.get_property_value("color").ok());
    probe.remove();
    color.unwrap_or_default()
}

/// A JavaScript object of these fields.
pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, JsValue)>) -> Object {
    let object = Object::new();
    for (name, value) in fields {
        set(&object, name, &value);
    }
    object
}

/// Sets a field of a plain object, which cannot fail.
pub fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

/// The value of the field that an event is about.
pub fn value_of(event: &Event) -> String {
    let target = event.target().map(JsValue::from);
    target
        .and_then(|target| Reflect::get(&target, &"value".into()).ok()?.as_string())
        .unwrap_or_default()
}

/// Whether the box that an event is about is ticked.
pub fn is_checked(event: &Event) -> bool {
    let target = event.target().map(JsValue::from);
    target.is_some_and(|target| Reflect::get(&target, &"checked".into()).is_ok_and(|it| it.is_truthy()))
}

/// Milliseconds since the epoch.
pub fn now() -> f64 {
    js_sys::Date::now()
}

/// Opens the panel as a tab, with a VM shown if one is named.
pub fn open_panel(vm_id: Option<&str>) {
    let hash = vm_id
        .map(|vm_id| format!("#vm={}", String::from(js_sys::encode_uri_component(vm_id))))
        .unwrap_or_default();
    // A tab of its own: what opens it, a popup, is soon gone. A blocked window is the browser's to tell.
    let _ =
        window().open_with_url_and_target_and_features(&format!("panel.html{hash}"), "_blank", "noopener");
}
