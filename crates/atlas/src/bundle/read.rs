//! A bundle, as it comes from somebody else. Nothing in it is believed before it is checked.

use std::collections::{BTreeMap, BTreeSet};

use qemuweb_storage::image::Source;
use sha2::{Digest, Sha256};

use super::{
    BundleFile, CHUNK_RECORD, END, END_BYTES, FILE, HEADER_BYTES, MAGIC, MANIFEST, MOST_FILES, MOST_RECORDS,
    RECORD_BYTES, SIGNATURE, STATEMENT, VERSION,
};
use crate::canonical::{Canonical, Invalid};
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::input::Input;
use crate::manifest::{CHUNK, FileManifest};
use crate::provenance::chain::in_order;
use crate::provenance::signature::{PublicKey, SignatureRecord};
use crate::provenance::{MOST_CHAIN, Statement};

/// All of a bundle but its chunks.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) manifests: BTreeMap<ContentHash, FileManifest>,
    /// Parents first.
    pub(crate) statements: Vec<(ContentHash, Statement)>,
    pub(crate) signatures: Vec<(ContentHash, SignatureRecord)>,
    /// In the order of their names.
    pub(crate) files: Vec<BundleFile>,
    /// The chunks that come, with their sizes.
    pub(crate) chunks: BTreeMap<ContentHash, u64>,
}

/// A bundle that is read: first the contents, then each chunk, and then the end.
pub(crate) struct Bundle<'a> {
    input: Input<'a>,
    hash: Sha256,
    /// The hash before the latest record.
    before: Sha256,
    /// The head that was read and that belongs to what comes next.
    pending: Option<Head>,
    /// Bytes of records so far.
    records: u64,
    counts: [u64; 5],
}

/// A record's tag, its length, and where it begins.
type Head = ([u8; 4], u64, u64);

impl<'a> Bundle<'a> {
    /// Reads what comes before the chunks.
    pub(crate) async fn open(source: &'a dyn Source, size: u64) -> Result<(Self, Contents), AtlasError> {
        let mut bundle = Self {
            input: Input::new(source, size),
            hash: Sha256::new(),
            before: Sha256::new(),
            pending: None,
            records: 0,
            counts: [0; 5],
        };
        let header = bundle.take(HEADER_BYTES, "the header of a bundle").await?;
        if header[..4] != MAGIC {
            let found = format!("{:?}", String::from_utf8_lossy(&header[..4]));
            return Err(AtlasError::malformed(
                0,
                "a bundle, which begins with QWAB",
                found,
            ));
        }
        let version = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if version != VERSION {
            return Err(AtlasError::malformed(
                4,
                format!("version {VERSION}"),
                format!("version {version}"),
            ));
        }
        let contents = bundle.contents().await?;
        Ok((bundle, contents))
    }

    pub(crate) fn at(&self) -> u64 {
        self.input.at()
    }

