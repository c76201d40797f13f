//! Compress and inflate: zstd, or nothing where it does not pay.
//!
//! Owned here: the encodings and the trial that spares what does not shrink. Called by the engine's workers and `document`.

use credenza_model::limits::{BLOB_BYTES_MAX, DOCUMENT_BYTES_MAX};

use crate::{Error, Result};

/// How the stored bytes of a blob or document encode its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As they are.
    Raw = 0,
    /// One zstd frame (RFC 8878).
    Zstd = 1,
}

impl Encoding {
    pub(crate) fn decode(number: u8) -> Result<Self> {
        match number {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            other => Err(Error::Unknown { what: "encoding", found: u32::from(other) }),
        }
    }
}

/// Blobs longer than this are tried first on a part of this length.
const TRIAL_BYTES: usize = 64 * 1024;
/// The part must shrink by one part in this many, and so must the whole.
const GAIN_PART: usize = 64;

/// Compresses blobs with one context and one buffer; one per thread.
pub struct Compressor {
    context: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
    level: i32,
}

impl Compressor {
    /// A compressor of that zstd level.
    ///
    /// # Errors
    /// [`Error::Compress`] when zstd does not know the level or gets no memory.
    pub fn new(level: i32) -> Result<Self> {
        let context = zstd::bulk::Compressor::new(level)
            .map_err(|cause| Error::Compress { level, problem: cause.to_string() })?;
        Ok(Self { context, buffer: Vec::new(), level })
    }

    /// The shorter of the plaintext and its compressed form. What zstd refuses is kept as it is: compression is never a reason to lose a backup.
    pub fn compress<'a>(&'a mut self, plain: &'a [u8]) -> (Encoding, &'a [u8]) {
        let trial = plain.get(..TRIAL_BYTES).filter(|_| plain.len() >= 2 * TRIAL_BYTES);
        let worth_it = trial.is_none_or(|part| self.shrinks(part)) && self.shrinks(plain);
        if worth_it { (Encoding::Zstd, &self.buffer) } else { (Encoding::Raw, plain) }
    }

    /// The level.
    #[must_use]
    pub fn level(&self) -> i32 {
        self.level
    }

    fn shrinks(&mut self, plain: &[u8]) -> bool {
        self.buffer.clear();
        self.buffer.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        match self.context.compress_to_buffer(plain, &mut self.buffer) {
            Ok(length) => length < plain.len() - plain.len() / GAIN_PART,
            Err(_) => false,
        }
    }
}

/// Inflates blobs with one context; one per thread.
pub struct Inflater {
    context: Option<zstd::bulk::Decompressor<'static>>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflater {
    /// An inflater.
    #[must_use]
    pub fn new() -> Self {
        Self { context: zstd::bulk::Decompressor::new().ok() }
    }

    /// The plaintext of stored bytes.
    ///
    /// # Errors
    /// [`Error::Inflate`] unless they give exactly `plain_length` bytes, [`Error::TooLarge`] above [`BLOB_BYTES_MAX`].
    pub fn inflate(&mut self, encoding: Encoding, stored: &[u8], plain_length: u32) -> Result<Vec<u8>> {
        if plain_length > BLOB_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "a chunk",
                bytes: u64::from(plain_length),
                bytes_max: u64::from(BLOB_BYTES_MAX),
            });
        }
        let wrong = |problem: String| Error::Inflate { expected_bytes: plain_length, problem };
        let plain = match encoding {
            Encoding::Raw => stored.to_vec(),
            Encoding::Zstd => {
                let context = self.context.as_mut().ok_or_else(|| wrong("zstd got no memory".to_owned()))?;
                context.decompress(stored, plain_length as usize).map_err(|cause| wrong(cause.to_string()))?
            }
        };
        if plain.len() == plain_length as usize { Ok(plain) } else { Err(wrong(format!("they give {}", plain.len()))) }
    }
}

/// As [`Inflater::inflate`], for the length of documents.
pub(crate) fn inflate_exactly(encoding: Encoding, stored: &[u8], plain_length: u32) -> Result<Vec<u8>> {
    let wrong = |problem: String| Error::Inflate { expected_bytes: plain_length, problem };
    if u64::from(plain_length) > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "a document",
            bytes: u64::from(plain_length),
            bytes_max: DOCUMENT_BYTES_MAX,
        });
    }
    let plain = match encoding {
        Encoding::Raw => stored.to_vec(),
        Encoding::Zstd => {
            zstd::bulk::decompress(stored, plain_length as usize).map_err(|cause| wrong(cause.to_string()))?
        }
    };
    if plain.len() == plain_length as usize { Ok(plain) } else { Err(wrong(format!("they give {}", plain.len()))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_compressed_inflates_to_itself(plain in proptest::collection::vec(any::<u8>(), 0..5000), times in 1_usize..60) {
            let plain = plain.repeat(times);
            let mut compressor = Compressor::new(1).unwrap();
            let (encoding, stored) = compressor.compress(&plain);
            prop_assert!(stored.len() <= plain.len());
            let inflated = Inflater::new().inflate(encoding, stored, plain.len() as u32).unwrap();
            prop_assert_eq!(inflated, plain);
        }
    }

    #[test]
    fn text_shrinks_and_noise_is_kept_as_it_is() {
        let mut compressor = Compressor::new(1).unwrap();
        assert_eq!(compressor.compress(&b"credenza ".repeat(1000)).0, Encoding::Zstd);
        let mut noise = vec![0; 300_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert_eq!(compressor.compress(&noise).0, Encoding::Raw);
    }

    #[test]
    fn a_wrong_length_is_an_error() {
        let mut compressor = Compressor::new(1).unwrap();
        let plain = b"credenza ".repeat(100);
        let (encoding, stored) = compressor.compress(&plain);
        for wrong in [0, 899, 901, u32::MAX] {
            assert!(Inflater::new().inflate(encoding, stored, wrong).is_err(), "{wrong}");
        }
    }
}
