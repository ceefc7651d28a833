//! Who has which address in a network: ARP's table (RFC 826, RFC 1122 section 2.3.2), bounded.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::packet::Packet;

/// Most addresses that are known or asked for.
const MAX: usize = 4096;
/// Most of those that are asked for: with more, the one that was asked for longest gives way, as it is most likely nobody's.
const MAX_ASKED: usize = 512;
/// Most packets that wait for one address.
const MAX_WAITING: usize = 32;
/// Most bytes of packets that wait.
const MAX_BYTES: usize = 2 << 20;
/// How often an address is asked for.
const TRIES: u8 = 3;
/// Time between two tries.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long an address is known.
const LIFETIME: Duration = Duration::from_secs(60);
/// From when on it is asked for again while it is used.
const STALE: Duration = Duration::from_secs(45);
/// How long it is known that nobody has an address.
const FAILED: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    /// It was asked for.
    Asked {
        tries: u8,
        again: Instant,
        waiting: VecDeque<Packet>,
    },
    Known {
        mac: EthernetAddress,
        since: Instant,
        asked: Option<Instant>,
    },
    /// Nobody has it.
    Failed { until: Instant },
}

/// What is to be done with a packet for a neighbour.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes to this address.
    Send(EthernetAddress, Packet),
    /// The same; and that address is to be asked whether it is still there.
    SendAndAsk(EthernetAddress, Packet),
    /// It waits; and the neighbour is to be asked for.
    Ask,
    /// It waits, or was dropped as too many do.
    Wait,
    /// Nobody has that address.
    Unreachable(Packet),
}

/// What time has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A neighbour is to be asked for again.
    Ask(Ipv4Addr),
    /// Nobody answered: these packets go nowhere.
    Unreachable(Vec<Packet>),
}

/// The neighbours of a network.
#[derive(Default)]
pub(super) struct Neighbours {
    entries: BTreeMap<Ipv4Addr, State>,
    /// Bytes of packets that wait.
    bytes: usize,
}

impl Neighbours {
    pub(super) fn resolve(&mut self, now: Instant, address: Ipv4Addr, packet: Packet) -> Next {
        if !self.entries.contains_key(&address) && self.entries.len() >= MAX {
            self.drop_old(now);
            if self.entries.len() >= MAX {
                return Next::Unreachable(packet);
            }
        }
        match self.entries.get_mut(&address) {
            Some(State::Known { mac, since, asked }) if now < *since + LIFETIME => {
                let mac = *mac;
                let is_due = asked.is_none_or(|asked| now >= asked + BETWEEN);
                if now >= *since + STALE && is_due {
                    *asked = Some(now);
                    return Next::SendAndAsk(mac, packet);
                }
                return Next::Send(mac, packet);
            }
            Some(State::Asked { waiting, .. }) => {
                let len = packet.bytes().len();
                if waiting.len() < MAX_WAITING && self.bytes + len <= MAX_BYTES {
                    self.bytes += len;
                    waiting.push_back(packet);
                }
                return Next::Wait;
            }
            Some(State::Failed { until }) if now < *until => return Next::Unreachable(packet),
            _ => {}
        }
        self.make_room();
        let len = packet.bytes().len();
        let fits = self.bytes + len <= MAX_BYTES;
        self.bytes += if fits { len } else { 0 };
        let asked = State::Asked {
            tries: 1,
            again: now + BETWEEN,
            waiting: fits.then_some(packet).into_iter().collect(),
        };
        self.entries.insert(address, asked);
        Next::Ask
    }

    /// Forgets one that is asked for if there are too many.
    fn make_room(&mut self) {
        let asked = self.entries.iter().filter_map(|(address, state)| match state {
            State::Asked { tries, again, .. } => Some((*tries, *again, *address)),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        if asked.len() < MAX_ASKED {
            return;
        }
        let oldest = asked
            .into_iter()
            .min_by_key(|(tries, again, _)| (std::cmp::Reverse(*tries), *again));
        if let Some((_, _, address)) = oldest
            && let Some(State::Asked { waiting, .. }) = self.entries.remove(&address)
        {
            self.bytes -= sum(&waiting);
        }
    }

    /// Takes note of who says that an address is its own, and gives what waited for it, and who had it before. What nobody asked
    /// for is only taken where it is `wanted`, so that made-up answers fill no table.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        address: Ipv4Addr,
        mac: EthernetAddress,
        wanted: bool,
    ) -> (VecDeque<Packet>, Option<EthernetAddress>) {
        if !self.entries.contains_key(&address) {
            if !wanted {
                return Default::default();
            }
            if self.entries.len() >= MAX {
                self.drop_old(now);
            }
            if self.entries.len() >= MAX {
                return Default::default();
            }
        }
        let known = State::Known {
            mac,
            since: now,
            asked: None,
        };
        match self.entries.insert(address, known) {
            Some(State::Asked { waiting, .. }) => {
                self.bytes -= sum(&waiting);
                (waiting, None)
            }
            Some(State::Known {
                mac: before, since, ..
            }) => {
                let is_other = before != mac && now < since + LIFETIME;
                (VecDeque::new(), is_other.then_some(before))
            }
            _ => Default::default(),
        }
    }

    /// The address's owner, if one is known.
    pub(super) fn known(&self, now: Instant) -> impl Iterator<Item = (Ipv4Addr, EthernetAddress)> {
        self.entries
            .iter()
            .filter_map(move |(address, state)| match state {
                State::Known { mac, since, .. } if now < *since + LIFETIME => Some((*address, *mac)),
                _ => None,
            })
    }

    pub(super) fn poll_at(&self) -> Option<Instant> {
        let asked = self.entries.values().filter_map(|state| match state {
            State::Asked { again, .. } => Some(*again),
            _ => None,
        });
        asked.min()
    }

    pub(super) fn poll(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        for (address, state) in &mut self.entries {
            let State::Asked {
                tries,
                again,
                waiting,
            } = state
            else {
                continue;
            };
            if *again > now {
                continue;
            }
            if *tries < TRIES {
                *tries += 1;
                *again = now + BETWEEN;
                due.push(Due::Ask(*address));
            } else {
                let waiting = std::mem::take(waiting);
                self.bytes -= sum(&waiting);
                due.push(Due::Unreachable(waiting.into()));
                *state = State::Failed { until: now + FAILED };
            }
        }
        due
    }

    fn drop_old(&mut self, now: Instant) {
        self.entries.retain(|_, state| match state {
            State::Asked { .. } => true,
            State::Known { since, .. } => now < *since + LIFETIME,
            State::Failed { until } => now < *until,
        });
    }
}

fn sum(packets: &VecDeque<Packet>) -> usize {
    packets.iter().map(|packet| packet.bytes().len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 5]);

