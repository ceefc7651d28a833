//! The messages: a byte for what they are, the channel's number (4 bytes; 0 for the session), and what belongs to them.

use crate::codec::{Malformed, Reader, Writer, malformed};
use crate::frame::{self, MAX_MESSAGE};
use crate::operation::{Operation, Outcome, Size, Started, read_size};

/// A stream of bytes in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// To the guest: a command's standard input, or a file's content.
    Input,
    /// To the host: standard output, a terminal's output, or a file's content.
    Output,
    /// To the host: standard error.
    Error,
}

impl Stream {
    fn code(self) -> u8 {
        match self {
            Self::Input => 0,
            Self::Output => 1,
            Self::Error => 2,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.u8()? {
            0 => Self::Input,
            1 => Self::Output,
            2 => Self::Error,
            _ => return malformed("a stream of this version"),
        })
    }
}

/// What an agent says first. Later versions may append to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest version that it speaks.
    pub oldest: u16,
    /// The newest one.
    pub newest: u16,
    /// A random number that tells this instance of the agent from all others.
    pub instance: u64,
    /// What it calls itself, for people: its program and version.
    pub name: String,
}

/// What the host says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostMessage {
    /// The answer to a hello: the version that is spoken from now on, to this instance.
    Hello {
        /// The version.
        version: u16,
        /// The instance that is meant; others pass it over.
        instance: u64,
    },
    /// Say hello again: the host does not know with whom it speaks. An agent that was in a session ends all operations and
    /// takes another instance number.
    Wake,
    /// The console's window (channel 0) or a command's terminal has this size.
    Resize {
        /// The channel.
        channel: u32,
        /// The size.
        size: Size,
    },
    /// Start an operation on a channel that is free.
    Open {
        /// The channel.
        channel: u32,
        /// What is to be done.
        operation: Operation,
    },
    /// Bytes of [`Stream::Input`], as many as there is credit for.
    Data {
        /// The channel.
        channel: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The end of [`Stream::Input`].
    End {
        /// The channel.
        channel: u32,
    },
    /// Room for more of [`Stream::Output`] or [`Stream::Error`].
    Credit {
        /// The channel.
        channel: u32,
        /// The stream.
        stream: Stream,
        /// How many bytes more.
        bytes: u32,
    },
    /// End the operation. The guest answers with its outcome.
    Cancel {
        /// The channel.
        channel: u32,
    },
}

/// What the guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestMessage {
    /// A new instance is there.
    Hello(Hello),
    /// An operation has started.
    Started {
        /// The channel.
        channel: u32,
        /// What is known of it.
        started: Started,
    },
    /// Bytes of [`Stream::Output`] or [`Stream::Error`], as many as there is credit for.
    Data {
        /// The channel.
        channel: u32,
        /// The stream.
        stream: Stream,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Room for more of [`Stream::Input`]: so many bytes have been taken.
    Credit {
        /// The channel.
        channel: u32,
        /// How many bytes more.
        bytes: u32,
    },
    /// The operation has ended; the channel is free.
    Done {
        /// The channel.
        channel: u32,
        /// How.
        outcome: Outcome,
    },
}

const HELLO: u8 = 1;
const WAKE: u8 = 2;
const RESIZE: u8 = 3;
const OPEN: u8 = 4;
const DATA: u8 = 5;
const END: u8 = 6;
const CREDIT: u8 = 7;
const CANCEL: u8 = 8;
const STARTED: u8 = 9;
const DONE: u8 = 10;

/// Bytes of a message of data beside the data.
pub(crate) const DATA_OVERHEAD: usize = 6;

fn writer(kind: u8, channel: u32) -> Writer {
    let mut writer = Writer(Vec::with_capacity(64));
    writer.u8(kind).u32(channel);
    writer
}

