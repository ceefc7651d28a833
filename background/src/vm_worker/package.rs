//! What the extension's package has for a machine: QEMU and its firmware, and the files of built-in guests.
//!
//! Each is fetched once, whoever asks first: the start of a VM, or the host ahead of one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, join, try_join, try_join_all};
use js_sys::{Uint8Array, WebAssembly};
use qemuweb_vm_config::Arch;
use qemuweb_wire::Failure;
use qemuweb_wire::web::failure_from_exception;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::fetch::{fetch, fetch_json};
use super::progress::ProgressMeter;
use super::scope;

/// Where the package has QEMU.
const QEMU: &str = "qemu/";
/// Where QEMU finds its firmware (`-L /pc-bios`), and the prefix of firmware among its build's outputs.
const FIRMWARE: &str = "pc-bios/";
/// Where the package has the built-in guests.
const GUEST: &str = "guest/";

/// The address of one of QEMU's files in the package.
pub(super) fn qemu_url(file: &str) -> String {
    package_url(&format!("{QEMU}{file}"))
}

/// The address of a file of the built-in guests in the package.
pub(super) fn guest_url(path: &str) -> String {
    package_url(&format!("{GUEST}{path}"))
}

fn package_url(path: &str) -> String {
    format!("{}/{path}", scope().location().origin())
}

/// Work in progress that any number of tasks wait for.
type Pending<T> = Shared<LocalBoxFuture<'static, Result<T, Failure>>>;

/// The package, and what of it was asked for.
pub(super) struct Package {
    meter: Rc<ProgressMeter>,
    qemu: Pending<Rc<QemuBuild>>,
    guests: Pending<Rc<GuestBuild>>,
    /// By QEMU's architecture.
    programs: RefCell<BTreeMap<&'static str, Pending<WebAssembly::Module>>>,
    /// By address.
    files: RefCell<BTreeMap<String, Pending<Uint8Array>>>,
}

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
    /// Of a file that is decompressed when it is fetched.
    uncompressed_bytes: Option<u64>,
}

/// What `guest-build.json` says of the package's guests, as far as it is needed here: by architecture.
#[derive(Deserialize)]
struct GuestBuild(BTreeMap<String, Guest>);

#[derive(Deserialize)]
struct Guest {
    files: BTreeMap<String, GuestFile>,
}

#[derive(Deserialize)]
struct GuestFile {
    size: u64,
    /// Of a file that is decompressed when it is fetched.
    uncompressed_size: Option<u64>,
}

