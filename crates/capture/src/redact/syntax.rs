//! What texts are made of: names, quotes and separators, each also as escapes of JSON, percent encoding and HTML write it.

/// Bytes of which names consist.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'$' | 0x80..);
        byte += 1;
    }
    table
};

/// Whether names consist of such bytes.
pub(super) fn is_name(byte: u8) -> bool {
    NAME[usize::from(byte)]
}

/// The first place from `from` on where `stop` holds, or the end.
pub(super) fn position(data: &[u8], from: usize, stop: impl Fn(u8) -> bool) -> usize {
    data.get(from..)
        .and_then(|rest| rest.iter().position(|byte| stop(*byte)))
        .map_or(data.len(), |found| from + found)
}

fn hex(data: &[u8], at: usize, digits: usize) -> Option<u32> {
    data.get(at..at + digits)?.iter().try_fold(0, |value, byte| {
        Some(value * 16 + char::from(*byte).to_digit(16)?)
    })
}

/// The byte that an escape stands for and the escape's width: `%41`, `%2541`, `A`, `\x41`, `&#x41;`, `&amp;`.
pub(super) fn unescape_at(data: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = |value: u32| u8::try_from(value).ok();
    match data.get(at)? {
        b'%' => {
            // Encoded twice, `%` is `%25`.
            let mut digits = at + 1;
            while data.get(digits..digits + 2) == Some(b"25") && hex(data, digits + 2, 2).is_some() {
                digits += 2;
            }
            Some((byte(hex(data, digits, 2)?)?, digits + 2 - at))
        }
        b'\\' => {
            let after = position(data, at, |byte| byte != b'\\');
            match data.get(after)? {
                // A letter of another script is some byte of one.
                b'u' => Some((byte(hex(data, after + 1, 4)?).unwrap_or(0xff), after + 5 - at)),
                b'x' => Some((byte(hex(data, after + 1, 2)?)?, after + 3 - at)),
                b'/' => Some((b'/', after + 1 - at)),
                _ => None,
            }
        }
        b'&' => entity(data, at),
        _ => None,
    }
}

/// The character that `\\u00fc` stands for, beyond ASCII and within one unit of UTF-16.
pub(super) fn letter_at(data: &[u8], at: usize) -> Option<(char, usize)> {
    let after = position(data, at, |byte| byte != b'\\');
    if after == at || data.get(after) != Some(&b'u') {
        return None;
    }
    let letter = char::from_u32(hex(data, after + 1, 4)?).filter(|letter| !letter.is_ascii())?;
    Some((letter, after + 5 - at))
}

fn entity(data: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut start = at + 1;
    while data[start..].starts_with(b"amp;") && data.get(start + 4).is_some_and(|next| b"#agq".contains(next))
    {
        start += 4;
    }
    let limit = data.len().min(start + 8);
    let end = start + data[start..limit].iter().position(|byte| *byte == b';')?;
    let value = match &data[start..end] {
        b"amp" => b'&',
        b"quot" => b'"',
        b"apos" => b'\'',
        b"lt" => b'<',
        b"gt" => b'>',
        [b'#', b'x' | b'X', digits @ ..] => u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?,
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    Some((value, end + 1 - at))
}

/// The byte at a place, escaped or not, and its width.
pub(super) fn byte_at(data: &[u8], at: usize) -> Option<(u8, usize)> {
    unescape_at(data, at).or_else(|| Some((*data.get(at)?, 1)))
}

/// Where the blanks from `from` on end; blanks may be escaped, as `\n`, `%20` and `+` between other escapes.
pub(super) fn skip_blanks(data: &[u8], mut at: usize) -> usize {
    loop {
        match data.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => at += 1,
            Some(b'\\') if matches!(data.get(at + 1), Some(b'n' | b'r' | b't')) => at += 2,
            Some(b'%')
                if matches!(
                    data.get(at + 1..at + 3),
                    Some(b"20" | b"09" | b"0A" | b"0D" | b"0a" | b"0d")
                ) =>
            {
                at += 3
            }
            Some(b'+') if matches!(data.get(at + 1), Some(b'%')) => at += 1,
            _ => return at,
        }
    }
}

/// A quote, of the kind that opens and closes one string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quote {
    /// `"`, `'` or a backtick.
    mark: u8,
    /// How it is written.
    style: Style,
    /// Bytes that it takes.
    pub(super) width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// After so many levels of backslashes: 1 for `\"`, 2 for `\\\"`.
    Plain(u8),
    /// As `%22`, `\u0022` or `&quot;`: closed by the same.
    Escaped,
}

/// How many levels of JSON in JSON stand before a quote after so many backslashes; `None` if it is within a string.
fn level(mut backslashes: usize) -> Option<u8> {
    let mut level = 0;
    while backslashes % 2 == 1 {
        backslashes /= 2;
        level += 1;
    }
    (backslashes == 0 && level < 16).then_some(level)
}

impl Quote {
    /// The quote that starts at a place.
    pub(super) fn at(data: &[u8], at: usize) -> Option<Self> {
        let mark = position(data, at, |byte| byte != b'\\');
        match data.get(mark)? {
            b'"' | b'\'' | b'`' => Some(Self {
                mark: data[mark],
                style: Style::Plain(level(mark - at)?),
                width: mark + 1 - at,
            }),
            b'u' | b'x' | b'%' | b'&' => {
                let (mark, width) = unescape_at(data, at)?;
                matches!(mark, b'"' | b'\'' | b'`').then_some(Self {
                    mark,
                    style: Style::Escaped,
                    width,
                })
            }
            _ => None,
        }
    }

