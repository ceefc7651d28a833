//! [`Transport`] on a MessagePort. On the wire a packet is the array `[version, json, ...attachments]`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort};

use super::failure_from_exception;
use super::presence::{self, Presence};
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
    /// The lock that the other side holds for as long as it is there.
    other_side: String,
    listener: RefCell<Option<Listener>>,
    /// Told when the transport is dropped or closed, so that nobody hears of the other side any more.
    open: Rc<Cell<bool>>,
    /// Starts to watch the other side. Run when it has first spoken: a host may not exist before.
    watch: Rc<RefCell<Option<Task>>>,
    /// What tells the other side that we are here.
    own_presence: Option<Presence>,
}

type Task = Box<dyn FnOnce()>;

struct Listener {
    port: MessagePort,
    closure: Closure<dyn FnMut(MessageEvent)>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Cannot fail for a listener that was added.
        let _ = self
            .port
            .remove_event_listener_with_callback("message", self.closure.as_ref().unchecked_ref());
    }
}

impl PortTransport {
    /// A transport on `port`, which nobody else uses, to a context that holds the lock `other_side` for as long
    /// as it is there (see [`presence`]).
    pub fn new(port: MessagePort, other_side: impl Into<String>) -> Self {
        Self {
            port,
            other_side: other_side.into(),
            listener: RefCell::default(),
            open: Rc::new(Cell::new(true)),
            watch: Rc::default(),
            own_presence: None,
        }
    }

    /// The same transport, keeping our own `presence` up for as long as it exists.
    #[must_use]
    pub fn with_presence(mut self, presence: Presence) -> Self {
        self.own_presence = Some(presence);
        self
    }
}

impl Transport for PortTransport {
    type Attachment = JsValue;

    fn send(&self, packet: Packet<JsValue>) -> Result<(), Failure> {
        if !self.open.get() {
            return Err(
                Failure::new("the connection to the VM host is closed").with_next_step("Connect again.")
            );
        }
        self.port
            .post_message(&packet_to_js(&packet))
            .map_err(|exception| failure_from_exception("could not reach the VM host", &exception))
    }

    fn bytes(&self, bytes: &[u8]) -> JsValue {
        Uint8Array::from(bytes).into()
    }

    fn on_packet(&self, take: Box<dyn Fn(Packet<JsValue>)>) {
        let watch = Rc::clone(&self.watch);
        let closure = Closure::new(move |event: MessageEvent| {
            if let Some(watch) = watch.take() {
                watch();
            }
            if let Some(packet) = packet_from_js(&event.data()) {
                take(packet);
            }
        });
        // Cannot fail: a port takes any listener.
        let _ = self
            .port
            .add_event_listener_with_callback("message", closure.as_ref().unchecked_ref());
        *self.listener.borrow_mut() = Some(Listener {
            port: self.port.clone(),
            closure,
        });
        self.port.start();
    }

    fn on_close(&self, closed: Box<dyn FnOnce()>) {
        let (other_side, open) = (self.other_side.clone(), Rc::clone(&self.open));
        *self.watch.borrow_mut() = Some(Box::new(move || {
            spawn_local(async move {
                // Without Web Locks a dead peer goes unnoticed; requests to it then wait.
                if presence::gone(&other_side).await.is_ok() && open.replace(false) {
                    closed();
                }
            });
        }));
    }

    fn close(&self) {
        self.open.set(false);
        self.port.close();
    }
}

impl Drop for PortTransport {
    fn drop(&mut self) {
        self.close();
    }
}
