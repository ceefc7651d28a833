//! Building the machine: QEMU's module, its memory, its files; then `main`.

use std::collections::BTreeMap;

use js_sys::{Array, Function, Object, Promise, Reflect, SharedArrayBuffer, Uint8Array, WebAssembly};
use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::Phase;
use qemuweb_runtime::vm_worker::VmWorkerEvent;
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::{Arch, CONTENT_HEAD, FileKind, FileMountInfo, InputSource, check_content};
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, FileReaderSync};

use super::emscripten::{Fs, QemuModule};
use super::fetch::{fetch, fetch_json};
use super::{ProgressMeter, report, scope};

/// Where the package has QEMU.
const QEMU: &str = "qemu/";
/// Where QEMU finds its firmware (`-L /pc-bios`), and the prefix of firmware among its build's outputs.
const FIRMWARE: &str = "pc-bios/";
/// Where QEMU keeps what a guest writes to a disk with `snapshot=on` (block.c, `create_tmp_file`).
const SNAPSHOTS: &str = "/var/tmp";
/// Where the package has the built-in guests.
const GUEST: &str = "guest/";

/// What `qemu-build.json` says of QEMU's build, as far as it is needed here.
#[derive(Deserialize)]
struct QemuBuild {
    /// By path below the package's QEMU folder.
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Output {
    bytes: u64,
    sha256: String,
}

/// A file on its way into QEMU's file system.
enum Content {
    Bytes(Vec<u8>),
    Blob(Blob),
}

/// Runs QEMU for `arch` with `args`, after putting `files` in place. Returns when `main` was started.
pub(super) async fn boot(
    import: &Function,
    arch: Arch,
    args: &[String],
    files: &[FileMountInfo],
    attachments: &[JsValue],
    heap_mib: u32,
) -> Result<(), Failure> {
    let mut meter = ProgressMeter::new(Phase::Fetch, None);
    let build: QemuBuild = fetch_json(&package_url(&format!("{QEMU}qemu-build.json")), &mut meter).await?;
    let mut contents = Vec::new();
    for name in build.outputs.keys().filter(|name| name.starts_with(FIRMWARE)) {
        let bytes = fetch(&package_url(&format!("{QEMU}{name}")), false, &mut meter).await?;
        contents.push((format!("/{name}"), Content::Bytes(bytes)));
    }
    for file in files {
        let mut content = content(&file.source, attachments, &mut meter).await?;
        if matches!(file.kind, FileKind::Kernel | FileKind::Initrd) {
            content = in_memory(content, file.source.file_name(), heap_mib)?;
        }
        check(file, &content, arch)?;
        contents.push((file.path.clone(), content));
    }

    let script = format!("qemu-system-{arch}.js");
    let binary = fetch_binary(&build, &format!("qemu-system-{arch}.wasm")).await?;
    let memory = memory(heap_mib)?;
    let module = instantiate(import, &script, &binary, &memory).await?;
    let fs = module.fs();
    fs.mkdir_tree(SNAPSHOTS)
        .map_err(|exception| failure_from_exception(format!("could not make {SNAPSHOTS}"), &exception))?;
    for (index, (path, content)) in contents.into_iter().enumerate() {
        put(&module, &fs, index, &path, content).map_err(|exception| {
            failure_from_exception(
                format!("could not put {path} into QEMU's file system"),
                &exception,
            )
        })?;
    }

    let trapped = |exception: JsValue| failure_from_exception("QEMU could not be started", &exception);
    let directory = address(&module.directory().map_err(trapped)?)?;
    let buffer: SharedArrayBuffer = memory.buffer().unchecked_into();
    report(&VmWorkerEvent::Loaded { directory }, &[buffer.into()]);
    module
        .call_main(&args.iter().map(|arg| JsValue::from_str(arg)).collect::<Array>())
        .map_err(trapped)?;
    Ok(())
}

fn package_url(path: &str) -> String {
    format!("{}/{path}", scope().location().origin())
}

async fn content(
    source: &InputSource,
    attachments: &[JsValue],
    meter: &mut ProgressMeter,
) -> Result<Content, Failure> {
    match source {
        InputSource::Builtin(file) => {
            let url = package_url(&format!("{GUEST}{}", file.path));
            Ok(Content::Bytes(fetch(&url, url.ends_with(".gz"), meter).await?))
        }
        InputSource::Url(url) => Ok(Content::Bytes(fetch(url, false, meter).await?)),
        InputSource::Attachment(attachment) => attachments
            .get(attachment.index as usize)
            .and_then(|file| file.dyn_ref::<Blob>())
            .map(|blob| Content::Blob(blob.clone()))
            .ok_or_else(|| {
                Failure::new(format!(
                    "the file {} did not reach the VM's Worker",
                    attachment.name
                ))
            }),
    }
}

/// Refuses a file that cannot be what the machine needs it for. The package's own are what they are.
fn check(file: &FileMountInfo, content: &Content, arch: Arch) -> Result<(), Failure> {
    if matches!(file.source, InputSource::Builtin(_)) {
        return Ok(());
    }
    let name = file.source.file_name();
    let size = match content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Blob(blob) => blob.size() as u64,
    };
    let found = check_content(file.kind, name, &head(content, name)?, size, arch)
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))?;
    // A URL's content is seen here for the first time; QEMU was told the format that its name promised.
    let format = found.disk_format().as_str();
    if file.kind.media().is_some() && !file.path.ends_with(&format!(".{format}")) {
        return Err(Failure::new(format!(
            "{name} is not in the format that its name promises: it is a {format} image"
        ))
        .with_next_step(format!("Set the disk's format to {format}.")));
    }
    Ok(())
}

