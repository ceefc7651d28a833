//! Bodies: those that DevTools give, brought back to their bytes, and those that they do not.

use serde_json::Value;

use super::{Content, Entry, charset};
use crate::body::Body;
use crate::doubt::Doubt;
use crate::exchange::{Exchange, Header, header};
use crate::limits::Limits;

/// Most bytes of text, whichever its characters, and of other bodies that DevTools keep.
const MOST_TEXT: u64 = 10_000_000;
const MOST_BINARY: u64 = 15_000_000;

/// How many bytes chunked encoding takes to say that there are none.
const NO_CHUNKS: i64 = 5;

/// What the entry tells about bodies beside what HAR's reader takes.
pub(super) struct Facts {
    /// Bytes of the decoded body that DevTools counted; they count none where they did not look.
    size: u64,
    /// Bytes of the body on the wire; negative when unknown, or wrong.
    on_wire: i64,
    /// Whether a service worker answered, whose bytes DevTools count.
    from_worker: bool,
    /// Whether a size of zero over the network means that there was nothing, and not that nobody counted.
    is_transfer_known: bool,
    /// The events that the page was told of, as a stream.
    events: String,
}

impl Facts {
    pub(super) fn of(entry: &Entry) -> Self {
        let response = |field| entry.response(field);
        let from_worker = *response("_fetchedViaServiceWorker") == Value::Bool(true);
        let is_cached = entry.object.contains_key("_fromCache");
        Self {
            size: response("content")["size"].as_f64().map_or(0, |size| size as u64),
            on_wire: response("bodySize").as_f64().map_or(-1, |size| size as i64),
            from_worker,
            events: events(entry.object.get("_eventSourceMessages")),
            is_transfer_known: from_worker || is_cached || response("headersSize").as_f64() != Some(-1.0),
        }
    }
}

/// Whether HTTP has no body in such a response.
pub(super) fn has_none(exchange: &Exchange) -> bool {
    exchange.request.method == "HEAD" || matches!(exchange.response.status, 100..200 | 204 | 205 | 304)
}

fn length(headers: &[Header]) -> Option<u64> {
    header(headers, "content-length")?.trim().parse().ok()
}

/// Brings the request's body back to its bytes, by the length that was sent with it.
pub(super) fn mend_request(exchange: &mut Exchange) {
    let request = &mut exchange.request;
    let length = length(&request.headers);
    let Some(body) = &mut request.body else {
        let may_have_one = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
        if length.is_some_and(|length| length > 0) || may_have_one && length.is_none() {
            let kind = header(&request.headers, "content-type").unwrap_or_default();
            request.body = Some(Body::unknown(kind, length.unwrap_or(0)));
            exchange.note_doubt(Doubt::RequestBodyUnknown);
        }
        return;
    };
    let is_packed = header(&request.headers, "content-encoding").is_some();
    let Some(text) = body.data.take().and_then(|data| String::from_utf8(data).ok()) else {
        return;
    };
    let has_charset = charset::charset(&body.mime_type).is_some();
    let sent = charset::sent(text, has_charset, length);
    body.size = sent.bytes.len() as u64;
    body.data = Some(sent.bytes);
    if is_packed || !sent.certain {
        exchange.note_doubt(Doubt::RequestBody);
    }
}

