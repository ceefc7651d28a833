//! Who has which address, for how long.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::config::{AddressRange, NetworkConfig};

/// How long an address is kept for who was offered it.
const OFFERED: Duration = Duration::from_secs(60);
/// How long an address is given to nobody that a host found to be taken.
const DECLINED: Duration = Duration::from_secs(600);
/// Most addresses of one interface, which may call itself by many names.
const MAX_OF_MAC: usize = 8;

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Offered,
    Bound,
    /// Somebody has it who did not get it from here.
    Declined,
}

/// An address that is given to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) client: Vec<u8>,
    pub(super) mac: EthernetAddress,
    pub(super) name: Option<String>,
    pub(super) state: State,
    /// From then on it is free, and kept for the same client as long as nobody else needs it.
    pub(super) until: Instant,
}

/// The addresses of a network.
pub(super) struct Leases {
    ranges: Vec<AddressRange>,
    leases: BTreeMap<Ipv4Addr, Lease>,
    /// Addresses that are kept for one interface.
    kept: BTreeMap<[u8; 6], Ipv4Addr>,
    /// The same by address.
    owners: BTreeMap<Ipv4Addr, EthernetAddress>,
    network: NetworkConfig,
}

impl Leases {
    pub(super) fn new(network: &NetworkConfig) -> Self {
        let kept = network.dhcp.iter().flat_map(|dhcp| &dhcp.leases);
        Self {
            ranges: network.ranges(),
            leases: BTreeMap::new(),
            kept: kept.clone().map(|lease| (lease.mac.0, lease.address)).collect(),
            owners: kept.map(|lease| (lease.address, lease.mac)).collect(),
            network: network.clone(),
        }
    }

    /// Goes on with another configuration. Who has an address that is not one of it any more is told so when it renews.
    pub(super) fn reconfigure(&mut self, network: &NetworkConfig) {
        let leases = std::mem::take(&mut self.leases);
        *self = Self::new(network);
        let still = leases
            .into_iter()
            .filter(|(address, lease)| self.may_have(*address, lease.mac));
        self.leases = still.collect();
    }

    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = (Ipv4Addr, &Lease)> {
        let live = self.leases.iter().filter(move |(_, lease)| lease.until > now);
        live.map(|(address, lease)| (*address, lease))
    }

    /// The interface that an address belongs to.
    pub(super) fn owner(&self, now: Instant, address: Ipv4Addr) -> Option<EthernetAddress> {
        let given = || {
            let lease = self.leases.get(&address)?;
            (lease.state == State::Bound && lease.until > now).then_some(lease.mac)
        };
        self.owners.get(&address).copied().or_else(given)
    }

    /// Whether this interface may ever have the address.
    pub(super) fn may_have(&self, address: Ipv4Addr, mac: EthernetAddress) -> bool {
        if let Some(kept) = self.kept.get(&mac.0) {
            return *kept == address;
        }
        address != self.network.gateway()
            && self.ranges.iter().any(|range| range.contains(address))
            && !self.owners.contains_key(&address)
    }

    /// Whether nobody but this client has it.
    pub(super) fn is_free_for(&self, now: Instant, address: Ipv4Addr, client: &[u8]) -> bool {
        match self.leases.get(&address) {
            Some(lease) => lease.until <= now || (lease.client == client && lease.state != State::Declined),
            None => true,
        }
    }

