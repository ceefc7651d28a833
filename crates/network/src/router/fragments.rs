//! Fragments of IPv4 packets: put together where they come in, as translation and firewall need whole packets, and cut again
//! where a network takes no larger ones (RFC 791, 3.2; RFC 815).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IPV4_HEADER_LEN, Ipv4Packet};

use crate::packet::Packet;

/// How long a packet waits for its parts (RFC 1122, 3.3.2: 60 to 120 s; Linux: 30 s).
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most packets that wait.
const MAX_PACKETS: usize = 64;
/// Most of one host.
const MAX_OF_HOST: usize = 16;
/// Most bytes that wait.
const MAX_BYTES: usize = 1 << 20;
/// Most parts of a packet.
const MAX_PARTS: usize = 512;
/// Most bytes behind a header.
const MAX_CONTENT: usize = 65_535 - IPV4_HEADER_LEN;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    ident: u16,
}

struct Partial {
    until: Instant,
    /// By where in the packet they begin, without headers.
    parts: BTreeMap<usize, Vec<u8>>,
    bytes: usize,
    /// How long the whole is, once that is known.
    total: Option<usize>,
    /// The first fragment as it came.
    first: Option<Packet>,
}

/// Packets of which not all has come.
#[derive(Default)]
pub(super) struct Fragments {
    partial: BTreeMap<Key, Partial>,
    bytes: usize,
}

impl Fragments {
    /// Takes a fragment, and gives the packet if that was the last that was missing. Fragments that overlap make the whole
    /// packet void, as they do for IPv6 (RFC 5722): honest senders send none.
    pub(super) fn add(&mut self, now: Instant, fragment: Packet) -> Option<Packet> {
        let ip = fragment.ip();
        let key = Key {
            source: ip.src_addr(),
            destination: ip.dst_addr(),
            protocol: ip.next_header().into(),
            ident: ip.ident(),
        };
        let (at, is_last) = (usize::from(ip.frag_offset()), !ip.more_frags());
        let content = fragment.content().to_vec();
        let end = at + content.len();
        let is_sound =
            !content.is_empty() && end <= MAX_CONTENT && (is_last || content.len().is_multiple_of(8));
        if !is_sound || !self.has_room(&key, content.len()) {
            return None;
        }
        let partial = self.partial.entry(key).or_insert_with(|| Partial {
            until: now + TIMEOUT,
            parts: BTreeMap::new(),
            bytes: 0,
            total: None,
            first: None,
        });
        if partial.parts.get(&at).is_some_and(|known| *known == content) {
            // Sent twice.
            return None;
        }
        let before = partial.parts.range(..=at).next_back();
        let behind = partial.parts.range(at..).next();
        let overlaps = before.is_some_and(|(from, part)| from + part.len() > at)
            || behind.is_some_and(|(from, _)| *from < end)
            || partial
                .total
                .is_some_and(|total| end > total || (is_last && total != end))
            || (is_last
                && partial
                    .parts
                    .last_key_value()
                    .is_some_and(|(from, part)| from + part.len() > end))
            || partial.parts.len() >= MAX_PARTS;
        if overlaps {
            self.forget(&key);
            return None;
        }
        if is_last {
            partial.total = Some(end);
        }
        partial.bytes += content.len();
        self.bytes += content.len();
        partial.parts.insert(at, content);
        if at == 0 {
            partial.first = Some(fragment);
        }
        if partial.total != Some(partial.bytes) {
            return None;
        }
        let whole = partial.whole();
        self.forget(&key);
        whole
    }

    fn has_room(&self, key: &Key, len: usize) -> bool {
        let of_host = || {
            self.partial
                .keys()
                .filter(|other| other.source == key.source)
                .count()
        };
        self.bytes + len <= MAX_BYTES
            && (self.partial.contains_key(key)
                || (self.partial.len() < MAX_PACKETS && of_host() < MAX_OF_HOST))
    }

    fn forget(&mut self, key: &Key) {
        if let Some(partial) = self.partial.remove(key) {
            self.bytes -= partial.bytes;
        }
    }

    pub(super) fn poll_at(&self) -> Option<Instant> {
        self.partial.values().map(|partial| partial.until).min()
    }

    /// Gives up what has waited too long, and gives the first fragments of those packets, as far as they came.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Packet> {
        let over = self.partial.iter().filter(|(_, partial)| partial.until <= now);
        let keys: Vec<Key> = over.map(|(key, _)| *key).collect();
        let mut firsts = Vec::new();
        for key in keys {
            if let Some(partial) = self.partial.remove(&key) {
                self.bytes -= partial.bytes;
                firsts.extend(partial.first);
            }
        }
        firsts
    }
}

impl Partial {
    fn whole(&self) -> Option<Packet> {
        let first = self.first.as_ref()?;
        let header = usize::from(first.ip().header_len());
        let total = u16::try_from(header + self.bytes).ok()?;
        let mut bytes = first.bytes()[..header].to_vec();
        for part in self.parts.values() {
            bytes.extend_from_slice(part);
        }
        let mut ip = Ipv4Packet::new_unchecked(&mut bytes);
        ip.set_total_len(total);
        ip.set_more_frags(false);
        ip.fill_checksum();
        Packet::read(&bytes, None)
    }
}

