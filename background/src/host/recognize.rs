//! Looking into the files of a definition: whether each can play its part, and what follows from its content.

use std::collections::HashMap;

use qemuweb_machine::io::Recognize;
use qemuweb_machine::not_stored;
use qemuweb_vm_config::{
    Arch, Content, DiskInput, FileKind, InitrdFor, InputSource, KernelKind, MAX_FLOPPIES, Media, Role,
    Sample, check_content, starts_disk,
};
use qemuweb_wire::Failure;
use qemuweb_wire::vm::VmDefinition;
use qemuweb_wire::web::failure_from_exception;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use super::files;
use crate::blob;

/// The definition with what its files tell.
///
/// # Errors
/// A [`Failure`] when a file cannot be read, or is not what it has to be.
pub(super) async fn recognized(recognize: Recognize<JsValue>) -> Result<Box<VmDefinition>, Failure> {
    let Recognize {
        mut definition,
        files,
        stored,
    } = recognize;
    let blobs = Blobs {
        attached: files::open(&files).await?,
        stored,
    };
    recognize_all(&mut definition, &blobs).await?;
    Ok(Box::new(definition))
}

/// The bytes that are here already.
struct Blobs {
    /// The attached files, by index.
    attached: Vec<JsValue>,
    /// The stored files, by hash.
    stored: HashMap<String, JsValue>,
}

impl Blobs {
    /// The bytes of an attached or stored file; `None` for other sources.
    fn of(&self, source: &InputSource) -> Result<Option<&Blob>, Failure> {
        match source {
            InputSource::Builtin(_)
            | InputSource::Url(_)
            | InputSource::UrlWithCredentials(_)
            | InputSource::Blank(_) => Ok(None),
            InputSource::Stored(file) => {
                let blob = self.stored.get(&file.hash).and_then(|file| file.dyn_ref());
                blob.map(Some).ok_or_else(|| not_stored(file))
            }
            InputSource::Attachment(attachment) => {
                let file = self.attached.get(attachment.index as usize);
                let blob = file.and_then(|file| file.dyn_ref::<Blob>());
                blob.map(Some).ok_or_else(|| {
                    Failure::new(format!(
                        "the file {} did not come along with the request to start",
                        attachment.name
                    ))
                    .with_next_step("Choose the file again.")
                })
            }
        }
    }
}

/// Recognizes all files that are here, the kernel first, which says what an initial RAM disk has to be.
async fn recognize_all(vm: &mut VmDefinition, blobs: &Blobs) -> Result<(), Failure> {
    let VmDefinition {
        profile,
        inputs,
        overrides,
    } = vm;
    let arch = profile.arch;
    let mut beside = match (&inputs.kernel, &profile.default_inputs.kernel) {
        (None, Some(InputSource::Builtin(_))) => InitrdFor::BuiltIn,
        _ => InitrdFor::Unseen,
    };
    if let Some(kernel) = &inputs.kernel {
        // Of an address, what the client said holds.
        let found = recognize_kernel(kernel, arch, blobs).await?;
        inputs.kernel_kind = found.or(inputs.kernel_kind);
        beside = inputs.kernel_kind.map_or(beside, InitrdFor::Kernel);
    }
    if let Some(initrd) = &inputs.initrd {
        let role = Role {
            beside,
            ..Role::of(FileKind::Initrd, arch)
        };
        recognize(initrd, role, blobs).await?;
    }
    let by_pc = arch == Arch::X86_64 && starts_disk(profile, inputs, Some(overrides));
    let mut floppies = 0;
    for disk in inputs.disk.iter_mut().chain(&mut inputs.additional_disks) {
        recognize_disk(disk, arch, by_pc && floppies < MAX_FLOPPIES, blobs).await?;
        floppies += usize::from(disk.media == Some(Media::Floppy));
    }
    let others = [&inputs.additional_disks, &profile.default_inputs.additional_disks];
    if let Some(disk) = &inputs.disk
        && others.iter().all(|disks| disks.is_empty())
        && starts_disk(profile, inputs, Some(overrides))
    {
        // There is nothing else to start. What is in a snapshot, nobody has seen.
        let role = Role {
            boots: disk.snapshot.is_none(),
            ..role_of(disk, arch)
        };
        recognize(&disk.source, role, blobs).await?;
    }
    Ok(())
}

/// The part that a disk is to play.
fn role_of(disk: &DiskInput, arch: Arch) -> Role {
    Role::of(disk.media.map_or(FileKind::Disk, Media::kind), arch)
}

/// Refuses a file that is here and cannot play its part, and tells what it is.
async fn recognize(source: &InputSource, role: Role, blobs: &Blobs) -> Result<Option<Content>, Failure> {
    let Some(blob) = blobs.of(source)? else {
        return Ok(None);
    };
    let name = source.file_name();
    let verdict = blob::examine(blob, |sample| check_content(role, name, sample)).await;
    verdict
        .map_err(|exception| unreadable(name, &exception))?
        .map(Some)
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))
}

fn unreadable(name: &str, exception: &JsValue) -> Failure {
    failure_from_exception(format!("could not read {name}"), exception)
        .with_next_step("Choose the file again: it may have been moved or changed.")
}

/// Refuses a kernel that is here and is none, and tells its kind. Of a packed one the beginning is looked at; whether it is
/// a kernel at all, the VM's Worker tells, which unpacks it.
async fn recognize_kernel(
    source: &InputSource,
    arch: Arch,
    blobs: &Blobs,
) -> Result<Option<KernelKind>, Failure> {
    let found = recognize(source, Role::of(FileKind::Kernel, arch), blobs).await?;
    match (&found, blobs.of(source)?) {
        (Some(Content::Compressed(_)), Some(blob)) => {
            let head = blob::unpacked_head(blob).await;
            let head = head.map_err(|exception| unreadable(source.file_name(), &exception))?;
            let inside = qemuweb_vm_config::recognize(&Sample::whole(head));
            Ok(inside.ok().and_then(|content| content.kernel_kind()))
        }
        _ => Ok(found.and_then(|content| content.kernel_kind())),
    }
}

/// Sets what follows for an attached or stored disk image from its content: its format, which is never left to QEMU's probing
/// nor to the file's name, its drive, and what is needed to start it.
async fn recognize_disk(
    disk: &mut DiskInput,
    arch: Arch,
    may_be_floppy: bool,
    blobs: &Blobs,
) -> Result<(), Failure> {
    if let Some(content) = recognize(&disk.source, role_of(disk, arch), blobs).await? {
        disk.format = Some(content.disk_format());
        disk.media = disk.media.or(content.drive(may_be_floppy).media());
        disk.snapshots = content
            .snapshots()
            .iter()
            .map(|snapshot| snapshot.name.clone())
            .collect();
        let started = match &disk.snapshot {
            Some(wanted) => {
                content
                    .find_snapshot(disk.source.file_name(), wanted)
                    .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))?;
                content.at_snapshot()
            }
            None => content,
        };
        disk.system = started.system();
        disk.is_data = started.is_data();
        disk.firmware = started.firmware_on(arch);
    }
    Ok(())
}
