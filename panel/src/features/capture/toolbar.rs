//! The capture view's toolbar: record, clear, reload, secrets, files.

use sycamore::prelude::*;

use super::files;
use super::names;
use super::state::{Capture, Choice};
use crate::kit::buttons::{text_button, tool};
use crate::kit::dialog::Confirm;
use crate::kit::icons::{self, icon};

/// The toolbar.
#[component]
pub fn Toolbar() -> View {
    let capture = Capture::here();
    let can_record = cfg!(target_arch = "wasm32") && is_in_devtools();
    let keep_secrets = move |_| {
        if capture.keep_secrets.get_untracked() {
            capture.keep_secrets.set(false);
            return;
        }
        capture.cx.confirm.set(Some(Confirm::new(
            "Keep secrets in this capture?".to_owned(),
            "From now on cookies, passwords, tokens and other credentials of the page are kept, sent to virtual machines \
             and written to files. The capture stays marked. Clear it to go back.",
            "Keep secrets",
            move || capture.keep_secrets.set(true),
        )));
    };
    let pressed = move |on: bool| if on { "true" } else { "false" };
    view! {
        div(class="capture-toolbar", role="toolbar", aria-label="Capture") {
            button(class="tool labelled record", r#type="button", data-testid="capture-record", disabled=!can_record,
                title=if can_record { "Record the page's requests" } else { "Recording needs DevTools: open the QemuWeb panel there" },
                aria-pressed=pressed(capture.recording.get()), on:click=move |_| record(capture)) {
                (icon(icons::RECORD)) span { (if capture.recording.get() { "Stop" } else { "Record" }) }
            }
            (tool(icons::CLEAR, "capture-clear", "Clear", || false, move |_| clear(capture)))
            (tool(icons::RESET, "capture-reload", "Reload the page to capture it", move || !can_record, move |_| reload(capture)))
            label { input(r#type="checkbox", data-testid="capture-preserve", bind:checked=capture.preserve) "Preserve log" }
            button(class="tool labelled", r#type="button", data-testid="capture-secrets-toggle",
                title="Cookies, passwords and tokens are redacted unless this is on",
                aria-pressed=pressed(capture.keep_secrets.get()), on:click=keep_secrets) { "Keep secrets" }
            (names::field(capture))
            span(class="spacer")
            (files::import_button(capture))
            (text_button("capture-export-har", "Export HAR", move |_| files::export_har(capture, Choice::All)))
            (text_button("capture-export-pcapng", "Export pcapng", move |_| files::export_packets(capture, Choice::All)))
        }
    }
}

#[cfg(target_arch = "wasm32")]
use super::recorder::{clear, reload};

#[cfg(target_arch = "wasm32")]
fn is_in_devtools() -> bool {
    qemuweb_chrome::devtools::is_available()
}

#[cfg(target_arch = "wasm32")]
fn record(capture: Capture) {
    let is_recording = capture.recording.get_untracked();
    super::recorder::set_recording(capture, !is_recording);
}

/// Rendered natively, in tests, nothing is recorded.
#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::Capture;

    pub(super) fn is_in_devtools() -> bool {
        false
    }

    pub(super) fn record(_: Capture) {}

    pub(super) fn reload(_: Capture) {}

    pub(super) fn clear(capture: Capture) {
        capture.clear(String::new());
    }
}

#[cfg(not(target_arch = "wasm32"))]
use native::{clear, is_in_devtools, record, reload};