    /// The address that a client has, or had last.
    pub(super) fn of(&self, client: &[u8]) -> Option<(Ipv4Addr, &Lease)> {
        let own = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.client == client && lease.state != State::Declined);
        own.max_by_key(|(_, lease)| lease.until)
            .map(|(address, lease)| (*address, lease))
    }

    /// An address for a client: that which is kept for it, which it had, which it would like, or one that is free. `is_taken`
    /// tells addresses that others are seen to use.
    pub(super) fn choose(
        &self,
        now: Instant,
        client: &[u8],
        mac: EthernetAddress,
        wish: Option<Ipv4Addr>,
        is_taken: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Ipv4Addr> {
        if let Some(kept) = self.kept.get(&mac.0) {
            return Some(*kept);
        }
        let had = self.of(client).map(|(address, _)| address);
        let suits = |address: &Ipv4Addr| {
            self.may_have(*address, mac) && self.is_free_for(now, *address, client) && !is_taken(*address)
        };
        if let Some(address) = had.into_iter().chain(wish).find(suits) {
            return Some(address);
        }
        let sizes = self
            .ranges
            .iter()
            .map(|range| u32::from(range.end) - u32::from(range.start) + 1);
        let size: u64 = sizes.map(u64::from).sum();
        // From a place that follows from the interface, so that it has the same address when all is forgotten.
        let start = mac.0.iter().fold(0_u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
        let place = |step: u64| (start.wrapping_add(step)) % size;
        // Never given ones first: who comes back finds its own.
        let mut used = None;
        for address in (0..size).filter_map(|step| self.at(place(step))) {
            if suits(&address) {
                if !self.leases.contains_key(&address) {
                    return Some(address);
                }
                used = used.or(Some(address));
            }
        }
        used
    }

    /// The address of this place in the ranges.
    fn at(&self, mut place: u64) -> Option<Ipv4Addr> {
        for range in &self.ranges {
            let size = u64::from(u32::from(range.end) - u32::from(range.start)) + 1;
            if place < size {
                return Some(Ipv4Addr::from(u32::from(range.start) + place as u32));
            }
            place -= size;
        }
        None
    }

    pub(super) fn offer(&mut self, now: Instant, address: Ipv4Addr, client: &[u8], mac: EthernetAddress) {
        let is_bound = self
            .leases
            .get(&address)
            .is_some_and(|lease| lease.client == client && lease.state == State::Bound && lease.until > now);
        if !is_bound {
            self.set(address, client, mac, None, State::Offered, now + OFFERED);
        }
    }

    pub(super) fn bind(
        &mut self,
        address: Ipv4Addr,
        client: &[u8],
        mac: EthernetAddress,
        name: Option<String>,
        until: Instant,
    ) {
        self.set(address, client, mac, name, State::Bound, until);
    }

    fn set(
        &mut self,
        address: Ipv4Addr,
        client: &[u8],
        mac: EthernetAddress,
        name: Option<String>,
        state: State,
        until: Instant,
    ) {
        // A client has one address.
        self.leases.retain(|other, lease| {
            *other == address || lease.client != client || lease.state == State::Declined
        });
        let of_mac = self
            .leases
            .iter()
            .filter(|(other, lease)| lease.mac == mac && **other != address);
        let of_mac: Vec<(Instant, Ipv4Addr)> = of_mac.map(|(other, lease)| (lease.until, *other)).collect();
        if of_mac.len() >= MAX_OF_MAC
            && let Some((_, oldest)) = of_mac.into_iter().min()
        {
            self.leases.remove(&oldest);
        }
        let lease = Lease {
            client: client.to_vec(),
            mac,
            name,
            state,
            until,
        };
        self.leases.insert(address, lease);
    }

    pub(super) fn release(&mut self, now: Instant, address: Ipv4Addr, client: &[u8]) {
        if let Some(lease) = self.leases.get_mut(&address)
            && lease.client == client
            && lease.state != State::Declined
        {
            lease.until = now;
        }
    }

    /// Gives the address to nobody for a while. `false` if it was not this client's.
    pub(super) fn decline(&mut self, now: Instant, address: Ipv4Addr, client: &[u8]) -> bool {
        match self.leases.get_mut(&address) {
            Some(lease) if lease.client == client && lease.state != State::Declined => {
                lease.state = State::Declined;
                lease.until = now + DECLINED;
                true
            }
            _ => false,
        }
    }
}
