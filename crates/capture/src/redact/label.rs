//! What carries secrets on pages that people read: a label with its value beside it, in the cells of a table, a list of
//! definitions, or a text after `<b>Password:</b>`; and the columns of a table below their headings.

use super::around::{is_function_word, is_sentence};
use super::markup::{Attribute, VALUES, attributes, is_mark_before, text_end};
use super::names::Verdict;
use super::prose::is_remark;
use super::syntax::{byte_at, is_name, position, skip_blanks};
use super::text::{Name, Scan};
use super::value::Place;

/// Longest label.
const MAX_LABEL: usize = 48;
/// How far before a heading its row may start.
const MAX_BEFORE: usize = 8192;
/// Most tags between a label and its value, and most parts of a cell.
const MAX_TAGS: usize = 6;
const MAX_PARTS: usize = 64;
/// Most headings of a table.
const MAX_CELLS: usize = 256;

/// Elements in which a value stands that are no more than its look.
const LOOKS: &[&str] = &[
    "b", "bdi", "br", "code", "div", "em", "font", "i", "kbd", "mark", "p", "pre", "samp", "small", "span",
    "strong", "tt", "u", "var",
];

/// Elements whose text says what can be done.
const ACTIONS: &[&str] = &["a", "button", "label", "option", "script", "select", "style"];

/// Elements at which a cell ends.
const ENDS: &[&str] = &[
    "dd", "dl", "dt", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
];

/// Types of `<input>` whose value is no text.
const BUTTONS: &[&str] = &[
    "button", "checkbox", "hidden", "image", "radio", "reset", "submit",
];

/// A tag: where its name stands and where it ends.
struct Tag {
    name: (usize, usize),
    is_close: bool,
    attributes: Vec<Attribute>,
    end: usize,
}

impl Tag {
    /// The tag at `at`; its marks may be escaped.
    fn at(data: &[u8], at: usize) -> Option<Self> {
        let (b'<', width) = byte_at(data, at)? else {
            return None;
        };
        let mut start = at + width;
        let slash = byte_at(data, start).filter(|(byte, _)| *byte == b'/');
        start += slash.map_or(0, |(_, width)| width);
        let stop = position(data, start, |byte| !byte.is_ascii_alphanumeric());
        let (attributes, close) = attributes(data, stop);
        let (byte, width) = byte_at(data, close)?;
        (stop > start && byte == b'>').then_some(Self {
            name: (start, stop),
            is_close: slash.is_some(),
            attributes,
            end: close + width,
        })
    }

    fn is_one(&self, data: &[u8], names: &[&str]) -> bool {
        is_one(names, &data[self.name.0..self.name.1])
    }
}

