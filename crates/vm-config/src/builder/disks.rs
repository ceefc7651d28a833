//! Disks: their images, and the controllers that they hang on.

use super::{Builder, MOUNT_FOLDER};
use crate::error::{ConfigError, ConfigWarning};
use crate::inputs::{DiskFormat, DiskInput, Media};
use crate::machine::Machine;
use crate::props::Props;
use crate::types::{DiskInterface, FileMountInfo};
use crate::validate::{check_disk_count, check_snapshot, check_source};

/// The most disks that a machine may have, the boot disk included.
pub const MAX_DISKS: usize = 16;
/// Our QEMU's option of qcow2 that makes an internal snapshot the disk (`qemu-wasm/patches/qemu`).
const LOAD_SNAPSHOT: &str = "load-snapshot";
/// The floppy drives of a PC.
pub const MAX_FLOPPIES: usize = 2;

impl Builder<'_> {
    /// The boot disk, with the path of the field that names it.
    pub(super) fn main_disk(&self) -> Option<(&DiskInput, &'static str)> {
        let given = self.inputs.disk.as_ref().map(|disk| (disk, "inputs.disk"));
        given.or(self
            .profile
            .default_inputs
            .disk
            .as_ref()
            .map(|disk| (disk, "defaultInputs.disk")))
    }

    /// All disks, the boot disk first, each with the path of the field that names it.
    fn all_disks(&self) -> Vec<(DiskInput, String)> {
        let main = self
            .main_disk()
            .map(|(disk, field)| (disk.clone(), field.to_owned()));
        let (further, list) = match &self.inputs.additional_disks {
            none if none.is_empty() => (&self.profile.default_inputs.additional_disks, "defaultInputs"),
            some => (some, "inputs"),
        };
        let further = further
            .iter()
            .enumerate()
            .map(|(i, disk)| (disk.clone(), format!("{list}.additionalDisks[{i}]")));
        main.into_iter().chain(further).collect()
    }

    /// Whether there is any disk.
    pub(super) fn has_disks(&self) -> bool {
        !self.all_disks().is_empty()
    }

    /// Whether some disk is to be attached to an IDE or SATA controller.
    pub(super) fn has_ide_disk(&self) -> bool {
        self.all_disks().iter().any(|(disk, _)| {
            media(disk) != Media::Floppy && self.wanted_interface(disk) == DiskInterface::Ide
        })
    }

    /// Attaches the disks, of which the firmware starts the first if `starts`.
    pub(super) fn disks(&mut self, starts: bool) {
        let mut disks = self.all_disks();
        self.require(check_disk_count("inputs.additionalDisks", disks.len()));
        disks.truncate(MAX_DISKS);
        // What cannot be started is no fault where there is something else to start.
        let starts = starts && disks.len() == 1;

        let floppies = disks
            .extract_if(.., |(disk, _)| media(disk) == Media::Floppy)
            .collect::<Vec<_>>();
        let interfaces: Vec<_> = disks
            .iter()
            .enumerate()
            .map(|(number, (disk, _))| self.interface(number, disk))
            .collect();
        if interfaces.contains(&DiskInterface::Scsi) {
            self.virtio_device("scsi", ",id=scsi0");
        }
        let mut ide_disks = 0;
        for (number, ((disk, field), interface)) in disks.iter().zip(interfaces).enumerate() {
            self.drive(number, disk, interface, field, starts);
            let kind = if media(disk) == Media::Cdrom { "cd" } else { "hd" };
            match interface {
                DiskInterface::VirtioBlk => self.virtio_device("blk", &format!(",drive=disk{number}")),
                DiskInterface::Scsi => {
                    self.option("-device", format!("scsi-{kind},bus=scsi0.0,drive=disk{number}"))
                }
                DiskInterface::Ide => {
                    self.ide_disk(number, kind, ide_disks, field);
                    ide_disks += 1;
                }
            }
        }
        self.floppies(&floppies, starts);
    }

    /// How a disk is to be attached: as itself, the overrides, or else the profile say. Virtio has no optical
    /// drives: they go to the machine's own controller, or to SCSI.
    fn wanted_interface(&self, disk: &DiskInput) -> DiskInterface {
        let wanted = disk
            .interface
            .or(self.overrides.disk_interface)
            .unwrap_or(self.profile.devices.disk_interface);
        match (media(disk), wanted) {
            (Media::Cdrom, _) if !self.machine.is_pc() => DiskInterface::Scsi,
            (Media::Cdrom, DiskInterface::VirtioBlk) => DiskInterface::Ide,
            (_, wanted) => wanted,
        }
    }

    fn floppies(&mut self, floppies: &[(DiskInput, String)], starts: bool) {
        for (index, (disk, field)) in floppies.iter().enumerate() {
            if !self.machine.is_pc() {
                let expected = format!(
                    "disk or cdrom (machine {:?} has no floppy drive)",
                    self.profile.machine
                );
                let field = format!("{field}.media");
                self.errors.push(ConfigError::invalid(field, expected, "floppy"));
                continue;
            }
            if index >= MAX_FLOPPIES {
                let expected = format!("at most {MAX_FLOPPIES} floppies");
                let field = format!("{field}.media");
                self.errors.push(ConfigError::invalid(field, expected, "another"));
                continue;
            }
            let name = format!("floppy{index}.raw");
            let path = self.mount_disk(disk, &name, disk.readonly, starts, field);
            if !disk.readonly {
                self.warnings.push(ConfigWarning::FloppyNotKept { number: index });
            }
            let drive = Props::of("if=floppy")
                .with("index", &index.to_string())
                .with("file", &path)
                .with("format", DiskFormat::Raw.as_str())
                .flag("readonly", disk.readonly)
                .flag("snapshot", !disk.readonly);
            self.option("-drive", drive.finish());
        }
    }

    /// How a disk is attached, as far as the machine can.
    fn interface(&mut self, number: usize, disk: &DiskInput) -> DiskInterface {
        let wanted = self.wanted_interface(disk);
        if wanted == DiskInterface::Ide && !self.machine.is_pc() {
            let machine = self.profile.machine.clone();
            self.warnings.push(ConfigWarning::NoIde { number, machine });
            return DiskInterface::VirtioBlk;
        }
        wanted
    }

    /// Mounts a disk's image and opens it as block backend `disk{number}`.
    fn drive(
        &mut self,
        number: usize,
        disk: &DiskInput,
        interface: DiskInterface,
        field: &str,
        starts: bool,
    ) {
        let format = disk
            .format
            .unwrap_or_else(|| DiskFormat::promised_by(disk.source.file_name()));
        let name = format!("disk{number}.{}", format.as_str());
        let is_cdrom = media(disk) == Media::Cdrom;
        let readonly = disk.readonly || is_cdrom;
        let path = self.mount_disk(disk, &name, readonly, starts, field);

        // Writes are not kept yet: they go to a temporary layer, which IDE disks need even where they may not write.
        let is_ide = interface == DiskInterface::Ide && !is_cdrom;
        let layered = is_ide || !readonly;
        if !readonly {
            self.warnings.push(ConfigWarning::WritesNotKept { number });
        } else if is_ide {
            self.warnings.push(ConfigWarning::IdeIsWritable { number });
        }
        let mut drive = Props::of("if=none")
            .with("id", &format!("disk{number}"))
            .with("file", &path)
            .with("format", format.as_str())
            .flag("readonly", !layered)
            .flag("snapshot", layered);
        if let Some(snapshot) = &disk.snapshot {
            if format != DiskFormat::Qcow2 {
                let expected = format!("a qcow2 image (this one is {})", format.as_str());
                let field = format!("{field}.snapshot");
                self.errors.push(ConfigError::invalid(field, expected, snapshot));
            }
            self.require(check_snapshot(&format!("{field}.snapshot"), snapshot));
            drive = drive.with(LOAD_SNAPSHOT, snapshot);
        }
        self.option("-drive", drive.finish());
    }

    /// Mounts the image of a disk, a CD or a floppy.
    fn mount_disk(
        &mut self,
        disk: &DiskInput,
        name: &str,
        readonly: bool,
        boots: bool,
        field: &str,
    ) -> String {
        self.require(check_source(&disk.source, field));
        self.mount_file(FileMountInfo {
            source: disk.source.clone(),
            path: format!("{MOUNT_FOLDER}/{name}"),
            kind: media(disk).kind(),
            readonly,
            // What is in a snapshot, nobody has seen.
            boots: boots && disk.snapshot.is_none(),
            snapshot: disk.snapshot.clone(),
        })
    }

    /// Attaches block backend `disk{number}` as the `nth` disk of the machine's own IDE or AHCI controller.
    fn ide_disk(&mut self, number: usize, kind: &str, nth: usize, field: &str) {
        let (places, bus, unit) = match self.machine {
            Machine::I440fx => (4, nth / 2, nth % 2),
            _ => (6, nth, 0),
        };
        if nth >= places {
            let expected = format!("at most {places} IDE disks on machine {:?}", self.profile.machine);
            let field = format!("{field}.interface");
            self.errors.push(ConfigError::invalid(field, expected, "another"));
        }
        self.option(
            "-device",
            format!("ide-{kind},bus=ide.{bus},unit={unit},drive=disk{number}"),
        );
    }
}

/// The drive of a disk.
fn media(disk: &DiskInput) -> Media {
    disk.media.unwrap_or(Media::Disk)
}
