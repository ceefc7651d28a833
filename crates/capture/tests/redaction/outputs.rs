//! An exchange in every form in which it leaves the panel, and a search for a secret in whichever way it is written there.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use qemuweb_capture::{Exchange, PacketWriter, curl_command, fetch_call, har, jsonl};

use super::carriers::Value;

/// Lines, packets, HAR (as in files and saved captures), and the commands of the clipboard.
pub(crate) fn outputs(exchange: &Exchange) -> Vec<(&'static str, String)> {
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = Vec::new();
    jsonl::write_exchange(&mut lines, "c1", exchange).unwrap();
    let mut archive = Vec::new();
    har::write_archive(&mut archive, [exchange]).unwrap();
    let mut packets = Vec::new();
    PacketWriter::write_file(&mut packets, [exchange]).unwrap();
    vec![
        ("lines", lossy(lines)),
        ("HAR", lossy(archive)),
        ("packets", lossy(packets)),
        ("curl", curl_command(exchange)),
        ("fetch", fetch_call(exchange)),
    ]
}

/// Where a secret stands in outputs, and how. Decoding all of them takes its time: else only the lines are.
pub(crate) fn leaks(outputs: &[(&'static str, String)], value: &Value, all: bool) -> Vec<String> {
    let mut leaks = Vec::new();
    for (output, text) in outputs {
        let mut forms = vec![("as it is", text.clone())];
        if !all && *output != "lines" {
            leaks.extend(find(output, &forms, value));
            continue;
        }
        let unescaped = unescape(text);
        forms.push(("in JSON", unescaped.clone()));
        forms.push(("in JSON in JSON", unescape(&unescaped)));
        let percent = percent_decode(&unescaped);
        forms.push(("percent-encoded twice", percent_decode(&percent)));
        forms.push(("percent-encoded", percent));
        forms.push(("in base64", decode_base64(&unescaped)));
        leaks.extend(find(output, &forms, value));
    }
    leaks
}

fn find(output: &str, forms: &[(&str, String)], value: &Value) -> Option<String> {
    let needles = |text: &str| {
        value
            .needles
            .iter()
            .find_map(|needle| Some((*needle, text.find(needle)?)))
    };
    forms.iter().find_map(|(form, text)| {
        let (needle, at) = needles(text)?;
        let around: String = text[text.floor_char_boundary(at.saturating_sub(60))..]
            .chars()
            .take(160)
            .collect();
        Some(format!("{needle:?} in {output} {form}: {around}"))
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match rest.next() {
            Some('u') => {
                let digits: String = rest.clone().take(4).collect();
                match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                    Some(c) if digits.len() == 4 => {
                        plain.push(c);
                        rest.nth(3);
                    }
                    _ => plain.push('u'),
                }
            }
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some(c) => plain.push(c),
            None => {}
        }
    }
    plain
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// All that may be base64 in a text, in plain.
fn decode_base64(text: &str) -> String {
    let is_other = |c: char| !(c.is_ascii_alphanumeric() || "+/-_".contains(c));
    text.split(is_other)
        .filter(|word| word.len() >= 8)
        .filter_map(|word| {
            STANDARD_NO_PAD
                .decode(word)
                .or_else(|_| URL_SAFE_NO_PAD.decode(word))
                .ok()
        })
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
