//! Who is where: the addresses that a switch has learned, bounded for each port and in all.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use super::{PortId, SwitchLimits, VlanId};

type Key = (VlanId, [u8; 6]);

#[derive(Clone, Copy)]
struct Learned {
    port: PortId,
    /// From then on it is not known any more.
    until: Instant,
}

/// The addresses of a switch, each in its VLAN: no two VLANs share what they learn.
pub(super) struct Table {
    limits: SwitchLimits,
    learned: BTreeMap<Key, Learned>,
    /// How many of `learned` are at each port.
    counts: BTreeMap<PortId, usize>,
    pinned: BTreeMap<[u8; 6], PortId>,
    /// No sweep before then, as the last one left the table full.
    no_sweep_before: Instant,
}

impl Table {
    pub(super) fn new(limits: SwitchLimits) -> Self {
        Self {
            limits,
            learned: BTreeMap::new(),
            counts: BTreeMap::new(),
            pinned: BTreeMap::new(),
            no_sweep_before: Instant::ZERO,
        }
    }

    pub(super) fn pin(&mut self, address: EthernetAddress, port: PortId) {
        self.pinned.insert(address.0, port);
    }

    /// Takes note of where an address was seen. `false` if it may not be there. One for which there is no room is not learned:
    /// frames to it are flooded.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        vlan: VlanId,
        address: EthernetAddress,
        port: PortId,
    ) -> bool {
        if let Some(place) = self.pinned.get(&address.0) {
            return *place == port;
        }
        let learned = Learned {
            port,
            until: now + self.limits.ageing,
        };
        if let Entry::Occupied(mut known) = self.learned.entry((vlan, address.0)) {
            let before = known.insert(learned).port;
            if before != port {
                self.count(before, -1);
                self.count(port, 1);
            }
            return true;
        }
        if self.is_full(port) {
            self.sweep(now);
        }
        if !self.is_full(port) {
            self.learned.insert((vlan, address.0), learned);
            self.count(port, 1);
        }
        true
    }

    pub(super) fn find(&self, now: Instant, vlan: VlanId, address: EthernetAddress) -> Option<PortId> {
        if let Some(port) = self.pinned.get(&address.0) {
            return Some(*port);
        }
        let learned = self.learned.get(&(vlan, address.0))?;
        (learned.until > now).then_some(learned.port)
    }

    pub(super) fn forget_port(&mut self, port: PortId) {
        self.learned.retain(|_, learned| learned.port != port);
        self.pinned.retain(|_, place| *place != port);
        self.counts.remove(&port);
    }

    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = (VlanId, EthernetAddress, PortId)> {
        self.learned
            .iter()
            .filter(move |(_, learned)| learned.until > now)
            .map(|((vlan, address), learned)| (*vlan, EthernetAddress(*address), learned.port))
    }

    fn is_full(&self, port: PortId) -> bool {
        let of_port = self.counts.get(&port).copied().unwrap_or(0);
        self.learned.len() >= self.limits.addresses || of_port >= self.limits.addresses_of_port
    }

    fn count(&mut self, port: PortId, by: isize) {
        let count = self.counts.entry(port).or_default();
        *count = count.saturating_add_signed(by);
    }

    /// Drops what has aged, at most once a second: a flood must not have the whole table gone through for each frame.
    fn sweep(&mut self, now: Instant) {
        if now < self.no_sweep_before {
            return;
        }
        self.no_sweep_before = now + smoltcp::time::Duration::from_secs(1);
        self.learned.retain(|_, learned| learned.until > now);
        self.counts.clear();
        for learned in self.learned.values() {
            *self.counts.entry(learned.port).or_default() += 1;
        }
    }
}
