//! Bytes out of the store. Each chunk is checked against its hash before a byte of it is used.

use std::cell::RefCell;
use std::num::NonZero;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, join};
use lru::LruCache;
use qemuweb_storage::transfer::{Sink, Watch};

use super::{Atlas, Hold, report};
use crate::error::{AtlasError, Damage, Found};
use crate::hash::ContentHash;
use crate::manifest::{BlobChunk, CHUNK, FileManifest};
use crate::records::Table;

/// Chunks that a reader keeps.
const KEPT: NonZero<usize> = NonZero::new(4).expect("4 is not 0");
/// Most bytes of a file that is read at once.
const MOST_AT_ONCE: u64 = 256 << 20;

type Loading = Shared<LocalBoxFuture<'static, Result<Rc<Vec<u8>>, AtlasError>>>;

/// A file that is read. What it reads is kept until it is dropped, whatever becomes of the file. In memory are the last four
/// chunks, those that are being read, and the manifest.
pub struct FileReader {
    hold: Hold,
    name: String,
    manifest: FileManifest,
    manifest_hash: ContentHash,
    /// The latest chunks. Who wants one that is being read waits for the same read.
    chunks: RefCell<LruCache<usize, Loading>>,
}

impl FileReader {
    /// What the file was called when it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its manifest.
    pub fn manifest(&self) -> &FileManifest {
        &self.manifest
    }

    /// The hash of its manifest.
    pub fn manifest_hash(&self) -> ContentHash {
        self.manifest_hash
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.manifest.total_size
    }

    /// Reads the `target.len()` bytes from `offset` on.
    ///
    /// # Errors
    /// [`AtlasError::OutOfRange`], [`AtlasError::Damaged`], [`AtlasError::Store`].
    pub async fn read(&self, offset: u64, mut target: &mut [u8]) -> Result<(), AtlasError> {
        let length = target.len() as u64;
        if offset.checked_add(length).is_none_or(|end| end > self.size()) {
            return Err(AtlasError::OutOfRange {
                file: self.name.clone(),
                offset,
                length,
                size: self.size(),
            });
        }
        let mut index = (offset / CHUNK as u64) as usize;
        let mut within = (offset % CHUNK as u64) as usize;
        while !target.is_empty() {
            let chunk = self.chunk(index).await?;
            let count = target.len().min(chunk.len() - within);
            let (now, later) = target.split_at_mut(count);
            now.copy_from_slice(&chunk[within..within + count]);
            target = later;
            within = 0;
            index += 1;
        }
        Ok(())
    }

    /// Writes all of the file to `sink`: one chunk is written while the next one is read.
    ///
    /// # Errors
    /// [`AtlasError::Cancelled`], [`AtlasError::Sink`], and as for [`Self::read`].
    pub async fn copy_to(&self, sink: &mut dyn Sink, watch: &mut dyn Watch) -> Result<(), AtlasError> {
        let mut done = 0;
        report(watch, done, self.size()).await?;
        let mut chunk = match self.manifest.chunks.is_empty() {
            true => return Ok(()),
            false => self.chunk(0).await?,
        };
        for index in 1..=self.manifest.chunks.len() {
            let next = async {
                match index < self.manifest.chunks.len() {
                    true => Some(self.chunk(index).await),
                    false => None,
                }
            };
            let (written, next) = join(sink.write(&chunk), next).await;
            written.map_err(|reason| AtlasError::Sink { reason })?;
            done += chunk.len() as u64;
            report(watch, done, self.size()).await?;
            if let Some(next) = next {
                chunk = next?;
            }
        }
        Ok(())
    }

