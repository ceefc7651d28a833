//! What a switch does with frames, honest and hostile ones.

use proptest::prelude::*;

use super::*;
use crate::frame;

const A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xa]);
const B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xb]);
const C: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xc]);

fn at(seconds: i64) -> Instant {
    Instant::from_secs(seconds)
}

fn vlan(vid: u16) -> VlanId {
    VlanId::new(vid).unwrap()
}

fn access(vid: u16) -> PortConfig {
    PortConfig {
        vlan: VlanMode::Access { vlan: vlan(vid) },
        ..PortConfig::default()
    }
}

fn trunk(native: Option<u16>, allowed: &[u16]) -> PortConfig {
    let vlan = VlanMode::Trunk {
        native: native.map(vlan),
        allowed: Some(allowed.iter().map(|vid| vlan(*vid)).collect()),
    };
    PortConfig {
        vlan,
        ..PortConfig::default()
    }
}

fn switch(ports: &[PortConfig]) -> Switch {
    let mut switch = Switch::new(SwitchLimits::default());
    for (number, config) in ports.iter().enumerate() {
        switch.set_port(PortId(number as u32), config.clone());
    }
    switch
}

fn frame(to: EthernetAddress, from: EthernetAddress) -> Frame {
    frame::build(to, from, frame::IPV4, &[7; 46])
}

fn tagged(to: EthernetAddress, from: EthernetAddress, control: u16) -> Frame {
    let mut payload = control.to_be_bytes().to_vec();
    payload.extend([0x08, 0x00]);
    payload.extend([7; 46]);
    frame::build(to, from, frame::VLAN, &payload)
}

fn pass(switch: &mut Switch, now: Instant, from: u32, frame: &Frame) -> Vec<(u32, Frame)> {
    let mut out = Vec::new();
    switch.receive(now, PortId(from), frame.clone(), &mut out);
    out.into_iter().map(|(port, frame)| (port.0, frame)).collect()
}

fn ports(out: &[(u32, Frame)]) -> Vec<u32> {
    out.iter().map(|(port, _)| *port).collect()
}

#[test]
fn it_floods_until_it_knows_and_again_when_that_has_aged() {
    let mut switch = switch(&vec![PortConfig::default(); 3]);
    assert_eq!(ports(&pass(&mut switch, at(0), 0, &frame(B, A))), [1, 2]);
    assert_eq!(ports(&pass(&mut switch, at(1), 1, &frame(A, B))), [0]);
    assert_eq!(ports(&pass(&mut switch, at(2), 0, &frame(B, A))), [1]);
    assert_eq!(ports(&pass(&mut switch, at(302), 0, &frame(B, A))), [1, 2]);
    let known: Vec<_> = switch.addresses(at(302)).collect();
    assert_eq!(known, [(VlanId::DEFAULT, A, PortId(0))]);
}

#[test]
fn a_host_that_moves_is_found_at_its_new_place() {
    let mut switch = switch(&vec![PortConfig::default(); 3]);
    pass(&mut switch, at(0), 0, &frame(EthernetAddress::BROADCAST, A));
    pass(&mut switch, at(1), 2, &frame(EthernetAddress::BROADCAST, A));
    assert_eq!(ports(&pass(&mut switch, at(2), 1, &frame(A, B))), [2]);
    // Whoever is behind the port that is asked for needs no help of ours.
    assert!(pass(&mut switch, at(3), 2, &frame(A, C)).is_empty());
    switch.forget(PortId(2));
    assert_eq!(ports(&pass(&mut switch, at(4), 1, &frame(A, B))), [0, 2]);
}

#[test]
fn broadcasts_and_multicasts_go_to_all_but_those_of_the_link_itself() {
    let mut switch = switch(&vec![PortConfig::default(); 3]);
    let group = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(
        ports(&pass(
            &mut switch,
            at(0),
            0,
            &frame(EthernetAddress::BROADCAST, A)
        )),
        [1, 2]
    );
    assert_eq!(ports(&pass(&mut switch, at(0), 0, &frame(group, A))), [1, 2]);
    let spanning_tree = EthernetAddress([0x01, 0x80, 0xc2, 0, 0, 0]);
    assert!(pass(&mut switch, at(0), 0, &frame(spanning_tree, A)).is_empty());
    let stats = switch.stats(PortId(0)).unwrap();
    assert_eq!((stats.broadcasts, stats.multicasts, stats.reserved), (1, 2, 1));
    assert_eq!(
        switch.stats(PortId(1)).unwrap().sent,
        Count {
            packets: 2,
            bytes: 120
        }
    );
}

