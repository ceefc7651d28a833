//! One VM: its machine, its services, and what goes between the two.

use qemuweb_vm_config::{Arch, QMP_CHANNEL, uefi};
use qemuweb_wire::Failure;
use qemuweb_wire::topic::LogLevel;
use qemuweb_wire::vm::{Phase, VmInfo};
use serde_json::Value;

use crate::clients::Ticket;
use crate::control::{Asker, Control, Said};
use crate::hub::{Hub, Timer};
use crate::io::{Effect, FromWorker, RunId, Variables};
use crate::lifecycle::{Ending, Heard, Lifecycle, RunState};
use crate::machine::Machine;
use crate::persist::KeptVm;
use crate::services::{Cx, Service, registry};
use crate::storage::StorageEvent;

/// How long a Worker has for its last word on the UEFI variables when it ends, in milliseconds.
const LAST_WORD_MS: u32 = 1000;

/// How long a storage Worker has to keep what is not kept yet when its run ends, in milliseconds: as much as may wait in memory,
/// on a slow disk.
const KEEP_DISKS_MS: u32 = 30_000;

/// A VM.
pub(crate) struct Vm<A> {
    pub(crate) machine: Machine,
    pub(crate) services: Vec<Box<dyn Service<A>>>,
    /// Its place among all VMs.
    pub(crate) order: u32,
    /// The revision that it was first defined with: 0 if that was by a version without lasting disks.
    pub(crate) born: u64,
    /// The UEFI variables that it has written, if any.
    pub(crate) variables: Option<Variables>,
    /// The latest life, if its Worker is still to tell the variables as they were at its end.
    pub(crate) variables_to_come: Option<RunId>,
    /// The latest life, if its storage Worker still keeps what was written in it.
    pub(crate) disks_to_come: Option<RunId>,
    /// Whether the database says that it is active.
    kept_active: bool,
    /// What was last acted on: whether it was active, and whether its guest was ready.
    pub(crate) was_active: bool,
    pub(crate) was_ready: bool,
}

