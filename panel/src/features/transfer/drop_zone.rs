//! Where files can be dropped: on a VM's console.

use qemuweb_wire::failure::Failure;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{DragEvent, Node};

use super::dialog::usual_folder;
use super::state::Transfers;
use crate::kit::files::{all_dropped, are_dragged};
use crate::kit::reactive::Dynamic;

/// The content, on which files can be dropped for the guest of the VM that is shown.
pub fn drop_zone(content: View) -> View {
    let transfers = Transfers::here();
    let cx = transfers.cx;
    // Whether files are held over it.
    let over = create_signal(false);
    let drag = move |event: DragEvent| {
        if !are_dragged(&event) {
            return;
        }
        event.prevent_default();
        if let Some(transfer) = event.data_transfer() {
            let is_possible = refusal(transfers).is_none();
            transfer.set_drop_effect(if is_possible { "copy" } else { "none" });
        }
        if !over.get_untracked() {
            over.set(true);
        }
    };
    let leave = move |event: DragEvent| {
        let to: Option<Node> = event.related_target().and_then(|to| to.dyn_into().ok());
        let zone: Option<Node> = event.current_target().and_then(|zone| zone.dyn_into().ok());
        // It moves from one thing inside to another.
        if !zone.is_some_and(|zone| to.is_some() && zone.contains(to.as_ref())) {
            over.set(false);
        }
    };
    let dropped = move |event: DragEvent| {
        if !are_dragged(&event) {
            return;
        }
        event.prevent_default();
        over.set(false);
        let (files, folders) = all_dropped(&event);
        if let Some(reason) = refusal(transfers) {
            let failure = Failure::new("the files were not sent").with_next_step(reason);
            return cx.notices.report(failure);
        }
        for folder in folders {
            let failure = Failure::new(format!("expected files, found the folder {folder}"));
            let next_step = "Send it as one file: an archive, such as a .tar or .zip file.";
            cx.notices.report(failure.with_next_step(next_step));
        }
        if let Some(vm_id) = cx
            .nav
            .selected
            .get_clone_untracked()
            .filter(|_| !files.is_empty())
        {
            transfers.send(&vm_id, files, &usual_folder());
        }
    };
    view! {
        div(class="drop-zone", data-testid="drop-zone", on:dragenter=drag, on:dragover=drag, on:dragleave=leave,
            on:drop=dropped) {
            (content)
            (Dynamic { of: move || if over.get() { target(transfers) } else { View::new() } })
        }
    }
}

/// Why the VM that is shown gets no files. Tracked.
fn refusal(transfers: Transfers) -> Option<&'static str> {
    let vm_id = transfers.cx.nav.selected.get_clone();
    transfers.machines.why_no_files(&vm_id.unwrap_or_default())
}

fn target(transfers: Transfers) -> View {
    let vm = transfers.machines.of_shown(|vm| vm.name.clone());
    let (class, text, hint) = match refusal(transfers) {
        None => (
            "drop-target",
            format!("Drop to send to {}", usual_folder().shown()),
            vm,
        ),
        Some(reason) => (
            "drop-target refused",
            "No files can be sent".to_owned(),
            reason.to_owned(),
        ),
    };
    view! { div(class=class, data-testid="drop-target") { p { (text) } p { (hint) } } }
}
