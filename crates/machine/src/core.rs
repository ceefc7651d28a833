//! The core: what has happened goes in, what is to be done comes out.

use std::collections::BTreeSet;

use qemuweb_vm_config::{Arch, FileKind, InputSource, VmInputs, VmProfile, build_qemu_args};
use qemuweb_wire::Failure;
use qemuweb_wire::capabilities::RuntimeCapabilities;
use qemuweb_wire::topic::{Machines, MachinesDelta};
use qemuweb_wire::vm::Phase;

use crate::clients::Ticket;
use crate::files::Files;
use crate::hub::{Hub, Timer};
use crate::io::{Begin, ClientId, Effect, FromWorker, Input, Outcome, RunId, TaskId, Write};
use crate::library::Library;
use crate::lifecycle::Ending;
use crate::machine::ended_with_host;
use crate::services::{Service, registry};
use crate::storage::StorageEvent;
use crate::task::Task;
use crate::vm::Vm;

/// How long a host that nobody needs waits before it ends, in milliseconds.
pub(crate) const IDLE_MS: u32 = 30_000;

/// The VM host's core. See the crate's documentation.
pub struct Core<A> {
    pub(crate) hub: Hub<A>,
    pub(crate) capabilities: RuntimeCapabilities,
    /// The services as such, which tell what belongs to whom.
    pub(crate) prototypes: Vec<Box<dyn Service<A>>>,
    /// In their order.
    pub(crate) vms: Vec<Vm<A>>,
    /// VMs that were removed and can be brought back, the latest last.
    pub(crate) removed: Vec<Vm<A>>,
    pub(crate) files: Files<A>,
    pub(crate) library: Library<A>,
    /// People's own profiles, in the order of their names.
    pub(crate) profiles: Vec<VmProfile>,
    /// Starts that wait for the last word of the former run.
    pub(crate) delayed: Vec<(String, Ticket)>,
    /// How many VMs the badge shows; nothing before it was first told, because a former host may have left one.
    badge: Option<usize>,
    /// Whether a timer runs that ends this host.
    is_idle: bool,
}

