//! What is kept of disks: told, forgotten, and copied.

use qemuweb_wire::Failure;
use qemuweb_wire::call::DiscardDisk;
use qemuweb_wire::disk::KeptDisk;

use crate::clients::Ticket;
use crate::core::Core;
use crate::io::Effect;
use crate::storage::{DiskJob, generation};
use crate::task::{Task, WithDisks};
use crate::vm::Vm;

impl<A: Clone + 'static> Core<A> {
    pub(crate) fn list_disks(&mut self, ticket: Ticket) {
        self.do_with_disks(ticket, WithDisks::List, DiskJob::List);
    }

    pub(crate) fn discard_disk(&mut self, ticket: Ticket, call: DiscardDisk) {
        let DiscardDisk { vm_id, disk_id } = call;
        if let Some(vm) = self.vm(&vm_id).filter(|vm| vm.machine.life.is_active()) {
            let failure = Failure::new(format!("{} is {}", vm.machine.info.name, vm.machine.life));
            let failure = failure.with_next_step("Stop it before you discard what it has written.");
            return self.reply::<()>(ticket, Err(failure));
        }
        self.do_with_disks(ticket, WithDisks::Discard, DiskJob::Discard { vm_id, disk_id });
    }

    /// The name of the VM that a disk belongs to: one of the same id that is gone has others.
    fn owner_of(&self, vm_id: &str, disk_id: &str) -> Option<String> {
        let vms = self.vms.iter().chain(&self.removed);
        let is_owner = |vm: &&Vm<A>| vm.id() == vm_id && disk_id.ends_with(&generation(vm.born));
        vms.into_iter()
            .find(is_owner)
            .map(|vm| vm.machine.info.name.clone())
    }

    pub(crate) fn do_with_disks(&mut self, ticket: Ticket, what: WithDisks, job: DiskJob) {
        let task = Task::Disks { ticket, what };
        self.hub.begin(task, |task| Effect::DoWithDisks(task, job));
    }

    pub(crate) fn did_with_disks(
        &mut self,
        ticket: Ticket,
        what: WithDisks,
        done: Result<Vec<KeptDisk>, Failure>,
    ) {
        match (what, done) {
            (WithDisks::List, told) => {
                let told = told.map(|mut disks| {
                    for disk in &mut disks {
                        disk.vm_name = self.owner_of(&disk.vm_id, &disk.disk_id);
                    }
                    disks
                });
                self.reply(ticket, told);
            }
            (WithDisks::Discard, done) => {
                self.measure_storage();
                self.reply(ticket, done.map(drop));
            }
            (WithDisks::Copy { call, born }, done) => {
                let done = done.and_then(|_| self.cloned(call, born));
                self.measure_storage();
                self.reply(ticket, done);
            }
        }
    }
}
