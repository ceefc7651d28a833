//! Bytes into the store.

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, poll};
use qemuweb_storage::image::Source;
use qemuweb_storage::transfer::Watch;

use super::{Atlas, FileOptions, Hold, report};
use crate::canonical::Canonical;
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::manifest::{BlobChunk, CHUNK, FileManifest, MOST_FILE};
use crate::metadata::FileMetadata;
use crate::records::{Batch, Table};

/// A file that arrives piece by piece. Nobody sees it until [`Self::register`]; to drop it cancels it, and what had come is
/// collected another time. One chunk is written while the next one fills up and is hashed: two are in memory, and three for a
/// database that copies.
pub struct Put {
    hold: Hold,
    chunk: Vec<u8>,
    chunks: Vec<BlobChunk>,
    writing: Option<LocalBoxFuture<'static, Result<u64, AtlasError>>>,
    received: u64,
    written: u64,
}

impl Put {
    /// Bytes that have come.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Of these, bytes of chunks that were not there already, as far as they are written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`AtlasError::TooLarge`], and [`AtlasError::Store`] also for bytes that came before.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), AtlasError> {
        let size = self.received.saturating_add(bytes.len() as u64);
        if size > MOST_FILE {
            return Err(AtlasError::TooLarge {
                what: "a file".into(),
                most: MOST_FILE,
                size,
            });
        }
        while !bytes.is_empty() {
            let count = bytes.len().min(CHUNK - self.chunk.len());
            let (now, later) = bytes.split_at(count);
            self.chunk.extend_from_slice(now);
            self.received += count as u64;
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.end_chunk().await?;
            }
        }
        Ok(())
    }

    async fn end_chunk(&mut self) -> Result<(), AtlasError> {
        let bytes = std::mem::take(&mut self.chunk);
        let atlas = self.hold.atlas().clone();
        let hash = atlas.environment().hash(&bytes).await;
        self.chunks.push(BlobChunk {
            hash,
            size: bytes.len() as u64,
        });
        self.settle().await?;
        self.hold.add_present(hash).await;
        let mut writing = async move { atlas.write_chunk(hash, bytes).await }.boxed_local();
        // The database begins at once; the next chunk is hashed meanwhile.
        match poll!(&mut writing) {
            std::task::Poll::Ready(written) => self.written += written?,
            std::task::Poll::Pending => self.writing = Some(writing),
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), AtlasError> {
        if let Some(writing) = self.writing.take() {
            self.written += writing.await?;
        }
        Ok(())
    }

    /// Ends the file, whose manifest is there then, but referred to by nothing: it is kept as long as the hold.
    ///
    /// # Errors
    /// As for [`Self::write`], and [`AtlasError::Invalid`].
    pub async fn finish(mut self, options: &FileOptions) -> Result<(ContentHash, Hold), AtlasError> {
        let (hash, bytes) = self.end(options).await?;
        let mut batch = Batch::default();
        batch.put(Table::Manifests, hash, bytes);
        self.hold.atlas().records().commit(batch).await?;
        Ok((hash, self.hold))
    }

    /// Ends the file and registers it under `name`, in one transaction.
    ///
    /// # Errors
    /// [`AtlasError::NameTaken`], and as for [`Self::finish`]; then nothing is registered.
    pub async fn register(mut self, name: &str, options: FileOptions) -> Result<FileMetadata, AtlasError> {
        let (hash, bytes) = self.end(&options).await?;
        let atlas = self.hold.atlas();
        let _turn = atlas.turn().await?;
        let mut batch = Batch::default();
        batch.put(Table::Manifests, hash, bytes);
        atlas.insert_file(batch, name, hash, self.received, options).await
    }

    /// Ends the file, of which nobody knows yet what it is.
    /// Its chunks, and how many bytes were not there already.
    pub(crate) async fn into_chunks(mut self) -> Result<(Vec<BlobChunk>, u64, Hold), AtlasError> {
        self.end_chunks().await?;
        Ok((self.chunks, self.written, self.hold))
    }

    async fn end_chunks(&mut self) -> Result<(), AtlasError> {
        if !self.chunk.is_empty() {
            self.end_chunk().await?;
        }
        self.settle().await
    }

    async fn end(&mut self, options: &FileOptions) -> Result<(ContentHash, Vec<u8>), AtlasError> {
        self.end_chunks().await?;
        let chunks = std::mem::take(&mut self.chunks);
        let bytes = FileManifest::new(options.kind, chunks, options.mime_type.clone())?.encode()?;
        let hash = ContentHash::of(&bytes);
        self.hold.add_present(hash).await;
        Ok((hash, bytes))
    }
}

impl Atlas {
    /// A file that arrives piece by piece.
    pub fn put(&self) -> Put {
        Put {
            hold: self.hold(),
            chunk: Vec::new(),
            chunks: Vec::new(),
            writing: None,
            received: 0,
            written: 0,
        }
    }

    /// Keeps up to [`CHUNK`] bytes for as long as `hold` lives, and returns what they are known by.
    ///
    /// # Errors
    /// [`AtlasError::TooLarge`], [`AtlasError::Store`].
    pub async fn put_blob(&self, bytes: Vec<u8>, hold: &Hold) -> Result<ContentHash, AtlasError> {
        if bytes.len() > CHUNK {
            return Err(AtlasError::TooLarge {
                what: "a blob".into(),
                most: CHUNK as u64,
                size: bytes.len() as u64,
            });
        }
        let hash = self.environment().hash(&bytes).await;
        hold.add_present(hash).await;
        self.write_chunk(hash, bytes).await?;
        Ok(hash)
    }

    /// Stores bytes as a file.
    ///
    /// # Errors
    /// As for [`Put::register`].
    pub async fn store_file(
        &self,
        name: &str,
        bytes: &[u8],
        options: FileOptions,
    ) -> Result<FileMetadata, AtlasError> {
        self.check_free(name)?;
        let mut put = self.put();
        put.write(bytes).await?;
        put.register(name, options).await
    }

    /// Stores `size` bytes of `source` as a file.
    ///
    /// # Errors
    /// [`AtlasError::Cancelled`], [`AtlasError::Source`], and as for [`Put::register`].
    pub async fn store_source(
        &self,
        name: &str,
        source: &dyn Source,
        size: u64,
        options: FileOptions,
        watch: &mut dyn Watch,
    ) -> Result<FileMetadata, AtlasError> {
        self.check_free(name)?;
        let mut put = self.put();
        while put.received() < size {
            let length = (size - put.received()).min(1 << 20);
            let bytes = source.fetch(put.received(), length as usize).await?;
            if bytes.len() as u64 != length {
                return Err(AtlasError::malformed(
                    put.received(),
                    format!("{length} bytes"),
                    format!("{} bytes", bytes.len()),
                ));
            }
            put.write(&bytes).await?;
            report(watch, put.received(), size).await?;
        }
        put.register(name, options).await
    }

    /// Writes a chunk that is held, unless it is there and was not found damaged. Returns how many bytes were written.
    pub(crate) async fn write_chunk(&self, hash: ContentHash, bytes: Vec<u8>) -> Result<u64, AtlasError> {
        let is_damaged = self.inner.damaged.borrow().contains(&hash);
        if !is_damaged && self.records().contains(Table::Chunks, &hash.to_string()).await? {
            return Ok(0);
        }
        let size = bytes.len() as u64;
        let mut batch = Batch::default();
        batch.put(Table::Chunks, hash, bytes);
        self.records().commit(batch).await?;
        self.inner.damaged.borrow_mut().remove(&hash);
        Ok(size)
    }
}
