//! The launcher: what was used last, templates with what they are, people's own profiles, and the hardware form.

use qemuweb_runtime::protocol::VmInfo;
use qemuweb_vm_config::{
    DEFAULT_PROFILE_ID, InputSource, VmInputs, VmProfile, build_qemu_args, default_profiles, find_profile,
    infrastructure_profiles,
};
use sycamore::prelude::*;
use sycamore::web::{document, queue_microtask};

use crate::browser::{focus, preference, set_preference};
use crate::form::NewVm;
use crate::icons::{self, icon, state_icon};
use crate::own_profiles::OwnProfiles;
use crate::state::Connection;
use crate::stored_files::StoredFiles;
use crate::text;
use crate::workbench::Workbench;

/// VMs that are offered before the templates.
const MOST_RECENT: usize = 4;

/// The launcher.
#[component(inline_props)]
pub fn Launcher(workbench: Workbench) -> View {
    let store = workbench.store;
    let is_first = create_selector(move || store.vms.with(Vec::is_empty));
    // Those whose screen the panel cannot show yet are left to the form.
    let all = default_profiles().into_iter().chain(infrastructure_profiles());
    let (bootable, needy): (Vec<_>, Vec<_>) = all
        .filter(|profile| !profile.supports_graphics)
        .partition(boots_by_itself);
    let cards = |profiles: Vec<VmProfile>| -> Vec<View> {
        profiles
            .into_iter()
            .map(|profile| view! { Card(workbench=workbench, profile=profile) })
            .collect()
    };
    let (bootable, needy) = (cards(bootable), cards(needy));
    view! {
        div(class="launcher") {
            (if is_first.get() { view! { FirstRun(workbench=workbench) } } else { View::new() })
            Recent(workbench=workbench)
            section(aria-labelledby="built-in-title") {
                h2(id="built-in-title") { "Built-in guests" }
                div(class="cards") { (bootable) }
            }
            section(aria-labelledby="needy-title") {
                h2(id="needy-title") { "Templates for your images" }
                div(class="cards") { (needy) }
            }
            OwnProfiles(workbench=workbench)
            StoredFiles(workbench=workbench)
            section(aria-labelledby="custom-title") {
                h2(id="custom-title", tabindex="-1") { "Your own hardware" }
                NewVm(workbench=workbench)
            }
        }
    }
}

/// Whether a profile boots without anything from the person.
pub fn boots_by_itself(profile: &VmProfile) -> bool {
    build_qemu_args(profile, &VmInputs::default(), None)
        .errors
        .is_empty()
}

/// Whether VMs can be launched: there is a host, and its browser has what QEMU needs. Tracked.
pub fn can_launch(workbench: Workbench) -> bool {
    workbench
        .store
        .connection
        .with(|connection| *connection == Connection::Connected)
        && workbench
            .store
            .capabilities
            .with(|found| found.as_ref().is_none_or(|found| found.can_run()))
}

/// Starts the default guest.
pub fn launch_default(workbench: Workbench) {
    if let Some(profile) = find_profile(DEFAULT_PROFILE_ID) {
        workbench.launch(&profile);
    }
}

/// Shows a profile in the form.
pub fn customize(workbench: Workbench, profile: VmProfile) {
    workbench.store.template.set(Some(profile));
    show_form();
}

/// Brings the form into view.
pub fn show_form() {
    queue_microtask(|| {
        if let Some(title) = document().get_element_by_id("custom-title") {
            title.scroll_into_view();
            focus(&title);
        }
    });
}

/// Notes how long a VM's profile took to boot here, for its card.
pub fn note_boot(vm: &VmInfo) {
    if let Some(boot) = text::boot_time(vm).filter(|_| vm.state.is_active()) {
        set_preference(&boot_key(&vm.profile_id), &format!("{boot:.0}"));
    }
}

/// How long a profile can be expected to boot, from the last time on this computer.
pub fn expected_boot(profile_id: &str) -> String {
    // Components that are rendered natively have no browser to remember anything.
    let last = cfg!(target_arch = "wasm32")
        .then(|| preference(&boot_key(profile_id)))
        .flatten();
    let last = last.and_then(|ms| ms.parse::<f64>().ok());
    last.map_or_else(
        || "not booted here yet".to_owned(),
        |ms| format!("boots in about {}", text::seconds(ms)),
    )
}

fn boot_key(profile_id: &str) -> String {
    format!("boot-time.{profile_id}")
}

