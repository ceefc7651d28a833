//! The files of a machine: where each comes from, and whether it is what the machine needs it for. Disks are none of them: those
//! are served by the storage Worker.

use std::ops::Range;

use futures_util::future::try_join_all;
use js_sys::Uint8Array;
use qemuweb_vm_config::{
    Arch, Compression, Content, FileKind, FileMountInfo, InitrdFor, InputSource, KernelKind,
    MAX_UEFI_VARIABLES, Role, check_content, fits_uefi_variables,
};
use qemuweb_wire::Failure;
use qemuweb_wire::web::failure_from_exception;
use wasm_bindgen::prelude::*;
use web_sys::Blob;

use super::Sources;
use super::fetch::{fetch_url, unpack};
use crate::blob;

/// The contents of `files`, checked. QEMU maps them, so that they are in memory: a heap of `heap_mib` must have room for what QEMU
/// reads at once.
pub(super) async fn contents(
    files: &[FileMountInfo],
    arch: Arch,
    sources: &Sources<'_>,
    heap_mib: u32,
) -> Result<Vec<Uint8Array>, Failure> {
    let found = files.iter().map(|file| find(file, sources, heap_mib));
    let mut contents = try_join_all(found).await?;
    let mut beside = InitrdFor::Unseen;
    // The kernel comes first among the files, and says what the initial RAM disk has to be.
    for (file, content) in files.iter().zip(&mut contents) {
        if matches!(file.source, InputSource::Builtin(_)) {
            // The package's own are what they are.
            if file.kind == FileKind::Kernel {
                beside = InitrdFor::BuiltIn;
            }
            continue;
        }
        let found = check(file, content, arch, beside).await?;
        if let Some(kind) = found {
            beside = InitrdFor::Kernel(kind);
        }
    }
    Ok(contents)
}

async fn find(file: &FileMountInfo, sources: &Sources<'_>, heap_mib: u32) -> Result<Uint8Array, Failure> {
    let package = sources.package;
    match &file.source {
        InputSource::Builtin(builtin) if file.kind == FileKind::Firmware => {
            let bytes = package.qemu_file(&builtin.path).await?;
            let kept = file.uefi_variables().and_then(|_| sources.kept_variables(&bytes));
            Ok(kept.unwrap_or(bytes))
        }
        InputSource::Builtin(builtin) => package.guest_file(&builtin.path).await,
        InputSource::Url(url) => fetch_url(url, false, Some(package.meter())).await,
        InputSource::UrlWithCredentials(url) => fetch_url(url, true, Some(package.meter())).await,
        InputSource::Attachment(attachment) => {
            let blob = sources
                .attachments
                .get(attachment.index as usize)
                .and_then(|file| file.dyn_ref::<Blob>())
                .ok_or_else(|| missing(&attachment.name))?;
            in_memory(blob, &attachment.name, heap_mib).await
        }
        // The host attaches stored files, and takes no new disk for one.
        InputSource::Stored(_) | InputSource::Blank(_) => Err(missing(file.source.file_name())),
    }
}

impl Sources<'_> {
    /// The UEFI variables of the machine's former run, if they can stand in for the package's.
    fn kept_variables(&self, package: &Uint8Array) -> Option<Uint8Array> {
        let kept = self.attachments.get(self.uefi_variables? as usize)?;
        let kept = kept.dyn_ref::<Uint8Array>()?;
        let fits =
            kept.length() <= MAX_UEFI_VARIABLES && fits_uefi_variables(&package.to_vec(), &kept.to_vec());
        fits.then(|| kept.clone())
    }
}

fn missing(name: &str) -> Failure {
    Failure::new(format!("the file {name} did not reach the VM's Worker"))
}

/// Refuses a file that cannot be what the machine needs it for; unpacks a packed kernel, which QEMU does on Arm only; and
/// tells what kind of kernel it is.
async fn check(
    file: &FileMountInfo,
    content: &mut Uint8Array,
    arch: Arch,
    beside: InitrdFor,
) -> Result<Option<KernelKind>, Failure> {
    let name = file.source.file_name();
    let role = Role {
        beside,
        ..Role::of(file.kind, arch)
    };
    let mut found = judge(role, name, content).await?;
    if let (FileKind::Kernel, Content::Compressed(Compression::Gzip)) = (file.kind, &found) {
        *content = unpack(name, content).await?;
        found = judge(role, name, content).await?;
    }
    Ok(found.kernel_kind())
}

async fn judge(role: Role, name: &str, content: &Uint8Array) -> Result<Content, Failure> {
    let end = |place: u64| u32::try_from(place).unwrap_or(u32::MAX);
    let part = async |range: Range<u64>| Ok(content.subarray(end(range.start), end(range.end)).to_vec());
    let size = u64::from(content.length());
    let verdict = blob::examine_with(size, part, |sample| check_content(role, name, sample)).await;
    verdict
        .map_err(|exception: JsValue| unreadable(name, &exception))?
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))
}

async fn in_memory(blob: &Blob, name: &str, heap_mib: u32) -> Result<Uint8Array, Failure> {
    let limit = f64::from(heap_mib) * 1_048_576.0;
    if blob.size() > limit {
        return Err(Failure::new(format!(
            "{name} has {:.0} MiB, more than the {heap_mib} MiB of this VM",
            blob.size() / 1_048_576.0
        ))
        .with_next_step("Choose a smaller file, or give the VM more memory."));
    }
    let bytes = blob::read(blob).await;
    bytes.map_err(|exception| unreadable(name, &exception))
}

fn unreadable(name: &str, exception: &JsValue) -> Failure {
    failure_from_exception(format!("could not read {name}"), exception)
        .with_next_step("Choose it again: it may have been moved or changed.")
}
