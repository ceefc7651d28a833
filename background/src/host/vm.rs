//! One VM: what it was defined with, the life of its QEMU, and its channels.
//!
//! Each start is a new run with a Worker of its own. Events that a Worker or a ring sends are taken only
//! while their run lasts (`State::vm_in_run`).

use std::collections::VecDeque;
use std::rc::Rc;

use futures_channel::oneshot;
use gloo_timers::future::TimeoutFuture;
use js_sys::SharedArrayBuffer;
use qemuweb_runtime::client::Packet;
use qemuweb_runtime::console::{Console, Pushed};
use qemuweb_runtime::directory::Channel;
use qemuweb_runtime::monitor::MonitorEvent;
use qemuweb_runtime::protocol::{self, Event, LogLevel, Phase, Progress, VmId, VmInfo};
use qemuweb_runtime::state::{StopReason, Transition};
use qemuweb_runtime::vm_worker::{VmWorkerCommand, VmWorkerEvent};
use qemuweb_runtime::web::{JsSharedMemory, packet_from_js, packet_to_js};
use qemuweb_runtime::{Failure, VmState};
use qemuweb_vm_config::{AGENT_CHANNEL, CAPTURE_CHANNEL, QMP_CHANNEL, QemuArgsResult, SERIAL_CHANNEL};
use serde_json::Value;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;

use super::capture::Capture;
use super::channel::{Link, Sender};
use super::control::{Answer, Control, Notice};
use super::definition::Definition;
use super::metrics::{self, Meter};
use super::worker::{FromWorker, VmWorker};
use super::{Run, SharedState, State, files, now};

/// Lines of QEMU's own output that are kept to explain its end.
const LAST_LINES: usize = 20;

/// How often at most clients are told how captures are, in milliseconds.
const CAPTURE_NEWS_MS: u32 = 200;

/// A VM and, while it is active, its QEMU.
pub(super) struct Vm {
    pub(super) info: VmInfo,
    /// The number of its latest run.
    pub(super) run: u32,
    pub(super) console: Console,
    pub(super) capture: Capture,
    /// Whether clients are going to be told how captures are.
    capture_to_tell: bool,
    /// What it is made of; `info` shows it.
    pub(super) definition: Definition,
    /// Its place among all VMs.
    pub(super) order: u32,
    /// Whether the database says that it is active.
    pub(super) kept_active: bool,
    /// What QEMU told in its latest run.
    pub(super) events: VecDeque<MonitorEvent>,
    /// How busy it was in its latest run.
    pub(super) meter: Meter,
    machine: Option<Machine>,
}

/// What exists while a QEMU does.
struct Machine {
    worker: VmWorker,
    args: QemuArgsResult,
    /// The Blobs that the arguments' files name by index.
    blobs: Vec<JsValue>,
    link: Option<Link>,
    serial: Option<Sender>,
    agent: Option<Sender>,
    control: Option<Control>,
    /// The terminal's size, for an agent that comes later.
    size: Option<(u16, u16)>,
    last_lines: Vec<String>,
    shutting_down: bool,
}

impl Vm {
    /// A VM that was not started yet.
    pub(super) fn new(vm_id: VmId, name: String, definition: Definition, order: u32) -> Self {
        let info = VmInfo {
            has_handles: definition.has_handles(),
            ..VmInfo::new(vm_id, name, definition.vm.clone())
        };
        Self {
            info,
            run: 0,
            console: Console::default(),
            capture: Capture::default(),
            capture_to_tell: false,
            definition,
            order,
            kept_active: false,
            events: VecDeque::new(),
            meter: Meter::default(),
            machine: None,
        }
    }

    /// Replaces the definition of a VM that is not active.
    pub(super) fn redefine(&mut self, name: String, definition: Definition) -> Result<(), Failure> {
        self.info
            .state
            .next(Transition::Start)
            .map_err(|error| Failure::from_error(&error))?;
        let (run, favourite) = (self.run, self.info.favourite);
        *self = Self {
            run,
            ..Self::new(self.info.vm_id.clone(), name, definition, self.order)
        };
        self.info.favourite = favourite;
        Ok(())
    }

