//! Which chunks of which packs a snapshot relies on, gathered while it is made.
//!
//! Bound: one bit per chunk of each pack in use, and some 100 bytes per pack.

use std::collections::HashMap;

use credenza_format::{Bitmap, BlobIndex, BlobPlace, PackOrdinal, PackState, PackUsage, Usage};
use credenza_model::{ChunkId, ObjectId};

use crate::Result;

#[derive(Default)]
pub(crate) struct UsageMap {
    by_pack: HashMap<ObjectId, Bitmap>,
}

impl UsageMap {
    /// Marks one chunk.
    pub(crate) fn mark(&mut self, index: &BlobIndex, place: &BlobPlace) {
        if let Some(pack) = index.pack(place.pack) {
            self.by_pack.entry(pack.id).or_insert_with(|| Bitmap::new(pack.blob_count)).set(place.position);
        }
    }

    /// Marks chunks of a pack.
    pub(crate) fn unite(&mut self, pack: ObjectId, used: &Bitmap) {
        self.by_pack.entry(pack).or_insert_with(|| Bitmap::new(used.length())).unite(used);
    }

    /// Marks the other places of chunks that are lost where they were; what has none comes back with the place where it still may be.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) fn rehouse(
        &mut self,
        index: &BlobIndex,
        lost: &HashMap<PackOrdinal, &Bitmap>,
    ) -> Result<Vec<(ChunkId, BlobPlace)>> {
        let mut homeless = Vec::new();
        for known in index.iter() {
            let (id, place) = known?;
            if lost.get(&place.pack).is_some_and(|used| used.get(place.position)) {
                match index.get(&id)?.filter(|other| index.state(other.pack) < PackState::Condemned) {
                    Some(other) => self.mark(index, &other),
                    None => homeless.push((id, place)),
                }
            }
        }
        Ok(homeless)
    }

    pub(crate) fn to_usage(&self) -> Usage {
        let mut packs: Vec<PackUsage> =
            self.by_pack.iter().map(|(pack, used)| PackUsage { pack: *pack, used: used.clone() }).collect();
        packs.sort_unstable_by_key(|usage| usage.pack);
        Usage { packs }
    }
}
