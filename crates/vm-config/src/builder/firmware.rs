//! Which firmware starts, and which PC a system that is not ours is given.

use super::boot::Boot;
use super::{Builder, MOUNT_FOLDER};
use crate::error::ConfigError;
use crate::firmware::{Uefi, uefi};
use crate::inputs::{DiskInput, Firmware, InputSource, Media, System};
use crate::machine::Machine;
use crate::props::Props;
use crate::types::{DiskInterface, FileKind, FileMountInfo, VmDeviceConfig, VmProfile};

impl Builder<'_> {
    /// The profile with the hardware of a whole PC, if what is started expects one and the profile's machine is the plain
    /// one of our own guests: the older PC, whose disks and floppies every system knows and on which a disk may be as
    /// small as one sector.
    pub(super) fn whole_pc(&self, boot: &Boot) -> Option<VmProfile> {
        let expects_one = match boot {
            Boot::Disk(Firmware::Bios) => self.main_disk().is_some_and(|(disk, _)| is_foreign(disk)),
            Boot::Kernel(kernel) => kernel.kind.needs_bios(),
            Boot::Disk(Firmware::Uefi) | Boot::Nothing => false,
        };
        (expects_one && self.profile.machine == "q35").then(|| whole_pc(self.profile))
    }

    /// The firmware that a disk is started by: the person's choice, or the one that it needs.
    pub(super) fn chosen_firmware(&self) -> Firmware {
        let needed = self.main_disk().and_then(|(disk, _)| disk.firmware);
        let needed = needed.filter(|needed| *needed == Firmware::Bios || self.uefi().is_some());
        self.overrides.firmware.or(needed).unwrap_or(Firmware::Bios)
    }

    /// The UEFI firmware that this machine has flash for.
    fn uefi(&self) -> Option<Uefi> {
        let has_flash = matches!(self.machine, Machine::Q35 | Machine::I440fx | Machine::Virt);
        uefi(self.profile.arch).filter(|_| has_flash)
    }

    /// Puts UEFI into the machine's flash: its code, and the variables that it writes.
    pub(super) fn firmware(&mut self, boot: &Boot) {
        let by_choice = self.overrides.firmware == Some(Firmware::Uefi);
        if !by_choice && !matches!(boot, Boot::Disk(Firmware::Uefi)) {
            return;
        }
        let Some(uefi) = self.uefi() else {
            let expected = "bios (the package has no UEFI for this machine)";
            self.errors
                .push(ConfigError::invalid("overrides.firmware", expected, "uefi"));
            return;
        };
        for (unit, file, readonly) in [(0, uefi.code, true), (1, uefi.variables, false)] {
            // The file's name has a suffix for its compression after that for its format.
            let format = if file.contains(".qcow2") { "qcow2" } else { "raw" };
            let path = self.mount_file(FileMountInfo {
                source: InputSource::builtin(file),
                path: format!("{MOUNT_FOLDER}/flash{unit}.{format}"),
                kind: FileKind::Firmware,
                readonly,
            });
            let drive = Props::of("if=pflash")
                .with("unit", &unit.to_string())
                .with("file", &path)
                .with("format", format)
                .flag("readonly", readonly);
            self.option("-drive", drive.finish());
        }
    }
}

/// Whether a disk is none of Linux's.
fn is_foreign(disk: &DiskInput) -> bool {
    let is_disk = disk.media.is_none_or(|media| media == Media::Disk);
    !is_disk || disk.system == Some(System::Other)
}

/// The profile with the hardware of a PC of old.
pub(crate) fn whole_pc(profile: &VmProfile) -> VmProfile {
    VmProfile {
        machine: "pc".into(),
        supports_graphics: true,
        devices: VmDeviceConfig {
            disk_interface: DiskInterface::Ide,
            keyboard: true,
            ..profile.devices.clone()
        },
        ..profile.clone()
    }
}
