//! What the panel calls states, phases and amounts of a virtual machine, and the icons of its states.

use qemuweb_vm_config::{InputSource, VmProfile};
use qemuweb_wire::state::{Halt, VmState};
use qemuweb_wire::vm::{Phase, Progress, VmInfo};
use sycamore::prelude::*;

use crate::kit::icons::{self, Icon, icon};
use crate::kit::text::{self, bytes, clock, mebibytes};

/// `1 vCPU`, `2 vCPUs`.
pub fn vcpus(number: u32) -> String {
    if number == 1 {
        "1 vCPU".to_owned()
    } else {
        format!("{number} vCPUs")
    }
}

/// What a profile's machine is: `x86_64 · q35 · 128 MiB · 1 vCPU`.
pub fn machine(profile: &VmProfile) -> String {
    let memory = mebibytes(profile.memory_mib);
    format!(
        "{} · {} · {memory} · {}",
        profile.arch,
        profile.machine,
        vcpus(profile.smp)
    )
}

/// A state for people: one word, the reason of an end beside it.
pub fn state(state: &VmState) -> &'static str {
    match state {
        VmState::Starting => "Starting",
        VmState::Running => "Running",
        VmState::Paused => "Paused",
        VmState::Halted {
            cause: Halt::Suspended,
            ..
        } => "Asleep",
        VmState::Halted { .. } => "Halted",
        VmState::Stopping => "Shutting down",
        VmState::Stopped { .. } => "Stopped",
        VmState::Crashed { .. } => "Crashed",
    }
}

/// Why no file can go to or from a VM's guest, if none can.
pub fn why_no_files(vm: &VmInfo) -> Option<&'static str> {
    match (&vm.state, vm.has_agent) {
        (VmState::Running, true) => None,
        (VmState::Running, false) => {
            Some("No agent answers in its guest. Built-in guests have one once they have booted.")
        }
        (VmState::Paused | VmState::Halted { .. }, _) => Some("It is paused: resume it first."),
        _ => Some("It does not run."),
    }
}

/// What goes on in a phase of a start.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Fetch => "Fetching images",
        Phase::Load => "Loading QEMU",
        Phase::Machine => "Building the machine",
        Phase::Firmware => "Waiting for the guest’s first output",
        Phase::Kernel => "Booting the guest",
    }
}

/// All phases of a start, in order.
pub const PHASES: [Phase; 5] = [
    Phase::Fetch,
    Phase::Load,
    Phase::Machine,
    Phase::Firmware,
    Phase::Kernel,
];

/// How far a start is, from 0 to 1, where bytes can be counted.
#[expect(clippy::cast_precision_loss, reason = "shown as a bar")]
pub fn fraction(progress: Progress) -> Option<f64> {
    let total = progress.total.filter(|total| *total > 0)?;
    Some((progress.done as f64 / total as f64).clamp(0.0, 1.0))
}

/// What is known of a phase's bytes at `now`, in milliseconds since the epoch:
/// `4.0 MiB of 12 MiB · 8.0 MiB/s · 1 s left`. Empty where nothing is counted.
pub fn transfer(vm: &VmInfo, now: f64) -> String {
    let Some(progress) = vm.progress.filter(|progress| progress.done > 0) else {
        return String::new();
    };
    let phase_began = vm.started_at + vm.phases.values().copied().fold(0.0, f64::max);
    text::transfer(progress.done, progress.total, now - phase_began)
}

/// How long the last start took until the guest's userspace, in milliseconds, once that is known.
pub fn boot_time(vm: &VmInfo) -> Option<f64> {
    vm.phases.get(&Phase::Kernel).copied()
}

/// How long each phase of the last start took, in milliseconds.
pub fn phase_times(vm: &VmInfo) -> Vec<(Phase, f64)> {
    let mut began = 0.0;
    vm.phases
        .iter()
        .map(|(phase, ended)| {
            let took = (ended - began).max(0.0);
            began = *ended;
            (*phase, took)
        })
        .collect()
}

/// What a source is, for people.
pub fn describe(source: &InputSource) -> String {
    match source {
        InputSource::Builtin(_) => format!("{} (built in)", source.file_name()),
        InputSource::Attachment(file) => format!("{} ({})", file.name, bytes(file.size)),
        InputSource::Stored(file) => {
            format!("{} ({}, stored)", file.name, bytes(file.size))
        }
        InputSource::Url(url) | InputSource::UrlWithCredentials(url) => url.clone(),
        InputSource::Blank(disk) => format!("new disk of {}", bytes(disk.size)),
    }
}

