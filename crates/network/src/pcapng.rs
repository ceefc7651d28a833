//! Frames at tapped ports as pcapng: for Wireshark, and for the tools of a guest that watches.
//!
//! One section, nanoseconds throughout, an interface for each port: what all readers take.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::PcapNgBlock;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};
use smoltcp::time::Instant;

use crate::fabric::Way;
use crate::frame::Frame;
use crate::offload;
use crate::switch::PortId;

/// Directions as `epb_flags` has them: seen from the VM.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Writes one file or stream.
#[derive(Debug, Default)]
pub struct PcapngWriter {
    /// Numbers of interfaces in the order in which they came.
    interfaces: BTreeMap<PortId, u32>,
    has_begun: bool,
}

impl PcapngWriter {
    /// A writer that has written nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a frame that passed a port at this time since the epoch. `name` is asked for when the port is seen first. What
    /// was left to be done on the frame is done, as readers know of no such thing.
    ///
    /// # Errors
    ///
    /// Those of the target.
    pub fn write(
        &mut self,
        target: &mut impl Write,
        port: PortId,
        name: impl FnOnce() -> String,
        way: Way,
        at: Instant,
        frame: &Frame,
    ) -> io::Result<()> {
        if !self.has_begun {
            let application = Cow::Borrowed(concat!("QemuWeb ", env!("CARGO_PKG_VERSION")));
            let header = SectionHeaderBlock {
                endianness: Endianness::Little,
                options: vec![SectionHeaderOption::UserApplication(application)],
                ..SectionHeaderBlock::default()
            };
            put(target, header)?;
            self.has_begun = true;
        }
        let interface_id = match self.interfaces.get(&port) {
            Some(number) => *number,
            None => {
                let number = self.interfaces.len() as u32;
                let interface = InterfaceDescriptionBlock {
                    linktype: DataLink::ETHERNET,
                    snaplen: 0,
                    options: vec![
                        InterfaceDescriptionOption::IfName(Cow::Owned(name())),
                        // The resolution that `EnhancedPacketBlock` writes.
                        InterfaceDescriptionOption::IfTsResol(9),
                    ],
                };
                put(target, interface)?;
                self.interfaces.insert(port, number);
                number
            }
        };
        let micros = u64::try_from(at.total_micros()).unwrap_or(0);
        let flags = match way {
            Way::FromVm => OUTBOUND,
            Way::ToVm => INBOUND,
        };
        for frame in offload::resolve(frame) {
            let packet = EnhancedPacketBlock {
                interface_id,
                timestamp: Duration::from_micros(micros),
                original_len: frame.len() as u32,
                data: Cow::Borrowed(frame.bytes()),
                options: vec![EnhancedPacketOption::Flags(flags)],
            };
            put(target, packet)?;
        }
        Ok(())
    }
}

fn put<'a>(target: &mut impl Write, block: impl PcapNgBlock<'a>) -> io::Result<()> {
    block
        .into_block()
        .write_to::<byteorder_slice::LittleEndian, _>(target)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = Vec::new();
        let mut writer = PcapngWriter::new();
        let frames: [(u32, Way, i64, &[u8]); 3] = [
            (3, Way::FromVm, 1_764_590_000_000_001, b"a frame of three"),
            (5, Way::ToVm, 1_764_590_000_000_002, b"another"),
            (3, Way::ToVm, 1_764_590_000_000_003, b"and back"),
        ];
        for (port, way, at, content) in frames {
            let frame = Frame::from(content.to_vec());
            let name = || format!("vm-{port}");
            writer
                .write(
                    &mut bytes,
                    PortId(port),
                    name,
                    way,
                    Instant::from_micros(at),
                    &frame,
                )
                .unwrap();
        }
        let mut reader = PcapNgReader::new(bytes.as_slice()).unwrap();
        let mut names = Vec::new();
        let mut seen = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::InterfaceDescription(interface) => {
                    let name = interface.options.iter().find_map(|option| match option {
                        InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                        _ => None,
                    });
                    names.extend(name);
                }
                Block::EnhancedPacket(packet) => {
                    assert_eq!(packet.original_len as usize, packet.data.len());
                    seen.push((
                        packet.interface_id,
                        packet.timestamp.as_micros(),
                        packet.data.to_vec(),
                        packet.options.clone().into_iter().map(|option| matches!(option, EnhancedPacketOption::Flags(flags) if flags == OUTBOUND)).collect::<Vec<bool>>(),
                    ));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(names, ["vm-3", "vm-5"]);
        let expected = [(0, 1, OUTBOUND), (1, 2, INBOUND), (0, 3, INBOUND)];
        for ((interface, place, flags), (seen, (.., content))) in
            expected.into_iter().zip(seen.into_iter().zip(frames))
        {
            assert_eq!((seen.0, seen.1), (interface, 1_764_590_000_000_000 + place));
            assert_eq!(seen.2, content);
            assert_eq!(seen.3, [flags == OUTBOUND]);
        }
    }
}
