//! Where content is cut into chunks, so that equal stretches give equal chunks wherever they lie.
//!
//! Owned here: the chunker and its parameters. Its opposite, joining chunks, is the engine's. Cut points are part of the format and
//! frozen by test vectors: a change would store everything again.

use credenza_model::limits::{BLOB_BYTES_MAX, CHUNK_BYTES_AVG, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};
use fastcdc::v2020::{self, Normalization};

use crate::{Error, GearTable, Result};

/// The id of this chunker in the config: FastCDC as of 2020, normalization level 1, with a table of its own.
pub const CHUNKER_ALGORITHM: &str = "fastcdc-2020-nc1-keyed";

/// Sizes of chunks in bytes, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Sizes", into = "Sizes")]
pub struct ChunkerParams(Sizes);

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Sizes {
    min: u32,
    avg: u32,
    max: u32,
}

impl ChunkerParams {
    /// Even sizes with `min < avg < max`; `min` from 64 bytes to 1 MiB, `avg` a power of two from 256 bytes to 4 MiB, `max` of
    /// [`BLOB_BYTES_MAX`] at most. The bounds are those of the `fastcdc` crate.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a size is out of bounds.
    pub fn new(min: u32, avg: u32, max: u32) -> Result<Self> {
        let bounds_hold = (64..=1 << 20).contains(&min) && (256..=1 << 22).contains(&avg) && max <= BLOB_BYTES_MAX;
        if bounds_hold
            && min < avg
            && avg < max
            && min.is_multiple_of(2)
            && max.is_multiple_of(2)
            && avg.is_power_of_two()
        {
            return Ok(Self(Sizes { min, avg, max }));
        }
        let problem = format!(
            "chunks of {min} to {max} bytes, {avg} on average, cannot be cut: sizes must be even and increase from 64 to {BLOB_BYTES_MAX}, the average a power of two"
        );
        Err(Error::Malformed { what: "the chunker's setting", problem })
    }

    /// No chunk is smaller, except the last of a content.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.0.min
    }

    /// The size aimed for.
    #[must_use]
    pub fn avg(&self) -> u32 {
        self.0.avg
    }

    /// No chunk is larger.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.0.max
    }
}

impl Default for ChunkerParams {
    fn default() -> Self {
        Self(Sizes { min: CHUNK_BYTES_MIN, avg: CHUNK_BYTES_AVG, max: CHUNK_BYTES_MAX })
    }
}

impl TryFrom<Sizes> for ChunkerParams {
    type Error = Error;

    fn try_from(sizes: Sizes) -> Result<Self> {
        Self::new(sizes.min, sizes.avg, sizes.max)
    }
}

impl From<ChunkerParams> for Sizes {
    fn from(params: ChunkerParams) -> Self {
        params.0
    }
}

/// Finds cut points (Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems", IEEE
/// TPDS 2020): a rolling gear hash, a stricter mask before the average size and a looser one behind it.
pub struct Chunker {
    gear: GearTable,
    gear_shifted: GearTable,
    params: ChunkerParams,
    mask_strict: u64,
    mask_loose: u64,
}

impl Chunker {
    /// A chunker of a repository's table and sizes.
    #[must_use]
    pub fn new(gear: &GearTable, params: ChunkerParams) -> Self {
        let (mask_strict, mask_loose) = v2020::select_masks(params.avg() as usize, Normalization::Level1);
        Self { gear: gear.clone(), gear_shifted: gear.shifted(), params, mask_strict, mask_loose }
    }

    /// The length of the chunk at the front of `data`, or `None` when more data is needed to know: there are fewer than the largest
    /// chunk's bytes and the content has not `ended`. Cut points do not depend on how the data arrives.
    #[must_use]
    pub fn cut(&self, data: &[u8], ended: bool) -> Option<usize> {
        let bytes_max = self.params.max() as usize;
        if data.is_empty() || (data.len() < bytes_max && !ended) {
            return None;
        }
        let (_, length) = v2020::cut_gear(
            data,
            self.params.min() as usize,
            self.params.avg() as usize,
            bytes_max,
            self.mask_strict,
            self.mask_loose,
            self.mask_strict << 1,
            self.mask_loose << 1,
            self.gear.values(),
            self.gear_shifted.values(),
        );
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use credenza_model::RepositoryId;
    use proptest::prelude::*;

    use super::*;
    use crate::Keyring;

    fn chunker() -> Chunker {
        let gear = Keyring::public().keys(RepositoryId::new([0; 16])).gear();
        Chunker::new(&gear, ChunkerParams::new(64, 256, 1024).unwrap())
    }

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn cut_all(chunker: &Chunker, mut data: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(length) = chunker.cut(data, true) {
            lengths.push(length);
            data = &data[length..];
        }
        lengths
    }

    proptest! {
        #[test]
        fn cutting_does_not_depend_on_how_data_arrives(seed: u64, length in 0_usize..20_000, steps in proptest::collection::vec(1_usize..3000, 1..20)) {
            let (chunker, data) = (chunker(), noise(seed, length));
            let (mut lengths, mut buffer, mut arrived) = (Vec::new(), Vec::new(), 0);
            for step in steps.iter().cycle() {
                let next = (arrived + step).min(length);
                buffer.extend_from_slice(&data[arrived..next]);
                arrived = next;
                while let Some(cut) = chunker.cut(&buffer, arrived == length) {
                    lengths.push(cut);
                    buffer.drain(..cut);
                }
                if arrived == length {
                    break;
                }
            }
            prop_assert_eq!(lengths, cut_all(&chunker, &data));
        }

        #[test]
        fn chunks_cover_the_content_within_their_bounds(seed: u64, length in 1_usize..20_000) {
            let lengths = cut_all(&chunker(), &noise(seed, length));
            prop_assert_eq!(lengths.iter().sum::<usize>(), length);
            let (last, others) = lengths.split_last().unwrap();
            prop_assert!(*last <= 1024 && others.iter().all(|length| (64..=1024).contains(length)));
        }
    }

    #[test]
    fn an_insertion_moves_the_cuts_near_it_only() {
        let (chunker, data) = (chunker(), noise(1, 200_000));
        let shifted = [b"inserted".as_slice(), &data].concat();
        let (before, after) = (cut_all(&chunker, &data), cut_all(&chunker, &shifted));
        let common = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(common > before.len() - 50, "{common} of {} chunks survive", before.len());
    }

    #[test]
    fn sizes_that_cannot_work_are_refused() {
        for (min, avg, max) in [
            (0, 256, 1024),
            (64, 300, 1024),
            (65, 256, 1024),
            (256, 256, 1024),
            (64, 256, 256),
            (64, 256, BLOB_BYTES_MAX + 2),
        ] {
            assert!(ChunkerParams::new(min, avg, max).is_err(), "{min} {avg} {max}");
        }
        assert_eq!(ChunkerParams::new(CHUNK_BYTES_MIN, CHUNK_BYTES_AVG, CHUNK_BYTES_MAX), Ok(ChunkerParams::default()));
    }
}
