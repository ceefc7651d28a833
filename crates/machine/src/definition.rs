//! What a VM is defined with, and what follows from it for QEMU.

use qemuweb_vm_config::{
    Attachment, InputSource, QemuArgsResult, StoredFile, VmInputs, VmProfile, build_qemu_args,
    default_profiles, find_profile, infrastructure_profiles, required_heap_mib,
};
use qemuweb_wire::Failure;
use qemuweb_wire::call::ProfileRef;
use qemuweb_wire::vm::{MAX_VM_ID, VmDefinition};

/// The longest name of a VM, in characters.
const LONGEST_NAME: usize = 100;

/// Checks a new VM's id.
pub(crate) fn check_id(vm_id: &str) -> Result<(), Failure> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=MAX_VM_ID).contains(&vm_id.len()) && vm_id.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "expected a VM id of 1 to {MAX_VM_ID} letters, digits, “-”, “_” or “.”, found one of {} bytes",
        vm_id.len()
    )))
}

/// A VM's name as it is kept.
pub(crate) fn check_name(name: &str) -> Result<String, Failure> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) {
        return Ok(name.to_owned());
    }
    Err(Failure::new(format!(
        "expected a name of 1 to {LONGEST_NAME} characters, found {length}"
    )))
}

/// Checks a profile.
pub(crate) fn check_profile(profile: &VmProfile) -> Result<(), Failure> {
    profile.validate().map_err(|errors| Failure {
        causes: errors.iter().map(ToString::to_string).collect(),
        ..Failure::new(format!("the profile {:?} is not valid", profile.id))
    })
}

/// The profile that a client means.
///
/// # Errors
/// A [`Failure`] when there is none of this id, neither ours nor among the person's `own`.
pub(crate) fn resolve(profile: ProfileRef, own: &[VmProfile]) -> Result<VmProfile, Failure> {
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

/// All attachments that inputs name.
pub(crate) fn attachments(inputs: &mut VmInputs) -> impl Iterator<Item = &mut Attachment> {
    inputs.sources_mut().filter_map(|source| match source {
        InputSource::Attachment(attachment) => Some(attachment),
        _ => None,
    })
}

/// The stored files that inputs name.
pub(crate) fn stored_files(inputs: &VmInputs) -> Vec<StoredFile> {
    let mut inputs = inputs.clone();
    let sources = inputs.sources_mut().filter_map(|source| match source {
        InputSource::Stored(file) => Some(file.clone()),
        _ => None,
    });
    sources.collect()
}

/// The name of the attached file of each index below `count`.
pub(crate) fn file_names(inputs: &VmInputs, count: usize) -> Vec<String> {
    let mut names = vec!["a file".to_owned(); count];
    for attachment in attachments(&mut inputs.clone()) {
        if let Some(name) = names.get_mut(attachment.index as usize) {
            name.clone_from(&attachment.name);
        }
    }
    names
}

/// Leaves out files that no input names, and numbers the others anew.
///
/// # Errors
/// A [`Failure`] that names a file that did not come along.
pub(crate) fn leave_out_unused<F: Clone>(inputs: &mut VmInputs, files: &mut Vec<F>) -> Result<(), Failure> {
    let mut used: Vec<(u32, F)> = Vec::new();
    for attachment in attachments(inputs) {
        let old = attachment.index;
        let known = used.iter().position(|(index, _)| *index == old);
        let place = match known {
            Some(place) => place,
            None => {
                let file = files.get(old as usize).ok_or_else(|| {
                    Failure::new(format!(
                        "the file {} did not come along with the request",
                        attachment.name
                    ))
                    .with_next_step("Choose the file again.")
                })?;
                used.push((old, file.clone()));
                used.len() - 1
            }
        };
        attachment.index = u32::try_from(place).unwrap_or(u32::MAX);
    }
    *files = used.into_iter().map(|(_, file)| file).collect();
    Ok(())
}

/// QEMU's arguments.
///
/// # Errors
/// A [`Failure`] with all that is wrong with the configuration.
pub(crate) fn qemu_args(definition: &VmDefinition) -> Result<QemuArgsResult, Failure> {
    let VmDefinition {
        profile,
        inputs,
        overrides,
    } = definition;
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
pub(crate) fn heap_mib(definition: &VmDefinition) -> u32 {
    required_heap_mib(&definition.profile, Some(&definition.overrides))
}

/// What to say of a file whose bytes were not kept.
pub(crate) fn not_kept(name: &str) -> Failure {
    Failure::new(format!("{name} was too large to be kept when the browser closed"))
        .with_next_step("Open this VM's settings and choose the file again.")
}
