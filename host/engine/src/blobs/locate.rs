//! From places in packs to as few ranges as pay.

use credenza_format::{BlobPlace, PackOrdinal};
use credenza_model::ChunkId;

use super::{GAP_BYTES_MAX, RUN_BYTES_MAX};
use crate::Damage;

/// A range of one pack's plaintext that holds wanted chunks, in order of offset.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) pack: PackOrdinal,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) blobs: Vec<(ChunkId, BlobPlace)>,
}

impl Run {
    /// Where it ends in the plaintext of its pack.
    pub(crate) const fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// Every chunk of the run with the damage that befell all of it.
    pub(crate) fn damaged(&self, damage: &Damage) -> impl Iterator<Item = (ChunkId, Damage)> {
        self.blobs.iter().map(|(id, _)| (*id, Damage { chunk: Some(*id), ..damage.clone() }))
    }
}

/// Sorts by place and joins neighbours whose gap is worth reading over, into runs of at most [`RUN_BYTES_MAX`].
pub(crate) fn coalesce(places: Vec<(ChunkId, BlobPlace)>) -> Vec<Run> {
    coalesce_to(places, RUN_BYTES_MAX)
}

/// The same, into runs of at most `bytes_max`, or of one longer chunk.
pub(crate) fn coalesce_to(mut places: Vec<(ChunkId, BlobPlace)>, bytes_max: u64) -> Vec<Run> {
    places.sort_unstable_by_key(|(_, place)| (place.pack, place.offset, place.position));
    places.dedup_by_key(|(id, _)| *id);
    let mut runs: Vec<Run> = Vec::new();
    for (id, place) in places {
        let (start, end) = (u64::from(place.offset), u64::from(place.offset) + u64::from(place.stored));
        match runs.last_mut() {
            Some(run)
                if run.pack == place.pack
                    && start <= run.offset + run.length + GAP_BYTES_MAX
                    && end <= run.offset + bytes_max =>
            {
                run.length = run.length.max(end - run.offset);
                run.blobs.push((id, place));
            }
            _ => runs.push(Run { pack: place.pack, offset: start, length: end - start, blobs: vec![(id, place)] }),
        }
    }
    runs
}
