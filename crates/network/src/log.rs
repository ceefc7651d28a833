//! What happened in the networks that a person may want to know, bounded.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::bucket::Bucket;
use crate::config::{Action, NetworkId, Protocol, text};
use crate::packet::Tuple;

/// Most entries that are kept.
pub const MAX_ENTRIES: usize = 1000;

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Counts entries from 1, those that were left out among them.
    pub number: u64,
    /// When, in microseconds on the clock that the fabric is driven by.
    pub at_us: i64,
    /// In which network.
    pub network: NetworkId,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "what")]
pub enum Event {
    /// The firewall decided about a packet.
    Firewall {
        /// How.
        action: Action,
        /// By which of its rules, counted from 0; by its default, if by none.
        rule: Option<usize>,
        /// About which packet.
        packet: PacketInfo,
    },
    /// A packet was refused because of the types of the networks.
    NotReachable {
        /// The packet.
        packet: PacketInfo,
    },
    /// A host was given an address.
    Leased {
        /// The host.
        #[serde(with = "text::mac")]
        mac: EthernetAddress,
        /// The address.
        address: Ipv4Addr,
        /// The name that it says it has.
        name: Option<String>,
    },
    /// There was no address left for a host.
    NoAddress {
        /// The host.
        #[serde(with = "text::mac")]
        mac: EthernetAddress,
    },
    /// A host found that somebody else has the address that it was given.
    Declined {
        /// The host.
        #[serde(with = "text::mac")]
        mac: EthernetAddress,
        /// The address.
        address: Ipv4Addr,
    },
    /// Two hosts use one address.
    DuplicateAddress {
        /// The address.
        address: Ipv4Addr,
        /// The one that had it.
        #[serde(with = "text::mac")]
        first: EthernetAddress,
        /// The one that claims it, too.
        #[serde(with = "text::mac")]
        second: EthernetAddress,
    },
    /// A host pretended to be somebody else, and its frame was dropped.
    Spoofed {
        /// The host.
        #[serde(with = "text::mac")]
        mac: EthernetAddress,
        /// What it pretended.
        pretended: Pretence,
    },
    /// A connection to the outside, or one that was refused.
    Outside {
        /// The host.
        #[serde(with = "text::mac")]
        mac: EthernetAddress,
        /// TCP or UDP.
        protocol: Protocol,
        /// The name or address that it is to.
        host: String,
        /// The port.
        port: u16,
        /// Whether it may pass.
        allowed: bool,
    },
}

/// What a host can pretend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pretence {
    /// That an address is its own that is the router's or another host's.
    Address,
    /// That it gives out addresses.
    DhcpServer,
    /// That it is an IPv6 router.
    Router,
}

/// What is told of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PacketInfo {
    /// The protocol's number, as 6 for TCP.
    pub protocol: u8,
    /// Where it comes from.
    pub source: Ipv4Addr,
    /// Its source port, 0 without one.
    pub source_port: u16,
    /// Where it goes to.
    pub destination: Ipv4Addr,
    /// Its destination port, 0 without one.
    pub destination_port: u16,
}

impl From<Tuple> for PacketInfo {
    fn from(tuple: Tuple) -> Self {
        Self {
            protocol: tuple.protocol,
            source: tuple.source,
            source_port: tuple.source_port,
            destination: tuple.destination,
            destination_port: tuple.destination_port,
        }
    }
}

/// The log: the last [`MAX_ENTRIES`], and not more than 200 a second.
pub(crate) struct Log {
    entries: VecDeque<LogEntry>,
    pace: Bucket,
    numbered: u64,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            pace: Bucket::new(200, 400),
            numbered: 0,
        }
    }

    pub(crate) fn add(&mut self, now: Instant, network: &NetworkId, event: Event) {
        self.numbered += 1;
        if !self.pace.take(now, 1) {
            return;
        }
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(LogEntry {
            number: self.numbered,
            at_us: now.total_micros(),
            network: network.clone(),
            event,
        });
    }

    /// What was added after the entry of this number.
    pub(crate) fn after(&self, number: u64) -> impl Iterator<Item = &LogEntry> {
        let from = self.entries.partition_point(|entry| entry.number <= number);
        self.entries.range(from..)
    }

    /// How many there ever were, those that were left out among them.
    pub(crate) fn numbered(&self) -> u64 {
        self.numbered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_entries_is_counted_and_bounded() {
        let mut log = Log::new();
        let mac = EthernetAddress([2, 0, 0, 0, 0, 1]);
        for second in 0..10 {
            for _ in 0..10_000 {
                let event = Event::NoAddress { mac };
                log.add(Instant::from_secs(second), &"dmz".into(), event);
            }
        }
        assert_eq!(log.numbered(), 100_000);
        assert_eq!(log.after(0).count(), MAX_ENTRIES);
        let last = log.after(0).last().unwrap().number;
        assert_eq!(log.after(last).count(), 0);
        assert_eq!(log.after(last - 1).count(), 1);
    }
}
