//! Takes secrets out of exchanges before they leave the panel.
//!
//! What is secret is told by its name (of a header, cookie, parameter or key), by its place (URL user info) or by its
//! look (a JSON Web Token). A value that was found once is also taken out wherever else it appears from then on: a
//! password that a page echoes, a token that moves from a body into a path.

mod names;
mod scan;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;

pub use names::is_secret_name;
use scan::Found;

use crate::body::Body;
use crate::exchange::{Exchange, Header};
use crate::url;

/// What stands where a secret stood.
pub const PLACEHOLDER: &str = "[redacted]";

/// Shortest value that is looked for in other places: a shorter one would be found by chance.
const MIN_KNOWN: usize = 8;
/// Most values that are looked for in other places.
const MAX_KNOWN: usize = 1000;
/// Longest value that is looked for in other places.
const MAX_KNOWN_LEN: usize = 8 << 10;

/// Headers whose value is a URL.
const URL_HEADERS: [&str; 5] = ["location", "referer", "content-location", "refresh", "sourcemap"];

/// Redacts the exchanges of one capture, in their order.
#[derive(Debug, Default)]
pub struct Redactor {
    names: names::Names,
    known: HashSet<Vec<u8>>,
    search: Option<AhoCorasick>,
}

impl Redactor {
    /// A redactor that knows the common names of secrets, and these beside them.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            names: names::Names::with(names),
            ..Self::default()
        }
    }

    /// Takes secrets out of `exchange` and marks it as redacted.
    pub fn redact(&mut self, exchange: &mut Exchange) {
        let mut found = Found::default();
        self.by_name(exchange, &mut found);
        self.learn(found);
        self.by_value(exchange);
        exchange.redacted = true;
    }

    /// Takes secrets out of a URL.
    pub fn redact_url(&self, text: &str) -> String {
        scan::url(text, &self.names, &mut Found::default())
    }

    fn by_name(&self, exchange: &mut Exchange, found: &mut Found) {
        let request = &mut exchange.request;
        request.url = scan::url(&request.url, &self.names, found);
        for header in request.headers.iter_mut().chain(&mut exchange.response.headers) {
            self.header(header, found);
        }
        for body in [&mut request.body, &mut exchange.response.body]
            .into_iter()
            .flatten()
        {
            self.body(body, found);
        }
        for message in &mut exchange.messages {
            self.body(&mut message.body, found);
        }
        for text in [&mut exchange.initiator, &mut exchange.response.error]
            .into_iter()
            .flatten()
        {
            *text = scan::text(text, &self.names, found);
        }
    }

    fn header(&self, header: &mut Header, found: &mut Found) {
        let name = header.name.trim().to_ascii_lowercase();
        header.value = match name.as_str() {
            "cookie" => scan::cookies(&header.value, found),
            "set-cookie" => header
                .value
                .split('\n')
                .map(|cookie| scan::set_cookie(cookie, found))
                .collect::<Vec<_>>()
                .join("\n"),
            "authorization" | "proxy-authorization" => scan::credentials(&header.value, found),
            name if self.names.is_secret(name) => {
                found.add(header.value.as_bytes());
                PLACEHOLDER.to_owned()
            }
            name if URL_HEADERS.contains(&name) => scan::url(&header.value, &self.names, found),
            _ => scan::text(&header.value, &self.names, found),
        };
    }

    fn body(&self, body: &mut Body, found: &mut Found) {
        let Some(data) = &body.data else { return };
        let mime_type = body.mime_type.to_ascii_lowercase();
        let is_form = mime_type.starts_with("application/x-www-form-urlencoded");
        let multipart = mime_type.starts_with("multipart/");
        if let Some(redacted) = scan::bytes(data, is_form, multipart, &self.names, found) {
            body.replace(redacted);
        }
    }

    /// Remembers what was found, in the spellings in which it may come again.
    fn learn(&mut self, found: Found) {
        let before = self.known.len();
        for value in found.into_values() {
            let text = String::from_utf8_lossy(&value);
            let decoded = url::decode(&text).into_bytes();
            let encoded = percent_encode(&decoded).into_bytes();
            let base64 = base64::engine::general_purpose::STANDARD_NO_PAD
                .encode(&decoded)
                .into_bytes();
            for spelling in [value.clone(), decoded, encoded, base64] {
                let fits = (MIN_KNOWN..=MAX_KNOWN_LEN).contains(&spelling.len());
                if fits && self.known.len() < MAX_KNOWN && spelling != PLACEHOLDER.as_bytes() {
                    self.known.insert(spelling);
                }
            }
        }
        if self.known.len() > before {
            // Longer ones first, so that none is left in part because it contains another.
            let mut patterns: Vec<&[u8]> = self.known.iter().map(Vec::as_slice).collect();
            patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
            self.search = AhoCorasick::builder()
                .match_kind(aho_corasick::MatchKind::LeftmostFirst)
                .build(patterns)
                .ok();
        }
    }

    fn by_value(&self, exchange: &mut Exchange) {
        let Some(search) = &self.search else { return };
        let text = |text: &mut String| {
            if search.is_match(text.as_bytes()) {
                // What was found are whole values, but one of bytes may start within a character.
                let replaced = replace_all(search, text.as_bytes());
                *text = String::from_utf8(replaced)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            }
        };
        let body = |body: &mut Body| {
            if search.is_match(body.bytes()) {
                let replaced = replace_all(search, body.bytes());
                body.replace(replaced);
            }
        };
        let (request, response) = (&mut exchange.request, &mut exchange.response);
        text(&mut request.url);
        for header in request.headers.iter_mut().chain(&mut response.headers) {
            text(&mut header.value);
        }
        [&mut exchange.initiator, &mut response.error]
            .into_iter()
            .flatten()
            .for_each(text);
        [&mut request.body, &mut response.body]
            .into_iter()
            .flatten()
            .for_each(body);
        exchange
            .messages
            .iter_mut()
            .for_each(|message| body(&mut message.body));
    }
}

fn replace_all(search: &AhoCorasick, text: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut from = 0;
    for found in search.find_iter(text) {
        replaced.extend_from_slice(&text[from..found.start()]);
        replaced.extend_from_slice(PLACEHOLDER.as_bytes());
        from = found.end();
    }
    replaced.extend_from_slice(&text[from..]);
    replaced
}

fn percent_encode(bytes: &[u8]) -> String {
    let encode = |&byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}
