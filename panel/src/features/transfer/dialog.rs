//! The dialog that asks for a folder or a path in a guest, and the field that takes what the browser's picker gives.

use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use web_sys::{Event, SubmitEvent};

use super::names::{FilePath, Folder};
use super::state::Transfers;
use crate::cx::Direction;
use crate::kit::browser::{preference, press, set_preference};
use crate::kit::dialog::modal;
use crate::kit::files::all_chosen;
use crate::kit::reactive::Dynamic;

/// The id of the field that takes files.
const INPUT: &str = "transfer-files";
/// Where the folder is kept that was sent to last.
const FOLDER: &str = "transfer.folder";
/// Where the path is kept that was fetched last.
const PATH: &str = "transfer.path";

fn kept(name: &str) -> Option<String> {
    if cfg!(target_arch = "wasm32") {
        preference(name)
    } else {
        None
    }
}

/// The folder that files are sent to unless another is said.
pub(super) fn usual_folder() -> Folder {
    kept(FOLDER)
        .and_then(|text| Folder::parse(&text).ok())
        .unwrap_or_default()
}

/// The dialog.
#[component]
pub(super) fn TransferDialog() -> View {
    let transfers = Transfers::here();
    let asked = transfers.cx.nav.transfer;
    // Whom the files go to that are being picked.
    let picking = create_signal(None::<VmId>);
    let picked = move |event: Event| {
        let files = all_chosen(&event);
        if let Some(vm_id) = picking.take_silent() {
            transfers.send(&vm_id, files, &usual_folder());
        }
    };
    let (text, fault) = (create_signal(String::new()), create_signal(String::new()));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some((vm_id, direction)) = asked.get_clone_untracked() else {
            return;
        };
        let wanted = text.get_clone_untracked();
        let done = match direction {
            Direction::Send => Folder::parse(&wanted).map(|folder| {
                set_preference(FOLDER, &folder.shown());
                picking.set_silent(Some(vm_id));
                press(INPUT);
            }),
            Direction::Fetch => FilePath::parse(&wanted).map(|file| {
                set_preference(PATH, &file.shown());
                transfers.fetch(&vm_id, &file);
            }),
        };
        match done {
            Ok(()) => asked.set(None),
            Err(why) => fault.set(why),
        }
    };
    let dialog = create_node_ref();
    modal(dialog, move || asked.with(Option::is_some));
    let content = move || {
        let Some((vm_id, direction)) = asked.get_clone() else {
            return View::new();
        };
        fault.set_silent(String::new());
        text.set_silent(match direction {
            Direction::Send => usual_folder().shown(),
            Direction::Fetch => kept(PATH).unwrap_or_else(|| "~/".to_owned()),
        });
        let vm = transfers.machines.vm(&vm_id);
        let vm = vm.map_or(vm_id, |vm| vm.name.clone());
        let (title, label, hint, ok) = match direction {
            Direction::Send => (
                format!("Send files to {vm}"),
                "Folder in the guest",
                "~ is the home of the guest’s agent, and where a path without / at its beginning starts. Files that \
                 are dropped on the console go to this folder, too.",
                "Choose files…",
            ),
            Direction::Fetch => (
                format!("Fetch a file from {vm}"),
                "Path in the guest",
                "~ is the home of the guest’s agent, and where a path without / at its beginning starts.",
                "Fetch",
            ),
        };
        view! {
            form(class="transfer-form", on:submit=submit) {
                h2(id="transfer-title") { (title) }
                label(r#for="transfer-path") { (label) }
                input(r#type="text", id="transfer-path", class="mono", data-testid="transfer-path", "spellcheck"="false",
                    autocomplete="off", "autofocus"="true", aria-describedby="transfer-hint transfer-fault",
                    aria-invalid=(!fault.with(String::is_empty)).to_string(), bind:value=text)
                p(id="transfer-fault", class="field-error", role="alert") { (fault.get_clone()) }
                p(id="transfer-hint", class="hint") { (hint) }
                div(class="dialog-buttons") {
                    button(class="button", r#type="button", on:click=move |_| asked.set(None)) { "Cancel" }
                    button(class="button primary", r#type="submit", data-testid="transfer-ok") { (ok) }
                }
            }
        }
    };
    view! {
        input(r#type="file", id=INPUT, data-testid=INPUT, multiple=true, hidden=true, aria-label="Files to send",
            on:change=picked)
        dialog(class="dialog", r#ref=dialog, aria-labelledby="transfer-title",
            on:close=move |_| if asked.with_untracked(Option::is_some) { asked.set(None) }) {
            (Dynamic { of: content })
        }
    }
}
