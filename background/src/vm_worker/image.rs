//! Recognizing kernel images by their content, before QEMU is asked to run one.
//!
//! QEMU starts whatever it is given as a kernel and then hangs or reads outside its tables, so that the person
//! would see nothing. Formats: Linux's `Documentation/arch/x86/boot.rst`, `Documentation/arch/arm64/booting.rst`.

use qemuweb_runtime::Failure;
use qemuweb_vm_config::Arch;

/// Bytes that are needed to recognize a kernel.
pub(super) const HEAD: usize = 4096;

/// Where an x86 boot sector's setup header has `HdrS`.
const X86_HDRS: usize = 0x202;
/// Where an arm64 image's header has its magic.
const ARM64_MAGIC: usize = 0x38;
/// ELF's `e_machine`, and its values for the two architectures.
const ELF_MACHINE: usize = 18;
const EM_X86_64: [u8; 2] = 62_u16.to_le_bytes();
const EM_AARCH64: [u8; 2] = 183_u16.to_le_bytes();

/// Accepts what QEMU's `-kernel` can start on `arch`.
///
/// # Errors
/// A [`Failure`] that says what was found instead.
pub(super) fn check_kernel(name: &str, head: &[u8], arch: Arch) -> Result<(), Failure> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let elf_for = |machine| at(0, b"\x7fELF") && at(ELF_MACHINE, machine);
    let bzimage = at(X86_HDRS, b"HdrS");
    let arm64 = at(ARM64_MAGIC, b"ARM\x64");
    let gzip = at(0, &[0x1f, 0x8b]);
    let fits = match arch {
        Arch::X86_64 => bzimage || elf_for(&EM_X86_64),
        Arch::Aarch64 => arm64 || gzip || elf_for(&EM_AARCH64),
    };
    if fits {
        return Ok(());
    }
    let expected = match arch {
        Arch::X86_64 => "a bzImage or an x86-64 ELF file (vmlinux)",
        Arch::Aarch64 => "an arm64 Image, plain or gzip-compressed",
    };
    let found = match head {
        [] => "an empty file",
        _ if bzimage || elf_for(&EM_X86_64) => "a kernel for x86_64",
        _ if arm64 || elf_for(&EM_AARCH64) => "a kernel for aarch64",
        _ if gzip => "a gzip-compressed file",
        _ if at(0, b"QFI\xfb") => "a qcow2 disk image",
        _ if at(0, b"070701") => "a cpio archive, as initial RAM disks are",
        _ if at(0, b"\x7fELF") => "an ELF file for another machine",
        _ => "no kernel image",
    };
    Err(Failure::new(format!(
        "{name} is no kernel for {arch}: expected {expected}, found {found}"
    ))
    .with_next_step("Choose the kernel image again, or the other architecture."))
}
