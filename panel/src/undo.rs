//! The way back from removing a VM, as long as nothing else was removed.

use sycamore::prelude::*;

use crate::icons::{self, icon};
use crate::state::Removed;
use crate::workbench::Workbench;

/// Says what was removed and offers to undo it.
#[component(inline_props)]
pub fn UndoBar(workbench: Workbench) -> View {
    let removed = workbench.store.removed;
    view! {
        div(class="undo-bar", role="status") {
            (match removed.get_clone() {
                None => View::new(),
                Some(Removed { name, .. }) => {
                    let text = format!("Removed {name}.");
                    view! {
                        p(class="undo") {
                            (text)
                            button(class="button small", r#type="button", data-testid="undo-remove",
                                on:click=move |_| workbench.undo_remove()) { "Undo" }
                            button(class="tool", r#type="button", title="Dismiss", aria-label="Dismiss",
                                on:click=move |_| removed.set(None)) { (icon(icons::CLOSE)) }
                        }
                    }
                }
            })
        }
    }
}
