//! What a file is called, and what people say about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::canonical::{Canonical, Invalid, check_count, check_number, check_text};
use crate::hash::ContentHash;
use crate::manifest::ManifestType;

/// Most bytes of a name.
pub const MOST_NAME: usize = 1024;
/// Most tags of a file.
pub const MOST_TAGS: usize = 64;
/// Most bytes of a tag.
pub const MOST_TAG: usize = 128;

/// How a file came to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileOrigin {
    /// A person chose it.
    Uploaded,
    /// A build has made it.
    Built,
    /// The assistant, or a VM, has made it.
    Generated,
    /// It was made of another file: an export, a conversion.
    Derived,
    /// It came in a bundle or an OCI image.
    Imported,
    /// It was recorded.
    Captured,
    /// It came from a server.
    Downloaded,
    /// The extension's package brings it.
    Packaged,
}

impl fmt::Display for FileOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// A file that is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileMetadata {
    /// What it is known by, whatever it is called. Of this store only.
    pub id: String,
    /// What it is called; no other file is called the same.
    pub name: String,
    /// Its content.
    pub manifest_hash: ContentHash,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ManifestType,
    /// Its size in bytes.
    pub size: u64,
    /// How it came to be here.
    pub origin: FileOrigin,
    /// Words to find it by: in order, each once.
    pub tags: Vec<String>,
    /// Whether the assistant may read it.
    pub shared_with_assistant: bool,
    /// The latest record of where it comes from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provenance_id: Option<ContentHash>,
    /// When it was registered, in milliseconds since 1970.
    pub created: u64,
    /// When its name, tags or content were changed last, in milliseconds since 1970.
    pub modified: u64,
}

impl Canonical for FileMetadata {
    const WHAT: &'static str = "a file's metadata";
    const MOST_BYTES: usize = 64 << 10;

    fn check(&self) -> Result<(), Invalid> {
        check_text("an id", &self.id, 128)?;
        if self.id.is_empty() {
            return Err(Invalid::new("a file's id", "none"));
        }
        check_name(&self.name)?;
        check_number("a size", self.size)?;
        check_number("a time", self.created)?;
        check_number("a time", self.modified)?;
        check_tags(&self.tags)
    }
}

/// Checks a file's name. Names may look like paths (`images/alpine.iso`) but lead nowhere outside.
pub(crate) fn check_name(name: &str) -> Result<(), Invalid> {
    check_text("a name", name, MOST_NAME)?;
    let is_odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if name.split('/').any(is_odd) || name.contains(['\\', '\n', '\t']) {
        return Err(Invalid::new(
            "a name such as alpine.iso or images/alpine.iso",
            format!("{name:?}"),
        ));
    }
    Ok(())
}

/// Checks tags, and that they are in order.
pub(crate) fn check_tags(tags: &[String]) -> Result<(), Invalid> {
    check_count("tags", tags.len(), MOST_TAGS)?;
    for tag in tags {
        check_text("a tag", tag, MOST_TAG)?;
        if tag.trim().is_empty() || tag.trim() != tag || tag.contains(['\n', '\t']) {
            return Err(Invalid::new("a tag without spaces around it", format!("{tag:?}")));
        }
    }
    if let Some(pair) = tags.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(Invalid::new("tags in order, each once", format!("{pair:?}")));
    }
    Ok(())
}

/// Tags in order, each once.
pub(crate) fn tidy_tags(mut tags: Vec<String>) -> Vec<String> {
    tags.sort();
    tags.dedup();
    tags
}

/// Which files are meant: those for which all holds that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileFilter {
    /// Of one of these types; of any, if there are none.
    #[serde(rename = "types")]
    pub kinds: Vec<ManifestType>,
    /// Of one of these origins; of any, if there are none.
    pub origins: Vec<FileOrigin>,
    /// With all of these tags.
    pub tags: Vec<String>,
    /// With all of these words in the name or in a tag, in capitals or not.
    pub text: String,
    /// Shared with the assistant, or not.
    pub shared_with_assistant: Option<bool>,
    /// With this content.
    pub manifest_hash: Option<ContentHash>,
}

impl FileFilter {
    /// A test of files, made ready for many of them.
    pub(crate) fn matcher(&self) -> impl Fn(&FileMetadata) -> bool {
        let words: Vec<String> = self.text.split_whitespace().map(str::to_lowercase).collect();
        move |file: &FileMetadata| {
            (self.kinds.is_empty() || self.kinds.contains(&file.kind))
                && (self.origins.is_empty() || self.origins.contains(&file.origin))
                && self.tags.iter().all(|tag| file.tags.contains(tag))
                && self
                    .shared_with_assistant
                    .is_none_or(|shared| shared == file.shared_with_assistant)
                && self.manifest_hash.is_none_or(|hash| hash == file.manifest_hash)
                && (words.is_empty() || {
                    let name = file.name.to_lowercase();
                    let tags: Vec<String> = file.tags.iter().map(|tag| tag.to_lowercase()).collect();
                    words
                        .iter()
                        .all(|word| name.contains(word) || tags.iter().any(|tag| tag.contains(word)))
                })
        }
    }
}
