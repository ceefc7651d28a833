//! What the form's fields say, and the machine that they make. Pure.

use qemuweb_vm_config::{
    Arch, Attachment, BlankDisk, BootDevice, ConfigError, DiskInput, FileKind, HOME_CHANNEL, HomeDisk,
    InputSource, KernelKind, Media, VmInputs, VmOverrides, VmProfile, build_qemu_args, find_profile,
    split_args,
};
use qemuweb_wire::stored::StoredInfo;
use qemuweb_wire::vm::VmDefinition;

/// A machine that is being described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What people will call it; what it boots, or the profile's name, if empty.
    pub name: String,
    /// The profile, with the devices that were switched on or off.
    pub profile: VmProfile,
    /// Memory in MiB, as typed.
    pub memory: String,
    /// vCPUs, as typed.
    pub smp: String,
    /// The CPU model; the profile's if empty.
    pub cpu: String,
    /// The kernel's whole command line; the profile's if empty.
    pub cmdline: String,
    /// More QEMU arguments.
    pub extra_args: String,
    /// The kernel; the profile's if none.
    pub kernel: Option<InputSource>,
    /// What the host found the kernel to be.
    pub kernel_kind: Option<KernelKind>,
    /// The initial RAM disk.
    pub initrd: Option<InputSource>,
    /// The disks, the one to boot from first.
    pub disks: Vec<DiskInput>,
    /// What has no field of its own.
    pub overrides: VmOverrides,
}

/// The fields of the form that an error can belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Memory.
    Memory,
    /// vCPUs.
    Smp,
    /// The CPU model.
    Cpu,
    /// The kernel.
    Kernel,
    /// The initial RAM disk.
    Initrd,
    /// The command line.
    Cmdline,
    /// The disk of this number.
    Disk(usize),
    /// The extra arguments.
    ExtraArgs,
    /// The machine as a whole.
    Machine,
}

impl Field {
    /// What it is called where it is not in sight.
    pub fn name(self) -> String {
        match self {
            Self::Memory => "Memory".to_owned(),
            Self::Smp => "vCPUs".to_owned(),
            Self::Cpu => "CPU model".to_owned(),
            Self::Kernel => "Kernel".to_owned(),
            Self::Initrd => "Initrd".to_owned(),
            Self::Cmdline => "Command line".to_owned(),
            Self::Disk(number) => format!("Disk {number}"),
            Self::ExtraArgs => "More QEMU arguments".to_owned(),
            Self::Machine => "Machine".to_owned(),
        }
    }
}

/// What the fields come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The machine. Not fit to be started while there are errors.
    pub definition: VmDefinition,
    /// What is wrong, and where.
    pub errors: Vec<(Field, String)>,
    /// What is worth knowing.
    pub warnings: Vec<String>,
    /// QEMU's command line.
    pub command_line: String,
    /// Whether it is a built-in guest, whose home directory may lie on a disk.
    pub has_home: bool,
}

impl Draft {
    /// A machine as the profile has it.
    pub fn new(profile: VmProfile) -> Self {
        Self::of(String::new(), profile.into())
    }

    /// The fields of a machine that is there.
    pub fn of(name: String, definition: VmDefinition) -> Self {
        let VmDefinition {
            profile,
            inputs,
            overrides,
        } = definition;
        let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
        Self {
            name,
            profile,
            memory: number(overrides.memory_mib),
            smp: number(overrides.smp),
            cpu: overrides.cpu.clone().unwrap_or_default(),
            cmdline: inputs.kernel_cmdline.unwrap_or_default(),
            extra_args: overrides.extra_args.clone().unwrap_or_default(),
            kernel: inputs.kernel,
            kernel_kind: inputs.kernel_kind,
            initrd: inputs.initrd,
            disks: inputs.disk.into_iter().chain(inputs.additional_disks).collect(),
            overrides,
        }
    }

