//! What a file is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::canonical::{Canonical, Invalid, check_count, check_number, check_text};
use crate::hash::ContentHash;

/// Bytes of each chunk of a file but the last, which may have fewer: 4 MiB.
pub const CHUNK: usize = 4 << 20;
/// Most chunks of a file: files have at most 1 TiB.
pub const MOST_CHUNKS: usize = 1 << 18;
/// Most bytes of a file.
pub const MOST_FILE: u64 = MOST_CHUNKS as u64 * CHUNK as u64;
/// Most bytes of a MIME type.
const MOST_MIME: usize = 255;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestType {
    /// A disk image of QEMU's own format.
    Qcow2,
    /// A disk image without a format.
    Raw,
    /// A CD or DVD: ISO 9660.
    Iso,
    /// A WebAssembly module, such as a QEMU.
    Wasm,
    /// A kernel.
    Kernel,
    /// An initial RAM disk.
    Initrd,
    /// A VM's profile.
    Profile,
    /// A page's traffic: HAR, JSON lines or pcapng.
    Capture,
    /// The state of a VM.
    Snapshot,
    /// What a VM has printed.
    Log,
    /// A layer, or another blob, of an OCI image.
    OciLayer,
    /// Anything else.
    Generic,
}

impl ManifestType {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Qcow2,
        Self::Raw,
        Self::Iso,
        Self::Wasm,
        Self::Kernel,
        Self::Initrd,
        Self::Profile,
        Self::Capture,
        Self::Snapshot,
        Self::Log,
        Self::OciLayer,
        Self::Generic,
    ];

    /// Its name, as in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Iso => "iso",
            Self::Wasm => "wasm",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Profile => "profile",
            Self::Capture => "capture",
            Self::Snapshot => "snapshot",
            Self::Log => "log",
            Self::OciLayer => "oci-layer",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for ManifestType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobChunk {
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// How many they are.
    pub size: u64,
}

/// A file's content: its chunks, in order. What a file is called and where it comes from is no part of it, so that the same
/// content of the same type has the same manifest, and that the same hash, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileManifest {
    /// 1.
    pub version: u32,
    /// What the file is.
    #[serde(rename = "type")]
    pub kind: ManifestType,
    /// Its size in bytes.
    pub total_size: u64,
    /// Its chunks: all of [`CHUNK`] bytes but the last, which has at least one.
    pub chunks: Vec<BlobChunk>,
    /// Its MIME type, where one is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mime_type: Option<String>,
}

impl FileManifest {
    /// The manifest of a file with these chunks.
    ///
    /// # Errors
    /// [`Invalid`] unless it is one.
    pub fn new(
        kind: ManifestType,
        chunks: Vec<BlobChunk>,
        mime_type: Option<String>,
    ) -> Result<Self, Invalid> {
        let manifest = Self {
            version: 1,
            kind,
            total_size: chunks.iter().map(|chunk| chunk.size).fold(0, u64::saturating_add),
            chunks,
            mime_type,
        };
        manifest.check()?;
        Ok(manifest)
    }
}

impl Canonical for FileManifest {
    const WHAT: &'static str = "a file's manifest";
    const MOST_BYTES: usize = 32 << 20;

    fn check(&self) -> Result<(), Invalid> {
        if self.version != 1 {
            return Err(Invalid::new("version 1 of a file's manifest", self.version));
        }
        check_count("chunks", self.chunks.len(), MOST_CHUNKS)?;
        check_number("a size", self.total_size)?;
        let mut left = self.total_size;
        for (index, chunk) in self.chunks.iter().enumerate() {
            let expected = left.min(CHUNK as u64);
            if chunk.size != expected || expected == 0 {
                return Err(Invalid::new(
                    format!(
                        "{expected} bytes in chunk {index} of a file of {} bytes",
                        self.total_size
                    ),
                    chunk.size,
                ));
            }
            left -= expected;
        }
        if left > 0 {
            return Err(Invalid::new(
                format!("chunks of {} bytes in all", self.total_size),
                self.total_size - left,
            ));
        }
        if let Some(mime) = &self.mime_type {
            check_text("a MIME type", mime, MOST_MIME)?;
            if mime.is_empty() {
                return Err(Invalid::new("a MIME type, or none", "an empty text"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(size: u64) -> BlobChunk {
        let hash = ContentHash::of(&size.to_le_bytes());
        BlobChunk { hash, size }
    }

    #[test]
    fn names_are_those_of_the_encoding() {
        for kind in ManifestType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn a_file_has_one_division_into_chunks() {
        let whole = CHUNK as u64;
        let manifest = |sizes: &[u64]| {
            let chunks = sizes.iter().map(|size| chunk(*size)).collect();
            FileManifest::new(ManifestType::Raw, chunks, None)
        };
        for good in [&[][..], &[1], &[whole], &[whole, 1], &[whole, whole]] {
            assert!(manifest(good).is_ok(), "{good:?}");
        }
        for bad in [
            &[0][..],
            &[whole + 1],
            &[1, 1],
            &[whole, 0],
            &[1, whole],
            &[u64::MAX, u64::MAX],
        ] {
            assert!(manifest(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let manifest = FileManifest::new(ManifestType::Iso, vec![chunk(7)], Some("a/b".into())).unwrap();
        let bytes = manifest.encode().unwrap();
        assert_eq!(FileManifest::decode(&bytes).unwrap(), manifest);
        let text = String::from_utf8(bytes).unwrap();
        let others = [
            format!("{text} "),
            text.replace("{\"hash", "{ \"hash"),
            text.replace(":7", ":7.0"),
            text.replace(":7", ":7e0"),
            text.replace("a/b", "a\\/b"),
            text.replace("\"version\":1", "\"version\":2"),
            text.replace("\"version\":1", "\"version\":1,\"x\":1"),
            text.replace("\"mimeType\":\"a/b\"", "\"mimeType\":null"),
            text.replace("iso", "vhd"),
            text.replace("a/b", "a\\nb\\u001b"),
        ];
        for other in others {
            assert_ne!(other, text);
            assert!(FileManifest::decode(other.as_bytes()).is_err(), "{other}");
        }
    }
}
