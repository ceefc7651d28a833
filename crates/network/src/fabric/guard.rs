//! What a VM may not pretend to its network, where its port is guarded: that an address is its own which is the router's or
//! another VM's, that it gives out addresses, or that it is an IPv6 router, as far as our router does these things there.

use std::net::Ipv4Addr;

use smoltcp::wire::EthernetAddress;

use crate::frame::{self, Frame, Header};
use crate::log::Pretence;

/// What a network has that nobody may pretend to be.
pub(super) struct Guarded<'a> {
    pub(super) mac: EthernetAddress,
    pub(super) has_dhcp: bool,
    pub(super) has_ipv6: bool,
    /// Whether an address is another's than this port's.
    pub(super) is_anothers: &'a dyn Fn(Ipv4Addr) -> bool,
}

/// What a frame pretends, if something.
pub(super) fn pretence(frame: &Frame, guarded: &Guarded<'_>) -> Option<Pretence> {
    let bytes = frame.bytes();
    let header = Header::read(bytes)?;
    let payload = &bytes[header.payload..];
    match header.ethertype {
        frame::ARP => arp(payload, guarded),
        frame::IPV4 => ipv4(payload, guarded),
        frame::IPV6 if guarded.has_ipv6 => ipv6(payload),
        _ => None,
    }
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(octets.into())
}

fn arp(payload: &[u8], guarded: &Guarded<'_>) -> Option<Pretence> {
    let sender = address(payload, 14)?;
    let is_others = payload.get(8..14)? != guarded.mac.as_bytes();
    (is_others || (guarded.is_anothers)(sender)).then_some(Pretence::Address)
}

fn ipv4(payload: &[u8], guarded: &Guarded<'_>) -> Option<Pretence> {
    let source = address(payload, 12)?;
    if !source.is_unspecified() && (guarded.is_anothers)(source) {
        return Some(Pretence::Address);
    }
    let header = usize::from(payload[0] & 0xf) * 4;
    let is_first = payload[6] & 0x1f == 0 && payload[7] == 0;
    let is_server = guarded.has_dhcp
        && payload[9] == 17
        && is_first
        && payload.get(header..header + 2) == Some([0, 67].as_slice());
    is_server.then_some(Pretence::DhcpServer)
}

/// Headers that may stand before what a packet carries (RFC 8200, 4.1), each with its length in units of 8 bytes behind the
/// first 8.
const EXTENSIONS: [u8; 4] = [0, 43, 44, 60];

fn ipv6(payload: &[u8]) -> Option<Pretence> {
    let (mut next, mut at) = (*payload.get(6)?, 40);
    // More of them than any host sends are read by no host.
    for _ in 0..8 {
        if !EXTENSIONS.contains(&next) {
            break;
        }
        let len = if next == 44 {
            0
        } else {
            usize::from(*payload.get(at + 1)?)
        };
        next = *payload.get(at)?;
        at += 8 + 8 * len;
    }
    let is_advert = next == 58 && payload.get(at) == Some(&134);
    is_advert.then_some(Pretence::Router)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::Packet;

    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 5]);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

    fn check(ethertype: u16, payload: &[u8]) -> Option<Pretence> {
        let guarded = Guarded {
            mac: MAC,
            has_dhcp: true,
            has_ipv6: true,
            is_anothers: &|address| address == ROUTER,
        };
        pretence(
            &frame::build(EthernetAddress::BROADCAST, MAC, ethertype, payload),
            &guarded,
        )
    }

    #[test]
    fn what_is_pretended_is_seen() {
        let packet = |from, port| {
            Packet::udp((from, port), (Ipv4Addr::BROADCAST, 68), 1, b"x")
                .unwrap()
                .into_bytes()
        };
        assert_eq!(check(frame::IPV4, &packet(OWN, 68)), None);
        assert_eq!(check(frame::IPV4, &packet(ROUTER, 68)), Some(Pretence::Address));
        assert_eq!(check(frame::IPV4, &packet(OWN, 67)), Some(Pretence::DhcpServer));
        let arp = |mac: EthernetAddress, sender: Ipv4Addr| {
            let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 2];
            bytes.extend(mac.as_bytes());
            bytes.extend(sender.octets());
            bytes.extend([0; 10]);
            bytes
        };
        assert_eq!(check(frame::ARP, &arp(MAC, OWN)), None);
        assert_eq!(check(frame::ARP, &arp(MAC, ROUTER)), Some(Pretence::Address));
        assert_eq!(
            check(frame::ARP, &arp(EthernetAddress::BROADCAST, OWN)),
            Some(Pretence::Address)
        );
        let mut advert = vec![0; 60];
        (advert[6], advert[40], advert[48]) = (60, 58, 134);
        assert_eq!(check(frame::IPV6, &advert), Some(Pretence::Router));
        advert[48] = 133;
        assert_eq!(check(frame::IPV6, &advert), None);
    }

    proptest! {
        #[test]
        fn made_up_frames_do_no_harm(kind in prop_oneof![
            Just(frame::ARP), Just(frame::IPV4), Just(frame::IPV6),
        ], payload in prop::collection::vec(any::<u8>(), 0..90)) {
            check(kind, &payload);
        }
    }
}
