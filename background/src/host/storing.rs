//! Reading a file that is to be stored: what it is, and the hash of its content.

use gloo_timers::future::TimeoutFuture;
use qemuweb_machine::io::{Content, Stored};
use qemuweb_vm_config::{StoredFile, check_any_content};
use qemuweb_wire::Failure;
use qemuweb_wire::stored::{StorageUse, StoredInfo};
use qemuweb_wire::web::failure_from_exception;
use sha2::{Digest, Sha256};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, StorageEstimate};

use super::files;
use crate::blob;

/// Bytes that are hashed at a time: a few milliseconds' work, after which the host serves others.
const PIECE: u64 = 1 << 20;
/// After how many pieces it is told how far it is.
const PIECES_PER_NEWS: u64 = 16;

/// Looks into a file and makes its hash. `goes_on` is told how many bytes of how many are done, and says whether anybody still
/// wants to know.
///
/// # Errors
/// A [`Failure`] when it is nothing that a machine can use, does not fit, or cannot be read.
pub(super) async fn hashed(
    name: String,
    content: &Content<JsValue>,
    goes_on: impl Fn(u64, u64) -> bool,
) -> Result<Stored<JsValue>, Failure> {
    let file = files::open_one(&name, content).await?;
    let blob: &Blob = file
        .dyn_ref()
        .ok_or_else(|| Failure::new("expected a file as the first attachment"))?;
    let size = blob.size() as u64;
    let (content, kind, arch) = blob::examine(blob, |sample| check_any_content(&name, sample))
        .await
        .map_err(|exception| unreadable(&name, &exception))?
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))?;
    check_room(&name, size).await?;
    let hash = hash(&name, blob, size, goes_on).await?;
    let info = StoredInfo {
        file: StoredFile { hash, name, size },
        what: content.to_string(),
        kind,
        arch,
        format: content.disk_format(),
    };
    Ok(Stored { info, file })
}

/// Whether a file of `size` bytes fits.
async fn check_room(name: &str, size: u64) -> Result<(), Failure> {
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
pub(super) async fn storage_use() -> Option<StorageUse> {
    let storage = web_sys::window()?.navigator().storage();
    let estimate: StorageEstimate = JsFuture::from(storage.estimate().ok()?)
        .await
        .ok()?
        .unchecked_into();
    let persisted = match storage.persisted() {
        Ok(told) => JsFuture::from(told).await.ok().and_then(|told| told.as_bool()),
        Err(_) => None,
    };
    // An f64 of JavaScript's that counts bytes: whole and positive.
    Some(StorageUse {
        used: estimate.get_usage()? as u64,
        quota: estimate.get_quota()? as u64,
        persisted,
    })
}

/// The hash of a file's content, made piece by piece.
async fn hash(
    name: &str,
    blob: &Blob,
    size: u64,
    goes_on: impl Fn(u64, u64) -> bool,
) -> Result<String, Failure> {
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
            if !goes_on(start, size) {
                return Err(Failure::new("cancelled"));
            }
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
