//! One index segment: packs, and their blobs sorted by id.
//!
//! Body: version u16 = 1 · flags u16 (bit 0: a `tail` follows) · packs u32 · blobs u32 · superseded u32, then superseded segment ids of 16, packs of 192 bytes,
//! blobs of 52 bytes, the tail. A segment is written once and never changed; a later one may say that it supersedes it.

use credenza_model::limits::PACK_BYTES_MAX;
use credenza_model::{ChunkId, ObjectId};

use super::WHAT;
use super::tail::{self, LockRecord};
use crate::container::HEADER_BYTES;
use crate::pack::{PACK_BLOBS_MAX, check_layout};
use crate::wire::{Fields, length_u32};
use crate::{BlobKind, Encoding, Error, ObjectKind, PackBlob, PackKind, PackRecord, Result};

const VERSION: u16 = 1;
/// The flag of a segment with a tail.
const TAIL: u16 = 1;
const PACK_BYTES: usize = 16 + 1 + 1 + 2 + HEADER_BYTES + 8 + 32 + 4;
/// The flag of a pack that was moved.
const MOVED: u8 = 1;
const BLOB_BYTES: usize = 52;

/// What some packs hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexSegment {
    /// The packs, in any order.
    pub packs: Vec<PackRecord>,
    /// Segments whose packs are all in this one, or gone.
    pub supersedes: Vec<ObjectId>,
    /// Locks that the store has promised, each object once, in any order.
    pub locks: Vec<LockRecord>,
}

impl IndexSegment {
    /// The body of the segment's document.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when counts exceed the format, [`Error::Malformed`] when blobs of a pack are not back to back.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let blob_count = self.packs.iter().map(|pack| pack.blobs.len()).sum();
        let mut out = Vec::with_capacity(16 + self.packs.len() * PACK_BYTES + blob_count * BLOB_BYTES);
        out.extend(VERSION.to_le_bytes());
        let has_tail = tail::is_needed(&self.packs, &self.locks);
        out.extend(if has_tail { TAIL } else { 0 }.to_le_bytes());
        for count in [self.packs.len(), blob_count, self.supersedes.len()] {
            out.extend(length_u32(WHAT, count)?.to_le_bytes());
        }
        self.supersedes.iter().for_each(|id| out.extend(id.as_bytes()));
        for pack in &self.packs {
            check_layout(pack.kind, None, &pack.blobs)?;
            put_pack(&mut out, pack)?;
        }
        let mut blobs: Vec<(u32, u32, &PackBlob)> = Vec::with_capacity(blob_count);
        for (ordinal, pack) in (0..).zip(&self.packs) {
            blobs.extend((0..).zip(&pack.blobs).map(|(position, blob)| (ordinal, position, blob)));
        }
        blobs.sort_unstable_by_key(|(ordinal, position, blob)| (blob.id, *ordinal, *position));
        blobs.iter().for_each(|(ordinal, position, blob)| put_blob(&mut out, *ordinal, *position, blob));
        if has_tail {
            tail::encode(&mut out, &self.packs, &self.locks)?;
        }
        Ok(out)
    }

    /// Decodes the body of a segment.
    ///
    /// Memory: as much as the body again.
    ///
    /// # Errors
    /// [`Error::Malformed`] when any field breaks the rules; [`Error::Unknown`] for a version of later programs.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(WHAT, body);
        let version = fields.u16()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "index version", found: u32::from(version) });
        }
        let flags = fields.u16()?;
        if flags & !TAIL != 0 {
            return Err(Error::Unknown { what: "flags of an index segment", found: u32::from(flags) });
        }
        let (packs, blobs, superseded) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let expected =
            u64::from(superseded) * 16 + u64::from(packs) * PACK_BYTES as u64 + u64::from(blobs) * BLOB_BYTES as u64;
        if (fields.remaining() as u64) < expected {
            return Err(fields.malformed(format!("its tables take {expected} bytes and {} follow", fields.remaining())));
        }
        let supersedes = (0..superseded).map(|_| fields.array().map(ObjectId::new)).collect::<Result<_>>()?;
        let mut tables = (0..packs).map(|_| PackTable::decode(&mut fields)).collect::<Result<Vec<_>>>()?;
        let mut previous = None;
        for _ in 0..blobs {
            let (ordinal, position, blob) = decode_blob(&mut fields)?;
            if previous.is_some_and(|previous| previous > blob.id) {
                return Err(fields.malformed("its blobs are not sorted"));
            }
            previous = Some(blob.id);
            let table = usize::try_from(ordinal).ok().and_then(|ordinal| tables.get_mut(ordinal));
            table
                .ok_or_else(|| fields.malformed("a blob is in a pack that is not listed"))?
                .blobs
                .push((position, blob));
        }
        let mut packs = tables.into_iter().map(PackTable::into_record).collect::<Result<Vec<_>>>()?;
        let locks = if flags == TAIL { tail::decode(&mut fields, &mut packs)? } else { Vec::new() };
        fields.end()?;
        Ok(Self { packs, supersedes, locks })
    }
}

