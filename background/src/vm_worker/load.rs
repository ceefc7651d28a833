//! Building the machine: QEMU's module, its memory, its files; then `main`.

use std::rc::Rc;

use futures_util::future::try_join;
use js_sys::{Array, Function, Object, Promise, Reflect, SharedArrayBuffer, Uint8Array, WebAssembly};
use qemuweb_machine::worker::VmWorkerEvent;
use qemuweb_vm_config::{Arch, FileMountInfo};
use qemuweb_wire::Failure;
use qemuweb_wire::vm::Phase;
use qemuweb_wire::web::failure_from_exception;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::emscripten::{Fs, QemuModule};
use super::files::contents;
use super::package::qemu_url;
use super::variables::Variables;
use super::{ProgressMeter, Qemu, Sources, report};

/// Where QEMU keeps what a guest writes to a disk with `snapshot=on` (block.c, `create_tmp_file`).
const SNAPSHOTS: &str = "/var/tmp";

/// Runs QEMU for `arch` with `args`, after putting `files` in place. Returns when `main` was started, or
/// when its threads were ended meanwhile.
pub(super) async fn boot(
    import: &Function,
    arch: Arch,
    args: &[String],
    files: &[FileMountInfo],
    sources: &Sources<'_>,
    heap_mib: u32,
    qemu: &Qemu,
) -> Result<(), Failure> {
    sources.package.meter().tell();
    let machine_files = contents(files, arch, sources, heap_mib);
    // The browser compiles QEMU while the files come.
    let (program, (firmware, machine_files)) = try_join(
        sources.package.program(arch),
        try_join(sources.package.firmware(), machine_files),
    )
    .await?;
    let machine_files = files.iter().map(|file| file.path.clone()).zip(machine_files);

    ProgressMeter::new(Phase::Load).tell();
    let memory = memory(heap_mib)?;
    let module = instantiate(import, arch, program, &memory, &qemu.variables).await?;
    if qemu.threads.started(module.threads())?.is_break() {
        return Ok(());
    }
    let fs = module.fs();
    fs.mkdir_tree(SNAPSHOTS)
        .map_err(|exception| failure_from_exception(format!("could not make {SNAPSHOTS}"), &exception))?;
    for (path, content) in firmware.into_iter().chain(machine_files) {
        put(&fs, &path, &content).map_err(|exception| {
            failure_from_exception(
                format!("could not put {path} into QEMU's file system"),
                &exception,
            )
        })?;
    }
    qemu.variables.watch(fs, files);

    let trapped = |exception: JsValue| failure_from_exception("QEMU could not be started", &exception);
    let directory = address(&module.directory().map_err(trapped)?)?;
    let buffer: SharedArrayBuffer = memory.buffer().unchecked_into();
    report(&VmWorkerEvent::Loaded { directory }, &[buffer.into()]);
    module
        .call_main(&args.iter().map(|arg| JsValue::from_str(arg)).collect::<Array>())
        .map_err(trapped)?;
    Ok(())
}

/// QEMU's memory: shared, and never grown, so that everybody's views of it stay good.
fn memory(heap_mib: u32) -> Result<WebAssembly::Memory, Failure> {
    shared_memory(heap_mib).map_err(|exception| {
        let failure = failure_from_exception(
            format!("the browser has no {heap_mib} MiB of memory for this VM"),
            &exception,
        );
        match largest_below(heap_mib) {
            Some(largest) => failure.with_next_step(format!(
                "It has {largest} MiB at present: give the guest {} MiB less, or stop another VM.",
                heap_mib - largest
            )),
            None => failure.with_next_step("Stop another VM, or close other pages."),
        }
    })
}

fn shared_memory(heap_mib: u32) -> Result<WebAssembly::Memory, JsValue> {
    let pages = heap_mib.saturating_mul(16);
    let descriptor = Object::new();
    for (name, value) in [
        ("initial", pages.into()),
        ("maximum", pages.into()),
        ("shared", JsValue::TRUE),
    ] {
        Reflect::set(&descriptor, &name.into(), &value)?;
    }
    WebAssembly::Memory::new(&descriptor)
}

/// The largest memory in MiB that the browser gives now, of those that are smaller by whole steps.
fn largest_below(heap_mib: u32) -> Option<u32> {
    const STEP: u32 = 64;
    let smaller = (1..heap_mib / STEP).rev().map(|steps| steps * STEP);
    // What is not touched costs nothing, and is freed again.
    smaller.into_iter().find(|mib| shared_memory(*mib).is_ok())
}

