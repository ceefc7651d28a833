//! The panel: toolbar, list, main area, status bar, dialogs.

use qemuweb_runtime::failure::Failure;
use sycamore::prelude::*;
use web_sys::KeyboardEvent;

use crate::capability_warnings::CapabilityWarnings;
use crate::capture::view::CaptureView;
use crate::dialog::ConfirmDialog;
use crate::failure_view::{Notices, failure_view};
use crate::launcher::Launcher;
use crate::shortcuts::{self, ShortcutsDialog};
use crate::split::Splitter;
use crate::state::Connection;
use crate::status_bar::StatusBar;
use crate::toolbar::Toolbar;
use crate::undo::UndoBar;
use crate::vm_list::VmList;
use crate::vm_view::VmView;
use crate::workbench::Workbench;

/// The panel. `reconnect` looks for the host again.
#[component(inline_props)]
pub fn App(workbench: Workbench, reconnect: fn(Workbench)) -> View {
    let store = workbench.store;
    let shows_capture = create_selector(move || workbench.capture.shown.get());
    let shows_launcher = create_selector(move || store.shows_launcher());
    let lost = create_selector(move || match store.connection.get_clone() {
        Connection::Lost(failure) => Some(failure),
        Connection::Connecting | Connection::Connected => None,
    });
    let is_waiting = create_selector(move || {
        store
            .connection
            .with(|connection| *connection == Connection::Connecting)
            && store.vms.with(Vec::is_empty)
    });
    view! {
        div(class="app", on:keydown=move |event: KeyboardEvent| shortcuts::keydown(&event, workbench)) {
            Toolbar(workbench=workbench)
            div(class="body") {
                VmList(workbench=workbench)
                Splitter {}
                main(class="main", on:pointerdown=move |_| store.list_open.set(false)) {
                    (lost.get_clone().map(|failure| lost_view(failure, workbench, reconnect)))
                    CapabilityWarnings(workbench=workbench)
                    Notices(workbench=workbench)
                    UndoBar(workbench=workbench)
                    (match (is_waiting.get(), shows_launcher.get()) {
                        _ if shows_capture.get() => view! { CaptureView(workbench=workbench) },
                        (true, _) => view! { p(class="waiting", role="status") { "Connecting to the VM host…" } },
                        (false, true) => view! { Launcher(workbench=workbench) },
                        (false, false) => view! { VmView(workbench=workbench) },
                    })
                }
            }
            StatusBar(workbench=workbench)
            ConfirmDialog(workbench=workbench)
            ShortcutsDialog(workbench=workbench)
        }
    }
}

/// What stands where the connection was lost.
pub fn lost_view(failure: Failure, workbench: Workbench, reconnect: fn(Workbench)) -> View {
    let again = view! {
        button(class="button small primary", r#type="button", data-testid="reconnect",
            on:click=move |_| reconnect(workbench)) {
            "Reconnect"
        }
    };
    failure_view(failure, again)
}

#[cfg(test)]
mod tests {
    use qemuweb_runtime::VmState;
    use qemuweb_runtime::protocol::Event;
    use sycamore::web::render_to_string;

    use super::*;
    use crate::text::tests::vm;

    fn render(prepare: impl FnOnce(Workbench)) -> String {
        render_to_string(|| {
            let workbench = Workbench::new(0.0);
            prepare(workbench);
            view! { App(workbench=workbench, reconnect=|_| ()) }
        })
    }

    #[test]
    fn without_a_host_there_is_a_way_to_reconnect() {
        let html = render(|workbench| workbench.detach(Failure::new("the VM host is gone")));
        assert!(html.contains("the VM host is gone") && html.contains("data-testid=\"reconnect\""));
    }

    #[test]
    fn vms_are_listed_with_their_state() {
        let html = render(|workbench| {
            workbench.store.connection.set(Connection::Connected);
            workbench.store.apply(&Event::VmList {
                vms: vec![vm("a", VmState::Running), vm("b", VmState::NOT_STARTED)],
            });
        });
        assert!(html.contains("data-vm-id=\"a\" data-state=\"running\""), "{html}");
        assert!(html.contains("data-vm-id=\"b\" data-state=\"stopped\""), "{html}");
        assert!(
            !html.contains("data-testid=\"launch-default\""),
            "not the first run"
        );
    }

    #[test]
    fn the_first_run_offers_the_default_guest() {
        let html = render(|workbench| workbench.store.connection.set(Connection::Connected));
        assert!(html.contains("data-testid=\"launch-default\""), "{html}");
    }
}
