//! What brings a guest's output to its terminal and what is typed to the guest: a stream with credits.

use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_wire::client::StreamEvent;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::stream::{self, ConsoleFromClient, ConsoleFromHost};
use sycamore::web::document;
use wasm_bindgen::{JsCast, JsValue};

use super::Console;
use crate::cx::{Client, not_connected};
use crate::features::console::state::Consoles;
use crate::kit::later;
use crate::kit::text;

impl Console {
    /// Begins to feed it, unless it is fed already.
    pub(in crate::features::console) fn connect(self: &Rc<Self>, client: &Client) {
        if self.stream.borrow().is_some() {
            return;
        }
        let (weak, cx) = (Rc::downgrade(self), self.consoles.cx);
        let kind = stream::Console {
            vm_id: self.vm_id.clone(),
        };
        let opened = client.open(&kind, move |event| {
            if let Some(console) = weak.upgrade() {
                cx.run(|| console.heard(event));
            }
        });
        match opened {
            Ok(stream) => {
                *self.stream.borrow_mut() = Some(stream);
                *self.told.borrow_mut() = None;
                self.tell_size();
            }
            // The connection is lost, which is told elsewhere.
            Err(_) => self.disconnect(),
        }
    }

    /// Feeds it no longer.
    pub(in crate::features::console) fn disconnect(&self) {
        let stream = self.stream.take();
        // It may be what has called us.
        later::soon(move || drop(stream));
    }

    /// Has it fed while it is not shown, too.
    pub(in crate::features::console) fn pin(&self) {
        self.is_pinned.set(true);
    }

    pub(in crate::features::console) fn is_pinned(&self) -> bool {
        self.is_pinned.get()
    }

    pub(in crate::features::console) fn vm_id(&self) -> &str {
        &self.vm_id
    }

    /// Types into the console, behind what was typed before.
    ///
    /// # Errors
    /// A [`Failure`] when the guest leaves too much unread, or there is no connection.
    pub(in crate::features::console) fn type_in(&self, bytes: &[u8]) -> Result<(), Failure> {
        match &*self.stream.borrow() {
            Some(stream) => stream.send(bytes),
            None => Err(not_connected()),
        }
    }

    fn heard(&self, event: StreamEvent<stream::Console, JsValue>) {
        match event {
            StreamEvent::Data { offset, bytes } => {
                if let Some(bytes) = bytes.dyn_ref::<Uint8Array>() {
                    self.take(offset, bytes);
                }
            }
            StreamEvent::Note(ConsoleFromHost::Run { run, missed }) => {
                self.tell_lost(missed);
                self.restarted(run);
            }
            StreamEvent::End(failure) => {
                self.disconnect();
                let Consoles { cx, machines, .. } = self.consoles;
                let is_active = machines.vm(&self.vm_id).is_some_and(|vm| vm.state.is_active());
                // Without a connection everything ends, and the console of a VM that is off ends when that is removed. Both are
                // told elsewhere.
                if let Some(failure) = failure.filter(|_| is_active && cx.client().is_some()) {
                    cx.notices.report(failure);
                }
            }
        }
    }

    /// Takes output that begins at `offset` of the run. The host sends more when the terminal has taken it in.
    fn take(&self, offset: u64, bytes: &Uint8Array) {
        let mut order = self.order.get();
        let length = bytes.length();
        let accepted = order.accept(offset, length as usize);
        self.order.set(order);
        self.consoles.output(&self.vm_id, order.run(), offset, bytes);
        let Some(accepted) = accepted else {
            return self.taken(u64::from(length));
        };
        self.tell_lost(accepted.lost);
        self.pending.borrow_mut().push_back(u64::from(length));
        // Fits: it is at most the length.
        let new = bytes.subarray(accepted.skip as u32, length);
        if self.terminal.write_then(&new, &self.written).is_err() {
            // It takes no more than 50 MB ahead, which credits do not let come together.
            self.pending.borrow_mut().pop_back();
            self.tell_lost(u64::from(length));
            self.taken(u64::from(length));
        }
    }

    /// Notes that the terminal has dealt with so many bytes.
    pub(super) fn taken(&self, bytes: u64) {
        if let Some(stream) = &*self.stream.borrow() {
            stream.taken(bytes);
        }
    }

    /// Says that some output is missing here.
    fn tell_lost(&self, lost: u64) {
        if lost > 0 {
            let lost = text::bytes(lost);
            self.terminal
                .write_text(&format!("\x1b[0;2m[{lost} of output were not kept]\x1b[0m\r\n"));
        }
    }

    /// Tells the host how large the terminal is, if it is in view, and whether it has the keyboard. The host tells guests.
    pub(in crate::features::console) fn tell_size(&self) {
        let size = self
            .is_shown()
            .then(|| (self.terminal.rows(), self.terminal.cols()));
        let focused = size.is_some() && self.element.contains(document().active_element().as_deref());
        self.tell(ConsoleFromClient::Size { size, focused });
    }

    /// Tells the host a size that a script wants.
    pub fn tell_size_of(&self, rows: u16, cols: u16) {
        let size = Some((rows, cols));
        self.tell(ConsoleFromClient::Size { size, focused: true });
    }

    fn tell(&self, size: ConsoleFromClient) {
        if let Some(stream) = &*self.stream.borrow()
            && self.told.borrow().as_ref() != Some(&size)
        {
            stream.note(&size);
            *self.told.borrow_mut() = Some(size);
        }
    }
}
