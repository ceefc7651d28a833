//! Guests that flood, spoof and send garbage: nothing panics, nothing grows without bound, and others go on undisturbed.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use std::net::Ipv4Addr;

use proptest::prelude::*;
use qemuweb_network::config::{
    Action, AllowRule, FirewallRule, NetworkConfig, NetworkType, PortForward, Protocol, RouterConfig,
    default_networks,
};
use qemuweb_network::link::Impairments;
use qemuweb_network::log::{Event, MAX_ENTRIES, Pretence};
use qemuweb_network::offload::Offload;
use qemuweb_network::switch::PortId;
use qemuweb_network::{
    Attachment, Duration, Effect, Fabric, Frame, FromOutside, Instant, OutsideId, Refusal, Way,
};
use smoltcp::wire::{EthernetAddress, Ipv4Packet};
use world::World;

/// A fabric with all there is, and six ports of which some are guarded and some are not.
fn fabric() -> (Fabric, Vec<PortId>) {
    let mut fabric = Fabric::new(1);
    let mut networks = default_networks();
    networks[0].outside.push(AllowRule {
        host: "*".to_owned(),
        ports: Vec::new(),
    });
    networks[2].dns.as_mut().unwrap().upstream = true;
    networks.push(NetworkConfig::new(
        "lan",
        "LAN",
        NetworkType::Bridge,
        "10.5.0.0/24".parse().unwrap(),
    ));
    for network in networks {
        fabric.set_network(Instant::ZERO, network).unwrap();
    }
    let mut router = RouterConfig::default();
    router.nat.forwards.push(PortForward {
        protocol: Protocol::Udp,
        from: None,
        port: 53,
        address: Ipv4Addr::new(10, 0, 0, 101),
        to_port: 53,
    });
    let mut rule = FirewallRule::new(Action::Reject);
    rule.protocol = Some(Protocol::Icmp);
    router.firewall.rules.push(rule);
    fabric.set_router(Instant::ZERO, router).unwrap();
    let ports = ["management", "management", "internal", "dmz", "dmz", "lan"]
        .iter()
        .enumerate();
    let ports = ports.map(|(place, network)| {
        let mut attachment = Attachment::new(&format!("vm-{place}"), "vm", &(*network).into());
        attachment.guarded = place % 2 == 0;
        attachment.takes_offloads = place % 3 == 0;
        fabric.attach(Instant::ZERO, attachment).unwrap()
    });
    let ports: Vec<PortId> = ports.collect();
    let bad = Impairments {
        delay_us: 300,
        duplicate: 0.3,
        corrupt: 0.3,
        reorder: 0.3,
        ..Impairments::default()
    };
    fabric
        .set_impairments(Instant::ZERO, ports[1], Way::FromVm, bad)
        .unwrap();
    fabric.tap(ports[0], true).unwrap();
    (fabric, ports)
}

/// Addresses that mean something, and others.
fn address() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![
        Just([10, 0, 0, 1]),
        Just([10, 0, 0, 101]),
        Just([172, 16, 0, 1]),
        Just([172, 16, 0, 9]),
        Just([192, 168, 100, 1]),
        Just([255, 255, 255, 255]),
        Just([10, 0, 0, 255]),
        Just([93, 184, 216, 34]),
        Just([0, 0, 0, 0]),
        any::<[u8; 4]>(),
    ]
}

/// The content of a packet: ports and kinds that are looked at, and what may follow.
fn content() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let port = prop_oneof![
        Just(53_u16),
        Just(67),
        Just(68),
        Just(80),
        Just(61_000),
        any::<u16>()
    ];
    let rest = prop::collection::vec(any::<u8>(), 0..120);
    let udp = (port.clone(), port.clone(), rest.clone()).prop_map(|(from, to, rest)| {
        let len = (8 + rest.len()) as u16;
        let header = [from.to_be_bytes(), to.to_be_bytes(), len.to_be_bytes(), [0, 0]].concat();
        (17, [header, rest].concat())
    });
    let tcp = (port.clone(), port, any::<u8>(), rest.clone()).prop_map(|(from, to, flags, rest)| {
        let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        (6, [bytes, rest].concat())
    });
    let icmp = (0_u8..20, 0_u8..16, rest.clone())
        .prop_map(|(kind, code, rest)| (1, [vec![kind, code, 0, 0, 0, 7, 0, 1], rest].concat()));
    prop_oneof![udp, tcp, icmp, (any::<u8>(), rest)]
}

