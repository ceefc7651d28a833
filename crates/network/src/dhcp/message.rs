//! DHCP messages as the server reads and writes them (RFC 2131, 2132, 3396).
//!
//! The header is smoltcp's. Options are read here: they may come in parts that stand apart, and go on in the header's `file` and
//! `sname` fields, which libraries at hand do not put together.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use smoltcp::wire::{ArpHardware, DhcpFlags, DhcpMessageType, DhcpPacket, EthernetAddress};

/// Numbers of options (RFC 2132).
pub(super) mod code {
    pub(in super::super) const MASK: u8 = 1;
    pub(in super::super) const ROUTER: u8 = 3;
    pub(in super::super) const DNS: u8 = 6;
    pub(in super::super) const HOST_NAME: u8 = 12;
    pub(in super::super) const DOMAIN: u8 = 15;
    pub(in super::super) const MTU: u8 = 26;
    pub(in super::super) const BROADCAST: u8 = 28;
    pub(in super::super) const REQUESTED: u8 = 50;
    pub(in super::super) const LEASE_TIME: u8 = 51;
    pub(in super::super) const OVERLOAD: u8 = 52;
    pub(in super::super) const KIND: u8 = 53;
    pub(in super::super) const SERVER: u8 = 54;
    pub(in super::super) const WANTED: u8 = 55;
    pub(in super::super) const MESSAGE: u8 = 56;
    pub(in super::super) const MAX_SIZE: u8 = 57;
    pub(in super::super) const RENEWAL: u8 = 58;
    pub(in super::super) const REBINDING: u8 = 59;
    pub(in super::super) const CLIENT: u8 = 61;
    pub(in super::super) const SEARCH: u8 = 119;
    pub(in super::super) const PAD: u8 = 0;
    pub(in super::super) const END: u8 = 255;
}

/// Where the options begin: behind the fixed fields and the magic number.
const OPTIONS: usize = 240;
const MAGIC: u32 = 0x6382_5363;
/// Messages are no shorter than BOOTP's (RFC 1542, 2.1): some clients drop those that are.
const SHORTEST: usize = 300;
/// What every client takes, in bytes of the IP packet (RFC 2131, 2).
const TAKEN_BY_ALL: u16 = 576;
/// IP and UDP headers.
const HEADERS: usize = 28;

/// A client's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) kind: DhcpMessageType,
    transaction: u32,
    seconds: u16,
    pub(crate) broadcast: bool,
    pub(crate) mac: EthernetAddress,
    /// The address that the client has and answers to, `ciaddr`.
    pub(crate) has: Option<Ipv4Addr>,
    /// The relay that it came through, `giaddr`.
    pub(crate) relay: Option<Ipv4Addr>,
    /// What the client is known by: its identifier, or its hardware type and address.
    pub(crate) client: Vec<u8>,
    pub(crate) requested: Option<Ipv4Addr>,
    pub(crate) server: Option<Ipv4Addr>,
    /// The options that it asks for; none if it does not say.
    pub(crate) wanted: Option<Vec<u8>>,
    /// Most bytes of an IP packet with an answer.
    max_size: u16,
    pub(crate) host_name: Option<String>,
}

impl Request {
    /// Reads what came to the server's port. `None` if it is no client's message of DHCP over Ethernet.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < OPTIONS {
            return None;
        }
        let packet = DhcpPacket::new_checked(bytes).ok()?;
        let is_request = bytes[0] == 1
            && packet.hardware_type() == ArpHardware::Ethernet
            && packet.hardware_len() == 6
            && packet.magic_number() == MAGIC;
        let mac = packet.client_hardware_address();
        if !is_request || !mac.is_unicast() {
            return None;
        }
        let options = options(bytes);
        let get = |code: u8| options.get(&code).map(Vec::as_slice);
        let address = |code: u8| {
            get(code)
                .and_then(|data| <[u8; 4]>::try_from(data).ok())
                .map(Ipv4Addr::from)
        };
        let word = |code: u8| {
            get(code)
                .and_then(|data| <[u8; 2]>::try_from(data).ok())
                .map(u16::from_be_bytes)
        };
        let [kind] = get(code::KIND)? else { return None };
        let some = |address: Ipv4Addr| (!address.is_unspecified()).then_some(address);
        // An empty identifier is none, and no client needs one of more than this.
        let client = get(code::CLIENT).filter(|id| (2..=255).contains(&id.len()));
        Some(Self {
            kind: DhcpMessageType::from(*kind),
            transaction: packet.transaction_id(),
            seconds: packet.secs(),
            broadcast: packet.flags().contains(DhcpFlags::BROADCAST),
            mac,
            has: some(packet.client_ip()),
            relay: some(packet.relay_agent_ip()),
            client: client.map_or_else(|| [&[1], mac.as_bytes()].concat(), <[u8]>::to_vec),
            requested: address(code::REQUESTED).and_then(some),
            server: address(code::SERVER),
            wanted: get(code::WANTED).map(<[u8]>::to_vec),
            max_size: word(code::MAX_SIZE).unwrap_or(0).max(TAKEN_BY_ALL),
            host_name: get(code::HOST_NAME).and_then(host_name),
        })
    }
}

