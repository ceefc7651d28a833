//! What a person sets: networks and the router between them, as JSON with the seed's names.
//!
//! Each has a `check` that tells what cannot be and why; the fabric takes nothing that fails it.

mod check;
mod network;
mod router;
pub(crate) mod text;

pub use check::ConfigError;
pub(crate) use check::{is_label, is_name, overlap};
pub use network::{
    AddressRange, AllowRule, DhcpConfig, DhcpOption, DhcpValue, DnsConfig, DnsData, DnsRecord, NetworkConfig,
    NetworkId, NetworkType, PortRange, StaticLease, default_networks,
};
pub use router::{
    Action, FirewallConfig, FirewallRule, NatConfig, PortForward, Protocol, Route, RouterConfig, Zone,
};
