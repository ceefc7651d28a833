//! What the form's buttons do.

use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::Command;
use qemuweb_vm_config::{VmProfile, default_profiles, infrastructure_profiles};
use sycamore::web::document;

use super::Form;
use super::draft::{Draft, profile_id};
use crate::later;
use crate::local_files::ask_for_hosts;
use crate::state::Tab;

/// Defines the machine, and starts it if it is to.
pub(super) fn submit(form: Form, start: bool) {
    let workbench = form.workbench;
    let draft = form.draft.get_clone_untracked();
    let checked = draft.check();
    if !checked.errors.is_empty() {
        let problems = checked.errors.into_iter();
        let problems = problems.map(|(field, error)| format!("{}: {error}", field.name()));
        form.problems.set(problems.collect());
        return;
    }
    form.problems.set(Vec::new());
    let hosts = ask_for_hosts(&draft.urls());
    let own = form.vm_id.get_clone_untracked();
    let vm_id = own.clone().unwrap_or_else(|| workbench.new_id(&draft.profile.id));
    let name = match &own {
        Some(_) => draft.effective_name(),
        None => workbench.new_name(&draft.effective_name()),
    };
    let define = Command::DefineVm {
        vm_id: vm_id.clone(),
        name,
        definition: Box::new(checked.definition),
        files_of: own.filter(|_| form.kept > 0),
    };
    let files = form.files.get_clone_untracked();
    if !draft.urls().is_empty() {
        let wait = "Waiting until you have let QemuWeb fetch from these addresses…".to_owned();
        form.notice.set(Some(wait));
    }
    let started = vm_id.clone();
    let defined = async move {
        let allowed = hosts.await;
        form.owner.run(|| form.notice.set(None));
        allowed.map_err(Failure::new)?;
        workbench.request(define, files).await?;
        if start {
            workbench.run(|| workbench.restart(&started));
        }
        Ok(())
    };
    let show = move |result: Result<(), Failure>| match result {
        Ok(()) if start => workbench.show_started(&vm_id),
        Ok(()) => {
            workbench.store.tab.set(Tab::Details);
            workbench.select(&vm_id);
        }
        Err(failure) => form.problems.set(vec![failure.to_string()]),
    };
    // Who looks at something else by now stays there.
    form.owner
        .then_or(defined, show, move |result| workbench.report_of(result));
}

/// Gives a VM, which may be active, the name in the form.
pub(super) fn rename(form: Form) {
    if let Some(vm_id) = form.vm_id.get_clone_untracked() {
        let name = form.draft.with_untracked(Draft::effective_name);
        form.workbench.command(Command::RenameVm { vm_id, name });
    }
}

/// Keeps a profile of the machine: anew if it is a profile of the person's own under its name, or else another one.
pub(super) fn save_profile(form: Form) {
    let workbench = form.workbench;
    let draft = form.draft.get_clone_untracked();
    let own = workbench.store.profiles.get_clone_untracked();
    let name = draft.effective_name();
    let is_same = |profile: &VmProfile| profile.id == draft.profile.id && profile.name == name;
    let id = if own.iter().any(is_same) {
        draft.profile.id.clone()
    } else {
        let ours = default_profiles().into_iter().chain(infrastructure_profiles());
        let taken: Vec<String> = ours.chain(own).map(|VmProfile { id, .. }| id).collect();
        profile_id(&name, &taken)
    };
    let profile = Box::new(draft.to_profile(id));
    let answer = workbench.request(Command::SaveProfile { profile }, Vec::new());
    let show = move |result: Result<(), Failure>| match result {
        Ok(()) => {
            form.problems.set(Vec::new());
            workbench.open_launcher();
            show_own_profiles();
        }
        Err(failure) => form.problems.set(vec![failure.to_string()]),
    };
    form.owner
        .then_or(answer, show, move |result| workbench.report_of(result));
}

/// Brings the profiles into view, so that one sees the new one.
fn show_own_profiles() {
    later::soon(|| {
        if let Some(title) = document().get_element_by_id("own-title") {
            title.scroll_into_view();
        }
    });
}
