//! The local files of VMs: Blobs, and handles that are read anew at each start.

use js_sys::Promise;
use qemuweb_runtime::Failure;
use qemuweb_runtime::web::failure_from_exception;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, FileSystemFileHandle};

/// The largest Blob that is kept in the database, in bytes: keeping copies it. Larger files are kept by their handles,
/// or have to be chosen again.
const LARGEST_KEPT: f64 = 67_108_864.0;

#[wasm_bindgen]
extern "C" {
    /// What web-sys lacks of a handle.
    type Permissions;

    /// Resolves to `granted`, `prompt` or `denied`.
    #[wasm_bindgen(method, catch, js_name = queryPermission)]
    fn query_permission(this: &Permissions) -> Result<Promise, JsValue>;
}

/// The handle that an attachment is, if it is one.
pub(super) fn handle(file: &JsValue) -> Option<&FileSystemFileHandle> {
    file.dyn_ref()
}

/// What of an attachment is kept in the database: null for what is too large.
pub(super) fn kept(file: &JsValue) -> JsValue {
    match file.dyn_ref::<Blob>() {
        Some(blob) if blob.size() > LARGEST_KEPT => JsValue::NULL,
        _ => file.clone(),
    }
}

/// The Blobs to start with: handles are asked for the file as it is now.
///
/// # Errors
/// A [`Failure`] that names the file that has to be chosen again or allowed.
pub(super) async fn open(files: &[JsValue], names: &[String]) -> Result<Vec<JsValue>, Failure> {
    let mut opened = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let name = names.get(index).map_or("a file", String::as_str);
        opened.push(match handle(file) {
            Some(handle) => read(handle, name).await?.into(),
            None if file.is_instance_of::<Blob>() => file.clone(),
            None => {
                return Err(
                    Failure::new(format!("{name} was too large to be kept when the browser closed"))
                        .with_next_step("Open this VM's settings and choose the file again."),
                );
            }
        });
    }
    Ok(opened)
}

async fn read(handle: &FileSystemFileHandle, name: &str) -> Result<File, Failure> {
    let failed = |exception: JsValue| {
        failure_from_exception(format!("could not read {name}"), &exception)
            .with_next_step("It may have been moved or deleted: open this VM's settings and choose it again.")
    };
    let state = JsFuture::from(
        handle
            .unchecked_ref::<Permissions>()
            .query_permission()
            .map_err(failed)?,
    )
    .await
    .map_err(failed)?;
    if state != "granted" {
        return Err(
            Failure::new(format!("QemuWeb may not read {name} any more")).with_next_step(
                "Start this VM from QemuWeb in a tab of its own, where the browser asks for permission.",
            ),
        );
    }
    JsFuture::from(handle.get_file())
        .await
        .map(JsCast::unchecked_into)
        .map_err(failed)
}
