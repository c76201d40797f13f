//! Cut: content-defined chunk boundaries by FastCDC with a secret gear table.
//!
//! FastCDC: Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for Data Deduplication", USENIX
//! ATC 2016, in the two-byte variant of 2020. Owned here: the parameters and the table. Called by the engine's `mill`.

use credenza_model::limits::{BLOB_BYTES_MAX, CHUNK_BYTES_AVG, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};
use fastcdc::v2020::{AVERAGE_MAX, AVERAGE_MIN, MINIMUM_MIN, Normalization, cut_gear, select_masks};
use serde::{Deserialize, Serialize};

use crate::{Error, GearTable, Result};

/// Sizes of chunks in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkerParams {
    /// Smallest, but for the last of a content.
    pub min: u32,
    /// Average.
    pub avg: u32,
    /// Largest.
    pub max: u32,
}

impl Default for ChunkerParams {
    fn default() -> Self {
        Self { min: CHUNK_BYTES_MIN, avg: CHUNK_BYTES_AVG, max: CHUNK_BYTES_MAX }
    }
}

impl ChunkerParams {
    /// Parameters around an average: a quarter of it to four times it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the average is not a power of two from 4 KiB to 2 MiB.
    pub fn around(avg: u32) -> Result<Self> {
        Self { min: avg / 4, avg, max: avg.saturating_mul(4) }.validated()
    }

    /// The same parameters, if a chunker can work with them.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the rule that they break.
    pub fn validated(self) -> Result<Self> {
        let fits = self.avg.is_power_of_two()
            && (4096..=2 * 1024 * 1024).contains(&self.avg)
            && (AVERAGE_MIN..=AVERAGE_MAX).contains(&(self.avg as usize))
            && self.min as usize >= MINIMUM_MIN
            && self.min < self.avg
            && self.avg < self.max
            && self.max <= BLOB_BYTES_MAX;
        let problem = || {
            format!(
                "chunk sizes {} / {} / {} do not work: the average must be a power of two from 4 KiB to 2 MiB between the smallest and the largest",
                self.min, self.avg, self.max
            )
        };
        if fits { Ok(self) } else { Err(Error::Malformed { what: "the chunker's parameters", problem: problem() }) }
    }
}

/// Finds chunk boundaries.
#[derive(Clone)]
pub struct Cutter {
    params: ChunkerParams,
    gear: GearTable,
    gear_shifted: GearTable,
    masks: (u64, u64),
}

impl Cutter {
    /// A cutter with that table and those sizes.
    #[must_use]
    pub fn new(gear: &GearTable, params: ChunkerParams) -> Self {
        let mut gear_shifted = gear.clone();
        gear_shifted.0.iter_mut().for_each(|word| *word <<= 1);
        Self {
            params,
            gear: gear.clone(),
            gear_shifted,
            masks: select_masks(params.avg as usize, Normalization::Level1),
        }
    }

    /// Length of the chunk at the front of `data`; `None` when more data is needed to tell, or when there is none left.
    #[must_use]
    pub fn cut(&self, data: &[u8], ended: bool) -> Option<usize> {
        let max = self.params.max as usize;
        if data.is_empty() || (data.len() < max && !ended) {
            return None;
        }
        let (short, long) = self.masks;
        let (_, length) = cut_gear(
            data,
            self.params.min as usize,
            self.params.avg as usize,
            max,
            short,
            long,
            short << 1,
            long << 1,
            &*self.gear.0,
            &*self.gear_shifted.0,
        );
        Some(length.clamp(1, data.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keyring, Suite};
    use credenza_model::RepositoryId;
    use proptest::prelude::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    fn cutter() -> Cutter {
        Cutter::new(&Keyring::public().keys(RepositoryId::new([0; 16]), Suite::Plain).gear(), ChunkerParams::default())
    }

    fn lengths(cutter: &Cutter, data: &[u8], pieces: &[usize]) -> Vec<usize> {
        let (mut buffer, mut out, mut at) = (Vec::new(), Vec::new(), 0);
        let mut pieces = pieces.iter().cycle();
        loop {
            let next = data.len().min(at + (*pieces.next().unwrap()).max(1));
            buffer.extend_from_slice(&data[at..next]);
            at = next;
            while let Some(length) = cutter.cut(&buffer, at == data.len()) {
                out.push(length);
                buffer.drain(..length);
            }
            if at == data.len() {
                return out;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn boundaries_do_not_depend_on_how_the_data_arrives(pieces in proptest::collection::vec(1_usize..400_000, 1..8)) {
            let data = noise(2_000_000);
            prop_assert_eq!(lengths(&cutter(), &data, &pieces), lengths(&cutter(), &data, &[usize::MAX / 2]));
        }
    }

    #[test]
    fn chunks_keep_their_bounds_and_come_near_the_average() {
        let found = lengths(&cutter(), &noise(20_000_000), &[1 << 20]);
        let (last, whole) = found.split_last().unwrap();
        assert!(whole.iter().all(|length| (16 * 1024..=256 * 1024).contains(length)) && *last <= 256 * 1024);
        let average = whole.iter().sum::<usize>() / whole.len();
        assert!((48 * 1024..=96 * 1024).contains(&average), "{average}");
    }

    #[test]
    fn an_insertion_moves_only_the_boundaries_around_it() {
        let data = noise(8_000_000);
        let mut changed = data.clone();
        changed.splice(1_000_000..1_000_000, *b"inserted");
        let ends = |data: &[u8]| {
            lengths(&cutter(), data, &[1 << 20])
                .iter()
                .scan(0, |at, length| {
                    *at += length;
                    Some(data.len() - *at)
                })
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert!(ends(&data).symmetric_difference(&ends(&changed)).count() <= 40);
    }
}
