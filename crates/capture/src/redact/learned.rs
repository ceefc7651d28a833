//! Values that were found once, to be found again wherever else they appear: a password that a page echoes, a token that
//! moves from a body into a path.
//!
//! Only what looks like a secret is learned, so that no page can have ordinary text taken out by setting a cookie of it.
//! Each source has room of its own: cookies of strangers cannot push out a password. Of too many, the one that was not
//! seen for the longest goes.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::names::Verdict;
use super::value::{is_random, unescape};
use super::{PLACEHOLDER, words::Words};

/// Shortest value that is looked for: a shorter one would be found by chance.
const MIN_LEN: usize = 8;
/// Longest value that is looked for.
const MAX_LEN: usize = 8 << 10;
/// Most values of each source.
const MAX_VALUES: usize = 512;
/// Most bytes of all values of a source.
const MAX_BYTES: usize = 256 << 10;
/// How often a value that is no chance may be found before it is taken for an ordinary text.
const MAX_FINDS: u32 = 200;
/// As many patterns that are new are searched for by themselves, before all are built into one search.
const FRESH: usize = 64;

/// How a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// As a password or in `Authorization`.
    Credential,
    /// By another name, or by its look.
    Token,
    /// As a cookie.
    Cookie,
}

const SOURCES: [Source; 3] = [Source::Credential, Source::Token, Source::Cookie];

impl Source {
    /// That of a value under a name.
    pub(super) fn named(verdict: Verdict, name: &[u8]) -> Self {
        let words = Words::of(name);
        let is_password =
            |word: &[u8]| word.starts_with(b"pass") || word == b"pwd" || word == b"authorization";
        if verdict == Verdict::Added || words.before(words.len()).any(is_password) {
            Self::Credential
        } else {
            Self::Token
        }
    }

    /// Whether a value is worth looking for.
    fn accepts(self, value: &[u8]) -> bool {
        if !(MIN_LEN..=MAX_LEN).contains(&value.len()) {
            return false;
        }
        match self {
            Self::Credential => is_random(value) || is_mixed(value),
            Self::Token => is_random(value) || (value.len() >= 12 && is_mixed(value) && has_digit(value)),
            Self::Cookie => is_random(value),
        }
    }
}

fn has_digit(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit)
}

/// More than one word of a language: of several kinds of characters, no path, no address, no piece of a program.
fn is_mixed(value: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| usize::from(value.iter().any(is));
    let kinds = has(u8::is_ascii_lowercase)
        + has(u8::is_ascii_uppercase)
        + has(u8::is_ascii_digit)
        + has(|byte| !byte.is_ascii_alphanumeric());
    let distinct = value.iter().collect::<std::collections::BTreeSet<_>>().len();
    let is_place = b"/.#<(".contains(&value[0]) || memchr::memmem::find(value, b"://").is_some();
    let is_program = value.iter().any(|byte| b"(){}[]<>;".contains(byte)) && !has_digit(value);
    let is_words = value
        .split(|byte| b"-_.".contains(byte))
        .all(|part| part.iter().all(u8::is_ascii_lowercase) || part.iter().all(u8::is_ascii_digit));
    kinds >= 2 && distinct >= 5 && !is_place && !is_program && !is_words
}

/// The secrets that a scan took out.
#[derive(Default)]
pub(super) struct Found(Vec<(Source, Vec<u8>)>);

impl Found {
    pub(super) fn add(&mut self, source: Source, value: &[u8]) {
        let value = value.trim_ascii();
        if value.len() >= MIN_LEN.min(4) && value.len() <= 4 * MAX_LEN {
            self.0.push((source, value.to_vec()));
        }
    }
}

#[derive(Clone, Debug)]
struct Value {
    source: Source,
    /// The ways in which it may be written.
    spellings: Vec<Vec<u8>>,
    /// When it was found last.
    used: u64,
    /// How often; 0 and no more for what looks like chance.
    finds: Option<u32>,
}

/// The values of one capture, and the searches for them.
#[derive(Debug, Default)]
pub(super) struct Learned {
    values: HashMap<Vec<u8>, Value>,
    clock: u64,
    /// What is built into `old`, and what came since.
    old: Search,
    fresh: Search,
    fresh_values: Vec<Vec<u8>>,
}

