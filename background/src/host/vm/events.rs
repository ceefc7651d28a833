//! What comes to a VM while it runs: from its Worker, from QEMU's channels, and from its monitor.

use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use js_sys::SharedArrayBuffer;
use qemuweb_runtime::console::Pushed;
use qemuweb_runtime::protocol::{Event, LogLevel, Phase, Progress};
use qemuweb_runtime::state::Transition;
use qemuweb_runtime::vm_worker::VmWorkerEvent;
use qemuweb_runtime::{Failure, VmState};
use qemuweb_shm::directory::{Channel, DirectoryError, Owner};
use qemuweb_shm::web::{JsSharedMemory, Link, PumpError};
use qemuweb_vm_config::{AGENT_CHANNEL, CAPTURE_CHANNEL, QMP_CHANNEL, SERIAL_CHANNEL};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;

use crate::host::control::{Control, Notice};
use crate::host::worker::FromWorker;
use crate::host::{Run, SharedState, State, metrics, now};

/// Lines of QEMU's own output that are kept to explain its end.
const LAST_LINES: usize = 20;

/// Most bytes that wait for room in a channel.
const QUEUE: usize = 4 << 20;

/// How often at most clients are told how captures are, in milliseconds.
const CAPTURE_NEWS_MS: u32 = 200;

/// Takes what a VM's Worker says.
pub(super) fn from_worker(state: &SharedState, run: &Run, event: FromWorker) {
    let mut borrowed = state.borrow_mut();
    let Some(vm) = borrowed.vm_in_run(run) else { return };
    let (event, attachments) = match event {
        Ok(event) => event,
        Err(failure) => return borrowed.crash(run, failure),
    };
    // After the end, its variables are all that a VM has still to tell.
    if vm.machine.is_none() && !matches!(event, VmWorkerEvent::UefiVariables { .. }) {
        return;
    }
    match event {
        // Taken by whoever holds the Worker.
        VmWorkerEvent::Ready => {}
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
                .and_then(|buffer| {
                    Link::open(JsSharedMemory::new(buffer), directory)
                        .map_err(|error| Failure::from_error(&error))
                });
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
        VmWorkerEvent::UefiVariables { file } => borrowed.take_variables(run, file, &attachments),
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

fn watch_channels(state: &SharedState, run: &Run, link: &Link) {
    let found = {
        let (state, run, link) = (Rc::downgrade(state), run.clone(), link.clone());
        move |channel: Result<Channel, DirectoryError>| {
            let Some(state) = state.upgrade() else { return };
            match channel {
                Ok(channel) => attach(&state, &run, &link, channel),
                Err(error) => state.borrow().log(&run, LogLevel::Warning, error.to_string()),
            }
        }
    };
    link.watch(Owner::Host, found, crash_later(state, run));
}

/// What to call when a channel fails: its VM's QEMU cannot be trusted any more.
fn crash_later(state: &SharedState, run: &Run) -> impl Fn(PumpError) + Clone + 'static {
    let (state, run) = (Rc::downgrade(state), run.clone());
    move |error| {
        if let Some(state) = state.upgrade() {
            state.borrow_mut().crash(&run, Failure::from_error(&error));
        }
    }
}

/// Connects a channel that QEMU opened with what it is for.
fn attach(state: &SharedState, run: &Run, link: &Link, channel: Channel) {
    let deliver: fn(&mut State, &Run, &[u8]) = {
        let mut borrowed = state.borrow_mut();
        let Some(vm) = borrowed.vm_in_run(run) else { return };
        let Some(machine) = &mut vm.machine else { return };
        let sender = link.sender(&channel, channel.rings[0], QUEUE, crash_later(state, run));
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
        channel.rings[1],
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
pub(in crate::host) fn publish_capture_later(state: &SharedState, vm_id: &str) {
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
        let arch = vm.definition.vm.profile.arch;
        self.clients.serial_out(run, offset, bytes);
        if first || ready {
            self.publish_vm(&run.vm_id);
        }
        if ready {
            self.prepare(arch, Vec::new());
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
                vm.port_changed(id, *open);
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
    pub(in crate::host) fn publish_end(&mut self, vm_id: &str) {
        self.publish_vm(vm_id);
        if let Some(vm) = self.vm(vm_id) {
            let event = Event::VmStopped {
                vm_id: vm_id.to_owned(),
                state: vm.info.state.clone(),
            };
            let arch = vm.definition.vm.profile.arch;
            self.clients.broadcast(&event);
            self.prepare(arch, Vec::new());
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
