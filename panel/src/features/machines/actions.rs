//! What a person can do with a virtual machine.

use qemuweb_vm_config::{DEFAULT_PROFILE_ID, VmProfile, find_profile};
use qemuweb_wire::VmState;
use qemuweb_wire::call::{
    CloneVm, FileHandles, ListDisks, PauseVm, PrepareVm, ProfileRef, RemoveVm, ResetVm, RestartVm, RestoreVm,
    ResumeVm, SetFavourite, StartVm, StopVm,
};
use qemuweb_wire::disk::KeptDisk;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::vm::{MAX_VM_ID, VmId, VmInfo};
use wasm_bindgen::JsValue;

use super::state::{Machines, new_vm_id};
use crate::kit::dialog::Confirm;
use crate::kit::files;
use crate::kit::text;

/// What a VM in a state can be told to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one per button")]
pub struct Possible {
    /// To start again.
    pub start: bool,
    /// To shut down.
    pub stop: bool,
    /// To have its vCPUs halted.
    pub pause: bool,
    /// To have them run again.
    pub resume: bool,
    /// To lose its power.
    pub force_stop: bool,
    /// To be reset.
    pub reset: bool,
    /// To be forgotten.
    pub remove: bool,
    /// To be copied.
    pub clone: bool,
}

impl Possible {
    /// For a VM in `state`, or for none.
    pub fn of(state: Option<&VmState>) -> Self {
        let Some(state) = state else {
            return Self::default();
        };
        Self {
            start: !state.is_active(),
            stop: state.is_active() && !matches!(state, VmState::Starting | VmState::Stopping),
            pause: *state == VmState::Running,
            resume: matches!(state, VmState::Paused | VmState::Halted { .. }),
            force_stop: state.is_active(),
            reset: state.is_active() && *state != VmState::Starting,
            remove: !state.is_active(),
            clone: true,
        }
    }
}

/// What is said when a VM was removed: what was kept of its disks stays.
fn removal(vm: &VmInfo, disks: &[KeptDisk]) -> String {
    let own = |disk: &&KeptDisk| disk.vm_id == vm.vm_id && disk.vm_name.is_some();
    let kept: u64 = disks.iter().filter(own).map(|disk| disk.kept).sum();
    if kept == 0 {
        return format!("Removed {}.", vm.name);
    }
    format!(
        "Removed {}. The {} on its disks stay until you remove them: New VM, Files, Storage.",
        vm.name,
        text::bytes(kept)
    )
}

impl Machines {
    /// An id for a new VM of a profile.
    pub fn new_id(self, profile_id: &str) -> VmId {
        // Room for a number behind the id of a profile.
        let stem: String = profile_id
            .chars()
            .filter(char::is_ascii)
            .take(MAX_VM_ID - 8)
            .collect();
        self.vms.with_untracked(|vms| new_vm_id(&stem, vms))
    }

    /// `name`, or with the first number from 2 that no VM has.
    pub fn new_name(self, name: &str) -> String {
        self.vms.with_untracked(|vms| {
            let is_free = |name: &String| vms.iter().all(|vm| vm.name != *name);
            std::iter::once(name.to_owned())
                .chain((2_u32..).map(|number| format!("{name} {number}")))
                .find(is_free)
                .unwrap_or_else(|| name.to_owned())
        })
    }

    /// Has the host prepare for a VM of a profile, because the person seems to be about to start one.
    pub fn prepare(self, profile: &VmProfile) {
        let profile = ProfileRef::Inline(Box::new(profile.clone()));
        // What is wrong, the start tells.
        self.cx.later(self.cx.call(PrepareVm { profile }), drop);
    }

    /// Has the host prepare for what is started most often: what was last, or else the default guest.
    pub fn prepare_likely(self) {
        let last = self.recent(1).into_iter().next();
        let last = last.map(|vm| vm.definition.profile.clone());
        if let Some(profile) = last.or_else(|| find_profile(DEFAULT_PROFILE_ID)) {
            self.prepare(&profile);
        }
    }

    /// Starts a new VM of a profile as it is, and shows it. The person is first asked to let QemuWeb fetch what the profile
    /// has on the web.
    pub fn launch(self, profile: &VmProfile) {
        let vm_id = self.new_id(&profile.id);
        let call = StartVm {
            vm_id: vm_id.clone(),
            name: Some(self.new_name(&profile.name)),
            profile: ProfileRef::Id(profile.id.clone()),
            inputs: Box::default(),
            overrides: None,
        };
        let cx = self.cx;
        let hosts = files::ask_for_hosts(&profile.default_inputs.urls());
        let started = async move {
            hosts.await.map_err(Failure::new)?;
            cx.call(call).await
        };
        cx.later(started, move |result| match result {
            Ok(()) => cx.nav.show_console(&vm_id),
            Err(failure) => self.report(Some(&vm_id), failure),
        });
    }

