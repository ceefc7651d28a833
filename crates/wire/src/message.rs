//! The envelopes: JSON plus attachments that JSON cannot carry.
//!
//! Attachments are bytes (`Uint8Array`), `Blob`s, handles and ports; a message refers to them by index. Both sides start
//! every message with [`VERSION`] and refuse another one (see [`check_version`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::Call;
use crate::failure::Failure;
use crate::stream::StreamKind;
use crate::topic::Topic;

/// Version of this protocol. Raised whenever a message changes its meaning or shape.
pub const VERSION: u32 = 3;

/// The other side speaks another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected protocol version {VERSION}, found {found}")]
pub struct VersionMismatch {
    /// What the message said.
    pub found: u32,
}

/// Accepts this protocol's version only.
///
/// # Errors
/// [`VersionMismatch`] for any other.
pub fn check_version(found: u32) -> Result<(), VersionMismatch> {
    if found == VERSION {
        Ok(())
    } else {
        Err(VersionMismatch { found })
    }
}

/// A message on its way: version, JSON, and what JSON cannot carry.
#[derive(Clone, Debug)]
pub struct Packet<A> {
    /// The sender's [`VERSION`].
    pub version: u32,
    /// A [`ClientMessage`], a [`HostMessage`] or a [`crate::stream::StreamMessage`].
    pub json: String,
    /// What the JSON refers to by index.
    pub attachments: Vec<A>,
    /// Which of the attachments the sender gives away, as `postMessage`'s transfer list does. Ports always are.
    pub transfers: Vec<A>,
}

impl<A> Packet<A> {
    /// `message` with its attachments, all of which the sender keeps.
    ///
    /// # Errors
    /// A [`Failure`] when the message has no JSON.
    pub fn new(message: &impl Serialize, attachments: Vec<A>) -> Result<Self, Failure> {
        Ok(Self {
            version: VERSION,
            json: serde_json::to_string(message).map_err(|error| Failure::from_error(&error))?,
            attachments,
            transfers: Vec::new(),
        })
    }
}

/// What a client sends. Each message has an id that the client chooses; calls, subscriptions and streams each have their own
/// ids, unique on a port while they last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ClientMessage {
    /// Asks for something. Answered once, by [`HostMessage::Reply`].
    Call {
        /// The call's id.
        id: u32,
        /// What is asked for.
        #[serde(flatten)]
        call: Call,
    },
    /// Wants the call's reply no longer: it ends as soon as it can, and is still answered.
    Cancel {
        /// The call's id.
        id: u32,
    },
    /// Wants to be told of a topic. A snapshot comes first.
    Subscribe {
        /// The subscription's id.
        id: u32,
        /// Of what.
        topic: Topic,
    },
    /// Wants to be told no longer.
    Unsubscribe {
        /// The subscription's id.
        id: u32,
    },
    /// Opens a stream. Attachment 0: the port for its messages.
    Open {
        /// The stream's id.
        id: u32,
        /// Of what.
        stream: StreamKind,
    },
}

/// What the host sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum HostMessage {
    /// The one answer to a call. Attachments are the reply's.
    Reply {
        /// The call's id.
        id: u32,
        /// Why it was refused or failed, if it was.
        failure: Option<Failure>,
        /// The reply as [`crate::call::Method::Reply`] says; null with a failure.
        #[serde(default)]
        value: Value,
    },
    /// A call goes on.
    Progress {
        /// The call's id.
        id: u32,
        /// Bytes done.
        done: u64,
        /// Bytes in all, where that is known.
        #[serde(default)]
        total: Option<u64>,
    },
    /// News of a topic.
    Update {
        /// The subscription's id.
        id: u32,
        /// The topic's revision now: one more than before with a delta.
        revision: u64,
        /// What is new.
        #[serde(flatten)]
        update: Update,
    },
    /// A message of the client's that is none, where it carries no id of a call; or something failed in the host that belongs
    /// to nobody.
    Error {
        /// What failed.
        failure: Failure,
    },
}

/// News of a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Update {
    /// All of it: a [`crate::topic::Subject::State`].
    Snapshot(Value),
    /// A difference from the last revision: a [`crate::topic::Subject::Delta`].
    Delta(Value),
}

/// A client's message that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The id of the call that it seems to be, so that it can be answered.
    pub call: Option<u32>,
    /// What was expected and found.
    pub failure: Failure,
}

impl ClientMessage {
    /// Reads a client's packet.
    ///
    /// # Errors
    /// [`Malformed`] for another version, and for what is no message of this one.
    pub fn parse(version: u32, json: &str) -> Result<Self, Malformed> {
        let malformed = |failure| Malformed {
            call: call_id(json),
            failure,
        };
        check_version(version).map_err(|error| {
            malformed(
                Failure::from_error(&error)
                    .with_next_step("Close this page and open QemuWeb again: it was updated."),
            )
        })?;
        serde_json::from_str(json).map_err(|error| {
            malformed(Failure {
                causes: vec![error.to_string()],
                ..Failure::new("expected a request that this version knows")
            })
        })
    }
}

/// The id in what is meant to be a call.
fn call_id(json: &str) -> Option<u32> {
    let value: Value = serde_json::from_str(json).ok()?;
    let others = ["cancel", "subscribe", "unsubscribe", "open"];
    if value["type"].as_str().is_some_and(|kind| others.contains(&kind)) {
        return None;
    }
    u32::try_from(value["id"].as_u64()?).ok()
}

#[cfg(test)]
mod tests;
