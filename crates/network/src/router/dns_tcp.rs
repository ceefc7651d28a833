//! DNS over TCP (RFC 7766): for answers that are too long for a datagram. The connections end in the gateway like those to the
//! outside, and their streams in the name server.

use std::net::IpAddr;

use smoltcp::time::Instant;

use super::{Arrival, Router};
use crate::dns::Client;
use crate::gateway::{FromOutside, Host, Opening, OutsideId, ToOutside};
use crate::packet::{Packet, Tuple};

/// Most bytes of a query: none that a host sends is longer.
const MAX_QUERY: usize = 4096;

/// A connection to the name server.
pub(super) struct DnsStream {
    client: Client,
    /// What came of a query that is not there as a whole.
    received: Vec<u8>,
    /// Bytes that may be sent.
    room: usize,
}

impl Router {
    /// Takes the first segment of a connection.
    pub(super) fn open_dns(&mut self, now: Instant, arrival: &Arrival, tuple: Tuple, packet: Packet) {
        let opening = Opening {
            network: arrival.network.clone(),
            mac: arrival.mac,
            host: Host::Address(tuple.destination),
            packet,
        };
        let Some(id) = self.gateway.open(now, tuple, opening) else {
            return;
        };
        let client = Client {
            network: arrival.network.clone(),
            mac: arrival.mac,
            to: (IpAddr::V4(tuple.source), tuple.source_port),
            from: IpAddr::V4(tuple.destination),
            stream: Some(id),
        };
        let stream = DnsStream {
            client,
            received: Vec::new(),
            room: 0,
        };
        self.streams.insert(id, stream);
    }

    /// Takes what the gateway tells of a connection to the name server; gives back what is told of another one.
    pub(super) fn take_stream(&mut self, now: Instant, told: ToOutside) -> Option<ToOutside> {
        let id = told.id();
        let Some(stream) = self.streams.get_mut(&id) else {
            return Some(told);
        };
        let say = match told {
            ToOutside::Open { window, .. } => {
                stream.room = window as usize;
                let window = MAX_QUERY as u32 * 2;
                FromOutside::Opened { id, window }
            }
            ToOutside::Data { bytes, .. } => {
                stream.received.extend_from_slice(&bytes);
                self.take_queries(now, id);
                let bytes = bytes.len() as u32;
                FromOutside::Consumed { id, bytes }
            }
            ToOutside::Window { bytes, .. } => {
                stream.room += bytes as usize;
                return None;
            }
            ToOutside::Finish { .. } => FromOutside::Finish { id },
            ToOutside::Close { .. } => {
                self.streams.remove(&id);
                return None;
            }
            ToOutside::Opened { .. } => return None,
        };
        self.gateway.outside(now, say);
        None
    }

    /// Answers the queries that are there as a whole. Each has its length before it.
    fn take_queries(&mut self, now: Instant, id: OutsideId) {
        while let Some(stream) = self.streams.get_mut(&id) {
            let Some((len, rest)) = stream.received.split_first_chunk::<2>() else {
                return;
            };
            let len = usize::from(u16::from_be_bytes(*len));
            if len > MAX_QUERY {
                self.streams.remove(&id);
                return self.gateway.outside(now, FromOutside::Reset { id });
            }
            if rest.len() < len {
                return;
            }
            let query: Vec<u8> = stream.received.drain(..2 + len).skip(2).collect();
            let client = stream.client.clone();
            self.take_query(now, client, &query);
        }
    }

    /// Sends an answer over a connection that is still there. One that takes nothing is reset.
    pub(super) fn answer_stream(&mut self, now: Instant, id: OutsideId, message: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let len = u16::try_from(message.len())
            .ok()
            .filter(|_| message.len() + 2 <= stream.room);
        let Some(len) = len else {
            self.streams.remove(&id);
            return self.gateway.outside(now, FromOutside::Reset { id });
        };
        stream.room -= message.len() + 2;
        let bytes = [&len.to_be_bytes(), message].concat();
        self.gateway.outside(now, FromOutside::Data { id, bytes });
    }
}
