//! From a file to its entries: finds them, whole or in a file that is damaged, and reads each by itself.
//!
//! The file is walked once, without recursion into what nobody asked for. What is an archive: `{"log": {"entries": […]}}`,
//! also without the `log`; a list of entries; an entry per line; several of these in one file.

use std::fmt;

use super::fields::fields;
use super::read::read_entry_with;
use super::remarks::Remarks;
use super::text;
use crate::exchange::Exchange;
use crate::limits::Limits;

/// Most entries whose reason for being left out is kept.
const MAX_REASONS: usize = 100;

/// Why something is no HAR.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarError {
    /// The file is no HAR.
    #[error("expected an HTTP archive (HAR 1.2), a JSON object with log.entries; found: {found}")]
    NoArchive {
        /// What it is.
        found: String,
    },
    /// An entry is no JSON.
    #[error("expected an entry of an HTTP archive (HAR 1.2), found: {0}")]
    Json(#[from] serde_json::Error),
    /// A response's body is said to be base64 and is not.
    #[error("the response of {url}")]
    Body {
        /// The URL, shortened.
        url: String,
        /// What is wrong with it.
        source: crate::body::NotBase64,
    },
    /// An entry tells of no request.
    #[error("expected an entry with a request that has a URL or a method, found {found}")]
    NoRequest {
        /// What stands there.
        found: &'static str,
    },
}

/// An entry that was left out.
#[derive(Debug)]
pub struct Skipped {
    /// Which one, counted from 0.
    pub index: usize,
    /// Why.
    pub error: HarError,
}

/// What was found in a HAR file.
#[derive(Debug, Default)]
pub struct Archive {
    /// The exchanges, numbered from 1.
    pub exchanges: Vec<Exchange>,
    /// Entries that were left out because they are none: the first hundred of them.
    pub skipped: Vec<Skipped>,
    /// How many entries were left out, for whichever reason.
    pub left_out: usize,
    /// What was left aside or mended in those that were read.
    pub remarks: Remarks,
}

/// What was left out, left aside or mended, in sentences that are each preceded by a blank; nothing if nothing was.
impl fmt::Display for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left_out {
            0 => {}
            1 => formatter.write_str(" 1 entry was left out.")?,
            count => write!(formatter, " {count} entries were left out.")?,
        }
        if let Some(first) = self.skipped.first() {
            write!(
                formatter,
                " The first of them is entry {}: {}.",
                first.index, first.error
            )?;
        }
        self.remarks.fmt(formatter)
    }
}

/// Reads a HAR file, within limits. What is odd in an entry is left aside or mended: see [`Archive::remarks`].
///
/// # Errors
/// [`HarError::NoArchive`] when the file is no HAR at all; an entry that is none is left out instead.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::{Limits, har};
///
/// let text = r#"{"log": {"version": "1.2", "entries": [{
///     "startedDateTime": "2026-01-31T12:00:00Z", "time": 12.5,
///     "request": {"method": "GET", "url": "https://example.org/"},
///     "response": {"status": "200", "content": {"mimeType": "text/plain", "text": "hello"}}
/// }, {"nonsense": true}]}}"#;
/// let archive = har::read_archive(text.as_bytes(), &Limits::default())?;
/// assert_eq!(archive.exchanges[0].response.status, 200);
/// assert_eq!(archive.skipped[0].index, 1);
/// assert!(archive.to_string().ends_with(" Mended: the status (1 entry)."));
/// # Ok::<(), har::HarError>(())
/// ```
pub fn read_archive(file: &[u8], limits: &Limits) -> Result<Archive, HarError> {
    let no_archive = |found: &str| HarError::NoArchive {
        found: found.to_owned(),
    };
    if let Some(kind) = text::binary_kind(file) {
        return Err(no_archive(kind));
    }
    let (text, encoding) = text::decode(file);
    let mut walk = Walk {
        text: &text,
        at: 0,
        limits,
        archive: Archive::default(),
        memory: 0,
        index: 0,
        archives: 0,
        kind: None,
        stopped: false,
    };
    walk.documents();
    if (walk.archives == 0 || walk.stopped) && walk.archive.exchanges.is_empty() {
        return Err(no_archive(walk.kind.unwrap_or_else(|| text::text_kind(&text))));
    }
    let mut archive = walk.archive;
    if let Some(encoding) = encoding {
        archive.remarks.tell(format!("The file was read as {encoding}."));
    }
    if text.ends_with('\0') {
        archive
            .remarks
            .tell("The file ends in zeros, as after a crash.".to_owned());
    }
    if walk.archives > 1 {
        archive.remarks.tell(format!(
            "The file holds {} archives, one after the other.",
            walk.archives
        ));
    }
    Ok(archive)
}

