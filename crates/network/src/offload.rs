//! What guests leave to their network: checksums to be filled in, and large TCP or UDP packets to be cut.
//!
//! Between two guests that both know of it such a frame passes as it is, and nobody reckons a checksum. [`resolve`] does the
//! work for those who do not. The terms are virtio's (Virtual I/O Device 1.2, 5.1.6 "Device Operation").

use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber, UdpPacket};
use thiserror::Error;

use crate::frame::{self, Frame, Header};

/// What is left to be done on a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// A checksum to be filled in.
    pub checksum: Option<Checksum>,
    /// How it is to be cut.
    pub segments: Option<Segments>,
}

/// A checksum that holds the sum of the pseudo header so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Where what is summed begins, in bytes from the frame's begin.
    pub start: u16,
    /// Where the checksum stands, from `start`.
    pub offset: u16,
}

/// A packet that stands for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// What is cut.
    pub kind: SegmentKind,
    /// Whether the sender uses ECN (`VIRTIO_NET_HDR_GSO_ECN`).
    pub ecn: bool,
    /// Bytes of all headers, as the sender tells; a hint only.
    pub header: u16,
    /// Most bytes of payload in a segment, at least 1.
    pub size: u16,
}

/// What kind of packet is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP, each segment a datagram.
    Udp,
}

/// A header of virtio that asks for what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected} in a packet's virtio header, found {found}")]
pub struct OffloadError {
    expected: &'static str,
    found: String,
}

const NEEDS_CSUM: u8 = 1;
const ECN: u8 = 0x80;

impl Offload {
    /// Bytes of `struct virtio_net_hdr` without the number of buffers.
    pub const HEADER: usize = 10;

    /// Reads a `struct virtio_net_hdr`, little-endian, that stands before a frame of `len` bytes.
    pub fn read(header: &[u8; Self::HEADER], len: usize) -> Result<Self, OffloadError> {
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let wrong = |expected, found: String| Err(OffloadError { expected, found });
        let checksum = (header[0] & NEEDS_CSUM != 0).then(|| Checksum {
            start: word(6),
            offset: word(8),
        });
        if let Some(Checksum { start, offset }) = checksum {
            let end = usize::from(start) + usize::from(offset) + 2;
            if usize::from(start) < frame::HEADER || end > len {
                return wrong(
                    "a checksum within the packet",
                    format!("one that ends at {end} of {len} bytes"),
                );
            }
        }
        let kind = match header[1] & !ECN {
            0 => None,
            1 => Some(SegmentKind::Tcp4),
            4 => Some(SegmentKind::Tcp6),
            5 => Some(SegmentKind::Udp),
            kind => return wrong("segments of TCP or UDP", format!("the kind {kind}")),
        };
        let segments = kind.map(|kind| Segments {
            kind,
            ecn: header[1] & ECN != 0,
            header: word(2),
            size: word(4),
        });
        match segments {
            Some(segments) if segments.size == 0 || checksum.is_none() => wrong(
                "a size of segments, and a checksum to be filled in",
                format!("{} bytes, {checksum:?}", segments.size),
            ),
            _ => Ok(Self { checksum, segments }),
        }
    }

    /// The header for a guest that knows of offloads.
    pub fn write(self) -> [u8; Self::HEADER] {
        let mut header = [0; Self::HEADER];
        let mut put = |at: usize, word: u16| header[at..at + 2].copy_from_slice(&word.to_le_bytes());
        if let Some(segments) = self.segments {
            put(2, segments.header);
            put(4, segments.size);
        }
        if let Some(checksum) = self.checksum {
            put(6, checksum.start);
            put(8, checksum.offset);
            header[0] = NEEDS_CSUM;
        }
        if let Some(segments) = self.segments {
            header[1] = match segments.kind {
                SegmentKind::Tcp4 => 1,
                SegmentKind::Tcp6 => 4,
                SegmentKind::Udp => 5,
            } | if segments.ecn { ECN } else { 0 };
        }
        header
    }

    /// The same for a frame that has become longer or shorter in front of what is summed.
    pub(crate) fn moved(mut self, by: i16) -> Self {
        if let Some(checksum) = &mut self.checksum {
            checksum.start = checksum.start.saturating_add_signed(by);
        }
        self
    }
}

/// The frames that this one stands for, on which nothing is left to be done. None if it is not what it says.
pub fn resolve(frame: &Frame) -> Vec<Frame> {
    match frame.offload() {
        Offload {
            segments: Some(segments),
            ..
        } => cut(frame.bytes(), segments).unwrap_or_default(),
        Offload {
            checksum: Some(checksum),
            ..
        } => filled(frame.bytes(), checksum).into_iter().collect(),
        _ => vec![frame.clone()],
    }
}

