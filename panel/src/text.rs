//! Words and numbers as people read them. Pure.

use qemuweb_runtime::protocol::{Phase, Progress, VmInfo};
use qemuweb_runtime::state::VmState;
use qemuweb_vm_config::VmProfile;

/// An amount of bytes in binary units, with at most one decimal: `512 B`, `1.5 KiB`, `23 MiB`.
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if amount < 1024 {
        return format!("{amount} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let mut value = amount as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// An amount of memory that is given in MiB.
pub fn mebibytes(mib: u32) -> String {
    bytes(u64::from(mib) << 20)
}

/// A clock that counts up from 0, given in milliseconds: `00:12:41`.
pub fn clock(ms: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is positive"
    )]
    let seconds = (ms.max(0.0) / 1000.0) as u64;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A short span, given in milliseconds: `1.9 s`.
pub fn seconds(ms: f64) -> String {
    format!("{:.1} s", ms.max(0.0) / 1000.0)
}

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
        VmState::Stopping => "Shutting down",
        VmState::Stopped { .. } => "Stopped",
        VmState::Crashed { .. } => "Crashed",
    }
}

/// What goes on in a phase of a start.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Fetch => "Fetching images",
        Phase::Load => "Loading QEMU",
        Phase::Machine => "Building the machine",
        Phase::Firmware => "Starting the firmware",
        Phase::Kernel => "Booting the kernel",
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
    let mut parts = vec![match progress.total {
        Some(total) => format!("{} of {}", bytes(progress.done), bytes(total)),
        None => bytes(progress.done),
    }];
    let phase_began = vm.started_at + vm.phases.values().copied().fold(0.0, f64::max);
    let elapsed = (now - phase_began) / 1000.0;
    // Less than half a second tells no rate.
    if elapsed >= 0.5 {
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let rate = progress.done as f64 / elapsed;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, and is positive"
        )]
        parts.push(format!("{}/s", bytes(rate as u64)));
        if let Some(left) = progress
            .total
            .map(|total| total.saturating_sub(progress.done))
            .filter(|left| *left > 0)
        {
            #[expect(clippy::cast_precision_loss, reason = "shown in seconds")]
            let left = left as f64 / rate;
            parts.push(format!("{left:.0} s left"));
        }
    }
    parts.join(" · ")
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

/// How long a VM has been running at `now`, both in milliseconds; nothing for one that does not run.
pub fn uptime(vm: &VmInfo, now: f64) -> Option<String> {
    vm.state.is_active().then(|| clock(now - vm.started_at))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn vm(vm_id: &str, state: VmState) -> VmInfo {
        let profile = qemuweb_vm_config::find_profile("minimal-x86_64").unwrap();
        VmInfo {
            state,
            started_at: 1_000_000.0,
            ..VmInfo::new(vm_id.into(), format!("{vm_id} name"), profile.into())
        }
    }

    #[test]
    fn bytes_have_binary_units() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 10, "10 KiB"),
            (1023 << 10, "1023 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (128 << 20, "128 MiB"),
            (u64::MAX, "16384 PiB"),
        ];
        for (amount, text) in cases {
            assert_eq!(bytes(amount), text);
        }
    }

    #[test]
    fn clocks_count_hours() {
        assert_eq!(clock(0.0), "00:00:00");
        assert_eq!(clock(761_999.0), "00:12:41");
        assert_eq!(clock(360_000_000.0), "100:00:00");
        assert_eq!(clock(-5.0), "00:00:00");
        assert_eq!(clock(f64::NAN), "00:00:00");
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
