//! What a VM was defined with, and what follows from it for QEMU.

use std::collections::HashMap;

use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::{ProfileRef, VmDefinition};
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::{
    Arch, Attachment, Content, DiskInput, FileKind, InitrdFor, InputSource, KernelKind, MAX_FLOPPIES, Media,
    QemuArgsResult, Role, Sample, VmInputs, VmProfile, build_qemu_args, check_content, default_profiles,
    find_profile, infrastructure_profiles, required_heap_mib, starts_disk,
};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use super::{files, library};
use crate::blob;

/// A VM as its client described it; enough to start it any number of times.
#[derive(Clone)]
pub(super) struct Definition {
    pub(super) vm: VmDefinition,
    /// The Blobs and FileSystemFileHandles that the inputs name by index; null for one that was not kept.
    pub(super) files: Vec<JsValue>,
}

impl Definition {
    /// Checks what a client sent; `contents` are the stored files by their hashes.
    ///
    /// # Errors
    /// A [`Failure`] when the profile cannot be, an input names a file that did not come along, or a file is not
    /// what it has to be.
    pub(super) async fn new(
        mut vm: VmDefinition,
        mut files: Vec<JsValue>,
        contents: &HashMap<String, Blob>,
    ) -> Result<Self, Failure> {
        vm.profile.validate().map_err(|errors| Failure {
            causes: errors.iter().map(ToString::to_string).collect(),
            ..Failure::new(format!("the profile {:?} is not valid", vm.profile.id))
        })?;
        leave_out_unused(&mut vm.inputs, &mut files);
        let blobs = Blobs {
            attached: files::open(&files, &file_names(&vm.inputs)).await?,
            stored: contents,
        };
        recognize_all(&mut vm, &blobs).await?;
        Ok(Self { vm, files })
    }

    /// The names of the attached files, by index.
    pub(super) fn file_names(&self) -> Vec<String> {
        file_names(&self.vm.inputs)
    }

    /// Whether some file is read through a handle.
    pub(super) fn has_handles(&self) -> bool {
        self.files.iter().any(|file| files::handle(file).is_some())
    }

    /// QEMU's arguments.
    ///
    /// # Errors
    /// A [`Failure`] with all that is wrong with the configuration.
    pub(super) fn qemu_args(&self) -> Result<QemuArgsResult, Failure> {
        let VmDefinition {
            profile,
            inputs,
            overrides,
        } = &self.vm;
        let result = build_qemu_args(profile, inputs, Some(overrides));
        if result.errors.is_empty() {
            return Ok(result);
        }
        let causes = result.errors.iter().map(ToString::to_string).collect();
        let failure = Failure {
            causes,
            ..Failure::new(format!("{} cannot start as it is configured", profile.name))
        };
        Err(failure.with_next_step("Change the configuration and start again."))
    }

    /// Size of QEMU's WebAssembly memory, in MiB.
    pub(super) fn heap_mib(&self) -> u32 {
        required_heap_mib(&self.vm.profile, Some(&self.vm.overrides))
    }

    /// Whether the guest is a built-in one, which tells when its userspace is ready.
    pub(super) fn tells_when_ready(&self) -> bool {
        let VmDefinition { profile, inputs, .. } = &self.vm;
        let initrd = inputs.initrd.as_ref().or(profile.default_inputs.initrd.as_ref());
        let boots_disk = inputs.disk.is_some();
        matches!(initrd, Some(InputSource::Builtin(_))) && !boots_disk
    }
}

/// All attachments that inputs name.
fn attachments(inputs: &mut VmInputs) -> impl Iterator<Item = &mut Attachment> {
    inputs.sources_mut().filter_map(|source| match source {
        InputSource::Attachment(attachment) => Some(attachment),
        _ => None,
    })
}

fn file_names(inputs: &VmInputs) -> Vec<String> {
    let mut named: Vec<_> = attachments(&mut inputs.clone())
        .map(|attachment| (attachment.index, attachment.name.clone()))
        .collect();
    named.sort();
    named.dedup_by_key(|(index, _)| *index);
    named.into_iter().map(|(_, name)| name).collect()
}

/// Leaves out files that no input names, and numbers the others anew.
fn leave_out_unused(inputs: &mut VmInputs, files: &mut Vec<JsValue>) {
    let mut used = Vec::new();
    for attachment in attachments(inputs) {
        let old = attachment.index as usize;
        // What did not come along keeps an index that leads nowhere, and is told of where it is read.
        let Some(file) = files.get(old) else {
            attachment.index = u32::MAX;
            continue;
        };
        let known = used.iter().position(|(index, _)| *index == old);
        let place = known.unwrap_or_else(|| {
            used.push((old, file.clone()));
            used.len() - 1
        });
        attachment.index = u32::try_from(place).unwrap_or(u32::MAX);
    }
    *files = used.into_iter().map(|(_, file)| file).collect();
}

/// The profile that a client means.
///
/// # Errors
/// A [`Failure`] when there is none of this id, neither ours nor among the person's `own`.
pub(super) fn resolve(profile: ProfileRef, own: &[VmProfile]) -> Result<VmProfile, Failure> {
    let id = match profile {
        ProfileRef::Inline(profile) => return Ok(*profile),
        ProfileRef::Id(id) => id,
    };
    let of_own = || own.iter().find(|profile| profile.id == id).cloned();
    find_profile(&id).or_else(of_own).ok_or_else(|| {
        let known: Vec<_> = default_profiles()
            .into_iter()
            .chain(infrastructure_profiles())
            .chain(own.iter().cloned())
            .map(|profile| profile.id)
            .collect();
        Failure::new(format!("there is no profile “{id}”"))
            .with_next_step(format!("Choose one of {}.", known.join(", ")))
    })
}

/// The bytes that are here already.
struct Blobs<'a> {
    /// The attached files, by index.
    attached: Vec<JsValue>,
    /// The stored files, by hash.
    stored: &'a HashMap<String, Blob>,
}

impl Blobs<'_> {
    /// The bytes of an attached or stored file; `None` for other sources.
    fn of(&self, source: &InputSource) -> Result<Option<&Blob>, Failure> {
        match source {
            InputSource::Builtin(_) | InputSource::Url(_) | InputSource::UrlWithCredentials(_) => Ok(None),
            InputSource::Stored(file) => match self.stored.get(&file.hash) {
                Some(blob) => Ok(Some(blob)),
                None => Err(library::not_stored(file)),
            },
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
async fn recognize_all(vm: &mut VmDefinition, blobs: &Blobs<'_>) -> Result<(), Failure> {
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
async fn recognize(source: &InputSource, role: Role, blobs: &Blobs<'_>) -> Result<Option<Content>, Failure> {
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
    blobs: &Blobs<'_>,
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
    blobs: &Blobs<'_>,
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
