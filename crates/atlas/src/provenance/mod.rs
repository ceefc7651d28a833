//! Where files come from: records that cannot be edited.
//!
//! A record is known by the hash of its statement, which names its parents by theirs: to change one would give it another
//! name, which nothing that came after it knows; and none can be its own ancestor. Signatures are over the statement's bytes
//! and stand beside it, so that they may be added later.

pub(crate) mod chain;
pub mod signature;

use serde::{Deserialize, Serialize};

use crate::canonical::{Canonical, Invalid, check_count, check_number, check_text};
use crate::hash::ContentHash;
use signature::SignatureRecord;

/// Most parents of a record.
pub const MOST_PARENTS: usize = 64;
/// Most signatures of a record.
pub const MOST_SIGNATURES: usize = 16;
/// Most records in a chain that is followed.
pub const MOST_CHAIN: usize = 10_000;
const MOST_TEXT: usize = 4096;
const MOST_ARGUMENTS: usize = 256;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvenanceType {
    /// The content was made, or came here first.
    Create,
    /// It was made of other content.
    Derive,
    /// It came from another store.
    Import,
    /// A build has made it.
    Build,
    /// Somebody says that they have looked at it.
    Attest,
}

/// Who has done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person.
    User,
    /// The assistant.
    Assistant,
    /// A build.
    Build,
    /// The extension by itself.
    System,
}

/// How a build has made content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildInfo {
    /// What was run, such as `qemu-wasm/build.sh`.
    pub builder: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// Where the sources are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// Which of them: a commit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revision: Option<String>,
    /// Arguments, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub arguments: Vec<String>,
    /// When it began, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished: Option<u64>,
}

/// How content was made of other content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DerivationRecord {
    /// The manifests of what it was made of.
    pub inputs: Vec<ContentHash>,
    /// What was done, such as `convert` or `export`.
    pub operation: String,
    /// With what settings, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub arguments: Vec<String>,
}

/// What a record says, and all that its hash is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// 1.
    pub version: u32,
    /// The content that it is about.
    pub manifest_hash: ContentHash,
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: ProvenanceType,
    /// Who has done it.
    pub actor: Actor,
    /// The records that came before: in order, each once.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parents: Vec<ContentHash>,
    /// When, in milliseconds since 1970, as far as the actor knew.
    pub created: u64,
    /// How a build has made it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub build_info: Option<BuildInfo>,
    /// What it was made of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub derivation: Option<DerivationRecord>,
    /// What there is to say besides.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

impl Statement {
    /// A statement without parents, and with nothing to say besides.
    pub fn new(manifest_hash: ContentHash, kind: ProvenanceType, actor: Actor, created: u64) -> Self {
        Self {
            version: 1,
            manifest_hash,
            kind,
            actor,
            parents: Vec::new(),
            created,
            build_info: None,
            derivation: None,
            note: None,
        }
    }
}

impl Canonical for Statement {
    const WHAT: &'static str = "a record of provenance";
    const MOST_BYTES: usize = 64 << 10;

    fn check(&self) -> Result<(), Invalid> {
        if self.version != 1 {
            return Err(Invalid::new("version 1 of a record of provenance", self.version));
        }
        check_number("a time", self.created)?;
        check_count("parents", self.parents.len(), MOST_PARENTS)?;
        if self.parents.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Invalid::new("parents in order, each once", "another order"));
        }
        if let Some(build) = &self.build_info {
            let optional = [&build.version, &build.source, &build.revision];
            let texts = optional.into_iter().flatten().chain([&build.builder]);
            check_texts(texts.chain(&build.arguments))?;
            check_count("arguments", build.arguments.len(), MOST_ARGUMENTS)?;
            for time in [build.started, build.finished].into_iter().flatten() {
                check_number("a time", time)?;
            }
        }
        if let Some(derivation) = &self.derivation {
            check_count("inputs", derivation.inputs.len(), MOST_PARENTS)?;
            check_count("arguments", derivation.arguments.len(), MOST_ARGUMENTS)?;
            check_texts(derivation.arguments.iter().chain([&derivation.operation]))?;
        }
        check_texts(&self.note)
    }
}

fn check_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<(), Invalid> {
    texts
        .into_iter()
        .try_for_each(|text| check_text("a text", text, MOST_TEXT))
}

/// A statement with its name and its signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenanceRecord {
    /// The hash of the statement's canonical bytes.
    pub id: ContentHash,
    /// What it says.
    #[serde(flatten)]
    pub statement: Statement,
    /// Who vouches for it, in the order of their keys.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub signatures: Vec<SignatureRecord>,
}
