//! Exchanges for property tests.

use std::net::IpAddr;

use proptest::option;
use proptest::prelude::*;

use crate::{Body, Direction, Doubt, Exchange, Header, Message, Request, Response, Timings};

/// Texts with what is hard: controls, escapes, quotes, other scripts, nothing.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "[\u{1b}\r\n\t\"\\\\\u{7f}\u{85}\u{9b}\u{202e}äλ🦀a:=&%-]{0,12}"
    ]
}

fn headers() -> impl Strategy<Value = Vec<Header>> {
    let header = (text(), text()).prop_map(|(name, value)| Header { name, value });
    prop::collection::vec(header, 0..4)
}

/// Bodies: text, bytes, cut, and those that the browser did not give.
pub(crate) fn body() -> impl Strategy<Value = Body> {
    let data = prop_oneof![
        text().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    (text(), option::of(data), 0..50_u64).prop_map(|(mime_type, data, size)| Body {
        mime_type,
        size: data.as_ref().map_or(size, |data| data.len() as u64 + size % 3),
        data,
    })
}

/// Milliseconds that a HAR can hold: whole microseconds.
fn milliseconds(limit: u64) -> impl Strategy<Value = f64> {
    (0..limit).prop_map(|microseconds| microseconds as f64 / 1000.0)
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let message =
        (any::<bool>(), 0..2_000_000_000_u64, 1..3_u8, body()).prop_map(|(sent, time, opcode, mut body)| {
            body.mime_type.clear();
            if opcode == 1 {
                body.data = Some(body.text().unwrap_or_default().as_bytes().to_vec());
            }
            body.data.get_or_insert_default();
            body.size = body.size.max(body.bytes().len() as u64);
            Message {
                direction: if sent { Direction::Send } else { Direction::Receive },
                time: time as f64,
                opcode,
                body,
            }
        });
    prop::collection::vec(message, 0..3)
}

fn timings() -> impl Strategy<Value = Timings> {
    let time = || option::of(milliseconds(1_000_000));
    (time(), time(), time(), time(), time(), time(), time()).prop_map(
        |(blocked, dns, connect, ssl, send, wait, receive)| Timings {
            blocked,
            dns,
            connect,
            ssl,
            send,
            wait,
            receive,
        },
    )
}

fn url() -> impl Strategy<Value = String> {
    prop_oneof![
        "(http|https|wss)://[a-z.]{1,9}(:[0-9]{1,5})?/[a-z?=&#%]{0,9}",
        text(),
        Just("https://[::1]:8443/x".to_owned()),
    ]
}

/// An exchange with anything in it.
pub(crate) fn exchange() -> impl Strategy<Value = Exchange> {
    let request = (
        "[A-Z]{0,7}|[\r\n a]{1,3}",
        url(),
        text(),
        headers(),
        option::of(body()),
    )
        .prop_map(|(method, url, http_version, headers, body)| Request {
            method,
            url,
            http_version,
            headers,
            body,
        });
    let response = (
        prop_oneof![0..600_u16, any::<u16>()],
        text(),
        text(),
        headers(),
        option::of(body()),
        option::of(0..9999_u64),
        option::of("[a-z]{1,9}"),
    )
        .prop_map(
            |(status, status_text, http_version, headers, body, transfer_size, error)| Response {
                status,
                status_text,
                http_version,
                headers,
                body,
                transfer_size,
                error,
            },
        );
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from)
    ];
    (
        (
            0..1000_u64,
            milliseconds(2_000_000_000_000_000),
            milliseconds(1_000_000),
        ),
        request,
        response,
        timings(),
        option::of(ip),
        option::of("[0-9]{1,5}"),
        option::of("[a-z]{1,9}"),
        messages(),
        (any::<bool>(), prop::sample::subsequence(&Doubt::ALL, 0..3)),
    )
        .prop_map(
            |(
                (number, started, time),
                request,
                response,
                timings,
                server_ip,
                connection,
                kind,
                messages,
                (redacted, doubts),
            )| {
                let mut exchange = Exchange {
                    number,
                    started,
                    time,
                    request,
                    response,
                    timings,
                    server_ip,
                    connection,
                    resource_type: kind.clone(),
                    priority: kind.clone(),
                    initiator: kind,
                    messages,
                    redacted,
                    doubts,
                    ..Exchange::default()
                };
                // Notes what bodies have been cut, without cutting more.
                crate::Limits::default().apply(&mut exchange);
                exchange
            },
        )
}
