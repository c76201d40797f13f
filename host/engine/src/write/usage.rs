//! Which chunks of which packs a snapshot relies on, gathered while it is made.
//!
//! Bound: one bit per chunk of each pack in use, plus a pointer per pack of the repository.

use credenza_format::{Bitmap, BlobIndex, PackOrdinal, PackUsage, Usage};
use credenza_model::ObjectId;

pub(crate) struct UsageMap {
    by_pack: Vec<Option<Bitmap>>,
    blob_counts: Vec<u32>,
}

impl UsageMap {
    pub(crate) fn new(index: &BlobIndex) -> Self {
        let blob_counts: Vec<u32> = index.packs().iter().map(|pack| pack.blob_count).collect();
        Self { by_pack: vec![None; blob_counts.len()], blob_counts }
    }

    pub(crate) fn mark(&mut self, pack: PackOrdinal, position: u32) {
        let ordinal = pack.0 as usize;
        if let (Some(slot), Some(count)) = (self.by_pack.get_mut(ordinal), self.blob_counts.get(ordinal)) {
            slot.get_or_insert_with(|| Bitmap::new(*count)).set(position);
        }
    }

    pub(crate) fn to_usage(&self, index: &BlobIndex, written: &[(ObjectId, u32)]) -> Usage {
        let older = self
            .by_pack
            .iter()
            .zip(index.packs())
            .filter_map(|(bitmap, pack)| bitmap.clone().map(|bitmap| PackUsage { pack: pack.id, used: bitmap }));
        let own = written.iter().map(|(id, count)| PackUsage { pack: *id, used: Bitmap::full(*count) });
        let mut packs: Vec<PackUsage> = older.chain(own).collect();
        packs.sort_unstable_by_key(|usage| usage.pack);
        Usage { packs }
    }
}
