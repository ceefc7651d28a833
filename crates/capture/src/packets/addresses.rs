//! Addresses and ports of conversations: the server's own where the browser told them.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ports;
use crate::exchange::Exchange;
use crate::limits::cut_text;
use crate::url::Url;

/// The page's address, from the ranges for documentation.
const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Servers whose address is not known get one from the range for benchmarks, 198.18.0.0/15.
const UNKNOWN: u32 = 0xc612_0000;
/// How many addresses that range has.
const UNKNOWN_COUNT: u32 = 1 << 17;
/// Most names that are remembered.
const MAX_NAMES: usize = 65_536;
/// Longest name.
const MAX_NAME: usize = 253;

/// The two ends of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

/// Gives out addresses, and remembers which names a section has told.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    conversations: u32,
    unknown: HashMap<String, u32>,
    told: HashSet<(IpAddr, String)>,
}

impl Addresses {
    /// `http2` says whether the conversation will be in HTTP/2.
    pub(super) fn endpoints(&mut self, exchange: &Exchange, url: &Url<'_>, http2: bool) -> Endpoints {
        let host = url.host.trim_start_matches('[').trim_end_matches(']');
        let address = exchange.server_ip.or_else(|| host.parse().ok());
        let address = address.unwrap_or_else(|| self.stand_in(host));
        let client = match address {
            IpAddr::V4(_) => IpAddr::V4(CLIENT_V4),
            IpAddr::V6(_) => IpAddr::V6(CLIENT_V6),
        };
        let port = ports::client(self.conversations);
        self.conversations = self.conversations.wrapping_add(1);
        Endpoints {
            client: SocketAddr::new(client, port),
            server: SocketAddr::new(address, ports::server(url.port_number(), http2)),
        }
    }

    /// An address for a name, the same each time.
    fn stand_in(&mut self, host: &str) -> IpAddr {
        let next = self.unknown.len() as u32;
        let number = match self.unknown.get(host) {
            Some(number) => *number,
            None if self.unknown.len() < MAX_NAMES => *self.unknown.entry(host.to_owned()).or_insert(next),
            None => next,
        };
        IpAddr::V4(Ipv4Addr::from(UNKNOWN + (1 + number) % UNKNOWN_COUNT))
    }

    /// The name to tell for an address, if this section has not told it.
    pub(super) fn untold_name(&mut self, address: IpAddr, host: &str) -> Option<String> {
        let is_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if host.is_empty() || !host.chars().all(is_name) || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let mut name = host.to_owned();
        cut_text(&mut name, MAX_NAME);
        let is_new = self.told.len() < MAX_NAMES && self.told.insert((address, name.clone()));
        is_new.then_some(name)
    }

    pub(super) fn forget_told(&mut self) {
        self.told.clear();
    }
}
