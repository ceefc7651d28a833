//! The hardware form: a new machine, or the settings of one that is there, checked as one types.

pub mod draft;
mod fields;
mod inputs;
mod submit;

use qemuweb_runtime::protocol::VmId;
use qemuweb_vm_config::{
    Arch, DEFAULT_PROFILE_ID, FileKind, VmProfile, default_profiles, find_profile, infrastructure_profiles,
    largest_guest_mib,
};
use sycamore::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::{Event, SubmitEvent};

use crate::browser::{copy, value_of};
use crate::icons::{self, icon};
use crate::launcher::can_launch;
use crate::workbench::Workbench;
use draft::{Checked, Draft, Field};

/// What the parts of a form share.
#[derive(Clone, Copy)]
pub struct Form {
    workbench: Workbench,
    draft: Signal<Draft>,
    checked: ReadSignal<Checked>,
    /// Files that were chosen here, behind those that the VM has.
    files: Signal<Vec<JsValue>>,
    /// How many files the VM has.
    kept: usize,
    /// The VM whose settings these are; none for a new one.
    vm_id: Signal<Option<VmId>>,
    /// What kept it from being saved or started.
    problems: Signal<Vec<String>>,
    /// What is being waited for.
    notice: Signal<Option<String>>,
}

impl Form {
    fn new(workbench: Workbench, draft: Draft, kept: usize, vm_id: Option<VmId>) -> Self {
        let draft = create_signal(draft);
        Self {
            workbench,
            draft,
            checked: create_memo(move || draft.with(Draft::check)),
            files: create_signal(Vec::new()),
            kept,
            vm_id: create_signal(vm_id),
            problems: create_signal(Vec::new()),
            notice: create_signal(None),
        }
    }

    /// Changes the draft.
    fn change(self, change: impl FnOnce(&mut Draft)) {
        let mut draft = self.draft.get_clone_untracked();
        change(&mut draft);
        if self.draft.with_untracked(|old| *old != draft) {
            self.draft.set(draft);
        }
    }

    /// The errors of a field. Tracked.
    fn errors_of(self, field: Field) -> Vec<String> {
        self.checked.with(|checked| {
            let of_field = checked.errors.iter().filter(|(found, _)| *found == field);
            of_field.map(|(_, error)| error.clone()).collect()
        })
    }

    /// The profile as it is now. Tracked.
    fn of_profile<T>(self, get: impl FnOnce(&VmProfile) -> T) -> T {
        self.draft.with(|draft| get(&draft.profile))
    }
}

/// The form for a new machine.
#[component(inline_props)]
pub fn NewVm(workbench: Workbench) -> View {
    let profile = find_profile(DEFAULT_PROFILE_ID).into_iter().next();
    let Some(profile) = profile else {
        return View::new();
    };
    let form = Form::new(workbench, Draft::new(profile), 0, None);
    // "Customize" on a card.
    create_effect(move || {
        if let Some(profile) = workbench.store.template.get_clone() {
            let is_own = workbench
                .store
                .profiles
                .with_untracked(|own| own.iter().any(|known| known.id == profile.id));
            // Saved under its own name, a profile is edited.
            let name = if is_own {
                profile.name.clone()
            } else {
                String::new()
            };
            form.change(|draft| {
                *draft = Draft {
                    name,
                    ..Draft::new(profile)
                }
            });
        }
    });
    // "Use" of a stored file.
    create_effect(move || {
        if let Some(stored) = workbench.store.offered.get_clone() {
            form.change(|draft| *draft = draft.clone().using(&stored));
        }
    });
    view! { VmForm(form=form) }
}

/// The settings of the VM that is shown.
#[component(inline_props)]
pub fn Settings(workbench: Workbench) -> View {
    let store = workbench.store;
    let selected = create_selector(move || store.selected.get_clone());
    view! {
        div(class="settings", id="panel-settings", role="tabpanel", aria-labelledby="tab-settings") {
            (match selected.get_clone().and_then(|vm_id| store.vm(&vm_id)) {
                Some(vm) => {
                    let kept = inputs::attached(&vm.definition.inputs);
                    let draft = Draft::of(vm.name.clone(), (*vm.definition).clone());
                    let form = Form::new(workbench, draft, kept, Some(vm.vm_id));
                    view! { VmForm(form=form) }
                }
                None => View::new(),
            })
        }
    }
}