/// How long a VM has been running at `now`, both in milliseconds; nothing for one that does not run.
pub fn uptime(vm: &VmInfo, now: f64) -> Option<String> {
    vm.state.is_active().then(|| clock(now - vm.started_at))
}
/// The shape of a state, which tells states apart without colour.
fn shape(state: &VmState) -> Icon {
    match state {
        VmState::Starting | VmState::Stopping => icons::ARC,
        VmState::Running => icons::DISC,
        VmState::Paused | VmState::Halted { .. } => icons::BARS,
        VmState::Stopped { .. } => icons::RING,
        VmState::Crashed { .. } => icons::WARNING,
    }
}

/// Draws a state's icon in its colour.
pub fn state_icon(state: &VmState) -> View {
    let shape = icon(shape(state));
    let name = state.name();
    view! { span(class="state-icon", data-state=name) { (shape) } }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kit::text::seconds;

    /// VMs as a page keeps them.
    pub(crate) fn rows(vms: impl IntoIterator<Item = VmInfo>) -> Vec<std::rc::Rc<VmInfo>> {
        vms.into_iter().map(std::rc::Rc::new).collect()
    }

    pub(crate) fn vm(vm_id: &str, state: VmState) -> VmInfo {
        let profile = qemuweb_vm_config::find_profile("minimal-x86_64").unwrap();
        VmInfo {
            state,
            started_at: 1_000_000.0,
            ..VmInfo::new(vm_id.into(), format!("{vm_id} name"), profile.into())
        }
    }

    #[test]
    fn a_transfer_tells_rate_and_time_left() {
        let mut vm = vm("a", VmState::Starting);
        assert_eq!(transfer(&vm, 1_000_000.0), "");
        vm.progress = Some(Progress {
            phase: Phase::Fetch,
            done: 4 << 20,
            total: Some(12 << 20),
        });
        assert_eq!(transfer(&vm, 1_000_100.0), "4.0 MiB of 12 MiB");
        assert_eq!(
            transfer(&vm, 1_002_000.0),
            "4.0 MiB of 12 MiB · 2.0 MiB/s · 4 s left"
        );
        vm.phases.insert(Phase::Fetch, 1_000.0);
        vm.progress = Some(Progress {
            phase: Phase::Load,
            done: 4 << 20,
            total: None,
        });
        assert_eq!(transfer(&vm, 1_002_000.0), "4.0 MiB · 4.0 MiB/s");
    }

    #[test]
    fn files_need_an_agent_that_runs() {
        let mut vm = vm("a", VmState::Running);
        assert!(why_no_files(&vm).unwrap().contains("agent"));
        vm.has_agent = true;
        assert_eq!(why_no_files(&vm), None);
        for state in [VmState::Paused, VmState::NOT_STARTED, VmState::Starting] {
            vm.state = state;
            assert!(why_no_files(&vm).is_some());
        }
    }

    #[test]
    fn a_fraction_needs_a_total() {
        let progress = |done, total| Progress {
            phase: Phase::Load,
            done,
            total,
        };
        assert_eq!(fraction(progress(5, Some(10))), Some(0.5));
        assert_eq!(fraction(progress(50, Some(10))), Some(1.0));
        assert_eq!(fraction(progress(5, Some(0))), None);
        assert_eq!(fraction(progress(5, None)), None);
    }

    #[test]
    fn phases_are_told_apart() {
        let mut vm = vm("a", VmState::Running);
        vm.phases = [
            (Phase::Load, 300.0),
            (Phase::Fetch, 100.0),
            (Phase::Kernel, 1900.0),
        ]
        .into();
        assert_eq!(
            phase_times(&vm),
            [
                (Phase::Fetch, 100.0),
                (Phase::Load, 200.0),
                (Phase::Kernel, 1600.0)
            ]
        );
        assert_eq!(boot_time(&vm).map(seconds).as_deref(), Some("1.9 s"));
    }

    #[test]
    fn only_active_vms_have_an_uptime() {
        assert_eq!(
            uptime(&vm("a", VmState::Running), 1_061_000.0).as_deref(),
            Some("00:01:01")
        );
        assert_eq!(uptime(&vm("a", VmState::NOT_STARTED), 1_061_000.0), None);
    }
}
