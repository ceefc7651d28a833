//! One TCP conversation: handshake, segments and their acknowledgements, end.

use std::io;
use std::net::IpAddr;

use etherparse::{PacketBuilder, TcpOptionElement};

use super::addresses::Endpoints;
use super::{http, http2, websocket};
use crate::exchange::{Direction, Exchange};
use crate::url::Url;

/// Locally administered addresses: the page's and the network's.
const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
/// Most bytes of payload in one segment, so that a frame is one of Ethernet's 1514 bytes.
const SEGMENT_V4: usize = 1460;
const SEGMENT_V6: usize = 1440;
const WINDOW: u16 = 65_535;
/// A delayed acknowledgement comes after every second segment.
const SEGMENTS_PER_ACK: usize = 2;
/// Between packets that follow directly on one another, in nanoseconds.
const STEP: u64 = 1000;

/// A frame with its time, in nanoseconds since the epoch.
pub(super) struct Packet {
    pub(super) time: u64,
    pub(super) frame: Vec<u8>,
    pub(super) comment: Option<String>,
}

/// Bytes that one side sends within a span of time.
struct Flight {
    from: Direction,
    start: u64,
    end: u64,
    bytes: Vec<u8>,
    comment: Option<String>,
}

/// What is said in a conversation, and by whom.
pub(super) struct Conversation {
    endpoints: Endpoints,
    /// When the handshake starts, in nanoseconds since the epoch.
    start: u64,
    /// How long it takes.
    handshake: u64,
    flights: Vec<Flight>,
    /// Whether the connection was refused or broke.
    reset: bool,
}

impl Conversation {
    pub(super) fn new(exchange: &Exchange, url: &Url<'_>, endpoints: Endpoints, comment: String) -> Self {
        let is_http2 = is_http2(exchange);
        let timings = &exchange.timings;
        let after = |parts: &[Option<f64>]| {
            let sum: f64 = parts.iter().flatten().sum();
            nanoseconds(exchange.started + sum)
        };
        let (blocked, dns, connect) = (timings.blocked, timings.dns, timings.connect);
        let start = after(&[blocked, dns]);
        let sent_from = after(&[blocked, dns, connect]);
        let sent = after(&[blocked, dns, connect, timings.send]);
        let answered = after(&[blocked, dns, connect, timings.send, timings.wait]);
        let received = after(&[blocked, dns, connect, timings.send, timings.wait, timings.receive]);
        let mut flights = vec![Flight {
            from: Direction::Send,
            start: sent_from,
            end: sent,
            bytes: if is_http2 {
                http2::request(exchange, url)
            } else {
                http::request(exchange, url)
            },
            comment: Some(comment),
        }];
        if exchange.response.status != 0 {
            flights.push(Flight {
                from: Direction::Receive,
                start: answered,
                end: received,
                bytes: if is_http2 {
                    http2::response(exchange)
                } else {
                    http::response(exchange)
                },
                comment: None,
            });
            flights.extend(is_http2.then(|| Flight {
                from: Direction::Send,
                start: received,
                end: received,
                bytes: http2::acknowledgement(),
                comment: None,
            }));
        }
        if http::is_upgrade(exchange) {
            flights.extend(exchange.messages.iter().map(|message| Flight {
                from: message.direction,
                start: nanoseconds(message.time),
                end: nanoseconds(message.time),
                bytes: websocket::frame(message),
                comment: None,
            }));
        }
        Self {
            endpoints,
            start,
            handshake: sent_from.saturating_sub(start),
            flights,
            reset: exchange.response.status == 0,
        }
    }

    pub(super) fn server_address(&self) -> IpAddr {
        self.endpoints.server.ip()
    }

    /// The packets, made one after the other.
    pub(super) fn packets(&self) -> impl Iterator<Item = io::Result<Packet>> {
        let mut side = Sides::new(self);
        let opening = side.open(self.handshake);
        let flights: Vec<Step<'_>> = self.flights.iter().flat_map(|flight| side.plan(flight)).collect();
        let closing = side.close(self.reset);
        let steps = opening.into_iter().chain(flights).chain(closing);
        steps.map(|step| step.packet(&self.endpoints))
    }
}

/// The protocol of an exchange; empty when nobody told.
pub(super) fn protocol(exchange: &Exchange) -> &str {
    [&exchange.response.http_version, &exchange.request.http_version]
        .into_iter()
        .find(|version| !version.is_empty())
        .map_or("", String::as_str)
}

/// Whether an exchange is written in HTTP/2. WebSockets are shown as an upgrade of HTTP/1.1.
pub(super) fn is_http2(exchange: &Exchange) -> bool {
    http2::is_name(protocol(exchange)) && !http::is_upgrade(exchange)
}

/// Whole microseconds in nanoseconds; what is out of range becomes the nearest bound, of which the later leaves room for
/// the packets' own distances.
fn nanoseconds(milliseconds: f64) -> u64 {
    let microseconds = (milliseconds * 1000.0).round() as u64;
    microseconds.saturating_mul(1000).min(u64::MAX / 2)
}

