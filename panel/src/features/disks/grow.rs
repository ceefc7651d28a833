//! The dialog that asks how large a disk is to be.

use qemuweb_wire::failure::Failure;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use web_sys::{Event, SubmitEvent};

use super::state::Disks;
use super::words::{UNITS, new_size};
use crate::kit::browser::value_of;
use crate::kit::dialog::modal;
use crate::kit::later::Owner;
use crate::kit::reactive::Dynamic;
use crate::kit::text;

/// A disk that is to grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Growing {
    pub(super) vm_id: VmId,
    pub(super) channel: String,
    /// Its size in bytes, where that is known.
    pub(super) now: Option<u64>,
}

/// The dialog.
#[component]
pub(super) fn GrowDialog() -> View {
    let disks = Disks::here();
    let growing = disks.growing;
    let owner = Owner::here();
    let (typed, unit) = (create_signal(String::new()), create_signal(UNITS[0].1));
    let fault = create_signal(String::new());
    let is_asked = create_signal(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(Growing { vm_id, channel, now }) = growing.get_clone_untracked() else {
            return;
        };
        if is_asked.get_untracked() {
            return;
        }
        let size = match new_size(&typed.get_clone_untracked(), unit.get_untracked(), now) {
            Ok(size) => size,
            Err(why) => return fault.set(why),
        };
        fault.set(String::new());
        is_asked.set(true);
        let said = format!("{channel} has {} now.", text::bytes(size));
        let grown = move |result: Result<(), Failure>| {
            is_asked.set(false);
            match result {
                Ok(()) => {
                    growing.set(None);
                    disks.said.set(said);
                }
                Err(failure) => fault.set(failure.to_string()),
            }
        };
        owner.then_or(disks.grow(vm_id, channel, size), grown, move |result| {
            disks.cx.report_of(result);
        });
    };
    let dialog = create_node_ref();
    modal(dialog, move || growing.with(Option::is_some));
    let content = move || {
        let Some(Growing { channel, now, .. }) = growing.get_clone() else {
            return View::new();
        };
        fault.set_silent(String::new());
        typed.set_silent(String::new());
        let now = now.map_or_else(String::new, |now| format!("It has {} now. ", text::bytes(now)));
        let hint = format!(
            "{now}The guest sees the new size at once; its partitions and file systems stay as they are until they are \
             grown, too. A disk does not shrink again."
        );
        let units: Vec<View> = UNITS
            .iter()
            .map(|(name, bytes)| {
                let (value, bytes) = (bytes.to_string(), *bytes);
                view! { option(value=value, prop:selected=unit.get() == bytes) { (*name) } }
            })
            .collect();
        let choose = move |event: Event| unit.set(value_of(&event).parse().unwrap_or(UNITS[0].1));
        view! {
            form(on:submit=submit) {
                h2(id="grow-title") { "Grow " (channel) }
                label(r#for="grow-size") { "New size" }
                div(class="grow-size") {
                    input(r#type="text", id="grow-size", "inputmode"="decimal", autocomplete="off", "autofocus"="true",
                        data-testid="grow-size", aria-describedby="grow-fault grow-hint",
                        aria-invalid=(!fault.with(String::is_empty)).to_string(), bind:value=typed)
                    select(aria-label="Unit", data-testid="grow-unit", on:change=choose) { (units) }
                }
                p(id="grow-fault", class="field-error", role="alert", data-testid="grow-fault") { (fault.get_clone()) }
                p(id="grow-hint", class="hint") { (hint) }
                div(class="dialog-buttons") {
                    button(class="button", r#type="button", on:click=move |_| growing.set(None)) { "Cancel" }
                    button(class="button primary", r#type="submit", data-testid="grow-ok", disabled=is_asked.get()) { "Grow" }
                }
            }
        }
    };
    view! {
        dialog(class="dialog", r#ref=dialog, aria-labelledby="grow-title",
            on:close=move |_| if growing.with_untracked(Option::is_some) { growing.set(None) }) {
            (Dynamic { of: content })
        }
    }
}
