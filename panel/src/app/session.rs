//! The connection to the VM host: made, kept fed into the page, made anew.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo_timers::callback::Interval;
use qemuweb_runtime::client::Subscription;
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::Event;
use qemuweb_runtime::web;
use sycamore::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::cx::Connection;
use crate::features::machines::state::Machines;
use crate::kit::browser::now;

/// How often what is being timed is drawn anew, in milliseconds.
const TICK_MS: u32 = 250;

/// Is called with each event and its attachments.
pub type Listener = Rc<dyn Fn(&Event, &[JsValue])>;

thread_local! {
    /// What hears events, the page's features first, over all connections of this page.
    static LISTENERS: RefCell<Vec<(u32, Listener)>> = const { RefCell::new(Vec::new()) };
    /// The key of the next listener. None is used twice: to forget one twice must not take away another.
    static NEXT_KEY: Cell<u32> = const { Cell::new(0) };
    /// The subscription to the present connection.
    static SUBSCRIPTION: RefCell<Option<Subscription>> = const { RefCell::new(None) };
    /// The number of the latest attempt to connect; an earlier one that comes late is dropped.
    static ATTEMPT: Cell<u32> = const { Cell::new(0) };
}

/// Has `listener` called with each event from now on. Returns what [`forget`] takes.
pub fn listen(listener: Listener) -> u32 {
    let key = NEXT_KEY.replace(NEXT_KEY.get() + 1);
    LISTENERS.with_borrow_mut(|listeners| listeners.push((key, listener)));
    key
}

/// Calls a listener no more.
pub fn forget(key: u32) {
    LISTENERS.with_borrow_mut(|listeners| listeners.retain(|(other, _)| *other != key));
}

/// Connects the page to the host. What another call has begun meanwhile is left to that.
///
/// # Errors
/// The [`Failure`] that the page shows from then on.
pub async fn connect(machines: Machines) -> Result<(), Failure> {
    let cx = machines.cx;
    let attempt = ATTEMPT.get() + 1;
    ATTEMPT.set(attempt);
    let is_latest = move || ATTEMPT.get() == attempt;
    let fail = move |failure: Failure| {
        if is_latest() {
            cx.run(|| cx.detach(failure.clone()));
        }
        Err(failure)
    };
    cx.run(|| cx.connection.set(Connection::Connecting));
    let client = match web::connect().await {
        Ok(client) => client,
        Err(failure) => return fail(failure),
    };
    if !is_latest() {
        client.terminate();
        return Err(Failure::new("another attempt to connect was made meanwhile"));
    }
    client.on_close(move || {
        let failure = Failure::new("the connection to the VM host was lost")
            .with_next_step("Reconnect. If the extension was updated or reloaded, its VMs have ended.");
        drop(fail(failure));
    });
    let subscription = client.subscribe(move |event, attachments| {
        let listeners = LISTENERS.with_borrow(|all| {
            all.iter()
                .map(|(_, listener)| Rc::clone(listener))
                .collect::<Vec<_>>()
        });
        for listener in listeners {
            listener(event, attachments);
        }
    });
    SUBSCRIPTION.with_borrow_mut(|current| *current = Some(subscription));
    // What there is was told before the subscription: it is told once more.
    if let Err(failure) = client.init().await {
        return fail(failure);
    }
    cx.run(|| {
        cx.attach(Rc::new(client));
        machines.show_any();
        untrack(|| machines.prepare_likely());
    });
    Ok(())
}

/// Connects anew, for a button.
pub fn reconnect(machines: Machines) {
    // The page shows a failure.
    spawn_local(async move { drop(connect(machines).await) });
}

/// Renews the time while something is being timed, as long as the page lives.
pub fn keep_time(machines: Machines) {
    Interval::new(TICK_MS, move || {
        machines.cx.run(|| {
            if untrack(|| machines.is_timing()) {
                machines.cx.now.set(now());
            }
        });
    })
    .forget();
}
