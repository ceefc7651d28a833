//! Networks of the seed's types, with hosts that have a TCP/IP stack of their own: what reaches what, and what is told.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use std::net::Ipv4Addr;

use qemuweb_network::config::{
    Action, FirewallRule, NetworkConfig, NetworkType, PortForward, PortRange, Protocol, Route, RouterConfig,
    Zone, default_networks,
};
use qemuweb_network::log::Event;
use qemuweb_network::{Attachment, Duration, Fabric, FabricError, Instant};
use smoltcp::socket::tcp::State;
use world::World;

const SECOND: Duration = Duration::from_secs(1);

/// Sends a datagram and tells what came: the sender that the other one saw, or the ICMP error.
fn datagram(
    world: &mut World,
    from: usize,
    to: usize,
    address: Ipv4Addr,
    port: u16,
) -> Result<Ipv4Addr, (u8, u8)> {
    let sender = world.hosts[from].udp(4000);
    let errors = world.hosts[from].udp_errors(4000);
    let receiver = world.hosts[to].udp(port);
    world.hosts[from].send_udp(sender, (address, port), b"hello");
    let mut seen = None;
    world.run(Duration::from_secs(10), |world| {
        if let Some((bytes, endpoint)) = world.hosts[to].receive_udp(receiver) {
            assert_eq!(bytes, b"hello");
            let smoltcp::wire::IpAddress::Ipv4(address) = endpoint.addr else {
                panic!("not IPv4")
            };
            seen = Some(Ok(address));
            world.hosts[to].send_udp(receiver, (address, endpoint.port), b"and back");
        }
        if let Some((kind, code, ..)) = world.hosts[from].receive_icmp(errors) {
            seen = Some(Err((kind, code)));
        }
        seen.is_some()
    });
    let seen = seen.expect("an answer or an error, at once");
    if seen.is_ok() {
        let mut back = None;
        world.run(SECOND, |world| {
            back = back.take().or_else(|| world.hosts[from].receive_udp(sender));
            back.is_some()
        });
        assert_eq!(back.expect("an answer").0, b"and back");
    }
    world.hosts[from].sockets.remove(sender);
    world.hosts[from].sockets.remove(errors);
    world.hosts[to].sockets.remove(receiver);
    seen
}

fn ping(world: &mut World, from: usize, to: Ipv4Addr, len: usize) -> Option<(u8, u8, Ipv4Addr)> {
    let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let handle = world.hosts[from].icmp(7);
    world.hosts[from].ping(handle, 7, to, &data);
    let mut seen = None;
    world.run(Duration::from_secs(5), |world| {
        if let Some((kind, code, sender, content)) = world.hosts[from].receive_icmp(handle) {
            assert!(kind != 0 || content == data, "the data comes back");
            seen = Some((kind, code, sender));
        }
        seen.is_some()
    });
    world.hosts[from].sockets.remove(handle);
    seen
}

fn connects(world: &mut World, from: usize, to: (Ipv4Addr, u16)) -> bool {
    let handle = world.hosts[from].connect(to, 45_000);
    let mut state = State::SynSent;
    world.run(Duration::from_secs(2), |world| {
        state = world.hosts[from].socket(handle).state();
        state != State::SynSent
    });
    world.hosts[from].socket(handle).abort();
    world.wait(Duration::from_millis(1));
    world.hosts[from].sockets.remove(handle);
    state == State::Established
}

#[test]
fn hosts_of_one_network_have_addresses_and_reach_each_other() {
    let mut world = World::new(1);
    let (a, b) = (world.leased("internal", "a"), world.leased("internal", "b"));
    let address = world.hosts[b].address();
    assert_ne!(world.hosts[a].address(), address);
    assert_eq!(ping(&mut world, a, address, 56), Some((0, 0, address)));
    let router = Ipv4Addr::new(192, 168, 100, 1);
    assert_eq!(ping(&mut world, a, router, 56), Some((0, 0, router)));
    assert_eq!(
        ping(&mut world, a, router, 9_000),
        Some((0, 0, router)),
        "in parts, both ways"
    );
    assert_eq!(
        datagram(&mut world, a, b, address, 5000),
        Ok(world.hosts[a].address())
    );
}

