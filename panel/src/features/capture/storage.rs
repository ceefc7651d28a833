//! Captures that were saved: the database `qemuweb-captures` in IndexedDB, of the extension's own.
//!
//! Version 1 has the object store `captures` (key path `id`): `{id, json, har}`. `json` is a [`Saved`]; `har` is a Blob
//! with the capture as HAR 1.2, which is read only when it is opened.

use js_sys::{Array, Object, Reflect, Uint8Array};
use qemuweb_wire::Failure;
use rexie::{ObjectStore, Rexie, TransactionMode};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use crate::kit::browser::set;

const DATABASE: &str = "qemuweb-captures";
const CAPTURES: &str = "captures";

/// What is known of a saved capture without opening it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// Its key.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// When it was saved, in milliseconds since the epoch.
    pub time: f64,
    /// The page that it is of.
    pub page: String,
    /// How many exchanges it has.
    pub count: usize,
    /// Bytes of its file.
    pub bytes: usize,
    /// Whether it may have the page's secrets.
    pub with_secrets: bool,
}

/// All saved captures, the latest first.
///
/// # Errors
/// A [`Failure`] when the browser refuses.
pub async fn all() -> Result<Vec<Saved>, Failure> {
    let records = async {
        let database = open().await?;
        let transaction = database.transaction(&[CAPTURES], TransactionMode::ReadOnly)?;
        transaction.store(CAPTURES)?.get_all(None, None).await
    };
    let records = records
        .await
        .map_err(|error| failed("the saved captures could not be read", &error))?;
    // What another version wrote is left alone.
    let mut saved: Vec<Saved> = records.iter().filter_map(parse).collect();
    saved.sort_by(|a, b| b.time.total_cmp(&a.time));
    Ok(saved)
}

/// Keeps a capture, or a new name for one when `har` is nothing.
///
/// # Errors
/// A [`Failure`] when the browser refuses, or there is none to rename.
pub async fn keep(saved: &Saved, har: Option<&[u8]>) -> Result<(), Failure> {
    let json = serde_json::to_string(saved).map_err(|error| Failure::from_error(&error))?;
    let record = match har {
        Some(bytes) => {
            let blob = Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes)))
                .map_err(|_| Failure::new("the browser made no file"))?;
            let record = Object::new();
            set(&record, "id", &saved.id.as_str().into());
            set(&record, "har", &blob);
            record
        }
        None => find(&saved.id).await?.unchecked_into(),
    };
    set(&record, "json", &json.into());
    put(&record).await
}

/// Writes a record that [`remove`] gave back.
///
/// # Errors
/// A [`Failure`] when the browser refuses.
pub async fn put(record: &JsValue) -> Result<(), Failure> {
    let write = async {
        let database = open().await?;
        let transaction = database.transaction(&[CAPTURES], TransactionMode::ReadWrite)?;
        transaction.store(CAPTURES)?.put(record, None).await?;
        transaction.done().await
    };
    write
        .await
        .map(drop)
        .map_err(|error| failed("the capture could not be saved", &error))
}

/// Forgets a capture and gives its record, for [`put`] to undo that.
///
/// # Errors
/// A [`Failure`] when the browser refuses.
pub async fn remove(id: &str) -> Result<JsValue, Failure> {
    let record = find(id).await?;
    let write = async {
        let database = open().await?;
        let transaction = database.transaction(&[CAPTURES], TransactionMode::ReadWrite)?;
        transaction.store(CAPTURES)?.delete(id.into()).await?;
        transaction.done().await
    };
    write
        .await
        .map(|_| record)
        .map_err(|error| failed("the capture could not be deleted", &error))
}

/// A capture's file.
///
/// # Errors
/// A [`Failure`] when it is gone or cannot be read.
pub async fn har(id: &str) -> Result<Vec<u8>, Failure> {
    let record = find(id).await?;
    let blob: Blob = Reflect::get(&record, &"har".into())
        .unwrap_or_default()
        .dyn_into()
        .map_err(|_| Failure::new("the saved capture has no file"))?;
    let buffer = JsFuture::from(blob.array_buffer()).await;
    buffer
        .map(|buffer| Uint8Array::new(&buffer).to_vec())
        .map_err(|_| Failure::new("the saved capture's file could not be read"))
}

async fn find(id: &str) -> Result<JsValue, Failure> {
    let read = async {
        let database = open().await?;
        let transaction = database.transaction(&[CAPTURES], TransactionMode::ReadOnly)?;
        transaction.store(CAPTURES)?.get(id.into()).await
    };
    let record = read
        .await
        .map_err(|error| failed("the saved captures could not be read", &error))?;
    record.ok_or_else(|| {
        Failure::new("this saved capture is gone")
            .with_next_step("It may have been deleted in another panel.")
    })
}

async fn open() -> Result<Rexie, rexie::Error> {
    Rexie::builder(DATABASE)
        .version(1)
        .add_object_store(ObjectStore::new(CAPTURES).key_path("id"))
        .build()
        .await
}

fn parse(record: &JsValue) -> Option<Saved> {
    let json = Reflect::get(record, &"json".into()).ok()?.as_string()?;
    serde_json::from_str(&json).ok()
}

/// rexie's own messages say nothing: what they came from does.
fn failed(message: &str, error: &rexie::Error) -> Failure {
    Failure {
        causes: Failure::from_error(error).causes,
        ..Failure::new(message)
    }
}
