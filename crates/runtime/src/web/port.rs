//! [`Transport`] on a MessagePort. On the wire a packet is the array `[version, json, ...attachments]`.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, MessagePort};

use super::failure_from_exception;
use crate::client::{Packet, Transport};
use crate::failure::Failure;

/// A packet as the value that `postMessage` takes.
pub fn packet_to_js(packet: &Packet<JsValue>) -> Array {
    let message = Array::of2(&packet.version.into(), &packet.json.as_str().into());
    for attachment in &packet.attachments {
        message.push(attachment);
    }
    message
}

/// The packet in a received value, or `None` when it is none.
pub fn packet_from_js(data: &JsValue) -> Option<Packet<JsValue>> {
    let message = data.dyn_ref::<Array>()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "any number that is no version is refused as one"
    )]
    let version = message.get(0).as_f64()? as u32;
    let json = message.get(1).as_string()?;
    Some(Packet {
        version,
        json,
        attachments: message.iter().skip(2).collect(),
    })
}

/// A port to the host, or in the host to a client. Dropping it closes the port.
pub struct PortTransport {
    port: MessagePort,
    listeners: RefCell<Vec<Listener>>,
}

struct Listener {
    port: MessagePort,
    event: &'static str,
    closure: Closure<dyn FnMut(MessageEvent)>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Cannot fail for a listener that was added.
        let _ = self
            .port
            .remove_event_listener_with_callback(self.event, self.closure.as_ref().unchecked_ref());
    }
}

impl PortTransport {
    /// A transport on `port`, which nobody else uses.
    pub fn new(port: MessagePort) -> Self {
        Self {
            port,
            listeners: RefCell::default(),
        }
    }

    fn listen(&self, event: &'static str, handler: impl FnMut(MessageEvent) + 'static) {
        let closure = Closure::new(handler);
        // Cannot fail: a port takes any listener.
        let _ = self
            .port
            .add_event_listener_with_callback(event, closure.as_ref().unchecked_ref());
        self.listeners.borrow_mut().push(Listener {
            port: self.port.clone(),
            event,
            closure,
        });
    }
}

impl Transport for PortTransport {
    type Attachment = JsValue;

    fn send(&self, packet: Packet<JsValue>) -> Result<(), Failure> {
        self.port
            .post_message(&packet_to_js(&packet))
            .map_err(|exception| failure_from_exception("could not reach the VM host", &exception))
    }

    fn bytes(&self, bytes: &[u8]) -> JsValue {
        Uint8Array::from(bytes).into()
    }

    fn on_packet(&self, take: Box<dyn Fn(Packet<JsValue>)>) {
        let take = Rc::new(take);
        self.listen("message", move |event| {
            if let Some(packet) = packet_from_js(&event.data()) {
                take(packet);
            }
        });
        self.port.start();
    }

    fn on_close(&self, closed: Box<dyn FnOnce()>) {
        // The `close` event of MessagePort: Chrome 122.
        let mut closed = Some(closed);
        self.listen("close", move |_| {
            if let Some(closed) = closed.take() {
                closed();
            }
        });
    }

    fn close(&self) {
        self.port.close();
    }
}

impl Drop for PortTransport {
    fn drop(&mut self) {
        self.port.close();
    }
}
