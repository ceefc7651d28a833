//! What is said between the gateway and whoever carries flows outside.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use smoltcp::wire::EthernetAddress;

use crate::config::{NetworkId, Protocol};

/// Names a flow to or from the outside; none ever has another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutsideId(pub u64);

/// What a guest wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in small letters, that the guest asked our name server for.
    Name(String),
    /// An address that it knows from elsewhere.
    Address(Ipv4Addr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl ToOutside {
    /// The flow that it is about.
    pub fn id(&self) -> OutsideId {
        match self {
            Self::Open { id, .. }
            | Self::Opened { id, .. }
            | Self::Data { id, .. }
            | Self::Window { id, .. }
            | Self::Finish { id }
            | Self::Close { id, .. } => *id,
        }
    }
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToOutside {
    /// A guest opens a flow. It is answered by [`FromOutside::Opened`] or [`FromOutside::Refused`].
    Open {
        /// Names the flow from now on.
        id: OutsideId,
        /// The guest's network.
        network: NetworkId,
        /// The guest's interface.
        mac: EthernetAddress,
        /// [`Protocol::Tcp`] or [`Protocol::Udp`].
        protocol: Protocol,
        /// Where to.
        host: Host,
        /// To which port.
        port: u16,
        /// Bytes that may be sent to the guest before [`ToOutside::Window`] allows more.
        window: u32,
    },
    /// The guest's port that was dialled has accepted.
    Opened {
        /// The flow.
        id: OutsideId,
        /// As in [`ToOutside::Open`].
        window: u32,
    },
    /// Bytes from the guest; for UDP, a datagram.
    Data {
        /// The flow.
        id: OutsideId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// So many bytes more may be sent to the guest.
    Window {
        /// The flow.
        id: OutsideId,
        /// How many.
        bytes: u32,
    },
    /// The guest has sent its last byte; it may still receive.
    Finish {
        /// The flow.
        id: OutsideId,
    },
    /// The flow is over, and its name is forgotten: it was reset, refused, or has ended on both sides.
    Close {
        /// The flow.
        id: OutsideId,
        /// Whether it ended as flows should.
        in_order: bool,
    },
}

/// What has happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromOutside {
    /// The flow is open.
    Opened {
        /// The flow.
        id: OutsideId,
        /// Bytes that the carrier takes before [`FromOutside::Consumed`] allows more.
        window: u32,
    },
    /// The flow could not be opened.
    Refused {
        /// The flow.
        id: OutsideId,
        /// Why.
        why: Refusal,
    },
    /// Bytes for the guest, at most as many as are allowed; for UDP, a datagram.
    Data {
        /// The flow.
        id: OutsideId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// So many bytes more are taken from the guest.
    Consumed {
        /// The flow.
        id: OutsideId,
        /// How many.
        bytes: u32,
    },
    /// The outside has sent its last byte.
    Finish {
        /// The flow.
        id: OutsideId,
    },
    /// The outside has lost the flow, or is not interested any more.
    Reset {
        /// The flow.
        id: OutsideId,
    },
}

/// Why a flow could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody listens on that port.
    Refused,
    /// There is no such host, or no way to it.
    Unreachable,
    /// It is not allowed, or nobody can carry it.
    Prohibited,
}
