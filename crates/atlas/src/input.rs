//! Foreign bytes in order. No memory is taken for what is not there.

use qemuweb_storage::image::Source;

use crate::error::AtlasError;

/// Bytes that are read at once.
const WINDOW: u64 = 1 << 20;

/// What is read.
pub(crate) struct Input<'a> {
    source: &'a dyn Source,
    size: u64,
    /// Where the next byte is that nobody has looked at.
    at: u64,
    /// What was read from there on, from `used` on.
    bytes: Vec<u8>,
    used: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(source: &'a dyn Source, size: u64) -> Self {
        Self {
            source,
            size,
            at: 0,
            bytes: Vec::new(),
            used: 0,
        }
    }

    /// Where the next byte is.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes there are in all.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> u64 {
        self.size - self.at
    }

    /// The next `count` bytes, which belong to `what`.
    pub(crate) async fn take(&mut self, count: usize, what: &str) -> Result<Vec<u8>, AtlasError> {
        if count as u64 > self.left() {
            return Err(AtlasError::malformed(
                self.at,
                format!("{count} bytes of {what}"),
                format!("the end after {}", self.left()),
            ));
        }
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let piece = self.some(count - taken.len()).await?;
            taken.extend_from_slice(piece);
        }
        Ok(taken)
    }

    /// The next bytes, `most` or fewer, but at least one if `most` is not 0 and there are any.
    pub(crate) async fn some(&mut self, most: usize) -> Result<&[u8], AtlasError> {
        if self.used == self.bytes.len() && most > 0 {
            let length = WINDOW.min(self.left()) as usize;
            self.bytes = self.source.fetch(self.at, length).await?;
            self.used = 0;
            if self.bytes.len() != length {
                let found = format!("{} bytes", self.bytes.len());
                return Err(AtlasError::malformed(self.at, format!("{length} bytes"), found));
            }
        }
        let count = most.min(self.bytes.len() - self.used);
        let start = self.used;
        self.used += count;
        self.at += count as u64;
        Ok(&self.bytes[start..start + count])
    }
}
