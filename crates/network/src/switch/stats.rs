//! What a switch counts at each port.

use serde::{Deserialize, Serialize};
use smoltcp::wire::EthernetAddress;

/// Frames and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Frames or packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Count {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// Why a switch drops a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// No Ethernet frame, or a larger one than there can be.
    Malformed,
    /// It comes from an address that no single host has, or that this port may not use.
    Source,
    /// Its VLAN is none of this port's.
    Vlan,
    /// It is meant for the switch itself, such as spanning tree's.
    Reserved,
    /// Too many were flooded.
    Storm,
    /// It came from a port that only monitors.
    Monitor,
}

/// What went through a port of a switch: `received` is from the port, `sent` to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortStats {
    /// Frames from the port, those that were dropped among them.
    pub received: Count,
    /// Frames to the port.
    pub sent: Count,
    /// Of those received and admitted: to all.
    pub broadcasts: u64,
    /// To groups.
    pub multicasts: u64,
    /// To an address that was not known, and so to all ports.
    pub unknown: u64,
    /// Dropped as [`Dropped::Malformed`].
    pub malformed: u64,
    /// Dropped as [`Dropped::Source`].
    pub bad_source: u64,
    /// Dropped as [`Dropped::Vlan`].
    pub bad_vlan: u64,
    /// Dropped as [`Dropped::Reserved`].
    pub reserved: u64,
    /// Dropped as [`Dropped::Storm`].
    pub storm: u64,
    /// Dropped as [`Dropped::Monitor`].
    pub from_monitor: u64,
}

impl PortStats {
    /// All that was dropped.
    pub fn dropped(&self) -> u64 {
        self.malformed + self.bad_source + self.bad_vlan + self.reserved + self.storm + self.from_monitor
    }

    pub(super) fn drop(&mut self, reason: Dropped) {
        *match reason {
            Dropped::Malformed => &mut self.malformed,
            Dropped::Source => &mut self.bad_source,
            Dropped::Vlan => &mut self.bad_vlan,
            Dropped::Reserved => &mut self.reserved,
            Dropped::Storm => &mut self.storm,
            Dropped::Monitor => &mut self.from_monitor,
        } += 1;
    }

    pub(super) fn classify(&mut self, destination: EthernetAddress, is_flooded: bool) {
        if destination.is_broadcast() {
            self.broadcasts += 1;
        } else if destination.is_multicast() {
            self.multicasts += 1;
        } else if is_flooded {
            self.unknown += 1;
        }
    }
}
