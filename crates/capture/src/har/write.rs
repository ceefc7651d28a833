//! From exchanges to HAR.

use std::borrow::{Borrow, Cow};
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::lists::{self, Cookie};
use super::model::{self, Number};
use crate::body::Body;
use crate::exchange::{Direction, Exchange, Message, Timings, header};
use crate::time;

/// Writes a HAR 1.2 file. Secrets are in it if they are in the exchanges: see [`crate::Redactor`].
///
/// # Errors
/// Those of `writer`.
pub fn write_archive(
    writer: impl Write,
    exchanges: impl IntoIterator<Item: Borrow<Exchange>> + Clone,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct File<I: Serialize> {
        log: Log<I>,
    }
    #[derive(Serialize)]
    struct Log<I: Serialize> {
        version: &'static str,
        creator: Creator,
        pages: [u8; 0],
        entries: I,
    }
    #[derive(Serialize)]
    struct Creator {
        name: &'static str,
        version: &'static str,
    }
    let file = File {
        log: Log {
            version: "1.2",
            creator: Creator {
                name: "QemuWeb",
                version: env!("CARGO_PKG_VERSION"),
            },
            pages: [],
            entries: Entries(exchanges),
        },
    };
    serde_json::to_writer(writer, &file).map_err(io::Error::from)
}

/// Entries that are made one after the other while they are written.
struct Entries<I>(I);

impl<I: IntoIterator<Item: Borrow<Exchange>> + Clone> Serialize for Entries<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for exchange in self.0.clone() {
            list.serialize_element(&entry(exchange.borrow()))?;
        }
        list.end()
    }
}

fn entry(exchange: &Exchange) -> model::Entry<'_> {
    let (request, response) = (&exchange.request, &exchange.response);
    model::Entry {
        started_date_time: time::format(exchange.started),
        time: Number(exchange.time),
        request: model::Request {
            method: &request.method,
            url: &request.url,
            http_version: &request.http_version,
            cookies: lists::cookies(&request.headers).into_iter().map(cookie).collect(),
            headers: &request.headers,
            query_string: lists::query(&request.url),
            post_data: request.body.as_ref().map(post_data),
            headers_size: -1,
            body_size: request.body.as_ref().map_or(0, size),
        },
        response: model::Response {
            status: response.status,
            status_text: &response.status_text,
            http_version: &response.http_version,
            cookies: lists::set_cookies(&response.headers)
                .into_iter()
                .map(cookie)
                .collect(),
            headers: &response.headers,
            content: response.body.as_ref().map(content).unwrap_or_default(),
            redirect_url: header(&response.headers, "location").unwrap_or_default(),
            headers_size: -1,
            body_size: -1,
            transfer_size: response.transfer_size,
            error: response.error.as_deref(),
        },
        cache: model::Cache {},
        timings: timings(&exchange.timings),
        server_ip: exchange.server_ip.map(|address| address.to_string()),
        connection: exchange.connection.as_deref(),
        connection_id: exchange.connection.as_deref(),
        resource_type: exchange.resource_type.as_deref(),
        priority: exchange.priority.as_deref(),
        initiator: exchange
            .initiator
            .as_deref()
            .map(|kind| model::Initiator { kind }),
        messages: exchange.messages.iter().map(message).collect(),
        extra: extra(exchange),
    }
}

fn extra(exchange: &Exchange) -> model::Extra {
    let body = exchange.request.body.as_ref();
    let timings = &exchange.timings;
    model::Extra {
        redacted: exchange.redacted,
        cut: exchange.cut.clone(),
        doubts: exchange.doubts.clone(),
        request_body_size: body
            .filter(|body| (body.bytes().len() as u64) < body.size)
            .map(|body| body.size),
        request_body_base64: body.is_some_and(|body| body.data.is_some() && whole_text(body).is_none()),
        message_sizes: exchange
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.body.is_cut())
            .map(|(index, message)| (index, message.body.size))
            .collect(),
        unknown_timings: [
            ("send", timings.send),
            ("wait", timings.wait),
            ("receive", timings.receive),
        ]
        .into_iter()
        .filter(|(_, timing)| timing.is_none())
        .map(|(name, _)| Cow::Borrowed(name))
        .collect(),
    }
}

fn timings(timings: &Timings) -> model::Timings {
    let optional = |timing: Option<f64>| Number(timing.unwrap_or(-1.0));
    let required = |timing: Option<f64>| Number(timing.unwrap_or_default());
    model::Timings {
        blocked: optional(timings.blocked),
        dns: optional(timings.dns),
        connect: optional(timings.connect),
        ssl: optional(timings.ssl),
        send: required(timings.send),
        wait: required(timings.wait),
        receive: required(timings.receive),
    }
}

fn cookie(cookie: Cookie) -> model::Cookie {
    model::Cookie {
        name: cookie.name,
        value: cookie.value,
        path: cookie.path,
        domain: cookie.domain,
        expires: cookie.expires.map(time::format),
        http_only: cookie.http_only.then_some(true),
        secure: cookie.secure.then_some(true),
        same_site: cookie.same_site,
    }
}

fn size(body: &Body) -> i64 {
    i64::try_from(body.size).unwrap_or(i64::MAX)
}

/// Text if every byte that is kept is part of it.
fn whole_text(body: &Body) -> Option<&str> {
    std::str::from_utf8(body.data.as_deref()?).ok()
}

fn post_data(body: &Body) -> model::PostData<'_> {
    model::PostData {
        mime_type: &body.mime_type,
        text: match (whole_text(body), &body.data) {
            (Some(text), _) => Some(Cow::Borrowed(text)),
            (None, Some(data)) => Some(STANDARD.encode(data).into()),
            (None, None) => None,
        },
    }
}

fn content(body: &Body) -> model::Content<'_> {
    let text = whole_text(body);
    let base64 = body.data.as_ref().filter(|_| text.is_none());
    model::Content {
        size: size(body),
        mime_type: &body.mime_type,
        text: match base64 {
            Some(data) => Some(STANDARD.encode(data).into()),
            None => text.map(Cow::Borrowed),
        },
        encoding: base64.map(|_| "base64"),
    }
}

fn message(message: &Message) -> model::Message<'_> {
    let text = whole_text(&message.body).filter(|_| message.opcode != 2);
    model::Message {
        direction: match message.direction {
            Direction::Send => "send",
            Direction::Receive => "receive",
        },
        time: Number(message.time / 1000.0),
        opcode: message.opcode,
        data: text.map_or_else(|| STANDARD.encode(message.body.bytes()).into(), Cow::Borrowed),
    }
}
