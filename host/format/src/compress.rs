//! Compression of blobs: zstd, or raw where it does not pay.
//!
//! Owned here: one context per worker, the decision for raw, the bound on what inflates. Which blobs share a frame is the writer's; its layout is
//! `group`'s.

use credenza_model::limits::BLOB_BYTES_MAX;
use credenza_model::{ChunkId, ObjectId};
use zstd::bulk;
use zstd::zstd_safe::{CParameter, Strategy};

use crate::group::{GroupMemory, lay_out};
use crate::{Error, Result};

/// How the stored bytes of a blob relate to its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// They are the plaintext.
    Raw = 0,
    /// They are one zstd frame (RFC 8878) that holds the plaintext.
    Zstd = 1,
    /// They are a group of blobs, of which it is a member.
    Group = 2,
}

impl Encoding {
    pub(crate) fn decode(number: u8) -> Result<Self> {
        match number {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            2 => Ok(Self::Group),
            other => Err(Error::Unknown { what: "blob encoding", found: u32::from(other) }),
        }
    }
}

/// Blobs from this size on that look like noise are tried with [`LONG_TRIAL_BYTES`], a sixteenth of the work at most.
const LONG_BYTES: usize = 1024 * 1024;
const LONG_TRIAL_BYTES: usize = 64 * 1024;
/// What is tried of smaller ones that look like noise.
const SHORT_TRIAL_BYTES: usize = 4 * 1024;
/// What is looked at to tell noise: so many bytes at so many places, or so many in the middle of what is not longer than these.
const SAMPLES: usize = 4;
const SAMPLE_BYTES: usize = 512;

/// The level at which nothing is compressed.
pub const NO_COMPRESSION: i32 = 0;
/// How the level of speed finds matches: two hash tables instead of the one of zstd's level 1, each so small that it stays in the nearest cache. It takes
/// the bytes of level 3 and the time of level 1 (`docs/decisions/compression.md`). Its frames are like any other's.
const SPEED: i32 = 1;
const SPEED_PARAMETERS: [CParameter; 4] = [
    CParameter::Strategy(Strategy::ZSTD_dfast),
    CParameter::HashLog(14),
    CParameter::ChainLog(13),
    CParameter::MinMatch(5),
];

/// The levels that compress. zstd has more; they take more memory than time is saved.
pub const COMPRESSION_LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

/// Compresses blobs, one after another, in one context.
///
/// Memory: the context of the level (some 1 MiB at level 1) and output buffers as large as the largest blob or group so far.
pub struct Compressor {
    context: bulk::Compressor<'static>,
    level: i32,
    out: Vec<u8>,
    group: Vec<u8>,
}

impl Compressor {
    /// A compressor of a zstd level; 1 is the default of a repository, and [`NO_COMPRESSION`] keeps all blobs raw.
    ///
    /// # Errors
    /// [`Error::Compress`] when zstd refuses the level.
    pub fn new(level: i32) -> Result<Self> {
        let mut context = bulk::Compressor::new(level).map_err(|error| failed(level, &error))?;
        if level == SPEED {
            let set = SPEED_PARAMETERS.into_iter().try_for_each(|parameter| context.set_parameter(parameter));
            set.map_err(|error| failed(level, &error))?;
        }
        Ok(Self { context, level, out: Vec::new(), group: Vec::new() })
    }

    /// Whether it compresses at all.
    #[must_use]
    pub const fn compresses(&self) -> bool {
        self.level != NO_COMPRESSION
    }

