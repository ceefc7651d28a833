//! What carries secrets in files of lines: configurations, environments, YAML with its blocks.

use super::around::{is_sentence, scheme_width};
use super::names::Verdict;
use super::syntax::position;
use super::text::{Kind, Name, Scan};
use super::value::{Place, is_count};
use super::words::MAX_NAME;

impl Scan<'_> {
    /// The rest of a line, which is a value as a whole unless it is a sentence.
    pub(super) fn line(&mut self, name: Name, at: usize) -> Option<usize> {
        let data = self.data;
        if let Some(block) = self.block(name, at) {
            return Some(block);
        }
        // Within a string, at its end; a line's end may be escaped.
        let from = at.saturating_sub(MAX_NAME * 2);
        let line = memchr::memrchr(b'\n', &data[from..at]).map_or(from, |found| from + found);
        let is_string =
            self.kind != Kind::Plain || data[line..at].iter().any(|byte| b"\"'`\\".contains(byte));
        let stops: &[u8] = if is_string { b"\n\r\"\\`" } else { b"\n\r\\" };
        let mut end = at;
        loop {
            end = position(data, end, |byte| stops.contains(&byte));
            match data.get(end) {
                Some(b'\\')
                    if !matches!(data.get(end + 1), Some(b'n' | b'r' | b'"' | b'\\')) || !is_string =>
                {
                    end += 1
                }
                _ => break,
            }
        }
        let comment = memchr::memmem::find(&data[at..end], b" #").map_or(end, |found| at + found);
        let value = data[at..comment].trim_ascii_end();
        let end = at + value.len();
        let first = value
            .split(|byte| b" ,;".contains(byte))
            .next()
            .unwrap_or_default();
        if name.verdict == Verdict::Texts && is_count(first) {
            return None;
        }
        let scheme = scheme_width(value);
        let is_sentence = scheme == 0 && is_sentence(value);
        (!is_sentence && self.judged(name.verdict, name, at + scheme, end, Place::Data))
            .then(|| self.cut_named(name, at + scheme, end))
    }

    /// A block of YAML after `|` or `>`, or a list: the lines below that are further in.
    fn block(&mut self, name: Name, at: usize) -> Option<usize> {
        let data = self.data;
        let line_end = |from| position(data, from, |byte| byte == b'\n');
        let is_block = matches!(data.get(at), Some(b'|' | b'>'))
            && data[at + 1..line_end(at)]
                .trim_ascii()
                .iter()
                .all(|byte| b"+-123456789".contains(byte));
        if !is_block {
            return None;
        }
        let floor = at.saturating_sub(MAX_NAME * 2);
        let start = memchr::memrchr(b'\n', &data[floor..at]).map_or(floor, |found| floor + found + 1);
        let indent = |from: usize| position(data, from, |byte| byte != b' ') - from;
        let own = indent(start);
        let from = (line_end(at) + 1).min(data.len());
        let (mut end, mut next) = (from, from);
        while next < data.len() && (indent(next) > own || data[next..line_end(next)].trim_ascii().is_empty())
        {
            end = line_end(next);
            next = (end + 1).min(data.len());
        }
        let start = from + indent(from);
        self.spend(end - from);
        (end > start && self.judged(name.verdict, name, start, end, Place::Data))
            .then(|| self.cut_named(name, start, end))
    }

    pub(super) fn starts_line(&self, at: usize) -> bool {
        let line = &self.data[at.saturating_sub(MAX_NAME)..at];
        let start = memchr::memrchr2(b'\n', b'\r', line).map_or(0, |found| found + 1);
        let mut before = line[start..].trim_ascii();
        if start == 0 && before.len() == line.len() && !line.is_empty() && at > MAX_NAME {
            return false;
        }
        if let Some(escape) = before
            .len()
            .checked_sub(2)
            .filter(|escape| matches!(&before[*escape..], b"\\n" | b"\\r"))
        {
            before = &before[escape + 2..];
        }
        let is_start = |text: &[u8]| {
            matches!(
                text,
                b"" | b"-"
                    | b"export"
                    | b"set"
                    | b"#"
                    | b"//"
                    | b"\""
                    | b"'"
                    | b"data:"
                    | b"$"
                    | b"setenv"
                    | b"ENV"
            )
        };
        is_start(before)
            || before.ends_with(b"\"")
            || before.ends_with(b"'")
            // `spring.datasource.` is of the name already; a word or two before it is a label.
            || before.ends_with(b",") || before.ends_with(b";") || before.ends_with(b"|")
    }
}
