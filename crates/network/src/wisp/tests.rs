//! What is said to a relay, and what becomes of what it says.

use proptest::prelude::*;
use smoltcp::wire::EthernetAddress;

use super::*;
use crate::gateway::Host;

fn open(id: u64, protocol: Protocol) -> ToOutside {
    ToOutside::Open {
        id: OutsideId(id),
        network: "management".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
        protocol,
        host: Host::Name("example.org".to_owned()),
        port: 443,
        window: 10,
    }
}

fn effects(wisp: &mut Wisp) -> Vec<WispEffect> {
    std::iter::from_fn(|| wisp.next()).collect()
}

fn sent(number: u32, packet: Packet) -> WispEffect {
    WispEffect::Send(packet.write(number))
}

fn connect(kind: StreamKind) -> Packet {
    Packet::Connect {
        kind,
        port: 443,
        host: "example.org".to_owned(),
    }
}

/// A relay of version 1 with room for two packets, and a flow through it.
fn carried() -> Wisp {
    let mut wisp = Wisp::new(false);
    wisp.message(&Packet::Continue(2).write(0));
    wisp.outside(open(7, Protocol::Tcp));
    effects(&mut wisp);
    wisp
}

const ID: OutsideId = OutsideId(7);

#[test]
fn bytes_are_those_of_the_protocol() {
    assert_eq!(
        connect(StreamKind::Tcp).write(0x0102),
        b"\x01\x02\x01\0\0\x01\xbb\x01example.org"
    );
    assert_eq!(Packet::Continue(128).write(0), b"\x03\0\0\0\0\x80\0\0\0");
    let info = Packet::Info {
        major: 2,
        extensions: vec![1],
    };
    assert_eq!(info.write(0), b"\x05\0\0\0\0\x02\0\x01\0\0\0\0");
}

#[test]
fn both_versions_greet_and_flows_wait_for_that() {
    let mut first = Wisp::new(false);
    first.outside(open(7, Protocol::Udp));
    assert_eq!(effects(&mut first), []);
    first.message(&Packet::Continue(2).write(0));
    let opened = WispEffect::Say(FromOutside::Opened {
        id: ID,
        window: WINDOW,
    });
    assert_eq!(effects(&mut first), [sent(1, connect(StreamKind::Udp)), opened]);
    // In either order; and without UDP, if the relay has none.
    let info = |extensions: &[u8]| Packet::Info {
        major: 2,
        extensions: extensions.to_vec(),
    };
    for order in [[0, 1], [1, 0]] {
        let mut second = Wisp::new(true);
        for place in order {
            assert_eq!(effects(&mut second), []);
            second.message(&[info(&[4]), Packet::Continue(2)][place].write(0));
        }
        assert_eq!(effects(&mut second), [sent(0, info(&[1]))]);
        second.outside(open(7, Protocol::Udp));
        let why = Refusal::Prohibited;
        assert_eq!(
            effects(&mut second),
            [WispEffect::Say(FromOutside::Refused { id: ID, why })]
        );
    }
    let mut locked = Wisp::new(true);
    locked.outside(open(7, Protocol::Tcp));
    locked.message(&info(&[1, 2]).write(0));
    let why = Refusal::Unreachable;
    assert_eq!(
        effects(&mut locked),
        [
            WispEffect::Say(FromOutside::Refused { id: ID, why }),
            WispEffect::Fail(WispError::Password)
        ]
    );
}

#[test]
fn a_relay_is_sent_as_many_packets_as_it_takes() {
    let mut wisp = carried();
    for byte in 0..4 {
        wisp.outside(ToOutside::Data {
            id: ID,
            bytes: vec![byte],
        });
    }
    let taken = |byte| {
        [
            sent(1, Packet::Data(vec![byte])),
            WispEffect::Say(FromOutside::Consumed { id: ID, bytes: 1 }),
        ]
    };
    assert_eq!(effects(&mut wisp), [taken(0), taken(1)].concat());
    wisp.message(&Packet::Continue(1).write(1));
    assert_eq!(effects(&mut wisp), taken(2));
}

