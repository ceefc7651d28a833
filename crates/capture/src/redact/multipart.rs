//! Bodies of several parts (RFC 2046, RFC 7578): each is judged by its own name and type.

use super::PLACEHOLDER;
use super::learned::{Found, Source};
use super::text::{self, Lexicon};
use super::value::{Place, is_secret};

/// Whether a body without a type is of several parts.
pub(super) fn is_multipart(data: &[u8]) -> bool {
    let start = &data[..data.len().min(1024)];
    start.starts_with(b"--") && find_word(start, b"content-disposition").is_some()
}

/// The body without the secret parts; `None` when there is nothing secret in it.
pub(super) fn redact(
    data: &[u8],
    mime_type: &str,
    lexicon: Lexicon<'_>,
    found: &mut Found,
) -> Option<Vec<u8>> {
    let delimiter = delimiter(data, mime_type)?;
    let finder = memchr::memmem::Finder::new(&delimiter);
    let mut redacted = Vec::new();
    let mut from = 0;
    let mut delimiters = finder
        .find_iter(data)
        // At the start of a line only.
        .filter(|at| at.checked_sub(1).is_none_or(|before| data[before] == b'\n'))
        .peekable();
    while let Some(at) = delimiters.next() {
        let head = at + delimiter.len();
        let next = delimiters.peek().copied().unwrap_or(data.len());
        let Some((start, end)) = content(data, head, next) else {
            continue;
        };
        if let Some(value) = part(&data[head..start], &data[start..end], lexicon, found) {
            redacted.extend_from_slice(&data[from..start]);
            redacted.extend_from_slice(&value);
            from = end;
        }
    }
    if from == 0 {
        return None;
    }
    redacted.extend_from_slice(&data[from..]);
    Some(redacted)
}

/// `--` and the boundary: that of the media type, or that of the first line if the type's is not there.
fn delimiter(data: &[u8], mime_type: &str) -> Option<Vec<u8>> {
    let lower = mime_type.to_ascii_lowercase();
    let given = lower
        .find("boundary=")
        .map(|at| &mime_type[at + "boundary=".len()..]);
    let given = given.map(|value| match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => value.split([';', ' ']).next().unwrap_or_default(),
    });
    if let Some(boundary) = given.filter(|boundary| !boundary.is_empty()) {
        let delimiter = format!("--{boundary}").into_bytes();
        if memchr::memmem::find(data, &delimiter).is_some() {
            return Some(delimiter);
        }
    }
    let start = memchr::memmem::find(data, b"--")?;
    let line = data[start..]
        .split(|byte| *byte == b'\n')
        .next()?
        .trim_ascii_end();
    (line.len() > 2).then(|| line.to_vec())
}

/// Where a part's content is: after an empty line, before the line's end that belongs to the next delimiter.
fn content(data: &[u8], head: usize, next: usize) -> Option<(usize, usize)> {
    let part = &data[head..next];
    let with_cr = memchr::memmem::find(part, b"\r\n\r\n").map(|at| at + 4);
    let without = memchr::memmem::find(part, b"\n\n").map(|at| at + 2);
    let start = head + [with_cr, without].into_iter().flatten().min()?;
    let mut end = next;
    if next < data.len() {
        end -= usize::from(end > start && data[end - 1] == b'\n');
        end -= usize::from(end > start && data[end - 1] == b'\r');
    }
    Some((start, end))
}

fn part(head: &[u8], content: &[u8], lexicon: Lexicon<'_>, found: &mut Found) -> Option<Vec<u8>> {
    if let Some(name) = parameter(head, b"name") {
        let verdict = lexicon.names.judge(name);
        if is_secret(verdict, name, content, Place::Parameter, lexicon.names) {
            found.add(Source::named(verdict, name), content);
            return Some(PLACEHOLDER.into());
        }
    }
    let mime_type = find_word(head, b"content-type:").map_or(&b""[..], |at| {
        let value = &head[at + b"content-type:".len()..];
        value
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default()
            .trim_ascii()
    });
    let mime_type = String::from_utf8_lossy(mime_type);
    let kind = super::kind(&mime_type)?;
    text::redact(content, kind, lexicon, found)
}

/// A parameter of a part's `Content-Disposition`, in quotes or not, also as `name*=utf-8''…`.
fn parameter<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut from = find_word(head, b"content-disposition")?;
    loop {
        let at = from + find_word(&head[from..], name)?;
        let after = at + name.len();
        from = after;
        // `filename` is another.
        if !at
            .checked_sub(1)
            .is_some_and(|before| b"; \t\r\n".contains(&head[before]))
        {
            continue;
        }
        let rest = head[after..].trim_ascii_start();
        let rest = rest.strip_prefix(b"*").unwrap_or(rest);
        let Some(value) = rest.strip_prefix(b"=") else {
            continue;
        };
        let value = value.trim_ascii_start();
        let end_at = |value: &'a [u8], stop: &[u8]| {
            let end = value
                .iter()
                .position(|byte| stop.contains(byte))
                .unwrap_or(value.len());
            &value[..end]
        };
        return Some(match value.first() {
            Some(b'"') => end_at(&value[1..], b"\"\r\n"),
            Some(b'\'') => end_at(&value[1..], b"'\r\n"),
            _ => {
                let value = end_at(value, b"; \r\n");
                let charset = memchr::memmem::find(value, b"''").map_or(0, |quotes| quotes + 2);
                &value[charset..]
            }
        });
    }
}

/// Where a word is, in any case.
fn find_word(data: &[u8], word: &[u8]) -> Option<usize> {
    data.windows(word.len())
        .position(|window| window.eq_ignore_ascii_case(word))
}
