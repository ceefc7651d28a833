//! The list of VMs with its filter.

use qemuweb_runtime::protocol::VmId;
use sycamore::prelude::*;
use sycamore::web::{create_client_effect, document};
use wasm_bindgen::JsCast;
use web_sys::{FocusEvent, HtmlInputElement, KeyboardEvent};

use crate::browser::{find, focus};
use crate::icons::{self, icon, state_icon};
use crate::later::{self, Owner};
use crate::roving;
use crate::state::Store;
use crate::text;
use crate::workbench::Workbench;

/// The sidebar: filter and list.
#[component(inline_props)]
pub fn VmList(workbench: Workbench) -> View {
    let store = workbench.store;
    let list = create_node_ref();
    let filter_keys = move |event: KeyboardEvent| match event.key().as_str() {
        "Escape" if store.filter.with_untracked(|filter| !filter.is_empty()) => {
            event.stop_propagation();
            store.filter.set(String::new());
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
        if event.key() == "Escape" && store.list_open.get_untracked() {
            event.stop_propagation();
            store.list_open.set(false);
        }
    };
    let listed = create_selector(move || store.listed());
    let owner = Owner::here();
    create_client_effect(move || {
        listed.track();
        owner.soon(move || roving::repair(list));
    });
    let empty = create_selector(move || (store.vms.with(Vec::is_empty), listed.with(Vec::is_empty)));
    view! {
        aside(class=if store.list_open.get() { "sidebar open" } else { "sidebar" }, id="vm-list",
            aria-label="Virtual machines", on:keydown=fold) {
            div(class="filter") {
                (icon(icons::SEARCH))
                input(r#type="search", id="filter", placeholder="Filter", aria-label="Filter virtual machines",
                    "spellcheck"="false", autocomplete="off", bind:value=store.filter, on:keydown=filter_keys)
            }
            ul(class="vm-list", role="listbox", aria-label="Virtual machines", data-testid="vm-list", r#ref=list,
                on:keydown=move |event: KeyboardEvent| roving::keydown(&event, list, roving::Axis::Vertical),
                on:focusin=move |event: FocusEvent| roving::focusin(&event, list)) {
                Keyed(list=listed, key=|vm_id| vm_id.clone(), view=move |vm_id| view! { VmRow(workbench=workbench, vm_id=vm_id) })
            }
            (match empty.get() {
                (true, _) => view! { p(class="empty") { "No virtual machines yet. New VM starts one." } },
                (false, true) => view! { p(class="empty") { "No name, architecture or state matches the filter." } },
                (false, false) => View::new(),
            })
        }
    }
}

/// A VM in the list.
#[component(inline_props)]
fn VmRow(workbench: Workbench, vm_id: VmId) -> View {
    let store = workbench.store;
    let id = create_signal(vm_id.clone());
    let vm = create_selector(move || {
        id.with(|id| {
            store
                .vms
                .with(|vms| vms.iter().find(|vm| vm.vm_id == *id).cloned())
        })
    });
    // What progress does not change.
    let state = create_selector(move || vm.with(|vm| vm.as_ref().map(|vm| vm.state.clone())));
    let is_favourite = create_selector(move || vm.with(|vm| vm.as_ref().is_some_and(|vm| vm.favourite)));
    let is_shown = create_selector(move || {
        !store.launching.get()
            && store
                .selected
                .with(|shown| id.with(|id| shown.as_ref() == Some(id)))
    });
    let select = move || workbench.select(&id.get_clone_untracked());
    let keys = move |event: KeyboardEvent| match event.key().as_str() {
        "Enter" | " " => {
            event.prevent_default();
            select();
        }
        "Delete" => workbench.remove(&id.get_clone_untracked()),
        _ => {}
    };
    view! {
        li(class="vm-row", role="option", tabindex="-1", data-testid="vm-row", data-vm-id=vm_id,
            data-state=state.with(|state| state.as_ref().map_or("", |state| state.name())),
            aria-selected=is_shown.get().to_string(), on:click=move |_| select(), on:keydown=keys) {
            (state.get_clone().as_ref().map(state_icon))
            span(class="vm-name") { (vm.with(|vm| vm.as_ref().map(|vm| vm.name.clone()).unwrap_or_default())) }
            (if is_favourite.get() { favourite_mark() } else { View::new() })
            span(class="vm-state") { (state.with(|state| state.as_ref().map_or("", text::state))) }
        }
    }
}

fn favourite_mark() -> View {
    let star = icon(icons::STAR);
    view! { span(class="favourite", role="img", aria-label="Favourite") { (star) } }
}

/// Gives the focus to the filter.
pub fn focus_filter(store: &Store) {
    store.list_open.set(true);
    later::soon(|| {
        if let Some(filter) = document().get_element_by_id("filter") {
            focus(&filter);
            if let Some(filter) = filter.dyn_ref::<HtmlInputElement>() {
                filter.select();
            }
        }
    });
}
