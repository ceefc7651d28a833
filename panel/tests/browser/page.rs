//! The panel in the test's document, before a host that the test plays at the other end of a real port.

use std::cell::RefCell;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use qemuweb_panel::app::page::Page as Features;
use qemuweb_panel::app::panel::Panel;
use qemuweb_panel::app::session;
use qemuweb_vm_config::{DiskFormat, FileKind, StoredFile};
use qemuweb_wire::call::{Call, Defined, StoreFile};
use qemuweb_wire::capabilities::RuntimeCapabilities;
use qemuweb_wire::client::{QemuClient, Transport};
use qemuweb_wire::failure::Failure;
use qemuweb_wire::message::{ClientMessage, HostMessage, Packet, Update};
use qemuweb_wire::stored::StoredInfo;
use qemuweb_wire::topic::{HostState, LibraryState, MachineState, Topic};
use qemuweb_wire::vm::VmInfo;
use qemuweb_wire::web::PortTransport;
use qemuweb_wire::{VmState, stream::StreamKind};
use serde_json::{Value, json};
use sycamore::prelude::*;
use sycamore::web::{document, render_in_scope};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent, KeyboardEventInit, MessageChannel};

/// A host that notes what it is asked, and does it at once, or when it is told to.
pub(crate) struct Notes {
    port: PortTransport,
    vms: Vec<VmInfo>,
    asked: RefCell<Vec<Call>>,
    /// The subscriptions that there are.
    topics: RefCell<Vec<(u32, Topic)>>,
    /// The streams that were opened.
    streams: RefCell<Vec<StreamKind>>,
    /// Those who wait for an answer, if answers are held back.
    held: RefCell<Option<Vec<(u32, Value)>>>,
}

impl Notes {
    fn new(port: PortTransport, vms: Vec<VmInfo>) -> Rc<Self> {
        let host = Rc::new(Self {
            port,
            vms,
            asked: RefCell::default(),
            topics: RefCell::default(),
            streams: RefCell::default(),
            held: RefCell::default(),
        });
        let weak = Rc::downgrade(&host);
        host.port.on_packet(Box::new(move |packet| {
            if let Some(host) = weak.upgrade() {
                host.take(serde_json::from_str(&packet.json).unwrap());
            }
        }));
        host
    }

    fn take(&self, message: ClientMessage) {
        match message {
            ClientMessage::Call { id, call } => {
                let value = value_of(&call);
                self.asked.borrow_mut().push(call);
                match &mut *self.held.borrow_mut() {
                    Some(held) => held.push((id, value)),
                    None => self.reply(id, Ok(value)),
                }
            }
            ClientMessage::Subscribe { id, topic } => {
                self.snapshot(id, &topic);
                self.topics.borrow_mut().push((id, topic));
            }
            ClientMessage::Unsubscribe { id } => self.topics.borrow_mut().retain(|(other, _)| *other != id),
            ClientMessage::Open { stream, .. } => self.streams.borrow_mut().push(stream),
            ClientMessage::Cancel { .. } => {}
        }
    }

    fn snapshot(&self, id: u32, topic: &Topic) {
        let state = match topic {
            Topic::Host => json!(HostState {
                capabilities: RuntimeCapabilities {
                    shared_array_buffer: true,
                    web_assembly: true,
                    wasm_simd: true,
                    wasm_threads: true,
                    big_int: true,
                    indexed_db: true,
                    file_system_access: true,
                    web_gpu: true,
                    max_memory: 4 << 30,
                },
                failures: Vec::new(),
            }),
            Topic::Machines => json!(self.vms),
            Topic::Profiles => json!([]),
            Topic::Library => json!(LibraryState::default()),
            Topic::Machine { .. } => json!(MachineState::default()),
            Topic::Capture { .. } => Value::Null,
        };
        self.send(&HostMessage::Update {
            id,
            revision: 1,
            update: Update::Snapshot(state),
        });
    }

    fn reply(&self, id: u32, result: Result<Value, Failure>) {
        let (value, failure) = match result {
            Ok(value) => (value, None),
            Err(failure) => (Value::Null, Some(failure)),
        };
        self.send(&HostMessage::Reply { id, failure, value });
    }

    fn send(&self, message: &HostMessage) {
        self.port.send(Packet::new(message, Vec::new()).unwrap()).unwrap();
    }

    /// Answers nothing more until [`Page::answer`].
    pub(crate) fn hold(&self) {
        *self.held.borrow_mut() = Some(Vec::new());
    }

    /// The streams that were opened.
    pub(crate) fn streams(&self) -> Vec<StreamKind> {
        self.streams.borrow().clone()
    }

    /// The topics that are subscribed to.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        self.topics
            .borrow()
            .iter()
            .map(|(_, topic)| topic.clone())
            .collect()
    }
}

/// What answers a call that succeeds.
fn value_of(call: &Call) -> Value {
    match call {
        Call::DefineVm(_) => json!(Defined { revision: 1 }),
        Call::StoreFile(StoreFile { name }) => json!(StoredInfo {
            file: StoredFile {
                hash: "sha256:0".into(),
                name: name.clone(),
                size: 6,
            },
            what: "raw disk image".into(),
            kind: FileKind::Disk,
            arch: None,
            format: DiskFormat::Raw,
        }),
        Call::ListDisks(_) | Call::VmDisks(_) => json!([]),
        _ => Value::Null,
    }
}

/// The panel in the test's document.
pub(crate) struct Page {
    element: Element,
    pub(crate) panel: Features,
    pub(crate) host: Rc<Notes>,
}

impl Page {
    pub(crate) async fn new(vms: Vec<VmInfo>) -> Self {
        let element = document().create_element("div").unwrap();
        document().body().unwrap().append_child(&element).unwrap();
        let channel = MessageChannel::new().unwrap();
        let host = Notes::new(PortTransport::new(channel.port2()), vms);
        let mut made = None;
        let _ = create_root(|| {
            render_in_scope(
                || {
                    made = Some(Features::new(0.0));
                    view! { Panel(reconnect=|_| ()) }
                },
                &element,
            );
        });
        let panel = made.unwrap();
        session::on_connect(move |client, ready| panel.subscribe(client, ready));
        let client = QemuClient::new(PortTransport::new(channel.port1()));
        session::attach(panel.cx, client).await.unwrap();
        let page = Self { element, panel, host };
        // What is prepared when a panel opens.
        page.asked().await;
        page
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
    pub(crate) async fn asked(&self) -> Vec<Call> {
        TimeoutFuture::new(40).await;
        self.host.asked.take()
    }

    /// Gives the answer that all who wait have waited for.
    pub(crate) async fn answer(&self, result: Result<Value, Failure>) {
        TimeoutFuture::new(40).await;
        let held = self.host.held.take().unwrap();
        assert!(!held.is_empty(), "the host was asked nothing");
        for (id, value) in held {
            // Null stands for whatever the call is answered with.
            let result = result
                .clone()
                .map(|given| if given.is_null() { value } else { given });
            self.host.reply(id, result);
        }
        TimeoutFuture::new(40).await;
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
