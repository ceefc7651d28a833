//! Requests and responses as frames of HTTP/2 (RFC 9113), for exchanges that were made in it or in HTTP/3.
//!
//! Each exchange has a connection of its own, without TLS, which starts with the client's preface. Headers are literals
//! of HPACK (RFC 7541) without compression, so that they can be read in the bytes as well.

use super::http;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::url::Url;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that needs no agreement.
const MAX_FRAME: usize = 16_384;
/// The stream of the first request.
const STREAM: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Whether a protocol's name, as browsers write it, is that of HTTP/2 or HTTP/3.
pub(super) fn is_name(protocol: &str) -> bool {
    let protocol = protocol.to_ascii_lowercase();
    ["h2", "h3", "http/2", "http/3"].iter().any(|name| {
        protocol
            .strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// The preface, the settings and the request.
pub(super) fn request(exchange: &Exchange, url: &Url<'_>) -> Vec<u8> {
    let request = &exchange.request;
    let mut headers = Vec::new();
    field(&mut headers, ":method", &http::token(&request.method, "GET"));
    field(
        &mut headers,
        ":scheme",
        if url.is_tls() { "https" } else { "http" },
    );
    field(&mut headers, ":authority", &http::clean(&url.host_and_port()));
    field(&mut headers, ":path", &http::target(url));
    let body = request.body.as_ref().map(Body::bytes).unwrap_or_default();
    let mut bytes = PREFACE.to_vec();
    open(&mut bytes);
    message(
        &mut bytes,
        headers,
        http::sent(&request.headers, false),
        body,
        !body.is_empty(),
    );
    bytes
}

/// The settings and the response.
pub(super) fn response(exchange: &Exchange) -> Vec<u8> {
    let response = &exchange.response;
    let mut headers = Vec::new();
    field(
        &mut headers,
        ":status",
        &format!("{:03}", response.status.clamp(100, 999)),
    );
    let body = http::response_body(exchange);
    let mut bytes = Vec::new();
    open(&mut bytes);
    frame(&mut bytes, SETTINGS, ACK, 0, &[]);
    let fields = http::sent(&response.headers, false);
    message(
        &mut bytes,
        headers,
        fields,
        body.unwrap_or_default(),
        body.is_some(),
    );
    bytes
}

/// The client's answer to the server's settings.
pub(super) fn acknowledgement() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, SETTINGS, ACK, 0, &[]);
    bytes
}

/// Settings and a window with which any body can be sent at once.
fn open(bytes: &mut Vec<u8>) {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    const MAX_WINDOW: u32 = (1 << 31) - 1;
    const FIRST_WINDOW: u32 = 65_535;
    let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    setting.extend(MAX_WINDOW.to_be_bytes());
    frame(bytes, SETTINGS, 0, 0, &setting);
    frame(
        bytes,
        WINDOW_UPDATE,
        0,
        0,
        &(MAX_WINDOW - FIRST_WINDOW).to_be_bytes(),
    );
}

fn message(
    bytes: &mut Vec<u8>,
    mut headers: Vec<u8>,
    fields: impl Iterator<Item = (String, String)>,
    body: &[u8],
    has_length: bool,
) {
    for (name, value) in fields {
        field(&mut headers, &name.to_ascii_lowercase(), &value);
    }
    if has_length {
        field(&mut headers, "content-length", &body.len().to_string());
    }
    let end = if body.is_empty() { END_STREAM } else { 0 };
    let count = headers.len().div_ceil(MAX_FRAME);
    for (index, part) in headers.chunks(MAX_FRAME).enumerate() {
        let (kind, end) = if index == 0 {
            (HEADERS, end)
        } else {
            (CONTINUATION, 0)
        };
        let last = if index + 1 == count { END_HEADERS } else { 0 };
        frame(bytes, kind, end | last, STREAM, part);
    }
    let count = body.len().div_ceil(MAX_FRAME);
    for (index, part) in body.chunks(MAX_FRAME).enumerate() {
        let end = if index + 1 == count { END_STREAM } else { 0 };
        frame(bytes, DATA, end, STREAM, part);
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // Three bytes hold what `MAX_FRAME` allows.
    bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

/// A literal header field that is not indexed, with its name.
fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        length(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// An integer with a prefix of seven bits; the eighth says that there is no Huffman code.
fn length(block: &mut Vec<u8>, length: usize) {
    const PREFIX: usize = 0x7f;
    if length < PREFIX {
        block.push(length as u8);
        return;
    }
    block.push(PREFIX as u8);
    let mut rest = length - PREFIX;
    while rest >= 0x80 {
        block.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_protocols_are_known() {
        for name in [
            "h2",
            "HTTP/2",
            "http/2.0",
            "HTTP/2.0",
            "h3",
            "HTTP/3",
            "h3-29",
            "http/2+quic/46",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "http/1.1", "HTTP/1.0", "h20", "data", "spdy/3"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn integers_are_those_of_rfc_7541() {
        for (value, bytes) in [
            (10, &[10][..]),
            (126, &[126]),
            (127, &[127, 0]),
            (1337, &[127, 0xba, 0x09]),
        ] {
            let mut block = Vec::new();
            length(&mut block, value);
            assert_eq!(block, bytes, "{value}");
        }
    }

    #[test]
    fn long_headers_go_on_in_frames() {
        let mut exchange = Exchange::default();
        exchange.response.status = 200;
        exchange.response.headers = vec![crate::Header {
            name: "X".to_owned(),
            value: "v".repeat(40_000),
        }];
        exchange.response.body = Some(Body::new("", vec![b'x'; 20_000]));
        let bytes = response(&exchange);
        let mut rest = bytes.as_slice();
        let mut frames = Vec::new();
        while let [a, b, c, kind, flags, _, _, _, _, after @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            frames.push((*kind, *flags, length));
            rest = &after[length..];
        }
        let fourth = 40_000 + 16 - 2 * MAX_FRAME;
        assert_eq!(
            frames.iter().map(|frame| (frame.0, frame.1)).collect::<Vec<_>>(),
            [
                (SETTINGS, 0),
                (WINDOW_UPDATE, 0),
                (SETTINGS, ACK),
                (HEADERS, 0),
                (CONTINUATION, 0),
                (CONTINUATION, END_HEADERS),
                (DATA, 0),
                (DATA, END_STREAM)
            ]
        );
        assert!(frames[5].2 > fourth && frames[5].2 < fourth + 60, "{frames:?}");
        assert_eq!(frames[7].2, 20_000 - MAX_FRAME);
    }
}
