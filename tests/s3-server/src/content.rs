//! Bodies of stored objects: bytes in memory, or bytes computed from a seed.
//!
//! A synthetic body lets a test serve an object of many gigabytes that occupies nothing. Called by
//! [`crate::storage`] to answer a GET and by tests to compare.

use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// The largest piece that one read of a body yields, in bytes.
const PIECE_BYTES_MAX: u64 = 256 * 1024;

/// The body of an object.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes held in memory.
    Bytes(Bytes),
    /// Incompressible bytes that are a function of `seed` and their offset, computed when read.
    Synthetic {
        /// Two bodies with different seeds have nothing in common.
        seed: u64,
        /// The length of the body in bytes.
        bytes: u64,
    },
}

impl Content {
    /// The length of the body in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Synthetic { bytes, .. } => *bytes,
        }
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of `range` as pieces of at most 256 KiB; what lies beyond the end is left out.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = Bytes> + Send + Sync + use<> {
        let content = self.clone();
        let end = range.end.min(self.len());
        let mut at = range.start;
        std::iter::from_fn(move || {
            let piece = at..end.min(at.saturating_add(PIECE_BYTES_MAX));
            if piece.is_empty() {
                return None;
            }
            at = piece.end;
            Some(content.piece(piece))
        })
    }

    /// The whole body in memory; for a synthetic body this allocates all of it.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Synthetic { bytes, .. } => {
                let mut whole = BytesMut::new();
                self.pieces(0..*bytes).for_each(|piece| whole.extend_from_slice(&piece));
                whole.freeze()
            }
        }
    }

    fn piece(&self, range: Range<u64>) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.slice(range.start as usize..range.end as usize),
            Self::Synthetic { seed, .. } => synthetic(*seed, range),
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Bytes(Bytes::from_static(bytes))
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

/// Bytes `range` of the body of `seed`: word `i` is SplitMix64 of `seed` and `i` (Steele, Lea, Flood: "Fast
/// splittable pseudorandom number generators", OOPSLA 2014), so that any range is computed on its own.
fn synthetic(seed: u64, range: Range<u64>) -> Bytes {
    let skip = (range.start % 8) as usize;
    let length = range.end.saturating_sub(range.start) as usize;
    let mut bytes = BytesMut::with_capacity(length.saturating_add(16));
    let mut word = range.start / 8;
    while bytes.len() < skip.saturating_add(length) {
        bytes.extend_from_slice(&split_mix(seed, word).to_le_bytes());
        word = word.wrapping_add(1);
    }
    bytes.freeze().slice(skip..skip.saturating_add(length))
}

/// Number `index` of the SplitMix64 sequence that starts at `seed`.
pub(crate) fn split_mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_a_synthetic_body_equals_that_part_of_the_whole() {
        let content = Content::Synthetic { seed: 7, bytes: 700_001 };
        let whole = content.to_bytes();
        assert_eq!(whole.len(), 700_001);
        for range in [0..1, 3..20, 262_143..262_146, 699_999..800_000] {
            let part: Vec<u8> = content.pieces(range.clone()).flatten().collect();
            let end = (range.end as usize).min(whole.len());
            assert_eq!(part, &whole[range.start as usize..end], "{range:?}");
        }
    }
}
