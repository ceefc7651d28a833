//! One VM: what it was defined with, the life of its QEMU, and its channels.
//!
//! Each start is a new run with a Worker of its own. Events that a Worker or a ring sends are taken only
//! while their run lasts (`State::vm_in_run`).

mod events;

use std::collections::VecDeque;
use std::rc::Rc;

use futures_channel::oneshot;
use qemuweb_runtime::console::Console;
use qemuweb_runtime::monitor::MonitorEvent;
use qemuweb_runtime::protocol::{Phase, Progress, VmId, VmInfo};
use qemuweb_runtime::state::{StopReason, Transition};
use qemuweb_runtime::vm_worker::VmWorkerCommand;
use qemuweb_runtime::{Failure, VmState};
use qemuweb_shm::web::{Link, Sender};
use qemuweb_vm_config::AGENT_CHANNEL;
use serde_json::Value;

use super::capture::Capture;
use super::commands::{known, unknown};
use super::control::{Answer, Control};
use super::definition::Definition;
use super::metrics::Meter;
use super::variables::Variables;
use super::worker::VmWorker;
use super::{Run, SharedState, State, files, library, now, variables};
pub(super) use events::publish_capture_later;

/// A VM and, while it is active, its QEMU.
pub(super) struct Vm {
    pub(super) info: VmInfo,
    /// The number of its latest run: when that began, in milliseconds since the epoch, so that no other host has had it.
    pub(super) run: u64,
    pub(super) console: Console,
    pub(super) capture: Capture,
    /// Whether clients are going to be told how captures are.
    capture_to_tell: bool,
    /// What it is made of; `info` shows it. Another one is another `Rc`.
    pub(super) definition: Rc<Definition>,
    /// Its place among all VMs.
    pub(super) order: u32,
    /// Whether the database says that it is active.
    pub(super) kept_active: bool,
    /// What QEMU told in its latest run.
    pub(super) events: VecDeque<MonitorEvent>,
    /// How busy it was in its latest run.
    pub(super) meter: Meter,
    /// The UEFI variables that it has written, if any.
    pub(super) variables: Option<Variables>,
    /// Whether the Worker of its latest run, which has ended, is going to tell them.
    pub(super) variables_to_come: bool,
    machine: Option<Machine>,
}

/// What exists while a QEMU does.
struct Machine {
    /// Has QEMU in it, and ends it when it goes.
    _worker: VmWorker,
    link: Option<Link>,
    serial: Option<Sender>,
    agent: Option<Sender>,
    control: Option<Control>,
    /// The terminal's size, for an agent that comes later.
    size: Option<(u16, u16)>,
    has_variables: bool,
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
            definition: Rc::new(definition),
            order,
            kept_active: false,
            events: VecDeque::new(),
            meter: Meter::default(),
            variables: None,
            variables_to_come: false,
            machine: None,
        }
    }

    /// Replaces the definition of a VM that is not active.
    pub(super) fn redefine(&mut self, name: String, definition: Definition) -> Result<(), Failure> {
        self.startable()?;
        let (run, favourite) = (self.run, self.info.favourite);
        let arch = definition.vm.profile.arch;
        *self = Self {
            run,
            variables: self.variables.take().filter(|kept| kept.are_for(arch)),
            variables_to_come: self.variables_to_come,
            ..Self::new(self.info.vm_id.clone(), name, definition, self.order)
        };
        self.info.favourite = favourite;
        Ok(())
    }

    /// What it is made of, if it can be started.
    fn startable(&mut self) -> Result<Rc<Definition>, Failure> {
        self.info
            .state
            .next(Transition::Start)
            .map_err(|error| Failure::from_error(&error))?;
        Ok(Rc::clone(&self.definition))
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
            Some(serial) if !serial.send(bytes.into()) => Err(Failure::new(format!(
                "the guest does not read its console: {} bytes were not typed",
                bytes.len()
            ))
            .with_next_step("Wait until it has taken what was typed before.")),
            _ => Ok(()),
        }
    }

    /// Tells the guest's agent the size of the terminal, now or when there is an agent.
    pub(super) fn resize_console(&mut self, rows: u16, cols: u16) {
        if let Some(machine) = &mut self.machine
            && machine.size.replace((rows, cols)) != Some((rows, cols))
        {
            machine.tell_size();
        }
    }

    /// A program in the guest opened or closed one of its ports.
    fn port_changed(&mut self, id: &str, open: bool) {
        match &self.machine {
            // An agent that has just come does not know it, and another one may have gone with a reset.
            Some(machine) if id == AGENT_CHANNEL && open => machine.tell_size(),
            _ => self.capture.opened(id, open),
        }
    }

    /// Ends the run: `transition` is an end or a crash. The Worker, and with it QEMU, is gone afterwards.
    pub(super) fn end(&mut self, transition: Transition) -> Result<(), Failure> {
        self.transition(transition)?;
        self.info.progress = None;
        self.capture.end_run();
        if let Some(machine) = self.machine.take()
            && let Some(link) = &machine.link
        {
            link.end();
            self.variables_to_come = machine.has_variables;
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
            // One that is not there yet is told when it opens its port.
            agent.send(format!("resize {rows} {cols}\n").into_bytes().into());
        }
    }
}