#[test]
fn what_reaches_what_is_of_the_networks_types() {
    let mut world = World::new(1);
    let nat = world.leased("management", "nat");
    let isolated = world.leased("internal", "isolated");
    let routed = world.leased("dmz", "routed");
    let address = |world: &World, host: usize| world.hosts[host].address();
    // With the router's address for its own.
    let to = address(&world, routed);
    assert_eq!(
        datagram(&mut world, nat, routed, to, 5000),
        Ok(Ipv4Addr::new(172, 16, 0, 1))
    );
    assert_eq!(ping(&mut world, nat, to, 3_000), Some((0, 0, to)));
    // Nobody gets in.
    let to = address(&world, nat);
    assert_eq!(datagram(&mut world, routed, nat, to, 5000), Err((3, 13)));
    let to = address(&world, isolated);
    assert_eq!(datagram(&mut world, routed, isolated, to, 5000), Err((3, 13)));
    assert_eq!(datagram(&mut world, nat, isolated, to, 5000), Err((3, 13)));
    // An isolated network has no router to send to; one that does so all the same is told.
    let gateway = Ipv4Addr::new(192, 168, 100, 1);
    let cidr = world.hosts[isolated].configured.as_ref().unwrap().address;
    world.hosts[isolated].set_address(cidr, Some(gateway));
    let to = address(&world, routed);
    assert_eq!(datagram(&mut world, isolated, routed, to, 5000), Err((3, 13)));
    // A routed one has no way to the outside.
    assert_eq!(
        datagram(&mut world, routed, nat, Ipv4Addr::new(8, 8, 8, 8), 5000),
        Err((3, 0))
    );
}

#[test]
fn tcp_goes_through_address_translation_and_is_refused_at_once_where_nobody_listens() {
    let mut world = World::new(1);
    let (client, server) = (
        world.leased("management", "client"),
        world.leased("dmz", "server"),
    );
    let address = world.hosts[server].address();
    world.hosts[server].listen(80);
    assert!(connects(&mut world, client, (address, 80)));
    let before = world.now;
    assert!(!connects(&mut world, client, (address, 81)));
    assert!(world.now - before < SECOND);
    let flows = world.fabric.router(world.now).flows;
    assert!(
        flows
            .iter()
            .any(|flow| flow.reply.destination == Ipv4Addr::new(172, 16, 0, 1)),
        "{flows:?}"
    );
}

#[test]
fn a_port_that_is_forwarded_reaches_its_host_from_elsewhere_and_from_beside_it() {
    let mut world = World::new(1);
    let (inside, beside) = (
        world.leased("management", "inside"),
        world.leased("management", "beside"),
    );
    let outside = world.leased("dmz", "outside");
    world.hosts[inside].listen(8080);
    let mut config = RouterConfig::default();
    config.nat.forwards.push(PortForward {
        protocol: Protocol::Tcp,
        from: None,
        port: 80,
        address: world.hosts[inside].address(),
        to_port: 8080,
    });
    world.fabric.set_router(world.now, config).unwrap();
    assert!(connects(&mut world, outside, (Ipv4Addr::new(172, 16, 0, 1), 80)));
    world.hosts[inside].listen(8080);
    assert!(connects(&mut world, beside, (Ipv4Addr::new(10, 0, 0, 1), 80)));
    world.hosts[inside].listen(8080);
    world
        .fabric
        .set_router(world.now, RouterConfig::default())
        .unwrap();
    assert!(!connects(&mut world, outside, (Ipv4Addr::new(172, 16, 0, 1), 80)));
}

#[test]
fn the_firewall_holds_and_lets_through_also_when_its_rules_change() {
    let mut world = World::new(1);
    let (client, server) = (
        world.leased("management", "client"),
        world.leased("dmz", "server"),
    );
    let address = world.hosts[server].address();
    let mut config = RouterConfig::default();
    let mut rule = FirewallRule::new(Action::Accept);
    rule.protocol = Some(Protocol::Tcp);
    rule.ports = vec![PortRange::one(22)];
    rule.to = Some(Zone::Network("dmz".into()));
    config.firewall.rules.push(rule);
    config.firewall.default_policy = Action::Reject;
    world.fabric.set_router(world.now, config.clone()).unwrap();
    let listening = world.hosts[server].listen(22);
    world.hosts[server].listen(80);
    let ssh = world.hosts[client].connect((address, 22), 40_000);
    assert!(world.run(SECOND, |world| world.hosts[client].socket(ssh).may_send()));
    assert!(!connects(&mut world, client, (address, 80)));
    assert_eq!(datagram(&mut world, client, server, address, 53), Err((3, 13)));
    let refused = world.fabric.log(0).filter(|entry| {
        matches!(&entry.event, Event::Firewall { action: Action::Reject, rule: None, packet }
            if [80, 53].contains(&packet.destination_port))
    });
    assert_eq!(refused.count(), 2);
    // The connection that is there goes on, and ends when it is not allowed any more.
    let send = |world: &mut World, client: usize| {
        world.hosts[client].socket(ssh).send_slice(b"x").unwrap();
        let mut seen = false;
        world.run(Duration::from_secs(3), |world| {
            seen = world.hosts[server].socket(listening).recv_queue() > 0;
            seen
        });
        let _ = world.hosts[server]
            .socket(listening)
            .recv(|bytes| (bytes.len(), ()));
        seen
    };
    assert!(send(&mut world, client));
    config.firewall.rules[0].enabled = false;
    world.fabric.set_router(world.now, config).unwrap();
    assert!(!send(&mut world, client));
    // Without any rule again, all passes.
    world
        .fabric
        .set_router(world.now, RouterConfig::default())
        .unwrap();
    assert!(connects(&mut world, client, (address, 80)));
    assert_eq!(world.fabric.router(world.now).counters.len(), 1);
}