/// What this is, in three lines, and the one button.
#[component(inline_props)]
fn FirstRun(workbench: Workbench) -> View {
    view! {
        section(class="first-run", aria-labelledby="first-run-title") {
            h1(id="first-run-title") { "Boot a machine beside your page" }
            p { "QemuWeb runs real QEMU virtual machines inside the browser, compiled to WebAssembly." }
            p { "Nothing leaves this computer: kernel, disks and console stay in the extension." }
            p { "A machine goes on when DevTools closes. Stop it here or from the toolbar button." }
            button(class="button primary",
                r#type="button", data-testid="launch-default", disabled=!can_launch(workbench),
                on:click=move |_| launch_default(workbench)) { (icon(icons::START)) "Boot Linux" }
        }
    }
}

/// The favourites and what was started last.
#[component(inline_props)]
fn Recent(workbench: Workbench) -> View {
    let recent = create_selector(move || workbench.store.recent(MOST_RECENT));
    let section = move || {
        let vms = recent.get_clone();
        if vms.is_empty() {
            return View::new();
        }
        let rows: Vec<View> = vms.into_iter().map(|vm| recent_row(workbench, vm)).collect();
        view! {
            section(aria-labelledby="recent-title") {
                h2(id="recent-title") { "Favourite and recent" }
                ul(class="recent") { (rows) }
            }
        }
    };
    view! { (section()) }
}

fn recent_row(workbench: Workbench, vm: VmInfo) -> View {
    let state = state_icon(&vm.state);
    let is_active = vm.state.is_active();
    let (vm_id, name) = (vm.vm_id.clone(), vm.name.clone());
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
            workbench.prepare(&profile);
        }
    };
    let (pointed, focused) = (prepare.clone(), prepare);
    let open = move |_| {
        if !is_active {
            workbench.restart(&vm_id);
        }
        workbench.show_started(&vm_id);
    };
    let what = if is_active { "Open" } else { "Start" };
    view! {
        li(class="recent-row", data-testid="recent-row", data-vm-id=vm.vm_id) {
            (state)
            span(class="vm-name") { (name) }
            (favourite)
            span(class="vm-state") { (machine) }
            button(class="button small", r#type="button", data-testid="recent-open", aria-label=label,
                disabled=!can_launch(workbench), on:pointerenter=move |_| pointed(), on:focus=move |_| focused(),
                on:click=open) { (what) }
        }
    }
}

/// The size of the files of the package that a profile boots, once it is known. Tracked.
fn image_size(workbench: Workbench, profile: &VmProfile) -> Option<u64> {
    let inputs = &profile.default_inputs;
    let paths = inputs
        .kernel
        .iter()
        .chain(&inputs.initrd)
        .filter_map(|source| match source {
            InputSource::Builtin(file) => Some(file.path.clone()),
            _ => None,
        });
    workbench.store.image_sizes.with(|sizes| {
        let known = paths.map(|path| sizes.get(&path).copied());
        known.sum::<Option<u64>>().filter(|size| *size > 0)
    })
}

/// A profile: what it is, how large, how long it takes, and the way to start it.
#[component(inline_props)]
pub fn Card(workbench: Workbench, profile: VmProfile) -> View {
    let VmProfile {
        id,
        name,
        description,
        ..
    } = profile.clone();
    let machine = text::machine(&profile);
    let by_itself = boots_by_itself(&profile);
    let facts = {
        let profile = profile.clone();
        move || {
            let size = image_size(workbench, &profile).map(|size| format!("{} of images", text::bytes(size)));
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
                disabled=!can_launch(workbench), on:pointerenter=move |_| workbench.prepare(&pointed),
                on:focus=move |_| workbench.prepare(&focused), on:click=move |_| workbench.launch(&launched)) {
                (icon(icons::START)) "Launch"
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
                    on:click=move |_| customize(workbench, edited.clone())) { (edit) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sycamore::web::render_to_string;

    use super::*;

    #[test]
    fn profiles_that_boot_by_themselves_can_be_launched_and_others_set_up() {
        let html = render_to_string(|| {
            let workbench = Workbench::new(0.0);
            view! { Launcher(workbench=workbench) }
        });
        for id in [
            "minimal-x86_64",
            "linux-x86_64-pc-nographic",
            "linux-aarch64-virt-nographic",
            "debian-x86_64-disk",
            "alpine-linux",
        ] {
            assert!(
                html.contains(&format!("data-profile-id=\"{id}\"")),
                "{id} in {html}"
            );
        }
        assert!(!html.contains("data-profile-id=\"linux-x86_64-pc-graphics\""));
        assert!(html.contains("launch-default"), "first run");
        let debian = &html[html.find("data-profile-id=\"debian-x86_64-disk\"").unwrap()..];
        let debian = &debian[..debian.find("</article>").unwrap()];
        assert!(
            debian.contains("Set up") && !debian.contains("data-testid=\"launch\""),
            "{debian}"
        );
        assert!(debian.contains("qemu-wasm/guest/build-disk.sh"), "{debian}");
    }
}
