//! A page's network traffic as data.
//!
//! An [`Exchange`] is a request and its response. It is read from HAR ([`har`]), cut to [`Limits`], freed of secrets
//! by a [`Redactor`], and leaves in the forms that tools read: JSON lines, packets in pcapng, HAR, `curl` commands.
//! The crate is pure: it knows no clock, no browser and no files.

pub mod annotation;
#[cfg(test)]
mod arbitrary;
mod body;
mod command;
mod compare;
pub mod devtools;
mod doubt;
mod exchange;
mod filter;
pub mod har;
pub mod jsonl;
mod limits;
mod multipart;
mod packets;
mod queue;
mod redact;
mod time;
mod url;

pub use body::{Body, NotBase64};
pub use command::{curl_command, fetch_call};
pub use compare::{Change, Difference, compare};
pub use doubt::Doubt;
pub use exchange::{Cut, Direction, Exchange, Header, Message, Request, Response, Timings, header};
pub use filter::{Filter, FilterError, KEYS as FILTER_KEYS};
pub use limits::Limits;
pub use packets::PacketWriter;
pub use queue::{Next, Queue, Reader};
pub use redact::{PLACEHOLDER, Redactor, is_secret_name};
