//! The launcher's tabs.

use qemuweb_vm_config::{VmProfile, default_profiles, infrastructure_profiles};
use sycamore::prelude::*;
use web_sys::{FocusEvent, KeyboardEvent};

use super::cards::{Card, FirstRun, Recent, boots_by_itself};
use super::own_profiles::OwnProfiles;
use super::state::Launcher;
use crate::cx::LauncherTab;
use crate::features::disks::storage::Storage;
use crate::features::form::view::VmForm;
use crate::features::library::stored::stored_files;
use crate::features::machines::state::Machines;
use crate::kit::reactive::{Dynamic, Once, memo};
use crate::kit::roving;

/// The launcher.
#[component]
pub fn LauncherView() -> View {
    let nav = Machines::here().cx.nav;
    let tabs = create_node_ref();
    let tab = move |tab: LauncherTab, label: &'static str, id: &'static str| {
        let is_selected = move || nav.launcher.get() == tab;
        view! {
            button(class="tab", role="tab", r#type="button", id=id, aria-controls="launcher-panel", data-testid=id,
                aria-selected=is_selected().to_string(),
                tabindex=if is_selected() { "0" } else { "-1" }, on:click=move |_| nav.launcher.set(tab)) { (label) }
        }
    };
    view! {
        div(class="vm-view") {
            div(class="tab-bar") {
                h1(class="vm-title") { "New virtual machine" }
                div(class="tabs", role="tablist", aria-label="Ways to a new virtual machine", r#ref=tabs,
                    on:keydown=move |event: KeyboardEvent| roving::keydown(&event, tabs, roving::Axis::Horizontal),
                    on:focusin=move |event: FocusEvent| roving::focusin(&event, tabs)) {
                    (Once { of: move || tab(LauncherTab::Guests, "Guests", "launcher-guests") })
                    (Once { of: move || tab(LauncherTab::Files, "Files", "launcher-files") })
                    (Once { of: move || tab(LauncherTab::Custom, "Custom", "launcher-custom") })
                }
            }
            div(class="launcher", id="launcher-panel", role="tabpanel", tabindex="-1", aria-label="New virtual machine") {
                (Dynamic { of: move || match nav.launcher.get() {
                    LauncherTab::Guests => view! { Guests {} },
                    LauncherTab::Files => view! { Files {} },
                    LauncherTab::Custom => view! { Custom {} },
                } })
            }
        }
    }
}

/// Our profiles that boot by themselves, or those that need something. Those whose screen the panel cannot show yet are left
/// to the form.
fn cards(by_themselves: bool) -> Vec<View> {
    let all = default_profiles().into_iter().chain(infrastructure_profiles());
    let is_shown =
        |profile: &VmProfile| !profile.supports_graphics && boots_by_itself(profile) == by_themselves;
    all.filter(is_shown)
        .map(|profile| view! { Card(profile=profile) })
        .collect()
}

#[component]
fn Guests() -> View {
    let machines = Machines::here();
    let is_first = memo(move || machines.vms.with(Vec::is_empty));
    let cards = cards(true);
    view! {
        (Dynamic { of: move || if is_first.get() { view! { FirstRun {} } } else { View::new() } })
        Recent {}
        section(aria-labelledby="built-in-title") {
            h2(id="built-in-title") { "Built-in guests" }
            div(class="cards") { (cards) }
        }
        OwnProfiles {}
    }
}

#[component]
fn Files() -> View {
    let launcher = Launcher::here();
    let cards = cards(false);
    view! {
        (Once { of: move || stored_files(move |stored| launcher.offer(stored)) })
        Storage {}
        section(aria-labelledby="needy-title") {
            h2(id="needy-title") { "Templates for your images" }
            div(class="cards") { (cards) }
        }
    }
}

#[component]
fn Custom() -> View {
    let form = Launcher::here().form.map(|form| view! { VmForm(form=form) });
    view! {
        section(aria-labelledby="custom-title") {
            h2(id="custom-title", tabindex="-1") { "Your own hardware" }
            (form)
        }
    }
}

#[cfg(test)]
mod tests {
    use sycamore::web::render_to_string;

    use super::*;
    use crate::cx::Cx;
    use crate::features::disks::state::Disks;
    use crate::features::library::state::Library;
    use crate::features::monitor::state::Monitors;

    #[test]
    fn profiles_that_boot_by_themselves_can_be_launched_and_others_set_up() {
        let html = render_to_string(|| {
            let library = Library::new(Machines::new(Cx::new(0.0)));
            provide_context(library.machines);
            provide_context(library);
            provide_context(Launcher::new(library));
            provide_context(Disks::new(Monitors::new(library.machines), library));
            view! { Guests {} Files {} }
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
