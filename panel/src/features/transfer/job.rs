//! What moves a transfer: its stream to the guest's agent, and what it holds meanwhile.

use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_wire::agent::{Agent, AgentFromHost, AgentOperation};
use qemuweb_wire::client::{Stream, StreamEvent};
use qemuweb_wire::failure::Failure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::File;

use super::names::Folder;
use super::state::Transfers;
use crate::cx::{Direction, Port, not_connected};
use crate::kit::browser::now;
use crate::kit::later;
use crate::kit::save::Saving;

/// How often at most it is shown how far one is, in milliseconds.
const SHOW_MS: f64 = 100.0;

/// What to do when a file's name is taken in the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTaken {
    /// Ask the person.
    #[default]
    Ask,
    /// Put it in the place of the other.
    Replace,
    /// Give it another name.
    KeepBoth,
}

/// What moves a transfer.
#[derive(Default)]
pub(super) struct Job {
    pub(super) stream: Option<Rc<Stream<Port, Agent>>>,
    /// Grows with each attempt and each end: what comes late of a former one finds nothing.
    pub(super) attempt: u32,
    shown_at: f64,
    /// What is sent, and where to.
    pub(super) file: Option<File>,
    pub(super) folder: Folder,
    pub(super) on_taken: OnTaken,
    /// What the look into the folder printed, and what it complained of.
    pub(super) printed: [Vec<u8>; 2],
    pub(super) is_error: bool,
    /// Bytes that were read of the file.
    pub(super) sent: u64,
    /// Bytes that the guest has taken.
    pub(super) taken: u64,
    pub(super) is_reading: bool,
    /// Where a fetched file is saved, once that is known.
    pub(super) saving: Option<Saving>,
    /// Pieces that wait for that: a window of the stream at most.
    pub(super) pieces: VecDeque<Uint8Array>,
    pub(super) is_writing: bool,
    pub(super) received: u64,
    /// The bytes of a file that the guest has sent to its end.
    pub(super) whole: Option<u64>,
}

impl Job {
    /// Sends a file into a folder.
    pub(super) fn sending(file: File, folder: Folder) -> Self {
        Self {
            file: Some(file),
            folder,
            ..Self::default()
        }
    }

    /// Ends it: the guest takes away what it has of an incomplete file, and so does the browser. It can be started again.
    pub(super) fn stop(&mut self) {
        let former = std::mem::take(self);
        self.attempt = former.attempt + 1;
        self.file = former.file;
        self.folder = former.folder;
        if let Some(saving) = former.saving {
            saving.abort();
        }
        leave(former.stream);
    }

    /// Has nothing more come on its stream.
    pub(super) fn hang_up(&mut self) {
        leave(self.stream.take());
    }
}

/// Closes a stream, which may be what has called us.
fn leave(stream: Option<Rc<Stream<Port, Agent>>>) {
    if stream.is_some() {
        later::soon(move || drop(stream));
    }
}

impl Transfers {
    /// Has the guest's agent do something for a transfer.
    pub(super) fn open(self, id: u32, operation: AgentOperation) {
        let (Some(transfer), Some(attempt)) = (self.get(id), self.job(id, |job| job.attempt)) else {
            return;
        };
        let vm_id = transfer.vm_id.clone();
        let heard = move |event| {
            self.cx.run(|| {
                if self.is_at(id, attempt) {
                    self.heard(id, event);
                }
            });
        };
        let opened = match self.cx.client() {
            Some(client) => client.open(&Agent { vm_id, operation }, heard),
            None => Err(not_connected()),
        };
        match opened {
            Ok(stream) => {
                let former = self.job(id, |job| job.stream.replace(Rc::new(stream)));
                leave(former.flatten());
            }
            Err(failure) => self.fail(id, failure),
        }
    }

    /// Whether a transfer is still at this attempt.
    pub(super) fn is_at(self, id: u32, attempt: u32) -> bool {
        self.job(id, |job| job.attempt) == Some(attempt)
    }

    pub(super) fn stream(self, id: u32) -> Option<Rc<Stream<Port, Agent>>> {
        self.job(id, |job| job.stream.clone()).flatten()
    }

    fn heard(self, id: u32, event: StreamEvent<Agent, JsValue>) {
        let Some(transfer) = self.get(id) else { return };
        match (event, transfer.direction) {
            (StreamEvent::Data { bytes, .. }, direction) => {
                let Ok(bytes) = bytes.dyn_into::<Uint8Array>() else {
                    return;
                };
                match direction {
                    Direction::Send => self.printed(id, &bytes),
                    Direction::Fetch => self.came(id, bytes),
                }
            }
            (StreamEvent::Note(AgentFromHost::Output { error }), _) => {
                self.job(id, |job| job.is_error = error);
            }
            (StreamEvent::Note(note), Direction::Send) => self.send_heard(id, &note),
            (StreamEvent::Note(note), Direction::Fetch) => self.fetch_heard(id, &note),
            (StreamEvent::End(failure), direction) => {
                // Behind the last word of a file nothing more is expected.
                if self.job(id, |job| job.whole).flatten().is_some() {
                    return;
                }
                let mut failure = failure
                    .unwrap_or_else(|| Failure::new("expected the agent’s answer, found the end of it"));
                failure.next_step.get_or_insert_with(|| {
                    match direction {
                        Direction::Send => "Choose a folder that exists and has room for it, and try again.",
                        Direction::Fetch => {
                            "Look in the guest whether the file is there and can be read, and try again."
                        }
                    }
                    .to_owned()
                });
                self.fail(id, failure);
            }
        }
    }

    /// Shows how far a transfer is, now and then.
    pub(super) fn progressed(self, id: u32, done: u64) {
        let now = now();
        let is_due = self.job(id, |job| {
            let is_due = now - job.shown_at >= SHOW_MS;
            if is_due {
                job.shown_at = now;
            }
            is_due
        });
        if is_due == Some(true) {
            self.change(id, |transfer| transfer.done = done);
        }
    }
}
