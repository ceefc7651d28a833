//! What carries secrets in programs beside plain assignments: arguments of calls, constants with a type, and what stands
//! in for a setting that is not there, as in `process.env.API_KEY || "…"`.

use super::around::is_sentence;
use super::names::Verdict;
use super::syntax::{Quote, is_name, position, skip_blanks};
use super::text::{Kind, Name, Scan};
use super::value::{self, Place, is_random};

/// Longest type, and longest default of a shell.
const MAX_TYPE: usize = 64;
const MAX_DEFAULT: usize = 512;

/// Types of texts that stand between a name and its value without a colon: Go, SQL.
const TYPES: &[&str] = &["char", "nvarchar", "str", "string", "text", "varchar"];

/// Operators, and calls, after which a value stands for one that is missing.
const DEFAULTS: &[&str] = &[
    "||",
    "??",
    "?:",
    "or ",
    ".getOrElse(",
    ".get_or_insert(",
    ".orElse(",
    ".unwrap_or(",
    ".unwrap_or_else(||",
    ".unwrap_or_else(|_|",
];

impl Scan<'_> {
    /// Whether a quoted name is the first argument of a call, or the first of a pair.
    pub(super) fn is_argument(&self, open: usize) -> bool {
        let before = self.data[open.saturating_sub(64)..open].trim_ascii_end();
        before.ends_with(b"(") || before.ends_with(b"[")
    }

    /// Whether a name is the first argument of a method that gives things values.
    fn is_setter(&self, at: usize) -> bool {
        let before = &self.data[at.saturating_sub(32)..at];
        let method = before.trim_ascii_end();
        let method = method
            .strip_suffix(b"\"")
            .or(method.strip_suffix(b"'"))
            .unwrap_or(method);
        let method = method.trim_ascii_end().strip_suffix(b"(").unwrap_or_default();
        [
            "append",
            "env",
            "environ.get",
            "ENV.fetch",
            "getOrDefault",
            "getProperty",
            ".header",
            ".set",
            "setAttribute",
            "setItem",
            "setRequestHeader",
        ]
        .iter()
        .any(|setter| method.ends_with(setter.as_bytes()))
    }

    /// `setItem("token", "…")`, `["authorization", "…"]`.
    pub(super) fn argument(&mut self, name: Name, at: usize) -> Option<usize> {
        let quote = Quote::at(self.data, at)?;
        let start = at + quote.width;
        let end = quote.end(self.data, start);
        let after = skip_blanks(self.data, (end + quote.width).min(self.data.len()));
        let value = &self.data[start..end];
        // Two names in a list are no pair.
        let is_pair = matches!(self.data.get(after), None | Some(b')' | b']'));
        let looks = is_random(value)
            || value.contains(&b' ')
            || self.kind == Kind::Json
            || self.is_setter(name.start);
        let verdict = if looks { name.verdict } else { Verdict::Look };
        (is_pair
            && !value::is_name(value, self.lexicon.names)
            && self.judged(verdict, name, start, end, Place::Script))
        .then(|| self.cut_named(name, start, end))
    }

    /// `… || "value"`, from the operator on, which may stand after the end of a call or an index.
    pub(super) fn fallback(&mut self, name: Name, at: usize) -> Option<usize> {
        let data = self.data;
        let mut at = at;
        for _ in 0..3 {
            if !matches!(data.get(at), Some(b')' | b']' | b'!')) {
                break;
            }
            at = skip_blanks(data, at + 1);
        }
        let operator = DEFAULTS
            .iter()
            .find(|operator| data[at..].starts_with(operator.as_bytes()))?;
        at += operator.len();
        // `||=`.
        at += usize::from(operator.len() == 2 && data.get(at) == Some(&b'='));
        at = skip_blanks(data, at);
        while data.get(at) == Some(&b'(') {
            at = skip_blanks(data, at + 1);
        }
        self.constant(name, at)
    }

    /// Whether a name at `at` is that of an argument of a call: `login(user: name, password: value)`.
    pub(super) fn is_argument_by_name(&self, at: usize) -> bool {
        let before = &self.data[at.saturating_sub(200)..at];
        let mark = before.iter().rposition(|byte| b"()\n".contains(byte));
        mark.is_some_and(|mark| before[mark] == b'(' && mark > 0 && is_name(before[mark - 1]))
    }

    /// `${name:-value}`, from the value on.
    pub(super) fn shell_default(&mut self, name: Name, at: usize) -> Option<usize> {
        let window = &self.data[..self.data.len().min(at + MAX_DEFAULT)];
        let end = position(window, at, |byte| b"}\n\r".contains(&byte));
        let is_closed = self.data.get(end) == Some(&b'}');
        (is_closed && self.judged(name.verdict, name, at, end, Place::Data))
            .then(|| self.cut_named(name, at, end))
    }

    /// `name: string = "value"`, from behind the colon on.
    pub(super) fn typed(&mut self, name: Name, at: usize) -> Option<usize> {
        let data = self.data;
        let window = &data[..data.len().min(at + MAX_TYPE)];
        if !window
            .get(at)
            .is_some_and(|first| is_name(*first) || b"&[*".contains(first))
        {
            return None;
        }
        let end = position(window, at, |byte| {
            !(is_name(byte) || b" \t<>[]|&?,*'".contains(&byte))
        });
        self.after_type(name, end)
    }

    /// `name string = "value"`, from the type on.
    pub(super) fn typed_by_word(&mut self, name: Name, at: usize) -> Option<usize> {
        let data = self.data;
        let window = &data[..data.len().min(at + MAX_TYPE)];
        let end = position(window, at, |byte| !byte.is_ascii_alphabetic());
        if !TYPES
            .iter()
            .any(|known| known.as_bytes().eq_ignore_ascii_case(&data[at..end]))
        {
            return None;
        }
        let end = match data.get(end) {
            Some(b'(') => position(window, end, |byte| byte == b')') + 1,
            _ => end,
        };
        self.after_type(name, skip_blanks(data, end.min(data.len())))
    }

    fn after_type(&mut self, name: Name, equals: usize) -> Option<usize> {
        let data = self.data;
        let is_assigned =
            data.get(equals) == Some(&b'=') && !matches!(data.get(equals + 1), Some(b'=' | b'>' | b'~'));
        is_assigned.then(|| self.constant(name, skip_blanks(data, equals + 1)))?
    }

    /// A string that a program gives to a name. What reads as a sentence is said to somebody.
    fn constant(&mut self, name: Name, at: usize) -> Option<usize> {
        let quote = Quote::at(self.data, at)?;
        let (start, end) = quote.string(self.data, at);
        // One letter or two are compared with something.
        let is_text = end - start > 3 && !is_sentence(&self.data[start..end]);
        (is_text && self.judged(name.verdict, name, start, end, Place::Script))
            .then(|| self.cut_named(name, start, end))
    }
}
