//! Wisp's packets: a type, a stream's number, and what belongs to the type, little-endian.

use thiserror::Error;

/// Why a relay is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WispError {
    /// It does not keep to the protocol.
    #[error("expected {expected} from the relay, found {found}: name another relay")]
    Malformed {
        /// What could be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// It wants a password or a key.
    #[error("the relay wants a password or a key, which cannot be given: name another relay")]
    Password,
    /// It has closed the connection as a whole.
    #[error("the relay does not agree with what we can: name another relay")]
    Refused,
}

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    Tcp,
    Udp,
}

/// Why a stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseReason(pub(super) u8);

impl CloseReason {
    /// One side has closed it.
    pub(super) const VOLUNTARY: Self = Self(0x02);
    /// The client cannot take more.
    pub(super) const CLIENT_ERROR: Self = Self(0x81);
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Connect {
        kind: StreamKind,
        port: u16,
        host: String,
    },
    Data(Vec<u8>),
    /// How many packets the other side has room for.
    Continue(u32),
    Close(CloseReason),
    Info {
        /// The latest version that the sender speaks.
        major: u8,
        /// The numbers of the extensions that it has.
        extensions: Vec<u8>,
    },
}

impl Packet {
    pub(super) fn write(&self, stream: u32) -> Vec<u8> {
        let kind = match self {
            Self::Connect { .. } => 1,
            Self::Data(_) => 2,
            Self::Continue(_) => 3,
            Self::Close(_) => 4,
            Self::Info { .. } => 5,
        };
        let mut bytes = vec![kind];
        bytes.extend(stream.to_le_bytes());
        match self {
            Self::Connect { kind, port, host } => {
                bytes.push(match kind {
                    StreamKind::Tcp => 1,
                    StreamKind::Udp => 2,
                });
                bytes.extend(port.to_le_bytes());
                bytes.extend(host.as_bytes());
            }
            Self::Data(data) => bytes.extend(data),
            Self::Continue(count) => bytes.extend(count.to_le_bytes()),
            Self::Close(reason) => bytes.push(reason.0),
            Self::Info { major, extensions } => {
                bytes.extend([*major, 0]);
                // None of those that we have has a payload.
                for extension in extensions {
                    bytes.extend([*extension, 0, 0, 0, 0]);
                }
            }
        }
        bytes
    }

    /// Reads a message: the stream's number, and the packet.
    pub(super) fn read(bytes: &[u8]) -> Result<(u32, Self), WispError> {
        let wrong = |expected, found: String| WispError::Malformed { expected, found };
        let Some(([kind, stream @ ..], rest)) = bytes.split_first_chunk::<5>() else {
            return Err(wrong(
                "a packet of 5 bytes at least",
                format!("{} bytes", bytes.len()),
            ));
        };
        let short = || wrong("a whole packet", format!("{} bytes of type {kind}", bytes.len()));
        let packet = match kind {
            1 => {
                let ([kind, port @ ..], host) = rest.split_first_chunk::<3>().ok_or_else(short)?;
                let kind = match kind {
                    1 => StreamKind::Tcp,
                    2 => StreamKind::Udp,
                    kind => return Err(wrong("TCP or UDP", format!("the stream type {kind}"))),
                };
                let host = String::from_utf8(host.to_vec());
                Self::Connect {
                    kind,
                    port: u16::from_le_bytes(*port),
                    host: host.map_err(|_| wrong("a name", "other bytes".to_owned()))?,
                }
            }
            2 => Self::Data(rest.to_vec()),
            3 => Self::Continue(u32::from_le_bytes(*rest.first_chunk().ok_or_else(short)?)),
            4 => Self::Close(CloseReason(*rest.first().ok_or_else(short)?)),
            5 => {
                let ([major, _], mut rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
                let mut extensions = Vec::new();
                while !rest.is_empty() {
                    let ([extension, len @ ..], behind) = rest.split_first_chunk::<5>().ok_or_else(short)?;
                    let len = u32::from_le_bytes(*len) as usize;
                    rest = behind.get(len..).ok_or_else(short)?;
                    extensions.push(*extension);
                }
                Self::Info {
                    major: *major,
                    extensions,
                }
            }
            kind => return Err(wrong("a packet of the types 1 to 5", format!("the type {kind}"))),
        };
        Ok((u32::from_le_bytes(*stream), packet))
    }
}
