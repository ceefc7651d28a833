//! What is set once and kept: saved captures, what else is secret, how much is kept.

use sycamore::prelude::*;

use super::bounds::BoundsForm;
use super::names;
use super::state::Capture;
use crate::kit::dialog::modal;
use crate::kit::notices::NoticeList;
use crate::kit::reactive::{Dynamic, Once};
use crate::kit::undo::UndoBar;

/// The dialog.
#[component]
pub(super) fn SettingsDialog() -> View {
    let capture = Capture::here();
    let is_open = capture.settings;
    let dialog = create_node_ref();
    modal(dialog, move || is_open.get());
    view! {
        dialog(class="dialog wide", r#ref=dialog, aria-labelledby="capture-settings-title", data-testid="capture-settings-dialog",
            on:close=move |_| is_open.set(false)) {
            h2(id="capture-settings-title") { "Captures" }
            (Dynamic { of: move || if is_open.get() {
                view! {
                    NoticeList(notices=capture.cx.notices)
                    UndoBar(undo=capture.cx.undo)
                }
            } else {
                View::new()
            } })
            div(class="dialog-scroll") {
                (Once { of: move || saved() })
                (Once { of: move || names::field(capture) })
                BoundsForm {}
            }
            div(class="dialog-buttons") {
                button(class="button", r#type="button", data-testid="capture-settings-close",
                    on:click=move |_| is_open.set(false)) { "Close" }
            }
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn saved() -> View {
    view! { super::saved::SavedCaptures {} }
}

/// Rendered natively, in tests, nothing is saved.
#[cfg(not(target_arch = "wasm32"))]
fn saved() -> View {
    View::new()
}
