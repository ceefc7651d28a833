//! The entry points that the pages call.

use std::rc::Rc;

use qemuweb_wire::failure::Failure;
use qemuweb_wire::topic;
use sycamore::prelude::*;
use sycamore::web::{document, window};
use wasm_bindgen::prelude::*;

use super::js_api::{self, QemuClient};
use super::page::Page;
use super::panel::Panel;
use super::popup::Popup;
use super::session::{self, reconnect};
use super::theme;
use crate::cx::Cx;
use crate::features::launcher::state::image_sizes;
use crate::features::machines::state::{Machines, Rows};
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

/// Shows the popup and connects it.
///
/// # Errors
/// An `Error` with the failure's text, which the popup shows too.
#[wasm_bindgen]
pub async fn start_popup() -> Result<(), JsError> {
    let machines = mount(|| {
        let machines = Machines::new(Cx::new(now()));
        (machines, view! { Popup(machines=machines, reconnect=reconnect) })
    })?;
    let cx = machines.cx;
    session::on_connect(move |client, ready| {
        vec![
            client.subscribe(&topic::Host, move |news| {
                cx.run(|| cx.capabilities.set(Some(news.state.capabilities.clone())));
            }),
            client.subscribe(&Rows, move |news| {
                cx.run(|| machines.heard(news.state, news.delta.map(|delta| &delta.0)));
                ready();
            }),
        ]
    });
    session::connect(cx)
        .await
        .map_err(|failure| JsError::new(&failure.to_string()))
}

/// Puts a view into the page's element `app`, in place of what stands there until the wasm is loaded.
fn mount<T: 'static>(make: impl FnOnce() -> (T, View)) -> Result<T, JsError> {
    qemuweb_wire::web::note_panics();
    let app = document()
        .get_element_by_id("app")
        .ok_or_else(|| JsError::new("expected an element with the id app"))?;
    let mut made = None;
    // The page's scope is never disposed.
    let _ = create_root(|| {
        app.set_inner_html("");
        sycamore::web::render_in_scope(
            || {
                let (state, view) = make();
                made = Some(state);
                view
            },
            &app,
        );
    });
    made.ok_or_else(|| JsError::new(&Failure::new("the page could not be made").to_string()))
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
