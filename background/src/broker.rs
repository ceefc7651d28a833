//! The service worker's part: it creates the VM host when somebody wants it and closes it when nobody does, hands clients' ports
//! to it, and keeps the toolbar badge. It holds no state that matters: Chrome stops it when idle, and VMs do not care.

use std::cell::{Cell, RefCell};

use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Object, Promise, Reflect};
use qemuweb_chrome::{action, offscreen, runtime};
use qemuweb_wire::web::failure_from_exception;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{Client, ClientQueryOptions, ClientType, MessagePort, ServiceWorkerGlobalScope};

use crate::refusal::refuse;

/// The page that is the VM host.
const HOST_PAGE: &str = "offscreen.html";
/// Badge colour: white text on it has a contrast of 5.1:1.
const BADGE_COLOR: &str = "#1a73e8";
/// How often, and after how many milliseconds each time, a host that exists is looked for among the clients of this service
/// worker: it is listed there some time after it was created.
const LOOKS: u32 = 40;
const LOOK_MS: u32 = 50;
/// For how long a host stays that a client was brought to, in milliseconds: it may not have heard of that yet when it asks to be
/// closed.
const KEEP_MS: f64 = 10_000.0;

thread_local! {
    /// The making or closing of the host that is under way.
    static UNDER_WAY: RefCell<Option<Promise>> = const { RefCell::new(None) };
    /// Clients that are being brought to the host.
    static CONNECTING: Cell<usize> = const { Cell::new(0) };
    /// When the last one was.
    static CONNECTED: Cell<f64> = const { Cell::new(0.0) };
}

/// A `message` event: a client sent a port that the host is to have, and the name of the lock by which the host
/// learns when that client is gone. That there is no host, the client is told on its port.
#[wasm_bindgen]
pub async fn broker_connect(data: JsValue, ports: Array) {
    let Ok(port) = ports.get(0).dyn_into::<MessagePort>() else {
        return;
    };
    if !data.is_string() || ports.length() != 1 {
        return;
    }
    CONNECTING.set(CONNECTING.get() + 1);
    if let Err(exception) = connect(&data, &ports).await {
        let failure = failure_from_exception("could not start the VM host", &exception);
        refuse(
            port,
            failure.with_next_step("Reload the extension, then connect again."),
        );
    }
    CONNECTED.set(js_sys::Date::now());
    CONNECTING.set(CONNECTING.get() - 1);
}

async fn connect(data: &JsValue, ports: &Array) -> Result<(), JsValue> {
    ensure_host().await?;
    for _ in 0..LOOKS {
        if let Some(host) = find_host().await? {
            return host.post_message_with_transfer(data, ports);
        }
        TimeoutFuture::new(LOOK_MS).await;
    }
    Err(JsError::new("the VM host was created and is not there").into())
}

/// A `chrome.runtime.onMessage` event: the host tells how many VMs run, or that nobody needs it.
///
/// # Errors
/// Chrome's error when the badge cannot be set, or the host cannot be closed.
#[wasm_bindgen]
pub async fn broker_message(message: JsValue) -> Result<(), JsValue> {
    let told = |name: &str| Reflect::get(&message, &name.into()).unwrap_or_default();
    if told("idle").is_truthy() {
        return close_host().await;
    }
    match told("running").as_f64() {
        Some(running) => show_running(running).await,
        None => Ok(()),
    }
}

/// Closes a host that asks for it, unless somebody has just been brought to it.
async fn close_host() -> Result<(), JsValue> {
    let is_wanted = CONNECTING.get() > 0 || js_sys::Date::now() - CONNECTED.get() < KEEP_MS;
    if is_wanted || !has_host().await? {
        return Ok(());
    }
    // Somebody may have come while this was asked.
    if CONNECTING.get() > 0 {
        return Ok(());
    }
    one_at_a_time(async {
        JsFuture::from(offscreen::close_document()?).await?;
        Ok(())
    })
    .await
}

async fn show_running(running: f64) -> Result<(), JsValue> {
    let (text, title) = match running {
        0.0 => (String::new(), "QemuWeb".to_owned()),
        1.0 => ("1".to_owned(), "QemuWeb: 1 VM runs".to_owned()),
        many => (many.to_string(), format!("QemuWeb: {many} VMs run")),
    };
    JsFuture::from(action::set_badge_background_color(&object(&[(
        "color",
        &BADGE_COLOR.into(),
    )])?)?)
    .await?;
    JsFuture::from(action::set_badge_text(&object(&[("text", &text.into())])?)?).await?;
    JsFuture::from(action::set_title(&object(&[("title", &title.into())])?)?).await?;
    Ok(())
}

/// Creates the offscreen document unless it exists.
async fn ensure_host() -> Result<(), JsValue> {
    one_at_a_time(async {
        if has_host().await? {
            return Ok(());
        }
        let parameters = object(&[
            ("url", &HOST_PAGE.into()),
            ("reasons", &Array::of1(&"WORKERS".into())),
            (
                "justification",
                &"Runs virtual machines in Workers that outlive the panel that started them.".into(),
            ),
        ])?;
        JsFuture::from(offscreen::create_document(&parameters)?).await?;
        Ok(())
    })
    .await
}

/// Makes or closes the host when whatever is under way has ended: two clients may ask at once, and there is one document.
async fn one_at_a_time(work: impl Future<Output = Result<(), JsValue>> + 'static) -> Result<(), JsValue> {
    let before = UNDER_WAY.take();
    let promise = future_to_promise(async move {
        if let Some(before) = before {
            // Whoever asked for that was told how it went.
            let _ = JsFuture::from(before).await;
        }
        work.await.map(|()| JsValue::UNDEFINED)
    });
    UNDER_WAY.set(Some(promise.clone()));
    JsFuture::from(promise).await.map(drop)
}

async fn has_host() -> Result<bool, JsValue> {
    Ok(JsFuture::from(offscreen::has_document()?).await?.is_truthy())
}

async fn find_host() -> Result<Option<Client>, JsValue> {
    let scope: ServiceWorkerGlobalScope = js_sys::global().unchecked_into();
    let options = ClientQueryOptions::new();
    options.set_include_uncontrolled(true);
    options.set_type(ClientType::All);
    let clients: Promise = scope.clients().match_all_with_options(&options);
    let url = runtime::get_url(HOST_PAGE);
    let clients: Array = JsFuture::from(clients).await?.unchecked_into();
    Ok(clients
        .iter()
        .map(JsCast::unchecked_into::<Client>)
        .find(|client| client.url() == url))
}

fn object(fields: &[(&str, &JsValue)]) -> Result<JsValue, JsValue> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &(*name).into(), value)?;
    }
    Ok(object.into())
}
