//! A network: of what type it is, its addresses, and what the router does for those in it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use smoltcp::wire::{EthernetAddress, Ipv4Cidr};

use super::text;

/// Names a network, as `management`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(pub String);

impl From<&str> for NetworkId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may pass between a network and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkType {
    /// A switch alone, without a router: those in it bring what they need.
    Bridge,
    /// Those in it reach other networks and, as far as that is allowed, the outside, with the router's address for theirs.
    /// Nobody reaches them but through port forwards.
    Nat,
    /// They reach each other and the router's services (DHCP, DNS), and nothing else.
    Isolated,
    /// They and those of other networks reach each other by their own addresses.
    Routed,
}

impl NetworkType {
    /// Whether the router has an interface in such a network.
    pub(crate) fn has_router(self) -> bool {
        self != Self::Bridge
    }
}

/// A network, as a person defines it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkConfig {
    /// Names it: 1 to 63 letters, digits, `-` and `_`.
    pub id: NetworkId,
    /// Name shown to people.
    pub name: String,
    /// What may pass between it and others.
    #[serde(rename = "type")]
    pub kind: NetworkType,
    /// Its IPv4 addresses, of 4 or more.
    #[serde(with = "text")]
    pub cidr: Ipv4Cidr,
    /// The router's address in it; the first one, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// Whether and how addresses are given out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<DhcpConfig>,
    /// Whether and how names are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsConfig>,
    /// Whether the router announces an IPv6 prefix, so that hosts give themselves addresses (SLAAC).
    #[serde(default = "yes")]
    pub ipv6: bool,
    /// Most bytes of an IP packet, 1280 to 9000.
    #[serde(default = "mtu")]
    pub mtu: u16,
    /// What may leave for the outside, of a network of the type `nat`: nothing, unless something is here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<AllowRule>,
}

fn yes() -> bool {
    true
}

fn mtu() -> u16 {
    1500
}

impl NetworkConfig {
    /// A network with DHCP and DNS.
    pub fn new(id: &str, name: &str, kind: NetworkType, cidr: Ipv4Cidr) -> Self {
        Self {
            id: id.into(),
            name: name.to_owned(),
            kind,
            cidr,
            gateway: None,
            dhcp: kind.has_router().then(DhcpConfig::default),
            dns: kind.has_router().then(DnsConfig::default),
            ipv6: kind.has_router(),
            mtu: mtu(),
            outside: Vec::new(),
        }
    }

    /// The router's address.
    pub fn gateway(&self) -> Ipv4Addr {
        let first = || Ipv4Addr::from(u32::from(self.cidr.network().address()).saturating_add(1));
        self.gateway.unwrap_or_else(first)
    }

    /// The domain of the names in it.
    pub fn domain(&self) -> String {
        let told = self.dns.as_ref().and_then(|dns| dns.domain.clone());
        told.unwrap_or_else(|| format!("{}.internal", self.id.0.replace('_', "-")).to_ascii_lowercase())
    }

    /// The addresses that are given out: those of the configuration, or all but the first and the last of the network and the
    /// router's.
    pub(crate) fn ranges(&self) -> Vec<AddressRange> {
        let Some(dhcp) = &self.dhcp else {
            return Vec::new();
        };
        if !dhcp.ranges.is_empty() {
            return dhcp.ranges.clone();
        }
        let first = u32::from(self.cidr.network().address());
        let hosts = 1_u32
            .checked_shl(32 - u32::from(self.cidr.prefix_len()))
            .unwrap_or(0);
        // The first ones are for those that take an address of their own.
        let skipped = if hosts >= 256 { 100 } else { 2 };
        vec![AddressRange {
            start: Ipv4Addr::from(first.saturating_add(skipped.min(hosts / 2))),
            end: Ipv4Addr::from(first.saturating_add(hosts.saturating_sub(2).min(skipped + 65_534))),
        }]
    }
}

/// How addresses are given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DhcpConfig {
    /// From which addresses; most of the network, if none are given.
    pub ranges: Vec<AddressRange>,
    /// Addresses that are kept for one host.
    pub leases: Vec<StaticLease>,
    /// How long an address is given for, in seconds, 60 to 31,536,000.
    pub lease_seconds: u32,
    /// What hosts are told besides; these stand before what the router says by itself.
    pub options: Vec<DhcpOption>,
}

impl Default for DhcpConfig {
    fn default() -> Self {
        Self {
            ranges: Vec::new(),
            leases: Vec::new(),
            lease_seconds: 3600,
            options: Vec::new(),
        }
    }
}

/// Addresses from `start` to `end`, both among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressRange {
    /// The first.
    pub start: Ipv4Addr,
    /// The last.
    pub end: Ipv4Addr,
}

impl AddressRange {
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        (self.start..=self.end).contains(&address)
    }
}

/// An address that is kept for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticLease {
    /// The host's interface.
    #[serde(with = "text::mac")]
    pub mac: EthernetAddress,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its name, which DNS knows then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Something that hosts are told by DHCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DhcpOption {
    /// Its number (RFC 2132), 1 to 254 and none of those that the protocol itself uses.
    pub code: u8,
    /// What is told.
    #[serde(flatten)]
    pub value: DhcpValue,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DhcpValue {
    /// IPv4 addresses.
    Addresses(Vec<Ipv4Addr>),
    /// Text.
    Text(String),
    /// A number of one byte.
    U8(u8),
    /// A number of two bytes.
    U16(u16),
    /// A number of four bytes.
    U32(u32),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl DhcpValue {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Addresses(addresses) => addresses.iter().flat_map(Ipv4Addr::octets).collect(),
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::U8(number) => vec![*number],
            Self::U16(number) => number.to_be_bytes().to_vec(),
            Self::U32(number) => number.to_be_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// How names are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DnsConfig {
    /// What the names of VMs end with; `ID.internal`, if none is given.
    pub domain: Option<String>,
    /// Names that are answered besides those of VMs.
    pub records: Vec<DnsRecord>,
    /// Servers that hosts are to ask in the router's place.
    pub servers: Vec<Ipv4Addr>,
    /// Whether names of the outside are asked of the upstream server. Else each stands for itself, and is resolved by whoever
    /// carries the connection.
    pub upstream: bool,
}

/// A name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecord {
    /// The name; one without a dot is one of the network's domain.
    pub name: String,
    /// What it stands for.
    #[serde(flatten)]
    pub data: DnsData,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Cname(String),
    /// Text, at most 255 bytes.
    Txt(String),
}

/// What may leave for the outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowRule {
    /// A name (`example.org`), all names below one (`*.example.org`), an address, or all (`*`).
    pub host: String,
    /// Ports; all, if none are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRange>,
}

/// Ports from `first` to `last`, both among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// One port.
    pub fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    pub(crate) fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// The networks that there are before a person makes any.
pub fn default_networks() -> Vec<NetworkConfig> {
    let network = |id: &str, name: &str, kind, address: [u8; 4]| {
        NetworkConfig::new(id, name, kind, Ipv4Cidr::new(address.into(), 24))
    };
    vec![
        network("management", "Management", NetworkType::Nat, [10, 0, 0, 0]),
        network("internal", "Internal", NetworkType::Isolated, [192, 168, 100, 0]),
        network("dmz", "DMZ", NetworkType::Routed, [172, 16, 0, 0]),
    ]
}
