//! Whether what is kept is what was put.

use std::collections::{HashMap, HashSet};

use qemuweb_storage::transfer::Watch;

use super::{Atlas, Hold, report};
use crate::error::{AtlasError, Damage, Found};
use crate::hash::ContentHash;
use crate::manifest::FileManifest;
use crate::metadata::FileMetadata;

/// What is the matter with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A chunk of it is.
    Chunk(Damage),
    /// Its manifest cannot be read.
    Manifest {
        /// What the file is called.
        file: String,
        /// The manifest's hash.
        manifest: ContentHash,
        /// What is the matter with it.
        reason: String,
    },
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files that were looked at.
    pub files: usize,
    /// Different chunks of theirs.
    pub chunks: usize,
    /// The bytes of these.
    pub bytes: u64,
    /// What is wrong, by file and chunk.
    pub faults: Vec<Fault>,
}

impl Atlas {
    /// Reads all of a file and compares it with its hashes.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Cancelled`], [`AtlasError::Store`]. What is damaged is no error, but told.
    pub async fn verify(&self, id: &str, watch: &mut dyn Watch) -> Result<Verified, AtlasError> {
        let file = self.stat(id)?;
        self.verify_files(vec![file], watch).await
    }

    /// Reads all files, deleted ones that can be brought back too, and each chunk once.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub async fn verify_all(&self, watch: &mut dyn Watch) -> Result<Verified, AtlasError> {
        let mut files = self.list_files(&Default::default());
        files.extend(self.list_deleted());
        self.verify_files(files, watch).await
    }

    async fn verify_files(
        &self,
        files: Vec<FileMetadata>,
        watch: &mut dyn Watch,
    ) -> Result<Verified, AtlasError> {
        let total = files.iter().map(|file| file.size).sum();
        let mut done = 0;
        let mut verified = Verified::default();
        let mut good = HashSet::new();
        let mut bad: HashMap<ContentHash, Found> = HashMap::new();
        for file in files {
            verified.files += 1;
            let (manifest, _hold) = match self.held_manifest(file.manifest_hash).await {
                Ok(manifest) => manifest,
                Err(error @ (AtlasError::Unknown { .. } | AtlasError::Invalid(_))) => {
                    verified.faults.push(Fault::Manifest {
                        file: file.name,
                        manifest: file.manifest_hash,
                        reason: error.to_string(),
                    });
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (index, chunk) in manifest.chunks.iter().enumerate() {
                if !good.contains(&chunk.hash) && !bad.contains_key(&chunk.hash) {
                    verified.chunks += 1;
                    verified.bytes += chunk.size;
                    match self.look(chunk.hash).await? {
                        Ok(_) => drop(good.insert(chunk.hash)),
                        Err(found) => drop(bad.insert(chunk.hash, found)),
                    }
                }
                if let Some(found) = bad.get(&chunk.hash) {
                    verified.faults.push(Fault::Chunk(Damage {
                        file: file.name.clone(),
                        chunk: index,
                        expected: chunk.hash,
                        found: found.clone(),
                    }));
                }
                done += chunk.size;
                report(watch, done, total).await?;
            }
        }
        Ok(verified)
    }

    async fn held_manifest(&self, hash: ContentHash) -> Result<(FileManifest, Hold), AtlasError> {
        let _turn = self.turn().await?;
        let manifest = self.manifest(hash).await?;
        let hold = self.hold();
        hold.add_file(hash, &manifest);
        Ok((manifest, hold))
    }
}
