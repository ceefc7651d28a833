//! Ethernet frames: their bytes, what is left to be done on them, and a reader of their headers.

use std::fmt;
use std::rc::Rc;

use smoltcp::wire::EthernetAddress;

use crate::offload::Offload;

/// Bytes of an Ethernet header without a tag.
pub const HEADER: usize = 14;
/// Bytes of a VLAN tag.
pub const TAG: usize = 4;
/// Most bytes of a frame: a header, a tag, and the largest IP packet, which guests hand over whole when segments are cut
/// later ([`crate::offload`]).
pub const MAX_FRAME: usize = HEADER + TAG + 65_535;

/// The EtherType of a VLAN tag (IEEE 802.1Q).
pub(crate) const VLAN: u16 = 0x8100;
/// EtherType of IPv4.
pub(crate) const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub(crate) const ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub(crate) const IPV6: u16 = 0x86dd;

/// A frame, without preamble and check sequence. Cloning copies no bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Rc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    bytes: Vec<u8>,
    offload: Offload,
}

impl Frame {
    /// A frame on which something is left to be done.
    pub fn with_offload(bytes: Vec<u8>, offload: Offload) -> Self {
        Self(Rc::new(Inner { bytes, offload }))
    }

    /// The frame's bytes from the destination address on.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// What its sender has left to be done on it.
    pub fn offload(&self) -> Offload {
        self.0.offload
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.bytes.len()
    }

    /// The bytes, copied only if somebody else has the frame, too.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match Rc::try_unwrap(self.0) {
            Ok(inner) => inner.bytes,
            Err(shared) => shared.bytes.clone(),
        }
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self::with_offload(bytes, Offload::default())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes", self.len())?;
        if let Some(header) = Header::read(self.bytes()) {
            write!(
                f,
                ", {} to {}, {:#06x}",
                header.source, header.destination, header.ethertype
            )?;
        }
        f.write_str(")")
    }
}

/// A VLAN tag's content (IEEE 802.1Q-2022, 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Priority and drop eligibility, in their place in the tag: the upper four bits.
    pub(crate) priority: u16,
    /// The VLAN identifier; 0 is a tag that tells a priority only.
    pub(crate) vid: u16,
}

/// What a frame's header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) destination: EthernetAddress,
    pub(crate) source: EthernetAddress,
    pub(crate) tag: Option<Tag>,
    /// Of what follows the header and the tag.
    pub(crate) ethertype: u16,
    /// Where that begins.
    pub(crate) payload: usize,
}

impl Header {
    /// Reads a header, with the outermost tag if there is one. `None` if the frame ends before that does.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let first = word(12)?;
        let (tag, ethertype, payload) = if first == VLAN {
            let control = word(14)?;
            let tag = Tag {
                priority: control & 0xf000,
                vid: control & 0x0fff,
            };
            (Some(tag), word(16)?, HEADER + TAG)
        } else {
            (None, first, HEADER)
        };
        Some(Self {
            destination: EthernetAddress::from_bytes(&bytes[..6]),
            source: EthernetAddress::from_bytes(&bytes[6..12]),
            tag,
            ethertype,
            payload,
        })
    }
}

/// A frame around this payload.
pub(crate) fn build(
    destination: EthernetAddress,
    source: EthernetAddress,
    ethertype: u16,
    payload: &[u8],
) -> Frame {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(destination.as_bytes());
    bytes.extend_from_slice(source.as_bytes());
    bytes.extend_from_slice(&ethertype.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_with_their_tag_or_not_at_all() {
        let mut bytes = vec![0xff; 6];
        bytes.extend([2, 0, 0, 0, 0, 1, 0x81, 0x00, 0x60, 0x0a, 0x08, 0x00]);
        let header = Header::read(&bytes).unwrap();
        assert!(header.destination.is_broadcast());
        let tag = header.tag.unwrap();
        assert_eq!((tag.priority, tag.vid, header.ethertype), (0x6000, 10, IPV4));
        assert_eq!(header.payload, 18);
        for end in 0..bytes.len() {
            assert_eq!(Header::read(&bytes[..end]), None, "of {end} bytes");
        }
    }
}
