//! What the form's buttons do.

use qemuweb_wire::call::{DefineVm, RenameVm};
use qemuweb_wire::failure::Failure;
use qemuweb_wire::vm::FileRef;

use qemuweb_vm_config::{DEFAULT_PROFILE_ID, VmProfile, find_profile};
use sycamore::web::document;

use super::draft::Draft;
use super::state::Form;
use crate::cx::{LauncherTab, Tab};
use crate::kit::files::ask_for_hosts;
use crate::kit::later;

/// Defines the machine, and starts it if it is to.
pub(super) fn submit(form: Form, start: bool) {
    let machines = form.library.machines;
    let cx = machines.cx;
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
    let is_new = own.is_none();
    let vm_id = own.clone().unwrap_or_else(|| machines.new_id(&draft.profile.id));
    let name = match &own {
        Some(_) => draft.effective_name(),
        None => machines.new_name(&draft.effective_name()),
    };
    let kept = form.kept.get_clone_untracked();
    let files = form.files.get_clone_untracked();
    let attached = (0..files.len()).map(FileRef::Attached);
    let define = DefineVm {
        vm_id: vm_id.clone(),
        name,
        definition: Box::new(checked.definition),
        files: kept.into_iter().map(FileRef::Kept).chain(attached).collect(),
        replaces: own.and(form.revision),
    };
    if !draft.urls().is_empty() {
        let wait = "Waiting until you have let QemuWeb fetch from these addresses…".to_owned();
        form.notice.set(Some(wait));
    }
    let started = vm_id.clone();
    let defined = async move {
        let allowed = hosts.await;
        form.owner.run(|| form.notice.set(None));
        allowed.map_err(Failure::new)?;
        cx.call_with(define, files).await?;
        if start {
            cx.run(|| machines.start(&started));
        }
        Ok(())
    };
    let show = move |result: Result<(), Failure>| match result {
        Ok(()) => {
            if is_new && let Some(profile) = find_profile(DEFAULT_PROFILE_ID) {
                form.begin(profile);
            }
            if start {
                cx.nav.show_console(&vm_id);
            } else {
                cx.nav.tab.set(Tab::Details);
                cx.nav.show(&vm_id);
            }
        }
        Err(failure) => form.problems.set(vec![failure.to_string()]),
    };
    // Who looks at something else by now stays there.
    form.owner
        .then_or(defined, show, move |result| cx.report_of(result));
}

/// Gives a VM, which may be active, the name in the form.
pub(super) fn rename(form: Form) {
    if let Some(vm_id) = form.vm_id.get_clone_untracked() {
        let name = form.draft.with_untracked(Draft::effective_name);
        form.library.machines.cx.command(RenameVm { vm_id, name });
    }
}

/// Keeps a profile of the machine: anew if it is a profile of the person's own under its name, or else another one.
pub(super) fn save_profile(form: Form) {
    let (library, cx) = (form.library, form.library.machines.cx);
    let draft = form.draft.get_clone_untracked();
    let name = draft.effective_name();
    let is_same = |profile: &VmProfile| profile.id == draft.profile.id && profile.name == name;
    let id = if library.profiles.with_untracked(|own| own.iter().any(is_same)) {
        draft.profile.id.clone()
    } else {
        library.new_profile_id(&name)
    };
    let show = move |result: Result<(), Failure>| match result {
        Ok(()) => {
            form.problems.set(Vec::new());
            cx.nav.open_launcher(LauncherTab::Guests);
            show_own_profiles();
        }
        Err(failure) => form.problems.set(vec![failure.to_string()]),
    };
    let saved = library.save_profile(draft.to_profile(id));
    form.owner
        .then_or(saved, show, move |result| cx.report_of(result));
}

/// Brings the profiles into view, so that one sees the new one.
fn show_own_profiles() {
    later::soon(|| {
        if let Some(title) = document().get_element_by_id("own-title") {
            title.scroll_into_view();
        }
    });
}
