//! What the name server answers, read back by another implementation (smoltcp) where that can.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use proptest::prelude::*;
use smoltcp::time::Instant;
use smoltcp::wire::{DnsPacket, DnsRecordData, EthernetAddress};

use super::*;
use crate::config::{DnsConfig, DnsData, DnsRecord, default_networks};

const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 105);

struct Hosts {
    networks: Vec<NetworkConfig>,
    hosts: BTreeMap<(&'static str, &'static str), Option<Ipv4Addr>>,
}

impl Directory for Hosts {
    fn visible_from(&self, network: &NetworkId) -> Vec<&NetworkConfig> {
        let (own, others): (Vec<_>, Vec<_>) = self.networks.iter().partition(|other| other.id == *network);
        own.into_iter().chain(others).collect()
    }

    fn address(&self, network: &NetworkId, host: &str) -> Option<Ipv4Addr> {
        let mut found = self
            .hosts
            .iter()
            .filter(|((of, name), _)| *of == network.0 && *name == host);
        found.next().and_then(|(_, address)| *address)
    }

    fn is_known(&self, network: &NetworkId, host: &str) -> bool {
        self.hosts
            .keys()
            .any(|(of, name)| *of == network.0 && *name == host)
    }

    fn name(&self, network: &NetworkId, address: Ipv4Addr) -> Option<String> {
        let mut found = self
            .hosts
            .iter()
            .filter(|((of, _), other)| *of == network.0 && **other == Some(address));
        found.next().map(|((_, name), _)| (*name).to_owned())
    }
}