/// An IPv4 packet whose checksums hold, mostly.
fn ipv4() -> impl Strategy<Value = Vec<u8>> {
    (
        address(),
        address(),
        content(),
        any::<u16>(),
        prop_oneof![3 => Just(0_u16), 1 => any::<u16>()],
        0_u8..4,
    )
        .prop_map(
            |(source, destination, (protocol, content), ident, fragment, ttl)| {
                let len = 20 + content.len();
                let mut bytes = vec![0; 20];
                bytes[0] = 0x45;
                bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                bytes[4..6].copy_from_slice(&ident.to_be_bytes());
                bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
                bytes[8] = ttl * 60;
                bytes[9] = protocol;
                bytes[12..16].copy_from_slice(&source);
                bytes[16..20].copy_from_slice(&destination);
                bytes.extend(content);
                fill(&mut bytes);
                bytes
            },
        )
}

/// Fills in the checksums of an IPv4 packet.
fn fill(bytes: &mut [u8]) {
    let (source, destination) = {
        let mut ip = Ipv4Packet::new_unchecked(&mut *bytes);
        ip.fill_checksum();
        (ip.src_addr().into(), ip.dst_addr().into())
    };
    let protocol = bytes[9];
    let content = &mut bytes[20..];
    match protocol {
        1 if content.len() >= 8 => smoltcp::wire::Icmpv4Packet::new_unchecked(content).fill_checksum(),
        6 if content.len() >= 20 => {
            smoltcp::wire::TcpPacket::new_unchecked(content).fill_checksum(&source, &destination);
        }
        17 => {
            if let Ok(mut udp) = smoltcp::wire::UdpPacket::new_checked(content) {
                udp.fill_checksum(&source, &destination);
            }
        }
        _ => {}
    }
}

fn payload() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let arp =
        (1_u16..3, any::<[u8; 6]>(), address(), address()).prop_map(|(operation, mac, sender, target)| {
            let mut bytes = vec![0, 1, 8, 0, 6, 4];
            bytes.extend(operation.to_be_bytes());
            bytes.extend([&mac[..], &sender, &[0; 6], &target].concat());
            (0x0806, bytes)
        });
    let ipv6 = (
        any::<u8>(),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..80),
    )
        .prop_map(|(kind, hops, rest)| {
            let mut bytes = vec![0x60, 0, 0, 0];
            bytes.extend(((rest.len() + 1) as u16).to_be_bytes());
            bytes.extend([58, hops, 0xfe, 0x80]);
            bytes.extend([0; 13]);
            bytes.extend([7, 0xff, 2]);
            bytes.extend([0; 13]);
            bytes.extend([1, kind]);
            (0x86dd, [bytes, rest].concat())
        });
    prop_oneof![
        4 => ipv4().prop_map(|bytes| (0x0800, bytes)),
        1 => arp,
        1 => ipv6,
        1 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..100)),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Frame {
        port: usize,
        to: u8,
        payload: (u16, Vec<u8>),
        offload: Option<[u8; 10]>,
    },
    Raw {
        port: usize,
        bytes: Vec<u8>,
    },
    Wait(u32),
    Outside {
        id: u64,
        what: u8,
        len: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0_usize..6, 0_u8..4, payload(), prop::option::weighted(0.2, prop::array::uniform10(0_u8..60)))
            .prop_map(|(port, to, payload, offload)| Step::Frame { port, to, payload, offload }),
        1 => (0_usize..6, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(port, bytes)| Step::Raw { port, bytes }),
        2 => (0_u32..3_000_000).prop_map(Step::Wait),
        3 => (0_u64..6, 0_u8..6, any::<u16>()).prop_map(|(id, what, len)| Step::Outside { id, what, len }),
    ]
}

