//! What every feature gets: the host, the way to tell a person something, where the page is, and the time.
//!
//! All of it lives in the root scope, as long as the page, so that handlers and tasks may hold it. While a signal is borrowed
//! (`with`), no signal may be set or made, and nothing be called that does: such code takes a clone.

use std::pin::Pin;

use qemuweb_wire::RuntimeCapabilities;
use qemuweb_wire::call::Method;
use qemuweb_wire::client::QemuClient;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use wasm_bindgen::JsValue;

use crate::kit::dialog::Confirm;
use crate::kit::later::Owner;
use crate::kit::menu::Menu;
use crate::kit::notices::Notices;
use crate::kit::undo::Undo;

/// The channel to the host.
#[cfg(target_arch = "wasm32")]
pub type Port = qemuweb_wire::web::PortTransport;

#[cfg(not(target_arch = "wasm32"))]
pub use crate::no_port::Port;

/// What speaks to the host.
pub type Client = QemuClient<Port>;

/// The reply to a call, once it comes.
pub type Answer<R> = Pin<Box<dyn Future<Output = Result<R, Failure>>>>;

/// Whether there is a host to speak to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Being looked for.
    Connecting,
    /// There.
    Connected,
    /// Gone, or never found.
    Lost(Failure),
}

/// The tabs of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tab {
    /// The serial console.
    Console,
    /// Configuration, times, log.
    Details,
    /// Its disks: how they are used, and what is kept of them.
    Disks,
    /// QEMU's monitor and what is measured.
    Monitor,
    /// Name and hardware.
    Settings,
}

/// The tabs of the launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LauncherTab {
    /// What boots by itself: what was used last, our guests, people's profiles.
    Guests,
    /// Files that are stored, and machines for images of one's own.
    Files,
    /// The hardware form.
    Custom,
}

/// Which way a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into a guest.
    Send,
    /// Out of a guest.
    Fetch,
}

/// Where the page is.
#[derive(Clone, Copy)]
pub struct Nav {
    /// The VM that is shown.
    pub selected: Signal<Option<VmId>>,
    /// Whether the launcher is shown in place of a VM.
    pub launching: Signal<bool>,
    /// The tab of the launcher.
    pub launcher: Signal<LauncherTab>,
    /// The tab of the VM that is shown.
    pub tab: Signal<Tab>,
    /// Whether the page's traffic is shown.
    pub traffic: Signal<bool>,
    /// Whether that stands beside the VM, or in its place.
    pub beside: Signal<bool>,
    /// The dialog for files to or from a VM's guest, if it is open.
    pub transfer: Signal<Option<(VmId, Direction)>>,
    /// Whether the list of VMs is unfolded, where it folds.
    pub list_open: Signal<bool>,
    /// Whether the console that is shown, or shown next, takes the focus. Who gives it takes this back.
    pub to_console: Signal<bool>,
}

impl Nav {
    fn new() -> Self {
        Self {
            selected: create_signal(None),
            launching: create_signal(false),
            launcher: create_signal(LauncherTab::Guests),
            tab: create_signal(Tab::Console),
            traffic: create_signal(false),
            beside: create_signal(false),
            transfer: create_signal(None),
            list_open: create_signal(false),
            to_console: create_signal(false),
        }
    }

    /// Shows a VM.
    pub fn show(self, vm_id: &str) {
        batch(|| {
            if self
                .selected
                .with_untracked(|selected| selected.as_deref() != Some(vm_id))
            {
                self.selected.set(Some(vm_id.to_owned()));
            }
            self.launching.set(false);
            self.make_room();
            self.list_open.set(false);
        });
    }

    /// Takes away the traffic where it stands in place of everything else.
    fn make_room(self) {
        if !self.beside.get_untracked() {
            self.traffic.set(false);
        }
    }

    /// Shows a VM's console, with the keyboard on it.
    pub fn show_console(self, vm_id: &str) {
        self.tab.set(Tab::Console);
        self.show(vm_id);
        self.to_console.set(true);
    }

    /// Shows a tab of the launcher.
    pub fn open_launcher(self, tab: LauncherTab) {
        batch(|| {
            self.launcher.set(tab);
            self.launching.set(true);
            self.make_room();
            self.list_open.set(false);
        });
    }
}