impl<A: Clone + 'static> Vm<A> {
    /// A VM that was not started yet, and defined for the first time.
    pub(crate) fn new(info: VmInfo, order: u32) -> Self {
        let mut vm = Self::with(info, Lifecycle::default(), order);
        vm.born = vm.machine.info.revision;
        vm.machine.touch();
        vm
    }

    fn with(info: VmInfo, life: Lifecycle, order: u32) -> Self {
        Self {
            machine: Machine::new(info, life),
            services: registry(),
            order,
            born: 0,
            variables: None,
            variables_to_come: None,
            disks_to_come: None,
            kept_active: false,
            was_active: false,
            was_ready: false,
        }
    }

    /// A VM as it was kept, whose life, if it was in one, has ended so.
    pub(crate) fn revive(kept: KeptVm, ended: Ending) -> Self {
        let mut info = VmInfo::new(kept.vm_id, kept.name, kept.definition);
        info.favourite = kept.favourite;
        info.started_at = kept.started_at;
        info.revision = kept.revision;
        info.files = kept.files;
        let was_active = kept.state.is_active();
        let life = Lifecycle::ended(Ending::of(&kept.state).unwrap_or(ended));
        Self {
            kept_active: was_active,
            born: kept.born,
            ..Self::with(info, life, kept.order)
        }
    }

    /// It as it is to be kept, which it is from now on.
    pub(crate) fn keep(&mut self) -> KeptVm {
        self.kept_active = self.machine.life.is_active();
        let info = &self.machine.info;
        KeptVm {
            vm_id: info.vm_id.clone(),
            name: info.name.clone(),
            favourite: info.favourite,
            started_at: info.started_at,
            state: info.state.clone(),
            definition: (*info.definition).clone(),
            revision: info.revision,
            files: info.files.clone(),
            order: self.order,
            born: self.born,
        }
    }

    /// Whether the database has to be told that it is active, or is not.
    pub(crate) fn is_kept_wrong(&self) -> bool {
        self.kept_active != self.machine.life.is_active()
    }

    pub(crate) fn id(&self) -> &str {
        &self.machine.info.vm_id
    }

    pub(crate) fn arch(&self) -> Arch {
        self.machine.info.definition.profile.arch
    }

    /// Has one of its services do something.
    pub(crate) fn with_service<T>(
        &mut self,
        hub: &mut Hub<A>,
        service: usize,
        act: impl FnOnce(&mut dyn Service<A>, &mut Cx<'_, A>) -> T,
    ) -> Option<T> {
        let terminal = self.machine.terminal;
        let mut cx = Cx {
            hub: &mut *hub,
            machine: &mut self.machine,
            service,
        };
        let done = act(self.services.get_mut(service)?.as_mut(), &mut cx);
        if self.machine.terminal != terminal {
            self.each(hub, |service, cx| service.terminal_changed(cx));
        }
        Some(done)
    }

    /// Has each of its services do something.
    pub(crate) fn each(&mut self, hub: &mut Hub<A>, act: impl Fn(&mut dyn Service<A>, &mut Cx<'_, A>)) {
        for (index, service) in self.services.iter_mut().enumerate() {
            let mut cx = Cx {
                hub: &mut *hub,
                machine: &mut self.machine,
                service: index,
            };
            act(service.as_mut(), &mut cx);
        }
    }

    /// The service whose channel it is.
    fn owner(&self, channel: &str) -> Option<usize> {
        self.services
            .iter()
            .position(|service| service.channels().contains(&channel))
    }

    /// A life begins.
    pub(crate) fn begin(&mut self, run: RunId, hub: &mut Hub<A>) {
        self.machine.begin(run, hub.now);
        self.variables_to_come = None;
        self.disks_to_come = None;
        self.each(hub, |service, cx| service.started(cx));
    }

    /// Its Worker said something, in the life that it is in.
    pub(crate) fn hear_worker(&mut self, said: FromWorker, hub: &mut Hub<A>) {
        match said {
            // The core and the variables' owner know what to do with these.
            FromWorker::Ready | FromWorker::Variables(_) => {}
            FromWorker::Progress(progress) => {
                if progress.phase > Phase::Fetch && !self.machine.info.phases.contains_key(&Phase::Fetch) {
                    self.machine.finish_phase(hub.now, Phase::Fetch, None);
                }
                self.machine.progress(progress);
            }
            FromWorker::Loaded => self
                .machine
                .finish_phase(hub.now, Phase::Load, Some(Phase::Machine)),
            FromWorker::Output(mut line) => {
                self.machine.note_line(&mut line);
                hub.log(self.id(), LogLevel::Info, line);
            }
            FromWorker::Exited(code) => {
                self.machine.life.exited(code);
                let crash = match self.machine.life.run() {
                    RunState::Ended(Ending::Crashed(reason)) => Some(reason.clone()),
                    _ => None,
                };
                if let Some(reason) = crash {
                    self.note_crash(Failure::new(reason));
                }
                self.end(hub);
            }
            FromWorker::Failed(failure) => self.crash(failure, hub),
        }
    }

    /// Ends a life that failed.
    pub(crate) fn crash(&mut self, failure: Failure, hub: &mut Hub<A>) {
        if self.machine.life.is_active() {
            self.machine.life.crashed(failure.message.clone());
            self.note_crash(failure);
            self.end(hub);
        }
    }

    /// Keeps why it crashed, with QEMU's last lines as causes if nothing better is known.
    fn note_crash(&mut self, mut failure: Failure) {
        if failure.causes.is_empty() {
            failure.causes.clone_from(&self.machine.last_lines);
        }
        self.machine.info.failure = Some(failure);
    }

    /// The life has ended: QEMU is gone, or goes.
    pub(crate) fn end(&mut self, hub: &mut Hub<A>) {
        let run = RunId(self.machine.info.run);
        hub.act(Effect::EndWorker(run));
        hub.forget_timers(|timer| *timer == Timer::Ready(run));
        if std::mem::take(&mut self.machine.has_variables) {
            self.variables_to_come = Some(run);
            hub.wake(LAST_WORD_MS, Timer::Variables(run));
        }
        if std::mem::take(&mut self.machine.has_disks) {
            self.disks_to_come = Some(run);
            hub.wake(KEEP_DISKS_MS, Timer::Disks(run));
        }
        self.each(hub, |service, cx| service.ended(cx));
        let control = self.machine.finish();
        self.dismiss(control, hub);
    }

    /// Answers those who wait for a QEMU that is gone.
    fn dismiss(&mut self, control: Control, hub: &mut Hub<A>) {
        for asker in control.into_waiting() {
            match asker {
                Asker::Call(ticket) | Asker::Obeyed(ticket) => {
                    let failure = Failure::new("QEMU ended before it answered");
                    hub.clients.reply::<()>(ticket, Err(failure));
                }
                Asker::Done(ticket) => hub.clients.reply(ticket, Ok(())),
                Asker::Nobody | Asker::Status | Asker::Service(..) => {}
            }
        }
    }

    /// QEMU opened a channel.
    pub(crate) fn channel_opened(&mut self, channel: &str, capacity: u32, hub: &mut Hub<A>) {
        if !self.machine.open_channel(channel, capacity) || channel == QMP_CHANNEL {
            return;
        }
        match self.owner(channel) {
            Some(owner) => {
                self.with_service(hub, owner, |service, cx| service.channel_opened(channel, cx));
            }
            None => {
                let line = format!("QEMU opened a channel “{channel}” that nobody uses");
                hub.log(self.id(), LogLevel::Warning, line);
            }
        }
    }

    /// Bytes came on a channel.
    pub(crate) fn received(&mut self, channel: &str, bytes: &[u8], hub: &mut Hub<A>) {
        if self.machine.outbox(channel).is_none() {
            return;
        }
        if channel == QMP_CHANNEL {
            for said in self.machine.control.receive(bytes) {
                self.heard_from_monitor(said, hub);
            }
        } else if let Some(owner) = self.owner(channel) {
            self.with_service(hub, owner, |service, cx| service.received(channel, bytes, cx));
        }
    }

    /// The guest's side took something out of a channel.
    pub(crate) fn moved(&mut self, channel: &str, used: u32, dropped: u64, hub: &mut Hub<A>) {
        let Some(has_dropped) = self.machine.moved(channel, used, dropped) else {
            return;
        };
        if let Some(owner) = self.owner(channel) {
            self.with_service(hub, owner, |service, cx| service.moved(channel, has_dropped, cx));
        }
    }

    /// A program in the guest opened or closed a port, perhaps several times.
    pub(crate) fn port_changed(&mut self, channel: &str, opened: u32, hub: &mut Hub<A>) {
        let Some(owner) = self.owner(channel) else { return };
        for open in self.machine.port_changed(channel, opened) {
            self.with_service(hub, owner, |service, cx| service.port_changed(channel, open, cx));
        }
    }

    fn heard_from_monitor(&mut self, said: Said, hub: &mut Hub<A>) {
        match said {
            Said::Greeting => {
                // A QEMU that takes no more commands than these has much else that is wrong.
                let _ = self.machine.execute("qmp_capabilities", None, Asker::Nobody);
                let _ = self.machine.execute("query-status", None, Asker::Status);
            }
            Said::Answer(asker, answer) => self.heard_answer(asker, answer, hub),
            Said::Event(name, data) => {
                self.each(hub, |service, cx| service.event(&name, &data, cx));
                self.heard_event(&name, &data, hub);
            }
            Said::Nonsense(error) => {
                hub.log(
                    self.id(),
                    LogLevel::Warning,
                    Failure::from_error(&error).to_string(),
                );
            }
        }
    }

    fn heard_answer(&mut self, asker: Asker, answer: Result<Value, Failure>, hub: &mut Hub<A>) {
        match asker {
            Asker::Nobody => {}
            Asker::Call(ticket) => hub.clients.reply(ticket, answer),
            Asker::Obeyed(ticket) | Asker::Done(ticket) => hub.clients.reply(ticket, answer.map(drop)),
            Asker::Service(service, reason) => {
                self.with_service(hub, service, |service, cx| service.answered(reason, answer, cx));
            }
            Asker::Status => {
                let status = answer.ok();
                let status = status.as_ref().and_then(|answer| answer.get("status")?.as_str());
                let is_first = !self.machine.life.has_machine();
                self.machine.life.status(status.unwrap_or("unknown"));
                if is_first {
                    self.machine
                        .finish_phase(hub.now, Phase::Machine, Some(Phase::Firmware));
                    self.each(hub, |service, cx| service.built(cx));
                }
                self.machine.touch();
            }
        }
    }

    fn heard_event(&mut self, name: &str, data: &Value, hub: &mut Hub<A>) {
        let Heard {
            changed,
            reset,
            ask_status,
            note,
        } = self.machine.life.event(name, data);
        if reset {
            self.machine.was_reset(hub.now);
        }
        if ask_status {
            let _ = self.machine.execute("query-status", None, Asker::Status);
        }
        if let Some(note) = note {
            hub.log(self.id(), LogLevel::Warning, note);
        }
        if changed {
            self.machine.touch();
        }
    }

    /// Its storage Worker said something, in the life that it is in.
    pub(crate) fn hear_storage(&mut self, said: StorageEvent, hub: &mut Hub<A>) {
        match said {
            StorageEvent::Used { .. } | StorageEvent::Synced { .. } => {
                self.each(hub, |service, cx| service.disks(&said, cx));
            }
            StorageEvent::Alarm {
                ref channel,
                ref failure,
            } => {
                hub.log(self.id(), LogLevel::Warning, format!("{channel}: {failure}"));
                self.each(hub, |service, cx| service.disks(&said, cx));
            }
            // The core knows what the end of a storage Worker means; jobs are no run's.
            _ => {}
        }
    }

    /// Takes the UEFI variables that its Worker tells, or that they are as they were. Says whether they are others now.
    pub(crate) fn take_variables(&mut self, run: RunId, told: Option<Variables>) -> bool {
        if self.machine.run().is_none() && self.variables_to_come != Some(run) {
            return false;
        }
        if self.variables_to_come == Some(run) {
            self.variables_to_come = None;
        }
        // It may have been defined anew meanwhile, with another architecture.
        let told = told.filter(|variables| variables.are_for(self.arch()));
        let is_new = told.is_some();
        self.variables = told.or(self.variables.take());
        is_new
    }

    /// A call of a client that is gone, or waits no longer, is forgotten.
    pub(crate) fn forget_call(&mut self, ticket: Ticket) {
        for service in &mut self.services {
            service.forget_call(ticket);
        }
    }

    /// Bytes that are kept for it beside its definition.
    pub(crate) fn kept(&self) -> usize {
        let services: usize = self.services.iter().map(|service| service.kept()).sum();
        services + self.machine.queued()
    }
}

impl Variables {
    /// Whether they are of the firmware for this architecture.
    pub(crate) fn are_for(&self, arch: Arch) -> bool {
        uefi(arch).is_some_and(|uefi| uefi.variables == self.file)
    }
}
