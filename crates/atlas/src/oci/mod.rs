//! Files as an OCI artifact, and OCI artifacts as files: what other tools read, beside our own bundles.
//!
//! The form is an OCI image layout (image-spec 1.1) as a tar archive, which skopeo and others know as `oci-archive`:
//! `oci-layout`, `index.json`, and blobs under `blobs/sha256`. There is one image manifest with our artifact type. Each file
//! is a layer, as a whole, with its name as the annotation `org.opencontainers.image.title`, as ORAS has it. Its config is an
//! image's, so that tools look at it that know no artifacts. Exporting twice gives the same bytes.

mod archive;
mod export;
mod import;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// What our artifacts are.
pub const ARTIFACT_TYPE: &str = "application/vnd.qemuweb.atlas.v1";
/// What our layers are: a file as it is.
pub const FILE_TYPE: &str = "application/vnd.qemuweb.atlas.file.v1";
/// A file's name.
const TITLE: &str = "org.opencontainers.image.title";
/// A file's [`ManifestType`](crate::manifest::ManifestType).
const KIND: &str = "org.qemuweb.atlas.type";
/// A file's MIME type.
const MIME: &str = "org.qemuweb.atlas.mime-type";
/// What an image is called in a layout.
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// What a blob is, by its hash and size.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    annotations: BTreeMap<String, String>,
}

/// An image's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageManifest {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    artifact_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// A list of manifests, and of such lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageIndex {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    media_type: Option<String>,
    manifests: Vec<Descriptor>,
}
