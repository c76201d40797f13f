//! Opening: the header is accepted or refused, then segments are decrypted where they lie.

use credenza_model::ObjectId;
use credenza_model::limits::SEGMENT_BYTES;

use super::{Header, SegmentSpan};
use crate::suite::{SegmentCipher, TAG_BYTES};
use crate::{Error, Keys, ObjectKind, Result};

/// Opens the segments of one object whose header was accepted.
pub struct Opener {
    object: ObjectId,
    cipher: SegmentCipher,
}

impl Opener {
    /// Accepts a header for the object that the caller asked for.
    ///
    /// # Errors
    /// [`Error::WrongRepository`], [`Error::WrongKind`] or [`Error::WrongObject`] when it is another object,
    /// [`Error::MissingEpoch`] when the key is not there, [`Error::NoAccess`] when it is for readers and the keys are a writer's,
    /// [`Error::ForeignKey`] when it does not fit.
    pub fn new(keys: &Keys, header: &Header, expected: (ObjectKind, ObjectId)) -> Result<Self> {
        let (kind, object) = expected;
        if header.repository() != keys.repository() {
            return Err(Error::WrongRepository { expected: keys.repository(), found: header.repository() });
        }
        if header.kind() != kind {
            return Err(Error::WrongKind { expected: kind, found: header.kind() });
        }
        if header.object() != object {
            return Err(Error::WrongObject { expected: object, found: header.object() });
        }
        let key = header.object_key(keys)?;
        Ok(Self { object, cipher: SegmentCipher::new(header.suite(), &key, header.hash())? })
    }

    /// Opens one segment with its tag in place and returns its plaintext. `last` says that it is the object's last one, as its size
    /// tells.
    ///
    /// # Errors
    /// [`Error::Unauthentic`] when it was changed, moved, cut off, extended or taken from another object.
    pub fn open_segment<'a>(&self, index: u32, last: bool, sealed: &'a mut [u8]) -> Result<&'a [u8]> {
        let opened =
            self.cipher.open(index, last, sealed).ok_or(Error::Unauthentic { object: self.object, segment: index });
        opened.map(|plain| &*plain)
    }

    /// Opens all segments of a span in place: `sealed` holds the span's bytes of the object, and afterwards their plaintext, which
    /// begins at [`SegmentSpan::plain_offset`].
    ///
    /// # Errors
    /// [`Error::Geometry`] when there are fewer or more bytes than the span has, [`Error::Unauthentic`] as for one segment; what is
    /// left in `sealed` is then of no use.
    pub fn open_span(&self, span: &SegmentSpan, sealed: &mut Vec<u8>) -> Result<()> {
        let expected = span.object_range.end.saturating_sub(span.object_range.start);
        if sealed.len() as u64 != expected {
            let wanted = format!("{expected} bytes at {}", span.object_range.start);
            return Err(Error::Geometry { object_bytes: sealed.len() as u64, wanted });
        }
        let end = span.first_segment.saturating_add(span.segments);
        let (mut opened_bytes, mut rest) = (0, sealed.as_mut_slice());
        for (index, sealed) in (span.first_segment..end).zip(rest.chunks_mut(SEGMENT_BYTES + TAG_BYTES)) {
            let last = span.reaches_end && index + 1 == end;
            opened_bytes += self.open_segment(index, last, sealed)?.len();
        }
        // Plaintext moves together over the tags between segments; the first segment is where it belongs already.
        rest = sealed.as_mut_slice();
        for index in 1..span.segments as usize {
            let from = index * (SEGMENT_BYTES + TAG_BYTES);
            let length = SEGMENT_BYTES.min(rest.len().saturating_sub(from + TAG_BYTES));
            rest.copy_within(from..from + length, index * SEGMENT_BYTES);
        }
        sealed.truncate(opened_bytes);
        Ok(())
    }
}