    /// Starts the default guest.
    pub fn launch_default(self) {
        if let Some(profile) = find_profile(DEFAULT_PROFILE_ID) {
            self.launch(&profile);
        }
    }

    /// Defines another VM like this one and shows it.
    pub fn clone_vm(self, vm_id: &str) {
        let Some(vm) = self.vm(vm_id) else { return };
        let new_id = self.new_id(&vm.profile_id);
        let call = CloneVm {
            vm_id: vm_id.to_owned(),
            new_id: new_id.clone(),
            name: self.new_name(&format!("{} copy", vm.name)),
        };
        self.cx.command_then(call, move |()| self.cx.nav.show(&new_id));
    }

    /// Has a VM among the favourites, or no longer.
    pub fn toggle_favourite(self, vm_id: &str) {
        if let Some(vm) = self.vm(vm_id) {
            self.cx.command(SetFavourite {
                vm_id: vm_id.to_owned(),
                favourite: !vm.favourite,
            });
        }
    }

    /// Forgets a VM that is not active, with the way back on screen.
    pub fn remove(self, vm_id: &str) {
        let Some(vm) = self.vm(vm_id).filter(|vm| !vm.state.is_active()) else {
            return;
        };
        let (cx, vm_id) = (self.cx, vm_id.to_owned());
        let id = vm_id.clone();
        let removed = async move {
            cx.call(RemoveVm { vm_id: id }).await?;
            // Without an answer nothing is said of disks.
            Ok(cx.call(ListDisks {}).await.unwrap_or_default())
        };
        cx.later(removed, move |result: Result<_, Failure>| match result {
            Ok(disks) => cx.undo.offer(removal(&vm, &disks), move || {
                let shown = vm_id.clone();
                let call = RestoreVm { vm_id: vm_id.clone() };
                cx.command_then(call, move |()| cx.nav.show(&shown));
            }),
            Err(failure) => cx.notices.report(failure),
        });
    }

    /// Starts a stopped VM. Where the page may ask, the person is first asked to let it read its files again.
    pub fn start(self, vm_id: &str) {
        let has_handles = self.vm(vm_id).is_some_and(|vm| vm.has_handles);
        let client = self.cx.client().filter(|_| has_handles && files::has_picker());
        let Some(client) = client else {
            return self.start_as_allowed(vm_id);
        };
        let vm_id = vm_id.to_owned();
        let handles = client.call_for_attachments(FileHandles { vm_id: vm_id.clone() }, None);
        let asked = async move {
            let handles = handles.await?.1;
            let names = files::not_allowed(&handles).await;
            Ok((handles, names))
        };
        self.cx
            .later(asked, move |asked: Result<_, Failure>| match asked {
                Ok((handles, names)) => self.start_with_handles(vm_id, handles, &names),
                Err(failure) => self.report(Some(&vm_id), failure),
            });
    }

    /// Starts a stopped VM, after asking for the files of these `names` if there are any: the browser shows its own question
    /// only just after a click.
    pub fn start_with_handles(self, vm_id: VmId, handles: Vec<JsValue>, names: &[String]) {
        if names.is_empty() {
            return self.start_as_allowed(&vm_id);
        }
        let question = Confirm::new(
            format!("Let QemuWeb read {} again?", names.join(", ")),
            "The browser forgets this permission when it closes. It asks you for it next; without it the machine \
             does not start.",
            "Ask the browser",
            move || {
                let (vm_id, handles) = (vm_id.clone(), handles.clone());
                self.cx
                    .later(async move { files::ask_for_handles(&handles).await }, move |()| {
                        self.start_as_allowed(&vm_id);
                    });
            },
        );
        self.cx.confirm.set(Some(question.harmless()));
    }

    /// Starts a stopped VM with the permissions that there are.
    fn start_as_allowed(self, vm_id: &str) {
        let call = RestartVm {
            vm_id: vm_id.to_owned(),
        };
        let vm_id = vm_id.to_owned();
        let is_shown = self.shown_now().is_some_and(|vm| vm.vm_id == vm_id);
        self.cx.nav.to_console.set(is_shown);
        self.cx.later(self.cx.call(call), move |result| {
            if let Err(failure) = result {
                self.report(Some(&vm_id), failure);
            }
        });
    }

    /// Asks the guest to shut down.
    pub fn stop(self, vm_id: &str) {
        self.cx.command(StopVm {
            vm_id: vm_id.to_owned(),
            force: false,
        });
    }

