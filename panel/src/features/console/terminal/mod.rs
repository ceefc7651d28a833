//! The terminal of one VM: xterm.js, what the guest says, and what a person types.

mod feed;
mod look;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::Function;
use qemuweb_wire::client::Stream;
use qemuweb_wire::stream::{self, ConsoleFromClient};
use qemuweb_wire::vm::{VmId, VmInfo};
use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::prelude::*;
use web_sys::{HtmlElement, KeyboardEvent};

use self::look::{has_gpu, options, takes_key, theme};
use super::serial::SerialOrder;
use super::state::Consoles;
use super::xterm::{FitAddon, Results, SearchAddon, Size, Terminal, WebglAddon};
use crate::cx::Port;
use crate::kit::browser::{color, object, set};
use crate::kit::later;

/// Lines that a terminal keeps beyond the screen.
const SCROLLBACK: u32 = 10_000;

/// Matches that xterm.js marks (`highlightLimit`).
const MARKED: u32 = 1000;

/// What empties a terminal, scrollback included, in the order of what is written to it.
const RESET: &str = "\x1bc";

/// What takes away what a program left that a reboot has ended: the other screen, colours, margins, a hidden cursor, brackets
/// around what is pasted, the mouse. All text stays.
const REBOOT: &str = "\x1b[?47l\x1b[!p\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l";

/// A VM's terminal.
pub struct Console {
    terminal: Terminal,
    fit: FitAddon,
    search: SearchAddon,
    webgl: RefCell<Option<WebglAddon>>,
    /// Where the terminal draws; moves in and out of the page.
    element: HtmlElement,
    is_open: Cell<bool>,
    order: Cell<SerialOrder>,
    /// When the guest was last started or reset.
    booted_at: Cell<f64>,
    consoles: Consoles,
    vm_id: VmId,
    /// Brings the guest's output, takes what is typed; there while the terminal is fed.
    stream: RefCell<Option<Stream<Port, stream::Console>>>,
    /// Whether it is fed while it is not shown.
    is_pinned: Cell<bool>,
    /// Bytes of the pieces that the terminal has not taken in yet.
    pending: Rc<RefCell<VecDeque<u64>>>,
    /// Is called when it has taken in a piece.
    written: Function,
    /// What was last said of its size.
    told: RefCell<Option<ConsoleFromClient>>,
    /// What the search found: the number of the current match from 0 (or -1), and how many there are.
    results: Signal<(i32, u32)>,
    /// What is sought, if anything.
    sought: RefCell<String>,
    /// Keeps what JavaScript calls.
    _handlers: Vec<JsValue>,
}

