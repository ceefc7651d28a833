//! Finding the host: the service worker, which may have to be woken, hands our port to it.

use std::pin::pin;

use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, ServiceWorkerRegistration};

use super::presence::{self, announce};
use super::{PortTransport, failure_from_exception};
use crate::call::Hello;
use crate::client::QemuClient;
use crate::failure::Failure;

/// How long the host may take to answer, in milliseconds. It may have to be created first.
const PATIENCE_MS: u32 = 15_000;

/// A client of the VM host, which is created if there is none. The host has answered it.
///
/// # Errors
/// A [`Failure`] when the service worker cannot be reached, or the host refuses or does not answer.
pub async fn connect() -> Result<QemuClient<PortTransport>, Failure> {
    let unreachable =
        |exception: JsValue| failure_from_exception("could not reach QemuWeb's service worker", &exception);
    let window = web_sys::window().ok_or_else(|| Failure::new("expected a window to connect from"))?;
    let ready = window.navigator().service_worker().ready().map_err(unreachable)?;
    let registration: ServiceWorkerRegistration =
        JsFuture::from(ready).await.map_err(unreachable)?.unchecked_into();
    let worker = registration.active().ok_or_else(|| {
        Failure::new("QemuWeb's service worker is not active").with_next_step("Reload the extension.")
    })?;

    let name = format!(
        "qemuweb-client-{:016x}",
        (js_sys::Math::random() * 2f64.powi(64)) as u64
    );
    let presence = announce(&name).await?;
    let channel = MessageChannel::new().map_err(unreachable)?;
    let transfer = Array::of1(&channel.port2());
    worker
        .post_message_with_transferable(&name.into(), &transfer)
        .map_err(unreachable)?;

    let transport = PortTransport::new(channel.port1())
        .watching(presence::HOST)
        .with_presence(presence);
    let client = QemuClient::new(transport);
    let hello = client.call(Hello {});
    match select(pin!(hello), TimeoutFuture::new(PATIENCE_MS)).await {
        Either::Left((answer, _)) => answer.map(|()| client),
        Either::Right(_) => Err(Failure::new(format!(
            "the VM host did not answer within {} s",
            PATIENCE_MS / 1000
        ))
        .with_next_step("Reload the extension, then connect again.")),
    }
}
