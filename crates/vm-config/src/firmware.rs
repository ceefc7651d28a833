//! The firmware that the package has beside SeaBIOS.

use crate::types::Arch;

/// UEFI firmware for a machine, as files of QEMU's build, compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uefi {
    /// The code, which is only read.
    pub code: &'static str,
    /// The variables as they are before the first start.
    pub variables: &'static str,
}

/// The architectures that the package has UEFI firmware for (`qemu-wasm/scripts/pack.sh`).
const UEFI: &[(Arch, Uefi)] = &[
    (
        Arch::X86_64,
        Uefi {
            code: "uefi/x86_64-code.fd.gz",
            variables: "uefi/x86_64-vars.fd.gz",
        },
    ),
    (
        Arch::Aarch64,
        Uefi {
            code: "uefi/aarch64-code.qcow2.gz",
            variables: "uefi/aarch64-vars.qcow2.gz",
        },
    ),
];

/// The UEFI firmware for machines of this architecture, if the package has one.
pub fn uefi(arch: Arch) -> Option<Uefi> {
    let found = UEFI.iter().find(|(known, _)| *known == arch);
    found.map(|(_, uefi)| *uefi)
}
