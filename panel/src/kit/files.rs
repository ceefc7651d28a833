//! Files of the person's computer and addresses on the web: choosing them, and the permissions that they take.
//!
//! A handle lets a VM read its file again after the browser was closed. Chromium gives handles to pages of their own
//! and for files that are dropped; in DevTools a file that is picked comes without one.

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use sycamore::web::{document, window};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, BlobPropertyBag, DragEvent, Event, File, FileSystemFileHandle, HtmlAnchorElement, HtmlInputElement,
    Url,
};

/// Largest size of a file that can be handed on, in bytes: above it numbers are not exact.
const MAX_FILE: f64 = 9_007_199_254_740_991.0;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = showOpenFilePicker)]
    fn show_open_file_picker() -> Result<Promise, JsValue>;

    /// What web-sys lacks of a handle.
    type Permissions;

    /// Resolves to `granted`, `prompt` or `denied`.
    #[wasm_bindgen(method, catch, js_name = queryPermission)]
    fn query_permission(this: &Permissions) -> Result<Promise, JsValue>;

    /// Asks the person, if need be; resolves to `granted` or `denied`.
    #[wasm_bindgen(method, catch, js_name = requestPermission)]
    fn request_permission(this: &Permissions) -> Result<Promise, JsValue>;
}

/// A file that was chosen.
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// The File, or a FileSystemFileHandle.
    pub file: JsValue,
}

impl Chosen {
    /// A file without a handle.
    pub fn file(file: File) -> Self {
        Self {
            name: file.name(),
            // An f64 of JavaScript's that counts bytes: whole and positive.
            size: file.size().clamp(0.0, MAX_FILE) as u64,
            file: file.into(),
        }
    }
}

/// The file that was chosen in an `<input>`, which can take the same again.
pub fn chosen(event: &Event) -> Option<File> {
    all_chosen(event).into_iter().next()
}

/// As [`chosen`], where several can be chosen.
pub fn all_chosen(event: &Event) -> Vec<File> {
    let target = event.target().and_then(|target| target.dyn_into().ok());
    let Some(input): Option<HtmlInputElement> = target else {
        return Vec::new();
    };
    let files = input.files();
    let all = files
        .iter()
        .flat_map(|files| (0..files.length()).filter_map(|index| files.get(index)));
    let all = all.collect();
    input.set_value("");
    all
}

/// Has the browser save bytes as a file.
///
/// # Errors
/// What the browser threw.
pub fn download(bytes: &[u8], mime_type: &str, name: &str) -> Result<(), JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(mime_type);
    let parts = Array::of1(&Uint8Array::from(bytes));
    download_blob(
        &Blob::new_with_u8_array_sequence_and_options(&parts, &options)?,
        name,
    )
}

/// As [`download`], for bytes that the browser has already.
///
/// # Errors
/// What the browser threw.
pub fn download_blob(blob: &Blob, name: &str) -> Result<(), JsValue> {
    let url = Url::create_object_url_with_blob(blob)?;
    let link: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&url)
}

/// Whether this is a page of its own, and no frame of another one as in DevTools.
pub fn is_top() -> bool {
    window().top().ok().flatten().is_some_and(|top| top == window())
}

/// Whether this page may show the picker that gives handles: a page of its own may.
pub fn has_picker() -> bool {
    is_top() && Reflect::has(&window(), &"showOpenFilePicker".into()).unwrap_or(false)
}

/// Has the person pick a file. Nothing if they did not, or the picker cannot be shown.
pub async fn pick() -> Option<Chosen> {
    let picked = JsFuture::from(show_open_file_picker().ok()?).await.ok()?;
    let handle = picked.dyn_into::<Array>().ok()?.get(0);
    of_handle(handle.dyn_into().ok()?).await
}

async fn of_handle(handle: FileSystemFileHandle) -> Option<Chosen> {
    let file: File = JsFuture::from(handle.get_file()).await.ok()?.dyn_into().ok()?;
    Some(Chosen {
        file: handle.into(),
        ..Chosen::file(file)
    })
}

/// The file that a `drop` event brings, with its handle where the browser gives one.
pub async fn dropped(event: &Event) -> Option<Chosen> {
    let get = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).ok();
    let call = |object: &JsValue, name: &str| {
        let method: Function = get(object, name)?.dyn_into().ok()?;
        method.call0(object).ok()
    };
    let item = get(&get(&get(event, "dataTransfer")?, "items")?, "0")?;
    // Both have to be asked for while the event lasts.
    let (handle, file) = (call(&item, "getAsFileSystemHandle"), call(&item, "getAsFile"));
    if let Some(promise) = handle.and_then(|promise| promise.dyn_into::<Promise>().ok())
        && let Ok(handle) = JsFuture::from(promise).await
        && let Some(handle) = handle.dyn_into().ok()
        && let Some(chosen) = of_handle(handle).await
    {
        return Some(chosen);
    }
    Some(Chosen::file(file?.dyn_into().ok()?))
}

