//! Parity: an object beside a pack from which segments of the pack that were hurt follow.
//!
//! ```text
//! head · parity shards · the same head again
//! head   magic `CRPARITY` · version u16 = 1 · zero u16 · shards u32 · repository 16 · pack 16 · size of the pack u64 · zero 8
//!        · header of the pack 128 · checksum of the pack 32 · 16 bytes a segment, 16 a shard: the front of its BLAKE3 · BLAKE3 of all this 32
//! ```
//!
//! Owned here: that layout, the Reed–Solomon code (`FORMAT.md`, "Parity"), and which segments are hurt. It is made of sealed bytes and takes no key:
//! whoever can write to the store can write one that lies. Whoever heals a pack compares it with the digest that the index gives, and opens it as
//! any other. Called by the engine when a pack is written, read in spite of damage, checked or mended.
//!
//! Bound: beside the pack and its parity, a strip of [`STRIP_BYTES`] of each of their shards, 32 MiB for the largest pack.

use std::ops::Range;

use bytes::Bytes;
use credenza_model::limits::PACK_BYTES_MAX;
use credenza_model::{ObjectId, RepositoryId};
use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder};
use serde::{Deserialize, Serialize};

use crate::container::{CHECKSUM_BYTES, HEADER_BYTES, SEGMENT_SEALED_BYTES, segments};
use crate::wire::Fields;
use crate::{Error, Result};

const WHAT: &str = "a parity object";
const MAGIC: &[u8; 8] = b"CRPARITY";
const VERSION: u16 = 1;
/// The head without its lists of hashes.
const HEAD_BYTES: usize = 64 + HEADER_BYTES + CHECKSUM_BYTES + 32;
const HASH_BYTES: usize = 16;
/// Shards are this or a multiple of it long.
const BLOCK_BYTES: usize = 64;
/// Bytes of each shard that are coded together.
const STRIP_BYTES: usize = 64 * BLOCK_BYTES;
/// Most parity, in percent of the segments.
const PERCENT_MAX: u32 = 50;

/// Largest parity object: of the largest pack, at 50 %.
pub const PARITY_BYTES_MAX: u64 = PACK_BYTES_MAX / 2 + PACK_BYTES_MAX / 512;

type Hash = [u8; HASH_BYTES];

/// How much parity a pack gets, in percent of its segments: 1 to 50.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct ParityRate(u32);

impl ParityRate {
    /// So many percent; `None` beyond 1 to 50.
    #[must_use]
    pub fn of_percent(percent: u32) -> Option<Self> {
        (1..=PERCENT_MAX).contains(&percent).then_some(Self(percent))
    }

    /// In percent.
    #[must_use]
    pub const fn percent(self) -> u32 {
        self.0
    }

    /// Parity shards of a pack with so many segments: rounded up, so at least one.
    fn shards(self, segments: u64) -> u64 {
        (segments * u64::from(self.0)).div_ceil(100)
    }

    /// Bytes of the parity object of a pack of this size.
    ///
    /// # Errors
    /// [`Error::Geometry`] or [`Error::TooLarge`] when no pack has this size.
    pub fn object_bytes(self, pack_size: u64) -> Result<u64> {
        Layout::at_rate(pack_size, self).map(|layout| layout.object_bytes() as u64)
    }
}

impl TryFrom<u32> for ParityRate {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, String> {
        Self::of_percent(percent).ok_or_else(|| format!("parity is 1 to {PERCENT_MAX} percent, not {percent}"))
    }
}

impl From<ParityRate> for u32 {
    fn from(rate: ParityRate) -> Self {
        rate.0
    }
}

/// Where the parts of a pack and of its parity lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    pack_bytes: usize,
    segments: usize,
    shards: usize,
    shard_bytes: usize,
}

impl Layout {
    fn at_rate(pack_size: u64, rate: ParityRate) -> Result<Self> {
        let (count, _) = segments(pack_size)?;
        Self::new(pack_size, rate.shards(count))
    }