/// A search for spellings of values.
#[derive(Debug, Default)]
struct Search {
    automaton: Option<AhoCorasick>,
    /// Whose spelling each pattern is.
    owners: Vec<Vec<u8>>,
}

impl Search {
    fn build<'a>(values: impl Iterator<Item = (&'a Vec<u8>, &'a Value)>) -> Self {
        let mut patterns: Vec<(&[u8], &Vec<u8>)> = values
            .flat_map(|(key, value)| {
                value
                    .spellings
                    .iter()
                    .map(move |spelling| (spelling.as_slice(), key))
            })
            .collect();
        // The order decides nothing but must not change.
        patterns.sort_unstable();
        patterns.dedup_by_key(|(pattern, _)| *pattern);
        if patterns.is_empty() {
            return Self::default();
        }
        Self {
            // One within another goes with it.
            automaton: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(patterns.iter().map(|(pattern, _)| pattern))
                .ok(),
            owners: patterns.into_iter().map(|(_, key)| key.clone()).collect(),
        }
    }
}

impl Learned {
    /// How many values are looked for.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Remembers what was found, in the spellings in which it may come again.
    pub(super) fn learn(&mut self, found: Found) {
        self.clock += 1;
        let mut is_new = false;
        for (source, written) in found.0 {
            let text = String::from_utf8_lossy(&written).into_owned();
            let decoded = crate::url::decode(&text).into_bytes();
            for value in [unescape(&written), decoded, written] {
                is_new |= self.add(source, value);
            }
        }
        if is_new {
            self.make_room();
            self.rebuild();
        }
    }

    fn add(&mut self, source: Source, value: Vec<u8>) -> bool {
        if let Some(known) = self.values.get_mut(&value) {
            known.used = self.clock;
            // What was a cookie and is a password stays longer.
            if source == Source::Credential {
                known.source = source;
            }
            return false;
        }
        if !source.accepts(&value) || memchr::memmem::find(&value, PLACEHOLDER.as_bytes()).is_some() {
            return false;
        }
        let known = Value {
            source,
            spellings: spellings(&value, source == Source::Credential),
            used: self.clock,
            finds: (!is_random(&value)).then_some(0),
        };
        self.fresh_values.push(value.clone());
        self.values.insert(value, known);
        true
    }

    fn make_room(&mut self) {
        for source in SOURCES {
            let of = |values: &HashMap<Vec<u8>, Value>| {
                let mut of: Vec<(u64, Vec<u8>)> = values
                    .iter()
                    .filter(|(_, value)| value.source == source)
                    .map(|(key, value)| (value.used, key.clone()))
                    .collect();
                of.sort_unstable();
                of
            };
            let count = self
                .values
                .values()
                .filter(|value| value.source == source)
                .count();
            let bytes: usize = self
                .values
                .iter()
                .filter(|(_, value)| value.source == source)
                .map(|(key, _)| key.len())
                .sum();
            if count <= MAX_VALUES && bytes <= MAX_BYTES {
                continue;
            }
            // An eighth more, so that not each new one costs a round.
            let (mut count, mut bytes) = (count, bytes);
            for (_, key) in of(&self.values) {
                if count <= MAX_VALUES / 8 * 7 && bytes <= MAX_BYTES / 8 * 7 {
                    break;
                }
                count -= 1;
                bytes -= key.len();
                self.values.remove(&key);
            }
            self.old = Search::default();
        }
    }

    fn rebuild(&mut self) {
        let patterns: usize = self
            .fresh_values
            .iter()
            .filter_map(|key| self.values.get(key))
            .map(|value| value.spellings.len())
            .sum();
        if patterns > FRESH || self.old.automaton.is_none() {
            self.fresh_values.clear();
            self.fresh = Search::default();
            self.old = Search::build(self.values.iter());
        } else {
            let fresh = self
                .fresh_values
                .iter()
                .filter_map(|key| self.values.get_key_value(key));
            self.fresh = Search::build(fresh);
        }
    }

    /// Whether a value is in a text.
    pub(super) fn is_in(&self, data: &[u8]) -> bool {
        [&self.old, &self.fresh]
            .into_iter()
            .filter_map(|search| search.automaton.as_ref())
            .any(|automaton| automaton.is_match(data))
    }

