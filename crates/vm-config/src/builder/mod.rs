//! From a profile, its inputs and a person's overrides to QEMU's command line.
//!
//! Every text that comes from outside stays inside the one argument that it belongs to, identifiers and file
//! paths are made here and never taken from names, and how many arguments there are depends only on the
//! structure of the request (the words of `extraArgs` are the exception that it exists for).

mod basics;
mod boot;
mod consoles;
mod devices;
mod disks;
mod extra;
mod firmware;
mod net;

#[cfg(test)]
mod tests;

pub use consoles::{
    AGENT_CHANNEL, AGENT_PORT_NAME, CAPTURE_CHANNEL, CAPTURE_PORT_NAME, PACKET_CHANNEL, PACKET_PORT_NAME,
    QMP_CHANNEL, SERIAL_CHANNEL,
};
pub use devices::BALLOON;
pub use disks::{HOME_CHANNEL, HOME_IMAGE, MAX_DISKS, MAX_FLOPPIES};
pub use extra::split_args;
pub(crate) use firmware::whole_pc;

use self::boot::Boot;
use crate::error::{ConfigError, ConfigWarning};
use crate::inputs::{InputSource, VmInputs};
use crate::machine::Machine;
use crate::types::{DiskMountInfo, FileKind, FileMountInfo, QemuArgsResult, VmOverrides, VmProfile};
use crate::validate::check_source;

/// The folder of QEMU's file system in which a machine's files are put.
const MOUNT_FOLDER: &str = "/vm";

/// Builds QEMU's arguments for a machine.
///
/// What cannot work is in the result's `errors`, what is worth knowing in its `warnings`. Nothing here reads
/// a file: the contents of inputs are judged by the host and by QEMU.
///
/// # Examples
///
/// ```
/// use qemuweb_vm_config::{VmInputs, build_qemu_args, find_profile};
///
/// let profile = find_profile("minimal-x86_64").expect("comes with QemuWeb");
/// let result = build_qemu_args(&profile, &VmInputs::default(), None);
/// assert!(result.errors.is_empty());
/// assert!(result.args.windows(2).any(|pair| pair == ["-m", "128M"]));
/// assert_eq!(result.files_to_mount[0].path, "/vm/kernel");
/// println!("{}", result.command_line());
/// ```
pub fn build_qemu_args(
    profile: &VmProfile,
    inputs: &VmInputs,
    overrides: Option<&VmOverrides>,
) -> QemuArgsResult {
    let no_overrides = VmOverrides::default();
    let overrides = overrides.unwrap_or(&no_overrides);
    let mut builder = Builder::new(profile, inputs, overrides);
    let boot = builder.choose_boot();
    let Some(pc) = builder.whole_pc(&boot) else {
        return builder.build(boot);
    };
    let mut builder = Builder::new(&pc, inputs, overrides);
    builder.warnings.push(ConfigWarning::WholePc);
    let boot = builder.choose_boot();
    builder.build(boot)
}

/// Whether such a machine starts its first disk, and no kernel.
pub fn starts_disk(profile: &VmProfile, inputs: &VmInputs, overrides: Option<&VmOverrides>) -> bool {
    let no_overrides = VmOverrides::default();
    let mut builder = Builder::new(profile, inputs, overrides.unwrap_or(&no_overrides));
    matches!(builder.choose_boot(), Boot::Disk(_))
}

/// The request and the answer under construction. Each module beside this one adds one concern.
struct Builder<'a> {
    profile: &'a VmProfile,
    inputs: &'a VmInputs,
    overrides: &'a VmOverrides,
    machine: Machine,
    args: Vec<String>,
    files: Vec<FileMountInfo>,
    disks: Vec<DiskMountInfo>,
    warnings: Vec<ConfigWarning>,
    errors: Vec<ConfigError>,
}

impl<'a> Builder<'a> {
    fn new(profile: &'a VmProfile, inputs: &'a VmInputs, overrides: &'a VmOverrides) -> Self {
        Self {
            profile,
            inputs,
            overrides,
            machine: Machine::of(&profile.machine),
            args: Vec::new(),
            files: Vec::new(),
            disks: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn build(mut self, boot: Boot) -> QemuArgsResult {
        self.basics(&boot);
        self.firmware(&boot);
        let starts = matches!(boot, Boot::Disk(_));
        let has_home = boot.is_built_in_guest();
        self.boot(boot);
        self.consoles();
        self.disks(starts);
        if has_home {
            self.home();
        }
        self.net();
        self.devices();
        self.extra();
        QemuArgsResult {
            args: self.args,
            arch: self.profile.arch,
            files_to_mount: self.files,
            disks: self.disks,
            warnings: self.warnings,
            errors: self.errors,
        }
    }
}

impl Builder<'_> {
    /// Adds an option without a value.
    fn switch(&mut self, option: &str) {
        self.args.push(option.to_owned());
    }

    /// Adds an option and its value, as two arguments.
    fn option(&mut self, option: &str, value: impl Into<String>) {
        self.args.push(option.to_owned());
        self.args.push(value.into());
    }

    /// Adds a virtio device on the machine's bus.
    fn virtio_device(&mut self, kind: &str, props: &str) {
        let device = self.machine.virtio(kind);
        self.option("-device", device + props);
    }

    /// Has a file put into QEMU's file system, and returns its path there. `field` is the path of the input
    /// that names it.
    fn mount(&mut self, source: &InputSource, name: &str, kind: FileKind, field: &str) -> String {
        self.require(check_source(source, field));
        if matches!(source, InputSource::Blank(_)) {
            let error = ConfigError::invalid(field, "a file", source.file_name());
            self.errors.push(error);
        }
        self.mount_file(FileMountInfo {
            source: source.clone(),
            path: format!("{MOUNT_FOLDER}/{name}"),
            kind,
            readonly: true,
        })
    }

    fn mount_file(&mut self, file: FileMountInfo) -> String {
        let path = file.path.clone();
        self.files.push(file);
        path
    }

    /// Notes the error, if there is one.
    fn require(&mut self, checked: Result<(), ConfigError>) {
        self.errors.extend(checked.err());
    }
}
