//! From the text that DevTools made of a body back to the bytes that came.
//!
//! `getContent()` decodes text before it gives it, as windows-1252 where neither header nor kind names a charset: an event
//! stream in UTF-8 arrives as "Ã©". That encoding has a character for each byte, so it can be undone; how many bytes there
//! were, which DevTools count by themselves, tells which way is right.

/// What stands above 0x7f in windows-1252 where it is not Latin-1: 0x80 to 0x9f, by the WHATWG's Encoding Standard, which
/// has the five bytes that are undefined elsewhere stand for C1 controls.
const HIGH: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}',
    '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}',
    '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// The byte order mark of UTF-8, which decoders take away.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Labels of windows-1252 in the Encoding Standard.
const WINDOWS_1252: [&str; 17] = [
    "ansi_x3.4-1968",
    "ascii",
    "cp1252",
    "cp819",
    "csisolatin1",
    "ibm819",
    "iso-8859-1",
    "iso-ir-100",
    "iso8859-1",
    "iso88591",
    "iso_8859-1",
    "iso_8859-1:1987",
    "l1",
    "latin1",
    "us-ascii",
    "windows-1252",
    "x-cp1252",
];

/// A body's bytes, and whether they are those that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    pub(super) certain: bool,
}

/// The bytes of a response's text. `content_type` is the response's header, `size` how many bytes DevTools counted.
pub(super) fn received(text: String, content_type: &str, size: Option<u64>) -> Bytes {
    // What could not be decoded is lost.
    let whole = !text.contains('\u{fffd}');
    let fits = |len: usize| size == Some(len as u64);
    let charset = charset(content_type);
    let single_byte = match charset.as_deref() {
        Some(label) => WINDOWS_1252.contains(&label),
        None => true,
    };
    if single_byte && let Some(bytes) = windows_1252(&text) {
        // UTF-8 that was read as windows-1252 looks like nothing else.
        let is_likely = charset.is_none() && !text.is_ascii() && std::str::from_utf8(&bytes).is_ok();
        if fits(bytes.len()) || is_likely && !fits(text.len()) {
            let certain = whole && (size.is_none() || fits(bytes.len()));
            return Bytes { bytes, certain };
        }
    }
    let in_utf_8 = charset.is_none_or(|label| !label.starts_with("utf-16") || text.is_empty());
    if in_utf_8 && fits(text.len() + MARK.len()) {
        return Bytes {
            bytes: [MARK, text.as_bytes()].concat(),
            certain: whole,
        };
    }
    let certain = whole && in_utf_8 && (fits(text.len()) || size.is_none() && text.is_ascii());
    Bytes {
        bytes: text.into_bytes(),
        certain,
    }
}

/// The bytes of a request's text, of which there were `size`. DevTools read what is no UTF-8 as Latin-1, and both alike.
pub(super) fn sent(text: String, has_charset: bool, size: Option<u64>) -> Bytes {
    let whole = !text.contains('\u{fffd}');
    let latin_1 = || {
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).ok())
            .collect::<Option<Vec<u8>>>()
    };
    let certain = match size {
        Some(size) if size == text.len() as u64 => whole,
        Some(size) => match latin_1().filter(|bytes| bytes.len() as u64 == size) {
            Some(bytes) => return Bytes { bytes, certain: true },
            None => false,
        },
        None => whole && (has_charset || text.is_ascii() || latin_1().is_none()),
    };
    Bytes {
        bytes: text.into_bytes(),
        certain,
    }
}

/// The charset that a content type names, in lower case.
pub(super) fn charset(content_type: &str) -> Option<String> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']).trim();
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then(|| value.to_ascii_lowercase())
    })
}

/// A text in windows-1252; nothing if it has another character.
fn windows_1252(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|character| match u32::from(character) {
            code @ (0..0x80 | 0xa0..0x100) => u8::try_from(code).ok(),
            _ => HIGH
                .iter()
                .position(|high| *high == character)
                .and_then(|at| u8::try_from(0x80 + at).ok()),
        })
        .collect()
}

