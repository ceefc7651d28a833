//! The changes of a disk as a file, without what the disk lies over.
//!
//! All numbers are little-endian. A file is a header, then records of blocks in the order of their numbers, then an end:
//!
//! | | header | block | end |
//! |--:|---|---|---|
//! | 0 | `QWOF` | `QWOB` | `QWOE` |
//! | 4 | version, 1 | CRC-32 of what follows | CRC-32 of what follows |
//! | 8 | CRC-32 of what follows | bytes of the packed pages | number of blocks, 8 bytes |
//! | 12 | bytes in a page, 4096 | block's number, 8 bytes | |
//! | 16 | pages in a block, 64 | | pages that are there, 8 bytes |
//! | 20 | size of the disk in bytes, 8 bytes | pages that are there, a bit each, 8 bytes | |
//! | 24 | | | pages that are zero, 8 bytes |
//! | 28 | bytes of the base's name, at most 64 KiB | pages that are zero, 8 bytes | |
//! | 32 | what the base is known by, UTF-8 | | SHA-256 of all before this record |
//! | 36 | | the pages that are there, packed: deflated (RFC 1951), or as they are if as many bytes | |
//!
//! The file ends with the end. A page is there, is zero, or is neither and thus the base's, as in [`crate::overlay::record`].
//! The same changes give the same bytes, on the same processor: deflate may look for matches in other ways on another.
//!
//! An import reads the file twice: once to check all of it, and once to write. It notices if the file has changed in between
//! before anybody sees the disk.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Contents, import, verify};
pub use write::{export, export_stored};

const VERSION: u32 = 1;
const HEADER: [u8; 4] = *b"QWOF";
const BLOCK_RECORD: [u8; 4] = *b"QWOB";
const END: [u8; 4] = *b"QWOE";
/// Bytes of the records' parts of fixed length.
const HEADER_BYTES: usize = 32;
const BLOCK_BYTES: usize = 36;
const END_BYTES: usize = 64;
/// Most bytes of a base's name.
const MOST_NAME: usize = 64 << 10;