/// Why a walk goes no further.
enum Stop {
    /// The text ends within something.
    Cut,
    /// Here stands what cannot stand here.
    Damage,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// By itself, or in a list that stands by itself.
    Top,
    /// In `log`.
    Log,
    /// In `entries`.
    Entries,
}

/// How much was found at one time.
#[derive(Clone, Copy)]
struct Mark {
    exchanges: usize,
    skipped: usize,
    left_out: usize,
    memory: usize,
    index: usize,
    archives: usize,
}

/// A place in the text, always at a character's border, and what was found so far.
struct Walk<'t> {
    text: &'t str,
    at: usize,
    limits: &'t Limits,
    archive: Archive,
    /// What the exchanges take.
    memory: usize,
    /// The next entry's number.
    index: usize,
    /// How many lists of entries there were.
    archives: usize,
    /// What the file seems to be instead.
    kind: Option<&'static str>,
    /// Whether the file is not whole.
    stopped: bool,
}

impl<'t> Walk<'t> {
    /// Reads one document after the other.
    fn documents(&mut self) {
        loop {
            // Also what separates the texts of RFC 7464, byte order marks between joined files, and zeros at the end.
            let rest = &self.text[self.at..];
            let blank = |c: char| c.is_whitespace() || ",\0\u{1e}\u{feff}".contains(c);
            self.at += rest.len() - rest.trim_start_matches(blank).len();
            let walked = match self.byte() {
                None => return,
                Some(b'{') => self.object(Place::Top).map(drop),
                Some(b'[') => self.list(Place::Top),
                Some(_) => {
                    // Such as a log's own words: another line may hold an entry.
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                    if self.index > 0 {
                        self.archive
                            .remarks
                            .tell("What stands beside the entries is no JSON.".to_owned());
                    }
                    Ok(())
                }
            };
            let (kind, remark) = match walked {
                Ok(()) => continue,
                Err(Stop::Cut) => (
                    "JSON that is cut off",
                    "The file is cut off: what follows its last whole entry is lost.",
                ),
                Err(Stop::Damage) => (
                    "JSON that is damaged",
                    "The file is damaged: what follows its last whole entry was not read.",
                ),
            };
            self.kind.get_or_insert(kind);
            self.archive.remarks.tell(remark.to_owned());
            self.stopped = true;
            return;
        }
    }

    /// An object that may be an archive, a log or an entry. Says whether it was one.
    fn object(&mut self, place: Place) -> Result<bool, Stop> {
        let start = self.at;
        let before = self.mark();
        let mut found = false;
        self.at += 1;
        loop {
            self.skip_blanks();
            match self.byte().ok_or(Stop::Cut)? {
                b'}' => {
                    self.at += 1;
                    return Ok(found);
                }
                b'"' => {}
                _ => return Err(Stop::Damage),
            }
            let key = self.value()?;
            let key = key.get(1..key.len() - 1).unwrap_or_default();
            self.skip_blanks();
            match self.byte().ok_or(Stop::Cut)? {
                b':' => self.at += 1,
                _ => return Err(Stop::Damage),
            }
            self.skip_blanks();
            let value = self.byte().ok_or(Stop::Cut)?;
            let is_list = value == b'[' && (key == "entries" || key == "log" && place == Place::Top);
            let is_log = value == b'{' && key == "log" && place == Place::Top;
            if (is_list || is_log) && found {
                // Of several with one name the last counts.
                self.back_to(before);
            }
            if is_list {
                found = true;
                self.archives += 1;
                self.list(Place::Entries)?;
            } else if is_log {
                found |= self.object(Place::Log)?;
            } else if place == Place::Top && (key == "request" || key == "startedDateTime") {
                self.at = start;
                let entry = self.value()?;
                self.take(entry);
                return Ok(true);
            } else {
                self.kind = self.kind.or(text::json_kind(key));
                self.value()?;
            }
        }
    }

