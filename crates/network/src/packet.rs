//! IPv4 packets: read with care, and changed with their checksums kept right.

use std::net::Ipv4Addr;

use smoltcp::wire::{
    IPV4_HEADER_LEN, Icmpv4Message, Icmpv4Packet, IpAddress, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};

use crate::config::Protocol;
use crate::offload::Segments;

/// Bytes of a UDP header.
pub(crate) const UDP_HEADER: usize = 8;
/// Bytes of an ICMP header.
pub(crate) const ICMP_HEADER: usize = 8;

/// An IPv4 packet whose header holds: version, lengths and checksum are right, and the bytes are just those of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
    /// If it stands for many.
    pub(crate) segments: Option<Segments>,
}

/// Between whom a packet goes. Echo requests have their identifier for a source port, and replies for a destination port, so
/// that one answers the other as with ports. What has no ports has 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tuple {
    /// The protocol's number.
    pub(crate) protocol: u8,
    pub(crate) source: Ipv4Addr,
    pub(crate) source_port: u16,
    pub(crate) destination: Ipv4Addr,
    pub(crate) destination_port: u16,
}

impl Tuple {
    /// That of what is answered.
    pub(crate) fn reversed(self) -> Self {
        Self {
            protocol: self.protocol,
            source: self.destination,
            source_port: self.destination_port,
            destination: self.source,
            destination_port: self.source_port,
        }
    }

    pub(crate) fn protocol(&self) -> Option<Protocol> {
        match IpProtocol::from(self.protocol) {
            IpProtocol::Tcp => Some(Protocol::Tcp),
            IpProtocol::Udp => Some(Protocol::Udp),
            IpProtocol::Icmp => Some(Protocol::Icmp),
            _ => None,
        }
    }
}

/// What a packet's transport header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A packet of a flow.
    Flow(Tuple),
    /// An ICMP error, about another packet.
    Error,
}

/// The flags of a TCP segment that tell where its connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpFlags {
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
}

impl Packet {
    /// Reads a packet that may be followed by padding.
    pub(crate) fn read(bytes: &[u8], segments: Option<Segments>) -> Option<Self> {
        let packet = Ipv4Packet::new_checked(bytes).ok()?;
        let header = usize::from(packet.header_len());
        let holds = packet.version() == 4 && header >= IPV4_HEADER_LEN && packet.verify_checksum();
        holds.then(|| Self {
            bytes: bytes[..usize::from(packet.total_len())].to_vec(),
            segments,
        })
    }

