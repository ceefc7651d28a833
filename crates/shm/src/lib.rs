//! Memory that is shared with QEMU.
//!
//! QEMU lays a [`directory`] of channels in its own WebAssembly memory; each has [`ring`]s of bytes and says of what kind it is
//! and which of our Workers it belongs to, so that each pumps its own. QEMU is as untrusted as the guest that it runs: every
//! word is checked before it is used, our own counters are kept out of the shared memory, and what a channel may cost is
//! bounded by a [`budget`].
//!
//! Pure, but for `web`, which exists on wasm32 only: waiting for QEMU, and the pumps.

pub mod block;
pub mod budget;
pub mod directory;
mod memory;
pub mod ring;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use memory::SharedMemory;
