//! What the server answers, read back by another implementation (`dhcproto`).

use std::collections::BTreeSet;

use dhcproto::v4::{self, Decodable, Decoder, Encodable, Encoder, MessageType, OptionCode};
use proptest::prelude::*;

use super::*;
use crate::config::{AddressRange, DhcpOption, DhcpValue, StaticLease, default_networks};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn network() -> NetworkConfig {
    default_networks().swap_remove(0)
}

fn mac(number: u16) -> EthernetAddress {
    let [high, low] = number.to_be_bytes();
    EthernetAddress([2, 0, 0, 0, high, low])
}

fn at(seconds: i64) -> Instant {
    Instant::from_secs(seconds)
}

/// A client's message.
fn message(kind: MessageType, from: EthernetAddress) -> v4::Message {
    let mut message = v4::Message::default();
    message.set_chaddr(from.as_bytes());
    message.set_xid(0x1234_5678);
    message.opts_mut().insert(v4::DhcpOption::MessageType(kind));
    message
}

fn requesting(from: EthernetAddress, address: Ipv4Addr, server: Option<Ipv4Addr>) -> v4::Message {
    let mut message = message(MessageType::Request, from);
    message
        .opts_mut()
        .insert(v4::DhcpOption::RequestedIpAddress(address));
    if let Some(server) = server {
        message
            .opts_mut()
            .insert(v4::DhcpOption::ServerIdentifier(server));
    }
    message
}

fn encode(message: &v4::Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).unwrap();
    bytes
}

struct Answer {
    destination: Destination,
    message: v4::Message,
}

impl Answer {
    fn kind(&self) -> MessageType {
        self.message.opts().msg_type().unwrap()
    }

    fn option(&self, code: OptionCode) -> Option<&v4::DhcpOption> {
        self.message.opts().get(code)
    }
}

fn ask(server: &mut Dhcp, now: Instant, message: &v4::Message) -> Option<Answer> {
    let request = Request::read(&encode(message)).expect("a client's message");
    let (destination, reply) = server.receive(now, &request, |_| false).reply?;
    let bytes = reply.write(&request);
    assert!((300..=548).contains(&bytes.len()), "{} bytes", bytes.len());
    let message = v4::Message::decode(&mut Decoder::new(&bytes)).expect("another implementation reads it");
    assert_eq!(
        (message.xid(), message.chaddr()),
        (0x1234_5678, request.mac.as_bytes())
    );
    Some(Answer { destination, message })
}

/// A client's way to an address.
fn lease(server: &mut Dhcp, now: Instant, from: EthernetAddress) -> Option<Ipv4Addr> {
    let offer = ask(server, now, &message(MessageType::Discover, from))?;
    assert_eq!(offer.kind(), MessageType::Offer);
    let address = offer.message.yiaddr();
    let ack = ask(server, now, &requesting(from, address, Some(ROUTER)))?;
    assert_eq!((ack.kind(), ack.message.yiaddr()), (MessageType::Ack, address));
    Some(address)
}

#[test]
fn a_client_is_given_an_address_and_all_it_needs() {
    let mut server = Dhcp::new(&network());
    let mut discover = message(MessageType::Discover, mac(1));
    discover
        .opts_mut()
        .insert(v4::DhcpOption::Hostname("Web.example".to_owned()));
    let offer = ask(&mut server, at(0), &discover).unwrap();
    let address = offer.message.yiaddr();
    assert!(network().cidr.contains_addr(&address));
    assert_eq!(offer.destination, Destination::Client(address));
    let mut request = requesting(mac(1), address, Some(ROUTER));
    request
        .opts_mut()
        .insert(v4::DhcpOption::Hostname("Web.example".to_owned()));
    request.set_flags(v4::Flags::default().set_broadcast());
    let ack = ask(&mut server, at(0), &request).unwrap();
    assert_eq!(ack.destination, Destination::All);
    let expected = [
        v4::DhcpOption::MessageType(MessageType::Ack),
        v4::DhcpOption::ServerIdentifier(ROUTER),
        v4::DhcpOption::AddressLeaseTime(3600),
        v4::DhcpOption::Renewal(1800),
        v4::DhcpOption::Rebinding(3150),
        v4::DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
        v4::DhcpOption::Router(vec![ROUTER]),
        v4::DhcpOption::DomainNameServer(vec![ROUTER]),
        v4::DhcpOption::DomainName("management.internal".to_owned()),
        v4::DhcpOption::BroadcastAddr(Ipv4Addr::new(10, 0, 0, 255)),
        v4::DhcpOption::Hostname("web".to_owned()),
    ];
    for option in &expected {
        assert_eq!(ack.option(OptionCode::from(option)), Some(option));
    }
    let leases: Vec<LeaseInfo> = server.leases(at(0)).collect();
    assert_eq!(
        leases,
        [LeaseInfo {
            address,
            mac: mac(1),
            name: Some("web".to_owned()),
            until_us: 3_600_000_000
        }]
    );
    assert_eq!(server.owner(at(0), address), Some(mac(1)));
    assert_eq!(server.owner(at(3600), address), None);
}

