//! How much is kept, and what it saves to keep each chunk once.

use std::collections::{HashMap, HashSet};

use super::Atlas;
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::records::Quota;

/// Figures of a store, in bytes but for the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files.
    pub files: usize,
    /// What their sizes come to.
    pub size: u64,
    /// Different chunks of theirs.
    pub chunks: usize,
    /// The bytes of these.
    pub stored: u64,
    /// Files that were deleted and can be brought back.
    pub deleted: usize,
    /// Bytes of chunks that only these have.
    pub deleted_only: u64,
    /// What the browser says.
    pub quota: Quota,
}

impl Usage {
    /// What it saves to keep each chunk once.
    pub fn saved(&self) -> u64 {
        self.size - self.stored.min(self.size)
    }
}

impl Atlas {
    /// Counts, by way of all manifests.
    ///
    /// # Errors
    /// [`AtlasError::Store`], [`AtlasError::Invalid`].
    pub async fn usage(&self) -> Result<Usage, AtlasError> {
        let mut usage = Usage::default();
        let (files, deleted) = self.with_catalogue(|catalogue| {
            usage.files = catalogue.files().count();
            usage.size = catalogue.files().map(|file| file.size).sum();
            usage.deleted = catalogue.deleted().count();
            let hashes = |file: &crate::metadata::FileMetadata| file.manifest_hash;
            let files: HashSet<ContentHash> = catalogue.files().map(hashes).collect();
            let deleted: HashSet<ContentHash> = catalogue.deleted().map(hashes).collect();
            (files, deleted)
        });
        let of_files = self.chunks_of(&files).await?;
        let of_deleted = self.chunks_of(&deleted).await?;
        usage.chunks = of_files.len();
        usage.stored = of_files.values().sum();
        let only = of_deleted.iter().filter(|(hash, _)| !of_files.contains_key(hash));
        usage.deleted_only = only.map(|(_, size)| size).sum();
        usage.quota = self.records().quota().await?;
        Ok(usage)
    }

    async fn chunks_of(
        &self,
        manifests: &HashSet<ContentHash>,
    ) -> Result<HashMap<ContentHash, u64>, AtlasError> {
        let mut chunks = HashMap::new();
        for hash in manifests {
            match self.manifest(*hash).await {
                Ok(manifest) => {
                    chunks.extend(manifest.chunks.iter().map(|chunk| (chunk.hash, chunk.size)));
                }
                // It went meanwhile.
                Err(AtlasError::Unknown { .. }) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(chunks)
    }
}
