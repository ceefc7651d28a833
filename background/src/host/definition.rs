//! What a VM was defined with, and what follows from it for QEMU.

use js_sys::{ArrayBuffer, Uint8Array};
use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::ProfileRef;
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::{
    Arch, CONTENT_HEAD, Content, DiskInput, FileKind, InputSource, Media, QemuArgsResult, VmInputs,
    VmOverrides, VmProfile, build_qemu_args, check_content, default_profiles, find_profile, guest_memory_mib,
    infrastructure_profiles, required_heap_mib,
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

/// A VM as its client described it; enough to start it any number of times.
pub(super) struct Definition {
    pub(super) profile: VmProfile,
    inputs: VmInputs,
    overrides: Option<VmOverrides>,
    /// The Blobs that `inputs` names by index.
    pub(super) files: Vec<JsValue>,
}

impl Definition {
    /// Checks what a client sent.
    ///
    /// # Errors
    /// A [`Failure`] when the profile is unknown or an input names a file that did not come along.
    pub(super) async fn new(
        profile: ProfileRef,
        mut inputs: VmInputs,
        overrides: Option<VmOverrides>,
        files: Vec<JsValue>,
    ) -> Result<Self, Failure> {
        let profile = resolve(profile)?;
        for disk in inputs.disk.iter_mut().chain(&mut inputs.additional_disks) {
            recognize_disk(disk, profile.arch, &files).await?;
        }
        for (source, kind) in [
            (&inputs.kernel, FileKind::Kernel),
            (&inputs.initrd, FileKind::Initrd),
        ] {
            if let Some(source) = source {
                recognize(source, kind, profile.arch, &files).await?;
            }
        }
        Ok(Self {
            profile,
            inputs,
            overrides,
            files,
        })
    }

    /// QEMU's arguments.
    ///
    /// # Errors
    /// A [`Failure`] with all that is wrong with the configuration.
    pub(super) fn qemu_args(&self) -> Result<QemuArgsResult, Failure> {
        let result = build_qemu_args(&self.profile, &self.inputs, self.overrides.as_ref());
        if result.errors.is_empty() {
            return Ok(result);
        }
        let causes = result.errors.iter().map(ToString::to_string).collect();
        let failure = Failure {
            causes,
            ..Failure::new(format!("{} cannot start as it is configured", self.profile.name))
        };
        Err(failure.with_next_step("Change the configuration and start again."))
    }

    /// Size of QEMU's WebAssembly memory, in MiB.
    pub(super) fn heap_mib(&self) -> u32 {
        required_heap_mib(&self.profile, self.overrides.as_ref())
    }

    /// Guest RAM in MiB.
    pub(super) fn memory_mib(&self) -> u32 {
        guest_memory_mib(&self.profile, self.overrides.as_ref())
    }

    /// Number of vCPUs.
    pub(super) fn smp(&self) -> u32 {
        self.overrides
            .as_ref()
            .and_then(|overrides| overrides.smp)
            .unwrap_or(self.profile.smp)
    }

    /// Whether the guest is a built-in one, which tells when its userspace is ready.
    pub(super) fn tells_when_ready(&self) -> bool {
        let initrd = self
            .inputs
            .initrd
            .as_ref()
            .or(self.profile.default_inputs.initrd.as_ref());
        let boots_disk = self.inputs.disk.is_some();
        matches!(initrd, Some(InputSource::Builtin(_))) && !boots_disk
    }
}

fn resolve(profile: ProfileRef) -> Result<VmProfile, Failure> {
    let id = match profile {
        ProfileRef::Inline(profile) => return Ok(*profile),
        ProfileRef::Id(id) => id,
    };
    find_profile(&id).ok_or_else(|| {
        let known: Vec<_> = default_profiles()
            .into_iter()
            .chain(infrastructure_profiles())
            .map(|profile| profile.id)
            .collect();
        Failure::new(format!("there is no profile “{id}”"))
            .with_next_step(format!("Choose one of {}.", known.join(", ")))
    })
}

/// The Blob that an attachment names; `None` for other sources.
fn attached_blob<'a>(source: &InputSource, files: &'a [JsValue]) -> Result<Option<&'a Blob>, Failure> {
    let InputSource::Attachment(attachment) = source else {
        return Ok(None);
    };
    let blob = files
        .get(attachment.index as usize)
        .and_then(|file| file.dyn_ref::<Blob>());
    blob.map(Some).ok_or_else(|| {
        Failure::new(format!(
            "the file {} did not come along with the request to start",
            attachment.name
        ))
        .with_next_step("Choose the file again.")
    })
}

/// Refuses an attached file that cannot be a `kind` for this architecture, and tells what it is.
async fn recognize(
    source: &InputSource,
    kind: FileKind,
    arch: Arch,
    files: &[JsValue],
) -> Result<Option<Content>, Failure> {
    let Some(blob) = attached_blob(source, files)? else {
        return Ok(None);
    };
    let unreadable = |exception: JsValue| {
        failure_from_exception(format!("could not read {}", source.file_name()), &exception)
            .with_next_step("Choose the file again: it may have been moved or changed.")
    };
    #[expect(
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        reason = "36 KiB"
    )]
    let head = blob
        .slice_with_i32_and_i32(0, CONTENT_HEAD as i32)
        .map_err(unreadable)?;
    let buffer: ArrayBuffer = JsFuture::from(head.array_buffer())
        .await
        .map_err(unreadable)?
        .unchecked_into();
    let head = Uint8Array::new(&buffer).to_vec();
    check_content(kind, source.file_name(), &head, blob.size() as u64, arch)
        .map(Some)
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))
}

/// Sets the format and the drive of an attached disk image from its content. The format is never left to QEMU's
/// probing, nor to the file's name.
async fn recognize_disk(disk: &mut DiskInput, arch: Arch, files: &[JsValue]) -> Result<(), Failure> {
    let kind = disk.media.map_or(FileKind::Disk, Media::kind);
    if let Some(content) = recognize(&disk.source, kind, arch, files).await? {
        disk.format = Some(content.disk_format());
        disk.media = disk.media.or(content.disk_kind().media());
    }
    Ok(())
}
