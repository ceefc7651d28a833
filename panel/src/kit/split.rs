//! Splitters between two parts of the page, for mouse and keyboard.

use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent, PointerEvent};

use super::browser::{preference, set_preference};
use super::reactive::client_effect;

/// What a splitter moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// What it is the size of, for people who do not see it.
    pub label: &'static str,
    /// The preference that keeps the size, in percent or CSS pixels.
    pub preference: &'static str,
    /// The style property of the page that has the size.
    pub property: &'static str,
    /// Whether the size is a share of what both parts have, in percent; pixels otherwise.
    pub is_share: bool,
    /// The least and the most, and what it is at first.
    pub range: (i32, i32, i32),
}

impl Split {
    /// The size after a key, if it moves the splitter.
    fn moved(self, size: i32, key: &str) -> Option<i32> {
        let (least, most, _) = self.range;
        let step = if self.is_share { 5 } else { 16 };
        let size = match key {
            "ArrowLeft" | "ArrowUp" => size - step,
            "ArrowRight" | "ArrowDown" => size + step,
            "Home" => least,
            "End" => most,
            _ => return None,
        };
        Some(size.clamp(least, most))
    }

    /// The size with the pointer at a place of `whole` CSS pixels.
    fn at(self, place: f64, whole: f64) -> i32 {
        let (least, most, _) = self.range;
        let size = if self.is_share {
            place / whole.max(1.0) * 100.0
        } else {
            place
        };
        (size as i32).clamp(least, most)
    }

    fn unit(self) -> &'static str {
        if self.is_share { "%" } else { "px" }
    }
}

/// A splitter; it stands behind the part whose size it moves, in one parent with both.
#[component(inline_props)]
pub fn Splitter(split: Split) -> View {
    let stored = if cfg!(target_arch = "wasm32") {
        preference(split.preference)
    } else {
        None
    };
    let (least, most, first) = split.range;
    let size = create_signal(
        stored
            .and_then(|text| text.parse().ok())
            .unwrap_or(first)
            .clamp(least, most),
    );
    let is_dragged = create_signal(false);
    let keep = move || set_preference(split.preference, &size.get_untracked().to_string());
    client_effect(move || {
        let root = document()
            .document_element()
            .and_then(|root| root.dyn_into::<HtmlElement>().ok());
        if let Some(root) = root {
            // A length is a valid value.
            let _ = root
                .style()
                .set_property(split.property, &format!("{}{}", size.get(), split.unit()));
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
        let both = element(&event).and_then(|element| Some((element.parent_element()?, element)));
        if let Some((parent, element)) = both.filter(|_| is_dragged.get_untracked()) {
            let (whole, own) = (
                parent.get_bounding_client_rect(),
                element.get_bounding_client_rect(),
            );
            size.set(if own.height() > own.width() {
                split.at(f64::from(event.client_x()) - whole.left(), whole.width())
            } else {
                split.at(f64::from(event.client_y()) - whole.top(), whole.height())
            });
        }
    };
    let release = move |_: PointerEvent| {
        if is_dragged.replace(false) {
            keep();
        }
    };
    let keys = move |event: KeyboardEvent| {
        if let Some(wanted) = split.moved(size.get_untracked(), &event.key()) {
            event.prevent_default();
            size.set(wanted);
            keep();
        }
    };
    view! {
        div(class="splitter", role="separator", tabindex="0", aria-label=split.label,
            aria-valuemin=least.to_string(), aria-valuemax=most.to_string(), aria-valuenow=size.get().to_string(),
            on:pointerdown=press, on:pointermove=drag, on:pointerup=release, on:keydown=keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_pointers_move_within_bounds() {
        let list = Split {
            label: "Width of the list",
            preference: "list.width",
            property: "--list-width",
            is_share: false,
            range: (140, 400, 200),
        };
        assert_eq!(list.moved(200, "ArrowLeft"), Some(184));
        assert_eq!(list.moved(140, "ArrowLeft"), Some(140));
        assert_eq!(list.moved(200, "Enter"), None);
        assert_eq!((list.at(250.0, 500.0), list.at(-9.0, 500.0)), (250, 140));
        let panes = Split {
            is_share: true,
            range: (20, 80, 50),
            ..list
        };
        assert_eq!((panes.at(250.0, 500.0), panes.at(9.0, 0.0)), (50, 80));
        assert_eq!(panes.moved(50, "ArrowDown"), Some(55));
    }
}
