//! What clients (panels, popups, pages) and the VM host say to each other.
//!
//! Three ways, each for what it does best:
//!
//! - **Calls** ([`call`]): a request with one typed reply, which can carry attachments. Long ones tell their progress and can
//!   be cancelled.
//! - **Topics** ([`topic`]): what a client subscribes to: a snapshot first, then deltas, each with a revision, so that one
//!   that is missed is noticed.
//! - **Streams** ([`stream`]): bytes in both directions on a port of their own, with credits, so that neither side has to keep
//!   more than a window of what the other does not take.
//!
//! [`message`] has the envelopes, [`client::QemuClient`] the client. Everything here is pure and tested natively; what needs
//! the browser lives in `web` and exists on wasm32 only. `PROTOCOL.md` and `schema/` are made from the types by a test.

pub mod agent;
pub mod call;
pub mod capabilities;
pub mod client;
pub mod disk;
pub mod failure;
pub mod message;
pub mod monitor;
pub mod state;
pub mod stored;
pub mod stream;
pub mod topic;
pub mod vm;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use capabilities::RuntimeCapabilities;
pub use client::QemuClient;
pub use failure::Failure;
pub use state::VmState;
