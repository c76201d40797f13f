//! Where a blob is, as runs of the look-up hold it: in memory, and as a row of 52 bytes on disk.
//!
//! Row: id 32 · pack u32 · position u32 · offset u32 · stored u32 · plain u32. Called by `lookup` and `paged`.

use credenza_model::ChunkId;

use crate::Result;
use crate::wire::Fields;

/// A blob in a pack.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: ChunkId,
    pub(super) pack: u32,
    pub(super) position: u32,
    pub(super) offset: u32,
    pub(super) stored: u32,
    pub(super) plain: u32,
}

/// Bytes of an entry, in memory and on disk.
pub(super) const ENTRY_BYTES: usize = 52;

const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

/// An entry on disk.
pub(super) type Row = [u8; ENTRY_BYTES];

impl Entry {
    pub(super) fn encode(&self, page: &mut Vec<u8>) {
        page.extend(self.id.as_bytes());
        for field in [self.pack, self.position, self.offset, self.stored, self.plain] {
            page.extend(field.to_le_bytes());
        }
    }

    pub(super) fn decode(row: &Row) -> Result<Self> {
        let mut fields = Fields::new("a page of the index", row);
        Ok(Self {
            id: ChunkId::new(fields.array()?),
            pack: fields.u32()?,
            position: fields.u32()?,
            offset: fields.u32()?,
            stored: fields.u32()?,
            plain: fields.u32()?,
        })
    }
}

/// The id in a row.
pub(super) fn id_of(row: &Row) -> ChunkId {
    ChunkId::new(row.first_chunk().copied().unwrap_or_default())
}
