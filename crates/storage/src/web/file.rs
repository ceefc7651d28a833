//! [`Slices`] of a Blob, a File or a FileSystemFileHandle.

use async_trait::async_trait;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, FileSystemFileHandle};

use super::reason;
use crate::file::{Slices, Stamp};

/// A Blob, a File, or a FileSystemFileHandle.
pub struct BlobSlices(Kind);

enum Kind {
    Blob(Blob),
    Handle(FileSystemFileHandle),
}

impl BlobSlices {
    /// `value`, if it is one of the three.
    pub fn new(value: JsValue) -> Option<Self> {
        let value = match value.dyn_into::<Blob>() {
            Ok(blob) => return Some(Self(Kind::Blob(blob))),
            Err(value) => value,
        };
        value.dyn_into().ok().map(|handle| Self(Kind::Handle(handle)))
    }

    /// The bytes as they are now.
    async fn blob(&self) -> Result<Blob, String> {
        match &self.0 {
            Kind::Blob(blob) => Ok(blob.clone()),
            Kind::Handle(handle) => JsFuture::from(handle.get_file())
                .await
                .map(JsCast::unchecked_into)
                .map_err(|error| reason(&error)),
        }
    }
}

fn stamp(blob: &Blob) -> Stamp {
    Stamp {
        // A size is a whole number, and no file has 2⁵³ bytes.
        size: blob.size() as u64,
        modified: blob.dyn_ref::<File>().map_or(0.0, File::last_modified),
    }
}

#[async_trait(?Send)]
impl Slices for BlobSlices {
    async fn stamp(&self) -> Result<Stamp, String> {
        self.blob().await.map(|blob| stamp(&blob))
    }

    async fn slice(&self, start: u64, end: u64) -> Result<(Stamp, Vec<u8>), String> {
        let blob = self.blob().await?;
        let slice = blob
            .slice_with_f64_and_f64(start as f64, end as f64)
            .map_err(|error| reason(&error))?;
        let buffer = JsFuture::from(slice.array_buffer())
            .await
            .map_err(|error| reason(&error))?;
        Ok((stamp(&blob), Uint8Array::new(&buffer).to_vec()))
    }
}