    /// A chunk, by its place.
    pub(crate) async fn chunk(&self, index: usize) -> Result<Rc<Vec<u8>>, AtlasError> {
        let known = self.chunks.borrow_mut().get(&index).cloned();
        let loading = match known {
            Some(loading) => loading,
            None => {
                let (atlas, name) = (self.hold.atlas().clone(), self.name.clone());
                let chunk = self.manifest.chunks[index];
                let load = async move { atlas.checked_chunk(&name, index, chunk).await.map(Rc::new) };
                let loading = load.boxed_local().shared();
                self.chunks.borrow_mut().put(index, loading.clone());
                loading
            }
        };
        let loaded = loading.await;
        if loaded.is_err() {
            self.chunks.borrow_mut().pop(&index);
        }
        loaded
    }
}

impl Atlas {
    /// Opens a file by its id.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Store`].
    pub async fn open_file(&self, id: &str) -> Result<FileReader, AtlasError> {
        let file = self.stat(id)?;
        self.open_content(&file.name, file.manifest_hash).await
    }

    /// Opens content by its manifest's hash; `name` is what it is called in errors.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Store`].
    pub async fn open_content(&self, name: &str, hash: ContentHash) -> Result<FileReader, AtlasError> {
        // With the turn, nothing is collected between looking and holding.
        let _turn = self.turn().await?;
        let manifest = self.manifest(hash).await?;
        let hold = self.hold();
        hold.add_file(hash, &manifest);
        Ok(FileReader {
            hold,
            name: name.into(),
            manifest,
            manifest_hash: hash,
            chunks: RefCell::new(LruCache::new(KEPT)),
        })
    }

    /// All of a file's bytes, by its name; nothing, if there is no such file.
    ///
    /// # Errors
    /// [`AtlasError::TooLarge`] beyond 256 MiB, [`AtlasError::Damaged`], [`AtlasError::Store`].
    pub async fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>, AtlasError> {
        let Some(file) = self.find(name) else {
            return Ok(None);
        };
        if file.size > MOST_AT_ONCE {
            return Err(AtlasError::TooLarge {
                what: file.name,
                most: MOST_AT_ONCE,
                size: file.size,
            });
        }
        let reader = self.open_file(&file.id).await?;
        let mut bytes = vec![0; reader.size() as usize];
        reader.read(0, &mut bytes).await?;
        Ok(Some(bytes))
    }

    /// The bytes of a blob; nothing, if it is not there.
    ///
    /// # Errors
    /// [`AtlasError::Damaged`], [`AtlasError::Store`].
    pub async fn get_blob(&self, hash: ContentHash) -> Result<Option<Vec<u8>>, AtlasError> {
        match self.look(hash).await? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Found::Nothing) => Ok(None),
            Err(found) => Err(AtlasError::Damaged(Damage {
                file: format!("the blob {hash}"),
                chunk: 0,
                expected: hash,
                found,
            })),
        }
    }

    async fn checked_chunk(&self, file: &str, index: usize, chunk: BlobChunk) -> Result<Vec<u8>, AtlasError> {
        let expected = chunk.hash;
        let found = match self.look(expected).await? {
            Ok(bytes) if bytes.len() as u64 == chunk.size => return Ok(bytes),
            // The manifest is at odds with the chunk that it names.
            Ok(bytes) => {
                return Err(AtlasError::malformed(
                    index as u64 * CHUNK as u64,
                    format!("{} bytes in chunk {index} of {file}", chunk.size),
                    format!("{} bytes", bytes.len()),
                ));
            }
            Err(found) => found,
        };
        Err(AtlasError::Damaged(Damage {
            file: file.into(),
            chunk: index,
            expected,
            found,
        }))
    }

    /// The bytes of a chunk, if they are those; otherwise what is in their place, which the next put of the same bytes mends.
    pub(crate) async fn look(&self, hash: ContentHash) -> Result<Result<Vec<u8>, Found>, AtlasError> {
        let found = match self.records().get(Table::Chunks, &hash.to_string()).await? {
            None => Found::Nothing,
            Some(bytes) => match self.environment().hash(&bytes).await {
                found if found == hash => return Ok(Ok(bytes)),
                found => Found::Other(found),
            },
        };
        self.inner.damaged.borrow_mut().insert(hash);
        Ok(Err(found))
    }
}