/// The form itself.
#[component(inline_props)]
fn VmForm(form: Form) -> View {
    let is_new = form.vm_id.with_untracked(Option::is_none);
    let store = form.workbench.store;
    // QEMU runs with what it was started with.
    let is_active = create_selector(move || {
        let vm_id = form.vm_id.get_clone();
        store.vms.with(|vms| {
            vms.iter()
                .any(|vm| Some(&vm.vm_id) == vm_id.as_ref() && vm.state.is_active())
        })
    });
    let save = move |event: SubmitEvent| {
        event.prevent_default();
        submit::submit(form, true);
    };
    view! {
        form(class="form", on:submit=save) {
            (fields::text(form, fields::Text {
                id: "vm-name", label: "Name", kind: "text", field: None,
                placeholder: |draft| Draft { name: String::new(), ..draft.clone() }.effective_name(),
                get: |draft| draft.name.clone(), set: |draft, text| draft.name = text,
            }))
            (if is_active.get() {
                view! {
                    p(class="hint") { "It runs with the hardware that it was started with: stop it to change that." }
                    div(class="form-buttons") {
                        button(class="button primary", r#type="button", data-testid="rename-vm",
                            on:click=move |_| submit::rename(form)) { "Rename" }
                    }
                }
            } else {
                view! { Hardware(form=form, is_new=is_new) }
            })
        }
    }
}

/// All but the name.
#[component(inline_props)]
fn Hardware(form: Form, is_new: bool) -> View {
    let template = if is_new {
        template_select(form)
    } else {
        View::new()
    };
    let help = move || {
        form.of_profile(|profile| {
            let help = profile.kernel_help_text.clone();
            help.unwrap_or_else(|| profile.description.clone())
        })
    };
    let start = if is_new { "Launch" } else { "Save and start" };
    let workbench = form.workbench;
    view! {
        (template)
        p(class="hint", data-testid="profile-help") { (help()) }
        (inputs::source(form, inputs::Source {
            id: "kernel", label: "Kernel", field: Field::Kernel, kinds: &[FileKind::Kernel, FileKind::Initrd],
            get: |draft| draft.kernel.clone(),
            set: |draft, source| (draft.kernel, draft.kernel_kind) = (source, None),
        }))
        (inputs::source(form, inputs::Source {
            id: "initrd", label: "Initrd", field: Field::Initrd, kinds: &[FileKind::Initrd],
            get: |draft| draft.initrd.clone(), set: |draft, source| draft.initrd = source,
        }))
        (fields::text(form, fields::Text {
            id: "cmdline", label: "Command line", kind: "text", field: Some(Field::Cmdline),
            placeholder: |draft| draft.profile.default_inputs.kernel_cmdline.clone().unwrap_or_default(),
            get: |draft| draft.cmdline.clone(), set: |draft, text| draft.cmdline = text,
        }))
        inputs::Disks(form=form)
        (fields::text(form, fields::Text {
            id: "memory", label: "Memory (MiB)", kind: "number", field: Some(Field::Memory),
            placeholder: |draft| draft.profile.memory_mib.to_string(),
            get: |draft| draft.memory.clone(), set: |draft, text| draft.memory = text,
        }))
        (fields::text(form, fields::Text {
            id: "smp", label: "vCPUs", kind: "number", field: Some(Field::Smp),
            placeholder: |draft| draft.profile.smp.to_string(),
            get: |draft| draft.smp.clone(), set: |draft, text| draft.smp = text,
        }))
        (fields::text(form, fields::Text {
            id: "cpu", label: "CPU model", kind: "text", field: Some(Field::Cpu),
            placeholder: |draft| draft.profile.cpu.clone().unwrap_or_default(),
            get: |draft| draft.cpu.clone(), set: |draft, text| draft.cpu = text,
        }))
        (fields::devices(form))
        (fields::boot(form))
        (fields::text(form, fields::Text {
            id: "extra-args", label: "More QEMU arguments", kind: "text", field: Some(Field::ExtraArgs),
            placeholder: |_| "-name 'my machine' -rtc clock=vm".to_owned(),
            get: |draft| draft.extra_args.clone(), set: |draft, text| draft.extra_args = text,
        }))
        p(class="hint") { "Guest memory: at most " (largest_guest_mib().to_string()) " MiB fit into the browser." }
        (effective(form))
        (problems(form))
        p(class="hint", role="status", hidden=form.notice.with(Option::is_none)) {
            (form.notice.get_clone().unwrap_or_default())
        }
        div(class="form-buttons") {
            button(class="button primary", r#type="submit", data-testid="launch-custom", disabled=!can_launch(workbench)) {
                (icon(icons::START)) (start)
            }
            button(class="button", r#type="button", data-testid="save-vm", disabled=!can_launch(workbench),
                on:click=move |_| submit::submit(form, false)) { "Save without starting" }
            button(class="button", r#type="button", data-testid="save-profile", disabled=!can_launch(workbench),
                on:click=move |_| submit::save_profile(form)) { "Save as a profile" }
        }
    }
}