    async fn contents(&mut self) -> Result<Contents, AtlasError> {
        let mut contents = Contents::default();
        let mut known = BTreeSet::new();
        let mut last_key: Option<(ContentHash, PublicKey)> = None;
        let mut section = 0;
        loop {
            let head @ (tag, length, at) = self.head().await?;
            let tags = [MANIFEST, STATEMENT, SIGNATURE, FILE];
            let Some(place) = tags.iter().position(|known| *known == tag) else {
                contents.check(at)?;
                self.check_rest(&contents, at)?;
                self.pending = Some(head);
                return Ok(contents);
            };
            if place < section {
                return Err(AtlasError::malformed(at, "records in their order", name(tag)));
            }
            section = place;
            let bytes = self.payload(length, at).await?;
            self.counts[place] += 1;
            let wrong = |error: Invalid| AtlasError::malformed(at, error.expected, error.found);
            match tag {
                MANIFEST => {
                    let hash = ContentHash::of(&bytes);
                    check_order(
                        at,
                        contents.manifests.last_key_value().map(|(hash, _)| hash),
                        &hash,
                    )?;
                    let manifest = FileManifest::decode(&bytes).map_err(wrong)?;
                    contents.manifests.insert(hash, manifest);
                }
                STATEMENT => {
                    let (hash, statement) =
                        (ContentHash::of(&bytes), Statement::decode(&bytes).map_err(wrong)?);
                    if let Some(parent) = statement.parents.iter().find(|parent| !known.contains(*parent)) {
                        return Err(AtlasError::malformed(
                            at,
                            format!("{parent}, a parent, before"),
                            "none",
                        ));
                    }
                    if !known.insert(hash) || known.len() > MOST_CHAIN {
                        let most = format!("at most {MOST_CHAIN} records of provenance, each once");
                        return Err(AtlasError::malformed(at, most, "others"));
                    }
                    contents.statements.push((hash, statement));
                }
                SIGNATURE => {
                    let Some((hash, bytes)) = bytes.split_first_chunk::<32>() else {
                        return Err(AtlasError::malformed(
                            at,
                            "a signature",
                            format!("{length} bytes"),
                        ));
                    };
                    let hash = ContentHash::from_bytes(*hash);
                    let signature = SignatureRecord::decode(bytes).map_err(wrong)?;
                    let key = (hash, signature.public_key);
                    check_order(at, last_key.as_ref(), &key)?;
                    if !known.contains(&hash) {
                        return Err(AtlasError::malformed(at, "a record that is signed", hash));
                    }
                    last_key = Some(key);
                    contents.signatures.push((hash, signature));
                }
                _ => {
                    let file = BundleFile::decode(&bytes).map_err(wrong)?;
                    check_order(at, contents.files.last().map(|file| &file.name), &file.name)?;
                    if contents.files.len() == MOST_FILES {
                        return Err(AtlasError::malformed(at, format!("{MOST_FILES} files"), "more"));
                    }
                    if let Some(record) = file.provenance_id.filter(|record| !known.contains(record)) {
                        return Err(AtlasError::malformed(
                            at,
                            format!("the file's record {record}"),
                            "none",
                        ));
                    }
                    contents.files.push(file);
                }
            }
        }
    }

    /// Checks that the file is as long as the chunks that come are, before any is read.
    fn check_rest(&self, contents: &Contents, at: u64) -> Result<(), AtlasError> {
        let heads = (contents.chunks.len() + 1) * RECORD_BYTES;
        let chunks = contents
            .chunks
            .values()
            .fold(0_u64, |sum, size| sum.saturating_add(*size));
        let expected = chunks.saturating_add((heads + END_BYTES) as u64);
        let found = self.input.size() - at;
        if expected != found {
            return Err(AtlasError::malformed(
                at,
                format!("{expected} bytes of chunks and the end"),
                format!("{found} bytes"),
            ));
        }
        Ok(())
    }

    /// The chunk of this hash and size, or the hash of what is in its place.
    pub(crate) async fn chunk(
        &mut self,
        hash: ContentHash,
        size: u64,
    ) -> Result<Result<Vec<u8>, ContentHash>, AtlasError> {
        let (tag, length, at) = self.head().await?;
        if tag != CHUNK_RECORD || length != size || size > CHUNK as u64 {
            let found = format!("{}, {length} bytes", name(tag));
            return Err(AtlasError::malformed(at, format!("CHNK, {size} bytes"), found));
        }
        self.counts[4] += 1;
        // Its own hash is checked: it is no part of the end's.
        let bytes = self.input.take(size as usize, "a chunk").await?;
        let found = ContentHash::of(&bytes);
        Ok(if found == hash { Ok(bytes) } else { Err(found) })
    }

