//! Packets as their own parser reads them; `tests/wireshark.rs` asks Wireshark's.

use etherparse::{SlicedPacket, TransportSlice};
use pcap_file::pcapng::{Block, PcapNgReader};
use proptest::prelude::*;

use super::*;
use crate::{Body, arbitrary};

/// What each side said, in order, after checking every packet.
fn said(stream: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut reader = PcapNgReader::new(stream).unwrap();
    let (mut client, mut server) = (Vec::new(), Vec::new());
    let mut next = [None, None];
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.unwrap() else {
            continue;
        };
        let sliced = SlicedPacket::from_ethernet(&packet.data).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else {
            panic!("no TCP: {sliced:?}");
        };
        assert!(packet.data.len() <= 1514);
        let from_client = tcp.source_port() >= 49_152 && packet.data[6..12] == [2, 0, 0, 0, 0, 1];
        let side = usize::from(from_client);
        if let Some(expected) = next[side] {
            assert_eq!(tcp.sequence_number(), expected);
        }
        let length = tcp.payload().len() as u32 + u32::from(tcp.syn()) + u32::from(tcp.fin());
        next[side] = Some(tcp.sequence_number().wrapping_add(length));
        if tcp.ack() {
            assert!(next[1 - side].is_none_or(|other| other == tcp.acknowledgment_number()));
        }
        let bytes = if from_client { &mut client } else { &mut server };
        bytes.extend_from_slice(tcp.payload());
        if tcp.syn() && !tcp.ack() {
            next = [None, next[1]];
        }
    }
    (client, server)
}

fn stream(exchange: &Exchange) -> Vec<u8> {
    let mut writer = PacketWriter::new();
    let mut stream = Vec::new();
    writer.start_section(&mut stream).unwrap();
    writer.write(&mut stream, exchange).unwrap();
    stream
}

#[test]
fn headers_cannot_smuggle() {
    let mut exchange = Exchange::default();
    exchange.request.method = "GET / HTTP/1.1\r\nX: ".to_owned();
    exchange.request.url = "http://example.org/a b\r\nX-Evil: 1".to_owned();
    exchange.request.headers = vec![crate::Header {
        name: "X\r\nY".to_owned(),
        value: "1\r\nX-Evil: 1\nX-Evil: 2".to_owned(),
    }];
    let (client, _) = said(&stream(&exchange));
    assert_eq!(
        String::from_utf8(client).unwrap(),
        "GETHTTP1.1X /a%20b%0D%0AX-Evil:%201 HTTP/1.1\r\nHost: example.org\r\nXY: 1 \r\nXY: X-Evil: 1\r\nXY: X-Evil: 2\r\n\r\n"
    );
}

#[test]
fn bodies_have_the_length_that_is_said() {
    let mut exchange = Exchange::default();
    exchange.request.url = "https://example.org/".to_owned();
    exchange.response.status = 200;
    exchange.response.headers = vec![
        crate::Header {
            name: "content-encoding".to_owned(),
            value: "br".to_owned(),
        },
        crate::Header {
            name: "Content-Length".to_owned(),
            value: "3".to_owned(),
        },
    ];
    exchange.response.body = Some(Body::new("text/plain", vec![b'x'; 100_000]));
    let (_, server) = said(&stream(&exchange));
    let head = b"HTTP/1.1 200 \r\nContent-Length: 100000\r\n\r\n";
    assert!(server.starts_with(head));
    assert_eq!(server.len(), head.len() + 100_000);
}

#[test]
fn strange_times_are_the_nearest_that_there_are() {
    for time in [f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, 2e16] {
        let mut exchange = Exchange {
            started: time,
            time,
            ..Exchange::default()
        };
        exchange.response.status = 200;
        exchange.timings.wait = Some(time);
        exchange.timings.receive = Some(time);
        let (client, server) = said(&stream(&exchange));
        assert!(!client.is_empty() && !server.is_empty(), "{time}");
    }
}

proptest! {
    #[test]
    fn any_exchange_becomes_a_conversation(exchange in arbitrary::exchange()) {
        let (client, server) = said(&stream(&exchange));
        prop_assert!(!client.is_empty());
        prop_assert_eq!(server.is_empty(), exchange.response.status == 0);
    }

    #[test]
    fn files_are_in_the_order_of_time(list in prop::collection::vec(arbitrary::exchange(), 0..4)) {
        let mut file = Vec::new();
        PacketWriter::write_file(&mut file, &list).unwrap();
        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let mut last = Duration::ZERO;
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                prop_assert!(packet.timestamp >= last);
                last = packet.timestamp;
            }
        }
    }
}