/// What every feature gets. Copies are the same.
#[derive(Clone, Copy)]
pub struct Cx {
    /// Whether there is a host.
    pub connection: Signal<Connection>,
    /// What the host's browser offers.
    pub capabilities: Signal<Option<RuntimeCapabilities>>,
    /// Failures that belong to nothing that is shown.
    pub notices: Notices,
    /// The question that waits for an answer.
    pub confirm: Signal<Option<Confirm>>,
    /// The menu that is open.
    pub menu: Menu,
    /// The way back from what was removed last.
    pub undo: Undo,
    /// Where the page is.
    pub nav: Nav,
    /// The time in milliseconds since the epoch, renewed while something is being timed.
    pub now: Signal<f64>,
    client: Signal<Option<Client>>,
    page: Owner,
}

impl Cx {
    /// Without a host. Call it in the root scope.
    pub fn new(now: f64) -> Self {
        Self {
            connection: create_signal(Connection::Connecting),
            capabilities: create_signal(None),
            notices: Notices::new(),
            confirm: create_signal(None),
            menu: Menu::new(),
            undo: Undo::new(),
            nav: Nav::new(),
            now: create_signal(now),
            client: create_signal(None),
            page: Owner::here(),
        }
    }

    /// That of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Runs `work` in the root scope. Whatever is called by the browser or resumed after an `.await` is in no scope, and needs
    /// this before it makes or batches signals.
    pub fn run(self, work: impl FnOnce()) {
        self.page.run(work);
    }

    /// Does `work` to its end and gives what comes of it to `take`, whatever is shown by then.
    pub fn later<T: 'static>(self, work: impl Future<Output = T> + 'static, take: impl FnOnce(T) + 'static) {
        self.page.then(work, take);
    }

    /// What speaks to the host, if one is connected.
    pub fn client(self) -> Option<Client> {
        self.client.get_clone_untracked()
    }

    /// As [`Self::client`], tracked: what keeps up with the host does so with each new one.
    pub fn client_tracked(self) -> Option<Client> {
        self.client.get_clone()
    }

    /// Notes that there is a host.
    pub fn attach(self, client: Client) {
        self.client.set(Some(client));
        self.connection.set(Connection::Connected);
    }

    /// Notes that the host is gone.
    pub fn detach(self, failure: Failure) {
        self.client.set(None);
        self.connection.set(Connection::Lost(failure));
    }

    /// Whether VMs can be launched: there is a host, and its browser has what QEMU needs. Tracked.
    pub fn can_launch(self) -> bool {
        self.connection
            .with(|connection| *connection == Connection::Connected)
            && self
                .capabilities
                .with(|found| found.as_ref().is_none_or(|found| found.can_run()))
    }

    /// Makes a call, at once; without a host that is a failure.
    pub fn call<M: Method>(self, call: M) -> Answer<M::Reply> {
        self.call_with(call, Vec::new())
    }

    /// As [`Self::call`], with attachments.
    pub fn call_with<M: Method>(self, call: M, attachments: Vec<JsValue>) -> Answer<M::Reply> {
        match self.client() {
            Some(client) => Box::pin(client.call_with(call, attachments, None)),
            None => Box::pin(std::future::ready(Err(not_connected()))),
        }
    }

    /// Makes a call and shows its failure, if it fails.
    pub fn command<M: Method>(self, call: M) {
        self.command_then(call, drop);
    }

    /// Makes a call. Then does something with its reply in the root scope, or shows its failure.
    pub fn command_then<M: Method>(self, call: M, done: impl FnOnce(M::Reply) + 'static) {
        self.later(self.call(call), move |result| match result {
            Ok(reply) => done(reply),
            Err(failure) => self.notices.report(failure),
        });
    }

    /// Shows a failure that belongs to no view, or whose view is gone.
    pub fn report_of<T>(self, result: Result<T, Failure>) {
        if let Err(failure) = result {
            self.run(|| self.notices.report(failure));
        }
    }
}

/// What every call meets without a host.
pub fn not_connected() -> Failure {
    Failure::new("there is no connection to the VM host").with_next_step("Reconnect, then try again.")
}