impl Console {
    /// Call it in the root scope.
    pub(super) fn new(vm_id: &str, consoles: Consoles) -> Option<Rc<Self>> {
        let element: HtmlElement = document().create_element("div").ok()?.unchecked_into();
        element.set_class_name("terminal-frame");
        let terminal = Terminal::new(&options());
        terminal.use_guest_widths();
        let (fit, search) = (FitAddon::new(), SearchAddon::new());
        terminal.load_addon(fit.as_ref()).ok()?;
        terminal.load_addon(search.as_ref()).ok()?;
        let results = create_signal((-1, 0));

        let typed = {
            let vm_id = vm_id.to_owned();
            Closure::<dyn FnMut(String)>::new(move |text: String| consoles.type_in(&vm_id, text.as_bytes()))
        };
        terminal.on_data(&typed);
        let typed_binary = {
            let vm_id = vm_id.to_owned();
            // A character for each byte.
            Closure::<dyn FnMut(String)>::new(move |text: String| {
                let bytes: Vec<u8> = text.chars().map(|byte| byte as u8).collect();
                consoles.type_in(&vm_id, &bytes);
            })
        };
        terminal.on_binary(&typed_binary);
        let changed = {
            let vm_id = vm_id.to_owned();
            move || {
                if let Some(console) = consoles.get(&vm_id) {
                    console.tell_size();
                }
            }
        };
        let resized = {
            let changed = changed.clone();
            Closure::<dyn FnMut(Size)>::new(move |_: Size| changed())
        };
        terminal.on_resize(&resized);
        let found = Closure::<dyn FnMut(Results)>::new(move |found: Results| {
            results.set((found.index(), found.count()))
        });
        search.on_did_change_results(&found);
        let pressed = {
            let terminal = terminal.clone();
            Closure::<dyn FnMut(KeyboardEvent) -> bool>::new(move |event| {
                takes_key(&event, &terminal, consoles)
            })
        };
        terminal.attach_custom_key_event_handler(&pressed);
        // Two panels may show a VM in two sizes: the one that has the keyboard has its way.
        let used = Closure::<dyn FnMut()>::new(move || {
            let changed = changed.clone();
            // The focus is there once the event is over.
            later::soon(changed);
        });
        for event in ["focusin", "focusout"] {
            element
                .add_event_listener_with_callback(event, used.as_ref().unchecked_ref())
                .ok()?;
        }
        let pending = Rc::<RefCell<VecDeque<u64>>>::default();
        let written = {
            let (vm_id, pending) = (vm_id.to_owned(), Rc::clone(&pending));
            Closure::<dyn FnMut()>::new(move || {
                let taken = pending.borrow_mut().pop_front();
                if let Some((console, taken)) = consoles.get(&vm_id).zip(taken) {
                    console.taken(taken);
                }
            })
        };

        let vm = consoles.machines.vm(vm_id);
        let (run, booted_at) = vm.map_or((0, 0.0), |vm| (vm.run, vm.started_at));
        Some(Rc::new(Self {
            terminal,
            fit,
            search,
            webgl: RefCell::default(),
            element,
            is_open: Cell::new(false),
            order: Cell::new(SerialOrder::new(run)),
            booted_at: Cell::new(booted_at),
            consoles,
            vm_id: vm_id.to_owned(),
            stream: RefCell::default(),
            is_pinned: Cell::new(false),
            pending,
            written: written.into_js_value().unchecked_into(),
            told: RefCell::default(),
            results,
            sought: RefCell::default(),
            _handlers: vec![
                typed.into_js_value(),
                typed_binary.into_js_value(),
                resized.into_js_value(),
                found.into_js_value(),
                pressed.into_js_value(),
                used.into_js_value(),
            ],
        }))
    }

    /// Empties the terminal if the VM is in another run than before, and says whether it is.
    fn restarted(&self, run: u64) -> bool {
        let mut order = self.order.get();
        let is_new = order.restart(run);
        if is_new {
            self.terminal.write_text(RESET);
        }
        self.order.set(order);
        is_new
    }

    /// Notes a change of its VM: a reboot leaves the text and takes away what the ended program has set.
    pub(super) fn changed(&self, vm: &VmInfo) {
        let is_same_run = self.order.get().run() == vm.run;
        if is_same_run && self.booted_at.get() < vm.started_at {
            self.terminal.write_text(REBOOT);
        }
        self.booted_at.set(vm.started_at);
    }

    /// Ends the terminal of a VM that is no more.
    pub(super) fn end(&self) {
        self.disconnect();
        self.element.remove();
        self.terminal.dispose();
    }

    /// Draws in the page's present theme.
    pub(super) fn restyle(&self) {
        set(&self.terminal.options(), "theme", &theme());
        self.find_again();
    }

    /// Whether it stands in the page.
    pub(super) fn is_mounted(&self) -> bool {
        self.element.is_connected()
    }

    /// Whether a person can see the terminal.
    pub(super) fn is_shown(&self) -> bool {
        self.element.is_connected() && !document().hidden()
    }

