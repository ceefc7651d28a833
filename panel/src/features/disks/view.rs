//! The Disks tab.

use std::rc::Rc;

use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use web_sys::{Event, MouseEvent};

use super::card::{IMPORT, card};
use super::grow::GrowDialog;
use super::rows::Row;
use super::state::Disks;
use crate::kit::buttons::{explained, text_button};
use crate::kit::failure_view::failure_view;
use crate::kit::files;
use crate::kit::reactive::{Dynamic, Once, memo};

/// The tab.
#[component]
pub fn DisksView() -> View {
    let disks = Disks::here();
    disks.growing.set(None);
    let ids = memo(move || disks.ids());
    let listed = memo(move || ids.get_clone().unwrap_or_default());
    let importing = create_signal(None::<(VmId, Rc<Row>)>);
    let chosen = move |event: Event| {
        if let Some(((vm_id, row), file)) = importing.take_silent().zip(files::chosen(&event)) {
            disks.import(&vm_id, &row, file);
        }
    };
    let flush = move |_: MouseEvent| {
        if let Some(vm) = disks.machines.shown_now() {
            disks.flush(&vm.vm_id);
        }
    };
    let why_not_flush = memo(move || {
        let is_active = disks.machines.of_shown(|vm| vm.state.is_active());
        (!is_active).then_some("The machine does not run: all that it has written is kept.")
    });
    // Another VM's disks are others, whatever they are called.
    let shown = memo(move || disks.machines.of_shown(|vm| vm.vm_id.clone()));
    view! {
        div(class="disks-tab", id="panel-disks", role="tabpanel", aria-labelledby="tab-disks", tabindex="0") {
            div(class="disks-head") {
                (Once { of: move || explained("disk-flush", "Flush now", "0", why_not_flush, flush) })
                span(class="hint", role="status", data-testid="disk-said") { (disks.said.get_clone()) }
            }
            (Dynamic { of: move || match disks.failure.get_clone() {
                None => View::new(),
                Some(failure) => failure_view(failure, text_button("disks-again", "Try again", move |_| disks.refresh())),
            } })
            (Dynamic { of: move || {
                shown.track();
                view! { Keyed(list=listed, key=|id| id.clone(), view=move |id| card(disks, &id, importing)) }
            } })
            (Dynamic { of: move || if ids.with(|ids| ids.as_ref().is_some_and(Vec::is_empty)) {
                view! { p(class="hint", data-testid="no-disks") {
                    "This machine has no disks. Its settings add them; what a guest without one writes is gone at power off."
                } }
            } else {
                View::new()
            } })
            input(r#type="file", id=IMPORT, data-testid=IMPORT, hidden=true, accept=".qwoverlay",
                aria-label="File with changes to import", on:change=chosen)
            GrowDialog {}
        }
    }
}
