//! The files that a person has stored in the extension, known by the hash of their content.
//!
//! Their bytes are Blobs in the host's database: the browser keeps them in files of its own, and a VM reads them in
//! place. The rest of the host asks for a file by its hash and nothing else, so that another store of content can take
//! this one's place.

use std::collections::HashMap;

use gloo_timers::future::TimeoutFuture;
use qemuweb_runtime::Failure;
use qemuweb_runtime::protocol::{Event, StorageUse, StoredInfo};
use qemuweb_runtime::web::failure_from_exception;
use qemuweb_vm_config::{FileMountInfo, InputSource, StoredFile, check_any_content};
use serde_json::Value;
use sha2::{Digest, Sha256};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, StorageEstimate};

use super::{SharedState, files};
use crate::blob;

/// The most files that are kept.
const MAX_FILES: usize = 500;
/// Files that can be brought back after they were removed.
const MAX_REMOVED: usize = 20;
/// The longest name of a file, in characters.
const LONGEST_NAME: usize = 255;
/// Bytes that are hashed at a time: a few milliseconds' work, after which the host serves others.
const PIECE: u64 = 1 << 20;
/// After how many pieces clients are told how far it is.
const PIECES_PER_NEWS: u64 = 16;

/// A stored file and its bytes.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) info: StoredInfo,
    pub(super) blob: Blob,
}

/// All stored files.
#[derive(Default)]
pub(super) struct Library {
    /// In the order of their names.
    files: Vec<Stored>,
    /// What was removed and can be brought back, the latest last.
    removed: Vec<Stored>,
}

impl Library {
    /// The files of the database.
    pub(super) fn new(files: Vec<Stored>) -> Self {
        let mut library = Self::default();
        files.into_iter().for_each(|file| library.insert(file));
        library
    }

    /// The contents by their hashes. They are read when a VM does.
    pub(super) fn contents(&self) -> HashMap<String, Blob> {
        let files = self.files.iter();
        files
            .map(|stored| (stored.info.file.hash.clone(), stored.blob.clone()))
            .collect()
    }

    fn infos(&self) -> Vec<StoredInfo> {
        self.files.iter().map(|stored| stored.info.clone()).collect()
    }

    fn find(&self, hash: &str) -> Option<&Stored> {
        self.files.iter().find(|stored| stored.info.file.hash == hash)
    }

    fn insert(&mut self, stored: Stored) {
        self.files
            .retain(|known| known.info.file.hash != stored.info.file.hash);
        self.files.push(stored);
        self.files.sort_by(|a, b| a.info.file.name.cmp(&b.info.file.name));
    }

    /// Takes a file out, with the way back. Says whether there was one.
    fn take_out(&mut self, hash: &str) -> bool {
        let is_meant = |stored: &mut Stored| stored.info.file.hash == hash;
        let removed: Vec<Stored> = self.files.extract_if(.., is_meant).collect();
        let was_there = !removed.is_empty();
        self.removed.extend(removed);
        let excess = self.removed.len().saturating_sub(MAX_REMOVED);
        self.removed.drain(..excess);
        was_there
    }
}

/// Has the stored files among `files` sent along with `blobs`, as a VM's Worker takes them.
///
/// # Errors
/// A [`Failure`] that names the file that is stored no more.
pub(super) fn attach(
    files: &mut [FileMountInfo],
    blobs: &mut Vec<JsValue>,
    contents: &HashMap<String, Blob>,
) -> Result<(), Failure> {
    for file in files {
        if let InputSource::Stored(stored) = &file.source {
            let blob = contents.get(&stored.hash).ok_or_else(|| not_stored(stored))?;
            file.source = InputSource::Attachment(qemuweb_vm_config::Attachment {
                index: u32::try_from(blobs.len()).unwrap_or(u32::MAX),
                name: stored.name.clone(),
                size: stored.size,
            });
            blobs.push(blob.clone().into());
        }
    }
    Ok(())
}

/// What to say of a file that is not here.
pub(super) fn not_stored(file: &StoredFile) -> Failure {
    Failure::new(format!(
        "{} is not among the files that are stored in this browser",
        file.name
    ))
    .with_next_step(format!(
        "Store it again (its hash is {}), or choose another file in the VM's settings.",
        file.hash
    ))
}

/// Stores a Blob or the file of a handle, and returns its [`StoredInfo`].
///
/// # Errors
/// A [`Failure`] when it is nothing that a machine can use, does not fit, or cannot be read or written.
pub(super) async fn store(
    state: &SharedState,
    name: String,
    file: Option<JsValue>,
) -> Result<Value, Failure> {
    let stored = read_and_store(state, name, file).await;
    // However it went, nothing is being stored any more.
    tell(state);
    stored.and_then(|info| serde_json::to_value(info).map_err(|error| Failure::from_error(&error)))
}