    /// Moves the VM's state on.
    pub(super) fn transition(&mut self, transition: Transition) -> Result<(), Failure> {
        self.info.state = self
            .info
            .state
            .next(transition)
            .map_err(|error| Failure::from_error(&error))?;
        Ok(())
    }

    /// Sends a QMP command.
    pub(super) fn execute(
        &mut self,
        command: &str,
        arguments: Option<Value>,
    ) -> Result<oneshot::Receiver<Answer>, Failure> {
        let control = self.machine.as_mut().and_then(|machine| machine.control.as_mut());
        control
            .map(|control| control.execute(command, arguments))
            .ok_or_else(|| Failure::new(format!("{} has no monitor yet", self.info.name)))
    }

    /// Types into the console. A VM without a console swallows it, as a machine that is off does.
    pub(super) fn type_in(&self, bytes: &[u8]) -> Result<(), Failure> {
        match self.machine.as_ref().and_then(|machine| machine.serial.as_ref()) {
            Some(serial) if !serial.send(bytes) => Err(Failure::new(format!(
                "the guest does not read its console: {} bytes were not typed",
                bytes.len()
            ))
            .with_next_step("Wait until it has taken what was typed before.")),
            _ => Ok(()),
        }
    }

    /// Tells the guest's agent the size of the terminal, now or when there is an agent.
    pub(super) fn resize_console(&mut self, rows: u16, cols: u16) {
        if let Some(machine) = &mut self.machine {
            machine.size = Some((rows, cols));
            machine.tell_size();
        }
    }

    /// Ends the run: `transition` is an end or a crash. The Worker, and with it QEMU, is gone afterwards.
    pub(super) fn end(&mut self, transition: Transition) -> Result<(), Failure> {
        self.transition(transition)?;
        self.info.progress = None;
        self.capture.end_run();
        if let Some(machine) = self.machine.take() {
            machine.worker.terminate();
            if let Some(link) = machine.link {
                link.end();
            }
        }
        Ok(())
    }

    fn finish_phase(&mut self, phase: Phase, next: Option<Phase>) {
        self.info
            .phases
            .entry(phase)
            .or_insert(now() - self.info.started_at);
        self.info.progress = next.map(|phase| Progress {
            phase,
            done: 0,
            total: None,
        });
    }

    /// What QEMU's end means, given how it ended and what was asked for before.
    fn verdict(&self, code: i32) -> Transition {
        let machine = self.machine.as_ref();
        match (code, &self.info.state) {
            (0, VmState::Stopping) => Transition::End(StopReason::Stopped),
            (0, _) if machine.is_some_and(|machine| machine.shutting_down) => {
                Transition::End(StopReason::GuestShutdown)
            }
            _ => Transition::Crash(format!("QEMU exited with status {code}")),
        }
    }
}

impl Machine {
    fn tell_size(&self) {
        if let (Some(agent), Some((rows, cols))) = (&self.agent, self.size) {
            // An agent that does not read misses a size; the next one tells it again.
            agent.send(format!("resize {rows} {cols}\n").as_bytes());
        }
    }
}

/// Starts a VM that is not active.
///
/// # Errors
/// A [`Failure`] when it is active, its configuration cannot work or a file cannot be read; the VM keeps that failure.
pub(super) async fn start(state: &SharedState, vm_id: &str) -> Result<(), Failure> {
    let Some(definition) = state.borrow().vm(vm_id).map(|vm| vm.definition.clone()) else {
        return Ok(());
    };
    let blobs = files::open(&definition.files, &definition.file_names()).await;
    let mut borrowed = state.borrow_mut();
    let Some(vm) = borrowed.vm_mut(vm_id) else {
        return Ok(());
    };
    let result = blobs.and_then(|blobs| Ok((blobs, vm.definition.qemu_args()?)));
    let result = result.and_then(|(blobs, args)| {
        vm.transition(Transition::Start)?;
        vm.run += 1;
        let run = Run {
            vm_id: vm_id.to_owned(),
            number: vm.run,
        };
        let worker = VmWorker::spawn({
            let state = Rc::downgrade(state);
            move |event| {
                if let Some(state) = state.upgrade() {
                    from_worker(&state, &run, event);
                }
            }
        })
        .inspect_err(|failure| {
            vm.info.state = VmState::Crashed {
                reason: failure.message.clone(),
            }
        })?;
        vm.info.started_at = now();
        vm.info.phases.clear();
        vm.info.progress = Some(Progress {
            phase: Phase::Fetch,
            done: 0,
            total: None,
        });
        vm.info.warnings = args.warnings.iter().map(ToString::to_string).collect();
        vm.info.args.clone_from(&args.args);
        vm.console = Console::default();
        vm.events.clear();
        vm.meter = Meter::default();
        vm.machine = Some(Machine {
            worker,
            args,
            blobs,
            link: None,
            serial: None,
            agent: None,
            control: None,
            size: None,
            last_lines: Vec::new(),
            shutting_down: false,
        });
        Ok(())
    });
    vm.info.failure = result.as_ref().err().cloned();
    borrowed.publish_vm(vm_id);
    result
}