    fn new(pack_size: u64, shards: u64) -> Result<Self> {
        if pack_size > PACK_BYTES_MAX {
            return Err(Error::TooLarge { what: "a pack", bytes: pack_size, bytes_max: PACK_BYTES_MAX });
        }
        let (count, _) = segments(pack_size)?;
        if shards == 0 || shards > count.div_ceil(2) {
            return Err(malformed(format!("{shards} shards are not for a pack of {count} segments")));
        }
        // All below 2²⁹, as the pack is.
        let sealed = pack_size as usize - HEADER_BYTES - CHECKSUM_BYTES;
        let shard_bytes = sealed.min(SEGMENT_SEALED_BYTES as usize).next_multiple_of(BLOCK_BYTES);
        Ok(Self { pack_bytes: pack_size as usize, segments: count as usize, shards: shards as usize, shard_bytes })
    }

    const fn head_bytes(&self) -> usize {
        HEAD_BYTES + HASH_BYTES * (self.segments + self.shards)
    }

    const fn object_bytes(&self) -> usize {
        2 * self.head_bytes() + self.shards * self.shard_bytes
    }

    /// A segment in the pack.
    fn segment(&self, index: usize) -> Range<usize> {
        let start = HEADER_BYTES + index * SEGMENT_SEALED_BYTES as usize;
        start..(start + SEGMENT_SEALED_BYTES as usize).min(self.pack_bytes - CHECKSUM_BYTES)
    }

    /// A shard in the parity object.
    const fn shard(&self, index: usize) -> Range<usize> {
        let start = self.head_bytes() + index * self.shard_bytes;
        start..start + self.shard_bytes
    }

    /// Where in a shard each strip lies.
    fn strips(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let length = self.shard_bytes;
        (0..length).step_by(STRIP_BYTES).map(move |start| start..(start + STRIP_BYTES).min(length))
    }
}

/// What a parity object says of its pack and of itself. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParityHead {
    layout: Layout,
    repository: RepositoryId,
    pack: ObjectId,
    header: [u8; HEADER_BYTES],
    checksum: [u8; CHECKSUM_BYTES],
    segments: Vec<Hash>,
    shards: Vec<Hash>,
}

impl ParityHead {
    /// Decodes a head from the front of some bytes; more are ignored.
    ///
    /// # Errors
    /// [`Error::NotAnObject`] when they are no head, [`Error::Unknown`] for a later version, [`Error::Malformed`], [`Error::Geometry`] or
    /// [`Error::TooLarge`] when a field breaks the rules, [`Error::Checksum`] when a byte was changed.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(WHAT, bytes);
        if bytes.len() < HEAD_BYTES || fields.array()? != *MAGIC {
            return Err(Error::NotAnObject);
        }
        let version = fields.u16()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "version of parity", found: u32::from(version) });
        }
        fields.zeros(2)?;
        let shards = fields.u32()?;
        let repository = RepositoryId::new(fields.array()?);
        let pack = ObjectId::new(fields.array()?);
        let layout = Layout::new(fields.u64()?, u64::from(shards))?;
        fields.zeros(8)?;
        let (header, checksum) = (fields.array()?, fields.array()?);
        // What is allocated is there.
        let lists = Fields::new(WHAT, fields.take(HASH_BYTES * (layout.segments + layout.shards))?).rest();
        let (segments, shards) = lists.as_chunks::<HASH_BYTES>().0.split_at(layout.segments);
        let hashed = bytes.get(..layout.head_bytes() - 32).unwrap_or_default();
        if blake3::hash(hashed) != blake3::Hash::from_bytes(fields.array()?) {
            return Err(Error::Checksum);
        }
        let (segments, shards) = (segments.to_vec(), shards.to_vec());
        Ok(Self { layout, repository, pack, header, checksum, segments, shards })
    }

    /// The head as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.layout.head_bytes());
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 2]);
        out.extend((self.layout.shards as u32).to_le_bytes());
        out.extend(self.repository.as_bytes());
        out.extend(self.pack.as_bytes());
        out.extend((self.layout.pack_bytes as u64).to_le_bytes());
        out.extend([0; 8]);
        out.extend(self.header);
        out.extend(self.checksum);
        self.segments.iter().chain(&self.shards).for_each(|hash| out.extend(hash));
        out.extend(blake3::hash(&out).as_bytes());
        out
    }

    /// The repository that it says it belongs to.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// The header of the pack that it says it is for.
    #[must_use]
    pub fn pack_header(&self) -> &[u8; HEADER_BYTES] {
        &self.header
    }

    /// The pack that it says it is for.
    #[must_use]
    pub fn pack(&self) -> ObjectId {
        self.pack
    }

    /// The size of that pack.
    #[must_use]
    pub fn pack_size(&self) -> u64 {
        self.layout.pack_bytes as u64
    }
}