impl Scan<'_> {
    /// A name at `start..end` as part of a label that is the whole text of an element. Gives where the label ends, if its
    /// value was looked at.
    pub(super) fn label(&mut self, start: usize, end: usize) -> Option<usize> {
        let data = self.data;
        let (start, end) = label_range(data, start, end)?;
        let has_colon = data.get(end) == Some(&b':');
        let mut at = text_blanks(data, end + usize::from(has_colon));
        let is_escaped = byte_at(data, at).is_some_and(|(byte, width)| byte == b'<' && width > 1);
        let verdict = self.lexicon.names.judge(&data[start..end]);
        let mut words = data[start..end].split(|byte| byte.is_ascii_whitespace());
        if verdict == Verdict::Harmless
            || self.budget == 0
            || words.any(|word| is_function_word(word) && !word.eq_ignore_ascii_case(b"your"))
        {
            return None;
        }
        let name = Name { start, end, verdict };
        let from = at;
        let mut cell = None;
        // `<p>Password: <b>…`.
        if has_colon && Tag::at(data, at).is_some_and(|tag| !tag.is_close) {
            return self.beside(name, at, has_colon);
        }
        for _ in 0..MAX_TAGS {
            let tag = Tag::at(data, at).filter(|tag| tag.is_close)?;
            at = tag.end;
            if tag.is_one(data, &["dt", "td", "th"]) {
                cell = Some(tag);
                break;
            }
            let next = text_blanks(data, at);
            if byte_at(data, next).is_none_or(|(byte, _)| byte != b'<')
                || Tag::at(data, next).is_some_and(|tag| !tag.is_close)
            {
                break;
            }
            at = next;
        }
        match cell {
            Some(cell) => {
                let of = |names: &[&str]| cell.is_one(data, names);
                let next = text_blanks(data, at);
                let tag = Tag::at(data, next);
                let opens = |names: &[&str]| {
                    tag.as_ref()
                        .is_some_and(|tag| !tag.is_close && tag.is_one(data, names))
                };
                if (of(&["dt"]) && opens(&["dd"])) || (!of(&["dt"]) && opens(&["td"])) {
                    let from = tag.map_or(next, |tag| tag.end);
                    let end = self.cell(name, from, is_escaped, true);
                    self.spend(end - from);
                } else if of(&["th"]) {
                    self.headings(start, is_escaped);
                }
            }
            None => return self.beside(name, at, has_colon),
        }
        self.spend(at - from);
        Some(end)
    }

    /// The value after `<b>Password:</b>` or `<b>Password</b>:`, in whichever look.
    fn beside(&mut self, name: Name, at: usize, has_colon: bool) -> Option<usize> {
        let data = self.data;
        let mut at = text_blanks(data, at);
        if data.get(at) == Some(&b':') {
            at = text_blanks(data, at + 1);
        } else if !has_colon {
            return None;
        }
        for _ in 0..MAX_TAGS {
            match Tag::at(data, at) {
                Some(tag) if tag.is_one(data, LOOKS) => at = text_blanks(data, tag.end),
                Some(_) => return None,
                None => break,
            }
        }
        self.told(name, at)
    }

    /// Takes out the texts and inputs of a cell from `from` on. Gives where it ends. A cell beside a label may be one of
    /// several that describe what the label is of.
    fn cell(&mut self, name: Name, from: usize, is_escaped: bool, is_beside: bool) -> usize {
        let data = self.data;
        let mut at = from;
        let mut action: Option<(usize, usize)> = None;
        let mut texts = Vec::new();
        for _ in 0..MAX_PARTS {
            let end = text_end(data, at, is_escaped);
            texts.push((at, end, action.is_some()));
            at = end;
            let Some(tag) = Tag::at(data, at).filter(|tag| !tag.is_one(data, ENDS)) else {
                break;
            };
            at = tag.end;
            match action {
                Some((start, end)) => {
                    let is_same = data[tag.name.0..tag.name.1].eq_ignore_ascii_case(&data[start..end]);
                    action = action.filter(|_| !(tag.is_close && is_same));
                }
                None if !tag.is_close && tag.is_one(data, ACTIONS) => action = Some(tag.name),
                None if tag.is_one(data, &["input"]) => self.input(name, &tag.attributes),
                None => {}
            }
        }
        let describes = is_beside && self.is_before_more(at);
        // A sentence is about the secret, and so is what is said beside it.
        let verdict = match texts
            .iter()
            .any(|(start, end, _)| is_sentence(&data[*start..*end]))
        {
            true => Verdict::Look,
            false => name.verdict,
        };
        for (start, end, is_action) in texts {
            self.cell_text(Name { verdict, ..name }, start, end, is_action || describes);
        }
        at
    }

    /// Whether another cell of the row follows on the one that ends at `at`.
    fn is_before_more(&self, at: usize) -> bool {
        let data = self.data;
        let next = |at: usize| Tag::at(data, text_blanks(data, at));
        next(at)
            .filter(|tag| tag.is_close && tag.is_one(data, &["td"]))
            .and_then(|tag| next(tag.end))
            .is_some_and(|tag| !tag.is_close && tag.is_one(data, &["td", "th"]))
    }

    /// Takes out a text of a cell, unless it is about the secret: a sentence, a remark, or a word where `is_about` says that
    /// one is to be expected.
    fn cell_text(&mut self, name: Name, start: usize, end: usize, is_about: bool) {
        let data = self.data;
        let start = text_blanks(data, start).min(end);
        let mut text = data[start..end].trim_ascii();
        while let Some(rest) = text.strip_suffix(b"&nbsp;") {
            text = rest.trim_ascii();
        }
        let end = start + text.len();
        let is_word = || {
            text.iter()
                .all(|byte| byte.is_ascii_alphabetic() || b" -.,:?!".contains(byte))
        };
        if !(is_about && is_word()) && self.is_value(name, start, end) {
            self.cut_named(name, start, end);
        }
    }

    fn input(&mut self, name: Name, attributes: &[Attribute]) {
        let data = self.data;
        let is =
            |attribute: &Attribute, names: &[&str]| is_one(names, &data[attribute.name.0..attribute.name.1]);
        let is_button = attributes.iter().any(|attribute| {
            is(attribute, &["type"]) && is_one(BUTTONS, &data[attribute.value.0..attribute.value.1])
        });
        for attribute in attributes
            .iter()
            .filter(|attribute| !is_button && is(attribute, VALUES))
        {
            let (start, end) = attribute.value;
            if self.is_value(name, start, end) {
                self.cut_named(name, start, end);
            }
        }
    }

    /// Takes out the columns of a table below headings of secrets; one of them is at `at`. All of a row are judged at once.
    fn headings(&mut self, at: usize, is_escaped: bool) {
        let data = self.data;
        if at < self.headings_end {
            return;
        }
        let floor = at.saturating_sub(MAX_BEFORE);
        let is_row = |at: usize| {
            byte_at(data, at).is_some_and(|(byte, width)| {
                byte == b'<'
                    && data
                        .get(at + width..at + width + 2)
                        .is_some_and(|name| name.eq_ignore_ascii_case(b"tr"))
            })
        };
        self.spend(at - floor);
        let Some(row) = (floor..at)
            .rev()
            .find(|at| matches!(data[*at], b'<' | b'&' | b'\\' | b'%') && is_row(*at))
        else {
            return;
        };
        let mut secret = Vec::new();
        let mut count = 0;
        let mut next = Tag::at(data, row).map_or(row, |tag| tag.end);
        while count < MAX_CELLS {
            next = text_end(data, next, is_escaped);
            let Some(tag) = Tag::at(data, next).filter(|tag| !tag.is_one(data, &["tr", "table", "td"]))
            else {
                break;
            };
            next = tag.end;
            if tag.is_close || !tag.is_one(data, &["th"]) {
                continue;
            }
            let mut start = text_blanks(data, next);
            while let Some(look) = Tag::at(data, start).filter(|tag| !tag.is_close && tag.is_one(data, LOOKS))
            {
                start = text_blanks(data, look.end);
            }
            let end = text_end(data, start, is_escaped);
            let end = start + data[start..end].trim_ascii_end().len();
            let verdict = self.lexicon.names.judge(&data[start..end]);
            if verdict != Verdict::Harmless && end - start <= MAX_LABEL {
                secret.push((count, Name { start, end, verdict }));
            }
            count += 1;
        }
        self.headings_end = next.max(at);
        if count > 1 && !secret.is_empty() {
            self.below_headings(&secret, next, is_escaped);
        }
    }

    fn below_headings(&mut self, secret: &[(usize, Name)], from: usize, is_escaped: bool) {
        let data = self.data;
        let mut column = 0;
        let mut at = from;
        while self.budget > 0 {
            let start = at;
            at = text_end(data, at, is_escaped);
            let Some(tag) = Tag::at(data, at) else {
                if at >= data.len() {
                    break;
                }
                at += 1;
                continue;
            };
            if tag.is_one(data, &["table"]) {
                break;
            }
            at = tag.end;
            if !tag.is_close && tag.is_one(data, &["tr"]) {
                column = 0;
            } else if !tag.is_close && tag.is_one(data, &["td", "th"]) {
                if let Some((_, name)) = secret.iter().find(|(index, _)| *index == column) {
                    at = self.cell(*name, at, is_escaped, false);
                }
                column += 1;
            }
            self.spend(at - start);
        }
    }

    /// Whether a text in a cell is a secret, and not about one.
    pub(super) fn is_value(&self, name: Name, start: usize, end: usize) -> bool {
        let text = &self.data[start..end];
        text.len() > 1
            && String::from_utf8_lossy(text).contains(char::is_alphanumeric)
            && !is_sentence(text)
            && !is_remark(text)
            && self.judged(name.verdict, name, start, end, Place::Data)
    }
}

