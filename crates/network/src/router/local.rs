//! What is for the router itself: ARP, echo, DHCP and DNS.

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, EthernetAddress, IpProtocol,
    UdpPacket,
};

use super::icmp::{self, Reason};
use super::{Arrival, Interfaces, Out, Router};
use crate::config::{Action, NetworkId, Zone};
use crate::dhcp::{Destination, Request};
use crate::dns::{self, Answer, Client, Finished};
use crate::frame;
use crate::gateway;
use crate::log::{Event, Pretence};
use crate::packet::{Packet, Tuple};

/// The name server's port.
pub(super) const DNS_PORT: u16 = 53;

impl Router {
    /// Takes an ARP packet.
    pub(super) fn arp(&mut self, now: Instant, arrival: &Arrival, payload: &[u8]) {
        let repr = ArpPacket::new_checked(payload).and_then(|packet| ArpRepr::parse(&packet));
        let Ok(ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: mac,
            source_protocol_addr: address,
            target_protocol_addr: target,
            ..
        }) = repr
        else {
            return;
        };
        let Some(interface) = self.interfaces.get_mut(&arrival.network) else {
            return;
        };
        if mac != arrival.mac {
            return;
        }
        let own = interface.address();
        let is_asked = operation == ArpOperation::Request && target == own;
        if address == own {
            // RFC 5227, 2.4: we say once more that it is ours.
            let first = interface.mac;
            self.arp_reply(arrival, EthernetAddress::BROADCAST, own);
            let second = mac;
            let event = Event::DuplicateAddress {
                address,
                first,
                second,
            };
            return self.event(now, &arrival.network, event);
        }
        if interface.network.cidr.contains_addr(&address) {
            if self.is_anothers(now, &arrival.network, address, mac) {
                let pretended = Pretence::Address;
                return self.event(now, &arrival.network, Event::Spoofed { mac, pretended });
            }
            if let Some(interface) = self.interfaces.get_mut(&arrival.network) {
                let (waiting, before) = interface.neighbours.heard(now, address, mac, is_asked);
                for packet in waiting {
                    self.emit(&arrival.network, mac, packet);
                }
                if let Some(first) = before {
                    let second = mac;
                    let event = Event::DuplicateAddress {
                        address,
                        first,
                        second,
                    };
                    self.event(now, &arrival.network, event);
                }
            }
        }
        if is_asked {
            self.arp_reply(arrival, mac, address);
        }
    }

    /// Says that our address is ours.
    fn arp_reply(&mut self, arrival: &Arrival, to: EthernetAddress, target: Ipv4Addr) {
        self.send_arp(&arrival.network, ArpOperation::Reply, to, target);
    }

    /// Asks who has an address: all, or the one that had it last.
    pub(super) fn ask(&mut self, network: &NetworkId, address: Ipv4Addr, to: EthernetAddress) {
        self.send_arp(network, ArpOperation::Request, to, address);
    }

    fn send_arp(
        &mut self,
        network: &NetworkId,
        operation: ArpOperation,
        to: EthernetAddress,
        target: Ipv4Addr,
    ) {
        let Some(interface) = self.interfaces.get(network) else {
            return;
        };
        let repr = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: interface.mac,
            source_protocol_addr: interface.address(),
            target_hardware_addr: if to.is_broadcast() {
                EthernetAddress([0; 6])
            } else {
                to
            },
            target_protocol_addr: target,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
        let frame = frame::build(to, interface.mac, frame::ARP, &bytes);
        self.out.push_back(Out::Frame(network.clone(), frame));
    }

    /// Takes a message of a DHCP client. Whether it was one.
    pub(super) fn take_dhcp(&mut self, now: Instant, arrival: &Arrival, packet: &Packet) -> bool {
        if packet.protocol() != IpProtocol::Udp || packet.is_fragment() {
            return false;
        }
        let Some(interface) = self.interfaces.get_mut(&arrival.network) else {
            return false;
        };
        let own = interface.address();
        let destination = packet.destination();
        let is_for_us = destination == own
            || destination.is_broadcast()
            || Some(destination) == interface.network.cidr.broadcast();
        let Ok(udp) = UdpPacket::new_checked(packet.content()) else {
            return false;
        };
        let holds = udp.verify_checksum(&packet.source().into(), &destination.into());
        if !is_for_us || udp.dst_port() != DHCP_SERVER_PORT {
            return false;
        }
        let Some(dhcp) = interface.dhcp.as_mut().filter(|_| holds) else {
            return true;
        };
        let Some(request) = Request::read(udp.payload()) else {
            return true;
        };
        if request.mac != arrival.mac {
            // Who asks for others uses up their addresses.
            return true;
        }
        let neighbours = &interface.neighbours;
        let is_taken = |address: Ipv4Addr| {
            neighbours
                .known(now)
                .any(|(known, mac)| known == address && mac != request.mac)
        };
        let outcome = dhcp.receive(now, &request, is_taken);
        if let Some((destination, reply)) = outcome.reply {
            let bytes = reply.write(&request);
            let (to, mac) = match destination {
                Destination::All => (Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST),
                Destination::Client(address) => (address, request.mac),
            };
            let ident = self.next_ident();
            let from = (own, DHCP_SERVER_PORT);
            if let Some(packet) = Packet::udp(from, (to, DHCP_CLIENT_PORT), ident, &bytes) {
                self.emit(&arrival.network, mac, packet);
            }
        }
        if let Some(event) = outcome.event {
            self.event(now, &arrival.network, event);
        }
        true
    }

    /// Takes a packet to one of our addresses that is of no flow through us.
    pub(super) fn take_local(&mut self, now: Instant, arrival: &Arrival, tuple: Tuple, packet: Packet) {
        let zone = Zone::Network(arrival.network.clone());
        let verdict = self
            .firewall
            .judge(&zone, &Zone::Router, &tuple, packet.bytes().len());
        if verdict.log {
            let event = Event::Firewall {
                action: verdict.action,
                rule: verdict.rule,
                packet: tuple.into(),
            };
            self.event(now, &arrival.network, event);
        }
        match verdict.action {
            Action::Accept => {}
            Action::Drop => return,
            Action::Reject => return self.reject(now, arrival, &packet, Reason::Prohibited),
        }
        match packet.protocol() {
            IpProtocol::Icmp => {
                let ident = self.next_ident();
                if let Some(reply) = icmp::echo_reply(&packet, ident) {
                    self.reply(arrival, reply);
                }
            }
            IpProtocol::Tcp
                if tuple.destination_port == DNS_PORT
                    && self.has_dns(arrival)
                    && gateway::begins(&packet) =>
            {
                self.open_dns(now, arrival, tuple, packet);
            }
            IpProtocol::Tcp => self.reset(arrival, &packet),
            IpProtocol::Udp if tuple.destination_port == DNS_PORT && self.has_dns(arrival) => {
                let client = Client {
                    network: arrival.network.clone(),
                    mac: arrival.mac,
                    to: (IpAddr::V4(tuple.source), tuple.source_port),
                    from: IpAddr::V4(tuple.destination),
                    stream: None,
                };
                let Ok(udp) = UdpPacket::new_checked(packet.content()) else {
                    return;
                };
                self.take_query(now, client, udp.payload());
            }
            IpProtocol::Udp => self.refuse(now, arrival, &packet, Reason::PortUnreachable),
            _ => self.refuse(now, arrival, &packet, Reason::ProtocolUnreachable),
        }
    }

    pub(super) fn has_dns(&self, arrival: &Arrival) -> bool {
        let interface = self.interfaces.get(&arrival.network);
        interface.is_some_and(|interface| interface.network.dns.is_some())
    }

    /// Takes a query to the name server.
    pub(super) fn take_query(&mut self, now: Instant, client: Client, query: &[u8]) {
        let Some(interface) = self.interfaces.get(&client.network) else {
            return;
        };
        let directory = Interfaces {
            now,
            interfaces: &self.interfaces,
            hosts: &self.hosts,
        };
        let over_udp = client.stream.is_none();
        match dns::answer(query, &interface.network, &directory, &mut self.names, over_udp) {
            Answer::None => {}
            Answer::Now(message) => self.answer_dns(now, Finished { client, message }),
            Answer::Ask(query) => {
                let network = client.network.clone();
                match self.upstream.ask(now, client, query.clone()) {
                    Ok(Some(id)) => self.out.push_back(Out::Resolve(id, network, query)),
                    Ok(None) => {}
                    Err(refused) => self.answer_dns(now, refused),
                }
            }
        }
    }

    /// Sends an answer of the name server's.
    pub(super) fn answer_dns(&mut self, now: Instant, Finished { client, message }: Finished) {
        if let Some(stream) = client.stream {
            return self.answer_stream(now, stream, &message);
        }
        match (client.from, client.to) {
            (IpAddr::V4(from), (IpAddr::V4(to), port)) => {
                let ident = self.next_ident();
                if let Some(packet) = Packet::udp((from, DNS_PORT), (to, port), ident, &message) {
                    self.emit(&client.network, client.mac, packet);
                }
            }
            (IpAddr::V6(from), (IpAddr::V6(to), port)) => {
                self.emit_udp6(
                    &client.network,
                    client.mac,
                    (from, DNS_PORT),
                    (to, port),
                    &message,
                );
            }
            _ => {}
        }
    }
}
