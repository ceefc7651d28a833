//! Answering a client for a host that is not there.

use std::rc::Rc;

use qemuweb_wire::Failure;
use qemuweb_wire::client::Transport;
use qemuweb_wire::message::{ClientMessage, HostMessage, Packet};
use qemuweb_wire::web::PortTransport;
use serde_json::Value;
use wasm_bindgen::prelude::*;
use web_sys::MessagePort;

/// Answers each call on a client's port with `failure`, for as long as the client keeps it.
pub(crate) fn refuse(port: MessagePort, failure: Failure) {
    let transport = Rc::new(PortTransport::new(port));
    let answering = Rc::clone(&transport);
    transport.on_packet(Box::new(move |packet| {
        let id = match ClientMessage::parse(packet.version, &packet.json) {
            Ok(ClientMessage::Call { id, .. }) => Some(id),
            Ok(_) => None,
            Err(malformed) => malformed.call,
        };
        let Some(id) = id else { return };
        let failure = Some(failure.clone());
        let value = Value::Null;
        let reply = Packet::new(&HostMessage::Reply { id, failure, value }, Vec::new());
        // A client that is gone needs no answer.
        let _ = reply.and_then(|reply| answering.send(reply));
    }));
}

/// Answers a client for a host whose start failed.
#[wasm_bindgen]
pub fn refuse_client(port: MessagePort, cause: String) {
    let failure = Failure {
        causes: vec![cause],
        ..Failure::new("the VM host could not start")
    };
    refuse(
        port,
        failure.with_next_step("Reload the extension, then connect again."),
    );
}
