//! The panel: toolbar, list, main area, status bar, dialogs.

use sycamore::prelude::*;
use web_sys::{DragEvent, KeyboardEvent};

use super::capability_warnings::CapabilityWarnings;
use super::connection::Lost;
use super::page::Page;
use super::shortcuts::{self, ShortcutsDialog};
use super::status_bar::StatusBar;
use super::toolbar::Toolbar;
use super::vm_view::VmView;
use crate::cx::Connection;
use crate::features::capture::view::CaptureView;
use crate::features::launcher::view::LauncherView;
use crate::features::machines::list::VmList;
use crate::features::machines::state::Machines;
use crate::features::transfer::shelf::TransferShelf;
use crate::kit::dialog::ConfirmDialog;
use crate::kit::files;
use crate::kit::menu::MenuPopover;
use crate::kit::notices::NoticeList;
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::split::{Split, Splitter};
use crate::kit::undo::UndoBar;

/// The list of VMs beside the rest.
const LIST: Split = Split {
    label: "Width of the list",
    preference: "list.width",
    property: "--list-width",
    is_share: false,
    range: (140, 400, 200),
};

/// The VM beside the page's traffic, or above it.
const PANES: Split = Split {
    label: "Share of the virtual machine",
    preference: "panes.share",
    property: "--machine-share",
    is_share: true,
    range: (20, 80, 50),
};

/// The panel. `reconnect` looks for the host again.
#[component(inline_props)]
pub fn Panel(reconnect: fn(Machines)) -> View {
    let page = Page::here();
    let (cx, machines) = (page.cx, page.machines);
    let nav = cx.nav;
    let shows_launcher = memo(move || machines.shown.with(Option::is_none));
    let shows_machine = memo(move || !nav.traffic.get() || nav.beside.get());
    let both = memo(move || nav.traffic.get() && nav.beside.get());
    let is_waiting = memo(move || {
        cx.connection
            .with(|connection| *connection == Connection::Connecting)
            && machines.vms.with(Vec::is_empty)
    });
    view! {
        div(class="app", on:keydown=move |event: KeyboardEvent| shortcuts::keydown(&event, page),
            on:dragover=|event: DragEvent| files::keep_page(&event),
            on:drop=|event: DragEvent| files::keep_page(&event)) {
            Toolbar {}
            div(class="body") {
                VmList {}
                Splitter(split=LIST)
                main(class="main", on:pointerdown=move |_| nav.list_open.set(false)) {
                    Lost(machines=machines, reconnect=reconnect)
                    CapabilityWarnings(cx=cx)
                    // A dialog that is open has them.
                    (if page.capture.settings.get() {
                        View::new()
                    } else {
                        view! {
                            NoticeList(notices=cx.notices)
                            UndoBar(undo=cx.undo)
                        }
                    })
                    div(class=if both.get() { "panes both" } else { "panes" }) {
                        (Dynamic { of: move || match (is_waiting.get(), shows_launcher.get()) {
                            _ if !shows_machine.get() => View::new(),
                            (true, _) => view! { p(class="waiting", role="status") { "Connecting to the VM host…" } },
                            (false, true) => view! { LauncherView {} },
                            (false, false) => view! { VmView {} },
                        } })
                        (Dynamic { of: move || if both.get() { view! { Splitter(split=PANES) } } else { View::new() } })
                        (Dynamic { of: move || if nav.traffic.get() { view! { CaptureView {} } } else { View::new() } })
                    }
                    TransferShelf {}
                }
            }
            StatusBar {}
            ConfirmDialog(confirm=cx.confirm)
            ShortcutsDialog {}
            MenuPopover(menu=cx.menu)
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_wire::VmState;
    use qemuweb_wire::failure::Failure;

    use sycamore::web::render_to_string;

    use super::*;
    use crate::features::machines::words::tests::{rows, vm};

    fn render(prepare: impl FnOnce(Page)) -> String {
        render_to_string(|| {
            prepare(Page::new(0.0));
            view! { Panel(reconnect=|_| ()) }
        })
    }

    #[test]
    fn without_a_host_there_is_a_way_to_reconnect() {
        let html = render(|page| page.cx.detach(Failure::new("the VM host is gone")));
        assert!(html.contains("the VM host is gone") && html.contains("data-testid=\"reconnect\""));
    }

    #[test]
    fn vms_are_listed_with_their_state() {
        let html = render(|page| {
            page.cx.connection.set(Connection::Connected);
            page.machines.heard(
                &rows([vm("a", VmState::Running), vm("b", VmState::NOT_STARTED)]),
                None,
            );
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
        let html = render(|page| page.cx.connection.set(Connection::Connected));
        assert!(html.contains("data-testid=\"launch-default\""), "{html}");
    }
}
