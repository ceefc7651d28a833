//! HAR 1.2, the HTTP archive that browsers export and import, with Chromium's additions.
//!
//! Files and entries come from pages and strangers: an entry that is no entry is left out with a reason, and what is
//! too large is cut. Reading takes the file, one entry and what is kept of it in memory, however deep or odd the rest is.

mod model;
mod read;
mod write;

pub use read::{Archive, HarError, Skipped, read_archive, read_entry};
pub use write::write_archive;

#[cfg(test)]
mod tests;
