//! The profiles that people have made: launch, edit, duplicate, export, import, delete.

use qemuweb_vm_config::VmProfile;
use sycamore::prelude::*;
use web_sys::Event;

use super::cards::Card;
use crate::features::library::actions::{export, read_profile};
use crate::features::library::state::Library;
use crate::kit::buttons::icon_button;
use crate::kit::files;
use crate::kit::icons;
use crate::kit::later::Owner;
use crate::kit::reactive::memo;

/// What kept a profile from being imported.
#[derive(Clone, Copy)]
struct Faults {
    library: Library,
    list: Signal<Vec<String>>,
    owner: Owner,
}

impl Faults {
    /// Has the host keep a profile, and shows why it does not.
    fn save(self, profile: VmProfile) {
        self.owner.then_or(
            self.library.save_profile(profile),
            move |result| {
                let failure = result.err().map(|failure| failure.to_string());
                self.list.set(failure.into_iter().collect());
            },
            move |result| self.library.machines.cx.report_of(result),
        );
    }
}

/// The section of the launcher.
#[component]
pub fn OwnProfiles() -> View {
    let library = Library::here();
    let faults = Faults {
        library,
        list: create_signal(Vec::new()),
        owner: Owner::here(),
    };
    let profiles = memo(move || library.profiles.get_clone());
    let import = move |event: Event| {
        if let Some(file) = files::chosen(&event) {
            faults.owner.then(read_profile(file), move |read| match read {
                Ok(profile) => faults.save(profile),
                Err(found) => faults.list.set(found),
            });
        }
    };
    let cards = move || -> Vec<View> {
        let own = profiles.get_clone();
        own.into_iter().map(|profile| own_card(faults, profile)).collect()
    };
    view! {
        section(aria-labelledby="own-title", data-testid="own-profiles") {
            h2(id="own-title") { "Your profiles" }
            div(class="cards") { (cards()) }
            div(class="import") {
                label(r#for="profile-import") { "Import a profile" }
                input(r#type="file", id="profile-import", data-testid="profile-import", accept=".json,application/json",
                    disabled=!library.machines.cx.can_launch(), on:change=import)
            }
            (fault_list(faults.list.get_clone()))
        }
    }
}

fn fault_list(faults: Vec<String>) -> View {
    if faults.is_empty() {
        return View::new();
    }
    let items: Vec<View> = faults.into_iter().map(|fault| view! { li { (fault) } }).collect();
    view! {
        div(role="alert", data-testid="import-faults") {
            p { "The profile was not imported. Correct these fields and import it again:" }
            ul(class="form-errors") { (items) }
        }
    }
}

fn own_card(faults: Faults, profile: VmProfile) -> View {
    let library = faults.library;
    let name = profile.name.clone();
    let (copied, exported, deleted) = (profile.clone(), profile.clone(), profile.clone());
    let duplicate = move |_| {
        let name = format!("{} copy", copied.name);
        faults.save(VmProfile {
            id: library.new_profile_id(&name),
            name,
            ..copied.clone()
        });
    };
    let duplicate = icon_button(
        icons::CLONE,
        "duplicate-profile",
        format!("Duplicate {name}"),
        duplicate,
    );
    let export = icon_button(
        icons::DOWNLOAD,
        "export-profile",
        format!("Export {name}"),
        move |_| export(&exported),
    );
    let delete = icon_button(
        icons::REMOVE,
        "delete-profile",
        format!("Delete {name}"),
        move |_| {
            library.delete_profile(deleted.clone());
        },
    );
    view! {
        div(class="own-card") {
            Card(profile=profile)
            div(class="card-tools") { (duplicate) (export) (delete) }
        }
    }
}
