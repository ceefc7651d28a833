//! What carries secrets in tables as text: the columns below a first line that names them. Values between commas, tabs or
//! semicolons (RFC 4180 and its kin), and the tables of Markdown and of databases' shells.

use super::around::is_function_word;
use super::names::Verdict;
use super::syntax::{is_name, position};
use super::text::{Name, Scan};

/// What stands between the cells of a row.
const MARKS: [u8; 4] = *b"\t,;|";
/// Longest line of headings, and longest heading.
const MAX_LINE: usize = 8192;
const MAX_HEADING: usize = 64;

/// Words with which lines of programs start that have commas as tables do.
const STATEMENTS: &[&str] = &[
    "const", "def", "export", "from", "global", "import", "insert", "let", "return", "select", "use",
    "using", "var",
];

impl Scan<'_> {
    /// If the line at `start..end` has the headings of a table, takes out the columns of secrets.
    pub(super) fn columns(&mut self, start: usize, end: usize) {
        let data = self.data;
        if end - start > MAX_LINE || !is_first(data, start) {
            return;
        }
        let line = &data[start..end];
        let count = |mark: &u8| memchr::memchr_iter(*mark, line).count();
        let Some(mark) = MARKS.into_iter().max_by_key(count).filter(|mark| count(mark) > 0) else {
            return;
        };
        let start = start + if line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let (headings, mut at) = row(data, start, mark);
        let Some(secret) = self.secret(&headings, mark) else {
            return;
        };
        let from = at;
        while at < data.len() && self.budget > 0 {
            let line = &data[at..position(data, at, |byte| byte == b'\n')];
            // What Markdown and databases draw below headings.
            if line.len() > 1 && line.iter().all(|byte| b"-+|:= \r".contains(byte)) {
                at = (at + line.len() + 1).min(data.len());
                continue;
            }
            let (cells, next) = row(data, at, mark);
            if cells.len() != headings.len() {
                break;
            }
            for (column, name) in &secret {
                let (start, end) = cells[*column];
                if self.is_value(*name, start, end) {
                    self.cut_named(*name, start, end);
                }
            }
            self.spend(next - at);
            at = next;
        }
        self.spend(at - from);
    }

    /// The headings that name secrets, with their columns; nothing if it is no line of headings.
    fn secret(&self, headings: &[(usize, usize)], mark: u8) -> Option<Vec<(usize, Name)>> {
        let data = self.data;
        let text = |(start, end): &(usize, usize)| &data[*start..*end];
        let is_label = |cell: &(usize, usize)| {
            let text = text(cell);
            text.len() <= MAX_HEADING
                && (!text.is_empty() || mark == b'|')
                && text
                    .iter()
                    .all(|byte| is_name(*byte) || b" /#()&%?*".contains(byte))
        };
        let first = headings.iter().map(text).find(|text| !text.is_empty())?;
        let word = first.split(|byte| *byte == b' ').next()?;
        let is_statement = STATEMENTS
            .iter()
            .any(|one| one.as_bytes().eq_ignore_ascii_case(word));
        if headings.len() < 2 || is_statement || !headings.iter().all(is_label) {
            return None;
        }
        let secret = headings.iter().enumerate().filter_map(|(column, &(start, end))| {
            let text = &data[start..end];
            let verdict = self.lexicon.names.judge(text);
            let is_said = text.split(|byte| *byte == b' ').any(is_function_word);
            (verdict != Verdict::Harmless && !is_said).then_some((column, Name { start, end, verdict }))
        });
        let secret: Vec<_> = secret.collect();
        (!secret.is_empty()).then_some(secret)
    }
}

/// Whether a line that starts at `start` may have headings: the first one, one after an empty one, after a drawn line, or
/// after the `sep=;` of spreadsheets.
fn is_first(data: &[u8], start: usize) -> bool {
    let Some(end) = start.checked_sub(1) else {
        return true;
    };
    let floor = end.saturating_sub(256);
    let from = memchr::memrchr(b'\n', &data[floor..end]).map_or(floor, |found| floor + found + 1);
    let line = data[from..end].trim_ascii();
    line.iter().all(|byte| b"-+=".contains(byte)) || (line.len() <= 8 && line.starts_with(b"sep="))
}

/// The cells of the row at `at`, without blanks and quotes around them, and where the next row starts.
fn row(data: &[u8], at: usize, mark: u8) -> (Vec<(usize, usize)>, usize) {
    let mut cells = Vec::new();
    let mut at = at;
    loop {
        let open = position(data, at, |byte| byte != b' ');
        let (cell, end) = if data.get(open) == Some(&b'"') {
            let close = quoted_end(data, open + 1);
            let end = position(data, close, |byte| byte == mark || byte == b'\n');
            ((open + 1, close), end)
        } else {
            let end = position(data, at, |byte| byte == mark || byte == b'\n');
            let text = data[at..end].trim_ascii();
            let start = at + (end - at - data[at..end].trim_ascii_start().len());
            ((start, start + text.len()), end)
        };
        cells.push(cell);
        if data.get(end) != Some(&mark) {
            return (cells, (end + 1).min(data.len()));
        }
        at = end + 1;
    }
}

/// Where a cell in quotes ends, in which `""` is a quote.
fn quoted_end(data: &[u8], mut at: usize) -> usize {
    loop {
        at = position(data, at, |byte| byte == b'"');
        if data.get(at + 1) != Some(&b'"') {
            return at;
        }
        at += 2;
    }
}