    /// The machine, and what is wrong with it.
    pub fn check(&self) -> Checked {
        let mut errors = Vec::new();
        let mut number = |field: Field, text: &str| -> Option<u32> {
            let text = text.trim();
            if text.is_empty() {
                return None;
            }
            let number = text.parse().ok();
            if number.is_none() {
                errors.push((field, format!("expected a whole number, found {text:?}")));
            }
            number
        };
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut disks = self.disks.iter().cloned();
        let definition = VmDefinition {
            profile: self.profile.clone(),
            overrides: VmOverrides {
                memory_mib: number(Field::Memory, &self.memory),
                smp: number(Field::Smp, &self.smp),
                cpu: some(&self.cpu),
                extra_args: some(&self.extra_args),
                ..self.overrides.clone()
            },
            inputs: VmInputs {
                kernel: self.kernel.clone(),
                initrd: self.initrd.clone(),
                kernel_cmdline: some(&self.cmdline),
                kernel_kind: self.kernel.as_ref().and(self.kernel_kind),
                disk: disks.next(),
                additional_disks: disks.collect(),
            },
        };
        let result = build_qemu_args(
            &definition.profile,
            &definition.inputs,
            Some(&definition.overrides),
        );
        // In memory it is on no disk of the machine's.
        let on_disk = VmOverrides {
            home: None,
            ..definition.overrides.clone()
        };
        let disks = match definition.overrides.home {
            Some(HomeDisk::None) => {
                build_qemu_args(&definition.profile, &definition.inputs, Some(&on_disk)).disks
            }
            _ => result.disks.clone(),
        };
        errors.extend(
            result
                .errors
                .iter()
                .map(|error| (field_of(error), without_path(error))),
        );
        Checked {
            errors,
            warnings: result.warnings.iter().map(ToString::to_string).collect(),
            command_line: result.command_line(),
            has_home: disks.iter().any(|disk| disk.channel == HOME_CHANNEL),
            definition,
        }
    }

    /// The name that it will have: the one that was typed, or that of what it boots, or the profile's.
    pub fn effective_name(&self) -> String {
        let typed = self.name.trim();
        let boots = self
            .kernel
            .as_ref()
            .or(self.disks.first().map(|disk| &disk.source));
        match boots.map(InputSource::file_name).filter(|name| !name.is_empty()) {
            _ if !typed.is_empty() => typed.to_owned(),
            Some(name) => name.chars().take(100).collect(),
            None => self.profile.name.clone(),
        }
    }

    /// The addresses that it is fetched from.
    pub fn urls(&self) -> Vec<&str> {
        let disks = self.disks.iter().map(|disk| &disk.source);
        let sources = self.kernel.iter().chain(&self.initrd).chain(disks);
        sources.filter_map(InputSource::url).collect()
    }

    /// A new machine that boots from a stored file: a kernel brings a profile of its architecture along, a disk one with
    /// firmware. An initial RAM disk is added to the machine that there is.
    pub fn using(self, stored: &StoredInfo) -> Self {
        let source = InputSource::Stored(stored.file.clone());
        let template = match (stored.kind, stored.arch) {
            (FileKind::Initrd, _) => None,
            (_, Some(Arch::Aarch64)) => find_profile("linux-aarch64-virt-nographic"),
            _ => find_profile("linux-x86_64-pc-nographic"),
        };
        let mut draft = template.map_or(self, Self::new);
        match stored.kind {
            FileKind::Kernel => draft.kernel = Some(source),
            FileKind::Initrd => draft.initrd = Some(source),
            FileKind::Disk | FileKind::Cdrom | FileKind::Floppy => draft.disks = vec![disk_of_stored(stored)],
            // Nobody stores it.
            FileKind::Firmware => {}
        }
        draft
    }

    /// The order in which the firmware tries devices, as the form offers it.
    pub fn set_boot_order(&mut self, first: &str) {
        self.overrides.boot_order = match first {
            "cdrom" => vec![BootDevice::Cdrom, BootDevice::Disk],
            "floppy" => vec![BootDevice::Floppy, BootDevice::Disk],
            "disk" => vec![BootDevice::Disk, BootDevice::Cdrom],
            _ => Vec::new(),
        };
    }

    /// The first device of the boot order, as [`Self::set_boot_order`] takes it.
    pub fn first_boot_device(&self) -> &'static str {
        match self.overrides.boot_order.first() {
            None | Some(BootDevice::Network) => "",
            Some(BootDevice::Floppy) => "floppy",
            Some(BootDevice::Disk) => "disk",
            Some(BootDevice::Cdrom) => "cdrom",
        }
    }

    /// Where the home directory is, as the form offers it.
    pub fn set_home(&mut self, home: &str) {
        self.overrides.home = match home {
            "until-power-off" => Some(HomeDisk::UntilPowerOff),
            "none" => Some(HomeDisk::None),
            _ => None,
        };
    }

    /// Where the home directory is, as [`Self::set_home`] takes it.
    pub fn home(&self) -> &'static str {
        match self.overrides.home {
            None | Some(HomeDisk::Lasting) => "",
            Some(HomeDisk::UntilPowerOff) => "until-power-off",
            Some(HomeDisk::None) => "none",
        }
    }

    /// A profile of this machine, for machines to come. Local files are left out: a profile names none.
    pub fn to_profile(&self, id: String) -> VmProfile {
        let VmDefinition {
            profile,
            inputs,
            overrides,
        } = self.check().definition;
        let is_local = |source: &InputSource| matches!(source, InputSource::Attachment(_));
        let given = |own: Option<InputSource>, default: Option<InputSource>| {
            own.filter(|source| !is_local(source)).or(default)
        };
        let defaults = profile.default_inputs;
        let shared = |disk: &DiskInput| !is_local(&disk.source);
        let disk = inputs.disk.filter(shared).or(defaults.disk);
        let mut further: Vec<_> = inputs.additional_disks.into_iter().filter(shared).collect();
        if further.is_empty() {
            further = defaults.additional_disks;
        }
        let mut default_args = profile.default_args;
        default_args.extend(split_args(&self.extra_args).unwrap_or_default());
        VmProfile {
            id,
            name: self.effective_name(),
            memory_mib: overrides.memory_mib.unwrap_or(profile.memory_mib),
            smp: overrides.smp.unwrap_or(profile.smp),
            cpu: overrides.cpu.or(profile.cpu),
            default_args,
            default_inputs: VmInputs {
                disk,
                kernel: given(inputs.kernel, defaults.kernel),
                initrd: given(inputs.initrd, defaults.initrd),
                kernel_cmdline: inputs.kernel_cmdline.or(defaults.kernel_cmdline),
                kernel_kind: inputs.kernel_kind.or(defaults.kernel_kind),
                additional_disks: further,
            },
            ..profile
        }
    }
}