/// The packet in parts of at most `mtu` bytes, itself if it is no larger. `None` if it may not be cut.
pub(super) fn cut(packet: Packet, mtu: usize) -> Option<Vec<Packet>> {
    let ip = packet.ip();
    if packet.bytes().len() <= mtu {
        return Some(vec![packet]);
    }
    let header = usize::from(ip.header_len());
    let size = mtu.saturating_sub(header) / 8 * 8;
    if ip.dont_frag() || size == 0 {
        return None;
    }
    let content = packet.content();
    let mut parts = Vec::new();
    for (number, part) in content.chunks(size).enumerate() {
        let at = number * size;
        let mut bytes = if number == 0 {
            packet.bytes()[..header].to_vec()
        } else {
            later_header(&packet.bytes()[..header])
        };
        let header = bytes.len();
        bytes.extend_from_slice(part);
        let total = bytes.len() as u16;
        let mut ip = Ipv4Packet::new_unchecked(&mut bytes);
        ip.set_header_len(header as u8);
        ip.set_total_len(total);
        ip.set_frag_offset(at as u16);
        ip.set_more_frags(at + part.len() < content.len());
        ip.fill_checksum();
        parts.extend(Packet::read(&bytes, None));
    }
    Some(parts)
}

/// The header of a fragment behind the first: with those options only that say so (RFC 791, 3.1, "copied flag").
fn later_header(first: &[u8]) -> Vec<u8> {
    let mut header = first[..IPV4_HEADER_LEN].to_vec();
    let mut options = &first[IPV4_HEADER_LEN..];
    while let [kind, rest @ ..] = options {
        let len = match (kind, rest.first()) {
            (0, _) => break,
            (1, _) => 1,
            (_, Some(len)) if *len >= 2 && usize::from(*len) <= options.len() => usize::from(*len),
            _ => break,
        };
        if kind & 0x80 != 0 {
            header.extend_from_slice(&options[..len]);
        }
        options = &options[len..];
    }
    header.resize(header.len().next_multiple_of(4), 0);
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const B: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 9);

    fn packet(len: usize, ident: u16) -> Packet {
        let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        Packet::udp((A, 1000), (B, 2000), ident, &payload).unwrap()
    }

    proptest! {
        /// What is cut and comes in any order, some of it twice, is put together again; and nothing is left behind.
        #[test]
        fn parts_in_any_order_make_the_packet(
            len in 0_usize..9_000, mtu in 68_usize..1_500, order in any::<prop::sample::Index>(), shuffle: u64,
        ) {
            let whole = packet(len, 7);
            let mut parts = cut(whole.clone(), mtu).unwrap();
            prop_assert!(parts.iter().all(|part| part.bytes().len() <= mtu));
            if parts.len() == 1 || parts.len() > MAX_PARTS {
                return Ok(());
            }
            let again = parts[order.index(parts.len())].clone();
            fastrand::Rng::with_seed(shuffle).shuffle(&mut parts);
            let mut fragments = Fragments::default();
            let last = parts.pop().unwrap();
            for part in parts {
                prop_assert_eq!(fragments.add(Instant::ZERO, part), None);
            }
            if again != last {
                prop_assert_eq!(fragments.add(Instant::ZERO, again), None);
            }
            prop_assert_eq!(fragments.add(Instant::ZERO, last), Some(whole));
            prop_assert_eq!((fragments.bytes, fragments.partial.len()), (0, 0));
        }

        /// Fragments that were made up fill no more than they may, and none of them comes to more than its parts.
        #[test]
        fn made_up_parts_are_bounded(parts in prop::collection::vec((0_u16..8190, 0_usize..400, any::<bool>(), 0_u16..100), 1..200)) {
            let mut fragments = Fragments::default();
            for (at, len, more, ident) in parts {
                let mut part = packet(len, ident);
                part.ip_mut().set_frag_offset(at * 8);
                part.ip_mut().set_more_frags(more);
                part.ip_mut().fill_checksum();
                if part.is_fragment() {
                    fragments.add(Instant::ZERO, part);
                }
                prop_assert!(fragments.partial.len() <= MAX_OF_HOST);
                let held: usize = fragments.partial.values().map(|partial| partial.bytes).sum();
                prop_assert_eq!(held, fragments.bytes);
                prop_assert!(held <= MAX_BYTES);
            }
            fragments.poll(Instant::ZERO + TIMEOUT);
            prop_assert_eq!((fragments.bytes, fragments.partial.len()), (0, 0));
        }
    }

    #[test]
    fn a_packet_whose_parts_do_not_come_is_given_up() {
        let mut fragments = Fragments::default();
        let parts = cut(packet(3000, 7), 1500).unwrap();
        fragments.add(Instant::ZERO, parts[0].clone());
        fragments.add(Instant::ZERO, cut(packet(3000, 8), 1500).unwrap()[1].clone());
        assert_eq!(fragments.poll_at(), Some(Instant::from_secs(30)));
        assert!(fragments.poll(Instant::from_secs(29)).is_empty());
        assert_eq!(fragments.poll(Instant::from_secs(30)), [parts[0].clone()]);
        assert_eq!(fragments.poll_at(), None);
    }

    #[test]
    fn parts_that_overlap_make_the_packet_void() {
        let parts = cut(packet(3000, 7), 1500).unwrap();
        let mut other = parts[1].clone();
        other.ip_mut().set_frag_offset(1472);
        other.ip_mut().fill_checksum();
        let mut fragments = Fragments::default();
        for part in [parts[0].clone(), other, parts[1].clone(), parts[2].clone()] {
            assert_eq!(fragments.add(Instant::ZERO, part), None);
        }
    }

    #[test]
    fn what_may_not_be_cut_is_not() {
        let mut whole = packet(3000, 7);
        whole.ip_mut().set_dont_frag(true);
        assert_eq!(cut(whole.clone(), 1500), None);
        assert!(cut(whole, 4000).is_some());
    }
}
