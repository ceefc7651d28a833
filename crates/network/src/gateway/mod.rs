//! The way to the outside: connections of guests end here and are given out as streams, which somebody else carries.
//!
//! A guest's first packet becomes [`ToOutside::Open`]; nothing is answered before the carrier has said [`FromOutside::Opened`]
//! or [`FromOutside::Refused`], so that a guest's `connect` tells the truth. Streams go both ways with credits: neither side
//! keeps more than a window of what the other does not take. UDP goes by datagrams in the same way, but for what has no room,
//! which is dropped. What is not allowed is refused at once.
//!
//! The other direction, a guest's port that is opened from here, is [`Gateway::dial`].

mod messages;
pub(crate) mod policy;
mod tcp;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, TcpPacket, UdpPacket};

use crate::config::{NetworkId, Protocol};
use crate::packet::{Packet, Tuple};
pub use messages::{FromOutside, Host, OutsideId, Refusal, ToOutside};
use tcp::{Buffers, Connection, Happened, Stack};

/// What the router is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToRouter {
    /// Send this to a guest.
    Send(Packet),
    /// Tell the sender of this packet that it goes nowhere.
    Refuse(Packet, Refusal),
    /// Tell the outside.
    Outside(ToOutside),
}

/// A flow's first packet, which may leave.
pub(crate) struct Opening {
    pub(crate) network: NetworkId,
    pub(crate) mac: EthernetAddress,
    pub(crate) host: Host,
    pub(crate) packet: Packet,
}

/// Most flows, most of one host, and the buffers of the first ones and of the others.
const MAX: usize = 256;
const MAX_OF_HOST: usize = 128;
const LARGE: usize = 32;
const LARGE_BUFFERS: Buffers = Buffers {
    receive: 128 << 10,
    send: 256 << 10,
};
const SMALL_BUFFERS: Buffers = Buffers {
    receive: 32 << 10,
    send: 64 << 10,
};
/// Bytes of datagrams that the outside may send before it is told of more.
const UDP_WINDOW: u32 = 256 << 10;
/// Most datagrams that wait for a flow to be opened.
const MAX_WAITING: usize = 16;
/// How long the carrier may take to open a flow.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a UDP flow without datagrams is kept.
const UDP_TIMEOUT: Duration = Duration::from_secs(60);
/// Ports of ours that connections into guests come from; address translation gives out those below.
const DIAL_PORTS: std::ops::RangeInclusive<u16> = 61_000..=65_535;

enum State {
    /// The carrier was asked.
    Opening {
        until: Instant,
        waiting: VecDeque<Packet>,
        buffers: Buffers,
    },
    Tcp(Box<Connection>),
    Udp {
        until: Instant,
        /// Bytes that the carrier takes.
        credit: usize,
        /// Bytes that it has sent and was not told of.
        owed: u32,
    },
}

struct Flow {
    /// As the guest's packets have it.
    tuple: Tuple,
    mac: EthernetAddress,
    network: NetworkId,
    state: State,
    is_dialled: bool,
}

/// The way to the outside. See the module's documentation.
pub(crate) struct Gateway {
    stack: Stack,
    flows: BTreeMap<OutsideId, Flow>,
    by_tuple: BTreeMap<Tuple, OutsideId>,
    next: u64,
    ident: u16,
    now: Instant,
    out: VecDeque<ToRouter>,
}

