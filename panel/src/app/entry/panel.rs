//! The panel, in DevTools or in a tab.

use std::rc::Rc;

use sycamore::prelude::*;
use sycamore::web::{document, window};
use wasm_bindgen::prelude::*;

use super::mount;
use crate::app::js_api::{self, QemuClient};
use crate::app::page::Page;
use crate::app::panel::Panel;
use crate::app::session::{self, reconnect};
use crate::app::theme;
use crate::features::launcher::state::image_sizes;
use crate::kit::browser::now;

/// Shows the panel and connects it. Resolves with the client API, once connected.
///
/// # Errors
/// An `Error` with the failure's text, which the panel shows too, with a way to reconnect.
#[wasm_bindgen]
pub async fn start_panel() -> Result<QemuClient, JsError> {
    let page = mount(|| {
        let page = Page::new(now());
        (page, view! { Panel(reconnect=reconnect) })
    })?;
    let cx = page.cx;
    cx.run(|| page.consoles.enable());
    theme::follow(cx, move || page.consoles.restyle());
    follow_visibility(page);
    session::keep_time(page.machines);
    cx.later(image_sizes(), move |sizes| page.launcher.image_sizes.set(sizes));
    if let Some(vm_id) = vm_in_address() {
        // It is known once the list of VMs is here.
        cx.run(|| cx.nav.selected.set(Some(vm_id)));
    }
    session::on_connect(move |client, ready| page.subscribe(client, ready));
    page.consoles.on_output(Rc::new(js_api::tell_output));
    session::connect(cx)
        .await
        .map_err(|failure| JsError::new(&failure.to_string()))?;
    Ok(QemuClient::new(page))
}

/// Has guests told the size of terminals that come into view with the page.
fn follow_visibility(page: Page) {
    let changed = Closure::<dyn FnMut()>::new(move || page.consoles.page_is_shown_or_hidden());
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
