//! A bundle into a store. What is not yet checked is seen by nobody: chunks are written as they come, each under the hash that
//! it has, and manifests, records and files in one transaction at the end.

use std::collections::{HashMap, HashSet};

use qemuweb_storage::image::Source;
use qemuweb_storage::transfer::Watch;

use super::read::{Bundle, Contents};
use crate::canonical::Canonical;
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::metadata::{FileMetadata, FileOrigin};
use crate::provenance::MOST_SIGNATURES;
use crate::provenance::chain::signature_key;
use crate::provenance::signature::fits;
use crate::records::{Batch, Table};
use crate::store::{Atlas, report};

/// What becomes of a file of a bundle, if another one is called the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It stays out.
    #[default]
    KeepOurs,
    /// It gets a name with a number.
    KeepBoth,
}

/// What has become of a file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is registered.
    New,
    /// There is a file of this name with the same content.
    AlreadyThere,
    /// There is a file of this name with other content.
    Conflicting {
        /// What it is called now, if both are kept.
        kept_as: Option<String>,
    },
    /// A chunk of it is damaged.
    Rejected {
        /// Which one of its chunks, from 0.
        chunk: usize,
        /// The hash that its manifest names.
        expected: ContentHash,
        /// That of what is there.
        found: ContentHash,
    },
}

/// What an import has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportResult {
    /// The bundle's files, in the order of their names.
    pub files: Vec<(String, Outcome)>,
    /// Bytes of chunks that were not there.
    pub written: u64,
    /// Records of provenance that were not there.
    pub records: usize,
    /// Signatures that were not there.
    pub signatures: usize,
    /// Signatures that do not fit, or are too many, and stay out: the records, and the keys.
    pub rejected_signatures: Vec<(ContentHash, String)>,
}

impl Atlas {
    /// Takes in a bundle of `size` bytes. A file with a damaged chunk is rejected; any other fault rejects all of the bundle.
    ///
    /// # Errors
    /// [`AtlasError::Malformed`] with the place of the fault, [`AtlasError::Cancelled`], [`AtlasError::Source`],
    /// [`AtlasError::Store`]; nothing is registered then.
    pub async fn import_bundle(
        &self,
        bundle: &dyn Source,
        size: u64,
        on_conflict: OnConflict,
        watch: &mut dyn Watch,
    ) -> Result<ImportResult, AtlasError> {
        let (mut bundle, contents) = Bundle::open(bundle, size).await?;
        let hold = self.hold();
        let mut result = ImportResult::default();
        let mut damaged = HashMap::new();
        report(watch, bundle.at(), size).await?;
        for (&hash, &size_of_chunk) in &contents.chunks {
            match bundle.chunk(hash, size_of_chunk).await? {
                Ok(bytes) => {
                    hold.add_present(hash).await;
                    result.written += self.write_chunk(hash, bytes).await?;
                }
                Err(found) => drop(damaged.insert(hash, found)),
            }
            report(watch, bundle.at(), size).await?;
        }
        bundle.end().await?;
        let _turn = self.turn().await?;
        self.register(contents, &damaged, on_conflict, &mut result)
            .await?;
        Ok(result)
    }

    /// Registers what has come, in one transaction.
    async fn register(
        &self,
        contents: Contents,
        damaged: &HashMap<ContentHash, ContentHash>,
        on_conflict: OnConflict,
        result: &mut ImportResult,
    ) -> Result<(), AtlasError> {
        let mut batch = Batch::default();
        self.add_records(&contents, &mut batch, result).await?;
        let mut files = Vec::new();
        let mut taken: HashSet<String> = HashSet::new();
        for file in contents.files {
            let manifest = &contents.manifests[&file.manifest_hash];
            let fault = manifest.chunks.iter().enumerate().find_map(|(chunk, of)| {
                let (expected, found) = (of.hash, *damaged.get(&of.hash)?);
                Some(Outcome::Rejected {
                    chunk,
                    expected,
                    found,
                })
            });
            let outcome =
                fault.unwrap_or_else(|| self.meet(&file.name, file.manifest_hash, on_conflict, &taken));
            let name = match &outcome {
                Outcome::New => Some(file.name.clone()),
                Outcome::Conflicting { kept_as } => kept_as.clone(),
                _ => None,
            };
            result.files.push((file.name, outcome));
            let Some(name) = name else { continue };
            taken.insert(name.clone());
            let now = self.environment().now();
            let file = FileMetadata {
                id: self.environment().new_id(),
                name,
                manifest_hash: file.manifest_hash,
                kind: manifest.kind,
                size: manifest.total_size,
                origin: FileOrigin::Imported,
                tags: file.tags,
                // That is for the person here to say.
                shared_with_assistant: false,
                provenance_id: file.provenance_id,
                created: now,
                modified: now,
            };
            batch.put(Table::Manifests, file.manifest_hash, manifest.encode()?);
            batch.put(Table::Files, &file.id, file.encode()?);
            files.push(file);
        }
        self.change(batch, |catalogue| {
            files.into_iter().for_each(|file| catalogue.insert(file))
        })
        .await
    }

    /// What is to become of a whole file.
    pub(crate) fn meet(
        &self,
        name: &str,
        manifest_hash: ContentHash,
        on_conflict: OnConflict,
        taken: &HashSet<String>,
    ) -> Outcome {
        let is_taken = |name: &str| taken.contains(name) || self.find(name).is_some();
        match self.find(name) {
            Some(ours) if ours.manifest_hash == manifest_hash => Outcome::AlreadyThere,
            None if !taken.contains(name) => Outcome::New,
            _ if on_conflict == OnConflict::KeepOurs => Outcome::Conflicting { kept_as: None },
            _ => {
                let names = (2..).map(|number: u64| format!("{name} ({number})"));
                let mut free = names.filter(|name| !is_taken(name));
                // A name that is too long already stays out.
                let kept_as = free
                    .next()
                    .filter(|name| crate::metadata::check_name(name).is_ok());
                Outcome::Conflicting { kept_as }
            }
        }
    }

    async fn add_records(
        &self,
        contents: &Contents,
        batch: &mut Batch,
        result: &mut ImportResult,
    ) -> Result<(), AtlasError> {
        let mut bytes_of = HashMap::new();
        let mut counts: HashMap<ContentHash, usize> = HashMap::new();
        for (id, statement) in &contents.statements {
            let bytes = statement.encode()?;
            if self
                .records()
                .contains(Table::Provenance, &id.to_string())
                .await?
            {
                counts.insert(*id, self.provenance(*id).await?.signatures.len());
            } else {
                batch.put(Table::Provenance, id, bytes.clone());
                result.records += 1;
            }
            bytes_of.insert(*id, bytes);
        }
        for (id, signature) in &contents.signatures {
            let key = signature_key(*id, signature.public_key);
            if self.records().contains(Table::Signatures, &key).await? {
                continue;
            }
            let count = counts.entry(*id).or_default();
            let message = bytes_of.get(id).map(Vec::as_slice).unwrap_or_default();
            if *count == MOST_SIGNATURES || !fits(signature, message) {
                let key = signature.public_key.to_string();
                result.rejected_signatures.push((*id, key));
                continue;
            }
            *count += 1;
            batch.put(Table::Signatures, key, signature.encode()?);
            result.signatures += 1;
        }
        Ok(())
    }
}
