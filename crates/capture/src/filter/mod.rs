//! The language of the filter box, as in DevTools' Network panel.
//!
//! Words are looked for in the URL; `/…/` is a regular expression; `key:value` asks about one property; a `-` in front
//! turns a term around. All terms must hold. Values with blanks stand in quotes.

#[cfg(test)]
mod tests;

use regex_lite::{Regex, RegexBuilder};

use crate::exchange::{Exchange, header};
use crate::url::Url;

/// Longest filter that is understood, in bytes.
const MAX_FILTER: usize = 4096;

/// Why a filter is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It is too long.
    #[error("expected a filter of at most {MAX_FILTER} bytes, found {found}")]
    TooLong {
        /// How long it is.
        found: usize,
    },
    /// A regular expression has a mistake.
    #[error("expected a regular expression between slashes, found /{pattern}/: {reason}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A size is no number.
    #[error("larger-than: expected a size such as 800, 10k or 2M, found {found:?}")]
    Size {
        /// What stands there.
        found: String,
    },
    /// A status is no code.
    #[error("status-code: expected a number such as 404, or a class such as 4xx; found {found:?}")]
    Status {
        /// What stands there.
        found: String,
    },
}

/// The keys that a filter knows, for completion.
pub const KEYS: [&str; 12] = [
    "domain",
    "has-request-header",
    "has-response-header",
    "initiator",
    "larger-than",
    "method",
    "mime-type",
    "priority",
    "resource-type",
    "scheme",
    "status-code",
    "url",
];

/// A filter.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::{Exchange, Filter};
///
/// let filter: Filter = "method:GET -domain:*.example.org /api\\/v[12]/".parse()?;
/// let mut exchange = Exchange::default();
/// exchange.request.method = "GET".to_owned();
/// exchange.request.url = "https://example.com/api/v2/users".to_owned();
/// assert!(filter.matches(&exchange));
/// # Ok::<(), qemuweb_capture::FilterError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// In lower case.
    Text(String),
    Regex(Regex),
    Domain(String),
    HasRequestHeader(String),
    HasResponseHeader(String),
    Initiator(String),
    LargerThan(u64),
    Method(String),
    MimeType(String),
    Priority(String),
    ResourceType(String),
    Scheme(String),
    Status(u16),
    /// The first digit.
    StatusClass(u16),
    Url(String),
}

impl Filter {
    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it lets `exchange` through.
    pub fn matches(&self, exchange: &Exchange) -> bool {
        self.terms
            .iter()
            .all(|term| term.test.matches(exchange) != term.negated)
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_FILTER {
            return Err(FilterError::TooLong { found: text.len() });
        }
        let terms = words(text)
            .into_iter()
            .filter_map(|word| Term::parse(&word).transpose());
        Ok(Self {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }
}

/// Splits at blanks outside of quotes and of regular expressions.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_quotes = false;
    let mut in_regex = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_regex => {
                word.push(character);
                word.extend(characters.next());
            }
            '/' if in_regex => {
                word.push(character);
                in_regex = characters.peek().is_some_and(|next| !next.is_whitespace());
            }
            '"' if !in_regex => in_quotes = !in_quotes,
            blank if blank.is_whitespace() && !in_quotes && !in_regex => {
                words.push(std::mem::take(&mut word))
            }
            '/' if word.is_empty() || word == "-" => {
                // A slash that is not closed is one of a path.
                in_regex = characters.clone().any(|next| next == '/');
                word.push(character);
            }
            _ => word.push(character),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

impl Term {
    fn parse(word: &str) -> Result<Option<Self>, FilterError> {
        let (negated, word) = match word.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let test = if let Some(pattern) = regex(word) {
            Some(Test::Regex(compile(pattern)?))
        } else if let Some((key, value)) = word.split_once(':')
            && KEYS.contains(&key)
        {
            // While a value is still being typed, the term says nothing.
            (!value.is_empty()).then(|| Test::of(key, value)).transpose()?
        } else {
            (!word.is_empty()).then(|| Test::Text(word.to_lowercase()))
        };
        Ok(test.map(|test| Self { negated, test }))
    }
}

fn regex(word: &str) -> Option<&str> {
    word.strip_prefix('/')?
        .strip_suffix('/')
        .filter(|pattern| !pattern.is_empty())
}

fn compile(pattern: &str) -> Result<Regex, FilterError> {
    // In JavaScript's expressions slashes are escaped.
    RegexBuilder::new(&pattern.replace("\\/", "/"))
        .case_insensitive(true)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| FilterError::Regex {
            pattern: pattern.to_owned(),
            reason: error.to_string(),
        })
}

impl Test {
    fn of(key: &str, value: &str) -> Result<Self, FilterError> {
        let lower = value.to_lowercase();
        Ok(match key {
            "domain" => Self::Domain(lower),
            "has-request-header" => Self::HasRequestHeader(lower),
            "has-response-header" => Self::HasResponseHeader(lower),
            "initiator" => Self::Initiator(lower),
            "larger-than" => Self::LargerThan(size(&lower)?),
            "method" => Self::Method(lower),
            "mime-type" => Self::MimeType(lower),
            "priority" => Self::Priority(lower),
            "resource-type" => Self::ResourceType(lower),
            "scheme" => Self::Scheme(lower),
            "status-code" => status(&lower)?,
            _ => Self::Url(lower),
        })
    }

