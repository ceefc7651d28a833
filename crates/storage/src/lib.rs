//! Disks: where a guest's sectors come from, and where they are kept.
pub mod cow;
pub mod device;
pub mod file;
pub mod http;
pub mod image;
pub mod memory;
pub mod overlay;
pub mod serve;
#[cfg(test)]
mod testing;
#[cfg(target_arch = "wasm32")]
pub mod web;
