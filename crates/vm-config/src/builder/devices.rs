//! Randomness, the memory balloon, graphics, USB and keyboard.

use super::Builder;
use crate::error::ConfigWarning;
use crate::machine::Machine;

/// The id of the memory balloon, whose statistics are QOM properties of `/machine/peripheral/balloon0`.
pub const BALLOON: &str = "balloon0";

impl Builder<'_> {
    pub(super) fn devices(&mut self) {
        if self.profile.devices.rng {
            self.option("-object", "rng-builtin,id=rng0");
            self.virtio_device("rng", ",rng=rng0");
        }
        self.balloon();
        self.parallel_port();
        self.graphics();
        self.input();
    }

    /// The device by which a guest tells how much of its memory it uses. A microVM has next to no devices.
    fn balloon(&mut self) {
        if self.machine.has_pci() {
            self.virtio_device("balloon", &format!(",id={BALLOON}"));
        }
    }

    /// The printer's port of the older PC, which leads nowhere.
    fn parallel_port(&mut self) {
        if self.machine == Machine::I440fx {
            self.option("-parallel", "null");
        }
    }

    fn graphics(&mut self) {
        if !self.profile.supports_graphics {
            return;
        }
        if !self.machine.has_pci() {
            let reason = "the machine has no bus for a graphics adapter";
            self.warnings.push(ConfigWarning::Ignored {
                field: "supportsGraphics",
                reason,
            });
        } else if self.machine.is_pc() {
            // What the PC's firmware and every guest can draw on.
            self.option("-device", "VGA");
        } else {
            self.option("-device", "virtio-gpu-pci");
        }
    }

    fn input(&mut self) {
        let devices = &self.profile.devices;
        if devices.usb && self.machine.has_pci() {
            self.option("-device", "qemu-xhci,id=usb0");
        } else if devices.usb {
            let reason = "the machine has no bus for a USB controller";
            self.warnings.push(ConfigWarning::Ignored {
                field: "devices.usb",
                reason,
            });
        }
        // A PC has a PS/2 keyboard of its own. Virtio's input devices need no USB stack in the guest.
        if devices.keyboard && !self.machine.is_pc() {
            self.virtio_device("keyboard", "");
        }
        // The older PC has a PS/2 mouse, which its systems know.
        if self.profile.supports_graphics && self.machine.has_pci() && self.machine != Machine::I440fx {
            self.virtio_device("tablet", "");
        }
    }
}
