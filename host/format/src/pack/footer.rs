//! The end of a pack: the table of its blobs and the trailer that finds it.
//!
//! Entry, 48 bytes: id 32 · kind u8 · encoding u8 · zero u16 · offset u32 · stored u32 · plain u32. Trailer, 16 bytes: bodies length
//! u32 · count u32 · magic `CRPK` · version u16 = 1 · zero u16.

use credenza_model::ChunkId;
use credenza_model::limits::{PACK_BYTES_MAX, SEGMENT_BYTES};

use super::check_blob;
use super::{BlobKind, PACK_BLOBS_MAX, PackBlob, PackKind};
use crate::container::{SegmentSpan, plain_length, sealed_span};
use crate::wire::Fields;
use crate::{Encoding, Error, Result};

pub(crate) const FOOTER_ENTRY_BYTES: usize = 48;
pub(super) const TRAILER_BYTES: usize = 16;
const MAGIC: &[u8; 4] = b"CRPK";
const VERSION: u16 = 1;
const WHAT: &str = "the table of a pack";
/// Plaintext read at first: the table of 2,700 blobs fits, several times that of a usual pack.
const TAIL_BYTES: u64 = 2 * SEGMENT_BYTES as u64;

/// What the end of a pack told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackTail {
    /// All blobs, in the order of their offsets.
    Complete(Vec<PackBlob>),
    /// The table is longer than what was read: read this instead.
    Needs(SegmentSpan),
}

impl PackTail {
    /// What to read of a pack first to learn its blobs.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`PACK_BYTES_MAX`], [`Error::Geometry`] when no pack has this size.
    pub fn needed(object_size: u64) -> Result<SegmentSpan> {
        if object_size > PACK_BYTES_MAX {
            return Err(Error::TooLarge { what: "a pack", bytes: object_size, bytes_max: PACK_BYTES_MAX });
        }
        let plain = plain_length(object_size)?;
        let length = plain.min(TAIL_BYTES);
        sealed_span(plain - length, length, object_size)
    }
}

/// Reads the table of blobs from the opened plaintext of a span that reaches the end of the pack, as [`PackTail::needed`] or
/// [`PackTail::Needs`] gave it.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Unknown`], [`Error::TooLarge`] for a trailer or a table that breaks the rules: every field is checked.
pub fn read_footer(kind: PackKind, object_size: u64, opened_tail: &[u8]) -> Result<PackTail> {
    let malformed = |problem: &str| Error::Malformed { what: WHAT, problem: problem.to_owned() };
    let plain = plain_length(object_size)?;
    let (before, trailer) =
        opened_tail.split_last_chunk::<TRAILER_BYTES>().ok_or_else(|| malformed("it has no trailer"))?;
    let (bodies, count) = decode_trailer(trailer)?;
    let footer_bytes = u64::from(count) * FOOTER_ENTRY_BYTES as u64;
    let end_bytes = footer_bytes + TRAILER_BYTES as u64;
    if u64::from(bodies) + end_bytes > plain {
        return Err(malformed("it is longer than the pack"));
    }
    let at = before.len().checked_sub(usize::try_from(footer_bytes).unwrap_or(usize::MAX));
    match at.and_then(|at| before.get(at..)) {
        Some(footer) => decode_footer(kind, bodies, footer).map(PackTail::Complete),
        None if opened_tail.len() as u64 >= plain => Err(malformed("it is longer than the pack")),
        None => sealed_span(plain - end_bytes, end_bytes, object_size).map(PackTail::Needs),
    }
}

/// Requires that blobs lie back to back from the start and end where bodies end. Members of a group share one place.
pub(crate) fn check_layout(kind: PackKind, bodies: Option<u32>, blobs: &[PackBlob]) -> Result<()> {
    let (mut end, mut group) = (0_u32, None);
    for blob in blobs {
        check_blob(kind, blob)?;
        let place = (blob.encoding == Encoding::Group).then_some((blob.offset, blob.stored));
        if place.is_some() && group == place {
            continue;
        }
        group = place;
        let next = end.checked_add(blob.stored).filter(|_| blob.offset == end);
        end = next.ok_or_else(|| Error::Malformed {
            what: WHAT,
            problem: format!("blob {} does not begin where the one before it ends", blob.id),
        })?;
    }
    if bodies.is_some_and(|bodies| bodies != end) {
        return Err(Error::Malformed { what: WHAT, problem: format!("its blobs end at {end}, not where it says") });
    }
    Ok(())
}

/// The table of blobs, with its trailer.
#[cfg(feature = "fuzzing")]
pub(crate) fn encode(blobs: &[PackBlob]) -> Vec<u8> {
    let mut out = Vec::new();
    blobs.iter().for_each(|blob| put_footer_entry(&mut out, blob));
    let bodies = blobs.iter().map(|blob| blob.offset.saturating_add(blob.stored)).max().unwrap_or(0);
    out.extend(trailer(bodies, blobs.len() as u32));
    out
}

pub(super) fn put_footer_entry(out: &mut Vec<u8>, blob: &PackBlob) {
    out.extend(blob.id.as_bytes());
    out.extend([blob.kind as u8, blob.encoding as u8, 0, 0]);
    out.extend(blob.offset.to_le_bytes());
    out.extend(blob.stored.to_le_bytes());
    out.extend(blob.plain.to_le_bytes());
}

pub(super) fn trailer(bodies: u32, count: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(TRAILER_BYTES);
    out.extend(bodies.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend([0; 2]);
    out
}

fn decode_trailer(bytes: &[u8; TRAILER_BYTES]) -> Result<(u32, u32)> {
    let mut fields = Fields::new("the trailer of a pack", bytes);
    let (bodies, count) = (fields.u32()?, fields.u32()?);
    if fields.array()? != *MAGIC {
        return Err(fields.malformed("it does not say `CRPK`"));
    }
    let version = fields.u16()?;
    if version != VERSION {
        return Err(Error::Unknown { what: "pack version", found: u32::from(version) });
    }
    fields.zeros(2)?;
    if count > PACK_BLOBS_MAX {
        return Err(fields.malformed(format!("it counts {count} blobs, more than the {PACK_BLOBS_MAX} of the format")));
    }
    Ok((bodies, count))
}

fn decode_footer(kind: PackKind, bodies: u32, footer: &[u8]) -> Result<Vec<PackBlob>> {
    let mut fields = Fields::new(WHAT, footer);
    let mut blobs = Vec::with_capacity(footer.len() / FOOTER_ENTRY_BYTES);
    while !fields.is_empty() {
        let id = ChunkId::new(fields.array()?);
        let blob_kind = BlobKind::decode(fields.u8()?)?;
        let encoding = Encoding::decode(fields.u8()?)?;
        fields.zeros(2)?;
        let (offset, stored, plain) = (fields.u32()?, fields.u32()?, fields.u32()?);
        blobs.push(PackBlob { id, kind: blob_kind, encoding, offset, stored, plain });
    }
    check_layout(kind, Some(bodies), &blobs)?;
    Ok(blobs)
}
