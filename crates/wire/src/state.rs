//! Where a VM is in its life, as clients see it.

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
    /// vCPUs are halted by the person.
    Paused,
    /// vCPUs are halted because something happened.
    Halted {
        /// What.
        cause: Halt,
        /// What is known of it: which disk failed and why. May be empty.
        #[serde(default)]
        detail: String,
    },
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

/// Why vCPUs stand still that nobody has paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Halt {
    /// A disk failed.
    IoError,
    /// The guest's kernel panicked.
    GuestPanicked,
    /// The guest sleeps until it is woken.
    Suspended,
    /// The guest's watchdog ran out.
    Watchdog,
    /// Something else, which QEMU's name of the state tells.
    Other,
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
    /// The guest restarted itself, which ends this machine.
    GuestReset,
    /// The person cut its power.
    ForceStopped,
    /// The start was cancelled.
    Cancelled,
    /// The browser ended, or the extension was reloaded, while it was active.
    HostEnded,
    /// The host failed while it was active.
    HostFailed,
}

impl VmState {
    /// The state of a VM that was defined and never started.
    pub const NOT_STARTED: Self = Self::Stopped {
        reason: StopReason::NotStarted,
    };

    /// Whether a QEMU exists for this VM.
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::Stopped { .. } | Self::Crashed { .. })
    }

    /// The state's name as styles and tests know it: `starting`, `running`, `paused`, `halted`, `stopping`, `stopped`
    /// or `crashed`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted { .. } => "halted",
            Self::Stopping => "stopping",
            Self::Stopped { .. } => "stopped",
            Self::Crashed { .. } => "crashed",
        }
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halted { cause, detail } if detail.is_empty() => cause.fmt(f),
            Self::Halted { cause, detail } => write!(f, "{cause} ({detail})"),
            Self::Stopped { reason } => write!(f, "stopped ({reason})"),
            Self::Crashed { reason } => write!(f, "crashed ({reason})"),
            other => f.write_str(other.name()),
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoError => "halted by a disk error",
            Self::GuestPanicked => "halted: its kernel panicked",
            Self::Suspended => "asleep",
            Self::Watchdog => "halted by its watchdog",
            Self::Other => "halted",
        })
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "not started",
            Self::GuestShutdown => "the guest shut down",
            Self::GuestReset => "the guest restarted",
            Self::Stopped => "shut down on request",
            Self::ForceStopped => "powered off",
            Self::Cancelled => "start cancelled",
            Self::HostEnded => "the browser closed while it ran",
            Self::HostFailed => "QemuWeb's VM host failed while it ran",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_is_told_with_what_is_known() {
        let halted = |cause, detail: &str| VmState::Halted {
            cause,
            detail: detail.to_owned(),
        };
        for (state, text, json) in [
            (VmState::Paused, "paused", r#"{"state":"paused"}"#),
            (
                halted(Halt::IoError, "write of disk0: no space left"),
                "halted by a disk error (write of disk0: no space left)",
                r#"{"state":"halted","cause":"ioError","detail":"write of disk0: no space left"}"#,
            ),
            (
                halted(Halt::Suspended, ""),
                "asleep",
                r#"{"state":"halted","cause":"suspended","detail":""}"#,
            ),
            (
                VmState::NOT_STARTED,
                "stopped (not started)",
                r#"{"state":"stopped","reason":"notStarted"}"#,
            ),
        ] {
            assert_eq!(state.to_string(), text);
            assert_eq!(serde_json::to_string(&state).unwrap(), json);
        }
    }
}
