//! Reading Blobs: whole, in part, as far as it takes to recognize them, and what is packed in them.

use std::ops::Range;

use js_sys::{Reflect, Uint8Array};
use qemuweb_vm_config::{CONTENT_HEAD, Sample, Seen};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, ReadableStream, ReadableStreamDefaultReader, ReadableWritablePair};

#[wasm_bindgen]
extern "C" {
    /// The browser's decompressor, which web-sys lacks: a pair of a readable and a writable stream.
    type DecompressionStream;

    #[wasm_bindgen(constructor, catch)]
    fn new(format: &str) -> Result<DecompressionStream, JsValue>;
}

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

/// What `judge` says of a Blob, which is read as far as it asks for.
///
/// # Errors
/// As [`read`].
pub(crate) async fn examine<T>(blob: &Blob, judge: impl Fn(&Sample) -> Seen<T>) -> Result<T, JsValue> {
    let part = async |range: Range<u64>| Ok(read_range(blob, range.start, range.end).await?.to_vec());
    examine_with(blob.size() as u64, part, judge).await
}

/// What `judge` says of a file of `size` bytes, of which `read` reads parts.
///
/// # Errors
/// Those of `read`.
pub(crate) async fn examine_with<T, E>(
    size: u64,
    read: impl AsyncFn(Range<u64>) -> Result<Vec<u8>, E>,
    judge: impl Fn(&Sample) -> Seen<T>,
) -> Result<T, E> {
    let head = read(0..size.min(CONTENT_HEAD as u64)).await?;
    let mut sample = Sample::new(head, size);
    loop {
        match judge(&sample) {
            Ok(found) => return Ok(found),
            // A sample asks for so many parts and no more.
            Err(wanted) => {
                let bytes = read(wanted.clone()).await?;
                sample.add(&wanted, bytes);
            }
        }
    }
}

/// What a stream comes to when its gzip is unpacked.
///
/// # Errors
/// The browser's exception.
pub(crate) fn gunzip(stream: &ReadableStream) -> Result<ReadableStream, JsValue> {
    Ok(stream.pipe_through(DecompressionStream::new("gzip")?.unchecked_ref::<ReadableWritablePair>()))
}

/// The beginning of what is packed with gzip in a Blob: as many bytes as suffice to recognize most files, or a few more.
///
/// # Errors
/// The browser's exception, such as when it is no gzip.
pub(crate) async fn unpacked_head(blob: &Blob) -> Result<Vec<u8>, JsValue> {
    let reader: ReadableStreamDefaultReader = gunzip(&blob.stream())?.get_reader().unchecked_into();
    let mut head = Vec::new();
    while head.len() < CONTENT_HEAD {
        let result = JsFuture::from(reader.read()).await?;
        if Reflect::get(&result, &"done".into())?.is_truthy() {
            break;
        }
        let chunk: Uint8Array = Reflect::get(&result, &"value".into())?.unchecked_into();
        head.extend(chunk.to_vec());
    }
    // Nothing waits for the cancellation.
    drop(reader.cancel());
    Ok(head)
}
