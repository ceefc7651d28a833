//! How much of a page's traffic is kept: what the person sets, among the preferences.

use qemuweb_capture::Limits;
use qemuweb_wire::Failure;
use serde::{Deserialize, Serialize};
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

use super::state::Capture;
use crate::kit::browser::{preference, set_preference};
use crate::kit::text::bytes;

/// The preference's name. Its value is a [`Bounds`] as JSON.
const PREFERENCE: &str = "capture-limits";

/// Bytes, in the units in which the panel shows them.
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What the person sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bounds {
    /// KiB of one body.
    pub body_kib: u32,
    /// MiB of memory that one capture takes.
    pub capture_mib: u32,
    /// MiB of files that all saved captures take.
    pub saved_mib: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            body_kib: (limits.body / KIB) as u32,
            capture_mib: (limits.capture / MIB) as u32,
            saved_mib: 1024,
        }
    }
}

impl Bounds {
    /// What is kept among the preferences; the default instead of what is none.
    pub fn kept() -> Self {
        let json = if cfg!(target_arch = "wasm32") {
            preference(PREFERENCE)
        } else {
            None
        };
        let kept: Option<Self> = json.and_then(|json| serde_json::from_str(&json).ok());
        let mut bounds = Self::default();
        if let Some(mut kept) = kept {
            for field in FIELDS {
                let value = *(field.of)(&mut kept);
                *(field.of)(&mut bounds) = value.clamp(field.least, field.most);
            }
        }
        bounds
    }

    fn keep(&self) {
        if let Ok(json) = serde_json::to_string(self) {
            set_preference(PREFERENCE, &json);
        }
    }

    /// The limits for exchanges and captures.
    pub fn limits(&self) -> Limits {
        Limits {
            body: self.body_kib as usize * KIB,
            capture: self.capture_mib as usize * MIB,
            ..Limits::default()
        }
    }

    /// Bytes that all saved captures' files may take.
    pub fn saved_bytes(&self) -> u64 {
        u64::from(self.saved_mib) * MIB as u64
    }

    /// Whether there is room for a file beside those that are saved.
    ///
    /// # Errors
    /// A [`Failure`] when there is none.
    pub fn check_saved(&self, saved: usize, file: usize) -> Result<(), Failure> {
        let most = self.saved_bytes();
        let all = saved as u64 + file as u64;
        if all <= most {
            return Ok(());
        }
        Err(Failure::new(format!(
            "expected saved captures of at most {} in all, found {} with this one",
            bytes(most),
            bytes(all)
        ))
        .with_next_step("Delete some of the saved captures, or raise the limit below them."))
    }
}

/// A bound as a field of the form.
struct Field {
    test_id: &'static str,
    label: &'static str,
    unit: &'static str,
    least: u32,
    most: u32,
    of: fn(&mut Bounds) -> &mut u32,
}

const FIELDS: [Field; 3] = [
    Field {
        test_id: "capture-limit-body",
        label: "Per body",
        unit: "KiB",
        least: 0,
        // Lines into guests hold two bodies in base64.
        most: 16_384,
        of: |bounds| &mut bounds.body_kib,
    },
    Field {
        test_id: "capture-limit-capture",
        label: "Per capture",
        unit: "MiB",
        least: 1,
        most: 1000,
        of: |bounds| &mut bounds.capture_mib,
    },
    Field {
        test_id: "capture-limit-saved",
        label: "Saved captures in all",
        unit: "MiB",
        least: 0,
        most: 100_000,
        of: |bounds| &mut bounds.saved_mib,
    },
];

/// The form.
#[component]
pub fn BoundsForm() -> View {
    let capture = Capture::here();
    let fields: Vec<View> = FIELDS.into_iter().map(|field| row(capture, field)).collect();
    let summary = move || {
        let bounds = capture.bounds.get();
        format!(
            "Limits: {} KiB per body, {} MiB per capture, {} MiB saved in all",
            bounds.body_kib, bounds.capture_mib, bounds.saved_mib
        )
    };
    view! {
        details(class="capture-limits", data-testid="capture-limits") {
            summary { (summary()) }
            (fields)
            p(class="hint") { "They hold for what comes from now on. What is cut says so; what finds no room is counted." }
        }
    }
}

fn row(capture: Capture, field: Field) -> View {
    let Field {
        test_id,
        label,
        unit,
        least,
        most,
        of,
    } = field;
    let value = move || capture.bounds.with(|bounds| of(&mut bounds.clone()).to_string());
    let change = move |event: Event| {
        let Some(input) = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlInputElement>().ok())
        else {
            return;
        };
        let mut bounds = capture.bounds.get_untracked();
        match input.value().trim().parse::<u32>() {
            Ok(number) if (least..=most).contains(&number) => {
                *of(&mut bounds) = number;
                bounds.keep();
                capture.set_bounds(bounds);
            }
            _ => {
                capture.cx.notices.report(Failure::new(format!(
                    "{label}: expected a whole number from {least} to {most} {unit}, found {:?}",
                    input.value()
                )));
                input.set_value(&of(&mut bounds).to_string());
            }
        }
    };
    view! {
        label(class="capture-limit") {
            span { (label) }
            input(r#type="number", min=least.to_string(), max=most.to_string(), step="1", data-testid=test_id,
                prop:value=value(), on:change=change)
            span { (unit) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_the_crate() {
        assert_eq!(Bounds::default().limits(), Limits::default());
    }

    #[test]
    fn saved_captures_find_room_or_say_so() {
        let bounds = Bounds {
            saved_mib: 1,
            ..Bounds::default()
        };
        assert!(bounds.check_saved(MIB / 2, MIB / 2).is_ok());
        let failure = bounds.check_saved(MIB, 1).unwrap_err();
        assert!(failure.to_string().contains("at most 1.0 MiB"), "{failure}");
    }
}
