//! The form for a VM of the person's own images.

use qemuweb_vm_config::{
    Arch, Attachment, DEFAULT_PROFILE_ID, DiskInput, InputSource, MAX_SMP, VmInputs, VmOverrides, VmProfile,
    build_qemu_args, default_profiles, find_profile, largest_guest_mib,
};
use sycamore::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Event, File, HtmlInputElement, HtmlSelectElement, SubmitEvent};

use crate::icons::{self, icon};
use crate::launcher::can_launch;
use crate::workbench::{Launch, Workbench};

/// Largest size of a file that can be handed on, in bytes: above it numbers are not exact.
const MAX_FILE: f64 = 9_007_199_254_740_991.0;

/// What the form's fields say, files aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The profile's id.
    pub profile_id: String,
    /// The kernel's command line.
    pub cmdline: String,
    /// Memory in MiB.
    pub memory: String,
    /// vCPUs.
    pub smp: String,
}

/// A file that was chosen, before it is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What to start, with errors for the person if that cannot be. Files are attached in the order of the
/// arguments, leaving out what is not given.
///
/// # Errors
/// Sentences that name the field, what was expected and what was found.
pub fn machine(
    fields: &Fields,
    kernel: Option<Chosen>,
    initrd: Option<Chosen>,
    disk: Option<Chosen>,
) -> Result<(VmProfile, VmInputs, VmOverrides, Option<String>), Vec<String>> {
    let profile = find_profile(&fields.profile_id)
        .ok_or_else(|| vec![format!("There is no profile {:?}.", fields.profile_id)])?;
    let mut errors = Vec::new();
    let mut number = |field: &str, text: &str| -> Option<u32> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok();
        if number.is_none() {
            errors.push(format!("{field}: expected a whole number, found {text:?}"));
        }
        number
    };
    let memory_mib = number("Memory", &fields.memory);
    let smp = number("vCPUs", &fields.smp);

    let name = kernel.as_ref().or(disk.as_ref()).map(|file| file.name.clone());
    let mut next_index = 0;
    let mut attach = |file: Option<Chosen>| {
        let Chosen { name, size } = file?;
        let index = next_index;
        next_index += 1;
        Some(InputSource::Attachment(Attachment { index, name, size }))
    };
    let inputs = VmInputs {
        kernel: attach(kernel),
        initrd: attach(initrd),
        disk: attach(disk).map(DiskInput::new),
        kernel_cmdline: Some(fields.cmdline.trim().to_owned()).filter(|cmdline| !cmdline.is_empty()),
        additional_disks: Vec::new(),
    };
    let overrides = VmOverrides {
        memory_mib,
        smp,
        ..VmOverrides::default()
    };
    let checked = build_qemu_args(&profile, &inputs, Some(&overrides));
    errors.extend(checked.errors.iter().map(ToString::to_string));
    if errors.is_empty() {
        Ok((profile, inputs, overrides, name))
    } else {
        Err(errors)
    }
}

/// The file in a file input, if one was chosen.
fn file_of(input: NodeRef) -> Option<File> {
    input
        .try_get()?
        .unchecked_into::<HtmlInputElement>()
        .files()?
        .get(0)
}

fn chosen(file: &File) -> Chosen {
    // An f64 of JavaScript's that counts bytes: whole and positive.
    Chosen {
        name: file.name(),
        size: file.size().clamp(0.0, MAX_FILE) as u64,
    }
}

