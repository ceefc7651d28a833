//! Finds secrets in texts of any kind, in one pass, and writes them anew without.
//!
//! Texts are scanned, not parsed: one that was cut, is no valid JSON or has JSON within JSON is redacted all the same, and
//! what is not secret stays byte for byte as it was. What may be a name is found first; what stands around it tells what
//! carries it: a key, an attribute, an element, an assignment, a parameter, a line.

use super::PLACEHOLDER;
use super::around::{
    in_brackets, is_encoded_mark, level, may_follow, name_end, name_start, parameter_end, skip_index,
};
use super::learned::{Found, Source};
use super::markup::is_mark_before;
use super::names::{Names, Verdict};
use super::syntax::{Quote, byte_at, position, skip_blanks, unescape_at};
use super::tokens::Tokens;
use super::triggers::{Trigger, Triggers};
use super::value::{self, Place, is_placeholder, is_random, is_secret};
use super::words::MAX_NAME;

/// What kind of text it is, as far as that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lines of configuration, logs, anything unknown.
    Plain,
    /// JSON and what resembles it.
    Json,
    /// HTML, which has scripts in it, and XML.
    Markup,
    /// Scripts and style sheets.
    Script,
}

/// What a scan needs to know.
#[derive(Clone, Copy)]
pub(super) struct Lexicon<'a> {
    pub(super) names: &'a Names,
    pub(super) triggers: &'a Triggers,
}

/// A part that is taken out.
#[derive(Clone, Copy, Debug)]
struct Cut {
    start: usize,
    end: usize,
    /// What stands around the placeholder, as a range of the text: a number becomes a string.
    quote: Option<(usize, usize)>,
}

/// A name in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) verdict: Verdict,
}

/// A text while it is scanned.
pub(super) struct Scan<'a> {
    pub(super) data: &'a [u8],
    pub(super) kind: Kind,
    pub(super) lexicon: Lexicon<'a>,
    found: &'a mut Found,
    cuts: Vec<Cut>,
    /// How many bytes may still be looked at beside the one pass, so that hostile texts take linear time as well.
    pub(super) budget: usize,
}

/// The text without its secrets; `None` when there are none in it.
pub(super) fn redact(data: &[u8], kind: Kind, lexicon: Lexicon<'_>, found: &mut Found) -> Option<Vec<u8>> {
    let mut scan = Scan {
        data,
        kind,
        lexicon,
        found,
        cuts: Vec::new(),
        budget: data.len().saturating_mul(8).saturating_add(4096),
    };
    scan.run();
    scan.finish()
}

/// The same for what is a string; it stays one.
pub(super) fn redact_text(text: &str, lexicon: Lexicon<'_>, found: &mut Found) -> Option<String> {
    // Whole pieces between ASCII characters are replaced.
    redact(text.as_bytes(), Kind::Plain, lexicon, found).map(|bytes| {
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    })
}

