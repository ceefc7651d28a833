//! The words of a name: `X-API_Key`, `xApiKey` and `x%2dapi.key` are all x, api, key.

use super::syntax::{letter_at, unescape_at};

/// Longest name that is looked at, in bytes; of a longer one its end.
pub(super) const MAX_NAME: usize = 128;
/// Most words of a name; of more, the last.
const MAX_WORDS: usize = 16;

/// A name in lower case without what stands between its words.
pub(super) struct Words {
    text: [u8; MAX_NAME],
    ends: [u8; MAX_WORDS],
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Digit,
    Lower,
    Upper,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            b'0'..=b'9' => Self::Digit,
            b'A'..=b'Z' => Self::Upper,
            // Letters of other scripts are bytes from here on.
            b'a'..=b'z' | 0x80.. => Self::Lower,
            _ => Self::Other,
        }
    }
}

impl Words {
    /// Splits at punctuation, digits and changes of case, after undoing percent encoding and `\u` escapes.
    pub(super) fn of(name: &[u8]) -> Self {
        let mut plain = [0; MAX_NAME];
        let mut len = 0;
        let mut at = name.len().saturating_sub(MAX_NAME);
        while let Some(&byte) = name.get(at) {
            if let Some((letter, width)) = letter_at(name, at) {
                // No longer than its escape.
                len += letter.encode_utf8(&mut plain[len..]).len();
                at += width;
                continue;
            }
            let (byte, width) = unescape_at(name, at).unwrap_or((byte, 1));
            plain[len] = byte;
            len += 1;
            at += width;
        }
        let plain = &plain[..len];
        let mut words = Self {
            text: [0; MAX_NAME],
            ends: [0; MAX_WORDS],
            count: 0,
        };
        let mut used = 0;
        let mut last = Kind::Other;
        for (index, &byte) in plain.iter().enumerate() {
            let kind = Kind::of(byte);
            let next = plain.get(index + 1).map_or(Kind::Other, |next| Kind::of(*next));
            let starts = match (last, kind) {
                (Kind::Lower, Kind::Upper) => true,
                // The last capital of `CSRFToken` starts a word, but not that of `APIKeys` before an `s` alone.
                (Kind::Upper, Kind::Upper) => next == Kind::Lower,
                (last, kind) => last != kind && !(last == Kind::Upper && kind == Kind::Lower),
            };
            if starts && last != Kind::Other && last != Kind::Digit {
                words.end(used);
            }
            if kind != Kind::Other && kind != Kind::Digit {
                words.text[used] = byte.to_ascii_lowercase();
                used += 1;
            }
            last = kind;
        }
        if last != Kind::Other && last != Kind::Digit {
            words.end(used);
        }
        words
    }

    fn end(&mut self, at: usize) {
        if self.count == MAX_WORDS {
            self.ends.copy_within(1.., 0);
            self.count -= 1;
        }
        self.ends[self.count] = at as u8;
        self.count += 1;
    }

    /// How many words there are; numbers are none.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// A word by its place.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = match index {
            0 => 0,
            index => usize::from(self.ends[index - 1]),
        };
        &self.text[start..usize::from(self.ends[index])]
    }

    /// Those before a place.
    pub(super) fn before(&self, index: usize) -> impl DoubleEndedIterator<Item = &[u8]> {
        (0..index).map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split() {
        for (name, words) in [
            ("X-API_Key", "x api key"),
            ("xApiKey", "x api key"),
            ("CSRFToken", "csrf token"),
            ("SAMLResponse", "saml response"),
            ("__RequestVerificationToken", "request verification token"),
            ("ASP.NET_SessionId", "asp net session id"),
            ("oauth2_token", "oauth token"),
            ("password1", "password"),
            ("user[password]", "user password"),
            ("client%5Fsecret", "client secret"),
            ("\\u0070assword", "password"),
            ("JSESSIONID", "jsessionid"),
            ("Schlüssel", "schlüssel"),
            ("2fa", "fa"),
            ("", ""),
        ] {
            let split = Words::of(name.as_bytes());
            let split: Vec<_> = split
                .before(split.len())
                .map(|word| std::str::from_utf8(word).unwrap().to_owned())
                .collect();
            assert_eq!(split.join(" "), words, "{name}");
        }
        let long = format!("{}password", "a.b".repeat(200));
        let split = Words::of(long.as_bytes());
        assert_eq!(split.get(split.len() - 1), b"bpassword");
    }
}
