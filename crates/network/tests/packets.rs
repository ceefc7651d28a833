//! Single frames through the fabric: what comes out, bit by bit.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use qemuweb_network::config::{NetworkConfig, default_networks};
use qemuweb_network::log::Event;
use qemuweb_network::offload::{Checksum, Offload, SegmentKind, Segments};
use qemuweb_network::switch::{Monitor, PortId, VlanId, VlanMode};
use qemuweb_network::{Attachment, Duration, Effect, EthernetAddress, Fabric, Frame, Instant};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv4Packet, IpProtocol, Ipv4Packet,
    Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket,
};
use world::World;

const NOW: Instant = Instant::ZERO;
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);
const SERVER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 50);

/// A fabric with a client in `management` and a server in `dmz`, whose addresses the router knows.
struct Pair {
    fabric: Fabric,
    client: PortId,
    server: PortId,
}

fn pair(networks: Vec<NetworkConfig>) -> Pair {
    let mut fabric = Fabric::new(1);
    for network in networks {
        fabric.set_network(NOW, network).unwrap();
    }
    let mut attach = |name: &str, network: &str| {
        fabric
            .attach(NOW, Attachment::new(name, name, &network.into()))
            .unwrap()
    };
    let (client, server) = (attach("client", "management"), attach("server", "dmz"));
    let mut pair = Pair {
        fabric,
        client,
        server,
    };
    pair.ask(client, CLIENT, Ipv4Addr::new(10, 0, 0, 1));
    pair.ask(server, SERVER, Ipv4Addr::new(172, 16, 0, 1));
    pair
}

impl Pair {
    /// Asks for the router as a host does, and so tells it who has the address.
    fn ask(&mut self, port: PortId, own: Ipv4Addr, router: Ipv4Addr) {
        let mac = self.fabric.mac(port).unwrap();
        let arp = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: mac,
            source_protocol_addr: own,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: router,
        };
        let mut bytes = vec![0; arp.buffer_len()];
        arp.emit(&mut ArpPacket::new_unchecked(&mut bytes));
        self.put(
            port,
            EthernetAddress::BROADCAST,
            EthernetProtocol::Arp,
            &bytes,
            Offload::default(),
        );
        let answer = self.frames().pop().unwrap();
        let answer = EthernetFrame::new_checked(&answer.1).unwrap();
        assert_eq!(
            (answer.ethertype(), answer.dst_addr()),
            (EthernetProtocol::Arp, mac)
        );
    }

    fn put(
        &mut self,
        port: PortId,
        to: EthernetAddress,
        kind: EthernetProtocol,
        payload: &[u8],
        offload: Offload,
    ) {
        let mut bytes = vec![0; 14 + payload.len()];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes);
        frame.set_dst_addr(to);
        frame.set_src_addr(self.fabric.mac(port).unwrap());
        frame.set_ethertype(kind);
        frame.payload_mut().copy_from_slice(payload);
        self.fabric
            .receive(NOW, port, Frame::with_offload(bytes, offload));
    }

    /// Sends an IPv4 packet to the router.
    fn send(&mut self, port: PortId, packet: &[u8]) {
        self.send_with(port, packet, Offload::default());
    }

    fn send_with(&mut self, port: PortId, packet: &[u8], offload: Offload) {
        let network = if port == self.client { "management" } else { "dmz" };
        let interfaces = self.fabric.router(NOW).interfaces;
        let router = interfaces
            .into_iter()
            .find(|interface| interface.network.0 == network)
            .unwrap();
        self.put(port, router.mac, EthernetProtocol::Ipv4, packet, offload);
    }

    /// What came out, but for what the router says to all by itself.
    fn frames(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some(effect) = self.fabric.next() {
            if let Effect::Frame { port, frame } = effect {
                frames.push((port, frame.bytes().to_vec()));
            }
        }
        frames
    }

    fn packets(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let frames = self.frames().into_iter();
        let ipv4 = frames.filter(|(_, frame)| frame[12..14] == [8, 0]);
        ipv4.map(|(port, frame)| (port, frame[14..].to_vec())).collect()
    }
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: IpProtocol, content: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: protocol,
        payload_len: content.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 20 + content.len()];
    bytes[20..].copy_from_slice(content);
    repr.emit(
        &mut Ipv4Packet::new_unchecked(&mut bytes),
        &ChecksumCapabilities::default(),
    );
    bytes
}

fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let mut content = vec![0; 8 + payload.len()];
    content[8..].copy_from_slice(payload);
    let mut packet = UdpPacket::new_unchecked(&mut content);
    packet.set_src_port(from.1);
    packet.set_dst_port(to.1);
    packet.set_len((8 + payload.len()) as u16);
    packet.fill_checksum(&from.0.into(), &to.0.into());
    ipv4(from.0, to.0, IpProtocol::Udp, &content)
}

fn tcp(
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    control: TcpControl,
    ack: bool,
    payload: &[u8],
) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: from.1,
        dst_port: to.1,
        control,
        seq_number: TcpSeqNumber(100),
        ack_number: ack.then_some(TcpSeqNumber(7)),
        window_len: 1000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let mut content = vec![0; repr.buffer_len()];
    let all = ChecksumCapabilities::default();
    repr.emit(
        &mut TcpPacket::new_unchecked(&mut content),
        &from.0.into(),
        &to.0.into(),
        &all,
    );
    ipv4(from.0, to.0, IpProtocol::Tcp, &content)
}

/// The address and port that a packet comes from, whose checksums have to hold.
fn source(packet: &[u8]) -> (Ipv4Addr, u16) {
    let ip = Ipv4Packet::new_checked(packet).unwrap();
    assert!(ip.verify_checksum());
    let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
    match ip.next_header() {
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(ip.payload()).unwrap();
            assert!(udp.verify_checksum(&from, &to));
            (ip.src_addr(), udp.src_port())
        }
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
            assert!(tcp.verify_checksum(&from, &to));
            (ip.src_addr(), tcp.src_port())
        }
        other => panic!("{other}"),
    }
}

const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);

#[test]
fn a_large_segment_goes_through_the_router_in_pieces_that_fit() {
    let mut pair = pair(default_networks());
    pair.send(
        pair.client,
        &tcp((CLIENT, 4000), (SERVER, 80), TcpControl::Syn, false, &[]),
    );
    assert_eq!(pair.packets().len(), 1);
    let payload: Vec<u8> = (0..10_000_u32).map(|at| at as u8).collect();
    let mut whole = tcp((CLIENT, 4000), (SERVER, 80), TcpControl::Psh, true, &payload);
    // As a guest leaves it: the sum is to be filled in.
    whole[36..38].copy_from_slice(&[0x12, 0x34]);
    let offload = Offload {
        checksum: Some(Checksum {
            start: 34,
            offset: 16,
        }),
        segments: Some(Segments {
            kind: SegmentKind::Tcp4,
            ecn: false,
            header: 54,
            size: 1400,
        }),
    };
    pair.send_with(pair.client, &whole, offload);
    let mut seen = Vec::new();
    let packets = pair.packets();
    assert_eq!(packets.len(), 8);
    for (port, packet) in packets {
        assert_eq!((port, source(&packet)), (pair.server, (ROUTER, 4000)));
        let ip = Ipv4Packet::new_checked(packet.as_slice()).unwrap();
        let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
        assert_eq!(tcp.seq_number(), TcpSeqNumber(100) + seen.len());
        seen.extend_from_slice(tcp.payload());
    }
    assert_eq!(seen, payload);
}