/// Fills the checksum in.
fn filled(bytes: &[u8], checksum: Checksum) -> Option<Frame> {
    let start = usize::from(checksum.start);
    let at = start + usize::from(checksum.offset);
    let mut bytes = bytes.to_vec();
    let sum = !smoltcp::wire::checksum::data(bytes.get(start..)?);
    // Zero means that there is none (RFC 768); both are the same number in ones' complement.
    let sum = if sum == 0 { 0xffff } else { sum };
    bytes.get_mut(at..at + 2)?.copy_from_slice(&sum.to_be_bytes());
    Some(bytes.into())
}

/// Where the parts of a packet that is to be cut are.
struct Layout {
    /// Where the IP header begins.
    ip: usize,
    is_v6: bool,
    /// Where the TCP or UDP header begins.
    transport: usize,
    /// Where the payload begins.
    payload: usize,
    /// Where it ends.
    end: usize,
    source: IpAddress,
    destination: IpAddress,
}

impl Layout {
    fn find(bytes: &[u8], kind: SegmentKind) -> Option<Self> {
        let header = Header::read(bytes)?;
        let ip = header.payload;
        let packet = bytes.get(ip..)?;
        let (protocol, transport, len, source, destination) = match header.ethertype {
            frame::IPV4 => {
                let packet = Ipv4Packet::new_checked(packet).ok()?;
                let is_whole = !packet.more_frags() && packet.frag_offset() == 0;
                is_whole.then_some(())?;
                (
                    packet.next_header(),
                    usize::from(packet.header_len()),
                    usize::from(packet.total_len()),
                    IpAddress::Ipv4(packet.src_addr()),
                    IpAddress::Ipv4(packet.dst_addr()),
                )
            }
            frame::IPV6 => {
                let packet = Ipv6Packet::new_checked(packet).ok()?;
                (
                    packet.next_header(),
                    packet.header_len(),
                    packet.total_len(),
                    IpAddress::Ipv6(packet.src_addr()),
                    IpAddress::Ipv6(packet.dst_addr()),
                )
            }
            _ => return None,
        };
        let is_v6 = header.ethertype == frame::IPV6;
        let content = packet.get(transport..len)?;
        let header = match (kind, protocol, is_v6) {
            (SegmentKind::Tcp4, IpProtocol::Tcp, false) | (SegmentKind::Tcp6, IpProtocol::Tcp, true) => {
                usize::from(TcpPacket::new_checked(content).ok()?.header_len())
            }
            (SegmentKind::Udp, IpProtocol::Udp, _) => (content.len() >= 8).then_some(8)?,
            _ => return None,
        };
        Some(Self {
            ip,
            is_v6,
            transport: ip + transport,
            payload: ip + transport + header,
            end: ip + len,
            source,
            destination,
        })
    }
}

fn cut(bytes: &[u8], segments: Segments) -> Option<Vec<Frame>> {
    let layout = Layout::find(bytes, segments.kind)?;
    let headers = &bytes[..layout.payload];
    let payload = &bytes[layout.payload..layout.end];
    let size = usize::from(segments.size);
    let pieces = payload.chunks(size).chain(payload.is_empty().then_some(payload));
    let count = payload.len().div_ceil(size).max(1);
    let frames = pieces.enumerate().map(|(number, piece)| {
        let mut segment = Vec::with_capacity(headers.len() + piece.len());
        segment.extend_from_slice(headers);
        segment.extend_from_slice(piece);
        let place = Place {
            number,
            at: number * size,
            is_last: number + 1 == count,
        };
        write_headers(&mut segment, &layout, segments.kind, place);
        segment.into()
    });
    Some(frames.collect())
}

/// Which of the segments one is.
struct Place {
    number: usize,
    /// Where in the payload it begins.
    at: usize,
    is_last: bool,
}

