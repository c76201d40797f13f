//! Index: where blobs are. Segments as documents, and the table in memory that answers for all of them.
//!
//! Owned here: the codec of a segment and the lookup. Refused here: which segments count (the engine). Bound: 52 bytes per
//! blob and some 200 per pack in memory.

use credenza_model::limits::{BLOB_BYTES_MAX, PACK_BYTES_MAX};
use credenza_model::{ChunkId, ObjectId};

use crate::container::HEADER_BYTES;
use crate::keys::random;
use crate::pack::{BlobKind, PackBlob, PackKind, PackRecord};
use crate::wire::{Fields, length_u32};
use crate::{Encoding, Error, Keys, ObjectKind, Result, SealedObject, seal_document};

const VERSION: u8 = 1;
const BLOB_LINE_BYTES: usize = 52;
/// Positions take 24 bits of a field whose upper 8 hold flags.
const POSITION_BITS: u32 = 24;
const FLAG_ZSTD: u32 = 1 << 24;
const KIND_SHIFT: u32 = 25;

/// One index segment: some packs and all of their blobs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexSegment {
    /// The packs.
    pub packs: Vec<PackRecord>,
    /// Segments that this one replaces.
    pub supersedes: Vec<ObjectId>,
}

impl IndexSegment {
    /// Seals the segment under a random id.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it outgrows a document.
    pub fn seal(&self, keys: &Keys) -> Result<SealedObject> {
        seal_document(keys, ObjectKind::Index, ObjectId::new(random()?), &self.encode()?)
    }

    /// The body: version, superseded ids, pack table, blob lines sorted by id.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when a pack has more blobs than a position can name.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = vec![VERSION, 0, 0, 0];
        out.extend_from_slice(&length_u32("an index", self.supersedes.len())?.to_le_bytes());
        self.supersedes.iter().for_each(|id| out.extend_from_slice(id.as_bytes()));
        out.extend_from_slice(&length_u32("an index", self.packs.len())?.to_le_bytes());
        let mut lines = Vec::new();
        for (ordinal, pack) in (0_u32..).zip(&self.packs) {
            out.extend_from_slice(pack.id.as_bytes());
            out.extend_from_slice(&[pack.kind.object_kind() as u8, 0, 0, 0]);
            out.extend_from_slice(&pack.size.to_le_bytes());
            out.extend_from_slice(&pack.sha256);
            out.extend_from_slice(&pack.header);
            out.extend_from_slice(&length_u32("an index", pack.blobs.len())?.to_le_bytes());
            for (position, blob) in (0_u32..).zip(&pack.blobs) {
                if position >> POSITION_BITS != 0 {
                    return Err(Error::TooLarge {
                        what: "the table of a pack",
                        bytes: pack.blobs.len() as u64,
                        bytes_max: 1 << POSITION_BITS,
                    });
                }
                lines.push((blob, ordinal, position));
            }
        }
        lines.sort_unstable_by_key(|(blob, ordinal, position)| (blob.id, *ordinal, *position));
        for (blob, ordinal, position) in lines {
            let zstd = if blob.encoding == Encoding::Zstd { FLAG_ZSTD } else { 0 };
            out.extend_from_slice(blob.id.as_bytes());
            for field in
                [ordinal, position | zstd | (blob.kind as u32) << KIND_SHIFT, blob.offset, blob.stored, blob.plain]
            {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        Ok(out)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a count, an order, a place or a length is impossible.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new("an index segment", bytes);
        let version = fields.u8()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "index version", found: u32::from(version) });
        }
        fields.zeros(3)?;
        let supersedes = (0..fields.u32()?).map(|_| Ok(ObjectId::new(fields.array()?))).collect::<Result<Vec<_>>>()?;
        let mut packs = Vec::new();
        let mut blob_total = 0_u64;
        for _ in 0..fields.u32()? {
            let (pack, blob_count) = decode_pack(&mut fields)?;
            blob_total += u64::from(blob_count);
            if blob_total * BLOB_LINE_BYTES as u64 > bytes.len() as u64 {
                return Err(fields.malformed("it names more blobs than it holds"));
            }
            packs.push((pack, vec![None; blob_count as usize]));
        }
        if fields.remaining() as u64 != blob_total * BLOB_LINE_BYTES as u64 {
            return Err(fields.malformed("its blob lines do not fill it"));
        }
        let mut previous: Option<ChunkId> = None;
        while !fields.is_empty() {
            let (blob, ordinal, position) = decode_line(&mut fields)?;
            if previous.replace(blob.id).is_some_and(|previous| previous > blob.id) {
                return Err(fields.malformed("its blobs are not sorted"));
            }
            let slot = packs.get_mut(ordinal as usize).and_then(|(_, slots)| slots.get_mut(position as usize));
            match slot {
                Some(slot @ None) => *slot = Some(blob),
                _ => return Err(fields.malformed(format!("chunk {} stands at an impossible position", blob.id))),
            }
        }
        let whole = |(pack, slots): (PackRecord, Vec<Option<PackBlob>>)| PackRecord {
            blobs: slots.into_iter().flatten().collect(),
            ..pack
        };
        Ok(Self { packs: packs.into_iter().map(whole).collect(), supersedes })
    }
}