    /// The form in which `plain` is best kept: raw unless a sixty-fourth is saved, because reading raw bytes costs nothing.
    ///
    /// # Errors
    /// [`Error::Compress`] when zstd fails, as when it finds no memory.
    pub fn compress<'a>(&'a mut self, plain: &'a [u8]) -> Result<(Encoding, &'a [u8])> {
        let pays = self.is_promising(plain)? && self.shrinks(plain)?;
        if pays { Ok((Encoding::Zstd, &self.out)) } else { Ok((Encoding::Raw, plain)) }
    }

    /// Whether a blob may shrink: some of it does not look like noise, or its head shrinks all the same.
    ///
    /// # Errors
    /// As [`compress`](Self::compress).
    pub fn is_promising(&mut self, plain: &[u8]) -> Result<bool> {
        if !self.compresses() {
            return Ok(false);
        }
        if !looks_like_noise(plain) {
            return Ok(true);
        }
        let trial_bytes = if plain.len() < LONG_BYTES { SHORT_TRIAL_BYTES } else { LONG_TRIAL_BYTES };
        self.shrinks(plain.get(..trial_bytes).unwrap_or(plain))
    }

    /// What blobs take that share one frame, or `None` where that does not pay.
    ///
    /// # Errors
    /// As [`compress`](Self::compress); [`Error::TooLarge`] when they are more than a group may have.
    pub fn compress_group(&mut self, members: &[(ChunkId, &[u8])]) -> Result<Option<&[u8]>> {
        let mut group = std::mem::take(&mut self.group);
        let laid_out = lay_out(members, &mut group);
        let pays = laid_out.and_then(|()| Ok(self.compresses() && self.shrinks(&group)?));
        let length = group.len() as u32;
        group.clear();
        group.extend(length.to_le_bytes());
        group.extend_from_slice(&self.out);
        self.group = group;
        Ok(pays?.then_some(&self.group))
    }

    /// Compresses into `out` and says whether that paid.
    fn shrinks(&mut self, plain: &[u8]) -> Result<bool> {
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.context.compress_to_buffer(plain, &mut self.out).map_err(|error| failed(self.level, &error))?;
        Ok(self.out.len() < plain.len() - plain.len() / 64)
    }
}

/// Whether all samples have nearly as many different bytes as noise has: what is compressed or encrypted has, text and code have far fewer. A blob of a disk
/// or of an archive may be noise in one place and text in another.
fn looks_like_noise(plain: &[u8]) -> bool {
    let beyond = plain.len().saturating_sub(SAMPLE_BYTES);
    let (first, step) =
        if beyond < SAMPLES * SAMPLE_BYTES { (beyond / 2, beyond + 1) } else { (0, beyond / (SAMPLES - 1)) };
    let samples =
        (first..=beyond).step_by(step).filter_map(|start| plain.get(start..plain.len().min(start + SAMPLE_BYTES)));
    samples.into_iter().all(is_noise)
}

/// Of 512 bytes of noise some 221 are different, 200 or fewer of one sample in 100,000; of text, code and records hardly 150.
fn is_noise(sample: &[u8]) -> bool {
    let mut seen = [0_u64; 4];
    for byte in sample {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    let different: u32 = seen.iter().map(|word| word.count_ones()).sum();
    let bound = if sample.len() < SAMPLE_BYTES { sample.len().min(256) * 5 / 8 } else { 200 };
    different as usize >= bound
}

fn failed(level: i32, error: &std::io::Error) -> Error {
    Error::Compress { level, problem: error.to_string() }
}

/// Restores what [`Compressor`] stored, one blob after another, in one context.
pub struct Inflater {
    context: bulk::Decompressor<'static>,
    /// The group that was opened last, so that its members inflate it once.
    group: GroupMemory,
}

impl Inflater {
    /// An inflater; some 100 KiB, and the last group that it opened.
    ///
    /// # Errors
    /// [`Error::Inflate`] when zstd finds no memory.
    pub fn new() -> Result<Self> {
        let context = bulk::Decompressor::new().map_err(|error| broken(0, error.to_string()))?;
        Ok(Self { context, group: GroupMemory::default() })
    }

    /// The plaintext of a blob, exactly `plain_length` bytes and [`BLOB_BYTES_MAX`] at most: `stored` itself when it is raw, else
    /// what `out` is replaced by.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a length beyond the limit, [`Error::Inflate`] for bytes that do not give that length.
    pub fn inflate<'a>(
        &mut self,
        encoding: Encoding,
        stored: &'a [u8],
        plain_length: u32,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        self.inflate_within(BLOB_BYTES_MAX, encoding, stored, plain_length, out)
    }

    /// The plaintext of one member of the group at a place of a pack, in `out`. Members that are asked for one after another inflate it once. The
    /// caller verifies the id.
    pub(crate) fn inflate_member<'a>(
        &mut self,
        place: (ObjectId, u32),
        (id, length): (&ChunkId, u32),
        stored: &[u8],
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        if !self.group.is(place) {
            let mut group = std::mem::take(&mut self.group);
            let inflate = |frame: &[u8], plain: u32, content: &mut Vec<u8>| {
                self.inflate(Encoding::Zstd, frame, plain, content).map(drop)
            };
            let filled = group.fill(place, stored, inflate);
            self.group = group;
            filled?;
        }
        let member = self.group.member(id, length)?;
        out.clear();
        out.extend_from_slice(member);
        Ok(out)
    }

    /// [`inflate`](Self::inflate) with another limit, for documents.
    pub(crate) fn inflate_within<'a>(
        &mut self,
        bytes_max: u32,
        encoding: Encoding,
        stored: &'a [u8],
        plain_length: u32,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        if plain_length > bytes_max {
            let (bytes, bytes_max) = (u64::from(plain_length), u64::from(bytes_max));
            return Err(Error::TooLarge { what: "inflated content", bytes, bytes_max });
        }
        let plain = match encoding {
            Encoding::Raw => stored,
            Encoding::Zstd => {
                out.clear();
                out.reserve(plain_length as usize);
                let inflated = self.context.decompress_to_buffer(stored, out);
                inflated.map_err(|error| broken(plain_length, error.to_string()))?;
                out
            }
            // Only a pack holds groups, and its blobs are told apart by their ids.
            Encoding::Group => return Err(broken(plain_length, "it is a group where none may be".to_owned())),
        };
        if plain.len() == plain_length as usize {
            Ok(plain)
        } else {
            Err(broken(plain_length, format!("{} bytes came out", plain.len())))
        }
    }
}