impl HostMessage {
    /// The message without its frame; [`read`](Self::read) reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Hello { version, instance } => writer(HELLO, 0).u16(*version).u64(*instance).finish(),
            Self::Wake => writer(WAKE, 0).0,
            Self::Resize { channel, size } => {
                writer(RESIZE, *channel).u16(size.rows).u16(size.columns).finish()
            }
            Self::Open { channel, operation } => {
                let mut writer = writer(OPEN, *channel);
                operation.write(&mut writer);
                writer.0
            }
            Self::Data { channel, bytes } => {
                let mut writer = writer(DATA, *channel);
                writer.u8(Stream::Input.code()).0.extend_from_slice(bytes);
                writer.0
            }
            Self::End { channel } => writer(END, *channel).0,
            Self::Credit {
                channel,
                stream,
                bytes,
            } => writer(CREDIT, *channel).u8(stream.code()).u32(*bytes).finish(),
            Self::Cancel { channel } => writer(CANCEL, *channel).0,
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`] when it is none of this version.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(message);
        let (kind, channel) = (reader.u8()?, reader.u32()?);
        if (channel == 0) != matches!(kind, HELLO | WAKE) && kind != RESIZE {
            return malformed("the number of a channel");
        }
        let message = match kind {
            HELLO => Self::Hello {
                version: reader.u16()?,
                instance: reader.u64()?,
            },
            WAKE => Self::Wake,
            RESIZE => Self::Resize {
                channel,
                size: read_size(&mut reader)?,
            },
            OPEN => Self::Open {
                channel,
                operation: Operation::read(&mut reader)?,
            },
            DATA => match Stream::read(&mut reader)? {
                Stream::Input => Self::Data {
                    channel,
                    bytes: reader.rest().to_vec(),
                },
                _ => return malformed("a stream to the guest"),
            },
            END => Self::End { channel },
            CREDIT => Self::Credit {
                channel,
                stream: match Stream::read(&mut reader)? {
                    Stream::Input => return malformed("a stream to the host"),
                    stream => stream,
                },
                bytes: reader.u32()?,
            },
            CANCEL => Self::Cancel { channel },
            _ => return malformed("a message to the guest"),
        };
        reader.end()?;
        Ok(message)
    }

    /// Appends the message in its frame. One that could follow a frame that was cut off ends that first.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        if matches!(self, Self::Wake | Self::Hello { .. }) {
            frame::resynchronize(out);
        }
        frame::write(&self.to_bytes(), out);
    }

    /// Whether it can be sent: an operation with all its words may be too long.
    pub(crate) fn fits(&self) -> bool {
        self.to_bytes().len() <= MAX_MESSAGE
    }
}

impl GuestMessage {
    /// The message without its frame; [`read`](Self::read) reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => {
                let mut writer = writer(HELLO, 0);
                writer.u16(hello.oldest).u16(hello.newest).u64(hello.instance);
                writer.text(&hello.name).finish()
            }
            Self::Started { channel, started } => {
                let mut writer = writer(STARTED, *channel);
                started.write(&mut writer);
                writer.0
            }
            Self::Data {
                channel,
                stream,
                bytes,
            } => {
                let mut writer = writer(DATA, *channel);
                writer.u8(stream.code()).0.extend_from_slice(bytes);
                writer.0
            }
            Self::Credit { channel, bytes } => writer(CREDIT, *channel).u32(*bytes).finish(),
            Self::Done { channel, outcome } => {
                let mut writer = writer(DONE, *channel);
                outcome.write(&mut writer);
                writer.0
            }
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`] when it is none of this version.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(message);
        let (kind, channel) = (reader.u8()?, reader.u32()?);
        if (channel == 0) != (kind == HELLO) {
            return malformed("the number of a channel");
        }
        let message = match kind {
            HELLO => {
                let hello = Hello {
                    oldest: reader.u16()?,
                    newest: reader.u16()?,
                    instance: reader.u64()?,
                    name: reader.text()?,
                };
                reader.rest();
                Self::Hello(hello)
            }
            STARTED => Self::Started {
                channel,
                started: Started::read(&mut reader)?,
            },
            DATA => Self::Data {
                channel,
                stream: match Stream::read(&mut reader)? {
                    Stream::Input => return malformed("a stream to the host"),
                    stream => stream,
                },
                bytes: reader.rest().to_vec(),
            },
            CREDIT => Self::Credit {
                channel,
                bytes: reader.u32()?,
            },
            DONE => Self::Done {
                channel,
                outcome: Outcome::read(&mut reader)?,
            },
            _ => return malformed("a message to the host"),
        };
        reader.end()?;
        Ok(message)
    }

    /// Appends the message in its frame. A hello ends first what another instance may have left unfinished.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        if matches!(self, Self::Hello(_)) {
            frame::resynchronize(out);
        }
        frame::write(&self.to_bytes(), out);
    }
}

#[cfg(test)]
mod tests;
