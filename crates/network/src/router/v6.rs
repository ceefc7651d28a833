//! IPv6 within a network: the router announces a prefix, answers for its own addresses, and tells at once that there is no way
//! out (RFC 4861, 4862, 4443).

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetAddress, Icmpv6DstUnreachable, Icmpv6Packet, Icmpv6Repr, IpAddress, IpProtocol, Ipv6Packet,
    Ipv6Repr, NdiscNeighborFlags, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags,
    RawHardwareAddress, UdpPacket,
};

use super::local::DNS_PORT;
use super::{Arrival, Interface, Out, Router};
use crate::config::NetworkId;
use crate::dns::Client;
use crate::frame;
use crate::packet::UDP_HEADER;

/// All hosts of a network (RFC 4291, 2.7.1).
const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// How often the prefix is announced unasked.
const BETWEEN: Duration = Duration::from_secs(200);
/// How long the name server may be used after an announcement (RFC 8106, 5.1: three times that).
const DNS_LIFETIME: u32 = 600;

/// The group that frames of an IPv6 group go to (RFC 2464, 7).
fn group(address: Ipv6Addr) -> EthernetAddress {
    let [.., a, b, c, d] = address.octets();
    EthernetAddress([0x33, 0x33, a, b, c, d])
}

impl Router {
    /// Takes an IPv6 packet.
    pub(super) fn ipv6(&mut self, now: Instant, arrival: &Arrival, bytes: &[u8]) {
        let Some(interface) = self
            .interfaces
            .get(&arrival.network)
            .filter(|interface| interface.network.ipv6)
        else {
            return;
        };
        let Ok(packet) = Ipv6Packet::new_checked(bytes) else {
            return;
        };
        let (source, destination) = (packet.src_addr(), packet.dst_addr());
        if packet.version() != 6 || source.is_multicast() || source.is_loopback() {
            return;
        }
        let is_own = destination == interface.link_local() || destination == interface.address6();
        let Some(payload) = bytes.get(packet.header_len()..packet.total_len()) else {
            return;
        };
        match packet.next_header() {
            IpProtocol::Icmpv6 => {
                self.icmpv6(arrival, source, destination, packet.hop_limit(), payload);
            }
            IpProtocol::Udp if is_own && self.has_dns(arrival) => {
                let Ok(udp) = UdpPacket::new_checked(payload) else {
                    return;
                };
                if udp.dst_port() != DNS_PORT || !udp.verify_checksum(&source.into(), &destination.into()) {
                    return self.unreachable6(now, arrival, bytes, Icmpv6DstUnreachable::PortUnreachable);
                }
                let client = Client {
                    network: arrival.network.clone(),
                    mac: arrival.mac,
                    to: (IpAddr::V6(source), udp.src_port()),
                    from: IpAddr::V6(destination),
                    stream: None,
                };
                self.take_query(now, client, udp.payload());
            }
            _ if is_own => self.unreachable6(now, arrival, bytes, Icmpv6DstUnreachable::PortUnreachable),
            _ if !destination.is_multicast() => {
                self.unreachable6(now, arrival, bytes, Icmpv6DstUnreachable::NoRoute);
            }
            _ => {}
        }
    }