    /// Checks the end.
    pub(crate) async fn end(mut self) -> Result<(), AtlasError> {
        let (tag, length, at) = self.head().await?;
        let before: [u8; 32] = self.before.clone().finalize().into();
        if tag != END || length != END_BYTES as u64 {
            let found = format!("{}, {length} bytes", name(tag));
            return Err(AtlasError::malformed(
                at,
                format!("ENDS, {END_BYTES} bytes"),
                found,
            ));
        }
        let bytes = self.take(END_BYTES, "the end").await?;
        let counts: Vec<u8> = self.counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        if bytes[..40] != counts {
            let expected = "as many records of each kind as the end says";
            return Err(AtlasError::malformed(at, expected, format!("{:?}", self.counts)));
        }
        if bytes[40..] != before {
            return Err(AtlasError::malformed(
                at,
                "the checksum of all before",
                "another one",
            ));
        }
        if self.input.left() > 0 {
            let found = format!("{} bytes more", self.input.left());
            return Err(AtlasError::malformed(
                self.input.at(),
                "the end of the file",
                found,
            ));
        }
        Ok(())
    }

    async fn head(&mut self) -> Result<Head, AtlasError> {
        if let Some(head) = self.pending.take() {
            return Ok(head);
        }
        let at = self.input.at();
        self.before = self.hash.clone();
        let bytes = self.take(RECORD_BYTES, "a record").await?;
        let mut length = [0; 8];
        length.copy_from_slice(&bytes[4..]);
        Ok((
            [bytes[0], bytes[1], bytes[2], bytes[3]],
            u64::from_le_bytes(length),
            at,
        ))
    }

    async fn payload(&mut self, length: u64, at: u64) -> Result<Vec<u8>, AtlasError> {
        self.records = self.records.saturating_add(length);
        if self.records > MOST_RECORDS {
            return Err(AtlasError::malformed(
                at,
                format!("at most {MOST_RECORDS} bytes of manifests and metadata"),
                format!("{} or more", self.records),
            ));
        }
        self.take(length as usize, "a record").await
    }

    async fn take(&mut self, count: usize, what: &str) -> Result<Vec<u8>, AtlasError> {
        let bytes = self.input.take(count, what).await?;
        self.hash.update(&bytes);
        Ok(bytes)
    }
}

impl Contents {
    /// Checks that files and manifests belong together, and finds out which chunks come.
    fn check(&mut self, at: u64) -> Result<(), AtlasError> {
        let used: BTreeSet<_> = self.files.iter().map(|file| file.manifest_hash).collect();
        if let Some(hash) = used.iter().find(|hash| !self.manifests.contains_key(*hash)) {
            return Err(AtlasError::malformed(at, format!("the manifest {hash}"), "none"));
        }
        if let Some(hash) = self.manifests.keys().find(|hash| !used.contains(*hash)) {
            return Err(AtlasError::malformed(
                at,
                format!("a file of the manifest {hash}"),
                "none",
            ));
        }
        let parents = |(id, statement): &(ContentHash, Statement)| (*id, statement.parents.clone());
        let ordered = in_order(&self.statements.iter().map(parents).collect());
        if !ordered.iter().eq(self.statements.iter().map(|(id, _)| id)) {
            let expected = "records of provenance in the order of their hashes, where parents leave it open";
            return Err(AtlasError::malformed(at, expected, "another order"));
        }
        for chunk in self.manifests.values().flat_map(|manifest| &manifest.chunks) {
            let size = *self.chunks.entry(chunk.hash).or_insert(chunk.size);
            if size != chunk.size {
                let expected = format!("{size} bytes in the chunk {}", chunk.hash);
                return Err(AtlasError::malformed(at, expected, chunk.size));
            }
        }
        Ok(())
    }
}

fn name(tag: [u8; 4]) -> String {
    format!("{:?}", String::from_utf8_lossy(&tag))
}

fn check_order<T: Ord>(at: u64, last: Option<&T>, next: &T) -> Result<(), AtlasError> {
    if last.is_some_and(|last| last >= next) {
        return Err(AtlasError::malformed(
            at,
            "records in their order, each once",
            "another order",
        ));
    }
    Ok(())
}
