//! The way of an IPv4 packet through the router (RFC 1812, 5.2).

use std::net::Ipv4Addr;

use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use super::icmp::Reason;
use super::neighbours::Next;
use super::{Arrival, Out, Router, fragments};
use crate::config::{Action, NetworkId, NetworkType, Zone};
use crate::flow::{Direction, FlowKey, NewFlow};
use crate::frame::{self, Frame};
use crate::gateway::{self, Host, Opening, policy};
use crate::log::Event;
use crate::offload::{self, Offload};
use crate::packet::{Content, Packet, Tuple};

/// Where a packet goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// Into this network, to this host in it.
    Network(NetworkId, Ipv4Addr),
    Outside,
    None,
}

impl Router {
    /// Takes a packet that came in at an interface.
    pub(super) fn route(&mut self, now: Instant, arrival: &Arrival, packet: Packet, is_unicast: bool) {
        if self.take_dhcp(now, arrival, &packet) {
            return;
        }
        let Some(interface) = self.interfaces.get_mut(&arrival.network) else {
            return;
        };
        let (source, destination) = (packet.source(), packet.destination());
        let own = interface.address();
        let is_all = destination.is_broadcast() || Some(destination) == interface.network.cidr.broadcast();
        if !is_unicast || is_all || destination.is_multicast() {
            // Nothing that we do is for groups.
            return;
        }
        if !self.is_from_there(arrival, source) || source == own || packet.is_source_routed() {
            if let Some(interface) = self.interfaces.get_mut(&arrival.network) {
                interface.stats.bad_source += 1;
            }
            return;
        }
        let packet = if packet.is_fragment() {
            let interface = self.interfaces.get_mut(&arrival.network);
            let Some(whole) = interface.and_then(|interface| interface.fragments.add(now, packet)) else {
                return;
            };
            whole
        } else {
            packet
        };
        match packet.read_content() {
            None => {
                if let Some(interface) = self.interfaces.get_mut(&arrival.network) {
                    interface.stats.malformed += 1;
                }
            }
            Some(Content::Error) => self.pass_error(now, arrival, packet),
            Some(Content::Flow(tuple)) => match self.flows.find(now, &tuple) {
                Some((key, direction)) => self.pass(now, arrival, key, direction, tuple, packet),
                None => self.begin(now, arrival, tuple, packet),
            },
        }
    }

    /// Whether a packet of this source may come from this network: what we would answer goes there.
    fn is_from_there(&self, arrival: &Arrival, source: Ipv4Addr) -> bool {
        let is_single = !source.is_unspecified()
            && !source.is_broadcast()
            && !source.is_multicast()
            && !source.is_loopback();
        is_single && matches!(self.way(source), Way::Network(network, _) if network == arrival.network)
    }

    /// Where packets to this address go.
    fn way(&self, destination: Ipv4Addr) -> Way {
        let in_network = |address: Ipv4Addr| {
            let mut interfaces = self.interfaces.values();
            interfaces.find(|interface| {
                let cidr = interface.network.cidr;
                cidr.contains_addr(&address) && address != cidr.address() && Some(address) != cidr.broadcast()
            })
        };
        if let Some(interface) = in_network(destination) {
            return Way::Network(interface.network.id.clone(), destination);
        }
        let routes = self
            .config
            .routes
            .iter()
            .filter(|route| route.destination.contains_addr(&destination));
        if let Some(route) = routes.max_by_key(|route| route.destination.prefix_len()) {
            return match in_network(route.gateway) {
                Some(interface) => Way::Network(interface.network.id.clone(), route.gateway),
                None => Way::None,
            };
        }
        let is_private = destination.is_private() || destination.is_loopback() || destination.is_link_local();
        if is_private || destination.octets()[0] == 0 || destination.octets()[0] >= 240 {
            return Way::None;
        }
        Way::Outside
    }

    /// Whether this is an address of the router's, for those in this network.
    fn is_own(&self, network: &NetworkId, address: Ipv4Addr) -> bool {
        self.interfaces.values().any(|interface| {
            interface.address() == address
                && (interface.network.id == *network || interface.network.kind != NetworkType::Isolated)
        })
    }

