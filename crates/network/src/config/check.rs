//! Whether what a person has set can be.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use smoltcp::wire::Ipv4Cidr;
use thiserror::Error;

use super::network::{DhcpConfig, DnsConfig, DnsData, NetworkConfig};
use super::router::{Protocol, RouterConfig};

/// Something that cannot be in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: expected {expected}, found {found}")]
pub struct ConfigError {
    /// Where it stands, as in JSON.
    pub path: String,
    /// What could be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

fn wrong(path: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> ConfigError {
    let mut found = found.to_string();
    if let Some((end, _)) = found.char_indices().nth(80) {
        found.truncate(end);
    }
    ConfigError {
        path: path.into(),
        expected: expected.into(),
        found,
    }
}

/// Most entries of any list.
const MAX_ENTRIES: usize = 1000;

fn short<T>(path: &str, list: &[T]) -> Result<(), ConfigError> {
    if list.len() > MAX_ENTRIES {
        return Err(wrong(path, format!("at most {MAX_ENTRIES} entries"), list.len()));
    }
    Ok(())
}

impl NetworkConfig {
    /// Whether it can be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let id = &self.id.0;
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 63 || !id.chars().all(is_id) {
            return Err(wrong("id", "1 to 63 letters, digits, “-” and “_”", id));
        }
        if self.name.is_empty() || self.name.len() > 200 {
            return Err(wrong("name", "1 to 200 bytes", self.name.len()));
        }
        let cidr = self.cidr;
        if !(8..=30).contains(&cidr.prefix_len()) {
            return Err(wrong("cidr", "a prefix of 8 to 30 bits", cidr));
        }
        if cidr != cidr.network() {
            let expected = format!("the network's first address, as in {}", cidr.network());
            return Err(wrong("cidr", expected, cidr));
        }
        let first = cidr.address();
        if first.is_multicast() || first.is_loopback() || first.octets()[0] == 0 || first.octets()[0] >= 240 {
            return Err(wrong("cidr", "addresses that hosts can have", cidr));
        }
        if self.kind.has_router() {
            self.check_host("gateway", self.gateway())?;
        }
        if !(1280..=9000).contains(&self.mtu) {
            return Err(wrong("mtu", "1280 to 9000", self.mtu));
        }
        if let Some(dhcp) = &self.dhcp {
            self.check_dhcp(dhcp)?;
        }
        if let Some(dns) = &self.dns {
            check_dns(dns)?;
        }
        short("outside", &self.outside)?;
        for (place, rule) in self.outside.iter().enumerate() {
            let name = rule.host.strip_prefix("*.").unwrap_or(&rule.host);
            if rule.host != "*" && !is_name(name) {
                let path = format!("outside[{place}].host");
                return Err(wrong(
                    path,
                    "a name, “*.” and a name, an address, or “*”",
                    &rule.host,
                ));
            }
            check_ranges(&format!("outside[{place}].ports"), &rule.ports)?;
        }
        Ok(())
    }

    /// Whether a host of this network can have this address.
    fn check_host(&self, path: &str, address: Ipv4Addr) -> Result<(), ConfigError> {
        let cidr = self.cidr;
        if !cidr.contains_addr(&address) || address == cidr.address() || Some(address) == cidr.broadcast() {
            return Err(wrong(path, format!("an address of a host in {cidr}"), address));
        }
        Ok(())
    }

    fn check_dhcp(&self, dhcp: &DhcpConfig) -> Result<(), ConfigError> {
        if !self.kind.has_router() {
            return Err(wrong("dhcp", "none in a bridge, which has no router", "some"));
        }
        if !(60..=31_536_000).contains(&dhcp.lease_seconds) {
            return Err(wrong("dhcp.leaseSeconds", "60 to 31,536,000", dhcp.lease_seconds));
        }
        short("dhcp.ranges", &dhcp.ranges)?;
        for (place, range) in dhcp.ranges.iter().enumerate() {
            self.check_host(&format!("dhcp.ranges[{place}].start"), range.start)?;
            self.check_host(&format!("dhcp.ranges[{place}].end"), range.end)?;
            if range.start > range.end {
                let expected = format!("an address from {} on", range.start);
                return Err(wrong(format!("dhcp.ranges[{place}].end"), expected, range.end));
            }
        }
        short("dhcp.leases", &dhcp.leases)?;
        let (mut macs, mut addresses) = (BTreeSet::new(), BTreeSet::from([self.gateway()]));
        for (place, lease) in dhcp.leases.iter().enumerate() {
            let path = format!("dhcp.leases[{place}]");
            self.check_host(&format!("{path}.address"), lease.address)?;
            if !addresses.insert(lease.address) {
                return Err(wrong(
                    format!("{path}.address"),
                    "an address that is not taken",
                    lease.address,
                ));
            }
            if !lease.mac.is_unicast() || !macs.insert(lease.mac) {
                return Err(wrong(
                    format!("{path}.mac"),
                    "an interface's address, once",
                    lease.mac,
                ));
            }
            if let Some(name) = lease.name.as_ref().filter(|name| !is_label(name)) {
                return Err(wrong(format!("{path}.name"), "a name without dots", name));
            }
        }
        short("dhcp.options", &dhcp.options)?;
        let mut bytes = 0;
        for (place, option) in dhcp.options.iter().enumerate() {
            let path = format!("dhcp.options[{place}]");
            // Those of the protocol itself (RFC 2132, 9), and of relays (RFC 3046).
            if matches!(option.code, 0 | 50..=59 | 61 | 82 | 255) {
                let expected = "none of DHCP's own, which are 0, 50 to 59, 61, 82 and 255";
                return Err(wrong(format!("{path}.code"), expected, option.code));
            }
            bytes += 2 + option.value.bytes().len();
        }
        if bytes > 800 {
            return Err(wrong("dhcp.options", "at most 800 bytes in all", bytes));
        }
        Ok(())
    }
}

fn check_dns(dns: &DnsConfig) -> Result<(), ConfigError> {
    if let Some(domain) = dns.domain.as_ref().filter(|domain| !is_name(domain)) {
        return Err(wrong("dns.domain", "a name", domain));
    }
    short("dns.servers", &dns.servers)?;
    short("dns.records", &dns.records)?;
    for (place, record) in dns.records.iter().enumerate() {
        let path = format!("dns.records[{place}]");
        if !is_name(&record.name) {
            return Err(wrong(format!("{path}.name"), "a name", &record.name));
        }
        match &record.data {
            DnsData::Cname(name) if !is_name(name) => {
                return Err(wrong(format!("{path}.cname"), "a name", name));
            }
            DnsData::Txt(text) if text.len() > 255 => {
                return Err(wrong(format!("{path}.txt"), "at most 255 bytes", text.len()));
            }
            _ => {}
        }
    }
    Ok(())
}

impl RouterConfig {
    /// Whether it can be, apart from the networks.
    pub fn check(&self) -> Result<(), ConfigError> {
        short("routes", &self.routes)?;
        for (place, route) in self.routes.iter().enumerate() {
            if route.destination != route.destination.network() {
                let path = format!("routes[{place}].destination");
                return Err(wrong(path, "the first address", route.destination));
            }
        }
        short("nat.forwards", &self.nat.forwards)?;
        let mut seen = BTreeSet::new();
        for (place, forward) in self.nat.forwards.iter().enumerate() {
            let path = format!("nat.forwards[{place}]");
            if forward.protocol == Protocol::Icmp {
                return Err(wrong(format!("{path}.protocol"), "“tcp” or “udp”", "“icmp”"));
            }
            if forward.port == 0 || forward.to_port == 0 {
                return Err(wrong(path, "ports from 1 on", 0));
            }
            if !seen.insert((forward.protocol, forward.from.clone(), forward.port)) {
                return Err(wrong(
                    format!("{path}.port"),
                    "a port that is forwarded once",
                    forward.port,
                ));
            }
        }
        short("firewall.rules", &self.firewall.rules)?;
        for (place, rule) in self.firewall.rules.iter().enumerate() {
            let path = format!("firewall.rules[{place}]");
            check_ranges(&format!("{path}.ports"), &rule.ports)?;
            if rule.name.len() > 200 {
                return Err(wrong(
                    format!("{path}.name"),
                    "at most 200 bytes",
                    rule.name.len(),
                ));
            }
            for (field, cidr) in [("source", rule.source), ("destination", rule.destination)] {
                if let Some(cidr) = cidr.filter(|cidr| cidr.prefix_len() > 32) {
                    return Err(wrong(format!("{path}.{field}"), "addresses", cidr));
                }
            }
        }
        Ok(())
    }
}

fn check_ranges(path: &str, ranges: &[super::PortRange]) -> Result<(), ConfigError> {
    short(path, ranges)?;
    match ranges.iter().find(|range| range.first > range.last) {
        Some(range) => Err(wrong(
            path,
            "the lower port first",
            format!("{} to {}", range.first, range.last),
        )),
        None => Ok(()),
    }
}

/// Whether two networks have addresses in common.
pub(crate) fn overlap(a: Ipv4Cidr, b: Ipv4Cidr) -> bool {
    a.contains_subnet(&b) || b.contains_subnet(&a)
}

/// Whether it is a name of hosts (RFC 1123, 2.1); addresses are such names, too.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether it is a part of a name. Services begin with `_`.
pub(crate) fn is_label(label: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=63).contains(&label.len())
        && label.chars().all(is_part)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::super::{DhcpOption, DhcpValue, NetworkType, PortForward, StaticLease, default_networks};
    use super::*;
    use smoltcp::wire::EthernetAddress;

