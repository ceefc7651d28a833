//! Whether a value is a secret, by what its name tells, where it stands, and how it looks.

use super::PLACEHOLDER;
use super::names::{Names, Verdict};
use super::syntax::{letter_at, unescape_at};

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// As a parameter of a request: in a query, form, header or cookie.
    Parameter,
    /// In data: JSON, XML, attributes, configuration.
    Data,
    /// In a program, where words and labels are much more frequent than secrets.
    Script,
}

/// Values that say nothing, in lower case.
const EMPTY: &[&str] = &[
    "",
    "false",
    "hidden",
    "include",
    "nil",
    "no",
    "none",
    "null",
    "off",
    "omit",
    "on",
    "optional",
    "password",
    "required",
    "same-origin",
    "string",
    "text",
    "true",
    "undefined",
    "yes",
];

/// Words that are no secrets where a name may be of something else.
const WORDS: &[&str] = &[
    "active",
    "anonymous",
    "basic",
    "bearer",
    "current",
    "default",
    "digest",
    "email",
    "error",
    "expired",
    "github",
    "google",
    "guest",
    "invalid",
    "login",
    "logout",
    "negotiate",
    "new",
    "oauth",
    "oauth2",
    "ok",
    "open",
    "sms",
    "success",
    "unknown",
    "valid",
];

/// Whether the value is to be taken out.
pub(super) fn is_secret(verdict: Verdict, name: &[u8], value: &[u8], place: Place, names: &Names) -> bool {
    let value = value.trim_ascii();
    if verdict == Verdict::Harmless || is_placeholder(value) || value.is_empty() {
        return false;
    }
    if verdict == Verdict::Added {
        return true;
    }
    if is_empty(value) {
        return false;
    }
    match verdict {
        Verdict::Harmless => false,
        Verdict::Added => true,
        Verdict::Secret => !is_label(name, value, place, names),
        Verdict::Texts => !is_count(value) && !is_label(name, value, place, names),
        Verdict::Likely => match place {
            Place::Parameter => !is_plain(value),
            Place::Data => !is_plain(value) && !is_wordy(value) && !is_label(name, value, place, names),
            Place::Script => is_random(value),
        },
        Verdict::Code => match place {
            Place::Parameter => !is_plain(value),
            Place::Data => is_random(value) || ((6..=8).contains(&value.len()) && is_digits(value)),
            Place::Script => is_random(value),
        },
        Verdict::Look => is_random(value),
    }
}

/// Whether something was taken out here before.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    value == PLACEHOLDER.as_bytes()
}

/// Nothing, a switch, a type, a pattern that is yet to be filled in, or marks that hide it already.
fn is_empty(value: &[u8]) -> bool {
    let is_template = |open: &[u8], close: &[u8]| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|name| {
                name.iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b" _.-".contains(byte))
            })
    };
    let hidden = |byte: &u8| b"*.xX-".contains(byte);
    is_in(EMPTY, value)
        || (value.len() <= 3 && value.iter().all(u8::is_ascii_punctuation))
        || is_template(b"${", b"}")
        || is_template(b"{{", b"}}")
        || is_template(b"<", b">")
        || is_template(b"$(", b")")
        || is_variable(value)
        || value.iter().all(hidden)
        || std::str::from_utf8(value).is_ok_and(|text| text.chars().all(|c| c == '•' || c == '●'))
}

/// A variable of a shell: `$PASSWORD`, `%PASSWORD%`.
fn is_variable(value: &[u8]) -> bool {
    let percent = || value.strip_prefix(b"%").and_then(|rest| rest.strip_suffix(b"%"));
    value.strip_prefix(b"$").or_else(percent).is_some_and(|name| {
        name.len() >= 2
            && name[0].is_ascii_uppercase()
            && name
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
    })
}

/// Whether a short value is one of a list, in any case.
pub(super) fn is_in(list: &[&str], value: &[u8]) -> bool {
    value.len() <= 16
        && list
            .iter()
            .any(|word| word.as_bytes().eq_ignore_ascii_case(value))
}

fn is_digits(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_digit)
}

/// A number, as of things that are counted.
pub(super) fn is_count(value: &[u8]) -> bool {
    value.len() <= 9 && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// What people read beside a field, as "Forgot your password?", or another field's name in a program.
fn is_label(name: &[u8], value: &[u8], place: Place, names: &Names) -> bool {
    if place == Place::Parameter || value.len() > 200 {
        return false;
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let is_text = text
        .chars()
        .all(|c| c.is_alphabetic() || " ,.!?:'()-_".contains(c));
    if !is_text {
        return false;
    }
    if text.contains(' ') {
        let mut words = text
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty());
        return text.split(' ').count() > 1
            && words.any(|word| word.len() > 3 && names.judge(word.as_bytes()) != Verdict::Harmless);
    }
    // `SESSION_KEY = "session"`.
    let is_part = || {
        value.len() >= 4
            && name
                .to_ascii_lowercase()
                .windows(value.len())
                .any(|part| part.eq_ignore_ascii_case(value))
    };
    name.eq_ignore_ascii_case(value)
        || (place == Place::Script && is_part())
        || (place == Place::Script && is_field(value, names))
}

/// Whether a value is itself a name, as in a list of names.
pub(super) fn is_name(value: &[u8], names: &Names) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(byte))
        && names.judge(value) != Verdict::Harmless
}

