//! The body of a request, a response or a WebSocket message: bytes, how many there were, and how many are kept.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::jsonl::is_control;

/// Takes base64 whose last character has bits to spare, which some writers do not clear.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// A body. In JSON it is text if it is UTF-8 whose escapes make it at most twice as long, and base64 otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The media type with its parameters; empty when unknown.
    pub mime_type: String,
    /// How many bytes the body has.
    pub size: u64,
    /// Its first bytes, or all of them; `None` when the browser did not give it.
    pub data: Option<Vec<u8>>,
}

/// A text that was said to be base64 is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a body in base64, found {reason}")]
pub struct NotBase64 {
    /// What is wrong with it.
    pub reason: String,
}

impl Body {
    /// A whole body.
    pub fn new(mime_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        Self {
            mime_type: mime_type.into(),
            size: data.len() as u64,
            data: Some(data),
        }
    }

    /// A body of which only the size is known.
    pub fn unknown(mime_type: impl Into<String>, size: u64) -> Self {
        Self {
            mime_type: mime_type.into(),
            size,
            data: None,
        }
    }

    /// A whole body of text, of which at most `limit` bytes are kept.
    pub(crate) fn from_text(mime_type: impl Into<String>, text: &str, limit: usize) -> Self {
        let bytes = text.as_bytes();
        Self {
            mime_type: mime_type.into(),
            size: bytes.len() as u64,
            data: Some(bytes[..bytes.len().min(limit)].to_vec()),
        }
    }

    /// A body whose bytes are given in base64, as `getContent` and HAR do; at most `limit` bytes of it are kept. White
    /// space, the alphabet for URLs and missing padding do not matter.
    ///
    /// # Errors
    /// [`NotBase64`] when they are not.
    pub fn from_base64(mime_type: impl Into<String>, text: &str, limit: usize) -> Result<Self, NotBase64> {
        // Whole groups of four characters, so that nothing beyond the limit is decoded.
        let most = limit.div_ceil(3).saturating_mul(4);
        let mut kept = Vec::with_capacity(text.len().min(most));
        let mut count = 0;
        for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
            // What pads the end.
            if byte == b'=' {
                continue;
            }
            count += 1;
            if kept.len() < most {
                kept.push(match byte {
                    b'-' => b'+',
                    b'_' => b'/',
                    byte => byte,
                });
            }
        }
        let size = count / 4 * 3 + [0, 0, 1, 2][count % 4];
        let mut data = LENIENT.decode(&kept).map_err(|error| NotBase64 {
            reason: error.to_string(),
        })?;
        data.truncate(limit);
        Ok(Self {
            mime_type: mime_type.into(),
            size: size as u64,
            data: Some(data),
        })
    }

    /// The bytes that are kept.
    pub fn bytes(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    /// The bytes that are kept as text, if they are UTF-8. A character that was cut in two at the end is left out.
    pub fn text(&self) -> Option<&str> {
        let data = self.data.as_deref()?;
        match std::str::from_utf8(data) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() && self.is_cut() => {
                std::str::from_utf8(&data[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }

    /// Whether there were more bytes than are kept.
    pub fn is_cut(&self) -> bool {
        self.data
            .as_ref()
            .is_some_and(|data| (data.len() as u64) < self.size)
    }

    /// Keeps no more than `limit` bytes. Says whether that took some away.
    pub fn limit(&mut self, limit: usize) -> bool {
        let Some(data) = self.data.as_mut().filter(|data| data.len() > limit) else {
            return false;
        };
        data.truncate(limit);
        data.shrink_to_fit();
        true
    }

    /// Replaces the bytes by others.
    pub(crate) fn replace(&mut self, data: Vec<u8>) {
        let len = data.len() as u64;
        self.size = if self.is_cut() {
            self.size.max(len + 1)
        } else {
            len
        };
        self.data = Some(data);
    }

    /// Roughly how many bytes of memory this takes.
    pub(crate) fn footprint(&self) -> usize {
        size_of::<Self>() + self.mime_type.len() + self.bytes().len()
    }
}

/// A [`Body`] in JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    #[serde(default, borrow)]
    mime_type: Cow<'a, str>,
    size: u64,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    base64: Option<Cow<'a, str>>,
    /// For readers: whether there were more bytes than these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self
            .data
            .as_deref()
            .and_then(|data| std::str::from_utf8(data).ok())
            .filter(|text| escaped_length(text) <= 2 * text.len());
        let base64 = self.data.as_deref().filter(|_| text.is_none());
        Json {
            mime_type: Cow::Borrowed(&self.mime_type),
            size: self.size,
            text: text.map(Cow::Borrowed),
            base64: base64.map(|data| Cow::Owned(STANDARD.encode(data))),
            cut: self.is_cut(),
        }
        .serialize(serializer)
    }
}

/// How many bytes a text has as a string in JSON lines, whose control characters are all escaped.
fn escaped_length(text: &str) -> usize {
    let length = |character: char| match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        character if is_control(character) => 6,
        character => character.len_utf8(),
    };
    text.chars().map(length).sum()
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let mut body = match (json.text, json.base64) {
            (Some(_), Some(_)) => return Err(D::Error::custom("expected text or base64, found both")),
            (Some(text), None) => Self::new(json.mime_type, text.into_owned()),
            (None, Some(text)) => {
                Self::from_base64(json.mime_type, &text, usize::MAX).map_err(D::Error::custom)?
            }
            (None, None) => Self::unknown(json.mime_type, 0),
        };
        // A size below that of the data is wrong; one above it tells that the body was cut.
        body.size = body.size.max(json.size);
        Ok(body)
    }
}
