//! The panel in the test's document, before a host that the test plays.

use std::cell::RefCell;
use std::rc::Rc;

use futures_channel::oneshot;
use gloo_timers::future::TimeoutFuture;
use qemuweb_panel::app::page::Page as Panel;
use qemuweb_panel::app::panel::Panel as View;
use qemuweb_panel::cx::{Answer, Asked, Host};
use qemuweb_runtime::VmState;
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::{Command, Event, VmInfo};
use serde_json::Value;
use sycamore::prelude::*;
use sycamore::web::{document, render_in_scope};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement, KeyboardEvent, KeyboardEventInit};

type Held = oneshot::Sender<Result<Value, Failure>>;

/// A host that notes what it is asked, and does it at once, or when it is told to.
#[derive(Default)]
pub(crate) struct Notes {
    asked: RefCell<Vec<Command>>,
    /// Those who wait for an answer, if answers are held back.
    held: RefCell<Option<Vec<Held>>>,
}

impl Notes {
    /// Answers nothing more until [`Page::answer`].
    pub(crate) fn hold(&self) {
        *self.held.borrow_mut() = Some(Vec::new());
    }

    fn result(&self) -> Asked {
        match &mut *self.held.borrow_mut() {
            None => Box::pin(std::future::ready(Ok(Value::Null))),
            Some(held) => {
                let (sender, answer) = oneshot::channel();
                held.push(sender);
                Box::pin(async move { answer.await.unwrap() })
            }
        }
    }
}

impl Host for Notes {
    fn request(&self, command: Command, _: Vec<JsValue>) -> Answer {
        let result = self.ask(command);
        Box::pin(async move { result.await.map(drop) })
    }

    fn ask(&self, command: Command) -> Asked {
        self.asked.borrow_mut().push(command);
        self.result()
    }

    fn type_bytes(&self, _: &str, _: &[u8]) -> Answer {
        let result = self.result();
        Box::pin(async move { result.await.map(drop) })
    }

    fn resize_console(&self, _: &str, _: u16, _: u16) {}

    fn leave(&self) {}
}

/// The panel in the test's document.
pub(crate) struct Page {
    element: Element,
    pub(crate) panel: Panel,
    pub(crate) host: Rc<Notes>,
}

impl Page {
    pub(crate) fn new(vms: Vec<VmInfo>) -> Self {
        let element = document().create_element("div").unwrap();
        document().body().unwrap().append_child(&element).unwrap();
        let host = Rc::new(Notes::default());
        let mut made = None;
        let _ = create_root(|| {
            let panel = Panel::new(0.0);
            render_in_scope(|| view! { View(reconnect=|_| ()) }, &element);
            panel.cx.attach(Rc::clone(&host) as Rc<dyn Host>);
            panel.apply(&Event::VmList { vms }, &[]);
            made = Some(panel);
        });
        Self {
            element,
            panel: made.unwrap(),
            host,
        }
    }

    /// Shows a VM.
    pub(crate) fn show(&self, vm_id: &str) {
        self.panel.cx.run(|| self.panel.cx.nav.show(vm_id));
    }

    pub(crate) fn find(&self, selector: &str) -> Option<HtmlElement> {
        self.element
            .query_selector(selector)
            .unwrap()
            .map(JsCast::unchecked_into)
    }

    pub(crate) fn find_all(&self, selector: &str) -> u32 {
        self.element.query_selector_all(selector).unwrap().length()
    }

    pub(crate) fn get(&self, selector: &str) -> HtmlElement {
        self.find(selector)
            .unwrap_or_else(|| panic!("expected {selector} in {}", self.element.inner_html()))
    }

    pub(crate) fn press(&self, selector: &str, key: &str) {
        let target = self.get(selector);
        target.focus().unwrap();
        let options = KeyboardEventInit::new();
        options.set_key(key);
        options.set_bubbles(true);
        options.set_cancelable(true);
        let event = KeyboardEvent::new_with_keyboard_event_init_dict("keydown", &options).unwrap();
        target.dispatch_event(&event).unwrap();
    }

    /// What the host was asked, once all that waits has run.
    pub(crate) async fn asked(&self) -> Vec<Command> {
        TimeoutFuture::new(20).await;
        self.host.asked.take()
    }

    /// Gives the answer that all who wait have waited for.
    pub(crate) async fn answer(&self, result: Result<Value, Failure>) {
        TimeoutFuture::new(20).await;
        let held = self.host.held.take().unwrap();
        assert!(!held.is_empty(), "the host was asked nothing");
        for waiting in held {
            // Who no longer waits has no use for it.
            let _ = waiting.send(result.clone());
        }
        TimeoutFuture::new(20).await;
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.element.remove();
    }
}

pub(crate) fn vm(vm_id: &str, state: VmState) -> VmInfo {
    let profile = qemuweb_vm_config::find_profile("minimal-x86_64").unwrap();
    VmInfo {
        state,
        ..VmInfo::new(vm_id.into(), vm_id.to_uppercase(), profile.into())
    }
}
