//! The popup of the toolbar button: the VMs, the default guest in one click, the way to the panel.

use qemuweb_runtime::protocol::VmInfo;
use sycamore::prelude::*;

use crate::app::lost_view;
use crate::capability_warnings::CapabilityWarnings;
use crate::dialog::ConfirmDialog;
use crate::failure_view::Notices;
use crate::icons::{self, icon, state_icon};
use crate::launcher::{can_launch, launch_default};
use crate::state::Connection;
use crate::text;
use crate::toolbar::{Possible, open_tab};
use crate::vm_view::failure_of;
use crate::workbench::Workbench;

/// The popup. `reconnect` looks for the host again.
#[component(inline_props)]
pub fn Popup(workbench: Workbench, reconnect: fn(Workbench)) -> View {
    let store = workbench.store;
    let lost = create_selector(move || match store.connection.get_clone() {
        Connection::Lost(failure) => Some(failure),
        Connection::Connecting | Connection::Connected => None,
    });
    // What a row shows does not change with progress.
    let rows = create_selector(move || {
        store.vms.with(|vms| {
            let shown = |vm: &VmInfo| VmInfo {
                progress: None,
                ..vm.clone()
            };
            let mut rows: Vec<_> = vms.iter().map(shown).collect();
            // Favourites first, then what runs, then what was started last.
            rows.sort_by(|a, b| {
                let rank = |vm: &VmInfo| (vm.favourite, vm.state.is_active());
                rank(b).cmp(&rank(a)).then(b.started_at.total_cmp(&a.started_at))
            });
            rows
        })
    });
    let is_empty = create_selector(move || rows.with(Vec::is_empty));
    let empty_text = move || {
        let is_connecting = store
            .connection
            .with(|connection| *connection == Connection::Connecting);
        if is_connecting {
            "Connecting…"
        } else {
            "No virtual machines yet."
        }
    };
    view! {
        (lost.get_clone().map(|failure| lost_view(failure, workbench, reconnect)))
        CapabilityWarnings(workbench=workbench)
        Notices(workbench=workbench)
        (if is_empty.get() {
            view! { p(class="empty") { (empty_text()) } }
        } else {
            view! {
                ul(class="popup-list", aria-label="Virtual machines") {
                    Indexed(list=rows, view=move |vm| view! { Row(workbench=workbench, vm=vm) })
                }
            }
        })
        div(class="popup-actions") {
            button(class="button primary",
                r#type="button", data-testid="popup-launch", disabled=!can_launch(workbench),
                on:click=move |_| launch_default(workbench)) { (icon(icons::START)) "Boot Linux" }
            button(class="button", r#type="button", data-testid="popup-open-tab", on:click=move |_| open_tab(None)) {
                (icon(icons::POP_OUT)) "Open panel in a tab"
            }
        }
        ConfirmDialog(workbench=workbench)
    }
}

/// A VM: open, stop or start it.
#[component(inline_props)]
fn Row(workbench: Workbench, vm: VmInfo) -> View {
    let VmInfo {
        vm_id, name, state, ..
    } = vm.clone();
    let favourite = vm.favourite.then(|| icon(icons::STAR));
    let possible = Possible::of(Some(&state));
    let shape_of_state = state_icon(&state);
    let state_name = state.name();
    let state_text = match failure_of(&vm) {
        Some(failure) => failure.message,
        None => format!(
            "{} · {} · {}",
            text::state(&state),
            vm.arch,
            text::mebibytes(vm.memory_mib)
        ),
    };
    let (opened, stopped, started) = (vm_id.clone(), vm_id.clone(), vm_id.clone());
    let (open_label, start_label) = (format!("Open {name} in a tab"), format!("Start {name}"));
    // A guest that does not shut down can be asked again only by force.
    let (stop_label, by_force) = if possible.stop {
        (format!("Shut down {name}"), false)
    } else {
        (format!("Force stop {name}"), true)
    };
    let (start_title, stop_title) = (start_label.clone(), stop_label.clone());
    let stop = move |_| {
        if by_force {
            workbench.ask_force_stop(&stopped)
        } else {
            workbench.stop(&stopped)
        }
    };
    let button = if possible.start {
        view! {
            button(class="tool", r#type="button", data-testid="popup-start", title=start_title,
                aria-label=start_label,
                on:click=move |_| workbench.restart(&started)) { (icon(icons::START)) }
        }
    } else {
        let shape = if by_force { icons::FORCE_STOP } else { icons::STOP };
        view! {
            button(class="tool", r#type="button", data-testid="popup-stop", title=stop_title, aria-label=stop_label,
                on:click=stop) { (icon(shape)) }
        }
    };
    view! {
        li(class="popup-row", data-testid="popup-row", data-vm-id=vm_id, data-state=state_name,
            data-favourite=vm.favourite.to_string()) {
            (shape_of_state)
            button(class="popup-open", r#type="button", title=open_label, on:click=move |_| open_tab(Some(&opened))) {
                span(class="vm-name") { (name) (favourite) }
                span(class="vm-state") { (state_text) }
            }
            (button)
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_runtime::VmState;
    use qemuweb_runtime::protocol::Event;
    use sycamore::web::render_to_string;

    use super::*;
    use crate::text::tests::vm;

    #[test]
    fn running_vms_can_be_stopped_and_stopped_ones_started() {
        let html = render_to_string(|| {
            let workbench = Workbench::new(0.0);
            workbench.store.apply(&Event::VmList {
                vms: vec![vm("a", VmState::Running), vm("b", VmState::NOT_STARTED)],
            });
            view! { Popup(workbench=workbench, reconnect=|_| ()) }
        });
        for part in [
            "popup-stop",
            "popup-start",
            "popup-launch",
            "popup-open-tab",
            "Shut down a name",
            "Start b name",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
