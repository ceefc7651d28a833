//! The protocol between the host and the agent in a guest, over one virtio-serial port.
//!
//! A stream of frames ([`frame`]) carries messages ([`HostMessage`], [`GuestMessage`]). The guest's agent says hello with the
//! number of its instance and the versions that it speaks, again and again until the host answers with that number; from then
//! on the host starts [`Operation`]s, each on a channel of its own, and several at once. Each stream of bytes in a channel has
//! credits: a side sends no more than the other has room for, so that a command that prints for ever fills no memory and
//! holds up no other channel. A new instance (the agent or the whole guest started again) ends all operations of the former.
//!
//! [`Session`] is the host's side. The guest's is in `crates/guest-tools`. Both distrust each other: every byte is checked.
//! The crate is pure and needs nothing but `std`.

mod cobs;
mod codec;
pub mod frame;
mod message;
mod operation;
mod session;

pub use codec::Malformed;
pub use message::{GuestMessage, Hello, HostMessage, Stream};
pub use operation::{Command, Operation, Outcome, Program, Report, Size, Started};
pub use session::{Ending, Event, Loss, OperationId, Session, StartError};

/// The newest version of the protocol, and the only one so far.
pub const VERSION: u16 = 1;

/// How many bytes of a stream may be on their way before its receiver gives credit: what each stream begins with.
pub const WINDOW: u32 = 64 << 10;

/// Most operations at once.
pub const MAX_OPERATIONS: usize = 32;

/// Most bytes of a stream in one message.
pub const MAX_DATA: usize = 16 << 10;
