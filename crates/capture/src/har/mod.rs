//! HAR 1.2, the HTTP archive that browsers export and import, with what recorders add to it.
//!
//! Files and entries come from pages and strangers: an entry that is no entry is left out with a reason, a field that
//! is odd is mended or left aside with a remark, and what is too large is cut. Reading takes the file, one entry and
//! what is kept of it in memory, and one walk over the file, however deep or odd it is.
//!
//! | module | what it does |
//! |---|---|
//! | `text` | bytes to text; what a file is that is no archive |
//! | `archive` | finds the entries of a file, damaged or not |
//! | `fields` | finds the fields of an entry, and reads each by itself |
//! | `read`, `messages`, `failure` | make an exchange of an entry |
//! | `lists` | what stands in HAR's lists only: query, cookies, fields of forms |
//! | `remarks` | what is told to the person |
//! | `write`, `model` | makes entries of exchanges |

mod archive;
mod failure;
mod fields;
mod lists;
mod messages;
mod model;
mod read;
mod remarks;
mod text;
mod write;

pub use archive::{Archive, HarError, Skipped, read_archive, read_entry};
pub use remarks::{Fate, Remark, Remarks};
pub(crate) use text::mend_surrogates;
pub use write::write_archive;

#[cfg(test)]
mod tests;