/// Gives the response its body, or the reason why it has none.
pub(super) fn mend_response(exchange: &mut Exchange, facts: &Facts, content: Content, limits: &Limits) {
    let kind = media_type(exchange);
    exchange.response.body = None;
    if exchange.response.transfer_size == Some(0) && !facts.is_transfer_known {
        exchange.response.transfer_size = None;
    }
    if exchange.response.status == 0 || has_none(exchange) {
        return;
    }
    let (body, doubt) = match content {
        Content::Base64(text) if !text.is_empty() => match Body::from_base64(&*kind, &text, limits.body) {
            Ok(body) => (body, None),
            Err(_) => (Body::unknown(kind, facts.size), Some(Doubt::ResponseBodyUnknown)),
        },
        Content::Text(text) if !text.is_empty() => {
            let received = charset::received(text, &kind, (facts.size > 0).then_some(facts.size));
            let doubt = (!received.certain).then_some(Doubt::ResponseBodyRecoded);
            (Body::new(kind, received.bytes), doubt)
        }
        content => {
            let length = length(&exchange.response.headers);
            let doubt = why_nothing(exchange, facts, &kind, &content, length);
            let body = match doubt {
                None => Body::new(kind, ""),
                // A stream that the page closed, as it does when it has heard enough, is given by its events alone.
                Some(_) if !facts.events.is_empty() => {
                    exchange.note_doubt(Doubt::ResponseBodyRecoded);
                    Body::new(kind, facts.events.as_str())
                }
                Some(_) if facts.size > 0 => Body::unknown(kind, facts.size),
                // With an encoding, it is the length of something else.
                Some(_) => {
                    let is_packed = header(&exchange.response.headers, "content-encoding").is_some();
                    Body::unknown(kind, length.filter(|_| !is_packed).unwrap_or(0))
                }
            };
            (body, doubt)
        }
    };
    exchange.response.body = Some(body);
    // What broke off may have had more.
    let broken = exchange
        .response
        .error
        .as_ref()
        .map(|_| Doubt::ResponseBodyUnknown);
    doubt
        .into_iter()
        .chain(broken)
        .for_each(|doubt| exchange.note_doubt(doubt));
}

/// Events as a stream of them, in the format of HTML's server-sent events.
fn events(messages: Option<&Value>) -> String {
    let mut stream = String::new();
    let mut last_id = "";
    for message in messages.and_then(Value::as_array).into_iter().flatten() {
        let field = |name| message[name].as_str().unwrap_or_default();
        let (name, id) = (field("eventName"), field("eventId"));
        if !matches!(name, "" | "message") {
            stream.extend(["event: ", name, "\n"]);
        }
        if id != last_id {
            stream.extend(["id: ", id, "\n"]);
            last_id = id;
        }
        for line in field("data").split('\n') {
            stream.extend(["data: ", line, "\n"]);
        }
        stream.push('\n');
    }
    stream
}

/// Why there is no body; nothing if it is empty for certain.
fn why_nothing(
    exchange: &Exchange,
    facts: &Facts,
    kind: &str,
    content: &Content,
    length: Option<u64>,
) -> Option<Doubt> {
    if facts.size == 0 && exchange.response.error.is_none() {
        let is_chunked = header(&exchange.response.headers, "transfer-encoding").is_some();
        let nothing_came =
            facts.on_wire == 0 && length.is_none() || is_chunked && (0..=NO_CHUNKS).contains(&facts.on_wire);
        let is_given = *content == Content::Text(String::new()) || *content == Content::Base64(String::new());
        if length == Some(0) || is_given && (facts.from_worker || nothing_came) {
            return None;
        }
    }
    Some(match content {
        Content::Late => Doubt::ResponseBodyLate,
        _ if facts.size == 0 || exchange.response.error.is_some() => Doubt::ResponseBodyUnknown,
        _ if facts.size > most(kind) => Doubt::ResponseBodyTooLarge,
        _ => Doubt::ResponseBodyGone,
    })
}

/// How much DevTools keep of a body of this media type, at least.
fn most(media_type: &str) -> u64 {
    let mime_type = media_type.split(';').next().unwrap_or_default().trim();
    let is_text = mime_type.starts_with("text/")
        || ["json", "javascript", "xml"]
            .iter()
            .any(|kind| mime_type.ends_with(kind));
    if is_text { MOST_TEXT } else { MOST_BINARY }
}

/// The media type with its parameters, which DevTools leave out.
fn media_type(exchange: &Exchange) -> String {
    let told = exchange.mime_type();
    let full = header(&exchange.response.headers, "content-type").unwrap_or_default();
    let essence = full.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(&told) {
        full.to_owned()
    } else {
        told
    }
}
