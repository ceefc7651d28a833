//! JSON lines: one exchange per line, as the guest reads them from a virtio-serial port.
//!
//! `schema/capture-v1.schema.json` describes a line. A reader must pass over types and fields that it does not know;
//! what changes the meaning of those that it knows raises [`VERSION`]. Control characters never appear raw, so that
//! `cat` on a terminal shows nothing but text.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::exchange::Exchange;

/// Version of the lines' schema.
pub const VERSION: u32 = 1;

/// Longest line, in bytes, that [`read`] takes.
pub const MAX_LINE: usize = 64 << 20;

/// Longest id of a capture, in bytes.
pub const MAX_CAPTURE_ID: usize = 64;

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// An exchange of a capture.
    Exchange {
        /// The capture's id.
        capture: String,
        /// The exchange.
        exchange: Box<Exchange>,
    },
    /// Exchanges that did not find room in the queue are missing here.
    Gap {
        /// How many.
        dropped: u64,
    },
}

/// Why a line is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is too long.
    #[error("expected a line of at most {MAX_LINE} bytes, found {found}")]
    TooLong {
        /// How long it is.
        found: usize,
    },
    /// It is no JSON object of the schema.
    #[error("expected a line of capture-v1.schema.json, found: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("expected version {VERSION} of the capture's lines, found {found}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// The capture's id is too long.
    #[error("expected a capture id of at most {MAX_CAPTURE_ID} bytes, found {found}")]
    CaptureId {
        /// How long it is.
        found: usize,
    },
}

/// What every line starts with.
#[derive(Serialize, Deserialize)]
struct Head {
    v: u32,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Exchange,
    Gap,
}

#[derive(Serialize)]
struct ExchangeLine<'a> {
    #[serde(flatten)]
    head: Head,
    #[serde(flatten)]
    exchange: &'a Exchange,
}

/// Writes an exchange as a line.
///
/// # Errors
/// Those of `writer`.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::{Exchange, jsonl};
///
/// let mut line = Vec::new();
/// jsonl::write_exchange(&mut line, "c1", &Exchange::default())?;
/// assert!(line.starts_with(br#"{"v":1,"type":"exchange","capture":"c1","number":0,"#));
/// assert!(line.ends_with(b"}\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_exchange(writer: impl Write, capture: &str, exchange: &Exchange) -> io::Result<()> {
    let head = Head {
        v: VERSION,
        kind: Kind::Exchange,
        capture: Some(capture.to_owned()),
        dropped: None,
    };
    write(writer, &ExchangeLine { head, exchange })
}

/// Writes a line that tells how many exchanges are missing.
///
/// # Errors
/// Those of `writer`.
pub fn write_gap(writer: impl Write, dropped: u64) -> io::Result<()> {
    let head = Head {
        v: VERSION,
        kind: Kind::Gap,
        capture: None,
        dropped: Some(dropped),
    };
    write(writer, &head)
}

/// Whether a line that we wrote tells of missing exchanges.
pub fn is_gap(line: &[u8]) -> bool {
    line.starts_with(br#"{"v":1,"type":"gap""#)
}

fn write(mut writer: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(&mut writer, NoControls);
    value.serialize(&mut serializer).map_err(io::Error::from)?;
    writer.write_all(b"\n")
}

/// Reads a line, with or without its end.
///
/// # Errors
/// A [`LineError`] that tells what is wrong with it.
pub fn read(line: &[u8]) -> Result<Line, LineError> {
    if line.len() > MAX_LINE {
        return Err(LineError::TooLong { found: line.len() });
    }
    let head: Head = serde_json::from_slice(line)?;
    if head.v != VERSION {
        return Err(LineError::Version { found: head.v });
    }
    if head.kind == Kind::Gap {
        return Ok(Line::Gap {
            dropped: head.dropped.unwrap_or(0),
        });
    }
    let capture = head.capture.unwrap_or_default();
    if capture.len() > MAX_CAPTURE_ID {
        return Err(LineError::CaptureId { found: capture.len() });
    }
    Ok(Line::Exchange {
        capture,
        exchange: Box::new(serde_json::from_slice(line)?),
    })
}

/// Whether a terminal might obey this character, or show the text in another order.
pub fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Escapes the control characters beyond ASCII's first 32 too.
struct NoControls;

impl Formatter for NoControls {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut from = 0;
        // All that has to be escaped here starts with one of these bytes.
        if !fragment.bytes().any(|byte| matches!(byte, 0x7f | 0xc2 | 0xe2)) {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        for (at, character) in fragment
            .char_indices()
            .filter(|(_, character)| is_control(*character))
        {
            writer.write_all(&fragment.as_bytes()[from..at])?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            from = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[from..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn line(exchange: &Exchange) -> String {
        let mut line = Vec::new();
        write_exchange(&mut line, "c1", exchange).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn other_versions_are_refused() {
        assert!(matches!(
            read(br#"{"v":2,"type":"gap"}"#),
            Err(LineError::Version { found: 2 })
        ));
        assert!(matches!(
            read(br#"{"v":1,"type":"gap","dropped":3,"new":1}"#),
            Ok(Line::Gap { dropped: 3 })
        ));
    }

    #[test]
    fn gaps_are_told_from_exchanges() {
        let mut gap = Vec::new();
        write_gap(&mut gap, 7).unwrap();
        assert!(is_gap(&gap) && !is_gap(line(&Exchange::default()).as_bytes()));
    }

    #[test]
    fn a_body_of_control_characters_makes_no_long_line() {
        for (body, limit) in [
            ("\u{1}".repeat(100_000), 140_000),
            ("\u{85}".repeat(50_000), 140_000),
            ("\u{202e}".repeat(50_000), 301_000),
            ("\"\\\n".repeat(30_000), 181_000),
            ("text ".repeat(20_000), 101_000),
        ] {
            let mut exchange = Exchange::default();
            exchange.response.body = Some(crate::Body::new("text/plain", body.into_bytes()));
            let line = line(&exchange);
            assert!(line.len() < limit, "{}", line.len());
            let Ok(Line::Exchange { exchange: read, .. }) = read(line.as_bytes()) else {
                panic!("it is not read");
            };
            assert_eq!(*read, exchange);
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = format!("{{\"v\":1,\"type\":\"exchange\",\"x\":{}", "[".repeat(100_000));
        assert!(matches!(read(deep.as_bytes()), Err(LineError::Json(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(exchange in arbitrary::exchange()) {
            let line = line(&exchange);
            let read = read(line.as_bytes()).unwrap();
            prop_assert_eq!(read, Line::Exchange { capture: "c1".to_owned(), exchange: Box::new(exchange) });
        }

        #[test]
        fn no_control_character_is_raw(exchange in arbitrary::exchange()) {
            let line = line(&exchange);
            prop_assert!(!line.trim_end_matches('\n').contains(is_control), "{:?}", line);
        }

        #[test]
        fn any_line_is_read_or_refused(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&line);
        }
    }
}
