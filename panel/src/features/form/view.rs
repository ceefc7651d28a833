//! The form as it is drawn.

use qemuweb_vm_config::{
    Arch, FileKind, VmProfile, default_profiles, infrastructure_profiles, largest_guest_mib,
};
use sycamore::prelude::*;
use web_sys::{Event, SubmitEvent};

use super::draft::{Draft, Field};
use super::state::Form;
use super::{actions, fields, inputs};
use crate::features::library::state::Library;
use crate::kit::browser::{copy, value_of};
use crate::kit::icons::{self, icon};
use crate::kit::reactive::{Dynamic, Once, memo};

/// The settings of the VM that is shown.
#[component]
pub fn Settings() -> View {
    let library = Library::here();
    let machines = library.machines;
    let selected = memo(move || machines.cx.nav.selected.get_clone());
    view! {
        div(class="settings", id="panel-settings", role="tabpanel", aria-labelledby="tab-settings") {
            (Dynamic { of: move || match selected.get_clone().and_then(|vm_id| machines.vm(&vm_id)) {
                Some(vm) => {
                    let draft = Draft::of(vm.name.clone(), (*vm.definition).clone());
                    let form = Form::new(library, draft, Some(&vm));
                    view! { VmForm(form=form) }
                }
                None => View::new(),
            } })
        }
    }
}

