//! The files of a machine: where each comes from, and whether it is what the machine needs it for.

use js_sys::Uint8Array;
use qemuweb_runtime::Failure;
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::{Arch, CONTENT_HEAD, FileKind, FileMountInfo, InputSource, check_content};
use wasm_bindgen::prelude::*;
use web_sys::{Blob, FileReaderSync};

use super::fetch::fetch;
use super::{ProgressMeter, package_url};

/// Where the package has the built-in guests.
const GUEST: &str = "guest/";

/// A file on its way into QEMU's file system.
pub(super) enum Content {
    Bytes(Uint8Array),
    Blob(Blob),
}

/// The content of `file`, checked. A heap of `heap_mib` must have room for what QEMU reads at once.
pub(super) async fn content(
    file: &FileMountInfo,
    arch: Arch,
    attachments: &[JsValue],
    heap_mib: u32,
    meter: &ProgressMeter,
) -> Result<Content, Failure> {
    let mut content = find(&file.source, attachments, meter).await?;
    if matches!(file.kind, FileKind::Kernel | FileKind::Initrd) {
        content = in_memory(content, file.source.file_name(), heap_mib)?;
    }
    check(file, &content, arch)?;
    Ok(content)
}

async fn find(
    source: &InputSource,
    attachments: &[JsValue],
    meter: &ProgressMeter,
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
        Content::Bytes(bytes) => u64::from(bytes.length()),
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
fn read(blob: &Blob, name: &str) -> Result<Uint8Array, Failure> {
    let buffer = FileReaderSync::new()
        .and_then(|reader| reader.read_as_array_buffer(blob))
        .map_err(|exception| {
            failure_from_exception(format!("could not read {name}"), &exception)
                .with_next_step("Choose it again: it may have been moved or changed.")
        })?;
    Ok(Uint8Array::new(&buffer))
}

/// The first bytes of a file, enough to recognize it.
fn head(content: &Content, name: &str) -> Result<Vec<u8>, Failure> {
    match content {
        #[expect(clippy::cast_possible_truncation, reason = "36 KiB")]
        Content::Bytes(bytes) => Ok(bytes.subarray(0, CONTENT_HEAD as u32).to_vec()),
        Content::Blob(blob) => {
            #[expect(
                clippy::cast_possible_wrap,
                clippy::cast_possible_truncation,
                reason = "36 KiB"
            )]
            let slice = blob
                .slice_with_i32_and_i32(0, CONTENT_HEAD as i32)
                .map_err(|exception| failure_from_exception(format!("could not read {name}"), &exception))?;
            Ok(read(&slice, name)?.to_vec())
        }
    }
}