/// The first part of a name, if it is one.
fn host_name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    let label = text.split('.').next()?.to_ascii_lowercase();
    crate::config::is_label(&label).then_some(label)
}

/// All options of a message, each with all of its parts.
fn options(bytes: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(&bytes[OPTIONS..], &mut found);
    let overload = found.get(&code::OVERLOAD).and_then(|data| data.first().copied());
    if let Some(fields) = overload {
        if fields & 1 != 0 {
            collect(&bytes[108..236], &mut found);
        }
        if fields & 2 != 0 {
            collect(&bytes[44..108], &mut found);
        }
    }
    found
}

fn collect(mut bytes: &[u8], found: &mut BTreeMap<u8, Vec<u8>>) {
    while let [kind, rest @ ..] = bytes {
        match *kind {
            code::PAD => bytes = rest,
            code::END => return,
            kind => {
                let [len, rest @ ..] = rest else { return };
                let Some((data, rest)) = rest.split_at_checked(usize::from(*len)) else {
                    return;
                };
                found.entry(kind).or_default().extend_from_slice(data);
                bytes = rest;
            }
        }
    }
}

/// The server's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: DhcpMessageType,
    /// The address that the client is given, `yiaddr`.
    pub(crate) gives: Option<Ipv4Addr>,
    /// Without the kind. What does not fit into the message is left out from the end.
    pub(crate) options: Vec<(u8, Vec<u8>)>,
}

impl Reply {
    /// The bytes of the answer to `request`.
    pub(crate) fn write(&self, request: &Request) -> Vec<u8> {
        let room = usize::from(request.max_size) - HEADERS - OPTIONS - 1;
        let mut options = vec![code::KIND, 1, self.kind.into()];
        for (code, data) in &self.options {
            // Longer ones in parts side by side (RFC 3396, 5).
            let parts: Vec<&[u8]> = data.chunks(255).collect();
            if options.len() + data.len() + 2 * parts.len() > room {
                continue;
            }
            for part in parts {
                options.extend([*code, part.len() as u8]);
                options.extend_from_slice(part);
            }
        }
        let mut bytes = vec![0; (OPTIONS + options.len() + 1).max(SHORTEST)];
        let mut packet = DhcpPacket::new_unchecked(&mut bytes);
        packet.set_opcode(smoltcp::wire::DhcpOpCode::Reply);
        packet.set_hardware_type(ArpHardware::Ethernet);
        packet.set_hardware_len(6);
        packet.set_transaction_id(request.transaction);
        packet.set_secs(request.seconds);
        let flags = if request.broadcast {
            DhcpFlags::BROADCAST
        } else {
            DhcpFlags::empty()
        };
        packet.set_flags(flags);
        if self.kind != DhcpMessageType::Nak {
            packet.set_client_ip(request.has.unwrap_or(Ipv4Addr::UNSPECIFIED));
        }
        packet.set_your_ip(self.gives.unwrap_or(Ipv4Addr::UNSPECIFIED));
        packet.set_relay_agent_ip(request.relay.unwrap_or(Ipv4Addr::UNSPECIFIED));
        packet.set_client_hardware_address(request.mac);
        packet.set_magic_number(MAGIC);
        bytes[OPTIONS..OPTIONS + options.len()].copy_from_slice(&options);
        bytes[OPTIONS + options.len()] = code::END;
        bytes
    }
}