    /// Cuts the power without asking.
    pub fn force_stop(self, vm_id: &str) {
        self.cx.command(StopVm {
            vm_id: vm_id.to_owned(),
            force: true,
        });
    }

    /// Cuts the power, after asking unless nothing can be lost yet.
    pub fn ask_force_stop(self, vm_id: &str) {
        let Some(vm) = self.vm(vm_id) else { return };
        if vm.state == VmState::Starting {
            self.force_stop(vm_id);
            return;
        }
        let vm_id: VmId = vm_id.to_owned();
        self.cx.confirm.set(Some(Confirm::new(
            format!("Force stop {}?", vm.name),
            "Its power is cut at once. What the guest has in memory is lost, and files that it is writing may be damaged.",
            "Force stop",
            move || {
                self.force_stop(&vm_id);
                self.cx.nav.to_console.set(true);
            },
        )));
    }

    /// Halts the vCPUs.
    pub fn pause(self, vm_id: &str) {
        self.cx.command(PauseVm {
            vm_id: vm_id.to_owned(),
        });
    }

    /// Lets the vCPUs run again.
    pub fn resume(self, vm_id: &str) {
        self.cx.command(ResumeVm {
            vm_id: vm_id.to_owned(),
        });
    }

    /// Pushes the reset button, after asking.
    pub fn ask_reset(self, vm_id: &str) {
        let Some(vm) = self.vm(vm_id) else { return };
        let vm_id: VmId = vm_id.to_owned();
        self.cx.confirm.set(Some(Confirm::new(
            format!("Reset {}?", vm.name),
            "The machine starts anew without shutting down. What the guest has in memory is lost, and files that it \
             is writing may be damaged.",
            "Reset",
            move || {
                self.cx.command(ResetVm { vm_id: vm_id.clone() });
                self.cx.nav.to_console.set(true);
            },
        )));
    }
}

#[cfg(test)]
mod tests {
    use sycamore::prelude::*;
    use sycamore::web::render_to_string;

    use qemuweb_wire::state::Halt;

    use super::*;
    use crate::cx::Cx;
    use crate::features::machines::words::tests::vm;
    use crate::kit::dialog::ConfirmDialog;

    #[test]
    fn what_is_possible_depends_on_the_state() {
        let running = Possible::of(Some(&VmState::Running));
        assert!(running.stop && running.force_stop && running.reset && !running.start && !running.remove);
        let starting = Possible::of(Some(&VmState::Starting));
        assert!(starting.force_stop && !starting.stop && !starting.reset && !starting.start);
        let stopping = Possible::of(Some(&VmState::Stopping));
        assert!(stopping.force_stop && stopping.reset && !stopping.stop);
        assert!(running.pause && !running.resume);
        let paused = Possible::of(Some(&VmState::Paused));
        assert!(paused.resume && !paused.pause && paused.stop && paused.reset);
        let asleep = Possible::of(Some(&VmState::Halted {
            cause: Halt::Suspended,
            detail: String::new(),
        }));
        assert!(asleep.resume && asleep.stop && !asleep.pause);
        let stopped = Possible::of(Some(&VmState::NOT_STARTED));
        assert!(stopped.start && stopped.remove && !stopped.force_stop);
        assert_eq!(Possible::of(None), Possible::default());
    }

    #[test]
    fn a_removed_vm_leaves_its_disks_and_that_is_said() {
        let disk = |vm_id: &str, name: Option<&str>| KeptDisk {
            vm_id: vm_id.into(),
            vm_name: name.map(Into::into),
            disk_id: "home-1".into(),
            size: None,
            kept: 1 << 20,
            base: String::new(),
        };
        let vm = vm("a", VmState::NOT_STARTED);
        let others = [disk("b", Some("a name")), disk("a", None)];
        assert_eq!(removal(&vm, &others), "Removed a name.");
        let said = removal(&vm, &[disk("a", Some("a name"))]);
        assert!(said.contains("1.0 MiB") && said.contains("Files"), "{said}");
    }

    #[test]
    fn files_that_may_not_be_read_any_more_are_asked_for_by_their_names() {
        let names = ["disk.img".to_owned(), "kernel".to_owned()];
        let html = render_to_string(|| {
            let machines = Machines::new(Cx::new(0.0));
            machines.start_with_handles("a".into(), Vec::new(), &names);
            view! { ConfirmDialog(confirm=machines.cx.confirm) }
        });
        for part in [
            "Let QemuWeb read disk.img, kernel again?",
            "Ask the browser",
            "button primary",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