    /// A packet of a flow that is known.
    fn pass(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        key: FlowKey,
        direction: Direction,
        tuple: Tuple,
        packet: Packet,
    ) {
        let Some(flow) = self.flows.get(key) else { return };
        let comes_from = match direction {
            Direction::Original => &flow.from,
            Direction::Reply => &flow.to,
        };
        if *comes_from != Zone::Network(arrival.network.clone()) {
            // Somebody elsewhere made it up.
            if let Some(interface) = self.interfaces.get_mut(&arrival.network) {
                interface.stats.bad_source += 1;
            }
            return;
        }
        let is_old = flow.generation != self.firewall.generation();
        let is_over = flow.state == crate::flow::State::Closed && gateway::begins(&packet);
        if is_over && direction == Direction::Original {
            self.flows.remove(key);
            return self.begin(now, arrival, tuple, packet);
        }
        let is_refused = is_old && !self.judge_again(key);
        if is_refused {
            self.flows.remove(key);
            return match direction {
                Direction::Original => self.begin(now, arrival, tuple, packet),
                Direction::Reply => {}
            };
        }
        if packet.ip().hop_limit() <= 1 {
            return self.refuse(now, arrival, &packet, Reason::TtlExceeded);
        }
        self.send_on(now, Some(arrival), key, direction, tuple, packet);
    }

    /// Whether a flow may go on by rules that have changed since it began.
    fn judge_again(&mut self, key: FlowKey) -> bool {
        let Some(flow) = self.flows.get(key) else {
            return false;
        };
        let behind = Tuple {
            destination: flow.reply.source,
            destination_port: flow.reply.source_port,
            ..flow.original
        };
        let (from, to) = (flow.from.clone(), flow.to.clone());
        let verdict = self.firewall.judge(&from, &to, &behind, 0);
        let generation = self.firewall.generation();
        if let Some(flow) = self.flows.get_mut(key) {
            flow.generation = generation;
        }
        verdict.action == Action::Accept
    }

    /// A packet of a flow to the outside, or one that may be the first of a flow.
    fn begin(&mut self, now: Instant, arrival: &Arrival, tuple: Tuple, packet: Packet) {
        if self.gateway.knows(&tuple) {
            return self.gateway.receive(now, &tuple, packet);
        }
        let forwarded = self.forwarded(arrival, &tuple);
        let behind = forwarded.unwrap_or(tuple);
        if forwarded.is_none() && self.is_own(&arrival.network, tuple.destination) {
            return self.take_local(now, arrival, tuple, packet);
        }
        if packet.ip().hop_limit() <= 1 {
            return self.refuse(now, arrival, &packet, Reason::TtlExceeded);
        }
        let way = self.way(behind.destination);
        let Some(from) = self
            .interfaces
            .get(&arrival.network)
            .map(|interface| interface.network.kind)
        else {
            return;
        };
        let to = match &way {
            Way::Network(network, _) => Zone::Network(network.clone()),
            Way::Outside => Zone::Outside,
            Way::None => return self.refuse(now, arrival, &packet, Reason::NetUnreachable),
        };
        if let Some(reason) = self.refused_by_type(arrival, from, &way, forwarded.is_some()) {
            self.event(
                now,
                &arrival.network,
                Event::NotReachable {
                    packet: behind.into(),
                },
            );
            return self.refuse(now, arrival, &packet, reason);
        }
        let zone = Zone::Network(arrival.network.clone());
        let verdict = self.firewall.judge(&zone, &to, &behind, packet.bytes().len());
        if verdict.log {
            let event = Event::Firewall {
                action: verdict.action,
                rule: verdict.rule,
                packet: behind.into(),
            };
            self.event(now, &arrival.network, event);
        }
        match verdict.action {
            Action::Accept => {}
            Action::Drop => return self.count_refused(arrival),
            Action::Reject => return self.reject(now, arrival, &packet, Reason::Prohibited),
        }
        if packet.protocol() == smoltcp::wire::IpProtocol::Tcp && !gateway::begins(&packet) {
            // Of a connection that nobody knows any more.
            return self.reset(arrival, &packet);
        }
        if way == Way::Outside {
            return self.leave(now, arrival, tuple, packet);
        }
        let translated = self.translated(arrival, &way, from, behind, forwarded.is_some());
        let new = NewFlow {
            original: tuple,
            translated,
            from: zone,
            to,
            owner: arrival.mac,
            generation: self.firewall.generation(),
        };
        match self.flows.begin(now, new, &mut self.random) {
            Some(key) => self.send_on(now, Some(arrival), key, Direction::Original, tuple, packet),
            None => {
                if let Some(interface) = self.interfaces.get_mut(&arrival.network) {
                    interface.stats.no_room += 1;
                }
                self.refuse(now, arrival, &packet, Reason::HostUnreachable);
            }
        }
    }

