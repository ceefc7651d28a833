//! The profiles that people have made: launch, edit, duplicate, export, import, delete.

use js_sys::Array;
use qemuweb_runtime::protocol::Command;
use qemuweb_vm_config::{VmProfile, export_profile, import_profile};
use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Event, File, HtmlElement, HtmlInputElement, Url};

use crate::form::draft::profile_id;
use crate::icons::{self, icon};
use crate::later::Owner;
use crate::launcher::{Card, can_launch};
use crate::workbench::Workbench;

/// The largest file that is read, in bytes.
const LARGEST_FILE: f64 = 1_048_576.0;

/// The section of the launcher.
#[component(inline_props)]
pub fn OwnProfiles(workbench: Workbench) -> View {
    let faults = Faults {
        workbench,
        list: create_signal(Vec::new()),
        owner: Owner::here(),
    };
    let deleted = workbench.store.deleted_profile;
    let profiles = create_selector(move || workbench.store.profiles.get_clone());
    let import = move |event: Event| {
        let Some(input) = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlInputElement>().ok())
        else {
            return;
        };
        let Some(file) = input.files().and_then(|files| files.get(0)) else {
            return;
        };
        input.set_value("");
        faults
            .owner
            .then(async move { read(&file).await }, move |read| match read {
                Ok(profile) => faults.save(profile),
                Err(found) => faults.list.set(found),
            });
    };
    let delete = move |profile: VmProfile| {
        workbench.command(Command::RemoveProfile {
            profile_id: profile.id.clone(),
        });
        deleted.set(Some(profile));
    };
    let cards = move || -> Vec<View> {
        let own = profiles.get_clone();
        own.into_iter()
            .map(|profile| own_card(workbench, profile, faults, delete))
            .collect()
    };
    let undo = move || match deleted.get_clone() {
        None => View::new(),
        Some(profile) => {
            let text = format!("Deleted the profile {}.", profile.name);
            let restore = move |_| {
                faults.save(profile.clone());
                deleted.set(None);
            };
            view! {
                p(class="undo", role="status") {
                    (text)
                    button(class="button small", r#type="button", data-testid="undo-profile", on:click=restore) { "Undo" }
                }
            }
        }
    };
    view! {
        section(aria-labelledby="own-title", data-testid="own-profiles") {
            h2(id="own-title") { "Your profiles" }
            (undo())
            div(class="cards") { (cards()) }
            div(class="import") {
                label(r#for="profile-import") { "Import a profile" }
                input(r#type="file", id="profile-import", data-testid="profile-import", accept=".json,application/json",
                    disabled=!can_launch(workbench), on:change=import)
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

/// The profile in a file, or what is wrong with it.
async fn read(file: &File) -> Result<VmProfile, Vec<String>> {
    if file.size() > LARGEST_FILE {
        let fault = format!("{}: a profile's file has at most 1 MiB", file.name());
        return Err(vec![fault]);
    }
    match JsFuture::from(file.text()).await {
        Ok(text) => import_profile(&text.as_string().unwrap_or_default())
            .map_err(|faults| faults.iter().map(ToString::to_string).collect()),
        Err(_) => Err(vec![format!("{} could not be read", file.name())]),
    }
}

/// What kept a profile from being imported.
#[derive(Clone, Copy)]
struct Faults {
    workbench: Workbench,
    list: Signal<Vec<String>>,
    owner: Owner,
}

impl Faults {
    /// Has the host keep a profile, and shows why it does not.
    fn save(self, profile: VmProfile) {
        let profile = Box::new(profile);
        let answer = self
            .workbench
            .request(Command::SaveProfile { profile }, Vec::new());
        self.owner.then_or(
            answer,
            move |result| {
                let failure = result.err().map(|failure| failure.to_string());
                self.list.set(failure.into_iter().collect());
            },
            move |result| self.workbench.report_of(result),
        );
    }
}

fn own_card(
    workbench: Workbench,
    profile: VmProfile,
    faults: Faults,
    delete: impl Fn(VmProfile) + Copy + 'static,
) -> View {
    let name = profile.name.clone();
    let (copied, exported, deleted) = (profile.clone(), profile.clone(), profile.clone());
    let duplicate = move |_| {
        let taken: Vec<String> = workbench
            .store
            .profiles
            .with_untracked(|all| all.iter().map(|profile| profile.id.clone()).collect());
        let name = format!("{} copy", copied.name);
        let id = profile_id(&name, &taken);
        faults.save(VmProfile {
            id,
            name,
            ..copied.clone()
        });
    };
    let labels = ["Duplicate", "Export", "Delete"].map(|what| format!("{what} {name}"));
    let [duplicate_label, export_label, delete_label] = labels.clone();
    let [duplicate_title, export_title, delete_title] = labels;
    view! {
        div(class="own-card") {
            Card(workbench=workbench, profile=profile)
            div(class="card-tools") {
                button(class="tool", r#type="button", data-testid="duplicate-profile", title=duplicate_title,
                    aria-label=duplicate_label, on:click=duplicate) { (icon(icons::COPY)) }
                button(class="tool", r#type="button", data-testid="export-profile", title=export_title,
                    aria-label=export_label, on:click=move |_| export(&exported)) { (icon(icons::DOWNLOAD)) }
                button(class="tool", r#type="button", data-testid="delete-profile", title=delete_title,
                    aria-label=delete_label, on:click=move |_| delete(deleted.clone())) { (icon(icons::REMOVE)) }
            }
        }
    }
}

/// Has the browser save a profile's file.
fn export(profile: &VmProfile) {
    let parts = Array::of1(&JsValue::from_str(&export_profile(profile)));
    let link = Blob::new_with_str_sequence(&parts)
        .and_then(|blob| Url::create_object_url_with_blob(&blob))
        .and_then(|url| Ok((document().create_element("a")?, url)));
    // None of this fails in a document; there is nothing to be told if it did.
    if let Ok((link, url)) = link {
        let _ = link.set_attribute("href", &url);
        let _ = link.set_attribute("download", &format!("{}.qemuweb.json", profile.id));
        link.unchecked_into::<HtmlElement>().click();
        let _ = Url::revoke_object_url(&url);
    }
}
