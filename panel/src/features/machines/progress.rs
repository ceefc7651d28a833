//! How far a start is: its phase, bytes, time, and a way to cancel it.

use qemuweb_wire::VmState;
use qemuweb_wire::vm::{Phase, VmInfo};
use sycamore::prelude::*;

use super::state::Machines;
use super::words;
use crate::kit::browser::{preference, set_preference};
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::text;

/// What the panel says about a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The phase in words.
    pub label: &'static str,
    /// Which one it is of how many: `2 of 5`.
    pub number: String,
    /// How far the whole start is, from 0 to 1: whole phases, and what is known of this one.
    pub fraction: f64,
}

/// Where a VM's start is. Nothing for a VM whose guest is up.
///
/// The kernel boots while the machine runs already, so that a VM can be running and its start not at its end.
pub fn step(vm: &VmInfo) -> Option<Step> {
    let is_booting = match vm.state {
        VmState::Starting => true,
        VmState::Running => vm.progress.is_some() && !vm.phases.contains_key(&Phase::Kernel),
        _ => false,
    };
    if !is_booting {
        return None;
    }
    let phase = vm.progress.map_or(Phase::Fetch, |progress| progress.phase);
    let index = words::PHASES.iter().position(|other| *other == phase)?;
    let within = vm.progress.and_then(words::fraction).unwrap_or(0.0);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let fraction = (index as f64 + within) / words::PHASES.len() as f64;
    Some(Step {
        label: words::phase(phase),
        number: format!("{} of {}", index + 1, words::PHASES.len()),
        fraction,
    })
}

/// How long a profile's last boot on this computer took, in milliseconds.
pub fn last_boot(profile_id: &str) -> Option<f64> {
    // Components that are rendered natively have no browser to remember anything.
    let last = cfg!(target_arch = "wasm32")
        .then(|| preference(&boot_key(profile_id)))
        .flatten();
    last?.parse().ok()
}

/// Notes how long a VM's profile took to boot here.
pub fn note_boot(vm: &VmInfo) {
    if let Some(boot) = words::boot_time(vm).filter(|_| vm.state.is_active()) {
        set_preference(&boot_key(&vm.profile_id), &format!("{boot:.0}"));
    }
}

fn boot_key(profile_id: &str) -> String {
    format!("boot-time.{profile_id}")
}

/// The bar above the console while its VM starts.
#[component]
pub fn ProgressBar() -> View {
    let machines = Machines::here();
    let now = machines.cx.now;
    let step = memo(move || machines.shown.with(|vm| vm.as_deref().and_then(step)));
    let is_shown = memo(move || step.with(Option::is_some));
    let label = move || {
        step.with(|step| step.as_ref().map_or("", |step| step.label))
            .to_owned()
    };
    let number = move || step.with(|step| step.as_ref().map(|step| step.number.clone()).unwrap_or_default());
    // Where nothing can be counted, the last boot of the like tells how far this one is.
    let fraction = move || {
        let known = step.with(|step| step.as_ref().map_or(0.0, |step| step.fraction));
        let guessed = machines.of_shown(|vm| {
            let whole = last_boot(&vm.profile_id)?;
            Some((now.get() - vm.started_at) / whole.max(1.0))
        });
        known.max(guessed.unwrap_or(0.0).clamp(0.0, 0.95))
    };
    let transfer = move || machines.of_shown(|vm| words::transfer(vm, now.get()));
    let elapsed = move || machines.of_shown(|vm| text::seconds(now.get() - vm.started_at));
    let cancel = move |_| {
        if let Some(vm) = machines.shown_now() {
            machines.force_stop(&vm.vm_id);
        }
    };
    let is_starting = memo(move || machines.of_shown(|vm| vm.state == VmState::Starting));
    view! {
        (Dynamic { of: move || if is_shown.get() {
            view! {
                div(class="progress", data-testid="progress") {
                    div(class="progress-line") {
                        span(class="progress-phase", aria-live="polite") { (label()) }
                        span(class="progress-number") { (number()) }
                        span(class="progress-transfer") { (transfer()) }
                        span(class="spacer")
                        span(class="progress-elapsed") { (elapsed()) }
                        (Dynamic { of: move || if is_starting.get() {
                            view! {
                                button(class="button small", r#type="button", data-testid="progress-cancel",
                                    on:click=cancel) { "Cancel" }
                            }
                        } else {
                            View::new()
                        } })
                    }
                    progress(class="progress-bar", max="1", value=fraction().to_string(), aria-label="Boot progress")
                }
            }
        } else {
            View::new()
        } })
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_wire::vm::Progress;

    use super::*;
    use crate::features::machines::words::tests::vm;

    #[test]
    fn a_start_goes_through_its_phases() {
        let mut vm = vm("a", VmState::Starting);
        assert_eq!(step(&vm).unwrap().number, "1 of 5");
        vm.progress = Some(Progress {
            phase: Phase::Load,
            done: 1,
            total: Some(2),
        });
        let half = step(&vm).unwrap();
        assert_eq!((half.label, half.number.as_str()), ("Loading QEMU", "2 of 5"));
        assert!((half.fraction - 0.3).abs() < 1e-9);
    }

    #[test]
    fn it_ends_when_the_guest_is_up() {
        let mut vm = vm("a", VmState::Running);
        vm.progress = Some(Progress {
            phase: Phase::Kernel,
            done: 0,
            total: None,
        });
        assert_eq!(step(&vm).unwrap().label, "Booting the guest");
        vm.phases.insert(Phase::Kernel, 1900.0);
        assert_eq!(step(&vm), None);
        vm.state = VmState::Crashed {
            reason: "trap".into(),
        };
        assert_eq!(step(&vm), None);
    }
}
