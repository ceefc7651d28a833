//! The firmware that the package has beside SeaBIOS.

use crate::inputs::InputSource;
use crate::types::{Arch, FileKind, FileMountInfo};

/// The most bytes of a machine's UEFI variables that are kept: the package's have half as many.
pub const MAX_UEFI_VARIABLES: u32 = 2 << 20;

/// How a qcow2 image begins (docs/interop/qcow2.txt in QEMU's source).
const QCOW2: &[u8] = b"QFI\xfb";
/// The part of a qcow2 header that says what disk is in the image: version, backing file, sizes of clusters and disk, encryption.
const QCOW2_DISK: usize = 36;

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

/// Whether a machine's UEFI variables, kept from a former run, can stand in for those of the `package`: a package of another
/// version may have flash of another size.
pub fn fits_uefi_variables(package: &[u8], kept: &[u8]) -> bool {
    // An image grows with what is written.
    let has_same_size = if package.starts_with(QCOW2) {
        kept.len() >= QCOW2_DISK && package.get(..QCOW2_DISK) == kept.get(..QCOW2_DISK)
    } else {
        kept.len() == package.len()
    };
    has_same_size && kept.len() <= MAX_UEFI_VARIABLES as usize
}

impl FileMountInfo {
    /// The package's file with UEFI variables, if this is it. The machine writes into its copy.
    pub fn uefi_variables(&self) -> Option<&str> {
        match &self.source {
            InputSource::Builtin(builtin) if self.kind == FileKind::Firmware && !self.readonly => {
                Some(&builtin.path)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Firmware, VmInputs, VmOverrides, build_qemu_args, find_profile};

    fn qcow2(size: u64, version: u8, data: usize) -> Vec<u8> {
        let mut image = QCOW2.to_vec();
        image.extend([0, 0, 0, version]);
        image.resize(24, 0);
        image.extend(size.to_be_bytes());
        image.resize(512 + data, 0xff);
        image
    }

    #[test]
    fn only_variables_of_the_same_flash_fit() {
        let most = MAX_UEFI_VARIABLES as usize;
        let (flash, image) = (vec![0xff; 0x84000], qcow2(64 << 20, 3, 1000));
        let table: &[(&str, &[u8], &[u8], bool)] = &[
            ("other content", &flash, &vec![0; 0x84000], true),
            (
                "what looks like an image, in raw flash",
                &flash,
                &qcow2(1, 3, 0x84000 - 512),
                true,
            ),
            ("shorter flash", &flash, &flash[1..], false),
            ("longer flash", &flash, &vec![0xff; 0x84001], false),
            ("nothing", &flash, b"", false),
            ("the image itself", &image, &image, true),
            (
                "an image that has grown",
                &image,
                &qcow2(64 << 20, 3, 70_000),
                true,
            ),
            (
                "an image as large as may be",
                &image,
                &qcow2(64 << 20, 3, most - 512),
                true,
            ),
            (
                "an image that has grown too large",
                &image,
                &qcow2(64 << 20, 3, most - 511),
                false,
            ),
            (
                "an image of other flash",
                &image,
                &qcow2(32 << 20, 3, 1000),
                false,
            ),
            (
                "an image of another version",
                &image,
                &qcow2(64 << 20, 2, 1000),
                false,
            ),
            ("a damaged image", &image, &vec![0; image.len()], false),
            (
                "the beginning of an image",
                &image,
                &image[..QCOW2_DISK - 1],
                false,
            ),
            ("no image", &image, b"", false),
            (
                "too much raw flash",
                &vec![0; most + 1],
                &vec![0; most + 1],
                false,
            ),
        ];
        for (what, package, kept, fits) in table {
            assert_eq!(fits_uefi_variables(package, kept), *fits, "{what}");
        }
    }

    #[test]
    fn a_machine_with_uefi_has_one_file_of_variables() {
        for (profile, variables) in [
            ("linux-x86_64-pc-nographic", "uefi/x86_64-vars.fd.gz"),
            ("linux-aarch64-virt-nographic", "uefi/aarch64-vars.qcow2.gz"),
        ] {
            let profile = find_profile(profile).unwrap();
            for (firmware, expected) in [(Firmware::Uefi, vec![variables]), (Firmware::Bios, vec![])] {
                let overrides = VmOverrides {
                    firmware: Some(firmware),
                    ..VmOverrides::default()
                };
                let files = build_qemu_args(&profile, &VmInputs::default(), Some(&overrides)).files_to_mount;
                let found: Vec<_> = files.iter().filter_map(FileMountInfo::uefi_variables).collect();
                assert_eq!(found, expected, "{} {firmware:?}", profile.id);
            }
        }
    }
}
