//! QEMU's memory in the browser: waiting for a word to change, and the pumps of the channels that are ours.

mod link;
mod memory;
mod outlet;

pub use link::{Link, PumpError};
pub use memory::{JsSharedMemory, WaitError};
pub use outlet::{Level, Outlet};
