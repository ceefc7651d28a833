//! Tables of any length: only the rows that are in view are in the document.
//!
//! The rows' container scrolls; in it stands a space of all rows' height, in which each row is placed absolutely.

use std::ops::Range;

use super::reactive::memo;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event};

/// Height of a row in CSS pixels: `--row`.
const ROW: i32 = 24;
/// Rows that are in the document: more than any screen shows.
const WINDOW: usize = 80;
/// Of these, how many stand above what is in view.
const ABOVE: usize = 10;
/// Rows that a page key moves by.
const PAGE: usize = 15;

/// The part of a table that is in the document. Copies are the same.
#[derive(Clone, Copy)]
pub struct Window {
    body: NodeRef,
    first: ReadSignal<usize>,
    top: Signal<i32>,
    count: ReadSignal<usize>,
}

impl Window {
    /// Onto a table of `count` rows.
    pub fn new(count: impl Fn() -> usize + 'static) -> Self {
        let top = create_signal(0_i32);
        let count = memo(count);
        let first = memo(move || {
            let first = usize::try_from(top.get() / ROW).unwrap_or(0);
            // Steps of some rows, so that a short way draws nothing anew.
            (first.saturating_sub(ABOVE) / ABOVE * ABOVE).min(count.get())
        });
        Self {
            body: create_node_ref(),
            first,
            top,
            count,
        }
    }

    /// The element that scrolls.
    pub fn body(self) -> NodeRef {
        self.body
    }

    /// The rows that are in the document. Tracked.
    pub fn range(self) -> Range<usize> {
        let first = self.first.get();
        first..self.count.get().min(first + WINDOW)
    }

    /// Notes that the body was scrolled.
    pub fn scrolled(self, event: &Event) {
        let element = event
            .target()
            .and_then(|target| target.dyn_into::<Element>().ok());
        if let Some(element) = element {
            self.top.set(element.scroll_top());
        }
    }

    /// The style of the space that all rows take. Tracked.
    pub fn space(self) -> String {
        format!("height: {}px", self.count.get() as i64 * i64::from(ROW))
    }

    /// The style of a row.
    pub fn place(index: usize) -> String {
        format!("top: {}px", index as i64 * i64::from(ROW))
    }

    /// Scrolls a row into view.
    pub fn reveal(self, index: usize) {
        let Some(body) = self.body.try_get() else { return };
        let body: Element = body.unchecked_into();
        let top = i32::try_from(index).unwrap_or(i32::MAX / ROW) * ROW;
        let (from, height) = (body.scroll_top(), body.client_height());
        if top < from {
            body.set_scroll_top(top);
        } else if top + ROW > from + height {
            body.set_scroll_top(top + ROW - height);
        }
    }
}

/// Where a key moves the selection from `at` among `count` rows.
pub fn target(key: &str, at: Option<usize>, count: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    let to = match (key, at) {
        ("Home", _) | ("ArrowDown" | "PageDown", None) => 0,
        ("End", _) | ("ArrowUp" | "PageUp", None) => last,
        ("ArrowDown", Some(at)) => at + 1,
        ("ArrowUp", Some(at)) => at.saturating_sub(1),
        ("PageDown", Some(at)) => at + PAGE,
        ("PageUp", Some(at)) => at.saturating_sub(PAGE),
        _ => return None,
    };
    Some(to.min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_the_selection() {
        assert_eq!(target("ArrowDown", None, 3), Some(0));
        assert_eq!(target("ArrowDown", Some(2), 3), Some(2));
        assert_eq!(target("PageUp", Some(2), 3), Some(0));
        assert_eq!(target("End", Some(0), 3), Some(2));
        assert_eq!(target("x", Some(0), 3), None);
        assert_eq!(target("Home", None, 0), None);
    }

    #[test]
    fn few_rows_are_in_the_document() {
        let root = create_root(|| {
            let window = Window::new(|| 100_000);
            assert_eq!(window.range(), 0..WINDOW);
            window.top.set(50_000 * ROW);
            assert!(window.range().contains(&50_000) && window.range().len() == WINDOW);
            window.top.set(i32::MAX);
            assert_eq!(window.range().end, 100_000);
            assert_eq!(Window::new(|| 3).range(), 0..3);
        });
        root.dispose();
    }
}
