//! X25519 key pairs of recipients (RFC 7748), as texts that are kept in files and passed on.
//!
//! A prefix and 36 bytes in hexadecimal: the key, and four bytes that find mistakes.

use std::fmt;
use std::str::FromStr;

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Result;
use crate::keys::random;

const SECRET_PREFIX: &str = "credenza-secret-";
const PUBLIC_PREFIX: &str = "credenza-public-";
const CHECK_BYTES: usize = 4;

/// The secret half of a recipient's key pair, which opens slots that were sealed to the public half.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Identity([u8; 32]);

/// The public half of a recipient's key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recipient(pub [u8; 32]);

/// A text that is no key of a recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not the {half} key of a recipient: {problem}")]
pub struct InvalidRecipientKey {
    /// `secret` or `public`.
    pub half: &'static str,
    /// What is wrong with it; never the text itself, which may be a secret.
    pub problem: &'static str,
}

impl Identity {
    /// A random key pair.
    ///
    /// # Errors
    /// [`Error::Random`](crate::Error::Random) when the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        random().map(Self)
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&StaticSecret::from(self.0)).to_bytes())
    }

    /// The text to keep, to be wiped by whoever has kept it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(written(SECRET_PREFIX, &self.0))
    }

    /// The X25519 secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(secret)")
    }
}

impl FromStr for Identity {
    type Err = InvalidRecipientKey;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidRecipientKey> {
        read(SECRET_PREFIX, text).map(Self).map_err(|problem| InvalidRecipientKey { half: "secret", problem })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(PUBLIC_PREFIX, &self.0))
    }
}

impl FromStr for Recipient {
    type Err = InvalidRecipientKey;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidRecipientKey> {
        read(PUBLIC_PREFIX, text).map(Self).map_err(|problem| InvalidRecipientKey { half: "public", problem })
    }
}

fn written(prefix: &str, key: &[u8; 32]) -> String {
    // Room for all of it at once: a buffer that grew would leave copies of a secret behind.
    let mut text = String::with_capacity(prefix.len() + 2 * (key.len() + CHECK_BYTES));
    text.push_str(prefix);
    for byte in key.iter().chain(&check(prefix, key)) {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

fn read(prefix: &str, text: &str) -> std::result::Result<[u8; 32], &'static str> {
    let digits = text.strip_prefix(prefix).ok_or("it does not begin like one")?;
    let mut bytes = Zeroizing::new([0; 32 + CHECK_BYTES]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| "it needs 72 hexadecimal digits")?;
    let (key, found) = bytes.split_first_chunk::<32>().ok_or("it is too short")?;
    if check(prefix, key).as_slice() == found { Ok(*key) } else { Err("a digit is wrong or two are swapped") }
}

fn check(prefix: &str, key: &[u8; 32]) -> [u8; CHECK_BYTES] {
    let mut out = [0; CHECK_BYTES];
    let mut hasher = blake3::Hasher::new_derive_key("credenza v1 2026-11-24 recipient key check");
    hasher.update(prefix.as_bytes()).update(key).finalize_xof().fill(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_read_back_what_they_print_and_one_wrong_digit_is_found(secret: [u8; 32], place in 0..72_usize, digit in 0..16_u32) {
            let identity = Identity(secret);
            prop_assert_eq!(identity.to_text().parse(), Ok(identity.clone()));
            let text = identity.recipient().to_string();
            prop_assert_eq!(text.parse(), Ok(identity.recipient()));

            let mut digits: Vec<char> = text.chars().collect();
            let (place, other) = (PUBLIC_PREFIX.len() + place, char::from_digit(digit, 16).unwrap());
            if digits[place] != other {
                digits[place] = other;
                prop_assert!(digits.into_iter().collect::<String>().parse::<Recipient>().is_err());
            }
        }
    }

    #[test]
    fn one_half_is_never_taken_for_the_other() {
        let identity = Identity::generate().unwrap();
        assert!(identity.to_text().parse::<Recipient>().is_err());
        let swapped = identity.to_text().replace(SECRET_PREFIX, PUBLIC_PREFIX);
        assert!(swapped.parse::<Recipient>().is_err(), "a secret with its prefix changed is not published by mistake");
        for wrong in ["", "credenza-public-", "credenza-public-00", "é"] {
            assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
        }
    }
}