/// A disk from this source, in the drive that its name promises.
pub fn disk_of(source: InputSource) -> DiskInput {
    let is_iso = source.file_name().to_ascii_lowercase().ends_with(".iso");
    DiskInput {
        media: is_iso.then_some(Media::Cdrom),
        ..DiskInput::new(source)
    }
}

/// A new disk of so many GiB beside `disks`.
pub fn blank_disk(disks: &[DiskInput], gib: f64) -> DiskInput {
    let is_taken = |id: &str| {
        let mut blanks = disks.iter().filter_map(|disk| match &disk.source {
            InputSource::Blank(blank) => Some(blank.id.as_str()),
            _ => None,
        });
        blanks.any(|taken| taken == id)
    };
    let mut ids = (1..).map(|number| format!("disk-{number}"));
    let id = ids.find(|id| !is_taken(id)).unwrap_or_default();
    // A size is a whole number of MiB; what is negative is 0, which is refused.
    let size = (gib * 1024.0).round() as u64 * (1 << 20);
    DiskInput::new(InputSource::Blank(BlankDisk { id, size }))
}

/// A disk from a stored file, whose content is known.
pub fn disk_of_stored(stored: &StoredInfo) -> DiskInput {
    // Whether what looks like a floppy is one, the host decides, which sees what it stands beside.
    let media = stored.kind.media().filter(|media| *media == Media::Cdrom);
    DiskInput {
        media,
        format: Some(stored.format),
        ..DiskInput::new(InputSource::Stored(stored.file.clone()))
    }
}

/// A local file as an input, by its place among the attachments.
pub fn attachment(index: usize, name: String, size: u64) -> InputSource {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    InputSource::Attachment(Attachment { index, name, size })
}

/// An error's text without the path of its field, beside which it stands.
fn without_path(error: &ConfigError) -> String {
    let text = error.to_string();
    let path = format!("{}: ", error.field());
    text.strip_prefix(&path).map(str::to_owned).unwrap_or(text)
}

/// The field that an error stands beside.
fn field_of(error: &ConfigError) -> Field {
    let path = error.field();
    let ends = |name: &str| path == name || path.ends_with(&format!(".{name}"));
    if ends("memoryMiB") || ends("maxMemoryMiB") || ends("tbSizeMiB") {
        return Field::Memory;
    }
    if let Some(rest) = path.strip_prefix("inputs.additionalDisks[") {
        let number = rest
            .split(']')
            .next()
            .and_then(|number| number.parse::<usize>().ok());
        return Field::Disk(number.map_or(0, |number| number + 1));
    }
    for (prefix, field) in [
        ("inputs.kernelCmdline", Field::Cmdline),
        ("inputs.kernel", Field::Kernel),
        ("inputs.initrd", Field::Initrd),
        ("inputs.disk", Field::Disk(0)),
        ("overrides.extraArgs", Field::ExtraArgs),
        ("overrides.smp", Field::Smp),
        ("smp", Field::Smp),
        ("overrides.cpu", Field::Cpu),
        ("cpu", Field::Cpu),
    ] {
        if path.starts_with(prefix) {
            return field;
        }
    }
    Field::Machine
}

#[cfg(test)]
mod tests {
    use qemuweb_vm_config::{DEFAULT_PROFILE_ID, DiskFormat, export_profile, import_profile};

    use super::*;
    use crate::features::library::stored::tests::stored;
    use crate::features::machines::words::describe;

