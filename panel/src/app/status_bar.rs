//! The status bar: what the VM that is shown is and does, in a line.

use std::rc::Rc;

use qemuweb_wire::VmState;
use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;

use crate::cx::Connection;
use crate::features::machines::state::Machines;
use crate::features::machines::words::{self, state_icon};
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::text;

/// The facts of the status bar, in order, each with what it is.
pub fn facts(vm: &VmInfo) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Architecture", vm.arch.to_string()),
        ("Memory", text::mebibytes(vm.memory_mib)),
        ("Virtual processors", words::vcpus(vm.smp)),
    ];
    if let Some(boot) = words::boot_time(vm) {
        facts.push((
            "Time from start to the guest's userspace",
            format!("boot {}", text::seconds(boot)),
        ));
    }
    facts
}

/// A state with why it ended, for one that has.
fn state_text(state: &VmState) -> String {
    match state {
        VmState::Stopped { reason } => format!("{}: {reason}", words::state(state)),
        state => words::state(state).to_owned(),
    }
}

/// How many VMs there are that are not stopped.
fn how_many_run(vms: &[Rc<VmInfo>]) -> String {
    let number = |is: fn(&VmState) -> bool| vms.iter().filter(|vm| is(&vm.state)).count();
    let halted = number(|state| matches!(state, VmState::Paused | VmState::Halted { .. }));
    let running = number(VmState::is_active) - halted;
    let text = match running {
        0 => "No virtual machine runs".to_owned(),
        1 => "1 virtual machine runs".to_owned(),
        running => format!("{running} virtual machines run"),
    };
    match halted {
        0 => text,
        halted => format!("{text}, {halted} paused"),
    }
}

/// The status bar.
#[component]
pub fn StatusBar() -> View {
    let machines = Machines::here();
    let cx = machines.cx;
    let state = memo(move || machines.of_shown(|vm| Some(vm.state.clone())));
    let facts = memo(move || machines.of_shown(|vm| Some(facts(vm))));
    // The time is told more often than its text changes.
    let uptime = memo(move || machines.of_shown(|vm| words::uptime(vm, cx.now.get()).unwrap_or_default()));
    let summary = move || match cx.connection.get_clone() {
        Connection::Connecting => "Connecting to the VM host".to_owned(),
        Connection::Lost(_) => "Not connected".to_owned(),
        Connection::Connected => machines.vms.with(|vms| how_many_run(vms)),
    };
    view! {
        footer(class="status-bar", data-testid="status-bar", aria-label="Status") {
            (Dynamic { of: move || match state.get_clone() {
                Some(state) => {
                    let (shape, text) = (state_icon(&state), state_text(&state));
                    view! { span(class="status-item", aria-live="polite") { (shape) (text) } }
                }
                None => View::new(),
            } })
            (Dynamic { of: move || match facts.get_clone() {
                Some(facts) => {
                    let items: Vec<View> = facts
                        .into_iter()
                        .map(|(title, text)| view! { span(class="status-item", title=title) { (text) } })
                        .collect();
                    view! { span(class="status-item clock", title="Uptime") { (uptime.get_clone()) } (items) }
                }
                None => View::new(),
            } })
            span(class="spacer")
            span(class="status-item summary") { (summary()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_wire::state::StopReason;
    use qemuweb_wire::vm::Phase;

    use super::*;
    use crate::features::machines::words::tests::vm;

    #[test]
    fn the_boot_time_is_told_once_known() {
        let mut vm = vm("a", VmState::Running);
        assert_eq!(facts(&vm).len(), 3);
        vm.phases.insert(Phase::Kernel, 1900.0);
        assert_eq!(facts(&vm)[3].1, "boot 1.9 s");
    }

    #[test]
    fn what_is_paused_does_not_run() {
        let vms =
            [VmState::Running, VmState::Paused, VmState::NOT_STARTED].map(|state| Rc::new(vm("a", state)));
        assert_eq!(how_many_run(&vms), "1 virtual machine runs, 1 paused");
        assert_eq!(how_many_run(&vms[2..]), "No virtual machine runs");
    }

    #[test]
    fn an_end_has_its_reason() {
        let state = VmState::Stopped {
            reason: StopReason::GuestShutdown,
        };
        assert_eq!(state_text(&state), "Stopped: the guest shut down");
        assert_eq!(state_text(&VmState::Running), "Running");
    }
}
