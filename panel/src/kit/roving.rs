//! One tab stop per toolbar, list or row of tabs: the arrow keys move inside.
//!
//! The element that has the focus carries `tabindex="0"`, its siblings `-1`. When it goes away or is disabled,
//! the first that is left becomes the tab stop.

use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlElement, KeyboardEvent, Node};

use super::browser::{find_all, focus};

/// The direction in which the elements stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Side by side.
    Horizontal,
    /// One above the other.
    Vertical,
}

/// What takes part, unless it is not shown.
const STOPS: &str = "button:not([disabled]), [role=option], [role=tab]";

fn stops(container: &Node) -> Vec<HtmlElement> {
    find_all(container, STOPS)
        .into_iter()
        .filter(|element| element.offset_parent().is_some())
        .collect()
}

/// Which of `count` elements a key moves to from the one at `current`, if it moves.
pub fn target(key: &str, axis: Axis, current: usize, count: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    let (back, on) = match axis {
        Axis::Horizontal => ("ArrowLeft", "ArrowRight"),
        Axis::Vertical => ("ArrowUp", "ArrowDown"),
    };
    match key {
        "Home" => Some(0),
        "End" => Some(last),
        key if key == back => Some(current.checked_sub(1).unwrap_or(last)),
        key if key == on => Some(if current >= last { 0 } else { current + 1 }),
        _ => None,
    }
}

/// Moves the focus by arrow keys, Home and End.
pub fn keydown(event: &KeyboardEvent, container: NodeRef, axis: Axis) {
    let Some(container) = container.try_get() else {
        return;
    };
    let focused: Option<Node> = event.target().and_then(|target| target.dyn_into().ok());
    let stops = stops(&container);
    let Some(current) = stops.iter().position(|stop| stop.contains(focused.as_ref())) else {
        return;
    };
    if let Some(target) = target(&event.key(), axis, current, stops.len()) {
        event.prevent_default();
        focus(&stops[target]);
    }
}

/// Makes the element that takes the focus the tab stop.
pub fn focusin(event: &Event, container: NodeRef) {
    let Some(container) = container.try_get() else {
        return;
    };
    let focused: Option<Node> = event.target().and_then(|target| target.dyn_into().ok());
    let stops = stops(&container);
    if stops.iter().any(|stop| stop.contains(focused.as_ref())) {
        for stop in stops {
            stop.set_tab_index(if stop.contains(focused.as_ref()) { 0 } else { -1 });
        }
    }
}

/// Gives the container a tab stop if it has lost its own.
pub fn repair(container: NodeRef) {
    let Some(container) = container.try_get() else {
        return;
    };
    let stops = stops(&container);
    if stops.iter().all(|stop| stop.tab_index() != 0)
        && let Some(first) = stops.first()
    {
        first.set_tab_index(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_go_round() {
        assert_eq!(target("ArrowRight", Axis::Horizontal, 0, 3), Some(1));
        assert_eq!(target("ArrowRight", Axis::Horizontal, 2, 3), Some(0));
        assert_eq!(target("ArrowLeft", Axis::Horizontal, 0, 3), Some(2));
        assert_eq!(target("ArrowDown", Axis::Horizontal, 0, 3), None);
        assert_eq!(target("ArrowDown", Axis::Vertical, 0, 3), Some(1));
        assert_eq!(target("End", Axis::Vertical, 0, 3), Some(2));
        assert_eq!(target("Home", Axis::Vertical, 2, 3), Some(0));
        assert_eq!(target("Home", Axis::Vertical, 0, 0), None);
    }
}
