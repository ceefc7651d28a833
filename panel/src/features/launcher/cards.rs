//! What can be started in one click: the default guest at first, what was used last, and a card per profile.

use qemuweb_vm_config::{InputSource, VmInputs, VmProfile, build_qemu_args};
use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;

use super::state::{Launcher, expected_boot};
use crate::features::machines::state::Machines;
use crate::features::machines::words::{self, state_icon};
use crate::kit::icons::{self, icon};
use crate::kit::reactive::{Once, memo};
use crate::kit::text;

/// VMs that are offered before the templates.
const MOST_RECENT: usize = 4;

/// Whether a profile boots without anything from the person.
pub fn boots_by_itself(profile: &VmProfile) -> bool {
    build_qemu_args(profile, &VmInputs::default(), None)
        .errors
        .is_empty()
}

/// What this is, in three lines, and the one button.
#[component]
pub fn FirstRun() -> View {
    let machines = Machines::here();
    view! {
        section(class="first-run", aria-labelledby="first-run-title") {
            h1(id="first-run-title") { "Boot a machine beside your page" }
            p { "QemuWeb runs real QEMU virtual machines inside the browser, compiled to WebAssembly." }
            p { "Nothing leaves this computer: kernel, disks and console stay in the extension." }
            p { "A machine goes on when DevTools closes. Stop it here or from the toolbar button." }
            button(class="button primary",
                r#type="button", data-testid="launch-default", disabled=!machines.cx.can_launch(),
                on:click=move |_| machines.launch_default()) { (Once { of: move || icon(icons::START) }) "Boot Linux" }
        }
    }
}

/// The favourites and what was started last.
#[component]
pub fn Recent() -> View {
    let machines = Machines::here();
    let recent = memo(move || machines.recent(MOST_RECENT));
    let section = move || {
        let vms = recent.get_clone();
        if vms.is_empty() {
            return View::new();
        }
        let rows: Vec<View> = vms.into_iter().map(|vm| recent_row(machines, &vm)).collect();
        view! {
            section(aria-labelledby="recent-title") {
                h2(id="recent-title") { "Favourite and recent" }
                ul(class="recent") { (rows) }
            }
        }
    };
    view! { (section()) }
}

fn recent_row(machines: Machines, vm: &VmInfo) -> View {
    let state = state_icon(&vm.state);
    let is_active = vm.state.is_active();
    let (vm_id, data_id, name) = (vm.vm_id.clone(), vm.vm_id.clone(), vm.name.clone());
    let favourite = vm.favourite.then(|| icon(icons::STAR));
    let machine = format!("{} · {}", vm.arch, text::mebibytes(vm.memory_mib));
    let label = if is_active {
        format!("Open {name}")
    } else {
        format!("Start {name}")
    };
    let profile = vm.definition.profile.clone();
    let prepare = move || {
        if !is_active {
            machines.prepare(&profile);
        }
    };
    let (pointed, focused) = (prepare.clone(), prepare);
    let open = move |_| {
        if !is_active {
            machines.start(&vm_id);
        }
        machines.cx.nav.show_console(&vm_id);
    };
    let what = if is_active { "Open" } else { "Start" };
    view! {
        li(class="recent-row", data-testid="recent-row", data-vm-id=data_id) {
            (state)
            span(class="vm-name") { (name) }
            (favourite)
            span(class="vm-state") { (machine) }
            button(class="button small", r#type="button", data-testid="recent-open", aria-label=label,
                disabled=!machines.cx.can_launch(), on:pointerenter=move |_| pointed(), on:focus=move |_| focused(),
                on:click=open) { (what) }
        }
    }
}

/// The size of the files of the package that a profile boots, once it is known. Tracked.
fn image_size(launcher: Launcher, profile: &VmProfile) -> Option<u64> {
    let inputs = &profile.default_inputs;
    let paths = inputs
        .kernel
        .iter()
        .chain(&inputs.initrd)
        .filter_map(|source| match source {
            InputSource::Builtin(file) => Some(file.path.clone()),
            _ => None,
        });
    launcher.image_sizes.with(|sizes| {
        let known = paths.map(|path| sizes.get(&path).copied());
        known.sum::<Option<u64>>().filter(|size| *size > 0)
    })
}

/// A profile: what it is, how large, how long it takes, and the way to start it.
#[component(inline_props)]
pub fn Card(profile: VmProfile) -> View {
    let launcher = Launcher::here();
    let machines = launcher.library.machines;
    let VmProfile {
        id,
        name,
        description,
        ..
    } = profile.clone();
    let machine = words::machine(&profile);
    let by_itself = boots_by_itself(&profile);
    let facts = {
        let profile = profile.clone();
        move || {
            let size = image_size(launcher, &profile).map(|size| format!("{} of images", text::bytes(size)));
            let boot = by_itself.then(|| expected_boot(&profile.id));
            let facts: Vec<String> = size.into_iter().chain(boot).collect();
            facts.join(" · ")
        }
    };
    let help = profile.kernel_help_text.clone().filter(|_| !by_itself);
    let help = help.map(|help| view! { p(class="card-text") { (help) } });
    let (label, edit_label) = (format!("Launch {name}"), format!("Customize {name}"));
    let (launched, pointed, focused) = (profile.clone(), profile.clone(), profile.clone());
    let edited = profile;
    let launch = by_itself.then(|| {
        view! {
            button(class="button", r#type="button", data-testid="launch", aria-label=label,
                disabled=!machines.cx.can_launch(), on:pointerenter=move |_| machines.prepare(&pointed),
                on:focus=move |_| machines.prepare(&focused), on:click=move |_| machines.launch(&launched)) {
                (Once { of: move || icon(icons::START) }) "Launch"
            }
        }
    });
    let edit = if by_itself { "Customize" } else { "Set up" };
    view! {
        article(class="card", data-testid="profile-card", data-profile-id=id) {
            h3 { (name) }
            span(class="card-machine") { (machine) }
            p(class="card-text") { (description) }
            (help)
            p(class="card-facts", data-testid="card-facts") { (facts()) }
            div(class="card-buttons") {
                (launch)
                button(class="button", r#type="button", data-testid="customize", aria-label=edit_label,
                    on:click=move |_| launcher.customize(edited.clone())) { (edit) }
            }
        }
    }
}
