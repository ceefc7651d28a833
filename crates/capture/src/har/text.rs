//! From a file's bytes to its text; what a file is that is no archive; JSON that is nearly right.

use std::borrow::Cow;

use crate::devtools::from_windows_1252;

/// The text of a file, and what was done to get it where that is not plain.
pub(super) fn decode(bytes: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes, "UTF-16LE"),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes, "UTF-16BE"),
        // JSON starts with ASCII: a zero beside the first byte is half of a UTF-16 unit.
        [1..=255, 0, 1..=255, ..] => utf16(bytes, u16::from_le_bytes, "UTF-16LE"),
        [0, 1..=255, 0, ..] => utf16(bytes, u16::from_be_bytes, "UTF-16BE"),
        _ => utf8(bytes),
    }
}

fn utf16<'a>(
    bytes: &'a [u8],
    unit: fn([u8; 2]) -> u16,
    name: &'static str,
) -> (Cow<'a, str>, Option<&'static str>) {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text = char::decode_utf16(units).map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
    (Cow::Owned(text.collect()), Some(name))
}

fn utf8(bytes: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return (Cow::Borrowed(text), None),
        Err(error) => error,
    };
    if error.error_len().is_none()
        && let Ok(text) = std::str::from_utf8(&bytes[..error.valid_up_to()])
    {
        // A character that the end of the file cuts in two.
        return (Cow::Borrowed(text), None);
    }
    let (mut characters, mut strays) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        characters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        strays += chunk.invalid().len();
    }
    if characters >= strays {
        (
            String::from_utf8_lossy(bytes),
            Some("UTF-8 with bytes that are none"),
        )
    } else {
        // What is called Latin-1 is windows-1252.
        (Cow::Owned(from_windows_1252(bytes)), Some("Latin-1"))
    }
}

/// What bytes are that are no text, by how they start.
pub(super) fn binary_kind(bytes: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 10] = [
        (
            b"\x1f\x8b",
            "a gzip file: unpack it first, for example with gunzip",
        ),
        (
            b"PK\x03\x04",
            "a ZIP file: unpack it and choose the .har file in it",
        ),
        (
            b"\x28\xb5\x2f\xfd",
            "a zstd file: unpack it first, for example with unzstd",
        ),
        (
            b"\xfd7zXZ\0",
            "an xz file: unpack it first, for example with unxz",
        ),
        (b"BZh", "a bzip2 file: unpack it first, for example with bunzip2"),
        (
            b"\x0a\x0d\x0d\x0a",
            "packets in pcapng, which QemuWeb writes but does not read",
        ),
        (
            b"\xd4\xc3\xb2\xa1",
            "packets in pcap, which QemuWeb does not read",
        ),
        (
            b"\x4d\x3c\xb2\xa1",
            "packets in pcap, which QemuWeb does not read",
        ),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"%PDF", "a PDF file"),
    ];
    let known = STARTS.iter().find(|(start, _)| bytes.starts_with(start));
    match (known, bytes) {
        (Some((_, kind)), _) => Some(kind),
        // The two bytes of zlib's header are a multiple of 31. mitmproxy's .zhar is such a file.
        (None, [0x78, second, ..]) if (0x7800 | u32::from(*second)).is_multiple_of(31) => Some(
            "a zlib file, such as mitmproxy's .zhar: unpack it first, for example with zlib-flate -uncompress",
        ),
        _ => None,
    }
}

/// What a JSON object is by one of its keys.
pub(super) fn json_kind(key: &str) -> Option<&'static str> {
    const KEYS: [(&str, &str); 15] = [
        ("traceEvents", "a performance trace of DevTools"),
        ("ph", "a performance trace of DevTools"),
        ("item", "a Postman collection"),
        ("_postman_id", "a Postman collection"),
        ("_postman_variable_scope", "a Postman environment"),
        ("__export_format", "an Insomnia collection: export it as HAR"),
        ("openapi", "an OpenAPI description"),
        ("swagger", "an OpenAPI description"),
        ("constants", "a NetLog of Chromium (chrome://net-export)"),
        ("lighthouseVersion", "a Lighthouse report"),
        ("snapshot", "a heap snapshot of DevTools"),
        ("scriptCoverages", "a coverage report"),
        ("protocolVersion", "a session of Charles: export it as HAR"),
        ("steps", "a recording of DevTools' Recorder"),
        ("capture", "JSON lines of QemuWeb: export the capture as HAR"),
    ];
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
}

/// What a text is that is no JSON.
pub(super) fn text_kind(text: &str) -> &'static str {
    let start: String = text
        .trim_start_matches(|c: char| c == '\0' || c.is_whitespace())
        .chars()
        .take(15)
        .collect();
    let start = start.to_ascii_lowercase();
    if start.is_empty() {
        "an empty file"
    } else if start.starts_with("<!doctype html") || start.starts_with("<html") {
        "an HTML page"
    } else if start.starts_with('<') {
        "XML"
    } else if start.starts_with(['{', '[']) {
        "JSON without a list of entries"
    } else {
        "no JSON"
    }
}