    fn icmpv6(
        &mut self,
        arrival: &Arrival,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        hops: u8,
        payload: &[u8],
    ) {
        let Some(interface) = self.interfaces.get(&arrival.network) else {
            return;
        };
        let Ok(packet) = Icmpv6Packet::new_checked(payload) else {
            return;
        };
        let repr = Icmpv6Repr::parse(&source, &destination, &packet, &ChecksumCapabilities::default());
        let Ok(repr) = repr else { return };
        let is_own = |address: Ipv6Addr| address == interface.link_local() || address == interface.address6();
        match repr {
            // Neighbours send with 255 hops, which no router lets through (RFC 4861, 6.1 and 7.1).
            Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { .. }) if hops == 255 => {
                let to = if source.is_unspecified() { ALL } else { source };
                self.advertise(&arrival.network, to, arrival.mac);
            }
            Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, .. })
                if hops == 255 && is_own(target_addr) =>
            {
                // Somebody who asks without an address wants that one for itself, and hears with all others that it is taken.
                let is_probe = source.is_unspecified();
                let mut flags = NdiscNeighborFlags::OVERRIDE | NdiscNeighborFlags::ROUTER;
                flags.set(NdiscNeighborFlags::SOLICITED, !is_probe);
                let advert = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
                    flags,
                    target_addr,
                    lladdr: Some(RawHardwareAddress::from(interface.mac)),
                });
                let (to, mac) = if is_probe {
                    (ALL, group(ALL))
                } else {
                    (source, arrival.mac)
                };
                let bytes = icmpv6_bytes(&advert, target_addr, to, &[]);
                self.emit6(&arrival.network, mac, target_addr, to, IpProtocol::Icmpv6, &bytes);
            }
            Icmpv6Repr::EchoRequest { ident, seq_no, data } if is_own(destination) => {
                let reply = Icmpv6Repr::EchoReply { ident, seq_no, data };
                let bytes = icmpv6_bytes(&reply, destination, source, &[]);
                self.emit6(
                    &arrival.network,
                    arrival.mac,
                    destination,
                    source,
                    IpProtocol::Icmpv6,
                    &bytes,
                );
            }
            _ => {}
        }
    }

    /// Tells the sender of a packet that it goes nowhere, unless it is of those about which nobody is told.
    fn unreachable6(&mut self, now: Instant, arrival: &Arrival, about: &[u8], reason: Icmpv6DstUnreachable) {
        let Some(interface) = self.interfaces.get_mut(&arrival.network) else {
            return;
        };
        let packet = Ipv6Packet::new_unchecked(about);
        let Ok(header) = Ipv6Repr::parse(&packet) else {
            return;
        };
        let is_error =
            header.next_header == IpProtocol::Icmpv6 && about.get(40).is_some_and(|kind| *kind < 128);
        if header.src_addr.is_unspecified() || is_error || !interface.errors.take(now, 1) {
            return;
        }
        let own = interface.link_local();
        // As much as fits into the smallest packet that every link takes.
        let end = about.len().min(packet.total_len()).min(1280 - 48);
        let error = Icmpv6Repr::DstUnreachable {
            reason,
            header,
            data: about.get(40..end).unwrap_or_default(),
        };
        let to = header.src_addr;
        let bytes = icmpv6_bytes(&error, own, to, &[]);
        self.emit6(&arrival.network, arrival.mac, own, to, IpProtocol::Icmpv6, &bytes);
    }

    /// Announces the prefix, if it is time.
    pub(super) fn announce(&mut self, now: Instant, network: &NetworkId) {
        let Some(interface) = self.interfaces.get_mut(network) else {
            return;
        };
        if interface.announce_at.is_some_and(|at| at <= now) {
            interface.announce_at = Some(now + BETWEEN);
            self.advertise(network, ALL, group(ALL));
        }
    }

    fn advertise(&mut self, network: &NetworkId, to: Ipv6Addr, mac: EthernetAddress) {
        let Some(interface) = self.interfaces.get(network) else {
            return;
        };
        let from = interface.link_local();
        let (advert, options) = (advert(interface), dns_option(interface));
        let bytes = icmpv6_bytes(&Icmpv6Repr::Ndisc(advert), from, to, &options);
        let mac = if to == ALL { group(ALL) } else { mac };
        self.emit6(network, mac, from, to, IpProtocol::Icmpv6, &bytes);
    }

    /// Sends a UDP datagram over IPv6.
    pub(super) fn emit_udp6(
        &mut self,
        network: &NetworkId,
        mac: EthernetAddress,
        from: (Ipv6Addr, u16),
        to: (Ipv6Addr, u16),
        payload: &[u8],
    ) {
        let mut content = vec![0; UDP_HEADER + payload.len()];
        content[UDP_HEADER..].copy_from_slice(payload);
        let Ok(len) = u16::try_from(content.len()) else {
            return;
        };
        let mut udp = UdpPacket::new_unchecked(&mut content);
        udp.set_src_port(from.1);
        udp.set_dst_port(to.1);
        udp.set_len(len);
        udp.fill_checksum(&IpAddress::Ipv6(from.0), &IpAddress::Ipv6(to.0));
        self.emit6(network, mac, from.0, to.0, IpProtocol::Udp, &content);
    }

    fn emit6(
        &mut self,
        network: &NetworkId,
        mac: EthernetAddress,
        from: Ipv6Addr,
        to: Ipv6Addr,
        protocol: IpProtocol,
        content: &[u8],
    ) {
        let Some(interface) = self.interfaces.get(network) else {
            return;
        };
        let repr = Ipv6Repr {
            src_addr: from,
            dst_addr: to,
            next_header: protocol,
            payload_len: content.len(),
            hop_limit: 255,
        };
        let mut bytes = vec![0; repr.buffer_len() + content.len()];
        repr.emit(&mut Ipv6Packet::new_unchecked(&mut bytes));
        bytes[repr.buffer_len()..].copy_from_slice(content);
        let frame = frame::build(mac, interface.mac, frame::IPV6, &bytes);
        self.out.push_back(Out::Frame(network.clone(), frame));
    }
}

/// The message, with more options behind it.
fn icmpv6_bytes(repr: &Icmpv6Repr<'_>, from: Ipv6Addr, to: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let len = repr.buffer_len();
    let mut bytes = vec![0; len + options.len()];
    let capabilities = ChecksumCapabilities::default();
    repr.emit(
        &from,
        &to,
        &mut Icmpv6Packet::new_unchecked(&mut bytes[..len]),
        &capabilities,
    );
    bytes[len..].copy_from_slice(options);
    Icmpv6Packet::new_unchecked(&mut bytes).fill_checksum(&from, &to);
    bytes
}

fn advert(interface: &Interface) -> NdiscRepr<'static> {
    NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::empty(),
        // No way to anywhere else: with none, hosts do not try.
        router_lifetime: Duration::ZERO,
        reachable_time: Duration::ZERO,
        retrans_time: Duration::ZERO,
        lladdr: Some(RawHardwareAddress::from(interface.mac)),
        mtu: Some(u32::from(interface.network.mtu)),
        prefix_info: Some(NdiscPrefixInformation {
            prefix_len: 64,
            flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: Duration::from_secs(86_400),
            preferred_lifetime: Duration::from_secs(14_400),
            prefix: interface.prefix(),
        }),
    }
}

/// The name server, as an option (RFC 8106, 5.1).
fn dns_option(interface: &Interface) -> Vec<u8> {
    if interface.network.dns.is_none() {
        return Vec::new();
    }
    let mut option = vec![25, 3, 0, 0];
    option.extend(DNS_LIFETIME.to_be_bytes());
    option.extend(interface.address6().octets());
    option
}