#[test]
fn an_isolated_network_has_no_way_out_and_says_so() {
    let internal = default_networks().swap_remove(1);
    let mut server = Dhcp::new(&internal);
    let offer = ask(&mut server, at(0), &message(MessageType::Discover, mac(1))).unwrap();
    assert_eq!(offer.option(OptionCode::Router), None);
    assert!(offer.option(OptionCode::DomainNameServer).is_some());
}

#[test]
fn a_lease_is_renewed_rebound_and_found_again_after_a_restart() {
    let mut server = Dhcp::new(&network());
    let address = lease(&mut server, at(0), mac(1)).unwrap();
    // Renewing and rebinding: it has the address and names no server.
    let mut renew = message(MessageType::Request, mac(1));
    renew.set_ciaddr(address);
    let ack = ask(&mut server, at(1800), &renew).unwrap();
    assert_eq!(
        (ack.kind(), ack.destination),
        (MessageType::Ack, Destination::Client(address))
    );
    assert_eq!(server.leases(at(5399)).count(), 1);
    // After a restart of the guest, and after one of ours that has forgotten all.
    assert_eq!(
        ask(&mut server, at(2000), &requesting(mac(1), address, None))
            .unwrap()
            .kind(),
        MessageType::Ack
    );
    let mut fresh = Dhcp::new(&network());
    assert_eq!(
        ask(&mut fresh, at(0), &requesting(mac(1), address, None))
            .unwrap()
            .kind(),
        MessageType::Ack
    );
    let mut other = Dhcp::new(&network());
    assert_eq!(
        lease(&mut other, at(0), mac(1)),
        Some(address),
        "the same as it ever was"
    );
}

#[test]
fn what_is_not_the_clients_is_refused_at_once() {
    let mut server = Dhcp::new(&network());
    let address = lease(&mut server, at(0), mac(1)).unwrap();
    let kind = |server: &mut Dhcp, message: &v4::Message| {
        ask(server, at(1), message).map(|answer| {
            assert!(answer.kind() != MessageType::Nak || answer.destination == Destination::All);
            answer.kind()
        })
    };
    // Another's address, one of another network, and one that was never offered.
    assert_eq!(
        kind(&mut server, &requesting(mac(2), address, None)),
        Some(MessageType::Nak)
    );
    let foreign = Ipv4Addr::new(192, 168, 1, 5);
    assert_eq!(
        kind(&mut server, &requesting(mac(1), foreign, None)),
        Some(MessageType::Nak)
    );
    let unoffered = Ipv4Addr::new(10, 0, 0, 200);
    assert_eq!(
        kind(&mut server, &requesting(mac(3), unoffered, Some(ROUTER))),
        Some(MessageType::Nak)
    );
    // Another server's offer was taken.
    let chosen = requesting(
        mac(4),
        Ipv4Addr::new(10, 0, 0, 201),
        Some(Ipv4Addr::new(10, 0, 0, 2)),
    );
    assert_eq!(kind(&mut server, &chosen), None);
}