/// Starts a VM that is not active.
///
/// # Errors
/// A [`Failure`] when there is no such VM, or when it is active, which does nothing to the run that it is in. When its
/// configuration cannot work or a file cannot be read, the VM keeps the failure.
pub(super) async fn start(state: &SharedState, vm_id: &str) -> Result<(), Failure> {
    variables::settled(state, vm_id).await;
    let mut definition = known(state, vm_id, Vm::startable)?;
    let mut blobs = files::open(&definition.files, &definition.file_names()).await;
    loop {
        // It may have been defined anew meanwhile, with other files, or removed, or started by somebody else.
        let present = known(state, vm_id, Vm::startable)?;
        if Rc::ptr_eq(&present, &definition) {
            break;
        }
        definition = present;
        blobs = files::open(&definition.files, &definition.file_names()).await;
    }
    let contents = state.borrow().library.contents();
    let mut borrowed = state.borrow_mut();
    let State { vms, spares, .. } = &mut *borrowed;
    let Some(vm) = vms.iter_mut().find(|vm| vm.info.vm_id == vm_id) else {
        return Err(unknown(vm_id));
    };
    let result = blobs.and_then(|mut blobs| {
        let mut args = vm.definition.qemu_args()?;
        library::attach(&mut args.files_to_mount, &mut blobs, &contents)?;
        Ok((blobs, args))
    });
    let result = result.and_then(|(mut blobs, args)| {
        vm.transition(Transition::Start)?;
        vm.run = (now() as u64).max(vm.run + 1);
        vm.info.run = vm.run;
        let run = Run {
            vm_id: vm_id.to_owned(),
            number: vm.run,
        };
        let worker = spares.take(args.arch).inspect_err(|failure| {
            vm.info.state = VmState::Crashed {
                reason: failure.message.clone(),
            }
        })?;
        worker.listen({
            let state = Rc::downgrade(state);
            move |event| {
                if let Some(state) = state.upgrade() {
                    events::from_worker(&state, &run, event);
                }
            }
        });
        vm.info.started_at = now();
        vm.info.phases.clear();
        vm.info.progress = Some(Progress {
            phase: Phase::Fetch,
            done: 0,
            total: None,
        });
        vm.info.warnings = args.warnings.iter().map(ToString::to_string).collect();
        vm.info.args.clone_from(&args.args);
        let uefi_variables = vm
            .variables
            .as_ref()
            .and_then(|variables| variables.attach(&args.files_to_mount, &mut blobs));
        vm.variables_to_come = false;
        let has_variables = args
            .files_to_mount
            .iter()
            .any(|file| file.uefi_variables().is_some());
        let boot = VmWorkerCommand::Boot {
            arch: args.arch,
            args: args.args,
            files: args.files_to_mount,
            heap_mib: vm.definition.heap_mib(),
            uefi_variables,
        };
        worker.post(&boot, blobs);
        vm.console = Console::default();
        vm.events.clear();
        vm.meter = Meter::default();
        vm.machine = Some(Machine {
            _worker: worker,
            link: None,
            serial: None,
            agent: None,
            control: None,
            size: None,
            has_variables,
            last_lines: Vec::new(),
            shutting_down: false,
        });
        Ok(())
    });
    vm.info.failure = result.as_ref().err().cloned();
    borrowed.publish_vm(vm_id);
    result
}