    fn matches(&self, exchange: &Exchange) -> bool {
        let contains =
            |text: Option<&str>, part: &str| text.is_some_and(|text| text.to_lowercase().contains(part));
        let (request, response) = (&exchange.request, &exchange.response);
        match self {
            Self::Text(text) | Self::Url(text) => contains(Some(&request.url), text),
            Self::Regex(regex) => regex.is_match(&request.url),
            Self::Domain(pattern) => wildcard(pattern, &Url::split(&request.url).host.to_lowercase()),
            Self::HasRequestHeader(name) => header(&request.headers, name).is_some(),
            Self::HasResponseHeader(name) => header(&response.headers, name).is_some(),
            Self::Initiator(text) => contains(exchange.initiator.as_deref(), text),
            Self::LargerThan(bytes) => size_of_response(exchange) > *bytes,
            Self::Method(method) => request.method.eq_ignore_ascii_case(method),
            Self::MimeType(pattern) => wildcard(pattern, &exchange.mime_type()),
            Self::Priority(priority) => exchange
                .priority
                .as_ref()
                .is_some_and(|found| found.eq_ignore_ascii_case(priority)),
            Self::ResourceType(kind) => exchange
                .resource_type
                .as_ref()
                .is_some_and(|found| found.eq_ignore_ascii_case(kind)),
            Self::Scheme(scheme) => Url::split(&request.url).scheme.eq_ignore_ascii_case(scheme),
            Self::Status(code) => response.status == *code,
            Self::StatusClass(digit) => response.status / 100 == *digit,
        }
    }
}

/// What came over the network, or the body's size where the browser does not tell.
fn size_of_response(exchange: &Exchange) -> u64 {
    let response = &exchange.response;
    response
        .transfer_size
        .or(response.body.as_ref().map(|body| body.size))
        .unwrap_or(0)
}

fn size(text: &str) -> Result<u64, FilterError> {
    let wrong = || FilterError::Size {
        found: text.to_owned(),
    };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &text[digits.len()..] {
        "" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

fn status(text: &str) -> Result<Test, FilterError> {
    let wrong = || FilterError::Status {
        found: text.to_owned(),
    };
    match text.strip_suffix("xx") {
        Some(digit) => Ok(Test::StatusClass(
            digit.parse().ok().filter(|digit| *digit < 10).ok_or_else(wrong)?,
        )),
        None => Ok(Test::Status(text.parse().map_err(|_| wrong())?)),
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any characters.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(found) = rest.find(part) else {
            return false;
        };
        rest = &rest[found + part.len()..];
    }
    rest.ends_with(last)
}