#[test]
fn a_sum_that_is_left_to_the_network_is_filled_in_for_who_does_not_take_that() {
    let mut fabric = Fabric::new(1);
    fabric
        .set_network(NOW, default_networks().swap_remove(1))
        .unwrap();
    let mut attach = |name: &str, takes_offloads| {
        let mut attachment = Attachment::new(name, name, &"internal".into());
        attachment.takes_offloads = takes_offloads;
        fabric.attach(NOW, attachment).unwrap()
    };
    let (from, knows, plain) = (
        attach("from", true),
        attach("knows", true),
        attach("plain", false),
    );
    let mut packet = udp((CLIENT, 1), (Ipv4Addr::BROADCAST, 2), b"x");
    let offload = Offload {
        checksum: Some(Checksum { start: 34, offset: 6 }),
        segments: None,
    };
    let content = &packet[20..];
    let pseudo = smoltcp::wire::checksum::pseudo_header_v4(
        &CLIENT,
        &Ipv4Addr::BROADCAST,
        IpProtocol::Udp,
        content.len() as u32,
    );
    packet[26..28].copy_from_slice(&pseudo.to_be_bytes());
    let mac = fabric.mac(from).unwrap();
    let bytes = [&[0xff; 6], mac.as_bytes(), &[8, 0], &packet[..]].concat();
    fabric.receive(NOW, from, Frame::with_offload(bytes.clone(), offload));
    let mut seen = BTreeSet::new();
    while let Some(effect) = fabric.next() {
        let Effect::Frame { port, frame } = effect else {
            continue;
        };
        if frame.bytes()[12..14] == [8, 0] {
            seen.insert(port);
            assert_eq!(
                frame.offload(),
                if port == knows {
                    offload
                } else {
                    Offload::default()
                }
            );
            assert!(port == knows || source(&frame.bytes()[14..]) == (CLIENT, 1));
        }
    }
    assert_eq!(seen, BTreeSet::from([knows, plain]));
}

#[test]
fn what_is_too_large_is_cut_or_told_with_the_size_that_passes() {
    let mut networks = default_networks();
    networks[2].mtu = 1300;
    let mut pair = pair(networks);
    let large = udp((CLIENT, 4000), (SERVER, 9), &[7; 1400]);
    // smoltcp says that it may not be cut.
    pair.send(pair.client, &large);
    let (port, error) = pair.packets().pop().unwrap();
    assert_eq!(port, pair.client);
    let ip = Ipv4Packet::new_checked(error.as_slice()).unwrap();
    let icmp = Icmpv4Packet::new_checked(ip.payload()).unwrap();
    assert!(icmp.verify_checksum());
    assert_eq!((u8::from(icmp.msg_type()), icmp.msg_code()), (3, 4));
    assert_eq!(ip.payload()[6..8], 1300_u16.to_be_bytes());
    assert_eq!(
        ip.payload()[8 + 12..8 + 16],
        CLIENT.octets(),
        "as the guest has sent it"
    );
    let mut may_be_cut = large;
    let mut ip = Ipv4Packet::new_unchecked(&mut may_be_cut);
    ip.set_dont_frag(false);
    ip.fill_checksum();
    pair.send(pair.client, &may_be_cut);
    let parts = pair.packets();
    assert_eq!(parts.len(), 2);
    assert!(
        parts
            .iter()
            .all(|(port, part)| *port == pair.server && part.len() <= 1300)
    );
}

#[test]
fn an_error_about_a_hidden_hosts_packet_goes_to_that_host() {
    let mut pair = pair(default_networks());
    pair.send(pair.client, &udp((CLIENT, 4000), (SERVER, 9), b"x"));
    let (_, arrived) = pair.packets().pop().unwrap();
    assert_eq!(source(&arrived), (ROUTER, 4000));
    let mut content = vec![3, 3, 0, 0, 0, 0, 0, 0];
    content.extend(&arrived);
    Icmpv4Packet::new_unchecked(&mut content).fill_checksum();
    pair.send(pair.server, &ipv4(SERVER, ROUTER, IpProtocol::Icmp, &content));
    let (port, error) = pair.packets().pop().unwrap();
    let ip = Ipv4Packet::new_checked(error.as_slice()).unwrap();
    assert_eq!(
        (port, ip.src_addr(), ip.dst_addr()),
        (pair.client, SERVER, CLIENT)
    );
    let icmp = Icmpv4Packet::new_checked(ip.payload()).unwrap();
    assert!(icmp.verify_checksum());
    assert_eq!(icmp.msg_code(), 3);
    // The packet inside is the one that the client sent.
    let quoted = Ipv4Packet::new_checked(&ip.payload()[8..]).unwrap();
    assert!(quoted.verify_checksum());
    assert_eq!((quoted.src_addr(), quoted.dst_addr()), (CLIENT, SERVER));
    // One that somebody makes up about a flow that is not his goes nowhere.
    let mut foreign = vec![3, 3, 0, 0, 0, 0, 0, 0];
    foreign.extend(udp((ROUTER, 4001), (SERVER, 9), b"x"));
    Icmpv4Packet::new_unchecked(&mut foreign).fill_checksum();
    pair.send(pair.server, &ipv4(SERVER, ROUTER, IpProtocol::Icmp, &foreign));
    assert!(pair.packets().is_empty());
}

