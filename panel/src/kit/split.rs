//! The splitter between the list and the main area, for mouse and keyboard.

use sycamore::prelude::*;
use sycamore::web::create_client_effect;
use sycamore::web::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent, PointerEvent};

use super::browser::{preference, set_preference};

/// Where the width is kept.
const WIDTH: &str = "list.width";
const NARROWEST: i32 = 140;
const WIDEST: i32 = 400;
const DEFAULT: i32 = 200;
/// How far an arrow key moves, in CSS pixels.
const STEP: i32 = 16;

/// The width after a key, if it moves the splitter.
pub fn moved(width: i32, key: &str) -> Option<i32> {
    let width = match key {
        "ArrowLeft" => width - STEP,
        "ArrowRight" => width + STEP,
        "Home" => NARROWEST,
        "End" => WIDEST,
        _ => return None,
    };
    Some(width.clamp(NARROWEST, WIDEST))
}

/// The splitter. Puts the list's width into the style property `--list-width` of the page.
#[component]
pub fn Splitter() -> View {
    let stored = if cfg!(target_arch = "wasm32") {
        preference(WIDTH)
    } else {
        None
    };
    let width = create_signal(
        stored
            .and_then(|text| text.parse().ok())
            .unwrap_or(DEFAULT)
            .clamp(NARROWEST, WIDEST),
    );
    let is_dragged = create_signal(false);
    create_client_effect(move || {
        let root = document()
            .document_element()
            .and_then(|root| root.dyn_into::<HtmlElement>().ok());
        if let Some(root) = root {
            // A length is a valid value.
            let _ = root
                .style()
                .set_property("--list-width", &format!("{}px", width.get()));
        }
    });
    let element = |event: &PointerEvent| {
        event
            .target()
            .and_then(|target| target.dyn_into::<Element>().ok())
    };
    let press = move |event: PointerEvent| {
        event.prevent_default();
        is_dragged.set(true);
        if let Some(element) = element(&event) {
            // Without capture the drag ends where the pointer leaves the splitter.
            let _ = element.set_pointer_capture(event.pointer_id());
        }
    };
    let drag = move |event: PointerEvent| {
        if is_dragged.get_untracked() {
            width.set(event.client_x().clamp(NARROWEST, WIDEST));
        }
    };
    let release = move |_: PointerEvent| {
        if is_dragged.replace(false) {
            set_preference(WIDTH, &width.get_untracked().to_string());
        }
    };
    let keys = move |event: KeyboardEvent| {
        if let Some(wanted) = moved(width.get_untracked(), &event.key()) {
            event.prevent_default();
            width.set(wanted);
            set_preference(WIDTH, &wanted.to_string());
        }
    };
    view! {
        div(class="splitter", role="separator", tabindex="0", aria-orientation="vertical",
            aria-label="Width of the list",
            aria-valuemin=NARROWEST.to_string(), aria-valuemax=WIDEST.to_string(),
            aria-valuenow=width.get().to_string(),
            on:pointerdown=press, on:pointermove=drag, on:pointerup=release, on:keydown=keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_within_bounds() {
        assert_eq!(moved(200, "ArrowLeft"), Some(184));
        assert_eq!(moved(NARROWEST, "ArrowLeft"), Some(NARROWEST));
        assert_eq!(moved(WIDEST, "ArrowRight"), Some(WIDEST));
        assert_eq!(moved(200, "Enter"), None);
    }
}