    /// The tuple behind a port forward, if it is to one.
    fn forwarded(&self, arrival: &Arrival, tuple: &Tuple) -> Option<Tuple> {
        if !self.is_own(&arrival.network, tuple.destination) {
            return None;
        }
        let fits = |forward: &&crate::config::PortForward| {
            Some(forward.protocol) == tuple.protocol()
                && forward.port == tuple.destination_port
                && forward
                    .from
                    .as_ref()
                    .is_none_or(|network| *network == arrival.network)
        };
        let forward = self.config.nat.forwards.iter().find(fits)?;
        Some(Tuple {
            destination: forward.address,
            destination_port: forward.to_port,
            ..*tuple
        })
    }

    /// Why the types of the networks let no flow begin that way.
    fn refused_by_type(
        &self,
        arrival: &Arrival,
        from: NetworkType,
        way: &Way,
        is_forwarded: bool,
    ) -> Option<Reason> {
        let to = match way {
            Way::Network(network, _) => self.interfaces.get(network)?.network.kind,
            Way::Outside => {
                return match from {
                    NetworkType::Nat => None,
                    NetworkType::Isolated => Some(Reason::Prohibited),
                    _ => Some(Reason::NetUnreachable),
                };
            }
            Way::None => return Some(Reason::NetUnreachable),
        };
        let is_same = matches!(way, Way::Network(network, _) if *network == arrival.network);
        let is_closed = from == NetworkType::Isolated
            || to == NetworkType::Isolated
            || (to == NetworkType::Nat && !is_forwarded);
        (is_closed && !is_same).then_some(Reason::Prohibited)
    }

    /// The tuple behind the router: with its address for the source where the network hides its hosts, and where an answer
    /// would else not come back through it.
    fn translated(
        &self,
        arrival: &Arrival,
        way: &Way,
        from: NetworkType,
        behind: Tuple,
        is_forwarded: bool,
    ) -> Tuple {
        let Way::Network(network, _) = way else {
            return behind;
        };
        let is_same = *network == arrival.network;
        let hides = (from == NetworkType::Nat && !is_same) || (is_same && is_forwarded);
        match self.interfaces.get(network) {
            Some(interface) if hides => Tuple {
                source: interface.address(),
                ..behind
            },
            _ => behind,
        }
    }

    /// Sends a packet of a flow to the other side.
    fn send_on(
        &mut self,
        now: Instant,
        arrival: Option<&Arrival>,
        key: FlowKey,
        direction: Direction,
        tuple: Tuple,
        mut packet: Packet,
    ) {
        let flags = packet.tcp_flags();
        self.flows
            .passed(now, key, direction, flags, packet.bytes().len());
        let Some(flow) = self.flows.get(key) else { return };
        let translated = flow.translated(direction);
        let before = packet.clone();
        if translated != tuple {
            packet.translate(translated);
        }
        packet.decrement_ttl();
        if let Err(reason) = self.output(now, packet)
            && let Some(arrival) = arrival
        {
            self.refuse(now, arrival, &before, reason);
        }
    }

    /// An ICMP error: it belongs to the flow whose packet it is about, and goes to who sent that.
    fn pass_error(&mut self, now: Instant, arrival: &Arrival, mut packet: Packet) {
        let Some(quoted) = packet.quoted() else { return };
        // The one who is told is the one who would be answered.
        let Some((key, direction)) = self.flows.find(now, &quoted.reversed()) else {
            return;
        };
        let Some(flow) = self.flows.get(key) else { return };
        let (zone, sent) = match direction {
            Direction::Reply => (&flow.to, flow.original),
            Direction::Original => (&flow.from, flow.reply),
        };
        if *zone != Zone::Network(arrival.network.clone()) || packet.ip().hop_limit() <= 1 {
            return;
        }
        // The address of a host that is hidden is not told; that of another router on the way is.
        let from = if packet.source() == quoted.destination {
            sent.destination
        } else if flow.reply.destination != flow.original.source && direction == Direction::Original {
            quoted.destination
        } else {
            packet.source()
        };
        packet.translate_error(from, sent.source, sent);
        packet.decrement_ttl();
        let _ = self.output(now, packet);
    }

