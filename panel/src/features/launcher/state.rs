//! The form for a new machine, which keeps what was typed while something else is shown, and what is known of guests.

use std::collections::BTreeMap;

use qemuweb_vm_config::{DEFAULT_PROFILE_ID, VmProfile, find_profile};
use qemuweb_wire::stored::StoredInfo;
use serde_json::Value;
use sycamore::prelude::*;
use sycamore::web::{document, window};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use crate::cx::LauncherTab;
use crate::features::form::draft::Draft;
use crate::features::form::state::Form;
use crate::features::library::state::Library;
use crate::features::machines::progress::last_boot;
use crate::kit::browser::focus;
use crate::kit::later;
use crate::kit::text;

/// The launcher. Copies are the same.
#[derive(Clone, Copy)]
pub struct Launcher {
    /// What people keep.
    pub library: Library,
    /// The form for a new machine.
    pub form: Option<Form>,
    /// The sizes of the package's guest images in bytes, by path below `guest/`.
    pub image_sizes: Signal<BTreeMap<String, u64>>,
}

impl Launcher {
    /// With an empty form. Call it in the root scope.
    pub fn new(library: Library) -> Self {
        let profile = find_profile(DEFAULT_PROFILE_ID);
        Self {
            library,
            form: profile.map(|profile| Form::new(library, Draft::new(profile), None)),
            image_sizes: create_signal(BTreeMap::new()),
        }
    }

    /// That of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Shows a profile in the form.
    pub fn customize(self, profile: VmProfile) {
        if let Some(form) = self.form {
            form.begin(profile);
        }
        self.show_form();
    }

    /// Uses a stored file in the form.
    pub fn offer(self, stored: &StoredInfo) {
        if let Some(form) = self.form {
            form.use_stored(stored);
        }
        self.show_form();
    }

    fn show_form(self) {
        self.library.machines.cx.nav.launcher.set(LauncherTab::Custom);
        later::soon(|| {
            if let Some(title) = document().get_element_by_id("custom-title") {
                title.scroll_into_view();
                focus(&title);
            }
        });
    }
}

/// How long a profile can be expected to boot, from the last time on this computer.
pub fn expected_boot(profile_id: &str) -> String {
    last_boot(profile_id).map_or_else(
        || "not booted here yet".to_owned(),
        |ms| format!("boots in about {}", text::seconds(ms)),
    )
}

/// Learns how large the package's guest images are, for the launcher's cards. Without it they say nothing of it.
pub async fn image_sizes() -> BTreeMap<String, u64> {
    let read = async {
        let response = JsFuture::from(window().fetch_with_str("guest/guest-build.json"))
            .await
            .ok()?;
        let text = response.dyn_into::<Response>().ok()?.text().ok()?;
        JsFuture::from(text).await.ok()?.as_string()
    };
    let build: Value = read
        .await
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let mut sizes = BTreeMap::new();
    for (arch, images) in build.as_object().into_iter().flatten() {
        for (name, file) in images["files"].as_object().into_iter().flatten() {
            if let Some(size) = file["size"].as_u64() {
                sizes.insert(format!("{arch}/{name}"), size);
            }
        }
    }
    sizes
}
