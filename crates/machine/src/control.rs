//! The core's conversation with a VM's QEMU over QMP: who has asked what.

use std::collections::BTreeMap;

use qemuweb_wire::Failure;
use serde_json::Value;

use crate::clients::Ticket;
use crate::qmp::{QmpCodec, QmpError, QmpMessage};

/// Most commands that wait for QEMU's answer.
const MAX_WAITING: usize = 1000;

/// Who wants a command's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Nobody.
    Nobody,
    /// The lifecycle: it is an answer to `query-status`.
    Status,
    /// A call, whose reply it is.
    Call(Ticket),
    /// A call that only wants to know that QEMU has done it.
    Obeyed(Ticket),
    /// A call that only wants to know that QEMU has done it, or has ended.
    Done(Ticket),
    /// A service, which knows by the number what for.
    Service(usize, u32),
}

/// What QEMU said.
#[derive(Debug)]
pub(crate) enum Said {
    /// It is there and takes commands.
    Greeting,
    /// An answer.
    Answer(Asker, Result<Value, Failure>),
    /// Something happened.
    Event(String, Value),
    /// A line that is no QMP.
    Nonsense(QmpError),
}

/// A QMP session, one per life.
#[derive(Debug, Default)]
pub(crate) struct Control {
    codec: QmpCodec,
    waiting: BTreeMap<u64, Asker>,
    greeted: bool,
}

impl Control {
    /// Whether QEMU takes commands.
    pub(crate) fn is_open(&self) -> bool {
        self.greeted
    }

    /// The line for a command.
    ///
    /// # Errors
    /// A [`Failure`] when QEMU answers none any more.
    pub(crate) fn command(
        &mut self,
        execute: &str,
        arguments: Option<Value>,
        asker: Asker,
    ) -> Result<Vec<u8>, Failure> {
        if self.waiting.len() >= MAX_WAITING {
            let failure = Failure::new(format!("{MAX_WAITING} requests wait for QEMU's answer"));
            return Err(failure.with_next_step("Power the VM off if it does not answer at all."));
        }
        let (id, line) = self.codec.command(execute, arguments);
        self.waiting.insert(id, asker);
        Ok(line)
    }

    /// Takes bytes from QEMU.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<Said> {
        let messages = self.codec.receive(bytes);
        messages
            .into_iter()
            .filter_map(|message| self.take(message))
            .collect()
    }

    fn take(&mut self, message: Result<QmpMessage, QmpError>) -> Option<Said> {
        Some(match message {
            Ok(QmpMessage::Greeting { .. }) => {
                if std::mem::replace(&mut self.greeted, true) {
                    return None;
                }
                Said::Greeting
            }
            Ok(QmpMessage::Return { id, value }) => Said::Answer(self.waiting.remove(&id)?, Ok(value)),
            Ok(QmpMessage::Error { id, class, desc }) => {
                let failure = Failure::new(format!("QEMU refused: {desc} ({class})"));
                Said::Answer(self.waiting.remove(&id?)?, Err(failure))
            }
            Ok(QmpMessage::Event { name, data }) => Said::Event(name, data),
            Err(error) => Said::Nonsense(error),
        })
    }

    /// Those who wait for an answer, when QEMU has ended.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = Asker> {
        self.waiting.into_values()
    }
}
