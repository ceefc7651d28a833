//! The router's interface in a network, with the services that it has there.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use super::fragments::Fragments;
use super::neighbours::Neighbours;
use crate::bucket::Bucket;
use crate::config::NetworkConfig;
use crate::dhcp::Dhcp;
use crate::mac;
use crate::switch::Count;

/// Most ICMP errors a second into a network, and at once (RFC 1812, 4.3.2.8).
const ERRORS: (u64, u64) = (1000, 200);

/// What went through an interface of the router's, and what did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterStats {
    /// IPv4 packets for the router or through it.
    pub received: Count,
    /// IPv4 packets into the network.
    pub sent: Count,
    /// Packets that are none, or whose checksum is wrong.
    pub malformed: u64,
    /// Packets whose source is no address of this network, or of nobody.
    pub bad_source: u64,
    /// Packets that the firewall or a network's type refused.
    pub refused: u64,
    /// Packets for which no flow could be begun.
    pub no_room: u64,
    /// Packets that nobody can be sent to.
    pub unreachable: u64,
    /// ICMP errors that were not sent because there were too many.
    pub errors_held_back: u64,
}

/// An interface.
pub(crate) struct Interface {
    pub(crate) network: NetworkConfig,
    pub(crate) mac: EthernetAddress,
    pub(super) neighbours: Neighbours,
    pub(super) fragments: Fragments,
    pub(super) dhcp: Option<Dhcp>,
    pub(super) errors: Bucket,
    pub(super) stats: RouterStats,
    /// When the prefix is announced next.
    pub(super) announce_at: Option<Instant>,
}

impl Interface {
    pub(super) fn new(now: Instant, network: NetworkConfig) -> Self {
        Self {
            mac: mac::of_router(&network.id.0),
            neighbours: Neighbours::default(),
            fragments: Fragments::default(),
            dhcp: network.dhcp.as_ref().map(|_| Dhcp::new(&network)),
            errors: Bucket::new(ERRORS.0, ERRORS.1),
            stats: RouterStats::default(),
            announce_at: network.ipv6.then_some(now),
            network,
        }
    }

    /// Goes on with another configuration.
    pub(super) fn reconfigure(&mut self, now: Instant, network: NetworkConfig) {
        match (&mut self.dhcp, &network.dhcp) {
            (Some(dhcp), Some(_)) => dhcp.reconfigure(&network),
            (dhcp, Some(_)) => *dhcp = Some(Dhcp::new(&network)),
            (dhcp, None) => *dhcp = None,
        }
        if network.cidr != self.network.cidr {
            self.neighbours = Neighbours::default();
        }
        self.announce_at = network.ipv6.then_some(now);
        self.network = network;
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        self.network.gateway()
    }

    /// The link-local IPv6 address (RFC 4291, 2.5.6 and appendix A).
    pub(super) fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.mac.0;
        let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            word(a ^ 2, b),
            word(c, 0xff),
            word(0xfe, d),
            word(e, f),
        )
    }

    /// The IPv6 prefix of 64 bits that hosts make their addresses from, a unique local one (RFC 4193).
    pub(crate) fn prefix(&self) -> Ipv6Addr {
        let mut hash = Sha256::new();
        hash.update(b"qemuweb-ula");
        hash.update(self.network.id.0.as_bytes());
        let hash = hash.finalize();
        let word = |at: usize| u16::from_be_bytes([hash[at], hash[at + 1]]);
        Ipv6Addr::new(0xfd00 | (word(0) & 0xff), word(2), word(4), 0, 0, 0, 0, 0)
    }

    /// Our address of that prefix.
    pub(crate) fn address6(&self) -> Ipv6Addr {
        let mut segments = self.prefix().segments();
        segments[7] = 1;
        Ipv6Addr::from(segments)
    }
}
