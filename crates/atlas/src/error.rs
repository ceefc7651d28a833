//! How Atlas fails.

use qemuweb_storage::device::BlockError;

use crate::canonical::Invalid;
use crate::hash::ContentHash;

/// What a database does instead of what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no room left.
    #[error("there is no room left: {reason}")]
    NoSpace {
        /// What the browser says.
        reason: String,
    },
    /// It failed.
    #[error("the database failed: {reason}")]
    Failed {
        /// What the browser says.
        reason: String,
    },
}

/// What was found where a chunk should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Other bytes.
    Other(ContentHash),
}

impl std::fmt::Display for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("nothing"),
            Self::Other(hash) => hash.fmt(formatter),
        }
    }
}

/// A chunk of a file is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged: in chunk {chunk} expected {expected}, found {found}")]
pub struct Damage {
    /// What the file is called.
    pub file: String,
    /// Which of its chunks, from 0.
    pub chunk: usize,
    /// The hash that its manifest names.
    pub expected: ContentHash,
    /// What is there.
    pub found: Found,
}

/// Why Atlas did not do what it was asked. Each says what to do next in [`AtlasError::next_step`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtlasError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What somebody wants to keep, or what is kept, breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    Unknown {
        /// What: a file, a manifest.
        what: &'static str,
        /// What it would be known by.
        id: String,
    },
    /// Another file is called the same.
    #[error("another file is called {name}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A file is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// More bytes than can be had at once.
    #[error("expected at most {most} bytes of {what} at once, found {size}")]
    TooLarge {
        /// Of what.
        what: String,
        /// Most bytes.
        most: u64,
        /// How many there are.
        size: u64,
    },
    /// What is read does not lie in the file.
    #[error("expected a part of the {size} bytes of {file}, found {length} bytes at {offset}")]
    OutOfRange {
        /// What the file is called.
        file: String,
        /// Where the part begins.
        offset: u64,
        /// Its length in bytes.
        length: u64,
        /// The file's size in bytes.
        size: u64,
    },
    /// Somebody has cancelled it.
    #[error("it was cancelled")]
    Cancelled,
    /// What is read could not be read.
    #[error(transparent)]
    Source(#[from] BlockError),
    /// What is written could not be written.
    #[error("it could not be written: {reason}")]
    Sink {
        /// What the browser says.
        reason: String,
    },
    /// A bundle or an OCI image is none, or is damaged or cut.
    #[error("at byte {at}: expected {expected}, found {found}")]
    Malformed {
        /// Where in it.
        at: u64,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// A record of provenance names a parent that is not there.
    #[error("the record's parent {parent} is not there")]
    NoParent {
        /// The parent.
        parent: ContentHash,
    },
    /// A signature does not fit.
    #[error("the signature by {key} does not fit the record {record}")]
    BadSignature {
        /// The record.
        record: ContentHash,
        /// The key.
        key: String,
    },
    /// A signature could not be made.
    #[error("the record could not be signed: {reason}")]
    Unsigned {
        /// What the browser says.
        reason: String,
    },
}

impl AtlasError {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Store(StoreError::NoSpace { .. }) => {
                "Remove files that you no longer need, or free space on this computer, and try again: nothing has changed."
            }
            Self::Store(StoreError::Failed { .. }) => "Try again. If it stays so, restart the browser.",
            Self::Invalid(_) => "Change what is named, and try again: nothing has changed.",
            Self::Unknown { .. } => "Look at the list of files: somebody else may have removed it.",
            Self::NameTaken { .. } => "Choose another name.",
            Self::Damaged(_) => "Get the file again from where it came from: this copy cannot be used.",
            Self::TooLarge { .. } => "Read it piece by piece.",
            Self::OutOfRange { .. } => "This is a fault of QemuWeb: please report it.",
            Self::Cancelled => "Nothing has changed: begin again whenever you like.",
            Self::Source(error) => error.next_step(),
            Self::Sink { .. } => "Check that there is room where the file goes, and export again.",
            Self::Malformed { .. } => "Get the file again, or export it again; nothing was imported.",
            Self::NoParent { .. } => "Import what the record was made after, too.",
            Self::BadSignature { .. } => "Ask who has sent it for another copy; do not trust this one.",
            Self::Unsigned { .. } => "Make a new key, and sign again.",
        }
    }

    pub(crate) fn malformed(at: u64, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Malformed {
            at,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
