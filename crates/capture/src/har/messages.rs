//! WebSocket messages, as Chromium writes them and as others do.

use std::borrow::Cow;
use std::collections::HashMap;

use super::fields::{Lenient, epoch, present};
use super::read::{Reader, owned};
use super::remarks::Fate;
use crate::body::Body;
use crate::exchange::{Direction, Exchange, Message};

/// Seconds since the epoch before which no page's WebSocket was recorded: those count from something else.
const FIRST_TIME: f64 = 1e8;

impl Reader<'_> {
    /// Adds the messages to the exchange. One of the type `error` is none: it tells why the connection failed.
    pub(super) fn messages(&mut self, json: Option<&str>, exchange: &mut Exchange) {
        let mut messages = Vec::new();
        let most = self.limits.messages;
        let limit = self.limits.body;
        let extra = self.extra.as_ref();
        let sizes: HashMap<usize, u64> = extra
            .map(|extra| extra.message_sizes.iter().copied().collect())
            .unwrap_or_default();
        let mut last = exchange.started;
        let mut error = None;
        let mut index = 0;
        self.lenient
            .items(json, "the WebSocket messages", |lenient, _, item| {
                // One more than is kept, so that it is known that there were more.
                if messages.len() > most {
                    return;
                }
                let position = index;
                index += 1;
                let what = "a WebSocket message";
                let names = [
                    "type",
                    "time",
                    "opcode",
                    "data",
                    "direction",
                    "text",
                    "payload",
                    "base64Encoded",
                    "encoding",
                ];
                let [
                    kind,
                    time,
                    opcode,
                    data,
                    direction,
                    text,
                    payload,
                    base64,
                    encoding,
                ] = lenient.object(Some(item), names, what);
                let kind = owned(lenient.text(present(kind).or(direction), what)).to_ascii_lowercase();
                let data = [data, text, payload].into_iter().find_map(present);
                let data = lenient.text_or_json(data, what).unwrap_or_default();
                if kind == "error" {
                    error.get_or_insert_with(|| data.chars().take(1024).collect::<String>());
                    return;
                }
                let opcode = opcode_of(lenient, opcode);
                let is_base64 = present(base64) == Some("true") || encoding == Some("\"base64\"");
                let mut body = message_body(lenient, &data, opcode, is_base64, limit);
                if let Some(size) = sizes.get(&position) {
                    body.size = body.size.max(*size);
                }
                let time = if extra.is_some() {
                    lenient.number(time, "the time of a WebSocket message")
                } else {
                    message_time(lenient, time)
                };
                last = time.map_or(last, |seconds| (seconds * 1e6).round() / 1e3);
                messages.push(Message {
                    direction: match kind.as_str() {
                        "send" | "sent" | "request" | "out" | "outgoing" | "client" => Direction::Send,
                        _ => Direction::Receive,
                    },
                    time: last,
                    opcode,
                    body,
                });
            });
        exchange.messages = messages;
        if let Some(error) = error.filter(|_| exchange.response.error.is_none()) {
            let error = if error.is_empty() {
                "the WebSocket failed".to_owned()
            } else {
                error
            };
            exchange.response.error = Some(error);
        }
    }
}

/// The opcode of RFC 6455, by its number or name. Without one it is text.
fn opcode_of(lenient: &mut Lenient<'_>, json: Option<&str>) -> u8 {
    const NAMES: [(&str, u8); 6] = [
        ("continuation", 0),
        ("text", 1),
        ("binary", 2),
        ("close", 8),
        ("ping", 9),
        ("pong", 10),
    ];
    let text = owned(
        present(json)
            .and_then(|json| json.trim_matches('"').split('.').next())
            .map(Cow::Borrowed),
    );
    let name = NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    match (name, text.parse()) {
        (Some((_, opcode)), _) => *opcode,
        (None, Ok(opcode @ 0..=15)) => opcode,
        _ => {
            if present(json).is_some() {
                lenient
                    .remarks
                    .note(Fate::LeftAside, "the kind of a WebSocket message");
            }
            1
        }
    }
}

/// Seconds since the epoch. What counts from something else, such as the start of the browser, tells nothing.
fn message_time(lenient: &mut Lenient<'_>, json: Option<&str>) -> Option<f64> {
    let what = "the time of a WebSocket message";
    let json = present(json)?;
    let time = if json.starts_with('"') {
        lenient
            .date(Some(json), what)
            .map(|milliseconds| milliseconds / 1e3)
    } else {
        lenient.number(Some(json), what).map(epoch)
    };
    let known = time.filter(|time| *time >= FIRST_TIME);
    if time.is_some() && known.is_none() {
        lenient.remarks.note(Fate::LeftAside, what);
    }
    known
}

/// Chromium tells by opcode 2 alone that the data is base64.
fn message_body(lenient: &mut Lenient<'_>, data: &str, opcode: u8, is_base64: bool, limit: usize) -> Body {
    let is_strict = || {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        data.len().is_multiple_of(4) && data.bytes().all(is_plain)
    };
    if (is_base64 || opcode == 2 && is_strict())
        && let Ok(body) = Body::from_base64("", data, limit)
    {
        return body;
    }
    if opcode == 2 {
        lenient
            .remarks
            .note(Fate::Mended, "a binary WebSocket message that is no base64");
    }
    Body::from_text("", data, limit)
}