/// Takes what a VM's Worker says.
fn from_worker(state: &SharedState, run: &Run, event: FromWorker) {
    let mut borrowed = state.borrow_mut();
    let Some(vm) = borrowed.vm_in_run(run) else { return };
    let (event, attachments) = match event {
        FromWorker::Message(data) => match parse(&data) {
            Ok(parsed) => parsed,
            Err(failure) => return borrowed.crash(run, failure),
        },
        FromWorker::Error(message) => {
            let failure = Failure::new(format!("QEMU crashed: {message}"));
            return borrowed.crash(run, failure.with_next_step("Start the VM again."));
        }
    };
    match event {
        VmWorkerEvent::Ready => boot(vm),
        VmWorkerEvent::Progress { progress } => {
            if progress.phase > Phase::Fetch {
                vm.finish_phase(Phase::Fetch, None);
            }
            vm.info.progress = Some(progress);
            borrowed.clients.broadcast(&Event::Progress {
                vm_id: run.vm_id.clone(),
                progress,
            });
        }
        VmWorkerEvent::Loaded { directory } => {
            vm.finish_phase(Phase::Load, Some(Phase::Machine));
            let opened = attachments
                .first()
                .and_then(|memory| memory.dyn_ref::<SharedArrayBuffer>())
                .ok_or_else(|| Failure::new("expected QEMU's memory with its Loaded message"))
                .and_then(|buffer| Link::open(JsSharedMemory::new(buffer), directory));
            match opened {
                Ok(link) => {
                    if let Some(machine) = &mut vm.machine {
                        machine.link = Some(link.clone());
                    }
                    borrowed.publish_vm(&run.vm_id);
                    drop(borrowed);
                    watch_channels(state, run, &link);
                }
                Err(failure) => borrowed.crash(run, failure),
            }
        }
        VmWorkerEvent::Output { line } => {
            if let Some(machine) = &mut vm.machine {
                machine.last_lines.push(line.clone());
                let excess = machine.last_lines.len().saturating_sub(LAST_LINES);
                machine.last_lines.drain(..excess);
            }
            borrowed.log(run, LogLevel::Info, line);
        }
        VmWorkerEvent::Exited { code } => match vm.verdict(code) {
            Transition::Crash(reason) => borrowed.crash(run, Failure::new(reason)),
            verdict => {
                // Cannot fail: a VM with a Worker is active.
                if vm.end(verdict).is_ok() {
                    borrowed.publish_end(&run.vm_id);
                }
            }
        },
        VmWorkerEvent::Failed { failure } => borrowed.crash(run, failure),
    }
}

fn parse(data: &JsValue) -> Result<(VmWorkerEvent, Vec<JsValue>), Failure> {
    let packet =
        packet_from_js(data).ok_or_else(|| Failure::new("expected a message from the VM's Worker"))?;
    let event = serde_json::from_str(&packet.json).map_err(|error| Failure::from_error(&error))?;
    Ok((event, packet.attachments))
}

/// Tells the Worker, which is ready now, what to do.
fn boot(vm: &mut Vm) {
    let Some(machine) = &vm.machine else { return };
    let command = VmWorkerCommand::Boot {
        arch: machine.args.arch,
        args: machine.args.args.clone(),
        files: machine.args.files_to_mount.clone(),
        heap_mib: vm.definition.heap_mib(),
    };
    let json = serde_json::to_string(&command).unwrap_or_default();
    let packet = Packet {
        version: protocol::VERSION,
        json,
        attachments: machine.blobs.clone(),
    };
    machine.worker.post(&packet_to_js(&packet));
}

