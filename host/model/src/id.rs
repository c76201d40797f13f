//! Identifiers as distinct types, so that one kind cannot be passed where another is meant.

use std::fmt;
use std::str::FromStr;

use crate::text::from_text;

/// A text that is not the hexadecimal form of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id: expected {expected_digits} lower-case hexadecimal digits")]
pub struct InvalidId {
    /// What was given.
    pub text: String,
    /// How many digits an id of this kind has.
    pub expected_digits: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Width in bytes.
            pub const BYTES: usize = $bytes;

            /// Wraps raw bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; $bytes * 2];
                let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
                text.iter_mut().zip(nibbles).for_each(|(digit, nibble)| *digit = hex_digit(nibble));
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text).map(Self).ok_or_else(|| InvalidId { text: text.to_owned(), expected_digits: $bytes * 2 })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }
    };
}

id! {
    /// A repository: random, chosen at `create`, bound into every derived key.
    RepositoryId, 16
}
id! {
    /// An object of a repository (pack, index segment, usage …): random, names are never reused.
    ObjectId, 16
}
id! {
    /// A snapshot: random; it survives `sync` to another repository.
    SnapshotId, 16
}
id! {
    /// A chunk: keyed BLAKE3 of its plaintext, verified on every read.
    ChunkId, 32
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != N * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(out)
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = ObjectId::new([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 0, 0, 0, 0, 0, 0, 0xf0]);
        assert_eq!(id.to_string(), "0123456789abcdef00000000000000f0");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn upper_case_short_and_foreign_digits_are_no_ids() {
        for text in ["", "A5", &"g".repeat(32), &"A".repeat(32)] {
            assert!(text.parse::<ObjectId>().is_err(), "{text}");
        }
    }
}
