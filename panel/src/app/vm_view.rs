//! A VM: its tabs, its start, its failure.

use sycamore::prelude::*;
use web_sys::{FocusEvent, KeyboardEvent};

use crate::cx::Tab;
use crate::features::console::view::{ConsoleTools, ConsoleView};
use crate::features::disks::view::DisksView;
use crate::features::form::view::Settings;
use crate::features::machines::details::Details;
use crate::features::machines::progress::ProgressBar;
use crate::features::machines::state::{Machines, failure_of};
use crate::features::monitor::metrics::MetricsBar;
use crate::features::monitor::view::Monitor;
use crate::features::transfer::drop_zone::drop_zone;
use crate::kit::browser::open_panel;
use crate::kit::buttons::text_button;
use crate::kit::failure_view::failure_view;
use crate::kit::files;
use crate::kit::reactive::{Dynamic, Once, memo};
use crate::kit::roving;

/// The VM that is shown.
#[component]
pub fn VmView() -> View {
    let machines = Machines::here();
    let nav = machines.cx.nav;
    let tabs = create_node_ref();
    let failure = memo(move || machines.of_shown(failure_of));
    // It says by itself what to do next, until the disk works again.
    let alarm = memo(move || machines.of_shown(|vm| vm.disk_alarm.clone()));
    let name = memo(move || machines.of_shown(|vm| vm.name.clone()));
    let tab = move |tab: Tab, label: &'static str, id: &'static str, panel: &'static str| {
        let is_selected = move || nav.tab.get() == tab;
        view! {
            button(class="tab", role="tab", r#type="button", id=id, aria-controls=panel,
                aria-selected=is_selected().to_string(),
                tabindex=if is_selected() { "0" } else { "-1" }, on:click=move |_| nav.tab.set(tab)) { (label) }
        }
    };
    // Where the browser does not ask for files, a page of its own does.
    let asks_in_tab = memo(move || {
        let has_handles = machines.of_shown(|vm| vm.has_handles);
        has_handles && cfg!(target_arch = "wasm32") && !files::has_picker()
    });
    let restart = move |_| {
        if let Some(vm) = machines.shown_now() {
            machines.start(&vm.vm_id);
        }
    };
    view! {
        div(class="vm-view") {
            div(class="tab-bar") {
                h1(class="vm-title") { (name.get_clone()) }
                div(class="tabs", role="tablist", aria-label="Views of the virtual machine", r#ref=tabs,
                    on:keydown=move |event: KeyboardEvent| roving::keydown(&event, tabs, roving::Axis::Horizontal),
                    on:focusin=move |event: FocusEvent| roving::focusin(&event, tabs)) {
                    (Once { of: move || tab(Tab::Console, "Console", "tab-console", "panel-console") })
                    (Once { of: move || tab(Tab::Details, "Details", "tab-details", "panel-details") })
                    (Once { of: move || tab(Tab::Disks, "Disks", "tab-disks", "panel-disks") })
                    (Once { of: move || tab(Tab::Monitor, "Monitor", "tab-monitor", "panel-monitor") })
                    (Once { of: move || tab(Tab::Settings, "Settings", "tab-settings", "panel-settings") })
                }
                span(class="spacer")
                (Dynamic { of: move || if nav.tab.get() == Tab::Console { view! { ConsoleTools {} } } else { View::new() } })
            }
            ProgressBar {}
            (Dynamic { of: move || match failure.get_clone() {
                Some(failure) => {
                    let start = view! {
                        (Dynamic { of: move || if asks_in_tab.get() { open_in_tab(machines) } else { View::new() } })
                        button(class="button small", r#type="button", on:click=restart) { "Start again" }
                    };
                    failure_view(failure, start)
                }
                None => View::new(),
            } })
            (Dynamic { of: move || match alarm.get_clone() {
                Some(alarm) => failure_view(alarm, text_button("show-disks", "Show disks", move |_| nav.tab.set(Tab::Disks))),
                None => View::new(),
            } })
            (Dynamic { of: move || match nav.tab.get() {
                Tab::Console => drop_zone(view! { ConsoleView {} }),
                Tab::Details => view! { Details {} },
                Tab::Disks => view! { DisksView {} },
                Tab::Monitor => view! { Monitor {} },
                Tab::Settings => view! { Settings {} },
            } })
            MetricsBar {}
        }
    }
}

fn open_in_tab(machines: Machines) -> View {
    let open = move |_| open_panel(machines.cx.nav.selected.get_clone_untracked().as_deref());
    view! {
        button(class="button small", r#type="button", data-testid="open-in-tab", on:click=open) { "Open in a tab" }
    }
}
