//! One exchange: a request of the page, its response, and what is known about both.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::doubt::Doubt;

/// A header, as a name and a value in the order in which it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The name, in the spelling that was sent.
    pub name: String,
    /// The value.
    #[serde(default)]
    pub value: String,
}

/// What the page sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// The protocol, such as `http/1.1` or `h2`.
    #[serde(default)]
    pub http_version: String,
    /// The headers.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// The body, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The status code; 0 when there was no response.
    #[serde(default)]
    pub status: u16,
    /// The reason phrase; empty in HTTP/2 and later.
    #[serde(default)]
    pub status_text: String,
    /// The protocol, such as `http/1.1` or `h2`.
    #[serde(default)]
    pub http_version: String,
    /// The headers.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// The body without transfer and content encodings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Bytes that came over the network, headers included, where the browser tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_size: Option<u64>,
    /// Why there is no response, or no whole one, such as `net::ERR_CONNECTION_REFUSED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How long each part of an exchange took, in milliseconds, in order; `None` where it does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// In the browser's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<f64>,
    /// Name resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<f64>,
    /// Making the connection, TLS included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<f64>,
    /// The part of `connect` that TLS took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl: Option<f64>,
    /// Sending the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<f64>,
    /// Waiting for the response's first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<f64>,
    /// Receiving the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<f64>,
}

/// Which side sent a WebSocket message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// The page.
    Send,
    /// The server.
    Receive,
}

/// A WebSocket message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Who sent it.
    pub direction: Direction,
    /// When, in milliseconds since the epoch.
    pub time: f64,
    /// The opcode of RFC 6455: 1 for text, 2 for binary.
    pub opcode: u8,
    /// What it says.
    pub body: Body,
}

/// A part of an exchange that was too large and is kept only in part. `Display` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cut {
    /// The URL.
    Url,
    /// Headers of the request.
    RequestHeaders,
    /// Headers of the response.
    ResponseHeaders,
    /// The request's body.
    RequestBody,
    /// The response's body.
    ResponseBody,
    /// WebSocket messages.
    Messages,
}

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Url => "the URL",
            Self::RequestHeaders => "headers of the request",
            Self::ResponseHeaders => "headers of the response",
            Self::RequestBody => "the request's body",
            Self::ResponseBody => "the response's body",
            Self::Messages => "WebSocket messages",
        })
    }
}

/// A request and its response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// Its number within its capture, from 1.
    #[serde(default)]
    pub number: u64,
    /// When it started, in milliseconds since the epoch.
    #[serde(rename = "startedDateTime", with = "crate::time")]
    pub started: f64,
    /// How long it took in all, in milliseconds.
    #[serde(default)]
    pub time: f64,
    /// What the page sent.
    pub request: Request,
    /// What came back.
    pub response: Response,
    /// How long each part took.
    #[serde(default)]
    pub timings: Timings,
    /// The server's address, where known.
    #[serde(default, rename = "serverIPAddress", skip_serializing_if = "Option::is_none")]
    pub server_ip: Option<IpAddr>,
    /// The browser's name for the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// What the resource is for, such as `document`, `script`, `xhr`, `fetch`, `image`, `websocket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The browser's priority for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// What asked for it: a type, and a place in a script where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// WebSocket messages, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// What is kept only in part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<Cut>,
    /// What is not known for certain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
    /// Whether secrets were taken out.
    #[serde(default)]
    pub redacted: bool,
}

impl Exchange {
    /// When the response's last byte came, in milliseconds since the epoch.
    pub fn finished(&self) -> f64 {
        self.started + self.time.max(0.0)
    }

    /// When it started, as JSON has it: ISO 8601, in UTC.
    pub fn started_text(&self) -> String {
        crate::time::format(self.started)
    }

    /// The media type of the response without parameters, in lower case; empty when unknown.
    pub fn mime_type(&self) -> String {
        let body = self
            .response
            .body
            .as_ref()
            .map_or("", |body| body.mime_type.as_str());
        let header = || header(&self.response.headers, "content-type").unwrap_or_default();
        let full = if body.is_empty() { header() } else { body };
        full.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// Roughly how many bytes of memory this takes.
    pub fn footprint(&self) -> usize {
        let headers = |headers: &[Header]| {
            headers
                .iter()
                .map(|header| size_of::<Header>() + header.name.len() + header.value.len())
                .sum::<usize>()
        };
        let body = |body: &Option<Body>| body.as_ref().map_or(0, Body::footprint);
        let messages = |message: &Message| size_of::<Message>() + message.body.footprint();
        let texts = [
            &self.connection,
            &self.resource_type,
            &self.priority,
            &self.initiator,
            &self.response.error,
        ];
        size_of::<Self>()
            + self.request.url.len()
            + headers(&self.request.headers)
            + headers(&self.response.headers)
            + body(&self.request.body)
            + body(&self.response.body)
            + self.messages.iter().map(messages).sum::<usize>()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// Notes that something is not known for certain.
    pub(crate) fn note_doubt(&mut self, doubt: Doubt) {
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }

    /// Notes that a part is kept only in part.
    pub(crate) fn note_cut(&mut self, cut: Cut) {
        if !self.cut.contains(&cut) {
            self.cut.push(cut);
        }
    }
}

/// The value of the first header of this name, in any spelling.
pub fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.as_str())
}
