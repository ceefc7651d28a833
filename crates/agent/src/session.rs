//! The host's side: operations and their streams, whom the host speaks to, and what there is to send.
//!
//! A [`Session`] lives as long as a VM's run. It takes the bytes that come from the port ([`Session::receive`]) and gives those
//! that go there, as many as there is room for ([`Session::outgoing`]); it waits for nothing and knows no clock. What it keeps
//! is bounded: [`MAX_OPERATIONS`] operations with one [`WINDOW`] of input each, and no output at all.

mod channel;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use channel::Channel;

use crate::frame::{self, MAX_FRAME};
use crate::message::{GuestMessage, Hello, HostMessage, Stream};
use crate::operation::{Operation, Outcome, Size, Started};
use crate::{MAX_OPERATIONS, VERSION};

#[cfg(doc)]
use crate::WINDOW;

/// Longest text from the guest that is handed on, in bytes.
const MAX_TEXT: usize = 512;

/// Names an operation of a session. No other one of the same session ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(u32);

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An agent is there, and operations can be started. Those of a former instance have been told to be lost before.
    Ready(Hello),
    /// An agent is there that speaks other versions.
    Incompatible(Hello),
    /// An operation has started.
    Started {
        /// Which one.
        id: OperationId,
        /// What is known of it.
        started: Started,
    },
    /// Output; [`Session::consumed`] makes room for more.
    Output {
        /// Whose.
        id: OperationId,
        /// [`Stream::Output`] or [`Stream::Error`].
        stream: Stream,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The guest has taken input: there is room for more in [`Session::write`].
    Taken {
        /// Whose.
        id: OperationId,
        /// How many bytes, of a file those that are written.
        bytes: u32,
    },
    /// An operation is over, and its id of no more use.
    Ended {
        /// Which one.
        id: OperationId,
        /// How.
        ending: Ending,
    },
    /// The guest did not keep to the protocol. The host speaks to it again when it has said hello again.
    Broken {
        /// What was expected, and what was found.
        what: String,
    },
}

/// How an operation ended for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the guest says.
    Done(Outcome),
    /// The guest says no more of it.
    Lost(Loss),
}

/// Why the guest says no more of an operation. `Display` says it in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The agent, or the guest, was started again.
    Restarted,
    /// The agent closed its port.
    Closed,
    /// The agent did not keep to the protocol.
    Broken,
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Restarted => "The guest, or its agent, was started again meanwhile.",
            Self::Closed => "The guest's agent went away meanwhile.",
            Self::Broken => "The guest's agent did not keep to its protocol.",
        })
    }
}

