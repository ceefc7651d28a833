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
use super::prose::is_quantity;
use super::syntax::{Quote, byte_at, is_name, position, skip_blanks, unescape_at};
use super::tokens::Tokens;
use super::triggers::{Trigger, Triggers};
use super::value::{Place, is_placeholder, is_secret};
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
    /// Within how many `data:` URLs the text is.
    pub(super) nested: u8,
}

/// Most `data:` URLs within each other that are read.
const MAX_NESTED: u8 = 2;

impl Lexicon<'_> {
    /// The same for a text within; `None` if that is too deep.
    pub(super) fn within(self) -> Option<Self> {
        (self.nested < MAX_NESTED).then(|| Self {
            nested: self.nested + 1,
            ..self
        })
    }
}

/// A part that is taken out.
#[derive(Debug)]
struct Cut {
    start: usize,
    end: usize,
    /// What stands there then, if it is not the placeholder.
    anew: Option<Vec<u8>>,
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
    pub(super) found: &'a mut Found,
    cuts: Vec<Cut>,
    /// How many bytes may still be looked at beside the one pass, so that hostile texts take linear time as well.
    pub(super) budget: usize,
    /// Up to where lines, command lines, headings of tables, and `data:` URLs without secrets were looked at.
    line_end: usize,
    pub(super) command_end: usize,
    pub(super) headings_end: usize,
    pub(super) refused: usize,
    /// The same for elements in which nothing was secret, whose names told so much.
    pub(super) elements: (usize, Verdict),
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
        line_end: 0,
        command_end: 0,
        headings_end: 0,
        refused: 0,
        elements: (0, Verdict::Harmless),
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
                Trigger::Command(number) => self.command(number, start, end),
                Trigger::DataUrl if start < self.refused => {}
                Trigger::DataUrl => at = self.data_url(start).unwrap_or(at),
            }
        }
    }

    /// Looks at what a part of a name at `start..end` stands in. Gives where to go on.
    fn name(&mut self, at: usize, start: usize, end: usize) -> usize {
        let data = self.data;
        if self.kind == Kind::Plain && start >= self.line_end {
            self.beside_lines(start);
        }
        // In an escape, only what it stands for counts.
        let end = match unescape_at(data, start) {
            Some((byte, width)) if !is_name(byte) => return start + width,
            Some((_, width)) => start + width,
            None => end,
        };
        let end = name_end(data, end);
        if !may_follow(data, end) {
            return end;
        }
        let start = name_start(data, start, at.max(start.saturating_sub(MAX_NAME)));
        if self.kind != Kind::Script
            && let Some(end) = self.label(start, end)
        {
            return end;
        }
        let name = &data[start..end];
        let verdict = self.lexicon.names.judge(name);
        if verdict == Verdict::Harmless {
            return end;
        }
        let (start, end) = in_brackets(data, start, end);
        let name = Name { start, end, verdict };
        self.carried(name).unwrap_or(end).max(end)
    }

    /// Looks at the line that a name at `at` is on, with those beside it.
    fn beside_lines(&mut self, at: usize) {
        let data = self.data;
        let start = memchr::memrchr(b'\n', &data[self.line_end..at])
            .map_or(self.line_end, |found| self.line_end + found + 1);
        let end = memchr::memchr(b'\n', &data[at..]).map_or(data.len(), |found| at + found);
        self.line_end = (end + 1).min(data.len());
        self.pair(start, end);
        self.columns(start, end);
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
        let beside = match before {
            b'=' => {
                let beside = self.sibling(name, name.start, name.end);
                return beside.or_else(|| self.fallback(name, skip_blanks(data, name.end)));
            }
            b'>' => self.text_pair(name),
            _ => None,
        };
        if beside.is_some() {
            return beside;
        }
        let mut after = skip_index(data, name.end);
        let blanks = skip_blanks(data, after);
        let is_tight = blanks == after;
        let (separator, width) = byte_at(data, blanks)?;
        after = blanks + width;
        match separator {
            b'=' if byte_at(data, after).is_some_and(|(next, _)| matches!(next, b'=' | b'>' | b'~')) => None,
            // `this->password = other;`.
            b'=' if before == b'>' && Quote::at(data, skip_blanks(data, after)).is_none() => None,
            b'=' => self.assigned(name, before, (is_tight, level(data, blanks)), after),
            b':' if data.get(after) == Some(&b':') => None,
            b':' if before == b'{' && matches!(data.get(after), Some(b'-' | b'=')) => {
                self.shell_default(name, after + 1)
            }
            // `password := "…"`.
            b':' if data.get(after) == Some(&b'=') => self.scalar(name, None, skip_blanks(data, after + 1)),
            b':' => self.labelled(name, after),
            _ if data[name.start..].starts_with(b"--") => self.flag(name, blanks),
            // `password?: string`, `password!: string`.
            b'?' | b'!' if data.get(after) == Some(&b':') => {
                let typed = self.typed(name, skip_blanks(data, after + 1));
                typed.or_else(|| self.fallback(name, blanks))
            }
            b'|' | b'?' | b'o' | b')' | b'!' => self.fallback(name, blanks),
            _ if !is_tight => self.typed_by_word(name, blanks),
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
            b')' | b'|' | b'?' | b'o' | b'.' if is_index || separator == b')' => self.fallback(name, after),
            _ => self.sibling(name, open, close),
        }
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
                    anew: None,
                    quote: quote.map(|(quote, close)| (close - quote.width, close)),
                });
                Some(end)
            }
            b't' | b'f' if name.verdict == Verdict::Added => {
                let end = position(data, at, |byte| !byte.is_ascii_lowercase());
                self.cuts.push(Cut {
                    start: at,
                    end,
                    anew: None,
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
        if is_quantity(data, value) {
            return None;
        }
        if let Some(end) = self.scalar(name, None, value) {
            return Some(end);
        }
        if Quote::at(data, value).is_some() || matches!(data.get(value), Some(b'{' | b'[') | None) {
            return None;
        }
        match self.kind {
            Kind::Plain | Kind::Json
                if self.starts_line(name.start) && !self.is_argument_by_name(name.start) =>
            {
                self.line(name, value)
            }
            Kind::Script => self.typed(name, value),
            _ => {
                let end = parameter_end(data, value, 0);
                if self.judged(Verdict::Look, name, value, end, Place::Script) {
                    return Some(self.cut_named(name, value, end));
                }
                self.typed(name, value).or_else(|| self.told(name, value))
            }
        }
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
                anew: None,
                quote: None,
            });
        }
        end
    }

    /// Puts something else where a part stands.
    pub(super) fn replace(&mut self, start: usize, end: usize, anew: Vec<u8>) {
        self.cuts.push(Cut {
            start,
            end,
            anew: Some(anew),
            quote: None,
        });
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
                redacted.extend_from_slice(cut.anew.as_deref().unwrap_or(PLACEHOLDER.as_bytes()));
                redacted.extend_from_slice(quote);
            }
            from = cut.end;
        }
        redacted.extend_from_slice(&data[from..]);
        Some(redacted)
    }
}
