//! The list of VMs with its filter.

use qemuweb_wire::VmState;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::JsCast;
use web_sys::{FocusEvent, HtmlInputElement, KeyboardEvent, MouseEvent};

use super::menu;
use super::state::Machines;
use super::words::{self, state_icon};
use crate::kit::browser::{find, focus};
use crate::kit::icons::{self, icon};
use crate::kit::later::{self, Owner};
use crate::kit::reactive::{Dynamic, Once, client_effect, memo};
use crate::kit::roving;

/// The sidebar: filter and list.
#[component]
pub fn VmList() -> View {
    let machines = Machines::here();
    let nav = machines.cx.nav;
    let list = create_node_ref();
    let filter_keys = move |event: KeyboardEvent| match event.key().as_str() {
        "Escape" if machines.filter.with_untracked(|filter| !filter.is_empty()) => {
            event.stop_propagation();
            machines.filter.set(String::new());
        }
        "ArrowDown" => {
            if let Some(row) = list
                .try_get()
                .and_then(|list| find(&list, "[role=option][tabindex='0']"))
            {
                event.prevent_default();
                focus(&row);
            }
        }
        _ => {}
    };
    let fold = move |event: KeyboardEvent| {
        if event.key() == "Escape" && nav.list_open.get_untracked() {
            event.stop_propagation();
            nav.list_open.set(false);
        }
    };
    let listed = memo(move || machines.listed());
    let owner = Owner::here();
    client_effect(move || {
        listed.track();
        owner.soon(move || roving::repair(list));
    });
    let empty = memo(move || (machines.vms.with(Vec::is_empty), listed.with(Vec::is_empty)));
    view! {
        aside(class=if nav.list_open.get() { "sidebar open" } else { "sidebar" }, id="vm-list",
            aria-label="Virtual machines", on:keydown=fold) {
            div(class="filter") {
                (Once { of: move || icon(icons::SEARCH) })
                input(r#type="search", id="filter", placeholder="Filter", aria-label="Filter virtual machines",
                    "spellcheck"="false", autocomplete="off", bind:value=machines.filter, on:keydown=filter_keys)
            }
            ul(class="vm-list", role="listbox", aria-label="Virtual machines", data-testid="vm-list", r#ref=list,
                on:keydown=move |event: KeyboardEvent| roving::keydown(&event, list, roving::Axis::Vertical),
                on:focusin=move |event: FocusEvent| roving::focusin(&event, list)) {
                Keyed(list=listed, key=|vm_id| vm_id.clone(), view=move |vm_id| view! { VmRow(machines=machines, vm_id=vm_id) })
            }
            (Dynamic { of: move || match empty.get() {
                (true, _) => view! { p(class="empty") { "No virtual machines yet. New VM starts one." } },
                (false, true) => view! { p(class="empty") { "No name, architecture or state matches the filter." } },
                (false, false) => View::new(),
            } })
        }
    }
}

/// What a row shows of its VM.
#[derive(PartialEq)]
struct Seen {
    state: VmState,
    name: String,
    is_favourite: bool,
    has_alarm: bool,
}

/// A VM in the list.
#[component(inline_props)]
fn VmRow(machines: Machines, vm_id: VmId) -> View {
    let nav = machines.cx.nav;
    let id = create_signal(vm_id.clone());
    // What progress does not change.
    let vm = memo(move || {
        id.with(|id| {
            machines.vms.with(|vms| {
                let vm = vms.iter().find(|vm| vm.vm_id == *id);
                vm.map(|vm| Seen {
                    state: vm.state.clone(),
                    name: vm.name.clone(),
                    is_favourite: vm.favourite,
                    has_alarm: vm.disk_alarm.is_some(),
                })
            })
        })
    });
    let state = memo(move || vm.with(|vm| vm.as_ref().map(|vm| vm.state.clone())));
    let name = memo(move || vm.with(|vm| vm.as_ref().map(|vm| vm.name.clone()).unwrap_or_default()));
    let is_favourite = memo(move || vm.with(|vm| vm.as_ref().is_some_and(|vm| vm.is_favourite)));
    let has_alarm = memo(move || vm.with(|vm| vm.as_ref().is_some_and(|vm| vm.has_alarm)));
    let is_shown = memo(move || {
        !nav.launching.get()
            && nav
                .selected
                .with(|shown| id.with(|id| shown.as_ref() == Some(id)))
    });
    let select = move || nav.show(&id.get_clone_untracked());
    let menu = move |event: MouseEvent| {
        let items = menu::items(machines, &id.get_clone_untracked());
        machines.cx.menu.context(&event, items);
    };
    let keys = move |event: KeyboardEvent| match event.key().as_str() {
        "Enter" | " " => {
            event.prevent_default();
            select();
        }
        "Delete" => machines.remove(&id.get_clone_untracked()),
        _ => {}
    };
    view! {
        li(class="vm-row", role="option", tabindex="-1", data-testid="vm-row", data-vm-id=vm_id,
            data-state=state.with(|state| state.as_ref().map_or("", |state| state.name())),
            aria-selected=is_shown.get().to_string(), title=name.get_clone(),
            on:click=move |_| select(), on:keydown=keys, on:contextmenu=menu) {
            (state.get_clone().as_ref().map(state_icon))
            span(class="vm-name") { (name.get_clone()) }
            (Dynamic { of: move || if has_alarm.get() { alarm_mark() } else { View::new() } })
            (Dynamic { of: move || if is_favourite.get() { favourite_mark() } else { View::new() } })
            span(class="vm-state") { (state.with(|state| state.as_ref().map_or("", words::state))) }
        }
    }
}

fn alarm_mark() -> View {
    let sign = icon(icons::WARNING);
    view! { span(class="alarm-mark", role="img", aria-label="A disk fails", title="A disk fails") { (sign) } }
}

fn favourite_mark() -> View {
    let star = icon(icons::STAR);
    view! { span(class="favourite", role="img", aria-label="Favourite") { (star) } }
}

/// Gives the focus to the filter.
pub fn focus_filter(machines: Machines) {
    machines.cx.nav.list_open.set(true);
    later::soon(|| {
        if let Some(filter) = document().get_element_by_id("filter") {
            focus(&filter);
            if let Some(filter) = filter.dyn_ref::<HtmlInputElement>() {
                filter.select();
            }
        }
    });
}
