//! The DHCP server of a network (RFC 2131): the only one in it, so that it answers for every address.

mod leases;
mod message;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpMessageType, EthernetAddress};

use crate::config::{NetworkConfig, NetworkType, text};
use crate::log::Event;
use leases::{Leases, State};
use message::code;
pub(crate) use message::{Reply, Request};

/// An address that was given to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseInfo {
    /// The address.
    pub address: Ipv4Addr,
    /// The host's interface.
    #[serde(with = "text::mac")]
    pub mac: EthernetAddress,
    /// The name that it says it has.
    pub name: Option<String>,
    /// Until when it has the address, in microseconds on the clock that the fabric is driven by.
    pub until_us: i64,
}

/// Where an answer goes (RFC 2131, 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To all, as the client has no address or asks for that.
    All,
    /// To the client's interface, at this address.
    Client(Ipv4Addr),
}

/// What the server does about a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The answer.
    pub(crate) reply: Option<(Destination, Reply)>,
    /// What a person may want to know.
    pub(crate) event: Option<Event>,
}

/// The server.
pub(crate) struct Dhcp {
    network: NetworkConfig,
    leases: Leases,
}

impl Dhcp {
    pub(crate) fn new(network: &NetworkConfig) -> Self {
        Self {
            network: network.clone(),
            leases: Leases::new(network),
        }
    }

    /// Goes on with another configuration.
    pub(crate) fn reconfigure(&mut self, network: &NetworkConfig) {
        self.network = network.clone();
        self.leases.reconfigure(network);
    }

    /// The addresses that hosts have.
    pub(crate) fn leases(&self, now: Instant) -> impl Iterator<Item = LeaseInfo> {
        let bound = self
            .leases
            .iter(now)
            .filter(|(_, lease)| lease.state == State::Bound);
        bound.map(|(address, lease)| LeaseInfo {
            address,
            mac: lease.mac,
            name: lease.name.clone(),
            until_us: lease.until.total_micros(),
        })
    }

    /// The interface that an address belongs to, if it was given to one or is kept for one.
    pub(crate) fn owner(&self, now: Instant, address: Ipv4Addr) -> Option<EthernetAddress> {
        self.leases.owner(now, address)
    }

