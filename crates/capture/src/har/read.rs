//! From HAR to exchanges.

use std::fmt;
use std::net::IpAddr;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::model;
use crate::body::Body;
use crate::exchange::{Cut, Direction, Exchange, Header, Message, Request, Response, Timings};
use crate::limits::Limits;
use crate::time;

/// Most entries whose reason for being left out is kept.
const MAX_REASONS: usize = 100;

/// Why something is no HAR.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarError {
    /// The text is no JSON, or no HAR.
    #[error("expected an HTTP archive (HAR 1.2), a JSON object with log.entries; found: {0}")]
    Json(#[from] serde_json::Error),
    /// An entry's date is none.
    #[error(
        "expected startedDateTime to be a date and time such as 2026-01-31T12:00:00.000Z, found {found:?}"
    )]
    Date {
        /// What stands there, shortened.
        found: String,
    },
    /// A response's body is said to be base64 and is not.
    #[error("the response of {url}")]
    Body {
        /// The URL, shortened.
        url: String,
        /// What is wrong with it.
        source: crate::body::NotBase64,
    },
}

/// An entry that was left out.
#[derive(Debug)]
pub struct Skipped {
    /// Which one, counted from 0.
    pub index: usize,
    /// Why.
    pub error: HarError,
}

/// What was found in a HAR file.
#[derive(Debug, Default)]
pub struct Archive {
    /// The exchanges, numbered from 1.
    pub exchanges: Vec<Exchange>,
    /// Entries that were left out because they are none: the first hundred of them.
    pub skipped: Vec<Skipped>,
    /// How many entries were left out, for whichever reason.
    pub left_out: usize,
}

/// Reads a HAR file, within limits.
///
/// # Errors
/// [`HarError::Json`] when the file is no HAR at all; an entry that is none is left out instead.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::{Limits, har};
///
/// let text = r#"{"log": {"version": "1.2", "entries": [{
///     "startedDateTime": "2026-01-31T12:00:00Z", "time": 12.5,
///     "request": {"method": "GET", "url": "https://example.org/"},
///     "response": {"status": 200, "content": {"mimeType": "text/plain", "text": "hello"}}
/// }, {"nonsense": true}]}}"#;
/// let archive = har::read_archive(text.as_bytes(), &Limits::default())?;
/// assert_eq!(archive.exchanges[0].response.status, 200);
/// assert_eq!(archive.skipped[0].index, 1);
/// # Ok::<(), har::HarError>(())
/// ```
pub fn read_archive(json: &[u8], limits: &Limits) -> Result<Archive, HarError> {
    // Some tools write a byte order mark.
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    let mut reader = Reader {
        limits,
        archive: Archive::default(),
        memory: 0,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Field {
        name: "log",
        inner: Field {
            name: "entries",
            inner: Entries(&mut reader),
        },
    }
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(reader.archive)
}

/// Reads one entry, such as `chrome.devtools.network` gives, within limits. Its number is 0.
///
/// # Errors
/// A [`HarError`] that tells what is missing or wrong.
pub fn read_entry(json: &str, limits: &Limits) -> Result<Exchange, HarError> {
    let entry: model::Entry<'_> = serde_json::from_str(json)?;
    let mut exchange = exchange(entry, limits)?;
    limits.apply(&mut exchange);
    Ok(exchange)
}

struct Reader<'a> {
    limits: &'a Limits,
    archive: Archive,
    memory: usize,
}

impl Reader<'_> {
    fn take(&mut self, index: usize, json: &str) {
        let archive = &mut self.archive;
        if archive.exchanges.len() >= self.limits.exchanges || self.memory >= self.limits.capture {
            archive.left_out += 1;
            return;
        }
        match read_entry(json, self.limits) {
            Ok(mut exchange) => {
                exchange.number = archive.exchanges.len() as u64 + 1;
                self.memory += exchange.footprint();
                archive.exchanges.push(exchange);
            }
            Err(error) => {
                archive.left_out += 1;
                if archive.skipped.len() < MAX_REASONS {
                    archive.skipped.push(Skipped { index, error });
                }
            }
        }
    }
}

/// Goes into one field of an object and passes over the others.
struct Field<S> {
    name: &'static str,
    inner: S,
}

impl<'de, S: DeserializeSeed<'de, Value = ()>> DeserializeSeed<'de> for Field<S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de, Value = ()>> Visitor<'de> for Field<S> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with {:?}", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut inner = Some(self.inner);
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if key == self.name
                && let Some(seed) = inner.take()
            {
                map.next_value_seed(seed)?;
            } else {
                // Passed over without recursion: `&RawValue` only looks for the end.
                map.next_value::<&RawValue>()?;
            }
        }
        match inner {
            None => Ok(()),
            Some(_) => Err(serde::de::Error::missing_field(self.name)),
        }
    }
}

/// The list of entries: each is first found, then read by itself, so that one that is wrong spoils no other.
struct Entries<'a, 'b>(&'a mut Reader<'b>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(entry) = list.next_element::<&RawValue>()? {
            self.0.take(index, entry.get());
            index += 1;
        }
        Ok(())
    }
}

