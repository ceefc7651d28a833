//! The store: files by name, their content by hash.
//!
//! What is registered is in memory, as a catalogue; manifests and chunks are read when somebody needs them. There is one
//! [`Atlas`] for a database. Changes go one after another, each in one transaction. Whoever uses content that nothing in the
//! database refers to (yet, or any longer) has a [`Hold`] on it: a put until its file is registered, a reader, a bundle that
//! is imported.

mod catalogue;
mod collect;
mod files;
mod hold;
mod put;
mod read;
mod usage;
mod verify;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::rc::Rc;

use async_lock::{Mutex, MutexGuard};
use qemuweb_storage::transfer::{Progress, Watch};

pub use collect::Collected;
pub use files::FileOptions;
pub use hold::Hold;
pub use put::Put;
pub use read::FileReader;
pub use usage::Usage;
pub use verify::{Fault, Verified};

use crate::canonical::Canonical;
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::manifest::FileManifest;
use crate::records::{Batch, Environment, Page, Records, Table};
use catalogue::Catalogue;
use hold::Holds;

/// Records that are read at once.
const PAGE: usize = 1000;

/// A content-addressed store. Clones are the same store.
#[derive(Clone)]
pub struct Atlas {
    inner: Rc<Inner>,
}

struct Inner {
    records: Rc<dyn Records>,
    environment: Rc<dyn Environment>,
    catalogue: RefCell<Catalogue>,
    /// Whether a change was begun of which nobody knows what became of it.
    stale: Cell<bool>,
    /// Held by who changes something, from looking to having changed it.
    changing: Mutex<()>,
    holds: RefCell<Holds>,
    /// Chunks that were found damaged: the next put of the same bytes mends them.
    damaged: RefCell<HashSet<ContentHash>>,
}

impl Atlas {
    /// Opens the store in `records`, of which this must be the only user.
    ///
    /// # Errors
    /// [`AtlasError::Store`]; [`AtlasError::Invalid`] when another version has written there.
    pub async fn open(
        records: Rc<dyn Records>,
        environment: Rc<dyn Environment>,
    ) -> Result<Self, AtlasError> {
        let catalogue = Catalogue::load(&*records).await?;
        Ok(Self {
            inner: Rc::new(Inner {
                records,
                environment,
                catalogue: RefCell::new(catalogue),
                stale: Cell::new(false),
                changing: Mutex::new(()),
                holds: RefCell::default(),
                damaged: RefCell::default(),
            }),
        })
    }

    /// Keeps what is put with it from being collected, for as long as it lives.
    pub fn hold(&self) -> Hold {
        Hold::new(self.clone())
    }

    pub(crate) fn records(&self) -> &dyn Records {
        &*self.inner.records
    }

    pub(crate) fn environment(&self) -> &dyn Environment {
        &*self.inner.environment
    }

    /// Waits until nobody else changes anything.
    pub(crate) async fn turn(&self) -> Result<MutexGuard<'_, ()>, AtlasError> {
        let guard = self.inner.changing.lock().await;
        if self.inner.stale.get() {
            let catalogue = Catalogue::load(self.records()).await?;
            self.inner.catalogue.replace(catalogue);
            self.inner.stale.set(false);
        }
        Ok(guard)
    }

    /// Makes a change in the database, and then in the catalogue. The caller has the turn. If the future is dropped, or the
    /// database fails, who has the next turn looks at what became of it.
    pub(crate) async fn change(
        &self,
        batch: Batch,
        apply: impl FnOnce(&mut Catalogue),
    ) -> Result<(), AtlasError> {
        self.inner.stale.set(true);
        self.records().commit(batch).await?;
        apply(&mut self.inner.catalogue.borrow_mut());
        self.inner.stale.set(false);
        Ok(())
    }

    pub(crate) fn with_catalogue<T>(&self, look: impl FnOnce(&Catalogue) -> T) -> T {
        look(&self.inner.catalogue.borrow())
    }

    /// The manifest of this hash.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`]; [`AtlasError::Invalid`] when the database holds something else under this hash.
    pub async fn manifest(&self, hash: ContentHash) -> Result<FileManifest, AtlasError> {
        let bytes = self.records().get(Table::Manifests, &hash.to_string()).await?;
        let bytes = bytes.ok_or_else(|| AtlasError::Unknown {
            what: "manifest",
            id: hash.to_string(),
        })?;
        let found = ContentHash::of(&bytes);
        if found != hash {
            return Err(crate::canonical::Invalid::new(format!("the manifest {hash}"), found).into());
        }
        Ok(FileManifest::decode(&bytes)?)
    }

    /// A mark that keeps the content of a manifest until [`Self::unpin`], over restarts: a running VM's, a snapshot's.
    /// `owner` is who needs it.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`] when there is no such manifest, and others.
    pub async fn pin(&self, manifest: ContentHash, owner: &str) -> Result<(), AtlasError> {
        let _turn = self.turn().await?;
        self.manifest(manifest).await?;
        let mut batch = Batch::default();
        batch.put(Table::Pins, pin_key(manifest, owner)?, Vec::new());
        Ok(self.records().commit(batch).await?)
    }

    /// Takes all marks of an owner away.
    ///
    /// # Errors
    /// [`AtlasError::Store`].
    pub async fn unpin(&self, owner: &str) -> Result<(), AtlasError> {
        let _turn = self.turn().await?;
        let mut batch = Batch::default();
        for (manifest, of) in self.pins().await? {
            if of == owner {
                batch.delete(Table::Pins, pin_key(manifest, owner)?);
            }
        }
        Ok(self.records().commit(batch).await?)
    }

    /// All marks: manifests, and who needs them.
    ///
    /// # Errors
    /// [`AtlasError::Store`].
    pub async fn pins(&self) -> Result<Vec<(ContentHash, String)>, AtlasError> {
        let keys = all_keys(self.records(), Table::Pins, "").await?;
        let pins = keys.iter().filter_map(|key| {
            let (hash, owner) = key.split_once('/')?;
            Some((hash.parse().ok()?, owner.to_owned()))
        });
        Ok(pins.collect())
    }
}

fn pin_key(manifest: ContentHash, owner: &str) -> Result<String, AtlasError> {
    crate::canonical::check_text("an owner's name", owner, 255)?;
    Ok(format!("{manifest}/{owner}"))
}

/// All keys of a table that begin with `prefix`.
pub(crate) async fn all_keys(
    records: &dyn Records,
    table: Table,
    prefix: &str,
) -> Result<Vec<String>, AtlasError> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = Page {
            prefix: prefix.into(),
            after: keys.last().cloned(),
            most: PAGE,
        };
        let found = records.keys(table, &page).await?;
        let is_last = found.len() < PAGE;
        keys.extend(found);
        if is_last {
            return Ok(keys);
        }
    }
}

/// Tells `watch`.
pub(crate) async fn report(watch: &mut dyn Watch, done: u64, total: u64) -> Result<(), AtlasError> {
    match watch.report(Progress { done, total }).await {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(AtlasError::Cancelled),
    }
}