async fn read_and_store(
    state: &SharedState,
    name: String,
    file: Option<JsValue>,
) -> Result<StoredInfo, Failure> {
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let opened = files::open(&file.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&name)).await?;
    let blob = opened
        .first()
        .and_then(|file| file.dyn_ref::<Blob>())
        .ok_or_else(|| Failure::new("expected a file as the first attachment"))?;
    let size = blob.size() as u64;
    let (content, kind, arch) = blob::examine(blob, |sample| check_any_content(&name, sample))
        .await
        .map_err(|exception| unreadable(&name, &exception))?
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))?;
    check_room(state, &name, size).await?;
    let hash = hash(state, &name, blob, size).await?;
    if let Some(known) = state.borrow().library.find(&hash) {
        return Ok(known.info.clone());
    }
    let info = StoredInfo {
        file: StoredFile { hash, name, size },
        what: content.to_string(),
        kind,
        arch,
        format: content.disk_format(),
    };
    put(state, info.clone(), blob).await?;
    Ok(info)
}

/// Forgets a file, with the way back.
///
/// # Errors
/// A [`Failure`] when there is none of this hash.
pub(super) fn remove(state: &SharedState, hash: &str) -> Result<(), Failure> {
    {
        let mut state = state.borrow_mut();
        if !state.library.take_out(hash) {
            return Err(unknown(hash));
        }
        let hash = hash.to_owned();
        state.write(async move |store| store.remove_file(&hash).await);
    }
    tell(state);
    Ok(())
}

/// Brings back a file that was forgotten since the host started.
///
/// # Errors
/// A [`Failure`] when there is none, or the browser refuses.
pub(super) async fn restore(state: &SharedState, hash: &str) -> Result<(), Failure> {
    let found = {
        let removed = &state.borrow().library.removed;
        let stored = removed.iter().rfind(|stored| stored.info.file.hash == hash);
        stored.cloned().ok_or_else(|| unknown(hash))?
    };
    put(state, found.info, &found.blob).await?;
    let removed = &mut state.borrow_mut().library.removed;
    removed.retain(|stored| stored.info.file.hash != hash);
    tell(state);
    Ok(())
}

/// Tells all clients what is stored, as soon as the browser has told how full the storage is.
pub(super) fn tell(state: &SharedState) {
    let state = state.clone();
    spawn_local(async move {
        let storage = storage_use().await;
        let state = state.borrow();
        let files = state.library.infos();
        state.clients.broadcast(&Event::StoredFiles { files, storage });
    });
}

async fn put(state: &SharedState, info: StoredInfo, blob: &Blob) -> Result<(), Failure> {
    let database = state.borrow().store.clone().ok_or_else(|| {
        Failure::new("the browser lets QemuWeb keep no files")
            .with_next_step("Choose the file itself for the VM: it is read in place.")
    })?;
    // The copy is what VMs read from now on: the person's own file may change.
    let blob = database.put_file(&info, blob).await?;
    state.borrow_mut().library.insert(Stored { info, blob });
    Ok(())
}

/// Whether a file of `size` bytes fits.
async fn check_room(state: &SharedState, name: &str, size: u64) -> Result<(), Failure> {
    if state.borrow().library.files.len() >= MAX_FILES {
        return Err(Failure::new(format!("there are {MAX_FILES} stored files"))
            .with_next_step("Delete some of them."));
    }
    match storage_use().await {
        Some(storage) if size > storage.free() => Err(Failure::new(format!(
            "{name} has {} MiB, and the browser has room for {} MiB more",
            size >> 20,
            storage.free() >> 20
        ))
        .with_next_step("Delete stored files, or choose the file itself for the VM: it is read in place.")),
        _ => Ok(()),
    }
}

/// How full the storage is, where the browser tells.
async fn storage_use() -> Option<StorageUse> {
    let storage = web_sys::window()?.navigator().storage();
    let estimate: StorageEstimate = JsFuture::from(storage.estimate().ok()?)
        .await
        .ok()?
        .unchecked_into();
    // An f64 of JavaScript's that counts bytes: whole and positive.
    Some(StorageUse {
        used: estimate.get_usage()? as u64,
        quota: estimate.get_quota()? as u64,
    })
}

/// The hash of a file's content, made piece by piece.
async fn hash(state: &SharedState, name: &str, blob: &Blob, size: u64) -> Result<String, Failure> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE as usize];
    for (number, start) in (0..size).step_by(PIECE as usize).enumerate() {
        let bytes = blob::read_range(blob, start, (start + PIECE).min(size))
            .await
            .map_err(|exception| unreadable(name, &exception))?;
        let piece = &mut piece[..bytes.length() as usize];
        bytes.copy_to(piece);
        hasher.update(&*piece);
        if (number as u64).is_multiple_of(PIECES_PER_NEWS) {
            state.borrow().clients.broadcast(&Event::Storing {
                name: name.to_owned(),
                done: start,
                total: size,
            });
            // Other tasks of the host have their turn.
            TimeoutFuture::new(0).await;
        }
    }
    let digest = hasher.finalize();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{digits}"))
}

fn unreadable(name: &str, exception: &JsValue) -> Failure {
    failure_from_exception(format!("could not read {name}"), exception)
        .with_next_step("Choose it again: it may have been moved or changed.")
}

fn unknown(hash: &str) -> Failure {
    Failure::new(format!("there is no stored file {hash}"))
        .with_next_step("It may have been removed in another panel.")
}