/// The files that a `drop` event brings, and the names of the folders among them, of which none can be read as a file.
pub fn all_dropped(event: &DragEvent) -> (Vec<File>, Vec<String>) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let Some(transfer) = event.data_transfer() else {
        return (files, folders);
    };
    let items = transfer.items();
    for item in (0..items.length()).filter_map(|index| items.get(index)) {
        let Ok(Some(file)) = item.get_as_file() else {
            continue;
        };
        match item.webkit_get_as_entry() {
            Ok(Some(entry)) if entry.is_directory() => folders.push(entry.name()),
            _ => files.push(file),
        }
    }
    (files, folders)
}

/// Whether files are dragged, and not text.
pub fn are_dragged(event: &DragEvent) -> bool {
    let types = event.data_transfer().map(|transfer| transfer.types());
    types.is_some_and(|types| types.includes(&"Files".into(), 0))
}

/// Keeps the page when files are dropped where nobody takes them: the browser would show them in its place.
pub fn keep_page(event: &DragEvent) {
    let target = event
        .target()
        .and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
    // A field for files takes them by itself.
    if event.default_prevented() || target.is_some() || !are_dragged(event) {
        return;
    }
    event.prevent_default();
    if let Some(transfer) = event.data_transfer() {
        transfer.set_drop_effect("none");
    }
}

/// The names of the files that QemuWeb may not read as long as the person has not allowed it again.
pub async fn not_allowed(handles: &[JsValue]) -> Vec<String> {
    let mut names = Vec::new();
    for handle in handles {
        let state = match handle.unchecked_ref::<Permissions>().query_permission() {
            Ok(promise) => JsFuture::from(promise).await,
            Err(exception) => Err(exception),
        };
        if state.is_ok_and(|state| state != "granted") {
            names.push(handle.unchecked_ref::<FileSystemFileHandle>().name());
        }
    }
    names
}

/// Asks the person to let QemuWeb read these files again. Call it while a click is fresh.
pub async fn ask_for_handles(handles: &[JsValue]) {
    for handle in handles {
        if let Ok(promise) = handle.unchecked_ref::<Permissions>().request_permission() {
            // Who refuses is told by the start that fails.
            let _ = JsFuture::from(promise).await;
        }
    }
}

/// Asks the person to let QemuWeb fetch from the hosts of these addresses. Call it while a click is fresh: the request
/// is made before the first `.await`.
///
/// # Errors
/// A sentence that says what was not allowed.
pub fn ask_for_hosts(urls: &[&str]) -> impl Future<Output = Result<(), String>> + use<> {
    let origins: Vec<String> = urls.iter().filter_map(|url| match_pattern(url)).collect();
    let asked = (!origins.is_empty()).then(|| {
        let patterns: Array = origins.iter().map(|origin| JsValue::from_str(origin)).collect();
        qemuweb_chrome::permissions::request(&super::browser::object([("origins", patterns.into())]))
    });
    async move {
        let granted = match asked {
            None => return Ok(()),
            Some(Ok(promise)) => JsFuture::from(promise).await,
            Some(Err(exception)) => Err(exception),
        };
        let hosts = origins.join(", ");
        match granted {
            Ok(answer) if answer.is_truthy() => Ok(()),
            Ok(_) => Err(format!(
                "QemuWeb may not fetch from {hosts}: allow it when the browser asks, or choose a local file"
            )),
            Err(_) => Err(format!(
                "the browser does not let this page ask for access to {hosts}: open QemuWeb in a tab and launch there"
            )),
        }
    }
}

/// The match pattern of an address's host, as permissions name it: `https://example.org/*`.
fn match_pattern(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => format!("[{}]", v6.split(']').next()?),
        None => host.split(':').next()?.to_owned(),
    };
    (!host.is_empty()).then(|| format!("{scheme}://{host}/*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_without_port_and_path() {
        for (url, pattern) in [
            ("https://example.org/a.iso", Some("https://example.org/*")),
            ("http://127.0.0.1:8080/k?x#y", Some("http://127.0.0.1/*")),
            ("https://user:p@example.org", Some("https://example.org/*")),
            ("http://[::1]:80/x", Some("http://[::1]/*")),
            ("https:///x", None),
            ("x", None),
        ] {
            assert_eq!(match_pattern(url).as_deref(), pattern, "{url}");
        }
    }
}
