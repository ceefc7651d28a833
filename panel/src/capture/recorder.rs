//! Takes the page's requests from DevTools into the capture.

use std::cell::RefCell;
use std::collections::BTreeMap;

use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, JSON, Promise};
use qemuweb_capture::{Body, Exchange, Limits, har};
use qemuweb_chrome::devtools::{self, Listener, Request};
use qemuweb_runtime::Failure;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};

use super::send::send;
use super::state::Capture;
use crate::workbench::Workbench;

/// How long DevTools may take to give a body, in milliseconds. Without an answer the exchange goes without it.
const BODY_MS: u32 = 3000;
/// How often at most the list is drawn anew, in milliseconds.
const DRAW_MS: u32 = 100;

thread_local! {
    /// While it is recorded.
    static LISTENERS: RefCell<Vec<Listener>> = const { RefCell::new(Vec::new()) };
    static ORDER: RefCell<Order> = RefCell::default();
    /// Whether the list is going to be drawn anew.
    static DRAWING: RefCell<bool> = const { RefCell::new(false) };
}

/// Records, or stops it. Starts with what DevTools know already if the log is empty.
pub fn set_recording(workbench: Workbench, on: bool) {
    let capture = workbench.capture;
    capture.recording.set(on);
    if !on {
        LISTENERS.with_borrow_mut(Vec::clear);
        return;
    }
    let finished = devtools::on_request_finished(move |request| take(workbench, request));
    let navigated = devtools::on_navigated(move |_| {
        workbench.run(|| {
            if !capture.preserve.get_untracked() {
                capture.clear(new_id());
            }
        });
    });
    LISTENERS.with_borrow_mut(|listeners| *listeners = vec![finished, navigated]);
    if capture.log().borrow().rows().is_empty() {
        spawn_local(async move {
            if let Ok(known) = JsFuture::from(devtools::get_har()).await {
                devtools::requests_of(&known)
                    .into_iter()
                    .for_each(|request| take(workbench, request));
            }
        });
    }
}

/// Loads the page anew, recording.
pub fn reload(workbench: Workbench) {
    if !workbench.capture.recording.get_untracked() {
        set_recording(workbench, true);
    }
    devtools::reload();
}

/// Reads a request. Bodies come when they like; exchanges are taken in the order in which they finished.
fn take(workbench: Workbench, request: Request) {
    let capture_id = workbench.capture.log().borrow().id().to_owned();
    let limits = *workbench.capture.log().borrow().limits();
    let ticket = ORDER.with_borrow_mut(Order::ticket);
    spawn_local(async move {
        let exchange = read(&request, limits).await;
        let ready = ORDER.with_borrow_mut(|order| order.ready(ticket, (capture_id, exchange)));
        workbench.run(|| {
            for (capture_id, exchange) in ready {
                match exchange {
                    // What belongs to a capture that was cleared meanwhile goes with it.
                    _ if workbench.capture.log().borrow().id() != capture_id => {}
                    Ok(exchange) => add(workbench, exchange),
                    Err(failure) => workbench.store.report(failure),
                }
            }
        });
    });
}

/// A request that was read, and the capture that it belongs to.
type Read = (String, Result<Exchange, Failure>);

/// Puts what becomes ready into the order in which it began.
#[derive(Default)]
struct Order {
    last: u64,
    next: u64,
    ready: BTreeMap<u64, Read>,
}

impl Order {
    fn ticket(&mut self) -> u64 {
        self.last += 1;
        self.last - 1
    }

    /// What can be taken now that this is ready.
    fn ready(&mut self, ticket: u64, read: Read) -> Vec<Read> {
        self.ready.insert(ticket, read);
        let mut taken = Vec::new();
        while let Some(read) = self.ready.remove(&self.next) {
            self.next += 1;
            taken.push(read);
        }
        taken
    }
}

/// Adds an exchange to the capture and sends it to the VMs that get them live.
pub fn add(workbench: Workbench, exchange: Exchange) {
    let capture = workbench.capture;
    let log = capture.log();
    let kept = log
        .borrow_mut()
        .push(exchange, capture.keep_secrets.get_untracked());
    if let Some(exchange) = kept {
        let id = log.borrow().id().to_owned();
        for vm_id in capture.targets.get_clone_untracked() {
            send(workbench, &vm_id, &id, std::slice::from_ref(&exchange));
        }
    }
    draw_soon(workbench, capture);
}

/// Many changes are drawn once.
fn draw_soon(workbench: Workbench, capture: Capture) {
    if DRAWING.replace(true) {
        return;
    }
    spawn_local(async move {
        TimeoutFuture::new(DRAW_MS).await;
        DRAWING.replace(false);
        workbench.run(|| capture.touch());
    });
}

async fn read(request: &Request, limits: Limits) -> Result<Exchange, Failure> {
    let timeout = future_to_promise(async {
        TimeoutFuture::new(BODY_MS).await;
        Ok(JsValue::UNDEFINED)
    });
    let answer = JsFuture::from(Promise::race(&Array::of2(&request.get_content(), &timeout))).await;
    let json = JSON::stringify(request)
        .ok()
        .and_then(|json| json.as_string())
        .ok_or_else(|| Failure::new("DevTools gave a request that is no JSON"))?;
    let mut exchange = har::read_entry(&json, &limits).map_err(|error| Failure::from_error(&error))?;
    let answer = answer.ok().filter(JsValue::is_object);
    if let Some(content) = answer.as_ref().map(Request::content)
        && let Some(text) = content.text
    {
        let mime_type = exchange
            .response
            .body
            .as_ref()
            .map(|body| body.mime_type.clone())
            .unwrap_or_default();
        let body = if content.is_base64 {
            Body::from_base64(mime_type, &text, limits.body).map_err(|error| Failure::from_error(&error))?
        } else {
            Body::new(mime_type, text)
        };
        if body.size > 0 {
            exchange.response.body = Some(body);
            limits.apply(&mut exchange);
        }
    }
    Ok(exchange)
}

/// An id that no other capture has.
pub fn new_id() -> String {
    // Six digits of chance beside the time: captures of one profile are few.
    let time = js_sys::Date::now() as u64;
    let chance = (js_sys::Math::random() * 16_777_216.0) as u32;
    format!("c{time:x}{chance:06x}")
}
