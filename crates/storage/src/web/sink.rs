//! [`Sink`] into a Blob, whose bytes the browser moves to files of its own as they become many.

use async_trait::async_trait;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsValue;
use web_sys::Blob;

use super::reason;
use crate::transfer::Sink;

/// Bytes that are gathered for one part.
const PART: usize = 4 << 20;
/// Zeroes come in parts of this size, all of which are the same Blob.
const ZEROES: u64 = 16 << 20;

/// A Blob under construction.
#[derive(Debug, Default)]
pub struct BlobSink {
    parts: Vec<Blob>,
    gathered: Vec<u8>,
    zeroes: Option<Blob>,
}

impl BlobSink {
    /// The Blob of all that was written.
    ///
    /// # Errors
    /// What the browser says.
    pub fn finish(mut self) -> Result<Blob, String> {
        self.end_part()?;
        join(&self.parts)
    }

    fn end_part(&mut self) -> Result<(), String> {
        if !self.gathered.is_empty() {
            let bytes = Uint8Array::from(self.gathered.as_slice());
            self.gathered.clear();
            self.parts.push(blob(&bytes.into())?);
        }
        Ok(())
    }

    /// A Blob of as many zeroes as are in a part of them.
    fn zeroes(&mut self) -> Result<Blob, String> {
        if let Some(zeroes) = &self.zeroes {
            return Ok(zeroes.clone());
        }
        let zeroes = blob(&Uint8Array::new_with_length(ZEROES as u32).into())?;
        self.zeroes = Some(zeroes.clone());
        Ok(zeroes)
    }
}

fn blob(part: &JsValue) -> Result<Blob, String> {
    Blob::new_with_blob_sequence(&Array::of1(part)).map_err(|error| reason(&error))
}

fn join(parts: &[Blob]) -> Result<Blob, String> {
    let parts: Array = parts.iter().map(JsValue::from).collect();
    Blob::new_with_blob_sequence(&parts).map_err(|error| reason(&error))
}

fn slice(blob: &Blob, start: u64, end: u64) -> Result<Blob, String> {
    blob.slice_with_f64_and_f64(start as f64, end as f64)
        .map_err(|error| reason(&error))
}

#[async_trait(?Send)]
impl Sink for BlobSink {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PART {
            self.end_part()?;
        }
        Ok(())
    }

    async fn write_zeroes(&mut self, length: u64) -> Result<(), String> {
        self.end_part()?;
        let zeroes = self.zeroes()?;
        for _ in 0..length / ZEROES {
            self.parts.push(zeroes.clone());
        }
        self.parts.push(slice(&zeroes, 0, length % ZEROES)?);
        Ok(())
    }

    async fn write_head(&mut self, head: &[u8]) -> Result<(), String> {
        self.end_part()?;
        let whole = join(&self.parts)?;
        let rest = slice(&whole, head.len() as u64, whole.size() as u64)?;
        self.parts = vec![blob(&Uint8Array::from(head).into())?, rest];
        Ok(())
    }
}