/// A packet before it is built.
struct Step<'a> {
    time: u64,
    from: Direction,
    sequence: u32,
    acknowledged: Option<u32>,
    flags: Flags,
    payload: &'a [u8],
    comment: Option<String>,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    syn: bool,
    fin: bool,
    rst: bool,
    psh: bool,
}

/// Sequence numbers of both sides, and the time so far.
struct Sides {
    time: u64,
    client: u32,
    server: u32,
    segment: usize,
}

impl Sides {
    fn new(conversation: &Conversation) -> Self {
        // Any numbers will do; readers show them relative to the first.
        Self {
            time: conversation.start,
            client: 1_000_000,
            server: 2_000_000,
            segment: match conversation.endpoints.server.ip() {
                IpAddr::V4(_) => SEGMENT_V4,
                IpAddr::V6(_) => SEGMENT_V6,
            },
        }
    }

    fn step<'a>(&mut self, from: Direction, flags: Flags, payload: &'a [u8]) -> Step<'a> {
        let (own, other) = match from {
            Direction::Send => (&mut self.client, self.server),
            Direction::Receive => (&mut self.server, self.client),
        };
        let step = Step {
            time: self.time,
            from,
            sequence: *own,
            acknowledged: Some(other),
            flags,
            payload,
            comment: None,
        };
        let length = payload.len() as u32 + u32::from(flags.syn) + u32::from(flags.fin);
        *own = own.wrapping_add(length);
        self.time += STEP;
        step
    }

    fn open(&mut self, handshake: u64) -> Vec<Step<'static>> {
        let syn = Flags {
            syn: true,
            ..Flags::default()
        };
        let mut first = self.step(Direction::Send, syn, &[]);
        first.acknowledged = None;
        self.time = self.time.max(first.time + handshake / 2);
        let second = self.step(Direction::Receive, syn, &[]);
        vec![first, second, self.step(Direction::Send, Flags::default(), &[])]
    }

    /// Segments spread over the flight's time, with acknowledgements between them.
    fn plan<'a>(&mut self, flight: &'a Flight) -> Vec<Step<'a>> {
        let other = match flight.from {
            Direction::Send => Direction::Receive,
            Direction::Receive => Direction::Send,
        };
        let start = self.time.max(flight.start);
        let count = flight.bytes.len().div_ceil(self.segment) as u64;
        let mut steps = Vec::new();
        for (index, payload) in flight.bytes.chunks(self.segment).enumerate() {
            let position = index as u64 + 1;
            let due = start + flight.end.saturating_sub(start) / count * position;
            self.time = self.time.max(if index == 0 { start } else { due });
            let push = Flags {
                psh: position == count,
                ..Flags::default()
            };
            let mut step = self.step(flight.from, push, payload);
            if index == 0 {
                step.comment.clone_from(&flight.comment);
            }
            steps.push(step);
            if position == count || position.is_multiple_of(SEGMENTS_PER_ACK as u64) {
                steps.push(self.step(other, Flags::default(), &[]));
            }
        }
        steps
    }

    fn close(&mut self, reset: bool) -> Vec<Step<'static>> {
        if reset {
            let rst = Flags {
                rst: true,
                ..Flags::default()
            };
            return vec![self.step(Direction::Receive, rst, &[])];
        }
        let fin = Flags {
            fin: true,
            ..Flags::default()
        };
        vec![
            self.step(Direction::Receive, fin, &[]),
            self.step(Direction::Send, fin, &[]),
            self.step(Direction::Receive, Flags::default(), &[]),
        ]
    }
}

impl Step<'_> {
    fn packet(self, endpoints: &Endpoints) -> io::Result<Packet> {
        let (source, destination, macs) = match self.from {
            Direction::Send => (endpoints.client, endpoints.server, (CLIENT_MAC, SERVER_MAC)),
            Direction::Receive => (endpoints.server, endpoints.client, (SERVER_MAC, CLIENT_MAC)),
        };
        let ethernet = PacketBuilder::ethernet2(macs.0, macs.1);
        let (ip, segment) = match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => (
                ethernet.ipv4(source.octets(), destination.octets(), 64),
                SEGMENT_V4,
            ),
            (source, destination) => (ethernet.ipv6(octets(source), octets(destination), 64), SEGMENT_V6),
        };
        let mut tcp = ip.tcp(source.port(), destination.port(), self.sequence, WINDOW);
        if let Some(acknowledged) = self.acknowledged {
            tcp = tcp.ack(acknowledged);
        }
        if self.flags.syn {
            tcp = tcp
                .syn()
                .options(&[TcpOptionElement::MaximumSegmentSize(segment as u16)])
                .map_err(io::Error::other)?;
        }
        if self.flags.fin {
            tcp = tcp.fin();
        }
        if self.flags.rst {
            tcp = tcp.rst();
        }
        if self.flags.psh {
            tcp = tcp.psh();
        }
        let mut frame = Vec::with_capacity(tcp.size(self.payload.len()));
        tcp.write_to_vec(&mut frame, self.payload)
            .map_err(io::Error::other)?;
        Ok(Packet {
            time: self.time,
            frame,
            comment: self.comment,
        })
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
