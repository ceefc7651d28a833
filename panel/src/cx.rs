//! What every feature gets: the host, the way to tell a person something, where the page is, and the time.
//!
//! All of it lives in the root scope, as long as the page, so that handlers and tasks may hold it. While a signal is borrowed
//! (`with`), no signal may be set or made, and nothing be called that does: such code takes a clone.

use std::pin::Pin;
use std::rc::Rc;

use qemuweb_runtime::RuntimeCapabilities;
use qemuweb_runtime::client::{QemuClient, Transport};
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::{Command, VmId};
use serde_json::Value;
use sycamore::prelude::*;
use wasm_bindgen::JsValue;

use crate::kit::dialog::Confirm;
use crate::kit::later::Owner;
use crate::kit::menu::Menu;
use crate::kit::notices::Notices;
use crate::kit::undo::Undo;

/// The answer to a request, once it comes.
pub type Answer = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// The value that answers a request, once it comes.
pub type Asked = Pin<Box<dyn Future<Output = Result<Value, Failure>>>>;

/// The VM host, whatever the channel to it is.
pub trait Host {
    /// Sends a command that is answered with a value.
    fn ask(&self, command: Command) -> Asked;
    /// Sends a command with its attachments.
    fn request(&self, command: Command, attachments: Vec<JsValue>) -> Answer;
    /// Types bytes into a VM's console, behind those that were typed before.
    fn type_bytes(&self, vm_id: &str, bytes: &[u8]) -> Answer;
    /// Tells a guest the size of its terminal.
    fn resize_console(&self, vm_id: &str, rows: u16, cols: u16);
    /// Leaves the host.
    fn leave(&self);
}

impl<T: Transport<Attachment = JsValue> + 'static> Host for QemuClient<T> {
    fn ask(&self, command: Command) -> Asked {
        let client = self.clone();
        Box::pin(async move { client.ask(command, Vec::new()).await })
    }

    fn request(&self, command: Command, attachments: Vec<JsValue>) -> Answer {
        let client = self.clone();
        Box::pin(async move { client.request(command, attachments).await })
    }

    fn type_bytes(&self, vm_id: &str, bytes: &[u8]) -> Answer {
        Box::pin(self.type_bytes(vm_id, bytes))
    }

    fn resize_console(&self, vm_id: &str, rows: u16, cols: u16) {
        self.resize_console(vm_id, rows, cols);
    }

    fn leave(&self) {
        self.terminate();
    }
}

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
    host: Signal<Option<Rc<dyn Host>>>,
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
            host: create_signal(None),
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

    /// The host, if one is connected.
    pub fn host(self) -> Option<Rc<dyn Host>> {
        self.host.get_clone_untracked()
    }

    /// Notes that there is a host.
    pub fn attach(self, host: Rc<dyn Host>) {
        self.host.set(Some(host));
        self.connection.set(Connection::Connected);
    }

    /// Notes that the host is gone.
    pub fn detach(self, failure: Failure) {
        self.host.set(None);
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

    /// Sends a command; without a host that is a failure.
    pub fn request(self, command: Command, attachments: Vec<JsValue>) -> Answer {
        match self.host() {
            Some(host) => host.request(command, attachments),
            None => Box::pin(std::future::ready(Err(not_connected()))),
        }
    }

    /// Asks the host for a value; without a host that is a failure.
    pub fn ask(self, command: Command) -> Asked {
        match self.host() {
            Some(host) => host.ask(command),
            None => Box::pin(std::future::ready(Err(not_connected()))),
        }
    }

    /// Types into a VM's console, whether it is shown or not. What the guest does not take is told as a failure.
    pub fn type_in(self, vm_id: &str, bytes: &[u8]) {
        if let Some(host) = self.host() {
            self.later(host.type_bytes(vm_id, bytes), move |result| {
                self.report_of(result)
            });
        }
    }

    /// Sends a command and shows its failure, if it fails.
    pub fn command(self, command: Command) {
        self.command_then(command, || ());
    }

    /// Sends a command. Then does something in the root scope if it succeeds, or shows its failure.
    pub fn command_then(self, command: Command, done: impl FnOnce() + 'static) {
        self.later(self.request(command, Vec::new()), move |result| match result {
            Ok(()) => done(),
            Err(failure) => self.notices.report(failure),
        });
    }

    /// Shows a failure that belongs to no view, or whose view is gone.
    pub fn report_of(self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.run(|| self.notices.report(failure));
        }
    }
}

fn not_connected() -> Failure {
    Failure::new("there is no connection to the VM host").with_next_step("Reconnect, then try again.")
}