    /// Answers a message. `is_taken` tells which addresses others than its sender are seen to use.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        request: &Request,
        is_taken: impl Fn(Ipv4Addr) -> bool,
    ) -> Outcome {
        if request.relay.is_some() {
            // Our addresses are those of this network, which needs no relay.
            return Outcome::default();
        }
        match request.kind {
            DhcpMessageType::Discover => self.offer(now, request, is_taken),
            DhcpMessageType::Request => self.confirm(now, request, is_taken),
            DhcpMessageType::Decline => self.decline(now, request),
            DhcpMessageType::Release => {
                if let Some(address) = request.has {
                    self.leases.release(now, address, &request.client);
                }
                Outcome::default()
            }
            DhcpMessageType::Inform => self.inform(request),
            _ => Outcome::default(),
        }
    }

    fn offer(&mut self, now: Instant, request: &Request, is_taken: impl Fn(Ipv4Addr) -> bool) -> Outcome {
        let (client, mac) = (&request.client, request.mac);
        let Some(address) = self.leases.choose(now, client, mac, request.requested, is_taken) else {
            return Outcome {
                event: Some(Event::NoAddress { mac }),
                ..Outcome::default()
            };
        };
        self.leases.offer(now, address, client, mac);
        self.answer(request, DhcpMessageType::Offer, address)
    }

    fn confirm(&mut self, now: Instant, request: &Request, is_taken: impl Fn(Ipv4Addr) -> bool) -> Outcome {
        let own = self.network.gateway();
        let client = &request.client;
        if request.server.is_some_and(|server| server != own) {
            // It has chosen another server's offer.
            if let Some((address, lease)) = self.leases.of(client)
                && lease.state == State::Offered
            {
                self.leases.release(now, address, client);
            }
            return Outcome::default();
        }
        // After an offer or a restart it names the address, later it has it.
        let Some(address) = request.requested.or(request.has) else {
            return Outcome::default();
        };
        let was_offered = self
            .leases
            .of(client)
            .is_some_and(|(known, lease)| known == address && lease.until > now);
        let suits = self.leases.may_have(address, request.mac)
            && self.leases.is_free_for(now, address, client)
            && (was_offered || (request.server.is_none() && !is_taken(address)));
        if !suits {
            return self.refuse();
        }
        let is_new = !self
            .leases
            .iter(now)
            .any(|(known, lease)| known == address && lease.client == *client && lease.state == State::Bound);
        let name = self.name_of(request);
        let until = now + Duration::from_secs(u64::from(self.lease_seconds()));
        self.leases
            .bind(address, client, request.mac, name.clone(), until);
        let mut outcome = self.answer(request, DhcpMessageType::Ack, address);
        if is_new {
            let mac = request.mac;
            outcome.event = Some(Event::Leased { mac, address, name });
        }
        outcome
    }

    fn refuse(&self) -> Outcome {
        let text = "this address is not yours in this network";
        let reply = Reply {
            kind: DhcpMessageType::Nak,
            gives: None,
            options: vec![
                (code::SERVER, self.network.gateway().octets().to_vec()),
                (code::MESSAGE, text.as_bytes().to_vec()),
            ],
        };
        Outcome {
            reply: Some((Destination::All, reply)),
            event: None,
        }
    }

    fn decline(&mut self, now: Instant, request: &Request) -> Outcome {
        let Some(address) = request.requested else {
            return Outcome::default();
        };
        let is_own = self.leases.decline(now, address, &request.client);
        let mac = request.mac;
        Outcome {
            reply: None,
            event: is_own.then_some(Event::Declined { mac, address }),
        }
    }

    /// Tells a host that has given itself an address what else there is to know (RFC 2131, 4.3.5).
    fn inform(&self, request: &Request) -> Outcome {
        let Some(address) = request.has else {
            return Outcome::default();
        };
        let reply = Reply {
            kind: DhcpMessageType::Ack,
            gives: None,
            options: self.options(request, false),
        };
        Outcome {
            reply: Some((Destination::Client(address), reply)),
            event: None,
        }
    }

    fn answer(&self, request: &Request, kind: DhcpMessageType, address: Ipv4Addr) -> Outcome {
        let reply = Reply {
            kind,
            gives: Some(address),
            options: self.options(request, true),
        };
        let destination = match request.has {
            Some(has) => Destination::Client(has),
            None if request.broadcast => Destination::All,
            None => Destination::Client(address),
        };
        Outcome {
            reply: Some((destination, reply)),
            event: None,
        }
    }

    fn lease_seconds(&self) -> u32 {
        self.network.dhcp.as_ref().map_or(3600, |dhcp| dhcp.lease_seconds)
    }

    /// The name that the address's owner has, by our word or by its own.
    fn name_of(&self, request: &Request) -> Option<String> {
        let leases = self.network.dhcp.iter().flat_map(|dhcp| &dhcp.leases);
        let mut own = leases.filter(|lease| lease.mac == request.mac);
        own.next()
            .and_then(|lease| lease.name.clone())
            .or_else(|| request.host_name.clone())
    }

    /// What the client is told, the most important first.
    fn options(&self, request: &Request, with_lease: bool) -> Vec<(u8, Vec<u8>)> {
        let network = &self.network;
        let own = network.gateway();
        let mut options = vec![(code::SERVER, own.octets().to_vec())];
        if with_lease {
            let seconds = self.lease_seconds();
            // RFC 2131, 4.4.5.
            let times = [
                (code::LEASE_TIME, seconds),
                (code::RENEWAL, seconds / 2),
                (code::REBINDING, (u64::from(seconds) * 7 / 8) as u32),
            ];
            options.extend(times.map(|(code, seconds)| (code, seconds.to_be_bytes().to_vec())));
        }
        options.push((code::MASK, network.cidr.netmask().octets().to_vec()));
        let custom = network.dhcp.iter().flat_map(|dhcp| &dhcp.options);
        let custom: Vec<(u8, Vec<u8>)> = custom.map(|option| (option.code, option.value.bytes())).collect();
        let is_wanted = |code: u8| {
            request
                .wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&code))
        };
        let mut standard = Vec::new();
        if network.kind != NetworkType::Isolated {
            standard.push((code::ROUTER, own.octets().to_vec()));
        }
        if let Some(dns) = &network.dns {
            let servers = if dns.servers.is_empty() {
                vec![own]
            } else {
                dns.servers.clone()
            };
            standard.push((code::DNS, servers.iter().flat_map(Ipv4Addr::octets).collect()));
            standard.push((code::DOMAIN, network.domain().into_bytes()));
        }
        if let Some(broadcast) = network.cidr.broadcast() {
            standard.push((code::BROADCAST, broadcast.octets().to_vec()));
        }
        if let Some(name) = self.name_of(request).filter(|_| is_wanted(code::HOST_NAME)) {
            standard.push((code::HOST_NAME, name.into_bytes()));
        }
        if network.mtu != 1500 {
            standard.push((code::MTU, network.mtu.to_be_bytes().to_vec()));
        }
        if network.dns.is_some() && is_wanted(code::SEARCH) {
            standard.push((code::SEARCH, encoded(&network.domain())));
        }
        standard.retain(|(code, _)| !custom.iter().any(|(other, _)| other == code));
        options.extend(standard);
        options.extend(custom.into_iter().filter(|(code, _)| is_wanted(*code)));
        options
    }
}

/// A name as DNS writes it (RFC 3397).
fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
