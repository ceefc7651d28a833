//! Takes the page's requests from DevTools into the capture.
//!
//! What is decided without a browser is in [`qemuweb_capture::devtools`]: which reports are taken, and what is mended and
//! marked in them. Here DevTools are asked, a few questions at a time, each with a clock of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, JSON, Promise};
use qemuweb_capture::Exchange;
use qemuweb_capture::devtools::{Content, Entry, Intake, Key, newest_page};
use qemuweb_chrome::devtools::{self, Listener, Request};
use qemuweb_wire::Failure;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};

use super::send::send;
use super::state::Capture;

/// Contents that DevTools are asked for at a time. More only wait in DevTools, where their clocks would run.
const QUESTIONS: usize = 12;
/// How long DevTools may take to give the content of a request that has ended, in milliseconds.
const CONTENT_MS: u32 = 10_000;
/// How long, of a request that they listed: without an answer, its body is still coming.
const LISTED_MS: u32 = 30_000;
/// How often at most the list is drawn anew, in milliseconds.
const DRAW_MS: u32 = 100;

thread_local! {
    /// While it is recorded.
    static LISTENERS: RefCell<Vec<Listener>> = const { RefCell::new(Vec::new()) };
    static INTAKE: RefCell<Intake> = RefCell::default();
    static QUEUE: RefCell<Queue> = RefCell::default();
    static ORDER: RefCell<Order> = RefCell::default();
    /// Whether the list is going to be drawn anew.
    static DRAWING: RefCell<bool> = const { RefCell::new(false) };
}

/// Records, or stops it. Starts with what DevTools know already if the log is empty, but for what was cleared.
pub fn set_recording(capture: Capture, on: bool) {
    capture.recording.set(on);
    if !on {
        LISTENERS.with_borrow_mut(Vec::clear);
        return;
    }
    let finished = devtools::on_request_finished(move |request| take(capture, request));
    let navigated = devtools::on_navigated(move |_| capture.cx.run(|| navigate(capture)));
    LISTENERS.with_borrow_mut(|listeners| *listeners = vec![finished, navigated]);
    if capture.log().borrow().rows().is_empty() {
        INTAKE.with_borrow_mut(Intake::begin);
        take_list(capture);
    }
}

/// Loads the page anew, recording.
pub fn reload(capture: Capture) {
    if !capture.recording.get_untracked() {
        set_recording(capture, true);
    }
    devtools::reload();
}

/// Starts a new capture in place of this one.
pub fn clear(capture: Capture) {
    INTAKE.with_borrow_mut(|intake| intake.clear(js_sys::Date::now()));
    capture.clear(new_id());
}

/// The page went to another document: unless the person preserves it, the log begins anew, with what led there.
fn navigate(capture: Capture) {
    if capture.preserve.get_untracked() {
        return;
    }
    capture.clear(new_id());
    INTAKE.with_borrow_mut(Intake::navigate);
    take_list(capture);
}

/// Takes what DevTools know and [`Intake`] lets through.
fn take_list(capture: Capture) {
    let capture_id = capture_id(capture);
    spawn_local(async move {
        let Ok(known) = JsFuture::from(devtools::get_har()).await else {
            return;
        };
        if capture_id != self::capture_id(capture) {
            return;
        }
        let pages = JSON::stringify(&devtools::pages_of(&known)).ok();
        let page = pages.and_then(|pages| newest_page(&pages.as_string()?));
        // One that is no entry is none of a request either.
        let (requests, entries): (Vec<Request>, Vec<Entry>) = devtools::requests_of(&known)
            .into_iter()
            .filter_map(|request| entry_of(&request).ok().map(|entry| (request, entry)))
            .unzip();
        let wanted = INTAKE.with_borrow_mut(|intake| intake.listed(&entries, page.as_deref()));
        for (request, entry) in requests
            .into_iter()
            .zip(entries)
            .zip(wanted)
            .filter_map(|(pair, wanted)| wanted.then_some(pair))
        {
            ask(
                capture,
                Question {
                    request,
                    entry,
                    capture_id: capture_id.clone(),
                    ticket: None,
                    told: js_sys::Date::now(),
                },
            );
        }
    });
}

/// Takes a request that has ended.
fn take(capture: Capture, request: Request) {
    match entry_of(&request) {
        Ok(entry) => {
            INTAKE.with_borrow_mut(|intake| intake.told(entry.key()));
            let ticket = Some(ORDER.with_borrow_mut(Order::ticket));
            let capture_id = capture_id(capture);
            ask(
                capture,
                Question {
                    request,
                    entry,
                    capture_id,
                    ticket,
                    told: js_sys::Date::now(),
                },
            );
        }
        Err(failure) => capture.cx.run(|| capture.cx.notices.report(failure)),
    }
}

fn capture_id(capture: Capture) -> String {
    capture.log().borrow().id().to_owned()
}

fn entry_of(request: &Request) -> Result<Entry, Failure> {
    let json = JSON::stringify(request).ok().and_then(|json| json.as_string());
    let json = json.ok_or_else(|| Failure::new("DevTools gave a request that is no JSON"))?;
    Entry::parse(&json).map_err(|error| Failure::from_error(&error))
}

/// A request whose content DevTools are to be asked for.
struct Question {
    request: Request,
    entry: Entry,
    /// The capture that it belongs to. If that is cleared meanwhile, it goes with it.
    capture_id: String,
    /// Its place among those that have ended; nothing if it was listed.
    ticket: Option<u64>,
    /// When DevTools told of it, in milliseconds since the epoch.
    told: f64,
}

