//! What is told of networks, router and ports.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use super::{Fabric, Way};
use crate::config::{NetworkConfig, NetworkId, RouterConfig, Zone, text};
use crate::dhcp::LeaseInfo;
use crate::firewall::FirewallCounters;
use crate::flow::{Flow, State};
use crate::link::LinkStats;
use crate::log::PacketInfo;
use crate::router::RouterStats;
use crate::switch::{Count, PortId, PortStats};

/// Most flows that are told of.
const MAX_FLOWS: usize = 1000;

/// A network, and the VMs in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualNetwork {
    /// As a person has defined it.
    #[serde(flatten)]
    pub config: NetworkConfig,
    /// The VMs' interfaces in it.
    pub interfaces: Vec<VirtualInterface>,
}

/// An interface of a VM's in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualInterface {
    /// Its port.
    pub port: PortId,
    /// The VM.
    pub vm_id: String,
    /// Which of the VM's interfaces, from 0.
    pub interface: u32,
    /// The name by which others find it.
    pub name: String,
    /// Its address.
    #[serde(with = "text::mac")]
    pub mac: EthernetAddress,
    /// The IPv4 address that it was given, or was seen to use.
    pub address: Option<Ipv4Addr>,
    /// Whether its cable is plugged in.
    pub up: bool,
}

/// A network's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkState {
    /// The network.
    pub network: VirtualNetwork,
    /// The addresses that were given out.
    pub leases: Vec<LeaseInfo>,
    /// What went through each port.
    pub ports: Vec<(PortId, PortStats)>,
    /// What became of frames on each cable, from the VM and to it.
    pub links: Vec<(PortId, LinkStats, LinkStats)>,
    /// What went through the router's interface.
    pub router: RouterStats,
}

/// The router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualRouter {
    /// As a person has defined it.
    #[serde(flatten)]
    pub config: RouterConfig,
    /// Its interfaces.
    pub interfaces: Vec<RouterInterface>,
    /// What each of the firewall's rules has seen, and its default last.
    pub counters: Vec<FirewallCounters>,
    /// The flows through it, at most 1000.
    pub flows: Vec<FlowInfo>,
}

/// An interface of the router's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterInterface {
    /// In which network.
    pub network: NetworkId,
    /// Its MAC address.
    #[serde(with = "text::mac")]
    pub mac: EthernetAddress,
    /// Its IPv4 address.
    pub address: Ipv4Addr,
    /// Its IPv6 address, if the network has IPv6.
    pub address6: Option<Ipv6Addr>,
}

/// A flow through the router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowInfo {
    /// From where.
    pub from: Zone,
    /// To where.
    pub to: Zone,
    /// Its first packet, as it came.
    pub original: PacketInfo,
    /// What is answered; with address translation, not just the other way round.
    pub reply: PacketInfo,
    /// Whether something was answered, and for TCP, whether both have spoken.
    pub established: bool,
    /// In the direction of the first packet.
    pub sent: Count,
    /// In the other.
    pub received: Count,
}

impl From<&Flow> for FlowInfo {
    fn from(flow: &Flow) -> Self {
        Self {
            from: flow.from.clone(),
            to: flow.to.clone(),
            original: flow.original.into(),
            reply: flow.reply.into(),
            established: matches!(flow.state, State::Established | State::Replied(_)),
            sent: flow.sent,
            received: flow.received,
        }
    }
}

impl Fabric {
    /// The networks, in the order of their names.
    pub fn networks(&self) -> impl Iterator<Item = &NetworkConfig> {
        self.networks.values().map(|network| &network.config)
    }

    /// A network's state.
    pub fn network(&self, now: Instant, id: &NetworkId) -> Option<NetworkState> {
        let network = self.networks.get(id)?;
        let leases = self.router.leases(now, id);
        let seen = self.router.neighbours(now, id);
        let of_network = self
            .ports
            .iter()
            .filter(|(_, port)| port.network.as_ref() == Some(id));
        let interface = |(port, state): (&PortId, &super::Port)| {
            let lease = leases.iter().find(|lease| lease.mac == state.mac);
            let seen = seen.iter().find(|(_, mac)| *mac == state.mac);
            VirtualInterface {
                port: *port,
                vm_id: state.vm_id.clone(),
                interface: state.interface,
                name: state.name.clone(),
                mac: state.mac,
                address: lease
                    .map(|lease| lease.address)
                    .or(seen.map(|(address, _)| *address)),
                up: state.is_up(),
            }
        };
        let links = of_network.clone().filter_map(|(port, _)| {
            let of = |way| self.link_stats(*port, way);
            Some((*port, of(Way::FromVm)?, of(Way::ToVm)?))
        });
        let ports = network
            .switch
            .ports()
            .filter_map(|port| Some((port, *network.switch.stats(port)?)));
        Some(NetworkState {
            network: VirtualNetwork {
                config: network.config.clone(),
                interfaces: of_network.clone().map(interface).collect(),
            },
            ports: ports.collect(),
            links: links.collect(),
            router: self.router.stats(id),
            leases,
        })
    }

    /// The router's state.
    pub fn router(&self, now: Instant) -> VirtualRouter {
        let interfaces = self.networks.keys().filter_map(|id| {
            let interface = self.router.interface(id)?;
            Some(RouterInterface {
                network: id.clone(),
                mac: interface.mac,
                address: interface.address(),
                address6: interface.network.ipv6.then(|| interface.address6()),
            })
        });
        VirtualRouter {
            config: self.router.config().clone(),
            interfaces: interfaces.collect(),
            counters: self.router.counters().to_vec(),
            flows: self
                .router
                .flows(now)
                .take(MAX_FLOWS)
                .map(FlowInfo::from)
                .collect(),
        }
    }

    /// How many frames of a port pretended to be somebody else's.
    pub fn pretended(&self, port: PortId) -> u64 {
        self.ports.get(&port).map_or(0, |port| port.pretended)
    }
}
