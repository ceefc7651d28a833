//! The clients that are connected, and which VMs' consoles each one watches.

use std::collections::HashSet;
use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_runtime::Failure;
use qemuweb_runtime::client::{Packet, Transport};
use qemuweb_runtime::protocol::{self, Event, HostMessage, VmId};
use qemuweb_runtime::web::PortTransport;
use serde_json::Value;
use wasm_bindgen::JsValue;

use super::Run;

/// Names a client for as long as it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientId(u32);

struct Client {
    id: ClientId,
    transport: Rc<PortTransport>,
    watches: HashSet<VmId>,
}

/// Everybody who is connected.
#[derive(Default)]
pub(super) struct Clients {
    last_id: u32,
    clients: Vec<Client>,
}

impl Clients {
    pub(super) fn add(&mut self, transport: Rc<PortTransport>) -> ClientId {
        self.last_id += 1;
        let id = ClientId(self.last_id);
        self.clients.push(Client {
            id,
            transport,
            watches: HashSet::new(),
        });
        id
    }

    pub(super) fn remove(&mut self, id: ClientId) {
        self.clients.retain(|client| client.id != id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub(super) fn watch(&mut self, id: ClientId, vm_id: &str, watch: bool) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            if watch {
                client.watches.insert(vm_id.to_owned());
            } else {
                client.watches.remove(vm_id);
            }
        }
    }

    pub(super) fn forget_vm(&mut self, vm_id: &str) {
        for client in &mut self.clients {
            client.watches.remove(vm_id);
        }
    }

    pub(super) fn reply(&self, to: ClientId, id: u32, result: Result<Value, Failure>) {
        let (value, failure) = match result {
            Ok(value) => (value, None),
            Err(failure) => (Value::Null, Some(failure)),
        };
        self.send(to, &HostMessage::Reply { id, failure, value }, &[]);
    }

    /// Whether some client watches this VM.
    pub(super) fn is_watched(&self, vm_id: &str) -> bool {
        self.clients.iter().any(|client| client.watches.contains(vm_id))
    }

    /// An event to those who watch this VM.
    pub(super) fn to_watchers(&self, vm_id: &str, event: &Event) {
        self.broadcast_if(event, &[], |client| client.watches.contains(vm_id));
    }

    /// The handles of a VM's files to one client.
    pub(super) fn handles_to(&self, to: ClientId, vm_id: &str, handles: &[JsValue]) {
        let event = Event::VmHandles {
            vm_id: vm_id.to_owned(),
        };
        self.send(to, &HostMessage::Event { event }, handles);
    }

    pub(super) fn event(&self, to: ClientId, event: Event) {
        self.send(to, &HostMessage::Event { event }, &[]);
    }

    pub(super) fn broadcast(&self, event: &Event) {
        self.broadcast_if(event, &[], |_| true);
    }

    /// Console output of a VM to those who watch it.
    pub(super) fn serial_out(&self, run: &Run, offset: u64, bytes: &[u8]) {
        let event = Event::SerialOut {
            vm_id: run.vm_id.clone(),
            run: run.number,
            offset,
        };
        self.broadcast_if(&event, &[Uint8Array::from(bytes).into()], |client| {
            client.watches.contains(&run.vm_id)
        });
    }

    /// Console output of the past to one client.
    pub(super) fn serial_out_to(&self, to: ClientId, run: &Run, offset: u64, bytes: &[u8]) {
        let event = Event::SerialOut {
            vm_id: run.vm_id.clone(),
            run: run.number,
            offset,
        };
        self.send(
            to,
            &HostMessage::Event { event },
            &[Uint8Array::from(bytes).into()],
        );
    }

    fn broadcast_if(&self, event: &Event, attachments: &[JsValue], to: impl Fn(&Client) -> bool) {
        let Some(packet) = packet(&HostMessage::Event { event: event.clone() }, attachments) else {
            return;
        };
        for client in self.clients.iter().filter(|client| to(client)) {
            deliver(client, packet.clone());
        }
    }

    fn send(&self, to: ClientId, message: &HostMessage, attachments: &[JsValue]) {
        let client = self.clients.iter().find(|client| client.id == to);
        if let (Some(client), Some(packet)) = (client, packet(message, attachments)) {
            deliver(client, packet);
        }
    }
}

fn packet(message: &HostMessage, attachments: &[JsValue]) -> Option<Packet<JsValue>> {
    match serde_json::to_string(message) {
        Ok(json) => Some(Packet {
            version: protocol::VERSION,
            json,
            attachments: attachments.to_vec(),
        }),
        Err(error) => {
            web_sys::console::error_1(&format!("QemuWeb: a message has no JSON: {error}").into());
            None
        }
    }
}

fn deliver(client: &Client, packet: Packet<JsValue>) {
    // A client that is gone is removed when its port's close event comes.
    if let Err(failure) = client.transport.send(packet) {
        web_sys::console::warn_1(&format!("QemuWeb: {failure}").into());
    }
}
