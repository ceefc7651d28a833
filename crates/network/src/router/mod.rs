//! The router between the networks: what is for it, what goes through it, and what leaves for the outside.
//!
//! | file | what |
//! |---|---|
//! | `forward` | the way of an IPv4 packet: its flow, address translation, the firewall, the next hop |
//! | `refuse` | what senders are told whose packets go nowhere |
//! | `local` | what is for the router itself: ARP, echo, DHCP, DNS |
//! | `dns_tcp` | DNS over TCP |
//! | `v6` | IPv6 within a network: prefixes, neighbours, echo, DNS |
//! | `outward` | what the gateway and the upstream say |
//! | `neighbours`, `fragments`, `icmp` | who has which address, packets in parts, errors |

mod dns_tcp;
mod forward;
mod fragments;
mod icmp;
mod interface;
mod local;
mod neighbours;
mod outward;
mod refuse;
mod v6;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::config::{Action, NetworkConfig, NetworkId, NetworkType, RouterConfig, Zone};
use crate::dhcp::LeaseInfo;
use crate::dns::{Directory, Names, ResolveId, Upstream};
use crate::firewall::{Firewall, FirewallCounters};
use crate::flow::{Flow, FlowLimits, Flows};
use crate::frame::{self, Frame, Header};
use crate::gateway::{Gateway, OutsideId, ToOutside};
use crate::log::{Event, Log};
use crate::offload;
use crate::packet::Packet;
use dns_tcp::DnsStream;
pub(crate) use interface::Interface;
pub use interface::RouterStats;

/// What the router wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Put this frame into a network.
    Frame(NetworkId, Frame),
    /// Tell the outside.
    Outside(ToOutside),
    /// Ask the upstream name server.
    Resolve(ResolveId, NetworkId, Vec<u8>),
}

/// From where a packet came.
#[derive(Clone, Debug)]
struct Arrival {
    network: NetworkId,
    mac: EthernetAddress,
}

/// A VM's interface that the router knows by name.
#[derive(Clone, Debug)]
struct HostName {
    name: String,
}

/// The router. See the module's documentation.
pub(crate) struct Router {
    config: RouterConfig,
    interfaces: BTreeMap<NetworkId, Interface>,
    /// The names of VMs, by network and interface.
    hosts: BTreeMap<(NetworkId, [u8; 6]), HostName>,
    firewall: Firewall,
    flows: Flows,
    gateway: Gateway,
    names: Names,
    upstream: Upstream,
    /// Connections to the name server.
    streams: BTreeMap<OutsideId, DnsStream>,
    pub(crate) log: Log,
    random: fastrand::Rng,
    ident: u16,
    out: VecDeque<Out>,
}

