//! The popup of the toolbar button.

use qemuweb_wire::topic;
use sycamore::prelude::*;
use wasm_bindgen::prelude::*;

use super::mount;
use crate::app::popup::Popup;
use crate::app::session::{self, reconnect};
use crate::cx::Cx;
use crate::features::machines::state::{Machines, Rows};
use crate::kit::browser::now;

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
