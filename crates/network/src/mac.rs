//! MAC addresses of VMs' interfaces, made from what names the VM.

use sha2::{Digest, Sha256};
use smoltcp::wire::EthernetAddress;

/// The address of a VM's interface, counted from 0.
///
/// It stays the same over restarts, and a clone, whose identifier is another one, has another: 46 bits come from a SHA-256
/// of identifier and number. It is locally administered (IEEE 802, 8.4), as those that come from no vendor have to be.
pub fn mac_address(vm_id: &str, interface: u32) -> EthernetAddress {
    derive(b"vm", vm_id, interface)
}

/// The address of the router's interface in a network.
pub(crate) fn of_router(network: &str) -> EthernetAddress {
    derive(b"router", network, 0)
}

fn derive(kind: &[u8], name: &str, number: u32) -> EthernetAddress {
    let mut hash = Sha256::new();
    for part in [
        b"qemuweb-mac".as_slice(),
        kind,
        name.as_bytes(),
        &number.to_be_bytes(),
    ] {
        // With lengths, so that no two lists of parts have the same bytes.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let mut address = [0; 6];
    address.copy_from_slice(&hash[..6]);
    address[0] = address[0] & 0b1111_1100 | 0b10;
    EthernetAddress(address)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn addresses_are_stable_local_and_differ() {
        assert_eq!(mac_address("web", 0), mac_address("web", 0));
        let mut seen = BTreeSet::new();
        for vm in 0..500 {
            for interface in 0..4 {
                let address = mac_address(&format!("vm-{vm}"), interface);
                assert!(address.is_unicast() && address.is_local());
                assert!(seen.insert(address));
            }
        }
        assert!(seen.insert(of_router("vm-1")));
        // A change would give every kept VM another address.
        assert_eq!(mac_address("web", 0).to_string(), "6e-01-66-94-fc-ee");
    }
}