fn watch_channels(state: &SharedState, run: &Run, link: &Link) {
    let found = {
        let (state, run, link) = (Rc::downgrade(state), run.clone(), link.clone());
        move |channel| {
            if let Some(state) = state.upgrade() {
                attach(&state, &run, &link, channel);
            }
        }
    };
    link.watch(found, crash_later(state, run));
}

/// What to call when a channel fails: its VM's QEMU cannot be trusted any more.
fn crash_later(state: &SharedState, run: &Run) -> impl Fn(Failure) + Clone + 'static {
    let (state, run) = (Rc::downgrade(state), run.clone());
    move |failure| {
        if let Some(state) = state.upgrade() {
            state.borrow_mut().crash(&run, failure);
        }
    }
}

/// Connects a channel that QEMU opened with what it is for.
fn attach(state: &SharedState, run: &Run, link: &Link, channel: Channel) {
    let deliver: fn(&mut State, &Run, &[u8]) = {
        let mut borrowed = state.borrow_mut();
        let Some(vm) = borrowed.vm_in_run(run) else { return };
        let Some(machine) = &mut vm.machine else { return };
        let sender = link.sender(channel.clone(), crash_later(state, run));
        match channel.name.as_str() {
            SERIAL_CHANNEL => {
                machine.serial = Some(sender);
                State::serial_out
            }
            QMP_CHANNEL => {
                machine.control = Some(Control::new(sender));
                State::control_out
            }
            AGENT_CHANNEL => {
                machine.agent = Some(sender);
                machine.tell_size();
                |_, _, _| {}
            }
            name if vm.capture.attach(name, &sender) => {
                sender.on_drained(pump_later(state, run));
                match name {
                    CAPTURE_CHANNEL => State::annotated,
                    _ => |_, _, _| {},
                }
            }
            other => {
                let line = format!("QEMU opened a channel “{other}” that nobody uses");
                return borrowed.log(run, LogLevel::Warning, line);
            }
        }
    };
    let (state_of_ring, run_of_ring) = (Rc::downgrade(state), run.clone());
    link.receive(
        &channel,
        move |bytes| {
            if let Some(state) = state_of_ring.upgrade() {
                deliver(&mut state.borrow_mut(), &run_of_ring, &bytes);
            }
        },
        crash_later(state, run),
    );
}

/// What to call when a capture's port has room again.
fn pump_later(state: &SharedState, run: &Run) -> impl Fn() + 'static {
    let (state, run) = (Rc::downgrade(state), run.clone());
    move || {
        let Some(state) = state.upgrade() else { return };
        if let Some(vm) = state.borrow_mut().vm_in_run(&run) {
            vm.capture.pump();
        }
        publish_capture_later(&state, &run.vm_id);
    }
}

/// Tells clients how a VM's captures are, soon: many changes make one message.
pub(super) fn publish_capture_later(state: &SharedState, vm_id: &str) {
    let mut borrowed = state.borrow_mut();
    let Some(vm) = borrowed.vm_mut(vm_id) else { return };
    if std::mem::replace(&mut vm.capture_to_tell, true) {
        return;
    }
    let (state, vm_id) = (Rc::downgrade(state), vm_id.to_owned());
    spawn_local(async move {
        TimeoutFuture::new(CAPTURE_NEWS_MS).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = state.borrow_mut();
        let Some(vm) = state.vm_mut(&vm_id) else { return };
        vm.capture_to_tell = false;
        if let Some(status) = vm.capture.news() {
            vm.info.capture = status;
            state.publish_vm(&vm_id);
        }
    });
}

impl State {
    fn serial_out(&mut self, run: &Run, bytes: &[u8]) {
        let Some(vm) = self.vm_in_run(run) else { return };
        let Pushed { offset, ready } = vm.console.push(bytes);
        let first = vm.info.state.is_active() && !vm.info.phases.contains_key(&Phase::Firmware);
        if first {
            let next = vm.definition.tells_when_ready().then_some(Phase::Kernel);
            vm.finish_phase(Phase::Firmware, next);
        }
        if ready {
            vm.finish_phase(Phase::Kernel, None);
        }
        self.clients.serial_out(&run.vm_id, offset, bytes);
        if first || ready {
            self.publish_vm(&run.vm_id);
        }
    }

