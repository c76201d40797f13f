//! Bytes that are hexadecimal in text documents.

use std::fmt;
use std::str::FromStr;

use hex::FromHex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that print and serialize as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hex<T>(pub T);

/// A 256-bit digest.
pub type Digest = Hex<[u8; 32]>;

impl<T> From<T> for Hex<T> {
    fn from(bytes: T) -> Self {
        Self(bytes)
    }
}

/// A text that is not as many hexadecimal digits as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        <[u8; 32]>::from_hex(text).map(Self).map_err(|_| InvalidDigest)
    }
}

impl<T: AsRef<[u8]>> fmt::Display for Hex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl<T: AsRef<[u8]>> fmt::Debug for Hex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<T: AsRef<[u8]>> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: FromHex<Error: fmt::Display>> Deserialize<'de> for Hex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        T::from_hex(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}
