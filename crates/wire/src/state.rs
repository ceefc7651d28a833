//! The life of a VM: its states, and the transitions between them that exist.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a VM is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum VmState {
    /// Files are being fetched, QEMU is being loaded, the machine is being built.
    Starting,
    /// vCPUs run.
    Running,
    /// vCPUs are halted by the person or by QEMU (QMP's `STOP`).
    Paused,
    /// The guest was asked to shut down.
    Stopping,
    /// No QEMU exists any more.
    Stopped {
        /// Why it ended.
        reason: StopReason,
    },
    /// QEMU ended without being asked.
    Crashed {
        /// What it said last: an abort's message, a trap, an exit status.
        reason: String,
    },
}

/// Why a VM is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum StopReason {
    /// Defined, and not started since.
    NotStarted,
    /// The guest shut itself down.
    GuestShutdown,
    /// The guest shut down because the person asked for it.
    Stopped,
    /// The person cut its power.
    ForceStopped,
    /// The start was cancelled.
    Cancelled,
    /// The browser ended, or the extension was reloaded, while it was active.
    HostEnded,
    /// The host failed while it was active.
    HostFailed,
}

/// What can happen to a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A start was asked for.
    Start,
    /// QEMU runs its vCPUs, for the first time or again.
    Run,
    /// QEMU halted its vCPUs.
    Pause,
    /// A shutdown was asked for.
    RequestStop,
    /// QEMU ended, or was ended, for this reason.
    End(StopReason),
    /// QEMU ended with an error.
    Crash(String),
}

/// A transition that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a VM that is {from} cannot {transition}")]
pub struct TransitionError {
    /// The state that the VM is in.
    pub from: VmState,
    /// What was asked of it.
    pub transition: Transition,
}

impl VmState {
    /// The state of a VM that was defined and never started.
    pub const NOT_STARTED: Self = Self::Stopped {
        reason: StopReason::NotStarted,
    };

    /// The state after `transition`.
    ///
    /// # Errors
    /// [`TransitionError`] when this state knows no such transition; the VM stays as it is.
    pub fn next(&self, transition: Transition) -> Result<Self, TransitionError> {
        use VmState::{Crashed, Paused, Running, Starting, Stopped, Stopping};
        match (self, transition) {
            (Stopped { .. } | Crashed { .. }, Transition::Start) => Ok(Starting),
            (Starting | Running | Paused, Transition::Run) => Ok(Running),
            // A guest that was asked to stop keeps stopping, whatever its vCPUs do meanwhile.
            (Stopping, Transition::Run | Transition::Pause | Transition::RequestStop) => Ok(Stopping),
            (Starting | Running | Paused, Transition::Pause) => Ok(Paused),
            (Starting | Running | Paused, Transition::RequestStop) => Ok(Stopping),
            (Starting | Running | Paused | Stopping, Transition::End(reason)) => Ok(Stopped { reason }),
            (Starting | Running | Paused | Stopping, Transition::Crash(reason)) => Ok(Crashed { reason }),
            (from, transition) => Err(TransitionError {
                from: from.clone(),
                transition,
            }),
        }
    }

    /// Whether a QEMU exists for this VM.
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::Stopped { .. } | Self::Crashed { .. })
    }

    /// The state's name as styles and tests know it: `starting`, `running`, `paused`, `stopping`, `stopped`
    /// or `crashed`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Stopped { .. } => "stopped",
            Self::Crashed { .. } => "crashed",
        }
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { reason } => write!(f, "stopped ({reason})"),
            Self::Crashed { reason } => write!(f, "crashed ({reason})"),
            other => f.write_str(other.name()),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "not started",
            Self::GuestShutdown => "the guest shut down",
            Self::Stopped => "shut down on request",
            Self::ForceStopped => "powered off",
            Self::Cancelled => "start cancelled",
            Self::HostEnded => "the browser closed while it ran",
            Self::HostFailed => "QemuWeb's VM host failed while it ran",
        })
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Run => "run",
            Self::Pause => "pause",
            Self::RequestStop => "be asked to stop",
            Self::End(_) => "end",
            Self::Crash(_) => "crash",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<VmState> {
        vec![
            VmState::Starting,
            VmState::Running,
            VmState::Paused,
            VmState::Stopping,
            VmState::NOT_STARTED,
            VmState::Crashed {
                reason: "abort".into(),
            },
        ]
    }

    #[test]
    fn a_usual_life() {
        let mut state = VmState::NOT_STARTED;
        for (transition, name) in [
            (Transition::Start, "starting"),
            (Transition::Run, "running"),
            (Transition::Pause, "paused"),
            (Transition::Run, "running"),
            (Transition::RequestStop, "stopping"),
            (Transition::End(StopReason::Stopped), "stopped"),
            (Transition::Start, "starting"),
            (Transition::Crash("trap".into()), "crashed"),
            (Transition::Start, "starting"),
        ] {
            state = state.next(transition).unwrap();
            assert_eq!(state.name(), name);
        }
    }

    #[test]
    fn only_a_vm_without_qemu_starts() {
        for state in states() {
            assert_eq!(
                state.next(Transition::Start).is_ok(),
                !state.is_active(),
                "{state}"
            );
        }
    }

    #[test]
    fn a_vm_without_qemu_does_nothing_but_start() {
        for state in states().into_iter().filter(|state| !state.is_active()) {
            for transition in [
                Transition::Run,
                Transition::Pause,
                Transition::RequestStop,
                Transition::End(StopReason::Stopped),
                Transition::Crash("late".into()),
            ] {
                let error = state.next(transition).unwrap_err();
                assert_eq!(error.from, state);
            }
        }
    }

    #[test]
    fn errors_name_both_sides() {
        let error = VmState::NOT_STARTED.next(Transition::Pause).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a VM that is stopped (not started) cannot pause"
        );
    }
}
