//! Why a fabric cannot do what it is asked for.

use std::net::Ipv4Addr;

use thiserror::Error;

use crate::config::{ConfigError, NetworkId};
use crate::link::ImpairmentsError;
use crate::switch::PortId;

/// Why a fabric cannot do what it is asked for.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FabricError {
    /// A configuration cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Impairments cannot be.
    #[error(transparent)]
    Impairments(#[from] ImpairmentsError),
    /// The router cannot tell two networks apart.
    #[error("the network “{network}” ({cidr}) has addresses of “{other}” ({other_cidr}): choose others")]
    Overlap {
        /// The network.
        network: NetworkId,
        /// Its addresses.
        cidr: String,
        /// The one that has them already.
        other: NetworkId,
        /// Its addresses.
        other_cidr: String,
    },
    /// There is no such network.
    #[error("there is no network “{network}”")]
    NoNetwork {
        /// The name.
        network: NetworkId,
    },
    /// There is no such port.
    #[error("there is no port {}", port.0)]
    NoPort {
        /// The number.
        port: PortId,
    },
    /// Two interfaces of one network would have one address.
    #[error("the network “{network}” has an interface with the address {mac} already, of “{vm}”")]
    TakenAddress {
        /// The network.
        network: NetworkId,
        /// The address.
        mac: String,
        /// The VM that has it.
        vm: String,
    },
    /// An interface's address has to be one host's.
    #[error("expected the address of one interface, found {mac}")]
    NoAddress {
        /// The address.
        mac: String,
    },
    /// There is no room for more.
    #[error("expected at most {most} {what}: remove one that is not needed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there can be.
        most: usize,
    },
    /// A host cannot be connected to.
    #[error(
        "expected a host in the network “{network}” and room for a connection, found {address}, port {port}"
    )]
    NoWay {
        /// The network.
        network: NetworkId,
        /// The host's address.
        address: Ipv4Addr,
        /// The port.
        port: u16,
    },
}