/// A text of windows-1252, which all bytes are.
pub fn from_windows_1252(bytes: &[u8]) -> String {
    let character = |&byte: &u8| match byte {
        0x80..0xa0 => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn got(text: &str, content_type: &str, size: u64) -> (Vec<u8>, bool) {
        let Bytes { bytes, certain } = received(text.to_owned(), content_type, Some(size));
        (bytes, certain)
    }

    #[test]
    fn text_comes_back_to_its_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        for (bytes, text, content_type, certain) in [
            // Read as windows-1252 for want of a charset.
            (
                "é 🦀".as_bytes(),
                from_windows_1252("é 🦀".as_bytes()),
                "text/event-stream",
                true,
            ),
            (b"\xe9", "é".to_owned(), "text/plain", true),
            (&all, from_windows_1252(&all), "text/csv", true),
            (
                &all,
                from_windows_1252(&all),
                "text/plain; charset=ISO-8859-1",
                true,
            ),
            // Read as UTF-8, said or not.
            ("é".as_bytes(), "é".to_owned(), "application/json", true),
            (
                "é 🦀".as_bytes(),
                "é 🦀".to_owned(),
                "text/css; charset=\"utf-8\"",
                true,
            ),
            (b"\xef\xbb\xbf\xc3\xa9", "é".to_owned(), "text/plain", true),
            (
                b"plain",
                "plain".to_owned(),
                "text/plain; charset=shift_jis",
                true,
            ),
            (b"", String::new(), "text/plain; charset=utf-16le", true),
        ] {
            assert_eq!(
                got(&text, content_type, bytes.len() as u64),
                (bytes.to_vec(), certain),
                "{text} {content_type}"
            );
        }
        // What cannot be undone stays text.
        for (text, content_type, size) in [
            ("a\u{fffd}b", "text/plain; charset=utf-8", 3),
            ("a\u{fffd}b", "text/plain; charset=utf-8", 5),
            ("東京", "text/plain; charset=shift_jis", 4),
            ("plain", "text/plain; charset=utf-16le", 10),
            ("ab", "text/plain; charset=utf-16be", 5),
            ("é", "text/plain", 7),
        ] {
            assert_eq!(
                got(text, content_type, size),
                (text.as_bytes().to_vec(), false),
                "{text} {content_type}"
            );
        }
        assert_eq!(got("Ã©", "text/plain", 7), ("é".as_bytes().to_vec(), false));
    }

    #[test]
    fn without_a_size_utf_8_is_looked_for() {
        let read = |text: &str, content_type| received(text.to_owned(), content_type, None);
        assert_eq!(
            read("Ã©", "text/plain"),
            Bytes {
                bytes: "é".as_bytes().to_vec(),
                certain: true
            }
        );
        assert_eq!(
            read("é", "text/plain"),
            Bytes {
                bytes: "é".as_bytes().to_vec(),
                certain: false
            }
        );
        assert_eq!(
            read("abc", "text/plain; charset=utf-8"),
            Bytes {
                bytes: b"abc".to_vec(),
                certain: true
            }
        );
    }

    #[test]
    fn sizes_tell_what_was_sent() {
        for (text, has_charset, size, bytes, certain) in [
            ("é", false, Some(1), &b"\xe9"[..], true),
            ("é", false, Some(2), "é".as_bytes(), true),
            ("é", false, None, "é".as_bytes(), false),
            ("é", true, None, "é".as_bytes(), true),
            ("東é", false, None, "東é".as_bytes(), true),
            ("\u{0}ÿþÃ\u{80}", false, Some(5), b"\x00\xff\xfe\xc3\x80", true),
            ("\u{fffd}", false, Some(1), "\u{fffd}".as_bytes(), false),
            ("\u{fffd}", false, Some(3), "\u{fffd}".as_bytes(), false),
            ("abc", false, Some(30), b"abc", false),
        ] {
            let expected = Bytes {
                bytes: bytes.to_vec(),
                certain,
            };
            assert_eq!(
                sent(text.to_owned(), has_charset, size),
                expected,
                "{text:?} {size:?}"
            );
        }
    }

    #[test]
    fn charsets_are_found() {
        for (content_type, expected) in [
            ("text/plain", None),
            ("text/plain; charset=", None),
            ("text/plain;Charset = \"UTF-8\" ; x=y", Some("utf-8")),
            ("text/plain; x=charset; charset='latin1'", Some("latin1")),
        ] {
            assert_eq!(charset(content_type).as_deref(), expected, "{content_type}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let text = from_windows_1252(&bytes);
            prop_assert_eq!(windows_1252(&text), Some(bytes.clone()));
            prop_assert_eq!(got(&text, "text/plain", bytes.len() as u64), (bytes, true));
        }

        #[test]
        fn utf_8_comes_back_however_it_was_read(text in "[ -~äλ東🦀]{0,20}") {
            let bytes = text.as_bytes().to_vec();
            let size = bytes.len() as u64;
            prop_assert_eq!(got(&from_windows_1252(&bytes), "text/plain", size), (bytes.clone(), true));
            prop_assert_eq!(got(&text, "text/plain", size), (bytes.clone(), true));
            prop_assert_eq!(got(&text, "text/plain; charset=utf-8", size), (bytes, true));
        }
    }
}
