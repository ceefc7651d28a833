//! What the networks themselves know: VMs, the router, and the records that a person has set.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::question::{Question, kind};
use super::{Directory, RANGE};
use crate::config::{DnsData, DnsRecord, NetworkConfig};

/// Most aliases that are followed.
const MAX_ALIASES: usize = 8;

/// A record of an answer; its owner is the name that was asked, or the one that the alias before it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Ptr(String),
    Cname(String),
    Txt(String),
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::A(_) => kind::A,
            Self::Aaaa(_) => kind::AAAA,
            Self::Ptr(_) => kind::PTR,
            Self::Cname(_) => 5,
            Self::Txt(_) => 16,
        }
    }
}

/// What is known about a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is ours; there may be no record of the type that was asked for.
    Records(Vec<Record>),
    /// It would be ours, and there is none.
    NoSuchName,
    /// It is not ours.
    Foreign,
}

/// Looks for what is asked, as somebody in `network` sees it.
pub(super) fn find(question: &Question, network: &NetworkConfig, directory: &dyn Directory) -> Found {
    let networks = directory.visible_from(&network.id);
    if let Some(address) = address_of(&question.name) {
        return reverse(address, &networks, directory);
    }
    if question.name == "localhost" || question.name.ends_with(".localhost") {
        // RFC 6761, 6.3.
        return Found::Records(filtered(vec![Record::A(Ipv4Addr::LOCALHOST)], question.kind));
    }
    let mut name = question.name.clone();
    let mut answer = Vec::new();
    for _ in 0..MAX_ALIASES {
        let Some(records) = records(&name, network, &networks, directory) else {
            // An alias of something that others know is answered as such.
            let is_ours = answer.is_empty() && owner(&name, network, &networks).is_some();
            return match (answer.is_empty(), is_ours) {
                (true, true) => Found::NoSuchName,
                (true, false) => Found::Foreign,
                (false, _) => Found::Records(answer),
            };
        };
        let alias = records.iter().find_map(|record| match record {
            Record::Cname(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        match alias {
            Some(alias) if question.kind != 5 => {
                answer.push(Record::Cname(alias.clone()));
                name = alias;
            }
            _ => {
                answer.extend(filtered(records, question.kind));
                break;
            }
        }
    }
    Found::Records(answer)
}

fn filtered(mut records: Vec<Record>, asked: u16) -> Vec<Record> {
    records.retain(|record| asked == kind::ANY || record.kind() == asked);
    records
}

/// The network that a name belongs to, and what it is within that.
fn owner<'a>(
    name: &str,
    network: &'a NetworkConfig,
    networks: &[&'a NetworkConfig],
) -> Option<(&'a NetworkConfig, String)> {
    if !name.contains('.') {
        return Some((network, name.to_owned()));
    }
    networks.iter().find_map(|network| {
        let domain = network.domain();
        if name == domain {
            return Some((*network, String::new()));
        }
        let host = name.strip_suffix(&domain)?.strip_suffix('.')?;
        Some((*network, host.to_owned()))
    })
}

/// All records of a name; `None` if there is no such name here.
fn records(
    name: &str,
    network: &NetworkConfig,
    networks: &[&NetworkConfig],
    directory: &dyn Directory,
) -> Option<Vec<Record>> {
    let mut found = Vec::new();
    for network in networks {
        let domain = network.domain();
        let own = network.dns.iter().flat_map(|dns| &dns.records);
        let of_name = own.filter(|record| is_name_of(record, name, &domain));
        found.extend(of_name.map(|record| match &record.data {
            DnsData::A(address) => Record::A(*address),
            DnsData::Aaaa(address) => Record::Aaaa(*address),
            DnsData::Txt(text) => Record::Txt(text.clone()),
            DnsData::Cname(name) if name.contains('.') => Record::Cname(name.clone()),
            DnsData::Cname(name) => Record::Cname(format!("{name}.{domain}")),
        }));
    }
    let mut exists = !found.is_empty();
    if let Some((network, host)) = owner(name, network, networks) {
        if host == "router" || host == "gateway" {
            found.push(Record::A(network.gateway()));
        } else if let Some(address) = directory.address(&network.id, &host) {
            found.push(Record::A(address));
        } else {
            exists |= host.is_empty() || directory.is_known(&network.id, &host);
        }
    }
    (exists || !found.is_empty()).then_some(found)
}

fn is_name_of(record: &DnsRecord, name: &str, domain: &str) -> bool {
    if record.name.contains('.') {
        return record.name.eq_ignore_ascii_case(name);
    }
    let host = name.strip_suffix(domain).and_then(|host| host.strip_suffix('.'));
    record.name.eq_ignore_ascii_case(host.unwrap_or(name))
}

/// The address that a name of `in-addr.arpa` asks about.
fn address_of(name: &str) -> Option<Ipv4Addr> {
    let reversed = name.strip_suffix(".in-addr.arpa")?;
    let mut octets = [0; 4];
    let mut parts = reversed.split('.');
    for octet in octets.iter_mut().rev() {
        *octet = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

fn reverse(address: Ipv4Addr, networks: &[&NetworkConfig], directory: &dyn Directory) -> Found {
    let mut own = networks.iter();
    if let Some(network) = own.find(|network| network.cidr.contains_addr(&address)) {
        let host = if address == network.gateway() {
            Some("router".to_owned())
        } else {
            directory.name(&network.id, address)
        };
        return match host {
            Some(host) => Found::Records(vec![Record::Ptr(format!("{host}.{}", network.domain()))]),
            None => Found::NoSuchName,
        };
    }
    // Nobody outside knows of these (RFC 6303).
    if address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || RANGE.contains_addr(&address)
    {
        return Found::NoSuchName;
    }
    Found::Foreign
}
