//! Queries that the upstream server is asked, and who waits for the answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use simple_dns::Packet as Message;
use simple_dns::rdata::RData;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use super::question::{Code, Query};
use super::{Names, OWN_SIZE};
use crate::config::NetworkId;
use crate::gateway::OutsideId;

/// Names a query to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResolveId(pub u64);

/// What the upstream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// This message, as it came.
    Message(Vec<u8>),
    /// It could not be asked.
    Failed,
}

/// Most queries that wait, and most of one host.
const MAX: usize = 512;
const MAX_OF_HOST: usize = 64;
/// After that a guest has asked again or given up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who has asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) network: NetworkId,
    pub(crate) mac: EthernetAddress,
    /// Where the answer goes to, and from.
    pub(crate) to: (std::net::IpAddr, u16),
    pub(crate) from: std::net::IpAddr,
    /// The connection over which it has asked, if it was over TCP.
    pub(crate) stream: Option<OutsideId>,
}

struct Waiting {
    client: Client,
    query: Vec<u8>,
    until: Instant,
}

/// An answer that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) client: Client,
    pub(crate) message: Vec<u8>,
}

/// The queries that wait.
#[derive(Default)]
pub(crate) struct Upstream {
    waiting: BTreeMap<ResolveId, Waiting>,
    next: u64,
}

impl Upstream {
    /// Notes a query; if too many wait, the answer that there is none. A query that its sender repeats is asked once.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        client: Client,
        query: Vec<u8>,
    ) -> Result<Option<ResolveId>, Finished> {
        let mut of_host = self
            .waiting
            .values()
            .filter(|waiting| waiting.client.mac == client.mac);
        if of_host
            .clone()
            .any(|waiting| waiting.client == client && waiting.query == query)
        {
            return Ok(None);
        }
        if self.waiting.len() >= MAX || of_host.nth(MAX_OF_HOST - 1).is_some() {
            return Err(failed(client, &query));
        }
        self.next += 1;
        let id = ResolveId(self.next);
        let until = now + TIMEOUT;
        self.waiting.insert(id, Waiting { client, query, until });
        Ok(Some(id))
    }

    /// Takes what the upstream says. Addresses in it are learned.
    pub(crate) fn answered(&mut self, id: ResolveId, said: Resolved, names: &mut Names) -> Option<Finished> {
        let Waiting { client, query, .. } = self.waiting.remove(&id)?;
        let answer = match said {
            Resolved::Message(message) => accept(&query, message, names, client.stream.is_none()),
            Resolved::Failed => None,
        };
        Some(match answer {
            Some(message) => Finished { client, message },
            None => failed(client, &query),
        })
    }

    pub(crate) fn poll_at(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Vec<Finished> {
        let over = self.waiting.extract_if(.., |_, waiting| waiting.until <= now);
        over.map(|(_, waiting)| failed(waiting.client, &waiting.query))
            .collect()
    }

    /// Forgets the queries of a network that is gone.
    pub(crate) fn forget(&mut self, network: &NetworkId) {
        self.waiting
            .retain(|_, waiting| waiting.client.network != *network);
    }
}

fn failed(client: Client, query: &[u8]) -> Finished {
    let message = Query::read(query).map(|query| query.empty_answer(Code::ServerFailure));
    Finished {
        client,
        message: message.unwrap_or_default(),
    }
}

/// The message as the one who asked gets it, if it answers the question.
fn accept(query: &[u8], mut message: Vec<u8>, names: &mut Names, over_udp: bool) -> Option<Vec<u8>> {
    let query = Query::read(query)?;
    let question = query.question.as_ref()?;
    if message.len() < super::question::HEADER + question.raw.len() || message[2] & 0x80 == 0 {
        return None;
    }
    let repeated = &message[super::question::HEADER..][..question.raw.len()];
    if message[4..6] != [0, 1] || !repeated.eq_ignore_ascii_case(&question.raw) {
        return None;
    }
    message[..2].copy_from_slice(&query.id.to_be_bytes());
    let counts = message[6..12]
        .chunks(2)
        .map(|count| u16::from_be_bytes([count[0], count[1]]));
    // A record has 11 bytes at least: what claims more is no message, and would take the memory for it.
    if counts.map(usize::from).sum::<usize>() * 11 > message.len() {
        return None;
    }
    // What cannot be read passes all the same; it teaches us nothing.
    if let Ok(read) = Message::parse(&message) {
        for answer in &read.answers {
            if let RData::A(a) = &answer.rdata {
                names.learn(&question.name, Ipv4Addr::from(a.address));
            }
        }
    }
    let limit = usize::from(query.edns.unwrap_or(512).clamp(512, OWN_SIZE));
    if over_udp && message.len() > limit {
        let mut short = query.empty_answer(Code::Ok);
        short[2] |= 0x02;
        return Some(short);
    }
    Some(message)
}
