//! Flows: who talks to whom through the router, what replies look like, and how long that is remembered.
//!
//! Each flow is known by the [`Tuple`] of its first packet and by that of what is answered; where addresses are translated,
//! the second is not just the first one reversed. Timeouts are Linux' (`nf_conntrack`) or shorter. What one host may have is
//! bounded, so that nobody takes all.

mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::config::Zone;
use crate::packet::{TcpFlags, Tuple};
use crate::switch::Count;
pub(crate) use state::State;

/// Most flows, and most of those that one host began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlowLimits {
    pub(crate) flows: usize,
    pub(crate) of_host: usize,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self {
            flows: 32_768,
            of_host: 4_096,
        }
    }
}

/// Ports that translation gives to flows whose own is taken. Those above are the gateway's.
const PORTS: RangeInclusive<u16> = 32_768..=60_999;

/// In which direction a packet of a flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// As the first one.
    Original,
    /// The other one.
    Reply,
}

/// Names a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowKey(u64);

/// A flow.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Its first packet's.
    pub(crate) original: Tuple,
    /// That of what is answered.
    pub(crate) reply: Tuple,
    pub(crate) from: Zone,
    pub(crate) to: Zone,
    /// The interface that sent the first packet.
    pub(crate) owner: EthernetAddress,
    pub(crate) state: State,
    until: Instant,
    /// Under which of the firewall's configurations it was let through.
    pub(crate) generation: u64,
    /// Packets in the direction of the first.
    pub(crate) sent: Count,
    /// Packets in the other.
    pub(crate) received: Count,
}

impl Flow {
    /// Between whom a packet of this direction goes behind the router.
    pub(crate) fn translated(&self, direction: Direction) -> Tuple {
        match direction {
            Direction::Original => self.reply.reversed(),
            Direction::Reply => self.original.reversed(),
        }
    }
}

/// What a new flow is.
pub(crate) struct NewFlow {
    pub(crate) original: Tuple,
    /// That of packets behind the router. Its source port is the one that is wanted.
    pub(crate) translated: Tuple,
    pub(crate) from: Zone,
    pub(crate) to: Zone,
    pub(crate) owner: EthernetAddress,
    pub(crate) generation: u64,
}

/// All flows.
pub(crate) struct Flows {
    limits: FlowLimits,
    flows: BTreeMap<FlowKey, Flow>,
    tuples: BTreeMap<Tuple, (FlowKey, Direction)>,
    by_owner: BTreeMap<[u8; 6], usize>,
    next: u64,
    no_sweep_before: Instant,
    /// Flows for which there was no room.
    pub(crate) refused: u64,
}

impl Flows {
    pub(crate) fn new(limits: FlowLimits) -> Self {
        Self {
            limits,
            flows: BTreeMap::new(),
            tuples: BTreeMap::new(),
            by_owner: BTreeMap::new(),
            next: 0,
            no_sweep_before: Instant::ZERO,
            refused: 0,
        }
    }

    /// The flow that a packet of this tuple belongs to.
    pub(crate) fn find(&mut self, now: Instant, tuple: &Tuple) -> Option<(FlowKey, Direction)> {
        let (key, direction) = *self.tuples.get(tuple)?;
        if self.flows.get(&key)?.until <= now {
            self.remove(key);
            return None;
        }
        Some((key, direction))
    }

    pub(crate) fn get(&self, key: FlowKey) -> Option<&Flow> {
        self.flows.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: FlowKey) -> Option<&mut Flow> {
        self.flows.get_mut(&key)
    }

    /// Takes note of a packet of a flow.
    pub(crate) fn passed(
        &mut self,
        now: Instant,
        key: FlowKey,
        direction: Direction,
        flags: Option<TcpFlags>,
        bytes: usize,
    ) {
        if let Some(flow) = self.flows.get_mut(&key) {
            flow.state = flow.state.after(direction, flags);
            flow.until = now + flow.state.timeout();
            match direction {
                Direction::Original => flow.sent.add(bytes),
                Direction::Reply => flow.received.add(bytes),
            }
        }
    }

    /// Begins a flow. Where its answers would be another one's, it gets another source port behind the router. `None` if there
    /// is no room, or no port.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        new: NewFlow,
        random: &mut fastrand::Rng,
    ) -> Option<FlowKey> {
        let is_full = |flows: &Self| {
            flows.flows.len() >= flows.limits.flows
                || flows.by_owner.get(&new.owner.0).copied().unwrap_or(0) >= flows.limits.of_host
        };
        if is_full(self) {
            self.sweep(now);
        }
        if is_full(self) {
            self.refused += 1;
            return None;
        }
        let Some(translated) = self.free(now, &new, random) else {
            self.refused += 1;
            return None;
        };
        self.next += 1;
        let key = FlowKey(self.next);
        let reply = translated.reversed();
        self.tuples.insert(new.original, (key, Direction::Original));
        self.tuples.insert(reply, (key, Direction::Reply));
        *self.by_owner.entry(new.owner.0).or_default() += 1;
        let state = State::new(new.original.protocol());
        self.flows.insert(
            key,
            Flow {
                original: new.original,
                reply,
                from: new.from,
                to: new.to,
                owner: new.owner,
                state,
                until: now + state.timeout(),
                generation: new.generation,
                sent: Count::default(),
                received: Count::default(),
            },
        );
        Some(key)
    }

    /// The tuple behind the router, with a source port whose answers are nobody else's.
    fn free(&mut self, now: Instant, new: &NewFlow, random: &mut fastrand::Rng) -> Option<Tuple> {
        let wanted = new.translated;
        let is_translated = wanted.source != new.original.source;
        let is_free = |flows: &mut Self, tuple: &Tuple| flows.find(now, &tuple.reversed()).is_none();
        let may_have = !is_translated || !(*PORTS.end() + 1..=u16::MAX).contains(&wanted.source_port);
        if may_have && is_free(self, &wanted) {
            return Some(wanted);
        }
        // Without translation there is no other port to have. Echo replies have none to be changed.
        if !is_translated || wanted.source_port == 0 {
            return None;
        }
        let tries = (0..64).map(|_| Tuple {
            source_port: random.u16(PORTS),
            ..wanted
        });
        let tries: Vec<Tuple> = tries.collect();
        tries.into_iter().find(|tuple| is_free(self, tuple))
    }

    pub(crate) fn remove(&mut self, key: FlowKey) {
        let Some(flow) = self.flows.remove(&key) else {
            return;
        };
        for tuple in [flow.original, flow.reply] {
            if self.tuples.get(&tuple).is_some_and(|(of, _)| *of == key) {
                self.tuples.remove(&tuple);
            }
        }
        if let Some(count) = self.by_owner.get_mut(&flow.owner.0) {
            *count -= 1;
            if *count == 0 {
                self.by_owner.remove(&flow.owner.0);
            }
        }
    }

    /// Forgets those for which this holds.
    pub(crate) fn remove_if(&mut self, gone: impl Fn(&Flow) -> bool) {
        let keys = self.flows.iter().filter(|(_, flow)| gone(flow));
        for key in keys.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.remove(key);
        }
    }

    pub(crate) fn iter(&self, now: Instant) -> impl Iterator<Item = &Flow> {
        self.flows.values().filter(move |flow| flow.until > now)
    }

    /// Drops what is over, at most once a second.
    fn sweep(&mut self, now: Instant) {
        if now >= self.no_sweep_before {
            self.no_sweep_before = now + Duration::from_secs(1);
            self.remove_if(|flow| flow.until <= now);
        }
    }
}
