//! Machine, processor, memory and accelerator.

use super::Builder;
use super::boot::Boot;
use crate::error::{ConfigError, ConfigWarning};
use crate::limits::{guest_memory_mib, tb_size_mib};
use crate::machine::Machine;
use crate::validate::{check_heap, check_machine, check_memory, check_model, check_smp};

/// Where the host puts QEMU's firmware.
const FIRMWARE_FOLDER: &str = "/pc-bios";

impl Builder<'_> {
    pub(super) fn basics(&mut self, boot: &Boot) {
        self.option("-L", FIRMWARE_FOLDER);
        // Only what is asked for: no default devices, no configuration files, no window.
        self.switch("-nodefaults");
        self.switch("-no-user-config");
        self.option("-display", "none");
        self.machine_type(boot);
        self.processors();
        self.memory();
    }

    fn machine_type(&mut self, boot: &Boot) {
        let profile = self.profile;
        self.require(check_machine(&profile.machine, profile.arch));
        if self.machine == Machine::Unknown {
            self.warnings.push(ConfigWarning::UnknownMachine {
                machine: profile.machine.clone(),
            });
        }
        // The profile's own options come last, so that they win.
        let (name, options) = profile.machine.split_once(',').unwrap_or((&profile.machine, ""));
        let mut machine = name.to_owned();
        if self.machine.is_pc() {
            if matches!(boot, Boot::Kernel(kernel) if kernel.is_ours) {
                self.leave_out_of_pc(&mut machine);
            } else {
                // The panel shows the serial line: the firmware talks there, too, and with it whatever speaks through it.
                machine.push_str(",graphics=off");
            }
        }
        if !options.is_empty() {
            machine.push(',');
            machine.push_str(options);
        }
        self.option("-machine", machine);
    }

    /// Leaves out of a PC what our own guests would only spend time to look for: every instruction is emulated, and
    /// the six empty places of a SATA controller alone take a third of a second.
    fn leave_out_of_pc(&self, machine: &mut String) {
        machine.push_str(",smbus=off,usb=off,hpet=off,vmport=off,smm=off");
        // Extra arguments may attach something to the controller.
        let has_extra = !self.profile.default_args.is_empty() || self.overrides.extra_args.is_some();
        if !has_extra && !self.has_ide_disk() {
            machine.push_str(",sata=off");
        }
        if !self.profile.devices.keyboard && !self.profile.supports_graphics {
            machine.push_str(",i8042=off");
        }
    }

    fn processors(&mut self) {
        let overridden = self.overrides.cpu.as_ref().map(|cpu| ("overrides.cpu", cpu));
        if let Some((field, cpu)) = overridden.or(self.profile.cpu.as_ref().map(|cpu| ("cpu", cpu))) {
            self.require(check_model(field, "cpu", cpu));
            self.option("-cpu", cpu);
        }
        let overridden = self.overrides.smp.map(|smp| ("overrides.smp", smp));
        let (field, smp) = overridden.unwrap_or(("smp", self.profile.smp));
        self.require(check_smp(field, smp));
        self.option("-smp", smp.to_string());
    }

    fn memory(&mut self) {
        let overrides = Some(self.overrides);
        let guest_mib = guest_memory_mib(self.profile, overrides);
        let tb_size_mib = tb_size_mib(self.profile, overrides);
        self.option("-accel", format!("tcg,tb-size={tb_size_mib}"));
        self.option("-m", format!("{guest_mib}M"));

        let field = if self.overrides.memory_mib.is_some() {
            "overrides.memoryMiB"
        } else {
            "memoryMiB"
        };
        self.require(check_memory(
            field,
            guest_mib,
            self.profile.max_memory_mib.unwrap_or(u32::MAX),
        ));
        if tb_size_mib == 0 {
            self.errors.push(ConfigError::out_of_range(
                "overrides.tbSizeMiB",
                "at least 1 MiB",
                0,
            ));
        }
        self.require(check_heap(field, guest_mib, tb_size_mib));
    }
}
