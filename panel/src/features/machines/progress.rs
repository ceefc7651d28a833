//! How far a start is: its phase, bytes, time, and a way to cancel it.

use qemuweb_runtime::VmState;
use qemuweb_runtime::protocol::{Phase, VmInfo};
use sycamore::prelude::*;

use super::state::Machines;
use super::words;
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

/// The bar above the console while its VM starts.
#[component]
pub fn ProgressBar() -> View {
    let machines = Machines::here();
    let now = machines.cx.now;
    let step = create_selector(move || machines.shown.with(|vm| vm.as_deref().and_then(step)));
    let is_shown = create_selector(move || step.with(Option::is_some));
    let label = move || {
        step.with(|step| step.as_ref().map_or("", |step| step.label))
            .to_owned()
    };
    let number = move || step.with(|step| step.as_ref().map(|step| step.number.clone()).unwrap_or_default());
    let fraction = move || step.with(|step| step.as_ref().map_or(0.0, |step| step.fraction));
    let transfer = move || machines.of_shown(|vm| words::transfer(vm, now.get()));
    let elapsed = move || machines.of_shown(|vm| text::seconds(now.get() - vm.started_at));
    let cancel = move |_| {
        if let Some(vm) = machines.shown_now() {
            machines.force_stop(&vm.vm_id);
        }
    };
    let is_starting = create_selector(move || machines.of_shown(|vm| vm.state == VmState::Starting));
    view! {
        (if is_shown.get() {
            view! {
                div(class="progress", data-testid="progress") {
                    div(class="progress-line") {
                        span(class="progress-phase", aria-live="polite") { (label()) }
                        span(class="progress-number") { (number()) }
                        span(class="progress-transfer") { (transfer()) }
                        span(class="spacer")
                        span(class="progress-elapsed") { (elapsed()) }
                        (if is_starting.get() {
                            view! {
                                button(class="button small", r#type="button", data-testid="progress-cancel",
                                    on:click=cancel) { "Cancel" }
                            }
                        } else {
                            View::new()
                        })
                    }
                    progress(class="progress-bar", max="1", value=fraction().to_string(), aria-label="Boot progress")
                }
            }
        } else {
            View::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_runtime::protocol::Progress;

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
        assert_eq!(step(&vm).unwrap().label, "Booting the kernel");
        vm.phases.insert(Phase::Kernel, 1900.0);
        assert_eq!(step(&vm), None);
        vm.state = VmState::Crashed {
            reason: "trap".into(),
        };
        assert_eq!(step(&vm), None);
    }
}
