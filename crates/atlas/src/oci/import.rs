//! An OCI archive into a store. Blobs become chunks as they come, which nobody sees; what the index leads to is registered in
//! one transaction at the end.

use std::collections::{BTreeMap, HashSet};

use qemuweb_storage::image::Source;
use qemuweb_storage::transfer::Watch;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::archive::{Archive, Entry};
use super::{Descriptor, INDEX_TYPE, ImageIndex, ImageManifest, KIND, MIME, TITLE};
use crate::bundle::{ImportResult, OnConflict, Outcome};
use crate::canonical::{Canonical, Invalid};
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::input::Input;
use crate::manifest::{BlobChunk, FileManifest, ManifestType};
use crate::metadata::{FileMetadata, FileOrigin, check_name};
use crate::provenance::{Actor, ProvenanceType, Statement};
use crate::records::{Batch, Table};
use crate::store::{Atlas, Hold, report};

/// Most bytes of a manifest or an index, as registries have it.
const MOST_JSON: u64 = 4 << 20;
/// Most blobs of an archive.
const MOST_BLOBS: usize = 10_000;
/// Most manifests and indexes that are followed.
const MOST_MANIFESTS: usize = 64;

/// A blob that has come, and whose hash fits.
struct Blob {
    size: u64,
    chunks: Vec<BlobChunk>,
    _hold: Hold,
}

/// All that has come.
#[derive(Default)]
struct Layout {
    marker: Option<Vec<u8>>,
    index: Option<Vec<u8>>,
    blobs: BTreeMap<ContentHash, Blob>,
    written: u64,
}

impl Atlas {
    /// Takes in the layers of all images in an OCI archive of `size` bytes. A layer is called as its title says, or by its hash
    /// where there is no title that could be a name.
    ///
    /// # Errors
    /// [`AtlasError::Malformed`] with the place of the fault, [`AtlasError::Cancelled`], [`AtlasError::Source`],
    /// [`AtlasError::Store`]; nothing is registered then.
    pub async fn import_oci(
        &self,
        archive: &dyn Source,
        size: u64,
        on_conflict: OnConflict,
        watch: &mut dyn Watch,
    ) -> Result<ImportResult, AtlasError> {
        let mut archive = Archive {
            input: Input::new(archive, size),
        };
        let mut layout = Layout::default();
        while let Some(entry) = archive.next().await? {
            let Entry {
                path,
                size: length,
                at,
            } = entry.clone();
            match path.as_str() {
                "oci-layout" => layout.marker = Some(json(&mut archive, &entry).await?),
                "index.json" => layout.index = Some(json(&mut archive, &entry).await?),
                _ => match path.strip_prefix("blobs/sha256/") {
                    Some(digits) => {
                        let hash: ContentHash = format!("sha256:{digits}")
                            .parse()
                            .map_err(|_| AtlasError::malformed(at, "a blob called by its hash", digits))?;
                        if layout.blobs.len() == MOST_BLOBS {
                            return Err(AtlasError::malformed(at, format!("{MOST_BLOBS} blobs"), "more"));
                        }
                        let blob = self
                            .blob(&mut archive, &entry, hash, watch, &mut layout.written)
                            .await?;
                        layout.blobs.insert(hash, blob);
                        archive.skip_padding(length).await?;
                    }
                    None => archive.skip(length).await?,
                },
            }
            report(watch, archive.input.at(), size).await?;
        }
        let layers = self.layers(&layout, size).await?;
        let _turn = self.turn().await?;
        self.register_layers(&layout, layers, on_conflict).await
    }

    async fn blob(
        &self,
        archive: &mut Archive<'_>,
        entry: &Entry,
        hash: ContentHash,
        watch: &mut dyn Watch,
        written: &mut u64,
    ) -> Result<Blob, AtlasError> {
        let (mut put, mut whole) = (self.put(), Sha256::new());
        while put.received() < entry.size {
            let most = (entry.size - put.received()).min(1 << 20) as usize;
            let bytes = archive.input.some(most).await?;
            whole.update(bytes);
            put.write(bytes).await?;
            report(watch, archive.input.at(), archive.input.size()).await?;
        }
        let found = ContentHash::from_bytes(whole.finalize().into());
        if found != hash {
            return Err(AtlasError::malformed(entry.at, format!("a blob {hash}"), found));
        }
        let (chunks, bytes, hold) = put.into_chunks().await?;
        *written += bytes;
        Ok(Blob {
            size: entry.size,
            chunks,
            _hold: hold,
        })
    }