    /// A list of entries, or of objects that may be archives or entries.
    fn list(&mut self, place: Place) -> Result<(), Stop> {
        self.at += 1;
        loop {
            self.skip_blanks();
            match (self.byte().ok_or(Stop::Cut)?, place) {
                (b']', _) => {
                    self.at += 1;
                    return Ok(());
                }
                (b'{', Place::Top) => {
                    let start = self.at;
                    if !self.object(Place::Top)? {
                        self.take(&self.text[start..self.at]);
                    }
                }
                (b'}' | b':', _) => return Err(Stop::Damage),
                _ => {
                    let entry = self.value()?;
                    self.take(entry);
                }
            }
        }
    }

    /// Reads an entry, if there is room for it.
    fn take(&mut self, json: &str) {
        let index = self.index;
        self.index += 1;
        let archive = &mut self.archive;
        if archive.exchanges.len() >= self.limits.exchanges || self.memory >= self.limits.capture {
            archive.left_out += 1;
            return;
        }
        archive.remarks.next_entry();
        let before = archive.exchanges.last().map(|exchange| exchange.started);
        match read_entry_with(json, self.limits, &mut archive.remarks, before) {
            Ok(mut exchange) => {
                exchange.number = archive.exchanges.len() as u64 + 1;
                self.memory += exchange.footprint();
                archive.exchanges.push(exchange);
            }
            Err(error) => {
                archive.left_out += 1;
                if archive.skipped.len() < MAX_REASONS {
                    archive.skipped.push(Skipped { index, error });
                }
            }
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            exchanges: self.archive.exchanges.len(),
            skipped: self.archive.skipped.len(),
            left_out: self.archive.left_out,
            memory: self.memory,
            index: self.index,
            archives: self.archives,
        }
    }

    /// Forgets the entries that came after a mark.
    fn back_to(&mut self, mark: Mark) {
        self.archive.exchanges.truncate(mark.exchanges);
        self.archive.skipped.truncate(mark.skipped);
        self.archive.left_out = mark.left_out;
        (self.memory, self.index, self.archives) = (mark.memory, mark.index, mark.archives);
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes over white space and commas.
    fn skip_blanks(&mut self) {
        while self.byte().is_some_and(|byte| b" \t\r\n,".contains(&byte)) {
            self.at += 1;
        }
    }

    /// Goes over a value: a string, what stands in brackets, or all up to the next separator.
    fn value(&mut self) -> Result<&'t str, Stop> {
        let text = self.text;
        let bytes = text.as_bytes();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.byte().ok_or(Stop::Cut)? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(Stop::Damage)?;
                    self.at += 1;
                }
                _ => {
                    let is_end = |byte: &u8| match depth {
                        0 => b",:]}{[\" \t\r\n".contains(byte),
                        _ => b"{}[]\"".contains(byte),
                    };
                    let rest = &bytes[self.at..];
                    let length = rest.iter().position(is_end).unwrap_or(rest.len());
                    if length == 0 {
                        return Err(Stop::Damage);
                    }
                    self.at += length;
                }
            }
            if depth == 0 {
                return Ok(&text[start..self.at]);
            }
        }
    }

    /// Goes over a string in quotes.
    fn string(&mut self) -> Result<(), Stop> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let found = memchr::memchr2(b'"', b'\\', rest).ok_or(Stop::Cut)?;
            self.at += found + 1;
            if rest[found] == b'"' {
                return Ok(());
            }
            // What is escaped is ASCII, or damage: the place must stay at a character's border.
            self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        }
    }
}

/// Reads one entry, such as `chrome.devtools.network` gives, within limits. Its number is 0.
///
/// # Errors
/// A [`HarError`] that tells what is missing or wrong.
pub fn read_entry(json: &str, limits: &Limits) -> Result<Exchange, HarError> {
    read_entry_with(json.trim(), limits, &mut Remarks::default(), None)
}

/// What a JSON text is, for people.
pub(super) fn kind_of(json: &str) -> &'static str {
    match json.bytes().next() {
        Some(b'{') if fields(json, ["request"]).is_ok_and(|[request]| request.is_some()) => {
            "one whose request has neither"
        }
        Some(b'{') => "an object without a request",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "true or false",
        _ => "a number",
    }
}