    fn packet() -> Packet {
        Packet::udp((Ipv4Addr::new(172, 16, 0, 9), 1), (A, 2), 0, b"x").unwrap()
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(seconds)
    }

    #[test]
    fn packets_wait_for_the_answer_and_go_when_it_comes() {
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.resolve(at(0), A, packet()), Next::Ask);
        assert_eq!(neighbours.resolve(at(0), A, packet()), Next::Wait);
        let (waiting, before) = neighbours.heard(at(1), A, MAC, false);
        assert_eq!((waiting.len(), before), (2, None));
        assert_eq!(neighbours.resolve(at(2), A, packet()), Next::Send(MAC, packet()));
        assert_eq!(
            neighbours.resolve(at(46), A, packet()),
            Next::SendAndAsk(MAC, packet())
        );
        assert_eq!(neighbours.resolve(at(46), A, packet()), Next::Send(MAC, packet()));
        assert_eq!(
            neighbours.resolve(at(62), A, packet()),
            Next::Ask,
            "it is forgotten by then"
        );
    }

    #[test]
    fn who_does_not_answer_is_given_up_and_senders_hear_of_it() {
        let mut neighbours = Neighbours::default();
        for _ in 0..100 {
            neighbours.resolve(at(0), A, packet());
        }
        assert_eq!(neighbours.poll_at(), Some(at(1)));
        assert_eq!(neighbours.poll(at(1)), [Due::Ask(A)]);
        assert_eq!(neighbours.poll(at(2)), [Due::Ask(A)]);
        let Some(Due::Unreachable(packets)) = neighbours.poll(at(3)).pop() else {
            panic!("still asked for");
        };
        assert_eq!(packets.len(), MAX_WAITING);
        assert_eq!(neighbours.poll_at(), None);
        assert_eq!(
            neighbours.resolve(at(3), A, packet()),
            Next::Unreachable(packet())
        );
        assert_eq!(neighbours.resolve(at(4), A, packet()), Next::Ask);
    }

    #[test]
    fn packets_to_nobody_are_bounded_and_somebody_is_still_found() {
        let mut neighbours = Neighbours::default();
        let big = Packet::udp((A, 1), (A, 2), 0, &[7; 60_000]).unwrap();
        for number in 0..100_000_u32 {
            neighbours.resolve(at(0), Ipv4Addr::from(number), big.clone());
            assert!(neighbours.bytes <= MAX_BYTES && neighbours.entries.len() <= MAX_ASKED);
        }
        assert_eq!(neighbours.resolve(at(0), A, packet()), Next::Ask);
        neighbours.heard(at(0), A, MAC, false);
        assert_eq!(neighbours.resolve(at(0), A, packet()), Next::Send(MAC, packet()));
        for second in 1..=3 {
            neighbours.poll(at(second));
        }
        assert_eq!(neighbours.bytes, 0);
    }

    #[test]
    fn what_nobody_asked_for_fills_no_table_and_a_second_owner_is_told() {
        let mut neighbours = Neighbours::default();
        neighbours.heard(at(0), A, MAC, false);
        assert_eq!(neighbours.known(at(0)).count(), 0);
        for number in 0..10_000_u32 {
            neighbours.heard(at(0), Ipv4Addr::from(number), MAC, true);
        }
        assert_eq!(neighbours.known(at(0)).count(), MAX);
        let other = EthernetAddress([2, 0, 0, 0, 0, 6]);
        let first = Ipv4Addr::from(0);
        assert_eq!(neighbours.heard(at(1), first, other, false).1, Some(MAC));
    }
}
