//! One VM's machine: its view, its life, its channels, and its monitor. Services work on it.

use std::collections::BTreeMap;
use std::rc::Rc;

use qemuweb_vm_config::QMP_CHANNEL;
use qemuweb_wire::Failure;
use qemuweb_wire::state::StopReason;
use qemuweb_wire::topic::MachineState;
use qemuweb_wire::vm::{Phase, Progress, VmInfo};
use serde_json::Value;

use crate::control::{Asker, Control};
use crate::io::{Effect, RunId};
use crate::lifecycle::Lifecycle;
use crate::outbox::Outbox;

/// Lines of QEMU's own output that are kept to explain its end.
const LAST_LINES: usize = 20;
/// The longest of them that is kept, in bytes.
const LONGEST_LINE: usize = 1000;
/// Most channels that a QEMU opens.
const MAX_CHANNELS: usize = 64;

/// A VM's machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The VM as clients see it.
    pub(crate) info: VmInfo,
    pub(crate) life: Lifecycle,
    /// What QEMU told in the latest run, and what was measured.
    pub(crate) told: MachineState,
    pub(crate) control: Control,
    /// What QEMU wrote last to its standard output or error.
    pub(crate) last_lines: Vec<String>,
    /// Whether the machine has UEFI variables, which its Worker tells when it ends.
    pub(crate) has_variables: bool,
    /// Whether the run has disks that a storage Worker serves.
    pub(crate) has_disks: bool,
    /// The lines and columns of the terminal that people look at.
    pub(crate) terminal: Option<(u16, u16)>,
    channels: BTreeMap<String, Outbox>,
    changed: bool,
    progressed: bool,
}

impl Machine {
    pub(crate) fn new(info: VmInfo, life: Lifecycle) -> Self {
        let mut machine = Self {
            info,
            life,
            told: MachineState::default(),
            control: Control::default(),
            last_lines: Vec::new(),
            has_variables: false,
            has_disks: false,
            terminal: None,
            channels: BTreeMap::new(),
            changed: false,
            progressed: false,
        };
        machine.touch();
        machine
    }

    /// The life that it is in, if a QEMU exists.
    pub(crate) fn run(&self) -> Option<RunId> {
        self.life.is_active().then_some(RunId(self.info.run))
    }

    /// Has clients told how the VM is now.
    pub(crate) fn touch(&mut self) {
        self.info.state = self.life.view();
        self.info.shutdown_asked_at = self.life.shutdown_asked_at();
        self.changed = true;
    }

    /// Whether clients have to be told how the VM is, as of now.
    pub(crate) fn take_changed(&mut self) -> bool {
        let changed = std::mem::take(&mut self.changed);
        if changed {
            // The view has it.
            self.progressed = false;
        }
        changed
    }

    /// A phase of the start goes on.
    pub(crate) fn progress(&mut self, progress: Progress) {
        self.info.progress = Some(progress);
        self.progressed = true;
    }

    /// How far the start is, if clients have to be told that and no more.
    pub(crate) fn take_progress(&mut self) -> Option<Progress> {
        std::mem::take(&mut self.progressed).then_some(self.info.progress)?
    }

    /// A life begins.
    pub(crate) fn begin(&mut self, run: RunId, now: f64) {
        self.info.run = run.0;
        self.info.started_at = now;
        self.info.phases.clear();
        self.info.progress = Some(at_beginning(Phase::Fetch));
        self.info.failure = None;
        self.told = MachineState::default();
        self.control = Control::default();
        self.last_lines.clear();
        self.channels.clear();
        self.touch();
    }

    /// A life has ended: gives the conversation that it had with QEMU.
    pub(crate) fn finish(&mut self) -> Control {
        self.info.progress = None;
        self.channels.clear();
        self.touch();
        std::mem::take(&mut self.control)
    }