impl<A: Clone + 'static> Core<A> {
    /// A host that begins with what is kept, and what it has to do about that.
    pub fn new(now: f64, begin: Begin<A>) -> (Self, Vec<Effect<A>>) {
        let Begin {
            capabilities,
            mut kept,
            failed,
        } = begin;
        let ended = Ending::Stopped(ended_with_host(failed.is_some()));
        kept.failures.extend(failed);
        let mut hub = Hub::new(kept.failures);
        hub.now = now;
        let mut core = Self {
            hub,
            capabilities,
            prototypes: registry(),
            vms: Vec::new(),
            removed: Vec::new(),
            files: Files::new(kept.files),
            library: Library::new(kept.stored),
            profiles: kept.profiles,
            delayed: Vec::new(),
            badge: None,
            is_idle: false,
        };
        core.profiles.sort_by(|a, b| a.name.cmp(&b.name));
        for id in core.files.ids() {
            core.hub.note_number(id);
        }
        kept.vms.sort_by_key(|vm| vm.order);
        for vm in kept.vms {
            core.hub.note_number(vm.revision);
            core.vms.push(Vm::revive(vm, ended.clone()));
        }
        for vm in &mut core.vms {
            vm.variables = kept.variables.remove(&vm.machine.info.vm_id);
            if let Some(files) = kept.former_files.remove(&vm.machine.info.vm_id) {
                // An older version kept them with the VM.
                for content in files {
                    let id = core.hub.number();
                    vm.machine.info.files.push(id);
                    if let Some(content) = content.clone() {
                        core.hub.write(Write::PutFile(id, content));
                    }
                    core.files.insert(id, content);
                }
                let kept = vm.keep();
                core.hub.write(Write::PutVm(kept));
            }
        }
        for vm in &mut core.vms {
            let files = &vm.machine.info.files;
            vm.machine.info.has_handles = has_handles(&core.files, files);
        }
        core.forget_unused_files();
        core.measure_storage();
        let effects = core.finish();
        (core, effects)
    }

    /// Takes what has happened at `now`, in milliseconds since the epoch, and gives what is to be done about it, in order.
    pub fn step(&mut self, now: f64, input: Input<A>) -> Vec<Effect<A>> {
        // A clock that goes back would make timers wait.
        self.hub.now = self.hub.now.max(now);
        while let Some(timer) = self.hub.next_timer() {
            self.ring(timer);
        }
        match input {
            Input::Tick => {}
            Input::Joined(client) => self.hub.clients.join(client),
            Input::Left(client) => self.leave(client),
            Input::Message {
                client,
                version,
                json,
                attachments,
            } => self.message(client, version, &json, attachments),
            Input::OnStream {
                stream,
                version,
                json,
                bytes,
            } => self.on_stream(stream, version, &json, bytes.as_deref()),
            Input::Worker(run, said) => self.hear_worker(run, said),
            Input::Storage(run, said) => self.hear_storage(run, said),
            Input::ChannelOpened {
                run,
                channel,
                capacity,
            } => self.in_run(run, |vm, hub| vm.channel_opened(&channel, capacity, hub)),
            Input::Received { run, channel, bytes } => {
                self.in_run(run, |vm, hub| vm.received(&channel, &bytes, hub));
            }
            Input::Moved {
                run,
                channel,
                used,
                dropped,
            } => self.in_run(run, |vm, hub| vm.moved(&channel, used, dropped, hub)),
            Input::Port { run, channel, opened } => {
                self.in_run(run, |vm, hub| vm.port_changed(&channel, opened, hub));
            }
            Input::Progressed { task, done, total } => {
                if let Some(Task::Hash { ticket, .. } | Task::Disks { ticket, .. }) =
                    self.hub.tasks.get(&task)
                {
                    self.hub.clients.progress(*ticket, done, total);
                }
            }
            Input::Done(task, outcome) => self.done(task, outcome),
        }
        self.finish()
    }

    /// When [`Input::Tick`] is to come at the latest, in milliseconds since the epoch.
    pub fn deadline(&self) -> Option<f64> {
        self.hub.deadline()
    }

    /// How much is kept for a client: nothing for one that is not there.
    pub fn kept_for(&self, client: ClientId) -> usize {
        self.hub.clients.kept_for(client)
    }

    /// How many calls services still hold that nobody waits for: none.
    pub fn forsaken_calls(&self) -> usize {
        let services = self.vms.iter().chain(&self.removed).flat_map(|vm| &vm.services);
        let held = services.flat_map(|service| service.unanswered());
        held.filter(|ticket| !self.hub.clients.waits(**ticket)).count()
    }

    /// The most bytes that are kept for one VM beside its definition.
    pub fn most_kept(&self) -> usize {
        let vms = self.vms.iter().chain(&self.removed);
        vms.map(Vm::kept).max().unwrap_or(0)
    }

    fn leave(&mut self, client: ClientId) {
        let (calls, streams) = self.hub.clients.leave(client);
        for ticket in calls {
            for vm in self.vms.iter_mut().chain(&mut self.removed) {
                vm.forget_call(ticket);
            }
        }
        for (stream, end) in streams {
            self.hub.act(Effect::CloseStream(stream));
            self.with_service(&end.vm_id, end.service, |service, cx| {
                service.stream_closed(stream, cx)
            });
        }
        if self.hub.clients.is_empty() {
            self.hub.act(Effect::DropSpares);
        }
    }

    fn hear_worker(&mut self, run: RunId, said: FromWorker) {
        match said {
            FromWorker::Ready => self.hub.forget_timers(|timer| *timer == Timer::Ready(run)),
            FromWorker::Variables(told) => {
                let Some(vm) = self.vms.iter_mut().find(|vm| vm.machine.info.run == run.0) else {
                    return;
                };
                let vm_id = vm.id().to_owned();
                if vm.take_variables(run, told) {
                    self.keep_variables(&vm_id);
                }
                self.start_delayed(&vm_id);
            }
            said => self.in_run(run, |vm, hub| vm.hear_worker(said, hub)),
        }
    }

    fn hear_storage(&mut self, run: RunId, said: StorageEvent) {
        let failure = match said {
            StorageEvent::Closed { failure } => failure,
            StorageEvent::Failed { failure } => Some(failure),
            said => return self.in_run(run, |vm, hub| vm.hear_storage(said, hub)),
        };
        let Some(vm_id) = self.disks_are_free(run) else {
            let failure = failure.unwrap_or_else(|| Failure::new("the VM's disks are gone"));
            return self.in_run(run, |vm, hub| vm.crash(failure, hub));
        };
        self.hub.forget_timers(|timer| *timer == Timer::Disks(run));
        if let Some(failure) = failure {
            self.hub.fail(failure);
        }
        self.start_delayed(&vm_id);
    }

    /// The storage Worker of a run that has ended has kept all that it could: gives whose it was.
    fn disks_are_free(&mut self, run: RunId) -> Option<String> {
        let mut vms = self.vms.iter_mut().chain(&mut self.removed);
        let vm = vms.find(|vm| vm.disks_to_come == Some(run))?;
        vm.disks_to_come = None;
        Some(vm.id().to_owned())
    }

    /// Does something with the VM that is in this life, if one is. What arrives late from a former life finds nothing.
    fn in_run(&mut self, run: RunId, act: impl FnOnce(&mut Vm<A>, &mut Hub<A>)) {
        let vm = self.vms.iter_mut().find(|vm| vm.machine.run() == Some(run));
        if let Some(vm) = vm {
            act(vm, &mut self.hub);
        }
    }

    pub(crate) fn with_service(
        &mut self,
        vm_id: &str,
        service: usize,
        act: impl FnOnce(&mut dyn Service<A>, &mut crate::services::Cx<'_, A>),
    ) {
        if let Some(vm) = self.vms.iter_mut().find(|vm| vm.id() == vm_id) {
            vm.with_service(&mut self.hub, service, act);
        }
    }

    fn ring(&mut self, timer: Timer) {
        match timer {
            Timer::Service {
                vm_id,
                service,
                reason,
            } => self.with_service(&vm_id, service, |service, cx| service.woken(reason, cx)),
            Timer::Ready(run) => self.in_run(run, |vm, hub| {
                let failure = Failure::new(format!(
                    "the VM's Worker did not say within {} s that it is there",
                    crate::start::READY_MS / 1000
                ));
                vm.crash(failure.with_next_step("Start the VM again."), hub);
            }),
            Timer::Variables(run) => {
                let mut vms = self.vms.iter_mut();
                if let Some(vm) = vms.find(|vm| vm.variables_to_come == Some(run)) {
                    vm.variables_to_come = None;
                    let vm_id = vm.id().to_owned();
                    self.start_delayed(&vm_id);
                }
            }
            Timer::Disks(run) => {
                if let Some(vm_id) = self.disks_are_free(run) {
                    self.hub.act(Effect::EndStorage(run));
                    self.start_delayed(&vm_id);
                }
            }
            Timer::Idle => {
                self.is_idle = false;
                if self.is_unneeded() {
                    self.hub.act(Effect::Close);
                }
            }
        }
    }

    fn done(&mut self, task: TaskId, outcome: Outcome<A>) {
        let Some(task) = self.hub.tasks.remove(&task) else {
            return;
        };
        match (task, outcome) {
            (Task::Define(defining), Outcome::Recognized(definition)) => self.defined(*defining, definition),
            (
                Task::Start {
                    ticket,
                    vm_id,
                    revision,
                },
                Outcome::Opened(files),
            ) => self.opened(ticket, &vm_id, revision, files),
            (Task::Hash { ticket, name }, Outcome::Hashed(found)) => self.hashed(ticket, name, found),
            (Task::Store { ticket, info, tells }, Outcome::Written(file)) => {
                self.stored(ticket, *info, tells, file);
            }
            (Task::Write, Outcome::Written(Err(failure))) => {
                self.hub
                    .fail(failure.with_next_step("It is forgotten when the browser closes."));
            }
            (
                Task::OpenDisk {
                    ticket,
                    job,
                    what,
                    file,
                },
                Outcome::Opened(files),
            ) => self.opened_disk(ticket, *job, what, files, file),
            (Task::Disks { ticket, what }, Outcome::DidWithDisks(done)) => {
                self.did_with_disks(ticket, what, done);
            }
            (Task::Measure, Outcome::Measured(storage)) => {
                self.library.storage = storage;
                self.publish_library();
            }
            // Whoever carries effects out gives each task its kind of outcome; another one is as good as none.
            (task, _) => self.lost(task),
        }
    }

    /// A task ended in no way that it can.
    fn lost(&mut self, task: Task<A>) {
        let ticket = match task {
            Task::Define(defining) => defining.ticket,
            Task::Start { ticket, .. }
            | Task::Hash { ticket, .. }
            | Task::Store { ticket, .. }
            | Task::OpenDisk { ticket, .. }
            | Task::Disks { ticket, .. } => ticket,
            Task::Write | Task::Measure => return,
        };
        let failure = Failure::new("the VM host lost track of this request");
        self.hub
            .clients
            .reply::<()>(ticket, Err(failure.with_next_step("Try it again.")));
    }

    pub(crate) fn vm(&self, vm_id: &str) -> Option<&Vm<A>> {
        self.vms.iter().find(|vm| vm.id() == vm_id)
    }

    pub(crate) fn vm_mut(&mut self, vm_id: &str) -> Option<&mut Vm<A>> {
        self.vms.iter_mut().find(|vm| vm.id() == vm_id)
    }

    /// A VM that has to exist.
    pub(crate) fn known(&mut self, vm_id: &str) -> Result<&mut Vm<A>, Failure> {
        self.vm_mut(vm_id).ok_or_else(|| unknown(vm_id))
    }

    /// Forgets the files that nobody names any more.
    pub(crate) fn forget_unused_files(&mut self) {
        let vms = self.vms.iter().chain(&self.removed);
        let mut used: BTreeSet<_> = vms.flat_map(|vm| vm.machine.info.files.iter().copied()).collect();
        for task in self.hub.tasks.values() {
            if let Task::Define(defining) = task {
                used.extend(defining.files.iter().filter_map(|file| file.id));
            }
        }
        for id in self.files.forget_unused(&used) {
            self.hub.write(Write::RemoveFile(id));
        }
    }

    /// Prepares for a VM of this profile with the package's own images.
    pub(crate) fn prepare_profile(&mut self, profile: &VmProfile) {
        let files = build_qemu_args(profile, &VmInputs::default(), None).files_to_mount;
        let guest_files = files.into_iter().filter_map(|file| match file.source {
            InputSource::Builtin(builtin) if file.kind != FileKind::Firmware => Some(builtin.path),
            _ => None,
        });
        self.prepare(profile.arch, guest_files.collect());
    }

    /// Prepares for a VM of `arch` with these files of the package's guests, unless there is nobody who could start a VM.
    fn prepare(&mut self, arch: Arch, guest_files: Vec<String>) {
        if self.capabilities.can_run() && !self.hub.clients.is_empty() {
            self.hub.act(Effect::PrepareSpare { arch, guest_files });
        }
    }

    /// Tells all that is to be told after a step.
    fn finish(&mut self) -> Vec<Effect<A>> {
        let mut to_prepare = Vec::new();
        let mut to_keep = Vec::new();
        for (place, vm) in self.vms.iter_mut().enumerate() {
            if vm.machine.take_changed() {
                let delta = MachinesDelta::Changed {
                    vm: Box::new(vm.machine.info.clone()),
                    place,
                };
                self.hub.clients.publish(&Machines, &delta);
            } else if let Some(progress) = vm.machine.take_progress() {
                let vm_id = vm.id().to_owned();
                let delta = MachinesDelta::Progress { vm_id, progress };
                self.hub.clients.publish(&Machines, &delta);
            }
            if vm.is_kept_wrong() {
                to_keep.push(vm.id().to_owned());
            }
            // A VM that has ended, or has started, makes room for the next.
            let is_active = vm.machine.life.is_active();
            let is_ready = is_active && vm.machine.info.phases.contains_key(&Phase::Kernel);
            if (vm.was_active && !is_active) || (!vm.was_ready && is_ready) {
                to_prepare.push(vm.arch());
            }
            vm.was_active = is_active;
            vm.was_ready = is_ready;
            for write in vm.machine.writes() {
                self.hub.act(write);
            }
        }
        for vm_id in to_keep {
            self.keep(&vm_id);
        }
        for arch in to_prepare {
            self.prepare(arch, Vec::new());
        }
        let active = self.vms.iter().filter(|vm| vm.machine.life.is_active()).count();
        if self.badge.replace(active) != Some(active) {
            self.hub.act(Effect::Badge(active));
        }
        if !self.is_unneeded() {
            self.is_idle = false;
            self.hub.forget_timers(|timer| *timer == Timer::Idle);
        } else if !std::mem::replace(&mut self.is_idle, true) {
            self.hub.wake(IDLE_MS, Timer::Idle);
        }
        self.hub.take_effects()
    }

    /// Whether nobody would miss this host: no client is there, no VM is active, and nothing is under way.
    fn is_unneeded(&self) -> bool {
        self.hub.clients.is_empty()
            && self.hub.tasks.is_empty()
            && self.delayed.is_empty()
            && self
                .vms
                .iter()
                .all(|vm| !vm.machine.life.is_active() && vm.variables_to_come.is_none())
    }
}

/// What to say when there is no such VM.
pub(crate) fn unknown(vm_id: &str) -> Failure {
    let shown: String = vm_id.chars().take(qemuweb_wire::vm::MAX_VM_ID).collect();
    Failure::new(format!("there is no VM “{shown}”"))
        .with_next_step("It may have been removed in another panel.")
}

/// Whether some of these files are read through handles.
pub(crate) fn has_handles<A: Clone>(files: &Files<A>, ids: &[u64]) -> bool {
    ids.iter()
        .any(|id| files.get(*id).is_some_and(|content| content.is_handle))
}
