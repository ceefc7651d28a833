//! The launcher: the built-in guests, the person's own images, and what this is for those who are new.

use qemuweb_vm_config::{DEFAULT_PROFILE_ID, VmProfile, default_profiles, find_profile};
use sycamore::prelude::*;

use crate::custom_vm::CustomVm;
use crate::icons::{self, icon};
use crate::state::Connection;
use crate::text;
use crate::workbench::{Launch, Workbench};

/// The launcher.
#[component(inline_props)]
pub fn Launcher(workbench: Workbench) -> View {
    let store = workbench.store;
    let is_first = create_selector(move || store.vms.with(Vec::is_empty));
    let cards: Vec<View> = default_profiles()
        .into_iter()
        // Those whose screen the panel cannot show yet are left to the form.
        .filter(|profile| !profile.default_inputs.is_empty() && !profile.supports_graphics)
        .map(|profile| view! { Card(workbench=workbench, profile=profile) })
        .collect();
    view! {
        div(class="launcher") {
            (if is_first.get() { view! { FirstRun(workbench=workbench) } } else { View::new() })
            section(aria-labelledby="built-in-title") {
                h2(id="built-in-title") { "Built-in guests" }
                div(class="cards") { (cards) }
            }
            section(aria-labelledby="custom-title") {
                h2(id="custom-title") { "Your own image" }
                CustomVm(workbench=workbench)
            }
        }
    }
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
        workbench.launch(Launch::built_in(profile));
    }
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

/// A profile that boots by itself.
#[component(inline_props)]
fn Card(workbench: Workbench, profile: VmProfile) -> View {
    let VmProfile {
        id,
        name,
        description,
        ..
    } = profile.clone();
    let machine = text::machine(&profile);
    let label = format!("Launch {name}");
    let launch = move |_| workbench.launch(Launch::built_in(profile.clone()));
    view! {
        article(class="card", data-testid="profile-card", data-profile-id=id) {
            h3 { (name) }
            span(class="card-machine") { (machine) }
            p(class="card-text") { (description) }
            button(class="button", r#type="button", data-testid="launch", aria-label=label,
                disabled=!can_launch(workbench), on:click=launch) { (icon(icons::START)) "Launch" }
        }
    }
}

#[cfg(test)]
mod tests {
    use sycamore::web::render_to_string;

    use super::*;

    #[test]
    fn the_cards_are_the_built_in_guests_with_a_console() {
        let html = render_to_string(|| {
            let workbench = Workbench::new(0.0);
            view! { Launcher(workbench=workbench) }
        });
        for id in [
            "minimal-x86_64",
            "linux-x86_64-pc-nographic",
            "linux-aarch64-virt-nographic",
        ] {
            assert!(
                html.contains(&format!("data-profile-id=\"{id}\"")),
                "{id} in {html}"
            );
        }
        assert!(!html.contains("data-profile-id=\"linux-x86_64-pc-graphics\""));
        assert!(html.contains("launch-default"), "first run");
    }
}
