//! Which bytes of a sealed object hold which bytes of its plaintext: pure arithmetic on sizes.
//!
//! Sizes here are those of objects without a statement; whoever reads one that has a statement takes its length off.

use std::ops::Range;

use credenza_model::limits::SEGMENT_BYTES;

use crate::suite::TAG_BYTES;
use crate::{Error, Result};

/// Length of the header.
pub const HEADER_BYTES: usize = 128;
/// Length of a statement.
pub const STATEMENT_BYTES: usize = 160;
/// Length of the checksum that every object ends in: BLAKE3 of all bytes before it.
pub const CHECKSUM_BYTES: usize = 32;

const PLAIN: u64 = SEGMENT_BYTES as u64;
const TAG: u64 = TAG_BYTES as u64;
/// Length of a full sealed segment.
pub const SEGMENT_SEALED_BYTES: u64 = PLAIN + TAG;
const SEALED: u64 = SEGMENT_SEALED_BYTES;
const HEADER: u64 = HEADER_BYTES as u64;
const CHECKSUM: u64 = CHECKSUM_BYTES as u64;

/// Whole segments that cover a stretch of plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSpan {
    /// Index of the first segment.
    pub first_segment: u32,
    /// How many there are, at least 1.
    pub segments: u32,
    /// Whether the object's last segment is among them.
    pub reaches_end: bool,
    /// Where they lie in the object.
    pub object_range: Range<u64>,
}

impl SegmentSpan {
    /// Offset in the plaintext at which the first segment begins.
    #[must_use]
    pub fn plain_offset(&self) -> u64 {
        u64::from(self.first_segment).saturating_mul(PLAIN)
    }
}

/// Plaintext bytes of an object of this size: every object has at least one.
///
/// # Errors
/// [`Error::Geometry`] when no object has this size: it was truncated or extended.
pub fn plain_length(object_size: u64) -> Result<u64> {
    segments(object_size).map(|(_, plain)| plain)
}

/// The segments that cover `plain_length` bytes of plaintext from `plain_offset`, in an object of `object_size` bytes.
///
/// # Errors
/// [`Error::Geometry`] when no object has this size or the stretch is empty or reaches outside.
pub fn sealed_span(plain_offset: u64, plain_length: u64, object_size: u64) -> Result<SegmentSpan> {
    let (count, plain) = segments(object_size)?;
    let end = plain_offset.checked_add(plain_length).filter(|end| *end <= plain && plain_length > 0);
    let wanted = || format!("{plain_length} bytes of content at {plain_offset}");
    let end = end.ok_or_else(|| Error::Geometry { object_bytes: object_size, wanted: wanted() })?;
    let (first, after) = (plain_offset / PLAIN, end.div_ceil(PLAIN));
    let object_range = HEADER + first * SEALED..(HEADER + after * SEALED).min(object_size - CHECKSUM);
    let number =
        |value: u64| u32::try_from(value).map_err(|_| Error::Geometry { object_bytes: object_size, wanted: wanted() });
    Ok(SegmentSpan {
        first_segment: number(first)?,
        segments: number(after - first)?,
        reaches_end: after == count,
        object_range,
    })
}

/// Number of segments and plaintext bytes of an object.
pub(crate) fn segments(object_size: u64) -> Result<(u64, u64)> {
    let impossible = || Error::Geometry { object_bytes: object_size, wanted: "whole segments".to_owned() };
    let sealed = object_size.checked_sub(HEADER + CHECKSUM).ok_or_else(impossible)?;
    let count = sealed.div_ceil(SEALED);
    let last = sealed.saturating_sub(count.saturating_sub(1) * SEALED);
    if last <= TAG || count > u64::from(u32::MAX) {
        return Err(impossible());
    }
    Ok((count, sealed - count * TAG))
}
