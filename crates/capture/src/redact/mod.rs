//! Takes secrets out of exchanges before they leave the panel.
//!
//! What is secret is told by its name (of a header, cookie, parameter, key, attribute or element: [`names`]), by its
//! place (URL user info) or by its look ([`tokens`]: a JSON Web Token, the prefix of an issuer). Each carrier has a file;
//! bodies and texts are gone through once ([`text`]). A value that was found once is also taken out wherever else it
//! appears from then on ([`learned`]). All of it is best effort: what neither its name nor its look tells of stays.
//!
//! Between a secret that stays and a text that is spoilt, it is decided by where it stands:
//! - After a name in data (JSON, a form, a cell, a column, a line of its own), any value goes that is no label, remark or
//!   sentence. A sentence is told by its small words ("at", "the", "your"), so that a passphrase without any goes.
//! - In programs, strings go that are given to a name, also as a default; expressions stay.
//! - In the middle of a line that people wrote, one word goes after the name of a password ([`prose`]): one that ends what is
//!   said. "Enter your password: at least 8 characters" stays, and so do passwords of several words.
//! - A cell or a text that says what can be done ("Change", "Copy") or what is the case ("required", "expired") stays.

mod around;
mod columns;
mod command;
mod data_url;
mod form;
mod header;
mod json;
mod label;
mod learned;
mod lines;
mod markup;
mod multipart;
mod names;
mod pairs;
mod program;
mod prose;
mod syntax;
mod text;
mod tokens;
mod triggers;
mod url;
mod value;
mod vocabulary;
mod words;

#[cfg(test)]
mod tests;

pub use names::is_secret_name;

use self::learned::{Found, Learned};
use self::text::{Kind, Lexicon, redact_text};
use crate::body::Body;
use crate::exchange::{Exchange, Header};

/// What stands where a secret stood.
pub const PLACEHOLDER: &str = "[redacted]";

/// Redacts the exchanges of one capture, in their order.
#[derive(Debug, Default)]
pub struct Redactor {
    names: names::Names,
    triggers: triggers::Triggers,
    learned: Learned,
}

impl Redactor {
    /// A redactor that knows the common names of secrets, and these beside them.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redactor = Self::default();
        redactor.set_names(names);
        redactor
    }

    /// Replaces the names beside the common ones. What was learned stays. Says whether they are others than before.
    pub fn set_names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> bool {
        let names = names::Names::with(names);
        let is_new = names != self.names;
        if is_new {
            self.triggers = triggers::Triggers::with(&names);
            self.names = names;
        }
        is_new
    }

    /// How many values are known and looked for everywhere.
    pub fn learned(&self) -> usize {
        self.learned.len()
    }

    /// Takes secrets out of `exchange` and marks it as redacted.
    pub fn redact(&mut self, exchange: &mut Exchange) {
        let mut found = Found::default();
        self.by_name(exchange, &mut found);
        self.learned.learn(found);
        self.redact_known(exchange);
        exchange.redacted = true;
    }

    /// Whether a value that was learned is in `exchange`, as one may be that came before it was learned.
    pub fn knows(&self, exchange: &Exchange) -> bool {
        texts(exchange).any(|text| self.learned.is_in(text))
    }

    /// Takes out values that were learned from other exchanges meanwhile.
    pub fn redact_known(&mut self, exchange: &mut Exchange) {
        let learned = &mut self.learned;
        each_text(exchange, |text| {
            if let Some(redacted) = learned.redact(text.as_bytes()) {
                // What was found are whole values, but one of bytes may start within a character.
                *text = String::from_utf8(redacted)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            }
        });
        each_body(exchange, |body, _| {
            if let Some(redacted) = learned.redact(body.bytes()) {
                body.replace(redacted);
            }
        });
    }

    /// Takes secrets out of a URL.
    pub fn redact_url(&self, text: &str) -> String {
        url::redact(text, self.lexicon(), &mut Found::default())
    }

    fn lexicon(&self) -> Lexicon<'_> {
        Lexicon {
            names: &self.names,
            triggers: &self.triggers,
            nested: 0,
        }
    }

    fn by_name(&self, exchange: &mut Exchange, found: &mut Found) {
        let lexicon = self.lexicon();
        let request = &mut exchange.request;
        request.url = url::redact(&request.url, lexicon, found);
        for header in request.headers.iter_mut().chain(&mut exchange.response.headers) {
            header::redact(header, lexicon, found);
        }
        each_body(exchange, |body, headers| {
            if let Some(redacted) = redact_body(body, headers, lexicon, found) {
                body.replace(redacted);
            }
        });
        for text in [&mut exchange.initiator, &mut exchange.response.error]
            .into_iter()
            .flatten()
        {
            if let Some(redacted) = redact_text(text, lexicon, found) {
                *text = redacted;
            }
        }
    }
}

