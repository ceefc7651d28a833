//! What carries secrets in HTML and XML: elements by their name, and attributes beside one that names a field.

use super::around::skip_index;
use super::names::Verdict;
use super::syntax::{Quote, byte_at, is_name, position, skip_blanks, unescape_at};
use super::text::{Name, Scan};
use super::value::{Place, is_field};

/// Attributes whose value is the name of a field.
const NAMING: &[&str] = &[
    "autocomplete",
    "data-field",
    "data-key",
    "data-name",
    "formcontrolname",
    "http-equiv",
    "id",
    "itemprop",
    "key",
    "name",
    "ng-model",
    "property",
    "type",
    "v-model",
];

/// Attributes whose value is what the field holds.
pub(super) const VALUES: &[&str] = &[
    "content",
    "data-content",
    "data-initial-value",
    "data-value",
    "default",
    "value",
];

/// Elements of HTML whose `name` is not the name of their text.
const CONTROLS: &[&str] = &[
    "a", "button", "fieldset", "form", "frame", "iframe", "input", "map", "meta", "object", "param",
    "select", "slot",
];

/// How far before an attribute its element may start.
const MAX_BEFORE: usize = 64 << 10;
/// Most parts of an element that are looked at.
const MAX_PARTS: usize = 1000;

/// An attribute: where its name and its value stand.
pub(super) struct Attribute {
    pub(super) name: (usize, usize),
    pub(super) value: (usize, usize),
}

