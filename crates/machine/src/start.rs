//! Starting machines, and what people ask of those that run.

use std::rc::Rc;

use qemuweb_wire::Failure;
use qemuweb_wire::vm::VmInfo;

use crate::clients::Ticket;
use crate::control::Asker;
use crate::core::{Core, unknown};
use crate::definition::{file_names, heap_mib, not_kept, qemu_args};
use crate::hub::Timer;
use crate::io::{Attached, Content, Effect, RunId};
use crate::machine::Machine;
use crate::storage::orders;
use crate::task::Task;
use crate::vm::Vm;
use crate::worker::{Boot, BootOrder};

/// How long a Worker has to say that it is there, in milliseconds.
pub(crate) const READY_MS: u32 = 30_000;

impl<A: Clone + 'static> Core<A> {
    /// Whether this browser can run VMs.
    ///
    /// # Errors
    /// A [`Failure`] that names what is missing.
    pub(crate) fn can_run(&self) -> Result<(), Failure> {
        let missing = self.capabilities.missing();
        missing
            .into_iter()
            .find(|missing| missing.fatal)
            .map_or(Ok(()), |missing| {
                let text = format!(
                    "this browser offers no {}, without which no VM can run",
                    missing.name
                );
                Err(Failure::new(text).with_next_step(missing.advice))
            })
    }

    pub(crate) fn restart_vm(&mut self, ticket: Ticket, vm_id: &str) {
        match self.can_run() {
            Ok(()) => self.start(ticket, vm_id),
            Err(failure) => self.reply::<()>(ticket, Err(failure)),
        }
    }

    /// Starts a VM that is not active: its files are opened first.
    pub(crate) fn start(&mut self, ticket: Ticket, vm_id: &str) {
        match self.begin_start(ticket, vm_id) {
            Ok(()) => {}
            Err(failure) => self.reply::<()>(ticket, Err(failure)),
        }
    }

    fn begin_start(&mut self, ticket: Ticket, vm_id: &str) -> Result<(), Failure> {
        let vm = self.vm(vm_id).ok_or_else(|| unknown(vm_id))?;
        vm.machine.life.may_start()?;
        if vm.variables_to_come.is_some() || vm.disks_to_come.is_some() {
            self.delayed.push((vm_id.to_owned(), ticket));
            return Ok(());
        }
        let revision = vm.machine.info.revision;
        let files = match self.files_of(&vm.machine.info) {
            Ok(files) => files,
            Err(failure) => return self.note_refused_start(vm_id, Err(failure)),
        };
        if files.is_empty() {
            self.opened(ticket, vm_id, revision, Ok(Vec::new()));
            return Ok(());
        }
        let starting = Task::Start {
            ticket,
            vm_id: vm_id.to_owned(),
            revision,
        };
        self.hub.begin(starting, |task| Effect::OpenFiles { task, files });
        Ok(())
    }

    /// The files of a VM with their names, to be opened.
    ///
    /// # Errors
    /// A [`Failure`] that names one whose bytes were not kept.
    pub(crate) fn files_of(&self, info: &VmInfo) -> Result<Vec<(String, Content<A>)>, Failure> {
        let names = file_names(&info.definition.inputs, info.files.len());
        let files = names.into_iter().zip(&info.files).map(|(name, id)| {
            let content = self.files.get(*id).cloned();
            Ok((name.clone(), content.ok_or_else(|| not_kept(&name))?))
        });
        files.collect()
    }

    /// One of the VM's former Workers has told its last: starts that have waited for both go on.
    pub(crate) fn start_delayed(&mut self, vm_id: &str) {
        let waits = |vm: &Vm<A>| vm.variables_to_come.is_some() || vm.disks_to_come.is_some();
        if self.vm(vm_id).is_some_and(waits) {
            return;
        }
        let delayed: Vec<_> = self.delayed.extract_if(.., |(id, _)| id == vm_id).collect();
        for (vm_id, ticket) in delayed {
            self.start(ticket, &vm_id);
        }
    }

    /// A VM is removed whose start has waited.
    pub(crate) fn refuse_delayed(&mut self, vm_id: &str) {
        let delayed: Vec<_> = self.delayed.extract_if(.., |(id, _)| id == vm_id).collect();
        for (vm_id, ticket) in delayed {
            self.reply::<()>(ticket, Err(unknown(&vm_id)));
        }
    }

    /// The files of a VM that is to be started are open.
    pub(crate) fn opened(
        &mut self,
        ticket: Ticket,
        vm_id: &str,
        revision: u64,
        files: Result<Vec<A>, Failure>,
    ) {
        // It may have been defined anew meanwhile, with other files, or removed, or started by somebody else.
        match self.vm(vm_id) {
            None => return self.reply::<()>(ticket, Err(unknown(vm_id))),
            Some(vm) if vm.machine.info.revision != revision => return self.start(ticket, vm_id),
            Some(vm) => {
                if let Err(failure) = vm.machine.life.may_start() {
                    return self.reply::<()>(ticket, Err(failure));
                }
            }
        }
        let booted = files.and_then(|files| self.boot(vm_id, files));
        let booted = self.note_refused_start(vm_id, booted);
        self.reply(ticket, booted);
    }

    /// Keeps why a VM that could have been started was not.
    fn note_refused_start(&mut self, vm_id: &str, started: Result<(), Failure>) -> Result<(), Failure> {
        if let (Err(failure), Some(vm)) = (&started, self.vm_mut(vm_id)) {
            vm.machine.info.failure = Some(failure.clone());
            vm.machine.touch();
        }
        started
    }

    fn boot(&mut self, vm_id: &str, files: Vec<A>) -> Result<(), Failure> {
        let run = RunId(self.hub.number());
        let vm = self.vms.iter_mut().find(|vm| vm.id() == vm_id);
        let vm = vm.ok_or_else(|| unknown(vm_id))?;
        let definition = &vm.machine.info.definition;
        let mut args = qemu_args(definition)?;
        let heap_mib = heap_mib(definition);
        let mut attachments: Vec<_> = files.into_iter().map(Attached::File).collect();
        let mut disks = orders(std::mem::take(&mut args.disks), vm.born);
        let mounted = args.files_to_mount.iter_mut().map(|file| &mut file.source);
        let served = disks.iter_mut().map(|disk| &mut disk.mount.source);
        self.library.attach(mounted.chain(served), &mut attachments)?;
        vm.machine.life.start()?;
        let mounted = |file: &str| {
            let mut files = args.files_to_mount.iter();
            files.any(|mount| mount.uefi_variables() == Some(file))
        };
        let mut uefi_variables = None;
        if let Some(variables) = vm.variables.as_ref().filter(|variables| mounted(&variables.file)) {
            uefi_variables = u32::try_from(attachments.len()).ok();
            attachments.push(Attached::Bytes(Rc::clone(&variables.bytes)));
        }
        let has_variables = args
            .files_to_mount
            .iter()
            .any(|file| file.uefi_variables().is_some());
        vm.begin(run, &mut self.hub);
        vm.machine.has_variables = has_variables;
        vm.machine.has_disks = !disks.is_empty();
        vm.machine.info.warnings = args.warnings.iter().map(ToString::to_string).collect();
        vm.machine.info.args.clone_from(&args.args);
        let boot = Boot {
            arch: args.arch,
            args: args.args,
            files: args.files_to_mount,
            heap_mib,
            uefi_variables,
        };
        let order = Box::new(BootOrder {
            boot,
            disks,
            vm_id: vm_id.to_owned(),
            attachments,
        });
        self.hub.act(Effect::StartWorker(run, order));
        self.hub.wake(READY_MS, Timer::Ready(run));
        Ok(())
    }

    pub(crate) fn power_off(&mut self, vm_id: &str) -> Result<(), Failure> {
        let vm = self.vms.iter_mut().find(|vm| vm.id() == vm_id);
        let vm = vm.ok_or_else(|| unknown(vm_id))?;
        vm.machine.life.power_off()?;
        vm.end(&mut self.hub);
        Ok(())
    }

    pub(crate) fn shut_down(&mut self, ticket: Ticket, vm_id: &str) {
        let now = self.hub.now;
        self.ask(ticket, vm_id, |machine| {
            // What QEMU cannot be told is not wished for.
            let mut life = machine.life.clone();
            let commands = life.shut_down(now)?;
            let (last, first) = commands
                .split_last()
                .ok_or_else(|| machine.life.refusal("shut down"))?;
            for command in first {
                machine.execute(command, None, Asker::Nobody)?;
            }
            machine.execute(last, None, Asker::Done(ticket))?;
            machine.life = life;
            Ok(())
        });
    }

    pub(crate) fn pause(&mut self, ticket: Ticket, vm_id: &str) {
        self.ask(ticket, vm_id, |machine| {
            let mut life = machine.life.clone();
            machine.execute(life.pause()?, None, Asker::Obeyed(ticket))?;
            machine.life = life;
            Ok(())
        });
    }

    pub(crate) fn resume(&mut self, ticket: Ticket, vm_id: &str) {
        self.ask(ticket, vm_id, |machine| {
            let mut life = machine.life.clone();
            machine.execute(life.resume()?, None, Asker::Obeyed(ticket))?;
            machine.life = life;
            Ok(())
        });
    }

    pub(crate) fn reset(&mut self, ticket: Ticket, vm_id: &str) {
        self.ask(ticket, vm_id, |machine| {
            if !machine.life.has_machine() {
                return Err(machine.life.refusal("be reset"));
            }
            machine.execute("system_reset", None, Asker::Obeyed(ticket))
        });
    }

    /// Asks a VM's QEMU something, which answers the call.
    fn ask(&mut self, ticket: Ticket, vm_id: &str, ask: impl FnOnce(&mut Machine) -> Result<(), Failure>) {
        let asked = self.known(vm_id).and_then(|vm| {
            ask(&mut vm.machine)?;
            vm.machine.touch();
            Ok(())
        });
        if let Err(failure) = asked {
            self.reply::<()>(ticket, Err(failure));
        }
    }
}
