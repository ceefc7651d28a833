//! Files with all that belongs to them, as one file that can be read as it comes.
//!
//! It begins with `QWAB` and the version, 1, in 4 bytes. Then come records: a tag of 4 bytes, the number of bytes that follow
//! in 8 bytes, and these. Numbers are little-endian. There are, in this order:
//!
//! | tag | what | in the order of |
//! |---|---|---|
//! | `MANI` | a [`FileManifest`](crate::manifest::FileManifest), canonical | hashes |
//! | `PROV` | a [`Statement`](crate::provenance::Statement), canonical | parents first |
//! | `SIGN` | the hash of a statement, 32 bytes, and a [`SignatureRecord`](crate::provenance::signature::SignatureRecord), canonical | hashes, and keys |
//! | `FILE` | a [`BundleFile`], canonical | names |
//! | `CHNK` | a chunk of a manifest | hashes; each once |
//! | `ENDS` | how many there are of each of these, 8 bytes each, and the SHA-256 of all before, without the bytes of chunks | |
//!
//! The file ends with the end. Each manifest is a file's, each file has its manifest, all parents of statements are there, and
//! the chunks are those of the manifests. Thus, when the first chunk comes, it is known which will come and how long the file
//! is, and the same files give the same bytes, from whatever store. When a file was registered, how it came to a store and who
//! may read it there is that store's own and not in the file.

mod import;
mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use import::{ImportResult, OnConflict, Outcome};

use crate::canonical::{Canonical, Invalid};
use crate::hash::ContentHash;
use crate::metadata::{check_name, check_tags};

const MAGIC: [u8; 4] = *b"QWAB";
const VERSION: u32 = 1;
const MANIFEST: [u8; 4] = *b"MANI";
const STATEMENT: [u8; 4] = *b"PROV";
const SIGNATURE: [u8; 4] = *b"SIGN";
const FILE: [u8; 4] = *b"FILE";
const CHUNK_RECORD: [u8; 4] = *b"CHNK";
const END: [u8; 4] = *b"ENDS";
/// Bytes of the file's beginning.
const HEADER_BYTES: usize = 8;
/// Bytes of a record's tag and length.
const RECORD_BYTES: usize = 12;
/// Bytes of the end, after its tag and length.
const END_BYTES: usize = 5 * 8 + 32;
/// Most files of a bundle.
pub const MOST_FILES: usize = 100_000;
/// Most bytes of all that is not chunks.
pub const MOST_RECORDS: u64 = 64 << 20;

/// A file in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleFile {
    /// What it is called.
    pub name: String,
    /// Its content.
    pub manifest_hash: ContentHash,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
    /// The latest record of where it comes from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provenance_id: Option<ContentHash>,
}

impl Canonical for BundleFile {
    const WHAT: &'static str = "a bundle's file";
    const MOST_BYTES: usize = 64 << 10;

    fn check(&self) -> Result<(), Invalid> {
        check_name(&self.name)?;
        check_tags(&self.tags)
    }
}
