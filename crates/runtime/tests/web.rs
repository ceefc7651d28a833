//! The browser's side of the runtime, in a real browser: run by `cargo xtask test` in headless Chromium.

#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_runtime::client::{Packet, Transport};
use qemuweb_runtime::protocol::{self, Command, Event, HostMessage, Request};
use qemuweb_runtime::web::presence;
use qemuweb_runtime::web::{PortTransport, detect_capabilities, packet_from_js, packet_to_js};
use qemuweb_runtime::{Failure, QemuClient};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::MessageChannel;

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
    let packet = Packet {
        version: 1,
        json: "{}".into(),
        attachments: vec![JsValue::from(5)],
    };
    let back = packet_from_js(&packet_to_js(&packet)).unwrap();
    assert_eq!(
        (back.version, back.json.as_str(), back.attachments.len()),
        (1, "{}", 1)
    );
    for garbage in [
        JsValue::NULL,
        JsValue::from("x"),
        js_sys::Array::of2(&"1".into(), &"{}".into()).into(),
    ] {
        assert!(packet_from_js(&garbage).is_none());
    }
}

/// A host that answers every request, and types back what is typed.
fn echo_host(transport: &Rc<PortTransport>) {
    let weak = Rc::downgrade(transport);
    transport.on_packet(Box::new(move |packet| {
        let Some(transport) = weak.upgrade() else { return };
        let Request { id, command } = serde_json::from_str(&packet.json).unwrap();
        let send = |message: &HostMessage, attachments| {
            let json = serde_json::to_string(message).unwrap();
            transport
                .send(Packet {
                    version: protocol::VERSION,
                    json,
                    attachments,
                })
                .unwrap();
        };
        if let Command::SerialIn { vm_id } = command {
            send(
                &HostMessage::Event {
                    event: Event::SerialOut {
                        vm_id,
                        run: 1,
                        offset: 0,
                    },
                },
                packet.attachments,
            );
        }
        send(
            &HostMessage::Reply {
                id,
                failure: Some(Failure::new("not today")),
                value: serde_json::Value::Null,
            },
            Vec::new(),
        );
    }));
}

#[wasm_bindgen_test]
async fn a_client_speaks_over_a_message_channel() {
    let channel = MessageChannel::new().unwrap();
    let host = Rc::new(PortTransport::new(channel.port1(), "client"));
    echo_host(&host);
    let client = QemuClient::new(PortTransport::new(channel.port2(), "host"));
    let echoed = Rc::new(RefCell::new(Vec::new()));
    let _subscription = client.subscribe({
        let echoed = Rc::clone(&echoed);
        move |event, attachments| {
            if let (Event::SerialOut { .. }, [bytes]) = (event, attachments) {
                echoed
                    .borrow_mut()
                    .extend(bytes.unchecked_ref::<Uint8Array>().to_vec());
            }
        }
    });
    let typed = client.type_bytes("a", b"echo");
    drop(typed);
    assert_eq!(client.reset_vm("a").await.unwrap_err().message, "not today");
    assert_eq!(*echoed.borrow(), b"echo");
}

#[wasm_bindgen_test]
async fn a_client_learns_that_the_host_is_gone() {
    let host = presence::announce("a-host").await.unwrap();
    let channel = MessageChannel::new().unwrap();
    let client = QemuClient::new(PortTransport::new(channel.port2(), "a-host"));
    let gone = Rc::new(RefCell::new(false));
    client.on_close({
        let gone = Rc::clone(&gone);
        move || *gone.borrow_mut() = true
    });
    let port = Rc::new(PortTransport::new(channel.port1(), "a-client"));
    echo_host(&port);
    // A first answer, without which nobody knows whether there was a host.
    assert_eq!(client.reset_vm("a").await.unwrap_err().message, "not today");
    assert!(!*gone.borrow());
    port.on_packet(Box::new(|_| {}));
    drop(host);
    assert!(client.reset_vm("a").await.is_err());
    assert!(*gone.borrow());
}
