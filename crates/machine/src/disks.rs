//! Disks that nobody uses: told of, forgotten, copied, exported and imported.

use qemuweb_vm_config::{DiskFormat, Keep};
use qemuweb_wire::Failure;
use qemuweb_wire::call::{DiscardDisk, ExportDisk, ImportDisk};
use qemuweb_wire::disk::{ExportAs, Exported, KeptDisk, VmDisk};

use crate::clients::Ticket;
use crate::core::{Core, unknown};
use crate::definition::qemu_args;
use crate::io::{Attached, Effect};
use crate::storage::{DiskJob, DiskOrder, WholeDisk, generation, orders};
use crate::task::{Task, WithDisks};
use crate::vm::Vm;

impl<A: Clone + 'static> Core<A> {
    pub(crate) fn list_disks(&mut self, ticket: Ticket) {
        self.do_with_disks(ticket, WithDisks::List, DiskJob::List, Vec::new());
    }

    pub(crate) fn discard_disk(&mut self, ticket: Ticket, call: DiscardDisk) {
        let DiscardDisk { vm_id, disk_id } = call;
        if let Err(failure) = self.check_unused(&vm_id) {
            return self.reply::<()>(ticket, Err(failure));
        }
        let job = DiskJob::Discard { vm_id, disk_id };
        self.do_with_disks(ticket, WithDisks::Discard, job, Vec::new());
    }

    pub(crate) fn vm_disks(&mut self, ticket: Ticket, vm_id: &str) {
        let disks = self.orders_of(vm_id).map(|orders| {
            let disks = orders.into_iter().map(|DiskOrder { mount, disk_id }| VmDisk {
                channel: mount.channel,
                disk_id,
                image: mount.source.file_name().to_owned(),
                format: mount.format,
                kind: mount.kind,
                keep: mount.keep,
            });
            disks.collect::<Vec<_>>()
        });
        self.reply(ticket, disks);
    }

    pub(crate) fn export_disk(&mut self, ticket: Ticket, call: &ExportDisk) {
        let disk = match self.whole_disk(&call.vm_id, &call.disk_id) {
            Ok(disk) => disk,
            Err(failure) => return self.reply::<Exported>(ticket, Err(failure)),
        };
        let name = self.vm(&call.vm_id).map_or("", |vm| &vm.machine.info.name);
        let name = export_name(name, &disk.order, call.format);
        let format = call.format;
        self.open_disk(
            ticket,
            DiskJob::Export { disk, format },
            WithDisks::Export { name },
            None,
        );
    }

    pub(crate) fn import_disk(&mut self, ticket: Ticket, call: &ImportDisk, attachments: Vec<Attached<A>>) {
        let disk = match self.whole_disk(&call.vm_id, &call.disk_id) {
            Ok(disk) => disk,
            Err(failure) => return self.reply::<()>(ticket, Err(failure)),
        };
        match attachments.into_iter().next() {
            Some(file @ Attached::File(_)) => {
                self.open_disk(ticket, DiskJob::Import { disk }, WithDisks::Import, Some(file));
            }
            _ => self.reply::<()>(
                ticket,
                Err(Failure::new("expected a file as the first attachment")),
            ),
        }
    }

    /// A disk of a VM that does not run.
    fn whole_disk(&self, vm_id: &str, disk_id: &str) -> Result<WholeDisk, Failure> {
        self.check_unused(vm_id)?;
        let mut orders = self.orders_of(vm_id)?.into_iter();
        let order = orders.find(|order| order.disk_id == disk_id).ok_or_else(|| {
            Failure::new(format!("{vm_id} has no disk {disk_id}"))
                .with_next_step("It may have been defined anew, with another image: choose the disk again.")
        })?;
        if order.mount.keep == Keep::UntilPowerOff {
            return Err(
                Failure::new("what is written to this disk is discarded at power off")
                    .with_next_step("Change that in the VM's settings."),
            );
        }
        Ok(WholeDisk {
            vm_id: vm_id.to_owned(),
            arch: self.vm(vm_id).ok_or_else(|| unknown(vm_id))?.arch(),
            order,
        })
    }

    fn orders_of(&self, vm_id: &str) -> Result<Vec<DiskOrder>, Failure> {
        let vm = self.vm(vm_id).ok_or_else(|| unknown(vm_id))?;
        Ok(orders(qemu_args(&vm.machine.info.definition)?.disks, vm.born))
    }

    /// That no run of the VM, if it is there, uses its disks.
    fn check_unused(&self, vm_id: &str) -> Result<(), Failure> {
        match self.vm(vm_id).filter(|vm| vm.machine.life.is_active()) {
            Some(vm) => {
                let failure = Failure::new(format!("{} is {}", vm.machine.info.name, vm.machine.life));
                Err(failure.with_next_step("Shut it down first: it is writing to its disks."))
            }
            None => Ok(()),
        }
    }

    /// Opens the files of a VM, for something that is to be done with one of its disks.
    fn open_disk(&mut self, ticket: Ticket, job: DiskJob, what: WithDisks, file: Option<Attached<A>>) {
        let (DiskJob::Export { disk, .. } | DiskJob::Import { disk }) = &job else {
            return;
        };
        let Some(vm) = self.vm(&disk.vm_id) else { return };
        match self.files_of(&vm.machine.info) {
            Ok(files) => {
                let opening = Task::OpenDisk {
                    ticket,
                    job: Box::new(job),
                    what,
                    file,
                };
                self.hub.begin(opening, |task| Effect::OpenFiles { task, files });
            }
            Err(failure) => self.reply::<()>(ticket, Err(failure)),
        }
    }

    /// The files of a VM are open.
    pub(crate) fn opened_disk(
        &mut self,
        ticket: Ticket,
        mut job: DiskJob,
        what: WithDisks,
        files: Result<Vec<A>, Failure>,
        file: Option<Attached<A>>,
    ) {
        let attachments = files.and_then(|files| {
            let mut attachments: Vec<_> = files.into_iter().map(Attached::File).collect();
            if let DiskJob::Export { disk, .. } | DiskJob::Import { disk } = &mut job {
                // It may have been started meanwhile: then its lock is taken, and the job fails.
                let source = std::iter::once(&mut disk.order.mount.source);
                self.library.attach(source, &mut attachments)?;
            }
            attachments.extend(file);
            Ok(attachments)
        });
        match attachments {
            Ok(attachments) => self.do_with_disks(ticket, what, job, attachments),
            Err(failure) => self.reply::<()>(ticket, Err(failure)),
        }
    }

    /// The name of the VM that a disk belongs to: one of the same id that is gone has others.
    fn owner_of(&self, vm_id: &str, disk_id: &str) -> Option<String> {
        let mut vms = self.vms.iter().chain(&self.removed);
        let is_owner = |vm: &&Vm<A>| vm.id() == vm_id && disk_id.ends_with(&generation(vm.born));
        vms.find(is_owner).map(|vm| vm.machine.info.name.clone())
    }

    pub(crate) fn do_with_disks(
        &mut self,
        ticket: Ticket,
        what: WithDisks,
        job: DiskJob,
        attachments: Vec<Attached<A>>,
    ) {
        let doing = Task::Disks { ticket, what };
        self.hub.begin(doing, |task| Effect::DoWithDisks {
            task,
            job: Box::new(job),
            attachments,
        });
    }

    pub(crate) fn did_with_disks(
        &mut self,
        ticket: Ticket,
        what: WithDisks,
        done: Result<(Vec<KeptDisk>, Option<A>), Failure>,
    ) {
        match what {
            WithDisks::List => {
                let told = done.map(|(mut disks, _)| {
                    for disk in &mut disks {
                        disk.vm_name = self.owner_of(&disk.vm_id, &disk.disk_id);
                    }
                    disks
                });
                self.reply(ticket, told);
            }
            WithDisks::Export { name } => match done {
                Ok((_, file)) => {
                    let reply = Ok(Exported { name });
                    self.hub
                        .clients
                        .reply_with(ticket, reply, file.into_iter().collect());
                }
                Err(failure) => self.reply::<Exported>(ticket, Err(failure)),
            },
            WithDisks::Discard | WithDisks::Import => {
                self.measure_storage();
                self.reply(ticket, done.map(drop));
            }
            WithDisks::Copy { call, born } => {
                let done = done.and_then(|_| self.cloned(call, born));
                self.measure_storage();
                self.reply(ticket, done);
            }
        }
    }
}

/// What a file with a disk may be called: the VM's name and the disk's, with what file systems take in names.
fn export_name(vm: &str, order: &DiskOrder, format: ExportAs) -> String {
    let plain = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let vm: String = vm.chars().map(plain).collect();
    let extension = match (format, order.mount.format) {
        (ExportAs::Overlay, _) => "qwoverlay",
        (ExportAs::Raw, DiskFormat::Raw | DiskFormat::Qcow2) => "img",
        (ExportAs::Raw, format) => format.as_str(),
        (ExportAs::Qcow2 | ExportAs::Qcow2Zlib | ExportAs::Qcow2Zstd, _) => "qcow2",
    };
    format!("{vm}-{}.{extension}", order.mount.channel)
}
