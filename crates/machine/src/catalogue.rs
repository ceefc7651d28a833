//! Defining, naming, copying and forgetting VMs and profiles; all of it is kept in the database.

use std::collections::HashMap;

use qemuweb_vm_config::{VmProfile, find_profile};
use qemuweb_wire::Failure;
use qemuweb_wire::call::{CloneVm, DefineVm, Defined, StartVm};
use qemuweb_wire::topic::{Machines, MachinesDelta, Profiles};
use qemuweb_wire::vm::{FileRef, VmDefinition, VmInfo};

use crate::clients::Ticket;
use crate::core::{Core, has_handles, unknown};
use crate::definition::{
    check_id, check_name, check_profile, file_names, leave_out_unused, not_kept, resolve, stored_files,
};
use crate::io::{Attached, Content, Effect, Recognize, Write};
use crate::library::not_stored;
use crate::lifecycle::Lifecycle;
use crate::storage::{DiskJob, generation};
use crate::task::{Defining, NewFile, Task, WithDisks};
use crate::vm::Vm;

/// VMs that can be brought back after they were removed.
const MAX_REMOVED: usize = 20;
/// The most VMs.
const MAX_VMS: usize = 1000;
/// The most profiles that are kept.
const MAX_PROFILES: usize = 200;

impl<A: Clone + 'static> Core<A> {
    /// Defines a VM, or anew one that is not active, and starts it.
    pub(crate) fn start_vm(&mut self, ticket: Ticket, call: StartVm, attachments: Vec<Attached<A>>) {
        let StartVm {
            vm_id,
            name,
            profile,
            inputs,
            overrides,
        } = call;
        let profile = match self.can_run().and_then(|()| resolve(profile, &self.profiles)) {
            Ok(profile) => profile,
            Err(failure) => return self.reply::<()>(ticket, Err(failure)),
        };
        let name = name.unwrap_or_else(|| profile.name.clone());
        let definition = VmDefinition {
            profile,
            inputs: *inputs,
            overrides: overrides.map(|overrides| *overrides).unwrap_or_default(),
        };
        let files = attachments.into_iter().map(new_file).collect();
        self.look_into(ticket, vm_id, &name, definition, files, None, true);
    }

    /// Defines a VM, or anew one that is not active.
    pub(crate) fn define_vm(&mut self, ticket: Ticket, call: DefineVm, attachments: Vec<Attached<A>>) {
        let DefineVm {
            vm_id,
            name,
            definition,
            files,
            replaces,
        } = call;
        let files = files.into_iter().map(|file| match file {
            FileRef::Kept(id) if self.files.is_known(id) => Ok(NewFile {
                id: Some(id),
                content: self.files.get(id).cloned(),
            }),
            FileRef::Kept(_) => Err(Failure::new("a file of this VM is not kept any more")
                .with_next_step("Close the form, open it again and choose the file.")),
            FileRef::Attached(index) => match attachments.get(index) {
                Some(attached) => new_file(attached.clone()),
                None => Err(Failure::new(format!(
                    "expected an attachment of index {index}, found {}",
                    attachments.len()
                ))),
            },
        });
        let files = files.collect();
        let checked = self.check_revision(&vm_id, replaces);
        match checked {
            Ok(()) => self.look_into(ticket, vm_id, &name, *definition, files, replaces, false),
            Err(failure) => self.reply::<()>(ticket, Err(failure)),
        }
    }

    /// Whether a definition may take the place of what there is.
    fn check_revision(&self, vm_id: &str, replaces: Option<u64>) -> Result<(), Failure> {
        match (self.vm(vm_id).map(|vm| &vm.machine.info), replaces) {
            (None, None) => Ok(()),
            (Some(info), Some(revision)) if info.revision == revision => Ok(()),
            (Some(info), Some(_)) => Err(Failure::new(format!(
                "{} has been changed in another panel meanwhile",
                info.name
            ))
            .with_next_step("Close the form and open it again: it shows what there is now.")),
            (Some(_), None) => Err(Failure::new(format!("there is a VM “{vm_id}” already"))),
            (None, Some(_)) => Err(unknown(vm_id)),
        }
    }

    /// Has the files of a definition looked into, which is then in force.
    #[expect(clippy::too_many_arguments, reason = "they are what a definition is made of")]
    fn look_into(
        &mut self,
        ticket: Ticket,
        vm_id: String,
        name: &str,
        mut definition: VmDefinition,
        files: Vec<Result<NewFile<A>, Failure>>,
        replaces: Option<u64>,
        starts: bool,
    ) {
        let looked = (|| {
            check_id(&vm_id)?;
            let name = check_name(name)?;
            check_profile(&definition.profile)?;
            if let Some(vm) = self.vm(&vm_id) {
                vm.machine.life.may_start()?;
            } else if self.vms.len() >= MAX_VMS {
                return Err(Failure::new(format!("there are {MAX_VMS} VMs"))
                    .with_next_step("Remove some that you do not need."));
            }
            let mut files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
            leave_out_unused(&mut definition.inputs, &mut files)?;
            let names = file_names(&definition.inputs, files.len());
            let contents = names.into_iter().zip(&files).map(|(name, file)| {
                let content = file.content.clone().ok_or_else(|| not_kept(&name))?;
                Ok((name, content))
            });
            let contents = contents.collect::<Result<Vec<_>, Failure>>()?;
            let mut stored = HashMap::new();
            for file in stored_files(&definition.inputs) {
                let content = self
                    .library
                    .content(&file.hash)
                    .ok_or_else(|| not_stored(&file))?;
                stored.insert(file.hash, content.clone());
            }
            Ok((name, files, contents, stored))
        })();
        let (name, files, contents, stored) = match looked {
            Ok(looked) => looked,
            Err(failure) => return self.reply::<()>(ticket, Err(failure)),
        };
        let defining = Task::Define(Box::new(Defining {
            ticket,
            vm_id,
            name,
            files,
            replaces,
            starts,
        }));
        let recognize = Box::new(Recognize {
            definition,
            files: contents,
            stored,
        });
        self.hub
            .begin(defining, |task| Effect::Recognize(task, recognize));
    }

    /// The files of a definition were looked into.
    pub(crate) fn defined(&mut self, defining: Defining<A>, found: Result<Box<VmDefinition>, Failure>) {
        let Defining {
            ticket,
            vm_id,
            name,
            files,
            replaces,
            starts,
        } = defining;
        // It may have been defined, started or removed meanwhile.
        let checked = found.and_then(|definition| {
            if !starts {
                self.check_revision(&vm_id, replaces)?;
            }
            if let Some(vm) = self.vm(&vm_id) {
                vm.machine.life.may_start()?;
            }
            Ok(definition)
        });
        let definition = match checked {
            Ok(definition) => definition,
            Err(failure) => {
                self.reply::<()>(ticket, Err(failure));
                return self.forget_unused_files();
            }
        };
        let ids = files.into_iter().map(|file| match (file.id, file.content) {
            (Some(id), _) => id,
            (None, content) => {
                let id = self.hub.number();
                if let Some(content) = content.clone() {
                    self.hub.write(Write::PutFile(id, content));
                }
                self.files.insert(id, content);
                id
            }
        });
        let ids: Vec<_> = ids.collect();
        let revision = self.hub.number();
        let mut info = VmInfo::new(vm_id.clone(), name, *definition);
        info.revision = revision;
        info.has_handles = has_handles(&self.files, &ids);
        info.files = ids;
        self.put(info);
        self.forget_unused_files();
        if starts {
            self.start(ticket, &vm_id);
        } else {
            self.reply(ticket, Ok(Defined { revision }));
        }
    }

    /// Has a definition be in force.
    fn put(&mut self, mut info: VmInfo) {
        let vm_id = info.vm_id.clone();
        let order = self.next_order();
        match self.vm_mut(&vm_id) {
            Some(vm) => {
                let former = &vm.machine.info;
                info.run = former.run;
                info.favourite = former.favourite;
                info.capture = former.capture;
                vm.machine.info = info;
                vm.machine.life = Lifecycle::default();
                vm.machine.touch();
                let arch = vm.arch();
                if vm.variables.take_if(|kept| !kept.are_for(arch)).is_some() {
                    self.keep_variables(&vm_id);
                }
            }
            None => {
                self.vms.push(Vm::new(info, order));
            }
        }
        self.keep(&vm_id);
    }

    pub(crate) fn rename_vm(&mut self, vm_id: &str, name: &str) -> Result<(), Failure> {
        let name = check_name(name)?;
        self.change(vm_id, |info| info.name = name)
    }

    pub(crate) fn set_favourite(&mut self, vm_id: &str, favourite: bool) -> Result<(), Failure> {
        self.change(vm_id, |info| info.favourite = favourite)
    }

    fn change(&mut self, vm_id: &str, change: impl FnOnce(&mut VmInfo)) -> Result<(), Failure> {
        let vm = self.known(vm_id)?;
        change(&mut vm.machine.info);
        vm.machine.touch();
        self.keep(vm_id);
        Ok(())
    }

    /// Copies a VM's disks, and then defines another like it.
    pub(crate) fn clone_vm(&mut self, ticket: Ticket, call: CloneVm) {
        if let Err(failure) = self.may_clone(&call) {
            return self.reply::<()>(ticket, Err(failure));
        }
        let born = self.hub.number();
        let copy = DiskJob::Copy {
            from: call.vm_id.clone(),
            from_suffix: generation(self.vm(&call.vm_id).map_or(0, |vm| vm.born)),
            to: call.new_id.clone(),
            to_suffix: generation(born),
        };
        self.do_with_disks(ticket, WithDisks::Copy { call, born }, copy, Vec::new());
    }

    fn may_clone(&mut self, call: &CloneVm) -> Result<(), Failure> {
        check_id(&call.new_id)?;
        check_name(&call.name)?;
        let is_known = |vm: &Vm<A>| vm.id() == call.new_id;
        if self.vms.iter().chain(&self.removed).any(is_known) {
            return Err(Failure::new(format!("there is a VM “{}” already", call.new_id)));
        }
        if self.vms.len() >= MAX_VMS {
            return Err(Failure::new(format!("there are {MAX_VMS} VMs")));
        }
        let machine = &self.known(&call.vm_id)?.machine;
        if machine.has_disks {
            return Err(
                Failure::new(format!("{} is writing to its disks", machine.info.name))
                    .with_next_step("Shut it down before you copy it."),
            );
        }
        Ok(())
    }

    /// The disks of a VM are copied for another one.
    pub(crate) fn cloned(&mut self, call: CloneVm, born: u64) -> Result<(), Failure> {
        // Others may have changed meanwhile.
        self.may_clone(&call)?;
        let CloneVm { vm_id, new_id, name } = call;
        let name = check_name(&name)?;
        let vm = self.known(&vm_id)?;
        let variables = vm.variables.clone();
        let model = &vm.machine.info;
        let mut info = VmInfo::new(new_id.clone(), name, (*model.definition).clone());
        info.files.clone_from(&model.files);
        info.has_handles = model.has_handles;
        info.revision = born;
        self.put(info);
        if let Some(vm) = self.vm_mut(&new_id)
            && variables.is_some()
        {
            vm.variables = variables;
            self.keep_variables(&new_id);
        }
        Ok(())
    }

    pub(crate) fn remove_vm(&mut self, vm_id: &str) -> Result<(), Failure> {
        let vm = self.known(vm_id)?;
        if vm.machine.life.is_active() {
            return Err(
                Failure::new(format!("{} is {}", vm.machine.info.name, vm.machine.life))
                    .with_next_step("Stop it before you remove it."),
            );
        }
        // Nobody waits any longer for what is gone.
        vm.variables_to_come = None;
        self.refuse_delayed(vm_id);
        for stream in self.hub.clients.close_streams_of(vm_id) {
            self.hub.end_stream(stream, Some(unknown(vm_id)));
            for service in 0..self.prototypes.len() {
                self.with_service(vm_id, service, |service, cx| service.stream_closed(stream, cx));
            }
        }
        let mut removed: Vec<_> = self.vms.extract_if(.., |vm| vm.id() == vm_id).collect();
        for vm in &mut removed {
            vm.each(&mut self.hub, |service, cx| service.removed(cx));
        }
        self.removed.extend(removed);
        let excess = self.removed.len().saturating_sub(MAX_REMOVED);
        self.removed.drain(..excess);
        let delta = MachinesDelta::Removed {
            vm_id: vm_id.to_owned(),
        };
        self.hub.clients.publish(&Machines, &delta);
        self.hub.write(Write::RemoveVm(vm_id.to_owned()));
        self.keep_variables(vm_id);
        self.forget_unused_files();
        Ok(())
    }

    pub(crate) fn restore_vm(&mut self, vm_id: &str) -> Result<(), Failure> {
        if self.vm(vm_id).is_some() {
            return Err(Failure::new(format!("there is a VM “{vm_id}” again")));
        }
        let place = self.removed.iter().rposition(|vm| vm.id() == vm_id);
        let mut vm = self.removed.remove(place.ok_or_else(|| unknown(vm_id))?);
        vm.machine.touch();
        let has_variables = vm.variables.is_some();
        self.vms.push(vm);
        self.vms.sort_by_key(|vm| vm.order);
        self.keep(vm_id);
        if has_variables {
            self.keep_variables(vm_id);
        }
        Ok(())
    }

    pub(crate) fn save_profile(&mut self, profile: VmProfile) -> Result<(), Failure> {
        check_profile(&profile)?;
        if find_profile(&profile.id).is_some() {
            let failure = Failure::new(format!("{} is a profile that comes with QemuWeb", profile.id));
            return Err(failure.with_next_step("Give yours another id."));
        }
        let is_known = self.profiles.iter().any(|known| known.id == profile.id);
        if !is_known && self.profiles.len() >= MAX_PROFILES {
            return Err(Failure::new(format!("there are {MAX_PROFILES} profiles"))
                .with_next_step("Remove some that you do not need."));
        }
        self.profiles.retain(|known| known.id != profile.id);
        self.profiles.push(profile.clone());
        self.profiles.sort_by(|a, b| a.name.cmp(&b.name));
        self.hub.write(Write::PutProfile(profile));
        self.hub.clients.publish(&Profiles, &self.profiles);
        Ok(())
    }

    pub(crate) fn remove_profile(&mut self, id: &str) -> Result<(), Failure> {
        if !self.profiles.iter().any(|profile| profile.id == id) {
            return Err(Failure::new(format!("there is no profile “{id}” of yours")));
        }
        self.profiles.retain(|profile| profile.id != id);
        self.hub.write(Write::RemoveProfile(id.to_owned()));
        self.hub.clients.publish(&Profiles, &self.profiles);
        Ok(())
    }

    /// Gives the handles of a VM's files, so that the person can be asked for the permission to read them.
    pub(crate) fn file_handles(&mut self, ticket: Ticket, vm_id: &str) {
        let handles = self.vm(vm_id).map(|vm| {
            let contents = vm.machine.info.files.iter().filter_map(|id| self.files.get(*id));
            let handles = contents.filter(|content| content.is_handle);
            handles.map(|content| content.file.clone()).collect()
        });
        match handles {
            Some(handles) => self.hub.clients.reply_with(ticket, Ok(()), handles),
            None => self.reply::<()>(ticket, Err(unknown(vm_id))),
        }
    }

    /// The place behind all VMs.
    fn next_order(&self) -> u32 {
        let vms = self.vms.iter().chain(&self.removed);
        vms.map(|vm| vm.order + 1).max().unwrap_or(0)
    }

    /// Keeps a VM as it is now.
    pub(crate) fn keep(&mut self, vm_id: &str) {
        if let Some(vm) = self.vm_mut(vm_id) {
            let kept = vm.keep();
            self.hub.write(Write::PutVm(kept));
        }
    }

    /// Keeps a VM's variables as they are now, or that it has none.
    pub(crate) fn keep_variables(&mut self, vm_id: &str) {
        let variables = self.vm(vm_id).and_then(|vm| vm.variables.clone());
        let vm_id = vm_id.to_owned();
        self.hub.write(match variables {
            Some(variables) => Write::PutVariables(vm_id, variables),
            None => Write::RemoveVariables(vm_id),
        });
    }
}

fn new_file<A>(attached: Attached<A>) -> Result<NewFile<A>, Failure> {
    let (file, is_handle) = match attached {
        Attached::File(file) => (file, false),
        Attached::Handle(file) => (file, true),
        Attached::Bytes(_) | Attached::Other(_) => {
            return Err(Failure::new("expected files as attachments"));
        }
    };
    Ok(NewFile {
        id: None,
        content: Some(Content { file, is_handle }),
    })
}