/// A kernel or an initial RAM disk, which QEMU maps: Emscripten can map files in memory only.
fn in_memory(content: Content, name: &str, heap_mib: u32) -> Result<Content, Failure> {
    let Content::Blob(blob) = content else {
        return Ok(content);
    };
    let limit = f64::from(heap_mib) * 1_048_576.0;
    if blob.size() > limit {
        return Err(Failure::new(format!(
            "{name} has {:.0} MiB, more than the {heap_mib} MiB of this VM",
            blob.size() / 1_048_576.0
        ))
        .with_next_step("Choose a smaller file, or give the VM more memory."));
    }
    read(&blob, name).map(Content::Bytes)
}

/// All bytes of a file.
fn read(blob: &Blob, name: &str) -> Result<Vec<u8>, Failure> {
    let buffer = FileReaderSync::new()
        .and_then(|reader| reader.read_as_array_buffer(blob))
        .map_err(|exception| {
            failure_from_exception(format!("could not read {name}"), &exception)
                .with_next_step("Choose it again: it may have been moved or changed.")
        })?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// The first bytes of a file, enough to recognize it.
fn head(content: &Content, name: &str) -> Result<Vec<u8>, Failure> {
    match content {
        Content::Bytes(bytes) => Ok(bytes[..bytes.len().min(CONTENT_HEAD)].to_vec()),
        Content::Blob(blob) => {
            #[expect(
                clippy::cast_possible_wrap,
                clippy::cast_possible_truncation,
                reason = "36 KiB"
            )]
            let slice = blob
                .slice_with_i32_and_i32(0, CONTENT_HEAD as i32)
                .map_err(|exception| failure_from_exception(format!("could not read {name}"), &exception))?;
            read(&slice, name)
        }
    }
}

/// QEMU's WebAssembly, checked against what its build recorded.
async fn fetch_binary(build: &QemuBuild, name: &str) -> Result<Vec<u8>, Failure> {
    let output = build.outputs.get(name).ok_or_else(|| {
        Failure::new(format!("this package was built without {name}"))
            .with_next_step("Choose a VM of the other architecture.")
    })?;
    let mut meter = ProgressMeter::new(Phase::Load, Some(output.bytes));
    let bytes = fetch(&package_url(&format!("{QEMU}{name}")), false, &mut meter).await?;
    let found = sha256(&bytes).await?;
    if bytes.len() as u64 != output.bytes || found != output.sha256 {
        return Err(Failure::new(format!(
            "{name} is damaged: expected {} bytes with SHA-256 {}, found {} bytes with {found}",
            output.bytes,
            output.sha256,
            bytes.len()
        ))
        .with_next_step("Install the extension again."));
    }
    Ok(bytes)
}