/// The parity of a sealed pack.
///
/// # Errors
/// [`Error::Geometry`] or [`Error::TooLarge`] when the bytes are no pack's.
pub fn parity_of(rate: ParityRate, repository: RepositoryId, pack: ObjectId, pieces: &[Bytes]) -> Result<Vec<u8>> {
    let joined;
    let bytes: &[u8] = match pieces {
        [one] => one,
        // Only packs of more than 40 MiB.
        many => {
            joined = many.concat();
            &joined
        }
    };
    let layout = Layout::at_rate(bytes.len() as u64, rate)?;
    let segments: Vec<&[u8]> =
        (0..layout.segments).map(|index| bytes.get(layout.segment(index)).unwrap_or_default()).collect();
    let head = layout.head_bytes();
    let mut object = vec![0; layout.object_bytes()];
    encode_shards(&layout, &segments, object.get_mut(head..).unwrap_or_default())?;
    let shard_hash = |index| hash(object.get(layout.shard(index)).unwrap_or_default());
    let (header, checksum) = (bytes.first_chunk().copied(), bytes.last_chunk().copied());
    let encoded = ParityHead {
        layout,
        repository,
        pack,
        header: header.ok_or(Error::NotAnObject)?,
        checksum: checksum.ok_or(Error::NotAnObject)?,
        segments: segments.iter().map(|segment| hash(segment)).collect(),
        shards: (0..layout.shards).map(shard_hash).collect(),
    }
    .encode();
    let last = object.len() - head;
    for at in [0, last] {
        object.get_mut(at..at + head).unwrap_or_default().copy_from_slice(&encoded);
    }
    Ok(object)
}

/// Writes the parity shards, one after the other, to the front of `out`.
fn encode_shards(layout: &Layout, segments: &[&[u8]], out: &mut [u8]) -> Result<()> {
    let mut padded = Vec::with_capacity(STRIP_BYTES);
    let (mut engine, mut work) = (DefaultEngine::new(), None);
    for strip in layout.strips() {
        let mut coder =
            HighRateEncoder::new(layout.segments, layout.shards, strip.len(), engine, work).map_err(code)?;
        for segment in segments {
            coder.add_original_shard(strip_of(segment, &strip, &mut padded)).map_err(code)?;
        }
        let coded = coder.encode().map_err(code)?;
        for (shard, coded) in out.chunks_exact_mut(layout.shard_bytes).zip(coded.recovery_iter()) {
            shard.get_mut(strip.clone()).unwrap_or_default().copy_from_slice(coded);
        }
        drop(coded);
        let (used, kept) = coder.into_parts();
        (engine, work) = (used, Some(kept));
    }
    Ok(())
}

/// A strip of a segment, with zeros behind its end.
fn strip_of<'a>(segment: &'a [u8], strip: &Range<usize>, padded: &'a mut Vec<u8>) -> &'a [u8] {
    if let Some(whole) = segment.get(strip.clone()) {
        return whole;
    }
    padded.clear();
    padded.extend(segment.get(strip.start.min(segment.len())..).unwrap_or_default());
    padded.resize(strip.len(), 0);
    padded
}

/// Verifies a parity object by itself: its size, both heads, each shard. Returns what it says of its pack.
///
/// # Errors
/// As [`ParityHead::decode`]; [`Error::Malformed`] when the heads differ, [`Error::Geometry`] for another size, [`Error::Checksum`] for a changed shard.
pub fn inspect_parity(object: &[u8]) -> Result<ParityHead> {
    let head = ParityHead::decode(object)?;
    let layout = head.layout;
    if object.len() != layout.object_bytes() {
        let wanted = format!("{} bytes of parity", layout.object_bytes());
        return Err(Error::Geometry { object_bytes: object.len() as u64, wanted });
    }
    if object.get(..layout.head_bytes()) != object.get(object.len() - layout.head_bytes()..) {
        return Err(malformed("its two heads differ"));
    }
    if whole_shards(&head, object).count() < layout.shards {
        return Err(Error::Checksum);
    }
    Ok(head)
}

/// The shards that are as they were written, with their places.
fn whole_shards<'a>(head: &'a ParityHead, object: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> {
    let shards = head.shards.iter().enumerate();
    shards.filter_map(|(index, hash_of)| {
        let shard = object.get(head.layout.shard(index))?;
        (hash(shard) == *hash_of).then_some((index, shard))
    })
}