    /// Shows the terminal in `place`.
    pub fn mount(&self, place: &HtmlElement) {
        // Fails for no element of the page.
        let _ = place.append_child(&self.element);
        if !self.is_open.replace(true) {
            self.terminal.open(&self.element);
        }
        self.draw_with_webgl();
        self.fit();
        self.tell_size();
    }

    /// Takes the terminal out of the page. It goes on taking output.
    pub fn unmount(&self) {
        if let Some(webgl) = self.webgl.take() {
            // A second time does nothing.
            webgl.dispose();
        }
        self.element.remove();
        self.tell_size();
    }

    /// Uses WebGL where there is a GPU. Browsers allow few contexts, so that only what is shown has one.
    fn draw_with_webgl(&self) {
        if has_gpu()
            && let Ok(webgl) = WebglAddon::new()
            && self.terminal.load_addon(webgl.as_ref()).is_ok()
        {
            // After sleep or a reset of the GPU the context is gone, and with the add-on's end plain elements draw.
            let lost = webgl.clone();
            let lost = Closure::once_into_js(move || lost.dispose());
            webgl.on_context_loss(lost.unchecked_ref());
            *self.webgl.borrow_mut() = Some(webgl);
        }
    }

    /// Fits the terminal into its place.
    pub fn fit(&self) {
        let before = (self.terminal.rows(), self.terminal.cols());
        // Without a size there are no columns.
        if self.element.client_width() > 0 && self.element.client_height() > 0 {
            self.fit.fit();
        }
        if before != (self.terminal.rows(), self.terminal.cols()) {
            self.find_again();
        }
    }

    /// Marks what is sought anew: lines were wrapped anew, or colours are others.
    fn find_again(&self) {
        let sought = self.sought.borrow().clone();
        if !sought.is_empty() {
            self.search.clear_decorations();
            self.find(&sought, true, true);
        }
    }

    /// Gives the terminal the focus.
    pub fn focus(&self) {
        self.terminal.focus();
    }

    /// All text of the terminal.
    pub fn all_text(&self) -> String {
        self.terminal.all_text()
    }

    /// What is selected.
    pub fn selection(&self) -> String {
        self.terminal.selection()
    }

    /// The command that tells a guest without our agent how large its terminal is.
    pub fn size_command(&self) -> String {
        format!("stty rows {} cols {}", self.terminal.rows(), self.terminal.cols())
    }

    /// Whether screen readers are told what is written.
    pub fn set_screen_reader(&self, on: bool) {
        set(&self.terminal.options(), "screenReaderMode", &on.into());
    }

    /// Marks all places of `term` and goes to the next or the one before.
    pub fn find(&self, term: &str, forward: bool, incremental: bool) {
        if term.is_empty() {
            self.end_search();
            return;
        }
        term.clone_into(&mut self.sought.borrow_mut());
        let colors = object([
            ("matchBackground", color("--console-match").into()),
            ("activeMatchBackground", color("--console-match-active").into()),
            ("matchOverviewRuler", color("--console-match").into()),
            (
                "activeMatchColorOverviewRuler",
                color("--console-match-active").into(),
            ),
        ]);
        let options = object([
            ("decorations", colors.into()),
            ("incremental", incremental.into()),
        ]);
        if forward {
            self.search.find_next(term, &options);
        } else {
            self.search.find_previous(term, &options);
        }
    }

    /// Takes the marks of a search away.
    pub fn end_search(&self) {
        self.sought.borrow_mut().clear();
        self.search.clear_decorations();
        self.terminal.clear_selection();
        self.results.set((-1, 0));
    }

    /// What the search found: `2 of 7`. Tracked.
    pub fn search_result(&self, term: &str) -> String {
        let (index, count) = self.results.get();
        match (term.is_empty(), count) {
            (true, _) => String::new(),
            (false, 0) => "No matches".to_owned(),
            // xterm.js marks no more than that, and no longer says which one it is at.
            (false, MARKED..) => format!("{MARKED} or more"),
            (false, count) => format!("{} of {count}", index + 1),
        }
    }
}
