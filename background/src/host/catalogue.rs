//! Defining, naming, copying and forgetting VMs and profiles; all of it is kept in the database.

use std::rc::Rc;

use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::{Event, VmDefinition, VmId};
use qemuweb_runtime::state::{StopReason, VmState};
use qemuweb_vm_config::{VmProfile, find_profile};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use super::commands::{check_id, known, unknown};
use super::definition::Definition;
use super::library::Stored;
use super::store::{KeptVm, Store};
use super::vm::Vm;
use super::{SharedState, State, files};

/// VMs that can be brought back after they were removed.
const MAX_REMOVED: usize = 20;
/// The longest name of a VM, in characters.
const LONGEST_NAME: usize = 100;
/// The most profiles that are kept.
const MAX_PROFILES: usize = 200;

/// What the database had.
pub(super) struct Kept {
    pub(super) vms: Vec<Vm>,
    pub(super) profiles: Vec<VmProfile>,
    pub(super) files: Vec<Stored>,
    pub(super) store: Option<Rc<Store>>,
    pub(super) failures: Vec<Failure>,
}

/// Reads the database. A VM that was active when the former host ended is stopped now, for the reason `ended`.
pub(super) async fn load(ended: StopReason) -> Kept {
    let mut kept = Kept {
        vms: Vec::new(),
        profiles: Vec::new(),
        files: Vec::new(),
        store: None,
        failures: Vec::new(),
    };
    match read(ended).await {
        Ok(read) => kept = read,
        Err(failure) => kept
            .failures
            .push(failure.with_next_step("VMs that you define now are forgotten when the browser closes.")),
    }
    kept
}

async fn read(ended: StopReason) -> Result<Kept, Failure> {
    let store = Store::open().await?;
    let (vms, mut failures) = store.vms().await?;
    let (mut profiles, unread) = store.profiles().await?;
    failures.extend(unread);
    profiles.sort_by(|a, b| a.name.cmp(&b.name));
    let (files, unread) = store.files().await?;
    failures.extend(unread);
    let (mut variables, unread) = store.variables().await?;
    failures.extend(unread);
    let vms = vms.into_iter().map(|kept| {
        let mut vm = revive(kept, ended);
        vm.variables = variables.remove(&vm.info.vm_id);
        vm
    });
    Ok(Kept {
        vms: vms.collect(),
        profiles,
        files,
        store: Some(Rc::new(store)),
        failures,
    })
}

fn revive(kept: KeptVm, ended: StopReason) -> Vm {
    let KeptVm {
        vm_id,
        name,
        favourite,
        started_at,
        state,
        definition,
        order,
        files,
    } = kept;
    let definition = Definition {
        vm: definition,
        files,
    };
    let mut vm = Vm::new(vm_id, name, definition, order);
    vm.info.favourite = favourite;
    vm.info.started_at = started_at;
    vm.kept_active = state.is_active();
    vm.info.state = if state.is_active() {
        VmState::Stopped { reason: ended }
    } else {
        state
    };
    vm
}

/// Defines a VM, or anew one that is not active. `files_of` names the VM whose files come before `attachments`.
pub(super) async fn define(
    state: &SharedState,
    vm_id: &str,
    name: String,
    definition: VmDefinition,
    attachments: Vec<JsValue>,
    files_of: Option<VmId>,
) -> Result<(), Failure> {
    check_id(vm_id)?;
    let name = check_name(name)?;
    let mut files = match files_of {
        Some(other) => known(state, &other, |vm| Ok(vm.definition.files.clone()))?,
        None => Vec::new(),
    };
    files.extend(attachments);
    let contents = state.borrow().library.contents();
    let definition = Definition::new(definition, files, &contents).await?;
    let mut state = state.borrow_mut();
    let order = state.next_order();
    match state.vm_mut(vm_id) {
        Some(vm) => {
            vm.redefine(name, definition)?;
            state.keep_variables(vm_id);
        }
        None => {
            let vm = Vm::new(vm_id.to_owned(), name, definition, order);
            state.vms.push(vm);
        }
    }
    state.keep(vm_id);
    state.publish_vm(vm_id);
    Ok(())
}

pub(super) fn rename(state: &SharedState, vm_id: &str, name: String) -> Result<(), Failure> {
    let name = check_name(name)?;
    change(state, vm_id, |vm| vm.info.name = name)
}

pub(super) fn set_favourite(state: &SharedState, vm_id: &str, favourite: bool) -> Result<(), Failure> {
    change(state, vm_id, |vm| vm.info.favourite = favourite)
}

fn change(state: &SharedState, vm_id: &str, change: impl FnOnce(&mut Vm)) -> Result<(), Failure> {
    known(state, vm_id, |vm| {
        change(vm);
        Ok(())
    })?;
    let mut state = state.borrow_mut();
    state.keep(vm_id);
    state.publish_vm(vm_id);
    Ok(())
}

pub(super) fn clone(state: &SharedState, vm_id: &str, new_id: &str, name: String) -> Result<(), Failure> {
    check_id(new_id)?;
    let name = check_name(name)?;
    let mut state = state.borrow_mut();
    let (definition, variables) = state
        .vm(vm_id)
        .map(|vm| ((*vm.definition).clone(), vm.variables.clone()))
        .ok_or_else(|| unknown(vm_id))?;
    if state.vm(new_id).is_some() {
        return Err(Failure::new(format!("there is a VM “{new_id}” already")));
    }
    let order = state.next_order();
    let mut vm = Vm::new(new_id.to_owned(), name, definition, order);
    vm.variables = variables;
    state.vms.push(vm);
    state.keep(new_id);
    state.keep_variables(new_id);
    state.publish_vm(new_id);
    Ok(())
}

