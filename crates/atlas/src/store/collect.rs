//! Collection of what nothing refers to.
//!
//! What files, deleted files, pins and holds lead to is marked; then manifests that are not marked go, and after the last one
//! of them chunks, in transactions of a few. A manifest thus never names a chunk that was collected, wherever it is cut off,
//! and another collection does the rest. What was held since it began stays, even if nobody holds it any longer: it may have
//! been registered meanwhile.

use std::collections::HashSet;

use qemuweb_storage::transfer::Watch;

use super::{Atlas, all_keys, report};
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::records::{Batch, Table};

/// Records that go in one transaction.
const BATCH: usize = 64;

/// What a collection has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Manifests that went.
    pub manifests: usize,
    /// Chunks that went.
    pub chunks: usize,
}

/// Ends a collection, also one whose future is dropped.
struct Collecting<'a>(&'a Atlas);

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        let mut holds = self.0.inner.holds.borrow_mut();
        holds.since = None;
        holds.going.clear();
    }
}

impl Atlas {
    /// Removes what nothing refers to. Only one collection goes on at a time; another one returns at once, with nothing done.
    ///
    /// # Errors
    /// [`AtlasError::Cancelled`], [`AtlasError::Store`]; some may be gone then. [`AtlasError::Invalid`] when a manifest that
    /// is needed cannot be read: nothing goes then, as nobody knows which chunks are its.
    pub async fn collect(&self, watch: &mut dyn Watch) -> Result<Collected, AtlasError> {
        let roots = {
            let _turn = self.turn().await?;
            let mut holds = self.inner.holds.borrow_mut();
            if holds.since.is_some() {
                return Ok(Collected::default());
            }
            holds.since = Some(holds.held().collect());
            self.with_catalogue(|catalogue| {
                let files = catalogue.files().chain(catalogue.deleted());
                files.map(|file| file.manifest_hash).collect::<HashSet<_>>()
            })
        };
        let _collecting = Collecting(self);
        let mut manifests = roots;
        manifests.extend(self.pins().await?.into_iter().map(|(manifest, _)| manifest));
        let mut chunks = HashSet::new();
        let total = manifests.len() as u64;
        for (done, manifest) in (1..).zip(&manifests) {
            let manifest = match self.manifest(*manifest).await {
                Ok(manifest) => manifest,
                // It is lost, and with it the knowledge of its chunks: there is nothing to lose by going on.
                Err(AtlasError::Unknown { .. }) => continue,
                Err(error) => return Err(error),
            };
            chunks.extend(manifest.chunks.iter().map(|chunk| chunk.hash));
            report(watch, done, total).await?;
        }
        Ok(Collected {
            manifests: self.sweep(Table::Manifests, &manifests, watch).await?,
            chunks: self.sweep(Table::Chunks, &chunks, watch).await?,
        })
    }

    async fn sweep(
        &self,
        table: Table,
        marked: &HashSet<ContentHash>,
        watch: &mut dyn Watch,
    ) -> Result<usize, AtlasError> {
        let keys = all_keys(self.records(), table, "").await?;
        let mut count = 0;
        for (done, keys) in (1..).zip(keys.chunks(BATCH)) {
            count += self.sweep_some(table, keys, marked).await?;
            report(watch, done * BATCH as u64, keys.len() as u64).await?;
        }
        Ok(count)
    }

    async fn sweep_some(
        &self,
        table: Table,
        keys: &[String],
        marked: &HashSet<ContentHash>,
    ) -> Result<usize, AtlasError> {
        let _turn = self.turn().await?;
        let mut batch = Batch::default();
        {
            let mut holds = self.inner.holds.borrow_mut();
            for key in keys {
                // What has no hash for a name is nobody's.
                let hash = key.parse::<ContentHash>().ok();
                if hash.is_some_and(|hash| marked.contains(&hash) || holds.is_held(&hash)) {
                    continue;
                }
                holds.going.extend(hash);
                batch.delete(table, key);
            }
        }
        let count = batch.deletes.len();
        let done = if batch.is_empty() {
            Ok(())
        } else {
            self.records().commit(batch).await
        };
        self.inner.holds.borrow_mut().going.clear();
        done?;
        Ok(count)
    }
}