/// The URL, the values of headers, and other texts in which secrets may stand.
fn each_text(exchange: &mut Exchange, mut change: impl FnMut(&mut String)) {
    let (request, response) = (&mut exchange.request, &mut exchange.response);
    change(&mut request.url);
    for header in request.headers.iter_mut().chain(&mut response.headers) {
        change(&mut header.value);
    }
    [&mut exchange.initiator, &mut response.error]
        .into_iter()
        .flatten()
        .for_each(change);
}

/// All texts and bodies in which secrets may stand.
fn texts(exchange: &Exchange) -> impl Iterator<Item = &[u8]> {
    let (request, response) = (&exchange.request, &exchange.response);
    let headers = request.headers.iter().chain(&response.headers);
    let bodies = [&request.body, &response.body].into_iter().flatten();
    let texts = [&exchange.initiator, &response.error].into_iter().flatten();
    std::iter::once(request.url.as_bytes())
        .chain(headers.map(|header| header.value.as_bytes()))
        .chain(texts.map(String::as_bytes))
        .chain(bodies.map(Body::bytes))
        .chain(exchange.messages.iter().map(|message| message.body.bytes()))
}

/// The bodies of request, response and messages, with the headers that tell of them.
fn each_body(exchange: &mut Exchange, mut change: impl FnMut(&mut Body, &[Header])) {
    let (request, response) = (&mut exchange.request, &mut exchange.response);
    if let Some(body) = &mut request.body {
        change(body, &request.headers);
    }
    if let Some(body) = &mut response.body {
        change(body, &response.headers);
    }
    for message in &mut exchange.messages {
        change(&mut message.body, &[]);
    }
}

fn redact_body(body: &Body, headers: &[Header], lexicon: Lexicon<'_>, found: &mut Found) -> Option<Vec<u8>> {
    let data = body.data.as_deref().filter(|data| !data.is_empty())?;
    let header = crate::exchange::header(headers, "content-type").unwrap_or_default();
    let types = [body.mime_type.as_str(), header].map(str::to_ascii_lowercase);
    let is_any = |kind: &str| {
        types
            .iter()
            .any(|mime_type| mime_type.trim_start().starts_with(kind))
    };
    // What is known says more than nothing and than plain text.
    let mime_type = match types[0].as_str() {
        "" => &types[1],
        plain if plain.starts_with("text/plain") && !types[1].is_empty() => &types[1],
        given => given,
    };
    if is_any("multipart/") || multipart::is_multipart(data) {
        let given = if types[0].starts_with("multipart/") {
            body.mime_type.as_str()
        } else {
            header
        };
        if data.starts_with(b"--") || memchr::memmem::find(data, b"\n--").is_some() {
            return multipart::redact(data, given, lexicon, found);
        }
    }
    let kind = kind(mime_type)?;
    let is_form = is_any("application/x-www-form-urlencoded") && !form::is_other(data);
    if is_form || (matches!(kind, Kind::Plain | Kind::Json) && form::is_form(data)) {
        return form::form(data, lexicon, found);
    }
    text::redact(data, kind, lexicon, found)
}

/// What kind of text a media type is of; `None` for those of pictures, sounds and the like.
fn kind(mime_type: &str) -> Option<Kind> {
    let mime_type = mime_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let has = |word: &str| mime_type.contains(word);
    if has("html") || has("xml") {
        return Some(Kind::Markup);
    }
    if has("json") || has("graphql") || has("event-stream") {
        return Some(Kind::Json);
    }
    if has("javascript") || has("ecmascript") || has("typescript") || mime_type == "text/css" {
        return Some(Kind::Script);
    }
    let is_binary = [
        "image/",
        "audio/",
        "video/",
        "font/",
        "application/wasm",
        "application/zip",
        "application/gzip",
    ]
    .iter()
    .any(|start| mime_type.starts_with(start));
    (!is_binary).then_some(Kind::Plain)
}
