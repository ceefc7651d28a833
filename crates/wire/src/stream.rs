//! Bytes in both directions on a port of their own, with credits.
//!
//! Each side tells how many bytes in all it is ready to take ([`StreamMessage::Credit`]); the other sends no more. What that
//! costs in memory is a window per stream and direction, whatever the other side does. A side that has more than it may send
//! keeps it, or, like the console of a VM that prints faster than a terminal can show, passes over some of it and says so by the
//! next piece's offset.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::AgentOperation;
use crate::failure::Failure;
use crate::vm::VmId;

/// What a client can open a stream of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum StreamKind {
    /// A VM's console: what the guest prints, and what is typed. See [`Console`].
    Console {
        /// Which VM.
        vm_id: VmId,
    },
    /// Something that the guest's agent does: a command, a file. See [`Agent`](crate::agent::Agent).
    Agent {
        /// Which VM.
        vm_id: VmId,
        /// What it does.
        operation: AgentOperation,
    },
}

/// A message on a stream's port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum StreamMessage {
    /// Bytes, attachment 0.
    Data {
        /// How many bytes of the content came before these. Larger than what was sent when some were passed over, smaller when
        /// some come again.
        offset: u64,
    },
    /// The sender of this message takes so many bytes in all, counted over the pieces that were sent since the stream was
    /// opened.
    Credit {
        /// Bytes.
        total: u64,
    },
    /// Something that belongs to this kind of stream.
    Note {
        /// A [`Kind::FromClient`] or [`Kind::FromHost`].
        note: Value,
    },
    /// No more comes from this side; the port is closed.
    End {
        /// Why, if it is no orderly end.
        failure: Option<Failure>,
    },
}

/// A kind of stream with the types of its notes.
pub trait Kind: 'static {
    /// What the client says on it beside bytes.
    type FromClient: Serialize + DeserializeOwned;
    /// What the host says on it beside bytes.
    type FromHost: Serialize + DeserializeOwned;
    /// What to open it with.
    fn kind(&self) -> StreamKind;
}

/// A VM's console. The host sends what is kept of the past first; the client types. It lasts over the VM's runs, until the VM is
/// removed.
#[derive(Clone, Debug)]
pub struct Console {
    /// Which VM.
    pub vm_id: VmId,
}

/// What a client says of its terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConsoleFromClient {
    /// The terminal is on screen and of this size, or is shown no longer (nothing). The guest is told the size of the one that
    /// has the keyboard, or else the smallest.
    Size {
        /// Lines and columns.
        size: Option<(u16, u16)>,
        /// Whether it has the keyboard.
        focused: bool,
    },
}

/// What the host says of a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConsoleFromHost {
    /// What comes next is of this run ([`VmInfo::run`](crate::vm::VmInfo::run)), and its offsets count from that run's start.
    Run {
        /// The run.
        run: u64,
        /// How many bytes of the former run are not going to come any more.
        #[serde(default)]
        missed: u64,
    },
}

impl Kind for Console {
    type FromClient = ConsoleFromClient;
    type FromHost = ConsoleFromHost;

    fn kind(&self) -> StreamKind {
        StreamKind::Console {
            vm_id: self.vm_id.clone(),
        }
    }
}

/// Bytes that a side takes ahead of what it has dealt with.
pub const WINDOW: u64 = 256 << 10;

/// The largest piece that is sent at once, in bytes.
pub const MAX_PIECE: usize = 64 << 10;

/// The sender's side of the credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    sent: u64,
    total: u64,
}

impl Outgoing {
    /// Bytes that may be sent now.
    pub fn room(&self) -> u64 {
        self.total - self.sent
    }

    /// Takes the other side's [`StreamMessage::Credit`]. Credit that was given is not taken back, and none beyond what the
    /// largest window could mean is believed.
    pub fn grant(&mut self, total: u64) {
        self.total = self.total.max(total.min(self.sent.saturating_add(16 * WINDOW)));
    }

    /// Notes that `bytes`, at most [`Self::room`], were sent.
    pub fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes).min(self.total);
    }
}

/// The receiver's side of the credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    window: u64,
    received: u64,
    taken: u64,
    granted: u64,
}

impl Incoming {
    /// Takes up to `window` bytes ahead. The other side is to be sent [`Self::granted`] first.
    pub fn new(window: u64) -> Self {
        Self {
            window,
            received: 0,
            taken: 0,
            granted: window,
        }
    }

    /// What the other side has been granted in all.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// Notes that `bytes` came. `false` when that is more than was granted: the other side cannot be trusted.
    pub fn received(&mut self, bytes: u64) -> bool {
        self.received = self.received.saturating_add(bytes);
        self.received <= self.granted
    }

    /// Notes that `bytes` of what came were dealt with. Gives a new total when it is time to grant more.
    pub fn taken(&mut self, bytes: u64) -> Option<u64> {
        self.taken = self.taken.saturating_add(bytes).min(self.received);
        let granted = self.taken + self.window;
        // Half a window at a time: a message for each piece would cost more than it brings.
        if granted - self.granted < self.window.div_ceil(2) {
            return None;
        }
        self.granted = granted;
        Some(granted)
    }
}

#[cfg(test)]
mod tests;