pub(super) fn remove(state: &SharedState, vm_id: &str) -> Result<(), Failure> {
    known(state, vm_id, |vm| {
        if vm.info.state.is_active() {
            return Err(Failure::new(format!("{} is {}", vm.info.name, vm.info.state))
                .with_next_step("Stop it before you remove it."));
        }
        Ok(())
    })?;
    let mut state = state.borrow_mut();
    let mut removed: Vec<Vm> = state.vms.extract_if(.., |vm| vm.info.vm_id == vm_id).collect();
    // Nobody waits any longer for room in a guest that is gone.
    removed.iter_mut().for_each(|vm| vm.capture.release());
    state.removed.extend(removed);
    let excess = state.removed.len().saturating_sub(MAX_REMOVED);
    state.removed.drain(..excess);
    state.clients.forget_vm(vm_id);
    state.clients.broadcast(&Event::VmRemoved {
        vm_id: vm_id.to_owned(),
    });
    // A VM that is not there has none.
    state.keep_variables(vm_id);
    let vm_id = vm_id.to_owned();
    state.write(async move |store| store.remove_vm(&vm_id).await);
    Ok(())
}

pub(super) fn restore(state: &SharedState, vm_id: &str) -> Result<(), Failure> {
    let mut state = state.borrow_mut();
    if state.vm(vm_id).is_some() {
        return Err(Failure::new(format!("there is a VM “{vm_id}” again")));
    }
    let place = state.removed.iter().rposition(|vm| vm.info.vm_id == vm_id);
    let vm = place.map(|place| state.removed.remove(place));
    state.vms.push(vm.ok_or_else(|| unknown(vm_id))?);
    state.vms.sort_by_key(|vm| vm.order);
    state.keep(vm_id);
    state.keep_variables(vm_id);
    let vms = state.vms.iter().map(|vm| vm.info.clone()).collect();
    state.clients.broadcast(&Event::VmList { vms });
    Ok(())
}

pub(super) fn save_profile(state: &SharedState, profile: VmProfile) -> Result<(), Failure> {
    profile.validate().map_err(|errors| Failure {
        causes: errors.iter().map(ToString::to_string).collect(),
        ..Failure::new(format!("the profile {:?} is not valid", profile.id))
    })?;
    if find_profile(&profile.id).is_some() {
        return Err(
            Failure::new(format!("{} is a profile that comes with QemuWeb", profile.id))
                .with_next_step("Give yours another id."),
        );
    }
    let mut state = state.borrow_mut();
    state.profiles.retain(|known| known.id != profile.id);
    if state.profiles.len() >= MAX_PROFILES {
        return Err(Failure::new(format!("there are {MAX_PROFILES} profiles"))
            .with_next_step("Remove some that you do not need."));
    }
    state.profiles.push(profile.clone());
    state.profiles.sort_by(|a, b| a.name.cmp(&b.name));
    state.write(async move |store| store.put_profile(&profile).await);
    state.publish_profiles();
    Ok(())
}

pub(super) fn remove_profile(state: &SharedState, id: &str) -> Result<(), Failure> {
    let mut state = state.borrow_mut();
    if !state.profiles.iter().any(|profile| profile.id == id) {
        return Err(Failure::new(format!("there is no profile “{id}” of yours")));
    }
    state.profiles.retain(|profile| profile.id != id);
    let id = id.to_owned();
    state.write(async move |store| store.remove_profile(&id).await);
    state.publish_profiles();
    Ok(())
}

fn check_name(name: String) -> Result<String, Failure> {
    let name = name.trim();
    if (1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Ok(name.to_owned());
    }
    Err(Failure::new(format!(
        "expected a name of 1 to {LONGEST_NAME} characters, found {}",
        name.chars().count()
    )))
}

impl State {
    /// The place behind all VMs.
    fn next_order(&self) -> u32 {
        let vms = self.vms.iter().chain(&self.removed);
        vms.map(|vm| vm.order + 1).max().unwrap_or(0)
    }

    /// Keeps a VM as it is now.
    pub(super) fn keep(&mut self, vm_id: &str) {
        let Some(vm) = self.vm_mut(vm_id) else { return };
        vm.kept_active = vm.info.state.is_active();
        let kept = KeptVm {
            vm_id: vm.info.vm_id.clone(),
            name: vm.info.name.clone(),
            favourite: vm.info.favourite,
            started_at: vm.info.started_at,
            state: vm.info.state.clone(),
            definition: vm.definition.vm.clone(),
            order: vm.order,
            files: vm.definition.files.iter().map(files::kept).collect(),
        };
        self.write(async move |store| store.put_vm(&kept).await);
    }

    fn publish_profiles(&self) {
        let profiles = self.profiles.clone();
        self.clients.broadcast(&Event::ProfileList { profiles });
    }

    /// Writes to the database. Writes come to pass in the order in which they are asked for; that one failed is told to
    /// all clients.
    pub(super) fn write(&self, write: impl AsyncFnOnce(&Store) -> Result<(), Failure> + 'static) {
        let Some(store) = self.store.clone() else { return };
        let state = self.shared.clone();
        spawn_local(async move {
            if let (Err(failure), Some(state)) = (write(&store).await, state.upgrade()) {
                let failure = failure.with_next_step("It is forgotten when the browser closes.");
                let event = Event::Error { vm_id: None, failure };
                state.borrow().clients.broadcast(&event);
            }
        });
    }
}
