//! From exchanges to HAR.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::model;
use crate::body::Body;
use crate::exchange::{Direction, Exchange, Header, Message, header};
use crate::{time, url};

/// Writes a HAR 1.2 file. Secrets are in it if they are in the exchanges: see [`crate::Redactor`].
///
/// # Errors
/// Those of `writer`.
pub fn write_archive<'a>(
    writer: impl Write,
    exchanges: impl IntoIterator<Item = &'a Exchange> + Clone,
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

impl<'a, I: IntoIterator<Item = &'a Exchange> + Clone> Serialize for Entries<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for exchange in self.0.clone() {
            list.serialize_element(&entry(exchange))?;
        }
        list.end()
    }
}

fn entry(exchange: &Exchange) -> model::Entry<'_> {
    let request = &exchange.request;
    let response = &exchange.response;
    let timings = &exchange.timings;
    model::Entry {
        started_date_time: time::format(exchange.started).into(),
        time: exchange.time,
        request: model::Request {
            method: Cow::Borrowed(&request.method),
            url: Cow::Borrowed(&request.url),
            http_version: request.http_version.clone(),
            headers: request.headers.clone(),
            query_string: query(&request.url),
            cookies: [],
            post_data: request.body.as_ref().map(post_data),
            headers_size: -1,
            body_size: request.body.as_ref().map_or(0, size),
        },
        response: model::Response {
            status: f64::from(response.status),
            status_text: response.status_text.clone(),
            http_version: response.http_version.clone(),
            headers: response.headers.clone(),
            cookies: [],
            content: Some(response.body.as_ref().map(content).unwrap_or_default()),
            redirect_url: header(&response.headers, "location")
                .unwrap_or_default()
                .to_owned(),
            headers_size: -1,
            body_size: -1,
            transfer_size: response.transfer_size.map(|size| size as f64),
            error: response.error.clone(),
        },
        cache: model::Empty {},
        timings: model::Timings {
            blocked: timings.blocked.or(Some(-1.0)),
            dns: timings.dns.or(Some(-1.0)),
            connect: timings.connect.or(Some(-1.0)),
            ssl: timings.ssl.or(Some(-1.0)),
            // These three must not be left out.
            send: timings.send.or(Some(-1.0)),
            wait: timings.wait.or(Some(-1.0)),
            receive: timings.receive.or(Some(-1.0)),
        },
        server_ip: exchange.server_ip.map(|address| address.to_string()),
        connection: exchange.connection.clone(),
        resource_type: exchange.resource_type.clone(),
        priority: exchange.priority.clone(),
        initiator: exchange.initiator.as_ref().map(|text| model::Initiator {
            kind: text.clone(),
            ..model::Initiator::default()
        }),
        messages: exchange.messages.iter().map(message).collect(),
        extra: Some(model::Extra {
            redacted: exchange.redacted,
            cut: exchange.cut.clone(),
            doubts: exchange.doubts.clone(),
            request_body_size: request
                .body
                .as_ref()
                .filter(|body| (body.bytes().len() as u64) < body.size)
                .map(|body| body.size),
            request_body_base64: request
                .body
                .as_ref()
                .is_some_and(|body| body.data.is_some() && whole_text(body).is_none()),
            message_sizes: exchange
                .messages
                .iter()
                .enumerate()
                .filter(|(_, message)| message.body.is_cut())
                .map(|(index, message)| (index, message.body.size))
                .collect(),
        }),
    }
}

fn query(url: &str) -> Vec<Header> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Header {
            name: url::decode(name),
            value: url::decode(value),
        }
    };
    url::Url::split(url)
        .query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(pair)
        .collect()
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
        mime_type: body.mime_type.clone(),
        text: match (whole_text(body), &body.data) {
            (Some(text), _) => Some(Cow::Borrowed(text)),
            (None, Some(data)) => Some(STANDARD.encode(data).into()),
            (None, None) => None,
        },
        params: Vec::new(),
    }
}

fn content(body: &Body) -> model::Content<'_> {
    let text = whole_text(body);
    let base64 = body.data.as_ref().filter(|_| text.is_none());
    model::Content {
        size: body.size as f64,
        mime_type: body.mime_type.clone(),
        text: match base64 {
            Some(data) => Some(STANDARD.encode(data).into()),
            None => text.map(Cow::Borrowed),
        },
        encoding: base64.map(|_| "base64".to_owned()),
    }
}

fn message(message: &Message) -> model::Message {
    let text = whole_text(&message.body).filter(|_| message.opcode != 2);
    model::Message {
        direction: match message.direction {
            Direction::Send => "send".to_owned(),
            Direction::Receive => "receive".to_owned(),
        },
        time: message.time / 1000.0,
        opcode: f64::from(message.opcode),
        data: text.map_or_else(|| STANDARD.encode(message.body.bytes()), str::to_owned),
    }
}