fn decode_pack(fields: &mut Fields<'_>) -> Result<(PackRecord, u32)> {
    let id = ObjectId::new(fields.array()?);
    let kind = PackKind::decode(fields.u8()?)?;
    fields.zeros(3)?;
    let size = fields.u64()?;
    let sha256 = fields.array()?;
    let header: [u8; HEADER_BYTES] = fields.array()?;
    let blob_count = fields.u32()?;
    if size > PACK_BYTES_MAX {
        return Err(fields.malformed(format!("pack {id} has an impossible size")));
    }
    Ok((PackRecord { id, kind, header, size, sha256, blobs: Vec::new() }, blob_count))
}

fn decode_line(fields: &mut Fields<'_>) -> Result<(PackBlob, u32, u32)> {
    let id = ChunkId::new(fields.array()?);
    let (ordinal, packed) = (fields.u32()?, fields.u32()?);
    let kind = BlobKind::decode(u8::try_from(packed >> KIND_SHIFT).unwrap_or(u8::MAX))?;
    let encoding = if packed & FLAG_ZSTD == 0 { Encoding::Raw } else { Encoding::Zstd };
    let blob = PackBlob { id, kind, encoding, offset: fields.u32()?, stored: fields.u32()?, plain: fields.u32()? };
    if blob.stored > BLOB_BYTES_MAX || blob.plain > BLOB_BYTES_MAX || u64::from(blob.offset) > PACK_BYTES_MAX {
        return Err(fields.malformed(format!("chunk {id} has an impossible length")));
    }
    Ok((blob, ordinal, packed & ((1 << POSITION_BITS) - 1)))
}

/// A pack's place in a [`BlobIndex`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackOrdinal(u32);

impl PackOrdinal {
    /// Its place in [`BlobIndex::packs`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A pack known to a [`BlobIndex`]; its record carries no blobs, only their count is kept.
#[derive(Debug, Clone)]
pub struct IndexedPack {
    /// The pack, without its list of blobs.
    pub record: PackRecord,
    /// Blobs in it.
    pub blob_count: u32,
}

/// Where one blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobPlace {
    /// The pack.
    pub pack: PackOrdinal,
    /// Which of its blobs.
    pub position: u32,
    /// Where its stored bytes begin in the pack's plaintext.
    pub offset: u32,
    /// How many they are.
    pub stored: u32,
    /// Length of its plaintext.
    pub plain: u32,
    /// How the stored bytes encode it.
    pub encoding: Encoding,
    /// What it is.
    pub kind: BlobKind,
}

impl BlobPlace {
    /// The blob of that id at this place.
    #[must_use]
    pub fn blob(&self, id: ChunkId) -> PackBlob {
        PackBlob {
            id,
            kind: self.kind,
            encoding: self.encoding,
            offset: self.offset,
            stored: self.stored,
            plain: self.plain,
        }
    }
}

#[derive(Clone, Copy)]
struct Line {
    id: ChunkId,
    pack: u32,
    packed: u32,
    offset: u32,
    stored: u32,
    plain: u32,
}

impl Line {
    fn place(&self) -> Option<BlobPlace> {
        let kind = BlobKind::decode(u8::try_from(self.packed >> KIND_SHIFT).ok()?).ok()?;
        let encoding = if self.packed & FLAG_ZSTD == 0 { Encoding::Raw } else { Encoding::Zstd };
        let position = self.packed & ((1 << POSITION_BITS) - 1);
        Some(BlobPlace {
            pack: PackOrdinal(self.pack),
            position,
            offset: self.offset,
            stored: self.stored,
            plain: self.plain,
            encoding,
            kind,
        })
    }
}

const _: () = assert!(size_of::<Line>() == BLOB_LINE_BYTES);

/// Every blob of a repository, sorted by id.
#[derive(Default)]
pub struct BlobIndex {
    packs: Vec<IndexedPack>,
    lines: Vec<Line>,
}

impl BlobIndex {
    /// An index of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the packs of a segment; a pack that is there already is left out. [`settle`](Self::settle) must follow before a look-up.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2³² packs.
    pub fn add(&mut self, segment: IndexSegment) -> Result<()> {
        for pack in segment.packs {
            let ordinal = length_u32("the index", self.packs.len())?;
            let blob_count = length_u32("the index", pack.blobs.len())?;
            self.lines.extend((0_u32..).zip(&pack.blobs).map(|(position, blob)| {
                let zstd = if blob.encoding == Encoding::Zstd { FLAG_ZSTD } else { 0 };
                Line {
                    id: blob.id,
                    pack: ordinal,
                    packed: position | zstd | (blob.kind as u32) << KIND_SHIFT,
                    offset: blob.offset,
                    stored: blob.stored,
                    plain: blob.plain,
                }
            }));
            self.packs.push(IndexedPack { record: PackRecord { blobs: Vec::new(), ..pack }, blob_count });
        }
        Ok(())
    }