    /// A phase of the start has ended, and the next begins, if any.
    pub(crate) fn finish_phase(&mut self, now: f64, phase: Phase, next: Option<Phase>) {
        self.info
            .phases
            .entry(phase)
            .or_insert(now - self.info.started_at);
        self.info.progress = next.map(at_beginning);
        self.touch();
    }

    /// The guest begins anew.
    pub(crate) fn was_reset(&mut self, now: f64) {
        self.info.started_at = now;
        self.info.phases.clear();
        self.info.progress = Some(at_beginning(Phase::Firmware));
        self.touch();
    }

    /// QEMU wrote a line, of which at most [`LONGEST_LINE`] bytes are kept and told.
    pub(crate) fn note_line(&mut self, line: &mut String) {
        line.truncate(line.floor_char_boundary(LONGEST_LINE));
        self.last_lines.push(line.clone());
        let excess = self.last_lines.len().saturating_sub(LAST_LINES);
        self.last_lines.drain(..excess);
    }

    /// QEMU opened a channel. Says whether it is new.
    pub(crate) fn open_channel(&mut self, channel: &str, capacity: u32) -> bool {
        if self.channels.contains_key(channel) || self.channels.len() >= MAX_CHANNELS {
            return false;
        }
        self.channels.insert(channel.to_owned(), Outbox::new(capacity));
        true
    }

    /// The guest's side took something out of a channel. Says whether QEMU has dropped something; nothing for a channel that is
    /// not there.
    pub(crate) fn moved(&mut self, channel: &str, used: u32, dropped: u64) -> Option<bool> {
        let outbox = self.channels.get_mut(channel)?;
        Some(outbox.moved(used, dropped))
    }

    /// A port was opened or closed: see [`Outbox::opened`].
    pub(crate) fn port_changed(&mut self, channel: &str, opened: u32) -> impl Iterator<Item = bool> + use<> {
        let outbox = self.channels.get_mut(channel);
        outbox.map(|outbox| outbox.opened(opened)).into_iter().flatten()
    }

    pub(crate) fn outbox(&self, channel: &str) -> Option<&Outbox> {
        self.channels.get(channel)
    }

    /// Sends into a channel, as the guest takes it. What is sent into none is lost, as on a line with nobody at its end.
    pub(crate) fn send(&mut self, channel: &str, bytes: impl Into<Rc<[u8]>>) {
        if let Some(outbox) = self.channels.get_mut(channel) {
            outbox.push(bytes.into());
        }
    }

    /// Sends a QMP command.
    ///
    /// # Errors
    /// A [`Failure`] when QEMU takes none.
    pub(crate) fn execute(
        &mut self,
        command: &str,
        arguments: Option<Value>,
        asker: Asker,
    ) -> Result<(), Failure> {
        if !self.control.is_open() {
            return Err(Failure::new(format!("{} has no monitor yet", self.info.name)));
        }
        let line = self.control.command(command, arguments, asker)?;
        self.send(QMP_CHANNEL, line);
        Ok(())
    }

    /// What has room in the channels' rings now.
    pub(crate) fn writes<A>(&mut self) -> Vec<Effect<A>> {
        let Some(run) = self.run() else { return Vec::new() };
        let mut writes = Vec::new();
        for (channel, outbox) in &mut self.channels {
            let bytes = if outbox.queued() > 0 {
                outbox.take()
            } else {
                Vec::new()
            };
            if !bytes.is_empty() {
                writes.push(Effect::WriteChannel {
                    run,
                    channel: channel.clone(),
                    bytes,
                });
            }
        }
        writes
    }

    /// Bytes that wait for the guest in all channels.
    pub(crate) fn queued(&self) -> usize {
        self.channels.values().map(Outbox::queued).sum()
    }
}

fn at_beginning(phase: Phase) -> Progress {
    Progress {
        phase,
        done: 0,
        total: None,
    }
}

/// How a VM's life ended that was active when the former host ended.
pub(crate) fn ended_with_host(failed: bool) -> StopReason {
    if failed {
        StopReason::HostFailed
    } else {
        StopReason::HostEnded
    }
}
