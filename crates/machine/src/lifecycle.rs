//! The life of one machine: what its QEMU does ([`RunState`]), and what the person asked for ([`Intent`]), apart.
//!
//! QEMU tells what it does by events and by `query-status` (QEMU's `qapi/run-state.json`). Events that come late, or that no
//! machine in this state can send, change nothing.

use std::fmt;

use qemuweb_wire::Failure;
use qemuweb_wire::state::{Halt, StopReason, VmState};
use serde_json::Value;

/// What QEMU does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It is loaded, and builds the machine.
    Starting,
    /// vCPUs run.
    Running,
    /// vCPUs stand still, for this reason.
    Halted(Halted),
    /// There is no QEMU.
    Ended(Ending),
}

/// Why vCPUs stand still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halted {
    /// Somebody said so.
    Paused,
    /// Something else happened, with what is known of it.
    By(Halt, String),
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As somebody wanted it, or the guest.
    Stopped(StopReason),
    /// QEMU ended without being asked.
    Crashed(String),
}

/// What the person asked for last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Intent {
    /// That it runs.
    Run,
    /// That it stands still.
    Pause,
    /// That the guest shuts down; since when, in milliseconds since the epoch.
    ShutDown(f64),
}

/// What is to be told beside the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whether the view of the life may have changed.
    pub changed: bool,
    /// Whether the guest began anew.
    pub reset: bool,
    /// Whether QEMU has to be asked how it is.
    pub ask_status: bool,
    /// A sentence for the log.
    pub note: Option<String>,
}

/// One machine's life.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifecycle {
    run: RunState,
    intent: Intent,
    /// What QEMU said why it is going to end.
    shutdown: Option<String>,
    /// Why vCPUs are about to be halted, as an event before `STOP` told.
    cause: Option<(Halt, String)>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::ended(Ending::Stopped(StopReason::NotStarted))
    }
}

impl Lifecycle {
    /// A machine whose last life ended so.
    pub fn ended(ending: Ending) -> Self {
        Self {
            run: RunState::Ended(ending),
            intent: Intent::Run,
            shutdown: None,
            cause: None,
        }
    }

    /// What QEMU does.
    pub fn run(&self) -> &RunState {
        &self.run
    }

    /// What the person asked for.
    pub fn intent(&self) -> Intent {
        self.intent
    }

    /// Since when the guest is asked to shut down, in milliseconds since the epoch.
    pub fn shutdown_asked_at(&self) -> Option<f64> {
        match self.intent {
            Intent::ShutDown(since) if self.is_active() => Some(since),
            _ => None,
        }
    }

    /// Whether a QEMU exists.
    pub fn is_active(&self) -> bool {
        !matches!(self.run, RunState::Ended(_))
    }

    /// Whether QEMU has built the machine and can be spoken to.
    pub fn has_machine(&self) -> bool {
        matches!(self.run, RunState::Running | RunState::Halted(_))
    }

    /// The life as clients see it. A guest that is asked to shut down and stands still is shown as one that stands still.
    pub fn view(&self) -> VmState {
        match &self.run {
            RunState::Starting => VmState::Starting,
            RunState::Running if matches!(self.intent, Intent::ShutDown(_)) => VmState::Stopping,
            RunState::Running => VmState::Running,
            RunState::Halted(Halted::Paused) => VmState::Paused,
            RunState::Halted(Halted::By(cause, detail)) => VmState::Halted {
                cause: *cause,
                detail: detail.clone(),
            },
            RunState::Ended(Ending::Stopped(reason)) => VmState::Stopped { reason: *reason },
            RunState::Ended(Ending::Crashed(reason)) => VmState::Crashed {
                reason: reason.clone(),
            },
        }
    }

    /// A start was asked for.
    ///
    /// # Errors
    /// A [`Failure`] for a machine that is active.
    pub fn start(&mut self) -> Result<(), Failure> {
        self.may_start()?;
        *self = Self {
            run: RunState::Starting,
            intent: Intent::Run,
            shutdown: None,
            cause: None,
        };
        Ok(())
    }

