//! The status bar: what the VM that is shown is and does, in a line.

use qemuweb_runtime::VmState;
use qemuweb_runtime::protocol::VmInfo;
use sycamore::prelude::*;

use crate::cx::Connection;
use crate::features::machines::state::Machines;
use crate::features::machines::words::{self, state_icon};
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

/// The status bar.
#[component]
pub fn StatusBar() -> View {
    let machines = Machines::here();
    let cx = machines.cx;
    let state = create_selector(move || machines.of_shown(|vm| Some(vm.state.clone())));
    let facts = create_selector(move || machines.of_shown(|vm| Some(facts(vm))));
    // The time is told more often than its text changes.
    let uptime =
        create_selector(move || machines.of_shown(|vm| words::uptime(vm, cx.now.get()).unwrap_or_default()));
    let summary = move || {
        let running = machines
            .vms
            .with(|vms| vms.iter().filter(|vm| vm.state.is_active()).count());
        match (cx.connection.get_clone(), running) {
            (Connection::Connecting, _) => "Connecting to the VM host".to_owned(),
            (Connection::Lost(_), _) => "Not connected".to_owned(),
            (Connection::Connected, 0) => "No virtual machine runs".to_owned(),
            (Connection::Connected, 1) => "1 virtual machine runs".to_owned(),
            (Connection::Connected, running) => format!("{running} virtual machines run"),
        }
    };
    view! {
        footer(class="status-bar", data-testid="status-bar", aria-label="Status") {
            (match state.get_clone() {
                Some(state) => {
                    let (shape, text) = (state_icon(&state), state_text(&state));
                    view! { span(class="status-item", aria-live="polite") { (shape) (text) } }
                }
                None => View::new(),
            })
            (match facts.get_clone() {
                Some(facts) => {
                    let items: Vec<View> = facts
                        .into_iter()
                        .map(|(title, text)| view! { span(class="status-item", title=title) { (text) } })
                        .collect();
                    view! { span(class="status-item clock", title="Uptime") { (uptime.get_clone()) } (items) }
                }
                None => View::new(),
            })
            span(class="spacer")
            span(class="status-item summary") { (summary()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_runtime::protocol::Phase;
    use qemuweb_runtime::state::StopReason;

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
    fn an_end_has_its_reason() {
        let state = VmState::Stopped {
            reason: StopReason::GuestShutdown,
        };
        assert_eq!(state_text(&state), "Stopped: the guest shut down");
        assert_eq!(state_text(&VmState::Running), "Running");
    }
}