/// The label around `start..end`, if it fills the text of an element but for a colon.
fn label_range(data: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let is_label = |byte: u8| is_name(byte) || byte.is_ascii_whitespace() || b"'/()".contains(&byte);
    let floor = start.saturating_sub(MAX_LABEL);
    let mut from = start;
    while from > floor && is_label(data[from - 1]) {
        from -= 1;
    }
    let before = *data.get(from.checked_sub(1)?)?;
    // The letters of an escaped `>` are letters of a name.
    from += match before {
        b'\\'
            if data[from..]
                .get(..5)
                .is_some_and(|escape| escape.eq_ignore_ascii_case(b"u003e")) =>
        {
            5
        }
        b'%' if data[from..]
            .get(..2)
            .is_some_and(|escape| escape.eq_ignore_ascii_case(b"3e")) =>
        {
            2
        }
        b'>' => 0,
        b';' if is_mark_before(data, from, b'>') => 0,
        _ => return None,
    };
    if from > start {
        return None;
    }
    let ceiling = data.len().min(end + MAX_LABEL);
    let to = position(&data[..ceiling], end, |byte| !is_label(byte));
    let text = data[from..to].trim_ascii();
    let from = from + (data[from..to].len() - data[from..to].trim_ascii_start().len());
    let to = from + text.len();
    let mark = text_blanks(data, to + usize::from(data.get(to) == Some(&b':')));
    (to - from <= MAX_LABEL && byte_at(data, mark).is_some_and(|(byte, _)| byte == b'<'))
        .then_some((from, to))
}

/// After blanks of a page, from `at` on.
fn text_blanks(data: &[u8], mut at: usize) -> usize {
    loop {
        at = skip_blanks(data, at);
        match data.get(at..).unwrap_or_default() {
            rest if rest.starts_with(b"&nbsp;") => at += 6,
            rest if rest.starts_with(b"\xc2\xa0") => at += 2,
            rest if rest.starts_with(b"&#160;") => at += 6,
            _ => return at.min(data.len()),
        }
    }
}

fn is_one(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}
