//! A relay that a person names carries what the browser cannot: TCP and UDP by the Wisp protocol, versions 1 and 2, over a
//! WebSocket (`MercuryWorkshop/wisp-protocol`).
//!
//! [`Wisp`] stands between the gateway's words and the WebSocket's messages, and does nothing itself. What the protocol lacks
//! shows: a relay does not say that a connection is open, so that a guest sees every one accepted first and reset where it could
//! not be made; there is no end of one direction alone, so that a guest's last byte is told nobody; and nothing holds a relay
//! back, so that what a guest does not take is kept up to a bound, and then the flow is lost.

mod packet;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::config::Protocol;
use crate::gateway::{FromOutside, OutsideId, Refusal, ToOutside};
pub use packet::WispError;
use packet::{CloseReason, Packet, StreamKind};

/// Bytes of each flow that wait for the relay at most.
const WINDOW: u32 = 256 << 10;
/// Bytes of each flow that wait for the guest at most.
const MAX_WAITING: usize = 8 << 20;
/// Bytes of all flows that do.
const MAX_ALL_WAITING: usize = 64 << 20;
/// Most bytes in one message, so that flows take turns.
const PIECE: usize = 32 << 10;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WispEffect {
    /// Send this as a binary message.
    Send(Vec<u8>),
    /// Tell the fabric, by [`Fabric::outside`](crate::Fabric::outside).
    Say(FromOutside),
    /// Close the WebSocket: the relay does not keep to the protocol. Flows have been told.
    Fail(WispError),
}

/// What was agreed with the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing; flows wait.
    Greeting {
        /// Whether the relay has taken the WebSocket subprotocol of version 2.
        speaks_v2: bool,
        /// Packets of each stream that it buffers, once it has said so.
        buffer: Option<u32>,
        /// Whether it carries UDP, once it has said so.
        udp: Option<bool>,
    },
    Ready {
        buffer: u32,
        udp: bool,
    },
    Lost,
}

struct Stream {
    id: OutsideId,
    kind: StreamKind,
    /// Packets that the relay takes now; datagrams are not counted.
    credit: u32,
    /// For the relay.
    outward: VecDeque<Vec<u8>>,
    /// For the guest.
    inward: VecDeque<Vec<u8>>,
    waiting: usize,
    /// Bytes that the guest takes now.
    room: usize,
    /// The relay has closed it; the guest hears of that when it has all.
    is_closed: bool,
}

/// A connection to a relay. See the module's documentation.
pub struct Wisp {
    phase: Phase,
    streams: BTreeMap<u32, Stream>,
    names: BTreeMap<OutsideId, u32>,
    /// Flows that wait for the greeting's end.
    early: Vec<ToOutside>,
    next: u32,
    waiting: usize,
    out: VecDeque<WispEffect>,
}

impl Wisp {
    /// A connection whose WebSocket is open; `speaks_v2` tells whether the relay has chosen the subprotocol `wisp-v2`.
    pub fn new(speaks_v2: bool) -> Self {
        Self {
            phase: Phase::Greeting {
                speaks_v2,
                buffer: None,
                udp: None,
            },
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            early: Vec::new(),
            next: 0,
            waiting: 0,
            out: VecDeque::new(),
        }
    }

    /// The next of what is to be done, in order.
    #[expect(clippy::should_implement_trait, reason = "it does not end for good")]
    pub fn next(&mut self) -> Option<WispEffect> {
        self.out.pop_front()
    }

    /// Takes what the fabric tells of a flow that this relay carries.
    pub fn outside(&mut self, told: ToOutside) {
        let id = told.id();
        match (&self.phase, told) {
            (Phase::Greeting { .. }, told) => self.early.push(told),
            (Phase::Lost, ToOutside::Open { .. }) => self.refuse(id, Refusal::Unreachable),
            (Phase::Lost, _) => {}
            (
                Phase::Ready { buffer, udp },
                ToOutside::Open {
                    protocol,
                    host,
                    port,
                    window,
                    ..
                },
            ) => {
                let kind = match protocol {
                    Protocol::Tcp => StreamKind::Tcp,
                    Protocol::Udp if *udp => StreamKind::Udp,
                    _ => return self.refuse(id, Refusal::Prohibited),
                };
                let credit = *buffer;
                self.next = self.next.wrapping_add(1).max(1);
                let number = self.next;
                self.names.insert(id, number);
                let stream = Stream {
                    id,
                    kind,
                    credit,
                    outward: VecDeque::new(),
                    inward: VecDeque::new(),
                    waiting: 0,
                    room: window as usize,
                    is_closed: false,
                };
                self.streams.insert(number, stream);
                let host = host.to_string();
                self.send(number, &Packet::Connect { kind, port, host });
                self.say(FromOutside::Opened { id, window: WINDOW });
            }
            (Phase::Ready { .. }, told) => self.pass(id, told),
        }
    }

    fn pass(&mut self, id: OutsideId, told: ToOutside) {
        let Some(number) = self.names.get(&id).copied() else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        match told {
            ToOutside::Data { bytes, .. } if stream.kind == StreamKind::Udp => {
                let len = bytes.len() as u32;
                self.send(number, &Packet::Data(bytes));
                self.say(FromOutside::Consumed { id, bytes: len });
            }
            ToOutside::Data { bytes, .. } => {
                stream.outward.extend(bytes.chunks(PIECE).map(<[u8]>::to_vec));
                self.push_outward(number);
            }
            ToOutside::Window { bytes, .. } => {
                stream.room += bytes as usize;
                self.push_inward(number);
            }
            ToOutside::Close { .. } => {
                if !stream.is_closed {
                    self.send(number, &Packet::Close(CloseReason::VOLUNTARY));
                }
                self.forget(number);
            }
            ToOutside::Finish { .. } | ToOutside::Open { .. } | ToOutside::Opened { .. } => {}
        }
    }

