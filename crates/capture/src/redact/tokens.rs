//! Tokens that are known by their look, wherever they stand: JSON Web Tokens, and those whose prefix says whose they are.
//!
//! The prefixes are those that their issuers publish, so that scanners of repositories find them.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::learned::Found;
use super::syntax::position;
use super::text::{Kind, Lexicon};
use super::value::is_random;

/// Base64 that may have been cut.
pub(super) const STANDARD_LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A kind of token.
struct Shape {
    prefix: &'static str,
    /// Fewest bytes after the prefix.
    least: usize,
    rest: Rest,
}

/// What stands after a prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Letters, digits, `-` and `_`.
    Word,
    /// These and `.`.
    Dotted,
    /// Capitals and digits.
    Capitals,
    /// Hexadecimal digits.
    Hex,
    /// What looks like chance among letters, digits, `-` and `_`.
    Random,
    /// The second part of a JSON Web Token or a JWE, and those after it.
    WebToken,
    /// The scheme of a URL is before this: what stands before an `@`.
    UserInfo,
    /// Credentials after a scheme: base64 with a colon in it.
    Basic,
    /// Credentials after a scheme.
    Bearer,
    /// A PEM block: to its end.
    Pem,
    /// The path of a URL that is a secret as a whole.
    Path,
}

const fn shape(prefix: &'static str, least: usize, rest: Rest) -> Shape {
    Shape { prefix, least, rest }
}

const SHAPES: &[Shape] = &[
    shape("eyJ", 7, Rest::WebToken),
    shape("://", 1, Rest::UserInfo),
    shape("basic ", 6, Rest::Basic),
    shape("bearer ", 8, Rest::Bearer),
    shape("bearer%20", 8, Rest::Bearer),
    shape("-----BEGIN", 20, Rest::Pem),
    // GitHub.
    shape("ghp_", 20, Rest::Word),
    shape("gho_", 20, Rest::Word),
    shape("ghu_", 20, Rest::Word),
    shape("ghs_", 20, Rest::Word),
    shape("ghr_", 20, Rest::Word),
    shape("github_pat_", 20, Rest::Word),
    // GitLab.
    shape("glpat-", 16, Rest::Dotted),
    shape("gldt-", 16, Rest::Dotted),
    shape("glrt-", 16, Rest::Dotted),
    shape("glcbt-", 16, Rest::Dotted),
    shape("glptt-", 16, Rest::Dotted),
    shape("glft-", 16, Rest::Dotted),
    shape("gloas-", 16, Rest::Dotted),
    // Slack.
    shape("xoxb-", 10, Rest::Word),
    shape("xoxp-", 10, Rest::Word),
    shape("xoxa-", 10, Rest::Word),
    shape("xoxc-", 10, Rest::Word),
    shape("xoxd-", 10, Rest::Dotted),
    shape("xoxe-", 10, Rest::Word),
    shape("xoxe.", 10, Rest::Dotted),
    shape("xoxo-", 10, Rest::Word),
    shape("xoxr-", 10, Rest::Word),
    shape("xoxs-", 10, Rest::Word),
    shape("xapp-", 10, Rest::Word),
    shape("hooks.slack.com/services/", 20, Rest::Path),
    // Stripe.
    shape("sk_live_", 10, Rest::Word),
    shape("sk_test_", 10, Rest::Word),
    shape("rk_live_", 10, Rest::Word),
    shape("rk_test_", 10, Rest::Word),
    shape("whsec_", 16, Rest::Word),
    // OpenAI, Anthropic and others who write alike; the words of a class name are no chance.
    shape("sk-", 20, Rest::Random),
    shape("gsk_", 20, Rest::Random),
    shape("r8_", 20, Rest::Random),
    shape("pplx-", 20, Rest::Random),
    shape("nvapi-", 20, Rest::Random),
    shape("hf_", 20, Rest::Random),
    // Amazon, Alibaba, Tencent.
    shape("AKIA", 16, Rest::Capitals),
    shape("ASIA", 16, Rest::Capitals),
    shape("LTAI", 12, Rest::Random),
    // Google, Facebook.
    shape("AIza", 30, Rest::Word),
    shape("ya29.", 10, Rest::Dotted),
    shape("1//0", 20, Rest::Random),
    shape("GOCSPX-", 20, Rest::Word),
    shape("EAAC", 20, Rest::Random),
    shape("EAAB", 20, Rest::Random),
    // Packages and builds.
    shape("npm_", 20, Rest::Random),
    shape("pypi-", 16, Rest::Random),
    shape("rubygems_", 20, Rest::Hex),
    shape("dckr_pat_", 16, Rest::Word),
    shape("dop_v1_", 20, Rest::Hex),
    shape("doo_v1_", 20, Rest::Hex),
    shape("dor_v1_", 20, Rest::Hex),
    shape("ATATT3x", 20, Rest::Word),
    shape("ATCTT3x", 20, Rest::Word),
    shape("ATBB", 20, Rest::Random),
    // Shops, mail, payment.
    shape("shpat_", 20, Rest::Hex),
    shape("shpca_", 20, Rest::Hex),
    shape("shppa_", 20, Rest::Hex),
    shape("shpss_", 20, Rest::Hex),
    shape("SG.", 30, Rest::Dotted),
    shape("xkeysib-", 30, Rest::Word),
    shape("sq0atp-", 16, Rest::Word),
    shape("sq0csp-", 16, Rest::Word),
    // Infrastructure.
    shape("hvs.", 20, Rest::Word),
    shape("hvb.", 20, Rest::Word),
    shape("glsa_", 20, Rest::Word),
    shape("glc_", 20, Rest::Random),
    shape("dapi", 30, Rest::Hex),
    shape("dp.pt.", 20, Rest::Word),
    shape("lin_api_", 20, Rest::Word),
    shape("ntn_", 20, Rest::Random),
    shape("figd_", 20, Rest::Word),
    shape("PMAK-", 20, Rest::Word),
    shape("NRAK-", 20, Rest::Capitals),
    shape("sntrys_", 20, Rest::Word),
    shape("sntryu_", 20, Rest::Hex),
    shape("sbp_", 20, Rest::Hex),
    shape("phx_", 20, Rest::Random),
    shape("pul-", 30, Rest::Hex),
    shape("ops_ey", 20, Rest::Word),
    shape("AGE-SECRET-KEY-1", 30, Rest::Capitals),
    shape("tskey-", 16, Rest::Word),
    shape("discord.com/api/webhooks/", 20, Rest::Path),
    shape("discordapp.com/api/webhooks/", 20, Rest::Path),
    shape("api.telegram.org/bot", 20, Rest::Path),
];