    /// A packet with this content.
    pub(crate) fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        ident: u16,
        content: &[u8],
    ) -> Option<Self> {
        let total = u16::try_from(IPV4_HEADER_LEN + content.len()).ok()?;
        let mut bytes = vec![0; usize::from(total)];
        bytes[IPV4_HEADER_LEN..].copy_from_slice(content);
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
        packet.set_version(4);
        packet.set_header_len(IPV4_HEADER_LEN as u8);
        packet.set_total_len(total);
        packet.set_ident(ident);
        packet.set_hop_limit(64);
        packet.set_next_header(protocol);
        packet.set_src_addr(source);
        packet.set_dst_addr(destination);
        packet.fill_checksum();
        Some(Self {
            bytes,
            segments: None,
        })
    }

    /// A UDP datagram.
    pub(crate) fn udp(
        source: (Ipv4Addr, u16),
        destination: (Ipv4Addr, u16),
        ident: u16,
        payload: &[u8],
    ) -> Option<Self> {
        let mut content = vec![0; UDP_HEADER + payload.len()];
        content[UDP_HEADER..].copy_from_slice(payload);
        let mut udp = UdpPacket::new_unchecked(&mut content);
        udp.set_src_port(source.1);
        udp.set_dst_port(destination.1);
        udp.set_len(u16::try_from(UDP_HEADER + payload.len()).ok()?);
        udp.fill_checksum(&source.0.into(), &destination.0.into());
        Self::new(source.0, destination.0, IpProtocol::Udp, ident, &content)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The header and what follows. All that this type holds was checked.
    pub(crate) fn ip(&self) -> Ipv4Packet<&[u8]> {
        Ipv4Packet::new_unchecked(&self.bytes)
    }

    pub(crate) fn ip_mut(&mut self) -> Ipv4Packet<&mut [u8]> {
        Ipv4Packet::new_unchecked(&mut self.bytes)
    }

    pub(crate) fn source(&self) -> Ipv4Addr {
        self.ip().src_addr()
    }

    pub(crate) fn destination(&self) -> Ipv4Addr {
        self.ip().dst_addr()
    }

    pub(crate) fn protocol(&self) -> IpProtocol {
        self.ip().next_header()
    }

    /// Where the content begins.
    fn header(&self) -> usize {
        usize::from(self.ip().header_len())
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.bytes[self.header()..]
    }

    /// Whether it is a part of a larger packet.
    pub(crate) fn is_fragment(&self) -> bool {
        let ip = self.ip();
        ip.more_frags() || ip.frag_offset() != 0
    }

    /// Whether its sender has chosen the way (RFC 791, 3.1), which no router allows nowadays.
    pub(crate) fn is_source_routed(&self) -> bool {
        let mut options = &self.bytes[IPV4_HEADER_LEN..self.header()];
        while let [kind, rest @ ..] = options {
            match kind {
                0 => break,
                1 => options = rest,
                131 | 137 => return true,
                _ => match rest.first() {
                    Some(len) if *len >= 2 && usize::from(*len) <= options.len() => {
                        options = &options[usize::from(*len)..];
                    }
                    _ => break,
                },
            }
        }
        false
    }

    /// What its transport header says; `None` if it has none that holds.
    pub(crate) fn read_content(&self) -> Option<Content> {
        let ip = self.ip();
        let tuple = |source_port, destination_port| {
            Content::Flow(Tuple {
                protocol: ip.next_header().into(),
                source: ip.src_addr(),
                source_port,
                destination: ip.dst_addr(),
                destination_port,
            })
        };
        let content = self.content();
        match ip.next_header() {
            IpProtocol::Tcp => {
                let tcp = TcpPacket::new_checked(content).ok()?;
                let holds = self.segments.is_some() || tcp.verify_checksum(&self.from(), &self.to());
                (holds && tcp.src_port() != 0 && tcp.dst_port() != 0)
                    .then(|| tuple(tcp.src_port(), tcp.dst_port()))
            }
            IpProtocol::Udp => {
                let udp = UdpPacket::new_checked(content).ok()?;
                let holds = self.segments.is_some() || udp.verify_checksum(&self.from(), &self.to());
                (holds && udp.dst_port() != 0).then(|| tuple(udp.src_port(), udp.dst_port()))
            }
            IpProtocol::Icmp => {
                let icmp = Icmpv4Packet::new_checked(content).ok()?;
                if content.len() < ICMP_HEADER || !icmp.verify_checksum() {
                    return None;
                }
                match icmp.msg_type() {
                    Icmpv4Message::EchoRequest => Some(tuple(icmp.echo_ident(), 0)),
                    Icmpv4Message::EchoReply => Some(tuple(0, icmp.echo_ident())),
                    Icmpv4Message::DstUnreachable
                    | Icmpv4Message::TimeExceeded
                    | Icmpv4Message::ParamProblem => Some(Content::Error),
                    _ => None,
                }
            }
            _ => Some(tuple(0, 0)),
        }
    }

    fn from(&self) -> IpAddress {
        IpAddress::Ipv4(self.source())
    }

    fn to(&self) -> IpAddress {
        IpAddress::Ipv4(self.destination())
    }

    /// The flags, if it is TCP whose content was read.
    pub(crate) fn tcp_flags(&self) -> Option<TcpFlags> {
        if self.protocol() != IpProtocol::Tcp {
            return None;
        }
        let tcp = TcpPacket::new_checked(self.content()).ok()?;
        Some(TcpFlags {
            syn: tcp.syn(),
            ack: tcp.ack(),
            fin: tcp.fin(),
            rst: tcp.rst(),
        })
    }

    /// Takes one hop from it.
    pub(crate) fn decrement_ttl(&mut self) {
        let mut ip = self.ip_mut();
        ip.set_hop_limit(ip.hop_limit().saturating_sub(1));
        ip.fill_checksum();
    }

    /// Makes it one between those of `tuple`, whose protocol is its own.
    pub(crate) fn translate(&mut self, tuple: Tuple) {
        let has_checksum = self.segments.is_none();
        let mut ip = self.ip_mut();
        ip.set_src_addr(tuple.source);
        ip.set_dst_addr(tuple.destination);
        ip.fill_checksum();
        let protocol = ip.next_header();
        let header = self.header();
        set_ports(&mut self.bytes[header..], protocol, tuple, has_checksum);
    }

    /// The packet that an ICMP error is about, as far as it is there: its header and ports.
    pub(crate) fn quoted(&self) -> Option<Tuple> {
        let quoted = self.content().get(ICMP_HEADER..)?;
        let ip = Ipv4Packet::new_unchecked(quoted);
        let has_header = quoted.len() >= IPV4_HEADER_LEN && ip.version() == 4;
        let header = has_header.then(|| usize::from(ip.header_len()))?;
        if header < IPV4_HEADER_LEN || ip.frag_offset() != 0 {
            return None;
        }
        let ports = quoted.get(header..header + 8)?;
        let word = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
        let (source_port, destination_port) = match (ip.next_header(), ports[0]) {
            (IpProtocol::Tcp | IpProtocol::Udp, _) => (word(0), word(2)),
            (IpProtocol::Icmp, 8) => (word(4), 0),
            (IpProtocol::Icmp, 0) => (0, word(4)),
            (IpProtocol::Icmp, _) => return None,
            _ => (0, 0),
        };
        Some(Tuple {
            protocol: ip.next_header().into(),
            source: ip.src_addr(),
            source_port,
            destination: ip.dst_addr(),
            destination_port,
        })
    }

    /// Makes an ICMP error one from `source` to `destination` about a packet between those of `tuple`, where [`Self::quoted`]
    /// was one.
    pub(crate) fn translate_error(&mut self, source: Ipv4Addr, destination: Ipv4Addr, tuple: Tuple) {
        let mut ip = self.ip_mut();
        ip.set_src_addr(source);
        ip.set_dst_addr(destination);
        ip.fill_checksum();
        let start = self.header();
        let quoted = &mut self.bytes[start + ICMP_HEADER..];
        let mut ip = Ipv4Packet::new_unchecked(&mut *quoted);
        let (header, protocol) = (usize::from(ip.header_len()), ip.next_header());
        ip.set_src_addr(tuple.source);
        ip.set_dst_addr(tuple.destination);
        // Its end may be cut off, which the header's sum does not mind.
        if header <= quoted.len() {
            let mut ip = Ipv4Packet::new_unchecked(&mut quoted[..header]);
            ip.fill_checksum();
        }
        // The sum over a packet that is cut off cannot be made anew; receivers do not look at it.
        match (protocol, &mut quoted[header..]) {
            (IpProtocol::Tcp | IpProtocol::Udp, ports) => {
                ports[..2].copy_from_slice(&tuple.source_port.to_be_bytes());
                ports[2..4].copy_from_slice(&tuple.destination_port.to_be_bytes());
            }
            (IpProtocol::Icmp, echo) => {
                let ident = tuple.source_port.max(tuple.destination_port);
                echo[4..6].copy_from_slice(&ident.to_be_bytes());
            }
            _ => {}
        }
        Icmpv4Packet::new_unchecked(&mut self.bytes[start..]).fill_checksum();
    }
}

