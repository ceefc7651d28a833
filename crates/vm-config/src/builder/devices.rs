//! Randomness, the memory balloon, graphics, USB and keyboard.

use super::Builder;
use crate::error::ConfigWarning;

/// The id of the memory balloon, whose statistics are QOM properties of `/machine/peripheral/balloon0`.
pub const BALLOON: &str = "balloon0";

impl Builder<'_> {
    pub(super) fn devices(&mut self) {
        if self.profile.devices.rng {
            self.option("-object", "rng-builtin,id=rng0");
            self.virtio_device("rng", ",rng=rng0");
        }
        self.balloon();
        self.graphics();
        self.input();
    }

    /// The device by which a guest tells how much of its memory it uses. A microVM has next to no devices.
    fn balloon(&mut self) {
        if self.machine.has_pci() {
            self.virtio_device("balloon", &format!(",id={BALLOON}"));
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
        let usb = devices.usb && self.machine.has_pci();
        if devices.usb && !usb {
            let reason = "the machine has no bus for a USB controller";
            self.warnings.push(ConfigWarning::Ignored {
                field: "devices.usb",
                reason,
            });
        }
        if usb {
            self.option("-device", "qemu-xhci,id=usb0");
        }
        // A PC has a PS/2 keyboard of its own.
        let keyboard = devices.keyboard && !self.machine.is_pc();
        let pointer = self.profile.supports_graphics && self.machine.has_pci();
        for (wanted, usb_device, virtio_kind) in [
            (keyboard, "usb-kbd", "keyboard"),
            (pointer, "usb-tablet", "tablet"),
        ] {
            if wanted && usb {
                self.option("-device", format!("{usb_device},bus=usb0.0"));
            } else if wanted {
                self.virtio_device(virtio_kind, "");
            }
        }
    }
}