/// A pack whose blobs are still in the order of their ids.
struct PackTable {
    record: PackRecord,
    blob_count: u32,
    blobs: Vec<(u32, PackBlob)>,
}

impl PackTable {
    fn decode(fields: &mut Fields<'_>) -> Result<Self> {
        let id = ObjectId::new(fields.array()?);
        let kind = PackKind::of(ObjectKind::decode(fields.u8()?)?);
        let kind = kind.ok_or_else(|| fields.malformed("it lists an object that is no pack"))?;
        let flags = fields.u8()?;
        if flags & !MOVED != 0 {
            return Err(Error::Unknown { what: "flags of a pack", found: u32::from(flags) });
        }
        fields.zeros(2)?;
        let (header, size, sha256, blob_count) = (fields.array()?, fields.u64()?, fields.array()?, fields.u32()?);
        if size > PACK_BYTES_MAX || blob_count > PACK_BLOBS_MAX {
            return Err(fields.malformed(format!("pack {id} exceeds the limits of the format")));
        }
        Ok(Self {
            record: PackRecord {
                id,
                kind,
                header,
                size,
                sha256,
                blobs: Vec::new(),
                moved: flags == MOVED,
                version: None,
            },
            blob_count,
            blobs: Vec::new(),
        })
    }

    fn into_record(mut self) -> Result<PackRecord> {
        self.blobs.sort_unstable_by_key(|(position, _)| *position);
        let complete = (0..self.blob_count).eq(self.blobs.iter().map(|(position, _)| *position));
        if !complete {
            let problem = format!("it does not list every blob of pack {} once", self.record.id);
            return Err(Error::Malformed { what: WHAT, problem });
        }
        self.record.blobs = self.blobs.into_iter().map(|(_, blob)| blob).collect();
        check_layout(self.record.kind, None, &self.record.blobs)?;
        Ok(self.record)
    }
}

fn put_pack(out: &mut Vec<u8>, pack: &PackRecord) -> Result<()> {
    out.extend(pack.id.as_bytes());
    out.extend([pack.kind.object_kind() as u8, if pack.moved { MOVED } else { 0 }, 0, 0]);
    out.extend(pack.header);
    out.extend(pack.size.to_le_bytes());
    out.extend(pack.sha256);
    let count = length_u32("a pack", pack.blobs.len())?;
    if count > PACK_BLOBS_MAX {
        return Err(Error::PackFull);
    }
    out.extend(count.to_le_bytes());
    Ok(())
}

fn put_blob(out: &mut Vec<u8>, ordinal: u32, position: u32, blob: &PackBlob) {
    out.extend(blob.id.as_bytes());
    out.extend(ordinal.to_le_bytes());
    out.extend(pack_position(position, blob.kind, blob.encoding).to_le_bytes());
    out.extend(blob.offset.to_le_bytes());
    out.extend(blob.stored.to_le_bytes());
    out.extend(blob.plain.to_le_bytes());
}

fn decode_blob(fields: &mut Fields<'_>) -> Result<(u32, u32, PackBlob)> {
    let id = ChunkId::new(fields.array()?);
    let ordinal = fields.u32()?;
    let (position, kind, encoding) = unpack_position(fields.u32()?)?;
    let (offset, stored, plain) = (fields.u32()?, fields.u32()?, fields.u32()?);
    Ok((ordinal, position, PackBlob { id, kind, encoding, offset, stored, plain }))
}

/// Position in 24 bits, then the encoding in the low and the kind in the high half of a byte.
pub(super) fn pack_position(position: u32, kind: BlobKind, encoding: Encoding) -> u32 {
    position & 0x00ff_ffff | (encoding as u32) << 24 | (kind as u32) << 28
}

pub(super) fn unpack_position(packed: u32) -> Result<(u32, BlobKind, Encoding)> {
    let [_, _, _, flags] = packed.to_le_bytes();
    Ok((packed & 0x00ff_ffff, BlobKind::decode(flags >> 4)?, Encoding::decode(flags & 0x0f)?))
}