#[test]
fn hops_end_and_nobody_is_waited_for_without_word() {
    let mut world = World::new(1);
    let client = world.leased("management", "client");
    let server = world.leased("dmz", "server");
    let address = world.hosts[server].address();
    let errors = world.hosts[client].udp_errors(4000);
    let sender = world.hosts[client].udp(4000);
    let socket = world.hosts[client]
        .sockets
        .get_mut::<smoltcp::socket::udp::Socket>(sender);
    socket.set_hop_limit(Some(1));
    world.hosts[client].send_udp(sender, (address, 5000), b"x");
    let mut error = None;
    world.run(SECOND, |world| {
        error = world.hosts[client].receive_icmp(errors);
        error.is_some()
    });
    let (kind, code, from, _) = error.expect("time exceeded");
    assert_eq!((kind, code, from), (11, 0, Ipv4Addr::new(10, 0, 0, 1)));
    // An address that nobody has: three questions, and the sender hears of it as it sent it.
    let socket = world.hosts[client]
        .sockets
        .get_mut::<smoltcp::socket::udp::Socket>(sender);
    socket.set_hop_limit(None);
    world.hosts[client].send_udp(sender, (Ipv4Addr::new(172, 16, 0, 77), 5000), b"x");
    let mut error = None;
    assert!(world.run(Duration::from_secs(4), |world| {
        error = world.hosts[client].receive_icmp(errors);
        error.is_some()
    }));
    let (kind, code, _, quoted) = error.unwrap();
    assert_eq!((kind, code), (3, 1));
    assert_eq!(
        quoted[12..16],
        world.hosts[client].address().octets(),
        "its own address, not the router's"
    );
}

#[test]
fn a_host_behind_another_router_is_reached_by_a_route() {
    let mut world = World::new(1);
    let client = world.leased("management", "client");
    // A router in a VM, with the address that the route names, which answers for what is behind it.
    let behind = Ipv4Addr::new(203, 0, 113, 9);
    let mut attachment = Attachment::new("router-vm", "router-vm", &"dmz".into());
    attachment.guarded = false;
    let other = world.attach(attachment, false);
    world.hosts[other].set_address(
        "172.16.0.50/24".parse().unwrap(),
        Some(Ipv4Addr::new(172, 16, 0, 1)),
    );
    world.hosts[other].interface.set_any_ip(true);
    let config = RouterConfig {
        routes: vec![Route {
            destination: "203.0.113.0/24".parse().unwrap(),
            gateway: Ipv4Addr::new(172, 16, 0, 50),
        }],
        ..RouterConfig::default()
    };
    world.fabric.set_router(world.now, config).unwrap();
    assert_eq!(ping(&mut world, client, behind, 56), Some((0, 0, behind)));
}

