//! "Also redact": the names that are secret beside the common ones, kept among the preferences.

use sycamore::prelude::*;

use super::state::Capture;
use crate::kit::browser::{preference, set_preference};
use crate::kit::reactive::memo;

/// The preference's name. Its value is what the person typed.
const PREFERENCE: &str = "capture-names";
/// Longest text that is kept, in bytes.
const MAX_LEN: usize = 4096;

/// What is kept among the preferences.
pub fn kept() -> String {
    let kept = if cfg!(target_arch = "wasm32") {
        preference(PREFERENCE)
    } else {
        None
    };
    kept.filter(|names| names.len() <= MAX_LEN).unwrap_or_default()
}

/// Keeps names for other sessions.
pub fn keep(names: &str) {
    if cfg!(target_arch = "wasm32") && names.len() <= MAX_LEN {
        set_preference(PREFERENCE, names);
    }
}

/// The field, with what redaction cannot do and what it has learned.
pub fn field(capture: Capture) -> View {
    let known = memo(move || {
        capture.version.track();
        match capture.log().borrow().learned() {
            0 => String::new(),
            1 => " 1 secret is known by its value.".to_owned(),
            count => format!(" {count} secrets are known by their values."),
        }
    });
    let title = "Names of fields, parameters and headers whose values are secret, such as employee or X-Badge. \
        They are redacted in what is listed already, too.";
    view! {
        label(class="capture-names", title=title) {
            "Also redact"
            input(r#type="text", class="mono", data-testid="capture-names", placeholder="names", "spellcheck"="false",
                autocomplete="off", maxlength=MAX_LEN.to_string(), bind:value=capture.names,
                on:change=move |_| capture.apply_names())
            span(class="hint", data-testid="capture-names-hint") {
                "Redaction is best effort: look before you share." (known.get_clone())
            }
        }
    }
}
