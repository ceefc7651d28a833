//! The toolbar: what can be done with the VM that is shown, and with the panel.

use qemuweb_runtime::VmState;
use sycamore::prelude::*;
use sycamore::web::{create_client_effect, window};
use web_sys::{FocusEvent, KeyboardEvent};

use crate::icons::{self, Icon, icon};
use crate::later::Owner;
use crate::roving;
use crate::state::Connection;
use crate::workbench::Workbench;

/// What a VM in a state can be told to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one per button")]
pub struct Possible {
    /// To start again.
    pub start: bool,
    /// To shut down.
    pub stop: bool,
    /// To lose its power.
    pub force_stop: bool,
    /// To be reset.
    pub reset: bool,
    /// To be forgotten.
    pub remove: bool,
    /// To be copied.
    pub clone: bool,
}

impl Possible {
    /// For a VM in `state`, or for none.
    pub fn of(state: Option<&VmState>) -> Self {
        let Some(state) = state else {
            return Self::default();
        };
        Self {
            start: !state.is_active(),
            stop: matches!(state, VmState::Running | VmState::Paused),
            force_stop: state.is_active(),
            reset: matches!(state, VmState::Running | VmState::Paused | VmState::Stopping),
            remove: !state.is_active(),
            clone: true,
        }
    }
}

/// The toolbar.
#[component(inline_props)]
pub fn Toolbar(workbench: Workbench) -> View {
    let store = workbench.store;
    let toolbar = create_node_ref();
    let possible = create_selector(move || {
        let connected = store
            .connection
            .with(|connection| *connection == Connection::Connected);
        store
            .shown
            .with(|vm| Possible::of(vm.as_ref().filter(|_| connected).map(|vm| &vm.state)))
    });
    let owner = Owner::here();
    create_client_effect(move || {
        possible.track();
        owner.soon(move || roving::repair(toolbar));
    });
    let on_shown = move |act: fn(Workbench, &str)| {
        move |_| {
            if let Some(vm_id) = store.selected.get_clone_untracked() {
                act(workbench, &vm_id);
            }
        }
    };
    view! {
        div(class="toolbar", role="toolbar", aria-label="QemuWeb", r#ref=toolbar,
            on:keydown=move |event: KeyboardEvent| roving::keydown(&event, toolbar, roving::Axis::Horizontal),
            on:focusin=move |event: FocusEvent| roving::focusin(&event, toolbar)) {
            button(class="tool list-toggle",
                r#type="button", tabindex="-1", data-testid="list-toggle", title="Virtual machines",
                aria-label="Virtual machines", aria-expanded=store.list_open.get().to_string(),
                aria-controls="vm-list",
                on:click=move |_| store.list_open.set(!store.list_open.get_untracked())) { (icon(icons::MENU)) }
            button(class="tool labelled", r#type="button", tabindex="0", data-testid="new-vm",
                title="New virtual machine (N)", on:click=move |_| workbench.open_launcher()) {
                (icon(icons::ADD)) span { "New VM" }
            }
            span(class="separator", role="separator")
            (tool(icons::START, "start", "Start", move || !possible.get().start, on_shown(Workbench::restart)))
            (tool(icons::STOP, "stop", "Shut down", move || !possible.get().stop, on_shown(Workbench::stop)))
            (tool(icons::FORCE_STOP, "force-stop", "Force stop", move || !possible.get().force_stop,
                on_shown(Workbench::ask_force_stop)))
            (tool(icons::RESET, "reset", "Reset", move || !possible.get().reset, on_shown(Workbench::ask_reset)))
            (tool(icons::REMOVE, "remove", "Remove (Delete)", move || !possible.get().remove,
                on_shown(Workbench::remove)))
            (tool(icons::COPY, "clone", "Clone", move || !possible.get().clone, on_shown(Workbench::clone_vm)))
            (favourite(workbench, move || !possible.get().clone))
            span(class="separator", role="separator")
            button(class="tool labelled", r#type="button", tabindex="-1", data-testid="show-capture",
                title="The page's requests, to send to virtual machines", aria-pressed=workbench.capture.shown.get().to_string(),
                on:click=move |_| workbench.capture.shown.set(!workbench.capture.shown.get_untracked())) {
                (icon(icons::TRAFFIC)) span { "Traffic" }
            }
            span(class="spacer")
            (tool(icons::HELP, "help", "Keyboard shortcuts (?)", || false, move |_| store.help.set(true)))
            (tool(icons::POP_OUT, "pop-out", "Open in a tab", || false, move |_| {
                let vm_id = store.selected.get_clone_untracked();
                open_tab(vm_id.as_deref());
            }))
        }
    }
}

/// The button that has the VM among the favourites.
fn favourite(workbench: Workbench, is_disabled: impl Fn() -> bool + 'static) -> View {
    let store = workbench.store;
    let is_one = create_selector(move || store.shown.with(|vm| vm.as_ref().is_some_and(|vm| vm.favourite)));
    let toggle = move |_| {
        if let Some(vm_id) = store.selected.get_clone_untracked() {
            workbench.toggle_favourite(&vm_id);
        }
    };
    view! {
        button(class="tool", r#type="button", tabindex="-1", data-testid="favourite", title="Favourite",
            aria-label="Favourite", aria-pressed=is_one.get().to_string(), disabled=is_disabled(), on:click=toggle) {
            (if is_one.get() { icon(icons::STAR) } else { icon(icons::STAR_OUTLINE) })
        }
    }
}

/// A button that shows an icon; `name` is its tooltip and accessible name.
pub fn tool(
    shape: Icon,
    test_id: &'static str,
    name: &'static str,
    is_disabled: impl Fn() -> bool + 'static,
    click: impl FnMut(web_sys::MouseEvent) + 'static,
) -> View {
    view! {
        button(class="tool", r#type="button", tabindex="-1", data-testid=test_id, title=name, aria-label=name,
            disabled=is_disabled(), on:click=click) { (icon(shape)) }
    }
}

/// Opens the panel as a tab, with a VM shown if one is named.
pub fn open_tab(vm_id: Option<&str>) {
    let hash = vm_id
        .map(|vm_id| format!("#vm={}", String::from(js_sys::encode_uri_component(vm_id))))
        .unwrap_or_default();
    // A tab of its own: what opens it, a popup, is soon gone. A blocked window is the browser's to tell.
    let _ =
        window().open_with_url_and_target_and_features(&format!("panel.html{hash}"), "_blank", "noopener");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_possible_depends_on_the_state() {
        let running = Possible::of(Some(&VmState::Running));
        assert!(running.stop && running.force_stop && running.reset && !running.start && !running.remove);
        let starting = Possible::of(Some(&VmState::Starting));
        assert!(starting.force_stop && !starting.stop && !starting.reset && !starting.start);
        let stopping = Possible::of(Some(&VmState::Stopping));
        assert!(stopping.force_stop && stopping.reset && !stopping.stop);
        let stopped = Possible::of(Some(&VmState::NOT_STARTED));
        assert!(stopped.start && stopped.remove && !stopped.force_stop);
        assert_eq!(Possible::of(None), Possible::default());
    }
}
