//! The connection to the VM host: made, kept fed into the workbench, made anew.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use gloo_timers::callback::Interval;
use js_sys::Uint8Array;
use qemuweb_runtime::client::Subscription;
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::Event;
use qemuweb_runtime::web;
use serde_json::Value;
use sycamore::prelude::*;
use sycamore::web::window;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::Response;

use crate::browser::now;
use crate::capture::send;
use crate::state::Connection;
use crate::workbench::Workbench;
use crate::{launcher, local_files};

/// How often what is being timed is drawn anew, in milliseconds.
const TICK_MS: u32 = 250;

/// Is called with each event and its attachments.
pub type Listener = Rc<dyn Fn(&Event, &[JsValue])>;

thread_local! {
    /// What hears events beside the workbench, over all connections of this page.
    static LISTENERS: RefCell<Vec<(u32, Listener)>> = const { RefCell::new(Vec::new()) };
    /// The subscription to the present connection.
    static SUBSCRIPTION: RefCell<Option<Subscription>> = const { RefCell::new(None) };
}

/// Has `listener` called with each event from now on. Returns what [`forget`] takes.
pub fn listen(listener: Listener) -> u32 {
    LISTENERS.with_borrow_mut(|listeners| {
        let key = listeners.last().map_or(0, |(key, _)| key + 1);
        listeners.push((key, listener));
        key
    })
}

/// Calls a listener no more.
pub fn forget(key: u32) {
    LISTENERS.with_borrow_mut(|listeners| listeners.retain(|(other, _)| *other != key));
}

/// Connects the workbench to the host.
///
/// # Errors
/// The [`Failure`] that the workbench shows from then on.
pub async fn connect(workbench: Workbench) -> Result<(), Failure> {
    workbench.run(|| workbench.store.connection.set(Connection::Connecting));
    let client = match web::connect().await {
        Ok(client) => client,
        Err(failure) => {
            workbench.run(|| workbench.detach(failure.clone()));
            return Err(failure);
        }
    };
    client.on_close(move || {
        let failure = Failure::new("the connection to the VM host was lost")
            .with_next_step("Reconnect. If the extension was updated or reloaded, its VMs have ended.");
        workbench.run(|| workbench.detach(failure));
    });
    let subscription = client.subscribe(move |event, attachments| {
        workbench.run(|| take(workbench, event, attachments));
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
        workbench.run(|| workbench.detach(failure.clone()));
        return Err(failure);
    }
    workbench.run(|| {
        workbench.attach(Rc::new(client));
        workbench.select_any();
        untrack(|| workbench.prepare_likely());
    });
    Ok(())
}

/// Learns how large the package's guest images are, for the launcher's cards. Without it they say nothing of it.
pub async fn learn_image_sizes(workbench: Workbench) {
    let read = async {
        let response = JsFuture::from(window().fetch_with_str("guest/guest-build.json"))
            .await
            .ok()?;
        let text = response.dyn_into::<Response>().ok()?.text().ok()?;
        JsFuture::from(text).await.ok()?.as_string()
    };
    let build: Value = read
        .await
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let mut sizes = BTreeMap::new();
    for (arch, images) in build.as_object().into_iter().flatten() {
        for (name, file) in images["files"].as_object().into_iter().flatten() {
            if let Some(size) = file["size"].as_u64() {
                sizes.insert(format!("{arch}/{name}"), size);
            }
        }
    }
    workbench.run(|| workbench.store.image_sizes.set(sizes));
}

/// Connects anew, for a button.
pub fn reconnect(workbench: Workbench) {
    // The workbench shows a failure.
    spawn_local(async move { drop(connect(workbench).await) });
}

fn take(workbench: Workbench, event: &Event, attachments: &[JsValue]) {
    let consoles = workbench.consoles();
    match event {
        Event::SerialOut { vm_id, run, offset } => {
            if let Some(bytes) = attachments
                .first()
                .and_then(|bytes| bytes.dyn_ref::<Uint8Array>())
            {
                consoles.take(vm_id, *run, *offset, bytes);
            }
            return;
        }
        Event::VmList { vms } => vms.iter().for_each(|vm| consoles.changed(vm)),
        Event::VmChanged { vm } => {
            consoles.changed(vm);
            launcher::note_boot(vm);
        }
        Event::VmHandles { vm_id } => {
            let (vm_id, handles) = (vm_id.clone(), attachments.to_vec());
            spawn_local(async move {
                let names = local_files::not_allowed(&handles).await;
                workbench.run(|| workbench.restart_with_handles(vm_id, handles, &names));
            });
        }
        Event::VmRemoved { vm_id } => {
            consoles.forget(vm_id);
            workbench.capture.targets.update(|targets| targets.remove(vm_id));
            send::forget(workbench, vm_id);
        }
        Event::CaptureAnnotated { annotations, .. } => {
            let log = workbench.capture.log();
            annotations
                .iter()
                .for_each(|annotation| log.borrow_mut().annotate(annotation));
            workbench.capture.touch();
        }
        _ => {}
    }
    workbench.store.apply(event);
    if matches!(event, Event::VmChanged { .. } | Event::VmRemoved { .. }) {
        workbench.select_any();
    }
}

/// Renews the time while something is being timed, as long as the page lives.
pub fn keep_time(workbench: Workbench) {
    Interval::new(TICK_MS, move || {
        if workbench.run(|| untrack(|| workbench.store.is_timing())) {
            workbench.store.now.set(now());
        }
    })
    .forget();
}
