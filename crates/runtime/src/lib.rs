//! What the contexts of QemuWeb say to each other, and the pure logic behind it.
//!
//! A panel or popup holds a [`client::QemuClient`]; it sends [`protocol::Command`]s to the VM host (the
//! offscreen document) and receives [`protocol::Event`]s. The host runs each VM in a Worker of its own, to
//! which it speaks [`vm_worker`]'s messages, and exchanges bytes with QEMU over [`ring`]s in shared memory
//! that it finds through the [`directory`].
//!
//! Everything here is pure and tested natively; what needs the browser lives in [`web`] and exists on
//! wasm32 only.

pub mod client;
pub mod console;
pub mod directory;
pub mod protocol;
pub mod qmp;
pub mod ring;
pub mod vm_worker;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use qemuweb_wire::{capabilities, failure, monitor, state};

pub use capabilities::RuntimeCapabilities;
pub use client::QemuClient;
pub use failure::Failure;
pub use state::VmState;