#[test]
fn a_segment_of_no_connection_is_reset_and_packets_from_elsewhere_are_dropped() {
    let mut pair = pair(default_networks());
    pair.send(
        pair.client,
        &tcp((CLIENT, 4000), (SERVER, 80), TcpControl::None, true, b"x"),
    );
    let (port, reset) = pair.packets().pop().unwrap();
    assert_eq!((port, source(&reset)), (pair.client, (SERVER, 80)));
    let ip = Ipv4Packet::new_checked(reset.as_slice()).unwrap();
    let tcp_reset = TcpPacket::new_checked(ip.payload()).unwrap();
    assert!(tcp_reset.rst());
    assert_eq!(tcp_reset.seq_number(), TcpSeqNumber(7));
    // Nobody answers a reset.
    pair.send(
        pair.client,
        &tcp((CLIENT, 4000), (SERVER, 80), TcpControl::Rst, true, &[]),
    );
    assert!(pair.packets().is_empty());
    for from in [
        SERVER,
        Ipv4Addr::new(8, 8, 8, 8),
        Ipv4Addr::new(127, 0, 0, 1),
        Ipv4Addr::BROADCAST,
    ] {
        pair.send(pair.client, &udp((from, 1), (SERVER, 9), b"x"));
    }
    let mut broken = udp((CLIENT, 1), (SERVER, 9), b"x");
    broken[10] ^= 1;
    pair.send(pair.client, &broken);
    let mut routed = ipv4(CLIENT, SERVER, IpProtocol::Udp, &[0; 8]);
    routed.splice(20..20, [131, 4, 4, 0]);
    let mut ip = Ipv4Packet::new_unchecked(&mut routed);
    ip.set_header_len(24);
    ip.set_total_len(32);
    ip.fill_checksum();
    pair.send(pair.client, &routed);
    assert!(pair.packets().is_empty());
    let stats = pair.fabric.network(NOW, &"management".into()).unwrap().router;
    assert_eq!((stats.bad_source, stats.malformed), (5, 1));
}

#[test]
fn two_that_use_one_address_are_told_of() {
    let mut pair = pair(default_networks());
    let other = pair
        .fabric
        .attach(NOW, Attachment::new("other", "other", &"management".into()))
        .unwrap();
    pair.ask(other, CLIENT, Ipv4Addr::new(10, 0, 0, 1));
    let (first, second) = (
        pair.fabric.mac(pair.client).unwrap(),
        pair.fabric.mac(other).unwrap(),
    );
    let expected = Event::DuplicateAddress {
        address: CLIENT,
        first,
        second,
    };
    assert!(pair.fabric.log(0).any(|entry| entry.event == expected));
}

#[test]
fn the_router_defends_its_addresses() {
    let mut pair = pair(default_networks());
    // A guest that looks whether the address is free, before it takes it (RFC 5227).
    let mut attachment = Attachment::new("probe", "probe", &"management".into());
    attachment.guarded = false;
    let probe = pair.fabric.attach(NOW, attachment).unwrap();
    pair.ask(probe, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(10, 0, 0, 1));
    // The same for IPv6, before it takes it (RFC 4862).
    let router = pair
        .fabric
        .router(NOW)
        .interfaces
        .into_iter()
        .find(|i| i.network.0 == "management")
        .unwrap();
    let target = router.address6.unwrap();
    let mut solicit = vec![135, 0, 0, 0, 0, 0, 0, 0];
    solicit.extend(target.octets());
    let to: std::net::Ipv6Addr = "ff02::1:ff00:1".parse().unwrap();
    smoltcp::wire::Icmpv6Packet::new_unchecked(&mut solicit)
        .fill_checksum(&std::net::Ipv6Addr::UNSPECIFIED, &to);
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
    packet.extend([0; 16]);
    packet.extend(to.octets());
    packet.extend(solicit);
    pair.put(
        probe,
        EthernetAddress([0x33, 0x33, 0xff, 0, 0, 1]),
        EthernetProtocol::Ipv6,
        &packet,
        Offload::default(),
    );
    let frames = pair.frames();
    let answers: Vec<_> = frames
        .iter()
        .filter(|(port, frame)| *port == probe && frame[12..14] == [0x86, 0xdd])
        .collect();
    let [(_, answer)] = answers.as_slice() else {
        panic!("{frames:?}")
    };
    assert_eq!(answer[..6], [0x33, 0x33, 0, 0, 0, 1], "to all");
    assert_eq!((answer[54], answer[58] & 0x40), (136, 0), "not solicited");
    assert_eq!(answer[62..78], target.octets());
}