impl Package {
    /// The package, of which nothing was fetched yet. `meter` counts what will be.
    pub(super) fn new(meter: ProgressMeter) -> Self {
        Self {
            meter: Rc::new(meter),
            qemu: description(format!("{QEMU}qemu-build.json")),
            guests: description(format!("{GUEST}guest-build.json")),
            programs: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// Counts what is fetched. Whoever fetches something else for the same start counts it there, too.
    pub(super) fn meter(&self) -> &ProgressMeter {
        &self.meter
    }

    /// Fetches what a machine is likely to need, so that it is there when it is asked for.
    ///
    /// # Errors
    /// As those of the parts, which fail in the same way when they are asked for.
    pub(super) async fn prepare(&self, arch: Arch, guest_files: &[String]) -> Result<(), Failure> {
        let guest_files = try_join_all(guest_files.iter().map(|path| self.guest_file(path)));
        try_join(self.program(arch), try_join(self.firmware(), guest_files)).await?;
        Ok(())
    }

    /// QEMU's program for `arch`, checked against what its build recorded, and compiled.
    ///
    /// # Errors
    /// A [`Failure`] when the package has none, or a damaged one, or the browser does not compile it.
    pub(super) fn program(&self, arch: Arch) -> Pending<WebAssembly::Module> {
        let program = program(arch, self.qemu.clone(), Rc::clone(&self.meter));
        let mut programs = self.programs.borrow_mut();
        programs
            .entry(arch.as_str())
            .or_insert_with(|| program.boxed_local().shared())
            .clone()
    }

    /// All firmware, by its path in QEMU's file system.
    ///
    /// # Errors
    /// A [`Failure`] when a file cannot be fetched.
    pub(super) async fn firmware(&self) -> Result<Vec<(String, Uint8Array)>, Failure> {
        let build = self.qemu.clone().await?;
        let firmware = build
            .outputs
            .iter()
            .filter(|(name, _)| name.starts_with(FIRMWARE));
        try_join_all(firmware.map(async |(name, output)| {
            let bytes = self.file(qemu_url(name), std::future::ready(Ok(Some(output.bytes))));
            Ok((format!("/{name}"), bytes.await?))
        }))
        .await
    }

    /// A file of QEMU's build by its path there, decompressed if that ends in `.gz`: one that few machines need.
    ///
    /// # Errors
    /// A [`Failure`] when it cannot be fetched.
    pub(super) fn qemu_file(&self, path: &str) -> Pending<Uint8Array> {
        let (build, name) = (self.qemu.clone(), path.to_owned());
        self.file(qemu_url(path), async move {
            let build = build.await?;
            let output = build.outputs.get(&name).ok_or_else(|| {
                Failure::new(format!("this package was built without {name}"))
                    .with_next_step("Choose an image for BIOS.")
            })?;
            Ok(Some(output.uncompressed_bytes.unwrap_or(output.bytes)))
        })
    }

    /// A file of a built-in guest by its path in the package's guest folder, decompressed if that ends in `.gz`.
    ///
    /// # Errors
    /// A [`Failure`] when it cannot be fetched.
    pub(super) fn guest_file(&self, path: &str) -> Pending<Uint8Array> {
        let (guests, path) = (self.guests.clone(), path.to_owned());
        let url = guest_url(&path);
        self.file(url, async move {
            let guests = guests.await?;
            let file = match path.split_once('/') {
                Some((arch, name)) => {
                    let guest = guests.0.get(arch).ok_or_else(|| left_out(arch))?;
                    guest.files.get(name)
                }
                None => None,
            };
            // A file that is not there fails when it is fetched.
            Ok(file.map(|file| file.uncompressed_size.unwrap_or(file.size)))
        })
    }

    fn file(
        &self,
        url: String,
        size: impl Future<Output = Result<Option<u64>, Failure>> + 'static,
    ) -> Pending<Uint8Array> {
        let meter = Rc::clone(&self.meter);
        let mut files = self.files.borrow_mut();
        files
            .entry(url)
            .or_insert_with_key(|url| {
                let url = url.clone();
                let bytes = async move {
                    meter.expect_file();
                    meter.learn_size(size.await?.unwrap_or_default());
                    fetch(&url, url.ends_with(".gz"), Some(&meter)).await
                };
                bytes.boxed_local().shared()
            })
            .clone()
    }
}

fn description<T: DeserializeOwned + 'static>(path: String) -> Pending<Rc<T>> {
    async move { fetch_json(&package_url(&path)).await.map(Rc::new) }
        .boxed_local()
        .shared()
}

async fn program(
    arch: Arch,
    build: Pending<Rc<QemuBuild>>,
    meter: Rc<ProgressMeter>,
) -> Result<WebAssembly::Module, Failure> {
    meter.expect_file();
    let name = format!("qemu-system-{arch}.wasm");
    let build = build.await?;
    let output = build.outputs.get(&name).ok_or_else(|| left_out(arch.as_str()))?;
    meter.learn_size(output.bytes);
    let binary = fetch(&qemu_url(&name), false, Some(&meter)).await?;
    let compiled = async {
        JsFuture::from(WebAssembly::compile(&binary))
            .await
            .map_err(|exception| {
                failure_from_exception(format!("{name} could not be compiled"), &exception)
                    .with_next_step("Stop another VM, or update the browser.")
            })
    };
    let (found, module) = join(sha256(&binary), compiled).await;
    let (size, found) = (u64::from(binary.length()), found?);
    if size != output.bytes || found != output.sha256 {
        return Err(Failure::new(format!(
            "{name} is damaged: expected {} bytes with SHA-256 {}, found {size} bytes with {found}",
            output.bytes, output.sha256
        ))
        .with_next_step("Install the extension again."));
    }
    Ok(module?.unchecked_into())
}

/// `cargo xtask run` packs what the VM needs that it starts.
fn left_out(arch: &str) -> Failure {
    Failure::new(format!("this build of QemuWeb has no machines of {arch}")).with_next_step(
        "Build it with all of them, cargo xtask build, and reload it; or choose a VM of the other architecture.",
    )
}

async fn sha256(data: &Uint8Array) -> Result<String, Failure> {
    let failed = |exception: JsValue| failure_from_exception("could not compute a SHA-256", &exception);
    let subtle = scope().crypto().map_err(failed)?.subtle();
    let digest = subtle
        .digest_with_str_and_buffer_source("SHA-256", data)
        .map_err(failed)?;
    let digest = Uint8Array::new(&JsFuture::from(digest).await.map_err(failed)?).to_vec();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