impl Scan<'_> {
    /// Whether `<prefix:` stands before a name.
    pub(super) fn is_prefixed_element(&self, at: usize) -> bool {
        let prefix = self.data[at.saturating_sub(40)..at.saturating_sub(1)]
            .iter()
            .rev()
            .take_while(|byte| is_name(**byte))
            .count();
        prefix > 0 && at >= prefix + 2 && {
            let open = at - prefix - 2;
            self.data[open] == b'<' || (open >= 2 && is_mark_before(self.data, open + 1, b'<'))
        }
    }

    /// `<Password …>…`: its text and those of the elements in it.
    pub(super) fn element(&mut self, name: Name) -> Option<usize> {
        let data = self.data;
        let (attributes, at) = attributes(data, name.end);
        for attribute in attributes {
            let (start, end) = attribute.value;
            if is_one(VALUES, &data[attribute.name.0..attribute.name.1])
                && self.judged(name.verdict, name, start, end, Place::Data)
            {
                self.cut_named(name, start, end);
            }
        }
        let (close, width) = byte_at(data, at)?;
        if close != b'>' {
            return None;
        }
        self.texts(name, at + width, width > 1)
    }

    /// Takes out the texts of an element and of those in it, from the end of its tag on. Gives where it ends.
    fn texts(&mut self, name: Name, mut at: usize, is_escaped: bool) -> Option<usize> {
        let data = self.data;
        if at < self.elements.0 && name.verdict <= self.elements.1 {
            return None;
        }
        let mut is_cut = false;
        let from = at;
        let mut depth = 0_usize;
        for _ in 0..MAX_PARTS {
            let end = text_end(data, at, is_escaped);
            // `curl -u <user>:<password> https://…` is no element.
            let is_closed = byte_at(data, end).is_some_and(|(_, width)| (width > 1) == is_escaped);
            if at == from && !is_closed && data.get(at).is_some_and(u8::is_ascii_whitespace) {
                return None;
            }
            is_cut |= self.cut_text(name, at, end);
            at = end;
            let Some((_, width)) = byte_at(data, at) else {
                break;
            };
            let inside = &data[at + width..];
            if inside.starts_with(b"![CDATA[") {
                let start = at + width + b"![CDATA[".len();
                let end =
                    memchr::memmem::find(&data[start..], b"]]>").map_or(data.len(), |found| start + found);
                is_cut |= self.cut_text(name, start, end);
                at = (end + b"]]>".len()).min(data.len());
            } else if inside.starts_with(b"/") || inside.starts_with(b"\\/") {
                if depth == 0 {
                    break;
                }
                depth -= 1;
                at += width;
                at = position(data, at, |byte| matches!(byte, b'>' | b';' | b'<')).min(data.len());
                at += usize::from(at < data.len() && data[at] != b'<');
            } else if inside.first().is_some_and(|first| is_name(*first)) && name.verdict >= Verdict::Secret {
                let (_, end) = self::attributes(data, at + width);
                depth += usize::from(data.get(end.saturating_sub(1)) != Some(&b'/'));
                at = byte_at(data, end).map_or(end, |(_, width)| end + width);
            } else {
                break;
            }
        }
        self.spend(at - from);
        // Those within it have no other texts.
        if !is_cut && name.verdict >= Verdict::Secret {
            self.elements = (at, name.verdict);
        }
        is_cut.then_some(at)
    }

    fn cut_text(&mut self, name: Name, start: usize, end: usize) -> bool {
        let text = &self.data[start..end];
        let start = start + (text.len() - text.trim_ascii_start().len());
        let end = start + text.trim_ascii().len();
        let is_cut = self.judged(name.verdict, name, start, end, Place::Data);
        if is_cut {
            self.cut_named(name, start, end);
        }
        is_cut
    }

    /// `name="csrf-token"`: takes out what the element has as `content`, `value`, or as its text. The `=` is at `equals`.
    pub(super) fn attribute_pair(&mut self, name: Name, equals: usize, close: usize) -> Option<usize> {
        let data = self.data;
        let naming = data[equals.saturating_sub(64)..equals].trim_ascii_end();
        let start = naming.iter().rposition(|byte| !is_name(*byte));
        let naming = &naming[start.map_or(0, |before| before + 1)..];
        if !is_one(NAMING, naming) {
            return None;
        }
        let floor = equals.saturating_sub(MAX_BEFORE.min(self.budget));
        let plain = || {
            let open = data[floor..equals].iter().rposition(|byte| *byte == b'<');
            open.map(|open| (floor + open, 1))
        };
        let escaped = || escaped_open(data, floor, equals);
        // What an attribute of another element has in it, as `srcdoc` does, has escapes as quotes.
        let open = match data.get(close.saturating_sub(1)) {
            Some(b';') => escaped().or_else(plain),
            _ => plain().or_else(escaped),
        };
        let Some((open, width)) = open else {
            self.spend(equals - floor);
            return None;
        };
        let element_end = position(data, open + width, |byte| !is_name(byte));
        let (attributes, end) = attributes(data, element_end);
        self.spend(end - open + 1);
        let mut has_value = false;
        let is_header = naming.eq_ignore_ascii_case(b"http-equiv");
        for attribute in attributes {
            let (start, end) = match attribute.value {
                value if is_header => cookie_value(data, value),
                value => value,
            };
            if is_one(VALUES, &data[attribute.name.0..attribute.name.1]) {
                has_value = true;
                if self.judged(name.verdict, name, start, end, Place::Parameter)
                    // `<meta name="csrf-param" content="authenticity_token">`.
                    && !is_field(&data[start..end], self.lexicon.names)
                    && !is_type_of_button(data, name)
                {
                    self.cut_named(name, start, end);
                }
            }
        }
        let is_text = is_one(&["name", "key"], naming) && !is_one(CONTROLS, &data[open + width..element_end]);
        if !has_value
            && is_text
            && let Some((b'>', width)) = byte_at(data, end)
            && data[end - 1] != b'/'
        {
            let start = end + width;
            if is_value_element(data, start) {
                self.texts(name, start, width > 1);
            } else {
                self.cut_text(name, start, text_end(data, start, width > 1));
            }
        }
        Some(close)
    }

    /// `<key>password</key><string>…</string>`: a name as the text of an element before the one with the value.
    pub(super) fn text_pair(&mut self, name: Name) -> Option<usize> {
        let data = self.data;
        let from = skip_index(data, name.end);
        let rest = &data[from..data.len().min(from + 64)];
        let named = rest
            .strip_prefix(b"</name>")
            .or_else(|| rest.strip_prefix(b"</key>"))?;
        let mut at = skip_blanks(data, from + rest.len() - named.len());
        // `<value><string>`.
        for _ in 0..2 {
            let next = data.get(at..at + 2)?;
            if next[0] != b'<' || next[1] == b'/' {
                break;
            }
            at = skip_blanks(
                data,
                (position(data, at, |byte| byte == b'>') + 1).min(data.len()),
            );
        }
        let end = text_end(data, at, false);
        self.cut_text(name, at, end).then_some(end)
    }
}

