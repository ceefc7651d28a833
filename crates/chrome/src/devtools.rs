//! `chrome.devtools`: the inspected page and its network traffic. There only in a panel or page of DevTools.

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A `chrome.events.Event`.
    #[derive(Clone)]
    type Event;

    #[wasm_bindgen(method, js_name = addListener)]
    fn add_listener(this: &Event, listener: &Function);

    #[wasm_bindgen(method, js_name = removeListener)]
    fn remove_listener(this: &Event, listener: &Function);

    #[wasm_bindgen(thread_local_v2, js_namespace = ["chrome", "devtools", "network"], js_name = onRequestFinished)]
    static ON_REQUEST_FINISHED: Event;

    #[wasm_bindgen(thread_local_v2, js_namespace = ["chrome", "devtools", "network"], js_name = onNavigated)]
    static ON_NAVIGATED: Event;

    #[wasm_bindgen(js_namespace = ["chrome", "devtools", "network"], js_name = getHAR)]
    fn get_har_with(callback: &Function);

    /// `chrome.devtools.inspectedWindow.reload()`.
    #[wasm_bindgen(js_namespace = ["chrome", "devtools", "inspectedWindow"], js_name = reload)]
    pub fn reload();

    /// `chrome.devtools.network.Request`: an entry of a HAR, with a method for its body.
    pub type Request;

    #[wasm_bindgen(method, js_name = getContent)]
    fn get_content_with(this: &Request, callback: &Function);
}

/// A listener of an event; dropping it takes the listener off.
#[must_use = "dropping it stops listening at once"]
pub struct Listener {
    event: Event,
    closure: Closure<dyn FnMut(JsValue)>,
}

impl Listener {
    fn new(event: Event, heard: impl FnMut(JsValue) + 'static) -> Self {
        let closure = Closure::<dyn FnMut(JsValue)>::new(heard);
        event.add_listener(closure.as_ref().unchecked_ref());
        Self { event, closure }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.event.remove_listener(self.closure.as_ref().unchecked_ref());
    }
}

/// Whether there is a `chrome.devtools` here, and so a page that is inspected.
pub fn is_available() -> bool {
    Reflect::get(&js_sys::global(), &"chrome".into())
        .and_then(|chrome| Reflect::get(&chrome, &"devtools".into()))
        .and_then(|devtools| Reflect::get(&devtools, &"network".into()))
        .is_ok_and(|network| network.is_object())
}

/// `chrome.devtools.network.onRequestFinished`: each request of the page, when its response is complete.
pub fn on_request_finished(mut heard: impl FnMut(Request) + 'static) -> Listener {
    let event = ON_REQUEST_FINISHED.with(Event::clone);
    Listener::new(event, move |request| heard(request.unchecked_into()))
}

/// `chrome.devtools.network.onNavigated`: the page's URL after it went to another document.
pub fn on_navigated(mut heard: impl FnMut(String) + 'static) -> Listener {
    let event = ON_NAVIGATED.with(Event::clone);
    Listener::new(event, move |url| heard(url.as_string().unwrap_or_default()))
}

/// `chrome.devtools.network.getHAR`: the requests that DevTools know of already.
pub fn get_har() -> Promise {
    Promise::new(&mut |resolve, _| get_har_with(&resolve))
}

/// The requests in what [`get_har`] resolves to.
pub fn requests_of(har: &JsValue) -> Vec<Request> {
    list_of(har, "entries")
        .iter()
        .map(JsCast::unchecked_into)
        .collect()
}

/// The page loads in what [`get_har`] resolves to: HAR's `pages`, an array.
pub fn pages_of(har: &JsValue) -> Array {
    list_of(har, "pages")
}

fn list_of(har: &JsValue, name: &str) -> Array {
    let list = Reflect::get(har, &name.into()).unwrap_or_default();
    list.dyn_into::<Array>().unwrap_or_default()
}

/// A body as DevTools give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Text or base64; nothing where DevTools do not give it.
    pub text: Option<String>,
    /// Whether `text` is base64.
    pub is_base64: bool,
}

impl Request {
    /// `getContent`: resolves to an array that [`Request::content`] understands.
    pub fn get_content(&self) -> Promise {
        Promise::new(&mut |resolve, _| {
            let answered = Closure::once_into_js(move |text: JsValue, encoding: JsValue| {
                // It cannot throw.
                let _ = resolve.call1(&JsValue::UNDEFINED, &Array::of2(&text, &encoding));
            });
            self.get_content_with(answered.unchecked_ref());
        })
    }

    /// The body in what [`Request::get_content`] resolves to.
    pub fn content(answer: &JsValue) -> Content {
        let answer: &Array = answer.unchecked_ref();
        Content {
            text: answer.get(0).as_string(),
            is_base64: answer.get(1).as_string().as_deref() == Some("base64"),
        }
    }
}