impl Scan<'_> {
    fn run(&mut self) {
        let (data, triggers) = (self.data, self.lexicon.triggers);
        let mut tokens = Tokens::new();
        let mut at = 0;
        for (trigger, start, end) in triggers.find(data) {
            if start < at {
                continue;
            }
            match trigger {
                Trigger::Token(number) => match tokens.at(data, number, start, end, self.lexicon) {
                    Some((start, end)) => {
                        self.cut(Source::Token, start, end);
                        at = end;
                    }
                    // `bearer = "…"`.
                    None if data[start..end].to_ascii_lowercase().starts_with(b"bearer") => {
                        at = self.name(at, start, start + b"bearer".len());
                    }
                    None => {}
                },
                Trigger::Name => at = self.name(at, start, end),
            }
        }
    }

    /// Looks at what a part of a name at `start..end` stands in. Gives where to go on.
    fn name(&mut self, at: usize, start: usize, end: usize) -> usize {
        let data = self.data;
        // In an escape, only what it stands for counts.
        let end = unescape_at(data, start).map_or(end, |(_, width)| start + width);
        let end = name_end(data, end);
        if !may_follow(data, end) {
            return end;
        }
        let start = name_start(data, start, at.max(start.saturating_sub(MAX_NAME)));
        let name = &data[start..end];
        let verdict = self.lexicon.names.judge(name);
        if verdict == Verdict::Harmless {
            return end;
        }
        let (start, end) = in_brackets(data, start, end);
        let name = Name { start, end, verdict };
        self.carried(name).unwrap_or(end).max(end)
    }

    /// Takes out what a name is the name of. Gives where that ends.
    fn carried(&mut self, name: Name) -> Option<usize> {
        let data = self.data;
        if let Some(close) = Quote::at(data, name.end)
            && let Some(open) = Quote::before(data, name.start, name.start.saturating_sub(64))
            && open.closes(close)
        {
            let outside = (name.start - open.width, name.end + close.width);
            return self.quoted(name, open, outside);
        }
        // The quote of an attribute or string around more than the name: `-H "X-Api-Key: …"`.
        let before = name.start.checked_sub(1).map_or(b'\n', |before| data[before]);
        if before == b'<'
            || (before == b':' && self.is_prefixed_element(name.start))
            || (b";cC".contains(&before) && is_mark_before(data, name.start, b'<'))
        {
            return self.element(name);
        }
        match before {
            b'=' => return self.sibling(name, name.start, name.end),
            b'>' => return self.text_pair(name),
            _ => {}
        }
        let mut after = skip_index(data, name.end);
        let blanks = skip_blanks(data, after);
        let is_tight = blanks == after;
        let (separator, width) = byte_at(data, blanks)?;
        after = blanks + width;
        match separator {
            b'=' if byte_at(data, after).is_some_and(|(next, _)| matches!(next, b'=' | b'>' | b'~')) => None,
            b'=' => self.assigned(name, before, (is_tight, level(data, blanks)), after),
            b':' if data.get(after) == Some(&b':') => None,
            // `password := "…"`.
            b':' if data.get(after) == Some(&b'=') => self.scalar(name, None, skip_blanks(data, after + 1)),
            b':' => self.labelled(name, after),
            _ if data[name.start..].starts_with(b"--") => self.flag(name, blanks),
            _ => None,
        }
    }

    /// A name in quotes, which stand at `outside`.
    fn quoted(&mut self, name: Name, quote: Quote, (open, close): (usize, usize)) -> Option<usize> {
        let data = self.data;
        let mut after = skip_blanks(data, close);
        let is_index = data.get(after) == Some(&b']');
        if is_index {
            after = skip_blanks(data, after + 1);
        }
        let (separator, width) = byte_at(data, after)?;
        let next = |scan: &Self, from| skip_blanks(scan.data, from);
        match separator {
            b':' if !is_index => self.scalar(name, Some((quote, close)), next(self, after + width)),
            // PHP's and Ruby's arrays.
            b'=' if !is_index && data.get(after + width) == Some(&b'>') => {
                self.scalar(name, Some((quote, close)), next(self, after + width + 1))
            }
            b'=' if is_index => self.scalar(name, Some((quote, close)), next(self, after + width)),
            b',' if self.is_argument(open) => self.argument(name, next(self, after + width)),
            _ => self.sibling(name, open, close),
        }
    }

    /// Whether a quoted name is the first argument of a call, or the first of a pair.
    fn is_argument(&self, open: usize) -> bool {
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
    fn argument(&mut self, name: Name, at: usize) -> Option<usize> {
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

    /// A value after a key: a string, a number, an object or a list. `quote` is the key's, and where it ends.
    pub(super) fn scalar(&mut self, name: Name, quote: Option<(Quote, usize)>, at: usize) -> Option<usize> {
        let data = self.data;
        if let Some(value_quote) = Quote::at(data, at) {
            let (start, end) = value_quote.string(data, at);
            // In `"Invalid token: " + reason` it is the quote that ends a string.
            if quote.is_none()
                && self.kind != Kind::Plain
                && data.get(start).is_some_and(|first| b"+,);]} ".contains(first))
            {
                return None;
            }
            return self
                .judged(name.verdict, name, start, end, self.place(quote.is_some()))
                .then(|| self.cut_named(name, start, end));
        }
        match data.get(at)? {
            b'{' | b'[' if name.verdict >= Verdict::Texts && self.budget > 0 => self.below(name, at),
            b'0'..=b'9' | b'-' => {
                let end = position(data, at, |byte| {
                    !(byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
                });
                if !self.judged(name.verdict, name, at, end, self.place(quote.is_some())) {
                    return None;
                }
                self.found.add(
                    Source::named(name.verdict, &data[name.start..name.end]),
                    &data[at..end],
                );
                self.cuts.push(Cut {
                    start: at,
                    end,
                    quote: quote.map(|(quote, close)| (close - quote.width, close)),
                });
                Some(end)
            }
            b't' | b'f' if name.verdict == Verdict::Added => {
                let end = position(data, at, |byte| !byte.is_ascii_lowercase());
                self.cuts.push(Cut {
                    start: at,
                    end,
                    quote: quote.map(|(quote, close)| (close - quote.width, close)),
                });
                Some(end)
            }
            _ => None,
        }
    }

    /// `name=value`: of an attribute, a URL, a program or a configuration.
    fn assigned(
        &mut self,
        name: Name,
        before: u8,
        (is_tight, level): (bool, usize),
        at: usize,
    ) -> Option<usize> {
        let data = self.data;
        let value = skip_blanks(data, at);
        // `PASSWORD=` without anything, and the next line.
        if self.kind == Kind::Plain && data[at..value].contains(&b'\n') {
            return None;
        }
        if Quote::at(data, value).is_some() && data.get(value) != Some(&b'&') {
            return self.scalar(name, None, value);
        }
        if !is_tight || value != at {
            // `password = value` is a line of a configuration, or an expression of a program.
            return if self.kind == Kind::Plain {
                self.line(name, value)
            } else {
                None
            };
        }
        let is_parameter = matches!(before, b'?' | b'&' | b';' | b'#' | b'[' | b'/')
            || (name.start > 0 && is_encoded_mark(data, name.start));
        let is_line = match self.kind {
            Kind::Plain => self.starts_line(name.start),
            // A file of lines in a string.
            Kind::Json => data[..name.start].ends_with(b"\\n"),
            _ => false,
        };
        if !is_parameter && is_line {
            return self.line(name, at);
        }
        let end = parameter_end(data, at, level);
        let is_literal = data.get(end).is_none_or(|byte| b"\"'`&\\ \n\r<#%".contains(byte));
        let place = match self.kind {
            Kind::Plain | Kind::Json => Place::Parameter,
            // An attribute without quotes.
            Kind::Markup if data[name.start..].starts_with(b"data-") => Place::Data,
            // `/token=([^&]+)/` is an expression.
            _ if is_parameter && is_literal && data.get(at) != Some(&b'(') => Place::Parameter,
            // `content="token=…; path=/"`.
            _ if matches!(before, b'"' | b'\'') && is_literal => Place::Data,
            _ => Place::Script,
        };
        let verdict = match place {
            // An expression.
            Place::Script => Verdict::Look,
            _ => name.verdict,
        };
        (self.judged(verdict, name, at, end, place)).then(|| self.cut_named(name, at, end))
    }

    /// `name: value` without quotes around the name: of a program, a configuration or a header.
    fn labelled(&mut self, name: Name, at: usize) -> Option<usize> {
        let data = self.data;
        let value = skip_blanks(data, at);
        if value != at && data[at..value].contains(&b'\n') {
            return None;
        }
        if let Some(end) = self.scalar(name, None, value) {
            return Some(end);
        }
        if Quote::at(data, value).is_some() || matches!(data.get(value), Some(b'{' | b'[') | None) {
            return None;
        }
        match self.kind {
            Kind::Plain | Kind::Json if self.starts_line(name.start) => self.line(name, value),
            Kind::Script => None,
            _ => {
                let end = parameter_end(data, value, 0);
                self.judged(Verdict::Look, name, value, end, Place::Script)
                    .then(|| self.cut_named(name, value, end))
            }
        }
    }

    /// `--password value`.
    fn flag(&mut self, name: Name, at: usize) -> Option<usize> {
        let end = parameter_end(self.data, at, 0);
        let is_value = at > name.end && end > at && self.data.get(at) != Some(&b'-');
        (is_value && self.judged(name.verdict, name, at, end, Place::Script))
            .then(|| self.cut_named(name, at, end))
    }

    fn place(&self, quoted_name: bool) -> Place {
        match self.kind {
            Kind::Script => Place::Script,
            Kind::Markup if !quoted_name => Place::Script,
            _ => Place::Data,
        }
    }

    /// Whether what stands at `start..end` is secret under a name.
    pub(super) fn judged(
        &self,
        verdict: Verdict,
        name: Name,
        start: usize,
        end: usize,
        place: Place,
    ) -> bool {
        let name = &self.data[name.start..name.end];
        end > start && is_secret(verdict, name, &self.data[start..end], place, self.lexicon.names)
    }

    /// Takes out what a name was of.
    pub(super) fn cut_named(&mut self, name: Name, start: usize, end: usize) -> usize {
        let source = Source::named(name.verdict, &self.data[name.start..name.end]);
        self.cut(source, start, end)
    }

    /// Takes out a part.
    pub(super) fn cut(&mut self, source: Source, start: usize, end: usize) -> usize {
        let value = &self.data[start..end];
        if !is_placeholder(value) {
            self.found.add(source, value);
            self.cuts.push(Cut {
                start,
                end,
                quote: None,
            });
        }
        end
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.cuts.is_empty() {
            return None;
        }
        self.cuts
            .sort_unstable_by_key(|cut| (cut.start, std::cmp::Reverse(cut.end)));
        let data = self.data;
        let mut redacted = Vec::with_capacity(data.len());
        let mut from = 0;
        for cut in &self.cuts {
            // Parts that overlap were found by two names: the rest of the second goes as well.
            if cut.end <= from {
                continue;
            }
            if cut.start >= from {
                redacted.extend_from_slice(&data[from..cut.start]);
                let quote = cut.quote.map_or(&b""[..], |(start, end)| &data[start..end]);
                redacted.extend_from_slice(quote);
                redacted.extend_from_slice(PLACEHOLDER.as_bytes());
                redacted.extend_from_slice(quote);
            }
            from = cut.end;
        }
        redacted.extend_from_slice(&data[from..]);
        Some(redacted)
    }
}
