//! Virtual networks: what VMs send each other, and what they send to the outside.
//!
//! [`Fabric`] is all of it: networks ([`config`]), each with a [`switch`], a cable to every VM ([`link`]), and the router
//! between them. It does nothing itself: frames, the outside's word and the time go in, and [`Effect`]s come out.
//!
//! | where | what |
//! |---|---|
//! | [`Fabric`] (`fabric`) | what is attached where, in the order of time; who may not pretend to be whom |
//! | [`switch`], [`link`] | learning, VLANs, monitors, storms; delay, loss, rates |
//! | `router` | ARP, IPv4 between networks, ICMP, IPv6 within one |
//! | `flow`, `firewall` | who talks to whom, with whose address, and whether that is allowed |
//! | `dhcp`, `dns` | addresses and names |
//! | `gateway` | connections that leave: TCP ends here and goes on as streams |
//! | [`pcapng`] | frames as a capture |
//! | [`wisp`] | a relay that carries streams |
//! | [`offload`], [`mod@frame`], `packet` | what frames and packets are |
//!
//! Everything that comes from a guest or from outside is hostile: nothing panics on it, and all that is kept is bounded, for
//! each guest as well, so that none takes from others.

mod bucket;
pub mod config;
mod dhcp;
mod dns;
mod fabric;
mod firewall;
mod flow;
pub mod frame;
mod gateway;
pub mod link;
pub mod log;
pub mod mac;
pub mod offload;
mod packet;
pub mod pcapng;
mod router;
pub mod switch;
pub mod wisp;

pub use dhcp::LeaseInfo;
pub use dns::{ResolveId, Resolved};
pub use fabric::{
    Attachment, Effect, Fabric, FabricError, FlowInfo, NetworkState, RouterInterface, VirtualInterface,
    VirtualNetwork, VirtualRouter, Way,
};
pub use firewall::FirewallCounters;
pub use frame::Frame;
pub use gateway::{FromOutside, Host, OutsideId, Refusal, ToOutside};
pub use router::RouterStats;
pub use smoltcp::time::{Duration, Instant};
pub use smoltcp::wire::{EthernetAddress, Ipv4Cidr};
