//! Machine, processor, memory and accelerator.

use super::Builder;
use super::boot::Boot;
use crate::error::{ConfigError, ConfigWarning};
use crate::limits::{
    MAX_HEAP_MIB, MAX_SMP, QEMU_OWN_MIB, guest_memory_mib, largest_guest_mib, required_heap_mib, tb_size_mib,
};
use crate::refusals::option_refusal;

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
        let mut machine = self.profile.machine.clone();
        self.check_model("machine", "machine", &machine);
        match self.machine.arch() {
            Some(arch) if arch != self.profile.arch => {
                let expected = format!("a machine of {}", self.profile.arch);
                self.errors
                    .push(ConfigError::invalid("machine", expected, &machine));
            }
            None => self.warnings.push(ConfigWarning::UnknownMachine {
                machine: machine.clone(),
            }),
            Some(_) => {}
        }
        // Without a display, the firmware of a PC talks on the serial line, so that a boot menu can be used.
        if self.machine.is_pc() && matches!(boot, Boot::Disk) && !self.profile.supports_graphics {
            machine.push_str(",graphics=off");
        }
        self.option("-machine", machine);
    }

    fn processors(&mut self) {
        let overridden = self.overrides.cpu.as_ref().map(|cpu| ("overrides.cpu", cpu));
        if let Some((field, cpu)) = overridden.or(self.profile.cpu.as_ref().map(|cpu| ("cpu", cpu))) {
            self.check_model(field, "cpu", cpu);
            self.option("-cpu", cpu);
        }
        let smp = self.overrides.smp.unwrap_or(self.profile.smp);
        if !(1..=MAX_SMP).contains(&smp) {
            let expected = format!("1 to {MAX_SMP} processors");
            self.errors
                .push(ConfigError::out_of_range("smp", expected, smp.into()));
        }
        self.option("-smp", smp.to_string());
    }

    fn memory(&mut self) {
        let overrides = Some(self.overrides);
        let guest_mib = guest_memory_mib(self.profile, overrides);
        let tb_size_mib = tb_size_mib(self.profile, overrides);
        self.option("-accel", format!("tcg,tb-size={tb_size_mib}"));
        self.option("-m", format!("{guest_mib}M"));

        let required_mib = required_heap_mib(self.profile, overrides);
        if guest_mib == 0 {
            self.errors
                .push(ConfigError::out_of_range("memoryMiB", "at least 1 MiB", 0));
        }
        if tb_size_mib == 0 {
            self.errors.push(ConfigError::out_of_range(
                "overrides.tbSizeMiB",
                "at least 1 MiB",
                0,
            ));
        }
        if let Some(max) = self.profile.max_memory_mib
            && guest_mib > max
        {
            let expected = format!("at most {max} MiB, the limit of profile {:?}", self.profile.id);
            self.errors
                .push(ConfigError::out_of_range("memoryMiB", expected, guest_mib.into()));
        }
        if required_mib > MAX_HEAP_MIB {
            self.errors.push(ConfigError::HeapTooSmall {
                required_mib,
                guest_mib,
                tb_size_mib,
                qemu_mib: QEMU_OWN_MIB,
                limit_mib: MAX_HEAP_MIB,
                largest_guest_mib: largest_guest_mib(),
            });
        }
    }

    /// Checks the value of `-machine` or `-cpu`, which is QEMU syntax, not a plain text.
    fn check_model(&mut self, field: &str, option: &str, value: &str) {
        let named = !value.is_empty() && !value.starts_with(',');
        let sound = value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.+=,:".contains(c));
        if !named || !sound {
            let expected = format!("a QEMU {option} model, with options after commas");
            self.errors.push(ConfigError::invalid(field, expected, value));
        } else if let Some(reason) = option_refusal(option, value) {
            self.errors.push(ConfigError::Refused {
                field: field.to_owned(),
                argument: crate::error::excerpt(value),
                reason,
            });
        }
    }
}