impl Router {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            config: RouterConfig::default(),
            interfaces: BTreeMap::new(),
            hosts: BTreeMap::new(),
            firewall: Firewall::default(),
            flows: Flows::new(FlowLimits::default()),
            gateway: Gateway::new(random.u64(..)),
            names: Names::default(),
            upstream: Upstream::default(),
            streams: BTreeMap::new(),
            log: Log::new(),
            ident: random.u16(..),
            random,
            out: VecDeque::new(),
        }
    }

    /// What is to be done, in order.
    pub(crate) fn next(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// Changes routes, address translation, and the firewall. Flows of port forwards that are gone end.
    pub(crate) fn configure(&mut self, now: Instant, config: RouterConfig) {
        if config.firewall != self.config.firewall {
            self.firewall.set(config.firewall.clone());
            let firewall = &mut self.firewall;
            self.gateway.end_if(|network, tuple| {
                let verdict = firewall.judge(&Zone::Network(network.clone()), &Zone::Outside, tuple, 0);
                verdict.action != Action::Accept
            });
            self.settle_gateway(now);
        }
        if config.nat != self.config.nat {
            let is_gone = |flow: &Flow| {
                flow.original.destination != flow.reply.source
                    && !config.nat.forwards.iter().any(|forward| {
                        (forward.address, forward.to_port) == (flow.reply.source, flow.reply.source_port)
                            && forward.port == flow.original.destination_port
                            && Some(forward.protocol) == flow.original.protocol()
                    })
            };
            self.flows.remove_if(is_gone);
        }
        self.config = config;
    }

    pub(crate) fn config(&self) -> &RouterConfig {
        &self.config
    }

    /// Adds a network, or goes on with another configuration of it: flows that this may have changed end.
    pub(crate) fn set_network(&mut self, now: Instant, network: NetworkConfig) {
        let id = network.id.clone();
        match self.interfaces.get_mut(&id) {
            None => {
                self.interfaces.insert(id, Interface::new(now, network));
            }
            Some(interface) => {
                let before = &interface.network;
                let is_same = (before.kind, before.cidr, before.gateway())
                    == (network.kind, network.cidr, network.gateway());
                let is_outside_same = before.outside == network.outside;
                interface.reconfigure(now, network);
                if !is_same {
                    self.end_flows(now, &id);
                } else if !is_outside_same {
                    // Anew by the new rules, if at all.
                    self.gateway.end_if(|network, _| *network == id);
                    self.settle_gateway(now);
                }
            }
        }
    }

    /// Takes a network away.
    pub(crate) fn remove_network(&mut self, now: Instant, id: &NetworkId) {
        self.interfaces.remove(id);
        self.end_flows(now, id);
        self.upstream.forget(id);
        self.hosts.retain(|(network, _), _| network != id);
    }

    fn end_flows(&mut self, now: Instant, id: &NetworkId) {
        let zone = Zone::Network(id.clone());
        self.flows.remove_if(|flow| flow.from == zone || flow.to == zone);
        self.gateway.end_if(|network, _| network == id);
        self.settle_gateway(now);
    }

    pub(crate) fn interface(&self, network: &NetworkId) -> Option<&Interface> {
        self.interfaces.get(network)
    }

    /// Says which VM an interface in a network is of.
    pub(crate) fn set_host(&mut self, network: &NetworkId, mac: EthernetAddress, name: &str) {
        let label: String = name.to_ascii_lowercase();
        self.hosts
            .insert((network.clone(), mac.0), HostName { name: label });
    }

    pub(crate) fn remove_host(&mut self, network: &NetworkId, mac: EthernetAddress) {
        self.hosts.remove(&(network.clone(), mac.0));
    }

    pub(crate) fn leases(&self, now: Instant, network: &NetworkId) -> Vec<LeaseInfo> {
        let dhcp = self
            .interfaces
            .get(network)
            .and_then(|interface| interface.dhcp.as_ref());
        dhcp.map(|dhcp| dhcp.leases(now).collect()).unwrap_or_default()
    }

    pub(crate) fn stats(&self, network: &NetworkId) -> RouterStats {
        self.interfaces
            .get(network)
            .map(|interface| interface.stats)
            .unwrap_or_default()
    }

    pub(crate) fn neighbours(&self, now: Instant, network: &NetworkId) -> Vec<(Ipv4Addr, EthernetAddress)> {
        let interface = self.interfaces.get(network);
        interface
            .map(|interface| interface.neighbours.known(now).collect())
            .unwrap_or_default()
    }

    pub(crate) fn flows(&self, now: Instant) -> impl Iterator<Item = &Flow> {
        self.flows.iter(now)
    }

    pub(crate) fn counters(&self) -> &[FirewallCounters] {
        self.firewall.counters()
    }

    /// Whether an interface may not use this address in its network, as it is ours or another's.
    pub(crate) fn is_anothers(
        &self,
        now: Instant,
        network: &NetworkId,
        address: Ipv4Addr,
        mac: EthernetAddress,
    ) -> bool {
        let Some(interface) = self.interfaces.get(network) else {
            return false;
        };
        address == interface.address()
            || interface
                .dhcp
                .as_ref()
                .is_some_and(|dhcp| dhcp.owner(now, address).is_some_and(|owner| owner != mac))
    }

    /// Takes a frame from a network.
    pub(crate) fn receive(&mut self, now: Instant, network: &NetworkId, frame: &Frame) {
        let Some(interface) = self.interfaces.get_mut(network) else {
            return;
        };
        let Some(header) = Header::read(frame.bytes()) else {
            return;
        };
        let is_for_us = header.destination == interface.mac || header.destination.is_multicast();
        if !is_for_us || header.tag.is_some() || header.source == interface.mac {
            return;
        }
        let arrival = Arrival {
            network: network.clone(),
            mac: header.source,
        };
        let is_unicast = !header.destination.is_multicast();
        match header.ethertype {
            frame::ARP => self.arp(now, &arrival, &frame.bytes()[header.payload..]),
            frame::IPV4 if frame.offload().segments.is_some() => {
                self.ipv4(now, &arrival, frame, header.payload, is_unicast);
            }
            frame::IPV4 => {
                for frame in offload::resolve(frame) {
                    self.ipv4(now, &arrival, &frame, header.payload, is_unicast);
                }
            }
            frame::IPV6 => {
                for frame in offload::resolve(frame) {
                    self.ipv6(now, &arrival, &frame.bytes()[header.payload..]);
                }
            }
            _ => {}
        }
        self.settle_gateway(now);
    }

    fn ipv4(&mut self, now: Instant, arrival: &Arrival, frame: &Frame, at: usize, is_unicast: bool) {
        let packet = Packet::read(&frame.bytes()[at..], frame.offload().segments);
        let Some(interface) = self.interfaces.get_mut(&arrival.network) else {
            return;
        };
        match packet {
            Some(packet) => {
                interface.stats.received.add(packet.bytes().len());
                self.route(now, arrival, packet, is_unicast);
            }
            None => interface.stats.malformed += 1,
        }
    }

    fn event(&mut self, now: Instant, network: &NetworkId, event: Event) {
        self.log.add(now, network, event);
    }

    fn next_ident(&mut self) -> u16 {
        self.ident = self.ident.wrapping_add(1);
        self.ident
    }

    /// When [`Self::poll`] is due.
    pub(crate) fn poll_at(&self) -> Option<Instant> {
        let own = self.interfaces.values().flat_map(|interface| {
            let times = [
                interface.neighbours.poll_at(),
                interface.fragments.poll_at(),
                interface.announce_at,
            ];
            times.into_iter().flatten()
        });
        own.chain(self.gateway.poll_at())
            .chain(self.upstream.poll_at())
            .min()
    }

    /// Does what time has brought.
    pub(crate) fn poll(&mut self, now: Instant) {
        let networks: Vec<NetworkId> = self.interfaces.keys().cloned().collect();
        for network in networks {
            self.poll_neighbours(now, &network);
            self.poll_fragments(now, &network);
            self.announce(now, &network);
        }
        for finished in self.upstream.poll(now) {
            self.answer_dns(now, finished);
        }
        self.gateway.poll(now);
        self.settle_gateway(now);
    }
}

