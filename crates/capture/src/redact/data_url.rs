//! `data:` URLs (RFC 2397), which have a page, a script or JSON of their own in them: read, gone through, and written anew
//! in the encoding that they had.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PLACEHOLDER;
use super::learned::Found;
use super::syntax::{is_name, position};
use super::text::{self, Kind, Lexicon, Scan};
use super::tokens::STANDARD_LENIENT;

/// What texts are searched for. Pictures and the like have no texts.
pub(super) const STARTS: &[&str] = &[
    "data:,",
    "data:;",
    "data:application/",
    "data:image/svg",
    "data:text/",
];

/// Longest media type with its parameters.
const MAX_TYPE: usize = 256;

/// What stands before the data.
struct Head {
    /// `None` when it is no text.
    kind: Option<Kind>,
    is_base64: bool,
    /// Where the data starts.
    data: usize,
}

impl Scan<'_> {
    /// Takes secrets out of what a `data:` URL at `start` has in it. Gives where it ends.
    pub(super) fn data_url(&mut self, start: usize) -> Option<usize> {
        let data = self.data;
        let head = head(data, start + "data:".len())?;
        let end = position(data, head.data, |byte| {
            byte.is_ascii_whitespace() || byte.is_ascii_control() || b"\"'`<>()\\".contains(&byte)
        });
        // Without escapes, it is read where it stands.
        if !head.is_base64 && memchr::memchr(b'%', &data[head.data..end]).is_none() {
            return None;
        }
        if let Some(anew) = redacted(&data[head.data..end], &head, self.lexicon, self.found) {
            self.replace(head.data, end, anew);
            return Some(end);
        }
        // One within it is not looked at again.
        self.refused = end;
        head.is_base64.then_some(end)
    }
}

/// A `data:` URL without its secrets; `None` if the text is no such URL.
pub(super) fn redact(text: &str, lexicon: Lexicon<'_>, found: &mut Found) -> Option<String> {
    let scheme = text.get(.."data:".len())?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let head = head(text.as_bytes(), scheme.len())?;
    let (before, data) = text.split_at(head.data);
    let anew = redacted(data.as_bytes(), &head, lexicon, found);
    Some(match anew {
        Some(anew) => format!("{before}{}", String::from_utf8_lossy(&anew)),
        None => text.to_owned(),
    })
}

/// Reads `text/html;charset=utf-8;base64,` from `at` on.
fn head(data: &[u8], at: usize) -> Option<Head> {
    let window = &data[at..data.len().min(at + MAX_TYPE)];
    let comma = memchr::memchr(b',', window)?;
    let head = std::str::from_utf8(&window[..comma]).ok()?.to_ascii_lowercase();
    if !head.bytes().all(|byte| is_name(byte) || b"/;=+%".contains(&byte)) {
        return None;
    }
    let (head, is_base64) = head
        .strip_suffix(";base64")
        .map_or((&*head, false), |head| (head, true));
    let mime_type = head.split(';').next().unwrap_or_default();
    let is_text = [
        "text/",
        "json",
        "xml",
        "javascript",
        "ecmascript",
        "x-www-form-urlencoded",
    ];
    let kind = match mime_type {
        // By RFC 2397 it is plain text then.
        "" => Some(Kind::Plain),
        _ if !mime_type.contains('/') => return None,
        _ if is_text.iter().any(|text| mime_type.contains(text)) => super::kind(mime_type),
        _ => None,
    };
    Some(Head {
        kind,
        is_base64,
        data: at + comma + 1,
    })
}

/// The data without its secrets, encoded as it was; `None` when there are none in it.
fn redacted(data: &[u8], head: &Head, lexicon: Lexicon<'_>, found: &mut Found) -> Option<Vec<u8>> {
    let lexicon = lexicon.within()?;
    let plain = crate::url::decode_bytes(data, b'+');
    if !head.is_base64 {
        let redacted = text::redact(&plain, head.kind?, lexicon, found)?;
        let redacted = String::from_utf8_lossy(&redacted);
        let pieces = redacted
            .split(PLACEHOLDER)
            .map(|piece| crate::url::encode(piece, "%20"));
        return Some(pieces.collect::<Vec<_>>().join(PLACEHOLDER).into_bytes());
    }
    let mut base64: Vec<u8> = plain
        .into_iter()
        .filter(|byte| !(byte.is_ascii_whitespace() || *byte == b'='))
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        })
        .collect();
    // One that was cut ends anywhere.
    base64.truncate(base64.len() - usize::from(base64.len() % 4 == 1));
    let plain = STANDARD_LENIENT.decode(base64).ok()?;
    let redacted = text::redact(&plain, head.kind?, lexicon, found)?;
    Some(STANDARD.encode(redacted).into_bytes())
}