async fn sha256(bytes: &[u8]) -> Result<String, Failure> {
    let failed = |exception: JsValue| failure_from_exception("could not compute a SHA-256", &exception);
    let subtle = scope().crypto().map_err(failed)?.subtle();
    let data = Uint8Array::from(bytes);
    let digest = subtle
        .digest_with_str_and_buffer_source("SHA-256", &data)
        .map_err(failed)?;
    let digest = Uint8Array::new(&JsFuture::from(digest).await.map_err(failed)?).to_vec();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// QEMU's memory: shared, and never grown, so that everybody's views of it stay good.
fn memory(heap_mib: u32) -> Result<WebAssembly::Memory, Failure> {
    let pages = heap_mib.saturating_mul(16);
    let refused = |exception: JsValue| {
        failure_from_exception(
            format!("the browser has no {heap_mib} MiB of memory for this VM"),
            &exception,
        )
        .with_next_step("Give the VM less memory, or stop another one.")
    };
    let descriptor = Object::new();
    for (name, value) in [
        ("initial", pages.into()),
        ("maximum", pages.into()),
        ("shared", JsValue::TRUE),
    ] {
        Reflect::set(&descriptor, &name.into(), &value).map_err(refused)?;
    }
    WebAssembly::Memory::new(&descriptor).map_err(refused)
}

async fn instantiate(
    import: &Function,
    script: &str,
    binary: &[u8],
    memory: &WebAssembly::Memory,
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
    set("wasmBinary", &Uint8Array::from(binary).buffer())?;
    set("noInitialRun", &JsValue::TRUE)?;
    set("thisProgram", &script.trim_end_matches(".js").into())?;
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
    #[expect(clippy::cast_possible_truncation, reason = "exit statuses are small")]
    set(
        "onExit",
        &listener(|code| {
            report(
                &VmWorkerEvent::Exited {
                    code: code.as_f64().unwrap_or(-1.0) as i32,
                },
                &[],
            )
        }),
    )?;
    set(
        "onAbort",
        &listener(|what| {
            let what = what
                .as_string()
                .unwrap_or_else(|| "without saying why".to_owned());
            let failure = Failure::new(format!("QEMU aborted: {what}")).with_next_step("Start the VM again.");
            report(&VmWorkerEvent::Failed { failure }, &[]);
        }),
    )?;

    let url = package_url(&format!("{QEMU}{script}"));
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

/// A callback for Emscripten, which keeps it for as long as the Worker lives.
fn listener(take: impl Fn(JsValue) + 'static) -> JsValue {
    Closure::<dyn Fn(JsValue)>::new(take).into_js_value()
}

/// Puts a file at `path`: bytes into memory, a Blob as a link to where it is mounted.
fn put(module: &QemuModule, fs: &Fs, index: usize, path: &str, content: Content) -> Result<(), JsValue> {
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    fs.mkdir_tree(folder)?;
    match content {
        Content::Bytes(bytes) => {
            let options = Object::new();
            Reflect::set(&options, &"canOwn".into(), &JsValue::TRUE)?;
            fs.write_file(path, &Uint8Array::from(bytes.as_slice()), &options)
        }
        Content::Blob(blob) => {
            let mount_point = format!("/blob/{index}");
            fs.mkdir_tree(&mount_point)?;
            let entry = Object::new();
            Reflect::set(&entry, &"name".into(), &"data".into())?;
            Reflect::set(&entry, &"data".into(), &blob)?;
            let options = Object::new();
            Reflect::set(&options, &"blobs".into(), &Array::of1(&entry))?;
            fs.mount(&module.workerfs(), &options, &mount_point)?;
            fs.symlink(&format!("{mount_point}/data"), path)?;
            Ok(())
        }
    }
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