/// Makes a pack whole by its parity, as far as that goes: `pack` holds what could be read of it, `size` is what it had, `parity` what could be read of
/// its parity. Returns how many segments were hurt. Blocks for as long as it takes.
///
/// What comes out is proven by nothing here: compare it with the digest of the pack.
///
/// # Errors
/// [`Error::NotAnObject`] when neither head is whole, [`Error::BeyondParity`] when more segments are hurt than shards are whole; the pack is of no use then.
pub fn heal(
    rate: ParityRate,
    (repository, id): (RepositoryId, ObjectId),
    size: u64,
    pack: &mut Vec<u8>,
    parity: &[u8],
) -> Result<usize> {
    let layout = Layout::at_rate(size, rate)?;
    let second = layout.object_bytes() - layout.head_bytes();
    let heads = [parity.get(..layout.head_bytes()), parity.get(second..layout.object_bytes())];
    let is_ours = |head: &ParityHead| (head.layout, head.repository, head.pack) == (layout, repository, id);
    let head = heads.into_iter().flatten().filter_map(|head| ParityHead::decode(head).ok()).find(is_ours);
    let head = head.ok_or(Error::NotAnObject)?;
    pack.resize(layout.pack_bytes, 0);
    let hashes = head.segments.iter().enumerate();
    let is_hurt = |(index, hash_of): &(usize, &Hash)| {
        pack.get(layout.segment(*index)).is_none_or(|segment| hash(segment) != **hash_of)
    };
    let hurt: Vec<usize> = hashes.filter(is_hurt).map(|(index, _)| index).collect();
    let shards: Vec<(usize, &[u8])> = whole_shards(&head, parity).take(hurt.len()).collect();
    if shards.len() < hurt.len() {
        return Err(Error::BeyondParity { hurt: hurt.len(), shards: shards.len() });
    }
    if let Some(header) = pack.first_chunk_mut() {
        *header = head.header;
    }
    if let Some(checksum) = pack.last_chunk_mut() {
        *checksum = head.checksum;
    }
    if !hurt.is_empty() {
        restore_segments(&layout, pack, &hurt, &shards)?;
    }
    Ok(hurt.len())
}

fn restore_segments(layout: &Layout, pack: &mut [u8], hurt: &[usize], shards: &[(usize, &[u8])]) -> Result<()> {
    let mut padded = Vec::with_capacity(STRIP_BYTES);
    let (mut engine, mut work) = (DefaultEngine::new(), None);
    for strip in layout.strips() {
        let mut coder =
            HighRateDecoder::new(layout.segments, layout.shards, strip.len(), engine, work).map_err(code)?;
        let mut next_hurt = hurt.iter().peekable();
        for index in 0..layout.segments {
            if next_hurt.next_if_eq(&&index).is_none() {
                let segment = pack.get(layout.segment(index)).unwrap_or_default();
                coder.add_original_shard(index, strip_of(segment, &strip, &mut padded)).map_err(code)?;
            }
        }
        for (index, shard) in shards {
            coder.add_recovery_shard(*index, shard.get(strip.clone()).unwrap_or_default()).map_err(code)?;
        }
        let decoded = coder.decode().map_err(code)?;
        for (index, restored) in decoded.restored_original_iter() {
            let segment = pack.get_mut(layout.segment(index)).unwrap_or_default();
            let end = strip.end.min(segment.len());
            let part = segment.get_mut(strip.start.min(end)..end).unwrap_or_default();
            part.copy_from_slice(restored.get(..part.len()).unwrap_or_default());
        }
        drop(decoded);
        let (used, kept) = coder.into_parts();
        (engine, work) = (used, Some(kept));
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> Hash {
    let mut short = [0; HASH_BYTES];
    let hash = blake3::hash(bytes);
    short.iter_mut().zip(hash.as_bytes()).for_each(|(out, byte)| *out = *byte);
    short
}

fn malformed(problem: impl Into<String>) -> Error {
    Error::Malformed { what: WHAT, problem: problem.into() }
}

/// Counts and lengths that the layout rules out.
fn code(cause: reed_solomon_simd::Error) -> Error {
    malformed(cause.to_string())
}

#[cfg(test)]
mod tests;