    /// Sends a packet into the network that its destination is in.
    pub(super) fn output(&mut self, now: Instant, packet: Packet) -> Result<(), Reason> {
        let Way::Network(network, hop) = self.way(packet.destination()) else {
            return Err(Reason::NetUnreachable);
        };
        let Some(interface) = self.interfaces.get_mut(&network) else {
            return Err(Reason::NetUnreachable);
        };
        let mtu = interface.network.mtu;
        let is_too_large = match packet.segments {
            Some(segments) => segment_len(&packet, segments.size) > usize::from(mtu),
            None => packet.bytes().len() > usize::from(mtu) && packet.ip().dont_frag(),
        };
        if is_too_large {
            return Err(Reason::FragmentationNeeded { mtu });
        }
        if interface.address() == hop {
            // To ourselves, as a route says so.
            return Err(Reason::HostUnreachable);
        }
        match interface.neighbours.resolve(now, hop, packet) {
            Next::Send(mac, packet) => self.emit(&network, mac, packet),
            Next::SendAndAsk(mac, packet) => {
                self.emit(&network, mac, packet);
                self.ask(&network, hop, mac);
            }
            Next::Ask => self.ask(&network, hop, EthernetAddress::BROADCAST),
            Next::Wait => {}
            Next::Unreachable(packet) => self.unreachable(now, &network, packet),
        }
        Ok(())
    }

    /// Puts a packet into a network, in parts if it has to be.
    pub(super) fn emit(&mut self, network: &NetworkId, mac: EthernetAddress, packet: Packet) {
        let Some(interface) = self.interfaces.get_mut(network) else {
            return;
        };
        let mtu = usize::from(interface.network.mtu);
        let frames: Vec<Frame> = if packet.segments.is_some() {
            let offload = Offload {
                checksum: None,
                segments: packet.segments,
            };
            let whole = frame::build(mac, interface.mac, frame::IPV4, packet.bytes());
            offload::resolve(&Frame::with_offload(whole.into_bytes(), offload))
        } else {
            let parts = fragments::cut(packet, mtu).unwrap_or_default();
            let frame = |part: &Packet| frame::build(mac, interface.mac, frame::IPV4, part.bytes());
            parts.iter().map(frame).collect()
        };
        for frame in frames {
            interface.stats.sent.add(frame.len() - frame::HEADER);
            self.out.push_back(Out::Frame(network.clone(), frame));
        }
    }

    /// Sends an answer to where a packet came from.
    pub(super) fn reply(&mut self, arrival: &Arrival, packet: Packet) {
        self.emit(&arrival.network, arrival.mac, packet);
    }

    /// A flow that leaves for the outside, if that is allowed.
    fn leave(&mut self, now: Instant, arrival: &Arrival, tuple: Tuple, packet: Packet) {
        let Some(protocol) = tuple
            .protocol()
            .filter(|protocol| *protocol != crate::config::Protocol::Icmp)
        else {
            return self.refuse(now, arrival, &packet, Reason::Prohibited);
        };
        let host = match self.names.name_of(tuple.destination) {
            Some(name) => Host::Name(name),
            None => Host::Address(tuple.destination),
        };
        let Some(interface) = self.interfaces.get(&arrival.network) else {
            return;
        };
        let port = tuple.destination_port;
        let allowed = policy::allows(&interface.network.outside, &host, port);
        let event = Event::Outside {
            mac: arrival.mac,
            protocol,
            host: host.to_string(),
            port,
            allowed,
        };
        self.event(now, &arrival.network, event);
        if !allowed {
            return self.refuse(now, arrival, &packet, Reason::Prohibited);
        }
        let opening = Opening {
            network: arrival.network.clone(),
            mac: arrival.mac,
            host,
            packet,
        };
        self.gateway.open(now, tuple, opening);
    }
}

/// Bytes of each of the packets that this one is cut into.
fn segment_len(packet: &Packet, size: u16) -> usize {
    let ip = usize::from(packet.ip().header_len());
    let tcp = smoltcp::wire::TcpPacket::new_checked(packet.content());
    let transport = match packet.protocol() {
        smoltcp::wire::IpProtocol::Tcp => tcp.map_or(20, |tcp| usize::from(tcp.header_len())),
        _ => 8,
    };
    ip + transport + usize::from(size)
}
