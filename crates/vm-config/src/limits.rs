//! What fits into a browser: the arithmetic of QEMU's WebAssembly heap.

use crate::types::{VmOverrides, VmProfile};

/// The largest heap, in MiB: the last MiB of a 32-bit WebAssembly memory stays out, as the length in bytes of all 4 GiB is no
/// 32-bit number.
pub const MAX_HEAP_MIB: u32 = 4095;

/// What QEMU needs beside guest memory and translated code, in MiB: its own data, the engine's compiled code, thread
/// stacks, device state, video memory, and the two flash banks of 64 MiB each of the `virt` machine. With 256 MiB,
/// Debian from a qcow2 image on `virt` ran out of it while it booted. What is not touched costs no memory.
pub const QEMU_OWN_MIB: u32 = 384;

/// The most virtual processors: each is a Worker of the browser, and the built-in kernels know no more.
pub const MAX_SMP: u32 = 8;

/// Size in MiB of QEMU's buffer of translated guest code for a guest with this much memory: an eighth of it,
/// from 32 to 256.
pub fn default_tb_size_mib(guest_mib: u32) -> u32 {
    (guest_mib / 8).clamp(32, 256)
}

/// The memory in MiB that a guest of this profile gets.
pub fn guest_memory_mib(profile: &VmProfile, overrides: Option<&VmOverrides>) -> u32 {
    overrides.and_then(|o| o.memory_mib).unwrap_or(profile.memory_mib)
}

/// The size in MiB of the translated code's buffer for this profile.
pub fn tb_size_mib(profile: &VmProfile, overrides: Option<&VmOverrides>) -> u32 {
    overrides
        .and_then(|o| o.tb_size_mib)
        .unwrap_or_else(|| default_tb_size_mib(guest_memory_mib(profile, overrides)))
}

/// The WebAssembly heap in MiB that QEMU needs for this machine: its shared memory's initial and maximum
/// size. It may exceed [`MAX_HEAP_MIB`], which [`crate::build_qemu_args`] reports as an error.
pub fn required_heap_mib(profile: &VmProfile, overrides: Option<&VmOverrides>) -> u32 {
    heap_mib(
        guest_memory_mib(profile, overrides),
        tb_size_mib(profile, overrides),
    )
}

/// The heap in MiB for this much guest memory and translated code.
pub(crate) fn heap_mib(guest_mib: u32, tb_size_mib: u32) -> u32 {
    guest_mib.saturating_add(tb_size_mib).saturating_add(QEMU_OWN_MIB)
}

/// The most guest memory in MiB whose heap fits, with the default buffer of translated code.
pub fn largest_guest_mib() -> u32 {
    // Guests of this size have the largest buffer.
    let tb_size_mib = default_tb_size_mib(MAX_HEAP_MIB);
    MAX_HEAP_MIB - QEMU_OWN_MIB - tb_size_mib
}