#[test]
fn released_and_declined_addresses() {
    let mut server = Dhcp::new(&network());
    let address = lease(&mut server, at(0), mac(1)).unwrap();
    let mut release = message(MessageType::Release, mac(1));
    release.set_ciaddr(address);
    assert!(ask(&mut server, at(1), &release).is_none());
    assert_eq!(server.leases(at(1)).count(), 0);
    assert_eq!(
        lease(&mut server, at(2), mac(1)),
        Some(address),
        "kept as long as nobody needs it"
    );
    let mut decline = message(MessageType::Decline, mac(1));
    decline
        .opts_mut()
        .insert(v4::DhcpOption::RequestedIpAddress(address));
    let request = Request::read(&encode(&decline)).unwrap();
    let outcome = server.receive(at(3), &request, |_| false);
    assert_eq!(outcome.event, Some(Event::Declined { mac: mac(1), address }));
    let other = lease(&mut server, at(4), mac(1)).unwrap();
    assert_ne!(other, address);
    // Somebody else declines what is not its own.
    let foreign = Request::read(&encode(&{
        let mut decline = message(MessageType::Decline, mac(9));
        decline
            .opts_mut()
            .insert(v4::DhcpOption::RequestedIpAddress(other));
        decline
    }))
    .unwrap();
    assert_eq!(server.receive(at(5), &foreign, |_| false), Outcome::default());
}

#[test]
fn a_static_lease_is_its_owners_and_nobody_elses() {
    let mut network = network();
    let kept = Ipv4Addr::new(10, 0, 0, 150);
    let dhcp = network.dhcp.as_mut().unwrap();
    dhcp.leases.push(StaticLease {
        mac: mac(7),
        address: kept,
        name: Some("db".to_owned()),
    });
    dhcp.ranges.push(AddressRange {
        start: kept,
        end: Ipv4Addr::new(10, 0, 0, 152),
    });
    let mut server = Dhcp::new(&network);
    let given: BTreeSet<_> = (0..2)
        .filter_map(|number| lease(&mut server, at(0), mac(number)))
        .collect();
    assert_eq!(
        given,
        BTreeSet::from([Ipv4Addr::new(10, 0, 0, 151), Ipv4Addr::new(10, 0, 0, 152)])
    );
    let refused = Request::read(&encode(&message(MessageType::Discover, mac(3)))).unwrap();
    assert_eq!(
        server.receive(at(0), &refused, |_| false).event,
        Some(Event::NoAddress { mac: mac(3) })
    );
    assert_eq!(lease(&mut server, at(0), mac(7)), Some(kept));
    assert_eq!(
        server
            .leases(at(0))
            .find(|lease| lease.address == kept)
            .unwrap()
            .name,
        Some("db".to_owned())
    );
    assert_eq!(server.owner(at(0), kept), Some(mac(7)));
}

#[test]
fn options_of_the_persons_own_stand_before_ours() {
    let mut network = network();
    network.mtu = 1400;
    let dhcp = network.dhcp.as_mut().unwrap();
    let elsewhere = Ipv4Addr::new(10, 0, 0, 2);
    dhcp.options = vec![
        DhcpOption {
            code: 3,
            value: DhcpValue::Addresses(vec![elsewhere]),
        },
        DhcpOption {
            code: 42,
            value: DhcpValue::Addresses(vec![elsewhere]),
        },
    ];
    let mut server = Dhcp::new(&network);
    let mut discover = message(MessageType::Discover, mac(1));
    let wanted = vec![
        OptionCode::Router,
        OptionCode::DomainSearch,
        OptionCode::InterfaceMtu,
    ];
    discover
        .opts_mut()
        .insert(v4::DhcpOption::ParameterRequestList(wanted));
    let offer = ask(&mut server, at(0), &discover).unwrap();
    assert_eq!(
        offer.option(OptionCode::Router),
        Some(&v4::DhcpOption::Router(vec![elsewhere]))
    );
    assert_eq!(
        offer.option(OptionCode::InterfaceMtu),
        Some(&v4::DhcpOption::InterfaceMtu(1400))
    );
    assert!(offer.option(OptionCode::DomainSearch).is_some());
    assert_eq!(offer.option(OptionCode::NtpServers), None, "nobody asked for it");
}

