//! What `chrome.devtools.network` tells of a request, mended where it can be and marked where it cannot.
//!
//! Its entries are HAR with faults of their own, measured in Chromium 156: see [`Entry::into_exchange`]. The crate knows no
//! browser; the panel asks DevTools and hands over what they say.

mod body;
mod charset;
mod intake;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use charset::from_windows_1252;
pub use intake::{Intake, Key, newest_page};

use crate::doubt::Doubt;
use crate::exchange::{Exchange, header};
use crate::har::{self, HarError};
use crate::limits::Limits;

/// The error with which DevTools also report what went well but for a body that nobody waited for.
const ABORTED: &str = "net::ERR_ABORTED";

/// What DevTools gave when they were asked for a response's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text, decoded by them.
    Text(String),
    /// Bytes in base64.
    Base64(String),
    /// Nothing, and no reason either.
    Nothing,
    /// No answer in time.
    Late,
}

/// An entry as DevTools give it.
#[derive(Clone, Debug)]
pub struct Entry {
    object: Map<String, Value>,
}

impl Entry {
    /// Reads an entry's JSON.
    ///
    /// # Errors
    /// [`HarError::Json`] when it is no object.
    pub fn parse(json: &str) -> Result<Self, HarError> {
        let object = serde_json::from_str(&har::mend_surrogates(json))?;
        Ok(Self { object })
    }

    fn request(&self, field: &str) -> &Value {
        member(&self.object, "request", field)
    }

    fn response(&self, field: &str) -> &Value {
        member(&self.object, "response", field)
    }

    fn status(&self) -> u64 {
        self.response("status").as_u64().unwrap_or(0)
    }

    fn is_web_socket(&self) -> bool {
        self.text("_resourceType") == "websocket"
    }