async fn instantiate(
    import: &Function,
    arch: Arch,
    program: WebAssembly::Module,
    memory: &WebAssembly::Memory,
    variables: &Rc<Variables>,
) -> Result<QemuModule, Failure> {
    let failed = |exception: JsValue| {
        failure_from_exception("QEMU could not be loaded", &exception)
            .with_next_step("Install the extension again.")
    };
    let options = Object::new();
    let set = |name: &str, value: &JsValue| {
        Reflect::set(&options, &name.into(), value)
            .map(drop)
            .map_err(failed)
    };
    set("wasmMemory", memory)?;
    set("instantiateWasm", &instantiator(program))?;
    set("noInitialRun", &JsValue::TRUE)?;
    set("thisProgram", &format!("qemu-system-{arch}").into())?;
    // Nobody types into QEMU's own standard input. Without this Emscripten asks with a dialog.
    set("stdin", &Closure::once_into_js(|| JsValue::NULL))?;
    let output = listener(|line| {
        report(
            &VmWorkerEvent::Output {
                line: line.as_string().unwrap_or_default(),
            },
            &[],
        )
    });
    set("print", &output)?;
    set("printErr", &output)?;
    let of_exit = Rc::clone(variables);
    #[expect(clippy::cast_possible_truncation, reason = "exit statuses are small")]
    set(
        "onExit",
        &listener(move |code| {
            of_exit.tell_change();
            report(
                &VmWorkerEvent::Exited {
                    code: code.as_f64().unwrap_or(-1.0) as i32,
                },
                &[],
            )
        }),
    )?;
    let of_abort = Rc::clone(variables);
    set(
        "onAbort",
        &listener(move |what| {
            of_abort.tell_change();
            let what = what
                .as_string()
                .unwrap_or_else(|| "without saying why".to_owned());
            let failure = Failure::new(format!("QEMU aborted: {what}")).with_next_step("Start the VM again.");
            report(&VmWorkerEvent::Failed { failure }, &[]);
        }),
    )?;

    let url = qemu_url(&format!("qemu-system-{arch}.js"));
    let imported: Promise = import
        .call1(&JsValue::NULL, &url.into())
        .map_err(failed)?
        .unchecked_into();
    let namespace = JsFuture::from(imported).await.map_err(failed)?;
    let factory: Function = Reflect::get(&namespace, &"default".into())
        .map_err(failed)?
        .unchecked_into();
    let module: Promise = factory
        .call1(&JsValue::NULL, &options)
        .map_err(failed)?
        .unchecked_into();
    Ok(JsFuture::from(module).await.map_err(failed)?.unchecked_into())
}

/// Emscripten's hook for whoever has the module already: it is called with the imports and with what takes the instance
/// (<https://emscripten.org/docs/api_reference/module.html#Module.instantiateWasm>).
fn instantiator(program: WebAssembly::Module) -> JsValue {
    Closure::once_into_js(move |imports: Object, receive: Function| {
        spawn_local(async move {
            let received = match JsFuture::from(WebAssembly::instantiate_module(&program, &imports)).await {
                Ok(instance) => receive.call2(&JsValue::NULL, &instance, &program),
                Err(exception) => Err(exception),
            };
            if let Err(exception) = received {
                let failure = failure_from_exception("QEMU could not be loaded", &exception)
                    .with_next_step("Give the VM less memory, or stop another one.");
                report(&VmWorkerEvent::Failed { failure }, &[]);
            }
        });
        // The instance follows.
        Object::new()
    })
}

/// A callback for Emscripten, which keeps it for as long as the Worker lives.
fn listener(take: impl Fn(JsValue) + 'static) -> JsValue {
    Closure::<dyn Fn(JsValue)>::new(take).into_js_value()
}

/// Puts a file at `path`, which takes the bytes over.
fn put(fs: &Fs, path: &str, content: &Uint8Array) -> Result<(), JsValue> {
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    fs.mkdir_tree(folder)?;
    let options = Object::new();
    Reflect::set(&options, &"canOwn".into(), &JsValue::TRUE)?;
    fs.write_file(path, content, &options)
}

/// A pointer that QEMU returned, as an address in its memory of at most 4 GiB.
fn address(pointer: &JsValue) -> Result<u32, Failure> {
    let number = match pointer.dyn_ref::<js_sys::BigInt>() {
        Some(big) => u64::try_from(big.clone()).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked by the conversion to u32"
        )]
        None => pointer.as_f64().map(|number| number as u64),
    };
    number
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| {
            Failure::new(format!(
                "expected the address of QEMU's channel directory, found {pointer:?}"
            ))
        })
}
