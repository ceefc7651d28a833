//! The guest's agent for pages and tests: what `window.qemuweb.openAgent` gives.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Function, JSON, Object, Uint8Array};
use qemuweb_wire::agent::{Agent, AgentFromClient};
use qemuweb_wire::client::{Stream, StreamEvent};
use qemuweb_wire::failure::Failure;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::cx::{Client, Port};
use crate::kit::browser::set;
use crate::kit::later;

/// Something that the guest's agent does. To drop it (`free()`) cancels that.
#[wasm_bindgen]
pub struct AgentStream {
    stream: Rc<RefCell<Option<Stream<Port, Agent>>>>,
}

impl AgentStream {
    /// Opens a stream whose events `heard` is called with: what the host notes (`qemuweb_wire::agent::AgentFromHost`);
    /// `{type: "data", data}` with a Uint8Array; and `{type: "closed", failure}` at last.
    pub(super) fn open(client: &Client, kind: &Agent, heard: Function) -> Result<Self, Failure> {
        let stream = Rc::new(RefCell::new(None));
        let weak = Rc::downgrade(&stream);
        let opened = client.open(kind, move |event| {
            let mut bytes = JsValue::UNDEFINED;
            let told = match event {
                StreamEvent::Data { bytes: came, .. } => {
                    bytes = came;
                    json!({"type": "data"})
                }
                StreamEvent::Note(note) => serde_json::to_value(note).unwrap_or_default(),
                StreamEvent::End(failure) => {
                    if let Some(stream) = weak.upgrade() {
                        // It is what calls us.
                        let ended = stream.take();
                        later::soon(move || drop(ended));
                    }
                    json!({"type": "closed", "failure": failure})
                }
            };
            let Ok(event) = JSON::parse(&told.to_string()) else {
                return;
            };
            if !bytes.is_undefined() {
                set(event.unchecked_ref::<Object>(), "data", &bytes);
            }
            // What a callback throws is its author's to see, in the browser's console.
            if let Err(exception) = heard.call1(&JsValue::UNDEFINED, &event) {
                later::soon(move || wasm_bindgen::throw_val(exception));
            }
        })?;
        *stream.borrow_mut() = Some(opened);
        Ok(Self { stream })
    }

    fn note(&self, note: AgentFromClient) {
        if let Some(stream) = &*self.stream.borrow() {
            stream.note(&note);
        }
    }
}

#[wasm_bindgen]
impl AgentStream {
    /// Sends input, behind what was sent before.
    ///
    /// # Errors
    /// An `Error` when it is over, or when too much waits already.
    pub fn send(&self, bytes: &Uint8Array) -> Result<(), JsValue> {
        match &*self.stream.borrow() {
            Some(stream) => stream
                .send(&bytes.to_vec())
                .map_err(|failure| JsError::new(&failure.to_string()).into()),
            None => Err(JsError::new("the operation is over").into()),
        }
    }

    /// Bytes of input that wait because the guest takes no more at present.
    pub fn queued(&self) -> usize {
        self.stream.borrow().as_ref().map_or(0, Stream::queued)
    }

    /// Ends the input, behind what was sent before.
    pub fn end(&self) {
        if let Some(stream) = &*self.stream.borrow() {
            stream.note_behind(&AgentFromClient::End);
        }
    }

    /// Cancels it; its end is told all the same.
    pub fn cancel(&self) {
        self.note(AgentFromClient::Cancel);
    }

    /// Tells the size of its terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.note(AgentFromClient::Resize { rows, columns });
    }

    /// Tells that so many bytes of its output have been dealt with, so that more can come.
    pub fn taken(&self, bytes: u32) {
        if let Some(stream) = &*self.stream.borrow() {
            stream.taken(bytes.into());
        }
    }
}
