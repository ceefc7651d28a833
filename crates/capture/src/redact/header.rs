//! Headers, by their names.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::PLACEHOLDER;
use super::form;
use super::learned::{Found, Source};
use super::names::Verdict;
use super::text::{Lexicon, redact_text};
use super::url;
use super::value::{Place, is_field, is_placeholder, is_random, is_secret};
use crate::exchange::Header;

/// Headers whose value is a URL.
const URLS: &[&str] = &[
    ":path",
    "content-location",
    "destination",
    "location",
    "origin",
    "referer",
    "sourcemap",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-sourcemap",
];

/// Headers whose name tells of secrets and whose value is none.
const HARMLESS: &[&str] = &[
    "access-control-allow-credentials",
    "authentication-info",
    "cache-key",
    "idempotency-key",
    "public-key-pins",
    "public-key-pins-report-only",
    "sec-websocket-accept",
    "sec-websocket-key",
    "surrogate-key",
    "x-cache-key",
    "x-idempotency-key",
];

/// Headers that are secret though their names do not tell.
const SECRET: &[&str] = &[
    "authentication",
    "cb-access-sign",
    "dpop",
    "x-amzn-oidc-data",
    "x-bapi-sign",
    "x-firebase-appcheck",
    "x-honeycomb-team",
    "x-jfrog-art-api",
    "x-ms-authorization-auxiliary",
    "x-ms-client-principal",
    "x-wsse",
];

/// Takes secrets out of a header's value.
pub(super) fn redact(header: &mut Header, lexicon: Lexicon<'_>, found: &mut Found) {
    let name = header.name.trim().to_ascii_lowercase();
    let value = &header.value;
    let is_one = |list: &[&str]| list.contains(&name.as_str());
    let redacted = match name.as_str() {
        "cookie" | "cookie2" => form::cookies(value, found),
        "set-cookie" | "set-cookie2" => value
            .split('\n')
            .map(|cookie| form::set_cookie(cookie, found))
            .collect::<Vec<_>>()
            .join("\n"),
        "authorization" | "proxy-authorization" => credentials(value, found),
        "sec-websocket-protocol" => protocols(value, lexicon, found),
        "refresh" => refresh(value, lexicon, found),
        _ if is_one(HARMLESS) => return,
        _ if is_one(URLS) => url::redact(value, lexicon, found),
        _ => match verdict(&header.name, &name, lexicon) {
            verdict
                if is_secret(
                    verdict,
                    name.as_bytes(),
                    value.as_bytes(),
                    Place::Parameter,
                    lexicon.names,
                ) =>
            {
                found.add(Source::named(verdict, name.as_bytes()), value.as_bytes());
                PLACEHOLDER.to_owned()
            }
            _ => match redact_text(value, lexicon, found) {
                Some(redacted) => redacted,
                None => return,
            },
        },
    };
    header.value = redacted;
}

/// Headers of applications have fewer kinds of keys than data: any is looked at.
fn verdict(written: &str, name: &str, lexicon: Lexicon<'_>) -> Verdict {
    if SECRET.contains(&name) {
        return Verdict::Secret;
    }
    // Capitals tell of words.
    match lexicon.names.judge(written.as_bytes()) {
        Verdict::Harmless if name.ends_with("-key") || name.ends_with("-auth") => Verdict::Look,
        verdict => verdict,
    }
}

/// The value of an `Authorization` header: its scheme stays.
fn credentials(value: &str, found: &mut Found) -> String {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return value.to_owned();
    }
    let is_scheme = |scheme: &str| {
        scheme.len() <= 24
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && (!is_random(scheme.as_bytes()) || scheme.eq_ignore_ascii_case("AWS4-HMAC-SHA256"))
    };
    let Some((scheme, secret)) = trimmed.split_once(' ').filter(|(scheme, _)| is_scheme(scheme)) else {
        found.add(Source::Credential, value.as_bytes());
        return PLACEHOLDER.to_owned();
    };
    let secret = secret.trim();
    if !is_placeholder(secret.as_bytes()) {
        found.add(Source::Credential, secret.as_bytes());
    }
    if scheme.eq_ignore_ascii_case("basic")
        && let Some(pair) = basic_pair(secret.as_bytes())
        && let Some(colon) = memchr::memchr(b':', &pair)
    {
        found.add(Source::Credential, &pair[colon + 1..]);
    }
    // `Digest response="…"`, `Credential=…, Signature=…`.
    for (_, value) in secret.split(',').filter_map(|part| part.split_once('=')) {
        found.add(Source::Token, value.trim().trim_matches('"').as_bytes());
    }
    format!("{scheme} {PLACEHOLDER}")
}

/// What `Basic` credentials are in plain text.
pub(super) fn basic_pair(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = &text[..text.len() - text.iter().rev().take_while(|byte| **byte == b'=').count()];
    let pair = STANDARD_NO_PAD
        .decode(text)
        .or_else(|_| URL_SAFE_NO_PAD.decode(text))
        .ok()?;
    (!pair.is_empty()).then_some(pair)
}

/// `Sec-WebSocket-Protocol`, in which pages send tokens, as it is the one header that they may choose.
fn protocols(value: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    let mut is_named = false;
    let protocols: Vec<String> = value
        .split(',')
        .map(|protocol| {
            let blanks = protocol.len() - protocol.trim_start().len();
            let text = protocol.trim();
            // `base64url.bearer.authorization.k8s.io.TOKEN`, `access_token.TOKEN`, `token=TOKEN`.
            let named = text
                .char_indices()
                .filter(|(_, c)| ".=:|~".contains(*c))
                .map(|(at, _)| at)
                .filter(|at| is_token_name(&text[..*at], lexicon))
                .map(|at| at + 1)
                .rfind(|start| text.len() - start >= 6);
            let start = match named {
                Some(start) if !is_field(&text.as_bytes()[start..], lexicon.names) => Some(start),
                _ if (is_named && text.len() >= 6) || is_token(text, lexicon) => Some(0),
                _ => None,
            };
            is_named = start.is_none() && is_token_name(text, lexicon);
            match start {
                Some(start) if text.len() > start && !is_placeholder(&text.as_bytes()[start..]) => {
                    found.add(Source::Token, &text.as_bytes()[start..]);
                    format!("{}{}{PLACEHOLDER}", &protocol[..blanks], &text[..start])
                }
                _ => protocol.to_owned(),
            }
        })
        .collect();
    protocols.join(",")
}

/// Whether what comes next is a token.
fn is_token_name(text: &str, lexicon: Lexicon<'_>) -> bool {
    let known = lexicon.names.judge(text.as_bytes()) >= Verdict::Likely;
    known || text.to_ascii_lowercase().ends_with("bearer") || text.ends_with("authorization.k8s.io")
}

fn is_token(text: &str, lexicon: Lexicon<'_>) -> bool {
    (text.len() >= 16
        && is_random(text.as_bytes())
        && lexicon.names.judge(text.as_bytes()) == Verdict::Harmless)
        || text.len() >= 64
}

/// `5; url=…`.
fn refresh(value: &str, lexicon: Lexicon<'_>, found: &mut Found) -> String {
    match value.split_once('=') {
        Some((before, target)) => format!("{before}={}", url::redact(target, lexicon, found)),
        None => redact_text(value, lexicon, found).unwrap_or_else(|| value.to_owned()),
    }
}