#[test]
fn options_in_parts_and_in_other_fields_are_read() {
    let mut bytes = encode(&message(MessageType::Request, mac(1)));
    bytes.truncate(240);
    // The address in two parts with another option between, the name in the file field, the server in sname.
    bytes.extend([53, 1, 3, 50, 2, 10, 0, 52, 1, 3, 50, 2, 0, 77, 255]);
    bytes[108..113].copy_from_slice(&[12, 2, b'd', b'b', 255]);
    bytes[44..51].copy_from_slice(&[54, 4, 10, 0, 0, 1, 255]);
    let request = Request::read(&bytes).unwrap();
    assert_eq!(request.requested, Some(Ipv4Addr::new(10, 0, 0, 77)));
    assert_eq!(
        (request.server, request.host_name),
        (Some(ROUTER), Some("db".to_owned()))
    );
    // What dhcproto loses: all behind a partial client name in ASCII.
    let mut bytes = encode(&message(MessageType::Request, mac(1)));
    bytes.truncate(240);
    bytes.extend([81, 4, 0, 0, 0, b'w', 53, 1, 3, 50, 4, 10, 0, 0, 77, 255]);
    assert_eq!(
        Request::read(&bytes).unwrap().requested,
        Some(Ipv4Addr::new(10, 0, 0, 77))
    );
}

#[test]
fn a_storm_of_clients_is_bounded_and_each_has_its_own_address() {
    let mut server = Dhcp::new(&network());
    let given: Vec<_> = (0..1000)
        .filter_map(|number| lease(&mut server, at(0), mac(number)))
        .collect();
    let addresses: BTreeSet<_> = given.iter().copied().collect();
    assert_eq!(addresses.len(), given.len());
    assert_eq!(given.len(), 155, "10.0.0.100 to 10.0.0.254");
    // One interface under many names has a few.
    let mut server = Dhcp::new(&network());
    for number in 0..100 {
        let mut discover = message(MessageType::Discover, mac(1));
        discover
            .opts_mut()
            .insert(v4::DhcpOption::ClientIdentifier(vec![0, number, 7]));
        ask(&mut server, at(0), &discover);
    }
    assert!(server.leases.iter(at(0)).count() <= 9);
    assert!(lease(&mut server, at(0), mac(2)).is_some());
}

#[test]
fn addresses_that_others_use_are_not_given() {
    let mut server = Dhcp::new(&network());
    let usual = lease(&mut Dhcp::new(&network()), at(0), mac(1)).unwrap();
    let request = Request::read(&encode(&message(MessageType::Discover, mac(1)))).unwrap();
    let outcome = server.receive(at(0), &request, |address| address == usual);
    assert_ne!(outcome.reply.unwrap().1.gives, Some(usual));
}

#[test]
fn a_network_that_changes_keeps_what_is_still_right() {
    let mut server = Dhcp::new(&network());
    let address = lease(&mut server, at(0), mac(1)).unwrap();
    let mut changed = network();
    changed.dhcp.as_mut().unwrap().lease_seconds = 120;
    server.reconfigure(&changed);
    assert_eq!(server.owner(at(1), address), Some(mac(1)));
    changed.cidr = "10.9.0.0/24".parse().unwrap();
    server.reconfigure(&changed);
    let mut renew = message(MessageType::Request, mac(1));
    renew.set_ciaddr(address);
    assert_eq!(ask(&mut server, at(2), &renew).unwrap().kind(), MessageType::Nak);
}

proptest! {
    /// Whatever comes to the port: no panic, no answer that is too long, and at most so many leases.
    #[test]
    fn made_up_messages_do_no_harm(
        messages in prop::collection::vec((
            prop::collection::vec(any::<u8>(), 0..80), 1_u8..9, 0_u16..3, any::<[u8; 4]>(), 0_i64..100,
        ), 1..40),
    ) {
        let mut server = Dhcp::new(&network());
        let mut now = 0;
        for (options, kind, from, address, pause) in messages {
            now += pause;
            let mut bytes = encode(&message(MessageType::Discover, mac(from)));
            bytes.truncate(240);
            bytes[12..16].copy_from_slice(&address);
            bytes.extend([53, 1, kind]);
            bytes.extend(options);
            if let Some(request) = Request::read(&bytes)
                && let Some((_, reply)) = server.receive(at(now), &request, |_| false).reply
            {
                prop_assert!(reply.write(&request).len() <= usize::from(u16::MAX) - 28);
            }
            prop_assert!(server.leases.iter(at(now)).count() <= 27);
        }
    }
}
