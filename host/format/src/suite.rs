//! Which cipher seals the segments of an object, and how one segment is sealed and opened.
//!
//! Owned here: suite numbers, nonces, associated data. Refused here: where keys come from (`keys`) and how objects are laid out
//! (`container`). Called by `container` alone.

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::{Error, Result};

/// Length of the tag behind each segment, with any suite.
pub const TAG_BYTES: usize = 16;

/// How segments are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Suite {
    /// No encryption: a keyed BLAKE3 tag of 16 bytes finds corruption.
    #[serde(rename = "plain")]
    Plain = 0,
    /// AES-256-GCM (NIST SP 800-38D).
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305 (RFC 8439).
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305 = 2,
}

impl Suite {
    /// The faster encrypting suite of this machine: AES where the processor has instructions for it and for GCM's multiplication.
    #[must_use]
    pub fn preferred() -> Self {
        if processor_has_aes() { Self::Aes256Gcm } else { Self::ChaCha20Poly1305 }
    }

    /// Whether the suite hides anything.
    #[must_use]
    pub const fn encrypts(self) -> bool {
        !matches!(self, Self::Plain)
    }

    pub(crate) fn decode(number: u8) -> Result<Self> {
        match number {
            0 => Ok(Self::Plain),
            1 => Ok(Self::Aes256Gcm),
            2 => Ok(Self::ChaCha20Poly1305),
            other => Err(Error::Unknown { what: "cipher suite", found: u32::from(other) }),
        }
    }

    /// A plaintext length rounded up so that few lengths remain (Padmé, "Reducing Metadata Leakage from Encrypted Files and
    /// Communication with PURBs", Nikitin et al., PoPETs 2019, section 4): at most 12 % more, 3 % for a full pack. A suite that
    /// hides nothing pads nothing.
    pub(crate) fn padded(self, length: u64) -> u64 {
        if !self.encrypts() || length < 2 {
            return length;
        }
        let exponent = length.ilog2();
        let kept_bits = exponent.ilog2() + 1;
        let mask = (1_u64 << exponent.saturating_sub(kept_bits)) - 1;
        length.saturating_add(mask) & !mask
    }
}

#[cfg(target_arch = "x86_64")]
fn processor_has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn processor_has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor_has_aes() -> bool {
    false
}

/// The key of one object, made ready for its suite.
pub(crate) struct SegmentCipher {
    header_hash: [u8; 32],
    key: SegmentKey,
}

enum SegmentKey {
    Tag([u8; 32]),
    Aead(Box<LessSafeKey>),
}

impl SegmentCipher {
    /// A cipher for the one object whose header hashes to `header_hash`.
    pub(crate) fn new(suite: Suite, object_key: &[u8; 32], header_hash: [u8; 32]) -> Result<Self> {
        let algorithm = match suite {
            Suite::Plain => return Ok(Self { header_hash, key: SegmentKey::Tag(*object_key) }),
            Suite::Aes256Gcm => &AES_256_GCM,
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key =
            UnboundKey::new(algorithm, object_key).map_err(|_| Error::Unsupported { what: "this cipher suite" })?;
        Ok(Self { header_hash, key: SegmentKey::Aead(Box::new(LessSafeKey::new(key))) })
    }

    /// Encrypts `segment` in place and returns its tag.
    pub(crate) fn seal(&self, index: u32, last: bool, segment: &mut [u8]) -> Result<[u8; TAG_BYTES]> {
        let aad = self.associated(index, last);
        match &self.key {
            SegmentKey::Tag(key) => Ok(plain_tag(key, &aad, segment)),
            SegmentKey::Aead(key) => {
                let bytes = segment.len() as u64;
                let sealed = key.seal_in_place_separate_tag(nonce(index, last), Aad::from(aad), segment);
                let too_large = Error::TooLarge { what: "a segment", bytes, bytes_max: u64::from(u32::MAX) };
                let mut tag = [0; TAG_BYTES];
                tag.copy_from_slice(sealed.map_err(|_| too_large)?.as_ref());
                Ok(tag)
            }
        }
    }

    /// Decrypts a segment and its tag in place; `None` when the tag does not fit.
    pub(crate) fn open<'a>(&self, index: u32, last: bool, sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let aad = self.associated(index, last);
        match &self.key {
            SegmentKey::Tag(key) => {
                let (segment, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
                (plain_tag(key, &aad, segment) == *tag).then_some(segment)
            }
            SegmentKey::Aead(key) => key.open_in_place(nonce(index, last), Aad::from(aad), sealed).ok(),
        }
    }

    fn associated(&self, index: u32, last: bool) -> [u8; 37] {
        let mut out = [0; 37];
        let parts = self.header_hash.into_iter().chain(index.to_le_bytes()).chain([u8::from(last)]);
        out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        out
    }
}

/// Segment index and final flag: unique within an object, and every object has a key of its own.
fn nonce(index: u32, last: bool) -> Nonce {
    let [a, b, c, d] = index.to_le_bytes();
    Nonce::assume_unique_for_key([a, b, c, d, u8::from(last), 0, 0, 0, 0, 0, 0, 0])
}

fn plain_tag(key: &[u8; 32], aad: &[u8], segment: &[u8]) -> [u8; TAG_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(aad).update(segment);
    let mut tag = [0; TAG_BYTES];
    hasher.finalize_xof().fill(&mut tag);
    tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn padding_costs_12_per_cent_at_most_and_leaves_few_lengths(length in 1_u64..1 << 40) {
            let padded = Suite::Aes256Gcm.padded(length);
            prop_assert!(padded >= length && padded - length <= length * 12 / 100 + 1);
            prop_assert_eq!(Suite::Aes256Gcm.padded(padded), padded);
            prop_assert_eq!(Suite::Plain.padded(length), length);
        }
    }

    #[test]
    fn every_suite_refuses_a_segment_in_another_place() {
        for suite in [Suite::Plain, Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
            let cipher = SegmentCipher::new(suite, &[7; 32], [8; 32]).unwrap();
            let mut sealed = b"some text".to_vec();
            let tag = cipher.seal(3, false, &mut sealed).unwrap();
            sealed.extend(tag);
            assert!(cipher.open(4, false, &mut sealed.clone()).is_none());
            assert!(cipher.open(3, true, &mut sealed.clone()).is_none());
            assert_eq!(cipher.open(3, false, &mut sealed).unwrap(), b"some text");
        }
    }
}
