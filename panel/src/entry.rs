//! The entry points that the pages call.

use qemuweb_runtime::failure::Failure;
use sycamore::prelude::*;
use sycamore::web::{document, window};
use wasm_bindgen::prelude::*;

use crate::app::App;
use crate::browser::now;
use crate::js_api::QemuClient;
use crate::popup::Popup;
use crate::session::{self, reconnect};
use crate::workbench::Workbench;

/// Shows the panel and connects it. Resolves with the client API, once connected.
///
/// # Errors
/// An `Error` with the failure's text, which the panel shows too, with a way to reconnect.
#[wasm_bindgen]
pub async fn start_panel() -> Result<QemuClient, JsError> {
    let workbench = mount(|workbench| view! { App(workbench=workbench, reconnect=reconnect) })?;
    workbench.consoles().enable();
    follow_theme(workbench);
    follow_visibility(workbench);
    session::keep_time(workbench);
    wasm_bindgen_futures::spawn_local(session::learn_image_sizes(workbench));
    if let Some(vm_id) = vm_in_address() {
        // It is known once the list of VMs is here.
        workbench.store.selected.set(Some(vm_id));
    }
    session::connect(workbench)
        .await
        .map_err(|failure| JsError::new(&failure.to_string()))?;
    Ok(QemuClient::new(workbench))
}

/// Shows the popup and connects it.
///
/// # Errors
/// An `Error` with the failure's text, which the popup shows too.
#[wasm_bindgen]
pub async fn start_popup() -> Result<(), JsError> {
    let workbench = mount(|workbench| view! { Popup(workbench=workbench, reconnect=reconnect) })?;
    session::connect(workbench)
        .await
        .map_err(|failure| JsError::new(&failure.to_string()))
}

/// Puts a view into the page's element `app`, in place of what stands there until the wasm is loaded.
fn mount(view: impl FnOnce(Workbench) -> View) -> Result<Workbench, JsError> {
    qemuweb_runtime::web::note_panics();
    let app = document()
        .get_element_by_id("app")
        .ok_or_else(|| JsError::new("expected an element with the id app"))?;
    let mut mounted = None;
    // The page's scope is never disposed.
    let _ = create_root(|| {
        let workbench = Workbench::new(now());
        app.set_inner_html("");
        sycamore::web::render_in_scope(|| view(workbench), &app);
        mounted = Some(workbench);
    });
    mounted.ok_or_else(|| JsError::new(&Failure::new("the page could not be made").to_string()))
}

/// Draws terminals anew when the theme changes.
fn follow_theme(workbench: Workbench) {
    let Ok(Some(dark)) = window().match_media("(prefers-color-scheme: dark)") else {
        return;
    };
    let changed = Closure::<dyn FnMut()>::new(move || workbench.consoles().restyle());
    // It fails for no list of media queries.
    let _ = dark.add_event_listener_with_callback("change", changed.as_ref().unchecked_ref());
    // As long as the page, like what it is called by.
    changed.forget();
    std::mem::forget(dark);
}

/// Has guests told the size of terminals that come into view with the page.
fn follow_visibility(workbench: Workbench) {
    let changed = Closure::<dyn FnMut()>::new(move || workbench.consoles().page_is_shown());
    // It fails for no document.
    let _ = document().add_event_listener_with_callback("visibilitychange", changed.as_ref().unchecked_ref());
    // As long as the page.
    changed.forget();
}

/// The VM that the page's address names: `panel.html#vm=ID`.
fn vm_in_address() -> Option<String> {
    let hash = window().location().hash().ok()?;
    let encoded = hash.strip_prefix("#vm=")?;
    js_sys::decode_uri_component(encoded)
        .ok()
        .map(String::from)
        .filter(|vm_id| !vm_id.is_empty())
}
