//! A URL: user info, tokens and matrix parameters in the path, parameters of query and fragment.

use super::PLACEHOLDER;
use super::data_url;
use super::form;
use super::learned::{Found, Source};
use super::names::Verdict;
use super::text::{Lexicon, redact_text};
use super::value::{Place, is_placeholder, is_random, is_secret};
use crate::url::Url;

/// Names of path segments after which a token may stand that proves who somebody is.
const BEFORE_TOKENS: &[&str] = &[
    "activate",
    "activation",
    "auth",
    "confirm",
    "invitation",
    "invite",
    "key",
    "login",
    "magic",
    "oauth",
    "optout",
    "recover",
    "reset",
    "session",
    "sessions",
    "share",
    "sid",
    "sso",
    "ticket",
    "unsubscribe",
    "verification",
    "verify",
];

/// Most times that a URL is gone through, until it stays the same.
const MAX_PASSES: usize = 4;

/// Takes secrets out of a URL.
pub(super) fn redact(text: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    if let Some(redacted) = data_url::redact(text, lexicon, found) {
        return redacted;
    }
    // What stands for a secret may change where the parts of an odd URL are seen.
    let mut redacted = once(text, lexicon, found);
    if redacted != text {
        for _ in 1..MAX_PASSES {
            let again = once(&redacted, lexicon, found);
            if again == redacted {
                break;
            }
            redacted = again;
        }
    }
    redacted
}

fn once(text: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    let url = Url::split(text);
    let mut redacted = String::with_capacity(text.len());
    if !url.scheme.is_empty() {
        redacted += url.scheme;
        redacted.push(':');
    }
    if url.has_authority {
        redacted += "//";
    }
    if let Some(user_info) = url.user_info {
        let password = user_info
            .split_once(':')
            .map_or(user_info, |(_, password)| password);
        if !is_placeholder(user_info.as_bytes()) {
            found.add(Source::Credential, password.as_bytes());
        }
        redacted += PLACEHOLDER;
        redacted.push('@');
    }
    redacted += &url.host_and_port();
    redacted += &path(url.path, lexicon, found);
    if let Some(query) = url.query {
        redacted.push('?');
        redacted += &form::query(query, lexicon, found);
    }
    if let Some(fragment) = url.fragment {
        redacted.push('#');
        redacted += &self::fragment(fragment, lexicon, found);
    }
    redact_text(&redacted, lexicon, found).unwrap_or(redacted)
}

/// A fragment, which in single-page applications has a path and a query of its own.
fn fragment(text: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    match text.split_once('?') {
        Some((before, query)) => format!(
            "{}?{}",
            path(before, lexicon, found),
            form::query(query, lexicon, found)
        ),
        None if text.contains('/') && !text.contains('&') => path(text, lexicon, found),
        None => form::query(text, lexicon, found),
    }
}

fn path(text: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut before = "";
    for (index, segment) in text.split('/').enumerate() {
        if index > 0 {
            redacted.push('/');
        }
        for (index, part) in segment.split(';').enumerate() {
            if index > 0 {
                redacted.push(';');
            }
            redacted += &self::part(part, if index == 0 { before } else { "" }, lexicon, found);
        }
        before = segment;
    }
    redacted
}

/// A part of a segment between semicolons, after a segment `before`.
fn part(part: &str, before: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    if let Some((name, value)) = part.split_once('=') {
        let verdict = lexicon.names.judge(name.as_bytes());
        if is_secret(
            verdict,
            name.as_bytes(),
            value.as_bytes(),
            Place::Parameter,
            lexicon.names,
        ) {
            found.add(Source::named(verdict, name.as_bytes()), value.as_bytes());
            return format!("{name}={PLACEHOLDER}");
        }
        return part.to_owned();
    }
    if is_token(part, before, lexicon) {
        found.add(Source::named(Verdict::Secret, before.as_bytes()), part.as_bytes());
        return PLACEHOLDER.to_owned();
    }
    part.to_owned()
}

/// Whether a segment is a token: one of chance after a segment that says so, or one so long that it says so itself.
fn is_token(segment: &str, before: &str, lexicon: Lexicon<'_>) -> bool {
    let bytes = segment.as_bytes();
    if bytes.is_empty() || is_placeholder(bytes) {
        return false;
    }
    let verdict = lexicon.names.judge(before.as_bytes());
    let has = |is: fn(&u8) -> bool| bytes.iter().any(is);
    match verdict {
        Verdict::Added => true,
        // `/password/reset`, `/token/refresh` and `/tokens/v2` are places.
        Verdict::Secret | Verdict::Texts => {
            let is_word = bytes
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || b"-_".contains(byte))
                && bytes.len() <= 24;
            let is_file = segment.contains('.') && !is_random(bytes);
            bytes.len() >= 6 && !is_word && !is_file
        }
        _ => {
            let names_one = verdict != Verdict::Harmless
                || before
                    .split(['-', '_', '.'])
                    .any(|word| BEFORE_TOKENS.iter().any(|name| name.eq_ignore_ascii_case(word)));
            let is_long = bytes.len() >= 32
                && bytes
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_~".contains(byte))
                && has(u8::is_ascii_lowercase)
                && has(u8::is_ascii_uppercase)
                && has(u8::is_ascii_digit)
                && is_random(bytes);
            is_long || (names_one && !segment.contains('.') && bytes.len() >= 12 && is_random(bytes))
        }
    }
}
