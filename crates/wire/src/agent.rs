//! What a client has the guest's agent do, each on a stream of its own: commands, files, the clock, a report.
//!
//! The stream's bytes are the command's input and output, or the file's content. Built-in guests and our Debian images have an
//! agent; without one, the stream ends with a failure that says so.

use serde::{Deserialize, Serialize};

use crate::stream::{Kind, StreamKind};
use crate::vm::VmId;

/// A stream on which the guest's agent does something. Dropping it cancels that.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Which VM.
    pub vm_id: VmId,
    /// What it does.
    pub operation: AgentOperation,
}

/// What an agent can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum AgentOperation {
    /// Run a command. The client's bytes are its input, the host's its output.
    Run {
        /// What is run.
        command: AgentCommand,
        /// Where it starts; in the agent's home directory if not given.
        #[serde(default)]
        directory: Option<String>,
        /// Variables that it has besides the agent's own.
        #[serde(default)]
        environment: Vec<(String, String)>,
        /// Lines and columns of the terminal that it has instead of pipes.
        #[serde(default)]
        terminal: Option<(u16, u16)>,
        /// After how many milliseconds it is ended.
        #[serde(default)]
        time_limit_ms: Option<u64>,
    },
    /// Write a file, which is there when it is complete. The client's bytes are its content.
    Put {
        /// Where it goes.
        path: String,
        /// Its permissions; 0o644 if not given.
        #[serde(default)]
        mode: Option<u32>,
        /// How many bytes it will have.
        size: u64,
    },
    /// Read a file. The host's bytes are its content.
    Get {
        /// Where it is.
        path: String,
    },
    /// Set the guest's clock.
    SetClock {
        /// Microseconds since 1970.
        unix_micros: i64,
    },
    /// Tell how the guest does.
    Report,
}

/// What is run: a line for the shell, or a program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum AgentCommand {
    /// A line for `/bin/sh`.
    Shell(String),
    /// A program and its arguments.
    Arguments(Vec<String>),
}

/// What a client says beside bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum AgentFromClient {
    /// No more input comes.
    End,
    /// The command's terminal has this size.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
    /// End it. What comes of that is told all the same.
    Cancel,
}

/// What the host says beside bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AgentFromHost {
    /// It has started.
    Started {
        /// Of a file that is read: how many bytes it has, as far as that is known beforehand.
        size: Option<u64>,
        /// Of a file that is read: its permissions.
        mode: Option<u32>,
        /// Of a command: its process.
        pid: Option<u32>,
    },
    /// The bytes that come next are of this output, which is standard output before the first such note.
    Output {
        /// Whether it is standard error.
        error: bool,
    },
    /// So many bytes of input have been taken in all; of a file, they are written.
    Taken {
        /// Bytes.
        bytes: u64,
    },
    /// It is over, and all its output came before this. What could not be done ends the stream with a failure instead.
    Ended {
        /// How.
        outcome: AgentOutcome,
    },
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum AgentOutcome {
    /// The command ended by itself.
    Exited {
        /// Its status.
        status: u8,
    },
    /// A signal ended the command.
    Signalled {
        /// Its number.
        signal: u8,
    },
    /// The command reached its time limit.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// The file is written.
    Stored,
    /// The file was read.
    Sent {
        /// How many bytes it had.
        size: u64,
    },
    /// The clock is set.
    ClockSet,
    /// How the guest does.
    Reported {
        /// That.
        report: GuestReport,
    },
}

/// How a guest does. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GuestReport {
    /// Memory in all.
    pub memory_total: u64,
    /// Memory that programs can still get.
    pub memory_available: u64,
    /// Swap space in all.
    pub swap_total: u64,
    /// Swap space that is free.
    pub swap_free: u64,
    /// The load of the last 1, 5 and 15 minutes, in hundredths.
    pub load_hundredths: [u32; 3],
    /// Milliseconds since its kernel started.
    pub uptime_ms: u64,
    /// Processors that are online.
    pub processors: u32,
    /// Processes and threads.
    pub tasks: u32,
    /// Its clock: microseconds since 1970.
    pub unix_micros: i64,
}

impl Kind for Agent {
    type FromClient = AgentFromClient;
    type FromHost = AgentFromHost;

    fn kind(&self) -> StreamKind {
        StreamKind::Agent {
            vm_id: self.vm_id.clone(),
            operation: self.operation.clone(),
        }
    }
}
