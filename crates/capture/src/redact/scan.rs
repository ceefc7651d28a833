//! Finds secrets in headers, URLs and bodies and writes the text anew without them.
//!
//! Bodies are scanned, not parsed: a body that was cut, is no valid JSON or has JSON within JSON is redacted all the
//! same, and what is not secret stays byte for byte as it was.

use base64::Engine as _;

use super::PLACEHOLDER;
use super::names::Names;
use crate::url::Url;

/// Longest name that is looked at.
const MAX_NAME: usize = 128;

/// The secrets that a scan took out.
#[derive(Default)]
pub(super) struct Found(Vec<Vec<u8>>);

impl Found {
    pub(super) fn add(&mut self, value: &[u8]) {
        if !value.is_empty() {
            self.0.push(value.to_vec());
        }
    }

    pub(super) fn into_values(self) -> Vec<Vec<u8>> {
        self.0
    }
}

/// `a=1; b=2` of a `Cookie` header.
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
    found.add(value.trim().trim_matches('"').as_bytes());
    if name.is_empty() {
        PLACEHOLDER.to_owned()
    } else {
        format!("{name}={PLACEHOLDER}")
    }
}

/// The value of an `Authorization` header: its scheme stays.
pub(super) fn credentials(value: &str, found: &mut Found) -> String {
    let Some((scheme, secret)) = value.trim().split_once(' ') else {
        found.add(value.as_bytes());
        return PLACEHOLDER.to_owned();
    };
    found.add(secret.trim().as_bytes());
    if scheme.eq_ignore_ascii_case("basic")
        && let Ok(pair) = base64::engine::general_purpose::STANDARD.decode(secret.trim())
        && let Some(colon) = pair.iter().position(|byte| *byte == b':')
    {
        found.add(&pair[colon + 1..]);
    }
    format!("{scheme} {PLACEHOLDER}")
}

/// A URL: user info, and parameters of query and fragment by their names.
pub(super) fn url(text: &str, names: &Names, found: &mut Found) -> String {
    let url = Url::split(text);
    let mut redacted = String::with_capacity(text.len());
    if !url.scheme.is_empty() {
        redacted += url.scheme;
        redacted.push(':');
    }
    if url.has_authority {
        redacted += "//";
    }
    if let Some(user_info) = url.user_info {
        found.add(
            user_info
                .split_once(':')
                .map_or(user_info, |(_, password)| password)
                .as_bytes(),
        );
        redacted += PLACEHOLDER;
        redacted.push('@');
    }
    redacted += &url.host_and_port();
    redacted += &self::text(url.path, names, found);
    for (mark, part) in [('?', url.query), ('#', url.fragment)] {
        let Some(part) = part else { continue };
        redacted.push(mark);
        let parameters: Vec<String> = part
            .split('&')
            .map(|pair| parameter(pair, names, found))
            .collect();
        redacted += &parameters.join("&");
    }
    redacted
}

fn parameter(pair: &str, names: &Names, found: &mut Found) -> String {
    match pair.split_once('=') {
        // Fragments of single-page applications may have a path and a query of their own.
        Some((name, value)) if names.is_secret(name.rsplit(['?', '/', '#', ';']).next().unwrap_or(name)) => {
            found.add(value.as_bytes());
            format!("{name}={PLACEHOLDER}")
        }
        Some((name, value)) => format!("{}={}", text(name, names, found), text(value, names, found)),
        None => text(pair, names, found),
    }
}

