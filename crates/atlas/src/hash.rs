//! What content is known by: its SHA-256.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

const PREFIX: &str = "sha256:";

/// The SHA-256 of some bytes. As text it is `sha256:` and 64 lower-case hexadecimal digits, and nothing else, so that one
/// hash has one name. Hashes are in the order of their bytes, which is that of their names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A hash that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its 64 digits, without `sha256:`.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

/// Lower-case hexadecimal digits, two for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

/// The bytes of lower-case hexadecimal digits, if there are exactly as many as `N` bytes have.
pub(crate) fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text is no [`ContentHash`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sha256: and 64 lower-case hexadecimal digits, found {found:?}")]
pub struct NoHash {
    /// The text, or its first 80 characters.
    pub found: String,
}

impl FromStr for ContentHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digits = text.strip_prefix(PREFIX);
        digits.and_then(from_hex).map(Self).ok_or_else(|| NoHash {
            found: text.chars().take(80).collect(),
        })
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        // FIPS 180-4, SHA-256 of the empty message.
        let name = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(ContentHash::of(b"").to_string(), name);
        assert_eq!(name.parse::<ContentHash>().unwrap(), ContentHash::of(b""));
    }

    #[test]
    fn other_spellings_are_refused() {
        let good = ContentHash::of(b"x").to_string();
        let others = [
            String::new(),
            good.to_uppercase(),
            good.replace("sha256:", "SHA256:"),
            good.replace("sha256:", "sha512:"),
            good.replace("sha256:", ""),
            format!("{good} "),
            format!("{good}0"),
            good[..good.len() - 1].to_owned(),
            format!("sha256:{}", "é".repeat(32)),
        ];
        for text in others {
            assert!(text.parse::<ContentHash>().is_err(), "{text}");
            assert!(
                serde_json::from_value::<ContentHash>(text.clone().into()).is_err(),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn names_are_read_back_and_sort_as_bytes_do(a: [u8; 32], b: [u8; 32]) {
            let (a, b) = (ContentHash(a), ContentHash(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            let json = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), a);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            if let Ok(hash) = text.parse::<ContentHash>() {
                prop_assert_eq!(hash.to_string(), text);
            }
        }
    }
}
