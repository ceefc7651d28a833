//! The router's name server: names of VMs and what a person has set by itself, names of the outside by whoever resolves them
//! there (RFC 1035).

mod names;
mod question;
#[cfg(test)]
mod tests;
mod upstream;
mod zone;

use std::net::Ipv4Addr;

use simple_dns::rdata::{A, AAAA, CNAME, OPT, PTR, RData, TXT};
use simple_dns::{CLASS, Name, Packet as Message, PacketFlag, QCLASS, QTYPE, ResourceRecord};

use crate::config::{AllowRule, NetworkConfig, NetworkId, NetworkType};
pub(crate) use names::{Names, RANGE};
use question::{Code, Query, Question, kind};
pub(crate) use upstream::{Client, Finished, Upstream};
pub use upstream::{ResolveId, Resolved};
use zone::{Found, Record};

/// How long an answer of ours may be kept, in seconds: VMs come and go.
const TTL: u32 = 30;
/// Most bytes of a message over UDP that we take and send (DNS Flag Day 2020).
const OWN_SIZE: u16 = 1232;

/// Who knows which host has which name: the router.
pub(crate) trait Directory {
    /// The networks whose names somebody in `network` may ask for, that one first.
    fn visible_from(&self, network: &NetworkId) -> Vec<&NetworkConfig>;
    /// The address of a host by its name without domain.
    fn address(&self, network: &NetworkId, host: &str) -> Option<Ipv4Addr>;
    /// Whether there is a host of this name, though it may have no address.
    fn is_known(&self, network: &NetworkId, host: &str) -> bool;
    /// The name of a host by its address, without domain.
    fn name(&self, network: &NetworkId, address: Ipv4Addr) -> Option<String>;
}

/// What becomes of a query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is no query.
    None,
    /// This is the answer.
    Now(Vec<u8>),
    /// The upstream is to be asked this.
    Ask(Vec<u8>),
}

/// Answers a query from somebody in `network`; one over UDP in at most as many bytes as it says.
pub(crate) fn answer(
    query: &[u8],
    network: &NetworkConfig,
    directory: &dyn Directory,
    names: &mut Names,
    over_udp: bool,
) -> Answer {
    let Some(query_read) = Query::read(query) else {
        return Answer::None;
    };
    let empty = |code| Answer::Now(query_read.empty_answer(code));
    if query_read.opcode() != 0 {
        return empty(Code::NotImplemented);
    }
    let Some(question) = &query_read.question else {
        return empty(Code::FormatError);
    };
    if !matches!(question.class, 1 | 255) {
        return empty(Code::Refused);
    }
    let limit = if over_udp {
        usize::from(query_read.edns.unwrap_or(512).clamp(512, OWN_SIZE))
    } else {
        usize::from(u16::MAX)
    };
    match zone::find(question, network, directory) {
        Found::Records(records) => Answer::Now(write(&query_read, question, &records, limit)),
        Found::NoSuchName => empty(Code::NoSuchName),
        Found::Foreign => {
            if network.kind != NetworkType::Nat || !may_ask(&network.outside, &question.name) {
                // Not “refused”: musl's resolver waits for a better answer than that until it times out.
                return empty(Code::NoSuchName);
            }
            if network.dns.as_ref().is_some_and(|dns| dns.upstream) {
                return Answer::Ask(query.to_vec());
            }
            if !crate::config::is_name(&question.name) || question.kind == kind::PTR {
                return empty(Code::NoSuchName);
            }
            let records = if matches!(question.kind, kind::A | kind::ANY) {
                vec![Record::A(names.address_of(&question.name))]
            } else {
                Vec::new()
            };
            Answer::Now(write(&query_read, question, &records, limit))
        }
    }
}

/// Whether some connection to this name is allowed.
fn may_ask(rules: &[AllowRule], name: &str) -> bool {
    rules
        .iter()
        .any(|rule| crate::gateway::policy::matches_host(&rule.host, name))
}

/// The answer with these records, or one that says that it would be too long.
fn write(query: &Query, question: &Question, records: &[Record], limit: usize) -> Vec<u8> {
    if records.is_empty() {
        return query.empty_answer(Code::Ok);
    }
    written(query, question, records)
        .filter(|bytes| bytes.len() <= limit)
        .unwrap_or_else(|| {
            let mut bytes = query.empty_answer(Code::Ok);
            bytes[2] |= 0x02;
            bytes
        })
}

fn written(query: &Query, question: &Question, records: &[Record]) -> Option<Vec<u8>> {
    let mut message = Message::new_reply(query.id);
    message.set_flags(PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_AVAILABLE);
    if query.flags & 0x0100 != 0 {
        message.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    if query.edns.is_some() {
        *message.opt_mut() = Some(OPT {
            opt_codes: Vec::new(),
            udp_packet_size: OWN_SIZE,
            version: 0,
        });
    }
    // As it came, letter by letter: some resolvers hide a secret in small and capital letters.
    let asked = Name::new(&question.text).ok()?;
    let (kind, class) = (
        QTYPE::try_from(question.kind).ok()?,
        QCLASS::try_from(question.class).ok()?,
    );
    message
        .questions
        .push(simple_dns::Question::new(asked.clone(), kind, class, false));
    let mut owner = asked;
    for record in records {
        let data = match record {
            Record::A(address) => RData::A(A::from(*address)),
            Record::Aaaa(address) => RData::AAAA(AAAA::from(*address)),
            Record::Ptr(name) => RData::PTR(PTR(Name::new(name).ok()?)),
            Record::Txt(text) => RData::TXT(TXT::new().with_string(text).ok()?),
            Record::Cname(name) => RData::CNAME(CNAME(Name::new(name).ok()?)),
        };
        message
            .answers
            .push(ResourceRecord::new(owner.clone(), CLASS::IN, TTL, data));
        // What follows an alias is of the name that it stands for.
        if let Record::Cname(name) = record {
            owner = Name::new(name).ok()?;
        }
    }
    message.build_bytes_vec_compressed().ok()
}
