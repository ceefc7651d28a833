//! What a VM was defined with, and what follows from it for QEMU.

use js_sys::{ArrayBuffer, Uint8Array};
use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::ProfileRef;
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::{
    DiskFormat, DiskInput, InputSource, QemuArgsResult, VmInputs, VmOverrides, VmProfile, build_qemu_args,
    default_profiles, find_profile, guest_memory_mib, infrastructure_profiles, required_heap_mib,
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

/// First bytes of a qcow2 image (QEMU's `docs/interop/qcow2.rst`).
const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";

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
            recognize_format(disk, &files).await?;
        }
        for source in inputs.kernel.iter().chain(&inputs.initrd) {
            attached_blob(source, &files)?;
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

/// Sets the format of an attached disk image from its first bytes. It is never left to QEMU's probing, nor
/// to the file's name.
async fn recognize_format(disk: &mut DiskInput, files: &[JsValue]) -> Result<(), Failure> {
    let Some(blob) = attached_blob(&disk.source, files)? else {
        return Ok(());
    };
    let unreadable = |exception: JsValue| {
        failure_from_exception(format!("could not read {}", disk.source.file_name()), &exception)
            .with_next_step("Choose the file again: it may have been moved or changed.")
    };
    let head = blob.slice_with_i32_and_i32(0, 4).map_err(unreadable)?;
    let buffer: ArrayBuffer = JsFuture::from(head.array_buffer())
        .await
        .map_err(unreadable)?
        .unchecked_into();
    let found = if Uint8Array::new(&buffer).to_vec() == QCOW2_MAGIC {
        DiskFormat::Qcow2
    } else {
        DiskFormat::Raw
    };
    disk.format = Some(found);
    Ok(())
}