    /// Whether a start can be asked for.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn may_start(&self) -> Result<(), Failure> {
        if self.is_active() {
            return Err(self.refusal("start"));
        }
        Ok(())
    }

    /// A shutdown is asked for: the QMP commands that ask the guest, which has to run to hear it.
    ///
    /// # Errors
    /// A [`Failure`] where no guest could heed it.
    pub fn shut_down(&mut self, now: f64) -> Result<&'static [&'static str], Failure> {
        let commands: &[&str] = match &self.run {
            RunState::Running => &["system_powerdown"],
            // The wish is there before the guest goes on.
            RunState::Halted(
                Halted::Paused | Halted::By(Halt::IoError | Halt::Watchdog | Halt::Other, _),
            ) => &["system_powerdown", "cont"],
            RunState::Halted(Halted::By(Halt::Suspended, _)) => &["system_wakeup", "system_powerdown"],
            RunState::Starting
            | RunState::Ended(_)
            | RunState::Halted(Halted::By(Halt::GuestPanicked, _)) => {
                return Err(self.refusal("shut down").with_next_step("Power it off instead."));
            }
        };
        if !matches!(self.intent, Intent::ShutDown(_)) {
            self.intent = Intent::ShutDown(now);
        }
        Ok(commands)
    }

    /// A pause is asked for: the QMP command that halts the vCPUs. A wish that the guest shuts down stays.
    ///
    /// # Errors
    /// A [`Failure`] for a machine that does not run.
    pub fn pause(&mut self) -> Result<&'static str, Failure> {
        if self.run != RunState::Running {
            return Err(self.refusal("pause"));
        }
        if self.intent == Intent::Run {
            self.intent = Intent::Pause;
        }
        Ok("stop")
    }

    /// Going on is asked for: the QMP command that has the vCPUs run.
    ///
    /// # Errors
    /// A [`Failure`] for a machine that does not stand still.
    pub fn resume(&mut self) -> Result<&'static str, Failure> {
        let RunState::Halted(halted) = &self.run else {
            return Err(self.refusal("resume"));
        };
        let command = match halted {
            Halted::By(Halt::Suspended, _) => "system_wakeup",
            _ => "cont",
        };
        if self.intent == Intent::Pause {
            self.intent = Intent::Run;
        }
        Ok(command)
    }

    /// The machine is built, or QEMU was asked how it is: its run state, as `query-status` names it.
    pub fn status(&mut self, status: &str) {
        if !self.is_active() {
            return;
        }
        let cause = self.cause.take();
        let detail = |halt: Halt| match &cause {
            Some((known, detail)) if *known == halt => Halted::By(halt, detail.clone()),
            _ => Halted::By(halt, String::new()),
        };
        self.run = match status {
            "running" => RunState::Running,
            "io-error" => RunState::Halted(detail(Halt::IoError)),
            "guest-panicked" => RunState::Halted(detail(Halt::GuestPanicked)),
            "suspended" => RunState::Halted(detail(Halt::Suspended)),
            "watchdog" => RunState::Halted(detail(Halt::Watchdog)),
            "paused" | "prelaunch" => RunState::Halted(Halted::Paused),
            // It is about to end, which other news tell.
            "shutdown" => return,
            other => RunState::Halted(Halted::By(Halt::Other, other.to_owned())),
        };
    }

    /// QEMU tells that something happened.
    pub fn event(&mut self, name: &str, data: &Value) -> Heard {
        if !self.is_active() {
            return Heard::default();
        }
        let text = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default();
        let mut heard = Heard {
            changed: true,
            ..Heard::default()
        };
        match name {
            "STOP" if self.has_machine() => {
                // What it was, the answer tells for certain; meanwhile what was told before holds.
                self.run = RunState::Halted(match self.cause.clone() {
                    Some((halt, detail)) => Halted::By(halt, detail),
                    None => Halted::Paused,
                });
                heard.ask_status = true;
            }
            "RESUME" | "WAKEUP" if self.has_machine() => {
                self.run = RunState::Running;
                self.cause = None;
            }
            "SUSPEND" | "SUSPEND_DISK" if self.has_machine() => {
                if name == "SUSPEND" {
                    self.run = RunState::Halted(Halted::By(Halt::Suspended, String::new()));
                }
                heard.note = Some("the guest went to sleep".to_owned());
            }
            "RESET" => {
                heard.reset = true;
                // What the former guest was asked, the new one does not know.
                if self.intent != Intent::Pause {
                    self.intent = Intent::Run;
                }
            }
            "SHUTDOWN" => self.shutdown = Some(text("reason").to_owned()),
            "GUEST_PANICKED" => {
                let action = text("action");
                if action == "pause" {
                    self.cause = Some((Halt::GuestPanicked, String::new()));
                }
                heard.note = Some("the guest's kernel panicked".to_owned());
            }
            "BLOCK_IO_ERROR" => {
                let detail = io_error(data);
                if text("action") == "stop" {
                    self.cause = Some((Halt::IoError, detail.clone()));
                }
                heard.note = Some(format!("a disk failed: {detail}"));
            }
            "WATCHDOG" => {
                let action = text("action");
                if action == "pause" {
                    self.cause = Some((Halt::Watchdog, String::new()));
                }
                heard.note = Some(format!("the guest's watchdog ran out (action: {action})"));
            }
            _ => return Heard::default(),
        }
        heard
    }

    /// QEMU exited with this status.
    pub fn exited(&mut self, code: i32) {
        let asked = matches!(self.intent, Intent::ShutDown(_));
        let ending = match (code, self.shutdown.as_deref()) {
            (0, Some("guest-panic")) => Ending::Crashed("the guest's kernel panicked".to_owned()),
            (0, Some("host-error")) => Ending::Crashed("QEMU met an error and ended".to_owned()),
            (0, Some("host-qmp-quit" | "host-signal" | "host-ui")) => {
                Ending::Stopped(StopReason::ForceStopped)
            }
            (0, Some("guest-reset" | "host-qmp-system-reset")) => Ending::Stopped(StopReason::GuestReset),
            (0, _) if asked => Ending::Stopped(StopReason::Stopped),
            (0, Some(_)) => Ending::Stopped(StopReason::GuestShutdown),
            _ => Ending::Crashed(format!("QEMU exited with status {code}")),
        };
        self.end(ending);
    }

    /// QEMU was ended by force.
    ///
    /// # Errors
    /// A [`Failure`] for a machine that is not active.
    pub fn power_off(&mut self) -> Result<(), Failure> {
        let reason = match self.run {
            RunState::Ended(_) => return Err(self.refusal("be powered off")),
            RunState::Starting => StopReason::Cancelled,
            _ => StopReason::ForceStopped,
        };
        self.end(Ending::Stopped(reason));
        Ok(())
    }

    /// QEMU ended with an error.
    pub fn crashed(&mut self, message: String) {
        self.end(Ending::Crashed(message));
    }

    /// A life that has ended keeps its first reason.
    fn end(&mut self, ending: Ending) {
        if self.is_active() {
            *self = Self::ended(ending);
        }
    }

    /// That this cannot be asked of a machine in this state.
    pub fn refusal(&self, what: &str) -> Failure {
        Failure::new(format!("a VM that is {} cannot {what}", self.view()))
    }
}

/// What a `BLOCK_IO_ERROR` says, in words.
fn io_error(data: &Value) -> String {
    let text = |field: &str| {
        data.get(field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let disk = text("qom-path").and_then(|path| path.rsplit('/').next());
    let disk = text("device").or(disk).or(text("node-name")).unwrap_or("a disk");
    let operation = text("operation").unwrap_or("access");
    let no_space = data.get("nospace").and_then(Value::as_bool) == Some(true);
    let reason = text("reason").unwrap_or(if no_space {
        "no space left"
    } else {
        "unknown error"
    });
    format!("{operation} of {disk}: {reason}")
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl Ending {
    /// How a life ended that is shown so; nothing for one that goes on.
    pub(crate) fn of(state: &VmState) -> Option<Self> {
        match state {
            VmState::Stopped { reason } => Some(Self::Stopped(*reason)),
            VmState::Crashed { reason } => Some(Self::Crashed(reason.clone())),
            _ => None,
        }
    }
}
