//! An image that is a file on the person's computer, or a Blob.
//!
//! The file is known by its size and its time of change. Browsers refuse to read a `File` that has changed since it was chosen;
//! what a `FileSystemFileHandle` stands for is looked at again whenever something is read.

use async_trait::async_trait;

use crate::device::{BlockError, SharedRuntime};
use crate::image::{ImageBlockDevice, Policy, Source};

/// What a file is known by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    /// Its size in bytes.
    pub size: u64,
    /// When it was changed last, in milliseconds since the epoch; 0 for a Blob, which never changes.
    pub modified: f64,
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes", self.size)?;
        if self.modified > 0.0 {
            write!(formatter, ", changed {} ms after 1970", self.modified)?;
        }
        Ok(())
    }
}

/// Reads slices of a file.
#[async_trait(?Send)]
pub trait Slices {
    /// What the file is known by now.
    ///
    /// # Errors
    /// What the browser says when it is gone, or may not be read.
    async fn stamp(&self) -> Result<Stamp, String>;

    /// The bytes from `start` to before `end`, and what the file that they come from is known by.
    ///
    /// # Errors
    /// What the browser says.
    async fn slice(&self, start: u64, end: u64) -> Result<(Stamp, Vec<u8>), String>;
}

/// Each read costs a message to another process, whatever its size: about a millisecond.
const POLICY: Policy = Policy {
    page: 64 << 10,
    longest: 1 << 20,
    ahead: 2 << 20,
    spare: 8 << 20,
    spare_share: 1,
    kept: 32 << 20,
    in_flight: 8,
};

/// A read-only disk that is a file.
pub type FileBlockDevice<F> = ImageBlockDevice<FileSource<F>>;

/// A file.
pub struct FileSource<F> {
    name: String,
    slices: F,
    stamp: Stamp,
}

impl<F: Slices> FileSource<F> {
    /// Opens the file that people know as `name`.
    ///
    /// # Errors
    /// [`BlockError::Unreadable`].
    pub async fn open(name: impl Into<String>, slices: F) -> Result<Self, BlockError> {
        let name = name.into();
        match slices.stamp().await {
            Ok(stamp) => Ok(Self { name, slices, stamp }),
            Err(reason) => Err(BlockError::Unreadable {
                id: name,
                offset: 0,
                length: 0,
                reason,
            }),
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.stamp.size
    }
}

impl<F: Slices + 'static> FileBlockDevice<F> {
    /// Opens the file that people know as `name`.
    ///
    /// # Errors
    /// [`BlockError::Unreadable`].
    pub async fn open(
        name: impl Into<String>,
        slices: F,
        runtime: SharedRuntime,
    ) -> Result<Self, BlockError> {
        let source = FileSource::open(name, slices).await?;
        Ok(Self::new(
            source.name.clone(),
            source.stamp.to_string(),
            source.size(),
            source,
            POLICY,
            runtime,
        ))
    }
}

#[async_trait(?Send)]
impl<F: Slices> Source for FileSource<F> {
    async fn fetch(&self, offset: u64, length: usize) -> Result<Vec<u8>, BlockError> {
        let changed = |found: String| BlockError::Changed {
            id: self.name.clone(),
            expected: self.stamp.to_string(),
            found,
        };
        match self.slices.slice(offset, offset + length as u64).await {
            Ok((stamp, _)) if stamp != self.stamp => Err(changed(stamp.to_string())),
            Ok((_, bytes)) if bytes.len() != length => Err(changed(format!(
                "{} bytes at {offset} where {length} were",
                bytes.len()
            ))),
            Ok((_, bytes)) => Ok(bytes),
            // A file that was changed cannot be read any longer: what it is now says why.
            Err(reason) => match self.slices.stamp().await {
                Ok(stamp) if stamp != self.stamp => Err(changed(stamp.to_string())),
                _ => Err(BlockError::Unreadable {
                    id: self.name.clone(),
                    offset,
                    length: length as u64,
                    reason,
                }),
            },
        }
    }
}