    /// The quote that ends at a place.
    pub(super) fn before(data: &[u8], at: usize, floor: usize) -> Option<Self> {
        let last = at.checked_sub(1).filter(|last| *last >= floor)?;
        if matches!(data[last], b'"' | b'\'' | b'`') {
            let mut start = last;
            while start > floor && data[start - 1] == b'\\' && last - start < 64 {
                start -= 1;
            }
            return Self::at(data, start).filter(|quote| start + quote.width == at);
        }
        if !(data[last] == b';' || data[last].is_ascii_digit()) {
            return None;
        }
        // From the longest escape to the shortest.
        (3..=12)
            .rev()
            .filter_map(|width| at.checked_sub(width))
            .filter(|start| *start >= floor)
            .find_map(|start| {
                Self::at(data, start)
                    .filter(|quote| quote.style == Style::Escaped && start + quote.width == at)
            })
    }

    /// Whether `other` closes what this opens, as one after a name does.
    pub(super) fn closes(self, other: Self) -> bool {
        self.mark == other.mark && self.style == other.style
    }

    /// Where what a string has in it starts and ends; it opens at `at` with this quote, or with three of them as in
    /// GraphQL, Python and TOML.
    pub(super) fn string(self, data: &[u8], at: usize) -> (usize, usize) {
        let start = at + self.width;
        let end = self.end(data, start);
        let quote = &data[at..start];
        let third = start + self.width;
        if end == start && data[start..].starts_with(quote) && data[third..].starts_with(quote) {
            let start = third + self.width;
            let end = memchr::memmem::find(&data[start..], &quote.repeat(3));
            return (start, end.map_or(data.len(), |found| start + found));
        }
        (start, end)
    }

    /// Where a string that starts at `from` ends: before its closing quote, at one around it, or at the end.
    pub(super) fn end(self, data: &[u8], from: usize) -> usize {
        match self.style {
            Style::Plain(own) => self.plain_end(data, from, own),
            Style::Escaped => {
                let mut at = from;
                loop {
                    at = position(data, at, |byte| matches!(byte, b'%' | b'\\' | b'&' | b'"' | b'<'));
                    match data.get(at) {
                        None | Some(b'"' | b'<') => return at,
                        // `&amp;quot;` is a quote within one of `&quot;`.
                        _ if Self::at(data, at).is_some_and(|quote| {
                            quote.style == self.style && quote.mark == self.mark && quote.width <= self.width
                        }) =>
                        {
                            return at;
                        }
                        Some(b'\\') => at += 2,
                        // `%5C%22` is a quote within the string.
                        Some(_) => match unescape_at(data, at) {
                            Some((b'\\', width)) => {
                                at += width;
                                at += byte_at(data, at).map_or(0, |(_, width)| width);
                            }
                            Some((_, width)) => at += width,
                            None => at += 1,
                        },
                    }
                }
            }
        }
    }

    fn plain_end(self, data: &[u8], from: usize, own: u8) -> usize {
        let mut at = from;
        loop {
            let Some(found) = data
                .get(at..)
                .and_then(|rest| memchr::memchr2(self.mark, b'"', rest))
            else {
                return data.len();
            };
            let mark = at + found;
            let escapes = data[from..mark]
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count();
            // In YAML and SQL, `''` is a quote within the string.
            if self.mark == b'\'' && own == 0 && mark > from && data.get(mark + 1) == Some(&b'\'') {
                at = mark + 2;
                continue;
            }
            // JSON in a string of a program: `JSON.parse('{"a":"b\\"c"}')`.
            let next = data.get(mark + 1);
            if own == 0 && escapes >= 2 && next.is_some_and(|next| next.is_ascii_alphanumeric()) {
                at = mark + 1;
                continue;
            }
            if data[mark] == self.mark && closes(escapes, own) {
                return mark - ((1 << own) - 1);
            }
            // The end of a string around it.
            if (0..own).any(|outer| closes(escapes, outer)) {
                return mark - escapes;
            }
            at = mark + 1;
        }
    }
}

/// Whether a quote after so many backslashes closes a string of a level.
fn closes(backslashes: usize, level: u8) -> bool {
    match level {
        0 => backslashes.is_multiple_of(2),
        level => !backslashes.is_multiple_of(2) && closes(backslashes / 2, level - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_quote() {
        for (text, content) in [
            (r#""abc" "#, "abc"),
            (r#""a\"b\\" "#, r#"a\"b\\"#),
            (r#"\"a\\\"b\" "#, r#"a\\\"b"#),
            (r#"\"a\\\\\" "#, r#"a\\\\"#),
            (r#"\\\"a\\\" "#, "a"),
            (r#"\"cut" "#, "cut"),
            ("'it' ", "it"),
            (r"'it\'s' ", r"it\'s"),
            ("&quot;a&amp;b&quot; ", "a&amp;b"),
            ("%22a%5C%22b%22 ", "a%5C%22b"),
            (r"\u0022ab\u0022 ", "ab"),
            ("\"open", "open"),
        ] {
            let data = text.as_bytes();
            let quote = Quote::at(data, 0).unwrap();
            let end = quote.end(data, quote.width);
            assert_eq!(&text[quote.width..end], content, "{text}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        for (text, byte, width) in [
            ("%41", b'A', 3),
            ("%2541", b'A', 5),
            (r"\u0041", b'A', 6),
            (r"\\u0041", b'A', 7),
            (r"\x41", b'A', 4),
            ("&quot;", b'"', 6),
            ("&amp;quot;", b'"', 10),
            ("&amp;", b'&', 5),
            ("&#61;", b'=', 5),
            ("&#x3d;", b'=', 6),
        ] {
            assert_eq!(unescape_at(text.as_bytes(), 0), Some((byte, width)), "{text}");
        }
        assert_eq!(unescape_at(b"%4", 0), None);
    }
}