    fn draft(memory: &str) -> Draft {
        Draft {
            memory: memory.into(),
            ..Draft::new(find_profile(DEFAULT_PROFILE_ID).unwrap())
        }
    }

    #[test]
    fn nothing_typed_is_the_profile_itself() {
        let checked = draft(" ").check();
        let definition = checked.definition;
        assert!(definition.inputs.is_empty() && definition.overrides == VmOverrides::default());
        assert!(checked.errors.is_empty() && checked.command_line.starts_with("qemu-system-x86_64 "));
        assert_eq!(draft("").effective_name(), "Minimal x86-64");
    }

    #[test]
    fn a_definition_is_shown_and_read_back() {
        let mut draft = draft("256");
        draft.smp = "2".into();
        draft.kernel = Some(attachment(0, "bzImage".into(), 5));
        draft.disks = vec![disk_of(InputSource::Url("https://example.org/a.iso".into()))];
        draft.set_boot_order("cdrom");
        let definition = draft.check().definition;
        assert_eq!(definition.inputs.disk.as_ref().unwrap().media, Some(Media::Cdrom));
        assert_eq!(draft.effective_name(), "bzImage");
        let shown = Draft::of(String::new(), definition.clone());
        assert_eq!(
            (shown.memory.as_str(), shown.first_boot_device()),
            ("256", "cdrom")
        );
        assert_eq!(shown.check().definition, definition);
        assert_eq!(shown.urls(), ["https://example.org/a.iso"]);
    }

    #[test]
    fn built_in_guests_have_a_home_and_others_none() {
        let mut draft = draft("");
        for home in ["until-power-off", "none", ""] {
            draft.set_home(home);
            assert_eq!(draft.home(), home);
            assert!(draft.check().has_home, "{home}");
            assert_eq!(Draft::of(String::new(), draft.check().definition).home(), home);
        }
        draft.kernel = Some(attachment(0, "bzImage".into(), 5));
        for home in ["none", ""] {
            draft.set_home(home);
            assert!(!draft.check().has_home, "{home}");
        }
    }

    #[test]
    fn errors_stand_beside_their_fields() {
        let mut draft = draft("lots");
        draft.smp = "99".into();
        draft.cpu = "host".into();
        draft.extra_args = "-enable-kvm".into();
        draft.kernel = Some(InputSource::Url("ftp://example.org/k".into()));
        draft.disks = vec![DiskInput::new(InputSource::Url(String::new())); 2];
        let errors = draft.check().errors;
        let fields: Vec<Field> = errors.iter().map(|(field, _)| *field).collect();
        for field in [
            Field::Memory,
            Field::Smp,
            Field::Cpu,
            Field::ExtraArgs,
            Field::Kernel,
            Field::Disk(0),
            Field::Disk(1),
        ] {
            assert!(fields.contains(&field), "{field:?} in {errors:?}");
        }
        assert_eq!(errors[0].1, "expected a whole number, found \"lots\"");
        assert!(
            errors.iter().all(|(_, text)| !text.starts_with("overrides.")),
            "{errors:?}"
        );
    }

    #[test]
    fn a_stored_file_makes_a_machine_that_can_use_it() {
        let kernel = draft("256").using(&stored("k", FileKind::Kernel, Some(Arch::Aarch64)));
        assert_eq!((kernel.profile.arch, kernel.memory.as_str()), (Arch::Aarch64, ""));
        let both = kernel.using(&stored("i", FileKind::Initrd, None));
        assert!(both.check().errors.is_empty() && both.kernel.is_some() && both.initrd.is_some());
        let disk = both.using(&stored("d", FileKind::Cdrom, None));
        let definition = disk.check().definition;
        assert_eq!(definition.profile.arch, Arch::X86_64);
        let disk = definition.inputs.disk.unwrap();
        assert_eq!(
            (disk.media, disk.format),
            (Some(Media::Cdrom), Some(DiskFormat::Qcow2))
        );
        assert_eq!(describe(&disk.source), "d (3.0 MiB, stored)");
    }

    #[test]
    fn a_profile_keeps_what_can_be_shared() {
        let mut draft = draft("256");
        draft.name = "Build box".into();
        draft.extra_args = "-name 'a b'".into();
        draft.kernel = Some(attachment(0, "bzImage".into(), 5));
        let profile = draft.to_profile("build-box-2".to_owned());
        assert_eq!((profile.id.as_str(), profile.memory_mib), ("build-box-2", 256));
        assert_eq!(profile.default_args, ["-name", "a b"]);
        assert!(matches!(
            profile.default_inputs.kernel,
            Some(InputSource::Builtin(_))
        ));
        assert_eq!(import_profile(&export_profile(&profile)), Ok(profile));
    }
}
