//! Disks: their images, and the controllers that they hang on.

use super::Builder;
use crate::error::{ConfigError, ConfigWarning};
use crate::inputs::{DiskFormat, DiskInput, InputSource, Media};
use crate::machine::Machine;
use crate::props::Props;
use crate::types::{DiskInterface, DiskMountInfo, FileKind, HomeDisk, Keep};
use crate::validate::{check_disk_count, check_snapshot, check_source};

/// The most disks that a machine may have, the boot disk included.
pub const MAX_DISKS: usize = 16;
/// Our QEMU's option of qcow2 that makes an internal snapshot the disk (`qemu-wasm/patches/qemu`).
const LOAD_SNAPSHOT: &str = "load-snapshot";
/// The floppy drives of a PC.
pub const MAX_FLOPPIES: usize = 2;
/// The channel of the disk that a built-in guest has its home directory on; also its serial number, and what it is kept as.
pub const HOME_CHANNEL: &str = "home";
/// The image that it begins as, in the package's guest folder: a sparse image.
pub const HOME_IMAGE: &str = "shared/home.sparse.gz";

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
            let channel = format!("floppy{index}");
            let file = self.serve(disk, &channel, DiskFormat::Raw, keep(disk), starts, field);
            let drive = Props::of("if=floppy")
                .with("index", &index.to_string())
                .with("file", &file)
                .with("format", DiskFormat::Raw.as_str())
                .flag("readonly", disk.readonly);
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

    /// Has a disk served, and opens it as block backend `disk{number}`.
    fn drive(
        &mut self,
        number: usize,
        disk: &DiskInput,
        interface: DiskInterface,
        field: &str,
        starts: bool,
    ) {
        let format = match &disk.source {
            InputSource::Blank(_) => DiskFormat::Raw,
            source => disk
                .format
                .unwrap_or_else(|| DiskFormat::promised_by(source.file_name())),
        };
        let is_cdrom = media(disk) == Media::Cdrom;
        let readonly = disk.readonly || is_cdrom;
        // IDE disks need a layer even where they may not write.
        let is_ide = interface == DiskInterface::Ide && !is_cdrom;
        let not_kept = if disk.snapshot.is_some() {
            Some("a snapshot of the image was chosen")
        } else if !format.is_written() {
            Some("QEMU only reads images of this format")
        } else {
            None
        };
        let temporary = match not_kept {
            Some(reason) if !readonly => {
                self.warnings
                    .push(ConfigWarning::WritesNotKept { number, reason });
                true
            }
            _ if readonly && is_ide => {
                self.warnings.push(ConfigWarning::IdeIsWritable { number });
                true
            }
            _ => false,
        };
        let keep = if readonly || temporary {
            Keep::Nothing
        } else {
            keep(disk)
        };
        let file = self.serve(disk, &format!("disk{number}"), format, keep, starts, field);
        let mut drive = Props::of("if=none")
            .with("id", &format!("disk{number}"))
            .with("file", &file)
            .with("format", format.as_str())
            .flag("readonly", keep == Keep::Nothing && !temporary)
            .flag("snapshot", temporary);
        if keep != Keep::Nothing {
            drive = drive.with("discard", "unmap");
        }
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

    /// Has a disk, a CD or a floppy served over `channel`, and returns what QEMU opens.
    fn serve(
        &mut self,
        disk: &DiskInput,
        channel: &str,
        format: DiskFormat,
        keep: Keep,
        boots: bool,
        field: &str,
    ) -> String {
        self.require(check_source(&disk.source, field));
        self.serve_disk(DiskMountInfo {
            channel: channel.to_owned(),
            source: disk.source.clone(),
            format,
            kind: media(disk).kind(),
            keep,
            // What is in a snapshot, nobody has seen.
            boots: boots && disk.snapshot.is_none(),
            snapshot: disk.snapshot.clone(),
        })
    }

    fn serve_disk(&mut self, disk: DiskMountInfo) -> String {
        let file = disk.file_name();
        self.disks.push(disk);
        file
    }

    /// The disk that a built-in guest has its home directory on. The guest knows it by its serial number.
    pub(super) fn home(&mut self) {
        let keep = match self.overrides.home.unwrap_or(HomeDisk::Lasting) {
            HomeDisk::Lasting => Keep::Copy,
            HomeDisk::UntilPowerOff => Keep::UntilPowerOff,
            HomeDisk::None => return,
        };
        let file = self.serve_disk(DiskMountInfo {
            channel: HOME_CHANNEL.to_owned(),
            source: InputSource::builtin(HOME_IMAGE),
            format: DiskFormat::Raw,
            kind: FileKind::Disk,
            keep,
            boots: false,
            snapshot: None,
        });
        let drive = Props::of("if=none")
            .with("id", HOME_CHANNEL)
            .with("file", &file)
            .with("format", DiskFormat::Raw.as_str())
            .with("discard", "unmap");
        self.option("-drive", drive.finish());
        self.virtio_device("blk", &format!(",drive={HOME_CHANNEL},serial={HOME_CHANNEL}"));
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

/// What becomes of what is written to a disk that can be written.
fn keep(disk: &DiskInput) -> Keep {
    if disk.readonly {
        Keep::Nothing
    } else if disk.discard_at_power_off {
        Keep::UntilPowerOff
    } else {
        Keep::Changes
    }
}