#[test]
fn names_of_vms_are_answered_and_foreign_ones_only_where_they_may_be_asked_for() {
    let mut networks = default_networks();
    networks[0]
        .outside
        .push(serde_json::from_str(r#"{"host":"*.example.org"}"#).unwrap());
    let mut world = World::with(1, networks);
    let client = world.leased("management", "client");
    let server = world.leased("dmz", "Web Server");
    let address = smoltcp::wire::IpAddress::Ipv4(world.hosts[server].address());
    let own = smoltcp::wire::IpAddress::Ipv4(world.hosts[client].address());
    assert_eq!(world.resolve(client, "client"), Some(vec![own]));
    assert_eq!(
        world.resolve(client, "client.management.internal"),
        Some(vec![own])
    );
    assert_eq!(
        world.resolve(client, "web-server.dmz.internal"),
        Some(vec![address])
    );
    assert_eq!(world.resolve(client, "nobody.dmz.internal"), None);
    assert_eq!(world.resolve(client, "example.com"), None);
    let made_up = world
        .resolve(client, "www.example.org")
        .expect("it may be asked for");
    assert!(
        matches!(made_up[0], smoltcp::wire::IpAddress::Ipv4(address) if address.octets()[..2] == [198, 18] || address.octets()[..2] == [198, 19])
    );
    assert_eq!(
        world.resolve(server, "www.example.org"),
        None,
        "a routed network has no outside"
    );
}

#[test]
fn ipv6_hosts_give_themselves_addresses_and_reach_each_other() {
    let mut world = World::new(1);
    let (a, b) = (
        world.add("internal", "a", false),
        world.add("internal", "b", false),
    );
    let global = |world: &World, host: usize| {
        let mut addresses = world.hosts[host].interface.ip_addrs().iter().copied();
        addresses.find(|cidr| matches!(cidr.address(), smoltcp::wire::IpAddress::Ipv6(address) if address.segments()[0] >> 8 == 0xfd))
    };
    assert!(
        world.run(Duration::from_secs(20), |world| global(world, a).is_some()
            && global(world, b).is_some())
    );
    let smoltcp::wire::IpAddress::Ipv6(to) = global(&world, b).unwrap().address() else {
        unreachable!()
    };
    let port = 9000;
    let (sender, receiver) = (world.hosts[a].udp(4000), world.hosts[b].udp(port));
    let socket = world.hosts[a]
        .sockets
        .get_mut::<smoltcp::socket::udp::Socket>(sender);
    socket.send_slice(b"six", (to, port)).unwrap();
    assert!(world.run(Duration::from_secs(5), |world| {
        world.hosts[b].receive_udp(receiver).is_some()
    }));
}

#[test]
fn networks_are_made_edited_and_deleted_while_hosts_are_attached() {
    let mut world = World::new(1);
    let (a, b) = (world.leased("management", "a"), world.leased("management", "b"));
    let mut edited = default_networks().swap_remove(0);
    edited.cidr = "10.7.0.0/24".parse().unwrap();
    world.fabric.set_network(world.now, edited).unwrap();
    // Hosts hear that their address is wrong when they renew it.
    let is_moved = |world: &mut World, host: usize| {
        world.hosts[host]
            .interface
            .ipv4_addr()
            .is_some_and(|address| address.octets()[1] == 7)
    };
    assert!(world.run(Duration::from_secs(4000), |world| is_moved(world, a)
        && is_moved(world, b)));
    let address = world.hosts[b].address();
    assert_eq!(ping(&mut world, a, address, 56), Some((0, 0, address)));
    // A network of their own, then none.
    let lab = NetworkConfig::new("lab", "Lab", NetworkType::Routed, "10.8.0.0/24".parse().unwrap());
    world.fabric.set_network(world.now, lab).unwrap();
    let port = world.hosts[b].port;
    world.fabric.move_port(world.now, port, &"lab".into()).unwrap();
    assert!(world.run(Duration::from_secs(60), |world| {
        world.hosts[b]
            .interface
            .ipv4_addr()
            .is_some_and(|address| address.octets()[1] == 8)
    }));
    let address = world.hosts[b].address();
    assert_eq!(ping(&mut world, a, address, 56), Some((0, 0, address)));
    world.fabric.remove_network(world.now, &"lab".into()).unwrap();
    assert_eq!(datagram(&mut world, a, b, address, 5000), Err((3, 0)));
    assert_eq!(world.fabric.network(world.now, &"lab".into()), None);
    // And back.
    world
        .fabric
        .move_port(world.now, port, &"management".into())
        .unwrap();
    assert!(world.run(Duration::from_secs(60), |world| is_moved(world, b)));
}

#[test]
fn a_bridge_is_a_switch_alone() {
    let bridge = NetworkConfig::new("lan", "LAN", NetworkType::Bridge, "10.9.0.0/24".parse().unwrap());
    let mut world = World::with(1, vec![bridge]);
    let (a, b) = (world.add("lan", "a", false), world.add("lan", "b", false));
    world.hosts[a].set_address("10.9.0.1/24".parse().unwrap(), None);
    world.hosts[b].set_address("10.9.0.2/24".parse().unwrap(), None);
    let address = world.hosts[b].address();
    assert_eq!(ping(&mut world, a, address, 56), Some((0, 0, address)));
    assert!(world.fabric.router(world.now).interfaces.is_empty());
}

#[test]
fn what_cannot_be_is_refused_with_reasons() {
    let mut fabric = Fabric::new(1);
    let now = Instant::ZERO;
    for network in default_networks() {
        fabric.set_network(now, network).unwrap();
    }
    let overlapping = NetworkConfig::new(
        "other",
        "Other",
        NetworkType::Routed,
        "10.0.0.0/16".parse().unwrap(),
    );
    let error = fabric.set_network(now, overlapping).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the network “other” (10.0.0.0/16) has addresses of “management” (10.0.0.0/24): choose others"
    );
    let attachment = Attachment::new("vm", "vm", &"dmz".into());
    fabric.attach(now, attachment.clone()).unwrap();
    assert!(matches!(
        fabric.attach(now, attachment),
        Err(FabricError::TakenAddress { .. })
    ));
    let nowhere = Attachment::new("vm", "vm", &"nowhere".into());
    assert_eq!(
        fabric.attach(now, nowhere).unwrap_err().to_string(),
        "there is no network “nowhere”"
    );
}
