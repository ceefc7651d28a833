//! The signals of the capture view.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use qemuweb_capture::annotation::Annotation;
use qemuweb_capture::{Exchange, Filter};
use qemuweb_wire::client::Subscription;
use qemuweb_wire::topic;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;

use super::bounds::Bounds;
use super::listing::{Listing, Order};
use super::log::Log;
use super::names;
use super::send::{self, Held};
use crate::cx::Cx;
use crate::features::console::state::Consoles;
use crate::features::machines::state::Machines;
use crate::kit::reactive::{effect, memo};

/// What components of the capture view hold. Copies are the same capture.
#[derive(Clone, Copy)]
pub struct Capture {
    /// What every feature gets.
    pub cx: Cx,
    /// The VMs that requests can be sent to.
    pub machines: Machines,
    /// The consoles that commands can be typed into.
    pub consoles: Consoles,
    /// Whether the page's requests are taken.
    pub recording: Signal<bool>,
    /// Whether they stay when the page goes to another document.
    pub preserve: Signal<bool>,
    /// Whether secrets are kept from now on, in this capture.
    pub keep_secrets: Signal<bool>,
    /// Names that are secret beside the common ones, separated by commas or blanks.
    pub names: Signal<String>,
    /// The text of the filter box.
    pub filter: Signal<String>,
    /// By what the list is sorted.
    pub order: Signal<Order>,
    /// The exchange whose details are shown.
    pub selected: Signal<Option<u64>>,
    /// Exchanges that are marked to be sent.
    pub marked: Signal<BTreeSet<u64>>,
    /// The VMs to which exchanges are sent as they come.
    pub targets: Signal<BTreeSet<VmId>>,
    /// What waits in the panel for VMs, and what gave way.
    pub held: Signal<BTreeMap<VmId, Held>>,
    /// How much is kept.
    pub bounds: Signal<Bounds>,
    /// What the last action came to.
    pub message: Signal<String>,
    /// Whether what is set once is shown.
    pub settings: Signal<bool>,
    /// Raised when the saved captures have changed while they may be out of sight.
    pub shelf: Signal<u32>,
    /// Raised when the log has changed.
    pub version: Signal<u32>,
    /// The numbers that are listed.
    pub listed: ReadSignal<Rc<Vec<u64>>>,
    /// The filter, or what is wrong with it.
    pub parsed: ReadSignal<Result<(), String>>,
    log: ReadSignal<Rc<RefCell<Log>>>,
}

impl Capture {
    /// An empty capture, with the bounds and the secret names among the preferences. Call it in the root scope.
    pub fn new(consoles: Consoles) -> Self {
        let machines = consoles.machines;
        let id = format!("c{:x}", machines.cx.now.get_untracked() as u64);
        let (bounds, names) = (Bounds::kept(), names::kept());
        let log = *create_signal(Rc::new(RefCell::new(Log::new(id, &names, bounds.limits()))));
        let version = create_signal(0);
        let filter = create_signal(String::new());
        let order = create_signal(Order::default());
        let parsed = create_memo(move || {
            filter.with(|text| text.parse::<Filter>().map_err(|error| error.to_string()))
        });
        let listing = RefCell::new(Listing::default());
        let listed = create_memo(move || {
            version.track();
            let order = order.get();
            let log = log.get_clone();
            let text = filter.get_clone();
            // While the filter has a mistake, everything is listed.
            parsed.with(|parsed| {
                let everything = Filter::default();
                let filter = parsed.as_ref().unwrap_or(&everything);
                listing.borrow_mut().renew(&log.borrow(), &text, filter, order)
            })
        });
        let capture = Self {
            cx: machines.cx,
            machines,
            consoles,
            recording: create_signal(false),
            preserve: create_signal(false),
            keep_secrets: create_signal(false),
            names: create_signal(names),
            filter,
            order,
            selected: create_signal(None),
            marked: create_signal(BTreeSet::new()),
            targets: create_signal(BTreeSet::new()),
            held: create_signal(BTreeMap::new()),
            bounds: create_signal(bounds),
            message: create_signal(String::new()),
            settings: create_signal(false),
            shelf: create_signal(0),
            version,
            listed,
            parsed: create_memo(move || {
                parsed.with(|parsed| parsed.as_ref().map(|_| ()).map_err(Clone::clone))
            }),
            log,
        };
        capture.listen();
        capture
    }

    /// That of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// The exchanges.
    pub fn log(&self) -> Rc<RefCell<Log>> {
        self.log.get_clone_untracked()
    }

    /// Forgets a VM that is no more.
    pub fn removed(&self, vm_id: &str) {
        if self.targets.with_untracked(|targets| targets.contains(vm_id)) {
            self.targets.update(|targets| targets.remove(vm_id));
        }
        send::forget(*self, vm_id);
    }

    /// Takes what guests say about exchanges.
    pub fn annotated(&self, annotations: &[Annotation]) {
        let log = self.log();
        annotations
            .iter()
            .for_each(|annotation| log.borrow_mut().annotate(annotation));
        self.touch();
    }

    /// Keeps up with what guests say about the present capture.
    fn listen(self) {
        let cx = self.cx;
        let id = memo(move || {
            self.version.track();
            self.log().borrow().id().to_owned()
        });
        let subscription = create_signal(None::<Subscription>);
        effect(move || {
            let client = cx.client_tracked();
            let capture = id.get_clone();
            let new = client.map(|client| {
                client.subscribe(&topic::Capture { capture }, move |news| {
                    if let Some(annotations) = news.delta {
                        cx.run(|| self.annotated(annotations));
                    }
                })
            });
            subscription.set_silent(new);
        });
    }

    /// Notes that the log has changed.
    pub fn touch(&self) {
        self.version.set(self.version.get_untracked().wrapping_add(1));
    }

    /// Starts a new capture in place of this one.
    pub fn clear(&self, id: String) {
        self.log().borrow_mut().restart(id);
        batch(|| {
            self.keep_secrets.set(false);
            self.selected.set(None);
            self.marked.set(BTreeSet::new());
            self.message.set(String::new());
            self.touch();
        });
    }

    /// Redacts the names that the person typed, now and in other sessions.
    pub fn apply_names(&self) {
        let names = self.names.get_clone_untracked();
        self.log().borrow_mut().set_names(&names);
        names::keep(&names);
        self.touch();
    }

    /// Keeps as much as this from now on.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.log().borrow_mut().set_limits(bounds.limits());
        batch(|| {
            self.bounds.set(bounds);
            self.touch();
        });
    }

    /// Marks an exchange to be sent, or takes the mark away.
    pub fn mark(&self, number: u64) {
        self.marked.update(|marked| {
            if !marked.remove(&number) {
                marked.insert(number);
            }
        });
    }

    /// The exchange of a number.
    pub fn exchange(&self, number: u64) -> Option<Rc<Exchange>> {
        self.log().borrow_mut().released(number)
    }

    /// All exchanges, or those that are marked, or those that are listed.
    pub fn chosen(&self, choice: Choice) -> Vec<Rc<Exchange>> {
        let log = self.log();
        let mut log = log.borrow_mut();
        let numbers: Vec<u64> = match choice {
            Choice::All => log.rows().iter().map(|row| row.exchange.number).collect(),
            Choice::Marked => self.marked.get_clone_untracked().into_iter().collect(),
            Choice::Listed => self.listed.get_clone_untracked().to_vec(),
        };
        numbers
            .into_iter()
            .filter_map(|number| log.released(number))
            .collect()
    }
}

/// Which exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All that there are.
    All,
    /// Those that are marked.
    Marked,
    /// Those that the filter lets through, in the list's order.
    Listed,
}
