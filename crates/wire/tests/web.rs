//! The browser's side of the wire, in a real browser: run by `cargo xtask test` in headless Chromium.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_wire::call::{ResetVm, RunMonitor};
use qemuweb_wire::client::{StreamEvent, Transport};
use qemuweb_wire::message::{ClientMessage, HostMessage, Packet};
use qemuweb_wire::monitor::MonitorCommand;
use qemuweb_wire::stream::{Console, StreamMessage};
use qemuweb_wire::web::presence;
use qemuweb_wire::web::{PortTransport, detect_capabilities, packet_from_js, packet_to_js};
use qemuweb_wire::{Failure, QemuClient};
use serde_json::Value;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{MessageChannel, MessagePort};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn chromium_offers_what_vms_need_but_for_isolation() {
    let found = detect_capabilities();
    assert!(found.web_assembly && found.wasm_simd && found.big_int && found.indexed_db);
    assert_eq!(found.wasm_threads, found.max_memory > 0);
    assert_eq!(found.can_run(), found.shared_array_buffer);
}

#[wasm_bindgen_test]
fn packets_survive_the_wire_and_garbage_is_none() {
    let packet = Packet::new(&Value::Null, vec![JsValue::from(5)]).unwrap();
    let back = packet_from_js(&packet_to_js(&packet)).unwrap();
    assert_eq!(
        (back.version, back.json.as_str(), back.attachments.len()),
        (packet.version, "null", 1)
    );
    for garbage in [
        JsValue::NULL,
        JsValue::from("x"),
        js_sys::Array::of2(&"1".into(), &"{}".into()).into(),
    ] {
        assert!(packet_from_js(&garbage).is_none());
    }
}

fn send(transport: &PortTransport, message: &impl serde::Serialize, attachments: Vec<JsValue>) {
    transport
        .send(Packet::new(message, attachments).unwrap())
        .unwrap();
}

/// A host that refuses every call, and echoes what comes on a stream.
fn echo_host(transport: &Rc<PortTransport>) {
    let weak = Rc::downgrade(transport);
    transport.on_packet(Box::new(move |packet| {
        let Some(transport) = weak.upgrade() else { return };
        match ClientMessage::parse(packet.version, &packet.json).unwrap() {
            ClientMessage::Call { id, .. } => {
                let failure = Some(Failure::new("not today"));
                let value = Value::Null;
                send(&transport, &HostMessage::Reply { id, failure, value }, Vec::new());
            }
            ClientMessage::Open { .. } => {
                let port: MessagePort = packet.attachments[0].clone().unchecked_into();
                echo_stream(&Rc::new(PortTransport::new(port)));
            }
            _ => {}
        }
    }));
}

/// Lives as long as its port has a listener, which holds it.
fn echo_stream(port: &Rc<PortTransport>) {
    send(port, &StreamMessage::Credit { total: 1000 }, Vec::new());
    let answers = Rc::clone(port);
    port.on_packet(Box::new(move |packet| {
        let message: StreamMessage = serde_json::from_str(&packet.json).unwrap();
        if let StreamMessage::Data { offset } = message {
            send(&answers, &StreamMessage::Data { offset }, packet.attachments);
        }
    }));
}

fn reset() -> ResetVm {
    ResetVm { vm_id: "a".into() }
}

#[wasm_bindgen_test]
async fn a_client_calls_and_opens_streams_over_a_message_channel() {
    let channel = MessageChannel::new().unwrap();
    let host = Rc::new(PortTransport::new(channel.port1()));
    echo_host(&host);
    let client = QemuClient::new(PortTransport::new(channel.port2()));
    let echoed = Rc::new(RefCell::new(Vec::new()));
    let hears = Rc::clone(&echoed);
    let console = Console { vm_id: "a".into() };
    let heard = move |event: StreamEvent<Console, JsValue>| {
        if let StreamEvent::Data { bytes, .. } = event {
            let bytes: Uint8Array = bytes.unchecked_into();
            hears.borrow_mut().extend(bytes.to_vec());
        }
    };
    let stream = client.open(&console, heard).unwrap();
    stream.send(b"echo").unwrap();
    assert_eq!(client.call(reset()).await.unwrap_err().message, "not today");
    let command = MonitorCommand::QueryStatus;
    let vm_id = "a".to_owned();
    assert!(client.call(RunMonitor { vm_id, command }).await.is_err());
    while echoed.borrow().len() < 4 {
        gloo_timers::future::TimeoutFuture::new(5).await;
    }
    assert_eq!(*echoed.borrow(), b"echo");
}

#[wasm_bindgen_test]
async fn a_client_learns_that_the_host_is_gone() {
    let host = presence::announce("a-host").await.unwrap();
    let channel = MessageChannel::new().unwrap();
    let client = QemuClient::new(PortTransport::new(channel.port2()).watching("a-host"));
    let gone = Rc::new(Cell::new(false));
    let tells = Rc::clone(&gone);
    client.on_close(move || tells.set(true));
    let port = Rc::new(PortTransport::new(channel.port1()));
    echo_host(&port);
    // A first answer, without which nobody knows whether there was a host.
    assert_eq!(client.call(reset()).await.unwrap_err().message, "not today");
    assert!(!gone.get());
    port.on_packet(Box::new(|_| {}));
    drop(host);
    assert!(client.call(reset()).await.is_err());
    assert!(gone.get());
}
