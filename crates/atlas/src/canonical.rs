//! The one encoding of what is known by its hash: JSON as the JSON Canonicalization Scheme writes it (RFC 8785).
//!
//! Members are in the order of their names, nothing stands between tokens, texts are UTF-8 with the shortest escapes, and
//! numbers are as ECMAScript prints them. Ours are whole and at most 2^53 - 1, so that every reader of JSON has them exactly;
//! members that have nothing to say are left out. Bytes that are not the encoding of what they say are refused: a manifest
//! has one hash, wherever it comes from.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::hash::ContentHash;

/// The largest number: 2^53 - 1.
pub const MOST: u64 = (1 << 53) - 1;

/// What is wrong with bytes, or with what should become bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Invalid {
    /// What should be there.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl Invalid {
    pub(crate) fn new(expected: impl Into<String>, found: impl ToString) -> Self {
        Self {
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

/// A type with a canonical encoding, and rules for what it may hold.
pub trait Canonical: Serialize + DeserializeOwned {
    /// What it is, in errors.
    const WHAT: &'static str;
    /// Most bytes of its encoding.
    const MOST_BYTES: usize;

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`Invalid`] with the rule that is broken.
    fn check(&self) -> Result<(), Invalid>;

    /// Its bytes.
    ///
    /// # Errors
    /// [`Invalid`] when it breaks a rule, or takes more than [`Self::MOST_BYTES`].
    fn encode(&self) -> Result<Vec<u8>, Invalid> {
        self.check()?;
        let bytes =
            serde_json_canonicalizer::to_vec(self).map_err(|error| Invalid::new(Self::WHAT, error))?;
        if bytes.len() > Self::MOST_BYTES {
            let most = format!("{} of at most {} bytes", Self::WHAT, Self::MOST_BYTES);
            return Err(Invalid::new(most, format!("{} bytes", bytes.len())));
        }
        Ok(bytes)
    }

    /// Reads bytes that [`Self::encode`] made.
    ///
    /// # Errors
    /// [`Invalid`] when they are none, or say the same in other bytes.
    fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        if bytes.len() > Self::MOST_BYTES {
            let most = format!("{} of at most {} bytes", Self::WHAT, Self::MOST_BYTES);
            return Err(Invalid::new(most, format!("{} bytes", bytes.len())));
        }
        let value: Self = serde_json::from_slice(bytes).map_err(|error| Invalid::new(Self::WHAT, error))?;
        if value.encode()? != bytes {
            let expected = format!("{} in canonical JSON (RFC 8785)", Self::WHAT);
            return Err(Invalid::new(
                expected,
                "another encoding, or members that this version does not know",
            ));
        }
        Ok(value)
    }

    /// The hash of its bytes.
    ///
    /// # Errors
    /// As for [`Self::encode`].
    fn hash(&self) -> Result<ContentHash, Invalid> {
        self.encode().map(|bytes| ContentHash::of(&bytes))
    }
}

/// Checks a number.
pub(crate) fn check_number(what: &str, number: u64) -> Result<(), Invalid> {
    if number > MOST {
        return Err(Invalid::new(format!("{what} of at most {MOST}"), number));
    }
    Ok(())
}

/// Checks the length of a text, and that nothing in it moves a cursor.
pub(crate) fn check_text(what: &str, text: &str, most: usize) -> Result<(), Invalid> {
    if text.len() > most {
        return Err(Invalid::new(
            format!("{what} of at most {most} bytes"),
            format!("{} bytes", text.len()),
        ));
    }
    if let Some(control) = text
        .chars()
        .find(|char| char.is_control() && *char != '\n' && *char != '\t')
    {
        return Err(Invalid::new(
            format!("{what} without control characters"),
            format!("U+{:04X}", u32::from(control)),
        ));
    }
    Ok(())
}

/// Checks how many there are of something.
pub(crate) fn check_count(what: &str, count: usize, most: usize) -> Result<(), Invalid> {
    if count > most {
        return Err(Invalid::new(format!("at most {most} {what}"), count));
    }
    Ok(())
}
