//! Signatures of records of provenance: Ed25519 (RFC 8032) over the statement's canonical bytes.

use async_trait::async_trait;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::canonical::{Canonical, Invalid, check_number, check_text};
use crate::hash::{from_hex, hex};

/// A number of bytes that is written as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// An Ed25519 public key.
pub type PublicKey = Hex<32>;

impl<const N: usize> std::fmt::Display for Hex<N> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl<const N: usize> std::fmt::Debug for Hex<N> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let expected = || format!("expected {} lower-case hexadecimal digits", 2 * N);
        from_hex(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(expected()))
    }
}

/// A signature, with the key that it was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignatureRecord {
    /// Always `ed25519`.
    pub algorithm: Algorithm,
    /// The key that verifies it.
    pub public_key: PublicKey,
    /// The signature.
    pub signature: Hex<64>,
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// RFC 8032, Ed25519 without context or prehashing.
    Ed25519,
}

impl Canonical for SignatureRecord {
    const WHAT: &'static str = "a signature";
    const MOST_BYTES: usize = 1024;

    fn check(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

/// A key whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedKey {
    /// The key.
    pub public_key: PublicKey,
    /// Whose it is, for people.
    pub name: String,
    /// When it was trusted first, in milliseconds since 1970.
    pub added: u64,
    /// When it was revoked, in milliseconds since 1970. Of no signature is it known whether it was made before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revoked: Option<u64>,
}

impl Canonical for TrustedKey {
    const WHAT: &'static str = "a trusted key";
    const MOST_BYTES: usize = 4096;

    fn check(&self) -> Result<(), Invalid> {
        check_text("a key's name", &self.name, 255)?;
        check_number("a time", self.added)?;
        check_number("a time", self.revoked.unwrap_or(0))
    }
}

/// What a signature is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum SignatureState {
    /// The key is trusted, and has signed this.
    Valid {
        /// Whose key it is.
        name: String,
    },
    /// The key has signed this, and nobody knows whose it is.
    UnknownKey,
    /// This is not what the key has signed, or it is no key.
    Broken,
    /// The key has signed this, and is trusted no longer.
    Revoked {
        /// Whose key it was.
        name: String,
    },
}

/// Something that signs, with a key that stays where it is.
#[async_trait(?Send)]
pub trait Signer {
    /// The key that verifies what it signs.
    fn public_key(&self) -> PublicKey;

    /// Signs `message`: Ed25519, 64 bytes.
    ///
    /// # Errors
    /// What the browser says.
    async fn sign(&self, message: &[u8]) -> Result<Hex<64>, String>;
}

/// Whether the signature is one of `message`. What RFC 8032 leaves open is decided strictly: keys of small order and
/// encodings that are not canonical are refused.
pub fn fits(signature: &SignatureRecord, message: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&signature.public_key.0) else {
        return false;
    };
    let signature = Signature::from_bytes(&signature.signature.0);
    key.verify_strict(message, &signature).is_ok()
}

/// What the signature of `message` is worth, as `key` is known.
pub fn judge(signature: &SignatureRecord, message: &[u8], key: Option<&TrustedKey>) -> SignatureState {
    match key {
        _ if !fits(signature, message) => SignatureState::Broken,
        None => SignatureState::UnknownKey,
        Some(key) if key.public_key != signature.public_key => SignatureState::UnknownKey,
        Some(key) if key.revoked.is_some() => SignatureState::Revoked {
            name: key.name.clone(),
        },
        Some(key) => SignatureState::Valid {
            name: key.name.clone(),
        },
    }
}