fn exchange(entry: model::Entry<'_>, limits: &Limits) -> Result<Exchange, HarError> {
    let started = time::parse(&entry.started_date_time).ok_or_else(|| HarError::Date {
        found: entry.started_date_time.chars().take(60).collect(),
    })?;
    let extra = entry.extra.unwrap_or_default();
    let url = entry.request.url.into_owned();
    let response_body = entry
        .response
        .content
        .map(|content| response_body(content, &extra, limits))
        .transpose()
        .map_err(|source| HarError::Body {
            url: url.chars().take(200).collect(),
            source,
        })?
        .flatten();
    let request_body = entry
        .request
        .post_data
        .map(|data| request_body(data, &extra, limits));
    let mut exchange = Exchange {
        number: 0,
        started,
        time: finite(entry.time).unwrap_or_default(),
        request: Request {
            method: entry.request.method.into_owned(),
            url,
            http_version: entry.request.http_version,
            headers: entry.request.headers,
            body: request_body,
        },
        response: Response {
            status: u16::try_from(whole(entry.response.status)).unwrap_or(0),
            status_text: entry.response.status_text,
            http_version: entry.response.http_version,
            headers: entry.response.headers,
            body: response_body,
            transfer_size: entry.response.transfer_size.and_then(finite).map(whole),
            error: entry.response.error.filter(|error| !error.is_empty()),
        },
        timings: timings(&entry.timings),
        server_ip: entry.server_ip.as_deref().and_then(address),
        connection: entry.connection.filter(|name| !name.is_empty()),
        resource_type: entry.resource_type,
        priority: entry.priority,
        initiator: entry.initiator.as_ref().and_then(initiator),
        messages: messages(entry.messages, &extra, limits),
        cut: extra.cut,
        doubts: extra.doubts,
        redacted: extra.redacted,
    };
    if exchange.messages.iter().any(|message| message.body.is_cut()) {
        exchange.note_cut(Cut::Messages);
    }
    Ok(exchange)
}

fn request_body(data: model::PostData<'_>, extra: &model::Extra, limits: &Limits) -> Body {
    let text = match data.text {
        Some(text) => text.into_owned(),
        None if data.params.is_empty() => {
            return Body::unknown(data.mime_type, extra.request_body_size.unwrap_or(0));
        }
        // Only the fields of a form are there.
        None => form_text(&data.params),
    };
    let base64 = extra
        .request_body_base64
        .then(|| Body::from_base64(data.mime_type.clone(), &text, limits.body).ok())
        .flatten();
    let mut body = base64.unwrap_or_else(|| Body::new(data.mime_type, text));
    body.size = body.size.max(extra.request_body_size.unwrap_or(0));
    body
}

fn form_text(fields: &[Header]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| format!("{}={}", field.name, field.value))
        .collect();
    fields.join("&")
}

fn response_body(
    content: model::Content<'_>,
    extra: &model::Extra,
    limits: &Limits,
) -> Result<Option<Body>, crate::body::NotBase64> {
    let size = whole(content.size);
    let mut body = match content.text {
        Some(text) if content.encoding.as_deref() == Some("base64") => {
            Body::from_base64(content.mime_type, &text, limits.body)?
        }
        Some(text) => Body::new(content.mime_type, text.into_owned()),
        None if size == 0 && content.mime_type.is_empty() => return Ok(None),
        None => Body::unknown(content.mime_type, size),
    };
    // Only our own files mean by a larger size that the body was cut; others count it before a change of charset.
    if extra.cut.contains(&Cut::ResponseBody) {
        body.size = body.size.max(size);
    }
    Ok(Some(body))
}

fn messages(list: Vec<model::Message>, extra: &model::Extra, limits: &Limits) -> Vec<Message> {
    let message = |(index, message): (usize, model::Message)| {
        let opcode = whole(message.opcode).min(15) as u8;
        let binary = (opcode == 2)
            .then(|| Body::from_base64("", &message.data, limits.body).ok())
            .flatten();
        let mut body = binary.unwrap_or_else(|| Body::new("", message.data));
        if let Some((_, size)) = extra.message_sizes.iter().find(|(cut, _)| *cut == index) {
            body.size = body.size.max(*size);
        }
        Message {
            direction: if message.direction == "send" {
                Direction::Send
            } else {
                Direction::Receive
            },
            time: (finite(message.time).unwrap_or_default() * 1_000_000.0).round() / 1000.0,
            opcode,
            body,
        }
    };
    list.into_iter().enumerate().map(message).collect()
}

fn timings(timings: &model::Timings) -> Timings {
    let applies = |value: Option<f64>| value.and_then(finite).filter(|value| *value >= 0.0);
    Timings {
        blocked: applies(timings.blocked),
        dns: applies(timings.dns),
        connect: applies(timings.connect),
        ssl: applies(timings.ssl),
        send: applies(timings.send),
        wait: applies(timings.wait),
        receive: applies(timings.receive),
    }
}

fn initiator(initiator: &model::Initiator) -> Option<String> {
    let top_frame = initiator
        .stack
        .as_ref()
        .and_then(|stack| stack.call_frames.first());
    let place = if initiator.url.is_some() {
        Some(initiator)
    } else {
        top_frame
    };
    let line = place
        .and_then(|place| place.line_number)
        .map(|line| format!(":{}", whole(line)));
    let url = place.and_then(|place| place.url.as_deref()).unwrap_or_default();
    let text = format!("{} {url}{}", initiator.kind, line.unwrap_or_default());
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// An address, in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A number that should be a whole one and not negative; floats that do not fit become the nearest one that does.
fn whole(value: f64) -> u64 {
    value as u64
}
