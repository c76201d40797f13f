//! Key pairs of recipients, X25519 (RFC 7748) or hybrid (`hybrid`), as texts that are kept in files and passed on.
//!
//! A prefix, the key in hexadecimal, and four bytes that find mistakes.

use std::fmt;
use std::str::FromStr;

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::hybrid;
use crate::Result;
use crate::keys::random;

const CHECK_BYTES: usize = 4;

/// What protects what is sealed to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientKind {
    /// X25519, which a quantum computer would break.
    X25519,
    /// X25519 with ML-KEM-768, of which both must be broken.
    Hybrid,
}

impl RecipientKind {
    const ALL: [Self; 2] = [Self::X25519, Self::Hybrid];

    const fn secret_prefix(self) -> &'static str {
        match self {
            Self::X25519 => "credenza-secret-",
            Self::Hybrid => "credenza-hybrid-secret-",
        }
    }

    const fn public_prefix(self) -> &'static str {
        match self {
            Self::X25519 => "credenza-public-",
            Self::Hybrid => "credenza-hybrid-public-",
        }
    }

    const fn public_bytes(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::Hybrid => hybrid::PUBLIC_BYTES,
        }
    }
}

/// The secret half of a recipient's key pair, which opens slots that were sealed to the public half: the X25519 secret, or the seed of a
/// hybrid pair.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Identity {
    #[zeroize(skip)]
    kind: RecipientKind,
    secret: [u8; 32],
}

/// The public half of a recipient's key pair.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    kind: RecipientKind,
    key: Vec<u8>,
}

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
    pub fn generate(kind: RecipientKind) -> Result<Self> {
        Ok(Self { kind, secret: random()? })
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        let key = match self.kind {
            RecipientKind::X25519 => PublicKey::from(&StaticSecret::from(self.secret)).to_bytes().to_vec(),
            RecipientKind::Hybrid => hybrid::public(&self.secret),
        };
        Recipient { kind: self.kind, key }
    }

    /// The text to keep, to be wiped by whoever has kept it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(written(self.kind.secret_prefix(), &self.secret))
    }

    /// What protects what is sealed to it.
    #[must_use]
    pub fn kind(&self) -> RecipientKind {
        self.kind
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.secret
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
        let invalid = |problem| InvalidRecipientKey { half: "secret", problem };
        let kind = RecipientKind::ALL.into_iter().find(|kind| text.starts_with(kind.secret_prefix()));
        let kind = kind.ok_or(invalid(NO_PREFIX))?;
        let key = read(kind.secret_prefix(), 32, text).map_err(invalid)?;
        let secret = key.first_chunk().copied().ok_or(invalid(TOO_SHORT))?;
        Ok(Self { kind, secret })
    }
}

impl Recipient {
    /// The public half of a kind; `None` when these bytes are none.
    pub(super) fn new(kind: RecipientKind, key: &[u8]) -> Option<Self> {
        let fits = match kind {
            RecipientKind::X25519 => key.len() == 32,
            RecipientKind::Hybrid => hybrid::is_public(key),
        };
        fits.then(|| Self { kind, key: key.to_vec() })
    }

    /// What protects what is sealed to it.
    #[must_use]
    pub fn kind(&self) -> RecipientKind {
        self.kind
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self.kind.public_prefix(), &self.key))
    }
}

impl FromStr for Recipient {
    type Err = InvalidRecipientKey;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidRecipientKey> {
        let invalid = |problem| InvalidRecipientKey { half: "public", problem };
        let kind = RecipientKind::ALL.into_iter().find(|kind| text.starts_with(kind.public_prefix()));
        let kind = kind.ok_or(invalid(NO_PREFIX))?;
        let key = read(kind.public_prefix(), kind.public_bytes(), text).map_err(invalid)?;
        Self::new(kind, &key).ok_or(invalid("nothing can be sealed to it"))
    }
}

const NO_PREFIX: &str = "it does not begin like one";
const TOO_SHORT: &str = "it is too short";

fn written(prefix: &str, key: &[u8]) -> String {
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

fn read(prefix: &str, length: usize, text: &str) -> std::result::Result<Zeroizing<Vec<u8>>, &'static str> {
    let digits = text.strip_prefix(prefix).ok_or(NO_PREFIX)?;
    let mut bytes = Zeroizing::new(vec![0; length + CHECK_BYTES]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| "it has too few or too many digits, or others")?;
    let (key, found) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(TOO_SHORT)?;
    if check(prefix, key) == *found {
        Ok(Zeroizing::new(key.to_vec()))
    } else {
        Err("a digit is wrong or two are swapped")
    }
}

fn check(prefix: &str, key: &[u8]) -> [u8; CHECK_BYTES] {
    let mut out = [0; CHECK_BYTES];
    let mut hasher = blake3::Hasher::new_derive_key("credenza v1 2026-11-24 recipient key check");
    hasher.update(prefix.as_bytes()).update(key).finalize_xof().fill(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const X25519: RecipientKind = RecipientKind::X25519;

    proptest! {
        #[test]
        fn keys_read_back_what_they_print_and_one_wrong_digit_is_found(secret: [u8; 32], place in 0..72_usize, digit in 0..16_u32) {
            let identity = Identity { kind: X25519, secret };
            prop_assert_eq!(identity.to_text().parse(), Ok(identity.clone()));
            let text = identity.recipient().to_string();
            prop_assert_eq!(text.parse(), Ok(identity.recipient()));

            let mut digits: Vec<char> = text.chars().collect();
            let (place, other) = (X25519.public_prefix().len() + place, char::from_digit(digit, 16).unwrap());
            if digits[place] != other {
                digits[place] = other;
                prop_assert!(digits.into_iter().collect::<String>().parse::<Recipient>().is_err());
            }
        }
    }

    #[test]
    fn hybrid_keys_read_back_what_they_print_and_are_never_taken_for_the_other_kind() {
        let identity = Identity::generate(RecipientKind::Hybrid).unwrap();
        assert_eq!(identity.to_text().parse(), Ok(identity.clone()));
        let text = identity.recipient().to_string();
        assert_eq!(text.parse(), Ok(identity.recipient()));
        let (old, new) = (X25519.public_prefix(), RecipientKind::Hybrid.public_prefix());
        assert!(text.replace(new, old).parse::<Recipient>().is_err());
        let old_secret = identity.to_text().replace(RecipientKind::Hybrid.secret_prefix(), X25519.secret_prefix());
        assert!(old_secret.parse::<Identity>().is_err());
        // All coefficients out of range: no encapsulation key.
        assert_eq!(Recipient::new(RecipientKind::Hybrid, &[0xff; hybrid::PUBLIC_BYTES]), None);
    }

    #[test]
    fn one_half_is_never_taken_for_the_other() {
        let identity = Identity::generate(X25519).unwrap();
        assert!(identity.to_text().parse::<Recipient>().is_err());
        let swapped = identity.to_text().replace(X25519.secret_prefix(), X25519.public_prefix());
        assert!(swapped.parse::<Recipient>().is_err(), "a secret with its prefix changed is not published by mistake");
        for wrong in ["", "credenza-public-", "credenza-public-00", "credenza-hybrid-public-00", "é"] {
            assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
        }
    }
}