/// Any other text.
pub(super) fn text(text: &str, names: &Names, found: &mut Found) -> String {
    bytes(text.as_bytes(), false, false, names, found)
        // Only whole pieces between ASCII characters are replaced.
        .map_or_else(
            || text.to_owned(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
}

/// A body. `None` when there is nothing secret in it.
pub(super) fn bytes(
    data: &[u8],
    is_form: bool,
    is_multipart: bool,
    names: &Names,
    found: &mut Found,
) -> Option<Vec<u8>> {
    let mut secrets: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let value = match data[at] {
            b'"' => quoted(data, at, names),
            b'?' | b'&' | b'#' => pair(data, at + 1, names),
            _ if at == 0 && is_form => pair(data, 0, names),
            b':' => user_info(data, at),
            b'e' => web_token(data, at),
            b'n' if is_multipart => form_part(data, at, names),
            b'B' | b'b' => bearer(data, at),
            _ => None,
        };
        at = match value {
            Some((start, end)) if end > start => {
                secrets.push((start, end));
                end
            }
            _ => at + 1,
        };
    }
    if secrets.is_empty() {
        return None;
    }
    let mut redacted = Vec::with_capacity(data.len());
    let mut from = 0;
    for (start, end) in secrets {
        found.add(&data[start..end]);
        redacted.extend_from_slice(&data[from..start]);
        redacted.extend_from_slice(PLACEHOLDER.as_bytes());
        from = end;
    }
    redacted.extend_from_slice(&data[from..]);
    Some(redacted)
}

/// A range of bytes that is secret.
type Range = Option<(usize, usize)>;

fn position(data: &[u8], from: usize, stop: impl Fn(u8) -> bool) -> usize {
    data[from..]
        .iter()
        .position(|byte| stop(*byte))
        .map_or(data.len(), |found| from + found)
}

fn is_secret(name: &[u8], names: &Names) -> bool {
    name.len() <= MAX_NAME
        && std::str::from_utf8(name).is_ok_and(|name| !name.is_empty() && names.is_secret(name))
}

/// `"key": "value"`, also with the quotes escaped as in JSON that stands within JSON. `at` is at the first quote.
fn quoted(data: &[u8], at: usize, names: &Names) -> Range {
    let start = at + 1;
    let limit = data.len().min(start + MAX_NAME);
    let name_end = start
        + data[start..limit]
            .iter()
            .position(|byte| b"\"\\\n".contains(byte))?;
    if !is_secret(&data[start..name_end], names) {
        return None;
    }
    let close = position(data, name_end, |byte| byte != b'\\');
    let escapes = close - name_end;
    if data.get(close) != Some(&b'"') {
        return None;
    }
    let colon = position(data, close + 1, |byte| !byte.is_ascii_whitespace());
    if data.get(colon) != Some(&b':') {
        return None;
    }
    let value = position(data, colon + 1, |byte| !byte.is_ascii_whitespace());
    let open = position(data, value, |byte| byte != b'\\');
    if data.get(open) == Some(&b'"') {
        let end = string_end(data, open + 1, escapes);
        return Some((open + 1, end));
    }
    // Long numbers may be secrets too; short ones are counts.
    let end = position(data, value, |byte| !byte.is_ascii_digit());
    (end - value >= 4).then_some((value, end))
}

/// Where a string ends that started with a quote after `escapes` backslashes: before those of its closing quote.
fn string_end(data: &[u8], from: usize, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (index, byte) in data.iter().enumerate().skip(from) {
        match byte {
            b'\\' => backslashes += 1,
            b'"' if (escapes == 0 && backslashes % 2 == 0) || (escapes > 0 && backslashes <= escapes) => {
                return index - backslashes.min(index - from).min(escapes);
            }
            _ => backslashes = 0,
        }
    }
    data.len()
}

/// `name=value` of a form or a URL's query; `start` is where the name starts.
fn pair(data: &[u8], start: usize, names: &Names) -> Range {
    // In HTML, `&` is `&amp;`.
    let start = if data[start..].starts_with(b"amp;") {
        start + 4
    } else {
        start
    };
    let limit = data.len().min(start + MAX_NAME);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.%[]~".contains(byte);
    let name_end = start + data[start..limit].iter().position(|byte| !is_name(byte))?;
    if data[name_end] != b'=' || !is_secret(&data[start..name_end], names) {
        return None;
    }
    let end = position(data, name_end + 1, |byte| {
        byte.is_ascii_whitespace() || b"&#;\"'<>\\".contains(&byte)
    });
    Some((name_end + 1, end))
}

/// The user info of a URL in a text; `at` is at the colon of `://`.
fn user_info(data: &[u8], at: usize) -> Range {
    if !data[at..].starts_with(b"://") {
        return None;
    }
    let start = at + 3;
    let limit = data.len().min(start + 1024);
    let end = start
        + data[start..limit]
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || b"/?#\"'<>\\".contains(byte))
            .unwrap_or(limit - start);
    let host = data[start..end].iter().rposition(|byte| *byte == b'@')?;
    Some((start, start + host))
}

/// A JSON Web Token: three parts in base64url, the first of which is a JSON object. `at` is at an `e`.
fn web_token(data: &[u8], at: usize) -> Range {
    let part = |from| {
        position(data, from, |byte| {
            !(byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
    };
    if !data[at..].starts_with(b"eyJ") {
        return None;
    }
    let first = part(at);
    if first - at < 10 || !data[first..].starts_with(b".eyJ") {
        return None;
    }
    let second = part(first + 1);
    if data.get(second) != Some(&b'.') {
        return None;
    }
    Some((at, part(second + 1)))
}

/// `Bearer TOKEN` in a text; `at` is at the B.
fn bearer(data: &[u8], at: usize) -> Range {
    let word = b"bearer ";
    if !data.get(at..at + word.len())?.eq_ignore_ascii_case(word) {
        return None;
    }
    let start = at + word.len();
    let end = position(data, start, |byte| {
        !(byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte))
    });
    (end - start >= 16).then_some((start, end))
}

/// A part of a multipart form; `at` is at an `n`.
fn form_part(data: &[u8], at: usize, names: &Names) -> Range {
    if !data[at..].starts_with(b"name=\"") {
        return None;
    }
    let start = at + b"name=\"".len();
    let name_end = position(data, start, |byte| byte == b'"' || byte == b'\n');
    if !is_secret(&data[start..name_end], names) {
        return None;
    }
    let find = |from: usize, what: &[u8]| {
        let rest = data.get(from..)?;
        rest.windows(what.len())
            .position(|window| window == what)
            .map(|found| from + found)
    };
    let value = find(name_end, b"\r\n\r\n")? + 4;
    Some((value, find(value, b"\r\n--").unwrap_or(data.len())))
}
