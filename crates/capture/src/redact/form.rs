//! Parameters: of forms, which only `&` ends, of queries, fragments and paths of URLs, and cookies.

use super::PLACEHOLDER;
use super::learned::{Found, Source};
use super::text::{self, Kind, Lexicon};
use super::value::{Place, is_placeholder, is_secret};

/// A form as browsers send it: `name=value&…`. `None` when there is nothing secret in it.
pub(super) fn form(data: &[u8], lexicon: Lexicon<'_>, found: &mut Found) -> Option<Vec<u8>> {
    let mut redacted = Vec::new();
    let mut from = 0;
    let mut at = 0;
    for pair in data.split(|byte| *byte == b'&') {
        if let Some((start, value)) = parameter(pair, lexicon, found) {
            redacted.extend_from_slice(&data[from..at + start]);
            redacted.extend_from_slice(&value);
            from = at + pair.len();
        }
        at += pair.len() + 1;
    }
    if from == 0 {
        return None;
    }
    redacted.extend_from_slice(&data[from..]);
    Some(redacted)
}

/// What stands in place of a pair from some byte of it on, if anything in it is secret.
fn parameter(pair: &[u8], lexicon: Lexicon<'_>, found: &mut Found) -> Option<(usize, Vec<u8>)> {
    let equals = memchr::memchr(b'=', pair);
    if let Some(equals) = equals {
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        let verdict = lexicon.names.judge(last_part(name));
        if is_secret(verdict, name, value, Place::Parameter, lexicon.names) {
            found.add(Source::named(verdict, name), value);
            return Some((equals + 1, PLACEHOLDER.into()));
        }
        if is_placeholder(value) {
            return None;
        }
    }
    let start = equals.map_or(0, |equals| equals + 1);
    let value = &pair[start..];
    let once = text::redact(value, Kind::Json, lexicon, found);
    let value = encoded(once.as_deref().unwrap_or(value), lexicon, found).or(once);
    value.map(|value| (start, value))
}

/// What is JSON, markup, a URL or a form in percent encoding, with blanks or brackets that hide its names: encoded anew.
fn encoded(value: &[u8], lexicon: Lexicon<'_>, found: &mut Found) -> Option<Vec<u8>> {
    memchr::memchr(b'%', value)?;
    let text = std::str::from_utf8(value).ok()?;
    let mut plain = crate::url::decode(text);
    if plain.trim_start_matches('+').starts_with(['{', '[', '<']) {
        plain = crate::url::decode(&text.replace('+', " "));
    }
    let redacted = match plain.trim_start().as_bytes().first()? {
        b'{' | b'[' => text::redact(plain.as_bytes(), Kind::Json, lexicon, found),
        b'<' => text::redact(plain.as_bytes(), Kind::Markup, lexicon, found),
        _ if is_form(plain.as_bytes()) => form(plain.as_bytes(), lexicon, found),
        _ => text::redact(plain.as_bytes(), Kind::Json, lexicon, found),
    }?;
    let redacted = String::from_utf8_lossy(&redacted);
    let pieces = redacted
        .split(PLACEHOLDER)
        .map(|piece| crate::url::encode(piece, "%20"));
    Some(pieces.collect::<Vec<_>>().join(PLACEHOLDER).into_bytes())
}

/// The name of a parameter of a URL within the fragment of another.
fn last_part(name: &[u8]) -> &[u8] {
    let at = name.iter().rposition(|byte| b"?/#;".contains(byte));
    at.map_or(name, |at| &name[at + 1..])
}

/// Whether a body of another type, or of none, is a form: pairs without blanks, none of them JSON or markup.
pub(super) fn is_form(data: &[u8]) -> bool {
    let data = data.trim_ascii_end();
    let Some(equals) = memchr::memchr(b'=', &data[..data.len().min(256)]) else {
        return false;
    };
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.%[]~+$!*()".contains(byte) || *byte >= 0x80;
    equals > 0
        && data[..equals].iter().all(is_name)
        && !data.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0)
        && !data[equals..].starts_with(b"==")
}

/// Whether a body that is said to be a form is something else.
pub(super) fn is_other(data: &[u8]) -> bool {
    data.trim_ascii_start()
        .first()
        .is_some_and(|first| b"{[<".contains(first))
}

/// The parameters of a query: `&` and `;` stand between them.
pub(super) fn query(text: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    let mut redacted = String::with_capacity(text.len());
    // Whether what came last was secret, and may go on after a `;`.
    let mut was_secret = false;
    for piece in text.split_inclusive(['&', ';']) {
        let body = piece.trim_end_matches(['&', ';']);
        let mark = &piece[body.len()..];
        let goes_on = was_secret && redacted.ends_with(';') && !body.contains('=') && !body.is_empty();
        if goes_on {
            redacted.pop();
            redacted += mark;
            continue;
        }
        match parameter(body.as_bytes(), lexicon, found) {
            Some((start, value)) => {
                redacted += &body[..start];
                redacted += &String::from_utf8_lossy(&value);
                was_secret = value == PLACEHOLDER.as_bytes();
            }
            None => {
                redacted += body;
                was_secret = false;
            }
        }
        redacted += mark;
    }
    redacted
}

/// `a=1; b=2` of a `Cookie` header: no value stays.
pub(super) fn cookies(value: &str, found: &mut Found) -> String {
    let cookies: Vec<String> = value.split(';').map(|cookie| one_cookie(cookie, found)).collect();
    cookies.join(";")
}

/// `a=1; Path=/` of a `Set-Cookie` header: the attributes stay.
pub(super) fn set_cookie(value: &str, found: &mut Found) -> String {
    match value.split_once(';') {
        Some((cookie, attributes)) => format!("{};{attributes}", one_cookie(cookie, found)),
        None => one_cookie(value, found),
    }
}

fn one_cookie(cookie: &str, found: &mut Found) -> String {
    // A cookie without a name is all value.
    let (name, value) = cookie.split_once('=').unwrap_or(("", cookie));
    let value = value.trim().trim_matches('"');
    if cookie.trim().is_empty() {
        return cookie.to_owned();
    }
    found.add(Source::Cookie, value.as_bytes());
    if name.is_empty() {
        PLACEHOLDER.to_owned()
    } else {
        format!("{name}={PLACEHOLDER}")
    }
}
