//! Recognizing kernel images by their content, before QEMU is asked to run one.
//!
//! QEMU starts whatever it is given as a kernel and then hangs or reads outside its tables, so that the person
//! would see nothing. Formats: Linux's `Documentation/arch/x86/boot.rst`, `Documentation/arch/arm64/booting.rst`.

use crate::Arch;

/// Bytes at the start of a file that [`check_kernel`] needs to see.
pub const KERNEL_HEAD: usize = 4096;

/// Where an x86 boot sector's setup header has `HdrS`.
const X86_HDRS: usize = 0x202;
/// Where an arm64 image's header has its magic.
const ARM64_MAGIC: usize = 0x38;
/// ELF's `e_machine`, and its values for the two architectures.
const ELF_MACHINE: usize = 18;
const EM_X86_64: [u8; 2] = 62_u16.to_le_bytes();
const EM_AARCH64: [u8; 2] = 183_u16.to_le_bytes();

/// A file that QEMU's `-kernel` cannot start on this architecture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no kernel for {arch}: expected {expected}, found {found}")]
pub struct NotAKernel {
    /// The file's name.
    pub name: String,
    /// What it was to run on.
    pub arch: Arch,
    /// What would do.
    pub expected: &'static str,
    /// What it is instead.
    pub found: &'static str,
}

/// Accepts what QEMU's `-kernel` can start on `arch`, by the first [`KERNEL_HEAD`] bytes (or all, if there are
/// fewer) of the file called `name`.
///
/// # Errors
/// [`NotAKernel`] that says what was found instead.
pub fn check_kernel(name: &str, head: &[u8], arch: Arch) -> Result<(), NotAKernel> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let elf_for = |machine: [u8; 2]| at(0, b"\x7fELF") && at(ELF_MACHINE, &machine);
    let bzimage = at(X86_HDRS, b"HdrS");
    let arm64 = at(ARM64_MAGIC, b"ARM\x64");
    let gzip = at(0, &[0x1f, 0x8b]);
    let (fits, expected) = match arch {
        Arch::X86_64 => (
            bzimage || elf_for(EM_X86_64),
            "a bzImage or an x86-64 ELF file (vmlinux)",
        ),
        Arch::Aarch64 => (
            arm64 || gzip || elf_for(EM_AARCH64),
            "an arm64 Image, plain or gzip-compressed",
        ),
    };
    if fits {
        return Ok(());
    }
    let found = match head {
        [] => "an empty file",
        _ if bzimage || elf_for(EM_X86_64) => "a kernel for x86_64",
        _ if arm64 || elf_for(EM_AARCH64) => "a kernel for aarch64",
        _ if gzip => "a gzip-compressed file",
        _ if at(0, b"QFI\xfb") => "a qcow2 disk image",
        _ if at(0, b"070701") => "a cpio archive, as initial RAM disks are",
        _ if at(0, b"\x7fELF") => "an ELF file for another machine",
        _ => "no kernel image",
    };
    Err(NotAKernel {
        name: name.to_owned(),
        arch,
        expected,
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(magics: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; KERNEL_HEAD];
        for (offset, magic) in magics {
            head[*offset..offset + magic.len()].copy_from_slice(magic);
        }
        head
    }

    #[test]
    fn accepts_kernels_of_the_architecture() {
        let bzimage = with(&[(X86_HDRS, b"HdrS")]);
        let vmlinux = with(&[(0, b"\x7fELF"), (ELF_MACHINE, &EM_X86_64)]);
        let image = with(&[(ARM64_MAGIC, b"ARM\x64")]);
        assert!(check_kernel("k", &bzimage, Arch::X86_64).is_ok());
        assert!(check_kernel("k", &vmlinux, Arch::X86_64).is_ok());
        assert!(check_kernel("k", &image, Arch::Aarch64).is_ok());
        assert_eq!(
            check_kernel("k", &image, Arch::X86_64).unwrap_err().found,
            "a kernel for aarch64"
        );
        assert_eq!(
            check_kernel("k", &vmlinux, Arch::Aarch64).unwrap_err().found,
            "a kernel for x86_64"
        );
    }

    #[test]
    fn says_what_it_found() {
        let error = check_kernel("notes.txt", b"hello", Arch::X86_64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "notes.txt is no kernel for x86_64: expected a bzImage or an x86-64 ELF file (vmlinux), found no kernel image"
        );
        assert_eq!(
            check_kernel("k", b"", Arch::Aarch64).unwrap_err().found,
            "an empty file"
        );
        assert_eq!(
            check_kernel("k", b"QFI\xfb\0\0", Arch::X86_64).unwrap_err().found,
            "a qcow2 disk image"
        );
        assert_eq!(
            check_kernel("k", &[0x1f, 0x8b, 8], Arch::X86_64)
                .unwrap_err()
                .found,
            "a gzip-compressed file"
        );
    }

    proptest! {
        #[test]
        fn never_panics(head in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = check_kernel("k", &head, Arch::X86_64);
            let _ = check_kernel("k", &head, Arch::Aarch64);
        }
    }
}
