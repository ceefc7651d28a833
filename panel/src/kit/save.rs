//! A file that is saved piece by piece on the person's computer: at a place that they choose, or with the browser's downloads.
//!
//! Chromium asks for a place (`showSaveFilePicker`) in pages of their own only: in a DevTools panel, which is a frame of another
//! origin's page, it throws a `NotAllowedError` (tests/tests/transfer.rs). There the pieces are gathered in a Blob, which the browser keeps, on disk if
//! need be, and which is downloaded as a whole.

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use sycamore::web::window;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, FileSystemFileHandle};

use super::browser::object;
use super::files::{download_blob, is_top};

/// Most bytes that are gathered for a download. A Blob of more may not fit where the browser keeps it.
pub const MAX_DOWNLOAD: u64 = 512 << 20;
/// Bytes that are kept in the page's own memory before the browser gets them.
const GATHERED: u32 = 4 << 20;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = showSaveFilePicker)]
    fn show_save_file_picker(options: &Object) -> Result<Promise, JsValue>;

    /// What web-sys lacks of a handle.
    type Handle;

    #[wasm_bindgen(method, catch, js_name = createWritable)]
    fn create_writable(this: &Handle) -> Result<Promise, JsValue>;

    /// `FileSystemWritableFileStream`: what is written is in the file once it is closed.
    type Writable;

    #[wasm_bindgen(method, catch)]
    fn write(this: &Writable, bytes: &Uint8Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn close(this: &Writable) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn abort(this: &Writable) -> Result<Promise, JsValue>;
}

/// What became of the question for a place.
pub enum Asked {
    /// The person chose one.
    Chosen(Saving),
    /// They do not want to.
    Dismissed,
    /// The browser wants a fresh click before it asks.
    NotNow,
    /// The place cannot be written to: what the browser says.
    Refused(String),
}

/// Whether this page may ask the person for a place: a page of its own may.
pub fn has_place_picker() -> bool {
    is_top() && Reflect::has(&window(), &"showSaveFilePicker".into()).unwrap_or(false)
}

/// Asks the person for a place. Call it while a click is fresh.
pub async fn ask_for_place(name: &str) -> Asked {
    let options = object([("suggestedName", name.into())]);
    let asked = match show_save_file_picker(&options) {
        Ok(promise) => JsFuture::from(promise).await,
        Err(exception) => Err(exception),
    };
    match asked {
        Ok(handle) => {
            let name = handle.unchecked_ref::<FileSystemFileHandle>().name();
            let opened = match handle.unchecked_ref::<Handle>().create_writable() {
                Ok(promise) => JsFuture::from(promise).await,
                Err(exception) => Err(exception),
            };
            match opened {
                Ok(writable) => Asked::Chosen(Saving {
                    name,
                    to: To::Place(writable.unchecked_into()),
                }),
                Err(exception) => Asked::Refused(said(&exception)),
            }
        }
        Err(exception) => match name_of(&exception).as_deref() {
            Some("AbortError") => Asked::Dismissed,
            Some("SecurityError") => Asked::NotNow,
            _ => Asked::Refused(said(&exception)),
        },
    }
}

fn name_of(exception: &JsValue) -> Option<String> {
    Reflect::get(exception, &"name".into()).ok()?.as_string()
}

/// What an exception says.
pub fn said(exception: &JsValue) -> String {
    let message = Reflect::get(exception, &"message".into()).ok();
    message
        .and_then(|message| message.as_string())
        .unwrap_or_else(|| "the browser does not say why".to_owned())
}

enum To {
    Place(Writable),
    Download { whole: Array, pieces: Array, bytes: u32 },
}

/// A file that is being saved.
pub struct Saving {
    name: String,
    to: To,
}

impl Saving {
    /// A file for the browser's downloads, of at most [`MAX_DOWNLOAD`] bytes.
    pub fn download(name: String) -> Self {
        Self {
            name,
            to: To::Download {
                whole: Array::new(),
                pieces: Array::new(),
                bytes: 0,
            },
        }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it becomes a download.
    pub fn is_download(&self) -> bool {
        matches!(self.to, To::Download { .. })
    }

    /// Takes the next piece. It is dealt with when the result is there, which is at once without a promise.
    ///
    /// # Errors
    /// What the browser threw.
    pub fn write(&mut self, piece: &Uint8Array) -> Result<Option<Promise>, JsValue> {
        match &mut self.to {
            To::Place(writable) => writable.write(piece).map(Some),
            To::Download { whole, pieces, bytes } => {
                pieces.push(piece);
                *bytes += piece.length();
                if *bytes >= GATHERED {
                    let gathered = Blob::new_with_buffer_source_sequence(pieces)?;
                    whole.push(gathered.as_ref());
                    *pieces = Array::new();
                    *bytes = 0;
                }
                Ok(None)
            }
        }
    }

    /// Has the file be there.
    ///
    /// # Errors
    /// What the browser threw.
    pub fn close(self) -> Result<Option<Promise>, JsValue> {
        match self.to {
            To::Place(writable) => writable.close().map(Some),
            To::Download { whole, pieces, .. } => {
                let all = whole.concat(&pieces);
                let blob = Blob::new_with_blob_sequence(&all)?;
                download_blob(&blob, &self.name)?;
                Ok(None)
            }
        }
    }

    /// Leaves everything as it was.
    pub fn abort(self) {
        if let To::Place(writable) = self.to {
            // One that has failed is aborted already; nobody waits for it.
            let _ = writable.abort();
        }
    }
}