    /// Sorts what was added. Of several copies of a blob the one in the first pack added is found.
    pub fn settle(&mut self) {
        self.lines.sort_unstable_by_key(|line| (line.id, line.pack, line.packed));
        self.lines.shrink_to_fit();
    }

    /// Where a blob is.
    #[must_use]
    pub fn get(&self, id: &ChunkId) -> Option<BlobPlace> {
        let first = self.lines.partition_point(|line| line.id < *id);
        let line = self.lines.get(first).filter(|line| line.id == *id)?;
        let kind = BlobKind::decode(u8::try_from(line.packed >> KIND_SHIFT).ok()?).ok()?;
        let encoding = if line.packed & FLAG_ZSTD == 0 { Encoding::Raw } else { Encoding::Zstd };
        let position = line.packed & ((1 << POSITION_BITS) - 1);
        Some(BlobPlace {
            pack: PackOrdinal(line.pack),
            position,
            offset: line.offset,
            stored: line.stored,
            plain: line.plain,
            encoding,
            kind,
        })
    }

    /// A pack.
    #[must_use]
    pub fn pack(&self, ordinal: PackOrdinal) -> Option<&PackRecord> {
        self.packs.get(ordinal.index()).map(|pack| &pack.record)
    }

    /// All packs, by ordinal.
    #[must_use]
    pub fn packs(&self) -> &[IndexedPack] {
        &self.packs
    }

    /// All packs with the ordinals that name them.
    pub fn ordinals(&self) -> impl Iterator<Item = (PackOrdinal, &IndexedPack)> {
        (0_u32..).map(PackOrdinal).zip(&self.packs)
    }

    /// The blobs of some packs, each in the order of its positions. One pass over the whole index.
    #[must_use]
    pub fn blobs_of(&self, packs: &[PackOrdinal]) -> Vec<Vec<PackBlob>> {
        let mut place = vec![None; self.packs.len()];
        packs.iter().enumerate().for_each(|(at, pack)| {
            if let Some(slot) = place.get_mut(pack.index()) {
                *slot = Some(at);
            }
        });
        let mut found: Vec<Vec<(u32, PackBlob)>> = vec![Vec::new(); packs.len()];
        for line in &self.lines {
            let wanted = place.get(line.pack as usize).copied().flatten().and_then(|at| found.get_mut(at));
            if let (Some(blobs), Some(place)) = (wanted, line.place()) {
                blobs.push((place.position, place.blob(line.id)));
            }
        }
        let in_order = |mut blobs: Vec<(u32, PackBlob)>| {
            blobs.sort_unstable_by_key(|(position, _)| *position);
            blobs.into_iter().map(|(_, blob)| blob).collect()
        };
        found.into_iter().map(in_order).collect()
    }

    /// Blobs in all packs.
    #[must_use]
    pub fn blob_count(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(seed: u8, blobs: u32) -> PackRecord {
        let blob = |at: u32| PackBlob {
            id: ChunkId::new(*blake3::hash(&[seed, at as u8, (at >> 8) as u8]).as_bytes()),
            kind: if at % 3 == 0 { BlobKind::List } else { BlobKind::Data },
            encoding: if at % 2 == 0 { Encoding::Zstd } else { Encoding::Raw },
            offset: at * 100,
            stored: 100,
            plain: 200,
        };
        PackRecord {
            id: ObjectId::new([seed; 16]),
            kind: PackKind::Data,
            header: [seed; HEADER_BYTES],
            size: 12345,
            sha256: [seed; 32],
            blobs: (0..blobs).map(blob).collect(),
        }
    }

    proptest! {
        #[test]
        fn a_segment_decodes_to_what_was_encoded(counts in proptest::collection::vec(0_u32..300, 0..6)) {
            let packs = counts.iter().enumerate().map(|(seed, count)| pack(seed as u8, *count)).collect();
            let segment = IndexSegment { packs, supersedes: vec![ObjectId::new([7; 16])] };
            prop_assert_eq!(IndexSegment::decode(&segment.encode().unwrap()).unwrap(), segment);
        }

        #[test]
        fn hostile_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = IndexSegment::decode(&bytes);
            if let Some(first) = bytes.first_mut() { *first = 1; }
            bytes.iter_mut().skip(1).take(3).for_each(|b| *b = 0);
            let _ = IndexSegment::decode(&bytes);
        }
    }

    #[test]
    fn every_blob_of_every_segment_is_found_and_no_other() {
        let mut index = BlobIndex::new();
        for seed in 0..5 {
            index.add(IndexSegment { packs: vec![pack(seed, 500)], supersedes: Vec::new() }).unwrap();
        }
        index.settle();
        for seed in 0..5 {
            for (position, blob) in pack(seed, 500).blobs.iter().enumerate() {
                let place = index.get(&blob.id).unwrap();
                assert_eq!(
                    (place.position as usize, place.blob(blob.id), index.pack(place.pack).unwrap().id),
                    (position, *blob, ObjectId::new([seed; 16]))
                );
            }
        }
        assert_eq!(index.get(&ChunkId::new([0; 32])), None);
    }
}