/// The form.
#[component(inline_props)]
pub fn CustomVm(workbench: Workbench) -> View {
    let profile_id = create_signal(DEFAULT_PROFILE_ID.to_owned());
    let (cmdline, memory, smp) = (
        create_signal(String::new()),
        create_signal(String::new()),
        create_signal(String::new()),
    );
    let errors = create_signal(Vec::<String>::new());
    let (kernel, initrd, disk) = (create_node_ref(), create_node_ref(), create_node_ref());
    let profile = create_selector(move || find_profile(&profile_id.get_clone()));
    let of_profile = move |get: fn(&VmProfile) -> String| {
        move || profile.with(|it| it.as_ref().map(get).unwrap_or_default())
    };

    let launch = move |event: SubmitEvent| {
        event.prevent_default();
        let fields = Fields {
            profile_id: profile_id.get_clone_untracked(),
            cmdline: cmdline.get_clone_untracked(),
            memory: memory.get_clone_untracked(),
            smp: smp.get_clone_untracked(),
        };
        let files = [kernel, initrd, disk].map(file_of);
        let [kernel, initrd, disk] = files.each_ref().map(|file| file.as_ref().map(chosen));
        match machine(&fields, kernel, initrd, disk) {
            Ok((profile, inputs, overrides, name)) => {
                errors.set(Vec::new());
                let files = files.into_iter().flatten().map(JsValue::from).collect();
                workbench.launch(Launch {
                    profile,
                    name,
                    inputs,
                    overrides: Some(overrides),
                    files,
                });
            }
            Err(found) => errors.set(found),
        }
    };
    let choose_profile = move |event: Event| {
        if let Some(select) = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlSelectElement>().ok())
        {
            profile_id.set(select.value());
        }
    };
    view! {
        form(class="form", on:submit=launch) {
            label(r#for="profile") { "Machine" }
            select(id="profile", data-testid="profile-select", on:change=choose_profile) {
                (profiles_of(Arch::X86_64)) (profiles_of(Arch::Aarch64))
            }
            p(class="hint") { (of_profile(|profile| profile.kernel_help_text.clone().unwrap_or_else(|| profile.description.clone()))) }

            label(r#for="kernel-file") { "Kernel" }
            input(r#type="file", id="kernel-file", data-testid="kernel-file", r#ref=kernel)
            label(r#for="initrd-file") { "Initrd" }
            input(r#type="file", id="initrd-file", data-testid="initrd-file", r#ref=initrd)
            label(r#for="disk-file") { "Disk" }
            input(r#type="file", id="disk-file", data-testid="disk-file", r#ref=disk)
            p(class="hint") { "Raw or qcow2. What the guest writes lasts until the machine stops; your file is not changed." }

            label(r#for="cmdline") { "Command line" }
            input(r#type="text", id="cmdline", class="mono", data-testid="cmdline",
                "spellcheck"="false", autocomplete="off",
                placeholder=of_profile(|profile| profile.default_inputs.kernel_cmdline.clone().unwrap_or_default()),
                bind:value=cmdline)
            label(r#for="memory") { "Memory (MiB)" }
            input(r#type="number", id="memory", data-testid="memory", min="1", max=largest_guest_mib().to_string(),
                placeholder=of_profile(|profile| profile.memory_mib.to_string()), bind:value=memory)
            label(r#for="smp") { "vCPUs" }
            input(r#type="number", id="smp", data-testid="smp", min="1", max=MAX_SMP.to_string(),
                placeholder=of_profile(|profile| profile.smp.to_string()), bind:value=smp)

            (form_errors(errors.get_clone()))
            div(class="form-buttons") {
                button(class="button primary",
                    r#type="submit", data-testid="launch-custom", disabled=!can_launch(workbench)) {
                    (icon(icons::START)) "Launch"
                }
            }
        }
    }
}

fn form_errors(errors: Vec<String>) -> View {
    if errors.is_empty() {
        return View::new();
    }
    let items: Vec<View> = errors.into_iter().map(|error| view! { li { (error) } }).collect();
    view! { ul(class="form-errors", role="alert", data-testid="error") { (items) } }
}

fn profiles_of(arch: Arch) -> View {
    let options: Vec<View> = default_profiles()
        .into_iter()
        .filter(|profile| profile.arch == arch)
        .map(|VmProfile { id, name, .. }| {
            let is_default = id == DEFAULT_PROFILE_ID;
            view! { option(value=id, selected=is_default) { (name) } }
        })
        .collect();
    view! { optgroup(label=arch.as_str()) { (options) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(memory: &str) -> Fields {
        Fields {
            profile_id: DEFAULT_PROFILE_ID.into(),
            memory: memory.into(),
            ..Fields::default()
        }
    }

    fn file(name: &str) -> Option<Chosen> {
        Some(Chosen {
            name: name.into(),
            size: 1 << 20,
        })
    }

    #[test]
    fn files_are_attached_in_order() {
        let (_, inputs, overrides, name) =
            machine(&fields("256"), file("bzImage"), None, file("a.qcow2")).unwrap();
        assert!(matches!(
            inputs.kernel,
            Some(InputSource::Attachment(Attachment { index: 0, .. }))
        ));
        let disk = inputs.disk.unwrap().source;
        assert!(matches!(
            disk,
            InputSource::Attachment(Attachment { index: 1, .. })
        ));
        assert_eq!(overrides.memory_mib, Some(256));
        assert_eq!(name.as_deref(), Some("bzImage"));
    }

    #[test]
    fn nothing_given_is_the_built_in_guest() {
        let (profile, inputs, overrides, name) = machine(&fields(" "), None, None, None).unwrap();
        assert_eq!(profile.id, DEFAULT_PROFILE_ID);
        assert!(inputs.is_empty() && overrides == VmOverrides::default() && name.is_none());
    }

    #[test]
    fn errors_name_the_field() {
        let errors = machine(&fields("lots"), None, None, None).unwrap_err();
        assert_eq!(errors, ["Memory: expected a whole number, found \"lots\""]);
        let errors = machine(&fields("9000"), None, None, None).unwrap_err();
        assert!(errors[0].contains("memoryMiB"), "{errors:?}");
        let unknown = Fields {
            profile_id: "x".into(),
            ..Fields::default()
        };
        assert!(machine(&unknown, None, None, None).is_err());
    }
}
