//! Recovery codes: 160 random bits that a person can write down and type.

use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Result;
use crate::keys::random;

/// Crockford's base 32 (crockford.com/base32.html): no I, L, O or U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_BYTES: usize = 20;
const CHECK_BYTES: usize = 5;

/// A secret of 160 bits, written as ten groups of four digits, the last two of which find mistakes.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryCode([u8; CODE_BYTES]);

/// A text that is no recovery code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a recovery code: {problem}")]
pub struct InvalidRecoveryCode {
    /// What is wrong with it; never the text itself, which may be nearly right.
    pub problem: &'static str,
}

impl RecoveryCode {
    /// A random code.
    ///
    /// # Errors
    /// [`Error::Random`](crate::Error::Random) when the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        random().map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8; CODE_BYTES] {
        &self.0
    }

    fn check(&self) -> [u8; CHECK_BYTES] {
        let mut out = [0; CHECK_BYTES];
        blake3::Hasher::new_derive_key("credenza v1 2026-11-24 recovery code check")
            .update(&self.0)
            .finalize_xof()
            .fill(&mut out);
        out
    }
}

impl fmt::Display for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.0.into_iter().chain(self.check()).collect();
        for (index, five) in bytes.as_chunks::<5>().0.iter().enumerate() {
            if index > 0 {
                f.write_str("-")?;
            }
            let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for digit in 0..8 {
                let value = (bits >> (35 - digit * 5)) as usize & 31;
                if digit == 4 {
                    f.write_str("-")?;
                }
                write!(f, "{}", char::from(DIGITS.get(value).copied().unwrap_or_default()))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(secret)")
    }
}

impl FromStr for RecoveryCode {
    type Err = InvalidRecoveryCode;

    /// Reads a code in upper or lower case, with or without its dashes, and with the letters that look like digits.
    fn from_str(text: &str) -> std::result::Result<Self, InvalidRecoveryCode> {
        let invalid = |problem| InvalidRecoveryCode { problem };
        let values: Option<Vec<u64>> =
            text.bytes().filter(|byte| !matches!(byte, b'-' | b' ' | b'\t' | b'\r' | b'\n')).map(value).collect();
        let values = values.ok_or(invalid("it has characters that no code has"))?;
        let mut bytes = Vec::with_capacity(CODE_BYTES + CHECK_BYTES);
        for eight in values.as_chunks::<8>().0 {
            let bits = eight.iter().fold(0, |bits, value| bits << 5 | value);
            bytes.extend(bits.to_be_bytes().iter().skip(3));
        }
        let length_fits = values.len() == (CODE_BYTES + CHECK_BYTES) / 5 * 8;
        let (code, check) =
            bytes.split_first_chunk().filter(|_| length_fits).ok_or(invalid("it needs ten groups of four"))?;
        let code = Self(*code);
        if code.check() == check { Ok(code) } else { Err(invalid("a digit is wrong or two are swapped")) }
    }
}

fn value(digit: u8) -> Option<u64> {
    let digit = match digit.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    DIGITS.iter().position(|known| *known == digit).map(|value| value as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_reads_back_what_it_prints(bytes: [u8; CODE_BYTES], place in 0..40_usize, other in 0..32_usize) {
            let code = RecoveryCode(bytes);
            let text = code.to_string();
            prop_assert_eq!(text.parse(), Ok(code.clone()));
            let typed = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            prop_assert_eq!(typed.parse(), Ok(code));

            let mut digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
            if digits[place] != DIGITS[other] {
                digits[place] = DIGITS[other];
                prop_assert!(String::from_utf8(digits).unwrap().parse::<RecoveryCode>().is_err());
            }
        }
    }

    #[test]
    fn short_long_and_foreign_texts_are_no_codes() {
        let text = RecoveryCode([7; CODE_BYTES]).to_string();
        for wrong in ["", &text[1..], &format!("{text}0"), &text.replace('0', "U"), "ééé"] {
            assert!(wrong.parse::<RecoveryCode>().is_err(), "{wrong}");
        }
    }
}
