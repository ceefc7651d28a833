//! A virtual Ethernet switch: it learns who is where, and keeps VLANs apart (IEEE 802.1Q-2022, 8).
//!
//! [`Switch::receive`] takes a frame and tells which ports it leaves by. All of it is bounded: addresses by port and in all,
//! and what is flooded by a rate for each port, so that a guest that makes up addresses or sends in circles takes nothing from
//! others.

mod stats;
mod table;
#[cfg(test)]
mod tests;
mod vlan;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::bucket::Bucket;
use crate::frame::{Frame, HEADER, Header, MAX_FRAME};
pub use stats::{Count, Dropped, PortStats};
use table::Table;
pub use vlan::{VlanId, VlanMode};

/// Names a port, in a fabric of whatever switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortId(pub u32);

/// What a port is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortConfig {
    /// The VLANs that it belongs to.
    pub vlan: VlanMode,
    /// The only address that frames from it may have; any, if none is given.
    pub source: Option<EthernetAddress>,
    /// Makes it a monitor: it gets copies of what other ports receive and send, takes no other part, and what comes from it is
    /// dropped.
    pub monitor: Option<Monitor>,
}

/// What is copied to a port that monitors others. Copies are frames as they are on the port that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The ports that are watched; all others, if none are given.
    pub ports: Option<BTreeSet<PortId>>,
    /// Whether what they receive is copied.
    pub received: bool,
    /// Whether what they send is copied.
    pub sent: bool,
}

/// How much a switch keeps, and how much it floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchLimits {
    /// How long an address is known after it was last seen.
    pub ageing: Duration,
    /// Most addresses that are learned.
    pub addresses: usize,
    /// Most addresses that are learned from one port.
    pub addresses_of_port: usize,
    /// Most frames a second from one port that go to all others (storm control): broadcasts, multicasts, and those to
    /// addresses that are not known.
    pub flooded: u64,
    /// Most of these frames at once.
    pub flooded_at_once: u64,
}

impl Default for SwitchLimits {
    fn default() -> Self {
        Self {
            // IEEE 802.1Q-2022, table 8-6.
            ageing: Duration::from_secs(300),
            addresses: 8192,
            addresses_of_port: 1024,
            flooded: 20_000,
            flooded_at_once: 5_000,
        }
    }
}

struct Port {
    config: PortConfig,
    storm: Bucket,
    stats: PortStats,
}

/// A frame that leaves by a port.
pub type Leaving = (PortId, Frame);

/// A switch. See the module's documentation.
pub struct Switch {
    limits: SwitchLimits,
    ports: BTreeMap<PortId, Port>,
    table: Table,
    /// Whether some port monitors others.
    is_monitored: bool,
}

impl Switch {
    /// A switch without ports.
    pub fn new(limits: SwitchLimits) -> Self {
        Self {
            limits,
            ports: BTreeMap::new(),
            table: Table::new(limits),
            is_monitored: false,
        }
    }

    /// Adds a port, or changes what it is. What was learned from it is forgotten; its statistics go on.
    pub fn set_port(&mut self, id: PortId, config: PortConfig) {
        self.table.forget_port(id);
        let limits = self.limits;
        let port = self.ports.entry(id).or_insert_with(|| Port {
            config: PortConfig::default(),
            storm: Bucket::new(limits.flooded, limits.flooded_at_once),
            stats: PortStats::default(),
        });
        port.config = config;
        self.is_monitored = self.ports.values().any(|port| port.config.monitor.is_some());
    }

    /// Takes a port away, with what was learned from it.
    pub fn remove_port(&mut self, id: PortId) {
        self.ports.remove(&id);
        self.table.forget_port(id);
        self.is_monitored = self.ports.values().any(|port| port.config.monitor.is_some());
    }

    /// Says that `address` is at this port in all VLANs, for good: frames that come with it from any other port are dropped.
    pub fn pin(&mut self, address: EthernetAddress, port: PortId) {
        self.table.pin(address, port);
    }

    /// Forgets what was learned from a port, as when its cable was pulled.
    pub fn forget(&mut self, port: PortId) {
        self.table.forget_port(port);
    }

    /// The ports, in their order.
    pub fn ports(&self) -> impl Iterator<Item = PortId> {
        self.ports.keys().copied()
    }