/// Why an operation was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// No agent has said hello.
    NotReady,
    /// There are [`MAX_OPERATIONS`] already.
    TooMany,
    /// Its arguments and variables do not fit into a message.
    TooLong,
    /// A text has a NUL, a variable's name is empty or has a `=`, or a window has no rows or columns.
    Impossible,
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => formatter.write_str(
                "The guest has no agent that answers. Built-in guests have one once they have booted; into other systems, \
                 copy qemuweb-guest and run it as qemuweb-agent.",
            ),
            Self::TooMany => write!(
                formatter,
                "The guest has {MAX_OPERATIONS} operations under way, which is the most. Wait for one of them, or cancel it."
            ),
            Self::TooLong => write!(
                formatter,
                "A command with its variables may have {} bytes, and this one has more. Send what is long as its input.",
                frame::MAX_MESSAGE
            ),
            Self::Impossible => formatter.write_str(
                "Expected texts without a NUL character, variables with a name, and a window with rows and columns.",
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// The host's side of the protocol with one VM's agent.
#[derive(Debug, Default)]
pub struct Session {
    reader: frame::Reader,
    /// Whom we speak to.
    instance: Option<u64>,
    /// What answers a hello.
    answer: Option<HostMessage>,
    wake: bool,
    console: Option<Size>,
    console_is_told: bool,
    channels: BTreeMap<u32, Channel>,
    last: u32,
    /// Whose turn it is to send.
    turn: u32,
}

impl Session {
    /// A session with an agent that will say hello when it comes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether operations can be started.
    pub fn is_ready(&self) -> bool {
        self.instance.is_some()
    }

    /// Takes bytes from the port.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut reader = std::mem::take(&mut self.reader);
        reader.push(bytes, |message| {
            let message = match message {
                Ok(message) => GuestMessage::read(message).map_err(|error| error.to_string()),
                Err(frame::NoMessage) => Err("expected a whole frame, found a part of one".to_owned()),
            };
            match message {
                Ok(GuestMessage::Hello(hello)) => self.greet(hello, &mut events),
                // Before a hello comes what a former agent has left.
                _ if self.instance.is_none() => {}
                Ok(message) => {
                    if let Err(what) = self.take(message, &mut events) {
                        self.break_off(what, &mut events);
                    }
                }
                Err(what) => self.break_off(what, &mut events),
            }
        });
        self.reader = reader;
        events
    }

    /// The port was closed in the guest, or the machine was reset: what was under way is lost. If an agent is there after all,
    /// it is asked for its hello.
    pub fn closed(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.reader.reset();
        self.answer = None;
        if self.instance.take().is_some() {
            self.wake = true;
        }
        self.lose(Loss::Closed, &mut events);
        events
    }

    /// Asks an agent that may be there, and may be in a session with another host, to say hello.
    pub fn wake(&mut self) {
        self.wake = true;
    }

    /// Starts an operation.
    ///
    /// # Errors
    /// [`StartError`] when it cannot be sent to the guest.
    pub fn start(&mut self, operation: Operation) -> Result<OperationId, StartError> {
        if self.instance.is_none() {
            return Err(StartError::NotReady);
        }
        if self.channels.len() >= MAX_OPERATIONS {
            return Err(StartError::TooMany);
        }
        let channel = self.last.checked_add(1).ok_or(StartError::TooMany)?;
        let open = HostMessage::Open { channel, operation };
        if !open.fits() {
            return Err(StartError::TooLong);
        }
        if HostMessage::read(&open.to_bytes()).is_err() {
            return Err(StartError::Impossible);
        }
        self.last = channel;
        self.channels.insert(channel, Channel::new(channel, open));
        Ok(OperationId(channel))
    }

    /// Takes input for an operation, as much as there is room for.
    ///
    /// Returns how many of the bytes; [`Event::Taken`] tells when there may be room for more. An operation that is over, or
    /// takes no input, takes none.
    pub fn write(&mut self, id: OperationId, bytes: &[u8]) -> usize {
        self.channels
            .get_mut(&id.0)
            .map_or(0, |channel| channel.write(bytes))
    }

    /// Ends an operation's input.
    pub fn finish(&mut self, id: OperationId) {
        if let Some(channel) = self.channels.get_mut(&id.0) {
            channel.finish();
        }
    }

    /// Tells that `bytes` of an [`Event::Output`] need no room any more.
    pub fn consumed(&mut self, id: OperationId, stream: Stream, bytes: usize) {
        if let Some(channel) = self.channels.get_mut(&id.0) {
            channel.consumed(stream, bytes);
        }
    }

    /// Cancels an operation. Its output ends at once; [`Event::Ended`] tells when the guest has done so.
    pub fn cancel(&mut self, id: OperationId) {
        if let Some(channel) = self.channels.get_mut(&id.0) {
            channel.cancel();
        }
    }

    /// The console's window has this size. It is told to each instance of the agent.
    pub fn resize_console(&mut self, size: Size) {
        if size.rows > 0 && size.columns > 0 && self.console != Some(size) {
            self.console = Some(size);
            self.console_is_told = false;
        }
    }

    /// The terminal of a command has this size.
    pub fn resize(&mut self, id: OperationId, size: Size) {
        if let Some(channel) = self.channels.get_mut(&id.0) {
            channel.resize(size);
        }
    }

    /// What is to be sent, at most `room` bytes: whole frames, what is short and urgent first, input in turns. Nothing is held
    /// back when there is room for [`frame::MAX_FRAME`] bytes.
    pub fn outgoing(&mut self, room: usize) -> Vec<u8> {
        let mut out = Outgoing {
            bytes: Vec::new(),
            room,
        };
        if self.wake && out.push(&HostMessage::Wake) {
            self.wake = false;
        }
        if let Some(answer) = &self.answer
            && out.push(answer)
        {
            self.answer = None;
        }
        if self.instance.is_none() || self.answer.is_some() {
            return out.bytes;
        }
        if let Some(size) = self.console.filter(|_| !self.console_is_told) {
            self.console_is_told = out.push(&HostMessage::Resize { channel: 0, size });
        }
        for channel in self.channels.values_mut() {
            channel.send_control(&mut out);
        }
        self.send_input(&mut out);
        out.bytes
    }

    /// Input of all channels, a message of each in turn.
    fn send_input(&mut self, out: &mut Outgoing) {
        let mut idle = 0;
        while idle < self.channels.len() {
            let next = self
                .channels
                .range(self.turn..)
                .next()
                .or(self.channels.iter().next());
            let Some((&number, _)) = next else { return };
            self.turn = number.saturating_add(1);
            let has_sent = self
                .channels
                .get_mut(&number)
                .is_some_and(|channel| channel.send_input(out));
            idle = if has_sent { 0 } else { idle + 1 };
        }
    }

    /// Bytes that it keeps, about.
    pub fn kept(&self) -> usize {
        self.channels.values().map(Channel::kept).sum()
    }

    fn greet(&mut self, mut hello: Hello, events: &mut Vec<Event>) {
        clean(&mut hello.name);
        if self.instance.is_some_and(|instance| instance != hello.instance) {
            self.lose(Loss::Restarted, events);
        }
        if hello.oldest > VERSION || hello.newest < VERSION {
            self.instance = None;
            self.lose(Loss::Restarted, events);
            events.push(Event::Incompatible(hello));
            return;
        }
        self.wake = false;
        self.answer = Some(HostMessage::Hello {
            version: VERSION,
            instance: hello.instance,
        });
        // One that did not hear our answer says hello again.
        if self.instance != Some(hello.instance) {
            self.instance = Some(hello.instance);
            self.console_is_told = false;
            events.push(Event::Ready(hello));
        }
    }

    /// Takes a message of an agent that has been greeted.
    fn take(&mut self, message: GuestMessage, events: &mut Vec<Event>) -> Result<(), String> {
        let (GuestMessage::Started { channel: number, .. }
        | GuestMessage::Data { channel: number, .. }
        | GuestMessage::Credit { channel: number, .. }
        | GuestMessage::Done { channel: number, .. }) = message
        else {
            return Ok(());
        };
        let Some(channel) = self.channels.get_mut(&number) else {
            return Err(format!(
                "expected the number of an operation that is under way, found {number}"
            ));
        };
        let id = OperationId(number);
        match message {
            GuestMessage::Hello(_) => {}
            GuestMessage::Started { started, .. } => {
                channel.started(started)?;
                events.push(Event::Started { id, started });
            }
            GuestMessage::Data { stream, bytes, .. } => {
                if channel.receive(stream, bytes.len())? {
                    events.push(Event::Output { id, stream, bytes });
                }
            }
            GuestMessage::Credit { bytes, .. } => {
                channel.credit(bytes)?;
                events.push(Event::Taken { id, bytes });
            }
            GuestMessage::Done { mut outcome, .. } => {
                channel.ends(&outcome)?;
                if let Outcome::Failed { message, .. } = &mut outcome {
                    clean(message);
                }
                self.channels.remove(&number);
                events.push(Event::Ended {
                    id,
                    ending: Ending::Done(outcome),
                });
            }
        }
        Ok(())
    }

    fn break_off(&mut self, what: String, events: &mut Vec<Event>) {
        self.instance = None;
        self.answer = None;
        self.wake = true;
        events.push(Event::Broken { what });
        self.lose(Loss::Broken, events);
    }

    fn lose(&mut self, loss: Loss, events: &mut Vec<Event>) {
        for number in std::mem::take(&mut self.channels).into_keys() {
            events.push(Event::Ended {
                id: OperationId(number),
                ending: Ending::Lost(loss),
            });
        }
    }
}

/// Frames on their way out, as long as there is room.
struct Outgoing {
    bytes: Vec<u8>,
    room: usize,
}

impl Outgoing {
    /// Whether there was room for it.
    fn push(&mut self, message: &HostMessage) -> bool {
        let before = self.bytes.len();
        message.write_frame(&mut self.bytes);
        let fits = self.bytes.len() <= self.room;
        if !fits {
            self.bytes.truncate(before);
        }
        fits
    }

    /// Whether there is room for any message at all.
    fn has_room(&self) -> bool {
        self.room.saturating_sub(self.bytes.len()) >= MAX_FRAME
    }
}

/// Text of a guest, which nobody trusts: cut, and without controls.
fn clean(text: &mut String) {
    *text = text
        .chars()
        .map(|character| if character.is_control() { '·' } else { character })
        .collect();
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}
