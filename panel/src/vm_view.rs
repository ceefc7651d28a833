//! A VM: its tabs, its start, its failure.

use qemuweb_runtime::VmState;
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::VmInfo;
use sycamore::prelude::*;
use web_sys::{FocusEvent, KeyboardEvent};

use crate::console_view::{ConsoleTools, ConsoleView};
use crate::details::Details;
use crate::failure_view::failure_view;
use crate::form::Settings;
use crate::local_files;
use crate::metrics::MetricsBar;
use crate::monitor::Monitor;
use crate::progress::ProgressBar;
use crate::roving;
use crate::state::Tab;
use crate::toolbar::open_tab;
use crate::workbench::Workbench;

/// What to show of a VM that ended badly: its failure, or the reason of its crash.
pub fn failure_of(vm: &VmInfo) -> Option<Failure> {
    if vm.state.is_active() {
        return None;
    }
    match (&vm.failure, &vm.state) {
        (Some(failure), _) => Some(failure.clone()),
        (None, VmState::Crashed { reason }) => Some(
            Failure::new(format!("{} crashed: {reason}", vm.name))
                .with_next_step("Read the last output below, then start it again."),
        ),
        _ => None,
    }
}

/// The VM that is shown.
#[component(inline_props)]
pub fn VmView(workbench: Workbench) -> View {
    let store = workbench.store;
    let tabs = create_node_ref();
    let failure = create_selector(move || store.shown.with(|vm| vm.as_ref().and_then(failure_of)));
    let name = create_selector(move || {
        store
            .shown
            .with(|vm| vm.as_ref().map(|vm| vm.name.clone()).unwrap_or_default())
    });
    let tab = move |tab: Tab, label: &'static str, id: &'static str, panel: &'static str| {
        let is_selected = move || store.tab.get() == tab;
        view! {
            button(class="tab", role="tab", r#type="button", id=id, aria-controls=panel,
                aria-selected=is_selected().to_string(),
                tabindex=if is_selected() { "0" } else { "-1" }, on:click=move |_| store.tab.set(tab)) { (label) }
        }
    };
    // Where the browser does not ask for files, a page of its own does.
    let asks_in_tab = create_selector(move || {
        let has_handles = store
            .shown
            .with(|vm| vm.as_ref().is_some_and(|vm| vm.has_handles));
        has_handles && cfg!(target_arch = "wasm32") && !local_files::has_picker()
    });
    let restart = move |_| {
        if let Some(vm_id) = store.selected.get_clone_untracked() {
            workbench.restart(&vm_id);
        }
    };
    view! {
        div(class="vm-view") {
            div(class="tab-bar") {
                h1(class="vm-title") { (name.get_clone()) }
                div(class="tabs", role="tablist", aria-label="Views of the virtual machine", r#ref=tabs,
                    on:keydown=move |event: KeyboardEvent| roving::keydown(&event, tabs, roving::Axis::Horizontal),
                    on:focusin=move |event: FocusEvent| roving::focusin(&event, tabs)) {
                    (tab(Tab::Console, "Console", "tab-console", "panel-console"))
                    (tab(Tab::Details, "Details", "tab-details", "panel-details"))
                    (tab(Tab::Monitor, "Monitor", "tab-monitor", "panel-monitor"))
                    (tab(Tab::Settings, "Settings", "tab-settings", "panel-settings"))
                }
                span(class="spacer")
                (if store.tab.get() == Tab::Console { view! { ConsoleTools(workbench=workbench) } } else { View::new() })
            }
            ProgressBar(workbench=workbench)
            (match failure.get_clone() {
                Some(failure) => {
                    let start = view! {
                        (if asks_in_tab.get() { open_in_tab(workbench) } else { View::new() })
                        button(class="button small", r#type="button", on:click=restart) { "Start again" }
                    };
                    failure_view(failure, start)
                }
                None => View::new(),
            })
            (match store.tab.get() {
                Tab::Console => view! { ConsoleView(workbench=workbench) },
                Tab::Details => view! { Details(workbench=workbench) },
                Tab::Monitor => view! { Monitor(workbench=workbench) },
                Tab::Settings => view! { Settings(workbench=workbench) },
            })
            MetricsBar(workbench=workbench)
        }
    }
}

fn open_in_tab(workbench: Workbench) -> View {
    let open = move |_| open_tab(workbench.store.selected.get_clone_untracked().as_deref());
    view! {
        button(class="button small", r#type="button", data-testid="open-in-tab", on:click=open) { "Open in a tab" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::vm;

    #[test]
    fn a_crash_is_a_failure() {
        let mut crashed = vm(
            "a",
            VmState::Crashed {
                reason: "memory access out of bounds".into(),
            },
        );
        assert!(
            failure_of(&crashed)
                .unwrap()
                .message
                .contains("memory access out of bounds")
        );
        crashed.failure = Some(Failure::new("QEMU trapped"));
        assert_eq!(failure_of(&crashed).unwrap().message, "QEMU trapped");
        crashed.state = VmState::Starting;
        assert_eq!(failure_of(&crashed), None);
        assert_eq!(failure_of(&vm("b", VmState::NOT_STARTED)), None);
    }
}
