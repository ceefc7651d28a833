//! [`Transport`] on a MessagePort. On the wire a packet is the array `[version, json, ...attachments]`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageChannel, MessageEvent, MessagePort};

use super::failure_from_exception;
use super::presence::{self, Presence};
use crate::client::Transport;
use crate::failure::Failure;
use crate::message::Packet;

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
        transfers: Vec::new(),
    })
}

/// A port to the host, or in the host to a client, or one end of a stream. Dropping it closes the port.
pub struct PortTransport {
    port: MessagePort,
    /// The lock that the other side holds for as long as it is there, if it is to be watched.
    other_side: Option<String>,
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
    /// A transport on `port`, which nobody else uses. That the other side is gone is told by another one (see
    /// [`Self::watching`]).
    pub fn new(port: MessagePort) -> Self {
        Self {
            port,
            other_side: None,
            listener: RefCell::default(),
            open: Rc::new(Cell::new(true)),
            watch: Rc::default(),
            own_presence: None,
        }
    }

    /// The same transport to a context that holds the lock `other_side` for as long as it is there (see [`presence`]).
    #[must_use]
    pub fn watching(mut self, other_side: impl Into<String>) -> Self {
        self.other_side = Some(other_side.into());
        self
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
        let transfers: Array = packet.transfers.iter().collect();
        for attachment in &packet.attachments {
            if attachment.is_instance_of::<MessagePort>() {
                transfers.push(attachment);
            }
        }
        self.port
            .post_message_with_transferable(&packet_to_js(&packet), &transfers)
            .map_err(|exception| failure_from_exception("could not reach the VM host", &exception))
    }

    fn bytes(&self, bytes: &[u8]) -> JsValue {
        Uint8Array::from(bytes).into()
    }

    fn length(attachment: &JsValue) -> Option<usize> {
        Some(attachment.dyn_ref::<Uint8Array>()?.length() as usize)
    }

    fn channel(&self) -> Result<(Self, JsValue), Failure> {
        let channel = MessageChannel::new()
            .map_err(|exception| failure_from_exception("could not make a channel", &exception))?;
        Ok((Self::new(channel.port1()), channel.port2().into()))
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
        let Some(other_side) = self.other_side.clone() else {
            return;
        };
        let open = Rc::clone(&self.open);
        *self.watch.borrow_mut() = Some(Box::new(move || {
            spawn_local(async move {
                // Without Web Locks a dead peer goes unnoticed; calls to it then wait.
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