fn broken(expected_bytes: u32, problem: String) -> Error {
    Error::Inflate { expected_bytes, problem }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    proptest! {
        #[test]
        fn inflate_undoes_compress(seed in proptest::collection::vec(any::<u8>(), 0..64), repeats in 1_usize..5000) {
            let plain = seed.repeat(repeats);
            let mut compressor = Compressor::new(1).unwrap();
            let (encoding, stored) = compressor.compress(&plain).unwrap();
            let (mut inflater, mut out) = (Inflater::new().unwrap(), vec![1, 2, 3]);
            let inflated = inflater.inflate(encoding, stored, plain.len() as u32, &mut out).unwrap();
            prop_assert_eq!(inflated, &plain);
            prop_assert!(inflater.inflate(encoding, stored, plain.len() as u32 + 1, &mut out).is_err());
        }

        #[test]
        fn hostile_bytes_never_inflate_beyond_the_promise(stored in proptest::collection::vec(any::<u8>(), 0..200), length in 0_u32..1000) {
            let mut out = Vec::new();
            let inflated = Inflater::new().unwrap().inflate(Encoding::Zstd, &stored, length, &mut out);
            prop_assert!(inflated.is_ok_and(|plain| plain.len() == length as usize) || out.capacity() <= 2000);
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored_raw_after_a_trial_of_its_head() {
        let mut compressor = Compressor::new(1).unwrap();
        for length in [10, 700, 5_000, 40_000, 2_000_000] {
            let plain = noise(length);
            assert_eq!(compressor.compress(&plain).unwrap(), (Encoding::Raw, plain.as_slice()));
        }
        assert!(!compressor.is_promising(&noise(40_000)).unwrap());
        let high = noise(2_000).repeat(20);
        assert_eq!(compressor.compress(&high).unwrap().0, Encoding::Zstd, "it looks like noise, and its head shrinks");
    }

    #[test]
    fn text_in_any_quarter_of_a_blob_of_noise_is_found() {
        let mut compressor = Compressor::new(1).unwrap();
        for start in [0, 10_000, 20_000, 30_000] {
            let mut plain = noise(40_000);
            plain[start..start + 10_000].fill(b'a');
            let (encoding, stored) = compressor.compress(&plain).unwrap();
            assert!(encoding == Encoding::Zstd && stored.len() < 31_000, "{start}");
        }
    }

    #[test]
    fn without_compression_all_is_stored_raw() {
        let plain = vec![0; 100_000];
        assert_eq!(
            Compressor::new(NO_COMPRESSION).unwrap().compress(&plain).unwrap(),
            (Encoding::Raw, plain.as_slice())
        );
    }

    #[test]
    fn a_promise_beyond_the_limit_is_refused_before_memory_is_taken() {
        let mut out = Vec::new();
        let refused = Inflater::new().unwrap().inflate(Encoding::Raw, &[], BLOB_BYTES_MAX + 1, &mut out);
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        assert_eq!(out.capacity(), 0);
    }
}
