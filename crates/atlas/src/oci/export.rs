//! Files of a store into an OCI archive.

use std::collections::{BTreeMap, BTreeSet};

use qemuweb_storage::transfer::{Sink, Watch};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::archive::{end, header, padding};
use super::{
    ARTIFACT_TYPE, CONFIG_TYPE, Descriptor, FILE_TYPE, INDEX_TYPE, ImageIndex, ImageManifest, KIND, LAYOUT,
    MANIFEST_TYPE, MIME, REFERENCE, TITLE,
};
use crate::canonical::{Invalid, check_count};
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::store::{Atlas, FileReader, report};

/// Most files of an archive.
const MOST_FILES: usize = 1000;

impl Atlas {
    /// Writes files as one OCI artifact that is called `reference`, such as `latest`. Each file is read twice, as its hash
    /// comes before it.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Damaged`], [`AtlasError::Cancelled`], [`AtlasError::Sink`].
    pub async fn export_oci(
        &self,
        file_names: &[String],
        reference: &str,
        sink: &mut dyn Sink,
        watch: &mut dyn Watch,
    ) -> Result<(), AtlasError> {
        check_count("files", file_names.len(), MOST_FILES)?;
        let mut files = Vec::new();
        for name in file_names.iter().collect::<BTreeSet<_>>() {
            let file = self.find(name).ok_or_else(|| AtlasError::Unknown {
                what: "file",
                id: name.clone(),
            })?;
            files.push(self.open_file(&file.id).await?);
        }
        let total = files
            .iter()
            .map(FileReader::size)
            .fold(0, u64::saturating_add)
            .saturating_mul(2);
        let mut done = 0;
        let (mut layers, mut blobs) = (Vec::new(), BTreeMap::new());
        for file in &files {
            let mut hash = Sha256::new();
            pieces(file, &mut done, total, watch, &mut async |bytes: &[u8]| {
                hash.update(bytes);
                Ok(())
            })
            .await?;
            let hash = ContentHash::from_bytes(hash.finalize().into());
            blobs.insert(hash, file);
            let mut annotations = BTreeMap::from([
                (TITLE.to_owned(), file.name().to_owned()),
                (KIND.to_owned(), file.manifest().kind.name().to_owned()),
            ]);
            annotations.extend(
                file.manifest()
                    .mime_type
                    .clone()
                    .map(|mime| (MIME.to_owned(), mime)),
            );
            layers.push(descriptor(FILE_TYPE, hash, file.size(), annotations));
        }
        let diff_ids: Vec<&String> = layers.iter().map(|layer| &layer.digest).collect();
        let config = encode(&json!({
            "architecture": "unknown",
            "os": "unknown",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }))?;
        let of_bytes = |kind: &str, bytes: &[u8], annotations| {
            descriptor(kind, ContentHash::of(bytes), bytes.len() as u64, annotations)
        };
        let manifest = encode(&ImageManifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.into()),
            artifact_type: Some(ARTIFACT_TYPE.into()),
            config: of_bytes(CONFIG_TYPE, &config, BTreeMap::new()),
            layers,
        })?;
        let called = BTreeMap::from([(REFERENCE.to_owned(), reference.to_owned())]);
        let index = encode(&ImageIndex {
            schema_version: 2,
            media_type: Some(INDEX_TYPE.into()),
            manifests: vec![of_bytes(MANIFEST_TYPE, &manifest, called)],
        })?;
        let mut small = BTreeMap::from([
            ("index.json".to_owned(), index),
            ("oci-layout".to_owned(), LAYOUT.as_bytes().to_vec()),
        ]);
        for bytes in [config, manifest] {
            small.insert(path(ContentHash::of(&bytes)), bytes);
        }
        for folder in ["blobs/", "blobs/sha256/"] {
            write(sink, &header(folder, EntryType::Directory, 0)?).await?;
        }
        for (path, bytes) in small {
            let size = bytes.len() as u64;
            let file = [header(&path, EntryType::Regular, size)?, bytes, padding(size)].concat();
            write(sink, &file).await?;
        }
        for (hash, file) in blobs {
            write(sink, &header(&path(hash), EntryType::Regular, file.size())?).await?;
            pieces(file, &mut done, total, watch, &mut async |bytes: &[u8]| {
                write(sink, bytes).await
            })
            .await?;
            write(sink, &padding(file.size())).await?;
        }
        write(sink, &end()).await?;
        report(watch, total, total).await
    }
}

/// Gives `take` all of a file, chunk by chunk.
async fn pieces(
    file: &FileReader,
    done: &mut u64,
    total: u64,
    watch: &mut dyn Watch,
    take: &mut impl AsyncFnMut(&[u8]) -> Result<(), AtlasError>,
) -> Result<(), AtlasError> {
    for chunk in 0..file.manifest().chunks.len() {
        let bytes = file.chunk(chunk).await?;
        take(&bytes).await?;
        *done += bytes.len() as u64;
        report(watch, *done, total).await?;
    }
    Ok(())
}

async fn write(sink: &mut dyn Sink, bytes: &[u8]) -> Result<(), AtlasError> {
    if bytes.is_empty() {
        return Ok(());
    }
    sink.write(bytes)
        .await
        .map_err(|reason| AtlasError::Sink { reason })
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, AtlasError> {
    let bytes = serde_json_canonicalizer::to_vec(value);
    Ok(bytes.map_err(|error| Invalid::new("what JSON can say", error))?)
}

fn descriptor(
    media_type: &str,
    hash: ContentHash,
    size: u64,
    annotations: BTreeMap<String, String>,
) -> Descriptor {
    Descriptor {
        media_type: media_type.into(),
        digest: hash.to_string(),
        size,
        annotations,
    }
}

fn path(hash: ContentHash) -> String {
    format!("blobs/sha256/{}", hash.hex())
}
