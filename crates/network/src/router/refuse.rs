//! Packets that go nowhere, and what their senders are told.

use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpProtocol};

use super::icmp::{self, Reason};
use super::neighbours::Due;
use super::{Arrival, Router};
use crate::config::{NetworkId, Zone};
use crate::flow::Direction;
use crate::packet::{Content, Packet};

impl Router {
    pub(super) fn count_refused(&mut self, arrival: &Arrival) {
        if let Some(interface) = self.interfaces.get_mut(&arrival.network) {
            interface.stats.refused += 1;
        }
    }

    /// Tells the sender of a packet that it is not let through, in the way that it understands at once.
    pub(super) fn reject(&mut self, now: Instant, arrival: &Arrival, packet: &Packet, reason: Reason) {
        self.count_refused(arrival);
        if packet.protocol() == IpProtocol::Tcp {
            self.reset(arrival, packet);
        } else {
            self.refuse(now, arrival, packet, reason);
        }
    }

    pub(super) fn reset(&mut self, arrival: &Arrival, packet: &Packet) {
        let ident = self.next_ident();
        if let Some(reset) = icmp::reset(packet, ident) {
            self.reply(arrival, reset);
        }
    }

    /// Tells the sender of a packet that it goes nowhere.
    pub(super) fn refuse(&mut self, now: Instant, arrival: &Arrival, packet: &Packet, reason: Reason) {
        let ident = self.next_ident();
        let Some(interface) = self.interfaces.get_mut(&arrival.network) else {
            return;
        };
        match reason {
            Reason::Prohibited => interface.stats.refused += 1,
            _ => interface.stats.unreachable += 1,
        }
        let Some(error) = icmp::error(interface.address(), packet, reason, ident) else {
            return;
        };
        if interface.errors.take(now, 1) {
            self.reply(arrival, error);
        } else {
            interface.stats.errors_held_back += 1;
        }
    }

    /// Nobody has the address that this packet goes to: who sent it is told, as it sent it.
    pub(super) fn unreachable(&mut self, now: Instant, network: &NetworkId, mut packet: Packet) {
        if let Some(interface) = self.interfaces.get_mut(network) {
            interface.stats.unreachable += 1;
        }
        self.gateway.undeliverable(&packet);
        let Some(Content::Flow(tuple)) = packet.read_content() else {
            return;
        };
        let Some((key, direction)) = self.flows.find(now, &tuple.reversed()) else {
            return;
        };
        let Some(flow) = self.flows.get(key) else { return };
        let (zone, sent) = match direction {
            Direction::Reply => (flow.from.clone(), flow.original),
            Direction::Original => (flow.to.clone(), flow.reply),
        };
        packet.translate(sent);
        let ident = self.next_ident();
        let Zone::Network(back) = zone else { return };
        let Some(interface) = self.interfaces.get_mut(&back) else {
            return;
        };
        let error = icmp::error(interface.address(), &packet, Reason::HostUnreachable, ident);
        if let Some(error) = error.filter(|_| interface.errors.take(now, 1)) {
            let _ = self.output(now, error);
        }
    }

    pub(super) fn poll_neighbours(&mut self, now: Instant, network: &NetworkId) {
        let Some(interface) = self.interfaces.get_mut(network) else {
            return;
        };
        for due in interface.neighbours.poll(now) {
            match due {
                Due::Ask(address) => self.ask(network, address, EthernetAddress::BROADCAST),
                Due::Unreachable(packets) => {
                    for packet in packets {
                        self.unreachable(now, network, packet);
                    }
                }
            }
        }
    }

    pub(super) fn poll_fragments(&mut self, now: Instant, network: &NetworkId) {
        let Some(interface) = self.interfaces.get_mut(network) else {
            return;
        };
        let own = interface.address();
        for first in interface.fragments.poll(now) {
            let ident = self.next_ident();
            let error = icmp::error(own, &first, Reason::ReassemblyExceeded, ident);
            if let Some(error) = error {
                let _ = self.output(now, error);
            }
        }
    }
}
