//! Files of a store into a bundle.

use std::collections::{BTreeMap, BTreeSet};

use qemuweb_storage::transfer::{Sink, Watch};
use sha2::{Digest, Sha256};

use super::{
    BundleFile, CHUNK_RECORD, END, FILE, MAGIC, MANIFEST, MOST_FILES, MOST_RECORDS, SIGNATURE, STATEMENT,
    VERSION,
};
use crate::canonical::{Canonical, check_count};
use crate::error::{AtlasError, Damage};
use crate::hash::ContentHash;
use crate::store::{Atlas, Hold, report};

/// Bytes that go to the sink at once, if there are as many.
const WINDOW: usize = 1 << 20;

/// All of a bundle but the chunks' bytes.
struct Plan {
    records: Vec<([u8; 4], Vec<u8>)>,
    /// Chunks with their sizes, and a file and a place in it where each is.
    chunks: BTreeMap<ContentHash, (u64, String, usize)>,
    _hold: Hold,
}

impl Atlas {
    /// Writes files with all that belongs to them to `sink`, and returns how many bytes that were. The order of the names and
    /// how often each is named make no difference.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Damaged`], [`AtlasError::Cancelled`], [`AtlasError::Sink`]; what was written is
    /// of no use then.
    pub async fn export_bundle(
        &self,
        file_names: &[String],
        sink: &mut dyn Sink,
        watch: &mut dyn Watch,
    ) -> Result<u64, AtlasError> {
        let plan = self.plan(file_names).await?;
        let mut counts = [0_u64; 5];
        let mut output = Output {
            sink,
            bytes: Vec::new(),
            written: 0,
            hash: Sha256::new(),
        };
        output
            .write(&[&MAGIC[..], &VERSION.to_le_bytes()].concat())
            .await?;
        for (tag, bytes) in plan.records {
            let place = [MANIFEST, STATEMENT, SIGNATURE, FILE]
                .iter()
                .position(|known| *known == tag);
            counts[place.unwrap_or(0)] += 1;
            output.record(tag, &bytes).await?;
        }
        let total: u64 = plan.chunks.values().map(|(size, ..)| size).sum();
        let mut done = 0;
        report(watch, done, total).await?;
        for (hash, (size, file, chunk)) in plan.chunks {
            let looked = self.look(hash).await?;
            let bytes = looked.map_err(|found| Damage {
                file,
                chunk,
                expected: hash,
                found,
            })?;
            counts[4] += 1;
            output.head(CHUNK_RECORD, size).await?;
            output.put(&bytes).await?;
            done += size;
            report(watch, done, total).await?;
        }
        let digest: [u8; 32] = output.hash.clone().finalize().into();
        let mut end: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        end.extend(digest);
        output.record(END, &end).await?;
        output.flush().await?;
        Ok(output.written)
    }

    async fn plan(&self, names: &[String]) -> Result<Plan, AtlasError> {
        let _turn = self.turn().await?;
        let hold = self.hold();
        let names: BTreeSet<&String> = names.iter().collect();
        check_count("files", names.len(), MOST_FILES)?;
        let (mut manifests, mut files) = (BTreeMap::new(), Vec::new());
        let (mut chunks, mut latest) = (BTreeMap::new(), BTreeSet::new());
        for name in names {
            let file = self.find(name).ok_or_else(|| AtlasError::Unknown {
                what: "file",
                id: name.clone(),
            })?;
            let manifest = self.manifest(file.manifest_hash).await?;
            hold.add_file(file.manifest_hash, &manifest);
            for (index, chunk) in manifest.chunks.iter().enumerate() {
                chunks
                    .entry(chunk.hash)
                    .or_insert_with(|| (chunk.size, name.clone(), index));
            }
            manifests.insert(file.manifest_hash, manifest.encode()?);
            latest.extend(file.provenance_id);
            let file = BundleFile {
                name: file.name,
                manifest_hash: file.manifest_hash,
                tags: file.tags,
                provenance_id: file.provenance_id,
            };
            files.push((FILE, file.encode()?));
        }
        let mut records: Vec<_> = manifests.into_values().map(|bytes| (MANIFEST, bytes)).collect();
        let mut signatures = BTreeMap::new();
        for record in self.ancestry(latest).await? {
            records.push((STATEMENT, record.statement.encode()?));
            for signature in &record.signatures {
                let bytes = [&record.id.as_bytes()[..], &signature.encode()?].concat();
                signatures.insert((record.id, signature.public_key), bytes);
            }
        }
        records.extend(signatures.into_values().map(|bytes| (SIGNATURE, bytes)));
        records.extend(files);
        let lengths = records.iter().map(|(_, bytes)| bytes.len() as u64);
        let size: u64 = lengths.sum();
        if size > MOST_RECORDS {
            return Err(AtlasError::TooLarge {
                what: "a bundle's manifests and metadata".into(),
                most: MOST_RECORDS,
                size,
            });
        }
        Ok(Plan {
            records,
            chunks,
            _hold: hold,
        })
    }
}

/// Appends to a sink, in pieces that are not small.
struct Output<'a> {
    sink: &'a mut dyn Sink,
    bytes: Vec<u8>,
    written: u64,
    /// Of all but the chunks' bytes.
    hash: Sha256,
}

impl Output<'_> {
    async fn head(&mut self, tag: [u8; 4], length: u64) -> Result<(), AtlasError> {
        self.write(&[&tag[..], &length.to_le_bytes()].concat()).await
    }

    async fn record(&mut self, tag: [u8; 4], bytes: &[u8]) -> Result<(), AtlasError> {
        self.head(tag, bytes.len() as u64).await?;
        self.write(bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), AtlasError> {
        self.hash.update(bytes);
        self.put(bytes).await
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), AtlasError> {
        if self.bytes.len() + bytes.len() > WINDOW {
            self.flush().await?;
        }
        self.written += bytes.len() as u64;
        if bytes.len() >= WINDOW {
            return self.sink.write(bytes).await.map_err(failed);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), AtlasError> {
        if !self.bytes.is_empty() {
            self.sink.write(&self.bytes).await.map_err(failed)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

fn failed(reason: String) -> AtlasError {
    AtlasError::Sink { reason }
}