fn write_headers(segment: &mut [u8], layout: &Layout, kind: SegmentKind, place: Place) {
    // Not longer than the packet that was cut, whose lengths have 16 bits.
    let len = |from: usize| u16::try_from(segment.len() - from).unwrap_or(u16::MAX);
    let (ip_len, transport_len) = (len(layout.ip), len(layout.transport));
    if layout.is_v6 {
        Ipv6Packet::new_unchecked(&mut segment[layout.ip..])
            .set_payload_len(ip_len - (smoltcp::wire::IPV6_HEADER_LEN as u16));
    } else {
        let mut packet = Ipv4Packet::new_unchecked(&mut segment[layout.ip..]);
        packet.set_total_len(ip_len);
        packet.set_ident(packet.ident().wrapping_add(place.number as u16));
        packet.fill_checksum();
    }
    let transport = &mut segment[layout.transport..];
    if kind == SegmentKind::Udp {
        let mut packet = UdpPacket::new_unchecked(transport);
        packet.set_len(transport_len);
        packet.fill_checksum(&layout.source, &layout.destination);
        return;
    }
    let mut packet = TcpPacket::new_unchecked(transport);
    let number = packet.seq_number().0.wrapping_add(place.at as i32);
    packet.set_seq_number(TcpSeqNumber(number));
    packet.set_fin(packet.fin() && place.is_last);
    packet.set_psh(packet.psh() && place.is_last);
    // Told once (RFC 3168, 6.1.2).
    packet.set_cwr(packet.cwr() && place.number == 0);
    packet.fill_checksum(&layout.source, &layout.destination);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{EthernetAddress, Ipv4Address, Ipv4Repr, TcpControl, TcpRepr};

    use super::*;

    const A: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
    const B: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);

    /// A TCP packet with this payload; its checksum is wrong, as one that is to be filled in is.
    fn tcp(payload: &[u8]) -> Vec<u8> {
        let tcp = TcpRepr {
            src_port: 1000,
            dst_port: 80,
            control: TcpControl::Fin,
            seq_number: TcpSeqNumber(-700),
            ack_number: Some(TcpSeqNumber(1)),
            window_len: 1000,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let ip = Ipv4Repr {
            src_addr: A,
            dst_addr: B,
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; ip.buffer_len() + tcp.buffer_len()];
        ip.emit(
            &mut Ipv4Packet::new_unchecked(&mut bytes),
            &ChecksumCapabilities::default(),
        );
        tcp.emit(
            &mut TcpPacket::new_unchecked(&mut bytes[20..]),
            &A.into(),
            &B.into(),
            &ChecksumCapabilities::ignored(),
        );
        let host = EthernetAddress([2, 0, 0, 0, 0, 1]);
        frame::build(host, host, frame::IPV4, &bytes).into_bytes()
    }

    fn offload(size: u16) -> Offload {
        Offload {
            checksum: Some(Checksum {
                start: 34,
                offset: 16,
            }),
            segments: Some(Segments {
                kind: SegmentKind::Tcp4,
                ecn: false,
                header: 54,
                size,
            }),
        }
    }

    proptest! {
        /// The segments are whole packets whose payloads, in order, are the payload.
        #[test]
        fn segments_are_the_packet(len in 0_usize..9_000, size in 1_u16..2_000) {
            let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let frames = resolve(&Frame::with_offload(tcp(&payload), offload(size)));
            let mut seen = Vec::new();
            for (number, frame) in frames.iter().enumerate() {
                let ip = Ipv4Packet::new_checked(&frame.bytes()[14..]).unwrap();
                prop_assert!(ip.verify_checksum());
                let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
                prop_assert!(tcp.verify_checksum(&A.into(), &B.into()));
                prop_assert_eq!(tcp.seq_number(), TcpSeqNumber(-700) + seen.len());
                prop_assert_eq!(tcp.fin(), number + 1 == frames.len());
                prop_assert!(tcp.payload().len() <= usize::from(size));
                seen.extend_from_slice(tcp.payload());
            }
            prop_assert_eq!(seen, payload);
        }

        /// Headers of virtio and frames that were made up are refused or taken, and never more.
        #[test]
        fn hostile_headers_and_frames_do_no_harm(
            header in prop::array::uniform10(any::<u8>()), bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(offload) = Offload::read(&header, bytes.len()) {
                prop_assert_eq!(Offload::read(&offload.write(), bytes.len()), Ok(offload));
                resolve(&Frame::with_offload(bytes, offload));
            }
        }

        #[test]
        fn packets_cut_anywhere_do_no_harm(end in 0_usize..600, at in 0_usize..60, to in any::<u8>(), size in 1_u16..100) {
            let mut bytes = tcp(&[7; 500]);
            bytes[at] = to;
            bytes.truncate(end);
            resolve(&Frame::with_offload(bytes, offload(size)));
        }
    }

    #[test]
    fn a_checksum_is_filled_in() {
        let mut bytes = tcp(b"hello");
        let content = (bytes.len() - 34) as u32;
        let pseudo = smoltcp::wire::checksum::pseudo_header_v4(&A, &B, IpProtocol::Tcp, content);
        bytes[50..52].copy_from_slice(&pseudo.to_be_bytes());
        let offload = Offload {
            segments: None,
            ..offload(1)
        };
        let frames = resolve(&Frame::with_offload(bytes, offload));
        let tcp = TcpPacket::new_checked(&frames[0].bytes()[34..]).unwrap();
        assert!(tcp.verify_checksum(&A.into(), &B.into()));
    }
}
