//! The toolbar: what can be done with the VM that is shown, and with the panel.

use sycamore::prelude::*;
use web_sys::{FocusEvent, KeyboardEvent};

use super::page::Page;
use crate::cx::{Connection, LauncherTab, Nav};
use crate::features::machines::actions::Possible;
use crate::features::machines::state::Machines;
use crate::kit::browser::open_panel;
use crate::kit::buttons::tool;
use crate::kit::icons::{self, icon};
use crate::kit::later::Owner;
use crate::kit::reactive::{Dynamic, Once, client_effect, memo};
use crate::kit::roving;

/// The toolbar.
#[component]
pub fn Toolbar() -> View {
    let page = Page::here();
    let (cx, machines, nav) = (page.cx, page.machines, page.cx.nav);
    let toolbar = create_node_ref();
    let possible = memo(move || {
        let connected = cx
            .connection
            .with(|connection| *connection == Connection::Connected);
        machines
            .shown
            .with(|vm| Possible::of(vm.as_ref().filter(|_| connected).map(|vm| &vm.state)))
    });
    let owner = Owner::here();
    client_effect(move || {
        possible.track();
        owner.soon(move || roving::repair(toolbar));
    });
    let on_shown = move |act: fn(Machines, &str)| {
        move |_| {
            if let Some(vm_id) = nav.selected.get_clone_untracked() {
                act(machines, &vm_id);
            }
        }
    };
    view! {
        div(class="toolbar", role="toolbar", aria-label="QemuWeb", r#ref=toolbar,
            on:keydown=move |event: KeyboardEvent| roving::keydown(&event, toolbar, roving::Axis::Horizontal),
            on:focusin=move |event: FocusEvent| roving::focusin(&event, toolbar)) {
            button(class="tool list-toggle",
                r#type="button", tabindex="-1", data-testid="list-toggle", title="Virtual machines",
                aria-label="Virtual machines", aria-expanded=nav.list_open.get().to_string(),
                aria-controls="vm-list",
                on:click=move |_| nav.list_open.set(!nav.list_open.get_untracked())) { (Once { of: move || icon(icons::MENU) }) }
            button(class="tool labelled", r#type="button", tabindex="0", data-testid="new-vm",
                title="New virtual machine (N)", on:click=move |_| nav.open_launcher(LauncherTab::Guests)) {
                (Once { of: move || icon(icons::ADD) }) span { "New VM" }
            }
            span(class="separator", role="separator")
            (Once { of: move || tool(icons::START, "start", "Start", move || !possible.get().start, on_shown(Machines::start)) })
            (Once { of: move || pause(machines, nav, move || possible.get()) })
            (Once { of: move || tool(icons::STOP, "stop", "Shut down", move || !possible.get().stop, on_shown(Machines::stop)) })
            (Once { of: move || tool(icons::FORCE_STOP, "force-stop", "Force stop", move || !possible.get().force_stop,
                on_shown(Machines::ask_force_stop)) })
            (Once { of: move || tool(icons::RESET, "reset", "Reset", move || !possible.get().reset, on_shown(Machines::ask_reset)) })
            (Once { of: move || tool(icons::REMOVE, "remove", "Remove (Delete)", move || !possible.get().remove,
                on_shown(Machines::remove)) })
            (Once { of: move || tool(icons::CLONE, "clone", "Clone", move || !possible.get().clone, on_shown(Machines::clone_vm)) })
            (Once { of: move || favourite(machines, move || !possible.get().clone) })
            span(class="separator", role="separator")
            button(class="tool labelled", r#type="button", tabindex="-1", data-testid="show-capture",
                title="The page's requests, to send to virtual machines", aria-pressed=nav.traffic.get().to_string(),
                on:click=move |_| nav.traffic.set(!nav.traffic.get_untracked())) {
                (Once { of: move || icon(icons::TRAFFIC) }) span { "Traffic" }
            }
            span(class="spacer")
            (Once { of: move || tool(icons::HELP, "help", "Keyboard shortcuts (?)", || false, move |_| page.help.set(true)) })
            (Once { of: move || tool(icons::POP_OUT, "pop-out", "Open in a tab", || false, move |_| {
                let vm_id = nav.selected.get_clone_untracked();
                open_panel(vm_id.as_deref());
            }) })
        }
    }
}

/// The button that halts the vCPUs, or lets them run again.
fn pause(machines: Machines, nav: Nav, possible: impl Fn() -> Possible + Copy + 'static) -> View {
    let resumes = memo(move || possible().resume);
    let is_disabled = move || !possible().pause && !possible().resume;
    let toggle = move |_| {
        if let Some(vm_id) = nav.selected.get_clone_untracked() {
            if resumes.get_untracked() {
                machines.resume(&vm_id);
            } else {
                machines.pause(&vm_id);
            }
        }
    };
    let name = move || if resumes.get() { "Resume" } else { "Pause" };
    view! {
        button(class="tool", r#type="button", tabindex="-1", data-testid="pause", title=name(), aria-label=name(),
            disabled=is_disabled(), on:click=toggle) {
            (Dynamic { of: move || if resumes.get() { icon(icons::RESUME) } else { icon(icons::BARS) } })
        }
    }
}

/// The button that has the VM among the favourites.
fn favourite(machines: Machines, is_disabled: impl Fn() -> bool + 'static) -> View {
    let is_one = memo(move || machines.of_shown(|vm| vm.favourite));
    let toggle = move |_| {
        if let Some(vm) = machines.shown_now() {
            machines.toggle_favourite(&vm.vm_id);
        }
    };
    view! {
        button(class="tool", r#type="button", tabindex="-1", data-testid="favourite", title="Favourite",
            aria-label="Favourite", aria-pressed=is_one.get().to_string(), disabled=is_disabled(), on:click=toggle) {
            (Dynamic { of: move || if is_one.get() { icon(icons::STAR) } else { icon(icons::STAR_OUTLINE) } })
        }
    }
}