    #[test]
    fn the_default_networks_can_be_and_are_those_of_the_seed() {
        let networks = default_networks();
        let shown: Vec<_> = networks
            .iter()
            .map(|n| (n.id.0.as_str(), n.kind, n.cidr.to_string()))
            .collect();
        assert_eq!(
            shown,
            [
                ("management", NetworkType::Nat, "10.0.0.0/24".to_owned()),
                ("internal", NetworkType::Isolated, "192.168.100.0/24".to_owned()),
                ("dmz", NetworkType::Routed, "172.16.0.0/24".to_owned()),
            ]
        );
        for network in networks {
            network.check().unwrap();
            assert!(
                network.outside.is_empty(),
                "nothing leaves unless a person allows it"
            );
            let json = serde_json::to_string(&network).unwrap();
            assert_eq!(
                serde_json::from_str::<NetworkConfig>(&json).unwrap(),
                network,
                "{json}"
            );
        }
    }

    #[test]
    fn what_cannot_be_is_named_by_its_path() {
        let refused = |change: fn(&mut NetworkConfig)| {
            let mut network = default_networks().swap_remove(0);
            change(&mut network);
            network.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|network| network.cidr = "10.0.0.1/24".parse().unwrap()),
            "cidr: expected the network's first address, as in 10.0.0.0/24, found 10.0.0.1/24"
        );
        assert_eq!(
            refused(|network| network.gateway = Some(Ipv4Addr::new(10, 0, 0, 255))),
            "gateway: expected an address of a host in 10.0.0.0/24, found 10.0.0.255"
        );
        let lease = |network: &mut NetworkConfig, address: [u8; 4]| {
            network.dhcp.as_mut().unwrap().leases.push(StaticLease {
                mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
                address: address.into(),
                name: None,
            });
        };
        assert_eq!(
            refused(|network| {
                let dhcp = network.dhcp.as_mut().unwrap();
                let value = DhcpValue::U32(1);
                dhcp.options.push(DhcpOption { code: 51, value });
            }),
            "dhcp.options[0].code: expected none of DHCP's own, which are 0, 50 to 59, 61, 82 and 255, found 51"
        );
        let mut network = default_networks().swap_remove(0);
        lease(&mut network, [10, 0, 0, 1]);
        assert_eq!(
            network.check().unwrap_err().to_string(),
            "dhcp.leases[0].address: expected an address that is not taken, found 10.0.0.1"
        );
    }

    #[test]
    fn a_port_is_forwarded_once() {
        let mut router = RouterConfig::default();
        let forward = PortForward {
            protocol: Protocol::Tcp,
            from: None,
            port: 80,
            address: Ipv4Addr::new(10, 0, 0, 5),
            to_port: 8080,
        };
        router.nat.forwards = vec![forward.clone(), forward];
        assert_eq!(
            router.check().unwrap_err().to_string(),
            "nat.forwards[1].port: expected a port that is forwarded once, found 80"
        );
    }
}