    /// What a guest says about exchanges, to all clients.
    fn annotated(&mut self, run: &Run, bytes: &[u8]) {
        let Some(vm) = self.vm_in_run(run) else { return };
        let annotations = vm.capture.annotations(bytes);
        if !annotations.is_empty() {
            self.clients.broadcast(&Event::CaptureAnnotated {
                vm_id: run.vm_id.clone(),
                annotations,
            });
        }
    }

    fn control_out(&mut self, run: &Run, bytes: &[u8]) {
        let heard = self
            .vm_in_run(run)
            .and_then(|vm| vm.machine.as_mut())
            .and_then(|machine| machine.control.as_mut())
            .map(|control| (control.receive(bytes), control.take_events()));
        let (notices, events) = heard.unzip();
        for (name, data) in events.into_iter().flatten() {
            self.note_event(run, name, data);
        }
        for notice in notices.into_iter().flatten() {
            match notice {
                Ok(notice) => self.take_notice(run, &notice),
                Err(error) => self.log(run, LogLevel::Warning, Failure::from_error(&error).to_string()),
            }
        }
    }

    fn take_notice(&mut self, run: &Run, notice: &Notice) {
        let Some(vm) = self.vm_in_run(run) else { return };
        let starting = vm.info.state == VmState::Starting;
        // A transition that does not exist leaves the state as it is, which is right for late events.
        match notice {
            Notice::Status(status) => {
                vm.finish_phase(Phase::Machine, Some(Phase::Firmware));
                metrics::ask_guest_for_memory(vm);
                let _ = vm.transition(if status == "running" {
                    Transition::Run
                } else {
                    Transition::Pause
                });
            }
            Notice::Stop => drop(vm.transition(Transition::Pause)),
            Notice::Resume => drop(vm.transition(Transition::Run)),
            Notice::Reset => {
                vm.info.started_at = now();
                vm.info.phases.clear();
                vm.info.progress = Some(Progress {
                    phase: Phase::Firmware,
                    done: 0,
                    total: None,
                });
            }
            Notice::Shutdown => {
                if let Some(machine) = &mut vm.machine {
                    machine.shutting_down = true;
                }
            }
            Notice::Port { id, open } => {
                vm.capture.opened(id, *open);
                if let Some(status) = vm.capture.news() {
                    vm.info.capture = status;
                }
            }
            Notice::Panicked => {
                return self.log(run, LogLevel::Error, "the guest's kernel panicked".to_owned());
            }
        }
        self.publish_vm(&run.vm_id);
        if starting && matches!(notice, Notice::Status(_)) {
            self.clients.broadcast(&Event::VmStarted {
                vm_id: run.vm_id.clone(),
            });
        }
    }

    /// Ends a run that failed, with QEMU's last lines as causes if nothing better is known.
    fn crash(&mut self, run: &Run, mut failure: Failure) {
        let Some(vm) = self.vm_in_run(run) else { return };
        if failure.causes.is_empty() {
            failure.causes = vm
                .machine
                .as_ref()
                .map(|machine| machine.last_lines.clone())
                .unwrap_or_default();
        }
        // A VM that ended already keeps its first reason.
        if vm.end(Transition::Crash(failure.message.clone())).is_err() {
            return;
        }
        vm.info.failure = Some(failure.clone());
        self.clients.broadcast(&Event::Error {
            vm_id: Some(run.vm_id.clone()),
            failure,
        });
        self.publish_end(&run.vm_id);
    }

    /// Tells all clients that a VM has ended.
    pub(super) fn publish_end(&mut self, vm_id: &str) {
        self.publish_vm(vm_id);
        if let Some(vm) = self.vm(vm_id) {
            let event = Event::VmStopped {
                vm_id: vm_id.to_owned(),
                state: vm.info.state.clone(),
            };
            self.clients.broadcast(&event);
        }
    }

    fn log(&self, run: &Run, level: LogLevel, message: String) {
        self.clients.broadcast(&Event::Log {
            vm_id: Some(run.vm_id.clone()),
            level,
            message,
        });
    }
}