/// Questions that wait: those of requests that have just ended, whose content may go, before those that were listed.
#[derive(Default)]
struct Queue {
    ended: VecDeque<Question>,
    listed: VecDeque<Question>,
    /// Questions that DevTools have not answered yet.
    asked: usize,
}

fn ask(capture: Capture, question: Question) {
    QUEUE.with_borrow_mut(|queue| {
        let waiting = if question.ticket.is_some() {
            &mut queue.ended
        } else {
            &mut queue.listed
        };
        waiting.push_back(question);
    });
    ask_more(capture);
}

fn ask_more(capture: Capture) {
    while let Some(question) = QUEUE.with_borrow_mut(|queue| {
        let is_free = queue.asked < QUESTIONS;
        let next = is_free
            .then(|| queue.ended.pop_front().or_else(|| queue.listed.pop_front()))
            .flatten();
        queue.asked += usize::from(next.is_some());
        next
    }) {
        spawn_local(async move {
            // What was cleared need not be asked for.
            let is_cleared = question.capture_id != capture_id(capture);
            let content = if is_cleared {
                Content::Nothing
            } else {
                content(&question).await
            };
            QUEUE.with_borrow_mut(|queue| queue.asked -= 1);
            capture.cx.run(|| answered(capture, question, content));
            ask_more(capture);
        });
    }
}

async fn content(question: &Question) -> Content {
    if !question.entry.has_content() {
        return Content::Nothing;
    }
    let patience = if question.ticket.is_some() {
        CONTENT_MS
    } else {
        LISTED_MS
    };
    let timeout = future_to_promise(async move {
        TimeoutFuture::new(patience).await;
        Ok(JsValue::UNDEFINED)
    });
    let answer = JsFuture::from(Promise::race(&Array::of2(
        &question.request.get_content(),
        &timeout,
    )))
    .await;
    let Some(answer) = answer.ok().filter(JsValue::is_object) else {
        return Content::Late;
    };
    match Request::content(&answer) {
        devtools::Content {
            text: Some(text),
            is_base64: true,
        } => Content::Base64(text),
        devtools::Content { text: Some(text), .. } => Content::Text(text),
        devtools::Content { text: None, .. } => Content::Nothing,
    }
}

/// Takes the exchange, or leaves it until its turn has come.
fn answered(capture: Capture, question: Question, content: Content) {
    let key = question.entry.key();
    let is_of_capture = |id: &str| *id == capture_id(capture);
    let Some(ticket) = question.ticket else {
        let is_wanted = is_of_capture(&question.capture_id)
            && INTAKE.with_borrow_mut(|intake| intake.settle(key, content != Content::Late));
        if is_wanted {
            finish(capture, key, read(capture, question, content));
        }
        return;
    };
    let id = question.capture_id.clone();
    // What waits is cut to the limits already.
    let ready = (id, key, read(capture, question, content));
    for (id, key, read) in ORDER.with_borrow_mut(|order| order.ready(ticket, ready)) {
        if is_of_capture(&id) {
            finish(capture, key, read);
        }
    }
}

fn read(capture: Capture, question: Question, content: Content) -> Result<Exchange, Failure> {
    let limits = *capture.log().borrow().limits();
    let exchange = question.entry.into_exchange(content, question.told, &limits);
    exchange.map_err(|error| Failure::from_error(&error))
}

/// Puts an exchange into the capture, and sends it to the VMs that get them live.
fn finish(capture: Capture, key: Key, read: Result<Exchange, Failure>) {
    let is_new = INTAKE.with_borrow_mut(|intake| intake.take(key));
    match read {
        Ok(exchange) => add(capture, exchange, is_new),
        Err(failure) => capture.cx.notices.report(failure),
    }
}

/// What waits for its turn: the capture that it belongs to, what it has in common with other reports, and what was read.
type Ready = (String, Key, Result<Exchange, Failure>);

/// Puts what becomes ready into the order in which it ended.
#[derive(Default)]
struct Order {
    last: u64,
    next: u64,
    ready: BTreeMap<u64, Ready>,
}

impl Order {
    fn ticket(&mut self) -> u64 {
        self.last += 1;
        self.last - 1
    }

    /// What can be taken now that this is ready.
    fn ready(&mut self, ticket: u64, ready: Ready) -> Vec<Ready> {
        self.ready.insert(ticket, ready);
        let mut taken = Vec::new();
        while let Some(ready) = self.ready.remove(&self.next) {
            self.next += 1;
            taken.push(ready);
        }
        taken
    }
}

/// Adds an exchange to the capture and, if it is new to them, sends it to the VMs that get them live, whether or not the
/// capture has room for it.
fn add(capture: Capture, exchange: Exchange, is_new: bool) {
    let log = capture.log();
    let exchange = log
        .borrow_mut()
        .push(exchange, capture.keep_secrets.get_untracked());
    if is_new {
        let id = log.borrow().id().to_owned();
        for vm_id in capture.targets.get_clone_untracked() {
            send(capture, &vm_id, &id, std::slice::from_ref(&exchange));
        }
    }
    draw_soon(capture);
}

/// Many changes are drawn once.
fn draw_soon(capture: Capture) {
    if DRAWING.replace(true) {
        return;
    }
    spawn_local(async move {
        TimeoutFuture::new(DRAW_MS).await;
        DRAWING.replace(false);
        capture.cx.run(|| capture.touch());
    });
}

/// An id that no other capture has.
pub fn new_id() -> String {
    // Six digits of chance beside the time: captures of one profile are few.
    let time = js_sys::Date::now() as u64;
    let chance = (js_sys::Math::random() * 16_777_216.0) as u32;
    format!("c{time:x}{chance:06x}")
}