/// All prefixes, in the order of their numbers.
pub(super) fn prefixes() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().map(|shape| shape.prefix)
}

/// The tokens of one text. It remembers what it has refused, so that a run of prefixes is gone through once.
pub(super) struct Tokens {
    /// For each shape, where the last run of bytes ends that was no such token: no part of it is one either.
    refused: Vec<usize>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            refused: vec![0; SHAPES.len()],
        }
    }

    /// The part to take out at a prefix, found in any case at `start..end`; `None` if it is no token.
    pub(super) fn at(
        &mut self,
        data: &[u8],
        number: usize,
        start: usize,
        end: usize,
        lexicon: Lexicon<'_>,
    ) -> Option<(usize, usize)> {
        let (shape, refused) = (SHAPES.get(number)?, self.refused.get_mut(number)?);
        if start < *refused {
            return None;
        }
        let is_exact = &data[start..end] == shape.prefix.as_bytes();
        let is_part: fn(u8) -> bool = match shape.rest {
            Rest::UserInfo => return user_info(data, end),
            Rest::Pem if is_exact => return pem(data, end),
            Rest::Pem => return None,
            Rest::Word | Rest::Random | Rest::WebToken => is_word,
            Rest::Dotted => is_dotted,
            Rest::Capitals => |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Rest::Hex => |byte| byte.is_ascii_hexdigit(),
            Rest::Basic | Rest::Bearer => is_base64,
            Rest::Path => |byte| is_dotted(byte) || b"/:".contains(&byte),
        };
        let is_by_scheme = matches!(shape.rest, Rest::Basic | Rest::Bearer | Rest::Path);
        let may_start = shape.rest == Rest::WebToken || is_start(data, start);
        if !(is_by_scheme || is_exact && may_start) {
            return None;
        }
        let last = position(data, end, |byte| !is_part(byte));
        let is_long = last - end >= shape.least;
        let token = match shape.rest {
            Rest::WebToken => web_token(data, start, last)
                .filter(|_| is_long)
                .or_else(|| encoded_object(data, start, lexicon)),
            Rest::Random => (is_long && is_random(&data[end..last])).then_some((start, last)),
            Rest::Basic => basic(data, end, last),
            Rest::Bearer => {
                let is_random = is_long && is_random(data[end..last].trim_ascii_end());
                (is_random || last - end >= 16).then_some((end, last))
            }
            Rest::Path => is_long.then_some((end, last)),
            _ => is_long.then_some((start, last)),
        };
        if token.is_none() {
            *refused = last;
        }
        token
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_dotted(byte: u8) -> bool {
    is_word(byte) || byte == b'.'
}

fn is_base64(byte: u8) -> bool {
    is_word(byte) || b".~+/=%".contains(&byte)
}

/// Whether a token may start here: not within a word, except after an escape.
fn is_start(data: &[u8], at: usize) -> bool {
    let Some(&before) = at.checked_sub(1).and_then(|before| data.get(before)) else {
        return true;
    };
    let escape = |width: usize, mark: u8| at >= width && data[at - width] == mark;
    !is_word(before)
        || escape(3, b'%')
        || escape(2, b'\\')
        || escape(6, b'\\')
        || before == b'_'
        || before == b'-'
}

/// Three parts in base64url of a JWT, or five of a JWE, the first of which is a JSON object and ends at `last`.
fn web_token(data: &[u8], start: usize, mut last: usize) -> Option<(usize, usize)> {
    let mut parts = 1;
    while parts < 5 && data.get(last) == Some(&b'.') {
        last = position(data, last + 1, |byte| !is_word(byte));
        parts += 1;
    }
    (parts >= 3).then_some((start, last))
}

/// JSON in base64 that has a secret in it.
fn encoded_object(data: &[u8], start: usize, lexicon: Lexicon<'_>) -> Option<(usize, usize)> {
    // Its `+`, `/` and `=` may be percent-encoded.
    let end = position(data, start, |byte| !(is_word(byte) || b"+/=%".contains(&byte)));
    let text = crate::url::decode(std::str::from_utf8(&data[start..end]).ok()?);
    let text: String = text.chars().filter(|c| *c != '=').collect();
    let text = text.replace('-', "+").replace('_', "/");
    // One that was cut ends anywhere.
    let whole = text.len() - usize::from(text.len() % 4 == 1);
    let object = STANDARD_LENIENT.decode(text.get(..whole)?).ok()?;
    super::text::redact(&object, Kind::Json, lexicon, &mut Found::default()).map(|_| (start, end))
}

/// What stands before the `@` of an authority; `at` is after the `://`.
fn user_info(data: &[u8], at: usize) -> Option<(usize, usize)> {
    let limit = data.len().min(at + 1024);
    let end = data[at..limit]
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || b"/?#\"'`<>\\".contains(byte))
        .map_or(limit, |found| at + found);
    let host = memchr::memrchr(b'@', &data[at..end])?;
    (host > 0 && &data[at..at + host] != super::PLACEHOLDER.as_bytes()).then_some((at, at + host))
}

/// `Basic` and base64 of a text with a colon.
fn basic(data: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let pair = super::header::basic_pair(&data[start..end])?;
    pair.contains(&b':').then_some((start, end))
}

/// A private key, from the line after BEGIN up to END.
fn pem(data: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = data.get(at..data.len().min(at + 64))?;
    let dashes = memchr::memmem::find(line, b"-----")?;
    memchr::memmem::find(&line[..dashes], b"PRIVATE KEY")?;
    let start = at + dashes + 5;
    let end = position(data, start, |byte| byte == b'-' || byte == b'"' || byte == b'<');
    (end - start >= 20).then_some((start, end))
}
