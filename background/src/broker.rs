//! The service worker's part: it creates the VM host when somebody wants it, hands clients' ports to it, and
//! keeps the toolbar badge. It holds no state: Chrome stops it when idle, and VMs do not care.

use js_sys::{Array, Object, Promise, Reflect};
use qemuweb_chrome::{action, offscreen, runtime};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Client, ClientQueryOptions, ClientType, ServiceWorkerGlobalScope};

/// The page that is the VM host.
const HOST_PAGE: &str = "offscreen.html";
/// Badge colour: white text on it has a contrast of 5.1:1.
const BADGE_COLOR: &str = "#1a73e8";

/// A `message` event: a client sent a port that the host is to have, and the name of the lock by which the host
/// learns when that client is gone.
///
/// # Errors
/// Chrome's error when the host can neither be found nor created.
#[wasm_bindgen]
pub async fn broker_connect(data: JsValue, ports: Array) -> Result<(), JsValue> {
    if !data.is_string() || ports.length() != 1 {
        return Ok(());
    }
    ensure_host().await?;
    let host = find_host()
        .await?
        .ok_or_else(|| JsError::new("the VM host was created and is not there"))?;
    host.post_message_with_transfer(&data, &ports)
}

/// A `chrome.runtime.onMessage` event: the host tells how many VMs run.
///
/// # Errors
/// Chrome's error when the badge cannot be set.
#[wasm_bindgen]
pub async fn broker_message(message: JsValue) -> Result<(), JsValue> {
    let Some(running) = Reflect::get(&message, &"running".into())
        .ok()
        .and_then(|value| value.as_f64())
    else {
        return Ok(());
    };
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

/// Creates the offscreen document unless it exists. Two clients may ask at once: the loser's error is
/// forgiven when the document is there.
async fn ensure_host() -> Result<(), JsValue> {
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
    let created = JsFuture::from(offscreen::create_document(&parameters)?).await;
    match created {
        Err(error) if !has_host().await? => Err(error),
        _ => Ok(()),
    }
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
