//! What carries secrets in lines that come in pairs: `- name: DB_PASSWORD` with `value: …` beside it, as in YAML, TOML and
//! HCL, with quotes or without.

use super::around::is_function_word;
use super::json::{NAMING, VALUES};
use super::names::Verdict;
use super::syntax::{Quote, is_name, position};
use super::text::{Name, Scan};

/// Most lines before and after a name that are looked at.
const MAX_LINES: usize = 32;
/// Longest name, and longest line of which the key is looked at.
const MAX_NAME: usize = 64;
const MAX_LINE: usize = 4096;

/// A line of a mapping.
struct Entry {
    /// In which column its key stands.
    column: usize,
    /// Whether a `-` before it starts an item of a list.
    is_first: bool,
    key: (usize, usize),
    /// Where its value starts.
    value: usize,
}

impl Entry {
    /// Reads `- key: value` or `key = value`.
    fn read(data: &[u8], start: usize, end: usize) -> Option<Self> {
        let line = &data[..end];
        let mut at = position(line, start, |byte| byte != b' ');
        let mut is_first = false;
        while data.get(at..at + 2) == Some(b"- ") && at < end {
            is_first = true;
            at = position(line, at + 1, |byte| byte != b' ');
        }
        let quote = Quote::at(line, at).map_or(0, |quote| quote.width);
        let key_end = position(line, at + quote, |byte| !is_name(byte));
        let colon = position(line, (key_end + quote).min(end), |byte| byte != b' ');
        (key_end > at + quote && matches!(line.get(colon), Some(b':' | b'='))).then(|| Self {
            column: at - start,
            is_first,
            key: (at + quote, key_end),
            value: position(line, colon + 1, |byte| byte != b' ' && byte != b'\t'),
        })
    }
}

impl Scan<'_> {
    /// If the line at `start..end` gives a secret's name, takes out the value that lines beside it give.
    pub(super) fn pair(&mut self, start: usize, end: usize) {
        let data = self.data;
        let Some(entry) = Entry::read(data, start, end) else {
            return;
        };
        if !is_one(NAMING, &data[entry.key.0..entry.key.1]) || self.budget == 0 {
            return;
        }
        let (from, to) = content(data, entry.value, end);
        let text = &data[from..to];
        let verdict = self.lexicon.names.judge(text);
        // What ends in a comma is a line of a program.
        if verdict == Verdict::Harmless
            || text.ends_with(b",")
            // Where `=` stands between them, texts are in quotes.
            || (data[..entry.value].trim_ascii_end().ends_with(b"=") && Quote::at(data, entry.value).is_none())
            || text.len() > MAX_NAME
            || text.split(|byte| *byte == b' ').any(is_function_word)
        {
            return;
        }
        let name = Name {
            start: from,
            end: to,
            verdict,
        };
        let mut at = end + 1;
        for _ in 0..MAX_LINES {
            let Some(line) = line_from(data, at) else {
                break;
            };
            let blanks = position(&data[..line], at, |byte| byte != b' ');
            // The mapping ends; what is further in is below another key.
            if self.is_other(&entry, at, line) {
                break;
            }
            if blanks < line
                && (blanks - at < entry.column
                    || data[blanks..].starts_with(b"- ") && blanks - at == entry.column)
            {
                break;
            }
            self.value_of(name, &entry, at, line);
            at = line + 1;
        }
        let mut first = entry.is_first;
        let mut at = start;
        for _ in 0..MAX_LINES {
            let Some(end) = at.checked_sub(1).filter(|_| !first) else {
                break;
            };
            let floor = end.saturating_sub(MAX_LINE);
            at = memchr::memrchr(b'\n', &data[floor..end]).map_or(floor, |found| floor + found + 1);
            self.spend(end - at);
            let before = Entry::read(data, at, end);
            if position(data, at, |byte| byte != b' ') - at < entry.column.saturating_sub(2) {
                break;
            }
            if self.is_other(&entry, at, end) {
                break;
            }
            first = before.is_some_and(|before| before.is_first && before.column == entry.column);
            self.value_of(name, &entry, at, end);
        }
    }

    /// Whether the line at `start..end` begins another mapping: a section of TOML, or the same key again.
    fn is_other(&self, beside: &Entry, start: usize, end: usize) -> bool {
        let key = |entry: &Entry| &self.data[entry.key.0..entry.key.1];
        self.data[start..end].starts_with(b"[")
            || Entry::read(self.data, start, end)
                .is_some_and(|entry| entry.column == beside.column && key(&entry) == key(beside))
    }

    /// Takes out the value on the line at `start..end`, if it belongs to the same mapping as a name.
    fn value_of(&mut self, name: Name, beside: &Entry, start: usize, end: usize) {
        let data = self.data;
        self.spend(end - start + 1);
        let Some(entry) = Entry::read(data, start, end) else {
            return;
        };
        if entry.column != beside.column
            || !is_one(VALUES, &data[entry.key.0..entry.key.1])
            || entry.value >= end
            || (Quote::at(data, entry.value).is_none() && data[start..end].trim_ascii_end().ends_with(b","))
        {
            return;
        }
        if Quote::at(data, entry.value).is_some() {
            self.scalar(name, None, entry.value);
        } else if !b"{[&*!".contains(&data[entry.value]) {
            self.line(name, entry.value);
        }
    }
}

/// Where the line ends that starts at `at`; `None` if there is none, or a longer one.
fn line_from(data: &[u8], at: usize) -> Option<usize> {
    let rest = data.get(at..).filter(|rest| !rest.is_empty())?;
    let window = &rest[..rest.len().min(MAX_LINE)];
    match memchr::memchr(b'\n', window) {
        Some(found) => Some(at + found),
        None => (window.len() == rest.len()).then_some(data.len()),
    }
}

/// What a line has as value from `at` on, without quotes, a comment, and a comma at its end.
fn content(data: &[u8], at: usize, end: usize) -> (usize, usize) {
    if let Some(quote) = Quote::at(&data[..end], at) {
        let start = at + quote.width;
        return (start, quote.end(&data[..end], start).max(start));
    }
    let line = &data[at.min(end)..end];
    let comment = memchr::memmem::find(line, b" #").unwrap_or(line.len());
    (at, at + line[..comment].trim_ascii_end().len())
}

fn is_one(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}