/// The form itself.
#[component(inline_props)]
pub fn VmForm(form: Form) -> View {
    let form = form.drawn_here();
    let is_new = form.vm_id.with_untracked(Option::is_none);
    let machines = form.library.machines;
    // QEMU runs with what it was started with.
    let is_active = memo(move || {
        let vm_id = form.vm_id.get_clone();
        machines.vms.with(|vms| {
            vms.iter()
                .any(|vm| Some(&vm.vm_id) == vm_id.as_ref() && vm.state.is_active())
        })
    });
    let save = move |event: SubmitEvent| {
        event.prevent_default();
        // Enter in the name's field, while it runs.
        if is_active.get_untracked() {
            actions::rename(form);
        } else {
            actions::submit(form, true);
        }
    };
    view! {
        form(class="form", on:submit=save) {
            (Once { of: move || fields::text(form, fields::Text {
                id: "vm-name", label: "Name", kind: "text", field: None,
                placeholder: |draft| Draft { name: String::new(), ..draft.clone() }.effective_name(),
                get: |draft| draft.name.clone(), set: |draft, text| draft.name = text,
            }) })
            (Dynamic { of: move || if is_active.get() {
                view! {
                    p(class="hint") { "It runs with the hardware that it was started with: stop it to change that." }
                    div(class="form-buttons") {
                        button(class="button primary", r#type="button", data-testid="rename-vm",
                            on:click=move |_| actions::rename(form)) { "Rename" }
                    }
                }
            } else {
                view! { Hardware(form=form, is_new=is_new) }
            } })
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
    let cx = form.library.machines.cx;
    view! {
        (template)
        p(class="hint", data-testid="profile-help") { (help()) }
        (Once { of: move || inputs::source(form, inputs::Source {
            id: "kernel", label: "Kernel", field: Field::Kernel, kinds: &[FileKind::Kernel, FileKind::Initrd],
            get: |draft| draft.kernel.clone(),
            set: |draft, source| (draft.kernel, draft.kernel_kind) = (source, None),
        }) })
        (Once { of: move || inputs::source(form, inputs::Source {
            id: "initrd", label: "Initrd", field: Field::Initrd, kinds: &[FileKind::Initrd],
            get: |draft| draft.initrd.clone(), set: |draft, source| draft.initrd = source,
        }) })
        (Once { of: move || fields::text(form, fields::Text {
            id: "cmdline", label: "Command line", kind: "text", field: Some(Field::Cmdline),
            placeholder: |draft| draft.profile.default_inputs.kernel_cmdline.clone().unwrap_or_default(),
            get: |draft| draft.cmdline.clone(), set: |draft, text| draft.cmdline = text,
        }) })
        inputs::Disks(form=form)
        (Once { of: move || fields::home(form) })
        (Once { of: move || fields::text(form, fields::Text {
            id: "memory", label: "Memory (MiB)", kind: "number", field: Some(Field::Memory),
            placeholder: |draft| draft.profile.memory_mib.to_string(),
            get: |draft| draft.memory.clone(), set: |draft, text| draft.memory = text,
        }) })
        (Once { of: move || fields::text(form, fields::Text {
            id: "smp", label: "vCPUs", kind: "number", field: Some(Field::Smp),
            placeholder: |draft| draft.profile.smp.to_string(),
            get: |draft| draft.smp.clone(), set: |draft, text| draft.smp = text,
        }) })
        (Once { of: move || fields::text(form, fields::Text {
            id: "cpu", label: "CPU model", kind: "text", field: Some(Field::Cpu),
            placeholder: |draft| draft.profile.cpu.clone().unwrap_or_default(),
            get: |draft| draft.cpu.clone(), set: |draft, text| draft.cpu = text,
        }) })
        (Once { of: move || fields::devices(form) })
        (Once { of: move || fields::boot(form) })
        (Once { of: move || fields::text(form, fields::Text {
            id: "extra-args", label: "More QEMU arguments", kind: "text", field: Some(Field::ExtraArgs),
            placeholder: |_| "-name 'my machine' -rtc clock=vm".to_owned(),
            get: |draft| draft.extra_args.clone(), set: |draft, text| draft.extra_args = text,
        }) })
        p(class="hint") { "Guest memory: at most " (largest_guest_mib().to_string()) " MiB fit into the browser." }
        (Once { of: move || effective(form) })
        (Once { of: move || problems(form) })
        p(class="hint", role="status", hidden=form.notice.with(Option::is_none)) {
            (form.notice.get_clone().unwrap_or_default())
        }
        div(class="form-buttons") {
            button(class="button primary", r#type="submit", data-testid="launch-custom", disabled=!cx.can_launch()) {
                (Once { of: move || icon(icons::START) }) (start)
            }
            button(class="button", r#type="button", data-testid="save-vm", disabled=!cx.can_launch(),
                on:click=move |_| actions::submit(form, false)) { "Save without starting" }
            button(class="button", r#type="button", data-testid="save-profile", disabled=!cx.can_launch(),
                on:click=move |_| actions::save_profile(form)) { "Save as a profile" }
        }
    }
}

/// The choice of a profile to begin with.
fn template_select(form: Form) -> View {
    let library = form.library;
    let choose = move |event: Event| {
        if let Some(profile) = untrack(|| library.profile(&value_of(&event))) {
            form.change(|draft| draft.profile = profile);
        }
    };
    let ours = |arch: Arch| {
        let all = default_profiles().into_iter().chain(infrastructure_profiles());
        options(form, all.filter(|profile| profile.arch == arch).collect())
    };
    let (x86, arm) = (ours(Arch::X86_64), ours(Arch::Aarch64));
    let own = move || {
        let profiles = library.profiles.get_clone();
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
    let line = memo(move || form.checked.with(|checked| checked.command_line.clone()));
    let notes = memo(move || form.checked.with(|checked| checked.warnings.clone()));
    let items = move || -> Vec<View> {
        let notes = notes.get_clone();
        notes.into_iter().map(|note| view! { li { (note) } }).collect()
    };
    view! {
        details(class="effective") {
            summary { "Effective QEMU command line" }
            pre(class="command-line", tabindex="0", data-testid="command-line") { (line.get_clone()) }
            button(class="button small", r#type="button", data-testid="copy-command-line",
                on:click=move |_| copy(line.get_clone_untracked())) { (Once { of: move || icon(icons::COPY) }) "Copy" }
            ul(class="notes") { (items()) }
        }
    }
}

/// What is wrong with the machine as a whole, and what kept it from being saved.
fn problems(form: Form) -> View {
    let general = memo(move || form.errors_of(Field::Machine));
    let asked = memo(move || form.problems.get_clone());
    let list = |problems: Vec<String>| -> Vec<View> {
        problems
            .into_iter()
            .map(|problem| view! { li { (problem) } })
            .collect()
    };
    view! {
        (Dynamic { of: move || match asked.get_clone() {
            none if none.is_empty() => View::new(),
            some => {
                let items = list(some);
                view! { ul(class="form-errors", role="alert", data-testid="error") { (items) } }
            }
        } })
        (Dynamic { of: move || match general.get_clone() {
            // Told already, or nothing to tell.
            none if none.is_empty() || !asked.with(Vec::is_empty) => View::new(),
            some => {
                let items = list(some);
                view! { ul(class="form-errors", data-testid="machine-errors") { (items) } }
            }
        } })
    }
}
