//! The host's conversation with a VM's QEMU over QMP.

use std::collections::HashMap;

use futures_channel::oneshot;
use qemuweb_runtime::Failure;
use qemuweb_runtime::qmp::{QmpCodec, QmpError, QmpMessage};
use qemuweb_shm::web::Sender;
use serde_json::Value;

/// What QEMU said that the VM has to act on.
#[derive(Debug, PartialEq)]
pub(super) enum Notice {
    /// The monitor is open and the machine is built: this is its run state (`running`, `prelaunch`, …).
    Status(String),
    /// vCPUs stopped.
    Stop,
    /// vCPUs run again.
    Resume,
    /// The machine was reset.
    Reset,
    /// The machine is shutting down.
    Shutdown,
    /// The guest's kernel says that it panicked.
    Panicked,
    /// A program in the guest opened or closed a virtio-serial port.
    Port {
        /// The port's device.
        id: String,
        /// Whether it is open now.
        open: bool,
    },
}

/// An answer of QEMU's.
pub(super) type Answer = Result<Value, Failure>;

/// A QMP session.
pub(super) struct Control {
    codec: QmpCodec,
    sender: Sender,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// The id under which the run state was asked for.
    status: Option<u64>,
    /// What QEMU told of its own accord and nobody has taken yet, by name.
    events: Vec<(String, Value)>,
}

impl Control {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            codec: QmpCodec::new(),
            sender,
            waiting: HashMap::new(),
            status: None,
            events: Vec::new(),
        }
    }

    /// What QEMU told of its own accord since the last time.
    pub(super) fn take_events(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.events)
    }

    /// Sends a command; the answer comes later.
    pub(super) fn execute(&mut self, command: &str, arguments: Option<Value>) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let (id, line) = self.codec.command(command, arguments);
        if self.sender.send(line.into()) {
            self.waiting.insert(id, answer);
        }
        receiver
    }

    /// Takes bytes from QEMU and returns what the VM has to act on.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<Result<Notice, QmpError>> {
        self.codec
            .receive(bytes)
            .into_iter()
            .filter_map(|message| message.map(|m| self.take(m)).transpose())
            .collect()
    }

    fn take(&mut self, message: QmpMessage) -> Option<Notice> {
        match message {
            QmpMessage::Greeting { .. } => {
                // Both answers are looked for by id below, and nobody else waits for them.
                drop(self.execute("qmp_capabilities", None));
                let (id, line) = self.codec.command("query-status", None);
                self.status = self.sender.send(line.into()).then_some(id);
                None
            }
            QmpMessage::Return { id, value } if Some(id) == self.status => {
                let status = value.get("status").and_then(Value::as_str).unwrap_or("unknown");
                Some(Notice::Status(status.to_owned()))
            }
            QmpMessage::Return { id, value } => {
                self.answer(id, Ok(value));
                None
            }
            QmpMessage::Error { id, class, desc } => {
                if let Some(id) = id {
                    self.answer(id, Err(Failure::new(format!("QEMU refused: {desc} ({class})"))));
                }
                None
            }
            QmpMessage::Event { name, data } => {
                let notice = notice_of(&name, &data);
                self.events.push((name, data));
                notice
            }
        }
    }

    fn answer(&mut self, id: u64, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&id) {
            // Who asked may have stopped waiting.
            let _ = waiting.send(answer);
        }
    }
}

/// What the VM has to act on when QEMU tells of this event.
fn notice_of(name: &str, data: &Value) -> Option<Notice> {
    match name {
        "STOP" => Some(Notice::Stop),
        "RESUME" => Some(Notice::Resume),
        "RESET" => Some(Notice::Reset),
        "SHUTDOWN" => Some(Notice::Shutdown),
        "GUEST_PANICKED" => Some(Notice::Panicked),
        "VSERPORT_CHANGE" => Some(Notice::Port {
            id: data.get("id")?.as_str()?.to_owned(),
            open: data.get("open")?.as_bool()?,
        }),
        _ => None,
    }
}
