//! The ports of clients and of their streams: what comes is brought to the core, what it says is sent.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_machine::Input;
use qemuweb_machine::io::{Attached, ClientId, StreamId};
use qemuweb_wire::client::Transport;
use qemuweb_wire::message::{HostMessage, Packet};
use qemuweb_wire::stream::StreamMessage;
use qemuweb_wire::web::PortTransport;
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, FileSystemFileHandle, MessagePort};

use super::driver::Driver;

/// Most bytes that are taken along with a message.
const MAX_BYTES: u32 = 64 << 20;

/// Everybody who is connected.
#[derive(Default)]
pub(super) struct Clients {
    last: Cell<u32>,
    clients: RefCell<HashMap<ClientId, Rc<PortTransport>>>,
    streams: RefCell<HashMap<StreamId, Rc<PortTransport>>>,
}

impl Clients {
    /// Takes a client's port, and the name of the lock that it holds for as long as it is there.
    pub(super) fn accept(&self, port: MessagePort, lock: String, driver: &Rc<Driver>) {
        self.last.set(self.last.get() + 1);
        let client = ClientId(self.last.get());
        let transport = Rc::new(PortTransport::new(port).watching(lock));
        self.clients.borrow_mut().insert(client, Rc::clone(&transport));
        driver.happen(Input::Joined(client));
        let weak = Rc::downgrade(driver);
        transport.on_close(Box::new(move || {
            if let Some(driver) = weak.upgrade() {
                driver.clients.clients.borrow_mut().remove(&client);
                driver.happen(Input::Left(client));
            }
        }));
        let weak = Rc::downgrade(driver);
        transport.on_packet(Box::new(move |packet| {
            if let Some(driver) = weak.upgrade() {
                driver.happen(Input::Message {
                    client,
                    version: packet.version,
                    json: packet.json,
                    attachments: packet.attachments.into_iter().map(attached).collect(),
                });
            }
        }));
    }

    pub(super) fn send(&self, client: ClientId, message: &HostMessage, attachments: Vec<JsValue>) {
        let transport = self.clients.borrow().get(&client).cloned();
        if let Some(transport) = transport {
            send(&transport, message, attachments);
        }
    }

    /// Listens on a stream's port.
    pub(super) fn open_stream(&self, stream: StreamId, port: JsValue, driver: &Rc<Driver>) {
        let Ok(port) = port.dyn_into::<MessagePort>() else {
            let json = r#"{"type":"end","failure":null}"#.to_owned();
            return driver.happen(Input::OnStream {
                stream,
                version: qemuweb_wire::message::VERSION,
                json,
                bytes: None,
            });
        };
        let transport = Rc::new(PortTransport::new(port));
        let weak = Rc::downgrade(driver);
        transport.on_packet(Box::new(move |packet| {
            if let Some(driver) = weak.upgrade() {
                let bytes = packet.attachments.first().and_then(bytes);
                driver.happen(Input::OnStream {
                    stream,
                    version: packet.version,
                    json: packet.json,
                    bytes,
                });
            }
        }));
        self.streams.borrow_mut().insert(stream, transport);
    }

    pub(super) fn send_on_stream(&self, stream: StreamId, message: &StreamMessage, bytes: Option<Rc<[u8]>>) {
        let transport = self.streams.borrow().get(&stream).cloned();
        if let Some(transport) = transport {
            let bytes = bytes.map(|bytes| Uint8Array::from(&*bytes).into());
            send(&transport, message, bytes.into_iter().collect());
        }
    }

    pub(super) fn close_stream(&self, stream: StreamId) {
        self.streams.borrow_mut().remove(&stream);
    }
}

fn send(transport: &PortTransport, message: &impl Serialize, attachments: Vec<JsValue>) {
    // A client that is gone is told of by its lock.
    let sent = Packet::new(message, attachments).and_then(|packet| transport.send(packet));
    if let Err(failure) = sent {
        web_sys::console::warn_1(&format!("QemuWeb: {failure}").into());
    }
}

fn bytes(attachment: &JsValue) -> Option<Rc<[u8]>> {
    let bytes = attachment.dyn_ref::<Uint8Array>()?;
    (bytes.length() <= MAX_BYTES).then(|| bytes.to_vec().into())
}

/// What an attachment is. Bytes of more than [`MAX_BYTES`] are nothing that anybody expects.
fn attached(attachment: JsValue) -> Attached<JsValue> {
    if let Some(bytes) = bytes(&attachment) {
        Attached::Bytes(bytes)
    } else if attachment.is_instance_of::<FileSystemFileHandle>() {
        Attached::Handle(attachment)
    } else if attachment.is_instance_of::<Blob>() {
        Attached::File(attachment)
    } else {
        Attached::Other(attachment)
    }
}