/// Sets the ports in a transport header whose content was read, and its checksum.
fn set_ports(content: &mut [u8], protocol: IpProtocol, tuple: Tuple, has_checksum: bool) {
    let (source, destination) = (IpAddress::Ipv4(tuple.source), IpAddress::Ipv4(tuple.destination));
    match protocol {
        IpProtocol::Tcp => {
            let mut tcp = TcpPacket::new_unchecked(content);
            tcp.set_src_port(tuple.source_port);
            tcp.set_dst_port(tuple.destination_port);
            if has_checksum {
                tcp.fill_checksum(&source, &destination);
            }
        }
        IpProtocol::Udp => {
            let mut udp = UdpPacket::new_unchecked(content);
            udp.set_src_port(tuple.source_port);
            udp.set_dst_port(tuple.destination_port);
            // None at all stays none (RFC 768).
            if has_checksum && udp.checksum() != 0 {
                udp.fill_checksum(&source, &destination);
            }
        }
        IpProtocol::Icmp => {
            let mut icmp = Icmpv4Packet::new_unchecked(content);
            icmp.set_echo_ident(tuple.source_port.max(tuple.destination_port));
            icmp.fill_checksum();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const B: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 9);

    #[test]
    fn a_translated_packet_is_a_whole_one() {
        let mut packet = Packet::udp((A, 1000), (B, 53), 7, b"question").unwrap();
        let Some(Content::Flow(tuple)) = packet.read_content() else {
            panic!("no flow");
        };
        let to = Tuple {
            source: Ipv4Addr::new(172, 16, 0, 1),
            source_port: 40_000,
            ..tuple
        };
        packet.translate(to);
        let read = Packet::read(packet.bytes(), None).unwrap();
        assert_eq!(read.read_content(), Some(Content::Flow(to)));
    }

    proptest! {
        /// Whatever stands there: nothing that was read wrongly is changed outside its bounds, and nothing panics.
        #[test]
        fn made_up_packets_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 20..120), protocol in prop_oneof![
            Just(1_u8), Just(6), Just(17), any::<u8>(),
        ], ports in any::<(u16, u16)>()) {
            bytes[0] = 0x45 + bytes[0] % 4;
            let len = bytes.len() as u16;
            let mut ip = Ipv4Packet::new_unchecked(&mut bytes[..]);
            ip.set_total_len(len);
            ip.set_next_header(protocol.into());
            if usize::from(ip.header_len()) <= usize::from(len) {
                ip.fill_checksum();
            }
            let Some(mut packet) = Packet::read(&bytes, None) else { return Ok(()) };
            packet.is_source_routed();
            let to = |tuple: Tuple| Tuple { source: B, source_port: ports.0, destination_port: ports.1, ..tuple };
            match packet.read_content() {
                Some(Content::Flow(tuple)) => packet.translate(to(tuple)),
                _ => if let Some(tuple) = packet.quoted() {
                    packet.translate_error(A, B, to(tuple));
                }
            }
        }
    }
}
