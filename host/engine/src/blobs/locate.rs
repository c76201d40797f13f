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
    coalesce_to(places, RUN_BYTES_MAX, u64::MAX)
}

/// The same, into runs of at most `stored_max` in their pack that hold at most `plain_max` of plaintext, or one frame more. Those of a frame are never
/// parted, or it would be inflated twice.
pub(crate) fn coalesce_to(mut places: Vec<(ChunkId, BlobPlace)>, stored_max: u64, plain_max: u64) -> Vec<Run> {
    places.sort_unstable_by_key(|(_, place)| (place.pack, place.offset, place.position));
    places.dedup_by_key(|(id, _)| *id);
    let mut runs: Vec<Run> = Vec::new();
    // Of the last run.
    let mut plain = 0;
    for (id, place) in places {
        let (start, end) = (u64::from(place.offset), u64::from(place.offset) + u64::from(place.stored));
        let is_beside = |run: &Run| {
            let is_same_frame = run.blobs.last().is_some_and(|(_, last)| last.offset == place.offset);
            let is_near = start <= run.end() + GAP_BYTES_MAX && end <= run.offset + stored_max;
            run.pack == place.pack && (is_same_frame || is_near && plain < plain_max)
        };
        match runs.last_mut().filter(|run| is_beside(run)) {
            Some(run) => {
                run.length = run.length.max(end - run.offset);
                run.blobs.push((id, place));
                plain += u64::from(place.plain);
            }
            None => {
                plain = u64::from(place.plain);
                runs.push(Run { pack: place.pack, offset: start, length: end - start, blobs: vec![(id, place)] });
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use credenza_format::{BlobKind, Encoding};

    use super::*;

    /// Members of frames that take `stored` bytes each and hold `members` chunks of `plain` bytes, one frame behind the other.
    fn frames(frames: u32, members: u32, stored: u32, plain: u32) -> Vec<(ChunkId, BlobPlace)> {
        let place = |number: u32| {
            let (pack, kind, frame, position) = (PackOrdinal(0), BlobKind::Data, number / members, number);
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            (
                ChunkId::new(id),
                BlobPlace { pack, position, kind, encoding: Encoding::Group, offset: frame * stored, stored, plain },
            )
        };
        (0..frames * members).map(place).collect()
    }

    #[test]
    fn what_shrinks_a_hundred_times_is_opened_no_more_at_once_than_what_does_not() {
        let (stored_max, plain_max) = (2 << 20, 4 << 20);
        for (stored, plain) in [(2_600, 32 << 10), (256 << 10, 32 << 10)] {
            let runs = coalesce_to(frames(200, 8, stored, plain), stored_max, plain_max);
            let plain_of = |run: &Run| run.blobs.iter().map(|(_, place)| u64::from(place.plain)).sum::<u64>();
            assert!(runs.iter().all(|run| plain_of(run) < plain_max + (256 << 10) && run.length <= stored_max));
            assert_eq!(runs.iter().map(|run| run.blobs.len()).sum::<usize>(), 1600);
            assert!(runs.windows(2).all(|runs| runs[0].end() <= runs[1].offset), "a frame is in two runs");
            assert!(runs.len() <= 200 / 7 + 1);
        }
    }
}
