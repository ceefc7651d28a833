//! The Worker of one VM: fetches what the machine needs, loads QEMU, runs it and reports.
//!
//! QEMU's `main` runs on a thread of its own (Emscripten's `PROXY_TO_PTHREAD`); this Worker's event loop then
//! only serves the system calls that QEMU's threads pass on to it.

mod emscripten;
mod fetch;
mod files;
mod load;
mod program;

use std::cell::Cell;

use js_sys::{Array, Function};
use qemuweb_runtime::Failure;
use qemuweb_runtime::client::Packet;
use qemuweb_runtime::protocol::{self, Phase, Progress};
use qemuweb_runtime::vm_worker::{VmWorkerCommand, VmWorkerEvent};
use qemuweb_runtime::web::{packet_from_js, packet_to_js};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

/// Starts to serve the host. `import` is JavaScript's dynamic import, which Rust cannot name.
#[wasm_bindgen]
pub fn start_vm_worker(import: Function) {
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let import = import.clone();
        spawn_local(async move {
            if let Err(failure) = serve(&event.data(), &import).await {
                report(&VmWorkerEvent::Failed { failure }, &[]);
            }
        });
    });
    scope().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The Worker listens for as long as it lives.
    on_message.forget();
    report(&VmWorkerEvent::Ready, &[]);
}

async fn serve(data: &JsValue, import: &Function) -> Result<(), Failure> {
    // Messages of QEMU's own threads that reach this Worker's global scope are not for us.
    let Some(packet) = packet_from_js(data) else {
        return Ok(());
    };
    protocol::check_version(packet.version).map_err(|error| Failure::from_error(&error))?;
    let command = serde_json::from_str(&packet.json).map_err(|error| Failure::from_error(&error))?;
    let VmWorkerCommand::Boot {
        arch,
        args,
        files,
        heap_mib,
    } = command;
    load::boot(import, arch, &args, &files, &packet.attachments, heap_mib).await
}

fn package_url(path: &str) -> String {
    format!("{}/{path}", scope().location().origin())
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Tells the host something.
fn report(event: &VmWorkerEvent, attachments: &[JsValue]) {
    let Ok(json) = serde_json::to_string(event) else {
        return;
    };
    let packet = Packet {
        version: protocol::VERSION,
        json,
        attachments: attachments.to_vec(),
    };
    let message: Array = packet_to_js(&packet);
    if let Err(exception) = scope().post_message(&message) {
        web_sys::console::error_2(&"QemuWeb: could not reach the VM host".into(), &exception);
    }
}

/// Bytes of one phase, told to the host at most every [`ProgressMeter::INTERVAL_MS`].
struct ProgressMeter {
    phase: Phase,
    done: Cell<u64>,
    /// Bytes that are known to come.
    expected: Cell<u64>,
    /// How many files come of which nobody has told the size.
    unknown: Cell<usize>,
    told_at: Cell<f64>,
}

impl ProgressMeter {
    const INTERVAL_MS: f64 = 50.0;

    fn new(phase: Phase) -> Self {
        let meter = Self {
            phase,
            done: Cell::default(),
            expected: Cell::default(),
            unknown: Cell::default(),
            told_at: Cell::new(js_sys::Date::now()),
        };
        meter.tell();
        meter
    }

    /// Begins to count anew: so many bytes come, and so many files of sizes that are not known yet.
    fn expect(&self, bytes: u64, unknown: usize) {
        self.done.set(0);
        self.expected.set(bytes);
        self.unknown.set(unknown);
        self.tell();
    }

    /// The size of one of the files of unknown size, now that it is known.
    fn learn(&self, bytes: u64) {
        if let Some(rest) = self.unknown.get().checked_sub(1) {
            self.unknown.set(rest);
            self.expected.set(self.expected.get().saturating_add(bytes));
        }
    }

    fn add(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        let now = js_sys::Date::now();
        if now - self.told_at.get() >= Self::INTERVAL_MS {
            self.told_at.set(now);
            self.tell();
        }
    }

    fn tell(&self) {
        let (done, expected) = (self.done.get(), self.expected.get());
        let is_known = self.unknown.get() == 0 && (done..).contains(&expected) && expected > 0;
        let progress = Progress {
            phase: self.phase,
            done,
            total: is_known.then_some(expected),
        };
        report(&VmWorkerEvent::Progress { progress }, &[]);
    }
}
