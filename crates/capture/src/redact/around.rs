//! What stands around a name in a text: where it starts and ends, and where a value after it does.

use super::PLACEHOLDER;
use super::syntax::{Quote, byte_at, is_name, position, unescape_at};
use super::words::MAX_NAME;

/// Where a name ends that reaches to `at` at least.
pub(super) fn name_end(data: &[u8], mut at: usize) -> usize {
    loop {
        at = position(data, at, |byte| !is_name(byte));
        match unescape_at(data, at) {
            Some((byte, width)) if is_name(byte) => at += width,
            _ => return at,
        }
    }
}

/// Whether a name may stand before this place: quick, as most names in programs are followed by something else.
pub(super) fn may_follow(data: &[u8], at: usize) -> bool {
    match data.get(at) {
        None => false,
        Some(b'"' | b'\'' | b'`' | b'\\' | b'%' | b'&' | b'=' | b':' | b'>' | b'<' | b']' | b'[') => true,
        Some(b' ' | b'\t' | b'\r' | b'\n' | b'+') => {
            let next = position(data, at, |byte| !byte.is_ascii_whitespace());
            matches!(data.get(next), Some(b'=' | b':' | b'>' | b'%' | b'+' | b'|'))
                // Attributes of an element, flags of a command.
                || next == at + 1
        }
        // `token||"…"`, `token??"…"`, `token?: string`.
        Some(mark @ (b'|' | b'?')) => data.get(at + 1).is_some_and(|next| next == mark || *next == b':'),
        Some(b'!') => matches!(data.get(at + 1), Some(b':' | b'|')),
        Some(_) => false,
    }
}

/// Where a name starts that has a part at `at`, not before `floor`.
pub(super) fn name_start(data: &[u8], at: usize, floor: usize) -> usize {
    let mut start = at;
    loop {
        while start > floor && is_name(data[start - 1]) {
            start -= 1;
        }
        let Some(before) = start.checked_sub(1).filter(|before| *before >= floor) else {
            return start;
        };
        match data[before] {
            b'%' => match unescape_at(data, before) {
                // `%5F` is a part of the name, `%3F` is not.
                Some((byte, width)) if before + width <= at => {
                    if !is_name(byte) {
                        return before + width;
                    }
                    start = before;
                }
                _ => return start,
            },
            b'\\' => match unescape_at(data, before) {
                Some((byte, width)) if before + width <= at => {
                    if !is_name(byte) {
                        return before + width;
                    }
                    start = before;
                }
                _ if matches!(data[start], b'n' | b'r' | b't' | b'b' | b'f') && start < at => {
                    return start + 1;
                }
                _ => return start,
            },
            _ => return start,
        }
    }
}

/// The whole name of `"user[password]"`, if quotes stand around it.
pub(super) fn in_brackets(data: &[u8], start: usize, end: usize) -> (usize, usize) {
    let (mut outer, mut close) = (start, end);
    while outer > 0 && data[outer - 1] == b'[' && data.get(close) == Some(&b']') {
        outer = name_start(data, outer - 1, outer.saturating_sub(MAX_NAME));
        close = skip_index(data, close);
    }
    let is_quoted =
        || Quote::at(data, close).is_some() && Quote::before(data, outer, outer.saturating_sub(64)).is_some();
    if close > end && (data[..outer].ends_with(b"=") || data[..outer].ends_with(b">") || is_quoted()) {
        (outer, close)
    } else {
        (start, end)
    }
}

/// After `[0]`, `[]` or the bracket that closes around a name, also encoded.
pub(super) fn skip_index(data: &[u8], mut at: usize) -> usize {
    for _ in 0..8 {
        match byte_at(data, at) {
            Some((b'[' | b']' | b'0'..=b'9', width)) => at += width,
            _ => break,
        }
    }
    at
}

/// Whether an encoded `?`, `&`, `;`, `#` or `[` ends before a name.
pub(super) fn is_encoded_mark(data: &[u8], at: usize) -> bool {
    (3..=10).any(|width| {
        at.checked_sub(width).is_some_and(|start| {
            unescape_at(data, start).is_some_and(|(byte, found)| found == width && b"?&;#[".contains(&byte))
        })
    })
}

/// How often what stands here is percent-encoded.
pub(super) fn level(data: &[u8], at: usize) -> usize {
    match (data.get(at), unescape_at(data, at)) {
        (Some(b'%'), Some((_, width))) => (width - 1) / 2,
        _ => 0,
    }
}

/// Where the value of a parameter in a text ends that is percent-encoded so many times.
pub(super) fn parameter_end(data: &[u8], from: usize, encoded: usize) -> usize {
    let mut at = from;
    if data[from..].starts_with(PLACEHOLDER.as_bytes()) {
        at += PLACEHOLDER.len();
    }
    loop {
        at = position(data, at, |byte| {
            byte.is_ascii_whitespace() || b"&#;\"'`<>\\,)]}%".contains(&byte)
        });
        match data.get(at) {
            // An encoded URL within one ends at its own `&`.
            Some(b'%') => match unescape_at(data, at) {
                Some((b'&' | b'#' | b'"', _)) if level(data, at) <= encoded => return at,
                Some((_, width)) => at += width,
                None => at += 1,
            },
            // `password=it's`.
            Some(b'\'') if data.get(at + 1).is_some_and(|next| next.is_ascii_alphanumeric()) => at += 1,
            Some(b',' | b')' | b']' | b'}')
                if data.get(at + 1).is_some_and(|next| next.is_ascii_alphanumeric()) =>
            {
                at += 1
            }
            _ => return at,
        }
    }
}

/// `Bearer ` of `Authorization: Bearer …`.
pub(super) fn scheme_width(value: &[u8]) -> usize {
    let width = value
        .iter()
        .position(|byte| *byte == b' ')
        .map_or(0, |blank| blank + 1);
    let is_scheme = value.len() > width
        && [
            "basic",
            "bearer",
            "digest",
            "negotiate",
            "token",
            "apikey",
            "ntlm",
            "aws4-hmac-sha256",
        ]
        .iter()
        .any(|scheme| value[..width.saturating_sub(1)].eq_ignore_ascii_case(scheme.as_bytes()));
    if is_scheme { width } else { 0 }
}

/// Whether a text of several words reads as a sentence.
pub(super) fn is_sentence(text: &[u8]) -> bool {
    text.contains(&b' ') && text.split(|byte| *byte == b' ').any(is_function_word)
}

/// Words that make a text a sentence.
pub(super) fn is_function_word(word: &[u8]) -> bool {
    [
        "a", "an", "and", "are", "at", "be", "can", "enter", "for", "has", "have", "in", "is", "must", "not",
        "of", "on", "or", "please", "should", "that", "the", "this", "to", "too", "was", "we", "will",
        "with", "you", "your",
    ]
    .iter()
    .any(|function| word.eq_ignore_ascii_case(function.as_bytes()))
}
