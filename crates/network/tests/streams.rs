//! A megabyte through the gateway and back, over links that are good, bad and slow.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use qemuweb_network::config::{AllowRule, default_networks};
use qemuweb_network::link::{Impairments, Rate};
use qemuweb_network::{Duration, FromOutside, OutsideId, ToOutside, Way};
use world::World;

const SECOND: Duration = Duration::from_secs(1);
const SERVER: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);

/// A carrier that sends back what it gets, with windows both ways.
#[derive(Default)]
struct Echo {
    flows: BTreeMap<OutsideId, Flow>,
    received: usize,
    largest: usize,
}

#[derive(Default)]
struct Flow {
    waiting: Vec<u8>,
    room: usize,
    finished: bool,
}

impl Echo {
    fn take(&mut self, world: &mut World) {
        while let Some(told) = world.outside.pop_front() {
            match told {
                ToOutside::Open { id, window, .. } => {
                    let flow = Flow {
                        room: window as usize,
                        ..Flow::default()
                    };
                    self.flows.insert(id, flow);
                    world.tell(FromOutside::Opened { id, window: 100_000 });
                }
                ToOutside::Data { id, bytes } => {
                    self.received += bytes.len();
                    let flow = self.flows.get_mut(&id).unwrap();
                    flow.waiting.extend(bytes);
                    self.largest = self.largest.max(flow.waiting.len());
                    assert!(flow.waiting.len() <= 100_000, "more than was asked for");
                }
                ToOutside::Window { id, bytes } => self.flows.get_mut(&id).unwrap().room += bytes as usize,
                ToOutside::Finish { id } => self.flows.get_mut(&id).unwrap().finished = true,
                ToOutside::Close { id, .. } => drop(self.flows.remove(&id)),
                ToOutside::Opened { .. } => panic!("nothing was dialled"),
            }
        }
        let ids: Vec<OutsideId> = self.flows.keys().copied().collect();
        for id in ids {
            let flow = self.flows.get_mut(&id).unwrap();
            let count = flow.waiting.len().min(flow.room);
            if count > 0 {
                let bytes: Vec<u8> = flow.waiting.drain(..count).collect();
                flow.room -= count;
                world.tell(FromOutside::Data { id, bytes });
                world.tell(FromOutside::Consumed {
                    id,
                    bytes: count as u32,
                });
            } else if flow.finished && flow.waiting.is_empty() {
                flow.finished = false;
                world.tell(FromOutside::Finish { id });
            }
        }
    }
}

/// A megabyte there and back, byte for byte, over a link with these impairments.
fn round_trip(impairments: Impairments, most: Duration) -> (Duration, Vec<(i64, u32, usize)>) {
    let mut networks = default_networks();
    networks[0].outside.push(AllowRule {
        host: "*".to_owned(),
        ports: Vec::new(),
    });
    let mut world = World::with(5, networks);
    let client = world.leased("management", "client");
    let port = world.hosts[client].port;
    for way in [Way::FromVm, Way::ToVm] {
        world
            .fabric
            .set_impairments(world.now, port, way, impairments)
            .unwrap();
    }
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let socket = world.hosts[client].connect((SERVER, 7), 40_000);
    let (mut sent, mut received) = (0, Vec::new());
    let mut echo = Echo::default();
    let before = world.now;
    let done = world.run(most, |world| {
        echo.take(world);
        let socket = world.hosts[client].socket(socket);
        if sent < bytes.len() && socket.can_send() {
            sent += socket.send_slice(&bytes[sent..]).unwrap();
            if sent == bytes.len() {
                socket.close();
            }
        }
        while socket.can_recv() {
            socket
                .recv(|bytes| (bytes.len(), received.extend_from_slice(bytes)))
                .unwrap();
        }
        received.len() == bytes.len() && !socket.is_active()
    });
    assert!(done, "{} of {} bytes came back", received.len(), bytes.len());
    assert!(received == bytes, "the bytes are others");
    let took = world.now - before;
    let trace = world
        .trace
        .iter()
        .map(|(at, port, len)| (*at, port.0, *len))
        .collect();
    (took, trace)
}

#[test]
fn a_megabyte_goes_there_and_back() {
    round_trip(Impairments::default(), SECOND * 30);
}

#[test]
fn it_does_so_over_a_bad_link_and_a_seed_repeats_it_exactly() {
    let bad = Impairments {
        delay_us: 5_000,
        jitter_us: 2_000,
        loss: 0.01,
        duplicate: 0.01,
        reorder: 0.01,
        corrupt: 0.005,
        ..Impairments::default()
    };
    let (_, first) = round_trip(bad, SECOND * 600);
    let (_, second) = round_trip(bad, SECOND * 600);
    assert!(first == second, "two runs of one seed differ");
}

#[test]
fn a_rate_is_what_a_transfer_takes() {
    let slow = Impairments {
        rate: Some(Rate {
            bits_per_second: 10_000_000,
            burst_bytes: 3_000,
        }),
        queue_frames: 1000,
        ..Impairments::default()
    };
    let (took, _) = round_trip(slow, SECOND * 60);
    let seconds = took.total_micros() as f64 / 1e6;
    // 8 Mbit each way, at the same time, with headers.
    assert!((0.8..2.0).contains(&seconds), "{seconds} s");
}
