//! The way back from removing something, as long as nothing else was removed. There is one bar for all features.

use std::rc::Rc;

use sycamore::prelude::*;

use super::buttons::dismiss;
use super::reactive::{Dynamic, Once};

/// What was done, and how it is undone.
#[derive(Clone)]
struct Offer {
    text: String,
    action: Rc<dyn Fn()>,
}

/// What was removed last.
#[derive(Clone, Copy)]
pub struct Undo(Signal<Option<Offer>>);

impl Undo {
    /// Nothing. Call it in the root scope.
    pub fn new() -> Self {
        Self(create_signal(None))
    }

    /// Says what was removed and offers to bring it back, in place of what was offered before. `action` outlives views: it
    /// may touch the page's own signals only.
    pub fn offer(self, text: impl Into<String>, action: impl Fn() + 'static) {
        self.0.set(Some(Offer {
            text: text.into(),
            action: Rc::new(action),
        }));
    }
}

impl Default for Undo {
    fn default() -> Self {
        Self::new()
    }
}

/// Says what was removed and offers to undo it.
#[component(inline_props)]
pub fn UndoBar(undo: Undo) -> View {
    let offer = undo.0;
    view! {
        div(class="undo-bar", role="status") {
            (Dynamic { of: move || match offer.get_clone() {
                None => View::new(),
                Some(Offer { text, action }) => {
                    let bring_back = move |_| {
                        offer.set(None);
                        action();
                    };
                    view! {
                        p(class="undo") {
                            span(data-testid="undo-text") { (text) }
                            button(class="button small", r#type="button", data-testid="undo", on:click=bring_back) { "Undo" }
                            (Once { of: move || dismiss("Dismiss", move |_| offer.set(None)) })
                        }
                    }
                }
            } })
        }
    }
}