#[test]
fn a_guest_is_given_what_it_takes_and_its_end_behind_all_of_it() {
    let mut wisp = carried();
    wisp.message(&Packet::Data((0..25).collect()).write(1));
    wisp.message(&Packet::Close(CloseReason::VOLUNTARY).write(1));
    let data = |range: std::ops::Range<u8>| {
        WispEffect::Say(FromOutside::Data {
            id: ID,
            bytes: range.collect(),
        })
    };
    assert_eq!(effects(&mut wisp), [data(0..10)]);
    wisp.outside(ToOutside::Window { id: ID, bytes: 100 });
    assert_eq!(
        effects(&mut wisp),
        [data(10..25), WispEffect::Say(FromOutside::Finish { id: ID })]
    );
    wisp.outside(ToOutside::Close {
        id: ID,
        in_order: true,
    });
    assert_eq!(effects(&mut wisp), [], "it is closed on both sides");
    assert_eq!((wisp.streams.len(), wisp.waiting), (0, 0));
}

#[test]
fn refusals_and_ends_reach_the_other_side() {
    let mut wisp = carried();
    wisp.message(&Packet::Close(CloseReason(0x44)).write(1));
    assert_eq!(
        effects(&mut wisp),
        [WispEffect::Say(FromOutside::Reset { id: ID })]
    );
    let mut wisp = carried();
    wisp.outside(ToOutside::Close {
        id: ID,
        in_order: false,
    });
    assert_eq!(
        effects(&mut wisp),
        [sent(1, Packet::Close(CloseReason::VOLUNTARY))]
    );
    let mut wisp = carried();
    wisp.closed();
    wisp.outside(open(8, Protocol::Tcp));
    let refused = FromOutside::Refused {
        id: OutsideId(8),
        why: Refusal::Unreachable,
    };
    assert_eq!(
        effects(&mut wisp),
        [
            WispEffect::Say(FromOutside::Reset { id: ID }),
            WispEffect::Say(refused)
        ]
    );
}

#[test]
fn a_relay_that_does_not_stop_loses_the_flow() {
    let mut wisp = carried();
    for _ in 0..20 {
        wisp.message(&Packet::Data(vec![0; 1 << 20]).write(1));
        assert!(wisp.waiting <= MAX_WAITING);
    }
    let effects = effects(&mut wisp);
    assert!(effects.contains(&sent(1, Packet::Close(CloseReason::CLIENT_ERROR))));
    assert_eq!(
        effects.last(),
        Some(&WispEffect::Say(FromOutside::Reset { id: ID }))
    );
}

proptest! {
    /// Whatever a relay says: no panic, and nothing for a flow that is over.
    #[test]
    fn made_up_messages_do_no_harm(messages in prop::collection::vec(
        (0_u8..7, 0_u32..3, prop::collection::vec(any::<u8>(), 0..40)), 0..40,
    ), v2: bool) {
        let mut wisp = Wisp::new(v2);
        wisp.outside(open(7, Protocol::Tcp));
        wisp.outside(open(8, Protocol::Udp));
        let mut over = std::collections::BTreeSet::new();
        for (kind, stream, rest) in messages {
            wisp.message(&[&[kind], &stream.to_le_bytes()[..], &rest].concat());
            for effect in effects(&mut wisp) {
                if let WispEffect::Say(said) = effect {
                    let (id, ends) = match said {
                        FromOutside::Opened { id, .. } | FromOutside::Data { id, .. } | FromOutside::Consumed { id, .. } => (id, false),
                        FromOutside::Finish { id } => (id, false),
                        FromOutside::Refused { id, .. } | FromOutside::Reset { id } => (id, true),
                    };
                    prop_assert!(!over.contains(&id));
                    if ends {
                        over.insert(id);
                    }
                }
            }
        }
    }

    #[test]
    fn packets_are_read_as_they_were_written(stream: u32, port: u16, host in "[a-z.]{0,40}", data in prop::collection::vec(any::<u8>(), 0..60), count: u32) {
        let packets = [
            Packet::Connect { kind: StreamKind::Udp, port, host },
            Packet::Data(data.clone()),
            Packet::Continue(count),
            Packet::Close(CloseReason(port as u8)),
            Packet::Info { major: 2, extensions: data },
        ];
        for packet in packets {
            prop_assert_eq!(Packet::read(&packet.write(stream)), Ok((stream, packet)));
        }
    }
}
