//! The local files of VMs: Blobs, and handles that are read anew at each start.

use js_sys::Promise;
use qemuweb_machine::io::Content;
use qemuweb_wire::Failure;
use qemuweb_wire::web::failure_from_exception;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FileSystemFileHandle};

#[wasm_bindgen]
extern "C" {
    /// What web-sys lacks of a handle.
    type Permissions;

    /// Resolves to `granted`, `prompt` or `denied`.
    #[wasm_bindgen(method, catch, js_name = queryPermission)]
    fn query_permission(this: &Permissions) -> Result<Promise, JsValue>;
}

/// The Blobs of files, with their names: handles are asked for the file as it is now.
///
/// # Errors
/// A [`Failure`] that names the file that has to be chosen again or allowed.
pub(super) async fn open(files: &[(String, Content<JsValue>)]) -> Result<Vec<JsValue>, Failure> {
    let mut opened = Vec::new();
    for (name, content) in files {
        opened.push(open_one(name, content).await?);
    }
    Ok(opened)
}

/// As [`open`], for one file.
pub(super) async fn open_one(name: &str, content: &Content<JsValue>) -> Result<JsValue, Failure> {
    match content.file.dyn_ref() {
        Some(handle) => read(handle, name).await.map(JsValue::from),
        None => Ok(content.file.clone()),
    }
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
