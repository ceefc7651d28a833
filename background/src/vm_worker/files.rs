//! The files of a machine: where each comes from, and whether it is what the machine needs it for.

use js_sys::Uint8Array;
use qemuweb_runtime::Failure;
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::{Arch, CONTENT_HEAD, FileKind, FileMountInfo, InputSource, check_content};
use wasm_bindgen::prelude::*;
use web_sys::Blob;

use super::Sources;
use super::fetch::fetch_url;
use crate::blob;

/// A file on its way into QEMU's file system.
pub(super) enum Content {
    Bytes(Uint8Array),
    Blob(Blob),
}

/// The content of `file`, checked. A heap of `heap_mib` must have room for what QEMU reads at once.
pub(super) async fn content(
    file: &FileMountInfo,
    arch: Arch,
    sources: &Sources<'_>,
    heap_mib: u32,
) -> Result<Content, Failure> {
    let mut content = find(&file.source, sources).await?;
    if matches!(file.kind, FileKind::Kernel | FileKind::Initrd) {
        content = in_memory(content, file.source.file_name(), heap_mib).await?;
    }
    check(file, &content, arch).await?;
    Ok(content)
}

async fn find(source: &InputSource, sources: &Sources<'_>) -> Result<Content, Failure> {
    match source {
        InputSource::Builtin(file) => Ok(Content::Bytes(sources.package.guest_file(&file.path).await?)),
        InputSource::Url(url) => Ok(Content::Bytes(fetch_url(url, sources.package.meter()).await?)),
        InputSource::Attachment(attachment) => sources
            .attachments
            .get(attachment.index as usize)
            .and_then(|file| file.dyn_ref::<Blob>())
            .map(|blob| Content::Blob(blob.clone()))
            .ok_or_else(|| missing(&attachment.name)),
        // The host attaches stored files.
        InputSource::Stored(file) => Err(missing(&file.name)),
    }
}

fn missing(name: &str) -> Failure {
    Failure::new(format!("the file {name} did not reach the VM's Worker"))
}

/// Refuses a file that cannot be what the machine needs it for. The package's own are what they are.
async fn check(file: &FileMountInfo, content: &Content, arch: Arch) -> Result<(), Failure> {
    if matches!(file.source, InputSource::Builtin(_)) {
        return Ok(());
    }
    let name = file.source.file_name();
    let size = match content {
        Content::Bytes(bytes) => u64::from(bytes.length()),
        Content::Blob(blob) => blob.size() as u64,
    };
    let found = check_content(file.kind, name, &head(content, name).await?, size, arch)
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
async fn in_memory(content: Content, name: &str, heap_mib: u32) -> Result<Content, Failure> {
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
    let bytes = blob::read(&blob).await;
    bytes
        .map(Content::Bytes)
        .map_err(|exception| unreadable(name, &exception))
}

/// The first bytes of a file, enough to recognize it.
async fn head(content: &Content, name: &str) -> Result<Vec<u8>, Failure> {
    match content {
        #[expect(clippy::cast_possible_truncation, reason = "36 KiB")]
        Content::Bytes(bytes) => Ok(bytes.subarray(0, CONTENT_HEAD as u32).to_vec()),
        Content::Blob(blob) => blob::head(blob)
            .await
            .map_err(|exception| unreadable(name, &exception)),
    }
}

fn unreadable(name: &str, exception: &JsValue) -> Failure {
    failure_from_exception(format!("could not read {name}"), exception)
        .with_next_step("Choose it again: it may have been moved or changed.")
}
