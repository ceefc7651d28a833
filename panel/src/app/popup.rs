//! The popup of the toolbar button: the VMs, the default guest in one click, the way to the panel.

use std::rc::Rc;

use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;

use super::capability_warnings::CapabilityWarnings;
use super::connection::Lost;
use crate::cx::Connection;
use crate::features::machines::actions::Possible;
use crate::features::machines::state::{Machines, failure_of};
use crate::features::machines::words::{self, state_icon};
use crate::kit::browser::open_panel;
use crate::kit::buttons::icon_button;
use crate::kit::dialog::ConfirmDialog;
use crate::kit::failure_view::headline;
use crate::kit::icons::{self, icon};
use crate::kit::notices::NoticeList;
use crate::kit::reactive::{Dynamic, Once, memo};
use crate::kit::text;

/// The popup. `reconnect` looks for the host again.
#[component(inline_props)]
pub fn Popup(machines: Machines, reconnect: fn(Machines)) -> View {
    let cx = machines.cx;
    // What a row shows does not change with progress.
    let rows = memo(move || {
        machines.vms.with(|vms| {
            let shown = |vm: &Rc<VmInfo>| VmInfo {
                progress: None,
                ..(**vm).clone()
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
    let is_empty = memo(move || rows.with(Vec::is_empty));
    let empty_text = move || {
        let is_connecting = cx
            .connection
            .with(|connection| *connection == Connection::Connecting);
        if is_connecting {
            "Connecting…"
        } else {
            "No virtual machines yet."
        }
    };
    view! {
        Lost(machines=machines, reconnect=reconnect)
        CapabilityWarnings(cx=cx)
        NoticeList(notices=cx.notices)
        (Dynamic { of: move || if is_empty.get() {
            view! { p(class="empty") { (empty_text()) } }
        } else {
            view! {
                ul(class="popup-list", aria-label="Virtual machines") {
                    Indexed(list=rows, view=move |vm| view! { Row(machines=machines, vm=vm) })
                }
            }
        } })
        div(class="popup-actions") {
            button(class="button primary",
                r#type="button", data-testid="popup-launch", disabled=!cx.can_launch(),
                on:click=move |_| machines.launch_default()) { (Once { of: move || icon(icons::START) }) "Boot Linux" }
            button(class="button", r#type="button", data-testid="popup-open-tab", on:click=move |_| open_panel(None)) {
                (Once { of: move || icon(icons::POP_OUT) }) "Open panel in a tab"
            }
        }
        ConfirmDialog(confirm=cx.confirm)
    }
}

/// A VM: open, stop or start it.
#[component(inline_props)]
fn Row(machines: Machines, vm: VmInfo) -> View {
    let VmInfo {
        vm_id, name, state, ..
    } = vm.clone();
    let favourite = vm.favourite.then(|| icon(icons::STAR));
    let possible = Possible::of(Some(&state));
    let shape_of_state = state_icon(&state);
    let state_name = state.name();
    let state_text = match failure_of(&vm) {
        Some(failure) => headline(&failure),
        None => format!(
            "{} · {} · {}",
            words::state(&state),
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
    let stop = move |_| {
        if by_force {
            machines.ask_force_stop(&stopped);
        } else {
            machines.stop(&stopped);
        }
    };
    let button = if possible.start {
        icon_button(icons::START, "popup-start", start_label, move |_| {
            machines.start(&started)
        })
    } else {
        let shape = if by_force { icons::FORCE_STOP } else { icons::STOP };
        icon_button(shape, "popup-stop", stop_label, stop)
    };
    let pause = if possible.pause {
        let (paused, label) = (vm_id.clone(), format!("Pause {name}"));
        icon_button(icons::BARS, "popup-pause", label, move |_| {
            machines.pause(&paused)
        })
    } else if possible.resume {
        let (resumed, label) = (vm_id.clone(), format!("Resume {name}"));
        icon_button(icons::RESUME, "popup-resume", label, move |_| {
            machines.resume(&resumed)
        })
    } else {
        View::new()
    };
    view! {
        li(class="popup-row", data-testid="popup-row", data-vm-id=vm_id, data-state=state_name,
            data-favourite=vm.favourite.to_string()) {
            (shape_of_state)
            button(class="popup-open", r#type="button", title=open_label, on:click=move |_| open_panel(Some(&opened))) {
                span(class="vm-name") { (name) (favourite) }
                span(class="vm-state") { (state_text) }
            }
            (pause)
            (button)
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_wire::VmState;

    use sycamore::web::render_to_string;

    use super::*;
    use crate::cx::Cx;
    use crate::features::machines::words::tests::{rows, vm};

    #[test]
    fn running_vms_can_be_stopped_and_stopped_ones_started() {
        let html = render_to_string(|| {
            let machines = Machines::new(Cx::new(0.0));
            machines.heard(
                &rows([vm("a", VmState::Running), vm("b", VmState::NOT_STARTED)]),
                None,
            );
            view! { Popup(machines=machines, reconnect=|_| ()) }
        });
        for part in [
            "popup-stop",
            "popup-start",
            "Pause a name",
            "popup-launch",
            "popup-open-tab",
            "Shut down a name",
            "Start b name",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
