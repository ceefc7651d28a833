//! What is remembered of flows, and for how long.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use smoltcp::wire::IpProtocol;

use super::*;

const HOST: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

fn tuple(protocol: IpProtocol, source: [u8; 4], source_port: u16, port: u16) -> Tuple {
    Tuple {
        protocol: protocol.into(),
        source: Ipv4Addr::from(source),
        source_port,
        destination: Ipv4Addr::new(172, 16, 0, 9),
        destination_port: port,
    }
}

fn masqueraded(original: Tuple, owner: EthernetAddress) -> NewFlow {
    NewFlow {
        original,
        translated: Tuple {
            source: Ipv4Addr::new(172, 16, 0, 1),
            ..original
        },
        from: Zone::Network("management".into()),
        to: Zone::Network("dmz".into()),
        owner,
        generation: 0,
    }
}

fn flags(text: &str) -> Option<TcpFlags> {
    Some(TcpFlags {
        syn: text.contains('S'),
        ack: text.contains('A'),
        fin: text.contains('F'),
        rst: text.contains('R'),
    })
}

#[test]
fn two_hosts_with_one_port_get_two_behind_the_router() {
    let mut flows = Flows::new(FlowLimits::default());
    let mut random = fastrand::Rng::with_seed(1);
    let now = Instant::ZERO;
    let first = tuple(IpProtocol::Udp, [10, 0, 0, 5], 5000, 53);
    let second = tuple(IpProtocol::Udp, [10, 0, 0, 6], 5000, 53);
    let first = flows.begin(now, masqueraded(first, HOST), &mut random).unwrap();
    let second = flows.begin(now, masqueraded(second, HOST), &mut random).unwrap();
    let reply = |flows: &Flows, key| flows.get(key).unwrap().reply;
    assert_eq!(
        reply(&flows, first).destination_port,
        5000,
        "its own, where it is free"
    );
    assert!(PORTS.contains(&reply(&flows, second).destination_port));
    let answer = reply(&flows, second);
    assert_eq!(flows.find(now, &answer), Some((second, Direction::Reply)));
    let back = flows.get(second).unwrap().translated(Direction::Reply);
    assert_eq!(
        (back.destination, back.destination_port),
        (Ipv4Addr::new(10, 0, 0, 6), 5000)
    );
}

#[test]
fn a_connection_is_remembered_as_long_as_it_may_live() {
    let mut flows = Flows::new(FlowLimits::default());
    let mut random = fastrand::Rng::with_seed(1);
    let original = tuple(IpProtocol::Tcp, [10, 0, 0, 5], 5000, 80);
    let key = flows
        .begin(Instant::ZERO, masqueraded(original, HOST), &mut random)
        .unwrap();
    let mut pass = |seconds, direction, text, state| {
        flows.passed(Instant::from_secs(seconds), key, direction, flags(text), 60);
        assert_eq!(
            flows.get(key).unwrap().state,
            state,
            "after {text} at {seconds} s"
        );
    };
    pass(0, Direction::Original, "S", State::SynSent);
    pass(1, Direction::Reply, "SA", State::SynReceived);
    pass(2, Direction::Original, "A", State::Established);
    pass(3, Direction::Original, "FA", State::OriginalClosed);
    pass(4, Direction::Reply, "A", State::OriginalClosed);
    pass(5, Direction::Reply, "FA", State::Closed);
    assert!(flows.find(Instant::from_secs(14), &original).is_some());
    assert!(flows.find(Instant::from_secs(15), &original).is_none());
    assert!(flows.get(key).is_none());
}

#[test]
fn one_host_cannot_have_all_and_what_is_over_makes_room() {
    let limits = FlowLimits {
        flows: 100,
        of_host: 10,
    };
    let mut flows = Flows::new(limits);
    let mut random = fastrand::Rng::with_seed(1);
    let mut begin = |flows: &mut Flows, seconds, host: u8, port| {
        let original = tuple(IpProtocol::Udp, [10, 0, 0, host], port, 53);
        let owner = EthernetAddress([2, 0, 0, 0, 0, host]);
        flows
            .begin(
                Instant::from_secs(seconds),
                masqueraded(original, owner),
                &mut random,
            )
            .is_some()
    };
    let begun = (0..50)
        .filter(|port| begin(&mut flows, 1, 5, 1000 + port))
        .count();
    assert_eq!((begun, flows.refused), (10, 40));
    assert!(begin(&mut flows, 1, 6, 1000));
    assert!(begin(&mut flows, 100, 5, 2000));
}

proptest! {
    /// Whatever begins and ends: no tuple is two flows', and the count of each host is that of its flows.
    #[test]
    fn the_tables_agree(steps in prop::collection::vec((0_u8..4, 0_u16..4, 0_i64..40, any::<bool>()), 1..200)) {
        let mut flows = Flows::new(FlowLimits { flows: 10, of_host: 4 });
        let mut random = fastrand::Rng::with_seed(1);
        let mut now = 0;
        for (host, port, pause, ends) in steps {
            now += pause;
            let at = Instant::from_secs(now);
            let original = tuple(IpProtocol::Udp, [10, 0, 0, host], 2000 + port, 53);
            let owner = EthernetAddress([2, 0, 0, 0, 0, host]);
            match flows.find(at, &original) {
                Some((key, _)) if ends => flows.remove(key),
                Some((key, direction)) => flows.passed(at, key, direction, None, 1),
                None => drop(flows.begin(at, masqueraded(original, owner), &mut random)),
            }
            prop_assert!(flows.flows.len() <= 10);
            prop_assert_eq!(flows.tuples.len(), 2 * flows.flows.len());
            prop_assert_eq!(flows.by_owner.values().sum::<usize>(), flows.flows.len());
            prop_assert!(flows.by_owner.values().all(|count| (1..=4).contains(count)));
        }
    }
}
