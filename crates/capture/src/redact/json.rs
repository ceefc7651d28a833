//! What carries secrets in objects and lists: everything below a secret key, and pairs such as
//! `{"name": "password", "value": "…"}`.

use super::names::Verdict;
use super::syntax::{Quote, is_name, position, skip_blanks};
use super::text::{Name, Scan};
use super::value::{Place, is_random};

/// Keys whose value is the name of something.
pub(super) const NAMING: &[&str] = &[
    "attribute",
    "field",
    "fieldname",
    "header",
    "id",
    "k",
    "key",
    "label",
    "name",
    "param",
    "parameter",
    "property",
    "type",
];

/// Keys whose value is what has that name.
pub(super) const VALUES: &[&str] = &[
    "content",
    "contents",
    "data",
    "initialvalue",
    "rawvalue",
    "secret",
    "stringvalue",
    "text",
    "v",
    "val",
    "value",
    "values",
];

/// Most members of an object that are looked at for a pair.
const MAX_MEMBERS: usize = 32;
/// How far before a name its object may start.
const MAX_BEFORE: usize = 4096;

impl Scan<'_> {
    /// Takes out the values in an object or list that stands under a secret name. What is no data but a program, or
    /// describes a field, stays. Gives where it ends.
    pub(super) fn below(&mut self, name: Name, at: usize) -> Option<usize> {
        let (values, end) = self.values_below(at);
        self.spend(end - at);
        let values = values?;
        for (start, end) in values {
            let verdict = match name.verdict {
                Verdict::Texts => Verdict::Texts,
                Verdict::Added => Verdict::Added,
                _ => Verdict::Secret,
            };
            if self.judged(verdict, name, start, end, Place::Parameter) {
                self.cut_named(name, start, end);
            }
        }
        Some(end)
    }

    /// The strings and numbers in an object or list, or nothing if it has other things in it; and where it ends.
    fn values_below(&self, at: usize) -> (Option<Vec<(usize, usize)>>, usize) {
        let data = self.data;
        let mut values = Vec::new();
        let mut depth = 0_usize;
        let mut at = at;
        let limit = data.len().min(at.saturating_add(self.budget));
        while at < limit {
            at = skip_blanks(data, at);
            if let Some(quote) = Quote::at(data, at) {
                let start = at + quote.width;
                let end = quote.end(data, start);
                // What closes is no longer than what opened.
                let close = (end + quote.width).min(data.len());
                let is_closed = Quote::at(data, end).is_some_and(|other| quote.closes(other));
                if !is_closed {
                    values.push((start, end));
                    return (Some(values), end);
                }
                let after = skip_blanks(data, close);
                if data.get(after) == Some(&b':') {
                    // `{"type": "string", …}` describes a field.
                    if depth == 1 && &data[start..end] == b"type" && self.is_schema(after + 1) {
                        return (None, after);
                    }
                    at = after + 1;
                } else {
                    values.push((start, end));
                    at = close;
                }
                continue;
            }
            match data.get(at) {
                None => break,
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return (Some(values), at + 1);
                    }
                }
                Some(b',' | b':') => {}
                Some(b'0'..=b'9' | b'-') => {
                    let end = position(data, at, |byte| {
                        !(byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                    });
                    values.push((at, end));
                    at = end;
                    continue;
                }
                Some(byte) if is_name(*byte) => {
                    let end = position(data, at, |byte| !is_name(byte));
                    let is_key = data.get(skip_blanks(data, end)) == Some(&b':');
                    if !is_key && !matches!(&data[at..end], b"true" | b"false" | b"null" | b"undefined") {
                        return (None, end);
                    }
                    at = end;
                    continue;
                }
                // The string around it ends: it was cut.
                Some(b'"' | b'\\' | b'\'') => return (Some(values), at),
                Some(_) => return (None, at),
            }
            at += 1;
        }
        (Some(values), at.min(data.len()))
    }

    fn is_schema(&self, at: usize) -> bool {
        let at = skip_blanks(self.data, at);
        let Some(quote) = Quote::at(self.data, at) else {
            return false;
        };
        let start = at + quote.width;
        let end = quote.end(self.data, start);
        matches!(
            &self.data[start..end],
            b"apiKey"
                | b"http"
                | b"oauth2"
                | b"openIdConnect"
                | b"string"
                | b"integer"
                | b"number"
                | b"boolean"
                | b"object"
                | b"array"
                | b"password"
                | b"text"
        )
    }

    /// A quoted name that is no key, standing at `open..close`: the name of a member, an attribute or an argument.
    pub(super) fn sibling(&mut self, name: Name, open: usize, close: usize) -> Option<usize> {
        if self.budget == 0 {
            return None;
        }
        let data = self.data;
        let before = data[open.saturating_sub(64)..open].trim_ascii_end();
        let before = open - open.min(64) + before.len();
        match before.checked_sub(1).map(|last| data[last]) {
            Some(b'=') => self.attribute_pair(name, before - 1, close),
            Some(b':') => self.member_pair(name, before - 1, close),
            _ => None,
        }
    }

    /// `"name": "password"`; the colon is at `colon`. Takes out what the same object has under `value`.
    fn member_pair(&mut self, name: Name, colon: usize, close: usize) -> Option<usize> {
        let data = self.data;
        let floor = colon.saturating_sub(64);
        let end = floor + data[floor..colon].trim_ascii_end().len();
        let (end, quote) = match Quote::before(data, end, floor) {
            Some(quote) => (end - quote.width, quote.width),
            None => (end, 0),
        };
        let start = (floor..end)
            .rev()
            .find(|at| !is_name(data[*at]))
            .map_or(floor, |at| at + 1);
        if !is_one(NAMING, &data[start..end]) {
            return None;
        }
        let from = start.saturating_sub(quote);
        let first = self.object_start(from).unwrap_or(from);
        let (pairs, last) = self.members(first);
        self.spend(last - first);
        // If what was taken for the object's start is none, what follows is looked at nevertheless.
        let (pairs, last) = if last >= close || first == from {
            (pairs, last)
        } else {
            self.members(from)
        };
        self.spend(last.saturating_sub(from));
        for value in pairs {
            let value_name = Name {
                verdict: if name.verdict == Verdict::Look && !is_random(&data[name.start..name.end]) {
                    Verdict::Look
                } else {
                    name.verdict
                },
                ..name
            };
            self.member(value_name, value);
        }
        Some(close)
    }

    fn member(&mut self, name: Name, at: usize) {
        // The quote of `"value"`, by which a number becomes a string, stands before the colon.
        let colon = self.data[at.saturating_sub(16)..at]
            .iter()
            .rposition(|byte| *byte == b':');
        let key_end = colon.map_or(at, |colon| {
            let colon = at - at.min(16) + colon;
            colon - (colon - self.data[..colon].trim_ascii_end().len())
        });
        let quote = Quote::before(self.data, key_end, key_end.saturating_sub(16));
        self.scalar(name, quote.map(|quote| (quote, key_end)), at);
    }

    /// The brace before `at` that opens the object in which `at` is.
    fn object_start(&mut self, at: usize) -> Option<usize> {
        let floor = at.saturating_sub(MAX_BEFORE);
        let mut depth = 0_usize;
        for index in (floor..at).rev() {
            match self.data[index] {
                b'}' => depth += 1,
                b'{' if depth == 0 => {
                    self.spend(at - index);
                    return Some(index + 1);
                }
                b'{' => depth -= 1,
                _ => {}
            }
        }
        self.spend(at - floor);
        None
    }

    /// Where the values under [`VALUES`] start in an object whose first member is at `at`, and where it ends.
    fn members(&self, mut at: usize) -> (Vec<usize>, usize) {
        let data = self.data;
        let mut values = Vec::new();
        for _ in 0..MAX_MEMBERS {
            at = skip_blanks(data, at);
            if data.get(at) == Some(&b',') {
                at = skip_blanks(data, at + 1);
            }
            let (start, end, after) = match Quote::at(data, at) {
                Some(quote) => {
                    let start = at + quote.width;
                    let end = quote.end(data, start);
                    (start, end, (end + quote.width).min(data.len()))
                }
                None => {
                    let end = position(data, at, |byte| !is_name(byte));
                    (at, end, end)
                }
            };
            let colon = skip_blanks(data, after);
            if data.get(colon) != Some(&b':') {
                break;
            }
            at = skip_blanks(data, colon + 1);
            if is_one(VALUES, &data[start..end]) {
                values.push(at);
            }
            let next = self.value_end(at);
            if next == at {
                break;
            }
            at = next;
        }
        (values, at)
    }

    fn value_end(&self, at: usize) -> usize {
        let data = self.data;
        if let Some(quote) = Quote::at(data, at) {
            let end = quote.end(data, at + quote.width);
            return (end + quote.width).min(data.len());
        }
        match data.get(at) {
            Some(b'{' | b'[') => self.values_below(at).1,
            _ => position(data, at, |byte| b",}]\"\\".contains(&byte)),
        }
    }

    /// Counts what was looked at besides the one pass over the text.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.budget = self.budget.saturating_sub(bytes);
    }
}

fn is_one(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}
