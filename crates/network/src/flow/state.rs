//! Where a flow stands, and how long it is remembered without a packet.

use smoltcp::time::Duration;

use super::Direction;
use crate::config::Protocol;
use crate::packet::TcpFlags;

/// Where a flow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// TCP: a SYN was sent.
    SynSent,
    /// TCP: it was answered.
    SynReceived,
    /// TCP: both have spoken.
    Established,
    /// TCP: the one that began it has sent its last byte.
    OriginalClosed,
    /// TCP: the other one has.
    ReplyClosed,
    /// TCP: both have, or one has reset it.
    Closed,
    /// Others: nothing was answered yet.
    Unreplied(Protocol),
    /// Others: something was.
    Replied(Protocol),
}

impl State {
    /// That of a flow whose first packet is seen. Protocols that are not known are treated as UDP.
    pub(super) fn new(protocol: Option<Protocol>) -> Self {
        match protocol {
            Some(Protocol::Tcp) => Self::SynSent,
            Some(protocol) => Self::Unreplied(protocol),
            None => Self::Unreplied(Protocol::Udp),
        }
    }

    /// That after a packet.
    pub(super) fn after(self, direction: Direction, flags: Option<TcpFlags>) -> Self {
        let Some(flags) = flags else {
            return match (self, direction) {
                (Self::Unreplied(protocol), Direction::Reply) => Self::Replied(protocol),
                (state, _) => state,
            };
        };
        if flags.rst {
            return Self::Closed;
        }
        let is_original = direction == Direction::Original;
        match self {
            // A connection of the same ports begins again.
            Self::Closed | Self::OriginalClosed | Self::ReplyClosed
                if is_original && flags.syn && !flags.ack =>
            {
                Self::SynSent
            }
            Self::SynSent if !is_original && flags.syn => Self::SynReceived,
            Self::SynReceived | Self::Established if flags.fin && is_original => Self::OriginalClosed,
            Self::SynReceived | Self::Established if flags.fin => Self::ReplyClosed,
            Self::SynReceived if is_original && flags.ack => Self::Established,
            Self::OriginalClosed if flags.fin && !is_original => Self::Closed,
            Self::ReplyClosed if flags.fin && is_original => Self::Closed,
            state => state,
        }
    }

    /// How long a flow is remembered after a packet.
    pub(super) fn timeout(self) -> Duration {
        Duration::from_secs(match self {
            Self::SynSent | Self::SynReceived => 60,
            // RFC 5382, 5: at least 2 hours and 4 minutes.
            Self::Established => 7_440,
            Self::OriginalClosed | Self::ReplyClosed => 120,
            Self::Closed => 10,
            Self::Unreplied(_) => 30,
            // RFC 4787, 4.3: at least 2 minutes.
            Self::Replied(Protocol::Udp) => 180,
            Self::Replied(_) => 30,
        })
    }
}
