//! What Atlas needs of a database, of the clock and of who hashes.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::hash::ContentHash;

/// The tables, each of keys with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Chunks of files, by their hash; up to 4 MiB. A database may split them into smaller records.
    Chunks,
    /// [`FileManifest`](crate::manifest::FileManifest)s, by their hash.
    Manifests,
    /// [`FileMetadata`](crate::metadata::FileMetadata) of files, by their id.
    Files,
    /// The same of files that were deleted and can be brought back.
    Deleted,
    /// [`Statement`](crate::provenance::Statement)s, by their hash.
    Provenance,
    /// [`SignatureRecord`](crate::provenance::signature::SignatureRecord)s, by the statement's hash, `/`, and the key.
    Signatures,
    /// [`TrustedKey`](crate::provenance::signature::TrustedKey)s, by the key.
    Keys,
    /// Nothing, by the manifest's hash, `/`, and who needs it.
    Pins,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Chunks,
        Self::Manifests,
        Self::Files,
        Self::Deleted,
        Self::Provenance,
        Self::Signatures,
        Self::Keys,
        Self::Pins,
    ];
}

/// Where the records after some key begin, and how many of them are wanted.
#[derive(Clone, Debug)]
pub struct Page {
    /// They begin with this.
    pub prefix: String,
    /// They come after this one.
    pub after: Option<String>,
    /// At most so many.
    pub most: usize,
}

/// What one transaction changes: what goes, and then what comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records that go; they need not be there.
    pub deletes: Vec<(Table, String)>,
    /// Records that come, or take the place of others.
    pub puts: Vec<(Table, String, Vec<u8>)>,
}

impl Batch {
    pub(crate) fn put(&mut self, table: Table, key: impl ToString, bytes: Vec<u8>) {
        self.puts.push((table, key.to_string(), bytes));
    }

    pub(crate) fn delete(&mut self, table: Table, key: impl ToString) {
        self.deletes.push((table, key.to_string()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.puts.is_empty()
    }
}

/// What there is room for, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// What is used, by all that shares the quota.
    pub used: u64,
    /// What may be used.
    pub total: u64,
}

/// A database of which there is one user.
#[async_trait(?Send)]
pub trait Records {
    /// The bytes of a record.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether there is a record.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn contains(&self, table: Table, key: &str) -> Result<bool, StoreError>;

    /// The keys of a page, in the order of their bytes. Fewer than are wanted mean that there are no more.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn keys(&self, table: Table, page: &Page) -> Result<Vec<String>, StoreError>;

    /// The keys and bytes of a page, as for [`Self::keys`].
    ///
    /// # Errors
    /// [`StoreError`].
    async fn records(&self, table: Table, page: &Page) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Makes all changes of `batch`, or none. Returns once they would survive a loss of power.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] and others; then nothing has changed.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// How full it is.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn quota(&self) -> Result<Quota, StoreError>;
}

/// What Atlas needs besides.
#[async_trait(?Send)]
pub trait Environment {
    /// Milliseconds since 1970.
    fn now(&self) -> u64;

    /// A name that nothing else has: at most 128 bytes.
    fn new_id(&self) -> String;

    /// The hash of `bytes`; where the browser hashes faster than we do, it may.
    async fn hash(&self, bytes: &[u8]) -> ContentHash {
        ContentHash::of(bytes)
    }
}
