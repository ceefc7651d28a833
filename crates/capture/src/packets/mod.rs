//! Exchanges as packets: each becomes a TCP conversation of its own, in pcapng.
//!
//! What went over TLS is written without it, with the lengths of the bodies as they are kept: HTTP/1.1 as text, HTTP/2
//! and HTTP/3 as HTTP/2. A comment on the request tells what it was. Packets carry right checksums, sequence numbers and
//! acknowledgements, and the times of the exchange. Ports that readers take for other protocols are written as 80.

mod addresses;
mod conversation;
mod http;
mod http2;
mod ports;
mod websocket;

#[cfg(test)]
mod tests;

use std::borrow::{Borrow, Cow};
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use pcap_file::pcapng::PcapNgBlock;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::name_resolution::{Ipv4Record, Ipv6Record, NameResolutionBlock, Record};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};

use addresses::Addresses;
use conversation::{Conversation, Packet};

use crate::exchange::Exchange;
use crate::jsonl::is_control;
use crate::url::Url;

/// Longest comment on a packet, in bytes.
const MAX_COMMENT: usize = 4096;

/// What a file says of itself.
const ABOUT: &str = "Traffic of a web page, as the browser's DevTools told it: one TCP conversation for each request. \
    What went over TLS is written without it; HTTP/2 and HTTP/3 are written as HTTP/2. In Wireshark: http || http2. A \
    port that Wireshark takes for another protocol's, and that of HTTP/2, is written as 80. The comment on a request's \
    first packet has the true URL, port and protocol.";

/// Writes exchanges as a stream of pcapng blocks.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::{Exchange, PacketWriter};
///
/// let mut writer = PacketWriter::new();
/// let mut stream = Vec::new();
/// writer.start_section(&mut stream)?;
/// writer.write(&mut stream, &Exchange::default())?;
/// assert_eq!(&stream[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct PacketWriter {
    addresses: Addresses,
}

impl PacketWriter {
    /// A writer that has given no addresses yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes what a stream starts with, for a reader that has seen nothing: section header and interface.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn start_section(&mut self, writer: &mut impl Write) -> io::Result<()> {
        self.addresses.forget_told();
        let header = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![
                SectionHeaderOption::Comment(Cow::Borrowed(ABOUT)),
                SectionHeaderOption::UserApplication(Cow::Borrowed(concat!(
                    "QemuWeb ",
                    env!("CARGO_PKG_VERSION")
                ))),
            ],
            ..SectionHeaderBlock::default()
        };
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed("page")),
                // Nanoseconds, the resolution that `EnhancedPacketBlock` writes.
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        };
        block(writer, header)?;
        block(writer, interface)
    }

    /// Writes one exchange as a conversation, preceded by the name of its server if that is new.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write(&mut self, writer: &mut impl Write, exchange: &Exchange) -> io::Result<()> {
        let conversation = self.conversation(exchange);
        self.name(writer, exchange, &conversation)?;
        for packet in conversation.packets() {
            write_packet(writer, &packet?)?;
        }
        Ok(())
    }

    /// Writes a whole file: a section with all exchanges, their packets in the order of time.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write_file(
        writer: &mut impl Write,
        exchanges: impl IntoIterator<Item: Borrow<Exchange>>,
    ) -> io::Result<()> {
        let mut packets = Self::new();
        packets.start_section(writer)?;
        let mut blocks = Vec::new();
        let mut order = Vec::new();
        for exchange in exchanges {
            let exchange = exchange.borrow();
            let conversation = packets.conversation(exchange);
            packets.name(writer, exchange, &conversation)?;
            for packet in conversation.packets() {
                let packet = packet?;
                let start = blocks.len();
                write_packet(&mut blocks, &packet)?;
                order.push((packet.time, start..blocks.len()));
            }
        }
        // Stable: what happens at one time stays in its order.
        order.sort_by_key(|(time, _)| *time);
        for (_, range) in order {
            writer.write_all(&blocks[range])?;
        }
        Ok(())
    }

    fn conversation(&mut self, exchange: &Exchange) -> Conversation {
        let url = Url::split(&exchange.request.url);
        let http2 = conversation::is_http2(exchange);
        let endpoints = self.addresses.endpoints(exchange, &url, http2);
        let comment = comment(exchange, &url, endpoints.server.port());
        Conversation::new(exchange, &url, endpoints, comment)
    }

    /// Tells the server's name once per section.
    fn name(
        &mut self,
        writer: &mut impl Write,
        exchange: &Exchange,
        conversation: &Conversation,
    ) -> io::Result<()> {
        let url = Url::split(&exchange.request.url);
        let address = conversation.server_address();
        let Some(name) = self.addresses.untold_name(address, url.host) else {
            return Ok(());
        };
        let names = vec![Cow::Owned(name)];
        let record = match address {
            IpAddr::V4(address) => Record::Ipv4(Ipv4Record {
                ip_addr: Cow::Owned(address.octets().to_vec()),
                names,
            }),
            IpAddr::V6(address) => Record::Ipv6(Ipv6Record {
                ip_addr: Cow::Owned(address.octets().to_vec()),
                names,
            }),
        };
        block(
            writer,
            NameResolutionBlock {
                records: vec![record],
                options: Vec::new(),
            },
        )
    }
}

fn write_packet(writer: &mut impl Write, packet: &Packet) -> io::Result<()> {
    let comment = packet.comment.as_deref().map(Cow::Borrowed);
    block(
        writer,
        EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(packet.time),
            original_len: u32::try_from(packet.frame.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&packet.frame),
            options: comment.map(EnhancedPacketOption::Comment).into_iter().collect(),
        },
    )
}

fn block<'a>(writer: &mut impl Write, block: impl PcapNgBlock<'a>) -> io::Result<()> {
    block
        .into_block()
        .write_to::<byteorder_slice::LittleEndian, _>(writer)
        .map(drop)
}

/// What the packets cannot tell: the URL, the protocol, what was done to the bodies.
fn comment(exchange: &Exchange, url: &Url<'_>, port: u16) -> String {
    let protocol = match conversation::protocol(exchange) {
        "" => "unknown",
        protocol => protocol,
    };
    let told = url.port_number();
    let mut lines = vec![
        format!("{} {}", exchange.request.method, exchange.request.url),
        format!(
            "protocol: {protocol}{}; port: {told}{}; number: {}",
            if url.is_tls() { " over TLS" } else { "" },
            if told == port {
                String::new()
            } else {
                format!(", written as {port}")
            },
            exchange.number
        ),
    ];
    if let Some(error) = &exchange.response.error {
        lines.push(format!("error: {error}"));
    }
    if !exchange.cut.is_empty() {
        lines.push(format!("kept in part: {:?}", exchange.cut));
    }
    lines.push(
        if exchange.redacted {
            "redacted"
        } else {
            "with secrets"
        }
        .to_owned(),
    );
    let mut text = lines.join("\n");
    crate::limits::cut_text(&mut text, MAX_COMMENT);
    text.chars()
        .map(|c| if c != '\n' && is_control(c) { '\u{fffd}' } else { c })
        .collect()
}