    fn text(&self, field: &str) -> &str {
        self.object.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is still under way, so that DevTools will tell of it when it has ended. A body that is still coming does
    /// not show: for that, DevTools do not give the content.
    pub fn is_pending(&self) -> bool {
        if self.is_web_socket() {
            // An open one has received nothing but its head.
            let receive = member(&self.object, "timings", "receive").as_f64();
            return receive.is_none_or(|receive| receive <= 0.0);
        }
        self.status() == 0 && self.response("_error").as_str().is_none_or(str::is_empty)
    }

    /// Whether there is a body to ask for.
    pub fn has_content(&self) -> bool {
        !self.is_web_socket() && self.status() != 0 && self.request("method") != "HEAD"
    }

    /// When it ended, in milliseconds since the epoch; nothing if its times are none.
    pub fn ended(&self) -> Option<f64> {
        let started = crate::time::parse(self.text("startedDateTime"))?;
        let time = self.object.get("time").and_then(Value::as_f64)?;
        Some(started + time.max(0.0))
    }

    /// What it and DevTools' other reports of the same request have in common.
    pub fn key(&self) -> Key {
        let method = self.request("method").as_str().unwrap_or_default();
        let url = self.request("url").as_str().unwrap_or_default();
        Key::new(self.text("startedDateTime"), method, url)
    }

    /// The id of the page load that it belongs to, if it does.
    pub fn page(&self) -> Option<&str> {
        self.object.get("pageref").and_then(Value::as_str)
    }

    /// The exchange, with `content` as the response's body, within limits. DevTools told of it at `told`, in milliseconds
    /// since the epoch.
    ///
    /// Mended are: text that was decoded as windows-1252; requests' bodies that were read as Latin-1; the connection, which
    /// is the server's port; media types that are made up; errors of what went well; the method, start and error of
    /// WebSockets that failed; event streams that the page closed. [`Exchange::doubts`] tells what cannot be.
    ///
    /// # Errors
    /// A [`HarError`] that tells what is missing or wrong.
    pub fn into_exchange(
        mut self,
        content: Content,
        told: f64,
        limits: &Limits,
    ) -> Result<Exchange, HarError> {
        let mut doubts = Vec::new();
        self.mend_start(told, &mut doubts);
        let failure = self.take_socket_error();
        self.mend_connection();
        if self.request("method") == "" {
            // The only ones without one are WebSockets, which begin with a GET.
            self.set("request", "method", "GET".into());
        }
        if self.response("content")["mimeType"] == "x-unknown" {
            self.response_mut("content", |content| content["mimeType"] = "".into());
        }
        let facts = body::Facts::of(&self);
        let json = Value::Object(self.object).to_string();
        let unlimited = Limits {
            body: usize::MAX,
            ..*limits
        };
        let mut exchange = har::read_entry(&json, &unlimited)?;
        exchange.doubts.extend(doubts);
        exchange.response.error = exchange.response.error.take().or(failure);
        if is_no_error(&exchange) {
            exchange.response.error = None;
        } else if exchange.response.status == 0 && exchange.response.error.is_none() {
            exchange.note_doubt(Doubt::Failure);
        }
        body::mend_request(&mut exchange);
        body::mend_response(&mut exchange, &facts, content, limits);
        if exchange.request.headers.len() > 1 || exchange.response.headers.len() > 1 {
            exchange.note_doubt(Doubt::HeaderOrder);
        }
        limits.apply(&mut exchange);
        Ok(exchange)
    }

    /// A WebSocket that found no server is said to have started a second before the epoch and to have lasted since.
    fn mend_start(&mut self, told: f64, doubts: &mut Vec<Doubt>) {
        let started = crate::time::parse(self.text("startedDateTime"));
        if started.is_some_and(|started| started > 0.0) {
            return;
        }
        self.object
            .insert("startedDateTime".to_owned(), crate::time::format(told).into());
        self.object.insert("time".to_owned(), 0.into());
        self.object.remove("timings");
        doubts.push(Doubt::Start);
    }

    /// Takes what is no message out of a WebSocket's messages: why it failed.
    fn take_socket_error(&mut self) -> Option<String> {
        let messages = self.object.get_mut("_webSocketMessages")?.as_array_mut()?;
        let mut error = None;
        messages.retain(|message| {
            let is_error = message["type"] == "error";
            if is_error && error.is_none() {
                error = message["data"].as_str().map(str::to_owned);
            }
            !is_error
        });
        error
    }

    fn mend_connection(&mut self) {
        self.object.remove("connection");
        if let Some(id) = self.object.remove("_connectionId") {
            self.object.insert("connection".to_owned(), id);
        }
    }

    fn set(&mut self, part: &str, field: &str, value: Value) {
        if let Some(Value::Object(part)) = self.object.get_mut(part) {
            part.insert(field.to_owned(), value);
        }
    }

    fn response_mut(&mut self, field: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let response = self.object.get_mut("response").and_then(Value::as_object_mut);
        if let Some(value) = response.and_then(|response| response.get_mut(field)?.as_object_mut()) {
            change(value);
        }
    }
}

/// A field of an object in an object; null where either is missing.
fn member<'a>(object: &'a Map<String, Value>, part: &str, field: &str) -> &'a Value {
    object.get(part).map_or(&Value::Null, |part| &part[field])
}

/// Whether the error only says that a body was not waited for which there is not, or which became a file.
pub(crate) fn is_no_error(exchange: &Exchange) -> bool {
    let response = &exchange.response;
    response.error.as_deref() == Some(ABORTED)
        && response.status != 0
        && (body::has_none(exchange) || is_download(exchange))
}

/// Whether the page went to something that the browser saved as a file instead.
fn is_download(exchange: &Exchange) -> bool {
    let attached = || {
        header(&exchange.response.headers, "content-disposition")
            .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("attachment"))
    };
    match exchange.resource_type.as_deref() {
        Some("document") => attached() || !is_shown(&exchange.mime_type()),
        // Other recorders do not tell what a request was for.
        None => attached(),
        Some(_) => false,
    }
}

/// Whether a document of this media type is shown, not saved.
fn is_shown(mime_type: &str) -> bool {
    let (kind, sub) = mime_type.split_once('/').unwrap_or((mime_type, ""));
    match kind {
        "" | "text" | "image" | "audio" | "video" => true,
        "application" => {
            matches!(sub, "json" | "javascript" | "pdf")
                || sub == "xml"
                || sub.ends_with("+xml")
                || sub.ends_with("+json")
        }
        _ => false,
    }
}