fn hosts() -> Hosts {
    let mut networks = default_networks();
    let record = |name: &str, data| DnsRecord {
        name: name.to_owned(),
        data,
    };
    networks[0].dns = Some(DnsConfig {
        records: vec![
            record("api.example.test", DnsData::A(WEB)),
            record("api.example.test", DnsData::Aaaa(Ipv6Addr::LOCALHOST)),
            record("www", DnsData::Cname("web".to_owned())),
            record("round", DnsData::Cname("round".to_owned())),
            record("away", DnsData::Cname("www.example.com".to_owned())),
            record("note", DnsData::Txt("hello".to_owned())),
        ],
        ..DnsConfig::default()
    });
    networks[0].outside = vec![serde_json::from_str(r#"{"host":"*.example.org"}"#).unwrap()];
    Hosts {
        networks,
        hosts: BTreeMap::from([
            (("management", "web"), Some(WEB)),
            (("management", "off"), None),
            (("dmz", "db"), Some(Ipv4Addr::new(172, 16, 0, 9))),
        ]),
    }
}

fn query(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    if let Some(size) = edns {
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        bytes.extend([0; 6]);
    }
    bytes
}

fn ask(query: &[u8]) -> Answer {
    let hosts = hosts();
    answer(query, &hosts.networks[0], &hosts, &mut Names::default(), true)
}

/// The answer's code and what it says.
fn answered(name: &str, kind: u16) -> (u8, Vec<String>) {
    let sent = query(name, kind, None);
    let Answer::Now(bytes) = ask(&sent) else {
        panic!("no answer to {name}")
    };
    assert_eq!(bytes[..2], sent[..2]);
    assert_eq!(bytes[2] & 0x81, 0x81, "an answer; recursion was desired");
    assert_eq!(
        bytes[HEADER..][..sent.len() - HEADER],
        sent[HEADER..],
        "the question, letter by letter"
    );
    let packet = DnsPacket::new_checked(bytes.as_slice()).unwrap();
    let (mut rest, _) = smoltcp::wire::DnsQuestion::parse(packet.payload()).unwrap();
    let mut records = Vec::new();
    for _ in 0..packet.answer_record_count() {
        let (behind, record) = smoltcp::wire::DnsRecord::parse(rest).unwrap();
        rest = behind;
        records.push(match record.data {
            DnsRecordData::A(address) => address.to_string(),
            DnsRecordData::Aaaa(address) => address.to_string(),
            DnsRecordData::Cname(name) => {
                let labels = packet
                    .parse_name(name)
                    .map(|label| String::from_utf8(label.unwrap().to_vec()).unwrap());
                format!("alias of {}", labels.collect::<Vec<_>>().join("."))
            }
            DnsRecordData::Other(kind, data) => format!("{kind:?} of {} bytes", data.len()),
        });
    }
    (bytes[3] & 0xf, records)
}

const HEADER: usize = question::HEADER;

#[test]
fn names_of_the_networks_are_answered() {
    let one = |text: &str| (0, vec![text.to_owned()]);
    let none = (0, Vec::new());
    let no_such = (3, Vec::new());
    assert_eq!(answered("web", 1), one("10.0.0.105"));
    assert_eq!(answered("WEB.Management.Internal", 1), one("10.0.0.105"));
    assert_eq!(answered("db.dmz.internal", 1), one("172.16.0.9"));
    assert_eq!(answered("db", 1), no_such);
    assert_eq!(answered("router", 1), one("10.0.0.1"));
    assert_eq!(answered("router.dmz.internal", 1), one("172.16.0.1"));
    assert_eq!(answered("off", 1), none, "it is there, but has no address now");
    assert_eq!(answered("web", 28), none);
    assert_eq!(answered("management.internal", 1), none);
    assert_eq!(answered("localhost", 1), one("127.0.0.1"));
    assert_eq!(answered("api.example.test", 1), one("10.0.0.105"));
    assert_eq!(answered("api.example.test", 28), one("::1"));
    assert_eq!(answered("api.example.test", 255).1.len(), 2);
    assert_eq!(answered("note", 16), one("Unknown(16) of 6 bytes"));
    let alias = vec![
        "alias of web.management.internal".to_owned(),
        "10.0.0.105".to_owned(),
    ];
    assert_eq!(answered("www", 1), (0, alias));
    assert_eq!(answered("away", 1).1, ["alias of www.example.com"]);
    assert_eq!(answered("round", 1).1.len(), 8, "it ends");
    assert_eq!(answered("105.0.0.10.in-addr.arpa", 12).1.len(), 1);
    assert_eq!(answered("106.0.0.10.in-addr.arpa", 12), no_such);
    assert_eq!(answered("1.168.192.in-addr.arpa", 12), no_such);
    assert_eq!(answered("www.example.com", 1), no_such, "nobody may ask for it");
    let (code, records) = answered("www.example.org", 1);
    assert!(code == 0 && records[0].starts_with("198.1"), "{records:?}");
    assert_eq!(answered("www.example.org", 28), none);
}

#[test]
fn types_that_the_library_does_not_know_are_answered_all_the_same() {
    for kind in [52, 39, 61, 99, 64, 65, 257, 65_280] {
        assert_eq!(answered("web", kind), (0, Vec::new()), "type {kind}");
        assert_eq!(answered("nobody", kind), (3, Vec::new()), "type {kind}");
    }
}

#[test]
fn what_is_no_query_of_ours_is_told_so() {
    let code = |bytes: &[u8]| match ask(bytes) {
        Answer::Now(answer) => Some(answer[3] & 0xf),
        _ => None,
    };
    let good = query("web", 1, None);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(code(&with(2, 0x28)), Some(4), "an update");
    assert_eq!(code(&with(5, 2)), Some(1), "two questions");
    assert_eq!(code(&with(5, 0)), Some(1), "none");
    assert_eq!(code(&with(12, 0xc0)), Some(1), "a name that is compressed");
    assert_eq!(code(&with(good.len() - 1, 3)), Some(5), "another class");
    assert_eq!(ask(&with(2, 0x80)), Answer::None, "an answer");
    assert_eq!(ask(&good[..11]), Answer::None);
}

#[test]
fn an_answer_is_as_long_as_the_one_who_asks_takes() {
    let mut hosts = hosts();
    let records = (0..60_u8).map(|number| DnsRecord {
        name: "many".to_owned(),
        data: DnsData::A(Ipv4Addr::new(10, 0, 0, number)),
    });
    hosts.networks[0].dns.as_mut().unwrap().records.extend(records);
    let len = |edns, over_udp| {
        let query = query("many", 1, edns);
        let answer = answer(
            &query,
            &hosts.networks[0],
            &hosts,
            &mut Names::default(),
            over_udp,
        );
        let Answer::Now(bytes) = answer else { panic!() };
        let is_cut = bytes[2] & 2 != 0;
        assert_eq!(is_cut, bytes[7] == 0);
        (bytes.len(), is_cut)
    };
    assert!(len(None, true).1);
    assert!(!len(Some(1232), true).1);
    assert!(!len(Some(4096), true).1);
    assert!(!len(None, false).1);
}

#[test]
fn the_upstreams_answers_are_checked_and_each_host_has_so_many_questions() {
    let client = |port| Client {
        network: "management".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
        to: (WEB.into(), port),
        from: Ipv4Addr::new(10, 0, 0, 1).into(),
        stream: None,
    };
    let mut upstream = Upstream::default();
    let mut names = Names::default();
    let now = Instant::ZERO;
    let sent = query("www.example.org", 1, None);
    let mut ids = Vec::new();
    for port in 1..=100 {
        match upstream.ask(now, client(port), sent.clone()) {
            Ok(id) => ids.extend(id),
            Err(refused) => assert_eq!(refused.message[3] & 0xf, 2),
        }
    }
    assert_eq!(ids.len(), 64);
    assert_eq!(
        upstream.ask(now, client(1), sent.clone()),
        Ok(None),
        "it is asked already"
    );
    let code = |answer: Option<Finished>| answer.map(|finished| finished.message[3] & 0xf);
    let mut good = sent.clone();
    (good[0], good[2]) = (0, 0x81);
    let mut foreign = query("www.example.net", 1, None);
    foreign[2] = 0x81;
    let mut greedy = good.clone();
    greedy[6..12].copy_from_slice(&[0xff; 6]);
    for (said, expected) in [
        (Resolved::Message(good.clone()), 0),
        (Resolved::Message(foreign), 2),
        (Resolved::Message(greedy), 2),
        (Resolved::Message(sent.clone()), 2),
        (Resolved::Message(vec![1; 5]), 2),
        (Resolved::Failed, 2),
    ] {
        let id = ids.pop().unwrap();
        assert_eq!(
            code(upstream.answered(id, said.clone(), &mut names)),
            Some(expected),
            "{said:?}"
        );
        assert_eq!(upstream.answered(id, said, &mut names), None, "once");
    }
    assert_eq!(
        upstream.poll(now + smoltcp::time::Duration::from_secs(5)).len(),
        58
    );
    assert_eq!(upstream.poll_at(), None);
}

proptest! {
    /// Whatever comes to the port is answered with a message that can be read, or not at all.
    #[test]
    fn made_up_queries_do_no_harm(
        mut bytes in prop::collection::vec(any::<u8>(), 0..100), name in "[a-zA-Z0-9.\\-_]{0,40}", kind: u16, is_shaped: bool,
    ) {
        if is_shaped {
            let mut shaped = query(&name, kind, Some(1232));
            let at = bytes.len() % shaped.len();
            shaped[at] = bytes.first().copied().unwrap_or(0);
            bytes = shaped;
        }
        match ask(&bytes) {
            Answer::Now(answer) => {
                prop_assert!(answer.len() <= 1232 && answer[2] & 0x80 != 0);
                prop_assert_eq!(&answer[..2], &bytes[..2]);
            }
            Answer::Ask(_) => prop_assert!(false, "no upstream is set"),
            Answer::None => {}
        }
    }

    #[test]
    fn made_up_answers_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut upstream = Upstream::default();
        let client = Client {
            network: "management".into(),
            mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
            to: (WEB.into(), 1),
            from: WEB.into(),
            stream: None,
        };
        let sent = query("www.example.org", 1, None);
        let id = upstream.ask(Instant::ZERO, client, sent.clone()).unwrap().unwrap();
        let mut answer = sent;
        answer[2] |= 0x80;
        answer.truncate(answer.len() + 6);
        answer.extend(bytes);
        upstream.answered(id, Resolved::Message(answer), &mut Names::default());
    }
}