    /// The text without any value; `None` when there is none in it.
    pub(super) fn redact(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let once = self.redact_by(data, false);
        let text = once.as_deref().unwrap_or(data);
        self.redact_by(text, true).or(once)
    }

    fn redact_by(&mut self, data: &[u8], fresh: bool) -> Option<Vec<u8>> {
        let search = if fresh { &self.fresh } else { &self.old };
        let automaton = search.automaton.as_ref()?;
        let mut redacted = Vec::new();
        let mut from = 0;
        for found in automaton.find_iter(data) {
            let owner = &search.owners[found.pattern().as_usize()];
            let Some(value) = self.values.get_mut(owner) else {
                continue;
            };
            if let Some(finds) = &mut value.finds {
                // A text that stands everywhere is no secret, and a page must not hide behind it.
                if *finds >= MAX_FINDS || !stands_alone(data, found.start(), found.end()) {
                    continue;
                }
                *finds += 1;
            }
            value.used = self.clock;
            redacted.extend_from_slice(&data[from..found.start()]);
            redacted.extend_from_slice(PLACEHOLDER.as_bytes());
            from = found.end();
        }
        if from == 0 {
            return None;
        }
        redacted.extend_from_slice(&data[from..]);
        Some(redacted)
    }
}

/// Whether no letter or digit stands directly before and after; within a word, words are found by chance.
fn stands_alone(data: &[u8], start: usize, end: usize) -> bool {
    let is_part = |at: Option<&u8>| at.is_some_and(u8::is_ascii_lowercase);
    let before = start.checked_sub(1).and_then(|before| data.get(before));
    !(is_part(before)
        && data[start].is_ascii_lowercase()
        && is_part(data.get(end))
        && data[end - 1].is_ascii_lowercase())
}

/// A value as it may stand in texts, URLs, forms, JSON, HTML and base64.
fn spellings(value: &[u8], is_credential: bool) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(value);
    let json = serde_json::to_string(&text).unwrap_or_default();
    let json = json.trim_matches('"');
    let html = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let mut spellings: Vec<Vec<u8>> = vec![
        value.to_vec(),
        percent_encode(value, b"-_.~", false),
        // What `encodeURIComponent` leaves, and forms.
        percent_encode(value, b"-_.~!'()*", false),
        percent_encode(value, b"-_.*", true),
        percent_encode(value, b"-_.~", true),
        json.as_bytes().to_vec(),
        json.replace('/', "\\/").into_bytes(),
        ascii_json(&text).into_bytes(),
        html.replace('\'', "&#39;").into_bytes(),
        html.replace('\'', "&#x27;").into_bytes(),
        html.into_bytes(),
    ];
    let lower: Vec<Vec<u8>> = spellings[1..5]
        .iter()
        .map(|spelling| lower_escapes(spelling))
        .collect();
    spellings.extend(lower);
    // Within something longer, base64 starts at one of three places in a group.
    for offset in 0..if is_credential { 3 } else { 1 } {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(value);
        // A group that is shared with what stands before or after is left out.
        let skip = [0, 2, 3][offset];
        let full = padded.len() / 3 * 4 + [0, 1, 2][padded.len() % 3];
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            spellings.extend(encoded.get(skip..full).map(|part| part.as_bytes().to_vec()));
        }
    }
    spellings.sort_unstable();
    spellings.dedup();
    spellings.retain(|spelling| spelling.len() >= MIN_LEN);
    spellings
}

fn percent_encode(bytes: &[u8], unreserved: &[u8], plus: bool) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || unreserved.contains(&byte) {
            encoded.push(byte);
        } else if plus && byte == b' ' {
            encoded.push(b'+');
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded
}

/// `%3A` as `%3a`.
fn lower_escapes(text: &[u8]) -> Vec<u8> {
    let mut lower = text.to_vec();
    for at in 0..lower.len().saturating_sub(2) {
        if lower[at] == b'%' {
            lower[at + 1..at + 3].make_ascii_lowercase();
        }
    }
    lower
}

/// JSON in which everything beyond ASCII is an escape.
fn ascii_json(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    let escape = |unit: u16| match u8::try_from(unit).ok().filter(u8::is_ascii) {
        Some(byte) => char::from(byte).to_string(),
        None => format!("\\u{unit:04x}"),
    };
    json.trim_matches('"').encode_utf16().map(escape).collect()
}
