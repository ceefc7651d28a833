//! The router between networks: routes, address translation, and the firewall.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use smoltcp::wire::Ipv4Cidr;

use super::network::{NetworkId, PortRange};
use super::text;

/// What the router does, as a person defines it. Its interfaces are those of the networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RouterConfig {
    /// Routes besides those to the networks themselves.
    pub routes: Vec<Route>,
    /// Address translation.
    pub nat: NatConfig,
    /// What may pass.
    pub firewall: FirewallConfig,
}

/// A way to addresses that are in no network of the router's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The addresses.
    #[serde(with = "text")]
    pub destination: Ipv4Cidr,
    /// The host that takes packets to them, in one of the router's networks.
    pub gateway: Ipv4Addr,
}

/// Address translation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NatConfig {
    /// Ports of the router's addresses that are those of hosts behind it.
    pub forwards: Vec<PortForward>,
}

/// A port of the router's that is a host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortForward {
    /// [`Protocol::Tcp`] or [`Protocol::Udp`].
    pub protocol: Protocol,
    /// Those of this network only may use it; all, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NetworkId>,
    /// The port of the router's.
    pub port: u16,
    /// The host.
    pub address: Ipv4Addr,
    /// The host's port.
    pub to_port: u16,
}

/// A protocol over IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
}

/// What may pass the router.
///
/// Rules are tried in order for the first packet of each flow, and the first one that matches decides; what belongs to a flow
/// that was let through passes in both directions, ICMP errors about it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FirewallConfig {
    /// The rules.
    pub rules: Vec<FirewallRule>,
    /// What becomes of what no rule matches between networks and to the outside. What goes to the router itself passes.
    pub default_policy: Action,
}

impl Default for FirewallConfig {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            default_policy: Action::Accept,
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It passes.
    Accept,
    /// It is gone, and nobody is told.
    Drop,
    /// It is gone, and its sender is told: TCP by a reset, all else by ICMP.
    Reject,
}

/// A rule. What it does not name matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FirewallRule {
    /// Name shown to people.
    #[serde(default)]
    pub name: String,
    /// What becomes of what matches.
    pub action: Action,
    /// Whether it is tried at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where packets come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Zone>,
    /// Where they go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Zone>,
    /// Their source addresses.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub source: Option<Ipv4Cidr>,
    /// Their destination addresses, behind port forwards.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub destination: Option<Ipv4Cidr>,
    /// Their protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Their destination ports. Packets without ports match only if this is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRange>,
    /// Whether what matches is logged. What is dropped or rejected always is.
    #[serde(default)]
    pub log: bool,
}

fn yes() -> bool {
    true
}

impl FirewallRule {
    /// A rule that matches everything.
    pub fn new(action: Action) -> Self {
        Self {
            name: String::new(),
            action,
            enabled: true,
            from: None,
            to: None,
            source: None,
            destination: None,
            protocol: None,
            ports: Vec::new(),
            log: false,
        }
    }
}

/// Where a packet comes from or goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// A network.
    Network(NetworkId),
    /// The router itself.
    Router,
    /// The outside.
    Outside,
}