/// The choice of a profile to begin with.
fn template_select(form: Form) -> View {
    let store = form.workbench.store;
    let choose = move |event: Event| {
        if let Some(profile) = untrack(|| store.profile(&value_of(&event))) {
            form.change(|draft| draft.profile = profile);
        }
    };
    let ours = |arch: Arch| {
        let all = default_profiles().into_iter().chain(infrastructure_profiles());
        options(form, all.filter(|profile| profile.arch == arch).collect())
    };
    let (x86, arm) = (ours(Arch::X86_64), ours(Arch::Aarch64));
    let own = move || {
        let profiles = store.profiles.get_clone();
        if profiles.is_empty() {
            return View::new();
        }
        let options = options(form, profiles);
        view! { optgroup(label="Your profiles") { (options) } }
    };
    view! {
        label(r#for="profile") { "Machine" }
        select(id="profile", data-testid="profile-select", on:change=choose) {
            optgroup(label="x86_64") { (x86) }
            optgroup(label="aarch64") { (arm) }
            (own())
        }
    }
}

fn options(form: Form, profiles: Vec<VmProfile>) -> View {
    let options: Vec<View> = profiles
        .into_iter()
        .map(|VmProfile { id, name, .. }| {
            let own = id.clone();
            let is_chosen = move || form.of_profile(|profile| profile.id == own);
            view! { option(value=id, prop:selected=is_chosen()) { (name) } }
        })
        .collect();
    view! { (options) }
}

/// The command line of QEMU that the fields come to, and what is worth knowing about it.
fn effective(form: Form) -> View {
    let line = create_selector(move || form.checked.with(|checked| checked.command_line.clone()));
    let notes = create_selector(move || form.checked.with(|checked| checked.warnings.clone()));
    let items = move || -> Vec<View> {
        let notes = notes.get_clone();
        notes.into_iter().map(|note| view! { li { (note) } }).collect()
    };
    view! {
        details(class="effective") {
            summary { "Effective QEMU command line" }
            pre(class="command-line", tabindex="0", data-testid="command-line") { (line.get_clone()) }
            button(class="button small", r#type="button", data-testid="copy-command-line",
                on:click=move |_| copy(line.get_clone_untracked())) { (icon(icons::COPY)) "Copy" }
            ul(class="notes") { (items()) }
        }
    }
}

/// What is wrong with the machine as a whole, and what kept it from being saved.
fn problems(form: Form) -> View {
    let general = create_selector(move || form.errors_of(Field::Machine));
    let asked = create_selector(move || form.problems.get_clone());
    let list = |problems: Vec<String>| -> Vec<View> {
        problems
            .into_iter()
            .map(|problem| view! { li { (problem) } })
            .collect()
    };
    view! {
        (match asked.get_clone() {
            none if none.is_empty() => View::new(),
            some => {
                let items = list(some);
                view! { ul(class="form-errors", role="alert", data-testid="error") { (items) } }
            }
        })
        (match general.get_clone() {
            // Told already, or nothing to tell.
            none if none.is_empty() || !asked.with(Vec::is_empty) => View::new(),
            some => {
                let items = list(some);
                view! { ul(class="form-errors", data-testid="machine-errors") { (items) } }
            }
        })
    }
}