    /// The layers of all manifests that the index leads to.
    async fn layers(&self, layout: &Layout, end: u64) -> Result<Vec<Descriptor>, AtlasError> {
        let none = |what: &str| AtlasError::malformed(end, format!("{what} in the archive"), "none");
        let marker: serde_json::Value = parse(layout.marker.as_ref().ok_or_else(|| none("oci-layout"))?)?;
        if marker["imageLayoutVersion"] != "1.0.0" {
            return Err(AtlasError::malformed(
                end,
                "an OCI image layout of version 1.0.0",
                marker,
            ));
        }
        let index: ImageIndex = parse(layout.index.as_ref().ok_or_else(|| none("index.json"))?)?;
        let (mut layers, mut next, mut seen) = (Vec::new(), index.manifests, HashSet::new());
        while let Some(descriptor) = next.pop() {
            if !seen.insert(descriptor.digest.clone()) {
                continue;
            }
            if seen.len() > MOST_MANIFESTS {
                return Err(AtlasError::malformed(
                    end,
                    format!("at most {MOST_MANIFESTS} manifests"),
                    "more",
                ));
            }
            let bytes = match &find(layout, &descriptor, end)?.chunks[..] {
                [] => Vec::new(),
                [chunk] if chunk.size <= MOST_JSON => self.get_blob(chunk.hash).await?.unwrap_or_default(),
                _ => {
                    let most = format!("a manifest of at most {MOST_JSON} bytes");
                    return Err(AtlasError::malformed(end, most, descriptor.size));
                }
            };
            if descriptor.media_type == INDEX_TYPE {
                next.extend(parse::<ImageIndex>(&bytes)?.manifests);
            } else {
                layers.extend(parse::<ImageManifest>(&bytes)?.layers);
            }
            if layers.len() > MOST_BLOBS || next.len() > MOST_BLOBS {
                return Err(AtlasError::malformed(
                    end,
                    format!("at most {MOST_BLOBS} layers"),
                    "more",
                ));
            }
        }
        for layer in &layers {
            find(layout, layer, end)?;
        }
        Ok(layers)
    }

    async fn register_layers(
        &self,
        layout: &Layout,
        layers: Vec<Descriptor>,
        on_conflict: OnConflict,
    ) -> Result<ImportResult, AtlasError> {
        let mut result = ImportResult {
            written: layout.written,
            ..ImportResult::default()
        };
        let (mut batch, mut files, mut taken) = (Batch::default(), Vec::new(), HashSet::new());
        let mut seen = HashSet::new();
        for layer in layers {
            let chunks = find(layout, &layer, 0)?.chunks.clone();
            let manifest = manifest(&layer, chunks)?;
            let hash = manifest.hash()?;
            let title = layer
                .annotations
                .get(TITLE)
                .filter(|title| check_name(title).is_ok());
            let called = title.cloned().unwrap_or_else(|| layer.digest.replace(':', "-"));
            // Images share layers.
            if !seen.insert((called.clone(), hash)) {
                continue;
            }
            let outcome = self.meet(&called, hash, on_conflict, &taken);
            let name = match &outcome {
                Outcome::New => Some(called.clone()),
                Outcome::Conflicting { kept_as } => kept_as.clone(),
                _ => None,
            };
            result.files.push((called, outcome));
            let Some(name) = name else { continue };
            taken.insert(name.clone());
            let now = self.environment().now();
            let mut statement = Statement::new(hash, ProvenanceType::Import, Actor::System, now);
            statement.note = Some(format!("A layer of an OCI image, {}", layer.digest));
            let record = self.put_statement(&mut batch, &statement).await?;
            let file = FileMetadata {
                id: self.environment().new_id(),
                name,
                manifest_hash: hash,
                kind: manifest.kind,
                size: manifest.total_size,
                origin: FileOrigin::Imported,
                tags: Vec::new(),
                shared_with_assistant: false,
                provenance_id: Some(record),
                created: now,
                modified: now,
            };
            batch.put(Table::Manifests, hash, manifest.encode()?);
            batch.put(Table::Files, &file.id, file.encode()?);
            result.records += 1;
            files.push(file);
        }
        self.change(batch, |catalogue| {
            files.into_iter().for_each(|file| catalogue.insert(file))
        })
        .await?;
        Ok(result)
    }
}

/// The manifest of a layer: of one of ours, the same that it had.
fn manifest(layer: &Descriptor, chunks: Vec<BlobChunk>) -> Result<FileManifest, Invalid> {
    let told = layer.annotations.get(KIND);
    let kind = ManifestType::ALL
        .into_iter()
        .find(|kind| Some(kind.name()) == told.map(String::as_str));
    let mime = match kind {
        Some(_) => layer.annotations.get(MIME).cloned(),
        None => Some(layer.media_type.clone()).filter(|mime| !mime.is_empty()),
    };
    FileManifest::new(kind.unwrap_or(ManifestType::OciLayer), chunks, mime)
}

fn find<'a>(layout: &'a Layout, descriptor: &Descriptor, at: u64) -> Result<&'a Blob, AtlasError> {
    let hash = descriptor.digest.parse::<ContentHash>().ok();
    let blob = hash.and_then(|hash| layout.blobs.get(&hash));
    let blob =
        blob.ok_or_else(|| AtlasError::malformed(at, format!("the blob {:.80}", descriptor.digest), "none"))?;
    if blob.size != descriptor.size {
        let expected = format!("{} bytes in the blob {}", descriptor.size, descriptor.digest);
        return Err(AtlasError::malformed(at, expected, blob.size));
    }
    Ok(blob)
}

async fn json(archive: &mut Archive<'_>, entry: &Entry) -> Result<Vec<u8>, AtlasError> {
    if entry.size > MOST_JSON {
        let most = format!("{} of at most {MOST_JSON} bytes", entry.path);
        return Err(AtlasError::malformed(entry.at, most, entry.size));
    }
    let bytes = archive.input.take(entry.size as usize, &entry.path).await?;
    archive.skip_padding(entry.size).await?;
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AtlasError> {
    serde_json::from_slice(bytes)
        .map_err(|error| AtlasError::malformed(0, "JSON as in OCI's image specification", error))
}
