//! The connection to the VM host: made, kept fed into the page, made anew.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_channel::oneshot;
use gloo_timers::callback::Interval;
use qemuweb_wire::client::Subscription;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::web;
use sycamore::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::cx::{Client, Connection, Cx};
use crate::features::machines::state::Machines;
use crate::kit::browser::now;

/// How often what is being timed is drawn anew, in milliseconds.
const TICK_MS: u32 = 250;

/// Subscribes a page to what it shows, and calls what it is given once it knows what there is.
type Subscribe = Rc<dyn Fn(&Client, Box<dyn Fn()>) -> Vec<Subscription>>;

thread_local! {
    static SUBSCRIBE: RefCell<Option<Subscribe>> = const { RefCell::new(None) };
    /// Those of the present connection.
    static SUBSCRIPTIONS: RefCell<Vec<Subscription>> = const { RefCell::new(Vec::new()) };
    /// The number of the latest attempt to connect; an earlier one that comes late is dropped.
    static ATTEMPT: Cell<u32> = const { Cell::new(0) };
}

/// Says what the page subscribes to on each connection.
pub fn on_connect(subscribe: impl Fn(&Client, Box<dyn Fn()>) -> Vec<Subscription> + 'static) {
    SUBSCRIBE.set(Some(Rc::new(subscribe)));
}

/// Connects the page to the host, and waits until it knows what there is. What another call has begun meanwhile is left to that.
///
/// # Errors
/// The [`Failure`] that the page shows from then on.
pub async fn connect(cx: Cx) -> Result<(), Failure> {
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
        // What it returns is for those who connect.
        drop(fail(failure));
    });
    client.on_failure(move |failure| cx.run(|| cx.notices.report(failure)));
    let known = attach(cx, client);
    // The host that goes away meanwhile is told by the page.
    known
        .await
        .map_err(|_| Failure::new("the VM host has gone while it was asked what there is"))
}

/// Has the page keep up with a client's host. Resolves when it knows what there is.
pub fn attach(cx: Cx, client: Client) -> oneshot::Receiver<()> {
    let (known, receiver) = oneshot::channel();
    let known = RefCell::new(Some(known));
    let ready = Box::new(move || {
        if let Some(known) = known.take() {
            // Who no longer waits need not know.
            let _ = known.send(());
        }
    });
    let subscribe = SUBSCRIBE.with_borrow(Clone::clone);
    let subscriptions = subscribe.map(|subscribe| subscribe(&client, ready));
    SUBSCRIPTIONS.set(subscriptions.unwrap_or_default());
    cx.run(|| cx.attach(client));
    receiver
}

/// Connects anew, for a button.
pub fn reconnect(machines: Machines) {
    // The page shows a failure.
    spawn_local(async move { drop(connect(machines.cx).await) });
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
