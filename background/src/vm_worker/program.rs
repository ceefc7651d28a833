//! QEMU itself, as the package has it: its program, checked and compiled, and its firmware.

use std::collections::BTreeMap;

use futures_util::future::{join, try_join_all};
use js_sys::{Uint8Array, WebAssembly};
use qemuweb_runtime::Failure;
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::Arch;
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::fetch::{fetch, fetch_json};
use super::files::Content;
use super::{ProgressMeter, package_url, scope};

/// Where the package has QEMU.
pub(super) const QEMU: &str = "qemu/";
/// Where QEMU finds its firmware (`-L /pc-bios`), and the prefix of firmware among its build's outputs.
const FIRMWARE: &str = "pc-bios/";

/// What `qemu-build.json` says of QEMU's build, as far as it is needed here.
#[derive(Deserialize)]
pub(super) struct QemuBuild {
    /// By path below the package's QEMU folder.
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Output {
    bytes: u64,
    sha256: String,
}

impl QemuBuild {
    /// The description of the package's QEMU.
    pub(super) async fn fetch(meter: &ProgressMeter) -> Result<Self, Failure> {
        fetch_json(&package_url(&format!("{QEMU}qemu-build.json")), meter).await
    }

    /// Bytes of QEMU for `arch` and of the firmware.
    pub(super) fn size(&self, arch: Arch) -> u64 {
        let program = program_name(arch);
        let wanted = |name: &str| name.starts_with(FIRMWARE) || name == program;
        let outputs = self.outputs.iter().filter(|(name, _)| wanted(name));
        outputs.map(|(_, output)| output.bytes).sum()
    }

    /// All firmware, by its path in QEMU's file system.
    pub(super) async fn firmware(&self, meter: &ProgressMeter) -> Result<Vec<(String, Content)>, Failure> {
        let names = self.outputs.keys().filter(|name| name.starts_with(FIRMWARE));
        try_join_all(names.map(async |name| {
            let bytes = fetch(&package_url(&format!("{QEMU}{name}")), false, meter).await?;
            Ok((format!("/{name}"), Content::Bytes(bytes)))
        }))
        .await
    }

    /// QEMU's program for `arch`, checked against what its build recorded, and compiled.
    pub(super) async fn program(
        &self,
        arch: Arch,
        meter: &ProgressMeter,
    ) -> Result<WebAssembly::Module, Failure> {
        let name = program_name(arch);
        let output = self.outputs.get(&name).ok_or_else(|| {
            Failure::new(format!("this package was built without {name}"))
                .with_next_step("Choose a VM of the other architecture.")
        })?;
        let binary = fetch(&package_url(&format!("{QEMU}{name}")), false, meter).await?;
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
}

fn program_name(arch: Arch) -> String {
    format!("qemu-system-{arch}.wasm")
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