impl Gateway {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            stack: Stack::new(seed),
            flows: BTreeMap::new(),
            by_tuple: BTreeMap::new(),
            next: 0,
            ident: 0,
            now: Instant::ZERO,
            out: VecDeque::new(),
        }
    }

    /// What is to be done, in order.
    pub(crate) fn next(&mut self) -> Option<ToRouter> {
        self.out.pop_front()
    }

    /// Whether packets of this tuple are of a flow here.
    pub(crate) fn knows(&self, tuple: &Tuple) -> bool {
        self.by_tuple.contains_key(tuple)
    }

    /// Takes a packet of a flow that is known.
    pub(crate) fn receive(&mut self, now: Instant, tuple: &Tuple, packet: Packet) {
        self.now = now;
        let Some(id) = self.by_tuple.get(tuple).copied() else {
            return;
        };
        let Some(flow) = self.flows.get_mut(&id) else {
            return;
        };
        match &mut flow.state {
            State::Opening { waiting, .. } => {
                let is_reset = packet.tcp_flags().is_some_and(|flags| flags.rst);
                if is_reset {
                    self.close(id, false);
                } else if packet.tcp_flags().is_none() && waiting.len() < MAX_WAITING {
                    waiting.push_back(packet);
                }
            }
            State::Tcp(connection) => {
                connection.receive(&mut self.stack, now, packet.into_bytes());
                self.settle(now, id);
            }
            State::Udp { until, credit, .. } => {
                *until = now + UDP_TIMEOUT;
                let payload = datagram(&packet);
                if payload.len() <= *credit {
                    *credit -= payload.len();
                    let bytes = payload.to_vec();
                    self.out
                        .push_back(ToRouter::Outside(ToOutside::Data { id, bytes }));
                }
            }
        }
    }

    /// Begins a flow with its first packet, which is TCP with SYN or UDP. If there is no room, it is
    /// refused, and has no name.
    pub(crate) fn open(&mut self, now: Instant, tuple: Tuple, opening: Opening) -> Option<OutsideId> {
        self.now = now;
        let of_host = self.flows.values().filter(|flow| flow.mac == opening.mac).count();
        let protocol = match tuple.protocol() {
            Some(protocol @ (Protocol::Tcp | Protocol::Udp)) => protocol,
            _ => {
                self.out
                    .push_back(ToRouter::Refuse(opening.packet, Refusal::Prohibited));
                return None;
            }
        };
        if self.flows.len() >= MAX || of_host >= MAX_OF_HOST {
            let refused = ToRouter::Refuse(opening.packet, Refusal::Unreachable);
            self.out.push_back(refused);
            return None;
        }
        let id = self.name();
        let buffers = self.buffers();
        let window = match protocol {
            Protocol::Udp => UDP_WINDOW,
            _ => buffers.send as u32,
        };
        let state = State::Opening {
            until: now + OPEN_TIMEOUT,
            waiting: VecDeque::from([opening.packet]),
            buffers,
        };
        self.by_tuple.insert(tuple, id);
        let flow = Flow {
            tuple,
            mac: opening.mac,
            network: opening.network.clone(),
            state,
            is_dialled: false,
        };
        self.flows.insert(id, flow);
        self.out.push_back(ToRouter::Outside(ToOutside::Open {
            id,
            network: opening.network,
            mac: opening.mac,
            protocol,
            host: opening.host,
            port: tuple.destination_port,
            window,
        }));
        Some(id)
    }

    /// Connects to a guest's TCP port from an address of ours. What becomes of it comes as [`ToOutside::Opened`] or
    /// [`ToOutside::Close`]. The carrier takes `window` bytes at first. `None` if there is no room.
    pub(crate) fn dial(
        &mut self,
        now: Instant,
        network: NetworkId,
        from: Ipv4Addr,
        to: (Ipv4Addr, u16),
        window: u32,
    ) -> Option<OutsideId> {
        if self.flows.len() >= MAX {
            return None;
        }
        let taken: BTreeSet<u16> = self.by_tuple.keys().map(|tuple| tuple.destination_port).collect();
        let start = (self.next % DIAL_PORTS.len() as u64) as u16;
        let ports = (0..DIAL_PORTS.len() as u16)
            .map(|step| DIAL_PORTS.start() + (start + step) % DIAL_PORTS.len() as u16);
        let port = ports.into_iter().find(|port| !taken.contains(port))?;
        let tuple = Tuple {
            protocol: 6,
            source: to.0,
            source_port: to.1,
            destination: from,
            destination_port: port,
        };
        let buffers = self.buffers();
        let connection =
            Connection::connect(&mut self.stack, now, buffers, (from, port), to, window as usize)?;
        let id = self.name();
        self.by_tuple.insert(tuple, id);
        let flow = Flow {
            tuple,
            mac: EthernetAddress::BROADCAST,
            network,
            state: State::Tcp(Box::new(connection)),
            is_dialled: true,
        };
        self.flows.insert(id, flow);
        self.settle(now, id);
        Some(id)
    }

    /// Takes what has happened outside. What is about a flow that is over is nothing.
    pub(crate) fn outside(&mut self, now: Instant, said: FromOutside) {
        self.now = now;
        let (FromOutside::Opened { id, .. }
        | FromOutside::Refused { id, .. }
        | FromOutside::Data { id, .. }
        | FromOutside::Consumed { id, .. }
        | FromOutside::Finish { id }
        | FromOutside::Reset { id }) = said;
        let Some(flow) = self.flows.get_mut(&id) else {
            return;
        };
        match (said, &mut flow.state) {
            (FromOutside::Opened { window, .. }, State::Opening { waiting, buffers, .. }) => {
                let (waiting, buffers) = (std::mem::take(waiting), *buffers);
                self.opened(now, id, window as usize, waiting, buffers);
            }
            (FromOutside::Refused { why, .. }, State::Opening { waiting, .. }) => {
                let refused = waiting.pop_front().map(|packet| ToRouter::Refuse(packet, why));
                self.out.extend(refused);
                self.forget(id);
            }
            (FromOutside::Reset { .. }, State::Opening { waiting, .. }) => {
                let refused = waiting.pop_front();
                self.out
                    .extend(refused.map(|packet| ToRouter::Refuse(packet, Refusal::Unreachable)));
                self.forget(id);
            }
            // Before it has opened a flow, a carrier can say nothing else about it.
            (_, State::Opening { .. }) => self.break_off(id),
            (FromOutside::Data { bytes, .. }, State::Tcp(connection)) => {
                if connection.send(&bytes) {
                    connection.poll(&mut self.stack, now);
                    self.settle(now, id);
                } else {
                    self.break_off(id);
                }
            }
            (FromOutside::Data { bytes, .. }, State::Udp { until, owed, .. }) => {
                *until = now + UDP_TIMEOUT;
                *owed = owed.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                let told = (*owed >= UDP_WINDOW / 4).then(|| std::mem::take(owed));
                let tuple = flow.tuple;
                self.ident = self.ident.wrapping_add(1);
                let packet = Packet::udp(
                    (tuple.destination, tuple.destination_port),
                    (tuple.source, tuple.source_port),
                    self.ident,
                    &bytes,
                );
                self.out.extend(packet.map(ToRouter::Send));
                self.out
                    .extend(told.map(|bytes| ToRouter::Outside(ToOutside::Window { id, bytes })));
            }
            (FromOutside::Consumed { bytes, .. }, State::Tcp(connection)) => {
                connection.grant(bytes as usize);
                self.settle(now, id);
            }
            (FromOutside::Consumed { bytes, .. }, State::Udp { credit, .. }) => {
                *credit = credit.saturating_add(bytes as usize);
            }
            (FromOutside::Finish { .. }, State::Tcp(connection)) => {
                connection.finish();
                connection.poll(&mut self.stack, now);
                self.settle(now, id);
            }
            (FromOutside::Reset { .. }, State::Tcp(connection)) => {
                connection.abort();
                connection.poll(&mut self.stack, now);
                self.collect();
                self.forget(id);
            }
            (FromOutside::Finish { .. } | FromOutside::Reset { .. }, State::Udp { .. }) => {
                self.forget(id);
            }
            (FromOutside::Opened { .. } | FromOutside::Refused { .. }, _) => self.break_off(id),
        }
    }

    fn opened(
        &mut self,
        now: Instant,
        id: OutsideId,
        window: usize,
        waiting: VecDeque<Packet>,
        buffers: Buffers,
    ) {
        let Some(flow) = self.flows.get_mut(&id) else {
            return;
        };
        if flow.tuple.protocol() == Some(Protocol::Udp) {
            flow.state = State::Udp {
                until: now + UDP_TIMEOUT,
                credit: window,
                owed: 0,
            };
            let tuple = flow.tuple;
            for packet in waiting {
                self.receive(now, &tuple, packet);
            }
            return;
        }
        let to = (flow.tuple.destination, flow.tuple.destination_port);
        let syn = waiting
            .into_iter()
            .next()
            .map(Packet::into_bytes)
            .unwrap_or_default();
        match Connection::accept(&mut self.stack, now, buffers, to, syn, window) {
            Some(connection) => {
                flow.state = State::Tcp(Box::new(connection));
                self.settle(now, id);
            }
            None => self.break_off(id),
        }
    }

    /// Tells what has happened on a connection.
    fn settle(&mut self, now: Instant, id: OutsideId) {
        let Some(Flow {
            state: State::Tcp(connection),
            ..
        }) = self.flows.get_mut(&id)
        else {
            return;
        };
        let happened = connection.happened();
        // What was taken has made room, which the guest has to be told.
        connection.poll(&mut self.stack, now);
        self.collect();
        for happened in happened {
            let told = match happened {
                Happened::Connected(window) => ToOutside::Opened {
                    id,
                    window: u32::try_from(window).unwrap_or(u32::MAX),
                },
                Happened::Data(bytes) => ToOutside::Data { id, bytes },
                Happened::Finished => ToOutside::Finish { id },
                Happened::Room(bytes) => ToOutside::Window {
                    id,
                    bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                },
                Happened::Over => return self.close(id, true),
                Happened::Reset => return self.close(id, false),
            };
            self.out.push_back(ToRouter::Outside(told));
        }
    }

    /// Hands out what smoltcp has sent.
    fn collect(&mut self) {
        for bytes in self.stack.take_sent() {
            self.out.extend(Packet::read(&bytes, None).map(ToRouter::Send));
        }
    }

    /// Ends a flow whose carrier does what it may not.
    fn break_off(&mut self, id: OutsideId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            match &mut flow.state {
                State::Opening { waiting, .. } => {
                    let refused = waiting.pop_front();
                    self.out
                        .extend(refused.map(|packet| ToRouter::Refuse(packet, Refusal::Unreachable)));
                }
                State::Tcp(connection) => {
                    connection.abort();
                    connection.poll(&mut self.stack, self.now);
                    self.collect();
                }
                State::Udp { .. } => {}
            }
            self.close(id, false);
        }
    }

    fn close(&mut self, id: OutsideId, in_order: bool) {
        if self.forget(id) {
            self.out
                .push_back(ToRouter::Outside(ToOutside::Close { id, in_order }));
        }
    }

    fn forget(&mut self, id: OutsideId) -> bool {
        let flow = self.flows.remove(&id);
        if let Some(flow) = &flow {
            self.by_tuple.remove(&flow.tuple);
        }
        flow.is_some()
    }

    /// Ends the flows of guests for which this holds, as they are not allowed any more.
    pub(crate) fn end_if(&mut self, mut gone: impl FnMut(&NetworkId, &Tuple) -> bool) {
        let from_guests = self.flows.iter().filter(|(_, flow)| !flow.is_dialled);
        let gone = from_guests.filter(|(_, flow)| gone(&flow.network, &flow.tuple));
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.break_off(id);
        }
    }

    /// A packet of ours went nowhere.
    pub(crate) fn undeliverable(&mut self, packet: &Packet) {
        if let Some(crate::packet::Content::Flow(tuple)) = packet.read_content()
            && let Some(id) = self.by_tuple.get(&tuple.reversed()).copied()
            && self.flows.get(&id).is_some_and(|flow| flow.is_dialled)
        {
            self.close(id, false);
        }
    }

    pub(crate) fn poll_at(&self) -> Option<Instant> {
        let times = self.flows.values().filter_map(|flow| match &flow.state {
            State::Opening { until, .. } | State::Udp { until, .. } => Some(*until),
            State::Tcp(connection) => connection.at,
        });
        times.min()
    }

    pub(crate) fn poll(&mut self, now: Instant) {
        self.now = now;
        let due = self.flows.iter().filter(|(_, flow)| match &flow.state {
            State::Opening { until, .. } | State::Udp { until, .. } => *until <= now,
            State::Tcp(connection) => connection.at.is_some_and(|at| at <= now),
        });
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            match self.flows.get_mut(&id).map(|flow| &mut flow.state) {
                Some(State::Opening { .. }) => self.break_off(id),
                Some(State::Udp { .. }) => self.close(id, true),
                Some(State::Tcp(connection)) => {
                    connection.poll(&mut self.stack, now);
                    self.settle(now, id);
                }
                None => {}
            }
        }
    }

    fn buffers(&self) -> Buffers {
        let open = self
            .flows
            .values()
            .filter(|flow| matches!(flow.state, State::Tcp(_)))
            .count();
        if open < LARGE {
            LARGE_BUFFERS
        } else {
            SMALL_BUFFERS
        }
    }

    fn name(&mut self) -> OutsideId {
        self.next += 1;
        OutsideId(self.next)
    }
}

fn datagram(packet: &Packet) -> &[u8] {
    // Its content was read.
    UdpPacket::new_checked(packet.content()).map_or(&[], |udp| udp.payload())
}

/// Whether a TCP packet would begin a connection.
pub(crate) fn begins(packet: &Packet) -> bool {
    TcpPacket::new_checked(packet.content()).is_ok_and(|tcp| tcp.syn() && !tcp.ack() && !tcp.rst())
}