/// The value of a cookie that an attribute at `start..end` sets: its name and what follows the value stay, as in a header.
fn cookie_value(data: &[u8], (start, end): (usize, usize)) -> (usize, usize) {
    let equals = memchr::memchr(b'=', &data[start..end]);
    let start = equals.map_or(start, |equals| start + equals + 1);
    let mut at = start;
    while at < end && data[at] != b';' {
        at += unescape_at(data, at).map_or(1, |(_, width)| width);
    }
    (start, at.min(end))
}

/// Whether an element such as `<saml:AttributeValue>` or `<value>` comes next, after blanks.
fn is_value_element(data: &[u8], at: usize) -> bool {
    let at = skip_blanks(data, at);
    let Some((b'<', width)) = byte_at(data, at) else {
        return false;
    };
    let start = at + width;
    let end = position(data, start, |byte| !(is_name(byte) || byte == b':'));
    let name = data[start..end].to_ascii_lowercase();
    name.ends_with(b"value") || name.ends_with(b"string")
}

/// Whether an escape of `mark` ends at `at`.
pub(super) fn is_mark_before(data: &[u8], at: usize, mark: u8) -> bool {
    (3..=10).any(|width| {
        at.checked_sub(width)
            .is_some_and(|start| unescape_at(data, start) == Some((mark, width)))
    })
}

/// The last `<` that is written as an escape.
fn escaped_open(data: &[u8], floor: usize, end: usize) -> Option<(usize, usize)> {
    let floor = floor.max(end.saturating_sub(2048));
    (floor..end)
        .rev()
        .filter(|at| matches!(data[*at], b'\\' | b'&' | b'%'))
        .find_map(|at| {
            unescape_at(data, at)
                .filter(|(byte, _)| *byte == b'<')
                .map(|(_, width)| (at, width))
        })
}

/// `type="password"` beside `value="Sign in"` does not occur, but `name="key"` of a button does.
fn is_type_of_button(data: &[u8], name: Name) -> bool {
    data[name.start..name.end].eq_ignore_ascii_case(b"passkey")
}

/// The attributes from `at` on, and where they end: at `>`, at `<` or at the end.
pub(super) fn attributes(data: &[u8], mut at: usize) -> (Vec<Attribute>, usize) {
    let mut attributes = Vec::new();
    loop {
        at = skip_blanks(data, at);
        let Some((byte, width)) = byte_at(data, at) else {
            return (attributes, data.len());
        };
        match byte {
            b'>' | b'<' => return (attributes, at),
            byte if is_name(byte) || byte == b':' || byte == b'@' => {
                let end = position(data, at, |byte| !(is_name(byte) || byte == b':' || byte == b'@'));
                let name = (at, end.max(at + width));
                at = name.1;
                let equals = skip_blanks(data, at);
                if data.get(equals) != Some(&b'=') {
                    continue;
                }
                let value = skip_blanks(data, equals + 1);
                let (start, end, next) = match Quote::at(data, value) {
                    Some(quote) => {
                        let start = value + quote.width;
                        let end = quote.end(data, start);
                        (start, end, (end + quote.width).min(data.len()))
                    }
                    None => {
                        let end = position(data, value, |byte| {
                            byte.is_ascii_whitespace() || b"><\"".contains(&byte)
                        });
                        (value, end, end)
                    }
                };
                attributes.push(Attribute {
                    name,
                    value: (start, end),
                });
                at = next;
            }
            _ => at += width,
        }
    }
}

/// Where a text ends: at the next `<`, written as an escape if the element before it was.
pub(super) fn text_end(data: &[u8], mut at: usize, is_escaped: bool) -> usize {
    loop {
        at = position(data, at, |byte| {
            byte == b'<' || (is_escaped && matches!(byte, b'&' | b'\\' | b'%'))
        });
        match unescape_at(data, at) {
            Some((b'<', _)) => return at,
            Some((_, width)) => at += width,
            None if data.get(at).is_none_or(|byte| *byte == b'<') => return at,
            None => at += 1,
        }
    }
}

fn is_one(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}
