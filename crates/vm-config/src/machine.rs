//! The machine types that the builder knows, and what differs between them.

use crate::types::Arch;

/// A family of QEMU machine types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// A PC with PCI Express and AHCI.
    Q35,
    /// The older PC with PCI and IDE.
    I440fx,
    /// A minimal x86 machine with virtio over MMIO and no PCI.
    Microvm,
    /// The generic Arm machine.
    Virt,
    /// Any other.
    Unknown,
}

impl Machine {
    /// The family of a machine type such as `pc-q35-10.2` or `microvm,rtc=on`.
    pub(crate) fn of(machine: &str) -> Self {
        let name = machine.split(',').next().unwrap_or_default();
        let name = name.strip_prefix("type=").unwrap_or(name);
        match name {
            "q35" => Self::Q35,
            "pc" => Self::I440fx,
            "microvm" => Self::Microvm,
            "virt" => Self::Virt,
            _ if name.starts_with("pc-q35-") => Self::Q35,
            _ if name.starts_with("pc-i440fx-") => Self::I440fx,
            _ if name.starts_with("virt-") => Self::Virt,
            _ => Self::Unknown,
        }
    }

    /// The architecture whose QEMU has this machine; unknown machines may have any.
    pub(crate) fn arch(self) -> Option<Arch> {
        match self {
            Self::Q35 | Self::I440fx | Self::Microvm => Some(Arch::X86_64),
            Self::Virt => Some(Arch::Aarch64),
            Self::Unknown => None,
        }
    }

    /// Whether it is a PC, with a PC's firmware, IDE disks and PS/2 keyboard.
    pub(crate) fn is_pc(self) -> bool {
        matches!(self, Self::Q35 | Self::I440fx)
    }

    /// Whether its firmware boots disks, as far as the package has it.
    pub(crate) fn boots_disks(self) -> bool {
        self.is_pc() || self == Self::Unknown
    }

    /// Whether it has a PCI bus. The devices of others hang on virtio's memory-mapped transport.
    pub(crate) fn has_pci(self) -> bool {
        self != Self::Microvm
    }

    /// The QEMU device that is a virtio `kind` (`blk`, `rng`, …) on this machine's bus.
    pub(crate) fn virtio(self, kind: &str) -> String {
        let bus = if self.has_pci() { "pci" } else { "device" };
        format!("virtio-{kind}-{bus}")
    }
}