#[test]
fn vlans_are_kept_apart_and_tags_come_and_go() {
    let mut switch = switch(&[access(10), access(20), access(10), trunk(Some(20), &[10, 30])]);
    let out = pass(&mut switch, at(0), 0, &frame(B, A));
    assert_eq!(ports(&out), [2, 3]);
    assert_eq!(out[0].1, frame(B, A));
    assert_eq!(out[1].1, tagged(B, A, 10));
    // Of the trunk's own VLAN, without a tag.
    let out = pass(&mut switch, at(0), 1, &frame(B, A));
    assert_eq!(out, [(3, frame(B, A))]);
    // The same address in another VLAN is another host.
    let out = pass(&mut switch, at(0), 3, &tagged(A, C, 0xa00a));
    assert_eq!(out, [(0, frame(A, C))]);
    // Tags that a port may not have, and a tag with a priority only.
    assert!(pass(&mut switch, at(0), 3, &tagged(A, C, 40)).is_empty());
    assert!(pass(&mut switch, at(0), 0, &tagged(B, A, 20)).is_empty());
    assert_eq!(ports(&pass(&mut switch, at(0), 0, &tagged(B, A, 0x6000))), [2, 3]);
    assert_eq!(switch.stats(PortId(0)).unwrap().bad_vlan, 1);
}

#[test]
fn a_second_tag_opens_no_way_into_another_vlan() {
    let mut switch = switch(&[trunk(Some(1), &[1]), trunk(Some(1), &[1, 20])]);
    let mut payload = vec![0, 1, 0x81, 0x00, 0, 20, 0x08, 0x00];
    payload.extend([7; 46]);
    let double = frame::build(B, A, frame::VLAN, &payload);
    assert!(pass(&mut switch, at(0), 0, &double).is_empty());
    assert_eq!(switch.stats(PortId(1)).unwrap().bad_vlan, 1);
}

#[test]
fn nobody_speaks_for_another() {
    let guarded = PortConfig {
        source: Some(A),
        ..PortConfig::default()
    };
    let mut switch = switch(&[guarded, PortConfig::default(), PortConfig::default()]);
    switch.pin(C, PortId(2));
    assert!(pass(&mut switch, at(0), 0, &frame(B, B)).is_empty());
    assert!(
        pass(&mut switch, at(0), 1, &frame(B, C)).is_empty(),
        "C is elsewhere, for good"
    );
    assert!(pass(&mut switch, at(0), 1, &frame(A, EthernetAddress::BROADCAST)).is_empty());
    assert_eq!(ports(&pass(&mut switch, at(0), 1, &frame(C, B))), [2]);
    assert_eq!(switch.stats(PortId(0)).unwrap().bad_source, 1);
    assert_eq!(switch.stats(PortId(1)).unwrap().bad_source, 2);
}

#[test]
fn a_flood_of_addresses_costs_its_own_port_only() {
    let limits = SwitchLimits {
        addresses: 100,
        addresses_of_port: 10,
        ..SwitchLimits::default()
    };
    let mut switch = Switch::new(limits);
    for port in 0..3 {
        switch.set_port(PortId(port), PortConfig::default());
    }
    for number in 0..1000_u16 {
        let [high, low] = number.to_be_bytes();
        let made_up = EthernetAddress([2, 1, 0, 0, high, low]);
        pass(&mut switch, at(0), 0, &frame(B, made_up));
    }
    assert_eq!(switch.addresses(at(0)).count(), 10);
    pass(&mut switch, at(1), 1, &frame(C, B));
    assert_eq!(ports(&pass(&mut switch, at(1), 2, &frame(B, C))), [1]);
    // When those have aged, the port learns again.
    pass(&mut switch, at(400), 0, &frame(B, A));
    assert_eq!(ports(&pass(&mut switch, at(400), 2, &frame(A, C))), [0]);
}

