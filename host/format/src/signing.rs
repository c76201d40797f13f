//! The signing key of a writer: an Ed25519 key (RFC 8032) in a small text file, which no repository holds.
//!
//! Owned here: its text form, signing, strict verification. What is signed is for `container` (statements of snapshots) and `removal`.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::keys::random;
use crate::{Error, Hex, Result};

const TITLE: &str = "credenza signing key 1";

/// A public key that signatures are verified with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub Hex<[u8; 32]>);

impl PublicKey {
    /// Requires that a signature over `message` is this key's.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<()> {
        let key = VerifyingKey::from_bytes(&self.0.0).map_err(|_| Error::BadSignature)?;
        key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| Error::BadSignature)
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Hex(bytes))
    }
}

impl FromStr for PublicKey {
    type Err = InvalidSigningKey;

    fn from_str(text: &str) -> Result<Self, InvalidSigningKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| InvalidSigningKey::PublicKey)?;
        VerifyingKey::from_bytes(&bytes).map(|_| bytes.into()).map_err(|_| InvalidSigningKey::PublicKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKey {
    /// Not a public key.
    #[error("a public key has 64 hexadecimal digits, as `key signer` prints them")]
    PublicKey,
    /// Not the file of a signing key.
    #[error("this is no signing key: its first line must be `{TITLE}` and its second 64 hexadecimal digits")]
    File,
}

/// What a writer signs with. Wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        Ok(Self::from_seed(&Zeroizing::new(random()?)))
    }

    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public key that others verify with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.verifying_key().to_bytes().into()
    }

    /// The content of the key's file: a title, and the seed in hexadecimal.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{TITLE}\n{}\n", *Zeroizing::new(hex::encode(self.0.as_bytes()))))
    }

    /// Reads the content of a key's file.
    ///
    /// # Errors
    /// [`InvalidSigningKey::File`] when it is another file.
    pub fn from_text(text: &str) -> Result<Self, InvalidSigningKey> {
        let mut seed = Zeroizing::new([0; 32]);
        let digits =
            text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n')).ok_or(InvalidSigningKey::File)?;
        hex::decode_to_slice(digits.trim_end(), seed.as_mut_slice()).map_err(|_| InvalidSigningKey::File)?;
        Ok(Self::from_seed(&seed))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_what_was_written_and_nothing_else() {
        let key = SigningKey::generate().unwrap();
        let text = key.to_text();
        assert_eq!(SigningKey::from_text(&text).unwrap().public(), key.public());
        for other in ["", TITLE, &text[1..], &text[..text.len() - 2], &text.replace("key 1", "key 2")] {
            assert_eq!(SigningKey::from_text(other).err(), Some(InvalidSigningKey::File), "{other}");
        }
    }

    #[test]
    fn a_public_key_is_parsed_from_what_it_prints() {
        let public = SigningKey::from_seed(&[5; 32]).public();
        assert_eq!(public.to_string().parse(), Ok(public));
        assert_eq!("12".parse::<PublicKey>(), Err(InvalidSigningKey::PublicKey));
    }

    #[test]
    fn a_signature_is_for_one_message_of_one_key() {
        let key = SigningKey::from_seed(&[5; 32]);
        let signature = key.sign(b"message");
        assert_eq!(key.public().verify(b"message", &signature), Ok(()));
        assert_eq!(key.public().verify(b"massage", &signature), Err(Error::BadSignature));
        assert_eq!(SigningKey::from_seed(&[6; 32]).public().verify(b"message", &signature), Err(Error::BadSignature));
    }
}