fn destination(fabric: &Fabric, port: PortId, to: u8) -> EthernetAddress {
    // The router's address is that of any network; frames to others' are flooded.
    let routers = fabric.router(Instant::ZERO).interfaces;
    match to {
        0 => EthernetAddress::BROADCAST,
        1 => fabric.mac(PortId(1 + port.0 % 6)).unwrap(),
        other => routers[usize::from(other) % routers.len()].mac,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever guests and carriers do, in whatever order: no panic, no endless loop, and an end of what follows from a frame.
    #[test]
    fn nothing_that_comes_does_harm(steps in prop::collection::vec(step(), 1..60)) {
        let (mut fabric, ports) = fabric();
        let mut now = Instant::ZERO;
        for step in steps {
            match step {
                Step::Frame { port, to, payload: (kind, payload), offload } => {
                    let port = ports[port];
                    let mut bytes = destination(&fabric, port, to).as_bytes().to_vec();
                    bytes.extend(fabric.mac(port).unwrap().as_bytes());
                    bytes.extend(kind.to_be_bytes());
                    bytes.extend(payload);
                    let offload = offload.and_then(|header| Offload::read(&header, bytes.len()).ok());
                    fabric.receive(now, port, Frame::with_offload(bytes, offload.unwrap_or_default()));
                }
                Step::Raw { port, bytes } => fabric.receive(now, ports[port], bytes.into()),
                Step::Wait(micros) => {
                    now += Duration::from_micros(micros.into());
                    fabric.poll(now);
                }
                Step::Outside { id, what, len } => {
                    let id = OutsideId(id);
                    fabric.outside(now, match what {
                        0 | 1 => FromOutside::Opened { id, window: len.into() },
                        2 => FromOutside::Data { id, bytes: vec![7; len.into()] },
                        3 => FromOutside::Consumed { id, bytes: len.into() },
                        4 => FromOutside::Finish { id },
                        _ => FromOutside::Refused { id, why: Refusal::Refused },
                    });
                }
            }
            let mut effects = 0;
            while let Some(effect) = fabric.next() {
                effects += 1;
                if let Effect::Frame { frame, .. } = effect {
                    prop_assert!(frame.bytes().len() >= 14);
                }
            }
            prop_assert!(effects < 4_000, "{effects} effects");
        }
        prop_assert!(fabric.log(0).count() <= MAX_ENTRIES);
    }
}

/// Two hosts that talk, and a third that does what `attack` says a thousand times: the two still reach each other.
fn undisturbed(guarded: bool, attack: impl Fn(&mut World, usize, u32)) -> World {
    let mut world = World::new(1);
    let (a, b) = (world.leased("management", "a"), world.leased("dmz", "b"));
    let mut attachment = Attachment::new("evil", "evil", &"management".into());
    attachment.guarded = guarded;
    let evil = world.attach(attachment, false);
    for round in 0..20 {
        for number in 0..200 {
            attack(&mut world, evil, round * 200 + number);
        }
        world.wait(Duration::from_millis(20));
        // Its own card takes what comes.
        world.hosts[evil].card.received.clear();
    }
    let address = world.hosts[b].address();
    let (sender, receiver) = (world.hosts[a].udp(4000), world.hosts[b].udp(5000));
    world.hosts[a].send_udp(sender, (address, 5000), b"hello");
    assert!(world.run(Duration::from_secs(3), |world| {
        world.hosts[b].receive_udp(receiver).is_some()
    }));
    let late = world.leased("management", "late");
    assert!(world.hosts[late].address().octets()[3] >= 100);
    world
}

fn ethernet(to: EthernetAddress, from: EthernetAddress, kind: u16, payload: &[u8]) -> Vec<u8> {
    [to.as_bytes(), from.as_bytes(), &kind.to_be_bytes(), payload].concat()
}

fn udp(from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    for word in [ports.0, ports.1, (8 + payload.len()) as u16, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(payload);
    let len = (bytes.len() as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&len);
    fill(&mut bytes);
    bytes
}

#[test]
fn a_storm_of_broadcasts_passes_others_by() {
    undisturbed(true, |world, evil, _| {
        let mac = world.hosts[evil].mac;
        world.inject(evil, ethernet(EthernetAddress::BROADCAST, mac, 0x88b5, &[0; 50]));
    });
}

#[test]
fn made_up_addresses_fill_no_table() {
    undisturbed(false, |world, evil, number| {
        let [.., high, low] = number.to_be_bytes();
        let mac = EthernetAddress([2, 9, 9, 9, high, low]);
        world.inject(evil, ethernet(EthernetAddress::BROADCAST, mac, 0x88b5, &[0; 50]));
    });
}

#[test]
fn connections_to_everywhere_leave_room_for_others() {
    undisturbed(true, |world, evil, number| {
        let mac = world.hosts[evil].mac;
        let router = world
            .fabric
            .router(world.now)
            .interfaces
            .into_iter()
            .find(|i| i.network.0 == "management")
            .unwrap();
        let to = Ipv4Addr::new(172, 16, 0, (2 + number % 250) as u8);
        let packet = udp(
            Ipv4Addr::new(10, 0, 0, 50),
            to,
            (1000 + (number % 60_000) as u16, 7),
            b"x",
        );
        world.inject(evil, ethernet(router.mac, mac, 0x0800, &packet));
    });
}

#[test]
fn who_pretends_to_be_the_router_or_another_is_not_heard() {
    let world = undisturbed(true, |world, evil, number| {
        let mac = world.hosts[evil].mac;
        let victim = world.hosts[0].address();
        let router = Ipv4Addr::new(10, 0, 0, 1);
        let claimed = if number % 2 == 0 { router } else { victim };
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 2];
        arp.extend(mac.as_bytes());
        arp.extend(claimed.octets());
        arp.extend([0xff; 6]);
        arp.extend(claimed.octets());
        world.inject(evil, ethernet(EthernetAddress::BROADCAST, mac, 0x0806, &arp));
        // A server that gives out itself for the router, and a router of IPv6.
        let offer = udp(
            Ipv4Addr::new(10, 0, 0, 66),
            Ipv4Addr::BROADCAST,
            (67, 68),
            &[2; 300],
        );
        world.inject(evil, ethernet(EthernetAddress::BROADCAST, mac, 0x0800, &offer));
        // Another's address on the wire.
        world.inject(
            evil,
            ethernet(EthernetAddress::BROADCAST, world.hosts[0].mac, 0x88b5, &[0; 50]),
        );
    });
    let seen = |pretence| {
        world
            .fabric
            .log(0)
            .any(|entry| matches!(entry.event, Event::Spoofed { pretended, .. } if pretended == pretence))
    };
    assert!(seen(Pretence::Address) && seen(Pretence::DhcpServer));
    let evil = world.hosts[2].port;
    assert_eq!(world.fabric.pretended(evil), 8000);
    let state = world.fabric.network(world.now, &"management".into()).unwrap();
    let (_, stats) = state.ports.iter().find(|(port, _)| *port == evil).unwrap();
    assert_eq!(stats.bad_source, 4000);
}

#[test]
fn who_asks_for_all_addresses_gets_a_few() {
    let world = undisturbed(true, |world, evil, number| {
        let mac = world.hosts[evil].mac;
        let mut message = vec![1, 1, 6, 0, 1, 2, 3, 4];
        message.resize(28, 0);
        // For itself under many names, and for others.
        let [.., high, low] = number.to_be_bytes();
        let asked = if number % 2 == 0 {
            mac
        } else {
            EthernetAddress([2, 8, 8, 8, high, low])
        };
        message.extend(asked.as_bytes());
        message.resize(236, 0);
        message.extend([99, 130, 83, 99, 53, 1, 1, 61, 3, 0, high, low, 255]);
        let packet = udp(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, (68, 67), &message);
        world.inject(evil, ethernet(EthernetAddress::BROADCAST, mac, 0x0800, &packet));
    });
    let state = world.fabric.network(world.now, &"management".into()).unwrap();
    assert!(state.leases.len() <= 2, "{:?}", state.leases);
}

#[test]
fn a_loop_of_two_ports_burns_out() {
    // A guest that bridges two of its interfaces in one network: each broadcast comes round for ever.
    let mut world = World::new(1);
    let (a, b) = (world.leased("internal", "a"), world.leased("internal", "b"));
    let ends: Vec<usize> = (0..2)
        .map(|interface| {
            let mut attachment = Attachment::new("bridge", "bridge", &"internal".into());
            attachment.guarded = false;
            attachment.interface = interface;
            world.attach(attachment, false)
        })
        .collect();
    let mac = world.hosts[a].mac;
    world.inject(a, ethernet(EthernetAddress::BROADCAST, mac, 0x88b5, &[0; 50]));
    let mut frames = 0;
    for _ in 0..100_000 {
        while let Some(effect) = world.fabric.next() {
            if let Effect::Frame { port, frame } = effect {
                let place = ends.iter().position(|end| world.hosts[*end].port == port);
                if let Some(place) = place {
                    frames += 1;
                    let other = world.hosts[ends[1 - place]].port;
                    world.fabric.receive(world.now, other, frame);
                }
            }
        }
    }
    assert!((1..40_000).contains(&frames), "{frames} frames at one moment");
    // The two others are still there for each other, though not at once: the bridge has their addresses wrong for a moment.
    world.wait(Duration::from_secs(1));
    let address = world.hosts[b].address();
    let (sender, receiver) = (world.hosts[a].udp(4000), world.hosts[b].udp(5000));
    world.hosts[a].send_udp(sender, (address, 5000), b"hello");
    assert!(world.run(Duration::from_secs(3), |world| {
        world.hosts[b].receive_udp(receiver).is_some()
    }));
}