#[test]
fn vlans_part_a_network_and_a_monitor_and_a_tap_see_it() {
    let mut world = World::new(1);
    let vlan = |vid| VlanMode::Access {
        vlan: VlanId::new(vid).unwrap(),
    };
    let attach = |world: &mut World, name: &str, vlan, monitor| {
        let mut attachment = Attachment::new(name, name, &"internal".into());
        attachment.vlan = vlan;
        attachment.monitor = monitor;
        world.attach(attachment, false)
    };
    let (a, b, c) = (
        attach(&mut world, "a", vlan(10), None),
        attach(&mut world, "b", vlan(10), None),
        attach(&mut world, "c", vlan(20), None),
    );
    let all = Monitor {
        ports: None,
        received: true,
        sent: false,
    };
    let monitor = attach(&mut world, "monitor", VlanMode::default(), Some(all));
    world.fabric.tap(world.hosts[b].port, true).unwrap();
    let mac = world.hosts[a].mac;
    let frame = [&[0xff; 6], mac.as_bytes(), &[0x88, 0xb5], &[0; 50][..]].concat();
    world.inject(a, frame.clone());
    let mut seen = BTreeSet::new();
    let mut captured = 0;
    while let Some(effect) = world.fabric.next() {
        match effect {
            Effect::Frame {
                port,
                frame: seen_frame,
            } if seen_frame.bytes() == frame => drop(seen.insert(port)),
            Effect::Captured { port, .. } => captured += usize::from(port == world.hosts[b].port),
            _ => {}
        }
    }
    assert_eq!(
        seen,
        BTreeSet::from([world.hosts[b].port, world.hosts[monitor].port])
    );
    assert_eq!(captured, 1);
    let port = world.hosts[c].port;
    world.fabric.set_vlan(NOW, port, vlan(10)).unwrap();
    world.inject(a, frame.clone());
    let mut seen = BTreeSet::new();
    while let Some(effect) = world.fabric.next() {
        if let Effect::Frame { port, .. } = effect {
            seen.insert(port);
        }
    }
    assert!(seen.contains(&port));
}

#[test]
fn a_cable_that_is_pulled_carries_nothing_and_a_host_comes_back_with_its_address() {
    let mut world = World::new(1);
    let (a, b) = (world.leased("internal", "a"), world.leased("internal", "b"));
    let (before, port) = (world.hosts[b].address(), world.hosts[b].port);
    world.fabric.set_link(world.now, port, false).unwrap();
    let (sender, receiver) = (world.hosts[a].udp(4000), world.hosts[b].udp(5000));
    world.hosts[a].send_udp(sender, (before, 5000), b"x");
    assert!(!world.run(Duration::from_secs(5), |world| {
        world.hosts[b].receive_udp(receiver).is_some()
    }));
    world.fabric.set_link(world.now, port, true).unwrap();
    world.wait(Duration::from_secs(10));
    assert_eq!(world.hosts[b].address(), before);
    world.hosts[a].send_udp(sender, (before, 5000), b"x");
    assert!(world.run(Duration::from_secs(5), |world| {
        world.hosts[b].receive_udp(receiver).is_some()
    }));
    let state = world.fabric.network(world.now, &"internal".into()).unwrap();
    assert_eq!(state.network.interfaces[1].address, Some(before));
    let json = serde_json::to_value(&state).unwrap();
    assert_eq!(json["network"]["type"], "isolated");
    assert_eq!(json["network"]["interfaces"][0]["vmId"], "a");
}
