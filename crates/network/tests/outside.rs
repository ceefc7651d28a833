//! Connections that leave: what the outside is told, what guests see, and that nothing leaves unasked.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use std::net::Ipv4Addr;

use qemuweb_network::config::{AllowRule, NetworkConfig, PortRange, Protocol, default_networks};
use qemuweb_network::log::Event;
use qemuweb_network::{Duration, FromOutside, Host, OutsideId, Refusal, Resolved, ToOutside};
use smoltcp::socket::tcp::State;
use smoltcp::wire::IpAddress;
use world::World;

const SECOND: Duration = Duration::from_secs(1);
const SERVER: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);

fn networks(allow: &[(&str, &[u16])]) -> Vec<NetworkConfig> {
    let mut networks = default_networks();
    networks[0].outside = allow
        .iter()
        .map(|(host, ports)| AllowRule {
            host: (*host).to_owned(),
            ports: ports.iter().copied().map(PortRange::one).collect(),
        })
        .collect();
    networks
}

/// The next that the outside is told, within a second.
fn told(world: &mut World) -> Option<ToOutside> {
    world.run(SECOND, |world| !world.outside.is_empty());
    world.outside.pop_front()
}

fn opened(world: &mut World) -> (OutsideId, Host, u16, u32) {
    match told(world) {
        Some(ToOutside::Open {
            id,
            host,
            port,
            window,
            ..
        }) => (id, host, port, window),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_leaves_unless_it_is_allowed_and_the_guest_hears_at_once() {
    let mut world = World::with(1, networks(&[("192.0.2.1", &[443])]));
    let client = world.leased("management", "client");
    let before = world.now;
    for to in [(SERVER, 443), (Ipv4Addr::new(192, 0, 2, 1), 80)] {
        let errors = world.hosts[client].udp_errors(4000);
        let socket = world.hosts[client].udp(4000);
        world.hosts[client].send_udp(socket, to, b"x");
        let mut error = None;
        world.run(SECOND, |world| {
            error = world.hosts[client].receive_icmp(errors);
            error.is_some()
        });
        let (kind, code, from, _) = error.expect("an error");
        assert_eq!((kind, code, from), (3, 13, Ipv4Addr::new(10, 0, 0, 1)));
        world.hosts[client].sockets.remove(socket);
        world.hosts[client].sockets.remove(errors);
    }
    assert!(world.now - before < SECOND);
    assert!(world.outside.is_empty() && world.queries.is_empty());
    let refused = world
        .fabric
        .log(0)
        .filter(|entry| matches!(&entry.event, Event::Outside { allowed: false, .. }));
    assert_eq!(refused.count(), 2);
}

#[test]
fn a_connection_is_open_when_the_outside_says_so_and_is_to_the_name_that_was_asked_for() {
    let mut world = World::with(1, networks(&[("*.example.org", &[443])]));
    let client = world.leased("management", "client");
    let found = world.resolve(client, "www.example.org");
    let Some([IpAddress::Ipv4(address)]) = found.as_deref() else {
        panic!("{found:?}");
    };
    let socket = world.hosts[client].connect((*address, 443), 40_000);
    let (id, host, port, window) = opened(&mut world);
    assert_eq!((host, port), (Host::Name("www.example.org".to_owned()), 443));
    world.wait(SECOND * 3);
    assert_eq!(
        world.hosts[client].socket(socket).state(),
        State::SynSent,
        "nobody has said that it is open"
    );
    assert!(
        world.outside.is_empty(),
        "what the guest repeats is not asked twice"
    );
    world.tell(FromOutside::Opened { id, window: 5 });
    assert!(world.run(SECOND, |world| world.hosts[client].socket(socket).may_send()));
    // As much as is taken, and not a byte more.
    world.hosts[client]
        .socket(socket)
        .send_slice(b"hello, world")
        .unwrap();
    assert_eq!(
        told(&mut world),
        Some(ToOutside::Data {
            id,
            bytes: b"hello".to_vec()
        })
    );
    assert_eq!(told(&mut world), None);
    world.tell(FromOutside::Consumed { id, bytes: 100 });
    assert_eq!(
        told(&mut world),
        Some(ToOutside::Data {
            id,
            bytes: b", world".to_vec()
        })
    );
    world.tell(FromOutside::Data {
        id,
        bytes: vec![7; 1000],
    });
    assert!(
        world.run(SECOND, |world| world.hosts[client].socket(socket).recv_queue()
            == 1000)
    );
    // Both ends close.
    world.hosts[client].socket(socket).close();
    assert_eq!(told(&mut world), Some(ToOutside::Finish { id }));
    world.tell(FromOutside::Data {
        id,
        bytes: vec![8; 10],
    });
    world.tell(FromOutside::Finish { id });
    assert_eq!(told(&mut world), Some(ToOutside::Close { id, in_order: true }));
    assert_eq!(world.hosts[client].socket(socket).recv_queue(), 1010);
    assert!(window > 0);
    let logged = world.fabric.log(0).any(|entry| {
        matches!(&entry.event, Event::Outside { allowed: true, host, port: 443, .. } if host == "www.example.org")
    });
    assert!(logged);
}

#[test]
fn what_the_outside_refuses_the_guest_hears_in_its_own_words() {
    let mut world = World::with(1, networks(&[("*", &[])]));
    let client = world.leased("management", "client");
    // TCP: a reset, where nobody listens.
    let socket = world.hosts[client].connect((SERVER, 1), 40_000);
    let (id, host, ..) = opened(&mut world);
    assert_eq!(host, Host::Address(SERVER));
    world.tell(FromOutside::Refused {
        id,
        why: Refusal::Refused,
    });
    assert!(
        world.run(SECOND, |world| world.hosts[client].socket(socket).state()
            == State::Closed)
    );
    // UDP: errors with the right codes.
    for (why, code) in [
        (Refusal::Refused, 3),
        (Refusal::Unreachable, 1),
        (Refusal::Prohibited, 13),
    ] {
        let errors = world.hosts[client].udp_errors(4000);
        let socket = world.hosts[client].udp(4000);
        world.hosts[client].send_udp(socket, (SERVER, 9), b"x");
        let (id, ..) = opened(&mut world);
        world.tell(FromOutside::Refused { id, why });
        let mut error = None;
        world.run(SECOND, |world| {
            error = world.hosts[client].receive_icmp(errors);
            error.is_some()
        });
        assert_eq!(error.map(|(kind, code, ..)| (kind, code)), Some((3, code)));
        world.hosts[client].sockets.remove(socket);
        world.hosts[client].sockets.remove(errors);
    }
}

#[test]
fn datagrams_go_out_and_come_back_and_the_flow_ends_by_itself() {
    let mut world = World::with(1, networks(&[("*", &[])]));
    let client = world.leased("management", "client");
    let socket = world.hosts[client].udp(4000);
    for text in [b"one", b"two"] {
        world.hosts[client].send_udp(socket, (SERVER, 53), text);
    }
    let (id, _, port, _) = opened(&mut world);
    assert_eq!(port, 53);
    world.tell(FromOutside::Opened { id, window: 1000 });
    assert_eq!(
        told(&mut world),
        Some(ToOutside::Data {
            id,
            bytes: b"one".to_vec()
        })
    );
    assert_eq!(
        told(&mut world),
        Some(ToOutside::Data {
            id,
            bytes: b"two".to_vec()
        })
    );
    world.tell(FromOutside::Data {
        id,
        bytes: b"three".to_vec(),
    });
    let mut answer = None;
    world.run(SECOND, |world| {
        answer = world.hosts[client].receive_udp(socket);
        answer.is_some()
    });
    let (bytes, from) = answer.unwrap();
    assert_eq!(
        (bytes.as_slice(), from.addr, from.port),
        (b"three".as_slice(), IpAddress::Ipv4(SERVER), 53)
    );
    world.wait(SECOND * 61);
    assert_eq!(
        world.outside.pop_front(),
        Some(ToOutside::Close { id, in_order: true })
    );
}

#[test]
fn a_guests_port_is_opened_from_here() {
    let mut world = World::new(1);
    let server = world.leased("internal", "server");
    let socket = world.hosts[server].listen(80);
    let address = world.hosts[server].address();
    let network = "internal".into();
    let id = world.fabric.dial(world.now, &network, address, 80, 1000).unwrap();
    assert!(matches!(told(&mut world), Some(ToOutside::Opened { id: opened, .. }) if opened == id));
    world.tell(FromOutside::Data {
        id,
        bytes: b"GET /".to_vec(),
    });
    assert!(
        world.run(SECOND, |world| world.hosts[server].socket(socket).recv_queue()
            == 5)
    );
    world.hosts[server].socket(socket).send_slice(b"200").unwrap();
    assert_eq!(
        told(&mut world),
        Some(ToOutside::Data {
            id,
            bytes: b"200".to_vec()
        })
    );
    world.tell(FromOutside::Reset { id });
    assert!(world.run(SECOND, |world| !world.hosts[server].socket(socket).is_open()));
    // Nobody listens, and nobody is there.
    let refused = world.fabric.dial(world.now, &network, address, 81, 1000).unwrap();
    assert_eq!(
        told(&mut world),
        Some(ToOutside::Close {
            id: refused,
            in_order: false
        })
    );
    let nobody = Ipv4Addr::new(192, 168, 100, 99);
    let nowhere = world.fabric.dial(world.now, &network, nobody, 80, 1000).unwrap();
    world.run(Duration::from_secs(4), |world| !world.outside.is_empty());
    assert_eq!(
        world.outside.pop_front(),
        Some(ToOutside::Close {
            id: nowhere,
            in_order: false
        })
    );
    assert!(world.fabric.dial(world.now, &network, SERVER, 80, 1000).is_err());
}

#[test]
fn a_carrier_that_breaks_the_rules_loses_the_flow_and_nothing_else() {
    let mut world = World::with(1, networks(&[("*", &[])]));
    let client = world.leased("management", "client");
    let socket = world.hosts[client].connect((SERVER, 1), 40_000);
    let (id, _, _, window) = opened(&mut world);
    world.tell(FromOutside::Opened { id, window: 10 });
    world.tell(FromOutside::Data {
        id,
        bytes: vec![0; window as usize + 1],
    });
    assert_eq!(told(&mut world), Some(ToOutside::Close { id, in_order: false }));
    assert!(world.run(SECOND, |world| !world.hosts[client].socket(socket).is_open()));
    for said in [
        FromOutside::Data { id, bytes: vec![1] },
        FromOutside::Opened { id, window: 1 },
        FromOutside::Consumed {
            id: OutsideId(99),
            bytes: u32::MAX,
        },
    ] {
        world.tell(said);
    }
    assert_eq!(told(&mut world), None);
    // One that says nothing at all.
    let socket = world.hosts[client].connect((SERVER, 2), 40_001);
    let (id, ..) = opened(&mut world);
    world.run(SECOND * 40, |world| {
        !world.hosts[client].socket(socket).is_active() || !world.outside.is_empty()
    });
    assert_eq!(
        world.outside.pop_front(),
        Some(ToOutside::Close { id, in_order: false })
    );
}

#[test]
fn permission_that_is_taken_back_ends_what_it_allowed() {
    let mut world = World::with(1, networks(&[("*", &[])]));
    let client = world.leased("management", "client");
    let socket = world.hosts[client].connect((SERVER, 443), 40_000);
    let (id, ..) = opened(&mut world);
    world.tell(FromOutside::Opened { id, window: 1000 });
    assert!(world.run(SECOND, |world| world.hosts[client].socket(socket).may_send()));
    world
        .fabric
        .set_network(world.now, networks(&[]).swap_remove(0))
        .unwrap();
    assert_eq!(told(&mut world), Some(ToOutside::Close { id, in_order: false }));
    assert!(world.run(SECOND, |world| !world.hosts[client].socket(socket).is_open()));
}

#[test]
fn names_are_asked_of_the_upstream_where_a_person_has_set_one() {
    let mut networks = networks(&[("example.org", &[443])]);
    networks[0].dns.as_mut().unwrap().upstream = true;
    let mut world = World::with(1, networks);
    let client = world.leased("management", "client");
    let server = world.hosts[client].configured.as_ref().unwrap().dns_servers[0];
    let socket = world.hosts[client].udp(5353);
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(b"\x07Example\x03org\0\0\x01\0\x01");
    world.hosts[client].send_udp(socket, (server, 53), &query);
    assert!(world.run(SECOND, |world| !world.queries.is_empty()));
    let (id, asked) = world.queries.pop_front().unwrap();
    assert_eq!(asked, query);
    let mut answer = query.clone();
    (answer[0], answer[1], answer[2], answer[7]) = (0, 0, 0x81, 1);
    answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04");
    answer.extend(SERVER.octets());
    world
        .fabric
        .resolved(world.now, id, Resolved::Message(answer.clone()));
    let mut seen = None;
    world.run(SECOND, |world| {
        seen = world.hosts[client].receive_udp(socket);
        seen.is_some()
    });
    answer[..2].copy_from_slice(&[0x12, 0x34]);
    assert_eq!(seen.unwrap().0, answer);
    // The address stands for the name from now on, so the rule for the name lets it through.
    world.hosts[client].connect((SERVER, 443), 40_000);
    assert_eq!(opened(&mut world).1, Host::Name("example.org".to_owned()));
    // An upstream that does not answer.
    world.hosts[client].send_udp(socket, (server, 53), &query);
    let mut failed = None;
    world.run(SECOND * 6, |world| {
        failed = world.hosts[client].receive_udp(socket);
        failed.is_some()
    });
    assert_eq!(failed.unwrap().0[3] & 0xf, 2, "server failure");
}

#[test]
fn one_guest_cannot_take_all_flows() {
    let mut world = World::with(1, networks(&[("*", &[])]));
    let (greedy, other) = (
        world.leased("management", "greedy"),
        world.leased("management", "other"),
    );
    let socket = world.hosts[greedy].udp(4000);
    for port in 1..=400 {
        world.hosts[greedy].send_udp(socket, (SERVER, port), b"x");
        world.wait(Duration::from_millis(1));
    }
    let opened_by_greedy = world.outside.len();
    assert_eq!(opened_by_greedy, 128);
    world.outside.clear();
    let socket = world.hosts[other].udp(4000);
    world.hosts[other].send_udp(socket, (SERVER, 9), b"x");
    assert!(matches!(
        told(&mut world),
        Some(ToOutside::Open {
            protocol: Protocol::Udp,
            port: 9,
            ..
        })
    ));
}
