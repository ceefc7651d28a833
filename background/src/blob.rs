//! Reading Blobs: whole, in part, and their beginning, by which a file is recognized.

use js_sys::Uint8Array;
use qemuweb_vm_config::CONTENT_HEAD;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

/// All bytes, which stay in JavaScript's memory.
///
/// # Errors
/// The browser's exception, such as when the file was moved or changed.
pub(crate) async fn read(blob: &Blob) -> Result<Uint8Array, JsValue> {
    let buffer = JsFuture::from(blob.array_buffer()).await?;
    Ok(Uint8Array::new(&buffer))
}

/// The bytes from `start` up to `end`, or as many of them as there are.
///
/// # Errors
/// As [`read`].
#[expect(clippy::cast_precision_loss, reason = "files are shorter than 2^53 bytes")]
pub(crate) async fn read_range(blob: &Blob, start: u64, end: u64) -> Result<Uint8Array, JsValue> {
    read(&blob.slice_with_f64_and_f64(start as f64, end as f64)?).await
}

/// The first bytes, enough to recognize the content.
///
/// # Errors
/// As [`read`].
pub(crate) async fn head(blob: &Blob) -> Result<Vec<u8>, JsValue> {
    Ok(read_range(blob, 0, CONTENT_HEAD as u64).await?.to_vec())
}
