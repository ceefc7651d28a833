//! What starts first: a kernel, or a disk's boot loader.

use super::Builder;
use crate::error::{ConfigError, ConfigWarning};
use crate::inputs::{DiskInput, Firmware, InputSource, KernelKind, Media};
use crate::types::{BootDevice, BootFrom, FileKind};
use crate::validate::check_cmdline;

/// A PC firmware that does little, in the firmware folder.
const MINIMAL_FIRMWARE: &str = "qboot.rom";

/// How many devices the firmware of a PC tries; QEMU refuses a longer order, or one that repeats a device.
const LONGEST_BOOT_ORDER: usize = 3;

/// The decision on what starts.
pub(super) enum Boot {
    /// A kernel.
    Kernel(KernelBoot),
    /// Firmware, and with it the disk.
    Disk(Firmware),
    /// There is nothing to start.
    Nothing,
}

impl Boot {
    /// Whether the package's own guest starts, all of it.
    pub(super) fn is_built_in_guest(&self) -> bool {
        matches!(self, Self::Kernel(kernel) if kernel.is_ours && kernel.has_our_initrd)
    }
}

/// A kernel to start.
pub(super) struct KernelBoot {
    source: InputSource,
    /// What it is, which for a kernel that nobody has seen its name tells.
    pub(super) kind: KernelKind,
    /// Whether it is the package's own.
    pub(super) is_ours: bool,
    /// Whether its initial RAM disk is the package's own.
    has_our_initrd: bool,
    initrd: Option<InputSource>,
    cmdline: String,
}

