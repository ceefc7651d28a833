//! What people keep in the extension: files to boot from, and profiles of their own.

pub mod actions;
pub mod state;
pub mod stored;