    /// Takes a binary message of the relay's.
    pub fn message(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Lost {
            return;
        }
        match Packet::read(bytes) {
            Ok((0, packet)) => self.greeted(packet),
            Ok((number, packet)) => self.heard(number, packet),
            Err(error) => self.fail(error),
        }
    }

    /// The WebSocket is closed: all flows are lost.
    pub fn closed(&mut self) {
        self.phase = Phase::Lost;
        for told in std::mem::take(&mut self.early) {
            if let ToOutside::Open { id, .. } = told {
                self.refuse(id, Refusal::Unreachable);
            }
        }
        for number in self.streams.keys().copied().collect::<Vec<_>>() {
            self.reset(number);
        }
    }

    fn greeted(&mut self, packet: Packet) {
        let Phase::Greeting {
            speaks_v2,
            buffer,
            udp,
        } = &mut self.phase
        else {
            if matches!(packet, Packet::Close(_)) {
                self.fail(WispError::Refused);
            }
            return;
        };
        match packet {
            Packet::Continue(count) => *buffer = Some(count),
            Packet::Info { major, extensions } => {
                *speaks_v2 = major >= 2;
                // A password that nobody has told us cannot be given.
                if extensions.iter().any(|extension| matches!(extension, 2 | 3)) {
                    return self.fail(WispError::Password);
                }
                *udp = Some(extensions.contains(&1));
            }
            Packet::Close(_) => return self.fail(WispError::Refused),
            _ => {}
        }
        let (speaks_v2, buffer, udp) = (*speaks_v2, *buffer, *udp);
        match (buffer, udp) {
            (Some(buffer), Some(udp)) => {
                self.send(
                    0,
                    &Packet::Info {
                        major: 2,
                        extensions: vec![1],
                    },
                );
                self.ready(buffer, udp);
            }
            // Version 1 has no more to say, and always carries UDP.
            (Some(buffer), None) if !speaks_v2 => self.ready(buffer, true),
            _ => {}
        }
    }

    fn ready(&mut self, buffer: u32, udp: bool) {
        self.phase = Phase::Ready { buffer, udp };
        for told in std::mem::take(&mut self.early) {
            self.outside(told);
        }
    }

    fn heard(&mut self, number: u32, packet: Packet) {
        // What is on its way when a flow ends meets nobody.
        let Some(stream) = self.streams.get_mut(&number).filter(|stream| !stream.is_closed) else {
            return;
        };
        match packet {
            Packet::Data(bytes) => {
                let is_over = stream.waiting + bytes.len() > MAX_WAITING
                    || self.waiting + bytes.len() > MAX_ALL_WAITING;
                if stream.kind == StreamKind::Udp {
                    let id = stream.id;
                    return self.say(FromOutside::Data { id, bytes });
                }
                if is_over {
                    self.send(number, &Packet::Close(CloseReason::CLIENT_ERROR));
                    return self.reset(number);
                }
                stream.waiting += bytes.len();
                self.waiting += bytes.len();
                stream.inward.push_back(bytes);
                self.push_inward(number);
            }
            Packet::Continue(count) => {
                stream.credit = count;
                self.push_outward(number);
            }
            Packet::Close(reason) if reason == CloseReason::VOLUNTARY && stream.kind == StreamKind::Tcp => {
                stream.is_closed = true;
                self.push_inward(number);
            }
            Packet::Close(_) => self.reset(number),
            Packet::Connect { .. } | Packet::Info { .. } => {}
        }
    }

    /// Sends what the relay takes.
    fn push_outward(&mut self, number: u32) {
        while let Some(stream) = self.streams.get_mut(&number) {
            let id = stream.id;
            if stream.credit == 0 {
                return;
            }
            let Some(bytes) = stream.outward.pop_front() else {
                return;
            };
            stream.credit -= 1;
            let len = bytes.len() as u32;
            self.send(number, &Packet::Data(bytes));
            self.say(FromOutside::Consumed { id, bytes: len });
        }
    }

    /// Gives the guest what it takes, and its end when it has all.
    fn push_inward(&mut self, number: u32) {
        while let Some(stream) = self.streams.get_mut(&number) {
            let id = stream.id;
            let Some(mut bytes) = stream.inward.pop_front() else {
                if stream.is_closed {
                    self.say(FromOutside::Finish { id });
                }
                return;
            };
            if bytes.len() > stream.room {
                let rest = bytes.split_off(stream.room);
                stream.inward.push_front(rest);
            }
            stream.room -= bytes.len();
            stream.waiting -= bytes.len();
            self.waiting -= bytes.len();
            if bytes.is_empty() {
                return;
            }
            self.say(FromOutside::Data { id, bytes });
        }
    }

    fn fail(&mut self, error: WispError) {
        self.closed();
        self.out.push_back(WispEffect::Fail(error));
    }

    fn reset(&mut self, number: u32) {
        if let Some(id) = self.forget(number) {
            self.say(FromOutside::Reset { id });
        }
    }

    fn forget(&mut self, number: u32) -> Option<OutsideId> {
        let stream = self.streams.remove(&number)?;
        self.names.remove(&stream.id);
        self.waiting -= stream.waiting;
        Some(stream.id)
    }

    fn refuse(&mut self, id: OutsideId, why: Refusal) {
        self.say(FromOutside::Refused { id, why });
    }

    fn say(&mut self, said: FromOutside) {
        self.out.push_back(WispEffect::Say(said));
    }

    fn send(&mut self, number: u32, packet: &Packet) {
        self.out.push_back(WispEffect::Send(packet.write(number)));
    }
}