impl Directory for Interfaces<'_> {
    fn visible_from(&self, network: &NetworkId) -> Vec<&NetworkConfig> {
        let own = self.interfaces.get(network);
        let is_isolated = own.is_none_or(|own| own.network.kind == NetworkType::Isolated);
        let others = self.interfaces.values().filter(|other| {
            !is_isolated && other.network.id != *network && other.network.kind != NetworkType::Isolated
        });
        own.into_iter()
            .chain(others)
            .map(|interface| &interface.network)
            .collect()
    }

    fn address(&self, network: &NetworkId, host: &str) -> Option<Ipv4Addr> {
        let interface = self.interfaces.get(network)?;
        let mut macs = self.macs(network, host);
        let dhcp = interface.dhcp.as_ref();
        let of_mac = |mac: EthernetAddress| {
            let leased = dhcp.and_then(|dhcp| dhcp.leases(self.now).find(|lease| lease.mac == mac));
            let mut seen = interface
                .neighbours
                .known(self.now)
                .filter(|(_, other)| *other == mac);
            leased
                .map(|lease| lease.address)
                .or_else(|| seen.next().map(|(address, _)| address))
        };
        if let Some(address) = macs.find_map(of_mac) {
            return Some(address);
        }
        // What a host calls itself counts only where no VM has that name.
        if self.is_known(network, host) {
            return None;
        }
        let mut leases = dhcp?.leases(self.now);
        leases
            .find(|lease| lease.name.as_deref() == Some(host))
            .map(|lease| lease.address)
    }

    fn is_known(&self, network: &NetworkId, host: &str) -> bool {
        self.macs(network, host).next().is_some()
    }

    fn name(&self, network: &NetworkId, address: Ipv4Addr) -> Option<String> {
        let interface = self.interfaces.get(network)?;
        let dhcp = interface.dhcp.as_ref();
        let lease = dhcp.and_then(|dhcp| dhcp.leases(self.now).find(|lease| lease.address == address));
        let mut seen = interface
            .neighbours
            .known(self.now)
            .filter(|(other, _)| *other == address);
        let mac = lease
            .as_ref()
            .map(|lease| lease.mac)
            .or_else(|| seen.next().map(|(_, mac)| mac))?;
        let host = self
            .hosts
            .get(&(network.clone(), mac.0))
            .map(|host| host.name.clone());
        host.or_else(|| lease.and_then(|lease| lease.name))
    }
}

/// What of the router answers names.
struct Interfaces<'a> {
    now: Instant,
    interfaces: &'a BTreeMap<NetworkId, Interface>,
    hosts: &'a BTreeMap<(NetworkId, [u8; 6]), HostName>,
}

impl Interfaces<'_> {
    /// The interfaces of VMs of this name.
    fn macs(&self, network: &NetworkId, host: &str) -> impl Iterator<Item = EthernetAddress> {
        let from = (network.clone(), [0; 6]);
        let of_network = self
            .hosts
            .range(from..)
            .take_while(move |((of, _), _)| of == network);
        of_network
            .filter(move |(_, other)| other.name == host)
            .map(|((_, mac), _)| EthernetAddress(*mac))
    }
}
