//! Freed: how much of a repository only some of its snapshots need, before anybody removes them.
//!
//! Counted by chunk, as it is stored, from the usage lists and the index; no tree is walked. `gc` gives it back as far as whole packs go, or are worth
//! copying, so that it may be less at first. Called by `app`.
//!
//! Bound: the index, and two bits for each blob of the packs in use.

use std::collections::{BTreeMap, HashMap};

use credenza_format::{Bitmap, BlobIndex, BlobPlace, PackState};
use credenza_model::{ChunkId, ObjectId, SnapshotId};
use futures_util::{StreamExt, TryStreamExt};

use crate::repository::{Repository, SnapshotHandle};
use crate::{Result, RunContext};

/// Usage lists read at once.
const USAGES_IN_FLIGHT: usize = 8;

/// What the removal of some snapshots would free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes in the store that they need and no other snapshot does.
    pub bytes: u64,
    /// Of each, the bytes that it alone needs: what two of them share is in none of these, and in the sum above.
    pub alone: BTreeMap<SnapshotId, u64>,
}

/// Which blobs are used, pack by pack.
#[derive(Default)]
struct Used(HashMap<ObjectId, Bitmap>);

impl Used {
    fn has(&self, index: &BlobIndex, place: &BlobPlace) -> bool {
        let pack = index.pack(place.pack).and_then(|pack| self.0.get(&pack.id));
        pack.is_some_and(|used| used.get(place.position))
    }

    fn set(&mut self, pack: ObjectId, length: u32, position: u32) {
        self.0.entry(pack).or_insert_with(|| Bitmap::new(length)).set(position);
    }
}

/// Counts what the removal of `snapshots`, which are some of `all`, would free. It costs a request for each usage list that the cache does not have.
///
/// # Errors
/// When the store cannot be read, a usage list is damaged, or it was to stop.
pub async fn run(
    repository: &Repository,
    all: &[SnapshotHandle],
    snapshots: &[SnapshotId],
    run: &RunContext,
) -> Result<Freed> {
    run.stop.unless(count(repository, all, snapshots)).await?
}

async fn count(repository: &Repository, all: &[SnapshotHandle], snapshots: &[SnapshotId]) -> Result<Freed> {
    let index = repository.readable_index().await?;
    let (mut kept, mut going, mut shared) = (Used::default(), Used::default(), Used::default());
    let read =
        async |handle: &SnapshotHandle| Ok::<_, crate::Error>((handle.snapshot.id, repository.usage(handle).await?));
    let mut usages = futures_util::stream::iter(all.iter().map(read)).buffered(USAGES_IN_FLIGHT);
    while let Some((id, usage)) = usages.try_next().await? {
        let goes = snapshots.contains(&id);
        for one in usage.into_iter().flat_map(|usage| usage.packs) {
            for position in (0..one.used.length()).filter(|position| one.used.get(*position)) {
                let used = if goes { &mut going } else { &mut kept };
                if goes && used.0.get(&one.pack).is_some_and(|used| used.get(position)) {
                    shared.set(one.pack, one.used.length(), position);
                }
                used.set(one.pack, one.used.length(), position);
            }
        }
    }
    let bytes = index.iter().filter(|(id, place)| is_counted(&index, &going, id, place));
    let bytes = bytes.filter(|(id, _)| !is_used(&index, &kept, id)).map(|(_, place)| u64::from(place.stored)).sum();
    let mut freed = Freed { bytes, alone: BTreeMap::new() };
    for handle in all.iter().filter(|handle| snapshots.contains(&handle.snapshot.id)) {
        let mut own = Used::default();
        for one in repository.usage(handle).await?.into_iter().flat_map(|usage| usage.packs) {
            own.0.insert(one.pack, one.used);
        }
        let counted = index.iter().filter(|(id, place)| is_counted(&index, &own, id, place));
        let alone = counted.filter(|(id, _)| !is_used(&index, &kept, id) && !is_used(&index, &shared, id));
        freed.alone.insert(handle.snapshot.id, alone.map(|(_, place)| u64::from(place.stored)).sum());
    }
    Ok(freed)
}

/// Whether a place is the one that stands for its chunk: the first that is used, of one that may lie in several packs.
fn is_counted(index: &BlobIndex, used: &Used, id: &ChunkId, place: &BlobPlace) -> bool {
    let is_first = |place: &BlobPlace| {
        let mut places = index.places(id).filter(|place| index.state(place.pack) < PackState::Gone);
        places.next().is_none_or(|first| (first.pack, first.position) == (place.pack, place.position))
    };
    is_used(index, used, id) && is_first(place)
}

/// Whether a chunk is used in any of its packs.
fn is_used(index: &BlobIndex, used: &Used, id: &ChunkId) -> bool {
    index.places(id).any(|place| used.has(index, &place))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use credenza_connect::memory::{MemorySource, MemoryStore};

    use super::*;
    use crate::gc::{self, GcOptions};
    use crate::testing::{noise, repository, secret, snapshot};

    #[tokio::test]
    async fn what_only_some_snapshots_need_is_counted_by_chunk() {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let source = MemorySource::new();
        source.put("kept", noise(1, 50_000));
        source.put("first", noise(2, 30_000));
        let first = snapshot(&repository, &source).await;
        source.put("first", noise(3, 20_000));
        source.put("both", noise(4, 40_000));
        let second = snapshot(&repository, &source).await;
        source.put("first", noise(5, 1000));
        let third = snapshot(&repository, &source).await;
        source.put("both", noise(6, 1000));
        snapshot(&repository, &source).await;
        let all = repository.snapshots().await.unwrap().whole;
        let count =
            async |snapshots: &[SnapshotId]| run(&repository, &all, snapshots, &RunContext::default()).await.unwrap();
        let near = |bytes: u64, expected: u64| (expected..expected + 12_000).contains(&bytes);
        let alone = count(&[first]).await;
        assert!(near(alone.bytes, 30_000) && alone.alone[&first] == alone.bytes, "{alone:?}");
        // What two that go share is freed with both, and with neither alone.
        let both = count(&[second, third]).await;
        assert!(near(both.bytes, 61_000), "{both:?}");
        assert!(near(both.alone[&second], 20_000) && near(both.alone[&third], 1000), "{both:?}");
        assert_eq!(count(&[]).await, Freed::default());
        let every: Vec<SnapshotId> = all.iter().map(|handle| handle.snapshot.id).collect();
        assert!(near(count(&every).await.bytes, 142_000));
        // Nothing was changed by counting.
        let report = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.unwrap();
        assert_eq!((report.snapshots, report.condemned), (4, 0));
    }
}