    /// What a port is.
    pub fn port(&self, id: PortId) -> Option<&PortConfig> {
        self.ports.get(&id).map(|port| &port.config)
    }

    /// What went through a port.
    pub fn stats(&self, id: PortId) -> Option<&PortStats> {
        self.ports.get(&id).map(|port| &port.stats)
    }

    /// The addresses that are known at `now`, each with its VLAN and port, without those that were pinned.
    pub fn addresses(&self, now: Instant) -> impl Iterator<Item = (VlanId, EthernetAddress, PortId)> {
        self.table.iter(now)
    }

    /// Takes a frame that came in at a port, and adds what leaves to `out`.
    pub fn receive(&mut self, now: Instant, from: PortId, frame: Frame, out: &mut Vec<Leaving>) {
        let Some(port) = self.ports.get_mut(&from) else {
            return;
        };
        port.stats.received.add(frame.len());
        let (vlan, header) = match port.admit(&frame) {
            Ok(admitted) => admitted,
            Err(reason) => return port.stats.drop(reason),
        };
        if !self.table.learn(now, vlan, header.source, from) {
            return port.stats.drop(Dropped::Source);
        }
        let to = if header.destination.is_multicast() {
            None
        } else {
            self.table.find(now, vlan, header.destination)
        };
        port.stats.classify(header.destination, to.is_none());
        // Those of IEEE 802.1Q-2022, table 8-1, stay on their link.
        if matches!(header.destination.0, [0x01, 0x80, 0xc2, 0, 0, 0..=0x0f]) {
            return port.stats.drop(Dropped::Reserved);
        }
        if to.is_none() && !port.storm.take(now, 1) {
            return port.stats.drop(Dropped::Storm);
        }
        if self.is_monitored {
            self.copy(from, &frame, |monitor| monitor.received, out);
        }
        match to {
            // Back to where it came from: the two talk to each other without us.
            Some(to) if to == from => {}
            Some(to) => self.send(to, vlan, &header, &frame, out),
            None => {
                let others: Vec<PortId> = self.ports.keys().copied().filter(|id| *id != from).collect();
                for to in others {
                    self.send(to, vlan, &header, &frame, out);
                }
            }
        }
    }

    fn send(&mut self, to: PortId, vlan: VlanId, header: &Header, frame: &Frame, out: &mut Vec<Leaving>) {
        let Some(port) = self.ports.get_mut(&to) else {
            return;
        };
        if port.config.monitor.is_some() || !port.config.vlan.carries(vlan) {
            return;
        }
        let Some(frame) = port.config.vlan.leave(vlan, header, frame) else {
            return port.stats.drop(Dropped::Vlan);
        };
        port.stats.sent.add(frame.len());
        if self.is_monitored {
            self.copy(to, &frame, |monitor| monitor.sent, out);
        }
        out.push((to, frame));
    }

    /// Copies a frame of this port to those that watch it.
    fn copy(&mut self, of: PortId, frame: &Frame, wanted: fn(&Monitor) -> bool, out: &mut Vec<Leaving>) {
        for (id, port) in &mut self.ports {
            let watches = |monitor: &Monitor| {
                wanted(monitor) && monitor.ports.as_ref().is_none_or(|ports| ports.contains(&of))
            };
            if *id != of && port.config.monitor.as_ref().is_some_and(watches) {
                port.stats.sent.add(frame.len());
                out.push((*id, frame.clone()));
            }
        }
    }
}

impl Port {
    /// The VLAN that a frame from this port belongs to, and its header, if it may come in.
    fn admit(&self, frame: &Frame) -> Result<(VlanId, Header), Dropped> {
        let header = Header::read(frame.bytes()).ok_or(Dropped::Malformed)?;
        if frame.len() > MAX_FRAME || frame.len() < HEADER {
            return Err(Dropped::Malformed);
        }
        if self.config.monitor.is_some() {
            return Err(Dropped::Monitor);
        }
        let source = header.source;
        if !source.is_unicast() || self.config.source.is_some_and(|only| only != source) {
            return Err(Dropped::Source);
        }
        let vlan = self.config.vlan.enter(&header).ok_or(Dropped::Vlan)?;
        Ok((vlan, header))
    }
}