/// Whether a value is itself the name of a field, of several words.
pub(super) fn is_field(value: &[u8], names: &Names) -> bool {
    value.len() <= 40
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(byte))
        && value
            .iter()
            .any(|byte| b"-_".contains(byte) || byte.is_ascii_uppercase())
        && names.judge(value) != Verdict::Harmless
}

/// Evidently no secret: short, a number of few digits, a language, an error's name in capitals.
fn is_plain(value: &[u8]) -> bool {
    let is_error = || {
        value.contains(&b'_')
            && value
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || *byte == b'_')
    };
    let is_locale = || matches!(value, [a, b, b'-' | b'_', c, d] if [a, b, c, d].iter().all(|byte| byte.is_ascii_alphabetic()));
    value.len() <= 3
        || (value.len() <= 5 && is_digits(value))
        || is_locale()
        || is_error()
        || is_in(WORDS, value)
}

/// Reads like words, a sentence, a path, a selector, a number with a project's name: `invalid_grant`, `JIRA-123`.
fn is_wordy(value: &[u8]) -> bool {
    let starts_like_a_place = value.first().is_some_and(|first| b"/.#<(".contains(first));
    let has = |list: &[u8]| value.iter().any(|byte| list.contains(byte));
    let words = || {
        value.split(|byte| b"_-/. ".contains(byte)).all(|part| {
            part.iter().all(u8::is_ascii_lowercase)
                || is_digits(part)
                || part.iter().all(u8::is_ascii_uppercase)
        })
    };
    value.len() < 8
        || starts_like_a_place
        || has(b"(){}<>")
        || value.starts_with(b"http")
        || (has(b"_-/. ") && words())
}

/// Whether a value looks like it was made by chance: letters and digits in turns, as no word or number has them.
pub(super) fn is_random(value: &[u8]) -> bool {
    if value.len() < 8
        || value.len() > (64 << 10)
        || b"/.#<(".contains(&value[0])
        || value.starts_with(b"http")
    {
        return false;
    }
    if !value
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.+/=~:%|$!@*".contains(byte))
    {
        return false;
    }
    // A date with a time.
    if value.len() <= 32
        && value.get(4) == Some(&b'-')
        && value.get(7) == Some(&b'-')
        && is_digits(&value[..4])
    {
        return false;
    }
    value
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(is_random_part)
        || is_uuid(value)
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_random_part(part: &[u8]) -> bool {
    if part.len() < 6 {
        return false;
    }
    let pairs = part.windows(2);
    let turns = pairs
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count();
    let mixed = part.iter().any(u8::is_ascii_lowercase) && part.iter().any(u8::is_ascii_uppercase);
    turns >= 3
        || (turns >= 2 && part.len() >= 16)
        || (turns >= 1 && part.len() >= 20)
        || (mixed && part.len() >= 40)
}

/// Undoes one level of escapes, of whichever kind, for [`super::learned`].
pub(super) fn unescape(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        if let Some((letter, width)) = letter_at(value, at) {
            plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            at += width;
            continue;
        }
        let (byte, width) = match (byte, value.get(at + 1)) {
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(next)) if b"\"'\\`".contains(next) => (*next, 2),
            _ => unescape_at(value, at).unwrap_or((byte, 1)),
        };
        plain.push(byte);
        at += width;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_told_from_words() {
        for random in [
            "hunter2hunter2",
            "s3cr3t-Value.42",
            "0A1B2C3D4E5F6071",
            "abc123def456",
            "4/0AX4XfWh8Qk3",
            "550e8400-e29b-41d4-a716-446655440000",
            "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        ] {
            assert!(is_random(random.as_bytes()), "{random}");
        }
        for word in [
            "ArrowUp",
            "dark-mode",
            "en-US",
            "/checkout",
            "https://",
            "PGRST116",
            "ResourceNotFoundException",
            "2026-01-31T12:00:00Z",
            "12345678",
            "item-12345",
            "getUserNameById",
            "base64url",
            "a b c 1 2 3",
            "https://a1b2c3d4e5.test/",
            "page_2_section_3",
            "invalid_grant",
        ] {
            assert!(!is_random(word.as_bytes()), "{word}");
        }
    }
}
