//! The Worker of one VM: fetches what the machine needs, loads QEMU, runs it and reports.
//!
//! QEMU's `main` runs on a thread of its own (Emscripten's `PROXY_TO_PTHREAD`); this Worker's event loop then
//! only serves the system calls that QEMU's threads pass on to it.

mod emscripten;
mod fetch;
mod files;
mod load;
mod package;
mod progress;
mod threads;
mod variables;

use std::rc::Rc;

use js_sys::{Array, Function, Uint8Array};
use qemuweb_machine::worker::{Boot, VmWorkerCommand, VmWorkerEvent};
use qemuweb_wire::Failure;
use qemuweb_wire::message::{self, Packet};
use qemuweb_wire::vm::Phase;
use qemuweb_wire::web::{packet_from_js, packet_to_js};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use package::Package;
use progress::ProgressMeter;
use threads::Threads;
use variables::Variables;

/// Starts to serve the host. `import` is JavaScript's dynamic import, which Rust cannot name.
#[wasm_bindgen]
pub fn start_vm_worker(import: Function) {
    let package = Rc::new(Package::new(ProgressMeter::new(Phase::Fetch)));
    let qemu = Rc::new(Qemu::default());
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let (import, package, qemu) = (import.clone(), Rc::clone(&package), Rc::clone(&qemu));
        spawn_local(async move {
            if let Err(failure) = serve(&event.data(), &import, &package, &qemu).await {
                report(&VmWorkerEvent::Failed { failure }, &[]);
            }
        });
    });
    scope().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The Worker listens for as long as it lives.
    on_message.forget();
    report(&VmWorkerEvent::Ready, &[]);
}

async fn serve(data: &JsValue, import: &Function, package: &Package, qemu: &Qemu) -> Result<(), Failure> {
    // Messages of QEMU's own threads that reach this Worker's global scope are not for us.
    let Some(packet) = packet_from_js(data) else {
        return Ok(());
    };
    message::check_version(packet.version).map_err(|error| Failure::from_error(&error))?;
    let command = serde_json::from_str(&packet.json).map_err(|error| Failure::from_error(&error))?;
    match command {
        VmWorkerCommand::Prepare { arch, guest_files } => {
            // What fails now fails again when a start needs it, which then tells.
            let _ = package.prepare(arch, &guest_files).await;
            Ok(())
        }
        VmWorkerCommand::Boot(Boot {
            arch,
            args,
            files,
            heap_mib,
            uefi_variables,
        }) => {
            let sources = Sources {
                package,
                attachments: &packet.attachments,
                uefi_variables,
            };
            load::boot(import, arch, &args, &files, &sources, heap_mib, qemu).await
        }
        VmWorkerCommand::End => {
            qemu.variables.tell_last();
            qemu.threads.end()
        }
    }
}

/// What of QEMU somebody asks for once it runs.
#[derive(Default)]
struct Qemu {
    threads: Threads,
    variables: Rc<Variables>,
}

/// Where the files of a machine come from.
struct Sources<'a> {
    package: &'a Package,
    /// Blobs that came with the command.
    attachments: &'a [JsValue],
    /// Which of them is the content of the UEFI variables.
    uefi_variables: Option<u32>,
}

/// A file of a built-in guest by its path in the package's guest folder, decompressed if that ends in `.gz`.
///
/// # Errors
/// A [`Failure`] when it cannot be fetched.
pub(crate) async fn package_guest_file(path: &str) -> Result<Uint8Array, Failure> {
    fetch::fetch(&package::guest_url(path), path.ends_with(".gz"), None).await
}

/// All bytes at an address of the web, with the person's cookies if they asked for that.
///
/// # Errors
/// A [`Failure`] when it cannot be fetched or is too large.
pub(crate) async fn fetch_whole(url: &str, with_credentials: bool) -> Result<Uint8Array, Failure> {
    fetch::fetch_url(url, with_credentials, None).await
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Tells the host something.
fn report(event: &VmWorkerEvent, attachments: &[JsValue]) {
    let Ok(packet) = Packet::new(event, attachments.to_vec()) else {
        return;
    };
    let message: Array = packet_to_js(&packet);
    if let Err(exception) = scope().post_message(&message) {
        web_sys::console::error_2(&"QemuWeb: could not reach the VM host".into(), &exception);
    }
}
