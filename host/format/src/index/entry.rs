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

/// The first eight bytes of an id, as a number.
pub(super) fn prefix(id: &ChunkId) -> u64 {
    id.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

/// How far from where it should be an id is looked for first.
const NEAR: usize = 16;

/// Where the entries of a sorted run begin that are not below an id. Ids are spread evenly, as hashes are: it is looked for where it should be, and twice as
/// far from there each time, which touches few lines of memory. Where they are not, that costs twice the steps of a search by halves.
pub(super) fn start_of(run: &[Entry], id: &ChunkId) -> usize {
    let wanted = prefix(id);
    // Two ids hardly ever begin alike.
    let is_less = |entry: &Entry| match prefix(&entry.id) {
        begin if begin == wanted => entry.id < *id,
        begin => begin < wanted,
    };
    let is_below = |place: usize| run.get(place).is_some_and(is_less);
    let expected = ((u128::from(wanted) * run.len() as u128) >> 64) as usize;
    let (mut low, mut high, mut width) = (0, run.len(), NEAR);
    if is_below(expected) {
        low = expected + 1;
        while low + width < run.len() {
            if !is_below(low + width) {
                high = low + width;
                break;
            }
            low += width + 1;
            width *= 2;
        }
    } else {
        high = expected;
        while let Some(probe) = high.checked_sub(width) {
            if is_below(probe) {
                low = probe + 1;
                break;
            }
            high = probe;
            width *= 2;
        }
    }
    low + run.get(low..high).unwrap_or_default().partition_point(is_less)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(id: [u8; 32]) -> Entry {
        Entry { id: ChunkId::new(id), pack: 0, position: 0, offset: 0, stored: 0, plain: 0 }
    }

    /// Ids that are spread evenly, or that share so much that they lie where none is expected.
    fn ids() -> impl Strategy<Value = Vec<[u8; 32]>> {
        let spread = proptest::collection::vec(any::<[u8; 32]>(), 0..600);
        let crowded = proptest::collection::vec(
            any::<u16>().prop_map(|number| {
                let mut id = [7; 32];
                id[30..].copy_from_slice(&(number % 400).to_be_bytes());
                id
            }),
            0..600,
        );
        prop_oneof![spread, crowded]
    }

    proptest! {
        #[test]
        fn an_id_is_found_where_a_search_by_halves_finds_it(mut ids in ids(), other in any::<[u8; 32]>()) {
            ids.sort_unstable();
            let run: Vec<Entry> = ids.iter().copied().map(entry).collect();
            for id in ids.iter().copied().chain([other, [0; 32], [255; 32]]) {
                let id = ChunkId::new(id);
                prop_assert_eq!(start_of(&run, &id), run.partition_point(|entry| entry.id < id));
            }
        }
    }
}
