//! ICMP errors: what a sender is told when its packet goes nowhere (RFC 792, RFC 1812 section 5.2.7).

use std::net::Ipv4Addr;

use smoltcp::wire::{Icmpv4Message, Icmpv4Packet, IpProtocol, TcpPacket, TcpSeqNumber};

use crate::packet::{ICMP_HEADER, Packet};

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is no way to it.
    NetUnreachable,
    /// It does not answer to ARP, or has no address.
    HostUnreachable,
    /// The host does not speak this protocol.
    ProtocolUnreachable,
    /// Nobody listens there.
    PortUnreachable,
    /// It is too large, and may not be cut.
    FragmentationNeeded {
        /// Most bytes that pass.
        mtu: u16,
    },
    /// It is not allowed.
    Prohibited,
    /// It went round too long.
    TtlExceeded,
    /// Parts of it did not come.
    ReassemblyExceeded,
}

impl Reason {
    fn type_and_code(self) -> (Icmpv4Message, u8) {
        match self {
            Self::NetUnreachable => (Icmpv4Message::DstUnreachable, 0),
            Self::HostUnreachable => (Icmpv4Message::DstUnreachable, 1),
            Self::ProtocolUnreachable => (Icmpv4Message::DstUnreachable, 2),
            Self::PortUnreachable => (Icmpv4Message::DstUnreachable, 3),
            Self::FragmentationNeeded { .. } => (Icmpv4Message::DstUnreachable, 4),
            Self::Prohibited => (Icmpv4Message::DstUnreachable, 13),
            Self::TtlExceeded => (Icmpv4Message::TimeExceeded, 0),
            Self::ReassemblyExceeded => (Icmpv4Message::TimeExceeded, 1),
        }
    }
}

/// The error that tells the sender of `about`, from one of our addresses; none where none may be sent (RFC 1122, 3.2.2): about
/// ICMP errors, fragments but the first, and packets that do not come from or go to a single host.
pub(crate) fn error(from: Ipv4Addr, about: &Packet, reason: Reason, ident: u16) -> Option<Packet> {
    let (source, destination) = (about.source(), about.destination());
    let is_single = |address: Ipv4Addr| {
        !address.is_unspecified()
            && !address.is_broadcast()
            && !address.is_multicast()
            && !address.is_loopback()
    };
    let is_error =
        about.protocol() == IpProtocol::Icmp && !matches!(about.content().first(), Some(0 | 8 | 13..=18));
    if !is_single(source) || !is_single(destination) || is_error || about.ip().frag_offset() != 0 {
        return None;
    }
    // As much as fits into what every host takes (RFC 1812, 4.3.2.3).
    let quoted = &about.bytes()[..about.bytes().len().min(576 - 20 - ICMP_HEADER)];
    let mut content = vec![0; ICMP_HEADER + quoted.len()];
    content[ICMP_HEADER..].copy_from_slice(quoted);
    if let Reason::FragmentationNeeded { mtu } = reason {
        // RFC 1191, 4.
        content[6..8].copy_from_slice(&mtu.to_be_bytes());
    }
    let (kind, code) = reason.type_and_code();
    let mut icmp = Icmpv4Packet::new_unchecked(&mut content);
    icmp.set_msg_type(kind);
    icmp.set_msg_code(code);
    icmp.fill_checksum();
    Packet::new(from, source, IpProtocol::Icmp, ident, &content)
}

/// The answer to an echo request, if it is one.
pub(crate) fn echo_reply(request: &Packet, ident: u16) -> Option<Packet> {
    if request.protocol() != IpProtocol::Icmp || request.content().first() != Some(&8) {
        return None;
    }
    let mut content = request.content().to_vec();
    let mut icmp = Icmpv4Packet::new_unchecked(&mut content);
    icmp.set_msg_type(Icmpv4Message::EchoReply);
    icmp.fill_checksum();
    Packet::new(
        request.destination(),
        request.source(),
        IpProtocol::Icmp,
        ident,
        &content,
    )
}

/// The segment that resets the connection that this one is of, or would begin (RFC 9293, 3.5.2); none to a reset.
pub(crate) fn reset(segment: &Packet, ident: u16) -> Option<Packet> {
    let content = segment.content();
    let to = TcpPacket::new_checked(content).ok()?;
    if segment.protocol() != IpProtocol::Tcp || to.rst() {
        return None;
    }
    let mut bytes = [0; 20];
    let mut tcp = TcpPacket::new_unchecked(&mut bytes);
    tcp.set_src_port(to.dst_port());
    tcp.set_dst_port(to.src_port());
    tcp.set_header_len(20);
    tcp.clear_flags();
    tcp.set_header_len(20);
    tcp.set_rst(true);
    if to.ack() {
        tcp.set_seq_number(to.ack_number());
    } else {
        tcp.set_ack(true);
        let after = to.seq_number().0.wrapping_add(to.segment_len() as i32);
        tcp.set_ack_number(TcpSeqNumber(after));
    }
    tcp.fill_checksum(&segment.destination().into(), &segment.source().into());
    Packet::new(
        segment.destination(),
        segment.source(),
        IpProtocol::Tcp,
        ident,
        &bytes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn an_error_quotes_what_it_is_about_and_tells_the_size_that_passes() {
        let about = Packet::udp((A, 1000), (B, 2000), 1, &[7; 1400]).unwrap();
        let error = error(ROUTER, &about, Reason::FragmentationNeeded { mtu: 1400 }, 2).unwrap();
        assert_eq!((error.source(), error.destination()), (ROUTER, A));
        assert_eq!(error.bytes().len(), 576);
        assert_eq!(error.content()[..2], [3, 4]);
        assert_eq!(error.content()[6..8], 1400_u16.to_be_bytes());
        let quoted = error.quoted().unwrap();
        assert_eq!(
            (quoted.source, quoted.source_port, quoted.destination_port),
            (A, 1000, 2000)
        );
    }

    #[test]
    fn there_is_no_error_about_errors_groups_and_later_fragments() {
        let about = Packet::udp((A, 1000), (B, 2000), 1, b"x").unwrap();
        let first = error(ROUTER, &about, Reason::HostUnreachable, 2).unwrap();
        assert_eq!(error(B, &first, Reason::HostUnreachable, 3), None);
        for destination in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 251)] {
            let about = Packet::udp((A, 1000), (destination, 2000), 1, b"x").unwrap();
            assert_eq!(error(ROUTER, &about, Reason::HostUnreachable, 2), None);
        }
        let mut part = about;
        part.ip_mut().set_frag_offset(8);
        assert_eq!(error(ROUTER, &part, Reason::TtlExceeded, 2), None);
    }
}
