//! Addresses that stand for names of the outside.
//!
//! A browser resolves names only while it connects, and tells nobody the address. So a guest that asks for a name is given an
//! address of a range that no network has (198.18.0.0/15, RFC 2544), and when it connects to that, the connection is to the
//! name. Where an upstream server has answered with real addresses, these are remembered in the same way.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use smoltcp::wire::Ipv4Cidr;

/// Most addresses that are remembered.
const MAX: usize = 32_768;
/// The range that no network has.
pub(crate) const RANGE: Ipv4Cidr = Ipv4Cidr::new(Ipv4Addr::new(198, 18, 0, 0), 15);

struct Known {
    name: String,
    used: u64,
}

/// Which address stands for which name.
#[derive(Default)]
pub(crate) struct Names {
    by_address: BTreeMap<Ipv4Addr, Known>,
    /// Of names whose address was made up.
    by_name: BTreeMap<String, Ipv4Addr>,
    by_use: BTreeMap<u64, Ipv4Addr>,
    uses: u64,
}

impl Names {
    /// The address that stands for this name, in small letters.
    pub(crate) fn address_of(&mut self, name: &str) -> Ipv4Addr {
        if let Some(address) = self.by_name.get(name).copied() {
            self.touch(address);
            return address;
        }
        // From a place that follows from the name, so that it mostly is the same again when all is forgotten.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let first = u32::from(RANGE.address());
        let size = 1_u32 << (32 - RANGE.prefix_len());
        let mut place = (hash >> 16) as u32 % size;
        let mut at = || {
            place = (place + 1) % size;
            // Not those that look like a network's own or all hosts'.
            let address = Ipv4Addr::from(first + place);
            (!matches!(address.octets()[3], 0 | 255)).then_some(address)
        };
        let address = loop {
            // Some are free: there are far more than are remembered.
            if let Some(address) = at().filter(|address| !self.by_address.contains_key(address)) {
                break address;
            }
        };
        self.by_name.insert(name.to_owned(), address);
        self.remember(address, name.to_owned());
        address
    }

    /// Takes note that a name was answered with this address.
    pub(crate) fn learn(&mut self, name: &str, address: Ipv4Addr) {
        // An upstream that answers with what we make up would take names from others.
        if !RANGE.contains_addr(&address) {
            self.remember(address, name.to_owned());
        }
    }

    /// The name that an address stands for.
    pub(crate) fn name_of(&mut self, address: Ipv4Addr) -> Option<String> {
        let name = self.by_address.get(&address)?.name.clone();
        self.touch(address);
        Some(name)
    }

    fn touch(&mut self, address: Ipv4Addr) {
        self.uses += 1;
        if let Some(known) = self.by_address.get_mut(&address) {
            self.by_use.remove(&known.used);
            known.used = self.uses;
            self.by_use.insert(self.uses, address);
        }
    }

    fn remember(&mut self, address: Ipv4Addr, name: String) {
        self.uses += 1;
        let used = self.uses;
        if let Some(before) = self.by_address.insert(address, Known { name, used }) {
            self.by_use.remove(&before.used);
        }
        self.by_use.insert(used, address);
        if self.by_address.len() > MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
            && let Some(gone) = self.by_address.remove(&oldest)
            && self.by_name.get(&gone.name) == Some(&oldest)
        {
            self.by_name.remove(&gone.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_stand_for_each_other() {
        let mut names = Names::default();
        let address = names.address_of("example.org");
        assert!(RANGE.contains_addr(&address));
        assert_eq!(names.address_of("example.org"), address);
        assert_ne!(names.address_of("example.net"), address);
        assert_eq!(names.name_of(address).as_deref(), Some("example.org"));
        let real = Ipv4Addr::new(93, 184, 216, 34);
        names.learn("example.com", real);
        names.learn("evil.example", address);
        assert_eq!(names.name_of(real).as_deref(), Some("example.com"));
        assert_eq!(names.name_of(address).as_deref(), Some("example.org"));
        assert_eq!(Names::default().address_of("example.org"), address);
    }

    #[test]
    fn what_was_used_last_is_remembered_longest() {
        let mut names = Names::default();
        let first = names.address_of("first.example");
        let second = names.address_of("second.example");
        for number in 0..2 * MAX {
            names.address_of(&format!("host-{number}.example"));
            if number % 1000 == 0 {
                names.name_of(first);
            }
            assert!(names.by_address.len() <= MAX && names.by_use.len() == names.by_address.len());
        }
        assert_eq!(names.name_of(first).as_deref(), Some("first.example"));
        assert_ne!(names.name_of(second).as_deref(), Some("second.example"));
        assert!(names.by_name.len() <= MAX);
    }
}
