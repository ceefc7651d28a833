//! The channel to the host where there is none: outside of a browser, where components are rendered in tests.

use qemuweb_wire::client::Transport;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::message::Packet;
use wasm_bindgen::JsValue;

/// There is none.
pub enum Port {}

impl Transport for Port {
    type Attachment = JsValue;

    fn send(&self, _: Packet<JsValue>) -> Result<(), Failure> {
        match *self {}
    }

    fn bytes(&self, _: &[u8]) -> JsValue {
        match *self {}
    }

    fn length(_: &JsValue) -> Option<usize> {
        None
    }

    fn channel(&self) -> Result<(Self, JsValue), Failure> {
        match *self {}
    }

    fn on_packet(&self, _: Box<dyn Fn(Packet<JsValue>)>) {
        match *self {}
    }

    fn on_close(&self, _: Box<dyn FnOnce()>) {
        match *self {}
    }

    fn close(&self) {
        match *self {}
    }
}