#[test]
fn a_storm_is_cut_and_what_is_not_flooded_passes() {
    let limits = SwitchLimits {
        flooded: 100,
        flooded_at_once: 10,
        ..SwitchLimits::default()
    };
    let mut switch = Switch::new(limits);
    for port in 0..2 {
        switch.set_port(PortId(port), PortConfig::default());
    }
    pass(&mut switch, at(0), 1, &frame(A, B));
    let passed =
        (0..1000).filter(|_| !pass(&mut switch, at(0), 0, &frame(EthernetAddress::BROADCAST, A)).is_empty());
    assert_eq!(passed.count(), 10);
    assert_eq!(ports(&pass(&mut switch, at(0), 0, &frame(B, A))), [1]);
    assert_eq!(
        ports(&pass(
            &mut switch,
            at(1),
            0,
            &frame(EthernetAddress::BROADCAST, A)
        )),
        [1]
    );
    assert_eq!(switch.stats(PortId(0)).unwrap().storm, 990);
}

#[test]
fn a_monitor_sees_all_and_takes_no_part() {
    let monitor = |ports: Option<&[u32]>, received, sent| PortConfig {
        monitor: Some(Monitor {
            ports: ports.map(|ports| ports.iter().copied().map(PortId).collect()),
            received,
            sent,
        }),
        ..PortConfig::default()
    };
    let mut switch = switch(&[
        PortConfig::default(),
        PortConfig::default(),
        monitor(None, true, false),
        monitor(Some(&[1]), false, true),
    ]);
    assert_eq!(ports(&pass(&mut switch, at(0), 0, &frame(B, A))), [2, 3, 1]);
    assert_eq!(ports(&pass(&mut switch, at(0), 1, &frame(A, B))), [2, 0]);
    assert!(pass(&mut switch, at(0), 2, &frame(A, C)).is_empty());
    assert_eq!(switch.stats(PortId(2)).unwrap().from_monitor, 1);
    switch.remove_port(PortId(2));
    assert_eq!(ports(&pass(&mut switch, at(0), 1, &frame(A, B))), [0]);
}

fn configs() -> impl Strategy<Value = Vec<PortConfig>> {
    let vid = 1_u16..4;
    let config = prop_oneof![
        vid.clone().prop_map(access),
        (prop::option::of(vid.clone()), prop::collection::vec(vid, 0..4))
            .prop_map(|(native, allowed)| trunk(native, &allowed)),
    ];
    prop::collection::vec(config, 2..6)
}

/// Frames that look like some, of few hosts in few VLANs, cut anywhere.
fn frames() -> impl Strategy<Value = (u32, Vec<u8>)> {
    let address = prop_oneof![Just(A), Just(B), Just(C), Just(EthernetAddress::BROADCAST)];
    let tags = prop::collection::vec(0_u16..5, 0..3);
    let parts = (0_u32..6, address.clone(), address, tags, 0_usize..80);
    let shaped = parts.prop_map(|(port, to, from, tags, len)| {
        let mut bytes = [to.as_bytes(), from.as_bytes()].concat();
        for vid in tags {
            bytes.extend([0x81, 0x00]);
            bytes.extend(vid.to_be_bytes());
        }
        bytes.extend([0x08, 0x00]);
        bytes.resize(80, 0);
        bytes.truncate(len);
        (port, bytes)
    });
    prop_oneof![4 => shaped, 1 => (0_u32..6, prop::collection::vec(any::<u8>(), 0..100))]
}

proptest! {
    /// Whatever comes, nothing goes back to where it came from, nothing twice to one port, and nothing into another VLAN:
    /// the VLAN that it has where it leaves is the one that it had where it came in.
    #[test]
    fn no_frame_goes_where_it_may_not(configs in configs(), sent in prop::collection::vec(frames(), 1..60)) {
        let mut switch = switch(&configs);
        for (from, bytes) in sent {
            let frame = Frame::from(bytes);
            let out = pass(&mut switch, at(0), from, &frame);
            let places: BTreeSet<u32> = ports(&out).into_iter().collect();
            prop_assert_eq!(places.len(), out.len());
            prop_assert!(!places.contains(&from));
            for (to, left) in out {
                let entered = configs[from as usize].vlan.enter(&Header::read(frame.bytes()).unwrap());
                let would_enter = configs[to as usize].vlan.enter(&Header::read(left.bytes()).unwrap());
                prop_assert!(entered.is_some());
                prop_assert_eq!(entered, would_enter);
            }
        }
    }
}