/// Makes JSON of what other writers take for JSON: `NaN` and `undefined`, controls in strings, escapes that there are
/// not, commas before a bracket.
pub(super) fn repair(json: &str) -> String {
    let mut repaired = String::with_capacity(json.len() + 16);
    let mut rest = json;
    while let Some(at) = rest.find(['"', ',', 'N', 'I', 'u', '-', '+']) {
        let (before, from) = rest.split_at(at);
        repaired += before;
        if from.starts_with('"') {
            rest = string(from, &mut repaired);
            continue;
        }
        let words = ["NaN", "-NaN", "Infinity", "-Infinity", "undefined"];
        if let Some(word) = words.iter().find(|word| from.starts_with(**word)) {
            repaired += "null";
            rest = &from[word.len()..];
            continue;
        }
        let is_stray = from.starts_with('+') && !repaired.ends_with(['e', 'E'])
            || from.starts_with(',') && from[1..].trim_start().starts_with(['}', ']', ',']);
        if !is_stray {
            repaired += &from[..1];
        }
        rest = &from[1..];
    }
    repaired + rest
}

/// JSON in which escapes of U+FFFD stand for halves of surrogate pairs, for readers that take no others.
pub(crate) fn mend_surrogates(json: &str) -> Cow<'_, str> {
    let unit = |at: usize| -> Option<u16> {
        let escape = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(escape, 16).ok()
    };
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &json.as_bytes()[at..]) {
        at += found;
        match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                mended += &json[copied..at];
                mended += "\\ufffd";
                at += 6;
                copied = at;
            }
            // What is escaped by one character.
            _ => at = (at + 2).min(json.len()),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    Cow::Owned(mended + &json[copied..])
}

/// Copies a string in quotes; gives what follows it.
fn string<'a>(text: &'a str, out: &mut String) -> &'a str {
    out.push('"');
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                out.push('"');
                return &text[at + 1..];
            }
            '\\' => match characters.next() {
                Some((at, 'u')) => {
                    let digits = text.as_bytes().get(at + 1..at + 5).unwrap_or_default();
                    let whole = digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit);
                    out.push_str(if whole { "\\u" } else { "\\\\u" });
                }
                Some((_, escaped)) if "\"\\/bfnrt".contains(escaped) => out.extend(['\\', escaped]),
                // `\'` and `\x` of JavaScript, say.
                Some((_, other)) => out.extend(['\\', '\\', other]),
                None => out.push_str("\\\\"),
            },
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings_are_found() {
        let units = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let table: [(Vec<u8>, &str, Option<&str>); 9] = [
            (b"{\"a\":1}".to_vec(), "{\"a\":1}", None),
            (b"\xef\xbb\xbf{}".to_vec(), "{}", None),
            (
                units("\u{feff}[\"\u{e4}\u{1f980}\"]", u16::to_le_bytes),
                "[\"ä🦀\"]",
                Some("UTF-16LE"),
            ),
            (units("\u{feff}{}", u16::to_be_bytes), "{}", Some("UTF-16BE")),
            (units("{ }", u16::to_le_bytes), "{ }", Some("UTF-16LE")),
            (units("{ }", u16::to_be_bytes), "{ }", Some("UTF-16BE")),
            (
                b"\"caf\xe9 \x93x\x94 \x81\"".to_vec(),
                "\"café “x” \u{81}\"",
                Some("Latin-1"),
            ),
            ("\"ä".as_bytes()[..2].to_vec(), "\"", None),
            (
                b"\"\xc3\xa4\xc3\xa4\xff\"".to_vec(),
                "\"ää\u{fffd}\"",
                Some("UTF-8 with bytes that are none"),
            ),
        ];
        for (bytes, text, note) in table {
            assert_eq!(decode(&bytes), (Cow::Borrowed(text), note), "{bytes:?}");
        }
    }

    #[test]
    fn nearly_json_is_made_json() {
        for (odd, right) in [
            (
                "{\"a\":NaN,\"b\":[-Infinity,undefined,],}",
                "{\"a\":null,\"b\":[null,null]}",
            ),
            (
                "\"NaN, tab\there \\x41 \\' \\\"\"",
                "\"NaN, tab\\u0009here \\\\x41 \\\\' \\\"\"",
            ),
            (
                "[\"\\ud83d\", \"\\u12\", +1, -1]",
                "[\"\\ud83d\", \"\\\\u12\", 1, -1]",
            ),
        ] {
            assert_eq!(repair(odd), right);
            serde_json::from_str::<&serde_json::value::RawValue>(right).unwrap();
        }
    }

    #[test]
    fn halves_of_pairs_are_replaced() {
        for (odd, right) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (
                r#""\udc00\ud83d\ud83e\udd80\ud83d""#,
                r#""\ufffd\ufffd\ud83e\udd80\ufffd""#,
            ),
            (r#""\\ud83d \u00e4""#, r#""\\ud83d \u00e4""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\\", "\\"),
        ] {
            assert_eq!(mend_surrogates(odd), right);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_searched_for_halves(text in "(\\\\|u|d83|dc0|[0-9a-f]|ä){0,20}") {
            mend_surrogates(&text);
        }

        #[test]
        fn right_json_stays(text in ".{0,20}", number: f64) {
            let json = serde_json::json!({"a": [text, number, null]}).to_string();
            prop_assert_eq!(repair(&json), json);
        }

        #[test]
        fn any_text_can_be_repaired(text in "[\\[\\]{},:\"\\\\unNIa-f0-9\u{1} ä+-]{0,30}") {
            repair(&text);
        }

        #[test]
        fn any_bytes_are_decoded(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            decode(&bytes);
            binary_kind(&bytes);
        }
    }
}