impl Builder<'_> {
    pub(super) fn choose_boot(&mut self) -> Boot {
        let from_kernel = self.inputs.kernel.is_some()
            || self.inputs.initrd.is_some()
            || self.inputs.kernel_cmdline.is_some()
            || self.overrides.cmdline.is_some();
        let has_disk = self.main_disk().is_some();
        let has_kernel = self.profile.default_inputs.kernel.is_some();
        let is_data = has_kernel && self.main_disk().is_some_and(|(disk, _)| holds_data(disk));
        let by_uefi = self.chosen_firmware() == Firmware::Uefi;
        let boots_disks = by_uefi || self.machine.boots_disks() && !self.profile.requires_kernel;
        match self.overrides.boot_from {
            Some(BootFrom::Kernel) => self.kernel_boot(),
            Some(BootFrom::Disk) if !boots_disks => {
                let expected = format!("kernel (machine {:?} does not boot disks)", self.profile.machine);
                self.errors
                    .push(ConfigError::invalid("overrides.bootFrom", expected, "disk"));
                Boot::Nothing
            }
            Some(BootFrom::Disk) => self.disk_boot(),
            None if has_disk && boots_disks && !from_kernel && !is_data => self.disk_boot(),
            None => {
                let boot = self.kernel_boot();
                let attaches_only =
                    matches!(&boot, Boot::Kernel(kernel) if !has_word(&kernel.cmdline, "root="));
                if has_disk && !from_kernel && !is_data && attaches_only {
                    let machine = self.profile.machine.clone();
                    self.warnings.push(ConfigWarning::DiskNotBooted { machine });
                }
                boot
            }
        }
    }

    fn disk_boot(&mut self) -> Boot {
        if self.main_disk().is_none() {
            return self.nothing("supply a disk image to boot from");
        }
        if self.inputs.initrd.is_some() || self.inputs.kernel.is_some() {
            let reason = "the machine boots from its disk";
            self.warnings.push(ConfigWarning::Ignored {
                field: "inputs.kernel",
                reason,
            });
        }
        Boot::Disk(self.chosen_firmware())
    }

    fn kernel_boot(&mut self) -> Boot {
        let default = &self.profile.default_inputs;
        let Some(kernel) = self.inputs.kernel.as_ref().or(default.kernel.as_ref()) else {
            return self.nothing("supply a kernel");
        };
        // The profile's command line and initrd belong to the profile's kernel.
        let is_default = self.inputs.kernel.is_none();
        let from = if is_default { default } else { self.inputs };
        let kind = from
            .kernel_kind
            .unwrap_or_else(|| KernelKind::promised_by(kernel.file_name()));
        let console = kind.console_arguments(self.profile.arch.console());
        let default_cmdline = default
            .kernel_cmdline
            .as_ref()
            .filter(|_| is_default)
            .unwrap_or(&console);
        let base = self
            .inputs
            .kernel_cmdline
            .as_ref()
            .unwrap_or(default_cmdline)
            .trim();
        let added = self.overrides.cmdline.as_deref().unwrap_or_default().trim();
        let cmdline = format!("{base} {added}").trim().to_owned();
        if names_disk_as_root(&cmdline) && !self.has_disks() {
            return self.nothing("the kernel is told to start from a disk: supply its image");
        }
        // The built-in guest's initrd never leaves itself for a root file system on a disk.
        let with_initrd = is_default && !has_word(&cmdline, "root=");
        let default_initrd = default.initrd.as_ref().filter(|_| with_initrd);
        let initrd = self.inputs.initrd.as_ref().or(default_initrd);
        let is_builtin = |source: &InputSource| matches!(source, InputSource::Builtin(_));
        Boot::Kernel(KernelBoot {
            source: kernel.clone(),
            kind,
            is_ours: is_default && is_builtin(kernel),
            has_our_initrd: self.inputs.initrd.is_none() && default_initrd.is_some_and(is_builtin),
            initrd: initrd.cloned(),
            cmdline,
        })
    }

    fn nothing(&mut self, help: &str) -> Boot {
        let help = self
            .profile
            .kernel_help_text
            .clone()
            .unwrap_or_else(|| help.to_owned());
        self.errors.push(ConfigError::NothingToBoot {
            profile: self.profile.id.clone(),
            help,
        });
        Boot::Nothing
    }

    pub(super) fn boot(&mut self, boot: Boot) {
        let starts_disk = matches!(boot, Boot::Disk(Firmware::Bios));
        if let Boot::Kernel(kernel) = boot {
            self.boot_kernel(kernel);
        }
        self.boot_order(starts_disk);
    }

    fn boot_kernel(&mut self, kernel: KernelBoot) {
        let KernelBoot {
            source,
            kind,
            is_ours,
            initrd,
            cmdline,
            ..
        } = kernel;
        // Our own kernel is entered directly and needs nothing of a BIOS but its tables, unless one is to see its
        // messages on a screen.
        if is_ours && self.machine.is_pc() && !self.profile.supports_graphics {
            self.option("-bios", MINIMAL_FIRMWARE);
        }
        let path = self.mount(&source, "kernel", FileKind::Kernel, "inputs.kernel");
        self.option("-kernel", path);
        if let Some(initrd) = initrd {
            let path = self.mount(&initrd, "initrd", FileKind::Initrd, "inputs.initrd");
            self.option("-initrd", path);
        }
        self.require(check_cmdline("inputs.kernelCmdline", &cmdline));
        let console = self.profile.arch.console();
        if kind == KernelKind::Linux && !has_word(&cmdline, &format!("console={console}")) {
            self.warnings.push(ConfigWarning::NoConsole { console });
        }
        self.option("-append", cmdline);
    }

    /// The order in which the firmware tries devices. Without the person's own, the boot disk comes first, which firmware
    /// itself would try after a hard disk where it is a floppy or a CD.
    fn default_boot_order(&self) -> &'static [BootDevice] {
        let media = self.main_disk().and_then(|(disk, _)| disk.media);
        match media {
            Some(Media::Floppy) => &[BootDevice::Floppy, BootDevice::Disk, BootDevice::Cdrom],
            Some(Media::Cdrom) => &[BootDevice::Cdrom, BootDevice::Disk],
            Some(Media::Disk) | None => &[],
        }
    }

    fn boot_order(&mut self, starts_disk: bool) {
        let order = match self.overrides.boot_order.as_slice() {
            [] if starts_disk && self.machine.is_pc() => self.default_boot_order(),
            given => given,
        };
        if order.is_empty() {
            return;
        }
        if !self.machine.is_pc() {
            let reason = "only the firmware of a PC has a boot order";
            self.warnings.push(ConfigWarning::Ignored {
                field: "overrides.bootOrder",
                reason,
            });
            return;
        }
        let mut letters = String::new();
        for device in order {
            let letter = match device {
                BootDevice::Floppy => 'a',
                BootDevice::Disk => 'c',
                BootDevice::Cdrom => 'd',
                BootDevice::Network => 'n',
            };
            if !letters.contains(letter) {
                letters.push(letter);
            }
        }
        if letters.len() > LONGEST_BOOT_ORDER {
            letters.truncate(LONGEST_BOOT_ORDER);
            let reason = "after the third device, for a PC tries three";
            self.warnings.push(ConfigWarning::Ignored {
                field: "overrides.bootOrder",
                reason,
            });
        }
        self.option("-boot", format!("order={letters}"));
    }
}

/// Whether a command line has the kernel mount its root file system from a disk.
fn names_disk_as_root(cmdline: &str) -> bool {
    ["root=/dev/vd", "root=/dev/sd", "root=/dev/hd"]
        .iter()
        .any(|root| has_word(cmdline, root))
}

/// Whether one of a command line's words begins with this text.
fn has_word(cmdline: &str, beginning: &str) -> bool {
    cmdline
        .split_ascii_whitespace()
        .any(|word| word.starts_with(beginning))
}

/// Whether a disk has nothing that could be started.
fn holds_data(disk: &DiskInput) -> bool {
    disk.is_data || matches!(disk.source, InputSource::Blank(_))
}
